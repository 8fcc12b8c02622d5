//! Work divided between threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::Result;

/// Do `work` for 0 to `number` - 1, by `threads` threads; a thread that is free takes the next.
pub(crate) fn each<T: Send>(number: usize, threads: usize, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let (next, work) = (&next, &work);
    let take = move || {
        let mut done = Vec::new();
        loop {
            match next.fetch_add(1, Ordering::Relaxed) {
                at if at < number => done.push((at, work(at)?)),
                _ => return Ok(done),
            }
        }
    };
    let taken = thread::scope(|scope| {
        let running: Vec<_> = (0..threads.clamp(1, number.max(1))).map(|_| scope.spawn(take)).collect();
        running.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let mut done: Vec<(usize, T)> = taken.into_iter().flatten().collect();
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// A thread's result; a panic in it is carried on here.
pub(crate) fn join<T>(worker: thread::ScopedJoinHandle<'_, T>) -> T {
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
