//! How far the log has come on its way to a syslog receiver. A port because the HTTP floor shows it, and must not know what
//! sends it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How far it is, as one who sends it says, and others ask.
#[derive(Debug, Default)]
pub struct SyslogProgress(Mutex<Option<Sending>>);

#[derive(Debug, Clone)]
struct Sending {
    target: String,
    sent: u64,
    caught_up_at: Instant,
    error: Option<String>,
}

/// A receiver that does not have the whole log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogBehind {
    /// As the configuration names it.
    pub target: String,
    /// Entries that it was not sent yet.
    pub entries: u64,
    /// How long ago it had all.
    pub since: Duration,
    pub error: Option<String>,
}

impl SyslogProgress {
    /// A receiver is configured, and has this many entries.
    pub fn begins(&self, target: String, sent: u64) {
        *self.lock() = Some(Sending { target, sent, caught_up_at: Instant::now(), error: None });
    }

    /// None is configured any more.
    pub fn ends(&self) {
        *self.lock() = None;
    }

    /// It has this many entries of those that there are.
    pub fn sent(&self, sent: u64, size: u64) {
        if let Some(sending) = &mut *self.lock() {
            sending.sent = sent;
            sending.error = None;
            if sent >= size {
                sending.caught_up_at = Instant::now();
            }
        }
    }

    /// It could not be reached, or did not take what was sent.
    pub fn failed(&self, error: String) {
        if let Some(sending) = &mut *self.lock() {
            sending.error = Some(error);
        }
    }

    /// What the receiver lacks of a log of this size; `None` if nothing, or if there is no receiver.
    #[must_use]
    pub fn behind(&self, size: u64) -> Option<SyslogBehind> {
        let sending = self.lock().clone()?;
        let entries = size.checked_sub(sending.sent).filter(|entries| *entries > 0)?;
        let Sending { target, caught_up_at, error, .. } = sending;
        Some(SyslogBehind { target, entries, since: caught_up_at.elapsed(), error })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
