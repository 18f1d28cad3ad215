//! Framework timers.

use wdk_sys_portable::_WDF_EXECUTION_LEVEL as level;
use wdk_sys_portable::PWDF_OBJECT_ATTRIBUTES;
use wdk_sys_portable::PWDF_TIMER_CONFIG;
use wdk_sys_portable::STATUS_INFO_LENGTH_MISMATCH;
use wdk_sys_portable::WDF_TIMER_CONFIG;
use wdk_sys_portable::WDFOBJECT;
use wdk_sys_portable::WDFTIMER;

use super::object;
use super::object::Kind;
use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::machine::Time;
use crate::machine::irql;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::Violation;

/// Units of 100 ns in a millisecond.
const MILLISECOND: u64 = 10_000;

/// Sizes of WDF_TIMER_CONFIG: of KMDF 1.7, which 1.9 has too, of 1.11, and of today.
const SIZES: [usize; 3] = [24, 32, size_of::<WDF_TIMER_CONFIG>()];

/// A timer.
pub(super) struct Timer {
    callback: usize,
    /// In units of 100 ns; 0 fires once.
    period: u64,
    passive: bool,
    /// Which start is in force; every start and stop makes a new one.
    turn: u64,
    /// Whether it will fire.
    set: bool,
    /// Whether its callback runs.
    firing: bool,
}

pub(super) fn create(
    kernel: &Kernel,
    config: PWDF_TIMER_CONFIG,
    attributes: PWDF_OBJECT_ATTRIBUTES,
    timer: *mut WDFTIMER,
) -> NtStatus {
    super::require_parameter(kernel, "WdfTimerCreate", "Config", config.cast());
    super::require_parameter(kernel, "WdfTimerCreate", "Timer", timer.cast());
    // SAFETY: the driver's pointer; a bad one faults and is reported. What all versions have is read, and nothing else.
    let (size, callback, period) =
        unsafe { ((*config).Size, (*config).EvtTimerFunc, (*config).Period) };
    if !SIZES.contains(&(size as usize)) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    let Some(callback) = callback else {
        return status::INVALID_PARAMETER;
    };
    let attributes = match object::attributes(attributes) {
        Ok(attributes) if attributes.parent == 0 => return super::STATUS_WDF_PARENT_NOT_SPECIFIED,
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if kernel.fails("WdfTimerCreate") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let parent = object::parent(kernel, "WdfTimerCreate", &attributes, 0);
    let value = Timer {
        callback: callback as usize,
        period: u64::from(period) * MILLISECOND,
        passive: attributes.execution_level == level::WdfExecutionLevelPassive,
        turn: 0,
        set: false,
        firing: false,
    };
    let handle = object::insert(kernel, Kind::Timer(value), Some(parent), attributes);
    // SAFETY: as above.
    unsafe { timer.write(handle as WDFTIMER) };
    status::SUCCESS
}

pub(super) fn start(kernel: &Kernel, timer: WDFTIMER, due: i64) -> u8 {
    let handle = timer as usize;
    let (was_set, turn) = object::with::<Timer, _>(kernel, "WdfTimerStart", handle, |timer| {
        timer.turn += 1;
        (std::mem::replace(&mut timer.set, true), timer.turn)
    });
    let at = if due < 0 {
        kernel.now().saturating_add(due.unsigned_abs())
    } else {
        due.unsigned_abs()
    };
    kernel.spawn("timer", irql::PASSIVE, move |kernel| {
        run(kernel, handle, turn, at)
    });
    u8::from(was_set)
}

/// The life of one start: waits, fires, and again if the timer is periodic, until another start or a stop.
fn run(kernel: &Kernel, handle: usize, turn: u64, mut at: Time) {
    loop {
        let over = move |kernel: &Kernel| {
            !object::find::<Timer, _>(kernel, handle, |timer| timer.turn == turn && timer.set)
                .unwrap_or(false)
        };
        if kernel.block("its due time".to_owned(), Some(at), over) == crate::machine::Woken::Ready {
            return;
        }
        let Some((callback, period, passive)) = object::find::<Timer, _>(kernel, handle, |timer| {
            timer.firing = true;
            timer.set = timer.period != 0;
            (timer.callback, timer.period, timer.passive)
        }) else {
            return;
        };
        let level = if passive {
            irql::PASSIVE
        } else {
            irql::DISPATCH
        };
        kernel.set_irql(level);
        call_driver!(kernel, callback, fn(WDFTIMER), handle as WDFTIMER);
        super::after_callback(kernel, "EvtTimerFunc", level);
        kernel.set_irql(irql::PASSIVE);
        object::find::<Timer, _>(kernel, handle, |timer| timer.firing = false);
        if period == 0 {
            return;
        }
        at = at.saturating_add(period);
    }
}

pub(super) fn stop(kernel: &Kernel, timer: WDFTIMER, wait: u8) -> u8 {
    object::with::<Timer, _>(kernel, "WdfTimerStop", timer as usize, |_| ());
    if wait != 0 && kernel.irql() > irql::PASSIVE {
        let summary = format!(
            "WdfTimerStop was called with Wait TRUE at IRQL {}",
            kernel.irql()
        );
        kernel.bug_check(Violation::contract(
            kernel,
            "D.1",
            [u64::from(kernel.irql()), timer as u64, 0, 0],
            summary,
        ));
    }
    cancel(kernel, timer as usize, wait != 0)
}

pub(super) fn parent(kernel: &Kernel, timer: WDFTIMER) -> WDFOBJECT {
    object::with::<Timer, _>(kernel, "WdfTimerGetParentObject", timer as usize, |_| ());
    object::parent_of(kernel, timer as usize)
}

/// Unsets a timer, and waits for a callback of it that runs if `wait`. Whether it was set.
pub(super) fn cancel(kernel: &Kernel, handle: usize, wait: bool) -> u8 {
    let was_set = object::find::<Timer, _>(kernel, handle, |timer| {
        timer.turn += 1;
        std::mem::replace(&mut timer.set, false)
    });
    if wait {
        let quiet = move |kernel: &Kernel| {
            !object::find::<Timer, _>(kernel, handle, |timer| timer.firing).unwrap_or(false)
        };
        kernel.block("a timer's callback to return".to_owned(), None, quiet);
    }
    u8::from(was_set.unwrap_or(false))
}
