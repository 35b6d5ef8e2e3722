//! The definitions of RFC 6962, section 2.1, written down as they stand there, over all leaves at once.

use std::collections::HashMap;

use crate::digest::Sha256Digest;
use crate::log::{Frontier, LogHead, Node, NodeId, leaf_hash};

fn sha256(parts: &[&[u8]]) -> Sha256Digest {
    Sha256Digest::of(&parts.concat())
}

/// The largest power of two that is smaller than `n`.
fn split(n: usize) -> usize {
    let mut k = 1;
    while 2 * k < n {
        k *= 2;
    }
    k
}

/// `MTH(D[n])`.
pub(super) fn tree_hash(entries: &[Vec<u8>]) -> Sha256Digest {
    match entries {
        [] => sha256(&[]),
        [entry] => sha256(&[&[0], entry]),
        _ => {
            let (left, right) = entries.split_at(split(entries.len()));
            sha256(&[&[1], tree_hash(left).as_bytes(), tree_hash(right).as_bytes()])
        }
    }
}

/// `PATH(m, D[n])`.
pub(super) fn path(m: usize, entries: &[Vec<u8>]) -> Vec<Sha256Digest> {
    if entries.len() == 1 {
        return Vec::new();
    }
    let k = split(entries.len());
    let (left, right) = entries.split_at(k);
    let (mut hashes, sibling) = if m < k { (path(m, left), right) } else { (path(m - k, right), left) };
    hashes.push(tree_hash(sibling));
    hashes
}

/// `PROOF(m, D[n])`, and nothing for the sizes for which the RFC defines none.
pub(super) fn proof(m: usize, entries: &[Vec<u8>]) -> Vec<Sha256Digest> {
    if m == 0 || m == entries.len() { Vec::new() } else { subproof(m, entries, true) }
}

fn subproof(m: usize, entries: &[Vec<u8>], is_known: bool) -> Vec<Sha256Digest> {
    if m == entries.len() {
        return if is_known { Vec::new() } else { vec![tree_hash(entries)] };
    }
    let k = split(entries.len());
    let (left, right) = entries.split_at(k);
    let (mut hashes, sibling) = if m <= k {
        (subproof(m, left, is_known), tree_hash(right))
    } else {
        (subproof(m - k, right, false), tree_hash(left))
    };
    hashes.push(sibling);
    hashes
}

/// Entries that all differ, also in length; the first one is empty.
pub(super) fn entries(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| vec![u8::try_from(number).unwrap(); number]).collect()
}

/// A log that keeps its complete nodes as a store does, and refuses to write one twice.
#[derive(Default)]
pub(super) struct Store {
    pub(super) frontier: Frontier,
    nodes: HashMap<NodeId, Sha256Digest>,
}

impl Store {
    pub(super) fn of(entries: &[Vec<u8>]) -> Self {
        let mut store = Self::default();
        for entry in entries {
            store.append(entry);
        }
        store
    }

    pub(super) fn append(&mut self, entry: &[u8]) -> Vec<Node> {
        let completed = self.frontier.append(leaf_hash(entry));
        for node in &completed {
            assert_eq!(self.nodes.insert(node.id, node.hash), None, "{:?} was written twice", node.id);
        }
        completed
    }

    pub(super) fn load(&self, nodes: &[NodeId]) -> Vec<Sha256Digest> {
        nodes.iter().map(|id| self.nodes[id]).collect()
    }

    pub(super) fn head(&self) -> LogHead {
        self.frontier.head()
    }
}
