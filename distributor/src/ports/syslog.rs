//! How far the log has come on its way to a syslog receiver. A port because the HTTP floor shows it, and must not know what
//! sends it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sealpost_manifests::log::LogHead;

/// How far it is, as one who sends it says, and others ask.
#[derive(Debug, Default)]
pub struct SyslogProgress(Mutex<Option<Sending>>);

#[derive(Debug, Clone)]
struct Sending {
    target: String,
    sent: u64,
    /// Since when it lacks entries.
    behind_since: Option<Instant>,
    error: Option<String>,
    other: Option<LogHead>,
}

/// A receiver that was sent entries which the log does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogOther {
    /// As the configuration names it.
    pub target: String,
    /// The head of what it was sent.
    pub head: LogHead,
}

/// A receiver that does not have the whole log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogBehind {
    /// As the configuration names it.
    pub target: String,
    /// Entries that it was not sent yet.
    pub entries: u64,
    /// For how long it has not had all.
    pub since: Duration,
    pub error: Option<String>,
}

impl SyslogProgress {
    /// A receiver is configured, and has this many of the entries that there are. For the same one as before nothing begins
    /// anew: it may be tried again and again without success.
    pub fn begins(&self, target: String, sent: u64, size: u64) {
        let mut sending = self.lock();
        let before = sending.take().filter(|before| before.target == target);
        let (behind_since, error) = before.map_or((None, None), |before| (before.behind_since, before.error));
        let behind_since = (sent < size).then(|| behind_since.unwrap_or_else(Instant::now));
        *sending = Some(Sending { target, sent, behind_since, error, other: None });
    }

    /// It was sent entries that this log does not have, up to this head.
    pub fn was_sent(&self, other: Option<LogHead>) {
        if let Some(sending) = &mut *self.lock() {
            sending.other = other;
        }
    }

    /// What the receiver was sent and this log does not have.
    #[must_use]
    pub fn other(&self) -> Option<SyslogOther> {
        let sending = self.lock().clone()?;
        Some(SyslogOther { head: sending.other?, target: sending.target })
    }

    /// None is configured any more.
    pub fn ends(&self) {
        *self.lock() = None;
    }

    /// It has this many entries of those that there are.
    pub fn sent(&self, sent: u64, size: u64) {
        if let Some(sending) = &mut *self.lock() {
            if sent > sending.sent || sent >= size {
                sending.error = None;
            }
            sending.sent = sent;
            sending.behind_since = (sent < size).then(|| sending.behind_since.unwrap_or_else(Instant::now));
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
        let Sending { target, behind_since, error, .. } = sending;
        let since = behind_since.map_or(Duration::ZERO, |since| since.elapsed());
        Some(SyslogBehind { target, entries, since, error })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_is_tried_again_and_again_is_behind_since_it_lacks_entries_and_not_since_the_last_try()
    {
        let progress = SyslogProgress::default();
        let target = || "tcp://siem.example:601".to_owned();
        let since = || progress.0.lock().unwrap().as_ref().unwrap().behind_since;
        progress.begins(target(), 7, 7);
        assert_eq!((since(), progress.behind(7)), (None, None));
        progress.sent(7, 9);
        let began = since().unwrap();
        progress.failed("connection refused".to_owned());
        for _ in 0..3 {
            progress.begins(target(), 7, 9);
            assert_eq!(since(), Some(began));
            assert_eq!(progress.behind(9).unwrap().error.as_deref(), Some("connection refused"));
        }
        progress.sent(8, 9);
        assert_eq!((since(), progress.behind(9).unwrap().error), (Some(began), None));
        progress.sent(9, 9);
        assert_eq!((since(), progress.behind(9)), (None, None));
        progress.sent(9, 10);
        assert!(since().unwrap() >= began);
        progress.begins("tcp://other.example:601".to_owned(), 9, 9);
        assert_eq!(since(), None, "another receiver begins anew");
    }
}
