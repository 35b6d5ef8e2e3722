//! Whether an offered lease or assignment is accepted, compared with who this computer is and what it holds.
//!
//! Signatures are checked before (the arguments come out of `Verified`); here the content is judged. An order lower than
//! the held one of its own type is refused; the same one again is fine. The vendor's part of an epoch counts only if a
//! grant that is held raised it.
//! Left out on purpose: grants ([`super::grants`]).

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::{ClientId, ComputerName, ServerId};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::order::{Epoch, Order, Ordered, Signer};

/// Who this computer is to its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The id that enrollment gave.
    pub client_id: ClientId,
    /// The key that this computer made.
    pub client_key: PublicKey,
    /// The name that holds the seats.
    pub computer_name: ComputerName,
    /// The only server whose documents are accepted.
    pub server_id: ServerId,
}

/// What a document of a server is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Standard<'a> {
    pub identity: &'a Identity,
    /// The vendor's part of the highest epoch in the grants that are held for the server.
    pub granted: u32,
    /// The highest order of the document's type that was ever held.
    pub highest: Option<Order>,
    pub now: Timestamp,
}

/// Why a lease, an assignment or a grant is refused, or no longer counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LicenseRefusal {
    /// It is for another client id, key or computer name.
    #[error("it is for another computer; enroll this computer again with a setup file of its own")]
    OtherComputer,
    #[error("it is by the server {0}, not by the one that this computer is enrolled with")]
    OtherServer(ServerId),
    #[error(
        "it is signed by a standby server (certificate {}), which this version does not know; update the agent",
        .0.short()
    )]
    StandbySigner(Sha256Digest),
    /// The vendor has not raised the epoch that far, as far as this computer knows.
    #[error(
        "it is of epoch {found}, and the vendor's grants reach {granted}; let the server's administrator register again"
    )]
    EpochNotGranted { found: Epoch, granted: u32 },
    /// It is older than the one that is held.
    #[error(
        "it is number {found}, and {held} was held before; the server was restored to an older state, ask its \
         administrator"
    )]
    WentBack {
        found: Order,
        /// The highest that was ever held.
        held: Order,
    },
    #[error("it ended at {0}; let the computer contact its server")]
    Ended(Timestamp),
    /// A license model that this program does not know.
    #[error("it is a {0} license, which this program does not know; update the agent")]
    UnknownModel(LicenseModel),
    #[error("it names no seat; ask the server's administrator")]
    NoSeat,
    /// No grant of the vendor that is held, for this server and its site key, is for a serial number of its seats.
    #[error(
        "the vendor's grants that this computer holds cover no seat of it; let the server's administrator register again"
    )]
    NotGranted,
    /// The site key changed without a higher key epoch.
    #[error(
        "the site key changed, but the vendor's grant has no higher key epoch; ask the server's administrator"
    )]
    SiteKeyChanged,
    /// Of a lower generation than held.
    #[error("the grant has generation {found}, and {held} was held before")]
    GrantWentBack { found: u64, held: u64 },
    #[error("this computer holds {0} grants of the server already, and takes no more")]
    TooManyGrants(usize),
}

/// Checks that a lease is for this computer, not older than the held one, and that a seat of it is live.
///
/// # Errors
/// [`LicenseRefusal`].
pub fn judge_lease(lease: &Lease, standard: &Standard<'_>) -> Result<(), LicenseRefusal> {
    judge_order(lease, standard)?;
    let identity = standard.identity;
    if lease.client_key != identity.client_key || lease.computer_name != identity.computer_name {
        return Err(LicenseRefusal::OtherComputer);
    }
    if lease.live(standard.now).next().is_some() {
        return Ok(());
    }
    let countable = lease.entitlements.iter().filter(|seat| seat.model == LicenseModel::Named);
    match (countable.map(|seat| seat.not_after).max(), lease.entitlements.first()) {
        (Some(end), _) => Err(LicenseRefusal::Ended(end)),
        (None, Some(unknown)) => Err(LicenseRefusal::UnknownModel(unknown.model)),
        (None, None) => Err(LicenseRefusal::NoSeat),
    }
}

/// Checks that an assignment is for this computer, not older than the held one, and not past its end.
///
/// # Errors
/// [`LicenseRefusal`].
pub fn judge_assignment(assignment: &Assignment, standard: &Standard<'_>) -> Result<(), LicenseRefusal> {
    judge_shown_assignment(assignment, standard)?;
    if assignment.expires_at < standard.now {
        return Err(LicenseRefusal::Ended(assignment.expires_at));
    }
    Ok(())
}

/// As [`judge_assignment`], for one that is only shown to the server that signed it: also one that ended is the newest.
///
/// # Errors
/// [`LicenseRefusal`].
pub fn judge_shown_assignment(
    assignment: &Assignment,
    standard: &Standard<'_>,
) -> Result<(), LicenseRefusal> {
    judge_order(assignment, standard)
}

fn judge_order(document: &impl Ordered, standard: &Standard<'_>) -> Result<(), LicenseRefusal> {
    if *document.server_id() != standard.identity.server_id {
        return Err(LicenseRefusal::OtherServer(document.server_id().clone()));
    }
    if *document.client_id() != standard.identity.client_id {
        return Err(LicenseRefusal::OtherComputer);
    }
    if let Signer::Standby(certificate) = document.signer() {
        return Err(LicenseRefusal::StandbySigner(certificate));
    }
    let found = document.order();
    if found.epoch.vendor() > standard.granted {
        return Err(LicenseRefusal::EpochNotGranted { found: found.epoch, granted: standard.granted });
    }
    match standard.highest {
        Some(held) if found < held => Err(LicenseRefusal::WentBack { found, held }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
