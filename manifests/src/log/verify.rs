//! Checks proofs of others, by the algorithms of RFC 9162, sections 2.1.3.2 and 2.1.4.2.
//!
//! Invariant: nothing is believed but the head that the caller holds. The work is bounded by the height of the tree,
//! whatever stands in the proof. Left out on purpose: everything that makes proofs ([`super::plan`]), so that an error
//! there cannot hide itself here.

use crate::digest::Sha256Digest;

use super::merkle::{LogHead, node_hash};

/// Most hashes of a proof: one for each level of the largest tree, and one for the older root.
pub const MAX_PROOF_HASHES: usize = 65;

/// Why a proof shows nothing. Of a consistency proof it means that the newer log is not known to extend the older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// More hashes than any proof has.
    #[error("a proof of {found} hashes is over the limit of {MAX_PROOF_HASHES}")]
    TooLong {
        /// How many there are.
        found: usize,
    },
    /// Not the number of hashes that a proof between these sizes has.
    #[error("a proof of {found} hashes does not fit the sizes that it is for")]
    WrongLength {
        /// How many there are.
        found: usize,
    },
    /// The log became shorter.
    #[error("the log has {new} entries, but {old} were seen before: entries were cut off")]
    Shrunk {
        /// Size of the head that is held.
        old: u64,
        /// Size of the head that was offered.
        new: u64,
    },
    /// The leaf lies beyond the end of the log.
    #[error("leaf {index} is not in a log of {size} entries")]
    NoSuchLeaf {
        /// The leaf, counted from 0.
        index: u64,
        /// Size of the log.
        size: u64,
    },
    /// The hashes do not lead from the older head to the newer.
    #[error("the log of {new} entries does not extend the one of {old} entries: an entry was changed")]
    Inconsistent {
        /// Size of the head that is held.
        old: u64,
        /// Size of the head that was offered.
        new: u64,
    },
    /// The hashes do not lead from the entry to the root.
    #[error("the entry is not leaf {index} of the log of {size} entries")]
    NotIncluded {
        /// The leaf, counted from 0.
        index: u64,
        /// Size of the log.
        size: u64,
    },
}

/// Checks that the log with the head `new` has all entries of the one with the head `old`, in the same places.
///
/// # Errors
/// [`ProofError`], also for a proof that has hashes where none are needed.
pub fn verify_consistency(old: &LogHead, new: &LogHead, proof: &[Sha256Digest]) -> Result<(), ProofError> {
    let found = proof.len();
    check_length(found)?;
    if old.size > new.size {
        return Err(ProofError::Shrunk { old: old.size, new: new.size });
    }
    let inconsistent = ProofError::Inconsistent { old: old.size, new: new.size };
    // Equal sizes have equal roots, the root of an empty log is known, and both need no proof.
    if (old.size == 0 && *old != LogHead::empty()) || (old.size == new.size && old != new) {
        return Err(inconsistent);
    }
    if old.size == 0 || old.size == new.size {
        return if found == 0 { Ok(()) } else { Err(ProofError::WrongLength { found }) };
    }
    let wrong_length = ProofError::WrongLength { found };
    // A complete older tree is a node of the newer one, and its root is left out of the proof.
    let (first, rest) = if old.size.is_power_of_two() {
        (&old.root, proof)
    } else {
        proof.split_first().ok_or(wrong_length)?
    };
    let mut place = Place { index: old.size - 1, last: new.size - 1 };
    place.skip_right_children();
    let (mut old_root, mut new_root) = (*first, *first);
    for hash in rest {
        if place.is_root() {
            return Err(wrong_length);
        }
        if place.is_right_or_last() {
            old_root = node_hash(hash, &old_root);
            new_root = node_hash(hash, &new_root);
            place.skip_missing_siblings();
        } else {
            new_root = node_hash(&new_root, hash);
        }
        place.rise();
    }
    if !place.is_root() {
        return Err(wrong_length);
    }
    if old_root != old.root || new_root != new.root {
        return Err(inconsistent);
    }
    Ok(())
}

/// Checks that the leaf at `index`, counted from 0, has this hash in the log with this head.
///
/// # Errors
/// [`ProofError`].
pub fn verify_inclusion(
    leaf: &Sha256Digest,
    index: u64,
    head: &LogHead,
    proof: &[Sha256Digest],
) -> Result<(), ProofError> {
    let found = proof.len();
    check_length(found)?;
    if index >= head.size {
        return Err(ProofError::NoSuchLeaf { index, size: head.size });
    }
    let mut place = Place { index, last: head.size - 1 };
    let mut root = *leaf;
    for hash in proof {
        if place.is_root() {
            return Err(ProofError::WrongLength { found });
        }
        if place.is_right_or_last() {
            root = node_hash(hash, &root);
            place.skip_missing_siblings();
        } else {
            root = node_hash(&root, hash);
        }
        place.rise();
    }
    if !place.is_root() {
        return Err(ProofError::WrongLength { found });
    }
    if root != head.root {
        return Err(ProofError::NotIncluded { index, size: head.size });
    }
    Ok(())
}

fn check_length(found: usize) -> Result<(), ProofError> {
    if found > MAX_PROOF_HASHES { Err(ProofError::TooLong { found }) } else { Ok(()) }
}

/// A node on the way up: `fn` and `sn` of RFC 9162.
struct Place {
    /// Its place at its level.
    index: u64,
    /// The last place at that level.
    last: u64,
}

impl Place {
    fn is_root(&self) -> bool {
        self.last == 0
    }

    /// The sibling of such a node stands on its left.
    fn is_right_or_last(&self) -> bool {
        self.index & 1 == 1 || self.index == self.last
    }

    fn rise(&mut self) {
        self.index >>= 1;
        self.last >>= 1;
    }

    /// Rises from a node that ends its level on a left place: it has no sibling there.
    fn skip_missing_siblings(&mut self) {
        while self.index & 1 == 0 && self.index != 0 {
            self.rise();
        }
    }

    /// Rises to the largest complete node that ends with this one.
    fn skip_right_children(&mut self) {
        while self.index & 1 == 1 {
            self.rise();
        }
    }
}
