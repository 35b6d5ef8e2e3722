//! Checkpoints (`c2sp.org/tlog-checkpoint`): a log's head as a signed note, which other tools read and cosign.
//!
//! Invariant: a checkpoint comes out of [`Checkpoint::verify`] only, for the origin that the caller expects. Extension
//! lines are passed over when they are read, and never written: nothing of ours is decided on them.

use sealpost_keys::Verified;
use sealpost_keys::note::{LogKey, LogPublicKey, NoteError, SignedNote};

use crate::ids::ServerId;

use super::merkle::LogHead;
use super::text::{base64, decimal, hash};

/// Most extension lines that are passed over.
const MAX_EXTENSION_LINES: usize = 16;

/// What the origins of all our logs begin with: a name without a scheme, as the format asks for.
const ORIGIN_PREFIX: &str = "sealpost.log/";

/// The origin of a server's log: the first line of its checkpoints, and the name of its log key.
#[must_use]
pub fn origin(server: &ServerId) -> String {
    format!("{ORIGIN_PREFIX}{server}")
}

/// The head of a log, and which log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: see [`origin`].
    pub origin: String,
    /// How far it reaches, and its root.
    pub head: LogHead,
}

/// Why a checkpoint is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The note is not signed by the log's key.
    #[error("the signature of a checkpoint is not accepted")]
    Note(#[from] NoteError),
    /// A well signed note that is no checkpoint.
    #[error("a note of the log's key is no checkpoint: expected an origin, a size and a root hash")]
    Malformed,
    /// A checkpoint of another log.
    #[error("the checkpoint is of the log {found:?}, not of {expected:?}")]
    OtherOrigin {
        /// The origin that the caller expects.
        expected: String,
        /// The origin in the checkpoint, cut to 80 characters.
        found: String,
    },
}

impl Checkpoint {
    /// Signs the head of the log whose key this is: the key's name is the origin.
    ///
    /// # Errors
    /// [`NoteError`], which a key with a valid name rules out.
    pub fn sign(head: &LogHead, key: &LogKey) -> Result<SignedNote, NoteError> {
        let text = format!("{}\n{}\n{}\n", key.public().name(), head.size, base64(&head.root));
        SignedNote::sign(&text, key)
    }

    /// Verifies a note with the log's key, and only then parses it.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn verify(
        note: &SignedNote,
        key: &LogPublicKey,
        origin: &str,
    ) -> Result<Verified<Self>, CheckpointError> {
        note.verify(key)?.try_map(|text| {
            let checkpoint = parse(&text).ok_or(CheckpointError::Malformed)?;
            if checkpoint.origin != origin {
                return Err(CheckpointError::OtherOrigin {
                    expected: origin.to_owned(),
                    found: checkpoint.origin.chars().take(80).collect(),
                });
            }
            Ok(checkpoint)
        })
    }
}

/// Reads the three lines of a checkpoint; `None` for another shape.
fn parse(text: &str) -> Option<Checkpoint> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let origin = lines.next().filter(|origin| !origin.is_empty())?.to_owned();
    let size = decimal(lines.next()?)?;
    let root = hash(lines.next()?)?;
    let is_bounded = lines.clone().nth(MAX_EXTENSION_LINES).is_none();
    let head = LogHead { size, root };
    (is_bounded && lines.all(|extension| !extension.is_empty())).then_some(Checkpoint { origin, head })
}
