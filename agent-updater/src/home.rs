//! The agent's home: which file lives where, who may read it, and who holds its locks.
//!
//! ```text
//! agent.toml                configuration                     agent.lock, cycle.lock, install.lock
//! root.json                 the vendor's pinned root          agent.sock        control socket of `run`
//! gate/PACKAGE              what its product may do           keys/             client.key, ID.key and ID.next.key of a server, sealing.key: 0600
//! state/…                   records (see `platform::store`)    manifests/PACKAGE/SLOT.{manifest,minisig}
//! state/servers/ID/…        records of one server             downloads/        unfinished downloads
//! state/footprints/…        how slots were found last         tuf/              trusted metadata
//! self/                     which program of the agent runs       self/watch.lock
//! ```

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sealpost_files::{FileLock, LockError, make_folder, sweep};
use sealpost_manifests::ids::{PackageName, ServerId};

use crate::domain::record::SlotId;
use crate::platform::locks::is_locked;
use crate::platform::ownership::{OwnershipError, ensure_not_writable_by_others};
use crate::platform::store;

/// Lock of the daemon.
const DAEMON_LOCK: &str = "agent.lock";
/// Lock of whoever changes something.
const CYCLE_LOCK: &str = "cycle.lock";
/// Lock of an install file at work.
const INSTALL_LOCK: &str = "install.lock";
/// Lock of whoever writes which program of the agent runs, or watches one that is on trial.
const WATCH_LOCK: &str = "self/watch.lock";
/// The folder of what is known of the agent's own program; swept by whoever holds [`WATCH_LOCK`].
const SELF: &str = "self";
/// The folders that records and public files are written into, relative to the home. Those of the servers are swept with
/// them.
const WRITTEN_FOLDERS: [&str; 5] = ["", "gate", "state", "state/packages", "state/footprints"];
/// The folders of the home with the agent's own files. A purge of the package removes them, but for the gates, which
/// products read.
pub const OWN_FOLDERS: [&str; 7] = ["keys", "state", "gate", SELF, "manifests", "downloads", "tuf"];
/// How deep folders lie in them: `state/servers/ID`.
const FOLDERS_DEEP: usize = 2;
/// Names that only an agent's home has.
const SIGNS: [&str; 6] = ["agent.toml", CYCLE_LOCK, DAEMON_LOCK, "state", SELF, "gate"];
/// What a person, a package or a file system may have put into a home that nothing was enrolled in yet.
const LAID_BEFORE: [&str; 3] = ["root.json", "products", "lost+found"];

