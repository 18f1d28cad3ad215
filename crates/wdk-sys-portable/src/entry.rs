//! placeholder
use crate::*;
#[unsafe(export_name = "WdfFunctions_01033")]
/// x
pub static mut WdfFunctions: *const WDFFUNC = core::ptr::null();
#[unsafe(no_mangle)]
/// x
pub static mut WdfDriverGlobals: PWDF_DRIVER_GLOBALS = core::ptr::null_mut();
#[unsafe(no_mangle)]
/// x
pub static mut WdfFunctionCount: ULONG = 0;
