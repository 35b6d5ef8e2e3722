//! What the vendor's signed times say together, when one more of them is accepted.
//!
//! Statements come in sequences: the grants of each serial number by generation, the metadata by version. Invariant: a grant
//! lowers only what an earlier one of its own serial number raised. Whoever kept an unlock code that was never used here can
//! therefore not turn license time back with it, and bring back what ended since it was signed. Newer metadata knows better than
//! all that was said before: a vendor whose clock was ahead heals every site with what it publishes next, without anybody doing
//! something there; that no kept bundle turns time back where clocks went past it is the floor's to see (`corrected_by`).
//!
//! Left out on purpose: whether a statement is newer in its sequence, which is judged before; and the arithmetic of the floor.

use jiff::Timestamp;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::license_time::VendorStatement;

/// The times of a grant that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedTimes {
    /// Its serial number.
    pub serial: SerialNumber,
    /// The vendor's clock when it was signed.
    pub signed_at: Timestamp,
    /// When the last thing that it says ends: the grant, or the serial number.
    pub ends: Timestamp,
}

impl GrantedTimes {
    /// The times of a grant.
    #[must_use]
    pub fn of(grant: &Grant) -> Self {
        Self {
            serial: grant.serial.clone(),
            signed_at: grant.vendor_time,
            ends: last_end(grant.not_after, grant.ends_at),
        }
    }
}

/// The later of the end of a grant and that of its serial number. License time has to be able to pass both.
#[must_use]
pub fn last_end(not_after: Timestamp, ends_at: Option<Timestamp>) -> Timestamp {
    ends_at.map_or(not_after, |ends_at| ends_at.max(not_after))
}

/// What the vendor says of the time once a grant is accepted. `newest` is the statement that is held, and `held` are the grants
/// that count, one of each serial number; the accepted one replaces that of its own.
#[must_use]
pub fn with_grant(grant: &Grant, newest: Option<VendorStatement>, held: &[GrantedTimes]) -> VendorStatement {
    let (replaced, others): (Vec<_>, Vec<_>) = held.iter().partition(|held| held.serial == grant.serial);
    // Stores keep no finer times than microseconds.
    let rests_on = |newest: VendorStatement| {
        let newest = newest.signed_at().as_microsecond();
        replaced.iter().any(|held| held.signed_at.as_microsecond() == newest)
    };
    let accepted = GrantedTimes::of(grant);
    let ends = others.iter().map(|other| other.ends).fold(accepted.ends, Timestamp::max);
    let said_before = match newest {
        Some(newest) if !rests_on(newest) => Some(newest.signed_at()),
        // What rests on the earlier grant is what the others said. One that said a later time was corrected since.
        newest => {
            let stands = |time: &Timestamp| newest.is_none_or(|newest| *time <= newest.signed_at());
            others.iter().map(|other| other.signed_at).filter(stands).max()
        }
    };
    let signed_at = said_before.map_or(accepted.signed_at, |before| before.max(accepted.signed_at));
    VendorStatement::new(signed_at, ends)
}

/// What the vendor says of the time once newer metadata is accepted, which it signed at `signed_at` and which is good until
/// `expires`. `held` are the grants that count.
///
/// The end is that of the longest grant, so that license time goes on where the vendor is not reached for weeks.
#[must_use]
pub fn with_metadata(metadata: VendorStatement, held: &[GrantedTimes]) -> VendorStatement {
    let ends = held.iter().map(|held| held.ends).fold(metadata.not_after(), Timestamp::max);
    VendorStatement::new(metadata.signed_at(), ends)
}

#[cfg(test)]
mod tests;
