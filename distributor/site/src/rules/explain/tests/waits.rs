//! Of each reason for which a computer waits: its sentence, its code, its time, and that a contact says the same.

use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_manifests::word::Word;

use super::*;
use crate::rules::account::{Account, Actor};
use crate::rules::approvals::Deferral;
use crate::rules::assignment::Choice;
use crate::rules::rollouts::delivery::ContentSetBy;
use crate::rules::rollouts::gate::{Admitted, Held, OffPin};
use crate::rules::rollouts::plan::LiveRings;
use crate::rules::rollouts::progress::{RingCounts, RingProgress, RingState, RolloutState, StateChange};
use crate::rules::rollouts::strategy::{ErrorThreshold, OnFailure, Ring, Strategy, Takes};

pub(super) const NOW: i64 = 36_000;

pub(super) fn package() -> PackageName {
    PackageName::new("av").unwrap()
}

fn group() -> GroupName {
    GroupName::new("wards").unwrap()
}

pub(super) fn known(version: &str, counter: u64) -> KnownRelease {
    KnownRelease {
        release: ReleaseId {
            package: package(),
            version: Version::new(version).unwrap(),
            platform: Platform::any(),
        },
        manifest: Sha256Digest::of(version.as_bytes()),
        state: ReleaseState::Approved,
        counter: ReleaseCounter(counter),
        channels: Vec::new(),
        approved_for: Vec::new(),
        rollout: Some(7),
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

/// Rollout 7 of 2.0, whose first ring was watched for so many minutes of its 15.
pub(super) fn rollout(soaked: i64, counts: RingCounts) -> Rollout {
    let ring = |name: &'static str, takes| Ring {
        name: Word::known(name),
        takes,
        soak_minutes: 15,
        minimum_sample: 2,
        success_percent: 90,
        errors: ErrorThreshold { count: 9, percent: 99 },
        concurrent: None,
        per_hour: None,
    };
    let rings = vec![ring("canary", Takes::First(2)), ring("everyone", Takes::Everyone)];
    let strategy = Strategy::new(rings, OnFailure::Halt, None).unwrap();
    let mut rings = Rollout::waiting_rings(&strategy);
    rings[0] = RingProgress {
        state: RingState::Open { at: at(0) },
        soaked: jiff::SignedDuration::from_mins(soaked),
        counts,
        ..rings[0].clone()
    };
    Rollout {
        number: 7,
        release: known("2.0", 2).release,
        manifest: known("2.0", 2).manifest,
        counter: ReleaseCounter(2),
        kind: PackageKind::Program,
        channels: vec![ChannelName::new("stable").unwrap()],
        strategy_name: Word::known("own"),
        strategy,
        emergency: false,
        state: RolloutState::Running,
        started_at: at(0),
        changed: None,
        rings,
    }
}

fn paused() -> Rollout {
    let by = Actor::Admin { account: Account::socket("anna") };
    let changed = StateChange { at: at(30_000), by, why: "looks\u{1b}[31m odd".to_owned() };
    Rollout { state: RolloutState::Paused, changed: Some(changed), ..rollout(15, RingCounts::default()) }
}

/// What is held back, the rollout as far as it is, and what is said of it: sentence, code, what changes it, and when.
type Row = (Held, Rollout, &'static str, &'static str, ChangesWhen, Option<i64>);

fn rows() -> Vec<Row> {
    let ring = || Held::Ring { rollout: 7, ring: 1, name: Word::known("everyone") };
    let counts = |succeeded, told| RingCounts { succeeded, told, ..RingCounts::default() };
    let why = || "it is needed there".to_owned();
    let (watched, none) = (rollout(5, counts(2, 0)), || rollout(15, RingCounts::default()));
    let version = || Version::new("1.5").unwrap();
    vec![
        (
            ring(),
            watched,
            "it does not get 2.0 yet: it is in the ring `everyone` of rollout 7, which has not opened: the ring `canary` is \
             watched for 10 min more; the next one opens then, if all goes well",
            "ring_waits",
            ChangesWhen::Rollout,
            Some(NOW + 600),
        ),
        (
            ring(),
            rollout(15, counts(1, 1)),
            "which has not opened: in the ring `canary` 1 of 2 computers that have to have finished, and 1 computer works on \
             it: `distributor rollouts next 7` goes on without them",
            "ring_waits",
            ChangesWhen::Rollout,
            None,
        ),
        (
            ring(),
            rollout(15, RingCounts { succeeded: 1, failed: 1, ..RingCounts::default() }),
            "in the ring `canary` only 1 of 2 succeeded: see `distributor rollouts show 7`",
            "ring_waits",
            ChangesWhen::Rollout,
            None,
        ),
        (
            Held::Paused { rollout: 7 },
            paused(),
            "rollout 7 is paused by anna since 1970-01-01T08:20:00Z (looks\\u{1b}[31m odd); `distributor rollouts resume 7` \
             lets it go on",
            "rollout_paused",
            ChangesWhen::Admin,
            None,
        ),
        (
            Held::Concurrent { rollout: 7, cap: 3 },
            none(),
            "at most 3 computers install at one time in its ring of rollout 7, and so many do",
            "cap_concurrent",
            ChangesWhen::Rollout,
            None,
        ),
        (
            Held::PerHour { rollout: 7, cap: 3, until: at(39_600) },
            none(),
            "at most 3 computers are told in one hour in its ring of rollout 7; the next hour begins at 1970-01-01T11:00:00Z",
            "cap_per_hour",
            ChangesWhen::Rollout,
            Some(39_600),
        ),
        (
            Held::Mandatory { version: version() },
            none(),
            "it has to pass through 1.5 first, which is not approved for it",
            "mandatory_release",
            ChangesWhen::Admin,
            None,
        ),
        (
            Held::Blocked { name: Word::known("lab"), why: why() },
            none(),
            "the block `lab` keeps it away (it is needed there)",
            "blocked",
            ChangesWhen::Admin,
            None,
        ),
        (
            Held::Pinned { name: Word::known("old-cad"), version: version(), why: String::new() },
            none(),
            "the pin `old-cad` keeps it at 1.5",
            "pinned",
            ChangesWhen::Admin,
            None,
        ),
        (
            Held::ContentDelayed { until: at(50_000), by: ContentSetBy::Group(group()) },
            none(),
            "signature files are delayed for it until 1970-01-01T13:53:20Z by the settings of the group `wards`",
            "content_delayed",
            ChangesWhen::Rollout,
            Some(50_000),
        ),
        (
            Held::ContentPaused { by: ContentSetBy::Group(group()) },
            none(),
            "signature files are paused for it by the settings of the group `wards`; `distributor groups add wards --content \
             general --why TEXT` lets them come",
            "content_paused",
            ChangesWhen::Admin,
            None,
        ),
        (
            Held::ContentPaused { by: ContentSetBy::Package(package()) },
            none(),
            "signature files are paused for it by the settings of the package `av`",
            "content_paused",
            ChangesWhen::Admin,
            None,
        ),
        (
            Held::OffPin {
                name: Word::known("old-cad"),
                version: version(),
                off: OffPin::NotApproved,
                why: why(),
            },
            none(),
            "the pin `old-cad` names 1.5 (it is needed there), which is not approved for it",
            "pinned",
            ChangesWhen::Admin,
            None,
        ),
    ]
}

/// A computer that runs 1.0, as it should.
pub(super) fn view<'a>(
    name: &'a ComputerName,
    package: &'a PackageName,
    runs: &'a KnownRelease,
) -> PackageView<'a> {
    PackageView {
        name,
        state: ClientState::Active,
        last_contact: Some(at(NOW - 60)),
        lease_until: Some(at(1_000_000)),
        package,
        runs: Some((&runs.release.version, runs.manifest)),
        drift: None,
        stopped: None,
        tries: None,
        gone: None,
        assigned: Some((runs.manifest, 1)),
        is_licensed: true,
        covers: true,
        halted: None,
        rollouts: &[],
        wanted: Some(told(runs)),
        waits_for_review: None,
        review: None,
        last_report: None,
        held: None,
        then: None,
        test: None,
        comes: Comes::default(),
        at_link: None,
        postponed: None,
    }
}

