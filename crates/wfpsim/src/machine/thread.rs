//! Simulated threads: coroutines on one host thread.

use std::cell::Cell;
use std::cell::RefCell;
use std::sync::Arc;

use corosensei::Coroutine;
use corosensei::Yielder;
use corosensei::stack::DefaultStack;
use corosensei::stack::Stack as _;
use corosensei::trap::CoroutineTrapHandler;

use super::Kernel;
use crate::memory::Ended;

/// Stack of a simulated thread. A kernel stack is 24 KiB; a debug build of Rust needs more for the same calls.
const STACK: usize = 512 * 1024;

/// How many stacks a host thread keeps for later.
const STACKS_KEPT: usize = 64;

thread_local! {
    /// Stacks of threads that have ended, of any machine of this host thread.
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

fn take_stack() -> DefaultStack {
    let kept = STACKS.with_borrow_mut(Vec::pop);
    kept.unwrap_or_else(|| DefaultStack::new(STACK).expect("the host has memory for a stack"))
}

/// Keeps a stack that no coroutine runs on for the next thread.
pub(super) fn keep_stack(stack: DefaultStack) {
    STACKS.with_borrow_mut(|stacks| {
        if stacks.len() < STACKS_KEPT {
            stacks.push(stack);
        }
    });
}

/// Names a simulated thread within one machine, in the order of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(pub u32);

impl ThreadId {
    /// Stands for the thread where a step says what it concerns.
    pub(crate) fn object(self) -> usize {
        1 << 54 | self.0 as usize
    }
}

/// The interrupt request levels that a driver meets.
pub mod irql {
    /// Threads.
    pub const PASSIVE: u8 = 0;
    /// Asynchronous procedure calls.
    pub const APC: u8 = 1;
    /// Deferred procedure calls, spin locks, most classifies.
    pub const DISPATCH: u8 = 2;
}

/// Why a thread gave up the processor.
pub(super) enum Pause {
    /// Another thread may run first; or it waits, as its state says.
    Schedule,
    /// It brought the machine down and never runs again.
    Crash,
}

pub(super) type Co = Coroutine<(), Pause, Ended, DefaultStack>;

/// Tests whether what a thread waits for has come.
pub(super) type Ready = Box<dyn Fn(&Kernel) -> bool>;

/// What a thread waits for.
pub(super) struct Wait {
    pub ready: Ready,
    /// In 100 ns units of the machine's clock.
    pub deadline: Option<u64>,
    /// Told in reports: "event 0x…", "spin lock 0x…".
    pub what: String,
    /// The rule that is broken if it never comes.
    pub rule: &'static str,
}

/// One simulated thread.
pub struct Thread {
    /// Which one.
    pub id: ThreadId,
    /// What it does, for people: "tcpip receive", "tollgate worker".
    pub name: Arc<str>,
    /// The current interrupt request level.
    pub irql: Cell<u8>,
    /// The processor that it holds, while it runs or is at DISPATCH_LEVEL.
    pub processor: Cell<Option<u8>>,
    /// Addresses of the spin locks held, in the order taken.
    pub locks: RefCell<Vec<usize>>,
    /// In how many critical regions it is.
    pub(crate) apc_disabled: Cell<u32>,
    /// Whether it runs a work item.
    pub(crate) work_item: Cell<bool>,
    /// Whether it has promised with KeSetEvent to wait at once.
    pub(crate) must_wait: Cell<bool>,
    /// The only processor that it may run on.
    pub(super) affinity: Cell<Option<u8>>,
    /// How many classify calls of any callout are on its stack.
    pub classify_depth: Cell<u32>,
    /// The function that gave the thread a null pointer last, and the rule by which that is to be looked at; nothing if the same
    /// function gave something since.
    pub(crate) null_from: Cell<Option<(&'static str, &'static str)>>,
    /// Where its stack ends.
    pub(crate) stack_end: Cell<usize>,
    /// Whether the driver created it.
    pub(super) of_driver: Cell<bool>,
    /// How many flowDeleteFn it is in.
    pub(crate) flow_delete_depth: Cell<u32>,
    /// Whether it is a program's, in a call to the kernel.
    pub(crate) of_program: Cell<bool>,
    /// When it last had a turn, and for how many looks it has been ready without a processor.
    pub(super) last_turn: Cell<u64>,
    pub(super) starved: Cell<u32>,
    /// What it did last, as a number that stands for all that led there.
    pub(crate) order: Cell<u64>,
    pub(super) wait: RefCell<Option<Wait>>,
    pub(super) coroutine: RefCell<Option<Co>>,
    pub(super) yielder: Cell<*const Yielder<(), Pause>>,
    pub(super) ended: Cell<bool>,
}

impl Thread {
    /// Makes a thread that will run `body` at `irql` when the scheduler picks it.
    pub(super) fn new(
        id: ThreadId,
        name: String,
        irql: u8,
        body: Box<dyn FnOnce(&Kernel)>,
    ) -> Self {
        let stack = take_stack();
        let stack_end = stack.base().get();
        let coroutine = Co::with_stack(stack, move |yielder, ()| {
            let kernel = super::current::kernel();
            kernel.running().yielder.set(yielder);
            body(kernel);
            Ended::Finished
        });
        Self {
            id,
            name: name.into(),
            irql: Cell::new(irql),
            processor: Cell::new(None),
            locks: RefCell::new(Vec::new()),
            apc_disabled: Cell::new(0),
            work_item: Cell::new(false),
            must_wait: Cell::new(false),
            affinity: Cell::new(None),
            classify_depth: Cell::new(0),
            null_from: Cell::new(None),
            stack_end: Cell::new(stack_end),
            of_driver: Cell::new(false),
            of_program: Cell::new(false),
            flow_delete_depth: Cell::new(0),
            last_turn: Cell::new(0),
            starved: Cell::new(0),
            order: Cell::new(u64::from(id.0)),
            wait: RefCell::new(None),
            coroutine: RefCell::new(Some(coroutine)),
            yielder: Cell::new(std::ptr::null()),
            ended: Cell::new(false),
        }
    }

    /// Whether an address lies on its stack.
    pub(crate) fn is_on_stack(&self, address: usize) -> bool {
        let end = self.stack_end.get();
        (end - STACK..end).contains(&address)
    }

    /// The process that it belongs to: a program's own threads come into the kernel by its system calls, all others are the
    /// system's.
    pub fn process(&self) -> &'static str {
        if self.name.starts_with("program") {
            "a program"
        } else {
            "System"
        }
    }

    /// Whether its function has returned or PsTerminateSystemThread was called.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Gives the host thread back to the scheduler.
    pub(super) fn pause(&self, pause: Pause) {
        // SAFETY: the yielder lives on this coroutine's stack as long as the coroutine runs, and this is called by the
        // coroutine itself.
        unsafe { &*self.yielder.get() }.suspend(pause);
    }

    pub(super) fn trap_handler(&self) -> Option<CoroutineTrapHandler<Ended>> {
        self.coroutine
            .borrow()
            .as_ref()
            .map(Coroutine::trap_handler)
    }

    /// Forgets the coroutine without unwinding it: driver frames on it must not run any more.
    pub(super) fn abandon(&self) {
        if let Some(mut coroutine) = self.coroutine.borrow_mut().take()
            && coroutine.started()
            && !coroutine.done()
        {
            // SAFETY: what the frames own is leaked, not freed: memory that the driver can reach belongs to the machine's
            // arena, and the simulator's own frames hold reference counts and small buffers only.
            unsafe { coroutine.force_reset() };
        }
        self.ended.set(true);
    }
}
