//! The head of a server's log that this computer witnesses: a later head must be shown to extend it.
//!
//! Invariant: a head that is not shown to extend the held one never takes its place, unless the vendor raised the epoch
//! since: then an honest restore is explained, and the new head is the witness. A fork is kept and told; it refuses
//! nothing. The first head that was not shown to extend is kept, so that one fork is one report.

use sealpost_manifests::log::{ConsistencyProof, LogHead, verify_consistency};
use sealpost_manifests::order::Epoch;
use serde::{Deserialize, Serialize};

/// The head that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    pub head: LogHead,
    /// The vendor's part of the epoch of the lease that it came with.
    pub vendor_epoch: u32,
}

/// What is held of one server's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldHeads {
    #[serde(default)]
    pub held: Option<Witness>,
    /// A head in a lease that was not shown to extend the held one.
    #[serde(default)]
    pub forked: Option<LogHead>,
}

/// What a server shows together with a lease.
#[derive(Debug, Clone, Copy)]
pub struct ShownExtension<'a> {
    /// The head in the checkpoint, whose signature by the log's key was verified; or why there is none.
    pub checkpoint: Result<&'a LogHead, &'a str>,
    pub proof: Option<&'a ConsistencyProof>,
}

impl HeldHeads {
    /// What is held after a lease with this head was accepted; and why the head was not shown to extend the held one, if
    /// it was not.
    #[must_use]
    pub fn after_lease(
        self,
        head: LogHead,
        epoch: Epoch,
        shown: ShownExtension<'_>,
    ) -> (Self, Option<String>) {
        let vendor_epoch = epoch.vendor();
        let taken = Self { held: Some(Witness { head, vendor_epoch }), forked: None };
        match &self.held {
            None => (taken, None),
            Some(held) if vendor_epoch > held.vendor_epoch => (taken, None),
            Some(held) if head == held.head => (self, None),
            Some(held) => match extension_problem(&held.head, &head, shown) {
                None => (Self { held: taken.held, ..self }, None),
                Some(why) => (Self { forked: self.forked.or(Some(head)), ..self }, Some(why)),
            },
        }
    }

    /// What a person should know, if the log was forked.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let (held, forked) = (&self.held.as_ref()?.head, self.forked.as_ref()?);
        Some(format!(
            "the server's log was replaced: this computer saw it with {} entries, and what the server showed later \
             ({} entries) does not go on from there; it was restored from a backup, or somebody rewrote it; ask the \
             administrator, the product and its updates go on",
            held.size, forked.size
        ))
    }
}

