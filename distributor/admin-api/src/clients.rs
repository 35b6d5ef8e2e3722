//! `/api/v1/clients`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, PackageName, Platform, SerialNumber, Tag,
};
use sealpost_manifests::log::LogHead;
use sealpost_manifests::wire::contact::{DriftKind, InstalledPackage};
use sealpost_manifests::wire::problem::Problem;
use sealpost_manifests::wire::report::Report;
use sealpost_site::rows::{ClientRow, DriftRow, LogForkRow, ResumedRow};
use sealpost_site::rules::came_by::CameBy;
use sealpost_site::rules::contact::ClientState;
use sealpost_site::rules::explain::Explanation;
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::troubles::Trouble;
use serde::{Deserialize, Serialize};

use crate::content::RunsContent;
use crate::copies::{CopyLine, ThirdComputer};
use crate::setup_info::SetupInfo;

/// Clients in one page, at the most.
pub const MAX_CLIENTS: u32 = 500;

/// `GET /api/v1/clients`: which page, and of which clients. Of several conditions each has to be met.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ClientsQuery {
    /// Only names after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ComputerName>,
    /// At most so many; [`MAX_CLIENTS`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only those whose last report about an approved release says that the install failed, or that are refused as copies.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub failing: bool,
    /// Only enrolled ones that were not heard for days.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub offline: bool,
    /// Only those that have not installed for a day what they were told to run.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub outdated: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a field by reference")]
const fn is_unset(flag: &bool) -> bool {
    !*flag
}

impl ClientsQuery {
    /// What has to be wrong with each client of the page.
    #[must_use]
    pub fn with(&self) -> Vec<Trouble> {
        let wanted = [
            (self.failing, Trouble::Failing),
            (self.offline, Trouble::Offline),
            (self.outdated, Trouble::Outdated),
        ];
        wanted.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, trouble)| trouble).collect()
    }
}

/// A page of reservations.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientsPage {
    /// Sorted by name.
    pub clients: Vec<Client>,
    /// Give this as `after` for the next page; absent on the last.
    pub next: Option<ComputerName>,
}

/// A reservation and its computer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Client {
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
    /// The version of its agent.
    pub agent_version: Option<String>,
    /// The name that it gives itself.
    pub hostname: Option<String>,
    /// Digest of its machine's and boot's ids: two computers with one identity differ in it.
    pub instance: Option<Sha256Digest>,
    /// How it went on after the last restore of the server; absent when it had no need to.
    pub resumed: Option<Resumed>,
    /// The heads of the log that did not fit each other, if it reported that the log was forked.
    pub log_fork: Option<LogFork>,
    /// Last contact (`Last Refresh`).
    pub last_contact: Option<Timestamp>,
    /// Until when its lease is good.
    pub lease_until: Option<Timestamp>,
    /// What it runs.
    pub installed: Vec<InstalledPackage>,
    /// Installed packages that are not as they were signed, as it said last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Drift>,
    /// Installed packages whose release goes to nobody any more: the vendor withdrew it, or it was halted here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<Stopped>,
    /// How old the signature files are that it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<RunsContent>,
    /// What it should run.
    pub assigned: Vec<PackageAssignment>,
    /// Its last report per package.
    pub last_reports: Vec<Report>,
    /// `V 0.0 (0000)` until first contact.
    pub display_version: String,
    /// Whether it holds a wake stream now.
    pub connected: bool,
    /// The groups that list it by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupName>,
    /// The tags of its configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// How its last contact came: an address, or `file`; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came_by: Option<CameBy>,
    /// One per package: what it runs, what it should run, why not yet, when that changes. Filled when one computer is
    /// asked for, empty in lists.
    #[serde(default)]
    pub explanations: Vec<Explanation>,
    /// Its seats, its setup files, and when it comes. Filled when one computer is asked for, absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_info: Option<SetupInfo>,
    /// The computers that use its identity, if there are two. Filled when one computer is asked for, empty in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<CopyLine>,
    /// The newest contact that came from neither of two computers. Filled when one computer is asked for, absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub third: Option<ThirdComputer>,
}

