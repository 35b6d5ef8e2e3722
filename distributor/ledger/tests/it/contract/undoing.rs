//! What is stopped, undone and tried again; and what computers say that is not as it was signed.

use std::collections::BTreeMap;

use sealpost_ledger::Ledger;
use sealpost_manifests::assignment::{Action, Assignment, PackageAssignment};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::contact::{Drift, DriftKind};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};
use sealpost_site::commands::clients::ChangeChannel;
use sealpost_site::commands::releases::ApproveRelease;
use sealpost_site::commands::rollouts::{Steer, SteerRollout};
use sealpost_site::commands::undoing::{HaltRelease, RetryRelease, WhoRunsIt};
use sealpost_site::queries::{
    Activity, ApprovedReleases, Drifted, ExplainClient, KnownReleases, MAX_PAGE, Only, Recipients,
    VoidedReleases,
};
use sealpost_site::rows::ReleaseRow;
use sealpost_site::rules::attention;
use sealpost_site::rules::explain::explain_client;
use sealpost_site::rules::leaving::{Leaving, Runners};
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::rollouts::progress::RolloutState;
use sealpost_site::rules::rollouts::settings::SettingKind;
use sealpost_test_support::world::{
    Computer, DAY, World, admin, channel, computer_name, installed, reconsider, report, reserve_for,
};

use super::rolling::{Rolling, changes, counted, rollout, setting};
use crate::bench::Bench;
use crate::fixture::{WorldExt, client, entries_of, refused, release, sound};

fn halt(manifest: Sha256Digest, runs: WhoRunsIt) -> HaltRelease {
    HaltRelease { actor: admin(), manifest, reason: "it crashes".to_owned(), runs }
}

pub(super) async fn the_reason_of_a_halt_is_stored_whole(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.pull(&ledger, 4).await;
    let bad = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let reason = "it crashes; ".repeat(2_048 / 12);
    let halt = HaltRelease { reason: reason.clone(), ..halt(bad.manifest, WhoRunsIt::Keeps) };
    ledger.execute(world.at(20), halt).await.unwrap();
    let stored = release(&ledger, bad.manifest).await.reason.unwrap();
    assert_eq!(stored.trim(), reason.trim());
}

fn retry(manifest: Sha256Digest, names: &[&str]) -> RetryRelease {
    let names = names.iter().map(|name| computer_name(name)).collect();
    RetryRelease { actor: admin(), manifest, names, comment: "the disk was changed".to_owned() }
}

/// What a contact brings of the only package; `None` when there is no new assignment.
async fn told(world: &World, ledger: &Ledger, computer: &mut Computer, seconds: i64) -> Option<Assignment> {
    world.contacts(ledger, computer, seconds).await.assignment
}

fn only(assignment: Option<Assignment>) -> PackageAssignment {
    let mut packages = assignment.unwrap().packages;
    assert_eq!(packages.len(), 1, "{packages:?}");
    packages.remove(0)
}

/// The computer says that it runs a release.
fn runs(computer: &mut Computer, row: &ReleaseRow) {
    computer.packages = vec![installed(row)];
}

async fn says(world: &World, ledger: &Ledger, name: &ComputerName, seconds: i64) -> String {
    let facts = ledger.query(ExplainClient { name: name.clone() }).await.unwrap().unwrap();
    let sentences = explain_client(&facts, None, world.at(seconds)).into_iter().map(|one| one.sentence);
    sentences.collect::<Vec<_>>().join("\n")
}

/// What `status` says of a stopped release.
async fn warned_of(ledger: &Ledger, manifest: Sha256Digest) -> String {
    let known = ledger.query(KnownReleases { after: None, limit: MAX_PAGE }).await.unwrap();
    let approved = ledger.query(ApprovedReleases {}).await.unwrap();
    let voided = ledger.query(VoidedReleases {}).await.unwrap();
    let left = known.iter().find(|release| release.manifest == manifest).unwrap();
    let (judge, mut runners) = (Leaving::new(&approved, &known, &voided), Runners::default());
    for computer in ledger.query(Recipients { after: None, running: None, limit: MAX_PAGE }).await.unwrap() {
        judge.add(left, &computer, &mut runners);
    }
    let row = release(ledger, manifest).await;
    attention::warnings(&[row], &BTreeMap::from([(manifest, runners)])).remove(0).message
}

/// A computer of a channel that is enrolled.
async fn of_channel(world: &World, ledger: &Ledger, name: &str, of: &str) -> Computer {
    ledger.execute(world.at(2), reserve_for(name, of)).await.unwrap();
    world.enrolled(ledger, name).await
}

