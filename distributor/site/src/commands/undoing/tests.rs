use jiff::Timestamp;
use sealpost_keys::{KeyId, PublicKey};
use sealpost_manifests::ids::{ChannelName, PackageName, Platform, ServerId};
use sealpost_manifests::log::Frontier;
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::{ReleaseCounter, Version};

use super::*;
use crate::commands::Terms;
use crate::rows::ServerIdentity;
use crate::rules::rollouts::outages::Outages;
use crate::rules::text::MAX_COMMENT_BYTES;

fn release(counter: u64, state: ReleaseState) -> KnownRelease {
    let channels = vec![ChannelName::new("stable").unwrap()];
    KnownRelease {
        release: ReleaseId {
            package: PackageName::new("acme-av").unwrap(),
            version: Version::new(format!("{counter}.0")).unwrap(),
            platform: Platform::any(),
        },
        manifest: Sha256Digest::of(&counter.to_le_bytes()),
        state,
        counter: ReleaseCounter(counter),
        channels: channels.clone(),
        approved_for: channels,
        rollout: Some(counter),
        signer: None,
        reason: None,
        rollback: false,
        attempt: 1,
        kind: PackageKind::Program,
        severity: Severity::Normal,
        mandatory: false,
        rolling_out: Vec::new(),
    }
}

fn decide<C: Command>(command: C, facts: <C::Facts as Query>::Answer) -> Decision<C::Answer> {
    let site_key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
    let server = ServerIdentity { server_id: ServerId::of_site_key(&site_key), site_key };
    let now = Timestamp::UNIX_EPOCH;
    let context = Context {
        now,
        server: &server,
        terms: &Terms::default(),
        log: &Frontier::empty(),
        outages: Outages::none(),
    };
    command.decide(facts, &context)
}

fn facts(known: &KnownRelease, others: &[KnownRelease]) -> ReleaseFacts {
    let approved = others.iter().chain([known]).cloned().collect();
    ReleaseFacts {
        known: Some(known.clone()),
        manifest_of_claimed: None,
        approved,
        next_rollout: 9,
        test: None,
        highest_attempt: 0,
        staged_at: Some(Timestamp::UNIX_EPOCH),
        plan: std::sync::Arc::default(),
    }
}

fn halt(known: &KnownRelease, runs: WhoRunsIt) -> HaltRelease {
    HaltRelease { actor: Actor::Server, manifest: known.manifest, reason: "it crashes".to_owned(), runs }
}

#[test]
fn a_halt_brings_back_what_the_release_replaced_and_says_what_becomes_of_those_who_run_it() {
    let (old, bad) = (release(1, ReleaseState::Superseded), release(2, ReleaseState::Approved));
    let decision = decide(halt(&bad, WhoRunsIt::Keeps), facts(&bad, std::slice::from_ref(&old)));
    let [(_, Change::ReleaseHalted { rollback, supersession, withdrawn, .. })] = decision.changes.as_slice()
    else {
        panic!("{:?}", decision.changes)
    };
    assert_eq!((*rollback, *withdrawn, &supersession.restored), (false, false, &vec![old.manifest]));
    // Again it is no change, and a rollback can still be asked for.
    let halted = KnownRelease { state: ReleaseState::Halted, ..bad };
    assert!(decide(halt(&halted, WhoRunsIt::Keeps), facts(&halted, &[])).changes.is_empty());
    let back = decide(halt(&halted, WhoRunsIt::GoesBack), facts(&halted, &[]));
    assert!(matches!(back.changes.as_slice(), [(_, Change::ReleaseHalted { rollback: true, .. })]));
    // What the vendor withdrew can be left in the same way, and stays withdrawn.
    let withdrawn = KnownRelease { state: ReleaseState::Withdrawn, ..halted };
    let back = decide(halt(&withdrawn, WhoRunsIt::GoesBack), facts(&withdrawn, &[]));
    assert!(matches!(back.changes.as_slice(), [(_, Change::ReleaseHalted { withdrawn: true, .. })]));
}

#[test]
fn a_release_that_nobody_approved_is_not_halted_and_no_halt_is_without_a_reason() {
    let staged = release(2, ReleaseState::Staged);
    let refused = decide(halt(&staged, WhoRunsIt::Keeps), facts(&staged, &[])).answer.unwrap_err();
    assert!(refused.hint.contains("updates reject"), "{}", refused.hint);
    let approved = release(2, ReleaseState::Approved);
    let no_reason = HaltRelease { reason: "  ".to_owned(), ..halt(&approved, WhoRunsIt::Keeps) };
    assert!(decide(no_reason, facts(&approved, &[])).answer.is_err());
}

#[test]
fn what_is_reconsidered_is_a_later_attempt_for_whoever_went_back_from_it() {
    let halted = release(2, ReleaseState::Halted);
    let comment = "the vendor explained it".to_owned();
    let command = ReconsiderRelease { actor: Actor::Server, manifest: halted.manifest, comment };
    let decision = decide(command.clone(), facts(&halted, &[]));
    assert!(matches!(decision.changes.as_slice(), [(_, Change::ReleaseReconsidered { attempt: 2, .. })]));
    let staged = release(2, ReleaseState::Staged);
    assert!(decide(command.clone(), facts(&staged, &[])).changes.is_empty());
    let approved = release(2, ReleaseState::Approved);
    assert!(decide(command, facts(&approved, &[])).answer.is_err(), "there is nothing to take back");
}

