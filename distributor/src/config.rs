//! Configuration: fragments → merged → [`Settings`].
//!
//! `HOME/distributor.toml` is read first, then `HOME/distributor.d/*.toml` in the order of their names; a later
//! fragment replaces single keys of an earlier one. Every mistake is reported, with its file and key, all at once.
//! Invariant: a [`Settings`] exists only after every value was checked.
//! Left out on purpose: secrets. They have files of their own, so that this one may be shown to a colleague.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;

/// Port that agents and admins use, unless the configuration says otherwise.
pub const DEFAULT_PORT: u16 = 16770;
/// Largest configuration file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// Shortest time between pulls: the vendor's server is not a heartbeat monitor.
const MIN_PULL_EVERY: Duration = Duration::from_secs(60);
/// Longest: a timestamp lives 7 days by default, and an expired one stops everything.
const MAX_PULL_EVERY: Duration = Duration::from_secs(7 * 24 * 3600);
/// Lease lifetimes that make sense, in days.
const LEASE_DAYS: std::ops::RangeInclusive<u32> = 1..=366;

/// What the server runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the vendor's repository and license service are, without a slash at the end.
    pub vendor_url: String,
    /// Where the server listens.
    pub listen: SocketAddr,
    /// Host names and addresses that setup files carry, in order of preference.
    pub addresses: Vec<String>,
    /// Time between pulls.
    pub pull_every: Duration,
    /// How long a lease is good.
    pub lease_days: u32,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds on what comes from outside and what is spent on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest payload that is fetched, compressed or not, in bytes.
    pub max_payload_bytes: u64,
    /// Free disk space that a pull leaves, in bytes.
    pub keep_free_bytes: u64,
    /// Memory of the process that makes a delta, in bytes.
    pub delta_memory_bytes: u64,
    /// Time that making one delta may take.
    pub delta_time: Duration,
    /// Connections that are served at once.
    pub max_connections: u32,
    /// Connections that are served at once from one address.
    pub max_connections_per_address: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload_bytes: 4 * 1024 * 1024 * 1024,
            keep_free_bytes: 256 * 1024 * 1024,
            // 19 times the largest file that is patched (16 MiB), and the program itself.
            delta_memory_bytes: 1024 * 1024 * 1024,
            delta_time: Duration::from_secs(600),
            max_connections: 4096,
            // Many computers can come through one router.
            max_connections_per_address: 1024,
        }
    }
}

/// Everything that is wrong with the configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// Each with its file and key.
    pub problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration cannot be used; correct this and start again:")?;
        for problem in &self.problems {
            write!(f, "\n  - {problem}")?;
        }
        Ok(())
    }
}

/// One file, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fragment {
    vendor_url: Option<String>,
    listen: Option<String>,
    addresses: Option<Vec<String>>,
    #[serde(default)]
    pull: PullFragment,
    #[serde(default)]
    license: LicenseFragment,
    #[serde(default)]
    limits: LimitsFragment,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PullFragment {
    every: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LicenseFragment {
    lease_days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsFragment {
    max_payload_mib: Option<u32>,
    keep_free_mib: Option<u32>,
    delta_memory_mib: Option<u32>,
    delta_time: Option<String>,
    max_connections: Option<u32>,
    max_connections_per_address: Option<u32>,
}

/// A value, and the file that gave it.
struct Given<T> {
    value: T,
    file: PathBuf,
}

/// All fragments, the last word on each key.
#[derive(Default)]
struct Merged {
    vendor_url: Option<Given<String>>,
    listen: Option<Given<String>>,
    addresses: Option<Given<Vec<String>>>,
    pull_every: Option<Given<String>>,
    lease_days: Option<Given<u32>>,
    max_payload_mib: Option<Given<u32>>,
    keep_free_mib: Option<Given<u32>>,
    delta_memory_mib: Option<Given<u32>>,
    delta_time: Option<Given<String>>,
    max_connections: Option<Given<u32>>,
    max_connections_per_address: Option<Given<u32>>,
}

impl Settings {
    /// Reads `main`, then every `*.toml` in `folder`, which need not exist.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong.
    pub fn load(main: &Path, folder: &Path) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut merged = Merged::default();
        for file in fragment_files(main, folder, &mut problems) {
            match read_fragment(&file) {
                Ok(fragment) => merged.take(fragment, &file),
                Err(problem) => problems.push(problem),
            }
        }
        let settings = merged.check(&mut problems);
        match settings {
            Some(settings) if problems.is_empty() => Ok(settings),
            _ => Err(ConfigError { problems }),
        }
    }
}

fn fragment_files(main: &Path, folder: &Path, problems: &mut Vec<String>) -> Vec<PathBuf> {
    let mut more = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                match entry {
                    Ok(entry) => more.push(entry.path()),
                    Err(error) => problems.push(format!("{}: cannot be listed: {error}", folder.display())),
                }
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => problems.push(format!("{}: cannot be listed: {error}", folder.display())),
    }
    more.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    more.sort();
    more.insert(0, main.to_owned());
    more
}

