//! Making and checking proofs: against the definitions, and against everything that is no proof.

use super::reference::{Store, entries, path, proof, tree_hash};
use super::tree::KNOWN;
use crate::digest::Sha256Digest;
use crate::log::{
    ConsistencyProof, LogHead, MAX_PROOF_HASHES, PlanError, ProofError, ProofPlan, leaf_hash,
    verify_consistency, verify_inclusion,
};

/// Up to here every pair of sizes is tried: beyond 64, so that seven levels are in use.
const SIZES: usize = 70;

fn head(entries: &[Vec<u8>]) -> LogHead {
    LogHead { size: entries.len() as u64, root: tree_hash(entries) }
}

fn make(store: &Store, plan: &ProofPlan) -> Vec<Sha256Digest> {
    plan.assemble(&store.load(&plan.nodes())).unwrap()
}

fn flipped(hash: &Sha256Digest, bit: usize) -> Sha256Digest {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Sha256Digest::from_bytes(bytes)
}

fn is_wrong_length(error: &ProofError) -> bool {
    matches!(error, ProofError::WrongLength { .. })
}

/// Proofs that differ from a good one by a flipped bit, or by a hash that is missing, added, doubled or moved.
fn changed(good: &[Sha256Digest]) -> Vec<Vec<Sha256Digest>> {
    let mut all = Vec::new();
    let mut change = |edit: &dyn Fn(&mut Vec<Sha256Digest>)| {
        let mut hashes = good.to_vec();
        edit(&mut hashes);
        if hashes != good {
            all.push(hashes);
        }
    };
    for at in 0..good.len() {
        change(&|hashes| hashes[at] = flipped(&hashes[at], (at * 37) % 256));
        change(&|hashes| {
            hashes.remove(at);
        });
        change(&|hashes| hashes.insert(at, hashes[at]));
        change(&|hashes| hashes.swap(0, at));
    }
    change(&|hashes| hashes.insert(0, Sha256Digest::of(b"")));
    change(&|hashes| hashes.push(Sha256Digest::of(b"")));
    change(&|hashes| hashes.clear());
    all
}

#[test]
fn every_consistency_proof_is_that_of_the_definition_and_no_change_of_it_is_accepted() {
    let entries = entries(SIZES);
    let store = Store::of(&entries);
    let heads: Vec<LogHead> = (0..=SIZES).map(|size| head(&entries[..size])).collect();
    for new in 0..=SIZES {
        for old in 0..=new {
            let plan = ProofPlan::consistency(old as u64, new as u64).unwrap();
            let good = make(&store, &plan);
            assert_eq!(good, proof(old, &entries[..new]), "{old} to {new}");
            verify_consistency(&heads[old], &heads[new], &good).unwrap();
            for (other, held) in heads.iter().enumerate().take(new + 1) {
                let is_it = verify_consistency(held, &heads[new], &good).is_ok();
                let needs_none = good.is_empty() && (other == 0 || other == new);
                assert_eq!(is_it, other == old || needs_none, "{old} to {new}, as if from {other}");
            }
            for bad in changed(&good) {
                let refused = verify_consistency(&heads[old], &heads[new], &bad).unwrap_err();
                assert_eq!(is_wrong_length(&refused), bad.len() != good.len(), "{old} to {new}: {refused}");
            }
            for (held, offered) in [
                (LogHead { root: flipped(&heads[old].root, 9), ..heads[old] }, heads[new]),
                (heads[old], LogHead { root: flipped(&heads[new].root, 9), ..heads[new] }),
            ] {
                // An empty log says nothing about the root that follows it.
                if old != 0 || held != heads[0] || new == 0 {
                    assert!(verify_consistency(&held, &offered, &good).is_err(), "{old} to {new}");
                }
            }
        }
    }
}

