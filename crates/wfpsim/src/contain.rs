//! Other people's readers of other people's files: the crates that read PDBs and unwind tables panic at some that are damaged. What
//! they could not tell is then not told, and the report that they were asked for comes without it.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::panic::set_hook;
use std::panic::take_hook;
use std::sync::Once;

thread_local! {
    /// Whether this host thread is in such a reader.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// What `read` gives; `None` if it panics, of which nobody hears.
pub(crate) fn contained<T>(read: impl FnOnce() -> Option<T>) -> Option<T> {
    static QUIET: Once = Once::new();
    // The hook may not be changed by a thread that panics.
    if !std::thread::panicking() {
        QUIET.call_once(|| {
            let former = take_hook();
            set_hook(Box::new(move |panic| {
                if !INSIDE.get() {
                    former(panic);
                }
            }));
        });
    }
    let before = INSIDE.replace(true);
    // What the reader has changed is its own, and is dropped.
    let given = catch_unwind(AssertUnwindSafe(read));
    INSIDE.set(before);
    given.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::contained;

    #[test]
    fn a_reader_that_panics_tells_nothing_and_the_next_is_heard_again() {
        let bytes = [1, 2, 3];
        assert_eq!(contained(|| Some(bytes.len())), Some(3));
        let behind = bytes.len() + 1;
        assert_eq!(contained(|| Some(bytes[..behind].len())), None);
        assert_eq!(contained(|| bytes.first().copied()), Some(1));
    }
}
