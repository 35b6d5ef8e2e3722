//! The contact: `POST /agent/v1/contact`. A client shows that it is there, reports, and hears what to run.
//!
//! Each contact carries (previous nonce, next nonce), which the client wrote to its disk before it sent them. Same
//! pair again = retry: same lease and assignment. Same previous with another next = fork (a cloned disk).
//! A part of the answer that the client already has is left out, which keeps a contact without news small.
//! A client that a server does not know any more shows what the server signed for it ([`Evidence`]): a restored server
//! resumes it. Reserved names of later versions stand in `docs/FORMATS.md`.

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_keys::note::SignedNote;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::{Document, SignedDocument};
use crate::ids::{ClientId, Nonce, PackageName, Platform, ServerId, Tag};
use crate::log::{ConsistencyProof, LogHead};
use crate::order::HighestOrders;
use crate::release::{PackageKind, ReleaseId};
use crate::version::{ReleaseCounter, Version};
use crate::wire::report::Report;
use crate::word::{Word, open_codes};

/// Most reports in one contact; the rest waits for the next.
pub const MAX_REPORTS: usize = 64;
/// Most packages in one contact.
pub const MAX_PACKAGES: usize = 256;
/// Most grants in one contact or answer.
pub const MAX_GRANTS: usize = 64;
/// Longest receipt, in bytes.
pub const MAX_RECEIPT_BYTES: usize = 200;
/// Most packages in [`Contact::drift`].
pub const MAX_DRIFT: usize = 64;
/// Most tags in one contact.
pub const MAX_TAGS: usize = 32;
/// Most entries in [`Contact::postponed`]; one for each package.
pub const MAX_POSTPONED: usize = MAX_PACKAGES;
/// Upper bound on packages of which an answer says why they wait.
pub const MAX_WAITS: usize = 8;
/// Longest sentence about one of them, in bytes.
pub const MAX_WAITS_SENTENCE_BYTES: usize = 512;
/// Longest host name that is kept, in bytes.
pub const MAX_HOSTNAME_BYTES: usize = 128;

/// The body of the request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContactRequest {
    /// Who signed `contact`; must be the one inside.
    pub client_id: ClientId,
    /// A [`Contact`], signed with the client key.
    pub contact: SignedDocument,
    /// What the server signed for this client; sent when the server says that it knows less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// What a server signed for a client, shown to that server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Evidence {
    /// The [`Lease`](crate::lease::Lease) with the highest order.
    pub lease: SignedDocument,
    /// The [`Assignment`](crate::assignment::Assignment) with the highest order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<SignedDocument>,
    /// The lease that carries the head which the contact names as held, where that is another one than `lease`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<SignedDocument>,
}

/// A contact. Signed with the client key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// The client that makes the contact.
    pub client_id: ClientId,
    /// The server that is meant.
    pub server_id: ServerId,
    /// The `next` of the last answered contact; absent in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Nonce>,
    /// A nonce that was drawn for this contact.
    pub next: Nonce,
    /// The receipt of the last answered contact, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// The client's clock, for people only; decides nothing.
    pub sent_at: Timestamp,
    /// The agent's own version.
    pub agent_version: String,
    /// What it can run.
    pub platform: Platform,
    /// The highest order that it holds of each type of document that the server signs for it.
    #[serde(default, skip_serializing_if = "HighestOrders::is_empty")]
    pub highest: HighestOrders,
    /// The head of the server's log that it witnesses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_head: Option<LogHead>,
    /// A later head that was not shown to extend the held one: the log was forked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_head: Option<LogHead>,
    /// Digests of the grants that it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Sha256Digest>,
    /// Digest of the machine's id and this boot's id: for people, and to tell clones apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Sha256Digest>,
    /// The name that the computer gives itself, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// What the computer runs, one entry for each package.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<InstalledPackage>,
    /// Installed packages that are not as they were signed, by a cheap look, or whose product could not be started: one entry
    /// for each; empty when all is well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Drift>,
    /// Words that the computer's configuration gives it, for groups; at most [`MAX_TAGS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Assigned releases that are put off at this computer, one entry for each package; at most [`MAX_POSTPONED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub postponed: Vec<Postponed>,
    /// What happened since the last acknowledged report, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<Report>,
    /// The key that this computer goes on with, in a contact that shows which of two copies it is; only in
    /// [`EnrollRequest::branch`](super::enroll::EnrollRequest::branch).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_key: Option<PublicKey>,
}

open_codes! {
    /// How an installed package differs from what was signed, or that its product does not run.
    DriftKind {
        /// Its folder, or the slot that runs, is gone.
        Missing = "missing",
        /// `current` does not lead to the slot that was installed.
        Link = "link",
        /// Files in the slot were changed, added or removed.
        Changed = "changed",
        /// The product does not run: it was stopped and could not be started.
        NotStarted = "not_started",
    }
}

