//! `/api/v1/pending` and `/api/v1/clients/{name}/admit`: computers that wait, and which of them is admitted.

use jiff::Timestamp;
use sealpost_keys::{Fingerprint, PublicKey};
use sealpost_manifests::ids::{ChannelName, ComputerName, Platform, SerialNumber};
use sealpost_site::rows::{KnockRow, WaitingRow};
use serde::{Deserialize, Serialize};

/// Most rows of one page.
pub const MAX_PENDING_ROWS: u32 = 500;

/// The query of `GET /api/v1/pending`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PendingQuery {
    /// Only those that came after this one, as [`PendingPage::next`] says.
    pub after: Option<u64>,
    /// Most rows, at most [`MAX_PENDING_ROWS`].
    pub limit: Option<u32>,
}

/// A page of computers that wait, the first first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PendingPage {
    /// The rows.
    pub pending: Vec<PendingComputer>,
    /// Where to go on; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// A computer that asked to be enrolled and waits. What it says of itself is unproven, but for its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingComputer {
    /// The name that it gave.
    pub name: ComputerName,
    /// Its key; absent of one that came before keys were noted, which has to ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Fingerprint>,
    /// The address that it came from.
    pub source: String,
    /// What it can run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The version of its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// When it came first.
    pub since: Timestamp,
    /// Where its name stands.
    pub standing: NameStanding,
}

/// Where a name stands under which a computer waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameStanding {
    /// It holds no seat: to admit the computer takes one, for good.
    NoSeat,
    /// It holds a seat, and no computer is enrolled under it.
    Reserved,
    /// A computer is enrolled under it, whose key ends if this one is admitted and comes.
    Enrolled,
}

impl PendingComputer {
    /// A row as it is told.
    #[must_use]
    pub fn new(row: WaitingRow) -> Self {
        let WaitingRow { name, source, seen_at: since, sequence: _, knock, reserved, enrolled } = row;
        let standing = match (reserved, enrolled) {
            (_, true) => NameStanding::Enrolled,
            (true, false) => NameStanding::Reserved,
            (false, false) => NameStanding::NoSeat,
        };
        let (key, platform, agent_version) = match knock {
            Some(KnockRow { client_key, platform, agent_version }) => {
                (Some(Fingerprint::of(&client_key)), Some(platform), Some(agent_version))
            }
            None => (None, None, None),
        };
        Self { name, key, source, platform, agent_version, since, standing }
    }
}

/// `POST /api/v1/clients/{name}/admit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmitRequest {
    /// The key, as the computer shows it.
    pub key: Fingerprint,
    /// The whole of it, where that was typed: so is a computer admitted that the list has no room for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<PublicKey>,
    /// The channel that it follows; when absent `stable`, or the one that the name follows already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// The serial number whose seat it is to be; the first with a free seat when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<SerialNumber>,
    /// Whether a name with letters of several scripts is meant so.
    #[serde(default)]
    pub mixed_scripts: bool,
    /// Whether a name that is spelled nearly as one which holds a seat is meant so.
    #[serde(default)]
    pub similar: bool,
}

/// What an admission led to. The same again answers the same, and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmitAnswer {
    /// The name, as it holds its seat.
    pub name: ComputerName,
    /// The key.
    pub key: Fingerprint,
    /// After it the key is admitted no more; absent if the computer came already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whose seat the name took for it; absent if it held one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<SerialNumber>,
    /// Whether another computer is enrolled under the name, whose key ends when this one comes.
    #[serde(default)]
    pub replaces: bool,
}
