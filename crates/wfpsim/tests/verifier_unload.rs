//! What a driver may leave behind when it is unloaded: nothing. And what a replay says of packets that it changed.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod tiny_driver;
mod verifier_driver;

use std::ptr::null;
use std::ptr::null_mut;

use verifier_driver::*;
use wdk_sys_portable::DRIVER_OBJECT;
use wdk_sys_portable::NTSTATUS;
use wdk_sys_portable::PCUNICODE_STRING;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::Violation;
use wfpsim::driver::Linked;
use wfpsim::driver::Parameters;
use wfpsim::verifier::code;
use wfpsim_packet::Timestamp;

const INBOUND: wfp_sys::GUID = FWPM_LAYER_INBOUND_TRANSPORT_V4;

unsafe extern "system" fn entry(object: *mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    let status = tiny_driver::status(tiny_driver::answering(object, path, tiny_driver::succeeds));
    register_with(unsafe { (*object).DeviceObject }.cast());
    status
}

/// A machine with a loaded driver whose callout answers so.
fn loaded(layer: wfp_sys::GUID, answer: fn(&Classify)) -> Machine {
    loaded_on(Config::plain(), layer, answer)
}

fn loaded_on(config: Config, layer: wfp_sys::GUID, answer: fn(&Classify)) -> Machine {
    let (machine, loaded) = tiny_driver::load_on(config, entry, &Parameters::default());
    assert_eq!(loaded, Ok(()));
    answer_with(answer);
    worker(&machine, move || {
        load(layer, FWP_ACTION_CALLOUT_TERMINATING)
    });
    clean(&machine);
    machine
}

fn hold_data(asked: &Classify) {
    if asked.ale_required() {
        asked.permit();
    } else {
        asked.hold();
    }
}

/// A machine whose driver holds a packet.
fn holding_driver() -> Machine {
    let machine = loaded(INBOUND, hold_data);
    receive_syn(&machine);
    receive_data(&machine);
    assert!(!held().is_null());
    machine
}

/// Unloads the driver, which leaves one thing behind.
fn left(machine: &Machine, kind: &'static str, code: u32, rule: &str) -> Violation {
    let leaks = machine.unload_driver();
    assert_eq!(
        leaks.into_iter().collect::<Vec<_>>(),
        [(kind, 1)],
        "{:#?}",
        machine.violations()
    );
    let violation = reported(machine, code, None, rule);
    assert_ne!(violation.parameters[0], 0, "the driver");
    violation
}

#[test]
fn a_driver_that_takes_everything_back_leaves_nothing() {
    let machine = holding_driver();
    worker(&machine, || {
        dereference();
        unload();
    });
    assert!(machine.unload_driver().is_empty());
    clean(&machine);
}

#[test]
fn a_reference_left_behind_is_told_with_its_packet() {
    let machine = holding_driver();
    worker(&machine, unload);
    let violation = left(&machine, "nbl_reference", CONTRACT, "A-28");
    tells(&violation, &["allocated by the stack", "referenced"]);
}

#[test]
fn a_clone_left_behind_is_told() {
    let machine = holding_driver();
    worker(&machine, || {
        whole_clone();
        dereference();
        unload();
    });
    let violation = left(&machine, "clone", CONTRACT, "A-39");
    tells(&violation, &["made"]);
}

#[test]
fn a_callout_left_behind_is_bug_check_ce_when_it_is_called() {
    let machine = loaded(INBOUND, Classify::permit);
    worker(&machine, || unsafe {
        assert_eq!(FwpsInjectionHandleDestroy0(injection()), 0);
    });
    let leaks = machine.unload_driver();
    assert_eq!(
        leaks.into_iter().collect::<Vec<_>>(),
        [("callout", 1), ("engine_session", 1), ("filter_object", 2)]
    );
    let told: Vec<_> = machine
        .violations()
        .iter()
        .map(|violation| violation.rule)
        .collect();
    assert_eq!(told, ["A-11", "A-06"]);
    assert!(!machine.kernel().has_crashed());

    receive_syn(&machine);
    let last = machine.violations().pop().expect("the call");
    assert_eq!(
        (last.code, last.rule),
        (
            code::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS,
            "C-52"
        )
    );
    assert_eq!(last.parameters[0], last.parameters[2], "the function");
    assert!(machine.kernel().has_crashed());
}