#[derive(Debug, Clone)]
pub struct Home {
    path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("cannot use the home folder {path}; run as root, or name another with --home")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{path} is no agent's home: {why}; name the right one with --home, or make this one by enrolling the computer: \
         `agent-updater enroll --setup FILE`"
    )]
    NoHome { path: PathBuf, why: &'static str },
    #[error("the home folder {0} is not safe to use")]
    Ownership(PathBuf, #[source] OwnershipError),
    #[error("another agent-updater is at work in {0}; wait for it, or see `agent-updater status`")]
    Busy(PathBuf),
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

    /// Refuses a folder that is not there or holds something else, so that a slip in its name does not look like a computer
    /// that was never enrolled. An empty one is a home: a person or a mount may have laid it.
    ///
    /// # Errors
    /// [`HomeError::NoHome`], or [`HomeError::Io`] when it cannot be looked into.
    pub fn ensure_there(&self) -> Result<(), HomeError> {
        let no_home = |why| HomeError::NoHome { path: self.path.clone(), why };
        let entries = fs::read_dir(&self.path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => no_home("there is no such folder"),
            io::ErrorKind::NotADirectory => no_home("it is no folder"),
            _ => HomeError::Io { path: self.path.clone(), source },
        })?;
        let names: Vec<OsString> = entries.flatten().map(|entry| entry.file_name()).collect();
        let is_one_of = |name: &OsString, known: &[&str]| known.iter().any(|known| name == known);
        if names.iter().any(|name| is_one_of(name, &SIGNS))
            || names.iter().all(|name| is_one_of(name, &LAID_BEFORE))
        {
            return Ok(());
        }
        Err(no_home("it holds something else"))
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
            (self.path.join("state/footprints"), 0o755),
            (self.servers(), 0o755),
            (self.gates(), 0o755),
            (self.path.join(SELF), 0o755),
            (self.path.join("manifests"), 0o755),
            (self.path.join("downloads"), 0o700),
            (self.tuf(), 0o700),
        ];
        for (folder, mode) in folders {
            make_folder(&folder, mode).map_err(|source| HomeError::Io { path: folder.clone(), source })?;
        }
        ensure_safe(&self.path)?;
        OWN_FOLDERS.iter().try_for_each(|own| ensure_all_safe(&self.path.join(own), FOLDERS_DEEP))
    }

    /// The lock of the one daemon.
    ///
    /// # Errors
    /// [`HomeError::Busy`] when another process holds it.
    pub fn lock_daemon(&self) -> Result<FileLock, HomeError> {
        self.lock(DAEMON_LOCK)
    }

    /// The lock of whoever writes which program of the agent runs. A watchdog holds it as long as a trial goes on. Files that
    /// a killed process left unfinished are removed.
    ///
    /// # Errors
    /// [`HomeError::Busy`] when another process holds it.
    pub fn lock_watch(&self) -> Result<FileLock, HomeError> {
        let lock = self.lock(WATCH_LOCK)?;
        // What stays is removed the next time: the daemon writes what it says of itself there, without this lock.
        if let Err(error) = sweep(&self.path.join(SELF)) {
            tracing::debug!(%error, "unfinished files of the agent's own program stay");
        }
        Ok(lock)
    }

    /// The lock of whoever changes something; held for one cycle. Files that a killed process left unfinished are
    /// removed.
    ///
    /// # Errors
    /// [`HomeError::Busy`] when another process holds it.
    pub fn lock_cycle(&self) -> Result<FileLock, HomeError> {
        let lock = self.lock(CYCLE_LOCK)?;
        for folder in
            WRITTEN_FOLDERS.map(|name| self.path.join(name)).into_iter().chain(self.server_folders())
        {
            sweep(&folder).map_err(|source| HomeError::Io { path: folder, source })?;
        }
        Ok(lock)
    }

    /// As [`Home::lock_cycle`], but waits until the other process is done: its hooks have time limits, so it ends.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn wait_for_cycle(&self) -> Result<FileLock, HomeError> {
        let path = self.path.join(CYCLE_LOCK);
        FileLock::take(&path, || ()).map_err(|source| HomeError::Io { path, source })
    }

    /// The lock of an install file at work; waits until another one is done. The home is made, if there is none.
    ///
    /// # Errors
    /// As [`Home::prepare`].
    pub fn wait_for_install(&self) -> Result<FileLock, HomeError> {
        self.prepare()?;
        let path = self.path.join(INSTALL_LOCK);
        let waiting =
            || tracing::info!("another install file is at work on this computer: waiting until it is done");
        FileLock::take(&path, waiting).map_err(|source| HomeError::Io { path, source })
    }

    fn lock(&self, name: &str) -> Result<FileLock, HomeError> {
        let path = self.path.join(name);
        FileLock::try_take(&path).map_err(|error| match error {
            LockError::Held => HomeError::Busy(self.path.clone()),
            LockError::Io(source) => HomeError::Io { path, source },
        })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path.join("agent.toml")
    }

    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.path.join("root.json")
    }

    /// The folder of the gate files.
    #[must_use]
    pub fn gates(&self) -> PathBuf {
        self.path.join("gate")
    }

    #[must_use]
    pub fn gate(&self, package: &PackageName) -> PathBuf {
        self.gates().join(package.as_str())
    }

    /// Keeps room for the records of a change on a disk that fills up.
    pub fn keep_reserve(&self) {
        store::keep_reserve(&self.path.join("state"));
    }

    /// Whether a daemon holds its lock, for who may not ask it; `None` if that cannot be found out.
    #[must_use]
    pub fn is_daemon_locked(&self) -> Option<bool> {
        is_locked(&self.path.join(DAEMON_LOCK))
    }

    /// The daemon's control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join("agent.sock")
    }

    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        self.path.join("keys/client.key")
    }

    /// The key for one server, if it is not the first that this computer was enrolled with.
    #[must_use]
    pub fn server_key(&self, server: &ServerId) -> PathBuf {
        self.path.join("keys").join(format!("{server}.key"))
    }

    /// The key that this computer goes on with at a server, until the enrollment with it is kept.
    #[must_use]
    pub fn next_key(&self, server: &ServerId) -> PathBuf {
        self.path.join("keys").join(format!("{server}.next.key"))
    }

    /// The key to which servers seal what they send to this computer by file.
    #[must_use]
    pub fn sealing_key(&self) -> PathBuf {
        self.path.join("keys/sealing.key")
    }

    /// The folder of the vendor's trusted metadata.
    #[must_use]
    pub fn tuf(&self) -> PathBuf {
        self.path.join("tuf")
    }

    #[must_use]
    pub fn state(&self, name: &str) -> PathBuf {
        self.path.join("state").join(format!("{name}.json"))
    }

    /// The folder of the servers' records.
    #[must_use]
    pub fn servers(&self) -> PathBuf {
        self.path.join("state/servers")
    }

    #[must_use]
    pub fn server(&self, server: &ServerId) -> PathBuf {
        self.servers().join(server.as_str())
    }

    #[must_use]
    pub fn server_record(&self, server: &ServerId, name: &str) -> PathBuf {
        self.server(server).join(format!("{name}.json"))
    }

    /// The folders of the servers that this computer has records of, whatever else names them.
    fn server_folders(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.servers()) else { return Vec::new() };
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }

    /// The folder of the packages' records.
    #[must_use]
    pub fn package_records(&self) -> PathBuf {
        self.path.join("state/packages")
    }

    #[must_use]
    pub fn package_record(&self, package: &PackageName) -> PathBuf {
        self.package_records().join(format!("{package}.json"))
    }

    /// How the slots of a package were found last.
    #[must_use]
    pub fn footprints(&self, package: &PackageName) -> PathBuf {
        self.path.join("state/footprints").join(format!("{package}.json"))
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

    /// The record of which program of the agent runs.
    #[must_use]
    pub fn self_state(&self) -> PathBuf {
        self.path.join("self/state")
    }

    /// What a program that is on trial says of its contact.
    #[must_use]
    pub fn self_contacted(&self) -> PathBuf {
        self.path.join("self/contacted")
    }

    /// What the program that runs as the daemon says of itself.
    #[must_use]
    pub fn self_running(&self) -> PathBuf {
        self.path.join("self/running")
    }

    /// The folder of unfinished downloads.
    #[must_use]
    pub fn downloads(&self) -> PathBuf {
        self.path.join("downloads")
    }

    #[must_use]
    pub fn download(&self, name: &str) -> PathBuf {
        self.downloads().join(name)
    }
}

