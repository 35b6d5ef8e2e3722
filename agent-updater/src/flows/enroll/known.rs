//! What this computer is enrolled as with the servers of a setup file.

use jiff::Timestamp;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::setup::SetupFile;

use crate::home::Home;
use crate::records::server::ServerRecords;

use super::before::identity_before;

/// An enrollment that stands, as far as an install file has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The name that this computer has there.
    pub name: ComputerName,
    /// When the setup file was issued that it enrolled with; the beginning of time where its record does not say it.
    pub setup_issued_at: Timestamp,
}

/// The enrollment with the first server of the setup file that knows this computer.
#[must_use]
pub fn known_as(home: &Home, setup: &SetupFile) -> Option<Known> {
    setup.servers.iter().find_map(|listed| {
        let records = ServerRecords::of(home, &listed.server.server_id);
        let name = identity_before(records)?.computer_name;
        let enrollment = ServerRecords::of(home, &listed.server.server_id).enrollment().ok().flatten();
        let setup_issued_at = enrollment.map_or(Timestamp::MIN, |enrollment| enrollment.setup_issued_at);
        Some(Known { name, setup_issued_at })
    })
}
