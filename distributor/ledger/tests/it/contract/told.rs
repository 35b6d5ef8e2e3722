//! What a computer is told besides the release: in which ring, when, who starts it, how soon, how long it may be put off; how
//! long it may be silent then; and that it goes back.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sealpost_ledger::Ledger;
use sealpost_manifests::assignment::{Action, PackageAssignment, Postpone, Start, Urgency};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ComputerName, Platform};
use sealpost_manifests::release::{ReleaseId, Severity};
use sealpost_manifests::wire::contact::{Contact, InstalledPackage};
use sealpost_site::commands::contact::{AnswerContact, ContactOutcome};
use sealpost_site::commands::releases::{ApproveRelease, StageRelease};
use sealpost_site::commands::rollouts::{Steer, SteerRollout};
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::ExplainClient;
use sealpost_site::rules::explain::explain_client;
use sealpost_site::rules::rollouts::progress::RolloutState;
use sealpost_site::rules::rollouts::settings::SettingKind;
use sealpost_test_support::world::{Computer, DAY, World, admin, platform, reserve_for, reserve_of, serial};

use super::rolling::{Rolling, changes, counted, rollout, setting, word};
use crate::bench::Bench;
use crate::fixture::{WorldExt, release, sound};

const HOUR: i64 = 3600;

/// Every night, and a strategy that opens to everybody and gives them five days.
const NIGHT: &str = r#"{"days":["monday","tuesday","wednesday","thursday","friday","saturday","sunday"],"from":"22:30","length_minutes":120,"zone":"UTC"}"#;
const FIVE_DAYS: &str =
    r#"{"deadline_hours":120,"rings":[{"name":"everyone","takes":"everyone","soak_minutes":60}]}"#;

fn steer(number: u64, what: Steer) -> SteerRollout {
    SteerRollout { actor: admin(), number, what, comment: "it is exploited".to_owned(), confirms: None }
}