#[test]
fn what_is_reconsidered_has_a_reason_which_stands_in_its_entry() {
    let halted = release(2, ReleaseState::Halted);
    let reconsider = |comment: &str| {
        let (manifest, comment) = (halted.manifest, comment.to_owned());
        decide(ReconsiderRelease { actor: Actor::Server, manifest, comment }, facts(&halted, &[]))
    };
    for comment in ["", "  \n", &"x".repeat(MAX_COMMENT_BYTES + 1)] {
        let refused = reconsider(comment);
        assert!(refused.changes.is_empty(), "{comment:?}");
        let problem = refused.answer.unwrap_err();
        assert_eq!(problem.code, ProblemCode::BadRequest);
        assert!(problem.message.contains("without a reason of 1 to"), "{problem}");
    }
    let long = "x".repeat(MAX_COMMENT_BYTES);
    for (said, stored) in
        [(long.as_str(), long.as_str()), (" the vendor explained it ", "the vendor explained it")]
    {
        let decision = reconsider(said);
        let [(_, Change::ReleaseReconsidered { comment, .. })] = decision.changes.as_slice() else {
            panic!("{:?}", decision.changes)
        };
        assert_eq!(comment, stored);
    }
}

#[test]
fn a_retry_raises_the_attempt_of_those_that_failed_once_and_of_those_that_are_named() {
    let known = release(2, ReleaseState::Approved);
    let name = |text: &str| ComputerName::new(text).unwrap();
    let computer = |text: &str, attempt, failed| AttemptOf {
        client_id: ClientId::from_random([1; 16]),
        name: name(text),
        attempt,
        failed,
    };
    let retry = |names: &[&str], computers: Vec<AttemptOf>| {
        let names = names.iter().map(|text| name(text)).collect();
        let command = RetryRelease {
            actor: Actor::Server,
            manifest: known.manifest,
            names,
            comment: "mended".to_owned(),
        };
        decide(command, RetryFacts { known: Some(known.clone()), computers })
    };
    let attempts = |decision: &Decision<Vec<ComputerName>>| -> Vec<u32> {
        let changes = decision.changes.iter().flat_map(|(_, change)| match change {
            Change::ReleaseRetried(ReleaseRetry { computers, .. }) => computers.as_slice(),
            _ => &[],
        });
        changes.map(|next| next.attempt).collect()
    };
    let all = retry(&[], vec![computer("a", None, Some(1)), computer("b", Some(3), Some(3))]);
    assert_eq!((attempts(&all), all.answer.unwrap().len()), (vec![2, 4], 2));
    // It was asked for before, and the computer has not tried since.
    let again = retry(&[], vec![computer("a", Some(2), Some(1))]);
    assert!(again.changes.is_empty() && again.answer.unwrap().is_empty());
    let named = retry(&["a"], vec![computer("a", None, None)]);
    assert_eq!(attempts(&named), [2]);
    // What a computer says of itself does not use up the attempts of all others.
    let lies = retry(&["a"], vec![computer("a", Some(2), Some(u32::MAX))]);
    assert_eq!(attempts(&lies), [2 + 1_000 + 1]);
    assert!(retry(&["b"], Vec::new()).answer.unwrap_err().message.contains("named b"));
    assert!(retry(&[], Vec::new()).answer.is_err(), "nobody failed");
    let many = (0..1_200).map(|number| computer(&format!("pc-{number}"), None, Some(1))).collect();
    let many = retry(&[], many);
    assert_eq!((many.changes.len(), attempts(&many).len()), (3, 1_200), "no entry grows without bound");
    let stopped = release(2, ReleaseState::Halted);
    let command = RetryRelease {
        actor: Actor::Server,
        manifest: stopped.manifest,
        names: Vec::new(),
        comment: "mended".to_owned(),
    };
    let refused = decide(command, RetryFacts { known: Some(stopped), computers: Vec::new() });
    assert!(refused.answer.unwrap_err().hint.contains("updates reconsider"));
}

#[test]
fn a_retry_without_a_reason_is_refused_and_its_reason_stands_in_each_entry() {
    let known = release(2, ReleaseState::Approved);
    let computers: Vec<AttemptOf> = (0..600)
        .map(|number| AttemptOf {
            client_id: ClientId::from_random([1; 16]),
            name: ComputerName::new(format!("pc-{number}")).unwrap(),
            attempt: None,
            failed: Some(1),
        })
        .collect();
    let retry = |comment: &str| {
        let (manifest, comment) = (known.manifest, comment.to_owned());
        let command = RetryRelease { actor: Actor::Server, manifest, names: Vec::new(), comment };
        decide(command, RetryFacts { known: Some(known.clone()), computers: computers.clone() })
    };
    for comment in [String::new(), "  \n".to_owned(), "x".repeat(MAX_COMMENT_BYTES + 1)] {
        let refused = retry(&comment);
        assert!(refused.changes.is_empty(), "{comment:?}");
        let problem = refused.answer.unwrap_err();
        assert_eq!(problem.code, ProblemCode::BadRequest);
        assert!(problem.message.contains("without a reason of 1 to"), "{problem}");
    }
    let long = "x".repeat(MAX_COMMENT_BYTES);
    assert!(retry(&long).changes.iter().all(
        |(_, change)| matches!(change, Change::ReleaseRetried(ReleaseRetry { comment, .. }) if *comment == long)
    ));
    let told = retry(" the disk was full ");
    let comments: Vec<&str> = told
        .changes
        .iter()
        .map(|(_, change)| match change {
            Change::ReleaseRetried(ReleaseRetry { comment, .. }) => comment.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(comments, ["the disk was full"; 2]);
}