#[test]
fn every_inclusion_proof_is_that_of_the_definition_and_no_change_of_it_is_accepted() {
    let entries = entries(SIZES);
    let store = Store::of(&entries);
    for size in 1..=SIZES {
        let head = head(&entries[..size]);
        for index in 0..size {
            let good = make(&store, &ProofPlan::inclusion(index as u64, size as u64).unwrap());
            assert_eq!(good, path(index, &entries[..size]), "{index} in {size}");
            for other in 0..size {
                let leaf = leaf_hash(&entries[other]);
                let is_it = verify_inclusion(&leaf, index as u64, &head, &good).is_ok();
                assert_eq!(is_it, other == index, "{other} at {index} in {size}");
                let is_there =
                    verify_inclusion(&leaf_hash(&entries[index]), other as u64, &head, &good).is_ok();
                assert_eq!(is_there, other == index, "{index} at {other} in {size}");
            }
            for bad in changed(&good) {
                let leaf = leaf_hash(&entries[index]);
                let refused = verify_inclusion(&leaf, index as u64, &head, &bad).unwrap_err();
                assert_eq!(
                    is_wrong_length(&refused),
                    bad.len() != good.len(),
                    "{index} in {size}: {refused}"
                );
            }
        }
    }
}

#[test]
fn every_single_bit_of_a_proof_counts() {
    let entries = entries(13);
    let store = Store::of(&entries);
    let (old, new) = (head(&entries[..7]), head(&entries));
    let consistency = make(&store, &ProofPlan::consistency(7, 13).unwrap());
    let inclusion = make(&store, &ProofPlan::inclusion(9, 13).unwrap());
    for bit in 0..256 {
        for at in 0..consistency.len() {
            let mut bad = consistency.clone();
            bad[at] = flipped(&bad[at], bit);
            let refused = Err(ProofError::Inconsistent { old: 7, new: 13 });
            assert_eq!(verify_consistency(&old, &new, &bad), refused);
        }
        for at in 0..inclusion.len() {
            let mut bad = inclusion.clone();
            bad[at] = flipped(&bad[at], bit);
            let refused = Err(ProofError::NotIncluded { index: 9, size: 13 });
            assert_eq!(verify_inclusion(&leaf_hash(&entries[9]), 9, &new, &bad), refused);
        }
    }
}

#[test]
fn the_proofs_are_those_that_every_implementation_has() {
    let entries: Vec<Vec<u8>> = KNOWN.iter().map(|(entry, _)| entry.to_vec()).collect();
    let store = Store::of(&entries);
    let hashes =
        |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Sha256Digest>>();
    let one_to_eight = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];
    let six_to_eight = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(make(&store, &ProofPlan::consistency(1, 8).unwrap()), hashes(&one_to_eight));
    assert_eq!(make(&store, &ProofPlan::consistency(6, 8).unwrap()), hashes(&six_to_eight));
    assert_eq!(make(&store, &ProofPlan::inclusion(0, 8).unwrap()), hashes(&one_to_eight));
}

#[test]
fn a_log_in_which_an_earlier_entry_was_changed_extends_nothing() {
    let honest = entries(40);
    let mut rewritten = honest.clone();
    rewritten[11] = b"another entry".to_vec();
    let store = Store::of(&rewritten);
    for old in 12..40 {
        let proof = make(&store, &ProofPlan::consistency(old, 40).unwrap());
        let held = head(&honest[..usize::try_from(old).unwrap()]);
        let refused = Err(ProofError::Inconsistent { old, new: 40 });
        assert_eq!(verify_consistency(&held, &store.head(), &proof), refused);
    }
    let cut = Store::of(&honest[..30]).head();
    assert_eq!(verify_consistency(&head(&honest), &cut, &[]), Err(ProofError::Shrunk { old: 40, new: 30 }));
}

#[test]
fn a_plan_for_a_million_entries_asks_for_few_nodes_and_makes_a_short_proof() {
    let new = 1_000_000;
    // All sizes near the ends, near powers of two, and a share of the others.
    let near_powers = (0..20).flat_map(|level| [(1 << level) - 1, 1 << level, (1 << level) + 1]);
    let olds = (1..new).step_by(997).chain(new - 100..new).chain(near_powers.filter(|old| *old > 0));
    for old in olds {
        let plan = ProofPlan::consistency(old, new).unwrap();
        let nodes = plan.nodes();
        assert!(nodes.len() <= 40, "{old}: {} nodes", nodes.len());
        let proof = plan.assemble(&vec![Sha256Digest::of(b""); nodes.len()]).unwrap();
        assert!(proof.len() <= 21, "{old}: {} hashes", proof.len());
        let text = ConsistencyProof::new(proof).unwrap().to_string();
        assert!(text.len() <= 896, "{old}: {} characters", text.len());

        let plan = ProofPlan::inclusion(old, new).unwrap();
        assert!(plan.nodes().len() <= 40 && plan.assemble(&[]).is_err());
    }
}