/// `pc-0` installs in the night, at `pc-1` a person starts it, and `pc-2` installs as soon as its product lets it.
async fn by_each_method(world: &World, ledger: &Ledger) -> [ComputerName; 3] {
    let group =
        |name: &str, delivery: &str| format!(r#"{{"rule":{{"names":["{name}"]}},"delivery":"{delivery}"}}"#);
    let set = vec![
        setting(SettingKind::Window, "night", NIGHT),
        setting(SettingKind::Strategy, "five-days", FIVE_DAYS),
        setting(SettingKind::Property, "delivery", r#""window:night""#),
        setting(SettingKind::Group, "by-hand", &group("pc-1", "manual")),
        setting(SettingKind::Group, "pushed", &group("pc-2", "push")),
    ];
    ledger.execute(world.at(5), changes(set)).await.unwrap();
    ["pc-0", "pc-1", "pc-2"].map(|name| ComputerName::new(name).unwrap())
}

async fn property(world: &World, ledger: &Ledger, seconds: i64, name: &str, value: &str) {
    let set = vec![setting(SettingKind::Property, name, value)];
    ledger.execute(world.at(seconds), changes(set)).await.unwrap();
}

/// What a computer waits for by its assignment.
#[derive(Debug, PartialEq, Eq)]
struct Waits {
    window: bool,
    person: bool,
    product: bool,
    deadline: bool,
    urgency: Urgency,
}

impl Waits {
    /// For nothing.
    const NOTHING: Self =
        Self { window: false, person: false, product: false, deadline: false, urgency: Urgency::Emergency };

    /// For what the method of a computer of [`by_each_method`] says.
    fn by_method(name: &ComputerName, urgency: Urgency) -> Self {
        let name = name.as_str();
        Self { window: name == "pc-0", person: name == "pc-1", product: true, deadline: true, urgency }
    }

    fn of(told: &PackageAssignment) -> Self {
        Self {
            window: told.install_from.or(told.install_until).or(told.download_from).is_some(),
            person: told.start == Start::ByPerson,
            product: told.postpone.is_some() && told.urgency != Urgency::Emergency,
            deadline: told.deadline.is_some(),
            urgency: told.urgency,
        }
    }
}

/// Every computer contacts, and is told the release anew. What each waits for, by its name.
async fn all_are_told(fleet: &mut Rolling<'_>, ledger: &Ledger, seconds: i64) -> Vec<(ComputerName, Waits)> {
    let mut found = Vec::new();
    for at in 0..fleet.computers.len() {
        assert!(fleet.is_told(ledger, at, seconds).await, "computer {at} at {seconds} s");
        found.push((fleet.computers[at].name.clone(), Waits::of(only(&fleet.computers[at]))));
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

fn only(computer: &Computer) -> &PackageAssignment {
    match computer.assignment.as_ref().unwrap().packages.as_slice() {
        [told] => told,
        other => panic!("{other:?}"),
    }
}

fn each(names: &[ComputerName], waits: impl Fn(&ComputerName) -> Waits) -> Vec<(ComputerName, Waits)> {
    names.iter().map(|name| (name.clone(), waits(name))).collect()
}

pub(super) async fn an_emergency_waits_for_no_window_no_person_and_no_product(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 3).await;
    let names = by_each_method(world, &ledger).await;
    let ordinary = each(&names, |name| Waits::by_method(name, Urgency::Normal));
    let at_once = each(&names, |_| Waits::NOTHING);
    fleet.approve(&ledger, 1, "five-days").await;
    fleet.advance_blindly(&ledger, 20).await;
    assert_eq!(all_are_told(&mut fleet, &ledger, 21).await, ordinary);
    // Pushed through while it waits.
    let edit = Steer::Edit { strategy: word("everyone-now"), emergency: true };
    ledger.execute(world.at(30), steer(fleet.number, edit)).await.unwrap();
    assert_eq!(all_are_told(&mut fleet, &ledger, 31).await, at_once);
    // Approved as one: for everybody at once, which is complete with that, and ring by ring.
    for (strategy, counter, seconds) in [("everyone-now", 2, 40), ("five-days", 3, 50)] {
        let staged = world.staged("acme-av", counter, &["stable"]);
        let approve = ApproveRelease {
            strategy: Some(word(strategy)),
            emergency: true,
            ..world.approve(staged.manifest)
        };
        approved(world, &ledger, &mut fleet, staged, approve).await;
        let is_complete = rollout(&ledger, fleet.number).await.state == RolloutState::Completed;
        assert_eq!(is_complete, strategy == "everyone-now");
        fleet.advance_blindly(&ledger, seconds).await;
        assert_eq!(all_are_told(&mut fleet, &ledger, seconds + 1).await, at_once, "{strategy}");
    }
    // The next ordinary one waits as ever.
    fleet.approve(&ledger, 4, "five-days").await;
    fleet.advance_blindly(&ledger, 60).await;
    assert_eq!(all_are_told(&mut fleet, &ledger, 61).await, ordinary);
    counted(&ledger).await;
}

async fn approved(
    world: &World,
    ledger: &Ledger,
    fleet: &mut Rolling<'_>,
    staged: StageRelease,
    approve: ApproveRelease,
) {
    let manifest = staged.manifest;
    ledger.execute(world.at(5), staged).await.unwrap();
    ledger.execute(world.at(6), approve).await.unwrap();
    fleet.row = release(ledger, manifest).await;
    fleet.number = fleet.row.rollout.unwrap();
}

pub(super) async fn what_is_critical_goes_first_in_its_window_or_waits_for_nothing_as_the_site_says(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 3).await;
    let names = by_each_method(world, &ledger).await;
    let of_severity = async |fleet: &mut Rolling<'_>, counter, severity, seconds| {
        let staged = StageRelease { severity, ..world.staged("acme-av", counter, &["stable"]) };
        let approve = ApproveRelease { strategy: Some(word("five-days")), ..world.approve(staged.manifest) };
        approved(world, &ledger, fleet, staged, approve).await;
        fleet.advance_blindly(&ledger, seconds).await;
    };
    of_severity(&mut fleet, 1, Severity::Critical, 20).await;
    let in_window = each(&names, |name| Waits::by_method(name, Urgency::Critical));
    assert_eq!(all_are_told(&mut fleet, &ledger, 21).await, in_window);
    // The site says otherwise while it waits.
    property(world, &ledger, 30, "critical", r#""at_once""#).await;
    assert_eq!(all_are_told(&mut fleet, &ledger, 31).await, each(&names, |_| Waits::NOTHING));
    of_severity(&mut fleet, 2, Severity::High, 40).await;
    let ordinary = each(&names, |name| Waits::by_method(name, Urgency::Normal));
    assert_eq!(all_are_told(&mut fleet, &ledger, 41).await, ordinary, "it is not critical");
}

pub(super) async fn how_often_and_for_how_long_an_install_is_put_off_is_as_the_site_set_it(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 1).await;
    fleet.approve(&ledger, 1, "three").await;
    fleet.advance(&ledger, 20, 0).await;
    let told_at = 21;
    let put_off = |times, hours| Some(Postpone { times, until: world.at(told_at + hours * HOUR) });
    assert!(fleet.is_told(&ledger, 0, told_at).await);
    assert_eq!(only(&fleet.computers[0]).postpone, put_off(3, 72), "unless the site says otherwise");
    for (seconds, value, postpone) in
        [(30, r#""5x24""#, put_off(5, 24)), (40, r#""none""#, None), (50, r#""1x720""#, put_off(1, 720))]
    {
        property(world, &ledger, seconds, "hold", value).await;
        assert!(fleet.is_told(&ledger, 0, seconds + 1).await, "{value} reaches it with its next contact");
        assert_eq!(only(&fleet.computers[0]).postpone, postpone, "{value}");
    }
}

/// The world begins on a Friday morning.
pub(super) async fn who_is_told_for_a_window_is_silent_only_after_it(world: &World, bench: &dyn Bench) {
    const MONDAY: i64 = 3 * DAY;
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 3).await;
    let saturday = r#"{"days":["saturday"],"from":"22:30","length_minutes":120,"zone":"UTC"}"#;
    let set = vec![
        setting(SettingKind::Window, "saturday", saturday),
        setting(SettingKind::Property, "delivery", r#""window:saturday""#),
    ];
    ledger.execute(world.at(5), changes(set)).await.unwrap();
    fleet.approve(&ledger, 1, "rings").await;
    fleet.advance(&ledger, MONDAY - 60, 0).await;
    assert!(fleet.is_told(&ledger, 0, MONDAY).await);
    let closes = only(&fleet.computers[0]).install_until.unwrap();
    let stamp = |text: &str| text.parse::<Timestamp>().unwrap();
    assert_eq!((world.at(MONDAY), closes), (stamp("2027-01-18T08:00:00Z"), stamp("2027-01-24T00:30:00Z")));
    let until_closed = closes.duration_since(world.at(MONDAY)).as_secs();
    // It stays away. A day and four hours are silence for one that is not known for longer; here they begin with the window's end.
    let term = SignedDuration::from_hours(28).as_secs();
    for seconds in [MONDAY + term + 900, MONDAY + until_closed, MONDAY + until_closed + term - 900] {
        let found = fleet.advance_watched(&ledger, seconds, 1_000).await;
        assert!(found.halted.is_empty(), "at {}", world.at(seconds));
        assert_eq!(rollout(&ledger, fleet.number).await.rings[0].counts.silent, 0, "{}", world.at(seconds));
    }
    let found = fleet.advance_watched(&ledger, MONDAY + until_closed + term + 900, 1_000).await;
    assert_eq!(found.halted, [fleet.number]);
    assert_eq!(rollout(&ledger, fleet.number).await.rings[0].counts.silent, 1);
    counted(&ledger).await;
}

pub(super) async fn who_runs_what_is_aborted_goes_back_where_that_was_asked_for(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 2).await;
    let old = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    fleet.run(&ledger, &old, 10).await;
    fleet.approve(&ledger, 2, "three").await;
    fleet.advance(&ledger, 20, 0).await;
    fleet.succeeds(&ledger, 0, 21).await;
    let (manifest, number) = (fleet.row.manifest, fleet.number);
    // The second time it can still be asked for, and the third one changes nothing.
    for (seconds, roll_back, wanted) in [
        (30, false, Vec::new()),
        (40, true, vec![(Action::Rollback, old.manifest)]),
        (50, true, vec![(Action::Rollback, old.manifest)]),
    ] {
        let entries = ledger.head().size;
        ledger.execute(world.at(seconds), steer(number, Steer::Abort { roll_back })).await.unwrap();
        assert_eq!(ledger.head().size - entries, u64::from(seconds < 50), "at {seconds} s");
        assert_eq!(release(&ledger, manifest).await.rollback, roll_back);
        assert_eq!(rollout(&ledger, number).await.state, RolloutState::Aborted);
        world.contacts(&ledger, &mut fleet.computers[0], seconds + 1).await;
        let told = &fleet.computers[0].assignment.as_ref().unwrap().packages;
        let told: Vec<_> = told.iter().map(|told| (told.action, told.manifest)).collect();
        assert_eq!(told, wanted, "at {seconds} s");
    }
    sound(&ledger).await;
}

/// A site whose computers differ in one attribute each, and a rollout with a ring for each of them.
struct Differing {
    /// The name of its ring, and the computer, in the order of the rings.
    computers: Vec<(&'static str, Computer)>,
    arm: Platform,
    runs: InstalledPackage,
}

impl Differing {
    async fn new(world: &World, ledger: &Ledger) -> Self {
        world.unlock(ledger, 10).await;
        world.accept(ledger, world.grant_of(2, 1, 10)).await.unwrap();
        world.pull(ledger, 4).await;
        ledger.execute(world.at(2), reserve_for("of-beta", "beta")).await.unwrap();
        ledger.execute(world.at(2), reserve_of("of-serial", serial(2))).await.unwrap();
        let mut computers = Vec::new();
        for (ring, name) in [
            ("by-platform", "of-arm"),
            ("by-version", "of-version"),
            ("by-serial", "of-serial"),
            ("by-channel", "of-beta"),
            ("rest", "of-none"),
        ] {
            computers.push((ring, world.enrolled(ledger, name).await));
        }
        let cad = world.staged("acme-cad", 1, &["stable"]);
        let runs = InstalledPackage {
            release: cad.release,
            kind: cad.kind,
            counter: cad.counter,
            manifest: cad.manifest,
        };
        Self { computers, arm: Platform::new("linux-aarch64").unwrap(), runs }
    }

    /// The rules that tell them apart, and the rings.
    async fn settings(&self, world: &World, ledger: &Ledger) {
        let group = |name: &str, rule: String| {
            setting(SettingKind::Group, name, &format!(r#"{{"rule":{{{rule}}}}}"#))
        };
        let ring =
            |name: &str| format!(r#"{{"name":"{name}","takes":{{"group":"{name}"}},"soak_minutes":600}}"#);
        let rings = ["by-platform", "by-version", "by-serial", "by-channel"].map(ring).join(",");
        let strategy = format!(r#"{{"rings":[{rings},{{"name":"rest","takes":"everyone"}}]}}"#);
        let set = vec![
            group("by-platform", format!(r#""platforms":["{}"]"#, self.arm)),
            group("by-version", r#""runs":[{"package":"acme-cad","versions":["1.0"]}]"#.to_owned()),
            group("by-serial", format!(r#""serials":["{}"]"#, serial(2))),
            group("by-channel", r#""channels":["beta"]"#.to_owned()),
            setting(SettingKind::Strategy, "by-attribute", &strategy),
        ];
        ledger.execute(world.at(5), changes(set)).await.unwrap();
    }

    /// A release for every platform begins to go out; its number.
    async fn approve(&self, world: &World, ledger: &Ledger) -> u64 {
        let staged = world.staged("acme-av", 1, &["stable", "beta"]);
        let release_id = ReleaseId { platform: Platform::any(), ..staged.release };
        let manifest = Sha256Digest::of(release_id.to_string().as_bytes());
        let staged = StageRelease { release: release_id, manifest, ..staged };
        ledger.execute(world.at(6), staged).await.unwrap();
        let approve = ApproveRelease { strategy: Some(word("by-attribute")), ..world.approve(manifest) };
        ledger.execute(world.at(7), approve).await.unwrap();
        release(ledger, manifest).await.rollout.unwrap()
    }

    /// A computer contacts, and shows what is its own.
    async fn contacts(&mut self, world: &World, ledger: &Ledger, at: usize, seconds: i64) -> ContactOutcome {
        let (ring, computer) = &mut self.computers[at];
        let contact = Contact {
            platform: if *ring == "by-platform" { self.arm.clone() } else { platform() },
            packages: if *ring == "by-version" { vec![self.runs.clone()] } else { Vec::new() },
            ..world.contact(computer)
        };
        let next = contact.next.clone();
        let answer = AnswerContact { contact, ..world.answer(computer) };
        let outcome = ledger.execute(world.at(seconds), answer).await.unwrap();
        computer.answered(next, &outcome);
        outcome
    }
}

pub(super) async fn a_group_by_platform_version_serial_or_channel_is_the_same_at_a_contact_in_a_look_and_in_the_sentence(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut site = Differing::new(world, &ledger).await;
    site.settings(world, &ledger).await;
    let number = site.approve(world, &ledger).await;
    // No ring is open. What each hears and what is said of it name the ring that takes it.
    for at in 0..site.computers.len() {
        let waits = site.contacts(world, &ledger, at, 10).await.waits;
        let (ring, computer) = &site.computers[at];
        let named = format!("in the ring `{ring}`");
        let said: Vec<&str> = waits.iter().map(|waits| waits.sentence.as_str()).collect();
        assert!(said.len() == 1 && said[0].contains(&named), "{}: {said:?}", computer.name);
        let facts = ledger.query(ExplainClient { name: computer.name.clone() }).await.unwrap().unwrap();
        let why = explain_client(&facts, None, world.at(11));
        let of_av = why.iter().find(|one| one.package.as_str() == "acme-av").unwrap();
        assert!(of_av.sentence.contains(&named), "{}: {}", computer.name, of_av.sentence);
    }
    let plan: Arc<_> = ledger.query(LoadPlan {}).await.unwrap();
    let begun = rollout(&ledger, number).await;
    let mut found = ledger.survey(&plan, std::slice::from_ref(&begun), world.at(12)).await.unwrap();
    let populations = found.remove(&number).unwrap();
    let members: Vec<u64> = populations.iter().map(|ring| ring.members).collect();
    assert_eq!(members, [1; 5], "a look at all computers finds one in each");
    // Each ring that opens tells its own computer, and nobody else.
    let mut told = Vec::new();
    for ring in 0..5 {
        let seconds = 20 + 10 * i64::from(ring);
        let next = Steer::Next { ring, populations: Some(populations.clone()) };
        ledger.execute(world.at(seconds), steer(number, next)).await.unwrap();
        for at in 0..site.computers.len() {
            let answered = site.contacts(world, &ledger, at, seconds + 1).await.assignment;
            let packages = answered.iter().flat_map(|assignment| &assignment.packages);
            let rings = packages.filter(|told| told.rollout == number).filter_map(|told| told.ring.clone());
            told.extend(rings.map(|ring| (at, ring)));
        }
    }
    let wanted: Vec<_> = site.computers.iter().map(|(ring, _)| (*ring).to_owned()).enumerate().collect();
    assert_eq!(told, wanted);
    sound(&ledger).await;
}
