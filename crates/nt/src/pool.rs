//! Non-paged pool: boxes and byte buffers whose allocation can fail and says so.
//!
//! IRQL ≤ DISPATCH_LEVEL for all of it. Memory is tagged [`TAG`], never executable, and zeroed by the allocator.

use core::{
    fmt,
    marker::PhantomData,
    mem::{align_of, size_of},
    ops::{Deref, DerefMut},
    ptr::{self, NonNull},
    slice,
};

use crate::{
    status::{NtStatus, Result},
    sys,
};

/// The pool tag of everything the driver allocates: `TlGt` as pool tools and the debugger print it.
pub const TAG: u32 = u32::from_le_bytes(*b"TlGt");

/// The alignment pool memory has on 64-bit Windows.
pub const ALIGNMENT: usize = 16;

/// There was no memory; the value that was to go there comes back.
pub struct OutOfMemory<T>(
    /// The value that did not fit.
    pub T,
);

impl<T> From<OutOfMemory<T>> for NtStatus {
    fn from(_: OutOfMemory<T>) -> NtStatus {
        NtStatus::INSUFFICIENT_RESOURCES
    }
}

impl<T> fmt::Debug for OutOfMemory<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OutOfMemory")
    }
}

/// Takes zeroed non-paged pool, aligned to [`ALIGNMENT`].
fn allocate(bytes: usize) -> Option<NonNull<u8>> {
    // An allocation of no bytes is a Driver Verifier bug check (C-62, 0xC4/0).
    let bytes = sys::SIZE_T::try_from(bytes.max(1)).ok()?;
    // SAFETY: The flags are those of C-07 and ask for no exception; the tag is not 0 and the size is not 0. IRQL ≤ DISPATCH_LEVEL is
    // what every token of this crate says, and code without a token cannot run above it.
    let memory = unsafe { sys::ntddk::ExAllocatePool2(sys::POOL_FLAG_NON_PAGED, bytes, TAG) };
    NonNull::new(memory.cast::<u8>())
}

/// Gives pool back.
///
/// # Safety
///
/// `memory` came from [`allocate`], is given back once, and is not used again.
unsafe fn free(memory: NonNull<u8>) {
    // SAFETY: The caller's promise; the tag is the one it was allocated with (C-63, 0xC2/0x0A).
    unsafe { sys::ntddk::ExFreePoolWithTag(memory.as_ptr().cast(), TAG) }
}

/// An owned value in non-paged pool. It does not move while it is there.
pub struct PoolBox<T> {
    memory: NonNull<T>,
    owns: PhantomData<T>,
}

// SAFETY: The box owns its value alone, like a Box.
unsafe impl<T: Send> Send for PoolBox<T> {}
// SAFETY: A shared box gives shared references to its value and nothing else.
unsafe impl<T: Sync> Sync for PoolBox<T> {}

impl<T> PoolBox<T> {
    /// Moves `value` into pool. IRQL ≤ DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// The value comes back in [`OutOfMemory`], which turns into STATUS_INSUFFICIENT_RESOURCES.
    pub fn try_new(value: T) -> core::result::Result<PoolBox<T>, OutOfMemory<T>> {
        const {
            assert!(
                align_of::<T>() <= ALIGNMENT,
                "pool memory is aligned to 16 bytes"
            )
        };
        match allocate(size_of::<T>()) {
            Some(memory) => {
                let memory = memory.cast::<T>();
                // SAFETY: The memory is ours, at least `size_of::<T>()` bytes long and aligned to 16, which the assertion above
                // compares with the type. There is no value in it to drop.
                unsafe { memory.write(value) };
                Ok(PoolBox {
                    memory,
                    owns: PhantomData,
                })
            }
            None => Err(OutOfMemory(value)),
        }
    }

    /// Takes the value out and frees the memory. IRQL ≤ DISPATCH_LEVEL.
    pub fn into_inner(this: PoolBox<T>) -> T {
        // SAFETY: The pointer is given back to nobody: the memory is freed below.
        let memory = unsafe { PoolBox::into_raw(this) };
        // SAFETY: The box owned a valid value there, which is moved out once.
        let value = unsafe { memory.read() };
        // SAFETY: The memory came from `allocate` and the box, its only owner, is gone.
        unsafe { free(memory.cast()) };
        value
    }

    /// Gives the value's place up to the caller, for a pointer that goes through the kernel and comes back in a callback.
    ///
    /// # Safety
    ///
    /// The pointer is given to [`PoolBox::from_raw`] exactly once, or the value is leaked.
    #[must_use]
    pub unsafe fn into_raw(this: PoolBox<T>) -> NonNull<T> {
        let memory = this.memory;
        #[expect(
            clippy::disallowed_methods,
            clippy::mem_forget,
            reason = "The one place where ownership goes into a raw pointer"
        )]
        core::mem::forget(this);
        memory
    }

    /// Takes ownership back from a pointer of [`PoolBox::into_raw`].
    ///
    /// # Safety
    ///
    /// `memory` came from `into_raw` of a box of this type and has not been given back before.
    #[must_use]
    pub unsafe fn from_raw(memory: NonNull<T>) -> PoolBox<T> {
        PoolBox {
            memory,
            owns: PhantomData,
        }
    }
}

