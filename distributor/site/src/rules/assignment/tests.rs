use super::*;
use crate::rules::release::ReleaseState;
use crate::rules::rollouts::plan::NO_ATTEMPTS;
use crate::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};
use sealpost_manifests::ids::{ClientId, ComputerName, ServerId};
use sealpost_manifests::order::Signer;
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::{ReleaseCounter, Version};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn approved(package: &str, version: &str, platform: &str, counter: u64, channel: &str) -> KnownRelease {
    KnownRelease {
        release: ReleaseId {
            package: PackageName::new(package).unwrap(),
            version: Version::new(version).unwrap(),
            platform: Platform::new(platform).unwrap(),
        },
        manifest: Sha256Digest::of(format!("{package} {version} {platform}").as_bytes()),
        counter: ReleaseCounter(counter),
        state: ReleaseState::Approved,
        channels: vec![ChannelName::new(channel).unwrap()],
        rollout: Some(counter),
        signer: None,
        reason: None,
        approved_for: vec![ChannelName::new(channel).unwrap()],
        rollback: false,
        attempt: 1,
        kind: PackageKind::Program,
        severity: Severity::Normal,
        mandatory: false,
        rolling_out: Vec::new(),
    }
}

fn covers(package: &str) -> Licensed {
    Licensed::Packages(BTreeSet::from([PackageName::new(package).unwrap()]))
}

fn versions(approved: &[KnownRelease], licensed: &Licensed, installed: &[InstalledPackage]) -> Vec<String> {
    let channel = ChannelName::new("stable").unwrap();
    let platform = Platform::new("linux-x86_64").unwrap();
    let voided = BTreeSet::new();
    let computer = Computer {
        channel: &channel,
        platform: &platform,
        licensed,
        installed,
        before: &[],
        voided: &voided,
    };
    wanted(approved, &computer).iter().map(|one| one.release.to_string()).collect()
}

#[test]
fn only_what_is_of_the_channel_and_platform_and_license_is_wanted() {
    let releases = [
        approved("av", "1", "linux-x86_64", 1, "stable"),
        approved("av", "2", "linux-x86_64", 2, "beta"),
        approved("av", "3", "linux-aarch64", 3, "stable"),
        approved("signatures", "7", "any", 7, "stable"),
    ];
    assert_eq!(
        versions(&releases, &Licensed::Everything, &[]),
        ["av 1 (linux-x86_64)", "signatures 7 (any)"]
    );
    let av = covers("av");
    assert_eq!(versions(&releases, &av, &[]), ["av 1 (linux-x86_64)"]);
    assert!(versions(&releases, &Licensed::Nothing, &[]).is_empty());
}

#[test]
fn the_newest_version_wins_and_of_it_the_exact_platform() {
    let releases = [
        approved("av", "1", "linux-x86_64", 1, "stable"),
        approved("av", "2", "linux-x86_64", 2, "stable"),
        approved("av", "2", "any", 3, "stable"),
    ];
    assert_eq!(versions(&releases, &Licensed::Everything, &[]), ["av 2 (linux-x86_64)"]);
    let reversed: Vec<KnownRelease> = releases.iter().rev().cloned().collect();
    assert_eq!(versions(&reversed, &Licensed::Everything, &[]), ["av 2 (linux-x86_64)"]);
    // The order in which they come decides nothing, also where versions and platforms cross.
    let crossed = [
        approved("av", "2", "linux-x86_64", 5, "stable"),
        approved("av", "2.1", "any", 6, "stable"),
        approved("av", "2", "any", 7, "stable"),
    ];
    for order in [[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0], [1, 0, 2], [0, 2, 1]] {
        let ordered = order.map(|at| crossed[at].clone());
        assert_eq!(versions(&ordered, &Licensed::Everything, &[]), ["av 2 (linux-x86_64)"]);
    }
    let newer = [releases[0].clone(), approved("av", "9", "any", 9, "stable")];
    assert_eq!(versions(&newer, &Licensed::Everything, &[]), ["av 9 (any)"]);
}

#[test]
fn nothing_lower_than_what_runs_is_wanted() {
    let releases = [approved("av", "1", "any", 1, "stable")];
    let newer = approved("av", "2", "any", 2, "stable");
    let installed = [InstalledPackage {
        release: newer.release,
        kind: PackageKind::Program,
        counter: newer.counter,
        manifest: newer.manifest,
    }];
    assert!(versions(&releases, &Licensed::Everything, &installed).is_empty());
}

