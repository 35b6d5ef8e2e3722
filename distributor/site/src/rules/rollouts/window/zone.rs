//! Time zones of the database that is built into the program, and when their clocks show a time.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

use super::parts::{WindowError, shown};

/// Longest name of a time zone, in bytes; the longest one in the database has 30.
const MAX_ZONE_BYTES: usize = 64;

/// A time zone of the bundled IANA database, by the name in the database.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// Finds a time zone by its IANA name, in any case of letters.
    ///
    /// # Errors
    /// When the bundled database has no zone of this name.
    pub fn new(name: &str) -> Result<Self, WindowError> {
        let fail = || WindowError::Zone(shown(name));
        if name.len() > MAX_ZONE_BYTES {
            return Err(fail());
        }
        let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| fail())?;
        let known = zone.iana_name().filter(|_| !zone.is_unknown()).map(str::to_owned);
        Ok(Self { name: known.ok_or_else(fail)?, zone })
    }

    /// Its name in the database.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The date that its clocks show.
    pub(super) fn date(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(at).date()
    }

    /// The first instant at which the clocks show this time or a later one.
    pub(super) fn first_instant(&self, civil: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
            AmbiguousOffset::Gap { before, after } => {
                // Read with the offset of afterwards, a skipped time lies before the change; with the one of before, at
                // the change or after it.
                let (lower, upper) = (after.to_timestamp(civil).ok()?, before.to_timestamp(civil).ok()?);
                let mut changes = self.zone.following(lower).take_while(|change| change.timestamp() <= upper);
                Some(
                    changes
                        .find(|change| change.offset() == after)
                        .map_or(upper, |change| change.timestamp()),
                )
            }
        }
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the table of its changes.
        f.debug_tuple("Zone").field(&self.name).finish()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl TryFrom<String> for Zone {
    type Error = WindowError;
    fn try_from(name: String) -> Result<Self, WindowError> {
        Self::new(&name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name
    }
}
