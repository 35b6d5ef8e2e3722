use jiff::Timestamp;
use sealpost_keys::{KeyId, PublicKey};
use sealpost_manifests::ids::{ComputerName, ServerId};
use sealpost_manifests::log::Frontier;

use super::*;
use crate::changes::Actor;
use crate::commands::Terms;
use crate::rows::ServerIdentity;
use crate::rules::rollouts::groups::GroupName;
use crate::rules::rollouts::outages::Outages;
use crate::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};

fn decide(command: ApplyConfiguration, plan: Plan) -> Decision<Outcome<u64>> {
    decide_with(command, &plan, BTreeMap::new())
}

fn decide_with(
    command: ApplyConfiguration,
    plan: &Plan,
    members: BTreeMap<GroupName, BTreeSet<ComputerName>>,
) -> Decision<Outcome<u64>> {
    let site_key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
    let server = ServerIdentity { server_id: ServerId::of_site_key(&site_key), site_key };
    let now = Timestamp::UNIX_EPOCH;
    let context = Context {
        now,
        server: &server,
        terms: &Terms::default(),
        log: &Frontier::empty(),
        outages: Outages::none(),
    };
    command.decide(ConfigurationFacts { plan: Arc::new(plan.clone()), members }, &context)
}

fn group(name: &str) -> SettingChange {
    let key = SettingKey { kind: SettingKind::Group, name: name.to_owned() };
    SettingChange { key, value: Some(serde_json::json!({})) }
}

fn listing(group: &str, count: usize) -> MembersChange {
    let add = (0..count).map(|number| ComputerName::new(format!("pc-{number}")).unwrap()).collect();
    MembersChange { group: GroupName::new(group).unwrap(), add, remove: Vec::new() }
}

fn command(changes: Vec<SettingChange>, members: Vec<MembersChange>) -> ApplyConfiguration {
    let (actor, comment) = (Actor::Server, "ticket 4711".to_owned());
    ApplyConfiguration {
        settings: ChangeSettings { actor, changes, comment, expected: Some(0), confirms: None },
        members,
        state: None,
    }
}

#[test]
fn a_new_group_and_its_computers_are_taken_at_once_and_entries_stay_small() {
    let decision = decide(command(vec![group("canary")], vec![listing("canary", 1_001)]), Plan::default());
    assert_eq!(decision.answer, Ok(Outcome::Done(1_002)));
    let kinds: Vec<usize> = decision
        .changes
        .iter()
        .map(|(_, change)| match change {
            Change::SettingsChanged { changes, .. } => changes.len(),
            Change::GroupMembersChanged { added, .. } => added.len(),
            _ => 0,
        })
        .collect();
    assert_eq!(kinds, [1, 500, 500, 1], "the group comes before its computers");
}

