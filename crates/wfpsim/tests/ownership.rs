//! What `nt` and `wfp` own is given back, seen from the kernel's side: a small driver over their safe interface for each
//! owner that Tollgate uses too seldom, or in too few ways, for its own tests to miss it.
//!
//! Each of these fails when the destructor it is about is emptied; docs/testing.md has the whole list.

use std::cell::Cell;
use std::cell::RefCell;
use std::time::Duration;

use nt::kmdf::{DeviceObject, Driver, DriverConfig, Load, Request};
use nt::pool::{PoolBox, PoolBytes};
use nt::rundown::Rundown;
use nt::shared::Shared;
use nt::signal::{Signal, Wake};
use nt::slot::{Global, Slot};
use nt::spinlock::SpinLock;
use nt::thread::SystemThread;
use nt::time::{InterruptTime, sleep};
use nt::{Cx, NtStatus, Passive, Result, bug_check, utf16};
use wfp::{Answer, Callouts, Classify, Engine, Family, GUID, Host, Layer, LayerKind};
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::driver::{Leaks, Linked, LoadError, Parameters};
use wfpsim::stack::{Fate, Received};
use wfpsim_packet::build;
use wfpsim_packet::transport::TcpFlags;

const IOCTL: u32 = 0x0012_2000;
const PROVIDER: GUID = GUID::from_u128(0x5f0a_7a11_0000_4000_8000_0000_0000_0001);

/// What a driver does in `load`, in `start`, or when it is sent a request.
type Step = fn(&mut Passive, Option<&Load<'_>>) -> Result<()>;

fn nothing(_passive: &mut Passive, _load: Option<&Load<'_>>) -> Result<()> {
    Ok(())
}

thread_local! {
    // A machine runs on one host thread, and each test has its own.
    static LOADING: Cell<Step> = const { Cell::new(nothing) };
    static STARTING: Cell<Step> = const { Cell::new(nothing) };
    static ASKED: Cell<Step> = const { Cell::new(nothing) };
    static DEVICE: Cell<Option<DeviceObject>> = const { Cell::new(None) };
    static WOKEN: Cell<Option<Wake>> = const { Cell::new(None) };
}

/// The driver: its steps, and a request that it may keep for a while.
struct Small {
    kept: SpinLock<Option<Request>>,
}

impl Global for Small {
    fn slot() -> &'static Slot<Self> {
        static SLOT: Slot<Small> = Slot::new();
        &SLOT
    }
}

impl Driver for Small {
    const CONFIG: DriverConfig = DriverConfig {
        device_name: utf16!(r"\Device\Small"),
        symbolic_link: utf16!(r"\DosDevices\Small"),
        sddl: utf16!("D:P(A;;GA;;;SY)(A;;GA;;;BA)"),
    };

    fn load(passive: &mut Passive, load: &Load<'_>) -> Result<PoolBox<Self>> {
        LOADING.get()(passive, Some(load))?;
        Ok(PoolBox::try_new(Self {
            kept: SpinLock::new(None),
        })?)
    }

    fn start(&self, passive: &mut Passive, device: DeviceObject) -> Result<()> {
        DEVICE.set(Some(device));
        STARTING.get()(passive, None)
    }

    fn stop(&self, passive: &mut Passive) {
        let kept = self.kept.lock(passive).take();
        drop(kept);
    }

    /// Does its step, and forgets to complete the request, by way of the state.
    fn device_control(&self, passive: &mut Passive, request: Request) {
        if let Err(status) = ASKED.get()(passive, None) {
            return request.complete(status);
        }
        let before = self.kept.lock(passive).replace(request);
        drop(before);
        let kept = self.kept.lock(passive).take();
        drop(kept);
    }
}

impl Host for Small {
    fn classify(&self, _cx: &mut Cx, classify: &mut Classify<'_>) -> Answer {
        classify.permit()
    }
}

nt::driver_entry!(Small);

