//! The ways to a server, in the order in which they are tried.

use crate::domain::server_list::single_ways;
use crate::records::holdings::Holdings;
use crate::records::progress::Progress;
use crate::server::{Connections, Endpoint, ServerError};

use sealpost_manifests::setup::ServerEntry;

use super::context::Host;

/// An address, and the entry that names only this address.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) entry: ServerEntry,
    pub(super) endpoint: Endpoint,
}

/// Every way, the preferred one first, by clients that are kept there.
///
/// # Errors
/// [`ServerError::Setup`].
pub(super) fn ways(
    host: &Host,
    connections: &Connections,
    holdings: &Holdings,
    progress: &Progress,
) -> Result<Vec<Way>, ServerError> {
    let enrollment = &holdings.enrollment;
    let times = host.tls_times(enrollment.setup_issued_at, &progress.computer.floors);
    let standing = progress.of(&holdings.identity.server_id);
    let mut ways = Vec::new();
    for entry in single_ways(holdings.server_list.good(), standing.answered_by.as_ref(), &enrollment.server) {
        for endpoint in connections.of_server(&entry, &times)? {
            if standing.takes_packed && standing.answered_by.as_ref() == Some(&entry) {
                endpoint.took_packed(true);
            }
            ways.push(Way { entry: entry.clone(), endpoint });
        }
    }
    Ok(ways)
}
