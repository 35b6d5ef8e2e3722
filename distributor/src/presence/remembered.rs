//! The TCP addresses that the server listened on last, in a file: after a start with another `listen` they tell where
//! computers that have not learned it still come.
//!
//! Invariants: an unreadable file counts as an empty one, since the configuration says where the server listens in any
//! case; the file is read at the start alone, so that trouble with the disk closes nothing later. Left out on purpose: the ledger and backups, because the addresses are those of one machine.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sealpost_files::{PRIVATE, read_bounded, replace};
use serde::{Deserialize, Serialize};

/// Largest file, in bytes.
const MAX_BYTES: u64 = 16 * 1024;
const VERSION: u32 = 1;
/// Most addresses that are remembered: more than a list of ways can need.
const MOST: usize = 32;

#[derive(Debug, Serialize, Deserialize)]
struct File {
    version: u32,
    open: Vec<SocketAddr>,
}

/// As the module says.
#[derive(Debug)]
pub(super) struct Remembered {
    path: PathBuf,
    /// What the file says.
    addresses: Mutex<Vec<SocketAddr>>,
}

impl Remembered {
    /// Reads the file, once. Blocks for it.
    pub(super) fn open(path: PathBuf) -> Self {
        let addresses = read(&path).unwrap_or_else(|error| {
            let path = path.display();
            tracing::warn!(%path, %error, "the addresses that were listened on before cannot be read, and count as none");
            Vec::new()
        });
        Self { path, addresses: Mutex::new(addresses) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Blocks for the file. After an error it is as before, and so is what is remembered.
    pub(super) fn set(&self, mut addresses: Vec<SocketAddr>) -> io::Result<()> {
        addresses.truncate(MOST);
        let file = File { version: VERSION, open: addresses };
        replace(&self.path, &serde_json::to_vec(&file)?, PRIVATE)?;
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = file.open;
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Vec<SocketAddr>> {
    let Some(bytes) = read_bounded(path, MAX_BYTES)? else { return Ok(Vec::new()) };
    let file: File = serde_json::from_slice(&bytes)?;
    if file.version != VERSION {
        return Err(io::Error::other(format!("its version {} is not known", file.version)));
    }
    let mut open = file.open;
    open.truncate(MOST);
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frozen: a file that is on disk today must be readable for ever.
    #[test]
    fn addresses_are_remembered_and_an_unreadable_file_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("listening.json");
        let remembered = Remembered::open(path.clone());
        assert!(remembered.addresses().is_empty());
        let open: Vec<SocketAddr> = vec!["10.0.0.1:16770".parse().unwrap(), "[::]:1".parse().unwrap()];
        remembered.set(open.clone()).unwrap();
        assert_eq!(Remembered::open(path.clone()).addresses(), open);
        let bytes = std::fs::read_to_string(&path).unwrap();
        assert_eq!(bytes, r#"{"version":1,"open":["10.0.0.1:16770","[::]:1"]}"#);
        for bad in ["{", r#"{"version":2,"open":["10.0.0.1:1"]}"#, r#"{"version":1,"open":["x"]}"#] {
            std::fs::write(&path, bad).unwrap();
            assert!(Remembered::open(path.clone()).addresses().is_empty());
        }
        assert_eq!(remembered.addresses(), open, "it was read before");
        // What cannot be written is not remembered either: it is tried again.
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        remembered.set(Vec::new()).unwrap_err();
        assert_eq!(remembered.addresses(), open);
    }
}
