//! Whether an offered lease, assignment or grant is accepted, compared with who this computer is and what it holds.
//!
//! Signatures are checked before (the arguments come out of `Verified`); here the content is judged. An (epoch,
//! sequence) lower than the held one is refused; the same one again is fine.

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{ClientId, ComputerName, ServerId};
use sealpost_manifests::lease::Lease;
use serde::{Deserialize, Serialize};

/// Who this computer is to its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The id that enrollment gave.
    pub client_id: ClientId,
    /// The key that this computer made.
    pub client_key: PublicKey,
    /// The name that holds the seat.
    pub computer_name: ComputerName,
    /// The only server whose documents are accepted.
    pub server_id: ServerId,
}

/// Orders the leases, and the assignments, of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Raised by the vendor after a restore or a takeover.
    pub epoch: u64,
    /// Raised by the server.
    pub sequence: u64,
}

/// Why a lease, an assignment or a grant is refused, or no longer counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LicenseRefusal {
    /// It is for another client id, key or computer name.
    #[error("it is for another computer; enroll this computer again with a setup file of its own")]
    OtherComputer,
    #[error("it is by the server {0}, not by the one that this computer is enrolled with")]
    OtherServer(ServerId),
    /// It is older than the one that is held.
    #[error("it is number {}.{}, and {}.{} was held before; the server was restored to an older state, ask its administrator", found.epoch, found.sequence, held.epoch, held.sequence)]
    WentBack {
        found: Place,
        /// The highest that was ever held.
        held: Place,
    },
    #[error("it ended at {0}; let the computer contact its server")]
    Ended(Timestamp),
    /// A license model that this program does not know.
    #[error("it is a {0} license, which this program does not know; update the agent")]
    UnknownModel(LicenseModel),
    /// The site key changed without a higher key epoch.
    #[error(
        "the site key changed, but the vendor's grant has no higher key epoch; ask the server's administrator"
    )]
    SiteKeyChanged,
    /// Of a lower generation than held.
    #[error("the grant has generation {found}, and {held} was held before")]
    GrantWentBack { found: u64, held: u64 },
}

#[must_use]
pub const fn lease_place(lease: &Lease) -> Place {
    Place { epoch: lease.epoch, sequence: lease.sequence }
}

#[must_use]
pub const fn assignment_place(assignment: &Assignment) -> Place {
    Place { epoch: assignment.epoch, sequence: assignment.sequence }
}

fn ensure_not_older(found: Place, held: Option<Place>) -> Result<(), LicenseRefusal> {
    match held {
        Some(held) if found < held => Err(LicenseRefusal::WentBack { found, held }),
        _ => Ok(()),
    }
}

/// Checks that a lease is for this computer, not older than the held one, and live at license time `now`.
///
/// # Errors
/// [`LicenseRefusal`].
pub fn judge_lease(
    lease: &Lease,
    identity: &Identity,
    held: Option<Place>,
    now: Timestamp,
) -> Result<(), LicenseRefusal> {
    if lease.server_id != identity.server_id {
        return Err(LicenseRefusal::OtherServer(lease.server_id.clone()));
    }
    if lease.client_id != identity.client_id
        || lease.client_key != identity.client_key
        || lease.computer_name != identity.computer_name
    {
        return Err(LicenseRefusal::OtherComputer);
    }
    if lease.model != LicenseModel::Named {
        return Err(LicenseRefusal::UnknownModel(lease.model));
    }
    ensure_not_older(lease_place(lease), held)?;
    if lease.not_after < now {
        return Err(LicenseRefusal::Ended(lease.not_after));
    }
    Ok(())
}

/// Checks that an assignment is for this computer, not older than the held one, and not expired at license time `now`.
///
/// # Errors
/// [`LicenseRefusal`].
pub fn judge_assignment(
    assignment: &Assignment,
    identity: &Identity,
    held: Option<Place>,
    now: Timestamp,
) -> Result<(), LicenseRefusal> {
    if assignment.server_id != identity.server_id {
        return Err(LicenseRefusal::OtherServer(assignment.server_id.clone()));
    }
    if assignment.client_id != identity.client_id {
        return Err(LicenseRefusal::OtherComputer);
    }
    ensure_not_older(assignment_place(assignment), held)?;
    if assignment.expires_at < now {
        return Err(LicenseRefusal::Ended(assignment.expires_at));
    }
    Ok(())
}

/// Checks that a grant that the vendor signed may replace the held one: same server; the same site key, or one of a
/// higher key epoch; for the same serial no lower generation.
///
/// # Errors
/// [`LicenseRefusal`].
pub fn judge_grant(grant: &Grant, server_id: &ServerId, held: &Grant) -> Result<(), LicenseRefusal> {
    if grant.server_id != *server_id {
        return Err(LicenseRefusal::OtherServer(grant.server_id.clone()));
    }
    if grant.key_epoch < held.key_epoch
        || (grant.site_key != held.site_key && grant.key_epoch == held.key_epoch)
    {
        return Err(LicenseRefusal::SiteKeyChanged);
    }
    if grant.serial == held.serial && grant.generation < held.generation {
        return Err(LicenseRefusal::GrantWentBack { found: grant.generation, held: held.generation });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
