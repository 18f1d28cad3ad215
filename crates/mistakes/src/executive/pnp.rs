//! Functions of the framework for devices in a device stack, which Tollgate does not use: by their place in its table.

use std::ffi::c_void;

use wdk_sys_portable::*;

use super::base::IDLE;
use super::base::run_whole;
use crate::Mistake;
use crate::makes;

pub const PNP: &[Mistake] = &[
    Mistake::always(
        "D-03-pnp-power-callbacks",
        "D-03",
        "sets PnP callbacks for its control device",
        |m| run_whole(m, IDLE),
    ),
    Mistake::always(
        "D-03-power-policy-callbacks",
        "D-03",
        "sets power policy callbacks for its control device",
        |m| run_whole(m, IDLE),
    ),
    Mistake::always(
        "D-03-power-policy-ownership",
        "D-03",
        "claims the power policy of its control device",
        |m| run_whole(m, IDLE),
    ),
    Mistake::always(
        "D-03-power-not-pageable",
        "D-03",
        "sets how its control device is powered",
        |m| run_whole(m, IDLE),
    ),
    Mistake::always(
        "D-03-power-pageable",
        "D-03",
        "says that its control device may be powered when paging is off",
        |m| run_whole(m, IDLE),
    ),
    Mistake::always(
        "D-03-power-inrush",
        "D-03",
        "says that its control device needs inrush current",
        |m| run_whole(m, IDLE),
    ),
];

/// Each with its index in wdffuncenum.h.
const FUNCTIONS: [(&str, usize); 6] = [
    ("D-03-pnp-power-callbacks", 55),
    ("D-03-power-policy-callbacks", 56),
    ("D-03-power-policy-ownership", 57),
    ("D-03-power-not-pageable", 63),
    ("D-03-power-pageable", 64),
    ("D-03-power-inrush", 65),
];

/// Sets up an initialiser as a device in a device stack would be.
pub fn set(init: PWDFDEVICE_INIT) {
    type Set = unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, PWDFDEVICE_INIT, *mut c_void);
    let mut callbacks = [0usize; 32];
    for (name, index) in FUNCTIONS {
        if makes(name) {
            unsafe {
                let entry = WdfFunctions.add(index).cast::<Set>().read();
                entry(WdfDriverGlobals, init, callbacks.as_mut_ptr().cast());
            }
        }
    }
}
