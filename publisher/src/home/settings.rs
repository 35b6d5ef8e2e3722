//! `vendor.toml`: the vendor's name, where each key is, and how long things are valid.
//!
//! Written with comments at `init`, for a person to edit; unknown lines are refused, because a misspelled lifetime
//! must not silently be the default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::zone::Zone;

/// Where `init` puts the root keys if it is not told.
pub const DEFAULT_ROOT_DIR: &str = "root-keys";

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
    #[serde(default)]
    pub serve: ServeSettings,
}

/// How `publisher serve` listens; its options overrule it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeSettings {
    pub listen: Option<SocketAddr>,
    /// The chain of its TLS certificate, as PEM. Relative paths are below the home.
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate, as PEM.
    pub key: Option<PathBuf>,
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
    /// Where the root keys were put; the folder `root-keys` in the home, if it is not set.
    pub root_dir: Option<PathBuf>,
}

impl KeyPlaces {
    /// The folder of the root keys.
    #[must_use]
    pub fn root_dir(&self) -> &Path {
        self.root_dir.as_deref().unwrap_or_else(|| Path::new(DEFAULT_ROOT_DIR))
    }
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
            root_dir: None,
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
            serve: ServeSettings::default(),
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
        if self.serve.certificate.is_some() != self.serve.key.is_some() {
            return Err("serve.certificate and serve.key are needed together; set both, or none".to_owned());
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
        let Self { vendor, time_zone, keys, lifetime_days: days, serve } = self;
        let time_zone = match time_zone {
            Some(zone) => format!("time_zone = {}", quoted(zone.name())),
            None => "# time_zone = \"Europe/Berlin\"".to_owned(),
        };
        let root_dir = match &keys.root_dir {
            Some(folder) => format!("root_dir = {}", path(folder)),
            None => format!("# root_dir = {}", quoted(DEFAULT_ROOT_DIR)),
        };
        // A file without any of it is one of before, so the lines are comments until somebody sets them.
        let line = |name: &str, value: Option<String>, example: &str| match value {
            Some(value) => format!("{name} = {}", quoted(&value)),
            None => format!("# {name} = {}", quoted(example)),
        };
        let is_set = *serve != ServeSettings::default();
        let serve_lines = [
            if is_set { "[serve]".to_owned() } else { "# [serve]".to_owned() },
            line("listen", serve.listen.map(|address| address.to_string()), "0.0.0.0:443"),
            line(
                "certificate",
                serve.certificate.as_ref().map(|path| path.display().to_string()),
                "tls/server.crt",
            ),
            line("key", serve.key.as_ref().map(|path| path.display().to_string()), "tls/server.key"),
        ];
        let serve_lines = serve_lines.join("\n");
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
# Folder of the root keys: a medium in a safe. Needed once in the life of a root, for `publisher root renew`.
{root_dir}

[lifetime_days]
# How long a site can be kept from news without noticing; renewed daily by `serve` or `refresh`.
timestamp = {timestamp_days}
snapshot = {snapshot_days}
targets = {targets_days}
packages = {packages_days}
# Signed again by hand with the root keys, by `publisher root renew`.
root = {root_days}
grant = {grant_days}
#
# How `publisher serve` listens. With a certificate and its key it speaks TLS; both are read again when they change.
{serve_lines}
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
        settings.keys.root_dir = Some("/media/safe".into());
        settings.serve.listen = Some("0.0.0.0:443".parse().unwrap());
        settings.serve.certificate = Some("tls/server.crt".into());
        settings.serve.key = Some("tls/server.key".into());
        assert_eq!(toml::from_str::<Settings>(&settings.to_commented_text()).unwrap(), settings);
    }

    #[test]
    fn a_misspelled_line_and_a_senseless_value_are_refused() {
        assert!(toml::from_str::<Settings>("vendor = \"A\"\n[lifetime_days]\ntimestmap = 3\n").is_err());
        let mut settings = Settings::usual("Acme");
        settings.lifetime_days.snapshot = 0;
        assert!(settings.check().unwrap_err().contains("snapshot"));
        assert!(Settings::usual("a\nb").check().is_err());
        let mut settings = Settings::usual("Acme");
        settings.serve.key = Some("tls/server.key".into());
        assert!(settings.check().unwrap_err().contains("serve.certificate"));
    }
}
