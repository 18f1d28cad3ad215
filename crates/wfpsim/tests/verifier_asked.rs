//! What a driver is told that asks about a packet, or that asks for an injection which is not to be had; and what its own thread has
//! seen of a packet.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod verifier_driver;

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use verifier_driver::*;
use wdk_sys_portable::KEVENT;
use wdk_sys_portable::LARGE_INTEGER;
use wdk_sys_portable::POOL_FLAG_NON_PAGED;
use wdk_sys_portable::STATUS_INVALID_PARAMETER;
use wdk_sys_portable::ntddk::*;
use wfp_sys::HANDLE;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfp_sys::ndis::NET_BUFFER_LIST;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::machine::irql;
use wfpsim::stack::INTERFACE_INDEX;
use wfpsim::stack::SUB_INTERFACE_INDEX;

const INBOUND: wfp_sys::GUID = FWPM_LAYER_INBOUND_TRANSPORT_V4;
const SECOND: i64 = 10_000_000;

unsafe extern "C" {
    fn KfRaiseIrql(level: u8) -> u8;
    fn KeLowerIrql(level: u8);
}

/// How an injection into the receive path is asked for, as far as these stories differ.
struct Asked {
    handle: HANDLE,
    context: usize,
    reserved: *mut c_void,
    flags: u32,
    family: ADDRESS_FAMILY,
    completion: FWPS_INJECT_COMPLETE0,
}

unsafe extern "system" fn completed(_context: *mut c_void, clone: *mut NET_BUFFER_LIST, _: u8) {
    // Whether it was lost is no matter, but whoever frees it has looked.
    let _status = unsafe { (&raw const (*clone).Status).read_volatile() };
    free_clone(clone);
}

/// As it should be, with this handle.
fn by(handle: HANDLE) -> Asked {
    Asked {
        handle,
        context: 0,
        reserved: null_mut(),
        flags: 0,
        family: AF_INET,
        completion: Some(completed),
    }
}

fn ask(asked: &Asked, clone: *mut NET_BUFFER_LIST) -> i32 {
    unsafe {
        FwpsInjectTransportReceiveAsync0(
            asked.handle,
            asked.context as HANDLE,
            asked.reserved,
            asked.flags,
            asked.family,
            0 as _,
            INTERFACE_INDEX,
            SUB_INTERFACE_INDEX,
            clone,
            asked.completion,
            null_mut(),
        )
    }
}

// Injections

#[test]
fn an_injection_that_is_asked_for_wrongly_is_refused_and_takes_nothing() {
    let machine = holding();
    worker(&machine, || {
        let clone = whole_clone();
        let own = || by(injection());
        let mut byte = 0u8;
        let wrong = [
            Asked {
                reserved: (&raw mut byte).cast(),
                ..own()
            },
            Asked { flags: 1, ..own() },
            Asked { family: 7, ..own() },
            Asked {
                completion: None,
                ..own()
            },
        ];
        for asked in &wrong {
            assert_eq!(ask(asked, clone), STATUS_INVALID_PARAMETER);
        }
        dereference();
        assert_eq!(ask(&own(), clone), 0);
    });
    clean(&machine);
    assert_eq!(machine.take_arrivals().len(), 2, "the SYN, and the data");
}

#[test]
fn no_handle_is_no_injection_handle_whatever_became_of_others() {
    let machine = holding();
    worker(&machine, || {
        let _status = ask(&by(null_mut()), whole_clone());
    });
    let violation = reported(&machine, CONTRACT, Some(0), "A-57");
    assert!(
        violation.summary.contains("which is no injection handle"),
        "{violation}"
    );
}

#[test]
fn a_clone_that_was_injected_does_not_complete_an_operation() {
    let machine = accepting();
    worker(&machine, || {
        let clone = whole_clone();
        assert_eq!(inject(clone), 0);
        complete(clone);
    });
    let violation = reported(&machine, CONTRACT, None, "A-74");
    tells(&violation, &["pended"]);
}

#[test]
fn an_operation_completed_twice_is_told_from_one_that_has_a_double() {
    let twice = |pended: usize| {
        let machine = machine(FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V4, Classify::pend);
        for _ in 0..pended {
            receive_syn(&machine);
        }
        worker(&machine, || {
            complete(null_mut());
            complete(null_mut());
        });
        let rule = if pended == 1 { "A-71" } else { "A-77" };
        let violation = reported(&machine, CONTRACT, None, rule);
        assert_eq!(
            violation
                .summary
                .contains("while another one of the same connection"),
            pended == 2,
            "{violation}"
        );
    };
    twice(1);
    twice(2);
}

