//! Whose files a command makes: what root types for a service's home is done as the home's owner, so that the service can
//! read what comes of it.
//!
//! Invariant: rights are only ever given up, and nothing of root's environment goes along but what a command line needs: the
//! owner can read the environment of its processes.
//! Left out on purpose: commands that read or write files elsewhere in root's name, such as backups.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What of root's environment a command line reads: language, terminal, time zone, and how much is logged.
const KEPT: [&str; 9] =
    ["PATH", "LANG", "LANGUAGE", "TERM", "TZ", "NO_COLOR", "COLUMNS", "RUST_LOG", "RUST_LIB_BACKTRACE"];
/// And what these begin with: the rest of the language, and our own programs' settings.
const KEPT_PREFIXES: [&str; 2] = ["LC_", "SEALPOST_"];

/// Root types a command for a home that it cannot act for.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot act as the owner of {home}, to whom what this command makes must belong; type it as that user, with `runuser`"
)]
pub struct OwnerError {
    home: PathBuf,
    #[source]
    source: io::Error,
}

/// If this process is root and a folder belongs to another user, starts this command again, in the same process, as
/// that user and its group; else does nothing. Call it before anything was opened.
///
/// # Errors
/// [`OwnerError`]; nothing was done then.
pub fn act_as_owner_of(home: &Path) -> Result<(), OwnerError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    // A home that is not there is reported by whoever opens it.
    let Ok(owner) = fs::metadata(home) else { return Ok(()) };
    if owner.uid() == 0 {
        return Ok(());
    }
    let failed = |source| OwnerError { home: home.to_owned(), source };
    let program = env::current_exe().map_err(failed)?;
    let mut again = Command::new(program);
    again.args(env::args_os().skip(1)).uid(owner.uid()).gid(owner.gid());
    again.env_clear().envs(env::vars_os().filter(|(name, _): &(OsString, OsString)| is_kept(name)));
    Err(failed(again.exec()))
}

fn is_kept(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