pub(super) async fn an_approval_for_one_channel_gives_nothing_to_another_that_the_pointer_moved_to(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    world.pull(&ledger, 4).await;
    let mut beta = of_channel(world, &ledger, "pc-beta", "beta").await;
    let mut stable = of_channel(world, &ledger, "pc-stable", "stable").await;
    let old = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let new = world.approved(&ledger, "acme-av", 2, &["beta"]).await;
    // The vendor moves the release to `stable` after it was reviewed for `beta`.
    ledger.execute(world.at(7), world.staged("acme-av", 2, &["stable"])).await.unwrap();
    let row = release(&ledger, new.manifest).await;
    assert_eq!(
        (row.channels, row.approved_for),
        (vec![channel("beta"), channel("stable")], vec![channel("beta")])
    );
    assert_eq!(only(told(world, &ledger, &mut stable, 10).await).manifest, old.manifest);
    assert_eq!(only(told(world, &ledger, &mut beta, 11).await).manifest, new.manifest);
    let waits = says(world, &ledger, &stable.name, 12).await;
    assert!(waits.contains("should run 1.0"), "{waits}");
    runs(&mut stable, &old);
    assert!(told(world, &ledger, &mut stable, 13).await.is_none());
    let waits = says(world, &ledger, &stable.name, 14).await;
    assert!(waits.contains("as it should; 2.0 waits for a review"), "{waits}");
    // A channel that does not point to it cannot be named; the one that does is approved as a second decision.
    let elsewhere =
        ApproveRelease { channels: Some(vec![channel("nightly")]), ..world.approve(new.manifest) };
    assert_eq!(refused(ledger.execute(world.at(15), elsewhere).await), ProblemCode::WrongState);
    ledger.execute(world.at(15), world.approve(new.manifest)).await.unwrap();
    assert_eq!(entries_of(&ledger, "release_approved").await.len(), 3);
    assert_eq!(only(told(world, &ledger, &mut stable, 16).await).manifest, new.manifest);
    assert!(told(world, &ledger, &mut beta, 17).await.is_none(), "who had it hears nothing new");
    sound(&ledger).await;
}

pub(super) async fn a_superseded_release_is_not_approved_again_without_a_word(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let old = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    world.approved(&ledger, "acme-av", 2, &["stable"]).await;
    assert_eq!(release(&ledger, old.manifest).await.state, ReleaseState::Superseded);
    let head = ledger.head().size;
    let again = ledger.execute(world.at(9), world.approve(old.manifest)).await;
    assert_eq!(refused(again), ProblemCode::WrongState);
    assert_eq!(ledger.head().size, head);
}

pub(super) async fn a_halted_release_goes_to_nobody_and_the_one_before_is_approved_again(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    world.pull(&ledger, 4).await;
    let old = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let bad = world.approved(&ledger, "acme-av", 2, &["stable"]).await;
    let mut runs_it = world.enrolled(&ledger, "pc-1").await;
    runs(&mut runs_it, &bad);
    let mut was_told = world.enrolled(&ledger, "pc-2").await;
    world.contacts(&ledger, &mut runs_it, 10).await;
    assert_eq!(only(told(world, &ledger, &mut was_told, 11).await).manifest, bad.manifest);
    ledger.execute(world.at(20), halt(bad.manifest, WhoRunsIt::Keeps)).await.unwrap();
    let row = release(&ledger, bad.manifest).await;
    assert_eq!((row.state, row.reason.as_deref()), (ReleaseState::Halted, Some("it crashes")));
    assert_eq!(
        (row.assigned, row.installed),
        (0, 1),
        "who runs it is counted, and nobody is told it any more"
    );
    assert_eq!(release(&ledger, old.manifest).await.state, ReleaseState::Approved);
    assert_eq!(only(told(world, &ledger, &mut was_told, 21).await).manifest, old.manifest);
    assert!(
        told(world, &ledger, &mut runs_it, 22).await.unwrap().packages.is_empty(),
        "it keeps what it runs"
    );
    let sentence = says(world, &ledger, &runs_it.name, 23).await;
    let by_whom = format!("which was halted by alice since {} (it crashes)", world.at(20));
    assert!(sentence.contains(&by_whom), "{sentence}");
    // Again is no change; what nobody approved is not halted, and what is halted is not approved.
    let head = ledger.head().size;
    ledger.execute(world.at(24), halt(bad.manifest, WhoRunsIt::Keeps)).await.unwrap();
    let approve = ledger.execute(world.at(24), world.approve(bad.manifest)).await;
    assert_eq!(refused(approve), ProblemCode::WrongState);
    assert_eq!(ledger.head().size, head);
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = bench.open();
    assert_eq!(release(&ledger, bad.manifest).await.state, ReleaseState::Halted);
    sound(&ledger).await;
}

