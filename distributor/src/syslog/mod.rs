//! The log on its way to a syslog receiver, which is a witness of it then: each entry is sent, in order, at least once.
//!
//! Invariants: how far it is, a note beside the text log says, and the note goes on only with what has arrived. So a kill, a
//! restart or a receiver that goes away has entries sent twice, and none left out. The note names the head, so that a log
//! which was put back or replaced is found: then all of it is sent again. Nothing of the server waits for any of this. Left
//! out on purpose: TLS; a relay on this computer or in its network does that.

mod message;
mod position;
mod receiver;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sealpost_files::with_causes;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::log::LogHead;
use sealpost_site::queries::{Activity, Restores};
use tokio::sync::watch;

use self::message::{Speaker, message};
use self::position::Position;
use self::receiver::Receiver;
use crate::config::SyslogTarget;
use crate::ports::syslog::SyslogProgress;

/// Entries that are read at once.
const PAGE: u32 = 200;
/// How long a stream waits for further entries before it is closed.
const LINGER: Duration = Duration::from_secs(2);
/// How long entries are sent before it is noted how far they have come.
const MOST_AT_ONCE: Duration = Duration::from_secs(10);
/// Pauses after a failure: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Why the log does not come to its receiver.
#[derive(Debug, thiserror::Error)]
enum SyslogError {
    #[error("cannot send the log to {target}")]
    Send { target: String, source: io::Error },
    #[error("cannot note in {folder} how far the log was sent")]
    Note { folder: PathBuf, source: io::Error },
    #[error("cannot read the log for syslog")]
    Ledger(#[from] LedgerError),
}

/// Follows a ledger until it closes. Safe to stop at any time and to start again.
pub async fn keep(
    ledger: Arc<Ledger>,
    folder: PathBuf,
    mut targets: watch::Receiver<Option<SyslogTarget>>,
    progress: Arc<SyslogProgress>,
) {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let speaker = Speaker { server_id: ledger.server_id(), host: host.trim().to_owned() };
    let mut news = ledger.subscribe();
    let mut pause = FIRST_PAUSE;
    loop {
        let target = targets.borrow_and_update().clone();
        let Some(target) = target else {
            progress.ends();
            tokio::select! {
                // Looked at once more only to hear that the ledger has closed.
                changed = news.changed() => if changed.is_err() { return },
                changed = targets.changed() => if changed.is_err() { return },
            }
            continue;
        };
        let mut sender =
            Sender { ledger: &ledger, folder: &folder, speaker: &speaker, target, news: &mut news };
        let followed = tokio::select! {
            followed = sender.follow(&progress, &mut pause) => followed,
            changed = targets.changed() => {
                if changed.is_err() {
                    return;
                }
                pause = FIRST_PAUSE;
                continue;
            }
        };
        let error = match followed {
            Ok(()) | Err(SyslogError::Ledger(LedgerError::Closed)) => return,
            Err(error) => with_causes(&error),
        };
        tracing::warn!(error, "the log is not sent to syslog; it is tried again");
        progress.failed(error);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = targets.changed() => if changed.is_err() { return },
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

struct Sender<'a> {
    ledger: &'a Ledger,
    folder: &'a Path,
    speaker: &'a Speaker,
    target: SyslogTarget,
    news: &'a mut watch::Receiver<u64>,
}

impl Sender<'_> {
    /// Sends what comes until the ledger closes.
    async fn follow(&mut self, progress: &SyslogProgress, pause: &mut Duration) -> Result<(), SyslogError> {
        let Position { sent: mut done, root: _, other } = self.position().await?;
        progress.begins(self.target.to_string(), done, self.ledger.head().size);
        progress.was_sent(other);
        loop {
            let _ = self.news.borrow_and_update();
            let size = self.ledger.head().size;
            if done < size {
                progress.sent(done, size);
                done = self.deliver(done).await?;
                self.note(done, other).await?;
                progress.sent(done, self.ledger.head().size);
                *pause = FIRST_PAUSE;
                continue;
            }
            progress.sent(done, size);
            if self.news.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    /// Where to go on. The ledger may have been restored or replaced since the note was written: then what it has in place of
    /// the entries that were sent is not known, and all of it is sent.
    async fn position(&self) -> Result<Position, SyslogError> {
        let noted = in_files(self.folder, position::read).await?;
        let size = self.ledger.head().size;
        let Some(root) = noted.root else {
            // Of a version that noted no root.
            let sent = noted.sent.min(size);
            self.note(sent, noted.other).await?;
            return Ok(Position { sent, ..noted });
        };
        let head = LogHead { size: noted.sent, root };
        if self.ledger.had_head(head).await? {
            return Ok(noted);
        }
        // Of a restore that nobody has acknowledged yet an alarm tells already.
        let restored = self.ledger.query(Restores {}).await?.restored;
        let is_told = restored.is_some_and(|restored| restored.acknowledged.is_none());
        let other = if is_told { noted.other } else { Some(head) };
        tracing::warn!(size = noted.sent, %root, "the log is not the one that was sent to syslog; all of it is sent again");
        self.note(0, other).await?;
        Ok(Position { sent: 0, root: None, other })
    }

    async fn note(&self, sent: u64, other: Option<LogHead>) -> Result<(), SyslogError> {
        let root = self.ledger.head_at(sent).await?.map(|head| head.root);
        in_files(self.folder, move |folder| position::write(folder, &Position { sent, root, other })).await
    }

    /// Sends what comes after an entry, until nothing does or enough is on its way; answers the last that has arrived.
    async fn deliver(&mut self, after: u64) -> Result<u64, SyslogError> {
        let target = self.target.to_string();
        let failed = |source| SyslogError::Send { target: target.clone(), source };
        let mut receiver = Receiver::connect(&self.target).await.map_err(failed)?;
        let mut sent = after;
        let end = after.saturating_add(receiver.most_messages());
        // A trickle that never ends is noted now and then, or a kill has all of it sent again.
        let began = Instant::now();
        while sent < end && began.elapsed() < MOST_AT_ONCE {
            let _ = self.news.borrow_and_update();
            let limit = u32::try_from(end - sent).unwrap_or(PAGE).min(PAGE);
            let page = Activity { after: sent, limit: Some(limit), ..Activity::default() };
            let entries = self.ledger.query(page).await?;
            if entries.is_empty() {
                let more = tokio::time::timeout(LINGER, self.news.changed());
                if !receiver.waits() || !matches!(more.await, Ok(Ok(()))) {
                    break;
                }
            }
            for entry in &entries {
                if let Some(message) = message(self.speaker, entry, receiver.most_bytes()) {
                    receiver.send(&message).await.map_err(failed)?;
                }
                sent = entry.entry.sequence();
            }
        }
        receiver.arrived().await.map_err(failed)?;
        Ok(sent)
    }
}

async fn in_files<T, F>(folder: &Path, work: F) -> Result<T, SyslogError>
where
    T: Send + 'static,
    F: FnOnce(&Path) -> io::Result<T> + Send + 'static,
{
    let owned = folder.to_owned();
    let done = tokio::task::spawn_blocking(move || work(&owned))
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|source| SyslogError::Note { folder: folder.to_owned(), source })
}

#[cfg(test)]
mod tests;
