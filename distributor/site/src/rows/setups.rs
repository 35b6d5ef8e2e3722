//! Setup files as they are listed.

use jiff::Timestamp;
use sealpost_manifests::ids::ComputerName;

/// The newest setup file of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupRow {
    /// For which name.
    pub name: ComputerName,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// After it the code is accepted no more; the restore, if one ended it.
    pub expires_at: Timestamp,
    /// Whether a computer used it.
    pub used: bool,
}
