//! A ledger file that claims a million entries, made in no time.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, params};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::log::{Frontier, LogHead, NodeId, ProofPlan, frontier_nodes, leaf_hash, node_hash};
use sealpost_site::changes::chain::place_of;

/// Entries of a log that a site of thousands of computers has after years.
pub(super) const MILLION: u64 = 1_000_000;
const FILLER: &[u8] = b"an entry of years ago";

/// A log of a million entries, all alike but the first, which is that of the file: so each of its nodes is computed
/// from a few hashes, and only the rows that are looked up have to be there.
pub(super) struct LongLog {
    first: Sha256Digest,
    /// The hash of a node over entries that are all alike, by level.
    alike: Vec<Sha256Digest>,
}

impl LongLog {
    pub(super) fn after(first: Sha256Digest) -> Self {
        let leaf = leaf_hash(FILLER);
        let alike = std::iter::successors(Some(leaf), |below| Some(node_hash(below, below))).take(21);
        Self { first, alike: alike.collect() }
    }

    fn hash(&self, id: NodeId) -> Sha256Digest {
        match (id.index, id.level.checked_sub(1)) {
            (0, None) => self.first,
            (0, Some(level)) => {
                node_hash(&self.hash(NodeId { level, index: 0 }), &self.alike[usize::from(level)])
            }
            _ => self.alike[usize::from(id.level)],
        }
    }

    /// The head of the first so many entries.
    pub(super) fn head(&self, size: u64) -> LogHead {
        let hashes = frontier_nodes(size).into_iter().map(|id| self.hash(id)).collect();
        Frontier::load(size, hashes).unwrap().head()
    }

    /// Puts in the newest entry, and those that hold the nodes of its frontier and of proofs from these sizes.
    pub(super) fn write(&self, path: &Path, held: &[u64]) {
        let plans = held.iter().flat_map(|held| ProofPlan::consistency(*held, MILLION).unwrap().nodes());
        // What is appended later makes other cuts: the frontier of each held size is looked up as well.
        let frontiers = held.iter().chain([&MILLION]).flat_map(|size| frontier_nodes(*size));
        let mut rows: BTreeSet<u64> = plans.chain(frontiers).map(|id| place_of(id).0).collect();
        rows.extend([MILLION]);
        let connection = Connection::open(path).unwrap();
        for sequence in rows.into_iter().filter(|sequence| *sequence > 1) {
            let completed = (1..=sequence.trailing_zeros()).map(|level| {
                let level = u8::try_from(level).unwrap();
                *self.hash(NodeId { level, index: (sequence >> level) - 1 }).as_bytes()
            });
            let nodes: Vec<u8> = completed.flatten().collect();
            let leaf = self.hash(NodeId { level: 0, index: sequence - 1 });
            let sql = "INSERT INTO activity (sequence, at, kind, entry, leaf, nodes) VALUES (?1, 0, 'old', ?2, ?3, ?4)";
            let values = params![i64::try_from(sequence).unwrap(), FILLER, leaf.as_bytes(), nodes];
            connection.execute(sql, values).unwrap();
        }
    }
}