#[test]
fn a_release_above_a_counter_that_was_reset_keeps_nothing_out() {
    let good = approved("av", "1", "any", 1, "stable");
    let stolen = approved("av", "9", "any", u64::MAX, "stable");
    let installed = [InstalledPackage {
        release: stolen.release.clone(),
        kind: PackageKind::Program,
        counter: stolen.counter,
        manifest: stolen.manifest,
    }];
    let (channel, platform) = (ChannelName::new("stable").unwrap(), Platform::any());
    for (voided, expected) in [(BTreeSet::new(), 0), (BTreeSet::from([stolen.manifest]), 1)] {
        let computer = Computer {
            channel: &channel,
            platform: &platform,
            licensed: &Licensed::Everything,
            installed: &installed,
            before: &[],
            voided: &voided,
        };
        assert_eq!(wanted(std::slice::from_ref(&good), &computer).len(), expected);
    }
}

#[test]
fn a_release_under_review_goes_to_whom_the_next_contact_would_bring_it() {
    let (channel, platform) = (ChannelName::new("stable").unwrap(), Platform::new("linux-x86_64").unwrap());
    let av = covers("av");
    let voided = BTreeSet::new();
    let computer = Computer {
        channel: &channel,
        platform: &platform,
        licensed: &av,
        installed: &[],
        before: &[],
        voided: &voided,
    };
    let old = approved("av", "1", "any", 1, "stable");
    let new = approved("av", "2", "any", 2, "stable");
    let all = [old.clone(), new.clone()];
    assert!(gets(&new, &all, &computer) && !gets(&old, &all, &computer));
    let unlicensed = approved("cad", "1", "any", 1, "stable");
    assert!(!gets(&unlicensed, std::slice::from_ref(&unlicensed), &computer));
    let beta = approved("av", "3", "any", 3, "beta");
    assert!(!gets(&beta, &[old, new, beta.clone()], &computer));
}

#[test]
fn a_computer_goes_back_only_from_what_was_halted_for_it_and_only_to_what_it_ran() {
    let installed = |release: &KnownRelease| InstalledPackage {
        release: release.release.clone(),
        kind: PackageKind::Program,
        counter: release.counter,
        manifest: release.manifest,
    };
    let (first, second) = (approved("av", "1", "any", 1, "stable"), approved("av", "2", "any", 2, "stable"));
    let bad = KnownRelease {
        state: ReleaseState::Halted,
        rollback: true,
        reason: Some("crashes".to_owned()),
        ..approved("av", "3", "any", 3, "stable")
    };
    let (channel, platform, voided) = (ChannelName::new("stable").unwrap(), Platform::any(), BTreeSet::new());
    let attempts = BTreeMap::from([(first.manifest, 4)]);
    let tell = |left: &[KnownRelease], runs: &KnownRelease, before: Option<&KnownRelease>| {
        let (runs, before) = ([installed(runs)], before.map(installed));
        let computer = Computer {
            channel: &channel,
            platform: &platform,
            licensed: &Licensed::Everything,
            installed: &runs,
            before: before.as_slice(),
            voided: &voided,
        };
        let kept = [first.clone()];
        let undoing = Undoing { left, kept: &kept, attempts: &attempts, back: &BTreeMap::new() };
        let approved = [second.clone()];
        let told = told_in_the_end(&approved, &undoing, &computer);
        told.iter().map(Told::assignment).collect::<Vec<_>>()
    };
    let left = [bad.clone()];
    let back = tell(&left, &bad, Some(&first));
    assert_eq!(back.len(), 1);
    assert_eq!((&back[0].action, back[0].manifest, back[0].attempt), (&Action::Rollback, first.manifest, 4));
    assert_eq!(back[0].why.as_ref().unwrap().text, "av 3 (any) was halted: crashes");
    // Halted without a rollback; nothing known of before; never seen here: it keeps what it runs.
    assert!(tell(&[], &bad, Some(&first)).is_empty());
    assert!(tell(&left, &bad, None).is_empty());
    assert!(tell(&left, &bad, Some(&second)).is_empty());
    // Back again: what is approved below the release that it left is not offered to it.
    assert!(tell(&[], &first, Some(&bad)).is_empty());
    assert_eq!(tell(&[], &first, None)[0].manifest, second.manifest);
}