fn extension_problem(held: &LogHead, new: &LogHead, shown: ShownExtension<'_>) -> Option<String> {
    match shown.checkpoint {
        Err(why) => return Some(why.to_owned()),
        Ok(checkpoint) if checkpoint != new => {
            return Some("the checkpoint is of another head than the lease".to_owned());
        }
        Ok(_) => {}
    }
    let hashes = shown.proof.map_or(&[][..], ConsistencyProof::hashes);
    verify_consistency(held, new, hashes).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::log::{Frontier, Node, ProofPlan, leaf_hash};

    use super::*;

    /// The heads after each entry, and every complete node.
    fn log(entries: &[&str]) -> (Vec<LogHead>, Vec<Node>) {
        let mut frontier = Frontier::empty();
        let mut nodes = Vec::new();
        let mut heads = vec![frontier.head()];
        for entry in entries {
            nodes.extend(frontier.append(leaf_hash(entry.as_bytes())));
            heads.push(frontier.head());
        }
        (heads, nodes)
    }

    fn proof(nodes: &[Node], old: u64, new: u64) -> ConsistencyProof {
        let plan = ProofPlan::consistency(old, new).unwrap();
        let hashes: Vec<Sha256Digest> =
            plan.nodes().iter().map(|id| nodes.iter().find(|node| node.id == *id).unwrap().hash).collect();
        ConsistencyProof::new(plan.assemble(&hashes).unwrap()).unwrap()
    }

    const NOTHING: ShownExtension<'_> = ShownExtension { checkpoint: Err("there is none"), proof: None };

    fn holding(head: LogHead) -> HeldHeads {
        HeldHeads { held: Some(Witness { head, vendor_epoch: 1 }), forked: None }
    }

    #[test]
    fn the_first_head_is_held_as_it_is_and_the_same_again_needs_no_proof() {
        let (heads, _) = log(&["a", "b", "c"]);
        let (held, why) = HeldHeads::default().after_lease(heads[2], Epoch::of(1, 0), NOTHING);
        assert_eq!((held.clone(), why), (holding(heads[2]), None));
        assert_eq!(held.after_lease(heads[2], Epoch::of(1, 0), NOTHING), (holding(heads[2]), None));
    }

    #[test]
    fn a_head_that_is_shown_to_extend_the_held_one_takes_its_place() {
        let (heads, nodes) = log(&["a", "b", "c", "d", "e"]);
        let proof = proof(&nodes, 2, 5);
        let shown = ShownExtension { checkpoint: Ok(&heads[5]), proof: Some(&proof) };
        let (held, why) = holding(heads[2]).after_lease(heads[5], Epoch::of(1, 3), shown);
        assert_eq!((held, why), (holding(heads[5]), None));
    }

    #[test]
    fn a_missing_wrong_or_foreign_proof_keeps_both_heads_and_the_first_fork() {
        let (heads, nodes) = log(&["a", "b", "c", "d", "e"]);
        let (other, other_nodes) = log(&["a", "x", "c", "d", "e"]);
        let (good, rewritten) = (proof(&nodes, 2, 5), proof(&other_nodes, 2, 5));
        let shown = |checkpoint, proof| ShownExtension { checkpoint: Ok(checkpoint), proof };
        let cases = [
            (heads[5], NOTHING),
            (heads[5], shown(&heads[5], None)),
            (heads[5], shown(&heads[4], Some(&good))),
            (heads[5], ShownExtension { checkpoint: Err("bad signature"), proof: Some(&good) }),
            (other[5], shown(&other[5], Some(&rewritten))),
            // A restored server: its log is shorter.
            (heads[1], shown(&heads[1], None)),
        ];
        for (number, (head, shown)) in cases.into_iter().enumerate() {
            let (held, why) = holding(heads[2]).after_lease(head, Epoch::of(1, 0), shown);
            assert!(why.is_some(), "case {number}");
            assert_eq!(held, HeldHeads { forked: Some(head), ..holding(heads[2]) }, "case {number}");
            assert!(held.problem().unwrap().contains("2 entries"), "case {number}");
            let again = held.after_lease(other[3], Epoch::of(1, 0), NOTHING).0;
            assert_eq!(again.forked, Some(head), "one fork is one report, case {number}");
        }
    }

    #[test]
    fn a_fork_is_told_until_the_vendor_raises_the_epoch_also_when_a_later_head_extends_the_held_one() {
        let (heads, nodes) = log(&["a", "b", "c", "d", "e"]);
        let forked = HeldHeads { forked: Some(heads[3]), ..holding(heads[2]) };
        let proof = proof(&nodes, 2, 5);
        let shown = ShownExtension { checkpoint: Ok(&heads[5]), proof: Some(&proof) };
        let (on, why) = forked.after_lease(heads[5], Epoch::of(1, 0), shown);
        assert_eq!((on.clone(), why), (HeldHeads { forked: Some(heads[3]), ..holding(heads[5]) }, None));
        let (restored, _) = log(&["a", "b", "restored"]);
        let (explained, why) = on.after_lease(restored[3], Epoch::of(2, 0), NOTHING);
        let held = Some(Witness { head: restored[3], vendor_epoch: 2 });
        assert_eq!((explained.clone(), why), (HeldHeads { held, forked: None }, None));
        assert_eq!(explained.problem(), None);
    }
}
