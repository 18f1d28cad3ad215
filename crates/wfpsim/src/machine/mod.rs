//! One simulated machine: its threads, clock, memory and everything the kernel keeps.

pub mod choice;
mod config;
pub(crate) mod current;
mod random;
mod scheduler;
mod thread;
mod watch;

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;

pub use choice::Choices;
pub use config::Config;
pub use config::Faults;
pub use config::Freedom;
pub use config::Guards;
pub use config::SpecialPool;
pub use random::Random;
pub use scheduler::Stop;
pub(crate) use scheduler::Woken;
pub use thread::Thread;
pub use thread::ThreadId;
pub use thread::irql;

use crate::memory::Arena;
use crate::verifier::Ledger;
use crate::verifier::Violation;

/// Interrupt time, in units of 100 ns since the machine's start.
pub type Time = u64;

/// The calling convention of the driver that the machine runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convention {
    /// Linked into this process.
    #[default]
    Host,
    /// A loaded image, in the Windows x64 convention.
    #[cfg(target_arch = "x86_64")]
    Win64,
}

/// A simulated machine. Dropping it ends every thread where it stands.
pub struct Machine {
    kernel: Box<Kernel>,
}

/// The kernel's side of a machine: what simulated kernel functions work on.
///
/// Everything is behind cells because simulated threads interleave inside kernel functions. The rule that keeps it
/// sound to use: no borrow of a `RefCell` is alive at a scheduling point, nor while a driver's pointer is followed.
pub struct Kernel {
    /// What the machine is like.
    pub config: Config,
    /// What decides where Windows leaves something open: the seed's numbers, or a strategy.
    pub random: Choices,
    /// Guarded memory.
    pub arena: Arena,
    /// What happened to each object.
    pub ledger: Ledger,
    pub(crate) nt: crate::nt::State,
    pub(crate) ndis: crate::ndis::State,
    pub(crate) fwp: crate::fwp::State,
    pub(crate) wdf: crate::wdf::State,
    pub(crate) stack: crate::stack::State,
    #[cfg(target_arch = "x86_64")]
    pub(crate) image: RefCell<Option<crate::image::Mapped>>,
    convention: Cell<Convention>,
    clock: Cell<Time>,
    threads: RefCell<Vec<Rc<Thread>>>,
    /// The threads that are ready, while one is picked; kept so as not to be allocated each time.
    ready: RefCell<Vec<ThreadId>>,
    running: RefCell<Option<Rc<Thread>>>,
    next_thread: Cell<u32>,
    violations: RefCell<Vec<Violation>>,
    crashed: Cell<bool>,
    tells_stacks: Cell<bool>,
    watch: watch::Watch,
    driver_turns: Cell<u64>,
    fallible_calls: Cell<u64>,
    failed_calls: Cell<u64>,
    kernel_calls: Cell<u64>,
    unloading: Cell<Option<Unloading>>,
}

/// A driver's unload routine that runs.
#[derive(Clone, Copy)]
struct Unloading {
    thread: ThreadId,
    began: Time,
    /// Kernel calls that it made since it last waited for anything.
    calls: u64,
}

impl Machine {
    /// Switches a machine on. Nothing runs on it yet.
    pub fn new(config: Config) -> Self {
        crate::memory::install_fault_handler();
        let kernel = Box::new(Kernel {
            random: Choices::new(config.seed),
            arena: match config.guards {
                Guards::Pages => Arena::new(),
                Guards::Zones => Arena::compact(),
            },
            ledger: Ledger::new(config.guards == Guards::Pages),
            config,
            nt: Default::default(),
            ndis: Default::default(),
            fwp: Default::default(),
            wdf: Default::default(),
            stack: Default::default(),
            #[cfg(target_arch = "x86_64")]
            image: RefCell::default(),
            convention: Cell::default(),
            // Not zero, so that "no deadline" and "now" cannot be mixed up: ten seconds of boot.
            clock: Cell::new(100_000_000),
            threads: RefCell::new(Vec::new()),
            ready: RefCell::default(),
            running: RefCell::new(None),
            next_thread: Cell::new(1),
            violations: RefCell::new(Vec::new()),
            crashed: Cell::new(false),
            tells_stacks: Cell::new(true),
            watch: Default::default(),
            driver_turns: Cell::new(0),
            fallible_calls: Cell::new(0),
            failed_calls: Cell::new(0),
            kernel_calls: Cell::new(0),
            unloading: Cell::new(None),
        });
        crate::fwp::boot(&kernel);
        Self { kernel }
    }

