//! A touch of memory that may not be touched, caught and turned into a value.
//!
//! The handler runs on the faulting host thread. If a coroutine of the running machine did it, the coroutine is
//! made to return the fault as its result; anything else is the host program's own crash and is left to it.

use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::Once;
use std::sync::OnceLock;

use corosensei::trap::CoroutineTrapHandler;

/// What the instruction wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load, or an instruction fetch where the processor does not tell.
    Read,
    /// A store.
    Write,
}

/// The most frames of a faulting stack that are kept.
const FRAMES: usize = 48;

/// A fault in code that ran on a coroutine.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The address touched.
    pub address: usize,
    /// What was wanted.
    pub access: Access,
    /// The instruction.
    pub instruction: usize,
    /// Return addresses, innermost first.
    pub frames: Vec<usize>,
    /// The stack pointer of the last of these frames.
    pub stack: usize,
    /// The base pointer at the fault.
    pub base: usize,
    /// The code of a `__fastfail`, if the instruction was one: no touch of memory, but the driver's own code that found
    /// something damaged.
    pub fast_fail: Option<u32>,
}

/// How a coroutine ends.
pub(crate) enum Ended {
    /// Its function returned.
    Finished,
    /// It touched what it may not.
    Faulted(Fault),
}

thread_local! {
    /// The trap handler of the coroutine that runs on this host thread now.
    static TRAP: Cell<*const CoroutineTrapHandler<Ended>> = const { Cell::new(std::ptr::null()) };
    /// Whether this host thread has a signal stack that is large enough for the handler.
    static SIGNAL_STACK: Cell<bool> = const { Cell::new(false) };
}

/// Runs `resume` with `trap` in force.
pub(crate) fn with_trap<R>(trap: &CoroutineTrapHandler<Ended>, resume: impl FnOnce() -> R) -> R {
    let before = TRAP.replace(trap);
    let result = resume();
    TRAP.set(before);
    result
}

/// The signals that a touch of memory raises.
const SIGNALS: [i32; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// What the host program did at each of them before we came: its own crashes are still its own, and a fuzzer's handler saves
/// the input that did it.
static FORMER: OnceLock<[libc::sigaction; 2]> = OnceLock::new();

/// Installs the handler in this process, once, and a signal stack for this host thread.
pub(crate) fn install() {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        // SAFETY: all-zero is a valid sigaction; the handler is of the type that SA_SIGINFO asks for, and it touches
        // only thread-locals without destructors and the stack.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            let former = SIGNALS.map(|signal| {
                let mut former: libc::sigaction = std::mem::zeroed();
                let result = libc::sigaction(signal, &action, &mut former);
                assert_eq!(result, 0, "sigaction failed");
                former
            });
            FORMER.get_or_init(|| former);
        }
    });
    if !SIGNAL_STACK.replace(true) {
        const SIZE: usize = 128 * 1024;
        // The stack lives as long as the host thread may take signals, which is for ever as far as we can tell.
        // Not zeroed: a signal's frame does not look at what was there.
        let stack = Box::into_raw(Box::<[u8]>::new_uninit_slice(SIZE));
        let description = libc::stack_t {
            ss_sp: stack.cast(),
            ss_flags: 0,
            ss_size: SIZE,
        };
        // SAFETY: the stack is ours, large enough and never freed.
        let result = unsafe { libc::sigaltstack(&description, null_mut()) };
        assert_eq!(result, 0, "sigaltstack failed");
    }
}

/// The registers of the interrupted code that the handler needs.
struct Registers {
    instruction: usize,
    stack: usize,
    base: usize,
    access: Access,
    fast_fail: Option<u32>,
}

