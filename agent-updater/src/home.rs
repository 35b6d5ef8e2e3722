//! The agent's home: which file lives where, who may read it, and who holds its locks.
//!
//! ```text
//! agent.toml                configuration                     agent.lock, cycle.lock
//! root.json                 the vendor's pinned root          agent.sock        control socket of `run`
//! gate.json                 what the product may do           keys/client.key   0600
//! state/…                   sealed records (see `store`)      manifests/PACKAGE/SLOT.{manifest,minisig}
//! tuf/                      trusted metadata                  downloads/        what is being fetched
//! ```

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sealpost_manifests::ids::PackageName;

use crate::domain::record::SlotId;
use crate::platform::files::{OwnershipError, ensure_not_writable_by_others, make_folder};

/// The agent's home folder.
#[derive(Debug, Clone)]
pub struct Home {
    path: PathBuf,
}

/// Why the home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// It cannot be made or opened.
    #[error("cannot use the home folder {path}; run as root, or name another with --home")]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others could change it.
    #[error("the home folder {0} is not safe to use")]
    Ownership(PathBuf, #[source] OwnershipError),
    /// Another process is at work.
    #[error("another agent-updater is at work in {0}; wait for it, or see `agent-updater status`")]
    Busy(PathBuf),
}

/// A held lock; released when dropped, or by the system when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Home {
    /// Names a home without touching it.
    ///
    /// # Errors
    /// When the path cannot be made absolute.
    pub fn at(path: &Path) -> Result<Self, HomeError> {
        let absolute =
            std::path::absolute(path).map_err(|source| HomeError::Io { path: path.to_owned(), source })?;
        Ok(Self { path: absolute })
    }

    /// Makes the folders, and checks that others cannot change them.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn prepare(&self) -> Result<(), HomeError> {
        let folders = [
            (self.path.clone(), 0o755),
            (self.path.join("keys"), 0o700),
            (self.path.join("state"), 0o755),
            (self.path.join("state/packages"), 0o755),
            (self.path.join("manifests"), 0o755),
            (self.path.join("downloads"), 0o700),
        ];
        for (folder, mode) in folders {
            make_folder(&folder, mode).map_err(|source| HomeError::Io { path: folder, source })?;
        }
        ensure_not_writable_by_others(&self.path)
            .map_err(|source| HomeError::Ownership(self.path.clone(), source))
    }

    /// The lock of the one daemon.
    ///
    /// # Errors
    /// [`HomeError::Busy`] when another holds it.
    pub fn lock_daemon(&self) -> Result<Lock, HomeError> {
        self.lock("agent.lock")
    }

    /// The lock of whoever changes something; held for one cycle.
    ///
    /// # Errors
    /// [`HomeError::Busy`] when another holds it.
    pub fn lock_cycle(&self) -> Result<Lock, HomeError> {
        self.lock("cycle.lock")
    }

    /// As [`Home::lock_cycle`], but waits until the other is done: its hooks have time limits, so it comes to an end.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn wait_for_cycle(&self) -> Result<Lock, HomeError> {
        let path = self.path.join("cycle.lock");
        let failed = |source| HomeError::Io { path: path.clone(), source };
        let file = open_lock(&path).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(Lock { _file: file })
    }

    fn lock(&self, name: &str) -> Result<Lock, HomeError> {
        let path = self.path.join(name);
        let failed = |source| HomeError::Io { path: path.clone(), source };
        let file = open_lock(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(HomeError::Busy(self.path.clone())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The default configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path.join("agent.toml")
    }

    /// The pinned root.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.path.join("root.json")
    }

    /// The gate file.
    #[must_use]
    pub fn gate(&self) -> PathBuf {
        self.path.join("gate.json")
    }

    /// The daemon's control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join("agent.sock")
    }

    /// The client key.
    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        self.path.join("keys/client.key")
    }

    /// Trusted metadata.
    #[must_use]
    pub fn tuf(&self) -> PathBuf {
        self.path.join("tuf")
    }

    /// A sealed record.
    #[must_use]
    pub fn state(&self, name: &str) -> PathBuf {
        self.path.join("state").join(format!("{name}.json"))
    }

    /// The folder of the packages' records.
    #[must_use]
    pub fn package_records(&self) -> PathBuf {
        self.path.join("state/packages")
    }

    /// The record of a package.
    #[must_use]
    pub fn package_record(&self, package: &PackageName) -> PathBuf {
        self.package_records().join(format!("{package}.json"))
    }

    /// The folder of the manifests of a package's slots.
    #[must_use]
    pub fn manifests(&self, package: &PackageName) -> PathBuf {
        self.path.join("manifests").join(package.as_str())
    }

    /// The manifest of a slot, and its signature.
    #[must_use]
    pub fn manifest(&self, package: &PackageName, slot: &SlotId) -> (PathBuf, PathBuf) {
        let folder = self.manifests(package);
        (folder.join(format!("{slot}.manifest")), folder.join(format!("{slot}.minisig")))
    }

    /// The folder of what is being fetched.
    #[must_use]
    pub fn downloads(&self) -> PathBuf {
        self.path.join("downloads")
    }

    /// A file that is being fetched.
    #[must_use]
    pub fn download(&self, name: &str) -> PathBuf {
        self.downloads().join(name)
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_a_lock_and_it_ends_with_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        home.prepare().unwrap();
        let held = home.lock_cycle().unwrap();
        assert!(matches!(home.lock_cycle(), Err(HomeError::Busy(_))));
        let _daemon = home.lock_daemon().unwrap();
        drop(held);
        assert!(home.lock_cycle().is_ok());
    }
}