pub(super) async fn a_halt_with_a_rollback_leads_each_computer_to_what_it_ran_before(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    world.pull(&ledger, 4).await;
    let first = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let second = world.approved(&ledger, "acme-av", 2, &["stable"]).await;
    let bad = world.approved(&ledger, "acme-av", 3, &["stable"]).await;
    // One ran the first and skipped the second; another ran the second; a third has never run anything else.
    let mut computers = Vec::new();
    for (name, before) in [("pc-1", Some(&first)), ("pc-2", Some(&second)), ("pc-3", None)] {
        let mut computer = world.enrolled(&ledger, name).await;
        for row in before.into_iter().chain([&bad]) {
            runs(&mut computer, row);
            world.contacts(&ledger, &mut computer, 10 + i64::try_from(computers.len()).unwrap()).await;
        }
        computers.push(computer);
    }
    ledger.execute(world.at(20), halt(bad.manifest, WhoRunsIt::GoesBack)).await.unwrap();
    let warned = warned_of(&ledger, bad.manifest).await;
    assert!(warned.starts_with("3 computers run acme-av 3.0"), "{warned}");
    assert!(
        warned.contains("2 are told to go back; 1 has nothing to go back to and runs on (pc-3)"),
        "{warned}"
    );
    for (at, (computer, back_to)) in computers.iter_mut().zip([Some(&first), Some(&second), None]).enumerate()
    {
        let assignment = told(world, &ledger, computer, 30 + i64::try_from(at).unwrap()).await.unwrap();
        match back_to {
            Some(row) => {
                let told = only(Some(assignment));
                assert_eq!((told.action, told.manifest), (Action::Rollback, row.manifest));
                assert!(told.why.unwrap().text.contains("it crashes"));
                let sentence = says(world, &ledger, &computer.name, 40).await;
                assert!(sentence.contains("should go back to"), "{sentence}");
            }
            None => assert!(assignment.packages.is_empty(), "there is nothing known to go back to"),
        }
    }
    // Gone back, it is offered nothing below what it left, although the second is approved again.
    let back = &mut computers[0];
    runs(back, &first);
    assert!(told(world, &ledger, back, 50).await.unwrap().packages.is_empty());
    let newer = world.approved(&ledger, "acme-av", 4, &["stable"]).await;
    let warned = warned_of(&ledger, bad.manifest).await;
    assert!(warned.ends_with(": 2 are told to install a newer release"), "{warned}");
    for computer in &mut computers {
        assert_eq!(only(told(world, &ledger, computer, 60).await).manifest, newer.manifest);
    }
    sound(&ledger).await;
}

pub(super) async fn a_rollback_of_the_site_reaches_a_computer_that_a_person_led_away_from_the_release_before(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    world.pull(&ledger, 4).await;
    let old = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let bad = world.approved(&ledger, "acme-av", 2, &["stable"]).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    for row in [&bad, &old, &bad] {
        runs(&mut computer, row);
        world.contacts(&ledger, &mut computer, 10).await;
    }
    // The last of these was a person's rollback, by which the computer gave the old one up.
    let left = Report {
        attempt: 3,
        reason: ReasonCode::AskedLocally,
        ..report(1, &old, InstallStep::RollBack, Outcome::Ok)
    };
    computer.reports = vec![left];
    world.contacts(&ledger, &mut computer, 11).await;
    let failures = Activity { only: Only::Failures, ..Activity::default() };
    assert!(ledger.query(failures.clone()).await.unwrap().is_empty(), "a person asked for it");
    // One that the computer made by itself, and one that was asked for and did not succeed, went wrong.
    let by_itself = Report { id: 2, reason: ReasonCode::HookFailed, ..computer.reports[0].clone() };
    let not_done = Report { id: 3, outcome: Outcome::Failed, ..computer.reports[0].clone() };
    // So did an audit that found something, which says nothing of an install.
    let audit = |id, outcome| Report { id, step: InstallStep::Audit, outcome, ..computer.reports[0].clone() };
    let mut another = world.enrolled(&ledger, "pc-2").await;
    another.reports = vec![by_itself, not_done, audit(4, Outcome::Failed), audit(5, Outcome::Ok)];
    world.contacts(&ledger, &mut another, 12).await;
    assert_eq!(ledger.query(failures).await.unwrap().len(), 3);
    computer.reports.clear();
    ledger.execute(world.at(20), halt(bad.manifest, WhoRunsIt::GoesBack)).await.unwrap();
    let back = only(told(world, &ledger, &mut computer, 21).await);
    assert_eq!((back.action, back.manifest, back.attempt), (Action::Rollback, old.manifest, 4));
    let sentence = says(world, &ledger, &computer.name, 21).await;
    assert!(sentence.contains("should go back to") && sentence.contains("was told so"), "{sentence}");
    // While it reports its steps the order stays.
    computer.reports = vec![Report { attempt: 4, ..report(2, &old, InstallStep::Check, Outcome::Ok) }];
    assert!(told(world, &ledger, &mut computer, 22).await.is_none());
    computer.reports.clear();
    assert!(told(world, &ledger, &mut computer, 23).await.is_none());
    sound(&ledger).await;
}

