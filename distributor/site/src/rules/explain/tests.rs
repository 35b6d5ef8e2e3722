use super::*;
use crate::rules::assignment::TellTo;
use crate::rules::contact::ClientState;
use crate::rules::release::ReleaseState;
use crate::rules::rollouts::delivery::Schedule;
use crate::rules::test_load;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::contact::{DriftKind, Postponed, PostponedBy};
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};

mod halves;
mod stopped;
mod waits;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn each_reason_is_named_in_the_order_in_which_it_stops_an_install() {
    let name = ComputerName::new("pc-1").unwrap();
    let package = PackageName::new("acme-av").unwrap();
    let release = ReleaseId {
        package: package.clone(),
        version: Version::new("2.0").unwrap(),
        platform: Platform::any(),
    };
    let (old, new) = (Sha256Digest::of(b"old"), Sha256Digest::of(b"new"));
    let version = Version::new("1.0").unwrap();
    let approved = KnownRelease {
        release: release.clone(),
        manifest: new,
        state: ReleaseState::Approved,
        counter: ReleaseCounter(2),
        channels: Vec::new(),
        approved_for: Vec::new(),
        rollout: Some(1),
        signer: None,
        reason: None,
        rollback: false,
        attempt: 1,
        kind: PackageKind::Program,
        severity: Severity::Normal,
        mandatory: false,
        rolling_out: Vec::new(),
    };
    let halted =
        KnownRelease { state: ReleaseState::Halted, reason: Some("it crashes".into()), ..approved.clone() };
    let told = |attempt| Told {
        release: &approved,
        action: TellTo::Install,
        attempt,
        place: None,
        schedule: Schedule::default(),
        settled: false,
    };
    let report = Report {
        id: 1,
        at: at(90),
        release: release.clone(),
        manifest: new,
        rollout: 1,
        attempt: 1,
        step: InstallStep::TestLoad,
        outcome: Outcome::Refused,
        reason: ReasonCode::HookFailed,
        detail: "bad\u{1b}[31m".into(),
        ring: None,
        way: None,
        bytes: None,
        duration_ms: None,
    };
    let good = PackageView {
        name: &name,
        state: ClientState::Active,
        last_contact: Some(at(90)),
        lease_until: Some(at(1000)),
        package: &package,
        runs: Some((&version, old)),
        drift: None,
        stopped: None,
        tries: None,
        gone: None,
        assigned: Some((new, 1)),
        is_licensed: true,
        covers: true,
        halted: None,
        rollouts: &[],
        wanted: Some(told(1)),
        waits_for_review: None,
        review: None,
        last_report: Some(&report),
        held: None,
        then: None,
        test: None,
        comes: Comes::default(),
        at_link: None,
        postponed: None,
    };
    let say = |view: &PackageView<'_>, expected: &str| {
        let sentence = explain(view, at(100)).sentence;
        assert!(sentence.contains(expected), "{sentence:?} does not say {expected:?}");
        assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
    };
    say(&good, "pc-1 runs acme-av 1.0 and should run 2.0; test_load refused");
    say(&good, "hook_failed: bad");
    let retry = "run `distributor updates retry acme-av:2.0 --client pc-1 --why TEXT`";
    say(&good, "; it does not retry this release automatically: when the cause is gone, ");
    say(&good, retry);
    let newest = Version::new("3.0").unwrap();
    let on_its_way = PackageView { then: Some(&newest), last_report: None, ..good.clone() };
    say(&on_its_way, "should run 2.0, through which it passes on its way to 3.0; it was told so");
    say(
        &PackageView { runs: Some((&release.version, new)), ..good.clone() },
        "pc-1 runs acme-av 2.0 as it should",
    );
    say(&PackageView { last_report: None, ..good.clone() }, "was told so");
    say(&PackageView { assigned: None, ..good.clone() }, "at its next contact");
    say(&PackageView { lease_until: Some(at(99)), ..good.clone() }, "lease ended");
    say(&PackageView { lease_until: None, ..good.clone() }, "grant lapsed");
    say(&PackageView { is_licensed: false, ..good.clone() }, "no grant for its seat is known here");
    say(&PackageView { last_contact: None, ..good.clone() }, "not contacted");
    say(&PackageView { state: ClientState::Reserved, ..good.clone() }, "setup file");
    say(&PackageView { state: ClientState::Forked, ..good.clone() }, "two computers");
    let unreviewed = PackageView { wanted: None, waits_for_review: Some(&release), ..good.clone() };
    say(&unreviewed, "2.0 waits for a review");
    let test = TestLoad {
        outcome: test_load::TestOutcome::Failed,
        program: None,
        detail: "bad\u{1b}[31m".into(),
        at: at(80),
        by: crate::changes::Actor::Server,
    };
    let held = PackageView { test: Some(&test), ..unreviewed };
    say(
        &held,
        "waits for a review: see `distributor updates show acme-av:2.0`; 2.0 is held, failed test-load: its test-load on the server failed",
    );
    let leased = PackageView { lease_until: Some(at(1_000_000)), ..good.clone() };
    let silent = explain(&leased, at(90 + 10 * 3600));
    assert!(silent.sentence.contains("it was last heard of at "), "{:?}", silent.sentence);
    let ended = explain(&good, at(90 + 10 * 3600));
    assert!(ended.sentence.contains("lease ended"), "{:?}", ended.sentence);
    for reason in [ReasonCode::NetworkFailed, ReasonCode::DiskFull] {
        let again = Report { reason, outcome: Outcome::Failed, ..report.clone() };
        let again = PackageView { last_report: Some(&again), ..good.clone() };
        say(&again, "it tries again by itself");
        assert_eq!(explain(&again, at(100)).changes, ChangesWhen::Contact);
    }
    assert_eq!(explain(&good, at(100)).changes, ChangesWhen::Admin);
    // Which of window and deadline is first, and whether a person starts it: its time goes with its words.
    let table = [
        (Some(500), None, false, "its window opens at ", Some(at(500))),
        (Some(500), Some(300), false, "installs at its deadline, 1970-01-01T00:05:00Z", Some(at(300))),
        (Some(300), Some(500), false, "its window opens at ", Some(at(300))),
        (None, None, true, "`agent-updater install acme-av`", None),
        (Some(500), None, true, "its window opens at ", Some(at(500))),
        (Some(99), Some(300), true, "by itself at its deadline, 1970-01-01T00:05:00Z", Some(at(300))),
        (Some(500), Some(99), false, "was told so", None),
    ];
    for (opens, deadline, by_person, expected, until) in table {
        let schedule = Schedule {
            install_from: opens.map(at),
            deadline: deadline.map(at),
            by_person,
            ..Schedule::default()
        };
        let wanted = Some(Told { schedule, ..told(1) });
        let waits = PackageView { wanted, last_report: None, ..good.clone() };
        say(&waits, expected);
        assert_eq!(explain(&waits, at(100)).changes_at, until, "{expected}");
        let has = PackageView { runs: Some((&release.version, new)), ..waits };
        assert_eq!(explain(&has, at(100)).changes_at, None, "what runs already waits for nothing");
    }
    for (by, expected) in [
        (PostponedBy::Person, "a person there put it off until "),
        (PostponedBy::Product, "the product there was not ready for it"),
    ] {
        let put_off = Postponed { package: package.clone(), manifest: new, by, until: at(700), times: 1 };
        let waits = PackageView { postponed: Some(&put_off), ..good.clone() };
        say(&waits, expected);
        assert_eq!(explain(&waits, at(100)).changes_at, Some(at(700)));
        assert_eq!(explain(&waits, at(701)).changes_at, None);
    }
    let rolled = Report { step: InstallStep::RollBack, outcome: Outcome::Ok, ..report.clone() };
    let failed = PackageView { last_report: Some(&rolled), ..good.clone() };
    say(&failed, "rolled back");
    say(&failed, retry);
    // What the report says of its own time is not said of now, when the computer says nothing of the kind any more.
    let detail = "no port; acme-av 1.0 (any) is in its place and does NOT run: it could not be started";
    let was_down = Report { detail: detail.to_owned(), ..rolled.clone() };
    let started = PackageView { last_report: Some(&was_down), ..good.clone() };
    say(&started, "pc-1 runs acme-av 1.0 and should run 2.0; it rolled back at ");
    say(&started, "acme-av 1.0 (any) is in its place and did not run then: it could not be started)");
    assert!(!explain(&started, at(100)).sentence.contains("does NOT run"));
    let still = PackageView { drift: Some(DriftKind::NotStarted), ..started };
    say(&still, "is in its place and does NOT run: it could not be started");
    // An admin let it try again: the report of the attempt before says nothing any more.
    let retried = PackageView { wanted: Some(told(2)), ..failed };
    say(&retried, "at its next contact");
    say(&PackageView { assigned: Some((new, 2)), ..retried }, "was told so");
    // What was stopped, and what is not as it was signed, never runs as it should.
    let runs = PackageView { runs: Some((&release.version, new)), ..good.clone() };
    let changed = PackageView { drift: Some(DriftKind::Changed), ..runs.clone() };
    say(
        &changed,
        "2.0, whose files were changed on the computer; repair it there with `agent-updater repair acme-av`",
    );
    let down = PackageView { drift: Some(DriftKind::NotStarted), ..runs.clone() };
    say(
        &down,
        "pc-1 does NOT run acme-av 2.0, which could not be started; `agent-updater status` there says why",
    );
    assert!(!explain(&down, at(100)).sentence.contains("repair"));
    say(&PackageView { drift: Some(DriftKind::NotStarted), ..good.clone() }, "does NOT run acme-av 1.0");
    let stopped = PackageView { stopped: Some(&halted), wanted: None, ..runs.clone() };
    say(&stopped, "2.0, which was halted here (it crashes); it runs on until something newer is approved");
    let withdrawn = KnownRelease { state: ReleaseState::Withdrawn, ..halted.clone() };
    say(
        &PackageView { stopped: Some(&withdrawn), ..stopped.clone() },
        "which the vendor withdrew (it crashes)",
    );
    // What was stopped before it ran there is named as well.
    let none = PackageView { runs: None, wanted: None, ..good.clone() };
    say(&none, "pc-1 does not run acme-av; no release is approved for it");
    let gone = PackageView { gone: Some(&halted), ..none };
    say(
        &gone,
        "no release is approved for it; it tried to install 2.0 (test_load refused at 1970-01-01T00:01:30Z: hook_failed: \
         bad\\u{1b}[31m), which was halted here (it crashes)",
    );
    say(
        &PackageView { tries: Some(&halted), ..good.clone() },
        "; it was told to install 2.0, which was halted here (it crashes), and did not say how that ended",
    );
    let back = Told { action: TellTo::GoBackFrom(&halted), ..told(1) };
    let back = PackageView { runs: Some((&version, old)), wanted: Some(back), last_report: None, ..good };
    say(&back, "halted here (it crashes), and should go back to 2.0; it was told so");
    for view in [changed, stopped] {
        assert!(!explain(&view, at(100)).sentence.contains("as it should"));
    }
}
