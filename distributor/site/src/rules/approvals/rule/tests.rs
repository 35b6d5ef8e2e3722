//! Which releases a rule takes, which rules together want what, and when one approves by itself.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::Platform;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::version::{ReleaseCounter, Version};
use serde_json::json;

use super::*;
use crate::rules::release::ReleaseState;

fn rule(value: serde_json::Value) -> ApprovalRule {
    serde_json::from_value(value).unwrap()
}

fn rules(all: &[(&str, serde_json::Value)]) -> BTreeMap<Word, ApprovalRule> {
    all.iter().map(|(name, value)| (Word::new(name).unwrap(), rule(value.clone()))).collect()
}

fn channels(names: &[&str]) -> Vec<ChannelName> {
    names.iter().map(|name| ChannelName::new(name).unwrap()).collect()
}

fn release(severity: Severity, of: &[&str]) -> KnownRelease {
    KnownRelease {
        release: ReleaseId {
            package: PackageName::new("acme-av").unwrap(),
            version: Version::new("1.0").unwrap(),
            platform: Platform::any(),
        },
        manifest: Sha256Digest::of(b"manifest"),
        state: ReleaseState::Staged,
        counter: ReleaseCounter(1),
        channels: channels(of),
        rollout: None,
        signer: None,
        reason: None,
        approved_for: Vec::new(),
        rollback: false,
        attempt: 1,
        kind: PackageKind::Program,
        severity,
        mandatory: false,
        rolling_out: Vec::new(),
    }
}

#[test]
fn a_rule_takes_by_package_kind_channel_and_severity_and_what_is_absent_takes_everything() {
    let two = |mut value: serde_json::Value| {
        value["needs"] = json!("two");
        value
    };
    #[rustfmt::skip]
    let table = [
        (json!({}), Needs::Two),
        (json!({ "package": "acme-*" }), Needs::Two), (json!({ "package": "acme" }), Needs::One),
        (json!({ "kind": "program" }), Needs::Two), (json!({ "kind": "signatures" }), Needs::One),
        (json!({ "channel": "stable" }), Needs::Two), (json!({ "channel": "beta" }), Needs::One),
        (json!({ "severity": "high" }), Needs::Two), (json!({ "severity": "low" }), Needs::One),
        (json!({ "package": "*", "kind": "program", "channel": "stable", "severity": "high" }), Needs::Two),
        (json!({ "package": "*", "kind": "program", "channel": "stable", "severity": "low" }), Needs::One),
    ];
    let release = release(Severity::High, &["stable", "beta"]);
    let stable = channels(&["stable"]);
    for (value, expected) in table {
        let rules = rules(&[("r", two(value.clone()))]);
        let demands = demands(&rules, About::release(&release, &stable));
        assert_eq!(demands.needs, expected, "{value}");
        assert_eq!(demands.two_by.is_some(), expected == Needs::Two, "{value}");
    }
}

#[test]
fn of_several_rules_the_strictest_counts_and_each_demand_names_its_rule() {
    let rules = rules(&[
        ("a", json!({ "min_age_hours": 24 })),
        ("b", json!({ "kind": "program", "min_age_hours": 72, "needs": "two" })),
        ("c", json!({ "channel": "beta", "min_age_hours": 500 })),
    ]);
    let release = release(Severity::Normal, &["stable"]);
    let stable = channels(&["stable"]);
    let demands = demands(&rules, About::release(&release, &stable));
    let b = Word::new("b").unwrap();
    assert_eq!(demands, Demands { needs: Needs::Two, two_by: Some(b), min_age_hours: 72, age_by: Some(b) });
    let staged_at = Timestamp::UNIX_EPOCH;
    assert_eq!(demands.from(staged_at), staged_at + SignedDuration::from_hours(72));
    assert_eq!(Demands::default().from(staged_at), staged_at, "without a rule at once");
    assert_eq!(demands.from(Timestamp::MAX), Timestamp::MAX);
}

#[test]
fn a_rule_approves_by_itself_only_where_nobody_is_needed_and_only_the_channels_that_it_takes() {
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24);
    let approved = |all: &[(&str, serde_json::Value)], release: &KnownRelease| {
        by_itself(&rules(all), release, Timestamp::UNIX_EPOCH, now).map(|by| by.channels)
    };
    let both = release(Severity::Normal, &["beta", "stable"]);
    let itself = |channel: &str| json!({ "channel": channel, "by_itself": true });
    assert_eq!(approved(&[("r", itself("beta"))], &both), Some(channels(&["beta"])));
    assert_eq!(approved(&[("r", json!({ "by_itself": true }))], &both), Some(channels(&["beta", "stable"])));
    let two = ("two", json!({ "channel": "beta", "needs": "two" }));
    assert_eq!(approved(&[("r", itself("beta")), two.clone()], &both), None, "two people are needed");
    let all = [("r", json!({ "by_itself": true })), two];
    assert_eq!(approved(&all, &both), Some(channels(&["stable"])));
    let aged = |hours: u32| json!({ "by_itself": true, "min_age_hours": hours });
    assert_eq!(approved(&[("r", aged(24))], &both), Some(channels(&["beta", "stable"])), "at the border");
    assert_eq!(approved(&[("r", aged(25))], &both), None);
    assert_eq!(approved(&[("r", json!({ "min_age_hours": 1 }))], &both), None, "nobody said so");
    let done = KnownRelease { approved_for: channels(&["beta"]), ..both };
    assert_eq!(approved(&[("r", itself("beta"))], &done), None, "it is approved there");
}

#[test]
fn a_rule_that_would_take_nothing_by_a_slip_is_refused() {
    for bad in [
        json!({ "kind": "sigs" }),
        json!({ "severity": "hihg" }),
        json!({ "package": "Acme" }),
        json!({ "package": "" }),
        json!({ "package": "a".repeat(65) }),
        json!({ "channel": "no such" }),
        json!({ "needs": "three" }),
        json!({ "min_age_hours": MAX_AGE_HOURS + 1 }),
        json!({ "by_itself": true, "needs": "two" }),
        json!({ "neds": "two" }),
    ] {
        assert!(serde_json::from_value::<ApprovalRule>(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn a_rule_is_written_as_it_was_read_and_said_in_one_line() {
    let value = json!({
        "package": "acme-*", "kind": "signatures", "channel": "stable", "severity": "critical", "needs": "two",
        "min_age_hours": 24, "description": "the CAD computers"
    });
    let read = rule(value.clone());
    assert_eq!(serde_json::to_value(&read).unwrap(), value);
    assert_eq!(
        read.to_string(),
        "package acme-*, kind signatures, channel stable, severity critical: approved by two people, after 24 hours here"
    );
    assert_eq!(rule(json!({})).to_string(), "every release: approved by one person");
}