pub(super) fn told(release: &KnownRelease) -> Told<'_> {
    Told {
        release,
        action: TellTo::Install,
        attempt: 1,
        place: None,
        schedule: Schedule::default(),
        settled: false,
    }
}

fn installed(release: &KnownRelease) -> InstalledPackage {
    InstalledPackage {
        release: release.release.clone(),
        kind: release.kind,
        counter: release.counter,
        manifest: release.manifest,
    }
}

#[test]
fn each_wait_has_its_sentence_its_code_and_its_time_and_a_contact_says_the_same() {
    let (name, package) = (ComputerName::new("pc-1").unwrap(), package());
    let (runs, newest) = (known("1.0", 1), known("2.0", 2));
    let mut codes = BTreeSet::new();
    for (held, rollout, expected, code, changes, until) in rows() {
        let waits = Waits { release: &newest, held: held.clone(), rollout: Some(&rollout), runs: false };
        let said = explain(&PackageView { held: Some(waits), ..view(&name, &package, &runs) }, at(NOW));
        let sentence = &said.sentence;
        assert!(
            sentence.starts_with("pc-1 runs av 1.0 as it should; it does not get 2.0 yet: "),
            "{sentence}"
        );
        assert!(sentence.ends_with(expected), "{sentence}\n{expected}");
        assert_eq!(
            (said.held.as_deref(), said.changes, said.changes_at),
            (Some(code), changes, until.map(at)),
            "{sentence}"
        );
        codes.insert(code);

        // The plan of a contact leaves out what changes; it is put back from what the contact reads anyway.
        let live = LiveRings::new(
            [((7, 0), rollout.rings[0].counts)].into(),
            [((7, 0), rollout.rings[0].soaked)].into(),
        );
        let mut bare = rollout.clone();
        bare.rings[0].counts = RingCounts::default();
        bare.rings[0].soaked = jiff::SignedDuration::ZERO;
        let plan = Plan { rollouts: vec![bare], ..Plan::default() };
        let choice = Choice { newest: &newest, gets: Some((&runs, Admitted::Free)), held: Some(held) };
        let has = [installed(&runs)];
        let heard = Heard { installed: &has, reports: &[], postponed: &[] };
        let rollouts = Rollouts { plan: &plan, live: &live };
        let [told_there] = &waits_of(&[choice], &[told(&runs)], &heard, &rollouts, at(NOW))[..] else {
            panic!("{sentence}: a contact says nothing of it")
        };
        assert!(
            sentence.ends_with(&format!("; {}", told_there.sentence)),
            "{sentence}\n{}",
            told_there.sentence
        );
        assert_eq!((told_there.code.as_str(), told_there.until), (code, until.map(at)), "{sentence}");
        assert_eq!(told_there.version.as_str(), "2.0");
    }
    assert_eq!(codes.len(), 9, "every reason of the gate");
}