/// A folder of another user's in the home is as bad as a home of his.
fn ensure_safe(folder: &Path) -> Result<(), HomeError> {
    ensure_not_writable_by_others(folder).map_err(|source| HomeError::Ownership(folder.to_owned(), source))
}

/// The same for a folder and those in it, so many levels deep.
fn ensure_all_safe(folder: &Path, levels: usize) -> Result<(), HomeError> {
    ensure_safe(folder)?;
    if levels == 0 {
        return Ok(());
    }
    let failed = |source| HomeError::Io { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() || (kind.is_symlink() && entry.path().is_dir()) {
            let path = entry.path();
            match ensure_all_safe(&path, levels - 1) {
                // Another process has just removed it.
                Err(_) if !path.exists() => {}
                looked => looked?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Else a purge leaves the computer's identity behind, or takes what is not the agent's.
    #[test]
    fn a_purge_of_the_package_names_what_the_agent_makes_in_its_home() {
        let script = include_str!("../../packaging/debian/agent-updater/postrm");
        let line = script.lines().find_map(|line| line.strip_prefix("own='")?.strip_suffix('\''));
        let mut purged: Vec<&str> = line.unwrap().split(' ').collect();
        purged.sort_unstable();
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        home.prepare().unwrap();
        let _locks = (home.lock_daemon().unwrap(), home.lock_cycle().unwrap(), home.lock_watch().unwrap());
        for path in [home.config(), home.root(), home.socket()] {
            fs::write(path, "").unwrap();
        }
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut made: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        made.sort_unstable();
        assert!(OWN_FOLDERS.iter().all(|own| made.iter().any(|name| name == own)), "{made:?}");
        made.retain(|name| name != "gate");
        assert_eq!(made, purged);
    }

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

    #[test]
    fn a_folder_of_the_home_that_others_can_change_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        home.prepare().unwrap();
        // Some are made by others than this file.
        let server = home.server(&ServerId::from_random([7; 16]));
        let manifests = home.manifests(&PackageName::new("hello").unwrap());
        let made = [server, manifests, home.tuf().join("roles"), home.tuf().join("roots")];
        let fixed = ["self", "state", "gate", "state/packages", "tuf"].map(|name| folder.path().join(name));
        for path in made.into_iter().chain(fixed) {
            make_folder(&path, 0o755).unwrap();
            let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            set(0o777);
            let error = home.prepare().unwrap_err();
            assert!(matches!(&error, HomeError::Ownership(at, _) if *at == path), "{error}");
            set(0o755);
        }
        home.prepare().unwrap();
    }

    #[test]
    fn a_folder_of_something_else_is_no_home_and_an_empty_one_or_one_with_its_configuration_is() {
        let folder = tempfile::tempdir().unwrap();
        let home = |name: &str| Home::at(&folder.path().join(name)).unwrap();
        let refused = home("absent").ensure_there().unwrap_err().to_string();
        assert!(refused.contains("no such folder") && refused.contains("agent-updater enroll"), "{refused}");
        for (name, content, is_home) in [
            ("empty", vec![], true),
            ("configured", vec!["agent.toml", "root.json"], true),
            ("with_a_mounted_disk", vec!["products", "lost+found"], true),
            ("site", vec!["distributor.toml", "ledger.db"], false),
            ("vendor", vec!["vendor.toml", "root.json"], false),
        ] {
            fs::create_dir(folder.path().join(name)).unwrap();
            for file in content {
                fs::write(folder.path().join(name).join(file), "").unwrap();
            }
            assert_eq!(home(name).ensure_there().is_ok(), is_home, "{name}");
        }
        home("site").prepare().unwrap();
        home("site").ensure_there().unwrap();
    }

    #[test]
    fn what_a_killed_process_left_unfinished_is_removed_by_the_next_holder_of_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        home.prepare().unwrap();
        let server = home.server(&ServerId::from_random([7; 16]));
        fs::create_dir(&server).unwrap();
        let folders = WRITTEN_FOLDERS.map(|name| folder.path().join(name)).into_iter().chain([server]);
        let left: Vec<PathBuf> = folders.map(|folder| folder.join(".unfinished-x")).collect();
        for path in &left {
            fs::write(path, b"half").unwrap();
        }
        drop(home.lock_cycle().unwrap());
        assert!(left.iter().all(|path| !path.exists()));
        // The folder of the agent's own program has another lock.
        let own = folder.path().join("self/.unfinished-x");
        fs::write(&own, b"half").unwrap();
        let held = home.lock_watch().unwrap();
        assert!(!own.exists());
        fs::write(&own, b"half").unwrap();
        assert!(home.lock_watch().is_err() && own.exists(), "it is the holder's");
        drop(held);
    }
}
