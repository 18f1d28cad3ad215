//! An image in memory: sections mapped with their own protections, relocated, bound.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::LazyLock;

use rustc_hash::FxBuildHasher;
use rustc_hash::FxHashMap;

use super::ImageError;
use super::missing;
use super::pe::Image;
use super::pe::PAGE;
use super::pe::Symbol;
use crate::exports::Export;

/// One copy of an image in this process.
pub(crate) struct Mapped {
    /// What is mapped.
    pub image: Arc<Image>,
    base: NonNull<u8>,
    /// Bytes of the image, and of the stand-ins behind it.
    size: usize,
    entry: usize,
    /// What the stand-ins stand for, by number.
    missing: Vec<String>,
}

impl Mapped {
    /// Maps a copy of `image`. `cookie` is what its security cookie is to be; never the compiler's default.
    pub fn new(image: &Arc<Image>, cookie: u64) -> Result<Self, ImageError> {
        let resolved = Resolved::new(image);
        let stand_ins = (resolved.missing.len() * missing::STRIDE).next_multiple_of(PAGE as usize);
        let size = image.size as usize + stand_ins;
        // SAFETY: an anonymous private mapping at an address of the host's choice touches no memory of ours.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        let base = NonNull::new(base.cast::<u8>()).filter(|_| base != libc::MAP_FAILED);
        let base = base.ok_or_else(|| {
            ImageError::new(format!("the host has no {size} bytes of memory for it"))
        })?;
        let mapped = Self {
            image: Arc::clone(image),
            base,
            size,
            entry: base.as_ptr() as usize + image.entry as usize,
            missing: resolved.missing.clone(),
        };
        mapped.write(0, &image.headers);
        for section in &image.sections {
            mapped.write(section.address, &section.data);
        }
        let distance = (base.as_ptr() as u64).wrapping_sub(image.base);
        for &place in &image.relocations {
            mapped.write_address(place, mapped.read_address(place).wrapping_add(distance));
        }
        for (number, _) in resolved.missing.iter().enumerate() {
            mapped.write(
                image.size + (number * missing::STRIDE) as u32,
                &missing::code(number as u32),
            );
        }
        for (import, target) in image.imports.iter().zip(&resolved.targets) {
            let address = match *target {
                Target::Function(address) => address as u64,
                Target::Missing(number) => {
                    base.as_ptr() as u64 + u64::from(image.size) + (number * missing::STRIDE) as u64
                }
            };
            mapped.write_address(import.thunk, address);
        }
        if let Some(place) = image.cookie {
            mapped.write_address(place, cookie);
        }
        mapped.protect_all(image, stand_ins)?;
        Ok(mapped)
    }

    /// Where it is mapped.
    pub fn start(&self) -> usize {
        self.base.as_ptr() as usize
    }

    /// Where the image is entered.
    pub fn entry(&self) -> usize {
        self.entry
    }

    /// The offset of an address in the image, if it lies in it.
    pub fn offset_of(&self, address: usize) -> Option<usize> {
        address
            .checked_sub(self.base.as_ptr() as usize)
            .filter(|&offset| offset < self.size)
    }

    /// What a stand-in stands for.
    pub fn missing(&self, number: u32) -> Option<String> {
        self.missing.get(number as usize).cloned()
    }

    /// Makes the image untouchable: it was unloaded.
    pub fn take_away(&self) {
        // SAFETY: the region is ours; code of it that still runs faults, and is reported for what it is.
        unsafe { libc::mprotect(self.base.as_ptr().cast(), self.size, libc::PROT_NONE) };
    }

