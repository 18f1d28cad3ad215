//! The life of a driver in a machine: loaded, asked, unloaded, and looked after.
//!
//! ```
//! use wfpsim::Config;
//! use wfpsim::Machine;
//! use wfpsim::driver::Parameters;
//!
//! let machine = Machine::new(Config::plain());
//! machine.load_driver(wfpsim::driver::tollgate(), &Parameters::default()).expect("the driver loads");
//! let leaks = machine.unload_driver();
//! assert!(leaks.is_empty());
//! assert!(machine.violations().is_empty());
//! ```

mod io;
mod leaks;
mod parameters;
mod tollgate;

use std::cell::Cell;
use std::fmt;

use wdk_sys_portable::DRIVER_OBJECT;
use wdk_sys_portable::NTSTATUS;
use wdk_sys_portable::PDRIVER_OBJECT;
use wdk_sys_portable::UNICODE_STRING;

pub use io::Answer;
pub use io::Handle;
pub use io::Pending;
pub use io::ProgramMemory;
pub use io::ioctl;
pub use leaks::Leaks;
pub use parameters::Parameters;
pub use tollgate::tollgate;
pub use tollgate::tollgate_counters;

use crate::exports::call_driver;
use crate::machine::Convention;
use crate::machine::Kernel;
use crate::machine::Machine;
use crate::machine::irql;
use crate::memory::Purpose;
use crate::nt::NtStatus;
use crate::verifier::Violation;
use crate::verifier::code;

/// The name of every driver's service, which is all that a driver can see of it.
const SERVICE: &str = r"\REGISTRY\MACHINE\SYSTEM\ControlSet001\Services\driver";
/// The name of the driver object.
const NAME: &str = r"\Driver\driver";
/// A driver object of the I/O manager begins with its type.
const IO_TYPE_DRIVER: i16 = 4;

/// The entry point of a driver that is linked into this process.
pub type DriverEntry =
    unsafe extern "system" fn(*mut DRIVER_OBJECT, *const UNICODE_STRING) -> NTSTATUS;

/// A driver that is linked into this process.
#[derive(Clone, Copy)]
pub struct Linked {
    /// Its entry point.
    pub entry: DriverEntry,
}

/// A driver, whichever way it comes.
#[derive(Clone)]
pub enum Driver {
    /// Linked into this process.
    Linked(Linked),
    /// An image, of which each machine maps a copy.
    #[cfg(target_arch = "x86_64")]
    Image(std::sync::Arc<crate::image::Image>),
}

impl From<Linked> for Driver {
    fn from(linked: Linked) -> Self {
        Self::Linked(linked)
    }
}

#[cfg(target_arch = "x86_64")]
impl From<crate::image::Image> for Driver {
    fn from(image: crate::image::Image) -> Self {
        Self::Image(std::sync::Arc::new(image))
    }
}

/// Where a driver is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// None was ever loaded.
    #[default]
    None,
    /// DriverEntry runs.
    Entering,
    /// DriverEntry returned a success.
    Loaded,
    /// Unload has begun.
    Unloading,
    /// The image is gone.
    Gone,
}

/// What the machine keeps of its driver.
#[derive(Default)]
pub struct State {
    stage: Cell<Stage>,
    /// The driver object; 0 if there is none.
    object: Cell<usize>,
    /// The buffer of the driver's name.
    name: Cell<usize>,
    /// Handles to its devices that processes have open.
    handles: Cell<u32>,
}