/// Loads the driver with these steps.
fn load(
    config: Config,
    loading: Step,
    starting: Step,
) -> (Machine, std::result::Result<(), LoadError>) {
    LOADING.set(loading);
    STARTING.set(starting);
    let machine = Machine::new(config);
    let mut parameters = Parameters::default();
    parameters.set_u32("Number", 7);
    let loaded = machine.load_driver(
        Linked {
            entry: driver_entry,
        },
        &parameters,
    );
    (machine, loaded)
}

fn told(machine: &Machine) -> String {
    machine
        .violations()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// Loads and unloads it, and expects nothing to be left.
fn comes_and_goes(loading: Step, starting: Step) {
    let (machine, loaded) = load(Config::plain(), loading, starting);
    assert_eq!(loaded, Ok(()), "{}", told(&machine));
    assert_eq!(machine.unload_driver(), Leaks::new(), "{}", told(&machine));
    assert!(machine.violations().is_empty(), "{}", told(&machine));
}

#[test]
fn a_transaction_that_is_dropped_is_aborted_and_the_session_takes_another() {
    comes_and_goes(nothing, |passive, _| {
        let mut engine = Engine::open_dynamic(passive, utf16!("Small"))?;
        let transaction = engine.transaction(passive)?;
        transaction.add_provider(&PROVIDER, utf16!("Small"))?;
        drop(transaction);
        // STATUS_FWP_TXN_IN_PROGRESS if the first is still there, STATUS_FWP_ALREADY_EXISTS if it was committed.
        let transaction = engine.transaction(passive)?;
        transaction.add_provider(&PROVIDER, utf16!("Small"))?;
        transaction.commit()
    });
}

#[test]
fn whoever_entered_run_down_protection_leaves_it() {
    comes_and_goes(nothing, |passive, _| {
        let rundown = Rundown::new()?;
        let inside = rundown.acquire().ok_or(NtStatus::UNSUCCESSFUL)?;
        drop(inside);
        // Does not return while somebody is inside.
        rundown.wait(passive);
        match rundown.acquire() {
            None => Ok(()),
            Some(_) => Err(NtStatus::UNSUCCESSFUL),
        }
    });
}

#[test]
fn a_request_that_is_dropped_is_completed_without_success() {
    let (machine, loaded) = load(Config::plain(), nothing, nothing);
    assert_eq!(loaded, Ok(()), "{}", told(&machine));
    for _ in 0..3 {
        let (status, output) = machine.ioctl(IOCTL, b"input", 16);
        assert_eq!(
            NtStatus(status),
            NtStatus::UNSUCCESSFUL,
            "{}",
            told(&machine)
        );
        assert!(output.is_empty(), "no byte comes with a failure (D-06)");
    }
    assert_eq!(machine.unload_driver(), Leaks::new());
    assert!(machine.violations().is_empty(), "{}", told(&machine));
}

#[test]
fn a_parameters_key_is_closed() {
    comes_and_goes(
        |passive, load| {
            let load = load.ok_or(NtStatus::UNSUCCESSFUL)?;
            let parameters = load.parameters(passive)?;
            match parameters.read_u32(passive, utf16!("Number"))? {
                7 => Ok(()),
                _ => Err(NtStatus::INVALID_PARAMETER),
            }
        },
        nothing,
    );
}

#[test]
fn a_buffer_is_freed() {
    comes_and_goes(nothing, |_, _| {
        PoolBytes::copy_of(b"control data").map(drop)
    });
}

#[test]
fn a_driver_entry_that_fails_deletes_its_device() {
    for (loading, starting) in [
        (refuses as Step, nothing as Step),
        (nothing as Step, refuses as Step),
    ] {
        let (machine, loaded) = load(Config::plain(), loading, starting);
        let refused = LoadError::Refused(NtStatus::NOT_SUPPORTED.0, Leaks::new());
        assert_eq!(loaded, Err(refused), "{}", told(&machine));
        assert!(machine.violations().is_empty(), "{}", told(&machine));
    }
}

fn refuses(_passive: &mut Passive, _load: Option<&Load<'_>>) -> Result<()> {
    Err(NtStatus::NOT_SUPPORTED)
}

#[test]
fn a_device_that_cannot_be_made_leaves_no_initialiser() {
    for function in [
        "WdfDeviceInitAssignName",
        "WdfDeviceCreate",
        "WdfDeviceCreateSymbolicLink",
        "WdfIoQueueCreate",
    ] {
        let mut config = Config::plain();
        config.faults.fail_call = Some(1);
        config.faults.functions = vec![function];
        let (machine, loaded) = load(config, nothing, nothing);
        assert!(
            matches!(&loaded, Err(LoadError::Refused(_, leaks)) if leaks.is_empty()),
            "{function}: {loaded:?}\n{}",
            told(&machine)
        );
        assert!(
            machine.violations().is_empty(),
            "{function}: {}",
            told(&machine)
        );
    }
}

#[test]
fn what_asks_for_passive_level_when_it_is_dropped_stops_the_machine_above_it() {
    let (machine, loaded) = load(Config::plain(), nothing, |passive, _| {
        let engine = Engine::open_dynamic(passive, utf16!("Small"))?;
        let lock = SpinLock::new(());
        let held = lock.lock(passive);
        drop(engine);
        drop(held);
        Ok(())
    });
    assert_eq!(loaded, Err(LoadError::Stopped));
    let [stop] = &machine.violations()[..] else {
        panic!("{}", told(&machine));
    };
    let dispatch_level = 2;
    assert_eq!(
        (stop.code, stop.parameters),
        (bug_check::CODE, [1, dispatch_level, 0, 0]),
        "{stop}"
    );
}

#[test]
fn a_sleep_is_as_long_as_it_was_asked_for() {
    comes_and_goes(nothing, |passive, _| {
        let (before, span) = (InterruptTime::now(), Duration::from_millis(250));
        sleep(passive, span);
        if InterruptTime::now().saturating_since(before) < span {
            return Err(NtStatus::UNSUCCESSFUL);
        }
        Ok(())
    });
}

/// Makes a thread and waits for its end.
fn has_a_thread(passive: &mut Passive, _load: Option<&Load<'_>>) -> Result<()> {
    let signal = Shared::try_new(Signal::new()?)?;
    let thread = SystemThread::spawn(passive, signal, |passive, signal| {
        while signal.wait(passive, None) != Wake::Stopped {}
    })?;
    thread.join(passive);
    Ok(())
}

/// The same, with a thread that is waiting when it is told to end.
fn has_a_waiting_thread(passive: &mut Passive, _load: Option<&Load<'_>>) -> Result<()> {
    let signal = Shared::try_new(Signal::new()?)?;
    let thread = SystemThread::spawn(passive, signal, |passive, signal| {
        WOKEN.set(Some(signal.wait(passive, None)));
    })?;
    sleep(passive, Duration::from_millis(10));
    assert_eq!(WOKEN.get(), None, "it waits");
    thread.join(passive);
    Ok(())
}

#[test]
fn a_thread_that_is_stopped_while_it_waits_is_told_so_by_that_wait() {
    comes_and_goes(nothing, has_a_waiting_thread);
    assert_eq!(WOKEN.get(), Some(Wake::Stopped));
}

#[test]
fn a_thread_that_is_made_for_a_program_is_not_in_the_programs_handle_table() {
    let (machine, loaded) = load(Config::plain(), nothing, nothing);
    assert_eq!(loaded, Ok(()), "{}", told(&machine));
    ASKED.set(has_a_thread);
    machine.ioctl(IOCTL, b"input", 16);
    assert_eq!(machine.unload_driver(), Leaks::new());
    assert!(machine.violations().is_empty(), "{}", told(&machine));
}

#[test]
fn a_thread_that_cannot_be_referenced_has_ended_when_its_maker_is_told_so() {
    for seed in 0..50 {
        let mut config = Config::new(seed);
        config.faults.fail_call = Some(1);
        config.faults.functions = vec!["ObReferenceObjectByHandle"];
        let (machine, loaded) = load(config, nothing, has_a_thread);
        let Err(LoadError::Refused(_, leaks)) = loaded else {
            panic!("seed {seed}: {loaded:?}\n{}", told(&machine));
        };
        assert_eq!(leaks, Leaks::new(), "seed {seed}");
        let violations = machine.violations();
        assert!(violations.is_empty(), "seed {seed}: {}", told(&machine));
    }
}

#[test]
fn a_sublayer_goes_just_below_the_universal_one() {
    comes_and_goes(nothing, |passive, _| {
        let mut engine = Engine::open_dynamic(passive, utf16!("Small"))?;
        let transaction = engine.transaction(passive)?;
        // On the plain machine the universal sublayer weighs 0x8000.
        match transaction.weight_below_universal()? {
            0x7FFF => transaction.commit(),
            _ => Err(NtStatus::UNSUCCESSFUL),
        }
    });
}

/// Registers a callout for each of the first layers, and one more for the first.
fn registers(passive: &Passive, layers: usize, more: usize) -> Result<()> {
    let device = DEVICE.get().ok_or(NtStatus::UNSUCCESSFUL)?;
    let layers = Layer::ALL[..layers].iter().chain(&Layer::ALL[..more]);
    let callouts: Vec<(Layer, GUID)> = layers.copied().zip((1..).map(GUID::from_u128)).collect();
    Callouts::<Small>::register(passive, device, &callouts).map(drop)
}

#[test]
fn a_driver_registers_as_few_callouts_as_it_likes_and_no_more_than_there_is_room_for() {
    comes_and_goes(nothing, |passive, _| {
        for few in 0..=Layer::ALL.len() {
            registers(passive, few, 0)?;
        }
        match registers(passive, Layer::ALL.len(), 1) {
            Err(NtStatus::INVALID_PARAMETER) => Ok(()),
            _ => Err(NtStatus::UNSUCCESSFUL),
        }
    });
}

thread_local! {
    static SESSION: RefCell<Option<Engine>> = const { RefCell::new(None) };
}

#[test]
fn a_filter_whose_callout_is_not_registered_permits() {
    let (machine, loaded) = load(Config::plain(), nothing, |passive, _| {
        let (sublayer, callout, filter) = (
            GUID::from_u128(0x51),
            GUID::from_u128(0x52),
            GUID::from_u128(0x53),
        );
        let layer = Layer::new(LayerKind::InboundTransport, Family::V4);
        let mut engine = Engine::open_dynamic(passive, utf16!("Small"))?;
        let transaction = engine.transaction(passive)?;
        let name = utf16!("Small");
        transaction.add_provider(&PROVIDER, name)?;
        transaction.add_sublayer(&sublayer, &PROVIDER, 1, name)?;
        transaction.add_callout(&callout, &PROVIDER, layer, name)?;
        transaction.add_filter(&filter, &PROVIDER, &sublayer, &callout, layer, name)?;
        transaction.commit()?;
        SESSION.set(Some(engine));
        Ok(())
    });
    assert_eq!(loaded, Ok(()), "{}", told(&machine));
    let (peer, host) = ("192.0.2.9:50000", "192.0.2.1:3389");
    let (peer, host) = (peer.parse().unwrap(), host.parse().unwrap());
    let syn = build::tcp(peer, host, TcpFlags::SYN, 1, 0, b"");
    let packet = machine.receive(Received::plain(syn));
    machine.run();
    let fate = machine.packet(packet).map(|packet| packet.fate);
    assert_eq!(fate, Some(Fate::Delivered));
    ASKED.set(|_, _| {
        drop(SESSION.take());
        Ok(())
    });
    machine.ioctl(IOCTL, b"input", 16);
    assert_eq!(machine.unload_driver(), Leaks::new());
}
