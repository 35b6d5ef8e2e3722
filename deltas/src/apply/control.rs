//! Who watches a delta being applied, and can stop it.

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
    control: &'a mut dyn Control,
    progress: Progress,
    counts: bool,
}

impl<'a> Ticker<'a> {
    pub(crate) fn new(control: &'a mut dyn Control, whole: u64) -> Self {
        Self { control, progress: Progress { done: 0, whole }, counts: true }
    }

    /// For what is tried beside: it asks as often, and counts nothing.
    pub(crate) fn aside(&mut self) -> Ticker<'_> {
        Ticker { control: &mut *self.control, progress: self.progress, counts: false }
    }

    /// So many bytes were made.
    pub(crate) fn made(&mut self, bytes: usize) -> Result<(), Flaw> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.counts {
            self.progress.done = self.progress.done.saturating_add(bytes);
        }
        if self.control.go_on(self.progress) { Ok(()) } else { Err(Flaw::Cancelled) }
    }
}
