//! An entry of the log as a syslog message (RFC 5424): its text is one JSON object, with the number and the leaf hash of
//! the entry, so that whoever keeps these lines can check the log.
//!
//! Invariant: a message is never longer than its bound. An entry that does not fit leaves itself out; its number, its leaf
//! and one line for people are always there. Left out on purpose: structured data, which needs a number that is registered
//! for a vendor, and the byte order mark, which readers of JSON do not expect.

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ServerId;
use sealpost_site::changes::chain::LoggedEntry;
use sealpost_site::changes::summary::is_failure;
use serde::Serialize;
use serde_json::value::RawValue;

/// Facility "log audit" (13), times 8, and the severities "warning" and "informational".
const WARNING: u8 = 13 * 8 + 4;
const INFORMATION: u8 = 13 * 8 + 6;
/// Longest names in the head of a message, in characters.
const MAX_HOST_CHARS: usize = 255;
const MAX_KIND_CHARS: usize = 32;

/// Who speaks in a message.
#[derive(Debug, Clone)]
pub(super) struct Speaker {
    pub(super) server_id: ServerId,
    pub(super) host: String,
}

#[derive(Serialize)]
struct Line<'a> {
    server_id: &'a ServerId,
    sequence: u64,
    at: Timestamp,
    kind: &'a str,
    leaf: Sha256Digest,
    summary: &'a str,
    /// The entry byte for byte; absent where it was too long for a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<&'a RawValue>,
}

/// The message for an entry, at most so many bytes; `None` only if not even its head fits, which no bound in use causes.
pub(super) fn message(speaker: &Speaker, logged: &LoggedEntry, most: usize) -> Option<Vec<u8>> {
    let entry = serde_json::from_slice::<&RawValue>(&logged.bytes).ok();
    [entry, None].into_iter().map(|entry| text(speaker, logged, entry)).find(|text| text.len() <= most)
}

fn text(speaker: &Speaker, logged: &LoggedEntry, entry: Option<&RawValue>) -> Vec<u8> {
    let LoggedEntry { entry: read, leaf, summary, .. } = logged;
    let failed = read.change().is_some_and(is_failure);
    let priority = if failed { WARNING } else { INFORMATION };
    let mut text = format!(
        "<{priority}>1 {:.6} {} sealpost-distributor - {} - ",
        read.at(),
        name(&speaker.host, MAX_HOST_CHARS),
        name(read.kind(), MAX_KIND_CHARS)
    )
    .into_bytes();
    let line = Line {
        server_id: &speaker.server_id,
        sequence: read.sequence(),
        at: read.at(),
        kind: read.kind(),
        leaf: *leaf,
        summary,
        entry,
    };
    // Each of these values has a JSON form.
    text.extend(serde_json::to_vec(&line).unwrap_or_default());
    text
}

/// A name as the head of a message takes it: visible ASCII, or `-` for none.
fn name(text: &str, most: usize) -> String {
    let name: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::log::{Frontier, leaf_hash};
    use sealpost_site::changes::{Actor, Change, chain};

    use super::*;

    fn logged(reason: &str) -> LoggedEntry {
        let change = Change::PullFailed { reason: reason.to_owned() };
        let at = "2027-01-15T08:00:02.123Z".parse().unwrap();
        let linked = chain::link(&mut Frontier::empty(), at, Actor::socket("alice"), change).unwrap();
        chain::logged(linked.bytes, linked.leaf).unwrap()
    }

    fn speaker() -> Speaker {
        Speaker { server_id: ServerId::from_random([1; 16]), host: "primary 1\n".to_owned() }
    }

    #[test]
    fn a_message_has_the_head_of_rfc_5424_and_the_bytes_that_were_hashed() {
        let logged = logged("no \"route\"\n<13>1 forged");
        let text = String::from_utf8(message(&speaker(), &logged, 8192).unwrap()).unwrap();
        let head = "<108>1 2027-01-15T08:00:02.123000Z primary1 sealpost-distributor - pull_failed - ";
        let json = text.strip_prefix(head).unwrap();
        assert!(!json.contains('\n'));
        #[derive(serde::Deserialize)]
        struct Read<'a> {
            sequence: u64,
            leaf: Sha256Digest,
            #[serde(borrow)]
            entry: &'a RawValue,
        }
        let read: Read<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(read.sequence, 1);
        assert_eq!(leaf_hash(read.entry.get().as_bytes()), read.leaf);
    }

    #[test]
    fn an_entry_that_is_too_long_for_a_message_leaves_its_number_and_its_leaf() {
        let logged = logged(&"x".repeat(10_000));
        let text = String::from_utf8(message(&speaker(), &logged, 8192).unwrap()).unwrap();
        assert!(text.len() < 8192);
        let json: serde_json::Value = serde_json::from_str(
            text.split_once(" - {").map(|(_, rest)| format!("{{{rest}")).unwrap().as_str(),
        )
        .unwrap();
        assert_eq!(json["leaf"], logged.leaf.to_string());
        assert!(json.get("entry").is_none() && json["summary"].as_str().unwrap().contains("could not pull"));
    }
}
