//! Entries about rollouts and settings, in one line for people.

use super::activity::Change;
use super::parts::ReleaseTest;
use crate::rules::rollouts::progress::{DeliveryState, OpenReason};
use crate::rules::test_load::TestOutcome;
use crate::rules::text::{counted, escape};

/// Most settings that a line names.
const MAX_NAMED: usize = 5;

/// A change of a rollout or a setting; nothing for any other.
pub(super) fn of_rollouts(change: &Change) -> String {
    match change {
        Change::ReleaseMandatoryChanged { release, mandatory: true, .. } => {
            format!("the vendor made {release} a release through which computers pass")
        }
        Change::ReleaseMandatoryChanged { release, .. } => {
            format!("the vendor made {release} an ordinary release again")
        }
        Change::ReleaseTestLoaded(ReleaseTest { release, outcome, detail, .. }) => match outcome {
            TestOutcome::Passed => format!("{release} passed its test-load on this server"),
            TestOutcome::Failed => format!("{release} failed its test-load on this server{}", said(detail)),
            TestOutcome::TimedOut => {
                format!("the test-load of {release} on this server did not end in time{}", said(detail))
            }
            TestOutcome::NotRun => format!("the test-load of {release} could not be run{}", said(detail)),
            TestOutcome::Overridden => format!("let {release} through without a test-load{}", said(detail)),
        },
        Change::SettingsChanged { changes, comment } => {
            let named: Vec<String> = changes
                .iter()
                .take(MAX_NAMED)
                .map(|change| {
                    let verb = if change.value.is_some() { "set" } else { "removed" };
                    format!("{verb} {}", escape(&change.key.to_string()))
                })
                .collect();
            let more = changes.len().saturating_sub(MAX_NAMED);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("changed settings: {}{more}{}", named.join(", "), said(comment))
        }
        Change::GroupMembersChanged { group, added, removed, comment } => {
            let names = |names: &[sealpost_manifests::ids::ComputerName]| match names {
                [name] => name.to_string(),
                names => counted(names.len() as u64, "computer", "computers"),
            };
            let did = match (added.as_slice(), removed.as_slice()) {
                (added, []) => format!("put {} into the group {group}", names(added)),
                ([], removed) => format!("took {} from the group {group}", names(removed)),
                (added, removed) => {
                    format!(
                        "put {} into the group {group}, and took {} from it",
                        names(added),
                        names(removed)
                    )
                }
            };
            format!("{did}{}", said(comment))
        }
        Change::RingOpened { rollout, release, name, reason, comment, .. } => {
            let why = match reason {
                OpenReason::First => "it is the first",
                OpenReason::Passed => "the one before it has passed",
                OpenReason::Empty => "the one before it has no computer",
                OpenReason::Asked => "it was asked for",
            };
            format!("opened the ring {name} of rollout {rollout} ({release}): {why}{}", said(comment))
        }
        Change::RolloutCompleted { rollout, release, .. } => {
            format!("rollout {rollout} is complete: every computer gets {release}")
        }
        Change::RolloutPaused { rollout, release, comment } => {
            format!("paused rollout {rollout} ({release}){}", said(comment))
        }
        Change::RolloutResumed { rollout, release, comment, .. } => {
            format!("resumed rollout {rollout} ({release}){}", said(comment))
        }
        Change::RolloutEdited { rollout, release, strategy, emergency, comment, .. } => {
            let urgent = if *emergency { ", as an emergency" } else { "" };
            format!(
                "rollout {rollout} ({release}) goes on by the strategy {strategy}{urgent}{}",
                said(comment)
            )
        }
        Change::DeliveriesChanged { rollout, computers } => {
            let of = |state| computers.iter().filter(|computer| computer.step.after == state).count() as u64;
            let (silent, others) =
                (of(DeliveryState::Silent), computers.len() as u64 - of(DeliveryState::Silent));
            let mut parts = Vec::new();
            if silent > 0 {
                parts.push(format!(
                    "{} not heard of for too long",
                    counted(silent, "computer was", "computers were")
                ));
            }
            if others > 0 {
                parts.push(format!("{} what it brought", counted(others, "computer runs", "computers run")));
            }
            format!("rollout {rollout}: {}", parts.join(", "))
        }
        _ => String::new(),
    }
}

fn said(comment: &str) -> String {
    if comment.is_empty() { String::new() } else { format!(": {}", escape(comment)) }
}