#[test]
fn a_rollback_gives_nothing_that_a_computer_may_not_have_whatever_it_says_it_ran() {
    let installed = |release: &KnownRelease| InstalledPackage {
        release: release.release.clone(),
        kind: PackageKind::Program,
        counter: release.counter,
        manifest: release.manifest,
    };
    let first =
        KnownRelease { state: ReleaseState::Superseded, ..approved("cad", "1", "linux-x86_64", 1, "stable") };
    let bad = KnownRelease {
        state: ReleaseState::Halted,
        rollback: true,
        ..approved("cad", "2", "linux-x86_64", 2, "stable")
    };
    let (channel, voided) = (ChannelName::new("stable").unwrap(), BTreeSet::new());
    let goes_back = |licensed: Licensed, platform: &str| {
        let platform = Platform::new(platform).unwrap();
        let (runs, before) = ([installed(&bad)], [installed(&first)]);
        let computer = Computer {
            channel: &channel,
            platform: &platform,
            licensed: &licensed,
            installed: &runs,
            before: &before,
            voided: &voided,
        };
        let (left, kept) = ([bad.clone()], [first.clone()]);
        let undoing =
            Undoing { left: &left, kept: &kept, attempts: &BTreeMap::new(), back: &BTreeMap::new() };
        !told_in_the_end(&[], &undoing, &computer).is_empty()
    };
    assert!(goes_back(covers("cad"), "linux-x86_64"));
    assert!(!goes_back(covers("av"), "linux-x86_64"), "its license does not cover it");
    assert!(!goes_back(Licensed::Nothing, "linux-x86_64"), "no grant is no license for everything");
    assert!(!goes_back(covers("cad"), "linux-aarch64"), "it is for another platform");
}

const DAY: i64 = 24 * 3600;

#[test]
fn an_assignment_is_renewed_for_a_reason_and_else_kept() {
    let release = approved("av", "1", "any", 1, "stable");
    let told = |attempt| Told {
        release: &release,
        action: TellTo::Install,
        attempt,
        place: None,
        schedule: Schedule::default(),
        settled: false,
    };
    let wanted = [told(1)];
    let last = Assignment {
        client_id: ClientId::from_random([1; 16]),
        server_id: ServerId::from_random([2; 16]),
        signer: Signer::SiteKey,
        epoch: Epoch::of(1, 0),
        sequence: 2,
        issued_at: at(0),
        expires_at: at(30 * DAY),
        metadata_as_of: at(0),
        packages: vec![told(1).assignment()],
    };
    let facts = AssignmentFacts {
        now: at(0),
        last: Some(&last),
        ever: true,
        held: Some(Order { epoch: Epoch::of(1, 0), sequence: 2 }),
        wanted: &wanted,
        epoch: Epoch::of(1, 0),
        metadata_as_of: Some(at(DAY)),
    };
    use AssignmentDecision::{Issue, Keep, Nothing, Resend};
    assert_eq!(decide(&facts), Keep);
    assert_eq!(decide(&AssignmentFacts { held: None, ..facts.clone() }), Resend);
    let reasons = [
        (AssignmentFacts { now: at(20 * DAY + 1), ..facts.clone() }, AssignmentReason::NearExpiry),
        (AssignmentFacts { metadata_as_of: Some(at(DAY + 1)), ..facts.clone() }, AssignmentReason::Fresher),
        (AssignmentFacts { wanted: &[], ..facts.clone() }, AssignmentReason::WantedChanged),
        (AssignmentFacts { wanted: &[told(2)], ..facts.clone() }, AssignmentReason::WantedChanged),
        (AssignmentFacts { epoch: Epoch::of(2, 0), ..facts.clone() }, AssignmentReason::EpochChanged),
        (AssignmentFacts { last: None, ..facts.clone() }, AssignmentReason::TextUnknown),
        (AssignmentFacts { ever: false, last: None, held: None, ..facts.clone() }, AssignmentReason::First),
    ];
    for (facts, reason) in reasons {
        assert_eq!(decide(&facts), Issue(reason));
    }
    assert_eq!(decide(&AssignmentFacts { metadata_as_of: None, ..facts.clone() }), Nothing);
    assert_eq!(decide(&AssignmentFacts { ever: false, last: None, wanted: &[], ..facts }), Nothing);
}

#[test]
fn a_license_of_any_product_covers_the_agent_itself() {
    let releases =
        [approved("agent-updater", "2", "any", 1, "stable"), approved("cad", "1", "any", 1, "stable")];
    let av = covers("av");
    assert_eq!(versions(&releases, &av, &[]), ["agent-updater 2 (any)"]);
    assert!(versions(&releases, &Licensed::Nothing, &[]).is_empty(), "no license covers nothing");
}