#[test]
fn a_filter_of_a_session_that_is_not_dynamic_is_left_behind() {
    let machine = loaded(INBOUND, Classify::permit);
    worker(&machine, || unsafe {
        unload();
        let static_session = open_engine(0);
        let mut filter = FWPM_FILTER0 {
            layerKey: INBOUND,
            ..Default::default()
        };
        filter.action.r#type = FWP_ACTION_BLOCK;
        assert_eq!(
            FwpmFilterAdd0(static_session, &filter, null_mut(), null_mut()),
            0
        );
        assert_eq!(FwpmEngineClose0(static_session), 0);
    });
    left(&machine, "filter_object", CONTRACT, "A-11");
}

#[test]
fn a_session_and_what_it_gave_out_are_left_behind() {
    let leaves: [fn(); 3] = [
        || {
            open_engine(0);
        },
        || unsafe {
            let engine = open_engine(0);
            let mut enumeration = null_mut();
            assert_eq!(
                FwpmSubLayerCreateEnumHandle0(engine, null(), &mut enumeration),
                0
            );
            assert_eq!(FwpmEngineClose0(engine), 0);
        },
        || unsafe {
            let engine = open_engine(0);
            let (mut enumeration, mut entries, mut count) = (null_mut(), null_mut(), 0);
            assert_eq!(
                FwpmSubLayerCreateEnumHandle0(engine, null(), &mut enumeration),
                0
            );
            assert_eq!(
                FwpmSubLayerEnum0(engine, enumeration, 1, &mut entries, &mut count),
                0
            );
            assert_eq!(FwpmSubLayerDestroyEnumHandle0(engine, enumeration), 0);
            assert_eq!(FwpmEngineClose0(engine), 0);
        },
    ];
    for leave in leaves {
        let machine = loaded(INBOUND, Classify::permit);
        worker(&machine, move || {
            unload();
            leave();
        });
        left(&machine, "engine_session", CONTRACT, "A-11");
    }
}

#[test]
fn an_injection_under_way_is_left_behind() {
    // The completion function waits where it may, which is where the seed calls it at PASSIVE_LEVEL.
    let found = (0..16).any(|seed| {
        let config = Config {
            seed,
            ..Config::plain()
        };
        let machine = loaded_on(config, INBOUND, hold_data);
        receive_syn(&machine);
        receive_data(&machine);
        when_completed(|clone, dispatch| {
            free_clone(clone);
            if dispatch == 0 {
                sleep(1);
            }
        });
        worker(&machine, || {
            let clone = whole_clone();
            dereference();
            assert_eq!(inject(clone), 0);
        });
        machine.unload_driver().get("injection") == Some(&1)
            && machine
                .violations()
                .iter()
                .any(|violation| violation.rule == "A-57")
    });
    assert!(found);
}

#[test]
fn what_the_engine_gave_out_is_given_back_once() {
    let machine = Machine::new(Config::plain());
    worker(&machine, || unsafe {
        let engine = open_engine(0);
        assert_eq!(FwpmEngineClose0(engine), 0);
        let _status = FwpmEngineClose0(engine);
    });
    let violation = reported(&machine, CONTRACT, None, "A-11");
    tells(&violation, &["opened", "closed"]);

    let machine = Machine::new(Config::plain());
    worker(&machine, || unsafe {
        let mut memory = 0x1000 as *mut std::ffi::c_void;
        FwpmFreeMemory0(&mut memory);
    });
    reported(&machine, CONTRACT, Some(0x1000), "A-11");

    let machine = Machine::new(Config::plain());
    worker(&machine, || {
        let _status = unsafe { FwpmBfeStateUnsubscribeChanges0(null_mut()) };
    });
    reported(&machine, CONTRACT, Some(0), "A-06");
}

