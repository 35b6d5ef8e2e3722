//! Contracts of pulls, releases, reviews, assignments, and of the log itself.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ComputerName, PackageName};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome};

use super::Bench;
use super::fixture::{
    DAY, World, admin, channel, installed, kinds, refused, report, sound, unchanged, versions,
};
use crate::domain::activity::Change;
use crate::ports::ledger::{ActivityFilter, Ledger, LedgerError, ReleaseState};

pub(in crate::ledger) async fn an_approval_names_the_digest_and_reaches_the_channel_only(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&*ledger, 5).await;
    world.pulled(&*ledger, 4).await;
    let mut stable = world.enrolled(&*ledger, "stable").await;
    let beta_name = ComputerName::new("beta").unwrap();
    ledger.reserve(admin(), world.at(2), beta_name, channel("beta")).await.unwrap();
    let mut beta = world.enrolled(&*ledger, "beta").await;
    let staged = world.staged("acme-av", 1, &["beta"]);
    let row = ledger.stage(world.at(5), staged.clone()).await.unwrap();
    assert_eq!(row.state, ReleaseState::Staged);
    for computer in [&mut stable, &mut beta] {
        assert!(
            world.contacts(&*ledger, computer, 10).await.assignment.is_none(),
            "nothing before the approval"
        );
    }
    let row = ledger.approve(admin(), world.at(11), staged.manifest).await.unwrap();
    assert_eq!((row.state, row.rollout), (ReleaseState::Approved, Some(1)));
    assert_eq!(row.decided, Some((world.at(11), admin())));
    assert!(world.contacts(&*ledger, &mut stable, 12).await.assignment.is_none());
    let assignment = world.contacts(&*ledger, &mut beta, 12).await.assignment.unwrap();
    assert_eq!(assignment.packages.len(), 1);
    assert_eq!(assignment.packages[0].manifest, staged.manifest);
    assert_eq!(assignment.packages[0].rollout, 1);
    assert_eq!(assignment.metadata_as_of, world.at(4));
    assert_eq!(assignment.expires_at, world.at(12 + 30 * DAY));

    beta.packages = vec![installed(&row)];
    beta.reports = vec![report(1, &row, InstallStep::RollBack, Outcome::Ok)];
    world.contacts(&*ledger, &mut beta, 20).await;
    let row = ledger.release(staged.manifest).await.unwrap().unwrap();
    assert_eq!((row.assigned, row.installed, row.failed), (1, 1, 1));
    let client = ledger.client(beta.name).await.unwrap().unwrap();
    assert_eq!(client.assigned, [(staged.release, staged.manifest)]);
    sound(&ledger).await;
}

pub(in crate::ledger) async fn each_computer_is_explained_from_review_to_success(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&*ledger, 5).await;
    world.pulled(&*ledger, 4).await;
    let mut computer = world.enrolled(&*ledger, "pc-1").await;
    let (name, staged) = (computer.name.clone(), world.staged("acme-av", 1, &["stable"]));
    let say = async |seconds: i64| {
        let all = ledger.explain(world.at(seconds), name.clone()).await.unwrap();
        all.into_iter().map(|explanation| explanation.sentence).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(say(5).await, "");
    ledger.stage(world.at(5), staged.clone()).await.unwrap();
    assert!(say(6).await.contains("1.0 waits for a review"), "{}", say(6).await);
    let row = ledger.approve(admin(), world.at(7), staged.manifest).await.unwrap();
    assert!(say(8).await.contains("has not contacted the server yet"), "{}", say(8).await);
    world.contacts(&*ledger, &mut computer, 9).await;
    assert!(say(10).await.contains("was told so"), "{}", say(10).await);
    computer.reports = vec![report(1, &row, InstallStep::TestLoad, Outcome::Refused)];
    world.contacts(&*ledger, &mut computer, 11).await;
    assert!(say(12).await.contains("test-load refused"), "{}", say(12).await);
    computer.packages = vec![installed(&row)];
    world.contacts(&*ledger, &mut computer, 13).await;
    assert_eq!(say(14).await, "pc-1 runs acme-av 1.0 as it should");
    let unknown = ComputerName::new("unknown").unwrap();
    assert!(ledger.explain(world.at(14), unknown).await.unwrap().is_empty());
}

pub(in crate::ledger) async fn approving_twice_answers_the_same_and_decides_once(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let first = world.approved(&*ledger, "acme-av", 1, &["stable"]).await;
    let head = ledger.head().await.unwrap().sequence;
    let bob = crate::domain::activity::Actor::Admin { name: "bob".into() };
    let again = ledger.approve(bob.clone(), world.at(60), first.manifest).await.unwrap();
    assert_eq!((again.decided, again.rollout), (first.decided, first.rollout));
    unchanged(&*ledger, head).await;
    let reject = ledger.reject(bob, world.at(61), first.manifest, "late".into()).await;
    assert_eq!(refused(reject), ProblemCode::WrongState);
    unchanged(&*ledger, head).await;
}

