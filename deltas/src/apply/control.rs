//! Who watches a delta being applied, and can stop it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::container::Flaw;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the target that are made.
    pub done: u64,
    /// Bytes of the whole target.
    pub whole: u64,
}

/// Is asked at least once for every 64 KiB of the target.
pub trait Control {
    /// Whether to go on; else applying ends with [`ApplyError::Cancelled`](crate::ApplyError::Cancelled).
    fn go_on(&mut self, progress: Progress) -> bool;
}

impl<F: FnMut(Progress) -> bool> Control for F {
    fn go_on(&mut self, progress: Progress) -> bool {
        self(progress)
    }
}

/// Counts what is made, and asks.
pub(crate) struct Ticker<'a> {
    tells: Tells<'a>,
    progress: Progress,
    counts: bool,
}

/// Who is told of it.
enum Tells<'a> {
    Control(&'a mut dyn Control),
    Shared(&'a Shared),
}

/// What several threads have made, until whoever waits for them passes it on.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    made: AtomicU64,
    stopped: AtomicBool,
}

impl Shared {
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Tells a ticker what was made since this was called last.
    pub(crate) fn pass_on(&self, ticker: &mut Ticker<'_>) -> Result<(), Flaw> {
        ticker.made_bytes(self.made.swap(0, Ordering::Relaxed))
    }
}

impl<'a> Ticker<'a> {
    pub(crate) fn new(control: &'a mut dyn Control, whole: u64) -> Self {
        Self { tells: Tells::Control(control), progress: Progress { done: 0, whole }, counts: true }
    }

    /// For one of several threads.
    pub(crate) const fn shared(shared: &'a Shared) -> Self {
        Self { tells: Tells::Shared(shared), progress: Progress { done: 0, whole: 0 }, counts: true }
    }

    /// For what is tried beside: it asks as often, and counts nothing.
    pub(crate) fn aside(&mut self) -> Ticker<'_> {
        let tells = match &mut self.tells {
            Tells::Control(control) => Tells::Control(&mut **control),
            Tells::Shared(shared) => Tells::Shared(shared),
        };
        Ticker { tells, progress: self.progress, counts: false }
    }

    /// So many bytes were made.
    pub(crate) fn made(&mut self, bytes: usize) -> Result<(), Flaw> {
        self.made_bytes(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    fn made_bytes(&mut self, bytes: u64) -> Result<(), Flaw> {
        let bytes = if self.counts { bytes } else { 0 };
        let goes_on = match &mut self.tells {
            Tells::Control(control) => {
                self.progress.done = self.progress.done.saturating_add(bytes);
                control.go_on(self.progress)
            }
            Tells::Shared(shared) => {
                shared.made.fetch_add(bytes, Ordering::Relaxed);
                !shared.stopped()
            }
        };
        if goes_on { Ok(()) } else { Err(Flaw::Cancelled) }
    }
}