    /// Has a strategy decide what the seed's numbers decide otherwise, from the next choice on, and notes what it decides if
    /// `traced`.
    pub fn steer(&self, strategy: Box<dyn choice::Strategy>, traced: bool) {
        self.kernel.random.steer(strategy, traced);
    }

    /// Whether violations tell the stack of who did it, which takes far longer than most runs. They do unless told otherwise.
    pub fn tell_stacks(&self, tell: bool) {
        self.kernel.tells_stacks.set(tell);
    }

    /// The kernel's side.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Starts a thread of the system that runs `body` at `irql`. It runs when the machine is run.
    pub fn spawn(
        &self,
        name: impl Into<String>,
        irql: u8,
        body: impl FnOnce(&Kernel) + 'static,
    ) -> ThreadId {
        self.kernel.spawn(name, irql, body)
    }

    /// Runs `body` as a thread at `irql` until it has ended, with everything that happens meanwhile, and gives its
    /// result; `None` if the machine came down or the thread can never end.
    pub fn call<R: 'static>(
        &self,
        name: &str,
        irql: u8,
        body: impl FnOnce(&Kernel) -> R + 'static,
    ) -> Option<R> {
        let result = Rc::new(RefCell::new(None));
        let out = Rc::clone(&result);
        let id = self.spawn(name, irql, move |kernel| {
            *out.borrow_mut() = Some(body(kernel))
        });
        self.run_until_ended(id);
        result.take()
    }

    /// What was violated so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.kernel.violations.borrow().clone()
    }
}

impl Kernel {
    /// Interrupt time.
    pub fn now(&self) -> Time {
        self.clock.get()
    }

    /// The thread that runs.
    ///
    /// # Panics
    ///
    /// If none does: kernel functions are called by threads only.
    pub fn running(&self) -> Rc<Thread> {
        Rc::clone(
            self.running
                .borrow()
                .as_ref()
                .expect("a simulated thread runs"),
        )
    }

    /// The thread that runs, if one does.
    pub fn running_thread(&self) -> Option<Rc<Thread>> {
        self.running.borrow().clone()
    }

    /// The current interrupt request level.
    pub fn irql(&self) -> u8 {
        let running = self.running.borrow();
        running
            .as_ref()
            .map_or(irql::PASSIVE, |thread| thread.irql.get())
    }

    /// Raises or lowers the running thread.
    pub(crate) fn set_irql(&self, level: u8) {
        self.running().irql.set(level);
        self.arena.set_paging(level < irql::DISPATCH);
    }

    /// Starts a thread.
    pub fn spawn(
        &self,
        name: impl Into<String>,
        irql: u8,
        body: impl FnOnce(&Kernel) + 'static,
    ) -> ThreadId {
        let id = ThreadId(self.next_thread.get());
        self.next_thread.set(id.0 + 1);
        let name = name.into();
        self.random.begins(id, &name);
        let thread = Thread::new(id, name, irql, Box::new(body));
        self.threads.borrow_mut().push(Rc::new(thread));
        id
    }

    /// Says how the driver's functions are called from now on.
    pub(crate) fn set_convention(&self, convention: Convention) {
        self.convention.set(convention);
    }

    /// How the driver's functions are called.
    pub(crate) fn convention(&self) -> Convention {
        self.convention.get()
    }