#[test]
fn what_waits_at_the_computer_is_said_to_it_in_the_same_words() {
    let (name, package) = (ComputerName::new("pc-1").unwrap(), package());
    let (runs, newest) = (known("1.0", 1), known("2.0", 2));
    let put_off = |by| {
        let until = at(NOW + 50);
        Postponed { package: package.clone(), manifest: newest.manifest, by, until, times: 1 }
    };
    let window = Schedule { install_from: Some(at(NOW + 500)), ..Schedule::default() };
    let overridden = Schedule { deadline: Some(at(NOW + 300)), ..window.clone() };
    let by_person = Schedule { by_person: true, ..Schedule::default() };
    let any = Schedule::default;
    let table: [(Schedule, Option<PostponedBy>, &str, Option<i64>); 7] = [
        (window.clone(), None, "waits_for_window", Some(NOW + 500)),
        (overridden, None, "waits_for_window", Some(NOW + 300)),
        (by_person, None, "waits_for_person", None),
        (any(), Some(PostponedBy::Person), "postponed_by_person", Some(NOW + 50)),
        (any(), Some(PostponedBy::Product), "not_ready", Some(NOW + 50)),
        (any(), Some(PostponedBy::Link), "waits_for_link", Some(NOW + 50)),
        (window, Some(PostponedBy::Person), "postponed_by_person", Some(NOW + 50)),
    ];
    // What is made ready ahead of its time is reported, and waits all the same.
    let ready = Report {
        id: 1,
        at: at(90),
        release: newest.release.clone(),
        manifest: newest.manifest,
        rollout: 7,
        attempt: 1,
        step: InstallStep::TestLoad,
        outcome: Outcome::Ok,
        reason: ReasonCode::Done,
        detail: String::new(),
        ring: None,
        way: None,
        bytes: None,
        duration_ms: None,
    };
    for (schedule, by, code, until) in table {
        for report in [None, Some(&ready)] {
            let postponed = by.map(&put_off);
            let wanted = Told { schedule: schedule.clone(), ..told(&newest) };
            let shown = PackageView {
                wanted: Some(wanted.clone()),
                assigned: Some((newest.manifest, 1)),
                postponed: postponed.as_ref(),
                last_report: report,
                ..view(&name, &package, &runs)
            };
            let said = explain(&shown, at(NOW));
            let choice = Choice { newest: &newest, gets: None, held: None };
            let (has, plan) = ([installed(&runs)], Plan::default());
            let heard = Heard { installed: &has, reports: &[], postponed: postponed.as_slice() };
            let rollouts = Rollouts { plan: &plan, live: &LiveRings::default() };
            let [there] = &waits_of(
                std::slice::from_ref(&choice),
                std::slice::from_ref(&wanted),
                &heard,
                &rollouts,
                at(NOW),
            )[..] else {
                panic!("{code}: nothing is said")
            };
            assert_eq!(
                format!("pc-1 runs av 1.0 and should run 2.0; {}", there.sentence),
                said.sentence,
                "{code}"
            );
            assert_eq!((there.code.as_str(), there.until), (code, until.map(at)));
            assert_eq!(said.changes_at, until.map(at), "{code}");
            // Who runs it waits for nothing.
            let has = [installed(&newest)];
            let heard = Heard { installed: &has, ..heard };
            assert_eq!(waits_of(&[choice], &[wanted], &heard, &rollouts, at(NOW)), []);
        }
    }
}

