//! Finds out by writing whether the disks that hold the home take anything: free space alone does not tell of quotas,
//! reserved blocks or a disk that was remounted read-only, and the ledger's own small writes succeed for a while on a disk
//! that is full.
//!
//! Invariants: a disk is written at most once in `EVERY`, however many ask; nothing of it stays, also after a kill; a
//! disk that hangs holds one thread, and holds up whoever asks for `PATIENCE` once in `EVERY`.
//! Left out on purpose: how much is free (`storage` and `/metrics` say that).

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::home::Home;
use crate::ports::disks::Disks;

/// How long an answer is good.
const EVERY: Duration = Duration::from_secs(5);
/// How long a disk may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a disk must take, in bytes: about a batch of contacts.
const PROBE_BYTES: usize = 256 * 1024;

/// The disks of some folders.
#[derive(Debug)]
pub struct FolderDisks {
    /// What is in them, and where they are.
    folders: Vec<(&'static str, PathBuf)>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<(Instant, Option<String>)>,
    running: Option<JoinHandle<Option<String>>>,
}

impl FolderDisks {
    #[must_use]
    pub fn of(home: &Home) -> Self {
        Self::at(vec![
            ("the ledger", home.path().to_owned()),
            ("the vendor's metadata", home.mirror()),
            ("the stored releases", home.blobs()),
            ("what is being downloaded", home.downloads()),
            ("the unpacked releases", home.staging()),
            ("the text log", home.log_folder()),
        ])
    }

    fn at(folders: Vec<(&'static str, PathBuf)>) -> Self {
        Self { folders, state: Mutex::default() }
    }

    async fn look(&self) -> Option<String> {
        let mut state = self.state.lock().await;
        if let Some((_, problem)) = state.last.as_ref().filter(|(at, _)| at.elapsed() < EVERY) {
            return problem.clone();
        }
        let folders = self.folders.clone();
        let running =
            state.running.get_or_insert_with(|| tokio::task::spawn_blocking(move || write_to(&folders)));
        let problem = if let Ok(done) = timeout(PATIENCE, running).await {
            state.running = None;
            done.unwrap_or_else(|_| {
                Some("whether the disks can be written could not be found out".to_owned())
            })
        } else {
            Some("a disk of the server takes longer than 2 s for a small write".to_owned())
        };
        state.last = Some((Instant::now(), problem.clone()));
        problem
    }
}

impl Disks for FolderDisks {
    fn problem(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(self.look())
    }
}

/// Writes to each disk once, and says what is wrong with the first that cannot be written.
fn write_to(folders: &[(&'static str, PathBuf)]) -> Option<String> {
    let mut disks: BTreeMap<u64, Vec<&(&'static str, PathBuf)>> = BTreeMap::new();
    for folder in folders {
        // A folder that is not there yet is made by whoever needs it, on the disk of the home.
        if let Ok(metadata) = std::fs::metadata(&folder.1) {
            disks.entry(metadata.dev()).or_default().push(folder);
        }
    }
    disks.into_values().find_map(|held| {
        let (_, folder) = held.first()?;
        let error = write_once(folder).err()?;
        let names: Vec<&str> = held.iter().map(|(name, _)| *name).collect();
        Some(format!("the disk of {} {}", listed(&names), what_is_wrong(&error)))
    })
}

/// Writes a file that has no name.
fn write_once(folder: &PathBuf) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(&vec![b'#'; PROBE_BYTES])?;
    file.sync_all()
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [name] => (*name).to_owned(),
        [names @ .., last] => format!("{} and {last}", names.join(", ")),
    }
}

fn what_is_wrong(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => "is full".to_owned(),
        io::ErrorKind::QuotaExceeded => "has no room left for the user of this server".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "can only be read".to_owned(),
        _ => format!("cannot be written: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_disk_that_takes_writes_is_no_problem_and_nothing_stays_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let disks =
            FolderDisks::at(vec![("the ledger", folder.path().to_owned()), ("the text log", missing)]);
        assert_eq!(disks.problem().await, None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn folders_on_one_disk_are_one_disk_in_the_sentence_and_are_written_once() {
        // Nobody can write there, not even root.
        let folders =
            vec![("the ledger", PathBuf::from("/proc")), ("the text log", PathBuf::from("/proc/self"))];
        let disks = FolderDisks::at(folders);
        let said = disks.problem().await.unwrap();
        assert!(said.starts_with("the disk of the ledger and the text log cannot be written"), "{said}");
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
    }
}
