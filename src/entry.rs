//! The driver's state, DriverEntry and unload: the load order, and each step undone in reverse.
//!
//! | step | done in | undone in |
//! |---|---|---|
//! | driver object, control device | `nt::kmdf` | the framework, last |
//! | parameters, state, injection handle | [`Driver::load`] | the state's drop: the handle's own drop waits for every completion (A-57) |
//! | slot | `nt::kmdf` | closed, and everyone inside waited for |
//! | worker | [`Driver::start`] 1 | [`Driver::stop`] 1 |
//! | callouts registered | 2 | 4 |
//! | subscription to the base filtering engine's state | 3 | 2 |
//! | session with provider, sublayer, callouts, filters | 4 | 3 |
//!
//! Callouts come before filters, so that no filter is without its callout, and go after them. The worker comes
//! before callouts and goes first of all, which wants a word. From the moment the queue is closed no classify holds
//! anything: it asks the policy and answers. So the worker can end all that waits while callouts are still registered,
//! and must: a pended connect is completed by a reauthorization, and it is the callout that answers that (C-50, A-72).
//! A classify that had its place before the queue was closed is waited for.

use core::fmt;

use nt::kmdf::{DeviceObject, Driver, DriverConfig, Load, Request};
use nt::pool::PoolBox;
use nt::shared::Shared;
use nt::signal::Signal;
use nt::slot::{Global, Slot};
use nt::spinlock::SpinLock;
use nt::thread::SystemThread;
use nt::time::sleep;
use nt::utf16;
use nt::{Cx, NtStatus, Passive, Result};
use tollgate_abi::Counter;
use wfp::{BfeObserver, BfeState, BfeSubscription, Callouts, InjectionHandle};

use crate::completing::Completing;
use crate::counters::Counters;
use crate::held::Held;
use crate::parameters::{self, Configuration};
use crate::queue::Queue;
use crate::verdict::Policy;
use crate::worker::Injected;
use crate::{control, engine, worker};

use core::time::Duration;

/// How often an injection handle is asked for while tcpip.sys is not up yet.
const INJECTION_HANDLE_TRIES: u32 = 50;

/// How long to wait between two tries.
const INJECTION_HANDLE_WAIT: Duration = Duration::from_millis(100);

/// All of the driver's state, in one allocation that lives from DriverEntry to unload.
pub struct Tollgate {
    /// What is asked.
    pub(crate) policy: Policy,
    /// What was counted. Shared with the injections under way, which may outlive the slot.
    pub(crate) counters: Shared<Counters>,
    /// What waits.
    pub(crate) queue: Queue<Held>,
    /// What was decided about the connect being completed.
    pub(crate) completing: Completing,
    /// One handle for both families and directions, so that "injected by self" means by this driver.
    pub(crate) injection_handle: InjectionHandle,
    worker: Shared<Signal>,
    keeper: Shared<Signal>,
    started: SpinLock<Started>,
}

/// What `start` has started so far.
#[derive(Default)]
struct Started {
    worker: Option<SystemThread>,
    callouts: Option<Callouts<Tollgate>>,
    subscription: Option<BfeSubscription<Tollgate>>,
    keeper: Option<SystemThread>,
}

impl Tollgate {
    /// Counts one. IRQL: any.
    pub(crate) fn count(&self, counter: Counter) {
        self.counters.add(counter);
    }

    /// What an injection calls when it is completed. IRQL: any.
    pub(crate) fn injected(&self) -> Injected {
        Injected(self.counters.clone())
    }
}

impl fmt::Debug for Tollgate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tollgate")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl Global for Tollgate {
    fn slot() -> &'static Slot<Self> {
        static SLOT: Slot<Tollgate> = Slot::new();
        &SLOT
    }
}

impl Driver for Tollgate {
    const CONFIG: DriverConfig = DriverConfig {
        device_name: utf16!(tollgate_abi::DEVICE_NAME),
        symbolic_link: utf16!(tollgate_abi::SYMBOLIC_LINK),
        sddl: utf16!(tollgate_abi::DEVICE_SDDL),
    };

