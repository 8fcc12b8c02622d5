//! Work divided between threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, Scope, ScopedJoinHandle};

use crate::error::Result;

/// Do `work` for 0 to `number` - 1, by `threads` threads; a thread that is free takes the next.
pub(crate) fn each<T: Send>(number: usize, threads: usize, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let take = |_| {
        let mut done = Vec::new();
        loop {
            match next.fetch_add(1, Ordering::Relaxed) {
                // Where one fails, nothing more is begun.
                at if at < number => {
                    done.push((at, work(at).inspect_err(|_| next.store(number, Ordering::Relaxed))?));
                }
                _ => return Ok(done),
            }
        }
    };
    let taken: Result<Vec<_>> = at_once(0..threads.clamp(1, number.max(1)), take).into_iter().collect();
    let mut done: Vec<(usize, T)> = taken?.into_iter().flatten().collect();
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// Do `work` with each of `items` at once: with the first here, with each other one in a thread of its own. What comes of
/// them is in their order.
pub(crate) fn at_once<I: Send, T: Send>(items: impl IntoIterator<Item = I>, work: impl Fn(I) -> T + Sync) -> Vec<T> {
    let (work, mut items) = (&work, items.into_iter());
    thread::scope(|scope| {
        let Some(first) = items.next() else { return vec![] };
        let running: Vec<_> = items.map(|item| start(scope, move || work(item))).collect();
        std::iter::once(work(first)).chain(running.into_iter().map(join)).collect()
    })
}

/// Work that was given to a thread, or done at once where the system had none to give.
pub(crate) enum Worker<'scope, T> {
    There(ScopedJoinHandle<'scope, T>),
    Here(T),
}

/// Do `work` in a thread of its own; where the system gives none, for want of memory say, here and now.
pub(crate) fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Worker<'scope, T> {
    start_as(Builder::new(), scope, work)
}

fn start_as<'scope, T: Send + 'scope>(
    thread: Builder,
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Worker<'scope, T> {
    // A thread that cannot be started takes with it what it was given, so that is left where both find it.
    let work = Arc::new(Mutex::new(Some(work)));
    let given = Arc::clone(&work);
    match thread.spawn_scoped(scope, move || done(&given)) {
        Ok(running) => Worker::There(running),
        Err(_) => Worker::Here(done(&work)),
    }
}

/// The work that is left there, done; it is taken once.
fn done<T>(work: &Mutex<Option<impl FnOnce() -> T>>) -> T {
    let taken = work.lock().unwrap_or_else(PoisonError::into_inner).take();
    taken.map_or_else(|| unreachable!("work is done once"), |work| work())
}

/// A worker's result; a panic in its thread is carried on here.
pub(crate) fn join<T>(worker: Worker<'_, T>) -> T {
    match worker {
        Worker::There(running) => running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        Worker::Here(done) => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_no_thread_the_work_is_done_here() {
        let here = thread::current().id();
        let found = thread::scope(|scope| {
            let none = start_as(Builder::new().stack_size(1 << 60), scope, || (7, thread::current().id()));
            assert!(matches!(none, Worker::Here(_)));
            [none, start(scope, || (8, thread::current().id()))].map(join)
        });
        assert_eq!(found[0], (7, here));
        assert_eq!(found[1].0, 8);
        assert_ne!(found[1].1, here);
    }
}