#[test]
fn a_deferral_says_when_it_ends() {
    let (name, package) = (ComputerName::new("pc-1").unwrap(), package());
    let (runs, newer) = (known("1.0", 1), known("2.0", 2));
    let deferral = Deferral {
        until: at(90_000),
        at: at(100),
        by: Actor::Admin { account: Account::socket("anna") },
        comment: "after the fair".to_owned(),
    };
    let deferred = PackageView {
        waits_for_review: Some(&newer.release),
        review: Some(Reviewing::Deferred(&deferral)),
        ..view(&name, &package, &runs)
    };
    let nothing = PackageView { wanted: None, ..deferred.clone() };
    for view in [&deferred, &nothing] {
        let said = explain(view, at(NOW));
        assert!(
            said.sentence
                .contains("the decision about 2.0 is deferred until 1970-01-02T01:00:00Z (after the fair)"),
            "{}",
            said.sentence
        );
        assert_eq!((said.changes, said.changes_at, said.held), (ChangesWhen::Admin, Some(at(90_000)), None));
    }
    // Something else is said first.
    let between = known("1.5", 2);
    let on_its_way = PackageView { wanted: Some(told(&between)), ..deferred.clone() };
    assert_eq!(explain(&on_its_way, at(NOW)).changes_at, None);
    let changed = PackageView { drift: Some(DriftKind::Changed), ..deferred };
    assert_eq!(explain(&changed, at(NOW)).changes_at, None);
}

#[test]
fn a_disk_without_room_is_named_and_tried_again_by_the_computer_itself() {
    let (name, package) = (ComputerName::new("pc-1").unwrap(), package());
    let (runs, newest) = (known("1.0", 1), known("2.0", 2));
    let full = Report {
        id: 1,
        at: at(90),
        release: newest.release.clone(),
        manifest: newest.manifest,
        rollout: 7,
        attempt: 1,
        step: InstallStep::Check,
        outcome: Outcome::Refused,
        reason: ReasonCode::DiskFull,
        detail: "av 2.0 needs 900 bytes at /opt, and 3 are free".to_owned(),
        ring: None,
        way: None,
        bytes: None,
        duration_ms: None,
    };
    let shown = PackageView {
        wanted: Some(told(&newest)),
        assigned: Some((newest.manifest, 1)),
        last_report: Some(&full),
        ..view(&name, &package, &runs)
    };
    let said = explain(&shown, at(NOW));
    let full_disk = "pc-1 runs av 1.0 and should run 2.0; check refused at 1970-01-01T00:01:30Z (disk_full: av 2.0 needs 900 \
                     bytes at /opt, and 3 are free); it tries again by itself";
    assert_eq!(said.sentence, full_disk);
    assert_eq!((said.changes, said.changes_at, said.held), (ChangesWhen::Contact, None, None));
    // At the time that it says itself, where that can be a pause, and is not over.
    let day = 24 * 3_600;
    let told_of = |manifest, until| Postponed {
        package: package.clone(),
        manifest,
        by: PostponedBy::BackOff,
        until: at(until),
        times: 3,
    };
    for (manifest, until, about) in [
        (newest.manifest, NOW + 600, Some(" at about 1970-01-01 10:10 UTC")),
        (newest.manifest, NOW + day, Some(" at about 1970-01-02 10:00 UTC")),
        (newest.manifest, NOW + day + 1, None),
        (newest.manifest, NOW, None),
        (runs.manifest, NOW + 600, None),
    ] {
        let pause = told_of(manifest, until);
        let pauses = PackageView { postponed: Some(&pause), ..shown.clone() };
        let said = explain(&pauses, at(NOW));
        assert_eq!(said.sentence, format!("{full_disk}{}", about.unwrap_or_default()), "{until}");
        assert_eq!((said.changes, said.changes_at), (ChangesWhen::Contact, about.map(|_| at(until))));
    }
    // Before anything else stands in its way, no time is named.
    let pause = told_of(newest.manifest, NOW + 600);
    let lapsed = PackageView { postponed: Some(&pause), lease_until: Some(at(NOW - 1)), ..shown };
    assert_eq!(explain(&lapsed, at(NOW)).changes_at, None);
    // It knows that itself: a contact says nothing of it.
    let choice = Choice { newest: &newest, gets: None, held: None };
    let (has, plan, wanted) = ([installed(&runs)], Plan::default(), [told(&newest)]);
    let rollouts = Rollouts { plan: &plan, live: &LiveRings::default() };
    let heard = Heard { installed: &has, reports: &[full], postponed: &[pause] };
    assert_eq!(waits_of(&[choice], &wanted, &heard, &rollouts, at(NOW)), []);
}