pub(in crate::ledger) async fn a_rejected_or_unknown_release_cannot_be_approved(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let staged = world.staged("acme-av", 1, &["stable"]);
    ledger.stage(world.at(5), staged.clone()).await.unwrap();
    let unknown = Sha256Digest::of(b"another manifest");
    assert_eq!(refused(ledger.approve(admin(), world.at(6), unknown).await), ProblemCode::DigestMismatch);
    let reject = ledger.reject(admin(), world.at(6), unknown, "no".into()).await;
    assert_eq!(refused(reject), ProblemCode::DigestMismatch);
    let row = ledger.reject(admin(), world.at(7), staged.manifest, "too big".into()).await.unwrap();
    assert_eq!((row.state, row.reason.as_deref()), (ReleaseState::Rejected, Some("too big")));
    let head = ledger.head().await.unwrap().sequence;
    ledger.reject(admin(), world.at(8), staged.manifest, "again".into()).await.unwrap();
    assert_eq!(refused(ledger.approve(admin(), world.at(9), staged.manifest).await), ProblemCode::WrongState);
    unchanged(&*ledger, head).await;
    assert_eq!(ledger.releases().await.unwrap()[0].state, ReleaseState::Rejected);
}

async fn states(ledger: &dyn Ledger) -> Vec<(u64, ReleaseState)> {
    ledger.releases().await.unwrap().into_iter().map(|row| (row.counter.0, row.state)).collect()
}

pub(in crate::ledger) async fn a_newer_approval_supersedes_and_a_withdrawal_brings_the_older_back(
    world: &World,
    bench: &dyn Bench,
) {
    use ReleaseState::{Approved, Superseded, Withdrawn};
    let ledger = bench.open();
    world.unlock(&*ledger, 2).await;
    world.pulled(&*ledger, 4).await;
    let mut computer = world.enrolled(&*ledger, "pc-1").await;
    let first = world.approved(&*ledger, "acme-av", 1, &["stable"]).await;
    let second = world.approved(&*ledger, "acme-av", 2, &["stable"]).await;
    assert_eq!(states(&*ledger).await, [(2, Approved), (1, Superseded)]);
    assert_eq!(second.rollout, Some(2));
    // An older one cannot be approved any more.
    let skipped = world.staged("acme-av", 0, &["stable"]);
    ledger.stage(world.at(7), skipped.clone()).await.unwrap();
    assert_eq!(
        refused(ledger.approve(admin(), world.at(8), skipped.manifest).await),
        ProblemCode::WrongState
    );
    ledger.reject(admin(), world.at(8), skipped.manifest, "old".into()).await.unwrap();

    let assignment = world.contacts(&*ledger, &mut computer, 8).await.assignment.unwrap();
    assert_eq!(assignment.packages[0].manifest, second.manifest);
    ledger.withdraw(world.at(9), second.manifest, "crashes".into()).await.unwrap();
    let told = ledger.client(computer.name.clone()).await.unwrap().unwrap().assigned;
    assert_eq!(told, [], "what was withdrawn is not given out, whoever was told to install it");
    ledger.withdraw(world.at(9), second.manifest, "crashes".into()).await.unwrap();
    assert_eq!(states(&*ledger).await[..2], [(2, Withdrawn), (1, Approved)]);
    let unknown = ledger.withdraw(world.at(9), Sha256Digest::of(b"unknown"), "x".into()).await;
    assert_eq!(refused(unknown), ProblemCode::NotFound);
    assert_eq!(refused(ledger.approve(admin(), world.at(9), second.manifest).await), ProblemCode::WrongState);
    let assignment = world.contacts(&*ledger, &mut computer, 10).await.assignment.unwrap();
    assert_eq!(assignment.packages[0].manifest, first.manifest);
    // Who runs the withdrawn one already is not told to go back: agents refuse a lower counter.
    computer.packages = vec![installed(&second)];
    let assignment = world.contacts(&*ledger, &mut computer, 20).await.assignment.unwrap();
    assert!(assignment.packages.is_empty());
    let withdrawn = kinds(&*ledger).await.into_iter().filter(|kind| *kind == "release_withdrawn").count();
    assert_eq!(withdrawn, 1);
}

