use jiff::Timestamp;
use sealpost_keys::{KeyId, PublicKey};
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{ChannelName, PackageName, Platform, SerialNumber, ServerId};
use sealpost_manifests::order::Epoch;
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::word::Word;

use super::assertion::Assertion;
use super::comparison::Comparison;
use super::concerned::Concerned;
use super::*;
use crate::rows::RecipientRow;
use crate::rules::rollouts::delivery::Delivery;
use crate::rules::rollouts::settings::{Block, GroupSettings, PROPERTIES, PackageSettings, Pin, Target};
use crate::rules::rollouts::share::{self, Salt};

fn name(text: &str) -> ComputerName {
    ComputerName::new(text).unwrap()
}

fn group_name(text: &str) -> GroupName {
    GroupName::new(text).unwrap()
}

fn change(kind: SettingKind, name: &str, value: Value) -> SettingChange {
    SettingChange { key: key(kind, name), value: Some(value) }
}

fn configuration(changes: &[SettingChange], members: &[(&str, &[&str])]) -> Configuration {
    let mut settings = Settings::default();
    changes.iter().for_each(|change| settings.set(change).unwrap());
    let listed = |names: &[&str]| names.iter().map(|text| name(text)).collect();
    let members = members.iter().map(|(group, names)| (group_name(group), listed(names))).collect();
    Configuration { settings, members }
}

fn computer(text: &str, listed: &[&str]) -> RecipientRow {
    RecipientRow {
        name: name(text),
        channel: ChannelName::new("stable").unwrap(),
        platform: Some(Platform::any()),
        grants: vec![grant(&["av", "av-data"]).into()],
        last_contact: Some(Timestamp::UNIX_EPOCH),
        installed: Vec::new(),
        before: Vec::new(),
        listed: listed.iter().map(|text| group_name(text)).collect(),
        tags: Vec::new(),
        came_by: None,
        deliveries: Vec::new(),
    }
}

/// A license for these packages.
fn grant(packages: &[&str]) -> Grant {
    let site_key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
    Grant {
        vendor: "Acme".to_owned(),
        serial: SerialNumber::from_random([1; 19]),
        server_id: ServerId::of_site_key(&site_key),
        site_key,
        key_epoch: 1,
        epoch: Epoch::of(1, 0),
        packages: packages.iter().map(|package| PackageName::new(*package).unwrap()).collect(),
        model: LicenseModel::Named,
        seats: 1,
        generation: 1,
        not_after: Timestamp::MAX,
        vendor_time: Timestamp::UNIX_EPOCH,
        ends_at: None,
        request_id: None,
    }
}

fn salt() -> Salt {
    Salt::of(&ServerId::of_site_key(&PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32])))
}

fn compared(
    before: &Configuration,
    after: &Configuration,
    assertions: &[Assertion],
    rows: &[RecipientRow],
) -> (Concerned, Vec<String>) {
    let kinds = BTreeMap::from([
        (PackageName::new("av").unwrap(), PackageKind::Program),
        (PackageName::new("av-data").unwrap(), PackageKind::Signatures),
    ]);
    let mut comparison =
        Comparison::new(&before.settings, after, assertions, &kinds, salt(), Timestamp::UNIX_EPOCH);
    rows.iter().for_each(|row| comparison.add(row));
    comparison.finish()
}

fn rings(first: Value) -> Value {
    serde_json::json!({ "rings": [
        { "name": "first", "takes": first },
        { "name": "rest", "takes": "everyone" },
    ] })
}

fn asserts(computer: &str) -> Assertion {
    Assertion {
        computer: name(computer),
        in_group: None,
        not_in_group: None,
        delivery: None,
        ring: None,
        strategy: None,
    }
}

fn canary() -> Configuration {
    configuration(
        &[
            change(SettingKind::Group, "canary", serde_json::json!({ "delivery": "poll" })),
            change(SettingKind::Strategy, "mine", rings(serde_json::json!({ "group": "canary" }))),
            change(SettingKind::Property, "strategy-programs", serde_json::json!("mine")),
        ],
        &[("canary", &["pc-1"])],
    )
}

