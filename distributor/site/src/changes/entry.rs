//! An entry of the activity log: a change with its place, its time and who did it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::activity::Change;
use crate::rules::account::Actor;

/// One entry of the activity log, as it is hashed and stored: a leaf of the log's Merkle tree.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ActivityEntry {
    /// [`ENTRY_VERSION`](super::parts::ENTRY_VERSION) of the program that wrote it.
    pub version: u32,
    /// From 1, without gaps.
    pub sequence: u64,
    /// License time of the change.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// The change itself.
    pub change: Change,
}
