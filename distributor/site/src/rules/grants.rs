//! Whether a verified grant is one for this server, and not an older one than it holds.
//!
//! The vendor's signature is checked before; here it is only compared. Left out on purpose: a new site key for the same
//! server id, and the vendor's word that a restore is confirmed (both come as grants with higher epochs).

use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{SerialNumber, ServerId};
use sealpost_manifests::order::Epoch;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

/// What is held of the same serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldGrant {
    /// Its generation.
    pub generation: u64,
    /// Its epoch.
    pub epoch: Epoch,
    /// Digest of its exact text.
    pub digest: Sha256Digest,
}

/// What to do with a good grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// Write it down.
    New,
    /// It is the one that is held: answer the same.
    Same,
}

/// Why a grant is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantRefusal {
    /// It is for another server.
    OtherServer,
    /// It is for this server id with another site key.
    OtherSiteKey,
    /// It is for another serial number than was asked for.
    OtherSerial,
    /// Seats are counted in a way that this server does not know.
    Model(LicenseModel),
    /// An older one than the one that is held.
    Generation {
        /// Held.
        held: u64,
        /// Offered.
        offered: u64,
    },
    /// The vendor signed two different grants of one generation.
    SameGenerationOtherContent {
        /// Which.
        generation: u64,
    },
    /// Its epoch is lower than the one that is held.
    Epoch {
        /// Held.
        held: Epoch,
        /// Offered.
        offered: Epoch,
    },
    /// Its epoch has a term, which no vendor gives.
    Term {
        /// Offered.
        offered: Epoch,
    },
}

impl GrantRefusal {
    /// As it is answered.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (message, hint) = match self {
            Self::OtherServer => (
                "the grant is for another server".to_owned(),
                "register the serial number on this server, and use the code that comes back for it",
            ),
            Self::OtherSiteKey => (
                "the grant names this server's id with another site key".to_owned(),
                "this server was set up again; ask the vendor to clear the key of the serial number, then register again",
            ),
            Self::OtherSerial => (
                "the grant is for another serial number than was asked for".to_owned(),
                "ask the vendor; a registration code is for one serial number",
            ),
            Self::Model(model) => (
                format!("the grant counts {model} seats, which this version cannot count"),
                "update the server, or ask the vendor for named seats",
            ),
            Self::Generation { held, offered } => (
                format!("the grant has generation {offered}, and this server holds {held} already"),
                "use the newest unlock code of the serial number",
            ),
            Self::SameGenerationOtherContent { generation } => (
                format!("the vendor signed two different grants of generation {generation}"),
                "report this to the vendor; the grant that is held stays in force",
            ),
            Self::Term { offered } => (
                format!(
                    "the grant has epoch {offered}, and the part after the plus sign is not the vendor's to give"
                ),
                "report this to the vendor; the grant that is held stays in force",
            ),
            Self::Epoch { held, offered } => (
                format!("the grant has epoch {offered}, and this server holds {held} already"),
                "use the newest unlock code of the serial number",
            ),
        };
        Problem::new(ProblemCode::GrantRefused, message, hint)
    }
}

/// Judges a verified grant. `asked_for` is the serial number of the registration that it answers, if it answers one.
///
/// # Errors
/// [`GrantRefusal`].
pub fn judge(
    grant: &Grant,
    digest: Sha256Digest,
    held: Option<HeldGrant>,
    asked_for: Option<&SerialNumber>,
    server_id: &ServerId,
    site_key: &PublicKey,
) -> Result<Acceptance, GrantRefusal> {
    if grant.server_id != *server_id {
        return Err(GrantRefusal::OtherServer);
    }
    if grant.site_key != *site_key {
        return Err(GrantRefusal::OtherSiteKey);
    }
    if asked_for.is_some_and(|serial| *serial != grant.serial) {
        return Err(GrantRefusal::OtherSerial);
    }
    if grant.model != LicenseModel::Named {
        return Err(GrantRefusal::Model(grant.model));
    }
    if grant.epoch.term() != 0 {
        return Err(GrantRefusal::Term { offered: grant.epoch });
    }
    let Some(held) = held else { return Ok(Acceptance::New) };
    if grant.generation < held.generation {
        return Err(GrantRefusal::Generation { held: held.generation, offered: grant.generation });
    }
    if grant.generation == held.generation {
        return if digest == held.digest {
            Ok(Acceptance::Same)
        } else {
            Err(GrantRefusal::SameGenerationOtherContent { generation: grant.generation })
        };
    }
    if grant.epoch < held.epoch {
        return Err(GrantRefusal::Epoch { held: held.epoch, offered: grant.epoch });
    }
    Ok(Acceptance::New)
}