#[test]
fn a_bad_provider_pointer_is_a_fault_and_the_engine_can_still_be_looked_at() {
    let machine = Machine::new(Config::plain());
    worker(&machine, || unsafe {
        let sublayer = FWPM_SUBLAYER0 {
            providerKey: 0x10 as *mut _,
            ..Default::default()
        };
        let _status = FwpmSubLayerAdd0(open_engine(0), &sublayer, null_mut());
    });
    reported(
        &machine,
        code::DRIVER_IRQL_NOT_LESS_OR_EQUAL,
        Some(0x10),
        "C-63",
    );
    machine.stop_bfe();
}

#[test]
fn a_subscriber_returns_without_a_lock() {
    unsafe extern "system" fn locks(_context: *mut std::ffi::c_void, _state: i32) {
        LOCK.with(|lock| unsafe {
            wdk_sys_portable::ntddk::KeAcquireSpinLockRaiseToDpc(lock.as_ptr())
        });
    }
    let machine = subscribed(locks);
    machine.stop_bfe();
    reported(&machine, CONTRACT, None, "C-02");
}

#[test]
fn a_subscriber_returns_at_the_level_it_was_called_at() {
    unsafe extern "C" {
        fn KfRaiseIrql(level: u8) -> u8;
    }
    unsafe extern "system" fn raises(_context: *mut std::ffi::c_void, _state: i32) {
        unsafe { KfRaiseIrql(wfpsim::machine::irql::DISPATCH) };
    }
    let machine = subscribed(raises);
    machine.stop_bfe();
    let violation = reported(&machine, CONTRACT, None, "C-02");
    assert_eq!(violation.parameters[..3], [0, 2, 0], "from, to, locks held");
}

/// A machine with a subscriber to the filter engine's state.
fn subscribed(callback: unsafe extern "system" fn(*mut std::ffi::c_void, i32)) -> Machine {
    let machine = Machine::new(Config::plain());
    worker(&machine, move || unsafe {
        let (mut device, mut handle) = (0u64, null_mut());
        assert_eq!(
            FwpmBfeStateSubscribeChanges0(
                (&raw mut device).cast(),
                Some(callback),
                null_mut(),
                &mut handle
            ),
            0
        );
    });
    machine
}

thread_local! {
    static LOCK: std::cell::Cell<wdk_sys_portable::KSPIN_LOCK> = const { std::cell::Cell::new(0) };
}

// What reports of an unload and a load say besides the rule

const STATUS_DEVICE_BUSY: i32 = 0x8000_0011u32 as i32;

unsafe extern "C" {
    fn FwpsFlowAssociateContext0(flow: u64, layer: u16, callout: u32, context: u64) -> i32;
}

/// What is said of callouts that are left behind.
fn said_of_callouts(machine: &Machine, rule: &str) -> String {
    machine.unload_driver();
    let violations = machine.violations();
    let told = violations
        .iter()
        .find(|violation| violation.summary.contains("callouts registered"));
    let told = told.unwrap_or_else(|| panic!("{violations:#?}"));
    assert_eq!(told.rule, rule, "{told}");
    told.summary.clone()
}

