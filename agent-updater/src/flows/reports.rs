//! Opening the waiting reports, above everything that a server has seen.

use crate::platform::store::StoreError;
use crate::records::server::ServerRecords;
use crate::records::servers;
use crate::spool::Spool;

use super::context::Host;

/// # Errors
/// [`StoreError`] when the spool cannot be used, or not be put aside.
pub(super) fn open(host: &Host) -> Result<Spool, StoreError> {
    // Reports stop nothing: without the list of the servers, ids go on from the spool alone.
    let servers = servers::load(&host.home).unwrap_or_default();
    let acknowledged =
        servers.iter().map(|server| ServerRecords::of(&host.home, server).acknowledged_report()).max();
    Spool::open_or_begin_anew(&host.home, host.now(), acknowledged.unwrap_or(0))
}