pub(in crate::ledger) async fn a_release_that_moves_on_keeps_the_channels_it_was_approved_for(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&*ledger, 2).await;
    world.pulled(&*ledger, 4).await;
    let mut computer = world.enrolled(&*ledger, "pc-1").await;
    let first = world.approved(&*ledger, "acme-av", 1, &["stable"]).await;
    // The vendor's pointer goes on to a release that nobody approved yet.
    let moved = ledger.stage(world.at(7), world.staged("acme-av", 1, &[])).await.unwrap();
    assert_eq!(moved.channels, [channel("stable")]);
    let second = ledger.stage(world.at(7), world.staged("acme-av", 2, &["stable"])).await.unwrap();
    let assignment = world.contacts(&*ledger, &mut computer, 10).await.assignment.unwrap();
    assert_eq!(assignment.packages[0].manifest, first.manifest);
    // What is only staged follows the pointers.
    let head = ledger.head().await.unwrap().sequence;
    let both = ledger.stage(world.at(8), world.staged("acme-av", 2, &["stable", "beta"])).await.unwrap();
    assert_eq!(both.channels, [channel("beta"), channel("stable")]);
    ledger.stage(world.at(8), world.staged("acme-av", 2, &["beta", "stable"])).await.unwrap();
    unchanged(&*ledger, head + 1).await;
    let beta = ledger.stage(world.at(9), world.staged("acme-av", 2, &["beta"])).await.unwrap();
    assert_eq!((beta.channels, beta.manifest), (vec![channel("beta")], second.manifest));
}

pub(in crate::ledger) async fn another_manifest_under_a_known_release_is_refused(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.approved(&*ledger, "acme-av", 1, &["stable"]).await;
    let head = ledger.head().await.unwrap().sequence;
    let mut other = world.staged("acme-av", 1, &["stable"]);
    other.manifest = Sha256Digest::of(b"same version, other content");
    assert_eq!(refused(ledger.stage(world.at(7), other).await), ProblemCode::DigestMismatch);
    unchanged(&*ledger, head).await;
}

pub(in crate::ledger) async fn a_refused_release_keeps_its_problems_and_can_pass_later(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let staged = world.staged("acme-av", 1, &["stable"]);
    let refuse = |problems: &[&str]| {
        let problems = problems.iter().map(ToString::to_string).collect();
        ledger.refuse_release(world.at(5), staged.release.clone(), staged.manifest, problems)
    };
    refuse(&["file a is missing", "file b is longer than signed"]).await.unwrap();
    let head = ledger.head().await.unwrap().sequence;
    refuse(&["file a is missing", "file b is longer than signed"]).await.unwrap();
    unchanged(&*ledger, head).await;
    let row = ledger.release(staged.manifest).await.unwrap().unwrap();
    assert_eq!(row.state, ReleaseState::Refused);
    assert_eq!(row.reason.as_deref(), Some("file a is missing\nfile b is longer than signed"));
    assert_eq!(row.signer, None);
    assert_eq!(refused(ledger.approve(admin(), world.at(6), staged.manifest).await), ProblemCode::WrongState);
    let row = ledger.stage(world.at(7), staged.clone()).await.unwrap();
    assert_eq!((row.state, row.reason), (ReleaseState::Staged, None));
    assert_eq!(refused(refuse(&["late"]).await), ProblemCode::WrongState);
    ledger.delta_made(world.at(8), Sha256Digest::of(b"base"), staged.manifest, 42).await.unwrap();
    ledger.delta_made(world.at(8), Sha256Digest::of(b"base"), staged.manifest, 42).await.unwrap();
    let row = ledger.release(staged.manifest).await.unwrap().unwrap();
    assert_eq!(row.deltas, [(Sha256Digest::of(b"base"), 42)]);
}

pub(in crate::ledger) async fn pulls_are_chained_when_something_changed(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    assert!(ledger.last_pull().await.unwrap().metadata_as_of.is_none());
    ledger.pull_succeeded(world.at(10), versions(1)).await.unwrap();
    ledger.pull_succeeded(world.at(20), versions(1)).await.unwrap();
    ledger.pull_failed(world.at(30), "no route".into()).await.unwrap();
    ledger.pull_failed(world.at(40), "no route".into()).await.unwrap();
    let pull = ledger.last_pull().await.unwrap();
    assert_eq!((pull.metadata_as_of, pull.tried_at), (Some(world.at(20)), Some(world.at(40))));
    assert_eq!(pull.failure.as_deref(), Some("no route"));
    ledger.pull_succeeded(world.at(50), versions(1)).await.unwrap();
    ledger.pull_succeeded(world.at(60), versions(2)).await.unwrap();
    assert_eq!(ledger.last_pull().await.unwrap().failure, None);
    let pulled = ["metadata_pulled", "pull_failed", "metadata_pulled", "metadata_pulled"];
    assert_eq!(kinds(&*ledger).await[1..], pulled);
}