    fn write(&self, offset: u32, bytes: &[u8]) {
        assert!(
            offset as usize + bytes.len() <= self.size,
            "the image was checked before it was mapped"
        );
        // SAFETY: the range lies in the region, as asserted, which is ours and still writable.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.base.as_ptr().add(offset as usize),
                bytes.len(),
            )
        };
    }

    fn write_address(&self, offset: u32, value: u64) {
        self.write(offset, &value.to_le_bytes());
    }

    fn read_address(&self, offset: u32) -> u64 {
        assert!(
            offset as usize + 8 <= self.size,
            "the image was checked before it was mapped"
        );
        // SAFETY: the range lies in the region, as asserted.
        unsafe {
            self.base
                .as_ptr()
                .add(offset as usize)
                .cast::<u64>()
                .read_unaligned()
        }
    }

    /// Gives every section its own protection; nothing is both writable and executable unless the image asks for it.
    fn protect_all(&self, image: &Image, stand_ins: usize) -> Result<(), ImageError> {
        self.protect(
            0,
            (image.headers.len()).next_multiple_of(PAGE as usize),
            libc::PROT_READ,
        )?;
        for section in &image.sections {
            let mut protection = libc::PROT_READ;
            protection |= if section.writable {
                libc::PROT_WRITE
            } else {
                0
            };
            protection |= if section.executable {
                libc::PROT_EXEC
            } else {
                0
            };
            self.protect(
                section.address as usize,
                (section.size as usize).next_multiple_of(PAGE as usize),
                protection,
            )?;
        }
        self.protect(
            image.size as usize,
            stand_ins,
            libc::PROT_READ | libc::PROT_EXEC,
        )
    }

    fn protect(&self, offset: usize, size: usize, protection: i32) -> Result<(), ImageError> {
        if size == 0 {
            return Ok(());
        }
        // SAFETY: sections lie in the region, which is ours; nothing of it is borrowed.
        let result =
            unsafe { libc::mprotect(self.base.as_ptr().add(offset).cast(), size, protection) };
        if result == 0 {
            Ok(())
        } else {
            Err(ImageError::new(format!(
                "the host does not protect it: {}",
                std::io::Error::last_os_error()
            )))
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the region was mapped by `new` with this size; the machine whose driver it was is gone.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.size) };
    }
}

/// Where an import goes.
enum Target {
    Function(usize),
    /// To the stand-in of this number.
    Missing(usize),
}

/// Every import with where it goes.
struct Resolved {
    targets: Vec<Target>,
    missing: Vec<String>,
}

impl Resolved {
    fn new(image: &Image) -> Self {
        let imports = &image.imports;
        let narrow = image.highest_kept.is_none_or(|register| register <= 7);
        let mut resolved = Self {
            targets: Vec::with_capacity(imports.len()),
            missing: Vec::new(),
        };
        for import in imports {
            let found = match &import.symbol {
                Symbol::Name(name) => exported(&import.module, name),
                Symbol::Ordinal(_) => None,
            };
            let target = found.map_or_else(
                || {
                    resolved
                        .missing
                        .push(format!("{}!{}", import.module, import.symbol));
                    Target::Missing(resolved.missing.len() - 1)
                },
                |export| {
                    Target::Function(if narrow {
                        export.win64_narrow
                    } else {
                        export.win64
                    } as usize)
                },
            );
            resolved.targets.push(target);
        }
        resolved
    }
}

/// The function of a module that images are bound to. Module names are compared as Windows does it: without regard to case.
fn exported(module: &str, name: &str) -> Option<&'static Export> {
    static BY_NAME: LazyLock<FxHashMap<&str, &Export>> = LazyLock::new(|| {
        let mut by_name = FxHashMap::with_capacity_and_hasher(512, FxBuildHasher);
        by_name.extend(crate::exports::all().map(|export| (export.name, export)));
        by_name
    });
    let export = BY_NAME.get(name)?;
    export
        .module
        .eq_ignore_ascii_case(module)
        .then_some(*export)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_in_its_module_only_and_its_name_is_in_no_other() {
        let mut names: Vec<&str> = crate::exports::all().map(|export| export.name).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|one, next| one < next));
        let found = exported("NTOSKRNL.EXE", "KeSetEvent").expect("it is there");
        assert_eq!((found.module, found.name), ("ntoskrnl.exe", "KeSetEvent"));
        assert!(exported("ndis.sys", "KeSetEvent").is_none());
    }
}
