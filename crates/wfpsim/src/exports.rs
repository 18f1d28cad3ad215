//! How a simulated kernel function meets its callers.
//!
//! Each function is written once, as a plain Rust function that is handed the machine. [`exports!`] gives it two faces:
//! a symbol of the kernel's own name in the host's calling convention, which a driver linked into this process calls,
//! and an entry of a table with the addresses of twins in the Windows x64 convention, to one of which a loaded image is bound.

use crate::machine::Kernel;
use crate::machine::current;
use crate::verifier::Violation;
use crate::verifier::code;

/// One function that a driver image may import.
pub struct Export {
    /// The module that Windows has it in.
    pub module: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its address for callers in the Windows x64 calling convention; null where the host has no such thing.
    pub win64: *const (),
    /// The same for those that keep nothing in xmm8 to xmm15, at half the price.
    pub win64_narrow: *const (),
}

// SAFETY: an export is two strings and the address of a function, none of which ever changes.
unsafe impl Sync for Export {}

/// Every function of every module.
pub fn all() -> impl Iterator<Item = &'static Export> {
    [
        crate::nt::EXPORTS,
        crate::nt::HAL_EXPORTS,
        crate::ndis::EXPORTS,
        crate::fwp::EXPORTS,
        crate::wdf::EXPORTS,
        #[cfg(target_arch = "x86_64")]
        crate::nt::RUNTIME_EXPORTS,
    ]
    .into_iter()
    .flatten()
}

/// What an argument says of the object that a call concerns.
pub(crate) trait Object {
    /// The object's address or handle; 0 for a number.
    fn address(&self) -> usize;
}

impl<T> Object for *mut T {
    fn address(&self) -> usize {
        self.addr()
    }
}

impl<T> Object for *const T {
    fn address(&self) -> usize {
        self.addr()
    }
}

macro_rules! numbers {
    ($($ty:ty)*) => {
        $( impl Object for $ty {
            fn address(&self) -> usize {
                0
            }
        } )*
    };
}
numbers! { u8 i8 u16 i16 u32 i32 u64 i64 usize isize }

/// What the platform asks of a caller.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    /// The highest IRQL allowed.
    pub max_irql: u8,
    /// Whether the function may call out of the kernel or take locks of its own, so that the caller may hold no spin
    /// lock (C-03).
    pub unlocked: bool,
    /// Whether another thread may run first.
    pub point: bool,
}

/// Passes a scheduling point, checks the caller, and gives the machine.
pub(crate) fn enter<'a>(name: &'static str, caller: Caller) -> &'a Kernel {
    let kernel = current::kernel();
    if caller.point {
        kernel.point_before(name);
    }
    let irql = kernel.irql();
    if irql > caller.max_irql {
        kernel.bug_check(level_violation(kernel, name, irql, caller.max_irql));
    }
    if kernel.running().must_wait.replace(false) && !is_wait(name) {
        let summary = format!(
            "{name} was called after KeSetEvent with Wait TRUE, which promises that a wait comes next"
        );
        kernel.bug_check(Violation::contract(kernel, "C.1", [0; 4], summary));
    }
    if caller.unlocked {
        let lock = kernel.running().locks.borrow().last().copied();
        if let Some(lock) = lock {
            let summary = format!(
                "{name} was called with spin lock {lock:#x} held; it may call out or take locks of its own"
            );
            kernel.bug_check(Violation::contract(
                kernel,
                "C-03",
                [lock as u64, 0, 0, 0],
                summary,
            ));
        }
    }
    kernel
}

/// Whether a function is a scheduling point. All are but those that only one of a driver's two forms calls: a seed is to mean the
/// same for both.
pub(crate) const fn is_point(name: &str) -> bool {
    !matches!(
        name.as_bytes(),
        b"wfpsim_image_data" | b"WdfVersionBind" | b"WdfVersionUnbind"
    )
}

/// Notes that the running step concerns an object that a call names.
pub(crate) fn concerns(kernel: &Kernel, changes: bool, object: usize) {
    if changes {
        kernel.random.touches(object);
    } else {
        kernel.random.reads(object);
    }
}

/// Whether a function changes what it is given in a way that its order with others matters. Those named only look, or
/// count up and down.
pub(crate) const fn changes(name: &str) -> bool {
    !matches!(
        name.as_bytes(),
        b"KeGetCurrentIrql"
            | b"KeQueryInterruptTimePrecise"
            | b"ExAcquireRundownProtection"
            | b"ExReleaseRundownProtection"
            | b"FwpmBfeStateGet0"
            | b"FwpsQueryPacketInjectionState0"
            | b"FwpsGetPacketListSecurityInformation0"
            | b"wfpsim_image_data"
    )
}

