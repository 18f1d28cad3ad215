//! Whether anybody looks: a block that is made untouchable until the first touch, which is noted and let through.

use std::cell::Cell;

/// How many blocks of one host thread can be watched at once. What is beyond that is not.
const WATCHED: usize = 8;

/// Pages that are watched.
#[derive(Clone, Copy)]
struct Watched {
    start: usize,
    length: usize,
    touched: bool,
}

thread_local! {
    static ALL: [Cell<Option<Watched>>; WATCHED] = const { [const { Cell::new(None) }; WATCHED] };
}

fn protect(watched: &Watched, protection: i32) -> bool {
    // SAFETY: the pages are a live block's of the arena of this host thread's machine; only their protection changes, and what is
    // in them stays.
    unsafe {
        libc::mprotect(
            watched.start as *mut libc::c_void,
            watched.length,
            protection,
        ) == 0
    }
}

/// Watches whole pages that may be touched now. False if nobody can watch them.
pub(super) fn begin(start: usize, length: usize) -> bool {
    ALL.with(|all| {
        let Some(place) = all.iter().find(|place| place.get().is_none()) else {
            return false;
        };
        let watched = Watched {
            start,
            length,
            touched: false,
        };
        let is_watched = protect(&watched, libc::PROT_NONE);
        place.set(is_watched.then_some(watched));
        is_watched
    })
}

/// Ends a watch and says whether anybody touched the pages; `None` if they were not watched.
pub(super) fn end(start: usize) -> Option<bool> {
    ALL.with(|all| {
        let is_it = |place: &&Cell<Option<Watched>>| {
            place.get().is_some_and(|watched| watched.start == start)
        };
        let watched = all.iter().find(is_it)?.take()?;
        if !watched.touched {
            protect(&watched, libc::PROT_READ | libc::PROT_WRITE);
        }
        Some(watched.touched)
    })
}

/// A touch that was refused: if a watch is why, it is noted, and may be tried again. Called by the fault handler, so it does
/// nothing but look at cells and set a protection.
pub(super) fn notice(address: usize) -> bool {
    ALL.with(|all| {
        for place in all {
            if let Some(mut watched) = place.get()
                && !watched.touched
                && address.wrapping_sub(watched.start) < watched.length
            {
                watched.touched = true;
                place.set(Some(watched));
                return protect(&watched, libc::PROT_READ | libc::PROT_WRITE);
            }
        }
        false
    })
}

/// Forgets every watch of this host thread: the machine that they were of is gone.
pub(super) fn forget() {
    ALL.with(|all| all.iter().for_each(|place| place.set(None)));
}
