//! What was halted or withdrawn is named with who stopped it, since when and why, to whoever met it and whoever did not.

use super::waits::{NOW, known, package, rollout, told, view};
use super::*;
use crate::rules::account::{Account, Actor};
use crate::rules::rollouts::progress::{RingCounts, RolloutState, StateChange};

/// Rollout 7 of 2.0, stopped.
fn stopped_rollout(state: RolloutState, by: Actor, why: &str) -> Rollout {
    let changed = StateChange { at: at(30_000), by, why: why.to_owned() };
    Rollout { state, changed: Some(changed), ..rollout(15, RingCounts::default()) }
}

fn anna() -> Actor {
    Actor::Admin { account: Account::socket("anna") }
}

fn report(step: InstallStep, outcome: Outcome, reason: ReasonCode, detail: &str) -> Report {
    let KnownRelease { release, manifest, .. } = known("2.0", 2);
    Report {
        id: 1,
        at: at(20_000),
        release,
        manifest,
        rollout: 7,
        attempt: 1,
        step,
        outcome,
        reason,
        detail: detail.to_owned(),
        ring: None,
        way: None,
        bytes: None,
        duration_ms: None,
    }
}

const HALTED: &str = "was halted by the server since 1970-01-01T08:20:00Z (1 of 1 computers failed)";
const AT: &str = "1970-01-01T05:33:20Z";

#[test]
fn whoever_met_a_release_that_was_halted_hears_of_its_own_end_with_it_and_of_who_halted_it() {
    let (name, package, runs) = (ComputerName::new("pc-1").unwrap(), package(), known("1.0", 1));
    let halted = stopped_rollout(RolloutState::Halted, Actor::Server, "1 of 1 computers failed");
    let rollouts = [halted.clone()];
    let view = PackageView { halted: Some(&halted), rollouts: &rollouts, ..view(&name, &package, &runs) };
    let (refused, failed) = (Outcome::Refused, Outcome::Failed);
    for (last, expected) in [
        (
            report(InstallStep::RollBack, Outcome::Ok, ReasonCode::HookFailed, "no port"),
            format!("it rolled back from 2.0 at {AT} (hook_failed: no port)"),
        ),
        (
            report(InstallStep::RollBack, failed, ReasonCode::HookFailed, "1.0 does NOT run"),
            format!("it rolled back from 2.0 at {AT} (hook_failed: 1.0 did not run then)"),
        ),
        (
            report(InstallStep::TestLoad, refused, ReasonCode::HookFailed, ""),
            format!("it tried to install 2.0 (test_load refused at {AT}: hook_failed)"),
        ),
        (
            report(InstallStep::Download, Outcome::Ok, ReasonCode::ByDelta, ""),
            format!("it had begun to install 2.0 (download is done since {AT})"),
        ),
        (
            report(InstallStep::Keep, Outcome::Ok, ReasonCode::Done, ""),
            format!("it installed 2.0 at {AT}, and does not run it any more"),
        ),
    ] {
        let shown = PackageView { last_report: Some(&last), ..view.clone() };
        let expected = format!("{expected}, which {HALTED}: `distributor rollouts show 7`");
        assert_eq!(explain(&shown, at(NOW)).sentence, format!("pc-1 runs av 1.0 as it should; {expected}"));
        // Also where there is nothing to go back to.
        let nothing = PackageView { runs: None, wanted: None, ..shown };
        let said = explain(&nothing, at(NOW));
        let expected = format!("pc-1 does not run av; no release is approved for it; {expected}");
        assert_eq!((said.sentence, said.changes), (expected, ChangesWhen::Admin));
    }
    // What it did not say the end of is said once.
    let begun = report(InstallStep::Health, Outcome::Ok, ReasonCode::Done, "");
    let release = KnownRelease { state: ReleaseState::Halted, ..known("2.0", 2) };
    let shown = PackageView {
        last_report: Some(&begun),
        tries: Some(&release),
        gone: Some(&release),
        ..view.clone()
    };
    let tries = format!("it was told to install 2.0, which {HALTED}, and did not say how that ended");
    assert_eq!(explain(&shown, at(NOW)).sentence, format!("pc-1 runs av 1.0 as it should; {tries}"));
    // Whoever reported about another one never got it.
    let other =
        Report { manifest: runs.manifest, ..report(InstallStep::Keep, Outcome::Ok, ReasonCode::Done, "") };
    let shown = PackageView { last_report: Some(&other), ..view.clone() };
    let never = format!("pc-1 runs av 1.0 as it should; 2.0 {HALTED}: `distributor rollouts show 7`");
    assert_eq!(explain(&shown, at(NOW)).sentence, never);
    assert_eq!(explain(&view, at(NOW)).sentence, never);
    // What it gets next, or that it is told nothing, goes first.
    let third = known("3.0", 3);
    let held = Waits {
        release: &third,
        held: crate::rules::rollouts::gate::Held::Paused { rollout: 8 },
        rollout: None,
        runs: false,
    };
    for quiet in [
        PackageView { held: Some(held), ..view.clone() },
        PackageView { is_licensed: false, ..view.clone() },
        PackageView { covers: false, ..view },
    ] {
        let said = explain(&quiet, at(NOW)).sentence;
        assert!(!said.contains("halted"), "{said}");
    }
}

