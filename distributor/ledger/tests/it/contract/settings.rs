//! Settings: groups, windows and methods of delivery, and what is refused.

use sealpost_ledger::Ledger;
use sealpost_manifests::ids::{ComputerName, Tag};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Change;
use sealpost_site::commands::releases::{ApproveRelease, StageRelease};
use sealpost_site::commands::rollouts::{Steer, SteerRollout};
use sealpost_site::commands::second_eyes::Outcome;
use sealpost_site::commands::settings::{ChangeMembers, ChangeSettings, LoadPlan};
use sealpost_site::queries::GroupMembers;
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};
use sealpost_site::rules::rollouts::share::{Salt, is_in, position};
use sealpost_site::rules::text::MAX_COMMENT_BYTES;
use sealpost_test_support::world::{World, admin, computer_name, reject};

use super::rolling::{Rolling, changes, counted, rollout, setting, word};
use crate::bench::Bench;
use crate::fixture::{WorldExt, client, entries_of, refused, unchanged};

fn pilots() -> GroupName {
    GroupName::new("pilots").unwrap()
}

fn members(add: &[&ComputerName], remove: &[&ComputerName]) -> ChangeMembers {
    let names = |names: &[&ComputerName]| names.iter().map(|name| (*name).clone()).collect();
    let comment = "moved to the laboratory".to_owned();
    ChangeMembers { actor: admin(), group: pilots(), add: names(add), remove: names(remove), comment }
}

fn removed(kind: SettingKind, name: &str) -> SettingChange {
    SettingChange { key: SettingKey { kind, name: name.to_owned() }, value: None }
}

const BY_GROUP: &str =
    r#"{"rings":[{"name":"pilots","takes":{"group":"pilots"}},{"name":"everyone","takes":"everyone"}]}"#;

pub(super) async fn who_is_in_a_group_by_rule_or_by_name_gets_what_its_ring_gets(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 4).await;
    let group = setting(SettingKind::Group, "pilots", r#"{"rule":{"tags":["laptop"]}}"#);
    let strategy = setting(SettingKind::Strategy, "by-group", BY_GROUP);
    assert_eq!(ledger.execute(world.at(7), changes(vec![group, strategy])).await.unwrap(), Outcome::Done(2));
    let (first, second) = (fleet.computers[1].name.clone(), fleet.computers[2].name.clone());
    // A name needs no reservation: it counts once its computer comes.
    let stranger = computer_name("not-there-yet");
    assert_eq!(ledger.execute(world.at(8), members(&[&first, &stranger], &[])).await.unwrap(), 2);
    let before = ledger.head().size;
    assert_eq!(ledger.execute(world.at(8), members(&[&first], &[&second])).await.unwrap(), 0, "it is so");
    unchanged(&ledger, before);
    let listed = ledger.query(GroupMembers { group: pilots(), after: None, limit: 10 }).await.unwrap();
    let mut wanted = vec![first.clone(), stranger];
    wanted.sort();
    assert_eq!(listed, wanted);
    let long = ChangeMembers { comment: "x".repeat(MAX_COMMENT_BYTES + 1), ..members(&[&second], &[]) };
    assert_eq!(refused(ledger.execute(world.at(8), long).await), ProblemCode::BadRequest);
    let [entry] = entries_of(&ledger, "group_members_changed").await.try_into().unwrap();
    let said = match entry.entry.change() {
        Some(Change::GroupMembersChanged { comment, .. }) => comment.as_str(),
        other => panic!("{other:?}"),
    };
    assert_eq!(said, "moved to the laboratory");
    assert_eq!(client(&ledger, &first).await.listed, [pilots()].into());

    fleet.computers[3].tags = vec![Tag::new("laptop").unwrap()];
    fleet.approve(&ledger, 1, "by-group").await;
    assert!(fleet.advance_blindly(&ledger, 20).await.opened);
    for at in 0..4 {
        assert_eq!(fleet.is_told(&ledger, at, 21).await, at == 1 || at == 3, "computer {at}");
    }
    // Who was told stays told, whatever the groups become.
    ledger.execute(world.at(22), members(&[&second], &[&first])).await.unwrap();
    fleet.computers[3].tags.clear();
    for at in 0..4 {
        assert_eq!(fleet.is_told(&ledger, at, 23).await, at == 2, "computer {at}");
        assert_eq!(fleet.holds(at), at > 0, "computer {at}");
    }
    // A group that a live rollout names stays.
    let both = vec![removed(SettingKind::Strategy, "by-group"), removed(SettingKind::Group, "pilots")];
    assert_eq!(refused(ledger.execute(world.at(24), changes(both.clone())).await), ProblemCode::WrongState);
    let what = Steer::Abort { roll_back: false };
    let abort =
        SteerRollout { actor: admin(), number: fleet.number, what, comment: "no".to_owned(), confirms: None };
    ledger.execute(world.at(25), abort).await.unwrap();
    assert_eq!(ledger.execute(world.at(26), changes(both)).await.unwrap(), Outcome::Done(2));
    counted(&ledger).await;
}

