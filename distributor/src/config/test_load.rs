//! The programs that load releases on the server before one is approved.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use serde::Deserialize;

use super::durations::within;

/// The user whose rights the program gets where the server has root's.
const USER: &str = "nobody";
/// How long a program may take.
const TIME_LIMIT: Duration = Duration::from_secs(120);
/// How much memory each of its processes may have, in MiB: a scanner with its signatures needs about half of that.
const MEMORY_MIB: u32 = 4096;
/// No program starts with less.
const LEAST_MEMORY_MIB: u32 = 16;
/// Most words of one command.
const MAX_WORDS: usize = 64;

/// The programs by package; none for most.
pub type TestLoads = BTreeMap<PackageName, TestLoad>;

/// The program that loads the releases of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestLoad {
    /// The program with its arguments; `{slot}` and `{version}` are filled in.
    pub command: Vec<String>,
    /// Whose rights it gets, where the server has root's; otherwise it has the server's.
    pub user: String,
    /// It is killed after this.
    pub time_limit: Duration,
    /// Most memory of each of its processes.
    pub memory_bytes: u64,
}

impl TestLoad {
    /// What an answer is good for: another command, user or bound is another program.
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        let Self { command, user, time_limit, memory_bytes } = self;
        // As text that is quoted: two settings are never the same bytes.
        Sha256Digest::of(format!("{command:?} {user:?} {} {memory_bytes}", time_limit.as_millis()).as_bytes())
    }
}

/// What a program is named by in answers about releases, by package.
#[must_use]
pub fn test_load_digests(loads: &TestLoads) -> BTreeMap<PackageName, Sha256Digest> {
    loads.iter().map(|(package, load)| (package.clone(), load.digest())).collect()
}

/// As it is written in a file, before it is checked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestLoadFragment {
    command: Vec<String>,
    user: Option<String>,
    time_limit: Option<String>,
    memory_mib: Option<u32>,
}

/// Checks one entry.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn checked(package: &str, given: TestLoadFragment) -> Result<(PackageName, TestLoad), String> {
    let package = PackageName::new(package).map_err(|error| error.to_string())?;
    let TestLoadFragment { command, user, time_limit, memory_mib } = given;
    match command.first() {
        Some(program) if Path::new(program).is_absolute() && command.len() <= MAX_WORDS => {}
        Some(_) if command.len() > MAX_WORDS => return Err(format!("more than {MAX_WORDS} words")),
        Some(program) => return Err(format!("{program:?} must be a whole path, from the root on")),
        None => return Err("command is empty; name the program, or leave the section out".to_owned()),
    }
    let limit = time_limit
        .map_or(Ok(TIME_LIMIT), |text| within(&text, Duration::from_secs(1), Duration::from_secs(3600)))?;
    let user = user.unwrap_or_else(|| USER.to_owned());
    let memory_bytes = match memory_mib.unwrap_or(MEMORY_MIB) {
        mebibytes @ LEAST_MEMORY_MIB.. => u64::from(mebibytes) * 1024 * 1024,
        _ => return Err(format!("memory_mib must be at least {LEAST_MEMORY_MIB}")),
    };
    Ok((package, TestLoad { command, user, time_limit: limit, memory_bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_by_its_whole_path_and_a_package_by_its_name() {
        let given = |command: &[&str], limit: Option<&str>| TestLoadFragment {
            command: command.iter().map(ToString::to_string).collect(),
            user: None,
            time_limit: limit.map(str::to_owned),
            memory_mib: None,
        };
        let (package, read) = checked("acme-sigs", given(&["/usr/bin/scan", "{slot}"], Some("30s"))).unwrap();
        assert_eq!(
            (package.as_str(), read.user.as_str(), read.time_limit.as_secs()),
            ("acme-sigs", "nobody", 30)
        );
        let other =
            |limit| checked("acme-sigs", given(&["/usr/bin/scan", "{slot}"], limit)).unwrap().1.digest();
        assert_eq!(other(Some("30s")), read.digest());
        assert_ne!(other(Some("31s")), read.digest(), "a bound belongs to it");
        for (package, command, limit) in [
            ("acme-sigs", &["scan"][..], None),
            ("acme-sigs", &[], None),
            ("acme-sigs", &["/usr/bin/scan"], Some("0s")),
            ("acme-sigs", &["/usr/bin/scan"], Some("2h")),
            ("Acme Sigs", &["/usr/bin/scan"], None),
        ] {
            assert!(checked(package, given(command, limit)).is_err(), "{package} {command:?} {limit:?}");
        }
    }
}
