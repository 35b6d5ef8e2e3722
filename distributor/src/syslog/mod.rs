//! The log on its way to a syslog receiver, which is a witness of it then: each entry is sent, in order, at least once.
//!
//! Invariants: how far it is, a note beside the text log says, and the note goes on only with what has arrived. So a kill, a
//! restart or a receiver that goes away has entries sent twice, and none left out. Nothing of the server waits for any of
//! this. Left out on purpose: TLS; a relay on this computer or in its network does that.

mod message;
mod receiver;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sealpost_files::{PRIVATE, PRIVATE_FOLDER, make_folder, read_bounded, replace, with_causes};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_site::queries::Activity;
use tokio::sync::watch;

use self::message::{Speaker, message};
use self::receiver::Receiver;
use crate::config::SyslogTarget;
use crate::ports::syslog::SyslogProgress;

/// Name of the note that says how far it is.
const NOTE: &str = "syslog.position";
/// Longest note, in bytes: more than a number and a line's end.
const MAX_NOTE_BYTES: u64 = 64;
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
        // The ledger may have been restored from an older state than the note; then it continues from there.
        let noted = in_files(self.folder, noted).await?;
        let mut done = noted.min(self.ledger.head().size);
        progress.begins(self.target.to_string(), done, self.ledger.head().size);
        loop {
            let _ = self.news.borrow_and_update();
            let size = self.ledger.head().size;
            if done < size {
                progress.sent(done, size);
                done = self.deliver(done).await?;
                in_files(self.folder, move |folder| note(folder, done)).await?;
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

/// The last entry that has arrived, as noted; 0 if there is no note, or one that cannot be read: then all are sent again.
fn noted(folder: &Path) -> io::Result<u64> {
    let bytes = read_bounded(&folder.join(NOTE), MAX_NOTE_BYTES)?.unwrap_or_default();
    let text = std::str::from_utf8(&bytes).ok();
    Ok(text.and_then(|text| text.strip_suffix('\n')?.parse().ok()).unwrap_or(0))
}

fn note(folder: &Path, done: u64) -> io::Result<()> {
    make_folder(folder, PRIVATE_FOLDER)?;
    replace(&folder.join(NOTE), format!("{done}\n").as_bytes(), PRIVATE)
}

#[cfg(test)]
mod tests;