#[test]
fn the_largest_sizes_are_planned_and_checked_without_overflow() {
    let hash = Sha256Digest::of(b"");
    for (old, new) in
        [(1, u64::MAX), (u64::MAX - 1, u64::MAX), (1 << 63, u64::MAX), ((1 << 63) + 1, u64::MAX)]
    {
        let plan = ProofPlan::consistency(old, new).unwrap();
        let nodes = plan.nodes();
        assert!(nodes.len() <= 128, "{}", nodes.len());
        let proof = plan.assemble(&vec![hash; nodes.len()]).unwrap();
        assert!(proof.len() <= MAX_PROOF_HASHES);
        let heads = (LogHead { size: old, root: hash }, LogHead { size: new, root: hash });
        assert_eq!(
            verify_consistency(&heads.0, &heads.1, &proof),
            Err(ProofError::Inconsistent { old, new })
        );

        let proof = make_blank(&ProofPlan::inclusion(old, new).unwrap());
        let refused = Err(ProofError::NotIncluded { index: old, size: new });
        assert_eq!(verify_inclusion(&hash, old, &heads.1, &proof), refused);
    }
}

fn make_blank(plan: &ProofPlan) -> Vec<Sha256Digest> {
    plan.assemble(&vec![Sha256Digest::of(b""); plan.nodes().len()]).unwrap()
}

#[test]
fn there_is_no_plan_for_a_leaf_beyond_the_end_or_for_a_log_that_shrinks() {
    assert_eq!(ProofPlan::inclusion(5, 5), Err(PlanError::NoSuchLeaf { index: 5, size: 5 }));
    assert_eq!(ProofPlan::consistency(6, 5), Err(PlanError::Shrinks { old: 6, new: 5 }));
    let plan = ProofPlan::inclusion(2, 5).unwrap();
    let (needed, hash) = (plan.nodes().len(), Sha256Digest::of(b""));
    for found in [0, needed - 1, needed + 1] {
        assert_eq!(plan.assemble(&vec![hash; found]), Err(PlanError::WrongNodes { needed, found }));
    }
}

#[test]
fn a_proof_of_hostile_length_is_refused_at_once() {
    let hash = Sha256Digest::of(b"");
    let heads = (LogHead { size: 1, root: hash }, LogHead { size: 2, root: hash });
    let long = vec![hash; MAX_PROOF_HASHES + 1];
    let too_long = ProofError::TooLong { found: MAX_PROOF_HASHES + 1 };
    assert_eq!(verify_consistency(&heads.0, &heads.1, &long), Err(too_long));
    assert_eq!(verify_inclusion(&hash, 0, &heads.1, &long), Err(too_long));
    assert_eq!(ConsistencyProof::new(long), Err(too_long));
    let no_leaf = ProofError::NoSuchLeaf { index: 0, size: 0 };
    assert_eq!(verify_inclusion(&hash, 0, &LogHead::empty(), &[]), Err(no_leaf));
}

#[test]
fn a_consistency_proof_travels_as_one_text_that_only_reads_in_one_way() {
    let store = Store::of(&entries(13));
    for old in 0..=13 {
        let proof = ConsistencyProof::new(make(&store, &ProofPlan::consistency(old, 13).unwrap())).unwrap();
        let json = serde_json::to_string(&proof).unwrap();
        assert_eq!(serde_json::from_str::<ConsistencyProof>(&json).unwrap(), proof);
    }
    let whole = |hashes: usize| data_encoding::BASE64.encode(&vec![7; 32 * hashes]);
    assert_eq!(whole(MAX_PROOF_HASHES).parse::<ConsistencyProof>().unwrap().hashes().len(), MAX_PROOF_HASHES);
    for wrong in ["A", "AAAA", &whole(1)[1..], &format!("{}\n", whole(1)), &whole(MAX_PROOF_HASHES + 1)] {
        assert!(wrong.parse::<ConsistencyProof>().is_err(), "{wrong}");
    }
}
