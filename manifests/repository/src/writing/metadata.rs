//! The four kinds of metadata, as we write them.
//!
//! The verification core's types are made for reading: written, they would carry nulls and fractional seconds. These
//! have whole-second UTC times, no nulls, and pin everything by version, length and SHA-256.
//! Invariants: fields stand in alphabetical order, so that a file is as stable as its content; unknown fields are an
//! error, because they would be lost when the file is written again.
//! Left out on purpose: verification. What is read here was verified by the core before.

use std::collections::BTreeMap;

use jiff::Timestamp as Time;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sigstore_tuf::canonical_json::to_canonical_bytes;

use crate::target::length_of;
use sealpost_manifests::digest::Sha256Digest;

/// The version of the TUF specification that we write.
const SPEC_VERSION: &str = "1.0.34";
/// How TUF writes a time.
const TIME_FORMAT: &str = "%Y-%m-%dT%H:%M:%SZ";

/// A whole second, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Second(Time);

impl Second {
    /// The second in which `time` lies.
    pub(crate) fn at(time: Time) -> Self {
        Self(Time::from_second(time.as_second()).unwrap_or(time))
    }

    pub(crate) const fn time(self) -> Time {
        self.0
    }
}

impl From<Second> for String {
    fn from(expires: Second) -> Self {
        expires.0.strftime(TIME_FORMAT).to_string()
    }
}

impl TryFrom<String> for Second {
    type Error = jiff::Error;
    fn try_from(text: String) -> Result<Self, jiff::Error> {
        text.parse::<Time>().map(Self::at)
    }
}

/// A public key and its signature scheme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    pub(crate) keytype: String,
    pub(crate) keyval: KeyVal,
    pub(crate) scheme: String,
}

/// The key itself, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyVal {
    pub(crate) public: String,
}

/// Who signs for a top-level role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleKeys {
    pub(crate) keyids: Vec<String>,
    pub(crate) threshold: u32,
}

/// The trust anchor: keys, and the top-level roles that they sign for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Root {
    #[serde(rename = "_type")]
    pub(crate) kind: String,
    pub(crate) consistent_snapshot: bool,
    pub(crate) expires: Second,
    pub(crate) keys: BTreeMap<String, Key>,
    pub(crate) roles: BTreeMap<String, RoleKeys>,
    pub(crate) spec_version: String,
    pub(crate) version: u64,
}

/// Length and digest of a listed target, and what its kind says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) custom: BTreeMap<String, String>,
    pub(crate) hashes: Hashes,
    pub(crate) length: u64,
}

impl Target {
    /// Whether it is a delta, in whatever container.
    pub(crate) fn is_delta(&self) -> bool {
        self.custom.contains_key("container")
    }
}

/// The one digest that we write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hashes {
    pub(crate) sha256: Sha256Digest,
}

/// A role that speaks for names of these patterns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DelegatedRole {
    pub(crate) keyids: Vec<String>,
    pub(crate) name: String,
    pub(crate) paths: Vec<String>,
    pub(crate) terminating: bool,
    pub(crate) threshold: u32,
}

/// Delegated roles and their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delegations {
    pub(crate) keys: BTreeMap<String, Key>,
    pub(crate) roles: Vec<DelegatedRole>,
}

/// A list of targets: the top-level one, or a package's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Targets {
    #[serde(rename = "_type")]
    pub(crate) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delegations: Option<Delegations>,
    pub(crate) expires: Second,
    pub(crate) spec_version: String,
    pub(crate) targets: BTreeMap<String, Target>,
    pub(crate) version: u64,
}

/// Exactly one file: its bytes and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pin {
    pub(crate) hashes: Hashes,
    pub(crate) length: u64,
    pub(crate) version: u64,
}

impl Pin {
    pub(crate) fn of(bytes: &[u8], version: u64) -> Self {
        Self { hashes: Hashes { sha256: Sha256Digest::of(bytes) }, length: length_of(bytes), version }
    }
}

/// Snapshot and timestamp: files by name, each pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pins {
    #[serde(rename = "_type")]
    pub(crate) kind: String,
    pub(crate) expires: Second,
    pub(crate) meta: BTreeMap<String, Pin>,
    pub(crate) spec_version: String,
    pub(crate) version: u64,
    /// The owner's clock when it was signed; in the timestamp only. See [`crate::signing_time`].
    #[serde(rename = "x-sealpost-signed-at", default, skip_serializing_if = "Option::is_none")]
    pub(crate) signed_at: Option<Second>,
}

impl Root {
    /// A root that was not published yet.
    pub(crate) fn new(
        keys: BTreeMap<String, Key>,
        roles: BTreeMap<String, RoleKeys>,
        expires: Second,
    ) -> Self {
        let (kind, spec_version) = envelope_words("root");
        Self { kind, consistent_snapshot: true, expires, keys, roles, spec_version, version: 0 }
    }
}

impl Targets {
    /// An empty list that was not published yet.
    pub(crate) fn new(expires: Second) -> Self {
        let (kind, spec_version) = envelope_words("targets");
        Self { kind, delegations: None, expires, spec_version, targets: BTreeMap::new(), version: 0 }
    }
}

impl Pins {
    /// A snapshot, which pins the lists.
    pub(crate) fn snapshot(meta: BTreeMap<String, Pin>, expires: Second, version: u64) -> Self {
        let (kind, spec_version) = envelope_words("snapshot");
        Self { kind, expires, meta, spec_version, version, signed_at: None }
    }

    /// A timestamp, which pins the snapshot and says when it was signed.
    pub(crate) fn timestamp(snapshot: Pin, expires: Second, version: u64, signed_at: Second) -> Self {
        let (kind, spec_version) = envelope_words("timestamp");
        let meta = BTreeMap::from([("snapshot.json".to_owned(), snapshot)]);
        Self { kind, expires, meta, spec_version, version, signed_at: Some(signed_at) }
    }
}

fn envelope_words(kind: &str) -> (String, String) {
    (kind.to_owned(), SPEC_VERSION.to_owned())
}

/// What is signed, and by whom.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Envelope<T> {
    pub(crate) signatures: Vec<Signature>,
    pub(crate) signed: T,
}

/// One signature, in hex.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signature {
    pub(crate) keyid: String,
    pub(crate) sig: String,
}

/// The bytes that signatures cover.
pub(crate) fn canonical(value: &impl Serialize) -> sigstore_tuf::Result<Vec<u8>> {
    to_canonical_bytes(&serde_json::to_value(value)?)
}

/// What a file that the core has verified says, as our type.
pub(crate) fn parse_verified<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice::<Envelope<T>>(bytes).map(|envelope| envelope.signed)
}
