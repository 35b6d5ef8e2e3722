//! What a ledger holds, as its lists and look-ups answer it.
//!
//! Invariant: a row is read, never decided: each field was recorded by a change or a note, or is a count of those.

mod seats;
mod setups;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, PackageName, Platform, SerialNumber, ServerId, Tag,
};
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::{Epoch, Order};
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::setup::ServerEntry;
use sealpost_manifests::version::{DisplayVersion, ReleaseCounter, Revision};
use sealpost_manifests::wire::contact::{DriftKind, InstalledPackage, Postponed};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Report};

pub use self::seats::{CopiesRow, CopyRow, KnockRow, PlannedRow, ScheduleRow, TriedRow, WaitingRow};
pub use self::setups::SetupRow;
use crate::rules::account::Actor;
use crate::rules::assignment::Licensed;
use crate::rules::came_by::CameBy;
use crate::rules::contact::ClientState;
use crate::rules::grants::GrantFlaw;
use crate::rules::release::{KnownRelease, ReleaseState};
use crate::rules::rollouts::cadence::Cadence;
use crate::rules::rollouts::groups::{Attributes, GroupName};
use crate::rules::rollouts::outages::Outages;
use crate::rules::rollouts::plan::{Delivery, Plan};
use crate::rules::rollouts::tries::Tries;
use crate::rules::setups::EndingSetup;
use crate::rules::standing::{self, ComputerState, StandingFacts};
use crate::rules::test_load::TestLoad;

/// Whose ledger it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerIdentity {
    /// The server's id, derived from its first site key.
    pub server_id: ServerId,
    /// The key that signs leases and assignments.
    pub site_key: PublicKey,
}

/// The ways to this server, as they were announced last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownServerList {
    /// Rises with each list.
    pub sequence: u64,
    /// License time of the announcement: what is signed says the same to everybody.
    pub issued_at: Timestamp,
    /// In order of preference.
    pub ways: Vec<ServerEntry>,
}

/// Who has to learn the newest server list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServersLearnedRow {
    /// The order of the list.
    pub order: Order,
    /// When it was announced.
    pub issued_at: Timestamp,
    /// The ways that it names.
    pub ways: Vec<ServerEntry>,
    /// Enrolled computers whose last contact named a lower one, or none; all of them while a restored ledger is not
    /// confirmed, because it may have lost a list of this order that they hold.
    pub waiting: u64,
    /// The first of them, by name; see [`WAITING_NAMES`].
    pub names: Vec<ComputerName>,
}

/// Computers that a change of the server's ways or CA left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftBehindRow {
    /// How many.
    pub count: u64,
    /// The first of them, by name; see [`WAITING_NAMES`].
    pub names: Vec<ComputerName>,
}

/// The leases and the setup code that end first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndingsRow {
    /// The computer whose lease ends first, or ended longest ago, and that end.
    pub lease: Option<(ComputerName, Timestamp)>,
    /// Leases that have ended.
    pub leases_ended: u64,
    /// The setup file that was not used and ends first.
    pub setup: Option<EndingSetup>,
}

/// Most names of a [`ServersLearnedRow`], of a [`LeftBehindRow`] and of a [`ComputersRow`].
pub const WAITING_NAMES: u32 = 20;

/// A release as the site sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRow {
    /// Package, version and platform.
    pub release: ReleaseId,
    /// Its manifest's digest: what is approved.
    pub manifest: Sha256Digest,
    /// Program or signatures.
    pub kind: PackageKind,
    /// Its release counter; 0 for a refused release.
    pub counter: ReleaseCounter,
    /// How urgent the vendor holds it.
    pub severity: Severity,
    /// Where it stands between staging and withdrawal.
    pub state: ReleaseState,
    /// The channels that point to it, and those that it was approved for.
    pub channels: Vec<ChannelName>,
    /// The channels that a person approved it for.
    pub approved_for: Vec<ChannelName>,
    /// Whether computers that run it are told to go back.
    pub rollback: bool,
    /// The attempt that a computer is told which has none of its own.
    pub attempt: u32,
    /// The minisign key that signed the manifest; absent when it was refused.
    pub signer: Option<PublicKey>,
    /// Bytes of the payload as downloaded.
    pub payload_bytes: u64,
    /// When it was staged or refused.
    pub staged_at: Timestamp,
    /// When and by whom it was approved or rejected.
    pub decided: Option<DecidedBy>,
    /// Why it was rejected, refused, halted or withdrawn; of what was withdrawn the vendor's reason, also where it was halted
    /// here: then that reason is the comment of the decision.
    pub reason: Option<String>,
    /// The number of its rollout, once approved.
    pub rollout: Option<u64>,
    /// Whether its counter is above one that the vendor reset.
    pub voided: bool,
    /// Clients whose assignment names it.
    pub assigned: u64,
    /// Clients that reported that they run it.
    pub installed: u64,
    /// Clients that rolled back from it or refused it.
    pub failed: u64,
    /// Its newest test-load on the server.
    pub test_load: Option<TestLoad>,
    /// Deltas that lead to it.
    pub deltas: Vec<DeltaRow>,
}