#[test]
fn what_is_so_already_is_no_difference_and_what_is_not_named_goes() {
    let has = canary();
    assert_eq!(difference(&has, &has), Difference::default());
    let gone = difference(&has, &Configuration::default());
    assert_eq!(gone.changes.len(), 3);
    assert!(gone.changes.iter().all(|change| change.value.is_none()), "{gone:?}");
    assert_eq!(gone.members[0].remove, [name("pc-1")], "the list goes with its group");
    let back = difference(&Configuration::default(), &has);
    let mut settings = Settings::default();
    back.changes.iter().for_each(|change| settings.set(change).unwrap());
    assert_eq!(settings, has.settings, "what was written out makes the same again");
    assert_eq!(back.members[0].add, [name("pc-1")]);
}

#[test]
fn a_property_that_has_its_default_is_not_written_and_none_that_is_set_to_it_is_a_change() {
    let set = |value: &str| configuration(&[change(SettingKind::Property, "delivery", value.into())], &[]);
    assert!(entries(&set("push").settings).is_empty());
    assert_eq!(difference(&Configuration::default(), &set("push")), Difference::default());
    let back = difference(&set("poll"), &set("push"));
    assert_eq!(back.changes, [SettingChange { key: key(SettingKind::Property, "delivery"), value: None }]);
}

#[test]
fn computers_count_once_for_each_thing_that_changes_for_them() {
    let rows = [computer("pc-1", &[]), computer("pc-2", &[]), computer("pc-3", &[])];
    let (concerned, failed) = compared(&Configuration::default(), &Configuration::default(), &[], &rows);
    assert_eq!((concerned, failed), (Concerned { all: 3, ..Concerned::default() }, Vec::new()));
    let (concerned, _) = compared(&Configuration::default(), &canary(), &[], &rows);
    assert_eq!((concerned.all, concerned.groups, concerned.delivery), (3, 1, 1));
    assert_eq!((concerned.rings, concerned.changed), (3, 3), "each ring has another name");
}

#[test]
fn a_window_that_opens_at_another_time_concerns_who_waits_for_it() {
    let at = |from: &str| {
        let window = serde_json::json!({
            "days": ["monday"], "from": from, "length_minutes": 60, "zone": "UTC"
        });
        let delivery = change(SettingKind::Property, "delivery", "window:night".into());
        configuration(&[change(SettingKind::Window, "night", window), delivery], &[])
    };
    let rows = [computer("pc-1", &[])];
    let concerned = compared(&at("20:00"), &at("22:00"), &[], &rows).0;
    assert_eq!((concerned.delivery, concerned.windows, concerned.changed), (0, 1, 1));
    assert_eq!(compared(&at("20:00"), &at("20:00"), &[], &rows).0.changed, 0);
    let concerned = compared(&Configuration::default(), &at("20:00"), &[], &rows).0;
    assert_eq!(
        (concerned.delivery, concerned.windows),
        (1, 0),
        "another method, whose window is new with it"
    );
}

#[test]
fn an_assertion_holds_or_says_what_is_so_instead() {
    let rows = [computer("pc-1", &[]), computer("pc-2", &[])];
    let word = |text| Some(Word::new(text).unwrap());
    let said = |assertion: Assertion| compared(&Configuration::default(), &canary(), &[assertion], &rows).1;
    let holds = Assertion {
        in_group: Some(group_name("canary")),
        not_in_group: Some(group_name("other")),
        delivery: Some(Delivery::Poll),
        ring: word("first"),
        ..asserts("pc-1")
    };
    assert_eq!(said(holds), Vec::<String>::new());
    assert_eq!(said(Assertion { ring: word("rest"), strategy: word("mine"), ..asserts("pc-2") }), [""; 0]);
    for (assertion, why) in [
        (Assertion { in_group: Some(group_name("canary")), ..asserts("pc-2") }, "it is in no group"),
        (Assertion { not_in_group: Some(group_name("canary")), ..asserts("pc-1") }, "is in the group canary"),
        (Assertion { delivery: Some(Delivery::Manual), ..asserts("pc-2") }, "by push, not by manual"),
        (Assertion { ring: word("first"), ..asserts("pc-2") }, "in the ring rest of the strategy mine"),
        (
            Assertion { ring: word("first"), strategy: word("none"), ..asserts("pc-2") },
            "no strategy named none",
        ),
        (Assertion { ring: word("first"), ..asserts("pc-9") }, "no seat is reserved for pc-9"),
        (asserts("pc-1"), "nothing is asserted"),
    ] {
        let failed = said(assertion);
        assert!(failed.len() == 1 && failed[0].contains(why), "{failed:?}: {why}");
    }
}

