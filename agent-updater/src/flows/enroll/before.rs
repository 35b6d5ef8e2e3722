//! Who this computer was to a server before an enrollment.

use sealpost_manifests::document;
use sealpost_manifests::ids::{ClientId, ComputerName};
use sealpost_manifests::lease::Lease;

use crate::records::server::ServerRecords;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) client_id: ClientId,
    pub(super) computer_name: ComputerName,
}

/// Who this computer is by the records of a server; `None` if it was never enrolled there, or nothing says so any more.
///
/// If the enrollment cannot be read, the lease says it, whose signature is not checked here: it grants nothing. At worst
/// a person has to add an option because of the name, or nonces go on that the server refuses of another client.
pub(super) fn identity_before(records: ServerRecords<'_>) -> Option<Before> {
    match records.enrollment() {
        Ok(enrollment) => {
            let enrollment = enrollment?;
            Some(Before { client_id: enrollment.client_id, computer_name: enrollment.computer_name })
        }
        Err(_) => {
            let lease = records.lease().ok().flatten()?;
            let lease: Lease = document::read(lease.document.as_bytes()).ok()?;
            Some(Before { client_id: lease.client_id, computer_name: lease.computer_name })
        }
    }
}