/// A revision of a signature package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRow {
    /// Its manifest's digest.
    pub manifest: Sha256Digest,
    /// The package.
    pub package: PackageName,
    /// When it arrived here: it was verified and stored, or refused.
    pub staged_at: Timestamp,
}

/// A computer whose witnessed heads of the log do not fit each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogForkRow {
    /// The name of the computer.
    pub name: ComputerName,
    /// The head that it witnessed.
    pub held: LogHead,
    /// The head that was not shown to extend it.
    pub seen: LogHead,
    /// When it said so.
    pub at: Timestamp,
}

/// A decision of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidedBy {
    /// When.
    pub at: Timestamp,
    /// Who, as the log names them.
    pub actor: Actor,
    /// Why, if they said it.
    pub comment: Option<String>,
}

/// A delta that was made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaRow {
    /// The manifest of the release that it starts from.
    pub base: Sha256Digest,
    /// Its length in bytes.
    pub bytes: u64,
}

/// A release between which and others deltas may be of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaReleaseRow {
    /// The release.
    pub release: KnownRelease,
    /// Whether some computer runs it, or is told to.
    pub in_use: bool,
    /// Whether some computer is told to run it.
    pub told: bool,
    /// Bytes of the payload as downloaded.
    pub payload_bytes: u64,
    /// Manifests from which a delta leads to it.
    pub bases: Vec<Sha256Digest>,
}

/// A reservation with its computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRow {
    /// The name that holds the seat.
    pub name: ComputerName,
    /// The channel that it follows.
    pub channel: ChannelName,
    /// Reserved, active or forked.
    pub state: ClientState,
    /// When the seat was taken.
    pub reserved_at: Timestamp,
    /// The computer's id, once enrolled.
    pub client_id: Option<ClientId>,
    /// The computer's key, once enrolled.
    pub client_key: Option<PublicKey>,
    /// The platform that it runs, once enrolled.
    pub platform: Option<Platform>,
    /// The version of its agent, as it said last.
    pub agent_version: Option<String>,
    /// The name that it gives itself.
    pub hostname: Option<String>,
    /// Digest of its machine's and boot's ids.
    pub instance: Option<Sha256Digest>,
    /// How it went on after a restore of the server, if it did since the last one.
    pub resumed: Option<ResumedRow>,
    /// The heads that did not fit each other, if it reported a fork of the log.
    pub log_fork: Option<LogForkRow>,
    /// Last contact (`Last Refresh`).
    pub last_contact: Option<Timestamp>,
    /// Until when its lease is good.
    pub lease_until: Option<Timestamp>,
    /// What it said that it runs.
    pub installed: Vec<InstalledPackage>,
    /// What it ran before of these packages, where it was another release.
    pub before: Vec<InstalledPackage>,
    /// What it said last is not as it was signed.
    pub drift: Vec<DriftRow>,
    /// What it should run by its newest assignment.
    pub assigned: Vec<PackageAssignment>,
    /// Its last report per package.
    pub last_reports: Vec<Report>,
    /// The groups that list it by name.
    pub listed: BTreeSet<GroupName>,
    /// The tags of its configuration, as it said last.
    pub tags: Vec<Tag>,
    /// What it said last is put off there.
    pub postponed: Vec<Postponed>,
    /// How its last contact came, where that is known.
    pub came_by: Option<CameBy>,
    /// What became of the rollouts that it was told, the newest of each package.
    pub deliveries: Vec<Delivery>,
}

/// An installed package that is not as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftRow {
    /// The package.
    pub package: PackageName,
    /// How it differs.
    pub kind: DriftKind,
    /// When the computer first said so.
    pub since: Timestamp,
}

/// Computers that fail. Without those that do not keep the release that they were to go back to: no retry helps them, and
/// they count among those that run what was halted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailingRow {
    /// Those whose last report says that they gave an approved release up, by its manifest; since when by their own clocks.
    pub gave_up: BTreeMap<Sha256Digest, ComputersRow>,
    /// Those whose last report says that its install failed, and that try it again by themselves.
    pub again: BTreeMap<Sha256Digest, ComputersRow>,
    /// Those that are refused because two computers use their identity.
    pub forked: ComputersRow,
}

/// Some computers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComputersRow {
    /// How many.
    pub count: u64,
    /// The first of them; see [`WAITING_NAMES`].
    pub names: Vec<ComputerName>,
    /// Since when the first of them in time is among them, where that is known.
    pub since: Option<Timestamp>,
}