    /// Makes the state. STATUS_INVALID_PARAMETER when the Parameters key says something impossible
    /// ([`crate::parameters`]). IRQL = PASSIVE_LEVEL.
    fn load(passive: &mut Passive, load: &Load<'_>) -> Result<PoolBox<Self>> {
        let Configuration { policy, limits } = parameters::read(passive, load)?;
        let worker = Shared::try_new(Signal::new()?)?;
        let state = Self {
            policy,
            counters: Shared::try_new(Counters::new())?,
            queue: Queue::new(limits, worker.clone()),
            completing: Completing::new(),
            injection_handle: injection_handle(passive)?,
            worker,
            keeper: Shared::try_new(Signal::new()?)?,
            started: SpinLock::new(Started::default()),
        };
        Ok(PoolBox::try_new(state)?)
    }

    /// Starts everything that calls back. What fails returns, and `stop` undoes what was done so far.
    /// IRQL = PASSIVE_LEVEL.
    fn start(&self, passive: &mut Passive, device: DeviceObject) -> Result<()> {
        let thread = SystemThread::spawn(passive, self.worker.clone(), |passive, signal| {
            if let Some(tollgate) = Self::slot().enter() {
                worker::run(&tollgate, passive, signal);
            }
        })?;
        self.started.lock(passive).worker = Some(thread);

        let layers = engine::LAYERS.map(|objects| (objects.layer, objects.callout));
        let callouts = Callouts::register(passive, device, &layers)?;
        self.started.lock(passive).callouts = Some(callouts);

        // Before the state is looked at, so that no change is missed between the look and the keeper's first wait.
        let subscription = BfeSubscription::new(passive, device)?;
        self.started.lock(passive).subscription = Some(subscription);

        let session = engine::open_if_running(passive, &self.counters)?;
        let counters = self.counters.clone();
        let keeper = SystemThread::spawn(passive, self.keeper.clone(), move |passive, signal| {
            engine::keep(passive, signal, &counters, session);
        })?;
        self.started.lock(passive).keeper = Some(keeper);
        Ok(())
    }

    /// Undoes `start`, whole or in part; see the table above. IRQL = PASSIVE_LEVEL.
    fn stop(&self, passive: &mut Passive) {
        // Moved out under the lock, and ended after it (C-03).
        let Started {
            worker,
            callouts,
            subscription,
            keeper,
        } = core::mem::take(&mut *self.started.lock(passive));
        // 1. No new holds; all that waits is decided and given back, with the callouts there to answer.
        self.queue.close();
        if let Some(worker) = worker {
            worker.join(passive);
        }
        // 2. No new sessions.
        drop(subscription);
        // 3. The keeper closes its session, and the filters are gone.
        if let Some(keeper) = keeper {
            keeper.join(passive);
        }
        // 4. No more classifies.
        if let Some(callouts) = callouts {
            callouts.unregister(passive);
        }
    }

    /// Answers an IOCTL. IRQL = PASSIVE_LEVEL.
    fn device_control(&self, _passive: &mut Passive, request: Request) {
        control::answer(self, request);
    }
}

impl BfeObserver for Tollgate {
    /// The base filtering engine came up or went away: the keeper looks. IRQL ≤ DISPATCH_LEVEL.
    fn bfe_changed(&self, _cx: &mut Cx, _state: BfeState) {
        self.keeper.wake();
    }
}

/// Creates the injection handle, waiting a while for tcpip.sys.
///
/// Errors: STATUS_FWP_TCPIP_NOT_READY when it does not come up in five seconds. IRQL = PASSIVE_LEVEL.
fn injection_handle(passive: &Passive) -> Result<InjectionHandle> {
    for _ in 1..INJECTION_HANDLE_TRIES {
        match InjectionHandle::create(passive) {
            Err(NtStatus::FWP_TCPIP_NOT_READY) => sleep(passive, INJECTION_HANDLE_WAIT),
            created => return created,
        }
    }
    InjectionHandle::create(passive)
}

nt::driver_entry!(Tollgate);