pub(super) async fn settings_that_do_not_fit_are_refused_whole(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let _ = Rolling::new(world, &ledger, 1).await;
    let version = plan(&ledger).await.version;
    let before = ledger.head().size;
    let good = || setting(SettingKind::Group, "lab", r#"{"rank":2}"#);
    for bad in [
        setting(SettingKind::Property, "delivery", r#""window:nobody-made-it""#),
        setting(SettingKind::Property, "no-such-property", "1"),
        setting(SettingKind::Strategy, "by-group", BY_GROUP),
        setting(SettingKind::Strategy, "empty", r#"{"rings":[]}"#),
        setting(SettingKind::Group, "no spaces", "{}"),
        setting(SettingKind::Group, "lab", r#"{"unknown":1}"#),
        setting(SettingKind::Pin, "x", r#"{"of":{"group":"nobody"},"package":"acme-av","version":"1"}"#),
        setting(SettingKind::Block, "x", r#"{"of":"everyone","version":"1"}"#),
        setting(SettingKind::Group, "lab", &format!(r#"{{"description":"{}"}}"#, "x".repeat(70_000))),
    ] {
        let shown = format!("{:?}", bad.key);
        let refusal = ledger.execute(world.at(20), changes(vec![good(), bad, good()])).await;
        assert_eq!(refused(refusal), ProblemCode::BadRequest, "{shown}");
    }
    let many = (0..1_001).map(|number| setting(SettingKind::Group, &format!("g{number}"), "{}")).collect();
    assert_eq!(refused(ledger.execute(world.at(20), changes(many)).await), ProblemCode::BadRequest);
    // What would not be kept whole is refused.
    let long = ChangeSettings { comment: "x".repeat(MAX_COMMENT_BYTES + 1), ..changes(vec![good()]) };
    assert_eq!(refused(ledger.execute(world.at(20), long).await), ProblemCode::BadRequest);
    // Who looked at another plan changes nothing.
    let stale = ChangeSettings { expected: Some(version + 1), ..changes(vec![good()]) };
    assert_eq!(refused(ledger.execute(world.at(20), stale).await), ProblemCode::WrongState);
    assert!(!plan(&ledger).await.settings.groups.contains_key(&GroupName::new("lab").unwrap()));
    unchanged(&ledger, before);
    let current = ChangeSettings { expected: Some(version), ..changes(vec![good()]) };
    assert_eq!(ledger.execute(world.at(21), current).await.unwrap(), Outcome::Done(1));
    assert_eq!(
        ledger.execute(world.at(21), changes(vec![good()])).await.unwrap(),
        Outcome::Done(0),
        "it says so already"
    );
    assert_eq!(entries_of(&ledger, "settings_changed").await.len(), 2);
    assert_eq!(refused(ledger.execute(world.at(22), members(&[], &[])).await), ProblemCode::NotFound);
}

async fn plan(ledger: &Ledger) -> std::sync::Arc<sealpost_site::rules::rollouts::plan::Plan> {
    ledger.query(LoadPlan {}).await.unwrap()
}

pub(super) async fn a_window_and_a_method_stand_in_the_assignment(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 2).await;
    let manual = fleet.computers[1].name.clone();
    let window = r#"{"days":["monday","tuesday","wednesday","thursday","friday","saturday","sunday"],"from":"22:30","length_minutes":120,"zone":"UTC"}"#;
    let set = vec![
        setting(SettingKind::Window, "night", window),
        setting(SettingKind::Property, "delivery", r#""window:night""#),
        setting(SettingKind::Group, "pilots", r#"{"delivery":"manual"}"#),
    ];
    ledger.execute(world.at(7), changes(set)).await.unwrap();
    ledger.execute(world.at(8), members(&[&manual], &[])).await.unwrap();
    fleet.approve(&ledger, 1, "three").await;
    fleet.advance(&ledger, 20, 0).await;
    for at in [0, 1] {
        assert!(fleet.is_told(&ledger, at, 21).await);
        let told = fleet.computers[at].assignment.clone().unwrap().packages.remove(0);
        let has_window = told.install_from.is_some() && told.install_until.is_some();
        let by_person = told.start == sealpost_manifests::assignment::Start::ByPerson;
        assert_eq!((has_window, by_person), (at == 0, at == 1), "{told:?}");
    }
    // Nothing changes within one window, and nothing is issued.
    let before = ledger.head().size;
    for at in [0, 1] {
        assert!(!fleet.is_told(&ledger, at, 600).await);
    }
    unchanged(&ledger, before);
    // The method is changed while it waits: it reaches the computer with its next contact.
    let push = vec![setting(SettingKind::Property, "delivery", r#""push""#)];
    ledger.execute(world.at(700), changes(push)).await.unwrap();
    assert!(fleet.is_told(&ledger, 0, 701).await);
    assert_eq!(fleet.computers[0].assignment.as_ref().unwrap().packages[0].install_from, None);
    counted(&ledger).await;
}

pub(super) async fn releases_that_come_faster_than_windows_and_deadlines_begin_neither_anew(
    world: &World,
    bench: &dyn Bench,
) {
    const DAY: i64 = 24 * 3600;
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 1).await;
    let window = r#"{"days":["monday","tuesday","wednesday","thursday","friday","saturday","sunday"],"from":"22:30","length_minutes":120,"zone":"UTC","missed":{"at_once_after":1}}"#;
    let strategy = r#"{"deadline_hours":240,"rings":[{"name":"everyone","takes":"everyone"}]}"#;
    let set = vec![
        setting(SettingKind::Window, "night", window),
        setting(SettingKind::Property, "delivery", r#""window:night""#),
        setting(SettingKind::Strategy, "daily", strategy),
    ];
    ledger.execute(world.at(7), changes(set)).await.unwrap();
    // It comes once a day, is off through each window, and there is a newer release each time.
    let mut told = Vec::new();
    for (day, counter) in [(0, 1), (1, 2), (2, 3)] {
        fleet.approve(&ledger, counter, "daily").await;
        fleet.advance_blindly(&ledger, day * DAY + 20).await;
        assert!(fleet.is_told(&ledger, 0, day * DAY + 30).await, "day {day}");
        told.push(fleet.computers[0].assignment.as_ref().unwrap().packages[0].clone());
    }
    assert!(told[0].install_from.is_some() && told[0].deadline.is_some(), "{told:?}");
    assert_eq!((told[2].install_from, told[2].deadline), (None, told[0].deadline), "{told:?}");
    // Once it has one of them, the next one has all of its time.
    fleet.succeeds(&ledger, 0, 2 * DAY + 60).await;
    fleet.approve(&ledger, 4, "daily").await;
    fleet.advance_blindly(&ledger, 3 * DAY).await;
    assert!(fleet.is_told(&ledger, 0, 3 * DAY + 30).await);
    let next = &fleet.computers[0].assignment.as_ref().unwrap().packages[0];
    assert!(next.install_from.is_some() && next.deadline > told[0].deadline, "{next:?}");
    counted(&ledger).await;
}

pub(super) async fn a_plan_is_another_one_after_each_change_of_what_it_is_made_of(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 1).await;
    let mut last = plan(&ledger).await.version;
    let mut is_another = async |what: &str| {
        let now = plan(&ledger).await.version;
        assert!(now > last, "{what}");
        last = now;
    };
    let staged = StageRelease { mandatory: true, ..world.staged("acme-av", 4, &["stable"]) };
    let manifest = staged.manifest;
    ledger.execute(world.at(20), staged.clone()).await.unwrap();
    is_another("a mandatory release is staged").await;
    assert_eq!(plan(&ledger).await.waypoints.len(), 1);
    let moved =
        StageRelease { channels: vec![sealpost_test_support::world::channel("beta")], ..staged.clone() };
    ledger.execute(world.at(21), moved).await.unwrap();
    is_another("its channels changed").await;
    ledger.execute(world.at(22), reject(manifest, "no")).await.unwrap();
    is_another("it was rejected").await;
    ledger.execute(world.at(23), StageRelease { mandatory: false, ..staged }).await.unwrap();
    is_another("it is mandatory no more").await;
    assert!(plan(&ledger).await.waypoints.is_empty());
    fleet.approve(&ledger, 5, "rings").await;
    is_another("a release goes out").await;
    fleet.advance(&ledger, 24, 0).await;
    is_another("a ring opened").await;
    let row = fleet.row.clone();
    let pin = r#"{"of":"everyone","package":"acme-av","version":"5.0"}"#;
    ledger.execute(world.at(25), changes(vec![setting(SettingKind::Pin, "five", pin)])).await.unwrap();
    is_another("a setting changed").await;
    let newer = world.staged("acme-av", 6, &["stable"]);
    let newest = newer.manifest;
    ledger.execute(world.at(26), newer).await.unwrap();
    let unread = plan(&ledger).await;
    ledger
        .execute(
            world.at(27),
            ApproveRelease { strategy: Some(word("everyone-now")), ..world.approve(newest) },
        )
        .await
        .unwrap();
    is_another("a release was replaced").await;
    let replaced = &plan(&ledger).await.replaced;
    assert_eq!(
        replaced.iter().map(|known| known.manifest).collect::<Vec<_>>(),
        [row.manifest],
        "the pin wants it"
    );
    assert!(unread.replaced.is_empty(), "who holds a plan keeps it");
    // What happens to computers is in no plan.
    let before = plan(&ledger).await.version;
    world.contacts(&ledger, &mut fleet.computers[0], 30).await;
    assert_eq!(plan(&ledger).await.version, before);
}

/// A block of the newest release brings back what went to everybody before it, and nothing that only a canary ever had.
pub(super) async fn what_was_replaced_at_its_canary_comes_back_to_nobody_but_by_a_pin(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 3).await;
    let old = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    fleet.run(&ledger, &old, 10).await;
    fleet.approve(&ledger, 2, "rings").await;
    fleet.advance(&ledger, 20, 0).await;
    fleet.succeeds(&ledger, 0, 21).await;
    let newer = world.staged("acme-av", 3, &["stable"]);
    let (manifest, version) = (newer.manifest, newer.release.version.clone());
    ledger.execute(world.at(22), newer).await.unwrap();
    let at_once = ApproveRelease { strategy: Some(word("everyone-now")), ..world.approve(manifest) };
    ledger.execute(world.at(23), at_once).await.unwrap();
    let block = format!(r#"{{"of":"everyone","package":"acme-av","version":"{version}"}}"#);
    ledger.execute(world.at(24), changes(vec![setting(SettingKind::Block, "b", &block)])).await.unwrap();
    let replaced = plan(&ledger).await.replaced.iter().map(|known| known.manifest).collect::<Vec<_>>();
    assert_eq!(replaced, [fleet.row.manifest, old.manifest], "the newest first");

    for other in [1, 2] {
        assert!(!fleet.is_told(&ledger, other, 30).await, "computer {other} is in no ring that got it");
    }
    assert!(fleet.holds(0), "the canary runs it, and goes on to run it");
    let pin = format!(r#"{{"of":"everyone","package":"acme-av","version":"{}"}}"#, fleet.row.release.version);
    ledger.execute(world.at(31), changes(vec![setting(SettingKind::Pin, "p", &pin)])).await.unwrap();
    assert!(fleet.is_told(&ledger, 2, 32).await, "somebody wants it there by its version");
}

/// What an approval was shown is what rolls out, whatever the strategy of that name becomes; and whoever enrolls later falls into
/// the ring of its name, and gets the release before as long as that has not opened.
pub(super) async fn a_rollout_keeps_the_strategy_it_began_with_and_takes_in_who_enrolls_later(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::with_seats(world, &ledger, 3, 15).await;
    let old = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    fleet.run(&ledger, &old, 10).await;
    fleet.approve(&ledger, 2, "rings").await;
    let begun = rollout(&ledger, fleet.number).await.strategy;
    let other = r#"{"rings":[{"name":"everyone","takes":"everyone"}]}"#;
    ledger
        .execute(world.at(20), changes(vec![setting(SettingKind::Strategy, "rings", other)]))
        .await
        .unwrap();
    assert_eq!(rollout(&ledger, fleet.number).await.strategy, begun);
    ledger.execute(world.at(21), changes(vec![removed(SettingKind::Strategy, "rings")])).await.unwrap();
    assert_eq!(rollout(&ledger, fleet.number).await.strategy, begun);
    assert!(fleet.advance(&ledger, 22, 0).await.opened, "its canary");
    let below = rollout(&ledger, fleet.number).await.rings[0].below.unwrap();
    for number in 0..12 {
        let mut late = world.enrolled(&ledger, &format!("late-{number}")).await;
        let is_first = is_in(position(&Salt::of(&world.server_id), &late.name), below);
        let outcome = world.contacts(&ledger, &mut late, 30).await;
        let told = &outcome.assignment.unwrap().packages[0];
        let wanted = if is_first { fleet.row.manifest } else { old.manifest };
        assert_eq!(told.manifest, wanted, "late-{number}: never nothing");
    }
    counted(&ledger).await;
}
