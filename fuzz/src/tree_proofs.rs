//! Proofs over a Merkle tree: two sizes, an index and any hashes. The input is text: three numbers on the first line,
//! then the hashes as a consistency proof is written.
//!
//! The tree has up to 2^63 leaves, so it is made up: a node has a hash of its own unless the old size or the index lies
//! inside of it; then it is the hash of its children, as it has to be.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::log::{
    ConsistencyProof, Frontier, LogHead, MAX_LOG_SIZE, MAX_PROOF_HASHES, NodeId, ProofPlan, frontier_nodes,
    leaf_hash, node_hash, verify_consistency, verify_inclusion,
};

use crate::reading::text;

/// Most nodes that a plan loads: one for each level at both sides of a path.
const MAX_NODES: usize = 2 * 64;

/// Verifies any hashes as proofs, and the right hashes too.
pub(crate) fn tree_proofs(data: &[u8]) -> bool {
    let Some((numbers, proof)) = text(data).and_then(|text| text.split_once('\n')) else { return false };
    let numbers: Vec<u64> = numbers.split(' ').filter_map(|number| number.parse().ok()).collect();
    let (&[old, new, index], Ok(given)) = (numbers.as_slice(), proof.trim_end().parse::<ConsistencyProof>())
    else {
        return false;
    };
    plans(old, new, index);
    if old > MAX_LOG_SIZE || new > MAX_LOG_SIZE {
        assert!(
            Frontier::load(old.max(new), Vec::new()).is_err(),
            "a log of more entries than a store counts"
        );
        return false;
    }
    let tree = Tree { inside: [old, index] };
    let (old_head, new_head) = (tree.head(old), tree.head(new));
    let grown = consistency(&tree, &old_head, &new_head, given.hashes());
    inclusion(&tree, index, &new_head, given.hashes()) || grown
}

/// The inputs with the right hashes for these numbers: of the proof that the log grew, and of the leaf.
///
/// # Panics
/// When there are no such proofs.
#[must_use]
pub fn right_proofs(old: u64, new: u64, index: u64) -> [String; 2] {
    let tree = Tree { inside: [old, index] };
    let plans = [ProofPlan::consistency(old, new), ProofPlan::inclusion(index, new)];
    plans.map(|plan| {
        let hashes = tree.proof(&plan.expect("sizes and an index that fit"));
        let proof = ConsistencyProof::new(hashes).expect("no more hashes than a proof has");
        format!("{old} {new} {index}\n{proof}\n")
    })
}

/// A plan loads few nodes, whatever the sizes.
fn plans(old: u64, new: u64, index: u64) {
    let consistency = ProofPlan::consistency(old, new);
    assert_eq!(consistency.is_ok(), old <= new);
    let inclusion = ProofPlan::inclusion(index, new);
    assert_eq!(inclusion.is_ok(), index < new);
    for plan in [consistency, inclusion].into_iter().flatten() {
        let nodes = plan.nodes();
        assert!(nodes.len() <= MAX_NODES, "{} nodes", nodes.len());
        let hashes = vec![leaf_hash(b""); nodes.len()];
        assert!(plan.assemble(&hashes).is_ok_and(|proof| proof.len() <= MAX_PROOF_HASHES));
        assert!(plan.assemble(&[hashes.as_slice(), &[leaf_hash(b"")]].concat()).is_err());
    }
}

/// Given hashes show that one head extends the other only if they are the right ones.
fn consistency(tree: &Tree, old: &LogHead, new: &LogHead, given: &[Sha256Digest]) -> bool {
    let shown = verify_consistency(old, new, given).is_ok();
    let Ok(plan) = ProofPlan::consistency(old.size, new.size) else {
        assert!(!shown, "a log became shorter");
        return false;
    };
    let right = tree.proof(&plan);
    assert_eq!(verify_consistency(old, new, &right), Ok(()), "the right proof is refused");
    assert!(!shown || right == given, "a wrong proof is accepted");
    let other = LogHead { root: leaf_hash(b"another root"), ..*new };
    assert!(verify_consistency(old, &other, &right).is_err() || old.size == 0, "another log is accepted");
    shown
}

/// Given hashes show a leaf only if they are the right ones.
fn inclusion(tree: &Tree, index: u64, head: &LogHead, given: &[Sha256Digest]) -> bool {
    let leaf = tree.node(NodeId { level: 0, index });
    let shown = verify_inclusion(&leaf, index, head, given).is_ok();
    let Ok(plan) = ProofPlan::inclusion(index, head.size) else {
        assert!(!shown, "a leaf beyond the end is shown");
        return false;
    };
    let right = tree.proof(&plan);
    assert_eq!(verify_inclusion(&leaf, index, head, &right), Ok(()), "the right proof is refused");
    assert!(!shown || right == given, "a wrong proof is accepted");
    assert!(verify_inclusion(&leaf_hash(b"another entry"), index, head, &right).is_err());
    shown
}

/// A made-up tree.
struct Tree {
    /// Leaves, counted from 0, at which nodes are split.
    inside: [u64; 2],
}

impl Tree {
    fn node(&self, id: NodeId) -> Sha256Digest {
        let is_inside = |leaf: &u64| *leaf >> id.level == id.index;
        if id.level > 0 && self.inside.iter().any(is_inside) {
            let child = |side: u64| NodeId { level: id.level - 1, index: id.index << 1 | side };
            return node_hash(&self.node(child(0)), &self.node(child(1)));
        }
        Sha256Digest::of(&[&[id.level][..], &id.index.to_be_bytes()].concat())
    }

    fn head(&self, size: u64) -> LogHead {
        let peaks = frontier_nodes(size).into_iter().map(|id| self.node(id)).collect();
        Frontier::load(size, peaks).expect("the hashes of its own nodes").head()
    }

    fn proof(&self, plan: &ProofPlan) -> Vec<Sha256Digest> {
        let hashes: Vec<Sha256Digest> = plan.nodes().into_iter().map(|id| self.node(id)).collect();
        plan.assemble(&hashes).expect("the hashes of its own nodes")
    }
}
