//! The small driver that most mistakes are made in: a WFP callout driver that holds packets, asks a policy of one line, and
//! gives them back to the stack.
//!
//! It is written over the raw functions as a C driver would be, and is correct: what it does, it does by the contract.
//! Where it goes wrong for a mistake, it asks [`makes`](crate::makes) first. Its globals are thread-locals, set anew by each
//! DriverEntry: one host thread runs one machine at a time.
//!
//! A packet's way: `classify` looks at it and says permit, block or hold; a held packet is a `queue::Packet` in
//! pool, which owns a reference and, at the ALE layers, the pended operation; the `worker` takes it from the `queue`,
//! clones it and injects the clone (`inbound`, `outbound`, `pended`); the `completion` gives everything back.

pub(crate) mod callouts;
pub(crate) mod classify;
pub(crate) mod completion;
pub(crate) mod entry;
pub(crate) mod fields;
pub(crate) mod flows;
pub(crate) mod inbound;
pub(crate) mod ipsec;
pub(crate) mod outbound;
pub(crate) mod pended;
pub(crate) mod queue;
pub(crate) mod worker;
pub(crate) mod wrong;

use std::cell::Cell;
use std::cell::UnsafeCell;
use std::ffi::c_void;

use wdk_sys_portable::KEVENT;
use wdk_sys_portable::KSPIN_LOCK;
use wdk_sys_portable::WDFDEVICE;
use wdk_sys_portable::ntddk::KeSetEvent;
use wfp_sys::HANDLE;
use wfpsim::Machine;
use wfpsim::driver::Leaks;
use wfpsim::driver::Linked;
use wfpsim::driver::Parameters;
use wfpsim::machine::irql;

use queue::ListEntry;

/// The tag of everything that the driver takes from pool.
pub const TAG: u32 = u32::from_le_bytes(*b"Mstk");

/// Where the driver can filter, IPv4 and IPv6 at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// INBOUND_TRANSPORT.
    InboundTransport,
    /// OUTBOUND_TRANSPORT.
    OutboundTransport,
    /// ALE_AUTH_RECV_ACCEPT.
    RecvAccept,
    /// ALE_AUTH_CONNECT.
    Connect,
}

/// What a story tells the driver before it loads it.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Where the driver filters.
    pub layers: &'static [Layer],
    /// The policy: what has this port at the remote end is blocked.
    pub blocked_port: Option<u16>,
    /// The policy, too: what has this address at the host's end is blocked.
    pub blocked_local: Option<[u8; 16]>,
    /// Nobody answers for the policy: what is held waits until the driver is unloaded.
    pub undecided: bool,
    /// The driver filters a second time, in a sublayer below its first.
    pub twice: bool,
    /// It keeps something of each flow, too.
    pub flows: bool,
    /// Its filters make a permit final (FWPM_FILTER_FLAG_CLEAR_ACTION_RIGHT, A-16).
    pub final_permit: bool,
    /// The worker begins when the story says so ([`wake`]), and not when there is something to do.
    pub patient: bool,
}

impl Setup {
    /// Filters at these layers and blocks nothing.
    pub const fn at(layers: &'static [Layer]) -> Self {
        Self {
            layers,
            blocked_port: None,
            blocked_local: None,
            undecided: false,
            twice: false,
            flows: false,
            final_permit: false,
            patient: false,
        }
    }

    /// The same, with a worker that waits until it is told.
    pub const fn patient(self) -> Self {
        Self {
            patient: true,
            ..self
        }
    }

    /// The same, with a policy that blocks what has this port at the remote end.
    pub const fn blocking(self, port: u16) -> Self {
        Self {
            blocked_port: Some(port),
            ..self
        }
    }

    /// The same, with nobody there to answer for the policy.
    pub const fn undecided(self) -> Self {
        Self {
            undecided: true,
            ..self
        }
    }
}