/// `int 29h`, which the compiler's `__fastfail` is on x64; the code is in ecx.
#[cfg(target_arch = "x86_64")]
const INT_29: [u8; 2] = [0xCD, 0x29];

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn registers(context: &libc::ucontext_t) -> Registers {
    let registers = &context.uc_mcontext.gregs;
    // Bit 1 of the page-fault error code says that the access was a write.
    let write = registers[libc::REG_ERR as usize] & 2 != 0;
    let instruction = registers[libc::REG_RIP as usize] as usize;
    // A touch of memory has the page-fault trap number, 14; an interrupt that may not be raised has 13.
    let raised = registers[libc::REG_TRAPNO as usize] == 13;
    // SAFETY: the processor has just read this instruction, whose two bytes it found to be one that may not be executed here.
    let fast = raised && unsafe { (instruction as *const [u8; 2]).read_unaligned() } == INT_29;
    Registers {
        fast_fail: fast.then_some(registers[libc::REG_RCX as usize] as u32),
        instruction,
        stack: registers[libc::REG_RSP as usize] as usize,
        base: registers[libc::REG_RBP as usize] as usize,
        access: if write { Access::Write } else { Access::Read },
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn continue_at(context: &mut libc::ucontext_t, to: &corosensei::trap::TrapHandlerRegs) {
    let registers = &mut context.uc_mcontext.gregs;
    registers[libc::REG_RIP as usize] = to.rip as i64;
    registers[libc::REG_RSP as usize] = to.rsp as i64;
    registers[libc::REG_RBP as usize] = to.rbp as i64;
    registers[libc::REG_RDI as usize] = to.rdi as i64;
    registers[libc::REG_RSI as usize] = to.rsi as i64;
}

#[cfg(all(target_arch = "aarch64", target_os = "linux"))]
fn registers(context: &libc::ucontext_t) -> Registers {
    // The kernel does not hand out the syndrome in a place that libc names, so a write reads as a read here.
    Registers {
        instruction: context.uc_mcontext.pc as usize,
        stack: context.uc_mcontext.sp as usize,
        base: context.uc_mcontext.regs[29] as usize,
        access: Access::Read,
        fast_fail: None,
    }
}

#[cfg(all(target_arch = "aarch64", target_os = "linux"))]
fn continue_at(context: &mut libc::ucontext_t, to: &corosensei::trap::TrapHandlerRegs) {
    let machine = &mut context.uc_mcontext;
    machine.pc = to.pc;
    machine.sp = to.sp;
    machine.regs[0] = to.x0;
    machine.regs[1] = to.x1;
    machine.regs[29] = to.x29;
    machine.regs[30] = to.lr;
}

unsafe extern "C" fn handler(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo and context to an SA_SIGINFO handler.
    let (address, context) = unsafe {
        (
            (*info).si_addr() as usize,
            &mut *context.cast::<libc::ucontext_t>(),
        )
    };
    if super::watch::notice(address) {
        return;
    }
    let registers = registers(context);
    // SAFETY: the pointer was set by `with_trap`, which is still on this thread's stack below us.
    let trap = unsafe { TRAP.get().as_ref() };
    let Some(trap) = trap.filter(|trap| trap.stack_ptr_in_bounds(registers.stack)) else {
        // Not ours: let the fault happen again as if we had never come, so that the host program handles it or dies of it.
        let mut former = SIGNALS.iter().zip(FORMER.get().into_iter().flatten());
        let former = former.find(|&(&of, _)| of == signal);
        // SAFETY: the action is one that was in force, or the default one; setting either is always allowed.
        unsafe {
            match former {
                Some((_, action)) => libc::sigaction(signal, action, null_mut()) as usize,
                None => libc::signal(signal, libc::SIG_DFL),
            }
        };
        return;
    };
    #[cfg(target_arch = "x86_64")]
    if crate::image::load_shared_data(crate::machine::current::kernel(), address, context) {
        return;
    }
    let mut frames = [0usize; FRAMES];
    let mut count = 0;
    let mut last = registers.stack;
    // SAFETY: the faulting code is not inside the unwinder or the allocator of this thread: it is a coroutine's, and
    // coroutines are switched by plain calls only. The closure only stores into an array.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            if let Some(slot) = frames.get_mut(count) {
                *slot = frame.ip() as usize;
                last = frame.sp() as usize;
                count += 1;
            }
            count < FRAMES
        });
    }
    // What lies above the faulting instruction are this handler's own frames and the signal trampoline.
    let first = frames[..count]
        .iter()
        .position(|&ip| ip == registers.instruction || ip == registers.instruction + 1);
    let (access, instruction, base) = (registers.access, registers.instruction, registers.base);
    let fast_fail = registers.fast_fail;
    // At the fault itself the registers say it better than the unwinder.
    let stack = if first == Some(count.saturating_sub(1)) {
        registers.stack
    } else {
        last
    };
    // SAFETY: the coroutine is the one that is running, and its stack pointer is within its stack. The closure runs on
    // the coroutine's stack after this handler has returned, so it may allocate.
    let to = unsafe {
        trap.setup_trap_handler(move || {
            let frames = frames[first.unwrap_or(0)..count].to_vec();
            Ended::Faulted(Fault {
                address,
                access,
                instruction,
                frames,
                stack,
                base,
                fast_fail,
            })
        })
    };
    continue_at(context, &to);
}
