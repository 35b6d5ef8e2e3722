//! `/api/v1/updates`.

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, ComputerName, RelativePath};
use sealpost_manifests::release::{Attachment, PackageKind, ReleaseId, Requirement, Security, Severity};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::word::Word;
use sealpost_site::changes::Actor;
use sealpost_site::rows::ReleaseRow;
use sealpost_site::rules::approvals::Approvals;
use sealpost_site::rules::leaving::{Named, Runners};
use sealpost_site::rules::release::{ReleaseState, unapproved};
use sealpost_site::rules::test_load::{Gate, TestLoad, TestOutcome, Wanted, gate};
use serde::{Deserialize, Serialize};

use crate::approvals::{self, Deferred, Waiting};
use crate::rollouts::Preview;

/// Releases in one page, at the most.
pub const MAX_UPDATES: u32 = 500;

/// `GET /api/v1/updates`: which page.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UpdatesQuery {
    /// Only releases in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ReleaseState>,
    /// Only after the release with this manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Sha256Digest>,
    /// At most so many; [`MAX_UPDATES`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `true`: also of how many computers each approved release is still to come, for which all of them are looked through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_come: Option<bool>,
}

/// A page of releases.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UpdatesPage {
    /// Newest counter first within their package.
    pub updates: Vec<Update>,
    /// Give this as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Sha256Digest>,
}

/// A release as the site sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Update {
    /// Package, version and platform.
    pub release: ReleaseId,
    /// Its manifest's digest: what is approved.
    pub manifest: Sha256Digest,
    /// Program or signatures.
    pub kind: PackageKind,
    /// Its release counter.
    pub counter: ReleaseCounter,
    /// How urgent the vendor holds it.
    pub severity: Severity,
    /// Where it stands between staging and withdrawal.
    pub state: ReleaseState,
    /// The channels that the vendor points to it, and those that it was approved for.
    pub channels: Vec<ChannelName>,
    /// The channels that the vendor points to it now, whatever it was approved for; only in the list, and absent when
    /// nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<Vec<ChannelName>>,
    /// The channels whose computers get it.
    #[serde(default)]
    pub approved_for: Vec<ChannelName>,
    /// Whether computers that run it are told to go back.
    #[serde(default)]
    pub rollback: bool,
    /// The attempt that computers are told, unless a retry raised their own.
    #[serde(default = "first_attempt")]
    pub attempt: u32,
    /// Who signed it; absent when it was refused.
    pub signer: Option<PublicKey>,
    /// Bytes of the payload as downloaded.
    pub payload_bytes: u64,
    /// When it was staged or refused.
    pub staged_at: Timestamp,
    /// When and by whom it was approved or rejected.
    pub decided: Option<Decided>,
    /// Why it was rejected, refused, halted or withdrawn.
    pub reason: Option<String>,
    /// The number of its rollout, once approved.
    pub rollout: Option<u64>,
    /// Whether its counter is above one that the vendor reset: it counts no more.
    pub voided: bool,
    /// Clients whose assignment names it.
    pub assigned: u64,
    /// Clients that reported that they run it.
    pub installed: u64,
    /// Enrolled clients that are to run an approved release and do not say yet that they do; in lists only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_come: Option<u64>,
    /// Clients that rolled back from it or refused it.
    pub failed: u64,
    /// Deltas that lead to it.
    pub deltas: Vec<Delta>,
    /// That its payload is not here, and whether it comes back; only in the answer to an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_missing: Option<MissingPayload>,
    /// Its approval by one person, which waits for a second one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The decision about it is put off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred: Option<Deferred>,
    /// Its newest test-load on the server, or that it waits for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_load: Option<TestLoadView>,
}

/// What becomes of a payload that was removed, or lost, before its release was approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingPayload {
    /// The vendor's repository lists it: the next pull fetches it.
    FetchedByNextPull,
    /// The vendor's repository does not list it any more.
    NotListed,
}

const fn first_attempt() -> u32 {
    1
}

impl Update {
    /// With what waits about it.
    #[must_use]
    pub fn with_approvals(self, approvals: &Approvals, now: Timestamp) -> Self {
        let waiting = approvals.waiting_approval(self.manifest, now).map(Waiting::from);
        let deferred = approvals.deferred(self.manifest, now).map(Deferred::from);
        Self { waiting, deferred, ..self }
    }

    /// Channels that point to it and that nobody approved it for.
    pub fn waits_for(&self) -> impl Iterator<Item = &ChannelName> {
        unapproved(&self.channels, &self.approved_for)
    }
}

/// A decision of a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Decided {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// Why, if they said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// A delta that the server made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Delta {
    /// The manifest of the release that it starts from.
    pub base: Sha256Digest,
    /// Its length in bytes.
    pub bytes: u64,
}

