//! Several jobs at once: on threads that are free, and within an amount of memory.
//!
//! What comes out depends on neither: jobs know nothing of each other, and results are taken in the order of the jobs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::apply::{Shared, Ticker};
use crate::container::Flaw;

/// How often whoever waits for threads asks whether to go on.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Results that wait for an earlier one, for each thread.
const AHEAD: usize = 2;

/// Threads that may work at once.
#[derive(Debug)]
pub(crate) struct Crew {
    /// Threads that are free, beside those that are at work.
    free: AtomicUsize,
}

/// A job's result, and its number.
struct Board<T, E> {
    next: usize,
    /// The first whose result was not taken yet.
    taken: usize,
    /// Memory of the jobs that run, and how many run.
    used: u64,
    running: usize,
    done: BTreeMap<usize, T>,
    error: Option<E>,
}

/// What the threads of one list of jobs share.
struct Work<'w, J, T, E, N> {
    jobs: &'w [J],
    memory: u64,
    need: N,
    ahead: usize,
    board: Mutex<Board<T, E>>,
    changed: Condvar,
    shared: Shared,
}

impl Crew {
    pub(crate) const fn new(threads: usize) -> Self {
        Self { free: AtomicUsize::new(threads.saturating_sub(1)) }
    }

    /// Does the jobs, and takes their results in their order. A job begins when as much memory is left as it needs, or none
    /// runs. The first error ends it.
    ///
    /// # Errors
    /// Of a job, of taking a result, or when it was stopped.
    pub(crate) fn each<J: Sync, T: Send, E: Send + From<Flaw>>(
        &self,
        jobs: &[J],
        (memory, need): (u64, impl Fn(&J) -> u64 + Sync),
        ticker: &mut Ticker<'_>,
        job: impl Fn(&J, &mut Ticker<'_>) -> Result<T, E> + Sync,
        mut take: impl FnMut(T, &mut Ticker<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let more = self.recruit(jobs.len().saturating_sub(1));
        if more == 0 {
            return jobs.iter().try_for_each(|one| take(job(one, ticker)?, ticker));
        }
        let board = Board { next: 0, taken: 0, used: 0, running: 0, done: BTreeMap::new(), error: None };
        let work = Work {
            jobs,
            memory,
            need,
            ahead: AHEAD * (more + 1),
            board: Mutex::new(board),
            changed: Condvar::new(),
            shared: Shared::default(),
        };
        thread::scope(|scope| {
            for _ in 0..=more {
                scope.spawn(|| work.work(&job));
            }
            work.watch(ticker, &mut take);
        });
        self.free.fetch_add(more, Ordering::Relaxed);
        let board = work.board.into_inner().unwrap_or_else(PoisonError::into_inner);
        board.error.map_or(Ok(()), Err)
    }

    /// As [`Self::each`], with all results at once.
    pub(crate) fn all<J: Sync, T: Send, E: Send + From<Flaw>>(
        &self,
        jobs: &[J],
        bounds: (u64, impl Fn(&J) -> u64 + Sync),
        ticker: &mut Ticker<'_>,
        job: impl Fn(&J, &mut Ticker<'_>) -> Result<T, E> + Sync,
    ) -> Result<Vec<T>, E> {
        let mut results = Vec::with_capacity(jobs.len());
        self.each(jobs, bounds, ticker, job, |result, _| {
            results.push(result);
            Ok(())
        })?;
        Ok(results)
    }

    /// Takes up to so many of the free threads.
    fn recruit(&self, wanted: usize) -> usize {
        let taken = |free: usize| Some(free - free.min(wanted));
        let free = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
        free.unwrap_or(0).min(wanted)
    }
}

/// A job at work. One that panics ends all: else nobody would hear of it.
struct Running<'w, 'j, J, T, E, N> {
    work: &'w Work<'j, J, T, E, N>,
    need: u64,
}

impl<'w, J, T, E, N> Running<'w, '_, J, T, E, N> {
    fn end(self) -> MutexGuard<'w, Board<T, E>> {
        let (work, need) = (self.work, self.need);
        std::mem::forget(self);
        work.ended(need)
    }
}

impl<J, T, E, N> Drop for Running<'_, '_, J, T, E, N> {
    fn drop(&mut self) {
        self.work.shared.stop();
        drop(self.work.ended(self.need));
        self.work.changed.notify_all();
    }
}

impl<J, T, E, N> Work<'_, J, T, E, N> {
    fn board(&self) -> MutexGuard<'_, Board<T, E>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a job of this need is not at work any more.
    fn ended(&self, need: u64) -> MutexGuard<'_, Board<T, E>> {
        let mut board = self.board();
        board.running -= 1;
        board.used = board.used.saturating_sub(need);
        board
    }
}

