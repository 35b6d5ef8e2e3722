//! Contracts of releases from staging to withdrawal, and of pulls.

use sealpost_ledger::Ledger;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::Platform;
use sealpost_manifests::trust::CounterReset;
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Change;
use sealpost_site::commands::pulls::PullFailed;
use sealpost_site::commands::releases::{NoteDelta, RefuseRelease, ResetCounter};
use sealpost_site::queries::{Activity, ExplainClient, LastPull, ReleaseCounts, VoidedReleases};
use sealpost_site::rows::DeltaRow;
use sealpost_site::rules::explain::explain_client;
use sealpost_site::rules::release::{ReleaseState, Supersession};
use sealpost_test_support::world::{World, channel, computer_name, installed, reject, withdraw};

use crate::bench::Bench;
use crate::fixture::{
    WorldExt, activity, client, kinds, kinds_after, refused, release, releases, sound, unchanged,
};

async fn states(ledger: &Ledger) -> Vec<(u64, ReleaseState)> {
    releases(ledger).await.into_iter().map(|row| (row.counter.0, row.state)).collect()
}

pub(super) async fn a_newer_approval_supersedes_and_a_withdrawal_brings_the_older_back(
    world: &World,
    bench: &dyn Bench,
) {
    use ReleaseState::{Approved, Superseded, Withdrawn};
    let ledger = bench.open();
    world.unlock(&ledger, 2).await;
    world.pull(&ledger, 4).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    let first = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let second = world.approved(&ledger, "acme-av", 2, &["stable"]).await;
    assert_eq!(states(&ledger).await, [(2, Approved), (1, Superseded)]);
    assert_eq!(second.rollout, Some(2));
    // An older one cannot be approved any more.
    let skipped = world.staged("acme-av", 0, &["stable"]);
    ledger.execute(world.at(7), skipped.clone()).await.unwrap();
    let approve = ledger.execute(world.at(8), world.approve(skipped.manifest)).await;
    assert_eq!(refused(approve), ProblemCode::WrongState);
    ledger.execute(world.at(8), reject(skipped.manifest, "old")).await.unwrap();

    let assignment = world.contacts(&ledger, &mut computer, 8).await.assignment.unwrap();
    assert_eq!(assignment.packages[0].manifest, second.manifest);
    ledger.execute(world.at(9), withdraw(second.manifest, "crashes")).await.unwrap();
    let told = client(&ledger, &computer.name).await.assigned;
    assert_eq!(told, [], "what was withdrawn is not given out, whoever was told to install it");
    ledger.execute(world.at(9), withdraw(second.manifest, "crashes")).await.unwrap();
    assert_eq!(states(&ledger).await[..2], [(2, Withdrawn), (1, Approved)]);
    let unknown = ledger.execute(world.at(9), withdraw(Sha256Digest::of(b"unknown"), "x")).await;
    assert_eq!(refused(unknown), ProblemCode::NotFound);
    let approve = ledger.execute(world.at(9), world.approve(second.manifest)).await;
    assert_eq!(refused(approve), ProblemCode::WrongState);
    let assignment = world.contacts(&ledger, &mut computer, 10).await.assignment.unwrap();
    assert_eq!(assignment.packages[0].manifest, first.manifest);
    let says = async |seconds: i64| {
        let facts = ledger.query(ExplainClient { name: computer_name("pc-1") }).await.unwrap().unwrap();
        explain_client(&facts, None, world.at(seconds)).remove(0).sentence
    };
    let withdrew = format!("which the vendor withdrew (crashes), as is known here since {}", world.at(9));
    let said = says(11).await;
    assert!(
        said.contains(&format!("; it does not get 2.0, {withdrew}: `distributor rollouts show 2`")),
        "{said}"
    );
    // Who runs the withdrawn one already is not told to go back: agents refuse a lower counter.
    computer.packages = vec![installed(&second)];
    let assignment = world.contacts(&ledger, &mut computer, 20).await.assignment.unwrap();
    assert!(assignment.packages.is_empty());
    let said = says(21).await;
    assert_eq!(
        said,
        format!("pc-1 runs acme-av 2.0, {withdrew}; it runs on until something newer is approved")
    );
    let withdrawn = kinds(&ledger).await.into_iter().filter(|kind| *kind == "release_withdrawn").count();
    assert_eq!(withdrawn, 1);
    // Whatever names a release is found by it: its own entries, assignments, and what became of it by another decision.
    let names = |manifests: &[Sha256Digest]| Activity { releases: manifests.to_vec(), ..Activity::default() };
    let of_first = activity(&ledger, names(&[first.manifest])).await;
    let of_first: Vec<&str> = of_first.iter().map(|logged| logged.entry.kind()).collect();
    let expected =
        ["release_staged", "release_approved", "release_approved", "release_withdrawn", "assignment_changed"];
    assert_eq!(of_first, expected, "the second approval superseded it, and the withdrawal brought it back");
    let of_skipped = activity(&ledger, names(&[skipped.manifest])).await.len();
    let of_both = activity(&ledger, names(&[first.manifest, skipped.manifest])).await.len();
    assert_eq!((of_skipped, of_both), (2, 7));
    assert!(activity(&ledger, names(&[Sha256Digest::of(b"unknown")])).await.is_empty());
}

