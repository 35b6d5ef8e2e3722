//! `/api/v1/groups`: groups with their computers. They are made and removed as settings.

use sealpost_manifests::ids::ComputerName;
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::rollouts::settings::GroupSettings;
use serde::{Deserialize, Serialize};

use crate::updates::Computers;

/// Names in one page of a group's list, at the most.
pub const MAX_MEMBERS: u32 = 1_000;

/// `GET /api/v1/groups`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupsView {
    /// By name.
    pub groups: Vec<Group>,
}

/// A group with its computers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// Description, rule, delivery, content and rank.
    pub settings: GroupSettings,
    /// Computers with a seat that belong to it now, by its rule or its list.
    pub computers: Computers,
}

/// `GET /api/v1/groups/{name}/members`: which page.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MembersQuery {
    /// Only after this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ComputerName>,
    /// At most so many; [`MAX_MEMBERS`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A page of the computers that a group lists by name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MembersPage {
    /// In order; they need no seat.
    pub members: Vec<ComputerName>,
    /// Give this as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ComputerName>,
}

/// `POST /api/v1/groups/{name}/members`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MembersRequest {
    /// To be listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<ComputerName>,
    /// Not to be listed any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<ComputerName>,
    /// Why, for whoever reads the log later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}
