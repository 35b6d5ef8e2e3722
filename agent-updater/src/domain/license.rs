//! Whether an offered lease, assignment or grant is taken, held against who this computer is and what it holds.
//!
//! Signatures are checked before (the arguments come out of `Verified`); here the content is judged. An older
//! (epoch, sequence) than held is refused; the same one again is fine.

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
    /// The one server whose word counts.
    pub server_id: ServerId,
}

/// Orders leases and assignments of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Raised by the vendor after a restore or a takeover.
    pub epoch: u64,
    /// Raised by the server.
    pub sequence: u64,
}

/// Why a lease or an assignment is not taken, or no longer counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LicenseRefusal {
    /// It is for another client id, key or computer name.
    #[error("it is for another computer; enroll this computer again with a setup file of its own")]
    OtherComputer,
    /// It is by another server.
    #[error("it is by the server {0}, not by the one that this computer is enrolled with")]
    OtherServer(ServerId),
    /// It is older than what is held.
    #[error("it is number {}.{}, and {}.{} was held before; a server was set back, ask its administrator", found.epoch, found.sequence, held.epoch, held.sequence)]
    WentBack {
        /// What was offered.
        found: Place,
        /// The highest that was held.
        held: Place,
    },
    /// Its time is over.
    #[error("it ended at {0}; let the computer contact its server")]
    Ended(Timestamp),
    /// A model of counting that this program does not know.
    #[error("it is a {0} license, which this program does not know; update the agent")]
    UnknownModel(LicenseModel),
    /// The site key changed without a higher key epoch.
    #[error(
        "the site key changed, but the vendor's grant has no higher key epoch; ask the server's administrator"
    )]
    SiteKeyChanged,
    /// Of a lower generation than held.
    #[error("the grant has generation {found}, and {held} was held before")]
    GrantWentBack {
        /// What was offered.
        found: u64,
        /// What is held.
        held: u64,
    },
}

/// The place of a lease.
#[must_use]
pub const fn lease_place(lease: &Lease) -> Place {
    Place { epoch: lease.epoch, sequence: lease.sequence }
}

/// The place of an assignment.
#[must_use]
pub const fn assignment_place(assignment: &Assignment) -> Place {
    Place { epoch: assignment.epoch, sequence: assignment.sequence }
}

fn not_back(found: Place, held: Option<Place>) -> Result<(), LicenseRefusal> {
    match held {
        Some(held) if found < held => Err(LicenseRefusal::WentBack { found, held }),
        _ => Ok(()),
    }
}

/// Whether a lease is this computer's, not older than held, and live at license time `now`.
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
    not_back(lease_place(lease), held)?;
    if lease.not_after < now {
        return Err(LicenseRefusal::Ended(lease.not_after));
    }
    Ok(())
}

/// Whether an assignment is this computer's, not older than held, and not expired at license time `now`.
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
    not_back(assignment_place(assignment), held)?;
    if assignment.expires_at < now {
        return Err(LicenseRefusal::Ended(assignment.expires_at));
    }
    Ok(())
}

/// Whether a grant that the vendor signed may take the place of the held one: same server; the same site key, or one
/// of a higher key epoch; for the same serial no lower generation.
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
