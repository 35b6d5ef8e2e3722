//! The tree itself: its two hashes, the nodes that are complete for good, and the frontier from which it grows.
//!
//! A node is complete when all leaves under it exist; its hash then never changes, so a store writes it once. Every
//! root and every proof is made of complete nodes. The frontier holds the few of them that cover the whole log.

use serde::{Deserialize, Serialize};

use crate::digest::{Sha256Digest, Sha256Hasher};

/// Largest log that a frontier is loaded for: what a store's signed integers count.
pub const MAX_LOG_SIZE: u64 = i64::MAX.unsigned_abs();
/// What stands before the bytes of an entry, so that no entry can pass for an inner node.
const LEAF_PREFIX: &[u8] = &[0];
/// What stands before the two hashes of an inner node.
const NODE_PREFIX: &[u8] = &[1];

/// The hash of a leaf: SHA-256 over a zero byte and the entry's exact bytes.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Sha256Digest {
    let mut hasher = Sha256Hasher::new();
    hasher.update(LEAF_PREFIX);
    hasher.update(entry);
    hasher.finish()
}

/// The hash of an inner node: SHA-256 over a one byte and the hashes of its children.
#[must_use]
pub fn node_hash(left: &Sha256Digest, right: &Sha256Digest) -> Sha256Digest {
    let mut hasher = Sha256Hasher::new();
    hasher.update(NODE_PREFIX);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    hasher.finish()
}

/// The leaf of the entry with this sequence number; entries count from 1, leaves from 0.
#[must_use]
pub const fn leaf_of(sequence: u64) -> Option<u64> {
    sequence.checked_sub(1)
}

/// A log up to an entry: whoever holds one can find a later edit of what came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHead {
    /// How many entries the log has; also the sequence number of its newest entry.
    pub size: u64,
    /// The root of the Merkle tree over them.
    pub root: Sha256Digest,
}

impl LogHead {
    /// The head of a log without entries: its root is the SHA-256 of nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self { size: 0, root: Sha256Digest::of(b"") }
    }
}

/// Names a complete node: it covers the leaves from `index << level` on, `1 << level` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// Height above the leaves, which are at level 0.
    pub level: u8,
    /// Its place among the nodes of that level, from the left.
    pub index: u64,
}

/// A complete node with its hash, as a store keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Its place in the tree.
    pub id: NodeId,
    /// The hash over everything under it.
    pub hash: Sha256Digest,
}

/// The nodes that make up the frontier of a log of this size, in the order in which [`Frontier::load`] wants their
/// hashes. At most 64.
#[must_use]
pub fn frontier_nodes(size: u64) -> Vec<NodeId> {
    cover(0, size)
}

/// The largest complete nodes that cover `count` leaves from `start` on, from the left. `start` is a multiple of the
/// largest power of two in `count`, as it is for every subtree of RFC 6962.
pub(super) fn cover(start: u64, count: u64) -> Vec<NodeId> {
    let mut nodes = Vec::new();
    let mut at = start;
    for level in (0u8..64).rev().filter(|level| count >> level & 1 == 1) {
        nodes.push(NodeId { level, index: at >> level });
        at += 1 << level;
    }
    nodes
}

/// The hash of the subtree that these nodes of [`cover`] make up; that of an empty tree for none.
pub(super) fn combine(hashes: &[Sha256Digest]) -> Sha256Digest {
    let folded = hashes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
    folded.unwrap_or_else(|| LogHead::empty().root)
}

/// The loaded hashes are not those of a frontier of that size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{found} node hashes do not make a log of {size} entries: run `distributor log verify`")]
pub struct WrongNodes {
    /// The size that was asked for.
    pub size: u64,
    /// How many hashes there were.
    pub found: usize,
}

/// All that is needed to append to a log and to tell its head: the size and at most 63 hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// One hash for each bit that is set in `size`, from the highest on.
    peaks: Vec<Sha256Digest>,
}

impl Frontier {
    /// The frontier of a log without entries.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The frontier of a log of this size, out of the hashes of its [`frontier_nodes`].
    ///
    /// # Errors
    /// When their number is not the number of these nodes, or the size is over [`MAX_LOG_SIZE`].
    pub fn load(size: u64, hashes: Vec<Sha256Digest>) -> Result<Self, WrongNodes> {
        let found = hashes.len();
        if size > MAX_LOG_SIZE || usize::try_from(size.count_ones()) != Ok(found) {
            return Err(WrongNodes { size, found });
        }
        Ok(Self { size, peaks: hashes })
    }

    /// Appends a leaf. Answers with the nodes that became complete by it: the leaf first, then upwards.
    pub fn append(&mut self, leaf: Sha256Digest) -> Vec<Node> {
        let mut node = Node { id: NodeId { level: 0, index: self.size }, hash: leaf };
        let mut completed = vec![node];
        // A right child completes its parent; its left sibling is the last peak.
        while node.id.index & 1 == 1
            && let Some(left) = self.peaks.pop()
        {
            let id = NodeId { level: node.id.level + 1, index: node.id.index >> 1 };
            node = Node { id, hash: node_hash(&left, &node.hash) };
            completed.push(node);
        }
        self.peaks.push(node.hash);
        self.size += 1;
        completed
    }

    /// Number of entries in the log.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The log's head: its size and root.
    #[must_use]
    pub fn head(&self) -> LogHead {
        LogHead { size: self.size, root: combine(&self.peaks) }
    }
}