impl From<ReleaseRow> for Update {
    fn from(row: ReleaseRow) -> Self {
        let ReleaseRow {
            release,
            manifest,
            kind,
            counter,
            severity,
            state,
            channels,
            approved_for,
            rollback,
            attempt,
            signer,
            payload_bytes,
            staged_at,
            decided,
            reason,
            rollout,
            voided,
            assigned,
            installed,
            failed,
            test_load: _,
            deltas,
        } = row;
        Self {
            release,
            manifest,
            kind,
            counter,
            severity,
            state,
            channels,
            offered: None,
            approved_for,
            rollback,
            attempt,
            signer,
            payload_bytes,
            staged_at,
            decided: decided.map(|decided| Decided {
                at: decided.at,
                by: decided.actor,
                comment: decided.comment,
            }),
            reason,
            rollout,
            voided,
            assigned,
            installed,
            to_come: None,
            failed,
            deltas: deltas.into_iter().map(|delta| Delta { base: delta.base, bytes: delta.bytes }).collect(),
            payload_missing: None,
            waiting: None,
            deferred: None,
            test_load: None,
        }
    }
}

/// `GET /api/v1/updates/{manifest}`: how it is looked at.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReviewQuery {
    /// The strategy whose rings are looked at; the one that the settings name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Word>,
}

/// `POST /api/v1/updates/test-load`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TestLoadRequest {
    /// The release's manifest.
    pub manifest: Sha256Digest,
    /// Why it is let through without a test that passed; it is tested again when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_why: Option<String>,
}

/// The newest test-load of a release on the server, or that there is none yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TestLoadView {
    /// `passed`, `failed`, `timed_out`, `not_run` or `overridden`; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<TestOutcome>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Whether the release cannot be approved because of it.
    pub holds: bool,
    /// Whether it is being loaded, or waits for that.
    pub under_way: bool,
    /// The sentence for people. Text from outside: escape control characters before you print it.
    pub sentence: String,
}

impl TestLoadView {
    /// What is shown of it; nothing where there was none and none is wanted.
    #[must_use]
    pub fn of(wanted: Wanted, state: ReleaseState, test: Option<&TestLoad>, under_way: bool) -> Option<Self> {
        let gate = gate(wanted, state, test);
        let holds = gate != Gate::Open;
        let newest = test.map_or_else(|| "it was not loaded yet".to_owned(), TestLoad::sentence);
        let sentence = match (under_way, gate) {
            (true, _) => format!("it is being loaded on the server; {newest}"),
            (false, Gate::Pending) if test.is_some() => {
                format!("it will be loaded by the program that is configured now; {newest}")
            }
            (false, _) => newest,
        };
        let (outcome, at) = (test.map(|test| test.outcome), test.map(|test| test.at));
        (test.is_some() || holds || under_way).then_some(Self { outcome, at, holds, under_way, sentence })
    }
}

/// `GET /api/v1/updates/{manifest}`: what a reviewer sees.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Review {
    /// The release. Its `manifest` is what is approved.
    pub update: Update,
    /// What the manifest says; absent when it is not stored, as for a refused release.
    pub content: Option<ReviewContent>,
    /// Which computers get it; of a release that is not approved: when it is approved for all its channels.
    pub recipients: Vec<ComputerName>,
    /// How many they are; `recipients` names the first hundred.
    pub recipient_count: u64,
    /// How many of them have a seat and never enrolled, so that nothing is to be expected of them.
    #[serde(default)]
    pub reserved_count: u64,
    /// How many of them are enrolled and do not run it yet.
    #[serde(default)]
    pub pending_count: Option<u64>,
    /// How many of those were not in contact since it was approved: they cannot know of it.
    #[serde(default)]
    pub silent_count: u64,
    /// The last contact of the one of them that is silent for the longest; absent if one was never in contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_since: Option<Timestamp>,
    /// How many more would get an approved release, if it were approved for all channels that point to it.
    #[serde(default)]
    pub waiting_count: u64,
    /// How many were to go back to it and do not keep it, as they reported last: no retry helps them.
    #[serde(default)]
    pub not_kept_count: u64,
    /// Which computers said last that they run it.
    #[serde(default)]
    pub runners: Vec<ComputerName>,
    /// How many they are; `runners` names the first hundred.
    #[serde(default)]
    pub runner_count: u64,
    /// What leads them away from it; only of a halted or withdrawn release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Leaving>,
    /// The higher version that it takes the place of, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downgrade: Option<Downgrade>,
    /// How it goes out once it is approved for all its channels; only of a release that waits for its first approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// What the rules want before it is approved for all its channels; only of a release that waits for its first approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<approvals::Wanted>,
}

/// Some computers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Computers {
    /// How many they are.
    pub count: u64,
    /// The first hundred of them, by name.
    pub names: Vec<ComputerName>,
}

