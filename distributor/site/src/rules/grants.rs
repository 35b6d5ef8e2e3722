//! Whether a verified grant is one for this server, and not an older one than it holds.
//!
//! The vendor's signature is checked before; here it is only compared. Left out on purpose: a new site key for the same
//! server id, and the vendor's word that a restore is confirmed (both come as grants with higher epochs).

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{SerialNumber, ServerId};
use sealpost_manifests::order::Epoch;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use serde::{Deserialize, Serialize};

/// What is held of the same serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldGrant {
    /// Its generation.
    pub generation: u64,
    /// Its epoch.
    pub epoch: Epoch,
    /// Digest of its exact text.
    pub digest: Sha256Digest,
    /// Until when it is good.
    pub not_after: Timestamp,
}

/// What to do with a good grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// Write it down.
    New,
    /// It is the one that is held: answer the same.
    Same,
}

/// What a grant that was accepted changed of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Came {
    /// There was none of this serial number.
    First,
    /// It is good for longer than the one before.
    LaterEnd {
        /// Until when the one before was good.
        before: Timestamp,
    },
    /// It ends when the one before does; something else may be new.
    SameEnd,
    /// It ends earlier.
    EarlierEnd {
        /// Until when the one before was good.
        before: Timestamp,
    },
}

/// Vendors renew a grant that has fewer days left than this; before, a registration brings the same end.
pub const RENEWED_WITHIN_DAYS: i64 = 90;

impl Came {
    /// Compares the end of a grant with that of the one before.
    #[must_use]
    pub fn of(before: Option<Timestamp>, not_after: Timestamp) -> Self {
        match before {
            None => Self::First,
            Some(before) if before < not_after => Self::LaterEnd { before },
            Some(before) if before > not_after => Self::EarlierEnd { before },
            Some(_) => Self::SameEnd,
        }
    }

    /// What is said of it to whoever wanted the license renewed, if the end is not a later one.
    #[must_use]
    pub fn said(self, not_after: Timestamp, now: Timestamp) -> Option<String> {
        let days_left = not_after.duration_since(now).as_secs() / (24 * 3_600);
        match self {
            Self::First | Self::LaterEnd { .. } => None,
            Self::EarlierEnd { before } => {
                Some(format!("the new grant ends earlier than the one before, which was good until {before}"))
            }
            Self::SameEnd if days_left < RENEWED_WITHIN_DAYS => Some(
                "the vendor did not renew the license: the grant has the same end as before; ask the vendor"
                    .to_owned(),
            ),
            Self::SameEnd => Some(format!(
                "the grant has the same end as before; vendors renew it when fewer than {RENEWED_WITHIN_DAYS} days are left"
            )),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_says_whether_the_license_runs_longer_than_before() {
        let at = |day: i64| Timestamp::from_second(day * 24 * 3_600).unwrap();
        assert_eq!(Came::of(None, at(366)), Came::First);
        assert_eq!(Came::of(Some(at(366)), at(731)), Came::LaterEnd { before: at(366) });
        assert_eq!(Came::of(Some(at(366)), at(731)).said(at(731), at(360)), None);
        let same = Came::of(Some(at(366)), at(366));
        assert!(same.said(at(366), at(360)).unwrap().contains("did not renew"), "six days are left");
        assert!(same.said(at(366), at(200)).unwrap().contains("fewer than 90 days"));
        assert!(Came::of(Some(at(366)), at(300)).said(at(300), at(200)).unwrap().contains("earlier"));
    }
}
