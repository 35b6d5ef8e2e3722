//! Rebuilding the ledger of a server that does not run: from its log alone, beside the old file, and then in its place.
//!
//! Invariants: the old ledger stays, under another name; the new one is in place only when it is whole, and says of
//! itself that it was rebuilt.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealpost_files::sync_parent;
use sealpost_keys::KeyError;
use sealpost_keys::token::random_bytes;
use sealpost_ledger::sqlite::{self, OpenError, RebuildError, SqliteStore};
use sealpost_ledger::{Ledger, LedgerError, LedgerSettings, StartError};
use sealpost_manifests::ids::EraId;
use sealpost_manifests::log::LogHead;
use sealpost_site::changes::Actor;
use sealpost_site::commands::restores::DeclareRestore;
use sealpost_site::rules::restore::RestoreCause;

use crate::home::{Home, HomeError};

/// Files that SQLite keeps beside a ledger.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// What a rebuild did.
#[derive(Debug)]
pub struct RebuiltLedger {
    /// The head of the log that it was made from.
    pub head: LogHead,
    /// Where the ledger of before stands now.
    pub before: PathBuf,
}

/// Why a ledger could not be rebuilt and put in place.
#[derive(Debug, thiserror::Error)]
pub enum LedgerRebuildError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("cannot rebuild the ledger")]
    Rebuild(#[from] RebuildError),
    #[error("the rebuilt ledger cannot be opened")]
    Open(#[from] OpenError),
    #[error("the rebuilt ledger cannot be started")]
    Start(#[from] StartError),
    #[error("the rebuild cannot be noted in the ledger")]
    Ledger(#[from] LedgerError),
    /// There is no randomness.
    #[error("cannot name the time after the rebuild")]
    Random(#[from] KeyError),
    #[error("cannot {attempted} {}; check the path, disk space and permissions", path.display())]
    File {
        attempted: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

fn failed(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LedgerRebuildError {
    let path = path.to_owned();
    move |source| LedgerRebuildError::File { attempted, path, source }
}

/// Rebuilds the ledger of a home in which no server runs. `progress` hears how many entries were taken.
///
/// # Errors
/// [`LedgerRebuildError`]; then the ledger of before is in its place.
pub async fn rebuild_in_place(
    home: &Home,
    now: Timestamp,
    progress: &mut dyn FnMut(u64),
) -> Result<RebuiltLedger, LedgerRebuildError> {
    let _lock = home.lock()?;
    let current = home.ledger();
    let rebuilt = beside(&current, ".rebuilt");
    for leftover in with_companions(&rebuilt) {
        remove(&leftover)?;
    }
    let head = sqlite::rebuild(&current, &rebuilt, progress)?.head;
    declare(&rebuilt, head, now).await?;
    sqlite::fold(&current)?;
    let before = free_name(&current);
    fs::hard_link(&current, &before).map_err(failed("keep the old ledger as", &before))?;
    for companion in COMPANIONS {
        let (from, to) = (beside(&current, companion), beside(&before, companion));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(failed("move", &from))?,
        }
    }
    fs::rename(&rebuilt, &current).map_err(failed("put in place", &current))?;
    sync_parent(&current).map_err(failed("flush", &current))?;
    Ok(RebuiltLedger { head, before })
}

async fn declare(path: &Path, head: LogHead, now: Timestamp) -> Result<(), LedgerRebuildError> {
    let store = SqliteStore::open(path)?;
    let new_era = EraId::from_random(random_bytes::<16>()?);
    let ledger = Ledger::start(Box::new(store), LedgerSettings::default())?;
    let cause = RestoreCause::Rebuilt { head };
    ledger.execute(now, DeclareRestore { actor: Actor::Server, cause, new_era }).await?;
    Ok(ledger.close().await?)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn with_companions(path: &Path) -> Vec<PathBuf> {
    let companions = [".lock"].into_iter().chain(COMPANIONS).map(|suffix| beside(path, suffix));
    std::iter::once(path.to_owned()).chain(companions).collect()
}

/// Removes what an interrupted rebuild left behind.
fn remove(path: &Path) -> Result<(), LedgerRebuildError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(failed("remove", path)),
    }
}

/// The first name beside the ledger that is free.
fn free_name(current: &Path) -> PathBuf {
    let numbered = (1u32..).map(|number| beside(current, &format!(".before-rebuild-{number}")));
    numbered.into_iter().find(|path| !path.exists()).unwrap_or_else(|| beside(current, ".before-rebuild"))
}
