//! A ledger file with a million entries, all alike.

use std::path::Path;

use rusqlite::{Connection, params};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::log::{Frontier, LogHead, NodeId, frontier_nodes, leaf_hash, node_hash};

/// Entries of a log that a site of thousands of computers has after years.
pub(super) const MILLION: u64 = 1_000_000;
const FILLER: &[u8] = b"an entry of years ago";

/// A log of a million entries, all alike but the first, which is that of the file: so each of its nodes is computed
/// from a few hashes.
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

    /// Puts every entry in, with the nodes that it completes.
    pub(super) fn write(&self, path: &Path) {
        let mut connection = Connection::open(path).unwrap();
        let writing = connection.transaction().unwrap();
        let sql =
            "INSERT INTO activity (sequence, at, kind, entry, leaf, nodes) VALUES (?1, 0, 'old', ?2, ?3, ?4)";
        let mut statement = writing.prepare(sql).unwrap();
        for sequence in 2..=MILLION {
            let completed = (1..=sequence.trailing_zeros()).map(|level| {
                let level = u8::try_from(level).unwrap();
                *self.hash(NodeId { level, index: (sequence >> level) - 1 }).as_bytes()
            });
            let nodes: Vec<u8> = completed.flatten().collect();
            let leaf = self.hash(NodeId { level: 0, index: sequence - 1 });
            let values = params![i64::try_from(sequence).unwrap(), FILLER, leaf.as_bytes(), nodes];
            statement.execute(values).unwrap();
        }
        drop(statement);
        writing.commit().unwrap();
    }
}