/// Whether a function lets something go that another thread may be waiting for, or may still use.
pub(crate) const fn lets_go(name: &str) -> bool {
    matches!(
        name.as_bytes(),
        b"KeReleaseSpinLock"
            | b"KeReleaseInStackQueuedSpinLock"
            | b"KeReleaseInStackQueuedSpinLockFromDpcLevel"
            | b"KeReleaseSpinLockFromDpcLevel"
            | b"KeLowerIrql"
            | b"KeSetEvent"
            | b"ExFreePool"
            | b"ExFreePoolWithTag"
            | b"ExReleaseRundownProtection"
            | b"ObfDereferenceObject"
            | b"FwpsDereferenceNetBufferList0"
            | b"FwpsFreeCloneNetBufferList0"
            | b"FwpsCompleteOperation0"
            | b"FwpsInjectTransportReceiveAsync0"
            | b"FwpsInjectTransportSendAsync0"
    )
}

/// A function was called at a higher IRQL than it allows: under the table that it stands in, with the code of who would notice.
fn level_violation(kernel: &Kernel, name: &'static str, irql: u8, highest: u8) -> Violation {
    let summary = format!("{name} was called at IRQL {irql}; the highest it allows is {highest}");
    let [irql, highest] = [irql, highest].map(u64::from);
    match name {
        _ if name.starts_with("Wdf") => {
            let parameters = [crate::wdf::WDF_VERIFIER_IRQL_MISMATCH, irql, highest, 0];
            Violation::new(kernel, code::WDF_VIOLATION, parameters, "D.1", summary)
        }
        _ if name.starts_with("Fwp") => {
            Violation::contract(kernel, "A.1", [irql, highest, 0, 0], summary)
        }
        _ if name.starts_with("Ndis") => {
            Violation::contract(kernel, "B-07", [irql, highest, 0, 0], summary)
        }
        _ => match ddi_rule(name) {
            Some(subcode) => {
                Violation::verifier(kernel, subcode, [irql, highest, 0], summary, "C.1")
            }
            None => Violation::contract(kernel, "C.1", [irql, highest, 0, 0], summary),
        },
    }
}

/// Whether a function is one of the waits that KeSetEvent's Wait parameter speaks of.
fn is_wait(name: &str) -> bool {
    name.starts_with("KeWaitFor")
}

/// The subcode of bug check 0xC4 under which Driver Verifier reports a function called at a wrong IRQL.
fn ddi_rule(name: &str) -> Option<u64> {
    match name {
        "KeSetEvent" => Some(0x80),
        "ExAllocatePool2" => Some(0x02),
        "ExFreePoolWithTag" | "ExFreePool" => Some(0x12),
        "KeEnterCriticalRegion" => Some(0x11A),
        "KeLeaveCriticalRegion" => Some(0x11B),
        "KeWaitForSingleObject" => Some(0x120),
        // IrqlKeApcLte1 and IrqlKeDispatchLte.
        "KeDelayExecutionThread" => Some(0x2000F),
        "KeCancelTimer"
        | "KeClearEvent"
        | "KeInitializeTimer"
        | "KeInitializeTimerEx"
        | "KeRaiseIrqlToDpcLevel"
        | "KeReadStateEvent"
        | "KeResetEvent"
        | "KeSetTimer"
        | "KeSetTimerEx" => Some(0x20011),
        "ObReferenceObjectByHandle" => Some(0x2001B),
        "PsCreateSystemThread" | "PsTerminateSystemThread" => Some(0x2001C),
        "ZwClose" | "ZwWaitForSingleObject" => Some(0x2001F),
        _ => None,
    }
}