fn read_fragment(file: &Path) -> Result<Fragment, String> {
    let shown = file.display();
    let length = fs::metadata(file).map_err(|error| format!("{shown}: cannot be read: {error}"))?.len();
    if length > MAX_FILE_BYTES {
        return Err(format!("{shown}: {length} bytes are more than a configuration file has"));
    }
    let text = fs::read_to_string(file).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
    toml::from_str(&text).map_err(|error| format!("{shown}: {}", error.to_string().trim_end()))
}

impl Merged {
    fn take(&mut self, fragment: Fragment, file: &Path) {
        put(&mut self.vendor_url, fragment.vendor_url, file);
        put(&mut self.listen, fragment.listen, file);
        put(&mut self.addresses, fragment.addresses, file);
        put(&mut self.pull_every, fragment.pull.every, file);
        put(&mut self.lease_days, fragment.license.lease_days, file);
        put(&mut self.max_payload_mib, fragment.limits.max_payload_mib, file);
        put(&mut self.keep_free_mib, fragment.limits.keep_free_mib, file);
        put(&mut self.delta_memory_mib, fragment.limits.delta_memory_mib, file);
        put(&mut self.delta_time, fragment.limits.delta_time, file);
        put(&mut self.max_connections, fragment.limits.max_connections, file);
        put(&mut self.max_connections_per_address, fragment.limits.max_connections_per_address, file);
    }

    fn check(self, problems: &mut Vec<String>) -> Option<Settings> {
        let defaults = Limits::default();
        let vendor_url = match self.vendor_url {
            Some(given) => checked(given, "vendor_url", problems, |text| parse_vendor_url(&text)),
            None => {
                problems.push("vendor_url: is missing; give the address of the vendor's server".to_owned());
                None
            }
        };
        let listen = or_default(self.listen, "listen", problems, default_listen(), |text| {
            text.parse()
                .map_err(|_| format!("{text:?} is not ADDRESS:PORT, for example 0.0.0.0:{DEFAULT_PORT}"))
        });
        let addresses = or_default(self.addresses, "addresses", problems, Vec::new(), parse_addresses);
        let hour = Duration::from_secs(3600);
        let pull_every = or_default(self.pull_every, "pull.every", problems, hour, |text| {
            within(&text, MIN_PULL_EVERY, MAX_PULL_EVERY)
        });
        let lease_days = or_default(self.lease_days, "license.lease_days", problems, 30, |days| {
            LEASE_DAYS.contains(&days).then_some(days).ok_or_else(|| {
                format!("{days} is not between {} and {}", LEASE_DAYS.start(), LEASE_DAYS.end())
            })
        });
        let delta_time =
            or_default(self.delta_time, "limits.delta_time", problems, defaults.delta_time, |text| {
                within(&text, Duration::from_secs(1), Duration::from_secs(24 * 3600))
            });
        let mut mebibytes = |given, key, default, least: u32| {
            or_default(given, key, problems, default, |count: u32| {
                if count < least {
                    return Err(format!("{count} is less than {least}"));
                }
                Ok(u64::from(count) * 1024 * 1024)
            })
        };
        let max_payload_bytes =
            mebibytes(self.max_payload_mib, "limits.max_payload_mib", defaults.max_payload_bytes, 1);
        let keep_free_bytes =
            mebibytes(self.keep_free_mib, "limits.keep_free_mib", defaults.keep_free_bytes, 0);
        let delta_memory_bytes =
            mebibytes(self.delta_memory_mib, "limits.delta_memory_mib", defaults.delta_memory_bytes, 64);
        let mut count = |given, key, default| {
            or_default(given, key, problems, default, |count: u32| {
                if count == 0 { Err("must be at least 1".to_owned()) } else { Ok(count) }
            })
        };
        let max_connections = count(self.max_connections, "limits.max_connections", defaults.max_connections);
        let max_connections_per_address = count(
            self.max_connections_per_address,
            "limits.max_connections_per_address",
            defaults.max_connections_per_address,
        );
        Some(Settings {
            vendor_url: vendor_url?,
            listen,
            addresses,
            pull_every,
            lease_days,
            limits: Limits {
                max_payload_bytes,
                keep_free_bytes,
                delta_memory_bytes,
                delta_time,
                max_connections,
                max_connections_per_address,
            },
        })
    }
}