    /// Starts a thread on the driver's behalf.
    pub(crate) fn spawn_for_driver(&self, body: impl FnOnce(&Kernel) + 'static) -> ThreadId {
        let id = self.spawn("driver thread", irql::PASSIVE, body);
        if let Some(thread) = self.threads.borrow().last() {
            thread.of_driver.set(true);
        }
        id
    }

    /// Says that a thread runs a work item.
    pub(crate) fn mark_work_item(&self, id: ThreadId) {
        self.with_thread(id, |thread| thread.work_item.set(true));
    }

    /// Says that a thread runs on one processor only.
    pub(crate) fn set_affinity(&self, id: ThreadId, processor: u8) {
        self.with_thread(id, |thread| thread.affinity.set(Some(processor)));
    }

    fn with_thread(&self, id: ThreadId, change: impl FnOnce(&Thread)) {
        let threads = self.threads.borrow();
        if let Some(thread) = threads.iter().find(|thread| thread.id == id) {
            change(thread);
        }
    }

    /// How often a thread of the driver's was given the processor.
    pub(crate) fn driver_turns(&self) -> u64 {
        self.driver_turns.get()
    }

    /// The offset of an address in the driver's image, if it runs as one and the address is its own.
    pub(crate) fn image_offset(&self, address: usize) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        if let Some(image) = self.image.borrow().as_ref() {
            return image.offset_of(address);
        }
        let _ = address;
        None
    }

    /// The running thread enters the driver's unload routine, or has left it.
    pub(crate) fn set_unloading(&self, runs: bool) {
        let unloading = runs.then(|| Unloading {
            thread: self.running().id,
            began: self.now(),
            calls: 0,
        });
        self.unloading.set(unloading);
    }

    /// The thread that the driver's unload routine runs on, and since when.
    pub(crate) fn unloading(&self) -> Option<(ThreadId, Time)> {
        self.unloading
            .get()
            .map(|unloading| (unloading.thread, unloading.began))
    }

    /// Whether a bug check has happened.
    pub fn has_crashed(&self) -> bool {
        self.crashed.get()
    }

    /// How many threads were begun.
    pub(crate) fn threads_begun(&self) -> u32 {
        self.next_thread.get() - 1
    }

    /// Whether violations tell the stack of who did it.
    pub(crate) fn tells_stacks(&self) -> bool {
        self.tells_stacks.get()
    }

    /// How many kernel functions were called.
    pub fn kernel_calls(&self) -> u64 {
        self.kernel_calls.get()
    }

    /// How many calls were made that could have been made to fail.
    pub fn fallible_calls(&self) -> u64 {
        self.fallible_calls.get()
    }

    /// Whether this call of a fallible function is the one that the fault plan fails.
    pub(crate) fn fails(&self, function: &'static str) -> bool {
        let faults = &self.config.faults;
        if !faults.functions.is_empty() && !faults.functions.contains(&function) {
            return false;
        }
        let call = self.fallible_calls.get() + 1;
        self.fallible_calls.set(call);
        let first = faults
            .fail_call
            .and_then(|first| call.checked_sub(first))
            .is_some_and(|behind| behind < faults.count.max(1));
        let fails = first || faults.second == Some(call);
        if fails {
            self.failed_calls.set(self.failed_calls.get() + 1);
        }
        fails
    }

    /// How many calls the fault plan has failed so far.
    pub fn failed_calls(&self) -> u64 {
        self.failed_calls.get()
    }

    /// Brings the machine down with `violation`. The running thread never goes on.
    pub(crate) fn bug_check(&self, violation: Violation) -> ! {
        self.record(violation);
        self.crashed.set(true);
        let thread = self.running();
        loop {
            thread.pause(thread::Pause::Crash);
        }
    }

    /// Notes a violation without ending anything: for what is found when everything is over.
    pub(crate) fn record(&self, mut violation: Violation) {
        violation.seed = self.config.seed;
        self.violations.borrow_mut().push(violation);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for thread in self.kernel.threads.borrow().iter() {
            thread.abandon();
        }
    }
}
