//! Threads of the host, begun and waited for by the C library's functions, which ThreadSanitizer knows. Those of Rust's standard library
//! wait in code that is compiled already, so that what they order is not seen.

use std::ffi::c_void;
use std::ptr::null;
use std::ptr::null_mut;

type Work<'a> = Box<dyn FnOnce() + Send + 'a>;

extern "C" fn run(work: *mut c_void) -> *mut c_void {
    // SAFETY: `begin` made it of a box, for this thread alone.
    let work = unsafe { Box::from_raw(work.cast::<Work<'_>>()) };
    // A panic ends the process, because it may not leave this function: a test that failed is told by that.
    work();
    null_mut()
}

/// Begins a thread.
///
/// # Safety
///
/// What the work borrows lives until the thread has ended.
unsafe fn begin(work: Work<'_>) -> libc::pthread_t {
    let work = Box::into_raw(Box::new(work));
    let mut thread = 0;
    // SAFETY: The routine takes what it is given, once; the caller promises for what that borrows.
    let result = unsafe { libc::pthread_create(&mut thread, null(), run, work.cast()) };
    assert_eq!(result, 0, "the host has no thread");
    thread
}

/// Begins a thread that nobody waits for.
pub(crate) fn begin_alone(work: impl FnOnce() + Send + 'static) {
    // SAFETY: The work borrows nothing.
    let thread = unsafe { begin(Box::new(work)) };
    // SAFETY: The thread was begun above, and nobody else knows of it.
    unsafe { libc::pthread_detach(thread) };
}

/// Runs all of it at once, each on a thread of its own and the last on this one, and waits for the rest.
pub fn together<'a>(
    others: impl IntoIterator<Item = Box<dyn FnOnce() + Send + 'a>>,
    here: impl FnOnce(),
) {
    // If this unwinds, threads would go on with what is no longer there.
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if std::thread::panicking() {
                std::process::abort();
            }
        }
    }
    let _bomb = Bomb;
    let threads: Vec<_> = others
        .into_iter()
        // SAFETY: All are waited for below, or the process ends.
        .map(|work| unsafe { begin(work) })
        .collect();
    here();
    for thread in threads {
        // SAFETY: Begun above and waited for once.
        let result = unsafe { libc::pthread_join(thread, null_mut()) };
        assert_eq!(result, 0, "it was waited for before");
    }
}
