//! What a site may set, what has to be there, and which of several settings counts.

use serde_json::json;

use super::*;

fn set(
    settings: &mut Settings,
    kind: SettingKind,
    name: &str,
    value: serde_json::Value,
) -> Result<(), String> {
    let key = SettingKey { kind, name: name.to_owned() };
    settings.set(&SettingChange { key, value: Some(value) }).map_err(|error| error.to_string())
}

fn with(changes: &[(SettingKind, &str, serde_json::Value)]) -> Settings {
    let mut settings = Settings::default();
    for (kind, name, value) in changes {
        set(&mut settings, *kind, name, value.clone()).unwrap();
    }
    settings
}

fn group(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

fn package(name: &str) -> PackageName {
    PackageName::new(name).unwrap()
}

fn window() -> serde_json::Value {
    json!({ "days": ["saturday"], "from": "02:00", "length_minutes": 60, "zone": "UTC" })
}

const EVERYTHING: [(SettingKind, &str); 8] = [
    (SettingKind::Property, "delivery"),
    (SettingKind::Group, "g"),
    (SettingKind::Strategy, "s"),
    (SettingKind::Window, "w"),
    (SettingKind::Package, "av"),
    (SettingKind::Block, "b"),
    (SettingKind::Pin, "p"),
    (SettingKind::Approval, "a"),
];

fn good(kind: SettingKind) -> serde_json::Value {
    match kind {
        SettingKind::Property => json!("poll"),
        SettingKind::Group => json!({ "rule": { "names": ["pc-*"] } }),
        SettingKind::Strategy => json!({ "rings": [{ "name": "all", "takes": "everyone" }] }),
        SettingKind::Window => window(),
        SettingKind::Package => json!({ "content": "early" }),
        SettingKind::Block => json!({ "of": "everyone", "package": "av" }),
        SettingKind::Pin => json!({ "of": "everyone", "package": "av", "version": "1" }),
        SettingKind::Link => json!({ "subnets": ["10.2.0.0/16"], "rate": "2 MB/s", "concurrent": 3 }),
        SettingKind::Approval => json!({ "package": "a*", "needs": "two", "min_age_hours": 24 }),
    }
}

#[test]
fn a_setting_of_each_kind_is_set_and_its_removal_brings_the_default_back() {
    let mut settings = Settings::default();
    for (kind, name) in EVERYTHING {
        let before = settings.clone();
        set(&mut settings, kind, name, good(kind)).unwrap();
        assert_ne!(settings, before, "{kind}");
        let key = SettingKey { kind, name: name.to_owned() };
        let mut removed = settings.clone();
        removed.set(&SettingChange { key, value: None }).unwrap();
        assert_eq!(removed, before, "{kind}");
    }
    assert_eq!(settings.problems(), Vec::new());
}

#[test]
fn names_and_values_that_are_none_of_their_kind_change_nothing_and_are_named() {
    for (kind, name) in EVERYTHING {
        let mut settings = Settings::default();
        for value in [json!(null), json!(7), json!("no such thing"), json!({ "unknown_field": 1 })] {
            let error = set(&mut settings, kind, name, value.clone()).unwrap_err();
            assert!(error.starts_with(&format!("{kind} {name}: ")), "{value}: {error}");
        }
        for name in ["", "no such name", "../up", "line\nbreak"] {
            assert!(set(&mut settings, kind, name, good(kind)).is_err(), "{kind} {name:?}");
        }
        assert_eq!(settings, Settings::default(), "{kind}");
    }
    let mut settings = Settings::default();
    let error = set(&mut settings, SettingKind::Property, "color", json!("red")).unwrap_err();
    for (name, _) in PROPERTIES {
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn fields_that_this_program_does_not_know_are_refused_in_every_kind() {
    for (kind, name) in EVERYTHING.into_iter().skip(1) {
        let mut value = good(kind);
        value["from_a_later_version"] = json!(true);
        assert!(set(&mut Settings::default(), kind, name, value).is_err(), "{kind}");
    }
}

#[test]
fn a_property_is_shown_as_it_is_set() {
    let shown = |settings: &Settings, wanted: &str| {
        let texts = settings.properties.texts();
        texts.into_iter().find(|(name, _)| *name == wanted).map(|(_, text)| text).unwrap()
    };
    for (name, text) in [
        ("critical", "at_once"),
        ("delivery", "manual"),
        ("hold", "5x24"),
        ("hold", "none"),
        ("strategy-programs", "careful"),
        ("strategy-signatures", "normal"),
    ] {
        let settings = with(&[(SettingKind::Property, name, json!(text))]);
        assert_eq!(shown(&settings, name), text);
        assert_eq!(settings.problems(), Vec::new(), "{name}");
    }
    let names: Vec<&str> = Settings::default().properties.texts().map(|(name, _)| name).into();
    assert_eq!(names, PROPERTIES.map(|(name, _)| name), "each has what it is for");
}

#[test]
fn whatever_a_setting_names_has_to_be_there() {
    let to_group = json!({ "rings": [{ "name": "first", "takes": { "group": "g" } }, { "name": "all", "takes": "everyone" }] });
    let block = |of: serde_json::Value| json!({ "of": of });
    #[rustfmt::skip]
    let table = [
        (SettingKind::Property, "delivery", json!("window:w"), Some(SettingKind::Window)),
        (SettingKind::Property, "strategy-programs", json!("s"), Some(SettingKind::Strategy)),
        (SettingKind::Property, "strategy-signatures", json!("s"), Some(SettingKind::Strategy)),
        (SettingKind::Group, "other", json!({ "delivery": "window:w" }), Some(SettingKind::Window)),
        (SettingKind::Package, "av", json!({ "strategy": "s" }), Some(SettingKind::Strategy)),
        (SettingKind::Strategy, "by-group", to_group, Some(SettingKind::Group)),
        (SettingKind::Block, "b", block(json!({ "group": "g" })), Some(SettingKind::Group)),
        (SettingKind::Pin, "p", json!({ "of": { "group": "g" }, "package": "av", "version": "1" }), Some(SettingKind::Group)),
        (SettingKind::Block, "b", json!({ "of": "everyone", "version": "1" }), None),
    ];
    for (kind, name, value, wants) in table {
        let mut settings = with(&[(kind, name, value.clone())]);
        let problems = settings.problems();
        assert_eq!(problems.len(), 1, "{value}: {problems:?}");
        assert_eq!(problems[0].key, SettingKey { kind, name: name.to_owned() }, "{value}");
        let Some(wants) = wants else { continue };
        let named = EVERYTHING.into_iter().find(|(kind, _)| *kind == wants).unwrap().1;
        set(&mut settings, wants, named, good(wants)).unwrap();
        assert_eq!(settings.problems(), Vec::new(), "{value}");
    }
    // A computer may be blocked before it enrolls, and every site has the strategies of the product.
    let early = with(&[(SettingKind::Block, "b", block(json!({ "computer": "pc-9" })))]);
    assert_eq!(early.problems(), Vec::new());
    let known = with(&[(SettingKind::Package, "av", json!({ "strategy": "everyone-now" }))]);
    assert_eq!(known.problems(), Vec::new());
}

#[test]
fn of_several_groups_the_highest_rank_that_says_something_counts_then_the_first_name() {
    let of = |delivery: Option<&str>, rank| {
        delivery.map_or_else(|| json!({ "rank": rank }), |text| json!({ "delivery": text, "rank": rank }))
    };
    let settings = with(&[
        (SettingKind::Property, "delivery", json!("folder")),
        (SettingKind::Group, "a", of(Some("poll"), 1)),
        (SettingKind::Group, "b", of(Some("manual"), 1)),
        (SettingKind::Group, "c", of(Some("push"), 2)),
        (SettingKind::Group, "silent", of(None, 9)),
    ]);
    for (groups, says) in [
        (vec![], "folder"),
        (vec!["silent"], "folder"),
        (vec!["a"], "poll"),
        (vec!["b", "a"], "poll"),
        (vec!["a", "c", "b", "silent"], "push"),
        (vec!["b", "silent"], "manual"),
        (vec!["of-no-setting"], "folder"),
    ] {
        let groups: BTreeSet<GroupName> = groups.into_iter().map(group).collect();
        assert_eq!(settings.delivery_of(&groups).to_string(), says, "{groups:?}");
    }
}

#[test]
fn what_a_group_says_of_signature_files_goes_before_what_their_package_says() {
    let settings = with(&[
        (SettingKind::Package, "sig", json!({ "content": "paused" })),
        (SettingKind::Group, "labs", json!({ "content": "early" })),
    ]);
    let of = |groups: &[&str], name| {
        let groups = groups.iter().map(|name| group(name)).collect();
        settings.content_of(&groups, &package(name))
    };
    assert_eq!(of(&["labs"], "sig"), Content::Early);
    assert_eq!(of(&[], "sig"), Content::Paused);
    assert_eq!(of(&[], "other"), Content::General);
}

#[test]
fn a_package_has_its_own_strategy_else_that_of_its_kind_and_a_site_may_replace_one_of_the_product() {
    let own = json!({ "rings": [{ "name": "own", "takes": "everyone", "soak_minutes": 7 }] });
    let settings = with(&[
        (SettingKind::Property, "strategy-programs", json!("careful")),
        (SettingKind::Package, "av", json!({ "strategy": "everyone-now" })),
        (SettingKind::Strategy, "normal", own),
    ]);
    let of = |name, kind| settings.strategy_of(&package(name), kind).to_string();
    assert_eq!(of("av", PackageKind::Program), "everyone-now");
    assert_eq!(of("av", PackageKind::Signatures), "everyone-now");
    assert_eq!(of("other", PackageKind::Program), "careful");
    assert_eq!(of("other", PackageKind::Signatures), "signatures");
    let normal = Word::new("normal").unwrap();
    assert_eq!(settings.strategy(&normal).unwrap().rings()[0].soak_minutes, 7);
    assert_eq!(settings.all_strategies()[&normal].rings().len(), 1);
    assert_eq!(settings.all_strategies().len(), 4, "it replaces one");
    assert_eq!(settings.strategy(&Word::new("no-such").unwrap()), None);
}
