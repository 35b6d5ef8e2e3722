//! Proofs of single entries in the format `c2sp.org/tlog-proof@v1`, which other tools check too.
//!
//! Invariant: what is read is bounded, and unverified: the hashes mean something only under the root of a verified
//! checkpoint. Left out on purpose: the format's `extra` line is read over and never written, because nothing covers
//! it.

use sealpost_keys::note::{MAX_NOTE_BYTES, NoteError, SignedNote};

use crate::digest::Sha256Digest;

use super::text::{base64, decimal, hash};
use super::verify::MAX_PROOF_HASHES;

/// Longest proof that is read, in bytes: a checkpoint with its cosignatures, and 8 KiB for index, hashes and extra
/// data.
pub const MAX_TLOG_PROOF_BYTES: usize = MAX_NOTE_BYTES + 8 * 1024;
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// An entry's place in a log, the hashes that lead from it to the root, and the checkpoint with the root. Unverified.
#[derive(Debug, Clone)]
pub struct TlogProof {
    /// The leaf, counted from 0.
    pub index: u64,
    /// From the leaf's sibling upwards.
    pub inclusion: Vec<Sha256Digest>,
    /// The log's head that the hashes lead to.
    pub checkpoint: SignedNote,
}

/// Why a text is no such proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlogProofError {
    /// Longer than any proof.
    #[error("a proof of {bytes} bytes is over the limit of {MAX_TLOG_PROOF_BYTES}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// Another format, or a later version of it.
    #[error("not a proof in the format {HEADER}")]
    OtherFormat,
    /// Not an index, hashes, an empty line and a checkpoint.
    #[error("a proof in the format {HEADER} cannot be read: expected an index, hashes and a checkpoint")]
    Malformed,
    /// The checkpoint is no signed note.
    #[error("the checkpoint in a proof cannot be read")]
    Checkpoint(#[from] NoteError),
}

impl TlogProof {
    /// Reads a proof; nothing is verified.
    ///
    /// # Errors
    /// [`TlogProofError`].
    pub fn parse(text: &str) -> Result<Self, TlogProofError> {
        if text.len() > MAX_TLOG_PROOF_BYTES {
            return Err(TlogProofError::TooLong { bytes: text.len() });
        }
        let rest = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n'));
        let (lines, checkpoint) =
            rest.ok_or(TlogProofError::OtherFormat)?.split_once("\n\n").ok_or(TlogProofError::Malformed)?;
        let (index, inclusion) = parse_lines(lines).ok_or(TlogProofError::Malformed)?;
        Ok(Self { index, inclusion, checkpoint: SignedNote::parse(checkpoint)? })
    }

    /// The proof as text.
    #[must_use]
    pub fn write(&self) -> String {
        let hashes: String = self.inclusion.iter().map(|hash| base64(hash) + "\n").collect();
        format!("{HEADER}\nindex {}\n{hashes}\n{}", self.index, self.checkpoint.as_str())
    }
}

/// The index and the hashes, which stand between the header and the empty line.
fn parse_lines(lines: &str) -> Option<(u64, Vec<Sha256Digest>)> {
    let mut lines = lines.split('\n').peekable();
    lines.next_if(|line| line.starts_with("extra "));
    let index = decimal(lines.next()?.strip_prefix("index ")?)?;
    if lines.clone().nth(MAX_PROOF_HASHES).is_some() {
        return None;
    }
    let hashes: Option<Vec<_>> = lines.map(hash).collect();
    Some((index, hashes?))
}