impl ComputersRow {
    /// One more; called in the order of names.
    pub fn add(&mut self, name: ComputerName, since: Option<Timestamp>) {
        self.count += 1;
        if self.names.len() < WAITING_NAMES as usize {
            self.names.push(name);
        }
        self.since = [self.since, since].into_iter().flatten().min();
    }
}

/// How the computers of the site stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetRow {
    /// Enrolled computers.
    pub enrolled: u64,
    /// When one of them was heard last: a contact, or an enrollment.
    pub heard: Option<Timestamp>,
    /// Those that are offline (see `rules::troubles`), since the one that is silent for
    /// longest was heard.
    pub offline: ComputersRow,
    /// Those that are outdated (see `rules::troubles`), since the first has something to
    /// install.
    pub outdated: ComputersRow,
    /// Computers without a seat that asked to be enrolled.
    pub pending: ComputersRow,
    /// When the ways to this server were announced last.
    pub announced: Option<Timestamp>,
}

/// Requests of one minute that were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalRow {
    /// The stable code.
    pub code: ProblemCode,
    /// IP address, computer name or client id.
    pub source: String,
    /// When the minute began.
    pub minute: Timestamp,
    /// How many requests.
    pub count: u64,
    /// The computer that they were about, where the requests proved or said it.
    pub computer: Option<ComputerName>,
    /// When the computer of that name was answered last.
    pub answered: Option<Timestamp>,
}

/// How a client went on after a restore of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumedRow {
    /// When.
    pub at: Timestamp,
    /// How far it had come: contacts before the restore.
    pub contacts: u64,
    /// Until when it is served, should the vendor not confirm.
    pub provisional_until: Timestamp,
    /// How far the computer had come that went on before in its place, if one did.
    pub displaced: Option<u64>,
}

impl ClientRow {
    /// The first program and the first signature package that it runs, by name; `V 0.0 (0000)` until it says so.
    #[must_use]
    pub fn display_version(&self) -> DisplayVersion {
        display_version(&self.installed)
    }
}

/// What people are shown as the version of a computer that runs these.
#[must_use]
pub fn display_version(installed: &[InstalledPackage]) -> DisplayVersion {
    let first = |kind| installed.iter().find(|package| package.kind == kind);
    DisplayVersion {
        program: first(PackageKind::Program).map(|package| package.release.version.clone()),
        signatures: first(PackageKind::Signatures)
            .and_then(|package| Revision::from_version(&package.release.version).ok()),
    }
}

/// What admission asks of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderRow {
    /// The client.
    pub client_id: ClientId,
    /// The name that holds the seat.
    pub name: ComputerName,
    /// The channel that it follows.
    pub channel: ChannelName,
    /// Whether two computers use its identity.
    pub forked: bool,
    /// Until when its lease is good.
    pub lease_until: Option<Timestamp>,
    /// What it should run by its newest assignment.
    pub assigned: Vec<PackageAssignment>,
}

/// What decides whether a release is for a computer, for lists of all computers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientRow {
    /// The name that holds the seat.
    pub name: ComputerName,
    /// The channel that it follows.
    pub channel: ChannelName,
    /// The platform that it runs, once enrolled.
    pub platform: Option<Platform>,
    /// The grants whose seats its name holds, by serial number.
    pub grants: Vec<Arc<Grant>>,
    /// Its last answered contact.
    pub last_contact: Option<Timestamp>,
    /// What it said that it runs.
    pub installed: Vec<InstalledPackage>,
    /// What it ran before, where that was another release.
    pub before: Vec<InstalledPackage>,
    /// The groups that list it by name.
    pub listed: BTreeSet<GroupName>,
    /// The tags of its configuration, as it said last.
    pub tags: Vec<Tag>,
    /// How its last contact came, where that is known.
    pub came_by: Option<CameBy>,
    /// What became of the rollouts that it was told, the newest of each package.
    pub deliveries: Vec<Delivery>,
}

impl RecipientRow {
    /// What its grants cover.
    #[must_use]
    pub fn licensed(&self) -> Licensed {
        Licensed::by(self.grants.iter().map(AsRef::as_ref))
    }

    /// The groups that it belongs to by a plan's rules, and by these lists.
    #[must_use]
    pub fn groups_in(&self, plan: &Plan, listed: &BTreeSet<GroupName>) -> BTreeSet<GroupName> {
        let serials: Vec<&SerialNumber> = self.grants.iter().map(|grant| &grant.serial).collect();
        plan.groups_of(
            listed,
            &Attributes {
                name: &self.name,
                channel: &self.channel,
                platform: self.platform.as_ref(),
                tags: &self.tags,
                serials: &serials,
                installed: &self.installed,
            },
        )
    }
}

