//! Whether a verified grant is one for this server, and not an older one than it holds.
//!
//! The vendor's signature is checked before; here it is only compared. Left out on purpose: a new site key for the same
//! server id, and the vendor's word that a restore is confirmed (both come as grants with higher epochs).

use std::cmp::Ordering;
use std::fmt;

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::{Grant, LicenseModel, RegistrationReason};
use sealpost_manifests::ids::{SerialNumber, ServerId};
use sealpost_manifests::order::Epoch;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use crate::rules::text::counted;

/// What is held of the same serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldGrant {
    /// Its generation.
    pub generation: u64,
    /// Its epoch.
    pub epoch: Epoch,
    /// Digest of its exact text; `None` if what is stored was edited: then the same generation is written down again.
    pub digest: Option<Sha256Digest>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl Came {
    /// Compares the end of a grant with that of the one before, by whole seconds: stores keep no finer ones.
    #[must_use]
    pub fn of(before: Option<Timestamp>, not_after: Timestamp) -> Self {
        let Some(before) = before else { return Self::First };
        match before.as_second().cmp(&not_after.as_second()) {
            Ordering::Less => Self::LaterEnd { before },
            Ordering::Equal => Self::SameEnd,
            Ordering::Greater => Self::EarlierEnd { before },
        }
    }

    /// What is said of it to whoever asked for the grant, if the license does not run longer than before.
    ///
    /// `reason` is why the vendor was asked, `None` if a code came by hand. `renewable_from` is the vendor's own word from
    /// when on it gives a new grant; it is not signed, so it is shown and decides nothing. When vendors renew is theirs to
    /// say: without it nothing is guessed.
    #[must_use]
    pub fn said(
        self,
        reason: Option<RegistrationReason>,
        renewable_from: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<String> {
        match self {
            Self::First | Self::LaterEnd { .. } => None,
            Self::EarlierEnd { before } => {
                Some(format!("the new grant ends earlier than the one before, which was good until {before}"))
            }
            // Whoever bought seats, or was restored, did not ask for a later end.
            Self::SameEnd if reason.is_some_and(|reason| reason != RegistrationReason::Renew) => None,
            Self::SameEnd => Some(match renewable_from {
                Some(from) if now < from => format!(
                    "the grant has the same end as before; the vendor says that it renews it from {from} on"
                ),
                Some(_) => "the vendor did not renew the license: the grant has the same end as before; ask the vendor"
                    .to_owned(),
                None => "the grant has the same end as before; if the license was to run longer, ask the vendor when it \
                         renews it"
                    .to_owned(),
            }),
        }
    }
}

/// What is said of the seats of a grant, if they are fewer than before, or not more although more were asked for. `used`
/// names hold one.
#[must_use]
pub fn seats_said(
    before: Option<u32>,
    seats: u32,
    used: u32,
    reason: Option<RegistrationReason>,
) -> Option<String> {
    let before = before?;
    let now = counted(u64::from(seats), "seat", "seats");
    if seats < before {
        let kept = if used > seats {
            format!(
                "{} one and keep it, and nobody else gets one until the vendor grants more",
                counted(u64::from(used), "name holds", "names hold")
            )
        } else {
            format!("{} free", counted(u64::from(seats - used), "is", "are"))
        };
        return Some(format!("the grant has {now}, and the one before had {before}: {kept}"));
    }
    (seats == before && reason == Some(RegistrationReason::MoreSeats)).then(|| {
        format!("the vendor granted no more seats: there are {now}, as before; ask the vendor whether more were sold")
    })
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
        return match held.digest {
            Some(held) if held == digest => Ok(Acceptance::Same),
            Some(_) => Err(GrantRefusal::SameGenerationOtherContent { generation: grant.generation }),
            None => Ok(Acceptance::New),
        };
    }
    if grant.epoch < held.epoch {
        return Err(GrantRefusal::Epoch { held: held.epoch, offered: grant.epoch });
    }
    Ok(Acceptance::New)
}

/// What is wrong with a grant that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantFlaw {
    /// There is no trust document of the vendor to check it with.
    NoTrust,
    /// Its text cannot be read.
    Unreadable {
        /// Why.
        why: String,
    },
    /// No license key of the vendor signed it.
    Unsigned {
        /// What the check found.
        why: String,
    },
    /// It stands in the place of another serial number.
    OtherSerial {
        /// That of the grant.
        signed: SerialNumber,
    },
    /// It is for another server.
    OtherServer,
    /// It is for another site key.
    OtherSiteKey,
    /// Seats are counted in a way that this server does not know.
    Model(LicenseModel),
    /// Its epoch has a term, which no vendor gives.
    Term,
    /// A column beside it says something else. The grant itself counts.
    Edited {
        /// Which.
        column: &'static str,
        /// What stands there.
        stored: String,
        /// What the signed text says.
        said: String,
    },
}

