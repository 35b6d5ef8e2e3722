//! Keeping an accepted enrollment, and resetting what an earlier one left.
//!
//! Order: what the enrollment builds on comes first, then the enrollment, whole, and the list of servers names it last.
//! Invariants: what belongs to other servers is not touched. What must never go back (the trusted metadata, the counters
//! of the packages, whose product may run) stays.

use sealpost_files::with_causes;
use sealpost_manifests::setup::ServerRole;

use crate::domain::cadence::Standing;
use crate::domain::floors::Floors;
use crate::flows::context::Host;
use crate::flows::reports;
use crate::platform::store::StoreError;
use crate::records::computer::ComputerProgress;
use crate::records::server::ServerRecords;
use crate::records::servers;
use crate::records::serving;
use crate::records::standing::ServerStanding;
use crate::records::vendor::VendorRecord;
use crate::records::waiting;

use super::answer::Accepted;
use super::before::identity_before;

/// Keeps an enrollment with the server that decides about updates from then on; durable at return.
pub(super) fn keep(host: &Host, accepted: &mut Accepted, vendor: &VendorRecord) -> Result<(), StoreError> {
    accepted.enrollment.server.role = ServerRole::Primary;
    let server = accepted.enrollment.server.server_id.clone();
    let mut spool = reports::open(host)?;
    let mut computer = repaired(ComputerProgress::load(&host.home))?;
    computer.floors = floors(host, accepted);
    spool.begin_above_clock(computer.floors.license_time(host.now()));
    spool.flush()?;
    computer.save(&host.home)?;
    vendor.save(&host.home)?;
    keep_of_server(host, accepted)?;
    servers::prefer(&host.home, &server)?;
    serving::remove(&host.home)?;
    // Whatever this computer waited for: it was enrolled.
    waiting::remove(&host.home)
}

/// Keeps an enrollment with a further server, which becomes the last in the list, or keeps its place there; durable at
/// return. A setup file that says nothing else makes it a secondary. Floors, reports and what is known of the vendor stay:
/// an old setup file must not set the time of the first server back.
pub(super) fn keep_beside(
    host: &Host,
    accepted: &mut Accepted,
    role: Option<ServerRole>,
) -> Result<(), StoreError> {
    accepted.enrollment.server.role = role.unwrap_or(ServerRole::Secondary);
    keep_of_server(host, accepted)?;
    servers::add(&host.home, &accepted.enrollment.server.server_id)
}

/// Keeps what belongs to the server of an enrollment.
fn keep_of_server(host: &Host, accepted: &Accepted) -> Result<(), StoreError> {
    let enrollment = &accepted.enrollment;
    let records = ServerRecords::of(&host.home, &enrollment.server.server_id);
    records.prepare()?;
    let standing = repaired(records.standing())?;
    records.save_standing(&standing_of_the_new(standing))?;
    let is_known = identity_before(records).is_some_and(|before| before.client_id == enrollment.client_id);
    // The nonces go on with a client that the server knows already: without them it would take this computer for a copy
    // of itself.
    if !is_known || records.contact_state().is_err() {
        records.reset_for_new_client()?;
    }
    records.remove_server_list()?;
    records.save_enrollment(enrollment)
}

/// The floors begin again: the setup file's time, then what the vendor says in its grants, the newest last.
fn floors(host: &Host, accepted: &Accepted) -> Floors {
    let mut floors = Floors::from_setup(accepted.enrollment.setup_issued_at);
    let boot = host.boot();
    let mut grants: Vec<_> = accepted.grants.iter().map(|held| &held.grant).collect();
    grants.sort_by_key(|grant| grant.vendor_time);
    for grant in grants {
        floors.accept_grant(grant, boot.as_ref());
    }
    floors
}

/// Orders, heads, notices and the failure of the last contact begin again. A computer that was licensed stays so.
fn standing_of_the_new(before: ServerStanding) -> ServerStanding {
    let standing = match before.standing {
        Standing::Unlicensed => Standing::Unlicensed,
        Standing::Licensed | Standing::LostContact => Standing::Licensed,
    };
    ServerStanding { standing, answered_at: before.answered_at, ..ServerStanding::default() }
}

/// A damaged record is replaced by an empty one: enrolling is how a person repairs it. What keeps old releases out, the
/// trusted metadata and the counters of the packages, has records of its own.
fn repaired<T: Default>(loaded: Result<T, StoreError>) -> Result<T, StoreError> {
    match loaded {
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::warn!("{}; starting with an empty one", with_causes(&error));
            Ok(T::default())
        }
        other => other,
    }
}
