//! A file that shows an auditor that an entry stands in a server's log, without the log and without the server.
//!
//! It holds the entry's exact bytes, a proof in a format that other tools read, and the site key's certificate of the
//! log key. What has to be known beforehand is the site key alone.
//! Invariant: an entry comes out of [`LogProof::check`] only, after the whole way from the site key down to its bytes.
//! Left out on purpose: what the entry says, and whether the head is that of the log which others see; for that, hold
//! it against a head from elsewhere.

use sealpost_keys::note::SignedNote;
use sealpost_keys::{PublicKey, Verified};
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::{self, Document, DocumentError, SignedDocument};
use crate::ids::ServerId;

use super::certificate::{CertificateError, LogKeyCertificate};
use super::checkpoint::{Checkpoint, CheckpointError};
use super::merkle::{LogHead, leaf_hash};
use super::tlog_proof::{TlogProof, TlogProofError};
use super::verify::{ProofError, verify_inclusion};

/// Longest file that is read or written, in bytes. An entry has some KiB, a proof about two.
pub const MAX_LOG_PROOF_BYTES: usize = 1024 * 1024;

/// One entry of a log, and all that is needed to check that it stands there. Unverified.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogProof {
    /// The entry, exactly as the log holds it.
    pub entry: String,
    /// The proof, as [`TlogProof::write`] gives it.
    pub proof: String,
    /// The site key's [`LogKeyCertificate`].
    pub log_key: SignedDocument,
}

/// An entry that stands in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenEntry {
    /// Whose log it is.
    pub server_id: ServerId,
    /// The entry's leaf, counted from 0; its sequence number is one more.
    pub index: u64,
    /// The exact text.
    pub entry: String,
    /// The head of the log that it was proven for.
    pub head: LogHead,
}

/// Why a proof cannot be written, read or believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogProofError {
    /// The file is longer than any proof.
    #[error("a log proof of {bytes} bytes is over the limit of {MAX_LOG_PROOF_BYTES}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The entry is no text, so that it cannot stand in the file.
    #[error("the log entry is not UTF-8 text")]
    NotText,
    /// The file cannot be read or written.
    #[error("the log proof cannot be read")]
    Document(#[from] DocumentError),
    /// The site key does not vouch for the log key.
    #[error("the log proof's certificate is not accepted by this site key")]
    Certificate(#[from] CertificateError),
    /// The proof inside cannot be read.
    #[error("the proof inside the log proof cannot be read")]
    TlogProof(#[from] TlogProofError),
    /// The checkpoint is not the log's.
    #[error("the log proof's checkpoint is not accepted")]
    Checkpoint(#[from] CheckpointError),
    /// The hashes do not lead from the entry to the head.
    #[error("the log proof does not show that its entry stands in the log")]
    Inclusion(#[from] ProofError),
}

impl LogProof {
    /// A proof for the entry at `index`, counted from 0, with the hashes that lead to the checkpoint's root.
    ///
    /// # Errors
    /// [`LogProofError::NotText`] when the entry is not UTF-8.
    pub fn new(
        entry: Vec<u8>,
        index: u64,
        inclusion: Vec<Sha256Digest>,
        checkpoint: SignedNote,
        log_key: SignedDocument,
    ) -> Result<Self, LogProofError> {
        let entry = String::from_utf8(entry).map_err(|_| LogProofError::NotText)?;
        Ok(Self { entry, proof: TlogProof { index, inclusion, checkpoint }.write(), log_key })
    }

    /// Reads a file; nothing is verified.
    ///
    /// # Errors
    /// [`LogProofError`] when it is too long, or no log proof.
    pub fn read(bytes: &[u8]) -> Result<Self, LogProofError> {
        check_length(bytes.len())?;
        Ok(document::read(bytes)?)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// [`LogProofError::TooLong`] when nobody could read it.
    pub fn write(&self) -> Result<String, LogProofError> {
        let text = document::write(self)?;
        check_length(text.len())?;
        Ok(text)
    }

    /// Checks everything, given the site key: that it certified the log key, that this key signed the head, and that
    /// the entry stands under it.
    ///
    /// # Errors
    /// [`LogProofError`] with the first step that fails.
    pub fn check(&self, site_key: &PublicKey) -> Result<Verified<ProvenEntry>, LogProofError> {
        check_length(self.entry.len().saturating_add(self.proof.len()))?;
        let certificate = LogKeyCertificate::verify(&self.log_key, site_key)?;
        let proof = TlogProof::parse(&self.proof)?;
        let log_key = &certificate.log_key;
        let checkpoint = Checkpoint::verify(&proof.checkpoint, log_key, log_key.name())?;
        // The verified root pins the entry and its place, and the verified certificate the server.
        checkpoint.try_map(|Checkpoint { head, .. }| {
            verify_inclusion(&leaf_hash(self.entry.as_bytes()), proof.index, &head, &proof.inclusion)?;
            let server_id = certificate.server_id.clone();
            Ok(ProvenEntry { server_id, index: proof.index, entry: self.entry.clone(), head })
        })
    }
}

/// Not signed as a whole: each of its parts is signed, or pinned by one that is.
impl Document for LogProof {
    const TYPE: &'static str = "log_proof";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        "log_proof".to_owned()
    }
}

fn check_length(bytes: usize) -> Result<(), LogProofError> {
    if bytes > MAX_LOG_PROOF_BYTES { Err(LogProofError::TooLong { bytes }) } else { Ok(()) }
}