impl fmt::Display for GrantFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTrust => {
                f.write_str("it cannot be checked: the vendor's list of license keys is not here")
            }
            Self::Unreadable { why } => write!(f, "its text cannot be read: {why}"),
            Self::Unsigned { why } => write!(f, "no license key of the vendor signed it: {why}"),
            Self::OtherSerial { signed } => write!(f, "the signed grant in its place is that of {signed}"),
            Self::OtherServer => f.write_str("the signed grant is for another server"),
            Self::OtherSiteKey => f.write_str("the signed grant is for another site key"),
            Self::Model(model) => write!(f, "it counts {model} seats, which this version cannot count"),
            Self::Term => f.write_str("its epoch has a part that is not the vendor's to give"),
            Self::Edited { column, stored, said } => {
                write!(f, "{column} was edited to {stored}; the signed grant says {said}, and that counts")
            }
        }
    }
}

/// Whether a stored grant whose signature was verified stands in its place.
///
/// # Errors
/// [`GrantFlaw`].
pub fn judge_stored(
    grant: &Grant,
    serial: &str,
    server_id: &ServerId,
    site_key: &PublicKey,
) -> Result<(), GrantFlaw> {
    if grant.serial.as_str() != serial {
        return Err(GrantFlaw::OtherSerial { signed: grant.serial.clone() });
    }
    if grant.server_id != *server_id {
        return Err(GrantFlaw::OtherServer);
    }
    if grant.site_key != *site_key {
        return Err(GrantFlaw::OtherSiteKey);
    }
    if grant.model != LicenseModel::Named {
        return Err(GrantFlaw::Model(grant.model));
    }
    if grant.epoch.term() != 0 {
        return Err(GrantFlaw::Term);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sealpost_keys::KeyId;

    use super::*;

    #[test]
    fn an_answer_is_for_the_server_its_key_and_the_serial_number_that_was_asked_for() {
        let key = |id: u8| PublicKey::new(KeyId::from_bytes([id; 8]), [id; 32]);
        let serial = |id: u8| SerialNumber::from_random([id; 19]);
        let (server, digest) = (ServerId::from_random([1; 16]), Sha256Digest::of(b"grant"));
        let grant = Grant {
            vendor: "Acme".to_owned(),
            serial: serial(1),
            server_id: server.clone(),
            site_key: key(1),
            key_epoch: 1,
            epoch: Epoch::of(1, 0),
            packages: Vec::new(),
            model: LicenseModel::Named,
            seats: 5,
            generation: 1,
            not_after: Timestamp::UNIX_EPOCH,
            vendor_time: Timestamp::UNIX_EPOCH,
            ends_at: None,
            request_id: None,
        };
        let judged = |asked_for: Option<&SerialNumber>, server: &ServerId, site_key: &PublicKey| {
            judge(&grant, digest, None, asked_for, server, site_key)
        };
        for asked_for in [None, Some(&serial(1))] {
            assert_eq!(judged(asked_for, &server, &key(1)), Ok(Acceptance::New));
        }
        assert_eq!(judged(Some(&serial(2)), &server, &key(1)), Err(GrantRefusal::OtherSerial));
        let other = ServerId::from_random([2; 16]);
        assert_eq!(judged(None, &other, &key(1)), Err(GrantRefusal::OtherServer));
        assert_eq!(judged(None, &server, &key(2)), Err(GrantRefusal::OtherSiteKey));
    }

    #[test]
    fn a_registration_says_whether_the_license_runs_longer_than_before() {
        let at = |day: i64| Timestamp::from_second(day * 24 * 3_600).unwrap();
        assert_eq!(Came::of(None, at(366)), Came::First);
        assert_eq!(Came::of(Some(at(366)), at(731)), Came::LaterEnd { before: at(366) });
        let finer = at(366) + jiff::SignedDuration::from_nanos(9);
        assert_eq!(Came::of(Some(at(366)), finer), Came::SameEnd);
        let asked = Some(RegistrationReason::Renew);
        assert_eq!(Came::of(Some(at(366)), at(731)).said(asked, None, at(360)), None);
        let same = |reason, from| Came::of(Some(at(366)), at(366)).said(reason, from, at(200));
        assert!(same(asked, Some(at(276))).unwrap().contains("renews it from 1970-10-04"));
        assert!(same(asked, Some(at(200))).unwrap().contains("did not renew"));
        for reason in [asked, None] {
            let said = same(reason, None).unwrap();
            assert!(said.contains("same end") && !said.contains("days"), "nothing is guessed: {said}");
        }
        assert_eq!(same(Some(RegistrationReason::MoreSeats), Some(at(276))), None);
        let shorter =
            Came::of(Some(at(366)), at(300)).said(Some(RegistrationReason::MoreSeats), None, at(200));
        assert!(shorter.unwrap().contains("earlier"));
    }

    #[test]
    fn fewer_seats_and_no_more_seats_are_said() {
        let more = Some(RegistrationReason::MoreSeats);
        assert_eq!(seats_said(None, 5, 0, more), None);
        assert_eq!(seats_said(Some(5), 6, 5, more), None);
        assert_eq!(seats_said(Some(5), 5, 5, Some(RegistrationReason::Renew)), None);
        let said = seats_said(Some(5), 5, 2, more).unwrap();
        assert!(said.contains("no more seats: there are 5 seats, as before"), "{said}");
        let said = seats_said(Some(5), 2, 1, Some(RegistrationReason::Renew)).unwrap();
        assert_eq!(said, "the grant has 2 seats, and the one before had 5: 1 is free");
        let said = seats_said(Some(5), 2, 4, None).unwrap();
        assert!(said.contains("4 names hold one and keep it, and nobody else gets one"), "{said}");
    }
}