#[test]
fn the_first_computers_of_a_ring_are_those_that_are_heard_of() {
    let mine = configuration(
        &[
            change(SettingKind::Strategy, "mine", rings(serde_json::json!({ "first": 1 }))),
            change(SettingKind::Property, "strategy-programs", "mine".into()),
        ],
        &[],
    );
    let mut rows: Vec<RecipientRow> = (0..20).map(|number| computer(&format!("pc-{number}"), &[])).collect();
    rows.iter_mut().for_each(|row| row.last_contact = None);
    rows[7].last_contact = Some(Timestamp::UNIX_EPOCH);
    let is_first = |text: &str| {
        let assertion = Assertion { ring: Some(Word::new("first").unwrap()), ..asserts(text) };
        compared(&Configuration::default(), &mine, &[assertion], &rows).1.is_empty()
    };
    assert!(is_first("pc-7"));
    let heard = share::position(&salt(), &name("pc-7"));
    for row in &rows {
        // Who stands before the one that is heard of is let in with it, and nobody else.
        let stands_before = share::position(&salt(), &row.name) <= heard;
        assert_eq!(is_first(row.name.as_str()), stands_before, "{}", row.name);
    }
}

/// pc-1 is in the group lab and behind the line to the branch, pc-2 and pc-3 are not; pc-3 has a license for other packages.
fn three() -> [RecipientRow; 3] {
    let mut rows = [computer("pc-1", &["lab"]), computer("pc-2", &[]), computer("pc-3", &[])];
    rows[0].came_by = Some("10.2.0.7".parse().unwrap());
    rows[2].grants = vec![grant(&["cad"]).into()];
    rows
}

/// One ring for the laboratory and one for everybody else, with these numbers of the first ring and these of the strategy.
fn with_lab(first: &Value, whole: &Value) -> Value {
    let mut ring = serde_json::json!({ "name": "first", "takes": { "group": "lab" }, "soak_minutes": 60 });
    ring.as_object_mut().unwrap().extend(first.as_object().unwrap().clone());
    let mut strategy = serde_json::json!({ "rings": [ring, { "name": "rest", "takes": "everyone" }] });
    strategy.as_object_mut().unwrap().extend(whole.as_object().unwrap().clone());
    strategy
}

/// What every site of the table below has before.
fn base() -> Vec<SettingChange> {
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let none = serde_json::json!({});
    vec![
        change(SettingKind::Group, "lab", none.clone()),
        change(SettingKind::Strategy, "mine", with_lab(&none, &none)),
        change(SettingKind::Property, "strategy-programs", "mine".into()),
        change(
            SettingKind::Window,
            "night",
            json(r#"{"days":["monday"],"from":"20:00","length_minutes":60,"zone":"UTC"}"#),
        ),
        change(SettingKind::Property, "delivery", "window:night".into()),
        change(
            SettingKind::Link,
            "branch",
            json(r#"{"subnets":["10.2.0.0/16"],"rate":"2 MB/s","concurrent":3}"#),
        ),
    ]
}

/// Which setting, its value, and for how many of the three computers what changes.
type Row<'a> = (SettingKind, &'a str, Value, &'a [(&'a str, u64)]);

