//! Contracts of reviews: what a person decides, and how each computer is explained.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealpost_keys::SigningKey;
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::trust::{KeyStatus, KeyUse, TrustDocument, TrustedKey};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome};
use sealpost_site::changes::Actor;
use sealpost_site::commands::releases::{ApproveRelease, RejectRelease};
use sealpost_site::queries::{ExplainClient, Failing, MAX_PAGE, Recipients};
use sealpost_site::rows::{ComputersRow, DecidedBy};
use sealpost_site::rules::explain::explain_client;
use sealpost_site::rules::release::ReleaseState;
use sealpost_test_support::world::{
    DAY, World, admin, computer_name, installed, reject, report, reserve_for,
};

use crate::bench::Bench;
use crate::fixture::{WorldExt, client, refused, release, releases, sound, unchanged};

pub(super) async fn an_approval_names_the_digest_and_reaches_the_channel_only(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    world.pull(&ledger, 4).await;
    let mut stable = world.enrolled(&ledger, "stable").await;
    ledger.execute(world.at(2), reserve_for("beta", "beta")).await.unwrap();
    let mut beta = world.enrolled(&ledger, "beta").await;
    let staged = world.staged("acme-av", 1, &["beta"]);
    ledger.execute(world.at(5), staged.clone()).await.unwrap();
    assert_eq!(release(&ledger, staged.manifest).await.state, ReleaseState::Staged);
    for computer in [&mut stable, &mut beta] {
        assert!(
            world.contacts(&ledger, computer, 10).await.assignment.is_none(),
            "nothing before the approval"
        );
    }
    ledger.execute(world.at(11), world.approve(staged.manifest)).await.unwrap();
    let row = release(&ledger, staged.manifest).await;
    assert_eq!((row.state, row.rollout), (ReleaseState::Approved, Some(1)));
    assert_eq!(row.decided, Some(DecidedBy { at: world.at(11), actor: admin(), comment: None }));
    assert!(world.contacts(&ledger, &mut stable, 12).await.assignment.is_none());
    let assignment = world.contacts(&ledger, &mut beta, 12).await.assignment.unwrap();
    assert_eq!(assignment.packages.len(), 1);
    assert_eq!(assignment.packages[0].manifest, staged.manifest);
    assert_eq!(assignment.packages[0].rollout, 1);
    assert_eq!(assignment.metadata_as_of, world.at(4));
    assert_eq!(assignment.expires_at, world.at(12 + 30 * DAY));

    beta.packages = vec![installed(&row)];
    beta.reports = vec![report(1, &row, InstallStep::RollBack, Outcome::Ok)];
    world.contacts(&ledger, &mut beta, 20).await;
    let row = release(&ledger, staged.manifest).await;
    assert_eq!((row.assigned, row.installed, row.failed), (1, 1, 1));
    let who = ComputersRow { count: 1, names: vec![beta.name.clone()], since: Some(beta.reports[0].at) };
    let failing = ledger.query(Failing {}).await.unwrap();
    assert_eq!(failing.gave_up, BTreeMap::from([(staged.manifest, who)]));
    assert_eq!(failing.forked, ComputersRow::default());
    for (manifest, names) in [(staged.manifest, vec![beta.name.clone()]), (Sha256Digest::of(b"x"), vec![])] {
        let running = Recipients { after: None, running: Some(manifest), limit: MAX_PAGE };
        let found = ledger.query(running).await.unwrap();
        assert_eq!(found.into_iter().map(|row| row.name).collect::<Vec<_>>(), names);
    }
    let told = client(&ledger, &beta.name).await.assigned;
    // A person at the computer may put it off for some time.
    let postpone = told[0].postpone;
    let install = PackageAssignment::install(staged.release, staged.manifest, 1, 1);
    assert_eq!(told, [PackageAssignment { postpone, ring: Some("everyone".to_owned()), ..install }]);
    sound(&ledger).await;
}