#[test]
fn why_a_configuration_is_applied_stands_in_each_entry_also_where_only_lists_change() {
    let mut plan = Plan::default();
    plan.settings.set(&group("canary")).unwrap();
    for changes in [vec![group("canary")], vec![group("canary"), group("lab")]] {
        let entries = 2 + usize::from(changes.len() > 1);
        let decision = decide(command(changes, vec![listing("canary", 501)]), plan.clone());
        let comments: Vec<&str> = decision
            .changes
            .iter()
            .map(|(_, change)| match change {
                Change::SettingsChanged { comment, .. } | Change::GroupMembersChanged { comment, .. } => {
                    comment.as_str()
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(comments, vec!["ticket 4711"; entries]);
    }
}

#[test]
fn computers_of_a_group_that_is_not_there_refuse_the_whole() {
    let decision = decide(command(vec![group("canary")], vec![listing("other", 1)]), Plan::default());
    assert!(decision.changes.is_empty());
    let refused = decision.answer.unwrap_err();
    assert!(refused.message.contains("the group other, which is not there"), "{refused:?}");
}

#[test]
fn settings_that_do_not_fit_or_were_changed_meanwhile_refuse_the_computers_too() {
    let mut wrong = group("canary");
    wrong.value = Some(serde_json::json!({ "delivery": "window:night" }));
    let decision = decide(command(vec![wrong], vec![listing("canary", 1)]), Plan::default());
    assert!(decision.answer.is_err() && decision.changes.is_empty(), "there is no such window");
    let later = Plan { version: 1, ..Plan::default() };
    let decision = decide(command(vec![group("canary")], vec![listing("canary", 1)]), later);
    assert_eq!(decision.answer.unwrap_err().code, ProblemCode::WrongState);
    assert!(decision.changes.is_empty());
}

#[test]
fn of_a_group_that_is_removed_nobody_stays_listed_also_when_nobody_said_so() {
    let canary = GroupName::new("canary").unwrap();
    let mut plan = Plan::default();
    plan.settings.set(&group("canary")).unwrap();
    let listed: BTreeSet<ComputerName> =
        (0..1_200).map(|number| ComputerName::new(format!("pc-{number}")).unwrap()).collect();
    let mut gone = group("canary");
    gone.value = None;
    let one = listed.first().unwrap().clone();
    let said = MembersChange { group: canary.clone(), add: Vec::new(), remove: vec![one] };
    for members in [Vec::new(), vec![said]] {
        let command = command(vec![gone.clone()], members);
        assert!(command.facts().lists, "whom it lists is read in the same transaction");
        let decision = decide_with(command, &plan, BTreeMap::from([(canary.clone(), listed.clone())]));
        assert_eq!(decision.answer, Ok(Outcome::Done(1_201)));
        let removed = decision.changes.iter().map(|(_, change)| match change {
            Change::GroupMembersChanged { removed, .. } => removed.len(),
            _ => 0,
        });
        assert_eq!(removed.collect::<Vec<_>>(), [0, 500, 500, 200]);
    }
    assert!(!command(vec![group("canary")], Vec::new()).facts().lists, "no other change reads them");
}

#[test]
fn a_second_person_agrees_only_over_what_was_compared() {
    let plan = Plan::default();
    let mut confirms = command(vec![group("canary")], Vec::new());
    confirms.settings = ChangeSettings { expected: None, confirms: Some(7), ..confirms.settings };
    confirms.state = Some(Sha256Digest::of(b"another configuration"));
    let refused = decide_with(confirms, &plan, BTreeMap::new());
    assert!(refused.changes.is_empty());
    let refused = refused.answer.unwrap_err();
    assert_eq!(refused.code, ProblemCode::WrongState);
    assert!(refused.message.contains("changed since this configuration was proposed"), "{refused:?}");
    assert!(refused.hint.contains("distributor approvals withdraw 7"), "{refused:?}");
}

#[test]
fn who_agrees_to_what_waits_no_more_changes_nothing_also_where_the_settings_are_so_already() {
    let mut plan = Plan::default();
    plan.settings.set(&group("canary")).unwrap();
    let mut confirms = command(vec![group("canary")], vec![listing("canary", 1)]);
    confirms.settings = ChangeSettings { expected: None, confirms: Some(7), ..confirms.settings };
    let refused = decide_with(confirms, &plan, BTreeMap::new());
    assert!(refused.changes.is_empty());
    let refused = refused.answer.unwrap_err();
    assert_eq!(refused.code, ProblemCode::Forbidden);
    assert!(refused.message.contains("no proposal 7 waits"), "{refused:?}");
}

#[test]
fn more_names_than_one_change_takes_are_refused() {
    let decision =
        decide(command(vec![group("canary")], vec![listing("canary", MAX_NAMES + 1)]), Plan::default());
    assert!(decision.answer.is_err() && decision.changes.is_empty());
}

#[test]
fn whoever_looked_at_other_settings_or_other_lists_takes_nothing_back() {
    let canary = GroupName::new("canary").unwrap();
    let listed =
        |name: &str| BTreeMap::from([(canary.clone(), BTreeSet::from([ComputerName::new(name).unwrap()]))]);
    let mut plan = Plan::default();
    plan.settings.set(&group("canary")).unwrap();
    let looked_at = fingerprint(&plan.settings, &listed("pc-1"));
    let decided = |settings: &Plan, members: BTreeMap<GroupName, BTreeSet<ComputerName>>| {
        let site_key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
        let server = ServerIdentity { server_id: ServerId::of_site_key(&site_key), site_key };
        let (terms, log) = (Terms::default(), Frontier::empty());
        let context = Context {
            now: Timestamp::UNIX_EPOCH,
            server: &server,
            terms: &terms,
            log: &log,
            outages: Outages::none(),
        };
        let apply = command(Vec::new(), vec![listing("canary", 3)]);
        let apply = ApplyConfiguration { state: Some(looked_at), ..apply };
        assert!(apply.facts().lists, "they are read in the same transaction");
        apply.decide(ConfigurationFacts { plan: Arc::new(settings.clone()), members }, &context)
    };
    assert_eq!(decided(&plan, listed("pc-1")).answer, Ok(Outcome::Done(3)));
    let mut other = plan.clone();
    other.settings.set(&group("pilots")).unwrap();
    for (settings, members) in [(&plan, listed("pc-2")), (&plan, BTreeMap::new()), (&other, listed("pc-1"))] {
        let decision = decided(settings, members);
        assert!(decision.changes.is_empty());
        let refused = decision.answer.unwrap_err();
        assert_eq!(refused.code, ProblemCode::WrongState);
        assert!(refused.hint.contains("distributor config plan"), "{refused:?}");
    }
}
