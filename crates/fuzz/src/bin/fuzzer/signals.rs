//! Faults of the host program, which the simulator leaves to whoever handled them before it: here to libFuzzer.

use std::ptr::null;
use std::ptr::null_mut;
use std::sync::Once;

/// Enough for libFuzzer's handler, which writes a file and a stack trace.
const SIZE: usize = 256 * 1024;

/// Lets libFuzzer's handlers run on a stack of their own: without one an overflow of the stack ends the process before the input
/// is saved, and simulated threads have small stacks. To be called before the simulator puts its own handler in front, and after
/// libFuzzer's are there: at the first input.
pub fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let stack = Box::into_raw(vec![0u8; SIZE].into_boxed_slice());
        let description = libc::stack_t {
            ss_sp: stack.cast(),
            ss_flags: 0,
            ss_size: SIZE,
        };
        // SAFETY: the stack is never freed; libFuzzer runs its targets on this one thread.
        assert_eq!(unsafe { libc::sigaltstack(&description, null_mut()) }, 0);
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT, libc::SIGALRM] {
            // SAFETY: all-zero is a valid sigaction, which the first call fills; the second changes nothing but a flag, which
            // every handler stands.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                assert_eq!(libc::sigaction(signal, null(), &mut action), 0);
                action.sa_flags |= libc::SA_ONSTACK;
                assert_eq!(libc::sigaction(signal, &action, null_mut()), 0);
            }
        }
    });
}
