//! Configuration files as written: `distributor.toml`, then `distributor.d/*.toml` in the order of their names.
//!
//! Invariant: an unknown key is a mistake and never ignored. Left out on purpose: whether values make sense, which
//! `settings` checks after all files were merged.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use sealpost_files::read_bounded;
use serde::Deserialize;

use super::test_load::TestLoadFragment;

/// Largest configuration file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fragment {
    pub(super) vendor_url: Option<String>,
    pub(super) vendor_ca: Option<PathBuf>,
    pub(super) listen: Option<String>,
    pub(super) addresses: Option<Vec<String>>,
    #[serde(default)]
    pub(super) pull: PullFragment,
    #[serde(default)]
    pub(super) license: LicenseFragment,
    #[serde(default)]
    pub(super) limits: LimitsFragment,
    #[serde(default)]
    pub(super) tls: TlsFragment,
    #[serde(default)]
    pub(super) storage: StorageFragment,
    #[serde(default)]
    pub(super) log: LogFragment,
    #[serde(default)]
    pub(super) folder: FolderFragment,
    #[serde(default)]
    pub(super) test_load: BTreeMap<String, TestLoadFragment>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FolderFragment {
    pub(super) path: Option<PathBuf>,
    pub(super) every: Option<String>,
    pub(super) max_mib: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogFragment {
    pub(super) syslog: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsFragment {
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StorageFragment {
    pub(super) keep_superseded_days: Option<u32>,
    pub(super) keep_metadata_days: Option<u32>,
    pub(super) scrub_days: Option<u32>,
    pub(super) verify_hours: Option<u32>,
    pub(super) log_file_mib: Option<u32>,
    pub(super) log_files: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PullFragment {
    pub(super) every: Option<String>,
    pub(super) min_kib_per_second: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LicenseFragment {
    pub(super) lease_days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsFragment {
    pub(super) max_payload_mib: Option<u32>,
    pub(super) keep_free_mib: Option<u32>,
    pub(super) delta_memory_mib: Option<u32>,
    pub(super) delta_time: Option<String>,
    pub(super) max_connections: Option<u32>,
    pub(super) max_connections_per_address: Option<u32>,
}

/// The files that make up the configuration, in the order in which they are merged.
pub(super) fn fragment_files(main: &Path, folder: &Path, problems: &mut Vec<String>) -> Vec<PathBuf> {
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
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => problems.push(format!("{}: cannot be listed: {error}", folder.display())),
    }
    more.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    more.sort();
    more.insert(0, main.to_owned());
    more
}

/// Reads one file. The error names it and says what is wrong.
pub(super) fn read_fragment(file: &Path) -> Result<Fragment, String> {
    let shown = file.display();
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::FileTooLarge => {
            format!("{shown}: more than the {MAX_FILE_BYTES} bytes that a configuration file may have")
        }
        _ => format!("{shown}: cannot be read: {error}"),
    };
    let bytes = read_bounded(file, MAX_FILE_BYTES)
        .map_err(unreadable)?
        .ok_or_else(|| unreadable(Errno::NOENT.into()))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{shown}: cannot be read: it is not UTF-8"))?;
    toml::from_str(&text).map_err(|error| {
        // In one line: a status shows it too.
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| format!(", line {}", before.matches('\n').count() + 1));
        let message = error.message().lines().map(str::trim).collect::<Vec<_>>().join("; ");
        format!("{shown}{}: {message}", line.unwrap_or_default())
    })
}