/// The decision that a pended connect's reauthorization is to find.
#[derive(Clone, Copy)]
pub struct Decision {
    /// The endpoint tells two connects with one tuple apart (E-8).
    pub endpoint: u64,
    /// What was decided.
    pub permit: bool,
    /// The connect itself, which stays the worker's.
    pub packet: *mut queue::Packet,
}

/// The driver's globals.
pub struct Globals {
    /// What the story asked for.
    pub setup: Setup,
    /// The control device.
    pub device: WDFDEVICE,
    /// The injection handle, null if there is none.
    pub injection: HANDLE,
    /// The session with the filter engine, null if there is none.
    pub engine: HANDLE,
    /// The callouts that are registered.
    pub callouts: [u32; 8],
    /// How many of them there are.
    pub callout_count: usize,
    /// The worker's thread object, null if there is none.
    pub worker: *mut c_void,
    /// Signalled when there is something for the worker.
    pub event: KEVENT,
    /// Guards what follows.
    pub lock: KSPIN_LOCK,
    /// The head of the packets that wait for the worker, in pool; null if there is none.
    pub queue: *mut ListEntry,
    /// Nothing is taken any more.
    pub stopping: bool,
    /// The worker is to end when the queue is empty.
    pub ending: bool,
    /// The decision about the connect that is being completed.
    pub decision: Option<Decision>,
    /// Filters that name the callouts, as notifyFn is told.
    pub filters: u32,
    /// Signalled when there is none left, as far as notifyFn is told.
    pub no_filters: KEVENT,
    /// What a mistake keeps between one call and another.
    pub kept: *mut c_void,
    /// An endpoint that a mistake keeps for too long.
    pub kept_endpoint: u64,
}

thread_local! {
    static SETUP: Cell<Setup> = const { Cell::new(Setup::at(&[])) };
    static GLOBALS: UnsafeCell<Option<Globals>> = const { UnsafeCell::new(None) };
}

/// The driver's globals. They stay where they are until the host thread ends.
pub fn globals() -> *mut Globals {
    GLOBALS.with(|globals| {
        let globals = globals.get();
        unsafe { (*globals).as_mut() }.map_or(std::ptr::null_mut(), |globals| &raw mut *globals)
    })
}

/// What the image's data section holds when it has been loaded.
fn fresh() -> *mut Globals {
    flows::forget();
    GLOBALS.with(|globals| unsafe {
        *globals.get() = Some(Globals {
            setup: SETUP.get(),
            device: std::ptr::null_mut(),
            injection: std::ptr::null_mut(),
            engine: std::ptr::null_mut(),
            callouts: [0; 8],
            callout_count: 0,
            worker: std::ptr::null_mut(),
            event: KEVENT::default(),
            lock: 0,
            queue: std::ptr::null_mut(),
            stopping: false,
            ending: false,
            decision: None,
            filters: 0,
            no_filters: KEVENT::default(),
            kept: std::ptr::null_mut(),
            kept_endpoint: 0,
        });
    });
    globals()
}

/// Loads the driver. Where a call is made to fail, DriverEntry may refuse; the story then goes on without a driver.
pub fn load(machine: &Machine, setup: Setup) {
    let _refused = try_load(machine, setup);
}

/// Loads the driver, whatever comes of it.
pub fn try_load(machine: &Machine, setup: Setup) -> Result<(), wfpsim::driver::LoadError> {
    machine.load_driver(linked(setup), &Parameters::default())
}

/// The driver, for whoever loads drivers. What a load finds is what this host thread has set up last.
pub fn linked(setup: Setup) -> Linked {
    SETUP.set(setup);
    Linked {
        entry: entry::driver_entry,
    }
}

/// Tells a patient worker to begin, and lets everything happen that follows.
pub fn wake(machine: &Machine) {
    machine.call("timer", irql::DISPATCH, |_| {
        let globals = globals();
        if !globals.is_null() {
            unsafe { KeSetEvent(&raw mut (*globals).event, 0, 0) };
        }
    });
    machine.run();
}

/// Unloads the driver. What it left behind is among the machine's violations.
pub fn unload(machine: &Machine) -> Leaks {
    machine.unload_driver()
}