impl Computers {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl From<Named> for Computers {
    fn from(named: Named) -> Self {
        Self { count: named.count, names: named.names }
    }
}

/// The computers that run a stopped release, by what leads them away from it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// They have something to go back to: they are told to where `rollback` is set.
    pub can_go_back: Computers,
    /// They are told to install a newer release, with or without a rollback.
    pub updating: Computers,
    /// They run it until something newer is approved for them.
    pub cannot_go_back: Computers,
    /// They do not say that they run it: they were told to install it and did not say how that ended.
    #[serde(default, skip_serializing_if = "Computers::is_empty")]
    pub trying: Computers,
}

impl From<Runners> for Leaving {
    fn from(runners: Runners) -> Self {
        let Runners { can_go_back, updating, cannot_go_back, trying } = runners;
        Self {
            can_go_back: can_go_back.into(),
            updating: updating.into(),
            cannot_go_back: cannot_go_back.into(),
            trying: trying.into(),
        }
    }
}

/// A release leads down to a lower version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Downgrade {
    /// The highest version that it takes the place of.
    pub from: Version,
    /// How many of those who get it run a higher version; the others were approved for one.
    pub computers: u64,
}

/// What a manifest says, for a reviewer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReviewContent {
    /// The vendor's notes. Text from outside: escape control characters before you print it.
    pub notes: String,
    /// When the vendor built it.
    pub built_at: Timestamp,
    /// What it is about, by the vendor's word, for example `bugfix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Word>,
    /// What it has to do with security.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Security>,
    /// Until when the vendor supports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supported_until: Option<Timestamp>,
    /// Documents beside the release, which are stored here with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Packages that must be there before.
    pub requires: Vec<Requirement>,
    /// Number of paths.
    pub files: u64,
    /// The release that it is compared with; absent for the first of its package here.
    pub compared_with: Option<ComparedWith>,
    /// What changes.
    pub difference: Difference,
}

/// The release that another is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparedWith {
    /// Package, version and platform.
    pub release: ReleaseId,
    /// Its manifest's digest.
    pub manifest: Sha256Digest,
}

/// What changes from one release to another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// New paths.
    pub added: Vec<ChangedFile>,
    /// Paths with another content, mode or kind.
    pub changed: Vec<ChangedFile>,
    /// Paths that go.
    pub removed: Vec<ChangedFile>,
    /// How many paths stay as they are.
    pub unchanged: u64,
    /// Installed bytes before.
    pub bytes_before: u64,
    /// Installed bytes after.
    pub bytes_after: u64,
}

/// A file that a release adds, changes or removes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedFile {
    /// Its path.
    pub path: RelativePath,
    /// Bytes before; absent when it is added, 0 for a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_before: Option<u64>,
    /// Bytes after; absent when it is removed, 0 for a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_after: Option<u64>,
    /// What else a reviewer should see, for example `becomes executable`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// `POST /api/v1/updates/approve`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApproveRequest {
    /// The digest of the manifest that was reviewed.
    pub manifest: Sha256Digest,
    /// The channels that it is approved for, as they were reviewed; all that point to it now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<ChannelName>>,
    /// Why, for whoever reads the log later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// The name of the strategy by which it goes out; the one that the settings name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Word>,
    /// Computers wait for no window, no person and no product.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub emergency: bool,
    /// Also while the decision is put off.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub now: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a field by reference")]
const fn is_unset(flag: &bool) -> bool {
    !*flag
}

/// `POST /api/v1/updates/reject`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RejectRequest {
    /// The digest of the manifest.
    pub manifest: Sha256Digest,
    /// Why, for whoever reads the log later.
    pub reason: String,
}

/// `POST /api/v1/updates/halt`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HaltRequest {
    /// The digest of the manifest.
    pub manifest: Sha256Digest,
    /// Why, for whoever reads the log later.
    pub reason: String,
    /// Whether computers that run it are told to go back to what they ran before.
    #[serde(default)]
    pub rollback: bool,
}

/// The answer to a halt: the release as it is now, and who runs it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Halted {
    /// The release.
    #[serde(flatten)]
    pub update: Update,
    /// Who runs it.
    #[serde(default)]
    pub leaving: Leaving,
}

/// `POST /api/v1/updates/reconsider`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReconsiderRequest {
    /// The digest of the manifest.
    pub manifest: Sha256Digest,
    /// Why, for whoever reads the log later. A request without a reason is refused.
    #[serde(default)]
    pub comment: String,
}

/// `POST /api/v1/updates/retry`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RetryRequest {
    /// The digest of the manifest.
    pub manifest: Sha256Digest,
    /// Which computers; all that failed when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ComputerName>,
    /// Why, for whoever reads the log later. A request without a reason is refused.
    #[serde(default)]
    pub comment: String,
}

/// Which computers try again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Retried {
    /// The release.
    pub update: Update,
    /// By name; empty when all that failed were asked before and have not tried since.
    pub clients: Vec<ComputerName>,
    /// Those that were named and run it already: they have nothing to try again.
    #[serde(default)]
    pub running: Vec<ComputerName>,
}