#[test]
fn whatever_decides_for_a_computer_is_compared_and_counted_by_the_setting_that_says_so() {
    use SettingKind::{Approval, Block, Group, Link, Package, Pin, Property, Strategy, Window};
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let none = serde_json::json!({});
    let first = |numbers: &str| with_lab(&json(numbers), &none);
    let whole = |numbers: &str| with_lab(&none, &json(numbers));
    let table: Vec<Row<'_>> = vec![
        (Property, "critical", "at_once".into(), &[("critical", 3)]),
        (Property, "delivery", "poll".into(), &[("delivery", 3)]),
        (Property, "hold", "none".into(), &[("hold", 3)]),
        (Property, "strategy-programs", "everyone-now".into(), &[("rings", 3)]),
        (Property, "strategy-signatures", "everyone-now".into(), &[("rings", 1), ("strategies", 2)]),
        (Group, "lab", json(r#"{"description":"another"}"#), &[]),
        (Group, "lab", json(r#"{"rule":{"names":["pc-2"]}}"#), &[("groups", 1), ("rings", 1)]),
        (Group, "lab", json(r#"{"delivery":"poll"}"#), &[("delivery", 1)]),
        (Group, "lab", json(r#"{"content":"paused"}"#), &[("content", 1)]),
        (Group, "lab", json(r#"{"rank":7}"#), &[]),
        (Strategy, "mine", first(r#"{"name":"other"}"#), &[("rings", 1), ("strategies", 2)]),
        (Strategy, "mine", first(r#"{"takes":{"share":"100 %"}}"#), &[("rings", 2), ("strategies", 1)]),
        (Strategy, "mine", first(r#"{"soak_minutes":90}"#), &[("strategies", 3)]),
        (Strategy, "mine", first(r#"{"minimum_sample":9}"#), &[("strategies", 3)]),
        (Strategy, "mine", first(r#"{"success_percent":9}"#), &[("strategies", 3)]),
        (Strategy, "mine", first(r#"{"errors":{"count":9,"percent":9}}"#), &[("strategies", 3)]),
        (Strategy, "mine", first(r#"{"concurrent":9}"#), &[("strategies", 3)]),
        (Strategy, "mine", first(r#"{"per_hour":9}"#), &[("strategies", 3)]),
        (Strategy, "mine", whole(r#"{"on_failure":"roll_back"}"#), &[("strategies", 3)]),
        (Strategy, "mine", whole(r#"{"deadline_hours":9}"#), &[("deadlines", 3)]),
        (
            Strategy,
            "mine",
            json(
                r#"{"rings":[{"name":"first","takes":{"group":"lab"},"soak_minutes":60},{"name":"rest","takes":"everyone","per_hour":9}]}"#,
            ),
            &[("strategies", 2)],
        ),
        (Strategy, "unused", whole("{}"), &[]),
        (
            Window,
            "night",
            json(r#"{"days":["monday"],"from":"20:00","length_minutes":60,"zone":"Europe/Berlin"}"#),
            &[("windows", 3)],
        ),
        (
            Window,
            "night",
            json(
                r#"{"days":["monday"],"from":"20:00","length_minutes":60,"zone":"UTC","missed":{"at_once_after":3}}"#,
            ),
            &[("windows", 3)],
        ),
        // pc-3 has no license for these.
        (Package, "av", json(r#"{"strategy":"everyone-now"}"#), &[("packages", 2)]),
        (Package, "av", json(r#"{"strategy":"mine"}"#), &[]),
        (Package, "av-data", json(r#"{"strategy":"signatures"}"#), &[]),
        (Package, "av-data", json(r#"{"content":"paused"}"#), &[("content", 2)]),
        (Package, "av", json(r#"{"content":"paused"}"#), &[]),
        (Block, "all", json(r#"{"of":"everyone"}"#), &[("blocks", 3)]),
        (Block, "lab", json(r#"{"of":{"group":"lab"}}"#), &[("blocks", 1)]),
        (Block, "one", json(r#"{"of":{"computer":"pc-2"},"package":"av"}"#), &[("blocks", 1)]),
        (Block, "one", json(r#"{"of":"everyone","package":"av","version":"1.0"}"#), &[("blocks", 2)]),
        (Pin, "lab", json(r#"{"of":{"group":"lab"},"package":"av","version":"1.0"}"#), &[("pins", 1)]),
        (Pin, "all", json(r#"{"of":"everyone","package":"av","version":"1.0"}"#), &[("pins", 2)]),
        (
            Link,
            "branch",
            json(r#"{"subnets":["10.2.0.0/16"],"rate":"1 MB/s","concurrent":3}"#),
            &[("links", 1)],
        ),
        (
            Link,
            "branch",
            json(r#"{"subnets":["10.3.0.0/16"],"rate":"2 MB/s","concurrent":3}"#),
            &[("links", 1)],
        ),
        (Link, "other", json(r#"{"subnets":["10.3.0.0/16"],"rate":"2 MB/s","concurrent":3}"#), &[]),
        (Approval, "slow", json(r#"{"min_age_hours":24}"#), &[]),
    ];
    for kind in SettingKind::ALL {
        assert!(table.iter().any(|(known, ..)| *known == kind), "{kind} is in no row");
    }
    for (property, _) in PROPERTIES {
        assert!(table.iter().any(|(kind, name, ..)| *kind == Property && *name == property), "{property}");
    }
    let before = configuration(&base(), &[("lab", &["pc-1"])]);
    for (kind, name, value, expected) in table {
        let mut changes = base();
        changes.push(change(kind, name, value.clone()));
        let after = configuration(&changes, &[("lab", &["pc-1"])]);
        assert_eq!(after.settings.problems(), [], "{kind} {name}");
        assert_eq!(difference(&before, &after).changes.len(), 1, "{kind} {name} {value}");
        let (concerned, _) = compared(&before, &after, &[], &three());
        let found: Vec<(&str, u64)> =
            concerned.by_setting().into_iter().map(|(setting, _, count)| (setting, count)).collect();
        assert_eq!(found, expected, "{kind} {name} {value}");
        let most = expected.iter().map(|(_, count)| *count).max().unwrap_or(0);
        assert!(
            concerned.changed >= most && (concerned.changed == 0) == expected.is_empty(),
            "{concerned:?}"
        );
    }
}

/// A field that is added to one of these needs a row in the table above.
#[test]
fn every_field_of_a_setting_is_known_to_the_table() {
    let GroupSettings { description: _, rule: _, delivery: _, content: _, rank: _ } =
        GroupSettings::default();
    let PackageSettings { strategy, content } = PackageSettings::default();
    assert!(strategy.is_none() && content.is_none());
    let everyone = || Target::Everyone;
    let Block { of: _, package: _, version, why: _ } =
        Block { of: everyone(), package: None, version: None, why: String::new() };
    let (package, kept) = (PackageName::new("av").unwrap(), "1.0".parse().unwrap());
    let Pin { of: _, package: _, version: pinned, why: _ } =
        Pin { of: everyone(), package, version: kept, why: String::new() };
    assert!(version.is_none() && pinned.as_str() == "1.0");
}

#[test]
fn a_narrower_block_or_pin_beside_what_counts_already_changes_nothing() {
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let wide = [
        change(SettingKind::Block, "all", json(r#"{"of":"everyone"}"#)),
        change(SettingKind::Pin, "own", json(r#"{"of":{"computer":"pc-1"},"package":"av","version":"1.0"}"#)),
    ];
    let mut more = wide.to_vec();
    more.push(change(SettingKind::Block, "one", json(r#"{"of":"everyone","package":"av"}"#)));
    more.push(change(SettingKind::Block, "two", json(r#"{"of":"everyone","package":"av","version":"1.0"}"#)));
    more.push(change(SettingKind::Pin, "all", json(r#"{"of":"everyone","package":"av","version":"2.0"}"#)));
    let (before, after) = (configuration(&wide, &[]), configuration(&more, &[]));
    let (concerned, _) = compared(&before, &after, &[], &[computer("pc-1", &[])]);
    assert_eq!(concerned, Concerned { all: 1, ..Concerned::default() });
}

#[test]
fn a_fingerprint_is_the_same_for_the_same_and_another_for_each_change_of_settings_or_lists() {
    let print = |of: &Configuration| fingerprint(&of.settings, &of.members);
    let has = canary();
    assert_eq!(print(&has), print(&canary()));
    let mut listed = canary();
    listed.members.get_mut(&group_name("canary")).unwrap().insert(name("pc-2"));
    let mut set = canary();
    set.settings.set(&change(SettingKind::Property, "hold", "none".into())).unwrap();
    for other in [&listed, &set, &Configuration::default()] {
        assert_ne!(print(&has), print(other));
    }
    // A list of nobody, or of a group that is not there, says nothing.
    let mut beside = canary();
    beside.members.insert(group_name("gone"), BTreeSet::from([name("pc-9")]));
    assert_eq!(print(&has), print(&beside));
}