pub(super) async fn each_computer_is_explained_from_review_to_success(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    world.pull(&ledger, 4).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    let (name, staged) = (computer.name.clone(), world.staged("acme-av", 1, &["stable"]));
    let manifest = staged.manifest;
    let say = async |seconds: i64| {
        let facts = ledger.query(ExplainClient { name: name.clone() }).await.unwrap().unwrap();
        let all = explain_client(&facts, None, world.at(seconds));
        all.into_iter().map(|explanation| explanation.sentence).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(say(5).await, "");
    ledger.execute(world.at(5), staged).await.unwrap();
    assert!(say(6).await.contains("1.0 waits for a review"), "{}", say(6).await);
    ledger.execute(world.at(7), world.approve(manifest)).await.unwrap();
    let row = release(&ledger, manifest).await;
    assert!(say(8).await.contains("has not contacted the server yet"), "{}", say(8).await);
    world.contacts(&ledger, &mut computer, 9).await;
    assert!(say(10).await.contains("was told so"), "{}", say(10).await);
    computer.reports = vec![report(1, &row, InstallStep::TestLoad, Outcome::Refused)];
    world.contacts(&ledger, &mut computer, 11).await;
    assert!(say(12).await.contains("test_load refused"), "{}", say(12).await);
    computer.packages = vec![installed(&row)];
    world.contacts(&ledger, &mut computer, 13).await;
    assert_eq!(say(14).await, "pc-1 runs acme-av 1.0 as it should");
    let unknown = ExplainClient { name: computer_name("unknown") };
    assert!(ledger.query(unknown).await.unwrap().is_none());
}

pub(super) async fn approving_twice_answers_the_same_and_decides_once(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let first = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let head = ledger.head().size;
    let bob = Actor::token("bob");
    let again = ApproveRelease { actor: bob.clone(), ..world.approve(first.manifest) };
    ledger.execute(world.at(60), again).await.unwrap();
    let again = release(&ledger, first.manifest).await;
    assert_eq!((again.decided, again.rollout), (first.decided, first.rollout));
    unchanged(&ledger, head);
    let reject = RejectRelease { actor: bob, ..reject(first.manifest, "late") };
    assert_eq!(refused(ledger.execute(world.at(61), reject).await), ProblemCode::WrongState);
    unchanged(&ledger, head);
}

pub(super) async fn a_rejected_or_unknown_release_cannot_be_approved(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let staged = world.staged("acme-av", 1, &["stable"]);
    let manifest = staged.manifest;
    ledger.execute(world.at(5), staged).await.unwrap();
    let unknown = Sha256Digest::of(b"another manifest");
    let approve = ledger.execute(world.at(6), world.approve(unknown)).await;
    assert_eq!(refused(approve), ProblemCode::DigestMismatch);
    let rejected = ledger.execute(world.at(6), reject(unknown, "no")).await;
    assert_eq!(refused(rejected), ProblemCode::DigestMismatch);
    ledger.execute(world.at(7), reject(manifest, "too big")).await.unwrap();
    let row = release(&ledger, manifest).await;
    assert_eq!((row.state, row.reason.as_deref()), (ReleaseState::Rejected, Some("too big")));
    let head = ledger.head().size;
    ledger.execute(world.at(8), reject(manifest, "again")).await.unwrap();
    let approve = ledger.execute(world.at(9), world.approve(manifest)).await;
    assert_eq!(refused(approve), ProblemCode::WrongState);
    unchanged(&ledger, head);
    assert_eq!(releases(&ledger).await[0].state, ReleaseState::Rejected);
}

pub(super) async fn a_signer_that_the_trust_document_does_not_list_cannot_be_approved(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let staged = world.staged("acme-av", 1, &["stable"]);
    let manifest = staged.manifest;
    ledger.execute(world.at(5), staged).await.unwrap();
    let head = ledger.head().size;
    let package = PackageName::new("acme-av").unwrap();
    let signs_it =
        |key: &TrustedKey| key.key_use == KeyUse::Release && key.package.as_ref() == Some(&package);
    let with = |change: &dyn Fn(&mut TrustedKey)| {
        let mut trust = world.trust();
        trust.keys.iter_mut().filter(|key| signs_it(key)).for_each(change);
        Some(Arc::new(trust))
    };
    let unlisted = TrustDocument {
        keys: world.trust().keys.into_iter().filter(|key| !signs_it(key)).collect(),
        ..world.trust()
    };
    let other = SigningKey::generate().unwrap().public().to_base64();
    let refusals = [
        None,
        Some(Arc::new(unlisted)),
        with(&|key| key.key.clone_from(&other)),
        with(&|key| key.status = KeyStatus::Revoked),
        // A key that was retired stands for what it signed, and not for what is said to be as old.
        with(&|key| key.status = KeyStatus::Retired),
    ];
    for trust in refusals {
        let approve = ApproveRelease { trust, ..world.approve(manifest) };
        assert_eq!(refused(ledger.execute(world.at(6), approve).await), ProblemCode::BadSignature);
    }
    unchanged(&ledger, head);
    assert_eq!(release(&ledger, manifest).await.state, ReleaseState::Staged);
    let retired = with(&|key| {
        key.status = KeyStatus::Retired;
        key.digests.insert(manifest);
    });
    let comment = " the key was retired, this one it signed ".to_owned();
    let approve = ApproveRelease { trust: retired, comment, ..world.approve(manifest) };
    ledger.execute(world.at(7), approve).await.unwrap();
    let row = release(&ledger, manifest).await;
    assert_eq!(row.state, ReleaseState::Approved);
    let said = row.decided.unwrap().comment;
    assert_eq!(said.as_deref(), Some("the key was retired, this one it signed"));
}