// Questions

thread_local! {
    static OTHER: Cell<HANDLE> = const { Cell::new(null_mut()) };
    static THIRD: Cell<HANDLE> = const { Cell::new(null_mut()) };
    static STATES: Cell<[(i32, usize); 3]> = const { Cell::new([(0, 0); 3]) };
}

fn new_handle() -> HANDLE {
    let mut handle = null_mut();
    let made = unsafe {
        FwpsInjectionHandleCreate0(AF_UNSPEC, FWPS_INJECTION_TYPE_TRANSPORT, &mut handle)
    };
    assert_eq!(made, 0);
    handle
}

/// What each of the three handles is told of a list: the state and the context.
fn states(list: *mut NET_BUFFER_LIST) -> [(i32, usize); 3] {
    [injection(), OTHER.get(), THIRD.get()].map(|handle| {
        let mut context = null_mut();
        let state = unsafe { FwpsQueryPacketInjectionState0(handle, list, &mut context) };
        (state, context as usize)
    })
}

/// The stack has lost the packet. It is injected once more, with another handle.
unsafe extern "system" fn tries_again(_: *mut c_void, clone: *mut NET_BUFFER_LIST, _: u8) {
    assert_ne!(unsafe { (*clone).Status }, 0);
    let again = Asked {
        context: 0x22,
        ..by(OTHER.get())
    };
    assert_eq!(ask(&again, clone), 0);
    STATES.set(states(clone));
}

#[test]
fn a_packet_is_told_with_who_injected_it_last_and_who_before() {
    let mut config = Config::plain();
    config.freedom.failed_injection = 100;
    let machine = machine_with(config, hold_data);
    receive_syn(&machine);
    receive_data(&machine);
    worker(&machine, || {
        OTHER.set(new_handle());
        THIRD.set(new_handle());
        let clone = whole_clone();
        dereference();
        assert_eq!(states(clone), [(FWPS_PACKET_NOT_INJECTED, 0); 3]);
        let asked = Asked {
            context: 0x11,
            completion: Some(tries_again),
            ..by(injection())
        };
        assert_eq!(ask(&asked, clone), 0);
    });
    clean(&machine);
    assert_eq!(
        STATES.get(),
        [
            (FWPS_PACKET_PREVIOUSLY_INJECTED_BY_SELF, 0x11),
            (FWPS_PACKET_INJECTED_BY_SELF, 0x22),
            (FWPS_PACKET_INJECTED_BY_OTHER, 0),
        ]
    );
}

#[test]
fn security_is_asked_for_in_one_direction_at_most() {
    let machine = machine(INBOUND, |asked| {
        let answer = |query| {
            let mut information = FWPS_PACKET_LIST_INFORMATION0::default();
            unsafe { FwpsGetPacketListSecurityInformation0(asked.list, query, &mut information) }
        };
        for query in [
            0,
            FWPS_PACKET_LIST_INFORMATION_QUERY_INBOUND,
            FWPS_PACKET_LIST_INFORMATION_QUERY_OUTBOUND,
            FWPS_PACKET_LIST_INFORMATION_QUERY_IPSEC,
            FWPS_PACKET_LIST_INFORMATION_QUERY_ALL_INBOUND,
        ] {
            assert_eq!(answer(query), 0, "{query:#x}");
        }
        let both = FWPS_PACKET_LIST_INFORMATION_QUERY_INVALID_MASK;
        for query in [both, both | FWPS_PACKET_LIST_INFORMATION_QUERY_IPSEC] {
            assert!(answer(query) < 0, "{query:#x}");
        }
        asked.permit();
    });
    receive_syn(&machine);
    clean(&machine);
    assert_eq!(machine.take_arrivals().len(), 1);
}

// Time and threads

fn sleep(time: i64) {
    let mut time = LARGE_INTEGER { QuadPart: -time };
    let _status = unsafe { KeDelayExecutionThread(0, 0, &mut time) };
}

fn hold_data(asked: &Classify) {
    if asked.ale_required() {
        asked.permit();
    } else {
        asked.hold();
    }
}

fn machine_with(config: Config, answer: fn(&Classify)) -> Machine {
    machine_on(config, INBOUND, FWP_ACTION_CALLOUT_TERMINATING, answer)
}