/// A computer that rolled back from a release.
async fn failed(world: &World, ledger: &Ledger, name: &str, row: &ReleaseRow, attempt: u32) -> Computer {
    let mut computer = world.enrolled(ledger, name).await;
    world.contacts(ledger, &mut computer, 10).await;
    reports_failure(world, ledger, &mut computer, row, attempt, 11).await;
    computer
}

async fn reports_failure(
    world: &World,
    ledger: &Ledger,
    computer: &mut Computer,
    row: &ReleaseRow,
    attempt: u32,
    seconds: i64,
) {
    let report = Report { attempt, ..report(u64::from(attempt), row, InstallStep::RollBack, Outcome::Ok) };
    computer.reports = vec![report];
    world.contacts(ledger, computer, seconds).await;
    computer.reports.clear();
}

pub(super) async fn a_retry_raises_the_attempt_of_who_failed_and_of_nobody_else(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    world.pull(&ledger, 4).await;
    let row = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let mut other = world.enrolled(&ledger, "pc-2").await;
    world.contacts(&ledger, &mut other, 10).await;
    assert_eq!(
        refused(ledger.execute(world.at(10), retry(row.manifest, &[])).await),
        ProblemCode::WrongState
    );
    let mut bad = failed(world, &ledger, "pc-1", &row, 1).await;
    let sentence = says(world, &ledger, &bad.name, 12).await;
    assert!(
        sentence.contains("`distributor updates retry acme-av:1.0 --client pc-1 --why TEXT`"),
        "{sentence}"
    );
    let names = ledger.execute(world.at(20), retry(row.manifest, &[])).await.unwrap();
    assert_eq!(names, [computer_name("pc-1")]);
    assert_eq!(only(told(world, &ledger, &mut bad, 21).await).attempt, 2);
    assert!(told(world, &ledger, &mut other, 22).await.is_none());
    let sentence = says(world, &ledger, &bad.name, 23).await;
    assert!(sentence.contains("was told so"), "{sentence}");
    // Once more changes nothing before it has tried; a computer that is named tries in any case.
    let head = ledger.head().size;
    assert!(ledger.execute(world.at(24), retry(row.manifest, &[])).await.unwrap().is_empty());
    assert_eq!(ledger.head().size, head);
    reports_failure(world, &ledger, &mut bad, &row, 2, 25).await;
    ledger.execute(world.at(26), retry(row.manifest, &[])).await.unwrap();
    assert_eq!(only(told(world, &ledger, &mut bad, 27).await).attempt, 3);
    ledger.execute(world.at(28), retry(row.manifest, &["pc-2"])).await.unwrap();
    assert_eq!(only(told(world, &ledger, &mut other, 29).await).attempt, 2);
    let unknown = ledger.execute(world.at(30), retry(row.manifest, &["pc-9"])).await;
    assert_eq!(refused(unknown), ProblemCode::NotFound);
    sound(&ledger).await;
}

