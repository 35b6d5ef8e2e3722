//! The activity log as a transparency log: an RFC 6962 Merkle tree over the exact bytes of its entries.
//!
//! Entry *s* of the ledger (counted from 1) is leaf *s* − 1, and a head is the number of entries with the tree's root.
//! Whoever holds two heads and a consistency proof knows that the newer log only added entries; whoever holds a head
//! and an inclusion proof knows that an entry stands in the log. Neither needs the log.
//! Invariant: a head from outside counts only out of a verified checkpoint or another verified document, and proofs
//! are checked by code that shares nothing with the code which makes them but the two hashes.
//! Left out on purpose: storage. A store keeps the complete nodes that [`Frontier::append`] names, and loads those
//! that a [`ProofPlan`] asks for. Also what an entry says: it is bytes here.

mod certificate;
mod checkpoint;
mod consistency;
mod export;
mod log_proof;
mod merkle;
mod plan;
mod text;
mod tlog_proof;
mod verify;

pub use certificate::{CertificateError, LogKeyCertificate};
pub use checkpoint::{Checkpoint, CheckpointError, origin};
pub use consistency::ConsistencyProof;
pub use export::{
    ExportError, ExportReader, ExportedLog, LogExport, MAX_EXPORT_ENTRY_BYTES, MAX_EXPORT_HEADER_BYTES,
};
pub use log_proof::{LogProof, LogProofError, MAX_LOG_PROOF_BYTES, ProvenEntry};
pub use merkle::{
    Frontier, LogHead, MAX_LOG_SIZE, Node, NodeId, WrongNodes, frontier_nodes, leaf_hash, leaf_of, node_hash,
};
pub use plan::{PlanError, ProofPlan};
pub use tlog_proof::{MAX_TLOG_PROOF_BYTES, TlogProof, TlogProofError};
pub use verify::{MAX_PROOF_HASHES, ProofError, verify_consistency, verify_inclusion};

#[cfg(test)]
mod tests;
