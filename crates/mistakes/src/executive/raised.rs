//! Calls at a level that their function does not allow.

use wdk_sys_portable::KIRQL;

use super::kernel::KeLowerIrql;
use super::kernel::KfRaiseIrql;
use crate::makes;

/// An IRQL of devices: above DISPATCH_LEVEL.
pub const DEVICE: u8 = 5;
/// Where DPCs and holders of spin locks are.
pub const DISPATCH: u8 = 2;

/// The level that the driver is at while it makes the mistake of that name, if it does.
pub struct Raised(Option<KIRQL>);

impl Raised {
    pub fn to(level: u8, name: &str) -> Self {
        Self(makes(name).then(|| unsafe { KfRaiseIrql(level) }))
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        if let Some(old) = self.0 {
            unsafe { KeLowerIrql(old) };
        }
    }
}

/// Calls a function, at the given level if that mistake is made.
macro_rules! call {
    ($level:ident $name:ident($($arg:expr),* $(,)?)) => {
        $crate::executive::raised::call!($level concat!("C.1-", stringify!($name), "-high"); $name($($arg),*))
    };
    ($level:ident $mistake:expr; $call:expr) => {{
        let _raised = $crate::executive::raised::Raised::to($level, $mistake);
        unsafe { $call }
    }};
}
pub(crate) use call;