impl<T> Deref for PoolBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The box owns a valid value there.
        unsafe { self.memory.as_ref() }
    }
}

impl<T> DerefMut for PoolBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The box owns a valid value there, and is borrowed mutably.
        unsafe { self.memory.as_mut() }
    }
}

impl<T> Drop for PoolBox<T> {
    fn drop(&mut self) {
        // SAFETY: The box owns a valid value there, which is dropped here and never used again.
        unsafe { ptr::drop_in_place(self.memory.as_ptr()) };
        // SAFETY: The memory came from `allocate`, and this box is its only owner and ends here.
        unsafe { free(self.memory.cast()) };
    }
}

impl<T: fmt::Debug> fmt::Debug for PoolBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Bytes in non-paged pool, aligned to [`ALIGNMENT`]. Dereferences to a slice. Holds no memory if it is empty.
pub struct PoolBytes {
    memory: NonNull<u8>,
    length: usize,
}

// SAFETY: The buffer is owned and holds plain bytes.
unsafe impl Send for PoolBytes {}
// SAFETY: A shared buffer gives shared slices and nothing else.
unsafe impl Sync for PoolBytes {}

impl PoolBytes {
    /// `length` zero bytes. IRQL ≤ DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES.
    pub fn zeroed(length: usize) -> Result<PoolBytes> {
        if length == 0 {
            return Ok(PoolBytes {
                memory: NonNull::dangling(),
                length,
            });
        }
        let memory = allocate(length).ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        Ok(PoolBytes { memory, length })
    }

    /// A copy of `bytes`, for data that is only valid during a callback. IRQL ≤ DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES.
    pub fn copy_of(bytes: &[u8]) -> Result<PoolBytes> {
        let mut copy = PoolBytes::zeroed(bytes.len())?;
        copy.copy_from_slice(bytes);
        Ok(copy)
    }

    /// Where the bytes are, or null if there are none: the form in which kernel structures take an optional buffer.
    #[must_use]
    pub const fn as_ptr_or_null(&self) -> *const u8 {
        if self.length == 0 {
            ptr::null()
        } else {
            self.memory.as_ptr()
        }
    }
}

impl Deref for PoolBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: The buffer owns `length` bytes there, which the allocator zeroed; if there are none the pointer is dangling, not
        // null, and aligned.
        unsafe { slice::from_raw_parts(self.memory.as_ptr(), self.length) }
    }
}

impl DerefMut for PoolBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: As in `deref`, and the buffer is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.memory.as_ptr(), self.length) }
    }
}

impl Drop for PoolBytes {
    fn drop(&mut self) {
        if self.length != 0 {
            // SAFETY: A buffer with a length owns memory from `allocate`, and ends here.
            unsafe { free(self.memory) };
        }
    }
}

impl fmt::Debug for PoolBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PoolBytes({} bytes)", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::{self, fail_allocations_after};
    use std::sync::Arc;

    #[test]
    fn a_value_that_does_not_fit_comes_back_undropped() {
        let owner = Arc::new(());
        let refused = fail_allocations_after(0, || PoolBox::try_new(Arc::clone(&owner)));
        let OutOfMemory(value) = refused.err().unwrap();
        assert_eq!(Arc::strong_count(&owner), 2);
        drop(value);
        assert_eq!(Arc::strong_count(&owner), 1);
        assert_eq!(
            NtStatus::from(OutOfMemory(())),
            NtStatus::INSUFFICIENT_RESOURCES
        );
    }

    #[test]
    fn a_box_drops_its_value_once_and_frees_its_memory() {
        let before = doubles::outstanding();
        let owner = Arc::new(());
        let boxed = PoolBox::try_new(Arc::clone(&owner)).unwrap();
        assert_eq!(doubles::outstanding(), before + 1);
        drop(boxed);
        assert_eq!(Arc::strong_count(&owner), 1);
        let value = PoolBox::into_inner(PoolBox::try_new(owner).unwrap());
        assert_eq!(Arc::strong_count(&value), 1);
        assert_eq!(doubles::outstanding(), before);
    }

    #[test]
    fn an_empty_value_still_takes_a_valid_allocation() {
        // ExAllocatePool2 with no bytes is a bug check; the double asserts that it is never asked for that.
        drop(PoolBox::try_new(()).unwrap());
    }

    #[test]
    fn bytes_are_copied_and_an_empty_buffer_needs_no_memory() {
        let bytes = PoolBytes::copy_of(b"control data").unwrap();
        assert_eq!(&*bytes, b"control data");
        assert!(bytes.as_ptr_or_null().addr().is_multiple_of(ALIGNMENT));
        let empty = fail_allocations_after(0, || PoolBytes::copy_of(b"")).unwrap();
        assert!(empty.is_empty() && empty.as_ptr_or_null().is_null());
        assert_eq!(
            fail_allocations_after(0, || PoolBytes::copy_of(b"x")).err(),
            Some(NtStatus::INSUFFICIENT_RESOURCES)
        );
    }
}
