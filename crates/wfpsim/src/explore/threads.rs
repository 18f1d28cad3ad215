//! The same work on several host threads, and one that hears of it.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

/// How much that was given may wait to be taken.
const WAITING: usize = 64;

/// Has the other host threads stop, too, when one panics.
struct StopsOnPanic<'a>(&'a AtomicBool);

impl Drop for StopsOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Does the work on so many threads at a time, and gives what each returns. `work` is handed a function that gives something to
/// `take`, which is called on this thread. Where nobody takes any more, or one thread panicked, `stops` is set; who works looks at it.
pub(super) fn on_threads<T: Send, R: Send>(
    jobs: usize,
    stops: &AtomicBool,
    work: impl Fn(&dyn Fn(T)) -> R + Sync,
    take: impl FnMut(T),
) -> Vec<R> {
    let (sender, receiver) = mpsc::sync_channel(WAITING);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs)
            .map(|_| {
                let (sender, work) = (sender.clone(), &work);
                scope.spawn(move || {
                    let _stops = StopsOnPanic(stops);
                    work(&|given| {
                        if sender.send(given).is_err() {
                            stops.store(true, Ordering::Relaxed);
                        }
                    })
                })
            })
            .collect();
        drop(sender);
        receiver.into_iter().for_each(take);
        let joined = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.collect()
    })
}
