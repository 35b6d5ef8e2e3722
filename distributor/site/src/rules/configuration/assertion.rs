//! What a configuration asserts of single computers.

use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::word::Word;
use serde::{Deserialize, Serialize};

use crate::rules::rollouts::delivery::Delivery;
use crate::rules::rollouts::groups::GroupName;

/// What a configuration asserts of one computer: it is not applied where that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// Which computer.
    pub computer: ComputerName,
    /// A group that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_group: Option<GroupName>,
    /// A group that it does not belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_in_group: Option<GroupName>,
    /// How it gets what is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// The name of its ring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<Word>,
    /// The strategy that `ring` is a ring of; the one of programs when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Word>,
}
