//! The TCP addresses that the server listened on last, in a file: after a start with another `listen` they tell where
//! computers that have not learned it still come.
//!
//! Invariant: an unreadable file counts as an empty one, since the configuration says where the server listens in any
//! case. Left out on purpose: the ledger and backups, because the addresses are those of one machine.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sealpost_files::{PRIVATE, read_bounded, replace};
use serde::{Deserialize, Serialize};

/// Largest file, in bytes.
const MAX_BYTES: u64 = 16 * 1024;
const VERSION: u32 = 1;
/// Most addresses that are remembered: more than a list of ways can need.
const MOST: usize = 32;

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct File {
    version: u32,
    open: Vec<SocketAddr>,
}

/// As the module says.
#[derive(Debug)]
pub(super) struct Remembered {
    path: PathBuf,
}

impl Remembered {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read(&self) -> Vec<SocketAddr> {
        let read = read_bounded(&self.path, MAX_BYTES).ok().flatten();
        let file: Option<File> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut open = file.filter(|file| file.version == VERSION).unwrap_or_default().open;
        open.truncate(MOST);
        open
    }

    pub(super) fn write(&self, open: &[SocketAddr]) -> io::Result<()> {
        let file = File { version: VERSION, open: open.to_vec() };
        replace(&self.path, &serde_json::to_vec(&file)?, PRIVATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frozen: a file that is on disk today must be readable for ever.
    #[test]
    fn addresses_are_remembered_and_an_unreadable_file_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let remembered = Remembered::at(folder.path().join("listening.json"));
        assert!(remembered.read().is_empty());
        let open: Vec<SocketAddr> = vec!["10.0.0.1:16770".parse().unwrap(), "[::]:1".parse().unwrap()];
        remembered.write(&open).unwrap();
        assert_eq!(remembered.read(), open);
        let bytes = std::fs::read_to_string(remembered.path()).unwrap();
        assert_eq!(bytes, r#"{"version":1,"open":["10.0.0.1:16770","[::]:1"]}"#);
        for bad in ["{", r#"{"version":2,"open":["10.0.0.1:1"]}"#, r#"{"version":1,"open":["x"]}"#] {
            std::fs::write(remembered.path(), bad).unwrap();
            assert!(remembered.read().is_empty());
        }
    }
}
