//! Commands that only look: beside a publisher that works in the home, they neither wait nor hold it up.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sealpost_files::FileLock;
use sealpost_publisher::release::{list_releases, read_channels};
use sealpost_publisher::status::status;

use crate::process::{Bench, strs};
use crate::support::{Home, now};

#[test]
fn who_only_looks_waits_for_no_other_publisher() {
    let bench = Bench::ready();
    bench.ok(&strs(&bench.release("1.0")));
    let serial = bench.ok(&["serial", "new", "--seats", "3"]);
    let home = FileLock::try_take(&bench.path("home/.lock")).unwrap();
    let repository = FileLock::try_take(&bench.path("home/.repository.lock")).unwrap();
    for arguments in [
        &["status"][..],
        &["releases", "list"],
        &["releases", "show", "acme-av", "1.0"],
        &["channel", "list"],
        &["channel", "show"],
        &["channel", "minimum", "acme-av"],
        &["channel", "mandatory", "acme-av"],
        &["trust", "show"],
        &["serial", "list"],
        &["serial", "show", serial.trim()],
        &["serial", "new", "--seats", "3", "--package", "acme-av"],
    ] {
        let output = bench.run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !said.contains("waiting"), "{arguments:?}: {said}");
    }
    drop((home, repository));
}

#[test]
fn what_is_looked_at_while_releases_are_made_belongs_to_one_publication() {
    let home = Home::new();
    home.release("acme-av", "1", "one").unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for version in 2..=12 {
                home.release("acme-av", &version.to_string(), &format!("content {version}")).unwrap();
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let mut seen = 0;
        while !is_over.load(Ordering::Relaxed) {
            let releases = list_releases(&home.vendor(), &[]).unwrap();
            assert!(releases.len() >= seen, "{} after {seen}", releases.len());
            seen = releases.len();
            assert!(releases[0].channels.len() == 1, "the newest release is the one that the channel offers");
            assert_eq!(read_channels(&home.vendor(), &[]).unwrap().len(), 1);
            status(&home.vendor(), &home.keyring(), now()).unwrap();
        }
    });
    assert_eq!(list_releases(&home.vendor(), &[]).unwrap().len(), 12);
}

/// Every file and folder below this one that another account may open.
fn open_to_others(folder: &Path, found: &mut Vec<File>) {
    let may_read = |path: &Path| fs::metadata(path).unwrap().mode() & 0o004 != 0;
    found.extend(may_read(folder).then(|| File::open(folder).unwrap()));
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            open_to_others(&path, found);
        } else {
            found.extend(may_read(&path).then(|| File::open(&path).unwrap()));
        }
    }
}

#[test]
fn a_local_user_who_locks_all_that_he_may_open_holds_up_no_publishing() {
    let bench = Bench::ready();
    bench.ok(&strs(&bench.release("1.0")));
    let mut open = Vec::new();
    open_to_others(&bench.path("home"), &mut open);
    assert!(open.len() > 5, "what is published may be read");
    // The lock of a file that is open for reading only is as good as another.
    open.iter().for_each(|file| file.lock().unwrap());
    bench.ok(&strs(&bench.release("1.1")));
    bench.ok(&["refresh"]);
    bench.ok(&["serial", "new", "--seats", "3"]);
    drop(open);
}
