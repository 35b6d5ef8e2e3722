//! Whose the files of a home are, and who can write there: whatever the umask says, and whoever types a command.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sealpost_publisher::home::{HomeError, Vendor};

use crate::process::Bench;

/// Another user than root.
const OWNER: u32 = 65_534;

/// A home that belongs to another user, and a copy of the program in a place that this user may enter.
struct Owned {
    folder: tempfile::TempDir,
}

impl Owned {
    /// `None` without root's rights.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            sealpost_test_support::skips::needs("root").unwrap();
            return None;
        }
        let owned = Self { folder: tempfile::tempdir().unwrap() };
        fs::set_permissions(owned.folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_publisher"), owned.path("publisher")).unwrap();
        fs::create_dir(owned.path("home")).unwrap();
        chown(owned.path("home"), Some(OWNER), Some(OWNER)).unwrap();
        owned.ok(&["init", "--vendor", "Acme", "--no-passphrase"]);
        Some(owned)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn succeeds(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new(self.path("publisher"));
        command.current_dir(self.folder.path()).args(["--home", "home"]).args(arguments).stdin(Stdio::null());
        command.output().unwrap().status.success()
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) {
        assert!(self.succeeds(arguments), "{arguments:?}");
    }
}

fn all_below(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            found.extend(all_below(&entry.unwrap().path()));
        }
    }
    found
}

#[test]
fn what_root_types_for_a_home_of_another_user_is_made_by_that_user_and_root_follows_no_link_out_of_it() {
    let Some(owned) = Owned::new() else { return };
    owned.ok(&["serial", "new", "--seats", "3"]);
    owned.ok(&["refresh"]);
    for path in all_below(&owned.path("home")) {
        assert_eq!(fs::metadata(&path).unwrap().uid(), OWNER, "{}", path.display());
    }
    let outside = owned.path("outside");
    fs::create_dir(&outside).unwrap();
    let (lock, metadata) = (owned.path("home/.lock"), owned.path("home/repository/metadata"));
    fs::rename(&metadata, owned.path("home/kept")).unwrap();
    symlink(&outside, &metadata).unwrap();
    assert!(!owned.succeeds(&["refresh"]));
    fs::remove_file(&metadata).unwrap();
    fs::rename(owned.path("home/kept"), &metadata).unwrap();
    fs::remove_file(&lock).unwrap();
    symlink(outside.join("x"), &lock).unwrap();
    assert!(!owned.succeeds(&["refresh"]));
    assert!(!owned.succeeds(&["root", "renew"]));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_umask_that_takes_nothing_away_lets_nobody_else_write_in_a_new_home() {
    let bench = Bench::new();
    let program = env!("CARGO_BIN_EXE_publisher");
    let made = Command::new("sh")
        .args(["-c", &format!("umask 000; exec '{program}' --home home init --vendor Acme --no-passphrase")])
        .current_dir(bench.path("."))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for path in all_below(&bench.path("home")) {
        let mode = fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o022, 0, "{}: {mode:o}", path.display());
    }
}

#[test]
fn a_home_whose_repository_everybody_can_change_is_refused_with_the_folder_s_name() {
    let bench = Bench::ready();
    for name in ["home", "home/repository", "home/repository/metadata", "home/repository/targets"] {
        let folder = bench.path(name);
        let before = fs::metadata(&folder).unwrap().permissions();
        fs::set_permissions(&folder, Permissions::from_mode(0o757)).unwrap();
        let refused = Vendor::open(&bench.path("home")).unwrap_err();
        assert!(matches!(&refused, HomeError::WritableByAll { path } if *path == folder), "{refused}");
        fs::set_permissions(&folder, before).unwrap();
    }
    assert!(Vendor::open(&bench.path("home")).is_ok());
}
