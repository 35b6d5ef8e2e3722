//! What changes are made of, where that is more than a name.
//!
//! Invariant: as for [changes](super::activity): fields are only added, and optional.

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, PackageName, Platform, SerialNumber};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::word::Word;
use serde::{Deserialize, Serialize};

use crate::rules::account::{Account, TokenId};
use crate::rules::approvals::people::{AccountName, Standing};
use crate::rules::approvals::proposal::{Ending, Proposed};
use crate::rules::rollouts::progress::DeliveryState;
use crate::rules::rollouts::strategy::Strategy;
use crate::rules::test_load::TestOutcome;

/// The format version of the entries that this program writes, and the highest that it reads. Version 1 was never used
/// by a site.
pub const ENTRY_VERSION: u32 = 2;

/// What can be said of an entry that a newer version wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewerEntry {
    /// Its format version.
    pub version: u32,
    /// Its sequence number.
    pub sequence: u64,
    /// License time of the change.
    pub at: Timestamp,
    /// The kind of its change.
    pub kind: String,
}

/// Something that an admin does at a server, and that is no other change. An open set: what a newer program wrote is kept
/// as its word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ServerOperation {
    /// The certificate was to be renewed, or a new CA to be announced.
    RenewCertificate,
    /// The certificate that waited was to be presented.
    SwitchCertificate,
    /// The ways of before were to be served no more.
    FinishAddresses,
    /// What nothing needs was to be removed.
    CleanStorage,
    /// A backup, which holds the server's keys, was to be made.
    MakeBackup,
    /// A newer program's word.
    Other(String),
}

impl ServerOperation {
    /// The word in an entry.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::RenewCertificate => "renew_certificate",
            Self::SwitchCertificate => "switch_certificate",
            Self::FinishAddresses => "finish_addresses",
            Self::CleanStorage => "clean_storage",
            Self::MakeBackup => "make_backup",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for ServerOperation {
    fn from(word: String) -> Self {
        let known = [
            Self::RenewCertificate,
            Self::SwitchCertificate,
            Self::FinishAddresses,
            Self::CleanStorage,
            Self::MakeBackup,
        ];
        known.into_iter().find(|known| known.as_str() == word).unwrap_or(Self::Other(word))
    }
}

impl From<ServerOperation> for String {
    fn from(operation: ServerOperation) -> Self {
        operation.as_str().to_owned()
    }
}

/// A token that was used for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsed {
    /// Which token.
    pub token: TokenId,
    /// Its name.
    pub name: String,
    /// The IP address that it came from.
    pub source: String,
}

/// A token that is refused from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRevoked {
    /// Which token.
    pub token: TokenId,
    /// Its name.
    pub name: String,
}

/// Computers that try a release again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRetry {
    /// Package, version and platform.
    pub release: ReleaseId,
    /// Its manifest's digest.
    pub manifest: Sha256Digest,
    /// Which computers, each with its next attempt.
    pub computers: Vec<NextAttempt>,
    /// Why, in words; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// A computer that is to try a release again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextAttempt {
    /// The client.
    pub client_id: ClientId,
    /// Its name.
    pub name: ComputerName,
    /// Above every attempt before.
    pub attempt: u32,
}

/// A decision of people for a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The channels that it was approved for.
    pub channels: Vec<ChannelName>,
    /// Who approved, in this order.
    pub approvals: Vec<Account>,
    /// Why, for whoever reads the log later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// What a resumed client's lease makes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recreated {
    /// Its key.
    pub client_key: PublicKey,
    /// What it can run.
    pub platform: Platform,
    /// The agent's version.
    pub agent_version: String,
    /// The channel that it follows.
    pub channel: ChannelName,
    /// Serial numbers whose seats the name holds by its lease and not by the ledger.
    pub serials: Vec<SerialNumber>,
    /// The size of the log's head in its lease: of two lost clients of one name, the one with the larger is the later.
    pub head: u64,
    /// The client that held the name in this ledger, if another did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<ClientId>,
}

/// An earlier resumption of the same client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisplacedComputer {
    /// How far that computer had come.
    pub contacts: u64,
    /// Its machine and boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Sha256Digest>,
}

/// A test-load of a release on the server, or an admin's word in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseTest {
    /// Package, version and platform.
    pub release: ReleaseId,
    /// Its manifest's digest.
    pub manifest: Sha256Digest,
    /// The digest of the settings of the program that loaded it; absent for an admin's word in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Sha256Digest>,
    /// What came of it.
    pub outcome: TestOutcome,
    /// What the program said, why it was not run, or the admin's reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// How an approved release goes out ring by ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedRollout {
    /// The name of the strategy that was chosen.
    pub strategy: Word,
    /// The strategy as it was then: a later change of the settings changes nothing in this rollout.
    pub plan: Strategy,
    /// The channels whose computers it takes ring by ring.
    pub channels: Vec<ChannelName>,
    /// Computers wait for no window, no person and no product.
    #[serde(default, skip_serializing_if = "is_false")]
    pub emergency: bool,
    /// Its strategy waits for nothing: every computer of these channels gets it at once.
    #[serde(default, skip_serializing_if = "is_false")]
    pub complete: bool,
}

/// What became of a rollout on one computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryStep {
    /// The rollout.
    pub rollout: u64,
    /// Its package.
    pub package: PackageName,
    /// The ring in which the computer was told, from 0.
    pub ring: u32,
    /// What had become of it before, as far as whoever decided knew; absent when it is told for the first time. Also absent,
    /// when the computer is told again, if it was told another release of the package since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<DeliveryState>,
    /// What became of it.
    pub after: DeliveryState,
    /// The attempt that it was told.
    pub attempt: u32,
    /// When it is told: so many seconds without a word from it are no failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence_secs: Option<u32>,
    /// When it is told: since when it waits for a newer release of the package, if that was another one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_since: Option<Timestamp>,
}

/// What became of a rollout on another computer than the one that says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryOf {
    /// The client.
    pub client_id: ClientId,
    /// Its name.
    pub name: ComputerName,
    /// What became of it there.
    #[serde(flatten)]
    pub step: DeliveryStep,
}

/// Whose a token is that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenOwner {
    /// The account.
    pub account: AccountName,
    /// Who knows it besides its owner.
    pub standing: Standing,
    /// The token in whose place it is; absent for a first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<TokenId>,
}

/// An account that was added, disabled or enabled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountChanged {
    /// Its name.
    pub account: AccountName,
    /// Why, for whoever reads the log later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// A token that was made at the server, and that a second person let be one of its account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenConfirmed {
    /// Which token.
    pub token: TokenId,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub account: AccountName,
}

/// Something that needs two people, and that one asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalMade {
    /// That of this entry.
    pub number: u64,
    /// What.
    pub proposed: Proposed,
    /// The account whose eyes the first ones are; absent for `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// Why, for the second person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// What waited waits no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalEnded {
    /// Its number.
    pub number: u64,
    /// How.
    pub how: Ending,
    /// Why, for whoever reads the log later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// A decision about a release was put off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseDeferred {
    /// Package, version and platform.
    pub release: ReleaseId,
    /// Its manifest's digest.
    pub manifest: Sha256Digest,
    /// Until when.
    pub until: Timestamp,
    /// Why, for whoever reads the log later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
pub(super) const fn is_false(flag: &bool) -> bool {
    !*flag
}