/// A reservation with its computer, as the list of all shows it: what stands in a few rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLineRow {
    /// The name that holds the seat.
    pub name: ComputerName,
    /// The channel that it follows.
    pub channel: ChannelName,
    /// When the seat was taken.
    pub reserved_at: Timestamp,
    /// The computer's id, once enrolled.
    pub client_id: Option<ClientId>,
    /// Whether two computers use its identity; `None` while none has enrolled.
    pub forked: Option<bool>,
    /// When it enrolled.
    pub enrolled_at: Option<Timestamp>,
    /// The platform that it runs, once enrolled.
    pub platform: Option<Platform>,
    /// The version of its agent, as it said last.
    pub agent_version: Option<String>,
    /// What it said that it runs.
    pub installed: Vec<InstalledPackage>,
    /// Its last answered contact (`Last Refresh`).
    pub last_contact: Option<Timestamp>,
    /// The same, or its enrollment; not before the last restore of the ledger.
    pub heard: Option<Timestamp>,
    /// How often it comes, where that is known.
    pub cadence: Option<Cadence>,
    /// Until when its lease is good.
    pub lease_until: Option<Timestamp>,
    /// The serial numbers whose seats its name holds, sorted.
    pub serials: Vec<SerialNumber>,
    /// The groups that list it by name.
    pub listed: BTreeSet<GroupName>,
    /// The tags of its configuration, as it said last.
    pub tags: Vec<Tag>,
    /// How its last contact came, where that is known.
    pub came_by: Option<CameBy>,
    /// The install that is planned for it.
    pub install: Option<PlannedRow>,
}

impl ClientLineRow {
    /// The first program and the first signature package that it runs, by name; `V 0.0 (0000)` until it says so.
    #[must_use]
    pub fn display_version(&self) -> DisplayVersion {
        display_version(&self.installed)
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self, outages: &Outages, now: Timestamp) -> ComputerState {
        let Self { forked, heard, cadence, install, .. } = self;
        let (install, cadence) = (install.as_ref().map(PlannedRow::plan), cadence.as_ref());
        let facts = StandingFacts { forked: *forked, heard: *heard, cadence, install: install.as_ref() };
        standing::state(&facts, outages, now)
    }

    /// The groups that it belongs to by a plan's rules, and by these lists.
    #[must_use]
    pub fn groups_in(&self, plan: &Plan) -> BTreeSet<GroupName> {
        let serials: Vec<&SerialNumber> = self.serials.iter().collect();
        plan.groups_of(
            &self.listed,
            &Attributes {
                name: &self.name,
                channel: &self.channel,
                platform: self.platform.as_ref(),
                tags: &self.tags,
                serials: &serials,
                installed: &self.installed,
            },
        )
    }
}

/// What became of a rollout on one computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its name.
    pub name: ComputerName,
    /// What became of it.
    pub delivery: Delivery,
    /// Since when that is so.
    pub since: Timestamp,
    /// The step that it reported last, as far as its last report of the package is about the release.
    pub step: Option<InstallStep>,
    /// How it tried.
    pub tries: Tries,
}

/// A computer that may try releases that it does not say it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryingRow {
    /// Its name.
    pub name: ComputerName,
    /// What the newest assignment that it was sent says of them, sorted by package.
    pub told: Vec<PackageAssignment>,
    /// Its last reports, as far as they are about them, sorted by package.
    pub last_reports: Vec<Report>,
}

/// One grant, as counted here: a line of the License Summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenseRow {
    /// The serial number.
    pub serial: SerialNumber,
    /// Seats that the vendor granted (`Licenses`).
    pub licenses: u32,
    /// Names that hold one (`Used` = `Reserved` + `Active`).
    pub used: u32,
    /// Those whose computer is enrolled.
    pub active: u32,
    /// Those whose computer has not come yet.
    pub reserved: u32,
    /// How seats are counted.
    pub model: LicenseModel,
    /// The grant's generation.
    pub generation: u64,
    /// The grant's epoch.
    pub epoch: Epoch,
    /// When the vendor issued the grant, by its clock.
    pub granted_at: Timestamp,
    /// Until when new licenses can be given.
    pub not_after: Timestamp,
    /// When the serial number itself ends, if the vendor said so.
    pub ends_at: Option<Timestamp>,
    /// The packages that it covers; empty means every package of the vendor.
    pub packages: Vec<PackageName>,
}

/// A stored grant that does not count, or beside which something else stands than it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedGrantRow {
    /// The serial number, as it stands there.
    pub serial: String,
    /// What is wrong with it.
    pub flaw: GrantFlaw,
}

/// The last pull.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullRow {
    /// When the vendor's metadata was last found fresh.
    pub metadata_as_of: Option<Timestamp>,
    /// The version of the vendor's timestamp that the last good pull found.
    pub timestamp_version: Option<u64>,
    /// When a pull was last tried.
    pub tried_at: Option<Timestamp>,
    /// Why the last try failed, if it did.
    pub failure: Option<String>,
}