#[test]
fn a_callout_left_behind_is_told_with_why_it_is_still_there() {
    let machine = loaded(INBOUND, Classify::permit);
    let said = said_of_callouts(&machine, "A-06");
    assert!(said.ends_with("with 1 callouts registered"), "{said}");

    let mut config = Config::plain();
    config.faults.fail_call = Some(1);
    config.faults.functions = vec!["FwpsCalloutUnregisterById0"];
    let machine = loaded_on(config, INBOUND, Classify::permit);
    worker(&machine, || unsafe {
        let answer = FwpsCalloutUnregisterById0(callout_number());
        assert_eq!(answer, STATUS_DEVICE_BUSY);
    });
    let said = said_of_callouts(&machine, "A-09");
    assert!(said.contains("STATUS_DEVICE_BUSY"), "{said}");

    unsafe extern "system" fn ended(_layer: u16, _callout: u32, _context: u64) {}
    delete_flows_with(Some(ended));
    let machine = loaded(FWPM_LAYER_ALE_FLOW_ESTABLISHED_V4, |asked| unsafe {
        let flow = (*asked.metadata).flowHandle;
        let layer = (*asked.values).layerId;
        assert_eq!(
            FwpsFlowAssociateContext0(flow, layer, callout_number(), 0xC0),
            0
        );
        asked.permit();
    });
    receive_syn(&machine);
    receive_data(&machine);
    let said = said_of_callouts(&machine, "A-05");
    assert!(said.contains("flows still carry contexts"), "{said}");
}

#[test]
fn a_callout_is_registered_with_a_device_object_and_nothing_else() {
    let (machine, made) = tiny_driver::load_on(Config::plain(), entry, &Parameters::default());
    assert_eq!(made, Ok(()));
    // Memory that is there, and was never a device object that could have been deleted.
    let mut other = [0u64; 64];
    let device: *mut std::ffi::c_void = other.as_mut_ptr().cast();
    register_with(device);
    worker(&machine, || load(INBOUND, FWP_ACTION_CALLOUT_TERMINATING));
    reported(&machine, CONTRACT, Some(device as u64), "A-02");
}

#[test]
fn what_another_thread_freed_during_an_unload_is_not_blamed_on_the_unload() {
    unsafe extern "C" fn waits(_driver: wdk_sys_portable::WDFDRIVER) {
        sleep(3);
    }
    unsafe extern "system" fn slow(object: *mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
        let config = tiny_driver::driver_config(Some(waits));
        tiny_driver::status(tiny_driver::create_driver(object, path, config).map(drop))
    }
    let machine = tiny_driver::loaded(slow);
    machine.spawn(
        "driver's worker",
        wfpsim::machine::irql::PASSIVE,
        |_| unsafe {
            let tag = u32::from_le_bytes(*b"work");
            let block = wdk_sys_portable::ntddk::ExAllocatePool2(
                wdk_sys_portable::POOL_FLAG_NON_PAGED,
                64,
                tag,
            );
            sleep(1);
            wdk_sys_portable::ntddk::ExFreePoolWithTag(block, tag);
            let _byte = block.cast::<u8>().read_volatile();
        },
    );
    machine.unload_driver();
    let violation = reported(
        &machine,
        code::PAGE_FAULT_IN_FREED_SPECIAL_POOL,
        None,
        "C-61",
    );
    tells(&violation, &["allocated", "freed"]);
}

/// Sleeps for so many seconds.
fn sleep(seconds: i64) {
    let mut interval = wdk_sys_portable::LARGE_INTEGER {
        QuadPart: -10_000_000 * seconds,
    };
    let _status = unsafe { wdk_sys_portable::ntddk::KeDelayExecutionThread(0, 0, &mut interval) };
}

// Long runs and seeds

#[test]
fn a_seed_tells_the_same_story_again() {
    let story = |seed| {
        let machine = loaded_on(Config::new(seed), INBOUND, hold_data);
        for _ in 0..8 {
            receive_syn(&machine);
            receive_data(&machine);
            worker(&machine, || {
                let clone = whole_clone();
                dereference();
                let _status = inject(clone);
            });
        }
        let kernel = machine.kernel();
        let arrivals = machine.take_arrivals().into_iter();
        (
            arrivals
                .map(|arrival| (arrival.packet, arrival.time))
                .collect::<Vec<_>>(),
            (kernel.now(), kernel.kernel_calls(), kernel.random.bits()),
            machine.violations().len(),
        )
    };
    for seed in 0..50 {
        assert_eq!(story(seed), story(seed), "seed {seed}");
    }
}