/// A package on a computer that is not as it was signed, or whose product does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// The package.
    pub package: PackageName,
    /// How it differs.
    pub kind: DriftKind,
}

open_codes! {
    /// Who put an install off.
    PostponedBy {
        /// A person at the computer, with `agent-updater hold`.
        Person = "person",
        /// The product: its `ready` hook said "not now".
        Product = "product",
        /// The link to the server: other computers download over it, and this one waits for its turn.
        Link = "link",
        /// The computer itself: its last try failed, and it waits before the next one.
        BackOff = "back_off",
    }
}

/// An assigned release that waits at the computer, because somebody or something there puts it off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postponed {
    /// The package.
    pub package: PackageName,
    /// Digest of the manifest of the release that waits.
    pub manifest: Sha256Digest,
    /// Who put it off.
    pub by: PostponedBy,
    /// Until when it waits: the end of the hold, when the product or the server is asked again, or when it is tried again.
    pub until: Timestamp,
    /// How often it was put off so far; of a pause after a failure, how many tries failed.
    pub times: u32,
}

impl Document for Contact {
    const TYPE: &'static str = "contact";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        format!("contact client={} next={}", self.client_id, self.next)
    }
}

/// What a computer runs of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledPackage {
    /// The release that `current` names.
    pub release: ReleaseId,
    /// Whether the package holds programs or signatures.
    pub kind: PackageKind,
    /// The release counter in its manifest.
    pub counter: ReleaseCounter,
    /// Digest of its manifest.
    pub manifest: Sha256Digest,
}

impl InstalledPackage {
    /// The package that the release belongs to.
    #[must_use]
    pub const fn package(&self) -> &PackageName {
        &self.release.package
    }
}

/// The answer's body. It is authenticated by the pinned TLS connection; what matters for longer is signed. A client
/// believes no unsigned number beyond its own.
#[derive(Clone, Serialize, Deserialize)]
pub struct ContactAnswer {
    /// Signed [`Grant`](crate::grant::Grant)s that the client does not hold; to be judged first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<SignedDocument>,
    /// A signed [`Lease`](crate::lease::Lease), when the client does not hold the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<SignedDocument>,
    /// A signed [`Assignment`](crate::assignment::Assignment), when the client does not hold the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<SignedDocument>,
    /// A signed [`ServerList`](crate::server_list::ServerList), when the client does not hold the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_list: Option<SignedDocument>,
    /// The signed checkpoint of the head that a new lease names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<SignedNote>,
    /// With a checkpoint: shows that it extends the head that the contact named (RFC 6962).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<ConsistencyProof>,
    /// Shows later that this contact was answered; opaque to the client, which sends it back with its next contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// Bearer token for reads: metadata, targets, deltas, the wake stream. Short-lived.
    pub access_token: String,
    /// Seconds that the token is good for.
    pub token_valid_secs: u32,
    /// Reports up to this id are on the server's disk.
    #[serde(default)]
    pub acknowledged_report: u64,
    /// Whether something is wrong that a person should look at; the client shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// Releases that the client may have and does not run yet, one entry for each package at most: why, for people. Decides
    /// nothing. At most [`MAX_WAITS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<WaitsFor>,
}

/// How many bytes a text has within a JSON string.
fn json_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | 0x08 | 0x09 | 0x0A | 0x0C | 0x0D => 2,
        0x00..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}

/// Why a computer does not run a release yet, as its server sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitsFor {
    /// The package.
    pub package: PackageName,
    /// The version that the computer will have in the end.
    pub version: Version,
    /// What it waits for first, as a stable code.
    pub code: Word,
    /// The same for people, in the words of `distributor updates why`; at most [`MAX_WAITS_SENTENCE_BYTES`].
    pub sentence: String,
    /// When that changes by itself, where there is such a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl WaitsFor {
    /// How many bytes it has as JSON, as it is sent. It is not written for that: a server asks at each contact.
    #[must_use]
    pub fn sent_bytes(&self) -> usize {
        let until =
            self.until.map_or(0, |until| r#","until":"""#.len().saturating_add(until.to_string().len()));
        let texts = [self.package.as_str(), self.version.as_str(), self.code.as_str(), &self.sentence];
        let keys = r#"{"package":"","version":"","code":"","sentence":""}"#.len();
        texts.into_iter().fold(keys.saturating_add(until), |sum, text| sum.saturating_add(json_bytes(text)))
    }
}

impl std::fmt::Debug for ContactAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the access token, which is a secret.
        f.debug_struct("ContactAnswer")
            .field("grants", &self.grants)
            .field("lease", &self.lease)
            .field("assignment", &self.assignment)
            .field("server_list", &self.server_list)
            .field("checkpoint", &self.checkpoint)
            .field("consistency", &self.consistency)
            .field("token_valid_secs", &self.token_valid_secs)
            .field("acknowledged_report", &self.acknowledged_report)
            .field("notice", &self.notice)
            .field("waits", &self.waits)
            .finish_non_exhaustive()
    }
}
