//! Contracts of test-loads: no staged release is approved without one that passed where the site wants it.

use sealpost_ledger::LedgerError;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_site::commands::approvals::ApproveByRule;
use sealpost_site::commands::releases::ApproveRelease;
use sealpost_site::commands::settings::ChangeSettings;
use sealpost_site::commands::test_loads::{NoteTestLoad, OverrideTestLoad};
use sealpost_site::queries::{HeldReleases, Untested};
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};
use sealpost_site::rules::test_load::{TestOutcome, Wanted};
use sealpost_test_support::world::{World, admin};

use super::rolling::word;
use crate::bench::Bench;
use crate::fixture::{refused, release, sound, unchanged};

fn program(name: &str) -> Sha256Digest {
    Sha256Digest::of(name.as_bytes())
}

fn says(manifest: Sha256Digest, name: &str, outcome: TestOutcome) -> NoteTestLoad {
    NoteTestLoad { manifest, program: program(name), outcome, detail: "bad set\u{1b}".to_owned() }
}

/// Why it was refused.
fn said<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> Problem {
    match result {
        Err(LedgerError::Refused(problem)) => problem,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

pub(super) async fn only_a_release_that_its_program_loaded_is_approved(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let staged = world.staged("acme-sigs", 1, &["stable"]);
    let manifest = staged.manifest;
    ledger.execute(world.at(1), staged).await.unwrap();
    let test_load = Wanted::By(program("scan"));
    let approve = || ApproveRelease { test_load, ..world.approve(manifest) };
    let untested = |name: &str| Untested {
        package: PackageName::new("acme-sigs").unwrap(),
        program: program(name),
        limit: 9,
    };
    let held = HeldReleases { after: None, limit: 9 };

    // Nothing is known of it yet.
    let head = ledger.head().size;
    let problem = said(ledger.execute(world.at(2), approve()).await);
    unchanged(&ledger, head);
    assert_eq!(problem.code, ProblemCode::WrongState);
    assert!(problem.message.contains("is not done yet"), "{problem}");
    assert_eq!(ledger.query(untested("scan")).await.unwrap().len(), 1);
    assert_eq!(ledger.query(held.clone()).await.unwrap(), []);

    // It fails, hangs, or cannot be run: it is held, and the refusal says why.
    for (at, outcome) in [(3, TestOutcome::NotRun), (4, TestOutcome::Failed), (5, TestOutcome::TimedOut)] {
        ledger.execute(world.at(at), says(manifest, "scan", outcome)).await.unwrap();
        let size = ledger.head().size;
        ledger.execute(world.at(at), says(manifest, "scan", outcome)).await.unwrap();
        assert_eq!(ledger.head().size, size, "the same again is nothing new");
        let problem = said(ledger.execute(world.at(at), approve()).await);
        assert!(problem.message.contains("bad set") && problem.hint.contains("--override"), "{problem}");
        assert!(!problem.message.chars().any(char::is_control), "{problem}");
        let [found] = <[_; 1]>::try_from(ledger.query(held.clone()).await.unwrap()).unwrap();
        assert_eq!((found.manifest, found.test.outcome, found.test.at), (manifest, outcome, world.at(at)));
        // What could not be run is tried again; an answer stands, but not for another program.
        let again = usize::from(outcome == TestOutcome::NotRun);
        assert_eq!(ledger.query(untested("scan")).await.unwrap().len(), again, "{outcome}");
        assert_eq!(ledger.query(untested("scan --new")).await.unwrap().len(), 1);
    }
    assert_eq!(release(&ledger, manifest).await.state, ReleaseState::Staged);

    // It passes. For a program that is configured since it does not count.
    ledger.execute(world.at(6), says(manifest, "scan", TestOutcome::Passed)).await.unwrap();
    let other = ApproveRelease { test_load: Wanted::By(program("scan --new")), ..world.approve(manifest) };
    let problem = said(ledger.execute(world.at(6), other).await);
    assert!(problem.message.contains("is not done yet"), "{problem}");
    ledger.execute(world.at(6), approve()).await.unwrap();
    let row = release(&ledger, manifest).await;
    assert_eq!(row.state, ReleaseState::Approved);
    assert_eq!(row.test_load.unwrap().outcome, TestOutcome::Passed);
    assert_eq!(ledger.query(held).await.unwrap(), []);
    sound(&ledger).await;
}

pub(super) async fn an_admin_lets_a_release_through_with_a_reason_and_rules_wait_for_that(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let value = serde_json::json!({ "by_itself": true });
    let key = SettingKey { kind: SettingKind::Approval, name: "all".to_owned() };
    let change = ChangeSettings {
        actor: admin(),
        changes: vec![SettingChange { key, value: Some(value) }],
        comment: String::new(),
        expected: None,
        confirms: None,
    };
    ledger.execute(world.at(1), change).await.unwrap();
    let staged = world.staged("acme-sigs", 1, &["stable"]);
    let manifest = staged.manifest;
    ledger.execute(world.at(1), staged).await.unwrap();
    let test_load = Wanted::By(program("scan"));
    let by_rule = || ApproveByRule { manifest, trust: Some(std::sync::Arc::new(world.trust())), test_load };
    assert_eq!(ledger.execute(world.at(2), by_rule()).await.unwrap(), None, "nothing is known of it yet");
    ledger.execute(world.at(3), says(manifest, "scan", TestOutcome::Failed)).await.unwrap();
    assert_eq!(ledger.execute(world.at(3), by_rule()).await.unwrap(), None, "it failed");

    let lets = |comment: &str| OverrideTestLoad { actor: admin(), manifest, comment: comment.to_owned() };
    let head = ledger.head().size;
    assert_eq!(refused(ledger.execute(world.at(4), lets("  ")).await), ProblemCode::BadRequest);
    unchanged(&ledger, head);
    ledger.execute(world.at(5), lets("the scanner there is too old")).await.unwrap();
    // A test that says worse does not take it back; the same program is not asked any more.
    ledger.execute(world.at(6), says(manifest, "scan", TestOutcome::Failed)).await.unwrap();
    let test = release(&ledger, manifest).await.test_load.unwrap();
    assert_eq!((test.outcome, test.by, test.program), (TestOutcome::Overridden, admin(), None));
    assert_eq!(test.detail, "the scanner there is too old");
    assert_eq!(ledger.execute(world.at(7), by_rule()).await.unwrap(), Some(word("all")));
    // What is approved is let through nowhere any more.
    assert_eq!(refused(ledger.execute(world.at(8), lets("again")).await), ProblemCode::WrongState);
    sound(&ledger).await;
}