fn put<T>(place: &mut Option<Given<T>>, value: Option<T>, file: &Path) {
    if let Some(value) = value {
        *place = Some(Given { value, file: file.to_owned() });
    }
}

fn checked<T, U>(
    given: Given<T>,
    key: &str,
    problems: &mut Vec<String>,
    parse: impl FnOnce(T) -> Result<U, String>,
) -> Option<U> {
    match parse(given.value) {
        Ok(value) => Some(value),
        Err(problem) => {
            problems.push(format!("{}: {key}: {problem}", given.file.display()));
            None
        }
    }
}

fn or_default<T, U>(
    given: Option<Given<T>>,
    key: &str,
    problems: &mut Vec<String>,
    default: U,
    parse: impl FnOnce(T) -> Result<U, String>,
) -> U {
    match given {
        Some(given) => checked(given, key, problems, parse).unwrap_or(default),
        None => default,
    }
}

/// Every address of this computer.
fn default_listen() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT))
}

/// Checks the address of the vendor's server. Plain http is allowed: what comes from there is signed.
///
/// # Errors
/// What is wrong with it, for people.
pub fn parse_vendor_url(text: &str) -> Result<String, String> {
    let shown: String = text.chars().take(200).collect();
    let url = reqwest::Url::parse(text).map_err(|error| format!("{shown:?} is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("{shown:?} is not an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL must not carry a user name or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{shown:?} must not have a query or fragment"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Checks the names and IP addresses under which agents find the server.
///
/// # Errors
/// What is wrong with them, for people.
pub fn parse_addresses(addresses: Vec<String>) -> Result<Vec<String>, String> {
    if addresses.len() > 32 {
        return Err("more than 32 addresses".to_owned());
    }
    for address in &addresses {
        let is_name = !address.is_empty()
            && address.len() <= 253
            && address.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
            && !address.starts_with(['-', '.']);
        if !is_name && address.parse::<std::net::IpAddr>().is_err() {
            return Err(format!("{address:?} is not a host name or IP address; leave the port out"));
        }
    }
    Ok(addresses)
}

/// A duration as people write it (`90s`, `15m`, `1h 30m`, `7 days`), within bounds.
fn within(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let parsed: SignedDuration = text
        .parse()
        .map_err(|_| format!("{text:?} is not a duration; write for example \"90s\", \"15m\" or \"1h\""))?;
    match Duration::try_from(parsed) {
        Ok(duration) if (least..=most).contains(&duration) => Ok(duration),
        _ => Err(format!("{text:?} is not between {} and {} seconds", least.as_secs(), most.as_secs())),
    }
}

/// The commented configuration that a new server starts with.
#[must_use]
pub fn sample(vendor_url: &str, listen: SocketAddr, addresses: &[String]) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let addresses: Vec<String> = addresses.iter().map(|address| quoted(address)).collect();
    let (vendor_url, listen, addresses) =
        (quoted(vendor_url), quoted(&listen.to_string()), addresses.join(", "));
    let limits = Limits::default();
    let mebibytes = |bytes: u64| bytes / (1024 * 1024);
    format!(
        "# The configuration of this Primary Server. Files named distributor.d/*.toml are read after it, in the\n\
         # order of their names; each replaces single keys. Changes count from the next start.\n\
         \n\
         # Where the vendor publishes releases and answers registrations. Plain http is safe here: everything that\n\
         # comes from there is signed by the vendor, and is checked against root.json.\n\
         vendor_url = {vendor_url}\n\
         \n\
         # Where this server listens for agents, and for admins who do not sit at it.\n\
         listen = {listen}\n\
         \n\
         # Names or addresses under which computers reach this server; setup files carry them. The server's\n\
         # certificate was made for these; a new one is needed for others.\n\
         addresses = [{addresses}]\n\
         \n\
         [pull]\n\
         # How often to look for new releases, and a little more or less, so that not all servers come at once.\n\
         every = \"1h\"\n\
         \n\
         [license]\n\
         # How long a computer can stay away before it gets no more updates. Its product runs on all the same.\n\
         lease_days = 30\n\
         \n\
         [limits]\n\
         # max_payload_mib = {}\n\
         # keep_free_mib = {}\n\
         # delta_memory_mib = {}\n\
         # delta_time = \"10m\"\n\
         # max_connections = {}\n\
         # max_connections_per_address = {}\n",
        mebibytes(limits.max_payload_bytes),
        mebibytes(limits.keep_free_bytes),
        mebibytes(limits.delta_memory_bytes),
        limits.max_connections,
        limits.max_connections_per_address,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(main: &str, more: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let home = tempfile::tempdir().unwrap();
        let (file, folder) = (home.path().join("distributor.toml"), home.path().join("distributor.d"));
        fs::write(&file, main).unwrap();
        fs::create_dir(&folder).unwrap();
        for (name, text) in more {
            fs::write(folder.join(name), text).unwrap();
        }
        Settings::load(&file, &folder)
    }

    #[test]
    fn the_sample_says_what_the_defaults_are_even_with_every_comment_taken_off() {
        let addresses = vec!["pc.example".to_owned(), "192.0.2.7".to_owned()];
        let text = sample("https://vendor.example/base", default_listen(), &addresses);
        let settings = load(&text, &[]).unwrap();
        assert_eq!(settings.addresses, addresses);
        assert_eq!(settings.vendor_url, "https://vendor.example/base");
        assert_eq!(settings.pull_every, Duration::from_secs(3600));
        let keys: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => {
                    format!("{rest}\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        assert!(keys.contains("\nmax_payload_mib"), "{keys}");
        assert_eq!(load(&keys, &[]).unwrap(), settings);
    }

    #[test]
    fn later_fragments_replace_single_keys_in_the_order_of_their_names() {
        let settings = load(
            "vendor_url = 'http://a.example/'\nlisten = '127.0.0.1:1'\n[license]\nlease_days = 7",
            &[
                ("20-last.toml", "vendor_url = 'http://c.example'"),
                ("10-first.toml", "vendor_url = 'http://b.example'\n[pull]\nevery = '15m'"),
                ("note.txt", "not read"),
            ],
        )
        .unwrap();
        assert_eq!(settings.vendor_url, "http://c.example");
        assert_eq!(settings.pull_every, Duration::from_secs(900));
        assert_eq!(settings.lease_days, 7);
        assert_eq!(settings.listen.to_string(), "127.0.0.1:1");
    }

    #[test]
    fn every_mistake_is_reported_at_once_with_its_file_and_key() {
        let error = load(
            "vendor_url = 'ftp://a.example'\nlisten = 'here'\n[pull]\nevery = '1s'",
            &[
                ("a.toml", "[license]\nlease_days = 0\n[limits]\nmax_connections = 0"),
                ("b.toml", "colour = 'blue'"),
                ("c.toml", "addresses = ['pc:16770']"),
            ],
        )
        .unwrap_err();
        let text = error.to_string();
        for part in [
            "vendor_url",
            "listen",
            "pull.every",
            "license.lease_days",
            "limits.max_connections",
            "colour",
            "addresses",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(text.contains("b.toml"), "{text}");
        assert_eq!(error.problems.len(), 7, "{text}");
    }

    #[test]
    fn a_url_with_a_password_is_refused_and_not_repeated() {
        let error = load("vendor_url = 'http://me:secret@a.example'", &[]).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(load("", &[]).is_err(), "without a vendor there is nothing to do");
    }
}
