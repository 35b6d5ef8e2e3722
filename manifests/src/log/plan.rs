//! Makes proofs out of stored nodes, in two steps without a store in between: which nodes to load, and the proof that
//! their hashes make.
//!
//! A hash of an RFC 6962 proof stands for a subtree. All but one of them are complete nodes; the one at the right edge
//! of the tree is made of several. So a plan asks for at most about twice as many nodes as the tree is high.
//! The root at an earlier size needs no plan: see [`frontier_nodes`](super::frontier_nodes).

use crate::digest::Sha256Digest;

use super::merkle::{NodeId, combine, cover};

/// Why there is no such proof, or it cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The entry is not in a log of that size.
    #[error("leaf {index} is not in a log of {size} entries")]
    NoSuchLeaf {
        /// The leaf, counted from 0.
        index: u64,
        /// Size of the log.
        size: u64,
    },
    /// The older log is the longer one.
    #[error("a log of {new} entries cannot extend one of {old}")]
    Shrinks {
        /// Size of the older log.
        old: u64,
        /// Size of the newer log.
        new: u64,
    },
    /// Not one hash for each node of the plan.
    #[error("the proof needs {needed} stored nodes and got {found}: run `distributor log verify`")]
    WrongNodes {
        /// Nodes of the plan.
        needed: usize,
        /// Hashes that were given.
        found: usize,
    },
}

/// How a proof is made of stored nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofPlan {
    /// For each hash of the proof, the complete nodes that it is made of, from the left.
    parts: Vec<Vec<NodeId>>,
}

impl ProofPlan {
    /// The proof that a leaf, counted from 0, stands in a log of this size: `PATH(index, D[size])`, RFC 6962,
    /// section 2.1.1.
    ///
    /// # Errors
    /// When the log has no such leaf.
    pub fn inclusion(index: u64, size: u64) -> Result<Self, PlanError> {
        if index >= size {
            return Err(PlanError::NoSuchLeaf { index, size });
        }
        let mut subtree = Subtree { start: 0, count: size };
        let mut parts = Vec::new();
        while let Some((left, right)) = subtree.children() {
            let (sibling, inner) = if index < right.start { (right, left) } else { (left, right) };
            parts.push(sibling.nodes());
            subtree = inner;
        }
        parts.reverse();
        Ok(Self { parts })
    }

    /// The proof that a log of size `new` extends the one of size `old`: `PROOF(old, D[new])`, RFC 6962, section
    /// 2.1.2. It is empty if the older log has no entries, or all of them.
    ///
    /// # Errors
    /// When the older log is the longer one.
    pub fn consistency(old: u64, new: u64) -> Result<Self, PlanError> {
        if old > new {
            return Err(PlanError::Shrinks { old, new });
        }
        let mut parts = Vec::new();
        if old == 0 || old == new {
            return Ok(Self { parts });
        }
        let mut subtree = Subtree { start: 0, count: new };
        while subtree.start + subtree.count != old
            && let Some((left, right)) = subtree.children()
        {
            let (sibling, inner) = if old <= right.start { (right, left) } else { (left, right) };
            parts.push(sibling.nodes());
            subtree = inner;
        }
        // The older root itself is known to whoever holds the older head.
        if subtree.start != 0 {
            parts.push(subtree.nodes());
        }
        parts.reverse();
        Ok(Self { parts })
    }

    /// The nodes to load, in the order in which [`Self::assemble`] wants their hashes.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.parts.iter().flatten().copied().collect()
    }

    /// The proof, out of the hashes of [`Self::nodes`].
    ///
    /// # Errors
    /// When there is not one hash for each node.
    pub fn assemble(&self, hashes: &[Sha256Digest]) -> Result<Vec<Sha256Digest>, PlanError> {
        let needed = self.parts.iter().map(Vec::len).sum();
        let wrong = PlanError::WrongNodes { needed, found: hashes.len() };
        if hashes.len() != needed {
            return Err(wrong);
        }
        let mut rest = hashes;
        let mut proof = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let (of_part, others) = rest.split_at_checked(part.len()).ok_or(wrong)?;
            proof.push(combine(of_part));
            rest = others;
        }
        Ok(proof)
    }
}

/// A subtree of RFC 6962: `D[start : start + count]`.
#[derive(Clone, Copy)]
struct Subtree {
    start: u64,
    count: u64,
}

impl Subtree {
    /// The left child has the largest power of two that is smaller than the whole. A leaf has none.
    fn children(self) -> Option<(Self, Self)> {
        let before_last = self.count.checked_sub(1).filter(|before| *before > 0)?;
        let left = 1 << before_last.ilog2();
        Some((
            Self { start: self.start, count: left },
            Self { start: self.start + left, count: self.count - left },
        ))
    }

    fn nodes(self) -> Vec<NodeId> {
        cover(self.start, self.count)
    }
}