pub(super) async fn a_reconsidered_release_is_decided_anew_and_offered_in_a_later_attempt(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    world.pull(&ledger, 4).await;
    let row = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    assert_eq!(only(told(world, &ledger, &mut computer, 10).await).attempt, 1);
    let reconsider = || reconsider(row.manifest);
    assert_eq!(refused(ledger.execute(world.at(11), reconsider()).await), ProblemCode::WrongState);
    ledger.execute(world.at(12), halt(row.manifest, WhoRunsIt::GoesBack)).await.unwrap();
    ledger.execute(world.at(13), reconsider()).await.unwrap();
    let staged = release(&ledger, row.manifest).await;
    assert_eq!((staged.state, staged.rollback, staged.reason), (ReleaseState::Staged, false, None));
    assert!(staged.approved_for.is_empty());
    assert!(told(world, &ledger, &mut computer, 14).await.unwrap().packages.is_empty());
    ledger.execute(world.at(15), world.approve(row.manifest)).await.unwrap();
    let again = only(told(world, &ledger, &mut computer, 16).await);
    assert_eq!((again.attempt, again.rollout), (2, row.rollout.unwrap() + 1));
    // A retry raised the attempt of one computer: the next review goes above that one too.
    ledger.execute(world.at(17), retry(row.manifest, &["pc-1"])).await.unwrap();
    ledger.execute(world.at(18), retry(row.manifest, &["pc-1"])).await.unwrap();
    assert_eq!(only(told(world, &ledger, &mut computer, 19).await).attempt, 4);
    ledger.execute(world.at(20), halt(row.manifest, WhoRunsIt::GoesBack)).await.unwrap();
    ledger.execute(world.at(21), reconsider()).await.unwrap();
    ledger.execute(world.at(22), world.approve(row.manifest)).await.unwrap();
    assert_eq!(only(told(world, &ledger, &mut computer, 23).await).attempt, 5);
    sound(&ledger).await;
}

pub(super) async fn a_computer_moved_to_another_channel_gets_what_is_approved_there(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    world.pull(&ledger, 4).await;
    world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let beta = world.approved(&ledger, "acme-av", 2, &["beta"]).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    assert_eq!(world.contacts(&ledger, &mut computer, 10).await.lease.unwrap().channel, channel("stable"));
    let to = |name: &str, to: &str| ChangeChannel {
        actor: admin(),
        name: computer_name(name),
        channel: channel(to),
    };
    assert_eq!(refused(ledger.execute(world.at(11), to("pc-1", "bata")).await), ProblemCode::NotFound);
    assert_eq!(refused(ledger.execute(world.at(11), to("pc-9", "beta")).await), ProblemCode::NotReserved);
    for seconds in [12, 13] {
        ledger.execute(world.at(seconds), to("pc-1", "beta")).await.unwrap();
    }
    assert_eq!(entries_of(&ledger, "channel_changed").await.len(), 1);
    assert_eq!(client(&ledger, &computer.name).await.channel, channel("beta"));
    let outcome = world.contacts(&ledger, &mut computer, 20).await;
    assert_eq!(only(outcome.assignment).manifest, beta.manifest);
    assert_eq!(outcome.lease.unwrap().channel, channel("beta"));
    let typo = ledger.execute(world.at(21), reserve_for("pc-2", "bata")).await;
    assert_eq!(refused(typo), ProblemCode::NotFound);
    sound(&ledger).await;
}

pub(super) async fn drift_is_logged_when_it_changes_and_shown_until_it_is_gone(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    world.pull(&ledger, 4).await;
    let row = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    runs(&mut computer, &row);
    world.contacts(&ledger, &mut computer, 10).await;
    assert!(says(world, &ledger, &computer.name, 11).await.ends_with("as it should"));
    let drift = |kind| vec![Drift { package: row.release.package.clone(), kind }];
    for (seconds, kind, entries) in
        [(20, DriftKind::Changed, 1), (30, DriftKind::Changed, 1), (40, DriftKind::Link, 2)]
    {
        computer.drift = drift(kind);
        world.contacts(&ledger, &mut computer, seconds).await;
        assert_eq!(entries_of(&ledger, "drift_reported").await.len(), entries);
        let shown = client(&ledger, &computer.name).await.drift;
        let since = world.at(if kind == DriftKind::Changed { 20 } else { 40 });
        assert_eq!((shown.len(), shown[0].kind, shown[0].since), (1, kind, since));
        let sentence = says(world, &ledger, &computer.name, seconds + 1).await;
        assert!(sentence.contains("`agent-updater repair acme-av`"), "{sentence}");
        assert!(!sentence.contains("as it should"), "{sentence}");
        let drifted = ledger.query(Drifted {}).await.unwrap();
        assert_eq!((drifted.count, drifted.names), (1, vec![computer.name.clone()]));
    }
    computer.drift.clear();
    world.contacts(&ledger, &mut computer, 50).await;
    assert!(client(&ledger, &computer.name).await.drift.is_empty());
    assert_eq!(ledger.query(Drifted {}).await.unwrap().count, 0);
    assert!(says(world, &ledger, &computer.name, 51).await.ends_with("as it should"));
    sound(&ledger).await;
}