#[test]
fn what_is_remembered_stays_bounded_in_a_long_run() {
    let machine = loaded(INBOUND, hold_data);
    receive_syn(&machine);
    let blocks = machine.kernel().arena.live();
    for _ in 0..4000 {
        let packet = receive_data(&machine);
        worker(&machine, || {
            let clone = whole_clone();
            dereference();
            assert_eq!(inject(clone), 0);
        });
        machine.forget_packet(packet);
    }
    clean(&machine);
    assert_eq!(machine.kernel().arena.live(), blocks);
    // 8192 of the dead, and the few that live.
    let remembered = machine.kernel().ledger.remembered();
    assert!((8192..8192 + 100).contains(&remembered), "{remembered}");
}

// Replay

unsafe extern "system" fn pends(object: *mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    let status = unsafe { entry(object, path) };
    answer_with(Classify::pend);
    load(
        FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V4,
        FWP_ACTION_CALLOUT_TERMINATING,
    );
    status
}

/// Injects the datagram with its first byte changed, by the rules: in memory of the clone's own, without a checksum.
fn alters() {
    const UDP_HEADER: u32 = 8;
    retreat(held(), IP_HEADER + UDP_HEADER);
    let clone = clone_of(held());
    advance(held(), IP_HEADER + UDP_HEADER);
    construct(clone, IP_HEADER, IPPROTO_UDP);
    unsafe {
        let buffer = (*clone).FirstNetBuffer;
        let bytes = (*(*buffer).CurrentMdl).MappedSystemVa.cast::<u8>();
        let packet = bytes.add((*buffer).CurrentMdlOffset as usize);
        packet.add(IP_HEADER as usize + 6).write_bytes(0, 2);
        *packet.add((IP_HEADER + UDP_HEADER) as usize) ^= 1;
    }
    complete(clone);
    dereference();
    assert_eq!(inject(clone), 0);
}

unsafe extern "system" fn permits(object: *mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    let status = unsafe { entry(object, path) };
    answer_with(Classify::permit);
    load(INBOUND, FWP_ACTION_CALLOUT_TERMINATING);
    status
}

fn replay(entry: wfpsim::driver::DriverEntry, then: fn()) -> wfpsim::replay::Summary {
    let settings = wfpsim::replay::Settings {
        config: Config::plain(),
        block: wfpsim::replay::Block::default(),
        counters: None,
    };
    let mut runner =
        wfpsim::replay::Runner::new(settings, wfpsim_ipsec::Sadb::default(), Linked { entry });
    let datagram =
        wfpsim_packet::build::udp(socket("192.0.2.9:53"), socket("192.0.2.1:53"), b"answer");
    runner.step(
        wfpsim::replay::Step {
            number: 1,
            pieces: Vec::new(),
            time: Timestamp(0),
            action: wfpsim::replay::plan::Action::Receive(wfpsim::stack::Received::plain(datagram)),
        },
        &mut |_| {},
    );
    worker(runner.machine(), then);
    worker(runner.machine(), unload);
    runner.finish(&mut |_| {})
}

#[test]
fn a_replayed_packet_that_was_altered_is_told_with_the_byte() {
    let summary = replay(pends, alters);
    let [violation] = &summary.violations[..] else {
        panic!("{:#?}", summary.violations);
    };
    assert_eq!(
        (violation.code, violation.rule),
        (code::WFPSIM_PACKET_VIOLATION, "A-42")
    );
    assert!(
        violation.summary.contains("byte 6 behind the IP header"),
        "{violation}"
    );
    assert!(!summary.is_clean());
}

#[test]
fn a_replayed_packet_that_was_let_pass_is_not_reported() {
    let summary = replay(permits, || ());
    assert!(summary.is_clean(), "{:#?}", summary.violations);
    assert_eq!(summary.delivered, 1);
}
