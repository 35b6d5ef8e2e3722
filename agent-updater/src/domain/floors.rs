//! The floors under this computer's times: license time, by which leases and assignments are judged, and the time as of
//! which the vendor's metadata is judged.
//!
//! Invariant: no clock but the vendor's moves a floor further than the time that has surely passed here, so a server, or
//! this computer's own clock, that is ahead once locks nothing out for good. A newer statement of the vendor lowers what
//! an earlier wrong clock raised. The arithmetic is [`LicenseFloor`]'s; here is which statement is newer, and how much
//! time has passed.
//!
//! Left out on purpose: a lower bound of the metadata's time by the vendor's statements. A server may have found the
//! metadata fresh a little before the vendor signed its grant.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::license_time::{LicenseFloor, VendorStatement};
use serde::{Deserialize, Serialize};

use super::boot::BootMoment;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Floors {
    license: LicenseFloor,
    /// When a time was last observed, which is up to where time has earned credit.
    observed: Option<BootMoment>,
    metadata: Option<Timestamp>,
    /// When the floor of the metadata was last raised.
    metadata_observed: Option<BootMoment>,
    /// Highest accepted generation of the grants of each serial number.
    generations: BTreeMap<SerialNumber, u64>,
    /// Highest accepted version of the vendor's timestamp.
    metadata_version: u64,
    /// The serial number whose grant said the newest statement; `None` of metadata.
    newest_by: Option<SerialNumber>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    license: Timestamp,
    #[serde(default)]
    newest: Option<VendorStatement>,
    #[serde(default)]
    observed: Option<BootMoment>,
    #[serde(default)]
    metadata: Option<Timestamp>,
    #[serde(default)]
    metadata_observed: Option<BootMoment>,
    #[serde(default)]
    generations: BTreeMap<SerialNumber, u64>,
    #[serde(default)]
    metadata_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest_by: Option<SerialNumber>,
}

impl From<Stored> for Floors {
    fn from(stored: Stored) -> Self {
        Self {
            license: LicenseFloor::from_stored(stored.license, stored.newest),
            observed: stored.observed,
            metadata: stored.metadata,
            metadata_observed: stored.metadata_observed,
            generations: stored.generations,
            metadata_version: stored.metadata_version,
            newest_by: stored.newest_by,
        }
    }
}

impl From<Floors> for Stored {
    fn from(floors: Floors) -> Self {
        Self {
            license: floors.license.floor(),
            newest: floors.license.statement(),
            observed: floors.observed,
            metadata: floors.metadata,
            metadata_observed: floors.metadata_observed,
            generations: floors.generations,
            metadata_version: floors.metadata_version,
            newest_by: floors.newest_by,
        }
    }
}

impl Default for Floors {
    fn default() -> Self {
        Self::from_setup(Timestamp::UNIX_EPOCH)
    }
}

impl Floors {
    /// The floors of a computer that enrolls: a setup file's time, until the vendor's first statement. What earlier
    /// clocks raised is gone.
    #[must_use]
    pub fn from_setup(issued_at: Timestamp) -> Self {
        Self {
            license: LicenseFloor::from_stored(issued_at, None),
            observed: None,
            metadata: None,
            metadata_observed: None,
            generations: BTreeMap::new(),
            metadata_version: 0,
            newest_by: None,
        }
    }

    /// The time that license time is never before.
    #[must_use]
    pub const fn license(&self) -> Timestamp {
        self.license.floor()
    }

    /// The time by which leases and assignments are judged.
    #[must_use]
    pub fn license_time(&self, now: Timestamp) -> Timestamp {
        self.license.license_time(now)
    }

    /// The time before which metadata is not judged; `None` before the first.
    #[must_use]
    pub const fn metadata(&self) -> Option<Timestamp> {
        self.metadata
    }

    /// A clock that is not the vendor's says `time`. `at` is this moment; `None` if the boot clock cannot be read, and
    /// then no time has surely passed.
    pub fn observe(&mut self, time: Timestamp, at: Option<&BootMoment>) {
        let elapsed = elapsed(self.observed.as_ref(), at);
        self.license.observe(time, elapsed);
        if let Some(at) = at {
            self.observed = Some(at.clone());
        }
    }

    /// A grant was accepted. Only one of a higher generation than any before of its serial number says what time it is;
    /// an older one would be an old time.
    pub fn accept_grant(&mut self, grant: &Grant, at: Option<&BootMoment>) {
        let highest = self.generations.get(&grant.serial).copied();
        if highest.is_some_and(|highest| grant.generation <= highest) {
            return;
        }
        let _ = self.generations.insert(grant.serial.clone(), grant.generation);
        // It corrects what an earlier one of its serial number said, and nothing else: it may have lain in a drawer for a year.
        let said = self.license.statement().filter(|_| self.newest_by.as_ref() != Some(&grant.serial));
        let signed_at = said.map_or(grant.vendor_time, |said| said.signed_at().max(grant.vendor_time));
        let not_after = said.map_or(grant.not_after, |said| said.not_after().max(grant.not_after));
        if said.is_none_or(|said| said.signed_at() <= grant.vendor_time) {
            self.newest_by = Some(grant.serial.clone());
        }
        self.accept(VendorStatement::new(signed_at, not_after), at);
    }

    /// Metadata with this version of the timestamp was accepted, which the vendor signed then. `vouched_until` is the
    /// latest end of the grants that are held: metadata itself ends too soon to bound license time.
    pub fn accept_metadata(
        &mut self,
        version: u64,
        signed_at: Timestamp,
        vouched_until: Timestamp,
        at: Option<&BootMoment>,
    ) {
        if version <= self.metadata_version {
            return;
        }
        self.metadata_version = version;
        self.newest_by = None;
        self.accept(VendorStatement::new(signed_at, vouched_until), at);
    }

    /// Metadata was accepted as of a time that the server named.
    pub fn raise_metadata(&mut self, as_of: Timestamp, at: Option<&BootMoment>) {
        let raised = match self.metadata {
            None => as_of.min(self.license()),
            Some(floor) => {
                let mut floor = LicenseFloor::from_stored(floor, None);
                floor.observe(as_of, elapsed(self.metadata_observed.as_ref(), at));
                floor.floor()
            }
        };
        self.metadata = Some(raised);
        if let Some(at) = at {
            self.metadata_observed = Some(at.clone());
        }
    }

    fn accept(&mut self, statement: VendorStatement, at: Option<&BootMoment>) {
        // What the time until now has earned belongs to the time before the statement.
        self.observe(self.license(), at);
        let before = self.license();
        self.license.observe_statement(statement);
        // A clock that was ahead for the license floor was ahead for this one too.
        if self.license() < before {
            self.metadata = self.metadata.map(|metadata| metadata.min(self.license()));
        }
    }
}

fn elapsed(before: Option<&BootMoment>, now: Option<&BootMoment>) -> SignedDuration {
    match (before, now) {
        (Some(before), Some(now)) => now.elapsed_since(before),
        _ => SignedDuration::ZERO,
    }
}

#[cfg(test)]
mod tests;