pub(super) async fn a_computer_that_was_set_up_again_gets_its_lease_after_a_lapse_of_the_grant_too(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    assert!(world.contacts(&ledger, &mut computer, 10).await.lease.is_some());
    let never = world.enrolled(&ledger, "pc-2").await;
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = bench.open();
    // The grant has lapsed; the disk of the first computer was replaced.
    let lapsed = 800 * DAY;
    let mut again = world.computer("pc-1").with_setup(2);
    ledger.execute(world.at(lapsed), again.issue_setup()).await.unwrap();
    again.enrolled(&ledger.execute(world.at(lapsed), world.enroll(&again)).await.unwrap());
    let outcome = world.contacts(&ledger, &mut again, lapsed + 1).await;
    assert_eq!(outcome.lease.unwrap().entitlements.len(), 1, "{:?}", outcome.notice);
    let mut never = never;
    let outcome = world.contacts(&ledger, &mut never, lapsed + 2).await;
    assert!(outcome.lease.is_none(), "a first lease is a new license");
    sound(&ledger).await;
}

/// Where the strategy says no more than halt, a failure takes the release from nobody who runs it.
pub(super) async fn without_a_rollback_in_its_strategy_a_halt_takes_the_release_from_nobody(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 4).await;
    let old = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    fleet.run(&ledger, &old, 10).await;
    let two = r#"{"on_failure":"halt","rings":[{"name":"two","takes":{"first":2},"errors":{"count":1,"percent":1}},
        {"name":"everyone","takes":"everyone"}]}"#;
    ledger.execute(world.at(11), changes(vec![setting(SettingKind::Strategy, "two", two)])).await.unwrap();
    fleet.approve(&ledger, 2, "two").await;
    let all = fleet.populations(0);
    let opened = Steer::Next { ring: 0, populations: Some(vec![fleet.two_at_first(), all[2]]) };
    let open = SteerRollout {
        actor: admin(),
        number: fleet.number,
        what: opened,
        comment: "begin".to_owned(),
        confirms: None,
    };
    ledger.execute(world.at(20), open).await.unwrap();
    fleet.succeeds(&ledger, 0, 21).await;
    assert!(fleet.is_told(&ledger, 1, 22).await);
    fleet.fails(&ledger, 1, 23).await;
    assert_eq!(fleet.advance_blindly(&ledger, 24).await.halted, [fleet.number]);
    let row = release(&ledger, fleet.row.manifest).await;
    assert_eq!((row.state, row.rollback), (ReleaseState::Halted, false));
    let outcome = world.contacts(&ledger, &mut fleet.computers[0], 30).await;
    let goes_back = outcome.assignment.iter().flat_map(|assignment| &assignment.packages);
    assert!(goes_back.clone().all(|told| told.action != Action::Rollback), "{outcome:?}");
    sound(&ledger).await;
}

/// One admin halts while another one lets it go on: one of both is said and done, and never half of each.
pub(super) async fn a_halt_and_a_resume_at_once_leave_a_rollout_that_is_one_of_both(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 3).await;
    fleet.approve(&ledger, 2, "rings").await;
    fleet.advance(&ledger, 20, 0).await;
    assert!(fleet.is_told(&ledger, 0, 21).await);
    for round in 0..6 {
        let halt = HaltRelease {
            actor: admin(),
            manifest: fleet.row.manifest,
            reason: "it is slow".to_owned(),
            runs: WhoRunsIt::Keeps,
        };
        let resume = SteerRollout {
            actor: admin(),
            number: fleet.number,
            what: Steer::Resume,
            comment: "it is not".to_owned(),
            confirms: None,
        };
        let now = world.at(30 + round);
        let before = ledger.head().size;
        let (halted, resumed) = tokio::join!(ledger.execute(now, halt), ledger.execute(now, resume));
        let (rollout, row) =
            (rollout(&ledger, fleet.number).await, release(&ledger, fleet.row.manifest).await);
        let state = (rollout.state, row.state);
        let whole =
            [(RolloutState::Halted, ReleaseState::Halted), (RolloutState::Running, ReleaseState::Approved)];
        assert!(whole.contains(&state), "{state:?} after {halted:?} and {resumed:?}");
        assert!(ledger.head().size <= before + 2, "each says one thing");
        counted(&ledger).await;
    }
    sound(&ledger).await;
}