#[test]
fn what_a_later_agent_calls_a_wait_is_shown_as_its_word() {
    let (name, package) = (ComputerName::new("pc-1").unwrap(), package());
    let (runs, newest) = (known("1.0", 1), known("2.0", 2));
    let by: PostponedBy = "weather".parse().unwrap();
    let until = at(NOW + 50);
    let put_off = Postponed { package: package.clone(), manifest: newest.manifest, by, until, times: 1 };
    let wanted = told(&newest);
    let shown = PackageView {
        wanted: Some(wanted.clone()),
        assigned: Some((newest.manifest, 1)),
        postponed: Some(&put_off),
        ..view(&name, &package, &runs)
    };
    let said = explain(&shown, at(NOW));
    let expected = "it is put off there until 1970-01-01T10:00:50Z (weather)";
    assert_eq!(said.sentence, format!("pc-1 runs av 1.0 and should run 2.0; {expected}"));
    assert_eq!(said.changes_at, Some(until));
    let choice = Choice { newest: &newest, gets: None, held: None };
    let (has, plan) = ([installed(&runs)], Plan::default());
    let heard = Heard { installed: &has, reports: &[], postponed: std::slice::from_ref(&put_off) };
    let rollouts = Rollouts { plan: &plan, live: &LiveRings::default() };
    let waits = waits_of(&[choice], &[wanted], &heard, &rollouts, at(NOW));
    assert_eq!((waits[0].code.as_str(), waits[0].sentence.as_str()), ("weather", expected));
}

#[test]
fn what_a_contact_says_of_waits_has_a_bound() {
    let why = "é".repeat(2_000);
    let releases: Vec<KnownRelease> = (0..40)
        .map(|number| {
            let mut release = known("2.0", 2);
            release.release.package = PackageName::new(format!("p{number:02}")).unwrap();
            release
        })
        .collect();
    let held = || Held::Blocked { name: Word::known("lab"), why: why.clone() };
    let choices: Vec<Choice<'_>> =
        releases.iter().map(|newest| Choice { newest, gets: None, held: Some(held()) }).collect();
    let plan = Plan::default();
    let rollouts = Rollouts { plan: &plan, live: &LiveRings::default() };
    let heard = Heard { installed: &[], reports: &[], postponed: &[] };
    let waits = waits_of(&choices, &[], &heard, &rollouts, at(NOW));
    assert!(!waits.is_empty() && serde_json::to_vec(&waits).unwrap().len() <= 1_026, "{}", waits.len());
    let short: Vec<Choice<'_>> = releases
        .iter()
        .map(|newest| Choice { newest, gets: None, held: Some(Held::Paused { rollout: 7 }) })
        .collect();
    let waits = waits_of(&short, &[], &heard, &rollouts, at(NOW));
    assert!((5..=8).contains(&waits.len()), "{}", waits.len());
    assert!(serde_json::to_vec(&waits).unwrap().len() <= 1_026);
}
