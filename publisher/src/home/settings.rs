//! `vendor.toml`: the vendor's name, where each key is, and how long things are valid.
//!
//! Written with comments at `init`, for a person to edit; unknown lines are refused, because a misspelled lifetime
//! must not silently be the default.

use std::path::PathBuf;

use serde::Deserialize;

use super::zone::Zone;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The vendor's name, for people.
    pub vendor: String,
    /// Where the days end at whose end grants end; the computer's own zone, if it is not set.
    #[serde(default)]
    pub time_zone: Option<Zone>,
    #[serde(default)]
    pub keys: KeyPlaces,
    #[serde(default)]
    pub lifetime_days: LifetimeDays,
}

/// Where each key is; relative paths are below the home.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyPlaces {
    /// Signs the timestamp, daily.
    pub timestamp: PathBuf,
    /// Signs the snapshot, at each publication.
    pub snapshot: PathBuf,
    /// Signs the top-level targets: who may release what.
    pub targets: PathBuf,
    pub license: PathBuf,
    pub role_dir: PathBuf,
    pub release_dir: PathBuf,
}

impl Default for KeyPlaces {
    fn default() -> Self {
        Self {
            timestamp: "keys/timestamp.key".into(),
            snapshot: "keys/snapshot.key".into(),
            targets: "keys/targets.key".into(),
            license: "keys/license.key".into(),
            role_dir: "keys/packages".into(),
            release_dir: "keys/packages".into(),
        }
    }
}

/// How long things are valid, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LifetimeDays {
    /// The timestamp: how long a site can be kept from news without noticing.
    pub timestamp: u32,
    pub snapshot: u32,
    pub targets: u32,
    /// Of each package's role.
    pub packages: u32,
    pub root: u32,
    pub grant: u32,
}

impl Default for LifetimeDays {
    fn default() -> Self {
        Self { timestamp: 7, snapshot: 30, targets: 365, packages: 365, root: 365, grant: 366 }
    }
}

/// Longest lifetime of anything: ten years.
const MAX_DAYS: u32 = 3660;
/// Longest vendor name, in bytes.
const MAX_VENDOR_BYTES: usize = 200;

impl Settings {
    /// Settings with the usual places and lifetimes.
    #[must_use]
    pub fn usual(vendor: &str) -> Self {
        Self {
            vendor: vendor.to_owned(),
            time_zone: None,
            keys: KeyPlaces::default(),
            lifetime_days: LifetimeDays::default(),
        }
    }

    /// Checks that the values make sense.
    ///
    /// # Errors
    /// The first value that does not, and what it should be.
    pub fn check(&self) -> Result<(), String> {
        if self.vendor.trim().is_empty()
            || self.vendor.len() > MAX_VENDOR_BYTES
            || self.vendor.chars().any(char::is_control)
        {
            return Err(format!(
                "the vendor's name must be 1 to {MAX_VENDOR_BYTES} bytes without control characters"
            ));
        }
        let days = &self.lifetime_days;
        let each = [
            ("timestamp", days.timestamp),
            ("snapshot", days.snapshot),
            ("targets", days.targets),
            ("packages", days.packages),
            ("root", days.root),
            ("grant", days.grant),
        ];
        match each.iter().find(|(_, value)| !(1..=MAX_DAYS).contains(value)) {
            Some((name, value)) => {
                Err(format!("lifetime_days.{name} is {value}; give a number of days from 1 to {MAX_DAYS}"))
            }
            None => Ok(()),
        }
    }

    /// The file's text, with a comment for each value.
    #[must_use]
    pub fn to_commented_text(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let path = |path: &PathBuf| quoted(&path.to_string_lossy());
        let Self { vendor, time_zone, keys, lifetime_days: days } = self;
        let time_zone = match time_zone {
            Some(zone) => format!("time_zone = {}", quoted(zone.name())),
            None => "# time_zone = \"Europe/Berlin\"".to_owned(),
        };
        format!(
            "\
# A vendor's home. Paths are relative to this folder unless they begin with '/'.
vendor = {vendor}
# Grants end at the end of a day in this time zone, a name of the IANA database; without it, in the computer's own.
{time_zone}

[keys]
# Online keys: needed daily, so they stay with `publisher serve`.
timestamp = {timestamp}
snapshot = {snapshot}
# Grants seats; needed by `serve` (online registration) and `serial unlock`.
license = {license}
# Lists the packages and their keys: needed for the first release of a package and once a year.
# Whoever holds it together with the two online keys can name release keys of his own and so publish code:
# keep it offline or on a token, not on the machine that runs `publisher serve`.
targets = {targets}
# Folders of <package>.role.key and <package>.release.key. Whoever holds both can publish code,
# so keep them on different machines or tokens: mount one of them elsewhere and name it here.
role_dir = {role_dir}
release_dir = {release_dir}

[lifetime_days]
# How long a site can be kept from news without noticing; renewed daily by `serve` or `refresh`.
timestamp = {timestamp_days}
snapshot = {snapshot_days}
targets = {targets_days}
packages = {packages_days}
# Signed again by hand, with the root keys.
root = {root_days}
grant = {grant_days}
",
            vendor = quoted(vendor),
            timestamp = path(&keys.timestamp),
            snapshot = path(&keys.snapshot),
            license = path(&keys.license),
            targets = path(&keys.targets),
            role_dir = path(&keys.role_dir),
            release_dir = path(&keys.release_dir),
            timestamp_days = days.timestamp,
            snapshot_days = days.snapshot,
            targets_days = days.targets,
            packages_days = days.packages,
            root_days = days.root,
            grant_days = days.grant,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut settings = Settings::usual("Acme \"Security\" \\ GmbH");
        settings.lifetime_days.timestamp = 3;
        settings.keys.release_dir = "/media/token".into();
        assert_eq!(toml::from_str::<Settings>(&settings.to_commented_text()).unwrap(), settings);
    }

    #[test]
    fn a_misspelled_line_and_a_senseless_value_are_refused() {
        assert!(toml::from_str::<Settings>("vendor = \"A\"\n[lifetime_days]\ntimestmap = 3\n").is_err());
        let mut settings = Settings::usual("Acme");
        settings.lifetime_days.snapshot = 0;
        assert!(settings.check().unwrap_err().contains("snapshot"));
        assert!(Settings::usual("a\nb").check().is_err());
    }
}
