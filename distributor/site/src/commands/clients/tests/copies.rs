//! Which of two computers goes on.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::Nonce;

use super::*;
use crate::changes::CopyResolved;
use crate::rows::{CopiesRow, CopyRow};
use crate::rules::contact::NoncePair;
use crate::rules::copies::branch_of;

fn nonce(number: u8) -> Nonce {
    Nonce::from_random([number; 16])
}

fn branch(number: u8) -> Sha256Digest {
    branch_of(&nonce(number))
}

fn of(kept: Option<u8>) -> Kept {
    kept.map_or(Kept::Undecided, |kept| Kept::Branch(branch(kept)))
}

fn client() -> ClientId {
    ClientId::from_random([3; 16])
}

fn copies(kept: Option<u8>) -> CopiesRow {
    let seen = |number| CopyRow {
        branch: branch(number),
        seen_at: at(TODAY),
        came_by: None,
        hostname: None,
        instance: None,
        agent_version: "1.0".to_owned(),
        packages: Vec::new(),
    };
    CopiesRow { client_id: client(), forked: true, kept: of(kept), copies: vec![seen(2), seen(3)] }
}

fn resolve(keep: &str) -> ResolveCopies {
    let actor = Actor::socket("alice");
    ResolveCopies {
        actor,
        name: name(),
        keep: keep.to_owned(),
        comment: "  the one in the cellar ".to_owned(),
    }
}

#[test]
fn one_of_two_is_kept_by_the_first_digits_of_its_contact_and_another_may_be_named_later() {
    let short = branch(3).short();
    let decision = decide(resolve(&short), Some(copies(None)));
    assert_eq!(decision.answer.unwrap(), branch(3));
    let [(_, Change::CopyResolved(CopyResolved { keep, comment, client_id, .. }))] =
        decision.changes.as_slice()
    else {
        panic!("{:?}", decision.changes)
    };
    assert_eq!((*keep, comment.as_str(), client_id), (branch(3), "the one in the cellar", &client()));
    let again = decide(resolve(&short), Some(copies(Some(3))));
    assert!(again.changes.is_empty() && again.answer.is_ok(), "it was decided so already");
    assert_eq!(decide(resolve(&branch(2).to_string()), Some(copies(Some(3)))).changes.len(), 1);
    let before = CopiesRow { kept: Kept::BeforeRestore(branch(3)), ..copies(None) };
    assert_eq!(decide(resolve(&short), Some(before)).changes.len(), 1, "it does not count any more");
}

#[test]
fn who_names_none_of_them_or_a_computer_of_which_there_is_one_is_told_what_there_is() {
    let problem = decide(resolve("0123456789ab"), Some(copies(None))).answer.unwrap_err();
    assert_eq!(problem.code, ProblemCode::NotFound);
    assert!(problem.message.contains(&branch(2).short()) && problem.message.contains(&branch(3).short()));
    assert_eq!(refusal(decide(resolve("01234"), Some(copies(None)))), ProblemCode::BadRequest);
    let one = CopiesRow { forked: false, copies: Vec::new(), ..copies(None) };
    for facts in [None, Some(one)] {
        assert_eq!(refusal(decide(resolve(&branch(2).short()), facts)), ProblemCode::WrongState);
    }
    let long =
        ResolveCopies { comment: "x".repeat(text::MAX_COMMENT_BYTES + 1), ..resolve(&branch(2).short()) };
    assert_eq!(refusal(decide(long, Some(copies(None)))), ProblemCode::BadRequest);
}

fn proven(previous: Option<u8>, next: u8) -> Enroll {
    let copy = ProvenCopy {
        client_id: client(),
        pair: Some(NoncePair { previous: previous.map(nonce), next: nonce(next) }),
        setup: setup(8),
    };
    Enroll { copy: Some(copy), ..enroll(key(6), None) }
}

fn held(kept: Option<u8>) -> EnrollmentFacts {
    let mut facts = issued(Some(key(5)), RestoreState::default());
    let held = facts.client.as_mut().unwrap();
    (held.forked, held.kept_copy) = (true, of(kept));
    facts
}

#[test]
fn the_kept_copy_gets_a_new_id_with_its_new_key_and_its_old_id_is_given_up() {
    for (previous, next) in [(Some(1), 3), (Some(3), 9)] {
        let decision = decide(proven(previous, next), held(Some(3)));
        let [(_, Change::ClientEnrolled { client_key, replaces, by, setup: stands_for, .. })] =
            decision.changes.as_slice()
        else {
            panic!("{:?}", decision.changes)
        };
        assert_eq!((client_key, replaces, *by), (&key(6), &Some(client()), EnrolledBy::Copy));
        assert_eq!(stands_for, &setup(8), "no code is proven by it");
        assert_eq!(decision.answer.unwrap().enrolled.client_id, ClientId::from_random([9; 16]));
    }
}

#[test]
fn the_same_key_once_more_gets_the_same_answer_and_changes_nothing() {
    let mut facts = held(None);
    let held = facts.client.as_mut().unwrap();
    (held.forked, held.client_key) = (false, key(6));
    let decision = decide(proven(Some(1), 3), facts.clone());
    assert!(decision.changes.is_empty());
    assert_eq!(decision.answer.unwrap().enrolled.client_id, client());
    // Two that have it are told nothing.
    facts.client.as_mut().unwrap().forked = true;
    assert_eq!(refusal(decide(proven(Some(1), 3), facts)), ProblemCode::ContactForked);
}

#[test]
fn nobody_goes_on_who_is_not_the_kept_one_or_before_one_is_kept() {
    let refused = |enroll, facts| refusal(decide(enroll, facts));
    assert_eq!(refused(proven(Some(1), 3), held(None)), ProblemCode::ContactForked);
    assert_eq!(refused(proven(Some(1), 3), held(Some(2))), ProblemCode::CopyGivenUp);
    assert_eq!(refused(proven(None, 9), held(Some(2))), ProblemCode::CopyGivenUp);
    let mut other = held(Some(3));
    other.client.as_mut().unwrap().client_id = ClientId::from_random([4; 16]);
    assert_eq!(
        refused(proven(Some(1), 3), other),
        ProblemCode::CopyGivenUp,
        "it was enrolled again meanwhile"
    );
    let nobody = EnrollmentFacts { client: None, ..held(Some(3)) };
    assert_eq!(refused(proven(Some(1), 3), nobody), ProblemCode::CopyGivenUp);
    let mut before = held(Some(3));
    before.client.as_mut().unwrap().kept_copy = Kept::BeforeRestore(branch(3));
    let problem = decide(proven(Some(1), 3), before).answer.unwrap_err();
    assert_eq!(problem.code, ProblemCode::ContactForked);
    assert!(problem.message.contains("restored") && problem.hint.contains("clients resolve"), "{problem}");
    let lost = EnrollmentFacts { restore: unconfirmed(), ..held(Some(3)) };
    assert_eq!(refused(proven(Some(1), 3), lost), ProblemCode::Unconfirmed);
    let damaged = EnrollmentFacts { grants: Vec::new(), ..held(Some(3)) };
    assert_eq!(refused(proven(Some(1), 3), damaged), ProblemCode::Internal);
}
