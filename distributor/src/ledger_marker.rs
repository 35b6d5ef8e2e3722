//! The head of the log, noted outside of the ledger: shows at the next start that the ledger file was put back to an
//! older state, or is another one.
//!
//! Invariant: the noted head is never ahead of the ledger, because it is written after the commit. So a ledger that does
//! not have it is older, or another one. It is written at most once a minute and at the end, since it only has to be
//! near; a copy of the whole home takes it along, and is found by what the clients show.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sealpost_files::{PRIVATE, read_bounded, replace, with_causes};
use sealpost_keys::KeyError;
use sealpost_keys::token::random_bytes;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::document::{self, Document, DocumentError};
use sealpost_manifests::ids::{EraId, ServerId};
use sealpost_manifests::log::LogHead;
use sealpost_site::changes::Actor;
use sealpost_site::commands::restores::DeclareRestore;
use sealpost_site::rules::restore::RestoreCause;
use serde::{Deserialize, Serialize};

use crate::ports::clock::Clock;

/// At most this often: each write is flushed to the disk.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// Longest marker, in bytes.
const MAX_MARKER_BYTES: u64 = 4 * 1024;

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerMarker {
    pub server_id: ServerId,
    pub head: LogHead,
}

impl Document for LedgerMarker {
    const TYPE: &'static str = "ledger_marker";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        format!("ledger_marker server={}", self.server_id)
    }
}

/// Why the ledger could not be compared with its marker.
#[derive(Debug, thiserror::Error)]
pub enum MarkerError {
    #[error("cannot read the marker of the ledger, {path}; check its permissions")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "the marker of the ledger, {path}, is damaged, so it cannot be told whether the ledger was restored; if it was \
         not, remove that file and start again"
    )]
    Damaged {
        path: PathBuf,
        #[source]
        source: DocumentError,
    },
    #[error("cannot compare the ledger with its marker")]
    Ledger(#[from] LedgerError),
    /// There is no randomness.
    #[error("cannot name the time after a restore")]
    Random(#[from] KeyError),
}

/// Compares the ledger with its marker, and notes a restore if it does not have what is marked.
///
/// # Errors
/// [`MarkerError`]; then it is not known whether the ledger is the newest one.
pub async fn compare(ledger: &Ledger, path: &Path, clock: &dyn Clock) -> Result<(), MarkerError> {
    let found = read_bounded(path, MAX_MARKER_BYTES)
        .map_err(|source| MarkerError::File { path: path.to_owned(), source })?;
    let Some(bytes) = found else { return Ok(()) };
    let marker: LedgerMarker =
        document::read(&bytes).map_err(|source| MarkerError::Damaged { path: path.to_owned(), source })?;
    if ledger.had_head(marker.head).await? {
        return Ok(());
    }
    tracing::warn!(
        marked = marker.head.size,
        found = ledger.head().size,
        "the ledger does not have the entries that this server wrote; it was restored, and gives no new license before \
         the vendor confirms"
    );
    let new_era = EraId::from_random(random_bytes::<16>()?);
    let cause = RestoreCause::MarkerDiffers { marker: marker.head };
    let declare = DeclareRestore { actor: Actor::Server, cause, new_era };
    Ok(ledger.execute(clock.now(), declare).await?)
}

/// Keeps the marker near the ledger until that closes. That it cannot be written is logged.
pub async fn keep(ledger: Arc<Ledger>, path: PathBuf) {
    let mut commits = ledger.subscribe();
    let mut written = None;
    loop {
        let head = ledger.head();
        if written != Some(head) {
            let (path, server_id) = (path.clone(), ledger.server_id());
            let done =
                tokio::task::spawn_blocking(move || write(&path, &LedgerMarker { server_id, head })).await;
            match done {
                Ok(Ok(())) => written = Some(head),
                Ok(Err(error)) => {
                    tracing::error!(
                        error = with_causes(&error),
                        "the marker of the ledger cannot be written"
                    );
                }
                Err(error) => tracing::error!(%error, "the marker of the ledger cannot be written"),
            }
        }
        if commits.changed().await.is_err() {
            return;
        }
        // The ledger's end cuts the wait short: then the last head is written.
        let closed = async { while commits.changed().await.is_ok() {} };
        if tokio::time::timeout(WRITE_EVERY, closed).await.is_ok() && written == Some(ledger.head()) {
            return;
        }
    }
}

/// Writes the marker; durable at return.
pub(crate) fn write(path: &Path, marker: &LedgerMarker) -> io::Result<()> {
    let text = document::write(marker).map_err(io::Error::other)?;
    replace(path, text.as_bytes(), PRIVATE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_manifests::digest::Sha256Digest;

    #[test]
    fn the_marker_is_written_as_its_frozen_text() {
        let marker = LedgerMarker {
            server_id: ServerId::from_random([7; 16]),
            head: LogHead { size: 41, root: Sha256Digest::of(b"root") },
        };
        let frozen = r#"{"type":"ledger_marker","version":2,"server_id":"07070707070707070707070707070707","head":{"size":41,"root":"4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2"}}"#;
        assert_eq!(document::write(&marker).unwrap(), frozen);
        assert_eq!(document::read::<LedgerMarker>(frozen.as_bytes()).unwrap(), marker);
    }
}