/// Why a driver was not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// There is a driver already.
    AlreadyLoaded,
    /// DriverEntry returned an error. What it had left behind is told, and violates the contract (C-51).
    Refused(NtStatus, Leaks),
    /// The machine came down, or DriverEntry never returned: the machine's violations tell how.
    Stopped,
    /// The image cannot be mapped.
    #[cfg(target_arch = "x86_64")]
    Image(crate::image::ImageError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyLoaded => f.write_str("the machine has a driver already"),
            Self::Refused(status, leaks) if leaks.is_empty() => {
                write!(f, "DriverEntry returned {status:#010x}")
            }
            Self::Refused(status, leaks) => write!(
                f,
                "DriverEntry returned {status:#010x} and left behind {leaks:?}"
            ),
            Self::Stopped => f.write_str("the machine stopped while DriverEntry ran"),
            #[cfg(target_arch = "x86_64")]
            Self::Image(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

impl Machine {
    /// Loads a driver: DriverEntry runs at PASSIVE_LEVEL on a thread of the system, and the machine runs until it has
    /// returned.
    ///
    /// # Errors
    ///
    /// See [`LoadError`]. If DriverEntry fails, everything that the driver made must be gone when it returns, because
    /// nobody calls unload then (C-51); what is not is recorded as a violation.
    pub fn load_driver(&self, driver: Linked, parameters: &Parameters) -> Result<(), LoadError> {
        self.kernel().set_convention(Convention::Host);
        self.load_at(driver.entry as *const () as usize, parameters)
    }

    /// Loads a driver, whichever way it comes.
    pub fn load(&self, driver: &Driver, parameters: &Parameters) -> Result<(), LoadError> {
        match driver {
            Driver::Linked(linked) => self.load_driver(*linked, parameters),
            #[cfg(target_arch = "x86_64")]
            Driver::Image(image) => self.load_image(image, parameters),
        }
    }

    /// Loads a driver image: maps a copy of it for this machine, binds it, and enters it as [`Machine::load_driver`] does.
    #[cfg(target_arch = "x86_64")]
    pub fn load_image(
        &self,
        image: &std::sync::Arc<crate::image::Image>,
        parameters: &Parameters,
    ) -> Result<(), LoadError> {
        // Any value but the compiler's default and zero. Not drawn from the machine's numbers: a seed is to mean the same for a
        // linked driver, which has none.
        let cookie = crate::machine::Random::new(!self.kernel().config.seed).bits() >> 16 | 1;
        let mapped = crate::image::Mapped::new(image, cookie).map_err(LoadError::Image)?;
        let entry = mapped.entry();
        self.kernel().image.replace(Some(mapped));
        self.kernel().set_convention(Convention::Win64);
        self.load_at(entry, parameters)
    }

    /// Loads a driver whose entry point is at an address, in the machine's calling convention.
    fn load_at(&self, entry: usize, parameters: &Parameters) -> Result<(), LoadError> {
        if !matches!(
            self.kernel().wdf.life.stage.get(),
            Stage::None | Stage::Gone
        ) {
            return Err(LoadError::AlreadyLoaded);
        }
        let values = parameters.values();
        self.call("I/O manager: DriverEntry", irql::PASSIVE, move |kernel| {
            crate::wdf::set_parameters(kernel, values);
            load(kernel, entry)
        })
        .unwrap_or(Err(LoadError::Stopped))
    }

    /// Unloads the driver as `sc stop` does: waits until no process has a handle to its devices (D-08), calls unload at
    /// PASSIVE_LEVEL on a thread of the system, takes the image away and tells what was left behind, by kind. Whatever
    /// was left is recorded as a violation too, and so is an unload that never returns.
    ///
    /// From then on every call into the driver's code is bug check 0xCE. The machine can load a driver again.
    pub fn unload_driver(&self) -> Leaks {
        if self.kernel().wdf.life.stage.get() != Stage::Loaded {
            return Leaks::new();
        }
        self.call("service control manager: unload", irql::PASSIVE, unload)
            .unwrap_or_default()
    }

    /// Stops the base filtering engine, as `net stop bfe` does: sessions end, and subscribers are told.
    pub fn stop_bfe(&self) {
        self.call("base filtering engine", irql::PASSIVE, |kernel| {
            crate::fwp::set_bfe_running(kernel, false)
        });
    }

    /// Starts the base filtering engine again, and tells its subscribers.
    pub fn start_bfe(&self) {
        self.call("base filtering engine", irql::PASSIVE, |kernel| {
            crate::fwp::set_bfe_running(kernel, true)
        });
    }
}

/// Whether a driver is there, from DriverEntry to the end of its unload routine.
pub(crate) fn is_present(kernel: &Kernel) -> bool {
    !matches!(kernel.wdf.life.stage.get(), Stage::None | Stage::Gone)
}

/// Whether DriverEntry runs.
pub(crate) fn is_entering(kernel: &Kernel) -> bool {
    kernel.wdf.life.stage.get() == Stage::Entering
}

/// Stops the machine if there is no driver any more: `address` is code of an image that is gone. Every call of a
/// driver's function passes here.
pub(crate) fn require_loaded(kernel: &Kernel, address: usize) {
    if kernel.wdf.life.stage.get() == Stage::Gone {
        let summary =
            format!("the driver's code at {address:#x} was called after the driver was unloaded");
        kernel.bug_check(Violation::new(
            kernel,
            code::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS,
            [address as u64, 0, address as u64, 0],
            "C-52",
            summary,
        ));
    }
}

fn load(kernel: &Kernel, entry: usize) -> Result<(), LoadError> {
    let life = &kernel.wdf.life;
    life.stage.set(Stage::Entering);
    let object = make_driver_object(kernel, entry);
    let (path, path_text) = make_string(kernel, "registry path", SERVICE);
    let status = call_driver!(
        kernel,
        entry,
        fn(PDRIVER_OBJECT, *const UNICODE_STRING) -> NtStatus,
        object,
        path
    );
    crate::wdf::after_callback(kernel, "DriverEntry", irql::PASSIVE);
    // The path is the caller's and is gone when DriverEntry has returned.
    crate::nt::free_blocks(kernel, &[path as usize], "freed: DriverEntry returned");
    crate::nt::free_blocks(kernel, &[path_text], "freed: DriverEntry returned");
    if status >= 0 {
        life.stage.set(Stage::Loaded);
        return Ok(());
    }
    Err(LoadError::Refused(
        status,
        take_image_away(kernel, "DriverEntry failed"),
    ))
}

fn unload(kernel: &Kernel) -> Leaks {
    let life = &kernel.wdf.life;
    let object = life.object.get() as PDRIVER_OBJECT;
    kernel.block_under(
        "D-08",
        "processes to close their handles to the driver's device (D-08)".to_owned(),
        None,
        |kernel| kernel.wdf.life.handles.get() == 0,
    );
    // SAFETY: the driver object lives until the image is taken away. Read as a number: the function's convention is the
    // driver's own.
    let routine = unsafe { (&raw const (*object).DriverUnload).cast::<usize>().read() };
    if routine == 0 {
        let summary = "the driver cannot be unloaded: it has no unload routine (EvtDriverUnload)";
        kernel.record(Violation::contract(
            kernel,
            "D-01",
            [object as u64, 0, 0, 0],
            summary,
        ));
        return Leaks::new();
    }
    life.stage.set(Stage::Unloading);
    kernel.set_unloading(true);
    call_driver!(kernel, routine, fn(PDRIVER_OBJECT), object);
    crate::wdf::after_callback(kernel, "the unload routine", irql::PASSIVE);
    kernel.set_unloading(false);
    take_image_away(kernel, "the driver was unloaded")
}

/// What is left when the driver's last function has returned: counted, reported, and the image taken away.
fn take_image_away(kernel: &Kernel, when: &str) -> Leaks {
    let life = &kernel.wdf.life;
    crate::nt::wait_for_work_items(kernel);
    let open = crate::wdf::left_open(kernel);
    crate::wdf::unbind(kernel);
    let found = leaks::find(kernel, open);
    // Nobody else undoes what a DriverEntry did that fails (C-51).
    let entered = life.stage.get() == Stage::Entering;
    let threads = leaks::report(kernel, &found, when, life.object.get() as u64, entered);
    for address in crate::nt::image_data_addresses(kernel) {
        crate::nt::free_blocks(kernel, &[address], "gone with the driver's image");
    }
    for block in [life.object.replace(0), life.name.replace(0)] {
        crate::nt::free_blocks(kernel, &[block], "gone with the driver's image");
    }
    life.stage.set(Stage::Gone);
    #[cfg(target_arch = "x86_64")]
    if let Some(image) = kernel.image.borrow().as_ref() {
        image.take_away();
    }
    if let Some(violation) = threads {
        // What still runs in the driver cannot be stopped, and its next instruction is one of an image that is gone.
        kernel.bug_check(violation);
    }
    found.counts()
}

fn make_driver_object(kernel: &Kernel, entry: usize) -> PDRIVER_OBJECT {
    let ledger = kernel.ledger.begin("DRIVER_OBJECT");
    let object: PDRIVER_OBJECT = kernel
        .arena
        .allocate(size_of::<DRIVER_OBJECT>(), Purpose::Object, ledger, true)
        .as_ptr()
        .cast();
    kernel.note(ledger, "created");
    let (name, text) = make_string(kernel, "driver name", NAME);
    // SAFETY: both blocks were just made, for a driver object and for a string. The entry point is written as a number
    // because its convention is the driver's own.
    unsafe {
        (*object).Type = IO_TYPE_DRIVER;
        (*object).Size = size_of::<DRIVER_OBJECT>() as i16;
        (*object).DriverName = name.read();
        (&raw mut (*object).DriverInit).cast::<usize>().write(entry);
    }
    crate::nt::free_blocks(kernel, &[name as usize], "copied");
    kernel.wdf.life.object.set(object as usize);
    kernel.wdf.life.name.set(text);
    object
}

/// Makes a counted string: its structure and its text, a block each.
fn make_string(kernel: &Kernel, label: &str, text: &str) -> (*mut UNICODE_STRING, usize) {
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let text_ledger = kernel.ledger.begin(label);
    let buffer: *mut u16 = kernel
        .arena
        .allocate(units.len() * 2, Purpose::Object, text_ledger, true)
        .as_ptr()
        .cast();
    let ledger = kernel.ledger.begin(label);
    let string: *mut UNICODE_STRING = kernel
        .arena
        .allocate(size_of::<UNICODE_STRING>(), Purpose::Object, ledger, true)
        .as_ptr()
        .cast();
    let length = (units.len() - 1) * 2;
    // SAFETY: both blocks were just made with room for what is written.
    unsafe {
        buffer.copy_from_nonoverlapping(units.as_ptr(), units.len());
        string.write(UNICODE_STRING {
            Length: length as u16,
            MaximumLength: length as u16 + 2,
            Buffer: buffer,
        });
    }
    (string, buffer as usize)
}