/// Defines simulated kernel functions of one module. Each line is the kernel's prototype, what it asks of its caller, and
/// the function that does it.
macro_rules! exports {
    ($module:literal; $( $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? [$irql:ident $($unlocked:ident)?] => $body:path; )*) => {
        $(
            #[doc = concat!("`", stringify!($name), "` for a linked driver.\n\n# Safety\n\nAs the kernel's own function; misuse is what the simulator reports.")]
            #[unsafe(no_mangle)]
            #[allow(unreachable_code, unused_variables, clippy::diverging_sub_expression, clippy::allow_attributes, reason = "not every function returns")]
            pub unsafe extern "C" fn $name($($arg: $ty),*) $(-> $ret)? {
                let kernel = $crate::exports::enter(
                    stringify!($name),
                    $crate::exports::Caller { max_irql: $crate::exports::level::$irql, unlocked: $crate::exports::flag!($($unlocked)?), point: const { $crate::exports::is_point(stringify!($name)) } },
                );
                if kernel.random.is_steered() {
                    $( $crate::exports::concerns(kernel, const { $crate::exports::changes(stringify!($name)) }, $crate::exports::Object::address(&$arg)); )*
                }
                let result = $body(kernel, $($arg),*);
                if const { $crate::exports::lets_go(stringify!($name)) } {
                    kernel.point_behind();
                }
                result
            }
        )*

        #[cfg(target_arch = "x86_64")]
        #[expect(non_snake_case, reason = "the kernel's names")]
        mod win64 {
            use super::*;
            $(
                pub(super) unsafe extern "win64" fn $name($($arg: $ty),*) $(-> $ret)? {
                    // SAFETY: the caller's obligations are passed on as they are.
                    unsafe { super::$name($($arg),*) }
                }
            )*

            pub(super) mod narrow {
                use super::*;
                use $crate::image::thunk::Argument;
                use $crate::image::thunk::thunk;
                mod host {
                    use super::*;
                    $(
                        pub(super) unsafe extern "sysv64" fn $name($($arg: <$ty as Argument>::Register),*) $(-> $ret)? {
                            // SAFETY: as above.
                            unsafe { super::super::super::$name($(<$ty as Argument>::narrow($arg)),*) }
                        }
                    )*
                }
                $(
                    #[unsafe(naked)]
                    pub(in super::super) unsafe extern "win64" fn $name() {
                        thunk!(host::$name, <[&str]>::len(&[$(stringify!($arg)),*]))
                    }
                )*
            }
        }

        /// What images may import from this module.
        pub static EXPORTS: &[$crate::exports::Export] = &[
            $( $crate::exports::Export {
                module: $module,
                name: stringify!($name),
                #[cfg(target_arch = "x86_64")]
                win64: win64::$name as *const (),
                #[cfg(target_arch = "x86_64")]
                win64_narrow: win64::narrow::$name as *const (),
                #[cfg(not(target_arch = "x86_64"))]
                win64: std::ptr::null(),
                #[cfg(not(target_arch = "x86_64"))]
                win64_narrow: std::ptr::null(),
            } ),*
        ];
    };
}
pub(crate) use exports;

/// Reads the optional word of a line of [`exports!`].
macro_rules! flag {
    () => {
        false
    };
    (unlocked) => {
        true
    };
}
pub(crate) use flag;

/// The IRQLs that lines of [`exports!`] name.
#[expect(non_upper_case_globals, reason = "they read as words of the table")]
pub(crate) mod level {
    pub const passive: u8 = 0;
    pub const apc: u8 = 1;
    pub const dispatch: u8 = 2;
    pub const any: u8 = 31;
}

/// Calls a function of the driver, in the calling convention that the driver was built for.
macro_rules! call_driver {
    ($kernel:expr, $address:expr, fn($($ty:ty),* $(,)?) $(-> $ret:ty)?, $($arg:expr),* $(,)?) => {{
        let address: usize = $address;
        $crate::driver::require_loaded($kernel, address);
        match $kernel.convention() {
            $crate::machine::Convention::Host => {
                // SAFETY: the driver gave this address as a function of this prototype; if it lied, the fault is reported.
                let function: unsafe extern "C" fn($($ty),*) $(-> $ret)? = unsafe { std::mem::transmute(address) };
                // SAFETY: the arguments are as the platform promises a driver.
                unsafe { function($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            $crate::machine::Convention::Win64 => {
                // SAFETY: as above, for an image.
                let function: unsafe extern "win64" fn($($ty),*) $(-> $ret)? = unsafe { std::mem::transmute(address) };
                // SAFETY: as above.
                $crate::exports::across(|| unsafe { function($($arg),*) })
            }
        }
    }};
}
pub(crate) use call_driver;

/// Calls an image in a function of its own. A compiler takes it for granted that a function of the Windows convention keeps xmm6 to
/// xmm15, and one that calls back through a narrow thunk does not: nothing may live in them here, and who calls this, by the host's
/// convention, expects none of them back.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
pub(crate) fn across<R>(call: impl FnOnce() -> R) -> R {
    call()
}