pub(super) async fn what_a_decision_does_to_other_releases_stands_in_its_entry(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let superseded = |manifests: &[Sha256Digest]| Supersession {
        superseded: manifests.to_vec(),
        ..Supersession::default()
    };
    let restored =
        |manifests: &[Sha256Digest]| Supersession { restored: manifests.to_vec(), ..Supersession::default() };
    let first = world.approved(&ledger, "acme-av", 1, &["beta", "stable"]).await.manifest;
    assert_eq!(newest_consequences(&ledger).await, Supersession::default());
    let second = world.approved(&ledger, "acme-av", 2, &["beta"]).await.manifest;
    assert_eq!(
        newest_consequences(&ledger).await,
        Supersession::default(),
        "`stable` still has only the first"
    );
    // The vendor's pointer `stable` moves on to what is approved for `beta`.
    ledger.execute(world.at(7), world.staged("acme-av", 2, &["beta", "stable"])).await.unwrap();
    assert_eq!(
        newest_consequences(&ledger).await,
        Supersession::default(),
        "nobody approved it for `stable`"
    );
    ledger.execute(world.at(7), world.approve(second)).await.unwrap();
    assert_eq!(newest_consequences(&ledger).await, superseded(&[first]));
    let third = world.approved(&ledger, "acme-av", 3, &["stable"]).await.manifest;
    assert_eq!(
        newest_consequences(&ledger).await,
        Supersession::default(),
        "`beta` still has only the second"
    );
    // Another package is not concerned.
    world.approved(&ledger, "acme-cad", 9, &["beta", "stable"]).await;
    assert_eq!(newest_consequences(&ledger).await, Supersession::default());
    ledger.execute(world.at(8), withdraw(second, "crashes")).await.unwrap();
    assert_eq!(newest_consequences(&ledger).await, restored(&[first]));
    ledger.execute(world.at(9), withdraw(third, "crashes too")).await.unwrap();
    assert_eq!(newest_consequences(&ledger).await, Supersession::default());
    // One approval can supersede a version on several platforms: in the order of counters, then of manifests.
    let mut older = Vec::new();
    for platform in ["windows-x86_64", "any", "linux-x86_64"] {
        older.push(approved_on(world, &ledger, 4, platform).await);
    }
    older.sort();
    approved_on(world, &ledger, 5, "any").await;
    assert_eq!(newest_consequences(&ledger).await, superseded(&older));
    sound(&ledger).await;
}

/// A release for one platform is staged and approved.
async fn approved_on(world: &World, ledger: &Ledger, counter: u64, platform: &str) -> Sha256Digest {
    let mut staged = world.staged("acme-av", counter, &["beta", "stable"]);
    staged.release.platform = Platform::new(platform).unwrap();
    staged.manifest = Sha256Digest::of(staged.release.to_string().as_bytes());
    let manifest = staged.manifest;
    ledger.execute(world.at(10), staged).await.unwrap();
    ledger.execute(world.at(10), world.approve(manifest)).await.unwrap();
    manifest
}