pub(in crate::ledger) async fn an_assignment_covers_only_licensed_packages(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let mut grant = world.grant(1, 5);
    grant.packages = vec![PackageName::new("acme-av").unwrap()];
    world.accept(&*ledger, grant.clone()).await.unwrap();
    world.pulled(&*ledger, 4).await;
    world.approved(&*ledger, "acme-av", 1, &["stable"]).await;
    world.approved(&*ledger, "acme-cad", 1, &["stable"]).await;
    let mut computer = world.enrolled(&*ledger, "pc-1").await;
    let first = world.contacts(&*ledger, &mut computer, 10).await;
    let packages = |assignment: sealpost_manifests::assignment::Assignment| {
        let names = assignment.packages.into_iter().map(|package| package.release.package.to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(packages(first.assignment.unwrap()), ["acme-av"]);
    assert_eq!(first.lease.unwrap().packages, grant.packages);
    grant.packages.push(PackageName::new("acme-cad").unwrap());
    grant.generation = 2;
    world.accept(&*ledger, grant).await.unwrap();
    let second = world.contacts(&*ledger, &mut computer, 20).await;
    assert_eq!(packages(second.assignment.unwrap()), ["acme-av", "acme-cad"]);
    assert!(second.grant.is_some() && second.lease.unwrap().packages.len() == 2);
}

pub(in crate::ledger) async fn refusals_are_counted_into_one_entry_per_source_and_minute(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    for second in 0..50 {
        ledger.count_refusal(world.at(second % 10), ProblemCode::NoLease, "pc-1".into());
        ledger.count_refusal(world.at(second % 10), ProblemCode::Unauthenticated, "192.0.2.9\n".into());
    }
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = bench.open();
    let filter = ActivityFilter { kind: Some("refused".into()), ..ActivityFilter::default() };
    let logged = ledger.activity(filter).await.unwrap();
    let counts: Vec<_> = logged
        .iter()
        .map(|logged| match &logged.entry.change {
            Change::Refused { code, count, .. } => (*code, *count),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts, [(ProblemCode::Unauthenticated, 50), (ProblemCode::NoLease, 50)]);
    sound(&ledger).await;
}

pub(in crate::ledger) async fn the_log_is_filtered_and_bounded(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&*ledger, 30).await;
    let mut news = ledger.subscribe();
    for number in 0..20 {
        world.enrolled(&*ledger, &format!("pc-{number}")).await;
    }
    news.wait_for(|sequence| *sequence == 62).await.unwrap();
    let read = |filter: ActivityFilter| ledger.activity(filter);
    let name = ComputerName::new("pc-3").unwrap();
    let of_client = read(ActivityFilter { client: Some(name), ..ActivityFilter::default() }).await.unwrap();
    assert_eq!(of_client.len(), 3);
    let after =
        ActivityFilter { after: of_client[1].entry.sequence, limit: Some(2), ..ActivityFilter::default() };
    let page = read(after).await.unwrap();
    assert_eq!(page.len(), 2);
    assert_eq!(page[0].entry.sequence, of_client[2].entry.sequence);
    let since = ActivityFilter { since: Some(world.at(3)), ..ActivityFilter::default() };
    assert!(read(since).await.unwrap().iter().all(|logged| logged.entry.at >= world.at(3)));
    let flood = ActivityFilter { limit: Some(u32::MAX), ..ActivityFilter::default() };
    assert_eq!(read(flood).await.unwrap().len(), 62);
    assert_eq!(ledger.clients(None, 7).await.unwrap().len(), 7);
    let last = ComputerName::new("pc-8").unwrap();
    assert_eq!(ledger.clients(Some(last), 7).await.unwrap()[0].name.as_str(), "pc-9");
}

pub(in crate::ledger) async fn a_closed_ledger_refuses_and_loses_nothing(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&*ledger, 3).await;
    let name = |number: u8| ComputerName::new(format!("pc-{number}")).unwrap();
    let (first, closed) =
        tokio::join!(ledger.reserve(admin(), world.at(2), name(1), channel("stable")), ledger.close());
    closed.unwrap();
    let after = ledger.reserve(admin(), world.at(2), name(2), channel("stable")).await;
    assert!(matches!(after, Err(LedgerError::Closed)), "{after:?}");
    assert!(matches!(ledger.releases().await, Err(LedgerError::Closed)));
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = bench.open();
    let held = ledger.client(name(1)).await.unwrap().is_some();
    assert_eq!(held, first.is_ok(), "what was answered is there, and nothing else");
    assert!(ledger.client(name(2)).await.unwrap().is_none());
}
