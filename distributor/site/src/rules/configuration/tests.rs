use sealpost_keys::{KeyId, PublicKey};
use sealpost_manifests::ids::{ChannelName, Platform, ServerId};

use super::*;

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
        grants: Vec::new(),
        last_contact: Some(Timestamp::UNIX_EPOCH),
        installed: Vec::new(),
        before: Vec::new(),
        listed: listed.iter().map(|text| group_name(text)).collect(),
        tags: Vec::new(),
        came_by: None,
        deliveries: Vec::new(),
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
    let mut comparison = Comparison::new(&before.settings, after, assertions, salt(), Timestamp::UNIX_EPOCH);
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
    assert_eq!(compared(&at("20:00"), &at("22:00"), &[], &rows).0.delivery, 1);
    assert_eq!(compared(&at("20:00"), &at("20:00"), &[], &rows).0.delivery, 0);
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
