//! `/api/v1/links`: what goes over each link now, and what waits for it.

use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::word::Word;
use sealpost_site::rules::rollouts::links::{Rate, Subnet};
use serde::{Deserialize, Serialize};

/// Most computers that a link names; of more only the number is told.
pub const MAX_NAMED: usize = 100;

/// `GET /api/v1/links`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LinksView {
    /// Every link that is set, by name.
    pub links: Vec<LinkView>,
}

/// What goes over one link. What was sent is known since the server started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkView {
    /// Its name.
    pub name: Word,
    /// Who is behind it.
    pub subnets: Vec<Subnet>,
    /// What all downloads over it share.
    pub rate: Rate,
    /// How many long downloads go over it at one time.
    pub concurrent: u16,
    /// How many of them do now.
    pub downloading: u64,
    /// Computers that wait for a turn.
    pub waiting: u64,
    /// Short downloads that are under way.
    pub short_downloading: u64,
    /// Computers that wait for a short download.
    pub short_waiting: u64,
    /// Bytes of all of these that are still to go.
    pub left_bytes: u64,
    /// How long the link needs for them, in seconds.
    pub needs_secs: u64,
    /// Bytes that were sent in the last 24 hours, by whole hours.
    pub day_bytes: u64,
    /// Bytes that were sent since the server started.
    pub sent_bytes: u64,
}

/// `GET /api/v1/links/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkDetail {
    /// The link.
    #[serde(flatten)]
    pub link: LinkView,
    /// Long downloads that are under way; of many the first [`MAX_NAMED`].
    pub downloads: Vec<Downloading>,
    /// Who waits for a turn, in its order; of many the first [`MAX_NAMED`].
    pub line: Vec<Waits>,
}

/// A long download that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Downloading {
    /// The computer; absent when its seat is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computer: Option<ComputerName>,
    /// Bytes that it asked for.
    pub bytes: u64,
    /// Bytes that are still to go.
    pub left_bytes: u64,
    /// For how long it has been under way.
    pub for_secs: u64,
}

/// A computer that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// The computer; absent when its seat is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computer: Option<ComputerName>,
    /// Bytes that it asks for.
    pub bytes: u64,
}