impl Client {
    /// What is answered of a reservation; `stopped` are the halted and withdrawn releases of the site, by manifest.
    #[must_use]
    pub fn new(
        row: ClientRow,
        connected: bool,
        explanations: Vec<Explanation>,
        stopped: &BTreeMap<Sha256Digest, ReleaseState>,
        content: Vec<RunsContent>,
    ) -> Self {
        let display_version = row.display_version().to_string();
        let ClientRow {
            name,
            channel,
            state,
            reserved_at,
            client_id,
            client_key,
            platform,
            agent_version,
            hostname,
            instance,
            resumed,
            log_fork,
            last_contact,
            lease_until,
            installed,
            before: _,
            drift,
            assigned,
            last_reports,
            listed,
            tags,
            postponed: _,
            came_by,
            deliveries: _,
        } = row;
        let stopped = installed.iter().filter_map(|runs| {
            let state = *stopped.get(&runs.manifest)?;
            Some(Stopped { package: runs.package().clone(), state })
        });
        let stopped = stopped.collect();
        Self {
            name,
            channel,
            state,
            reserved_at,
            client_id,
            client_key,
            platform,
            agent_version,
            hostname,
            instance,
            resumed: resumed.map(Resumed::from),
            log_fork: log_fork.map(LogFork::from),
            last_contact,
            lease_until,
            installed,
            drift: drift.into_iter().map(Drift::from).collect(),
            stopped,
            content,
            assigned,
            last_reports,
            display_version,
            connected,
            groups: listed.into_iter().collect(),
            tags,
            came_by,
            explanations,
            setup_info: None,
            copies: Vec::new(),
            third: None,
        }
    }
}

/// An installed package whose release goes to nobody any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// The package.
    pub package: PackageName,
    /// Withdrawn or halted.
    pub state: ReleaseState,
}

/// An installed package that is not as it was signed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Drift {
    /// The package.
    pub package: PackageName,
    /// How it differs.
    pub kind: DriftKind,
    /// When the computer first said so, by the server's license time.
    pub since: Timestamp,
}

impl From<DriftRow> for Drift {
    fn from(row: DriftRow) -> Self {
        let DriftRow { package, kind, since } = row;
        Self { package, kind, since }
    }
}

/// How a computer went on after a restore of the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Resumed {
    /// When.
    pub at: Timestamp,
    /// How many of its contacts the server had answered before.
    pub contacts: u64,
    /// Until when it is served, should the vendor not confirm.
    pub provisional_until: Timestamp,
    /// How far another computer with its identity had come that went on before, and is refused since.
    pub displaced: Option<u64>,
}

impl From<ResumedRow> for Resumed {
    fn from(row: ResumedRow) -> Self {
        let ResumedRow { at, contacts, provisional_until, displaced } = row;
        Self { at, contacts, provisional_until, displaced }
    }
}

/// Two heads of the log that a computer saw, of which the later does not extend the earlier.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogFork {
    /// The head that it held before.
    pub held: LogHead,
    /// The head that it was shown, and refused as a successor.
    pub seen: LogHead,
    /// When it first said so, by the server's license time.
    pub at: Timestamp,
}

impl From<LogForkRow> for LogFork {
    fn from(row: LogForkRow) -> Self {
        let LogForkRow { name: _, held, seen, at } = row;
        Self { held, seen, at }
    }
}

/// `POST /api/v1/clients`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReserveRequest {
    /// The computer's name.
    pub name: ComputerName,
    /// The channel that it follows; when absent `stable`, or the one that it follows already.
    #[serde(default)]
    pub channel: Option<ChannelName>,
    /// Whether a name with letters of several scripts is meant so.
    #[serde(default)]
    pub mixed_scripts: bool,
    /// Whether a name that is spelled nearly as one which holds a seat is meant so.
    #[serde(default)]
    pub similar: bool,
    /// The serial number whose seat it is to be; the first with a free seat when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<SerialNumber>,
}

/// `POST /api/v1/clients/reserve`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReserveManyRequest {
    /// The names, at most 500.
    pub wanted: Vec<SeatWanted>,
    /// Whether names with letters of several scripts are meant so.
    #[serde(default)]
    pub mixed_scripts: bool,
    /// Whether names that are spelled nearly as others, of this request or of the site, are meant so.
    #[serde(default)]
    pub similar: bool,
}

/// A seat that is wanted for a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatWanted {
    /// The computer's name.
    pub name: ComputerName,
    /// The channel that it follows; when absent `stable`, or the one that it follows already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// The serial number whose seat it is to be; the first with a free seat when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<SerialNumber>,
}

/// What became of the names of a batch, in the order in which they came.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReservedMany {
    /// One for each.
    pub answers: Vec<SeatAnswer>,
}

/// What became of one name of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum SeatAnswer {
    /// It took a seat.
    Taken {
        /// As the name is spelled.
        name: ComputerName,
        /// The channel that it follows.
        channel: ChannelName,
        /// Whose seat it is.
        serial: SerialNumber,
    },
    /// It held one already.
    Held {
        /// As the name is spelled.
        name: ComputerName,
    },
    /// It got none.
    Refused {
        /// As it was typed.
        name: ComputerName,
        /// Why.
        problem: Problem,
    },
}

/// `POST /api/v1/clients/{name}/channel`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChannelRequest {
    /// The channel that the computer follows from now on.
    pub channel: ChannelName,
}