#[test]
fn whoever_runs_what_was_stopped_hears_by_whom_and_since_when() {
    let (name, package, runs) = (ComputerName::new("pc-1").unwrap(), package(), known("2.0", 2));
    let by_anna = stopped_rollout(RolloutState::Halted, anna(), "it crashes");
    let aborted = stopped_rollout(RolloutState::Aborted, anna(), "");
    let withdrawn = stopped_rollout(RolloutState::Withdrawn, Actor::Server, "deletes quarantine");
    // Of an older one that ended otherwise nothing is said.
    let older = Rollout { number: 3, state: RolloutState::Superseded, ..withdrawn.clone() };
    let anna = "which was halted by anna since 1970-01-01T08:20:00Z";
    for (rollout, state, expected) in [
        (&by_anna, ReleaseState::Halted, format!("{anna} (it crashes)")),
        (&aborted, ReleaseState::Halted, format!("{anna} (as the release says)")),
        (
            &withdrawn,
            ReleaseState::Withdrawn,
            "which the vendor withdrew (deletes quarantine), as is known here since 1970-01-01T08:20:00Z"
                .to_owned(),
        ),
        // No rollout says how it was stopped.
        (&by_anna, ReleaseState::Withdrawn, "which the vendor withdrew (as the release says)".to_owned()),
        (&older, ReleaseState::Halted, "which was halted here (as the release says)".to_owned()),
    ] {
        let stopped =
            KnownRelease { state, reason: Some("as the release says".to_owned()), ..known("2.0", 2) };
        let rollouts = [older.clone(), rollout.clone()];
        let view = PackageView {
            wanted: None,
            stopped: Some(&stopped),
            rollouts: &rollouts,
            ..view(&name, &package, &runs)
        };
        let on = "it runs on until something newer is approved";
        assert_eq!(explain(&view, at(NOW)).sentence, format!("pc-1 runs av 2.0, {expected}; {on}"));
        let before = known("1.0", 1);
        let back = Told { action: TellTo::GoBackFrom(&stopped), ..told(&before) };
        let back = PackageView { wanted: Some(back), assigned: Some((before.manifest, 1)), ..view };
        let said = explain(&back, at(NOW)).sentence;
        let expected = format!(
            "pc-1 runs av 2.0, {expected}, and should go back to 1.0; it was told so and has not reported yet"
        );
        assert_eq!(said, expected);
    }
}

#[test]
fn a_release_that_the_vendor_withdrew_before_it_came_is_named() {
    let (name, package, runs) = (ComputerName::new("pc-1").unwrap(), package(), known("1.0", 1));
    let withdrawn = stopped_rollout(RolloutState::Withdrawn, Actor::Server, "deletes quarantine");
    let view = PackageView { halted: Some(&withdrawn), ..view(&name, &package, &runs) };
    assert_eq!(
        explain(&view, at(NOW)).sentence,
        "pc-1 runs av 1.0 as it should; it does not get 2.0, which the vendor withdrew (deletes quarantine), as is known here \
         since 1970-01-01T08:20:00Z: `distributor rollouts show 7`"
    );
}