/// What the newest entry does to other releases.
async fn newest_consequences(ledger: &Ledger) -> Supersession {
    let after = ledger.head().size - 1;
    let newest = activity(ledger, Activity { after, ..Activity::default() }).await.remove(0);
    match newest.entry.change() {
        Some(
            Change::ReleaseApproved { supersession, .. }
            | Change::ReleaseWithdrawn { supersession, .. }
            | Change::ReleaseHalted { supersession, .. }
            | Change::ReleaseChannelsChanged { supersession, .. },
        ) => supersession.clone(),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn a_release_that_moves_on_keeps_the_channels_it_was_approved_for(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 2).await;
    world.pull(&ledger, 4).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    let first = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let stage = async |counter: u64, channels: &[&str], seconds: i64| {
        let staged = world.staged("acme-av", counter, channels);
        let manifest = staged.manifest;
        ledger.execute(world.at(seconds), staged).await.unwrap();
        release(&ledger, manifest).await
    };
    // The vendor's pointer goes on to a release that nobody approved yet.
    assert_eq!(stage(1, &[], 7).await.channels, [channel("stable")]);
    let second = stage(2, &["stable"], 7).await;
    let assignment = world.contacts(&ledger, &mut computer, 10).await.assignment.unwrap();
    assert_eq!(assignment.packages[0].manifest, first.manifest);
    // What is only staged follows the pointers.
    let head = ledger.head().size;
    assert_eq!(stage(2, &["stable", "beta"], 8).await.channels, [channel("beta"), channel("stable")]);
    stage(2, &["beta", "stable"], 8).await;
    unchanged(&ledger, head + 1);
    let beta = stage(2, &["beta"], 9).await;
    assert_eq!((beta.channels, beta.manifest), (vec![channel("beta")], second.manifest));
}

pub(super) async fn another_manifest_under_a_known_release_is_refused(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let head = ledger.head().size;
    let mut other = world.staged("acme-av", 1, &["stable"]);
    other.manifest = Sha256Digest::of(b"same version, other content");
    assert_eq!(refused(ledger.execute(world.at(7), other).await), ProblemCode::DigestMismatch);
    unchanged(&ledger, head);
}

pub(super) async fn a_refused_release_keeps_its_problems_and_can_pass_later(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let staged = world.staged("acme-av", 1, &["stable"]);
    let manifest = staged.manifest;
    let refuse = async |problems: &[&str]| {
        let problems = problems.iter().map(ToString::to_string).collect();
        let command = RefuseRelease { release: staged.release.clone(), manifest, problems };
        ledger.execute(world.at(5), command).await
    };
    refuse(&["file a is missing", "file b is longer than signed"]).await.unwrap();
    let head = ledger.head().size;
    refuse(&["file a is missing", "file b is longer than signed"]).await.unwrap();
    unchanged(&ledger, head);
    let row = release(&ledger, manifest).await;
    assert_eq!(row.state, ReleaseState::Refused);
    assert_eq!(row.reason.as_deref(), Some("file a is missing\nfile b is longer than signed"));
    assert_eq!(row.signer, None);
    let approve = ledger.execute(world.at(6), world.approve(manifest)).await;
    assert_eq!(refused(approve), ProblemCode::WrongState);
    assert_eq!(ledger.query(ReleaseCounts {}).await.unwrap(), [(ReleaseState::Refused, 1)]);
    ledger.execute(world.at(7), staged.clone()).await.unwrap();
    let row = release(&ledger, manifest).await;
    assert_eq!((row.state, row.reason), (ReleaseState::Staged, None));
    assert_eq!(refused(refuse(&["late"]).await), ProblemCode::WrongState);
    let base = Sha256Digest::of(b"base");
    let head = ledger.head().size;
    for _ in 0..2 {
        let made = NoteDelta { base, target: manifest, bytes: 42 };
        ledger.execute(world.at(8), made).await.unwrap();
    }
    unchanged(&ledger, head + 1);
    assert_eq!(release(&ledger, manifest).await.deltas, [DeltaRow { base, bytes: 42 }]);
}

pub(super) async fn pulls_are_chained_when_something_changed(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let last = async || ledger.query(LastPull {}).await.unwrap();
    let failed = || PullFailed { reason: "no route".into() };
    assert!(last().await.metadata_as_of.is_none());
    ledger.execute(world.at(10), world.pulled(1)).await.unwrap();
    ledger.execute(world.at(20), world.pulled(1)).await.unwrap();
    ledger.execute(world.at(30), failed()).await.unwrap();
    ledger.execute(world.at(40), failed()).await.unwrap();
    let pull = last().await;
    assert_eq!((pull.metadata_as_of, pull.tried_at), (Some(world.at(20)), Some(world.at(40))));
    assert_eq!(pull.failure.as_deref(), Some("no route"));
    ledger.execute(world.at(50), world.pulled(1)).await.unwrap();
    ledger.execute(world.at(60), world.pulled(2)).await.unwrap();
    assert_eq!(last().await.failure, None);
    let pulled = ["metadata_pulled", "pull_failed", "metadata_pulled", "metadata_pulled"];
    assert_eq!(kinds(&ledger).await[1..], pulled);
}

pub(super) async fn a_counter_that_the_vendor_reset_lets_lower_releases_in_again(
    world: &World,
    bench: &dyn Bench,
) {
    let mut ledger = bench.open();
    world.unlock(&ledger, 2).await;
    world.pull(&ledger, 4).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    let good = world.approved(&ledger, "acme-av", 5, &["stable"]).await;
    let other = world.approved(&ledger, "acme-cad", 900, &["stable"]).await;
    let stolen = world.approved(&ledger, "acme-av", 800, &["stable"]).await;
    let waiting = world.staged("acme-av", 700, &["stable"]);
    ledger.execute(world.at(7), waiting.clone()).await.unwrap();
    computer.packages = vec![installed(&stolen)];
    world.contacts(&ledger, &mut computer, 10).await;
    let reset = |counter: u64, number: u64| ResetCounter {
        reset: CounterReset {
            package: good.release.package.clone(),
            counter: ReleaseCounter(counter),
            number,
        },
    };
    let head = ledger.head().size;
    ledger.execute(world.at(11), reset(10, 3)).await.unwrap();
    assert_eq!(kinds_after(&ledger, head).await, ["counter_reset", "release_withdrawn", "release_withdrawn"]);
    let after = ledger.head().size;
    for restart in [false, true] {
        if restart {
            ledger.close().await.unwrap();
            drop(ledger);
            ledger = bench.open();
        }
        // Once for each higher number, so that an old trust document resets nothing.
        for (counter, number) in [(10, 3), (1, 2)] {
            ledger.execute(world.at(12), reset(counter, number)).await.unwrap();
        }
        unchanged(&ledger, after);
        let voided = ledger.query(VoidedReleases {}).await.unwrap();
        assert_eq!(voided, [stolen.manifest, waiting.manifest].into());
        for (manifest, state, voided) in [
            (good.manifest, ReleaseState::Approved, false),
            (stolen.manifest, ReleaseState::Withdrawn, true),
            (waiting.manifest, ReleaseState::Withdrawn, true),
            (other.manifest, ReleaseState::Approved, false),
        ] {
            let row = release(&ledger, manifest).await;
            assert_eq!((row.state, row.voided), (state, voided), "{}", row.release);
        }
    }
    // It runs one of those that count no more, and is told to install the lower one.
    let told = world.contacts(&ledger, &mut computer, 20).await.assignment.unwrap();
    let manifests: Vec<_> = told.packages.iter().map(|told| told.manifest).collect();
    assert_eq!(manifests, [good.manifest, other.manifest]);
    let next = world.approved(&ledger, "acme-av", 6, &["stable"]).await;
    assert_eq!(next.state, ReleaseState::Approved);
    ledger.execute(world.at(21), reset(5, 4)).await.unwrap();
    assert_eq!(release(&ledger, next.manifest).await.state, ReleaseState::Withdrawn);
    assert_eq!(release(&ledger, good.manifest).await.state, ReleaseState::Approved, "it is back");
    sound(&ledger).await;
}
