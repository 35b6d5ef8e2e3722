//! What the vendor's signed times say together, when one more of them is accepted.
//!
//! Statements come in sequences: the grants of each serial number by generation, the metadata by version. Invariant: a statement
//! lowers only what an earlier one of its own sequence raised. Whoever kept an unlock code or a bundle that was never used here
//! can therefore not turn license time back with it, and bring back what ended since it was signed: the later times of the other
//! sequences stand. A wrong time of the vendor's is corrected in the sequence that said it, by a new grant of the same serial
//! number or by newer metadata.
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
    let of_others = newest.filter(|newest| !rests_on(*newest)).map(|newest| newest.signed_at());
    together(GrantedTimes::of(grant), others.into_iter(), of_others)
}

/// What the vendor says of the time once newer metadata is accepted, which it signed at `signed_at` and which is good until
/// `expires`. `held` are the grants that count.
///
/// The end is that of the longest grant, so that license time goes on where the vendor is not reached for weeks.
#[must_use]
pub fn with_metadata(metadata: VendorStatement, held: &[GrantedTimes]) -> VendorStatement {
    let signed_at = held.iter().map(|held| held.signed_at).fold(metadata.signed_at(), Timestamp::max);
    let ends = held.iter().map(|held| held.ends).fold(metadata.not_after(), Timestamp::max);
    VendorStatement::new(signed_at, ends)
}

fn together<'held>(
    accepted: GrantedTimes,
    others: impl Iterator<Item = &'held GrantedTimes>,
    of_others: Option<Timestamp>,
) -> VendorStatement {
    let from = of_others.map_or(accepted.signed_at, |time| time.max(accepted.signed_at));
    let (signed_at, ends) = others.fold((from, accepted.ends), |(signed_at, ends), other| {
        (signed_at.max(other.signed_at), ends.max(other.ends))
    });
    VendorStatement::new(signed_at, ends)
}

#[cfg(test)]
mod tests;