#[test]
fn a_packet_may_be_held_for_as_long_as_the_limit_says() {
    let held_for_two_seconds = |hold_limit| {
        let config = Config {
            hold_limit,
            ..Config::plain()
        };
        let machine = machine_with(config, hold_data);
        receive_syn(&machine);
        receive_data(&machine);
        worker(&machine, || {
            sleep(2 * SECOND);
            dereference();
        });
        machine
    };
    let violation = reported(&held_for_two_seconds(1), CONTRACT, None, "A-30");
    let held = violation.parameters[1];
    assert!(held >= 2 * SECOND as u64, "{violation}");
    clean(&held_for_two_seconds(held));
    reported(&held_for_two_seconds(held - 1), CONTRACT, None, "A-30");
}

thread_local! {
    static EVENT: Cell<*mut KEVENT> = const { Cell::new(null_mut()) };
    static SEEN: Cell<usize> = const { Cell::new(0) };
    static IN_TIME: Cell<bool> = const { Cell::new(false) };
}

/// Where the packet's bytes are described.
fn place(list: *mut NET_BUFFER_LIST) -> usize {
    unsafe { (*(*list).FirstNetBuffer).CurrentMdl as usize }
}

unsafe extern "C" fn looks(_context: *mut c_void) {
    let _status = unsafe { KeWaitForSingleObject(EVENT.get().cast(), 0, 0, 0, null_mut()) };
    SEEN.set(place(held()));
}

fn start_thread() {
    unsafe {
        let tag = u32::from_le_bytes(*b"look");
        let event = ExAllocatePool2(POOL_FLAG_NON_PAGED, size_of::<KEVENT>() as u64, tag);
        EVENT.set(event.cast());
        KeInitializeEvent(event.cast(), 0, 0);
        let mut handle = null_mut();
        let started = PsCreateSystemThread(
            &mut handle,
            0,
            null_mut(),
            null_mut(),
            null_mut(),
            Some(looks),
            null_mut(),
        );
        assert_eq!(started, 0);
        assert_eq!(ZwClose(handle), 0);
    }
}

#[test]
fn the_bytes_of_a_packet_stay_where_a_thread_of_the_drivers_has_seen_them() {
    let (mut in_time, mut late) = (0, 0);
    for seed in 0..32 {
        let mut config = Config {
            seed,
            preempt: 50,
            ..Config::plain()
        };
        config.freedom.moved_bytes = 100;
        SEEN.set(0);
        let machine = machine_with(config, |asked| {
            if asked.ale_required() {
                return asked.permit();
            }
            asked.hold();
            let before = place(asked.list);
            unsafe { KeSetEvent(EVENT.get(), 0, 0) };
            for _ in 0..4 {
                let _level = unsafe { KeGetCurrentIrql() };
            }
            IN_TIME.set(SEEN.get() == before);
        });
        machine.call("starts", irql::PASSIVE, |_| start_thread());
        receive_syn(&machine);
        receive_data(&machine);
        assert_ne!(SEEN.get(), 0);
        if IN_TIME.get() {
            assert_eq!(place(held()), SEEN.get(), "seed {seed}");
            in_time += 1;
        } else {
            late += 1;
        }
        worker(&machine, dereference);
        clean(&machine);
    }
    assert!(in_time > 0 && late > 0, "{in_time} in time, {late} late");
}

#[test]
fn paged_pool_stays_out_for_a_thread_that_others_ran_before() {
    let touched_at = |level: u8| {
        let machine = Machine::new(Config {
            preempt: 100,
            ..Config::plain()
        });
        machine.spawn("another", irql::PASSIVE, |_| sleep(SECOND));
        machine.spawn("touches", irql::PASSIVE, move |_| unsafe {
            let tag = u32::from_le_bytes(*b"page");
            let block = ExAllocatePool2(wdk_sys_portable::POOL_FLAG_PAGED, 64, tag);
            let old = if level == irql::PASSIVE {
                level
            } else {
                KfRaiseIrql(level)
            };
            for _ in 0..8 {
                let _level = KeGetCurrentIrql();
            }
            let _byte = block.cast::<u8>().read_volatile();
            if level != irql::PASSIVE {
                KeLowerIrql(old);
            }
            ExFreePoolWithTag(block, tag);
        });
        machine.run();
        machine
    };
    clean(&touched_at(irql::PASSIVE));
    clean(&touched_at(irql::APC));
    let code = wfpsim::verifier::code::DRIVER_IRQL_NOT_LESS_OR_EQUAL;
    reported(&touched_at(irql::DISPATCH), code, None, "C-63");
}