#[test]
fn of_a_pinned_computer_it_is_said_what_keeps_it_from_its_pin_or_leads_it_there() {
    let release = |version: &str, counter| approved("av", version, "any", counter, "stable");
    let (one, three, four) = (release("1", 1), release("3", 3), release("4", 4));
    let three = KnownRelease { state: ReleaseState::Superseded, ..three };
    let runs = |release: &KnownRelease| InstalledPackage {
        release: release.release.clone(),
        kind: PackageKind::Program,
        counter: release.counter,
        manifest: release.manifest,
    };
    let (name, channel) = (ComputerName::new("pc-1").unwrap(), ChannelName::new("stable").unwrap());
    let (platform, voided, groups) =
        (Platform::new("linux-x86_64").unwrap(), BTreeSet::new(), BTreeSet::new());
    let held = std::cell::Cell::new(None);
    // What counts as the newest, what it gets, and why not the newest.
    let chosen = |two: ReleaseState, installed: &KnownRelease, blocked: &[&str]| {
        let two = KnownRelease { state: two, mandatory: true, ..release("2", 2) };
        let mut plan = Plan { replaced: vec![three.clone()], waypoints: vec![two], ..Plan::default() };
        let mut set = |kind, name: &str, value: serde_json::Value| {
            let key = SettingKey { kind, name: name.to_owned() };
            plan.settings.set(&SettingChange { key, value: Some(value) }).unwrap();
        };
        set(
            SettingKind::Pin,
            "laboratory",
            serde_json::json!({ "of": { "computer": "pc-1" }, "package": "av", "version": "3" }),
        );
        for version in blocked {
            let block = serde_json::json!({ "of": "everyone", "package": "av", "version": version });
            set(SettingKind::Block, &format!("not-{version}"), block);
        }
        let installed = [runs(installed)];
        let computer = Computer {
            channel: &channel,
            platform: &platform,
            licensed: &Licensed::Everything,
            installed: &installed,
            before: &[],
            voided: &voided,
        };
        let asker = Asker {
            name: &name,
            position: 1,
            groups: &groups,
            channel: &channel,
            deliveries: &[],
            attempts: &NO_ATTEMPTS,
        };
        let rolling = Rolling { plan: &plan, counts: &LiveCounts::new(), asker, now: at(1) };
        let releases = [four.clone()];
        let choices = admitted(&releases, &computer, &rolling);
        let [choice] = choices.as_slice() else { panic!("{choices:?}") };
        let version = |release: &KnownRelease| release.release.version.to_string();
        let gets = choice.gets.as_ref().map(|(gets, _)| version(gets));
        held.set(choice.held.clone());
        (version(choice.newest), gets, choice.held.as_ref().map(Held::code))
    };
    let said = |newest: &str, gets: Option<&str>, held| (newest.to_owned(), gets.map(str::to_owned), held);
    let (staged, approved) = (ReleaseState::Staged, ReleaseState::Approved);
    // A block of the newest is asked before the pin: what keeps the computer from its pin is said all the same.
    for newest in [&[] as &[&str], &["4"]] {
        assert_eq!(chosen(staged, &one, newest), said("3", None, Some("mandatory_release")), "{newest:?}");
        let on_its_way = said("3", Some("2"), None);
        assert_eq!(chosen(approved, &one, newest), on_its_way, "it is on its way to its pin, {newest:?}");
    }
    assert_eq!(chosen(approved, &one, &["3"]), said("3", None, Some("blocked")));
    let two = release("2", 2);
    assert_eq!(chosen(approved, &two, &[]), said("4", Some("3"), Some("pinned")));
    assert_eq!(chosen(approved, &two, &["4"]), said("4", Some("3"), Some("blocked")));
    assert_eq!(chosen(approved, &three, &[]), said("4", Some("3"), Some("pinned")));
    // Who runs a newer one than its pin names, or what a block names, gets nothing, and is told that nothing takes it away.
    let away = |held: &Option<Held>| held.as_ref().map(ToString::to_string).unwrap_or_default();
    let pin = "the pin `laboratory` names 3, and does not take 4 away: nothing leads down but a halt";
    assert_eq!(chosen(approved, &four, &[]), said("4", None, Some("pinned")));
    assert_eq!(away(&held.take()), pin);
    assert_eq!(chosen(approved, &four, &["4"]), said("4", None, Some("blocked")));
    assert_eq!(away(&held.take()), "the block `not-4` does not take 4 away: nothing leads down but a halt");
}
