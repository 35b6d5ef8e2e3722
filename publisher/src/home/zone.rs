//! The vendor's time zone: grants end at the end of one of its days.
//!
//! Invariant: a zone has a name of the IANA database that this computer knows, so that `vendor.toml` can name it.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use serde::Deserialize;

/// A time zone with a name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Zone(TimeZone);

/// Why a text names no zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is no time zone that this computer knows; give a name of the IANA database such as Europe/Berlin \
     (its files come with the package tzdata), or UTC"
)]
pub struct ZoneError {
    name: String,
}

impl Zone {
    /// The zone of this computer, if it has a name.
    #[must_use]
    pub fn of_this_computer() -> Option<Self> {
        let zone = TimeZone::system();
        zone.iana_name().and_then(|name| name.parse().ok())
    }

    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    #[must_use]
    pub const fn time_zone(&self) -> &TimeZone {
        &self.0
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(name: &str) -> Result<Self, ZoneError> {
        let error = || ZoneError { name: name.chars().take(80).collect() };
        let zone = TimeZone::get(name).map_err(|_| error())?;
        if zone.is_unknown() || zone.iana_name().is_none() { Err(error()) } else { Ok(Self(zone)) }
    }
}

impl TryFrom<String> for Zone {
    type Error = ZoneError;

    fn try_from(name: String) -> Result<Self, ZoneError> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_known_by_its_name_and_another_text_is_refused_with_an_example() {
        assert_eq!("Europe/Berlin".parse::<Zone>().unwrap().name(), "Europe/Berlin");
        assert_eq!("europe/berlin".parse::<Zone>().unwrap().name(), "Europe/Berlin");
        assert_eq!("UTC".parse::<Zone>().unwrap().name(), "UTC");
        for bad in ["", "Europe/Atlantis", "+01:00", "Etc/Unknown", "../../etc/passwd"] {
            let error = bad.parse::<Zone>().unwrap_err().to_string();
            assert!(error.contains("Europe/Berlin"), "{error}");
        }
    }
}