impl<J: Sync, T: Send, E: Send + From<Flaw>, N: Fn(&J) -> u64 + Sync> Work<'_, J, T, E, N> {
    /// What a thread does: job after job, until there are none, or one failed.
    fn work(&self, job: &(impl Fn(&J, &mut Ticker<'_>) -> Result<T, E> + Sync)) {
        let mut board = self.board();
        loop {
            let number = board.next;
            let Some(one) = self.jobs.get(number).filter(|_| board.error.is_none() && !self.shared.stopped())
            else {
                return;
            };
            let need = (self.need)(one);
            let fits = board.used.saturating_add(need) <= self.memory || board.running == 0;
            if !fits || number >= board.taken + self.ahead {
                board = self.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            board.next += 1;
            board.running += 1;
            board.used = board.used.saturating_add(need);
            drop(board);
            let running = Running { work: self, need };
            let result = job(one, &mut Ticker::shared(&self.shared));
            board = running.end();
            match result {
                Ok(result) => drop(board.done.insert(number, result)),
                Err(error) => self.fail(&mut board, error),
            }
            self.changed.notify_all();
        }
    }

    /// The first error counts: those behind it come of it.
    fn fail(&self, board: &mut Board<T, E>, error: E) {
        board.error.get_or_insert(error);
        self.shared.stop();
    }

    /// What the caller's thread does: it takes results, passes on how far the others are, and asks whether to go on.
    fn watch(&self, ticker: &mut Ticker<'_>, take: &mut impl FnMut(T, &mut Ticker<'_>) -> Result<(), E>) {
        let mut board = self.board();
        loop {
            let taken = board.taken;
            if let Some(result) = board.done.remove(&taken) {
                drop(board);
                let ended = take(result, ticker);
                board = self.board();
                board.taken += 1;
                if let Err(error) = ended {
                    self.fail(&mut board, error);
                }
                self.changed.notify_all();
                continue;
            }
            let ended = board.error.is_some() || self.shared.stopped() || board.taken == self.jobs.len();
            if ended && board.running == 0 {
                drop(board);
                // What was made since it was asked last.
                drop(self.shared.pass_on(ticker));
                return;
            }
            let waited = self.changed.wait_timeout(board, ASK_EVERY);
            drop(waited.unwrap_or_else(PoisonError::into_inner).0);
            let goes_on = self.shared.pass_on(ticker);
            board = self.board();
            if let Err(stopped) = goes_on {
                // Also when no job notices any more: what was not begun is missing.
                self.fail(&mut board, stopped.into());
            }
            // Whoever waits for memory learns that it was stopped.
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::apply::Progress;

    /// Does jobs of this need with so many threads and so much memory; the most memory and the most jobs at once.
    fn at_once(threads: usize, memory: u64, needs: &[u64]) -> (u64, u64, Vec<u64>) {
        let crew = Crew::new(threads);
        let (used, most) = (AtomicU64::new(0), AtomicU64::new(0));
        let (running, most_running) = (AtomicU64::new(0), AtomicU64::new(0));
        let mut go_on = |_: Progress| true;
        let mut ticker = Ticker::new(&mut go_on, 1);
        let work = |need: &u64, ticker: &mut Ticker<'_>| {
            most.fetch_max(used.fetch_add(*need, Ordering::SeqCst) + need, Ordering::SeqCst);
            most_running.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(5));
            ticker.made(1)?;
            running.fetch_sub(1, Ordering::SeqCst);
            used.fetch_sub(*need, Ordering::SeqCst);
            Ok::<_, Flaw>(*need)
        };
        let results = crew.all(needs, (memory, |need: &u64| *need), &mut ticker, work).unwrap();
        assert_eq!(crew.free.load(Ordering::SeqCst), threads.saturating_sub(1), "all are free again");
        (most.into_inner(), most_running.into_inner(), results)
    }

    #[test]
    fn results_stand_in_the_order_of_the_jobs_and_no_more_is_used_than_allowed() {
        let needs: Vec<u64> = (0..40).map(|number| 1 + number * 7 % 10).collect();
        for threads in [0, 1, 2, 5] {
            for memory in [1, 10, 25, u64::MAX] {
                let (most, running, results) = at_once(threads, memory, &needs);
                assert_eq!(results, needs);
                assert!(running <= threads.max(1) as u64, "{running} of {threads}");
                // What alone needs more than there is works alone.
                assert!(most <= memory.max(10), "{most} of {memory}");
            }
        }
        assert!(at_once(4, 10, &[]).2.is_empty());
    }

    #[test]
    fn jobs_within_jobs_take_threads_that_are_free_and_no_others() {
        let crew = Crew::new(3);
        let (running, most) = (AtomicU64::new(0), AtomicU64::new(0));
        let mut go_on = |_: Progress| true;
        let outer = |number: &u64, ticker: &mut Ticker<'_>| {
            let inner = |other: &u64, _: &mut Ticker<'_>| {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(2));
                running.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Flaw>(number * 10 + other)
            };
            crew.all(&[1, 2, 3, 4], (9, |_: &u64| 1), ticker, inner)
        };
        let all = crew.all(&[1, 2, 3, 4, 5], (9, |_: &u64| 1), &mut Ticker::new(&mut go_on, 1), outer);
        let expected: Vec<Vec<u64>> =
            (1..=5).map(|n| (1..=4).map(|other| n * 10 + other).collect()).collect();
        assert_eq!(all.unwrap(), expected);
        assert!(most.into_inner() <= 3);
    }

    #[test]
    fn who_stops_jobs_that_never_ask_is_not_told_that_they_are_done() {
        let asked = AtomicU64::new(0);
        // The only answer that counts is the first.
        let mut control = |_: Progress| asked.fetch_add(1, Ordering::SeqCst) > 0;
        let work = |number: &u64, _: &mut Ticker<'_>| {
            thread::sleep(Duration::from_millis(5));
            Ok::<_, Flaw>(*number)
        };
        let jobs: Vec<u64> = (0..1000).collect();
        let ended = Crew::new(3).all(&jobs, (9, |_: &u64| 1), &mut Ticker::new(&mut control, 1), work);
        assert!(matches!(ended, Err(Flaw::Cancelled)), "{} jobs", ended.map_or(0, |done| done.len()));
    }

    #[test]
    fn a_job_that_panics_ends_all_of_them() {
        let mut go_on = |_: Progress| true;
        let work = |number: &u64, _: &mut Ticker<'_>| {
            assert_ne!(*number, 3, "a fault in here");
            Ok::<_, Flaw>(())
        };
        let jobs: Vec<u64> = (0..1000).collect();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            Crew::new(3).all(&jobs, (9, |_: &u64| 1), &mut Ticker::new(&mut go_on, 1), work)
        }));
        assert!(panicked.is_err());
    }

    #[test]
    fn the_first_error_counts_and_nothing_is_begun_after_it() {
        let crew = Crew::new(2);
        let begun = AtomicU64::new(0);
        let mut go_on = |_: Progress| true;
        let jobs: Vec<u64> = (0..1000).collect();
        let work = |number: &u64, ticker: &mut Ticker<'_>| {
            begun.fetch_add(1, Ordering::SeqCst);
            ticker.made(1)?;
            if *number == 3 { Err(Flaw::Damaged) } else { Ok(()) }
        };
        let ended = crew.all(&jobs, (9, |_: &u64| 1), &mut Ticker::new(&mut go_on, 1), work);
        assert!(matches!(ended, Err(Flaw::Damaged)));
        assert!(begun.into_inner() < 20);
        // Of taking a result as well.
        let work = |number: &u64, _: &mut Ticker<'_>| Ok(*number);
        let ended = crew.each(&jobs, (9, |_: &u64| 1), &mut Ticker::new(&mut go_on, 1), work, |number, _| {
            if number == 5 { Err(Flaw::Damaged) } else { Ok(()) }
        });
        assert!(matches!(ended, Err(Flaw::Damaged)));
    }
}
