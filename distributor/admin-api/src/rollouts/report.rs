//! What became of a rollout on each computer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::report::{ReasonCode, Way};
use sealpost_site::rows::DeliveryRow;
use sealpost_site::rules::explain::Explanation;
use sealpost_site::rules::rollouts::progress::DeliveryState;
use sealpost_site::rules::rollouts::tries::Tries;
use serde::{Deserialize, Serialize};

/// Computers in one page of a report, at the most.
pub const MAX_DELIVERED: u32 = 1_000;
/// Computers that have not finished and are explained in the first page of a report, at the most: each costs some look-ups.
pub const MAX_EXPLAINED: usize = 20;

/// `GET /api/v1/rollouts/{number}/computers`: which page.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DeliveredQuery {
    /// Only after this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ComputerName>,
    /// At most so many; [`MAX_DELIVERED`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A page of a report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveredPage {
    /// Computers that were told, by name.
    pub computers: Vec<Delivered>,
    /// Give this as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ComputerName>,
}

/// What became of a rollout on one computer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Delivered {
    /// The computer.
    pub computer: ComputerName,
    /// Its ring, from 0.
    pub ring: u32,
    /// What became of it.
    pub state: DeliveryState,
    /// Since when that is so.
    pub since: Timestamp,
    /// When it was told.
    pub told_at: Timestamp,
    /// The attempt that it was told.
    pub attempt: u32,
    /// The step that it reported last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How often it tried to install it, as far as it reported that.
    #[serde(default)]
    pub tries: u32,
    /// How the release came last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    /// Bytes that traveled, in all tries together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The step that failed last, also when a later try went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_step: Option<String>,
    /// Why that failed, as a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonCode>,
    /// The same for people. Text from outside: escape control characters before you print it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Of some that have not finished: what the computer waits for, as `updates why` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Explanation>,
}

impl From<DeliveryRow> for Delivered {
    fn from(row: DeliveryRow) -> Self {
        let DeliveryRow { name, delivery, since, step, tries } = row;
        let Tries { count, way, bytes, failed } = tries;
        Self {
            computer: name,
            ring: delivery.ring,
            state: delivery.state,
            since,
            told_at: delivery.told_at,
            attempt: delivery.attempt,
            step: step.map(|step| step.to_string()),
            tries: count,
            way,
            bytes,
            failed_step: failed.as_ref().map(|failed| failed.step.to_string()),
            reason: failed.as_ref().map(|failed| failed.reason),
            detail: failed.map(|failed| failed.detail).unwrap_or_default(),
            why: None,
        }
    }
}

/// Computers that failed for one reason.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failures {
    /// The reason, as a stable code; `silent` for those that were not heard of.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// One of them.
    pub example: Delivered,
}

/// The failures of a report, by reason; the most frequent first.
#[must_use]
pub fn failures(computers: &[Delivered]) -> Vec<Failures> {
    let mut by_reason: BTreeMap<String, Failures> = BTreeMap::new();
    for one in computers {
        let reason = match (one.state, &one.reason) {
            (DeliveryState::Silent, _) => "silent".to_owned(),
            (DeliveryState::Failed, Some(reason)) => reason.to_string(),
            (DeliveryState::Failed, None) => "unknown".to_owned(),
            _ => continue,
        };
        let of_reason = by_reason.entry(reason.clone());
        of_reason.or_insert_with(|| Failures { reason, count: 0, example: one.clone() }).count += 1;
    }
    let mut all: Vec<Failures> = by_reason.into_values().collect();
    all.sort_by_key(|failures| std::cmp::Reverse(failures.count));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_come_together_by_their_reason_and_the_most_frequent_first() {
        let one = |name: &str, state, reason| Delivered {
            computer: ComputerName::new(name).unwrap(),
            ring: 0,
            state,
            since: Timestamp::UNIX_EPOCH,
            told_at: Timestamp::UNIX_EPOCH,
            attempt: 1,
            step: None,
            tries: 0,
            way: None,
            bytes: None,
            failed_step: None,
            reason,
            detail: String::new(),
            why: None,
        };
        let computers = [
            one("pc-1", DeliveryState::Silent, None),
            one("pc-2", DeliveryState::Failed, Some(ReasonCode::HookFailed)),
            one("pc-3", DeliveryState::Succeeded, Some(ReasonCode::HookFailed)),
            one("pc-4", DeliveryState::Failed, Some(ReasonCode::HookFailed)),
            one("pc-5", DeliveryState::Failed, None),
        ];
        let found: Vec<(String, u64, String)> = failures(&computers)
            .into_iter()
            .map(|failures| (failures.reason, failures.count, failures.example.computer.to_string()))
            .collect();
        let expected = [("hook_failed", 2, "pc-2"), ("silent", 1, "pc-1"), ("unknown", 1, "pc-5")];
        assert_eq!(found, expected.map(|(reason, count, name)| (reason.to_owned(), count, name.to_owned())));
    }
}
