//! What `/api/v1/clients/{name}` says of one computer alone: its seats, its setup files, and when it comes.

use jiff::Timestamp;
use sealpost_manifests::ids::{SerialNumber, ServerId};
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_site::changes::seat_history::{Holder, SetupIssue};
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::standing::{ComputerState, Gate};
use serde::{Deserialize, Serialize};

use crate::schedules::PlannedLine;

/// Setup Info of one computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupInfo {
    /// How it stands.
    pub state: ComputerState,
    /// What its gate lets its products do, as far as the server can tell.
    pub gate: Gate,
    /// The seats that its name holds, for good.
    pub seats: Vec<HeldSeat>,
    /// The groups that it belongs to, by their lists and rules.
    pub groups: Vec<GroupName>,
    /// When the computer that holds the name enrolled.
    pub enrolled_at: Option<Timestamp>,
    /// When that computer got its first license; absent before, and where the ledger lost it.
    pub first_contact: Option<Timestamp>,
    /// What it ran before of the packages that it runs, where that was another release.
    pub before: Vec<InstalledPackage>,
    /// The install that is planned for it; absent once it enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<PlannedLine>,
    /// When it comes.
    pub contact: ContactRule,
    /// Its setup files, the newest first; the newest 1,000 things that happened with its name are looked at.
    pub setups: Vec<SetupIssue>,
    /// The computers that held the name before, the newest first. Their keys are dead.
    pub former: Vec<Holder>,
    /// Where it reaches this server.
    pub server: ServerWays,
}

/// A seat that a name holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSeat {
    /// Whose seat it is.
    pub serial: SerialNumber,
    /// When it was taken; absent where the log that was read does not say.
    pub reserved_at: Option<Timestamp>,
    /// Until when the grant gives new licenses; absent of a grant that does not count.
    pub not_after: Option<Timestamp>,
    /// When the vendor ended the serial number; absent while it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// When a computer comes, and when its contact counts as lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactRule {
    /// Seconds between two contacts now: 60 before the first license, else four hours; a tenth more or less.
    pub every_secs: u32,
    /// Seconds until it tries again after a contact that failed.
    pub after_failure_secs: u32,
    /// By when the next one is due; absent of a name without a computer, and of one that comes by file.
    pub due_by: Option<Timestamp>,
    /// Seconds of silence, without those in which no server ran, after which contact counts as lost.
    pub lost_after_secs: u32,
}

/// Where a computer reaches a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerWays {
    /// The server's id.
    pub server_id: ServerId,
    /// Its addresses, best first.
    pub addresses: Vec<String>,
    /// Its port.
    pub port: u16,
}
