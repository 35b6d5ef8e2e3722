//! Validated settings: every value of the merged configuration checked.
//!
//! Invariant: a [`Settings`] exists only after every value was checked; every mistake is reported at once.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::durations::within;
use super::fragments::{fragment_files, read_fragment};
use super::inputs::{Given, Merged};
use super::syslog::{SyslogTarget, parse_syslog};
use super::test_load::{self, TestLoads};

/// Port that agents and admins use, unless the configuration says otherwise.
pub const DEFAULT_PORT: u16 = 16770;
/// Shortest time between pulls: polling more often would only load the vendor's server.
const MIN_PULL_EVERY: Duration = Duration::from_secs(60);
/// Longest time between pulls: a timestamp is good for 7 days by default, and an expired one stops all updates.
const MAX_PULL_EVERY: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often a folder is looked into; a look at one without news costs a few system calls for each computer.
const FOLDER_EVERY: Duration = Duration::from_secs(60);
/// Lease lifetimes that make sense, in days.
const LEASE_DAYS: std::ops::RangeInclusive<u32> = 1..=366;

/// What the server runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the vendor's repository and license service are, without a slash at the end.
    pub vendor_url: String,
    /// Where agents and remote admins connect.
    pub listen: SocketAddr,
    /// Host names and addresses that setup files carry, in order of preference.
    pub addresses: Vec<String>,
    pub pull_every: Duration,
    /// Days that a lease is good for.
    pub lease_days: u32,
    pub limits: Limits,
    /// PEM file of the CA that the vendor's server is checked with, besides those that the system trusts.
    pub vendor_ca: Option<PathBuf>,
    /// The admin's own certificate, in place of one by the site CA.
    pub tls: Option<OwnTls>,
    pub storage: Storage,
    /// Where the log goes besides.
    pub syslog: Option<SyslogTarget>,
    /// The folder by which computers without a network are served.
    pub folder: Option<Folder>,
    /// The programs that load releases before one is approved.
    pub test_loads: TestLoads,
}

/// A folder for computers without a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    pub path: PathBuf,
    /// How often it is looked into.
    pub every: Duration,
    /// Most bytes of payloads and deltas in it; without a bound where absent.
    pub max_bytes: Option<u64>,
}

/// Where the admin's own certificate lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnTls {
    /// PEM file of the whole chain, the CA that computers pin at its end.
    pub certificate: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
}

/// How long what is needed no longer stays, and what bounds the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// How long payloads and deltas stay that nothing needs, in days.
    pub keep_superseded_days: u32,
    /// How long replaced generations of the vendor's metadata stay readable, in days.
    pub keep_metadata_days: u32,
    /// Within so many days each stored file is compared with its digest once.
    pub scrub_days: u32,
    /// Hours between two comparisons of the ledger's tables with its log; 0: the server makes none by itself.
    pub verify_hours: u32,
    /// Length at which `activity.log` is rotated, in bytes.
    pub log_file_bytes: u64,
    /// Files of it that are kept, the newest included.
    pub log_files: u32,
}

impl Storage {
    /// How often the ledger's tables are compared with its log; `None`: never.
    #[must_use]
    pub fn verify_every(&self) -> Option<Duration> {
        (self.verify_hours > 0).then(|| Duration::from_secs(u64::from(self.verify_hours) * 3600))
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            // A computer that was off for a season still finds the release that it was told.
            keep_superseded_days: 90,
            keep_metadata_days: 30,
            scrub_days: 7,
            verify_hours: 24,
            // 100 MiB in all, which is weeks of a busy site.
            log_file_bytes: 10 * 1024 * 1024,
            log_files: 10,
        }
    }
}

