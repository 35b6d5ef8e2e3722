//! `/api/v1/client-lines`: the list of all computers, to look through.

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, PackageName, Platform, SerialNumber, Tag,
};
use sealpost_manifests::version::Version;
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_site::rules::came_by::CameBy;
use sealpost_site::rules::computer_filter::{ComputerFilter, Sort};
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::standing::{ComputerState, Gate};
use serde::{Deserialize, Serialize};

use crate::schedules::PlannedLine;

/// Computers in one page by name, at the most.
pub const MAX_LINES: u32 = 500;
/// Computers in one page of another order, at the most: for each page of it the server looks at all of them.
pub const MAX_SORTED_LINES: u32 = 5_000;
/// Computers that the server looks at for one page by name; a page on which few are wanted may be short, or empty.
pub const MAX_LOOKED_AT: u32 = 5_000;

/// `GET /api/v1/client-lines`: which page, and of which computers. Of several conditions each has to be met.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ClientLinesQuery {
    /// Where the page begins: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many; [`MAX_LINES`] when absent, or [`MAX_SORTED_LINES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// By what it is sorted: `name` (when absent), `state`, `version` or `last_contact`, with `-` in front from the other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<Sort>,
    /// Only those that stand so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ComputerState>,
    /// Only those of this group, by its list or by its rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// Only those that run this package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageName>,
    /// Only those that run this version, of the package where one is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Only enrolled ones that were not heard for so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_for: Option<u32>,
    /// Only those that hold a seat of this serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<SerialNumber>,
}

impl ClientLinesQuery {
    /// What each computer of the page has to meet.
    #[must_use]
    pub fn filter(&self) -> ComputerFilter {
        ComputerFilter {
            state: self.state,
            group: self.group.clone(),
            package: self.package.clone(),
            version: self.version.clone(),
            silent_for: self.silent_for.map(|seconds| SignedDuration::from_secs(seconds.into())),
            serial: self.serial.clone(),
        }
    }
}

/// A page of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientLinesPage {
    /// In the order that was asked for.
    pub clients: Vec<ClientLine>,
    /// Give this as `after` for the next page; absent on the last.
    pub next: Option<String>,
}

/// A computer in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientLine {
    /// The name that holds the seat.
    pub name: ComputerName,
    /// How it stands.
    pub state: ComputerState,
    /// `V 0.0 (0000)` until first contact.
    pub display_version: String,
    /// The channel that it follows.
    pub channel: ChannelName,
    /// The serial numbers whose seats its name holds.
    pub serials: Vec<SerialNumber>,
    /// When the last of these ended, if each of them has: its license is not renewed. Absent where one goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_ended: Option<Timestamp>,
    /// The groups that it belongs to, by their lists and rules.
    pub groups: Vec<GroupName>,
    /// What its gate lets its products do, as far as the server can tell.
    pub gate: Gate,
    /// Its last contact (`Last Refresh`).
    pub last_contact: Option<Timestamp>,
    /// How its last contact came: an address, or `file`; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came_by: Option<CameBy>,
    /// Until when its lease is good.
    pub lease_until: Option<Timestamp>,
    /// When the seat was taken.
    pub reserved_at: Timestamp,
    /// When it enrolled.
    pub enrolled_at: Option<Timestamp>,
    /// Its id, once enrolled.
    pub client_id: Option<ClientId>,
    /// The platform that it runs, once enrolled.
    pub platform: Option<Platform>,
    /// The version of its agent.
    pub agent_version: Option<String>,
    /// What it runs.
    pub installed: Vec<InstalledPackage>,
    /// The tags of its configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The install that is planned for it; absent once it enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<PlannedLine>,
}
