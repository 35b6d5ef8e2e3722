//! How this computer stands with one server: what of its answers was accepted, and what `status` shows of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_manifests::order::{HighestOrders, Order};
use sealpost_manifests::setup::ServerEntry;
use sealpost_manifests::wire::contact::WaitsFor;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::word::Word;
use serde::{Deserialize, Serialize};

use crate::domain::cadence::Standing;
use crate::domain::witness::HeldHeads;

/// How the last contact went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastContact {
    pub at: Timestamp,
    /// Why it failed; `None` when it was answered.
    pub problem: Option<String>,
    /// The code with which the server refused it, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<ProblemCode>,
    /// Whether a server presented no CA that this computer pins.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown_ca: bool,
}

impl LastContact {
    /// One that was answered.
    #[must_use]
    pub const fn answered(at: Timestamp) -> Self {
        Self { at, problem: None, refused: None, unknown_ca: false }
    }

    /// One that failed, for a reason that asks for nothing else than the next contact.
    #[must_use]
    pub const fn failed(at: Timestamp, problem: String) -> Self {
        Self { at, problem: Some(problem), refused: None, unknown_ca: false }
    }
}

/// How this computer stands with a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStanding {
    pub standing: Standing,
    /// The highest order that was ever held of each type of document, so that an older one is refused.
    #[serde(default)]
    pub highest: HighestOrders,
    /// What is held of the server's log.
    #[serde(default)]
    pub log: HeldHeads,
    /// The last contact that was answered.
    #[serde(default)]
    pub answered_at: Option<Timestamp>,
    #[serde(default)]
    pub last_contact: Option<LastContact>,
    /// The one address, with its pins, by which the server answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<ServerEntry>,
    /// Whether it said, by that address, that it takes packed requests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub takes_packed: bool,
    /// When the next one is due.
    #[serde(default)]
    pub next_contact: Option<Timestamp>,
    /// What the server wants a person to look at, and what of its answers was refused.
    #[serde(default)]
    pub notices: Vec<String>,
    /// Why this computer does not run what it may have, as the server said with its last answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<WaitsFor>,
}

impl Default for ServerStanding {
    fn default() -> Self {
        Self {
            standing: Standing::Unlicensed,
            highest: BTreeMap::new(),
            log: HeldHeads::default(),
            answered_at: None,
            last_contact: None,
            answered_by: None,
            takes_packed: false,
            next_contact: None,
            notices: Vec::new(),
            waits: Vec::new(),
        }
    }
}

impl ServerStanding {
    /// The highest order of a type of document, by its name.
    #[must_use]
    pub fn highest_of(&self, document_type: &str) -> Option<Order> {
        self.highest.get(&Word::new(document_type).ok()?).copied()
    }

    /// Notes the order of a document that was accepted.
    pub fn raise(&mut self, document_type: &str, order: Order) {
        if let Ok(name) = Word::new(document_type) {
            let highest = self.highest.entry(name).or_insert(order);
            *highest = order.max(*highest);
        }
    }
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::order::Epoch;

    use super::*;

    #[test]
    fn the_record_keeps_its_form() {
        let head = format!(r#"{{"size":3,"root":"{}"}}"#, "ab".repeat(32));
        let golden = format!(
            r#"{{"standing":"licensed","highest":{{"assignment":{{"epoch":4294967296,"sequence":2}}}},"log":{{"held":{{"head":{head},"vendor_epoch":1}},"forked":{head}}},"answered_at":"2026-01-01T00:00:00Z","last_contact":{{"at":"2026-01-01T00:00:00Z","problem":"why"}},"next_contact":"2026-01-01T04:00:00Z","notices":["a"]}}"#
        );
        let standing: ServerStanding = serde_json::from_str(&golden).unwrap();
        assert_eq!(standing.highest_of("assignment"), Some(Order { epoch: Epoch::of(1, 0), sequence: 2 }));
        assert_eq!(serde_json::to_string(&standing).unwrap(), golden);
        let least: ServerStanding = serde_json::from_str(r#"{"standing":"unlicensed"}"#).unwrap();
        assert_eq!(least, ServerStanding::default());
    }

    #[test]
    fn each_type_of_document_has_its_own_order_which_never_falls() {
        let order = |sequence| Order { epoch: Epoch::of(1, 0), sequence };
        let mut standing = ServerStanding::default();
        standing.raise("lease", order(7));
        standing.raise("assignment", order(2));
        standing.raise("lease", order(3));
        assert_eq!(standing.highest_of("lease"), Some(order(7)));
        assert_eq!(standing.highest_of("assignment"), Some(order(2)));
        assert_eq!(standing.highest_of("command"), None);
    }
}