/// Bounds on what is fetched, stored, computed and served.
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
    /// Connections that are served at once from one address, or one IPv6 /64, until they show which computer they are of.
    pub max_connections_per_address: u32,
    /// A payload that comes slower than this, on average over a minute, is given up until the next pull; bytes per
    /// second, 0 for any.
    pub min_bytes_per_second: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload_bytes: 4 * 1024 * 1024 * 1024,
            keep_free_bytes: 256 * 1024 * 1024,
            // 19 times the largest file that is patched (16 MiB), and the program itself.
            delta_memory_bytes: 1024 * 1024 * 1024,
            delta_time: Duration::from_secs(600),
            // A site of 3,000 computers: each has a connection for wakes, and one more while it contacts or downloads.
            max_connections: 8192,
            // Many computers can come through one router.
            max_connections_per_address: 1024,
            // Slower than any line that is of use, and far above a server that only pretends to send.
            min_bytes_per_second: 4 * 1024,
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
        match validate(merged, &mut problems) {
            Some(settings) if problems.is_empty() => Ok(settings),
            _ => Err(ConfigError { problems }),
        }
    }
}

/// Checks every value; `None` if the vendor's address, which has no default, cannot be used.
fn validate(merged: Merged, problems: &mut Vec<String>) -> Option<Settings> {
    let defaults = Limits::default();
    let vendor_url = match merged.vendor_url {
        Some(given) => checked(given, "vendor_url", problems, |text| parse_vendor_url(&text)),
        // Where a file could not be read, it may well stand in it.
        None if !problems.is_empty() => None,
        None => {
            problems.push("vendor_url: is missing; give the address of the vendor's server".to_owned());
            None
        }
    };
    let listen = or_default(merged.listen, "listen", problems, default_listen(), |text| {
        text.parse().map_err(|_| format!("{text:?} is not ADDRESS:PORT, for example 0.0.0.0:{DEFAULT_PORT}"))
    });
    let addresses = or_default(merged.addresses, "addresses", problems, Vec::new(), parse_addresses);
    let hour = Duration::from_secs(3600);
    let pull_every = or_default(merged.pull_every, "pull.every", problems, hour, |text| {
        within(&text, MIN_PULL_EVERY, MAX_PULL_EVERY)
    });
    let lease_days = or_default(merged.lease_days, "license.lease_days", problems, 30, |days| {
        LEASE_DAYS
            .contains(&days)
            .then_some(days)
            .ok_or_else(|| format!("{days} is not between {} and {}", LEASE_DAYS.start(), LEASE_DAYS.end()))
    });
    let delta_time =
        or_default(merged.delta_time, "limits.delta_time", problems, defaults.delta_time, |text| {
            within(&text, Duration::from_secs(1), Duration::from_secs(24 * 3600))
        });
    let min_bytes_per_second = or_default(
        merged.min_kib_per_second,
        "pull.min_kib_per_second",
        problems,
        defaults.min_bytes_per_second,
        |count: u32| Ok(u64::from(count) * 1024),
    );
    let mut mebibytes = |given, key, default, least: u32| {
        or_default(given, key, problems, default, |count: u32| {
            if count < least {
                return Err(format!("{count} is less than {least}"));
            }
            Ok(u64::from(count) * 1024 * 1024)
        })
    };
    let max_payload_bytes =
        mebibytes(merged.max_payload_mib, "limits.max_payload_mib", defaults.max_payload_bytes, 1);
    let keep_free_bytes =
        mebibytes(merged.keep_free_mib, "limits.keep_free_mib", defaults.keep_free_bytes, 0);
    let delta_memory_bytes =
        mebibytes(merged.delta_memory_mib, "limits.delta_memory_mib", defaults.delta_memory_bytes, 64);
    let days = Storage::default();
    let log_file_bytes = mebibytes(merged.log_file_mib, "storage.log_file_mib", days.log_file_bytes, 1);
    let mut count = |given, key, default| {
        or_default(given, key, problems, default, |count: u32| {
            if count == 0 { Err("must be at least 1".to_owned()) } else { Ok(count) }
        })
    };
    let max_connections = count(merged.max_connections, "limits.max_connections", defaults.max_connections);
    let max_connections_per_address = count(
        merged.max_connections_per_address,
        "limits.max_connections_per_address",
        defaults.max_connections_per_address,
    );
    let storage = Storage {
        keep_superseded_days: count(
            merged.keep_superseded_days,
            "storage.keep_superseded_days",
            days.keep_superseded_days,
        ),
        keep_metadata_days: count(
            merged.keep_metadata_days,
            "storage.keep_metadata_days",
            days.keep_metadata_days,
        ),
        scrub_days: count(merged.scrub_days, "storage.scrub_days", days.scrub_days),
        log_file_bytes,
        log_files: count(merged.log_files, "storage.log_files", days.log_files),
        verify_hours: or_default(
            merged.verify_hours,
            "storage.verify_hours",
            problems,
            days.verify_hours,
            |hours: u32| Ok::<_, String>(hours),
        ),
    };
    let vendor_ca = merged.vendor_ca.and_then(|given| checked(given, "vendor_ca", problems, whole_path));
    let syslog = or_default(merged.syslog, "log.syslog", problems, None, |text| parse_syslog(&text));
    let tls = own_tls(merged.tls_certificate, merged.tls_key, problems);
    let every = or_default(merged.folder_every, "folder.every", problems, FOLDER_EVERY, |text| {
        within(&text, Duration::from_secs(5), Duration::from_secs(24 * 3600))
    });
    let path = merged.folder_path.and_then(|given| checked(given, "folder.path", problems, whole_path));
    let max_bytes = merged.folder_max_mib.and_then(|given| {
        checked(given, "folder.max_mib", problems, |mebibytes| match mebibytes {
            0 => Err("it is at least 1; leave it out for no bound".to_owned()),
            mebibytes => Ok(u64::from(mebibytes) * 1024 * 1024),
        })
    });
    let folder = path.map(|path| Folder { path, every, max_bytes });
    let mut test_loads = TestLoads::new();
    for (package, given) in merged.test_loads {
        let key = format!("test_load.{package}");
        let one = checked(given, &key, problems, |given| test_load::checked(&package, given));
        test_loads.extend(one);
    }
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
            min_bytes_per_second,
        },
        vendor_ca,
        tls,
        storage,
        syslog,
        folder,
        test_loads,
    })
}

