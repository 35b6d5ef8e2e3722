//! Which program of the agent runs: the record of launchers and watchdogs, what a program on trial says of its contact,
//! and what the running program says of itself.
//!
//! Invariants: each file has one writer at a time: the record is written under the watch lock, the other two by the
//! program that they are about. The record has a label of its own, because launchers of every version read it; one that
//! is damaged is put aside, and the record of the package says what is stable.

use std::io;
use std::path::{Path, PathBuf};

use sealpost_files::{PUBLIC, frame, read_bounded, remove_durably, replace, unframe};
use sealpost_manifests::digest::Sha256Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::self_update::launch::Why;
use crate::domain::self_update::record::SelfRecord;
use crate::home::Home;
use crate::platform::store::rename_aside;

/// The label of the record's frame.
const LABEL: &str = "sealpost-self 1";
/// The label of what a program on trial says.
const CONTACTED_LABEL: &str = "sealpost-self-contacted 1";
/// The label of what the running program says.
const RUNNING_LABEL: &str = "sealpost-self-running 1";
/// Largest of these files, in bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// Why the record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SelfStateError {
    #[error("cannot {action} {path}; check the disk and permissions")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "the record of the agent's own program, {0}, is damaged; the agent puts it aside at its next start and goes on"
    )]
    Damaged(PathBuf),
}

impl SelfStateError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// What a program on trial says once a contact of its own was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contacted {
    /// The release that it is of.
    pub manifest: Sha256Digest,
    /// The process that made the contact.
    pub pid: u32,
}

/// What the program that runs as the daemon says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub version: String,
    pub why: Why,
}

/// The record; empty if there is none.
///
/// # Errors
/// [`SelfStateError`].
pub fn load(home: &Home) -> Result<SelfRecord, SelfStateError> {
    let path = home.self_state();
    Ok(read(&path, LABEL)?.unwrap_or_default())
}

/// Writes the record; durable at return. The caller holds the watch lock.
///
/// # Errors
/// [`SelfStateError::Io`]; the old record or the new one is whole then.
pub fn save(home: &Home, record: &SelfRecord) -> Result<(), SelfStateError> {
    write(&home.self_state(), LABEL, record)
}

/// Gives a damaged record another name, for people to look at. The caller holds the watch lock.
///
/// # Errors
/// [`SelfStateError::Io`].
pub fn put_aside(home: &Home) -> Result<(), SelfStateError> {
    let path = home.self_state();
    rename_aside(&path).map_err(SelfStateError::io("put aside", &path))
}

/// What a program on trial said last; one that cannot be read says nothing.
#[must_use]
pub fn contacted(home: &Home) -> Option<Contacted> {
    read(&home.self_contacted(), CONTACTED_LABEL).ok().flatten()
}

/// Says that a contact of this program was answered.
///
/// # Errors
/// [`SelfStateError::Io`].
pub fn save_contacted(home: &Home, contacted: &Contacted) -> Result<(), SelfStateError> {
    write(&home.self_contacted(), CONTACTED_LABEL, contacted)
}

/// Forgets what an earlier process said.
///
/// # Errors
/// [`SelfStateError::Io`].
pub fn forget_contacted(home: &Home) -> Result<(), SelfStateError> {
    let path = home.self_contacted();
    remove_durably(&path).map_err(SelfStateError::io("remove", &path))
}

/// What the running program said of itself; one that cannot be read says nothing.
#[must_use]
pub fn running(home: &Home) -> Option<Running> {
    read(&home.self_running(), RUNNING_LABEL).ok().flatten()
}

/// Says which program runs, and why.
///
/// # Errors
/// [`SelfStateError::Io`].
pub fn save_running(home: &Home, running: &Running) -> Result<(), SelfStateError> {
    write(&home.self_running(), RUNNING_LABEL, running)
}

fn read<T: DeserializeOwned>(path: &Path, label: &str) -> Result<Option<T>, SelfStateError> {
    let bytes = match read_bounded(path, MAX_BYTES) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        // Too long, or no file at all: nothing that this program wrote.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge) => {
            return Err(SelfStateError::Damaged(path.to_owned()));
        }
        Err(error) => return Err(SelfStateError::io("read", path)(error)),
    };
    let damaged = || SelfStateError::Damaged(path.to_owned());
    let body = unframe(label, &bytes).map_err(|_| damaged())?;
    serde_json::from_slice(body).map(Some).map_err(|_| damaged())
}

fn write<T: Serialize>(path: &Path, label: &str, value: &T) -> Result<(), SelfStateError> {
    let failed = SelfStateError::io("write", path);
    match serde_json::to_vec(value) {
        Ok(body) => replace(path, &frame(label, &body), PUBLIC).map_err(failed),
        Err(error) => Err(failed(io::Error::other(error))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::domain::record::ChangeKind;
    use crate::domain::self_update::record::tests::{AT, program};

    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(&folder.path().join("home")).unwrap();
        home.prepare().unwrap();
        (folder, home)
    }

    #[test]
    fn a_flipped_bit_anywhere_is_damage_and_never_absence_and_what_is_put_aside_stays_there() {
        let (_folder, home) = home();
        assert_eq!(load(&home).unwrap(), SelfRecord::default());
        let record = SelfRecord::default().on_trial(ChangeKind::Install, program("2"), AT);
        save(&home, &record).unwrap();
        assert_eq!(load(&home).unwrap(), record);
        let whole = fs::read(home.self_state()).unwrap();
        assert!(whole.starts_with(b"sealpost-self 1 "));
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(home.self_state(), flipped).unwrap();
            assert!(matches!(load(&home), Err(SelfStateError::Damaged(_))), "byte {at}");
        }
        put_aside(&home).unwrap();
        assert_eq!(load(&home).unwrap(), SelfRecord::default());
        assert!(home.path().join("self/state.damaged.json").is_file());
    }

    #[test]
    fn what_a_program_says_of_itself_is_read_back_and_damage_says_nothing() {
        let (_folder, home) = home();
        let said = Contacted { manifest: Sha256Digest::of(b"m"), pid: 7 };
        save_contacted(&home, &said).unwrap();
        assert_eq!(contacted(&home), Some(said));
        let text = fs::read_to_string(home.self_contacted()).unwrap();
        fs::write(home.self_contacted(), text.replace(":7", ":8")).unwrap();
        assert_eq!(contacted(&home), None);
        forget_contacted(&home).unwrap();
        forget_contacted(&home).unwrap();
        let said = Running { version: "1".to_owned(), why: Why::Confirmed };
        save_running(&home, &said).unwrap();
        assert_eq!(running(&home), Some(said));
    }
}
