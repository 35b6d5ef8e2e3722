//! When a repository's owner signed it, by the owner's clock: a field of our own in the timestamp role.
//!
//! TUF says when metadata expires and not when it was signed. Every publication and every refresh signs a new timestamp,
//! so its signing time is the owner's newest statement about the time. TUF allows unknown fields, and other clients
//! pass over this one; a repository of another tool does not have it.
//!
//! Invariant: it is read from a timestamp that was verified, never from bytes.

use jiff::Timestamp;

/// The field's name, in the signed part of `timestamp.json`. Its value is a second in UTC, as `expires` is.
pub(crate) const SIGNED_AT: &str = "x-sealpost-signed-at";
/// Length of a second in UTC: `2026-01-15T08:30:00Z`.
const TEXT_BYTES: usize = 20;

/// The time in a verified timestamp, if it has one.
///
/// What is not a second in UTC, or lies after the timestamp's own end, is no statement: nothing is refused for it,
/// because who could sign it could as well leave it out.
pub(crate) fn signed_at(timestamp: &sigstore_tuf::Timestamp) -> Option<Timestamp> {
    let text = timestamp.extra.get(SIGNED_AT)?.as_str()?;
    let is_utc_second = text.len() == TEXT_BYTES && text.ends_with('Z');
    let time: Timestamp = is_utc_second.then(|| text.parse().ok())??;
    (time <= timestamp.expires).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: serde_json::Value) -> Option<Timestamp> {
        let timestamp = serde_json::json!({
            "_type": "timestamp", "spec_version": "1.0.34", "version": 1, "expires": "2026-01-22T08:30:00Z",
            "meta": { "snapshot.json": { "version": 1 } }, SIGNED_AT: value,
        });
        signed_at(&serde_json::from_value(timestamp).unwrap())
    }

    #[test]
    fn only_a_second_in_utc_that_is_not_after_the_end_is_a_signing_time() {
        assert_eq!(read("2026-01-15T08:30:00Z".into()), Some("2026-01-15T08:30:00Z".parse().unwrap()));
        assert_eq!(read("2026-01-22T08:30:00Z".into()), Some("2026-01-22T08:30:00Z".parse().unwrap()));
        for bad in [
            "2026-01-22T08:30:01Z",
            "2026-01-15T08:30:00.5Z",
            "2026-01-15T08:30+01:00",
            "2026-01-15t08:30:0Z",
            "2026-13-15T08:30:00Z",
            "",
        ] {
            assert_eq!(read(bad.into()), None, "{bad}");
        }
        assert_eq!(read(1_768_465_800.into()), None);
        assert_eq!(read(serde_json::Value::Null), None);
    }
}