/// Both files of the admin's own certificate, or none.
fn own_tls(
    certificate: Option<Given<PathBuf>>,
    key: Option<Given<PathBuf>>,
    problems: &mut Vec<String>,
) -> Option<OwnTls> {
    let lone = |given: &Given<PathBuf>, this, other| {
        format!("{}: tls.{this}: needs tls.{other} beside it", given.file.display())
    };
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let certificate = checked(certificate, "tls.certificate", problems, whole_path);
            let key = checked(key, "tls.key", problems, whole_path);
            Some(OwnTls { certificate: certificate?, key: key? })
        }
        (Some(certificate), None) => {
            problems.push(lone(&certificate, "certificate", "key"));
            None
        }
        (None, Some(key)) => {
            problems.push(lone(&key, "key", "certificate"));
            None
        }
        (None, None) => None,
    }
}

/// A path that means the same whatever folder the server was started in.
fn whole_path(path: PathBuf) -> Result<PathBuf, String> {
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(format!("{path:?} must be a whole path, from the root on"))
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
pub(super) fn default_listen() -> SocketAddr {
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

/// Checks the names and IP addresses under which agents find the server; answers names without a dot at the end.
///
/// # Errors
/// What is wrong with them, for people.
pub fn parse_addresses(addresses: Vec<String>) -> Result<Vec<String>, String> {
    if addresses.len() > 32 {
        return Err("more than 32 addresses".to_owned());
    }
    let mut named = Vec::with_capacity(addresses.len());
    for address in &addresses {
        // A name with a dot at its end is the same name; a certificate has it without.
        let address = address.strip_suffix('.').unwrap_or(address);
        let is_name = !address.is_empty()
            && address.len() <= 253
            && address.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
            && !address.starts_with(['-', '.'])
            && !address.ends_with('.');
        if !is_name && address.parse::<std::net::IpAddr>().is_err() {
            return Err(format!("{address:?} is not a host name or IP address; leave the port out"));
        }
        // Named twice it is tried twice, and stands twice in every setup file.
        if !named.iter().any(|there: &String| there.eq_ignore_ascii_case(address)) {
            named.push(address.to_owned());
        }
    }
    Ok(named)
}
