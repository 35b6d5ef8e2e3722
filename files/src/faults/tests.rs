//! Every function of this crate that writes, through every failure of every step.

use std::fs;
use std::io;
use std::path::Path;

use super::{Failure, Ran, failing, unflushed};
use crate::{
    PRIVATE, PUBLIC, create_or_same, make_folder, remove_durably, replace, sweep, sync_folder, write_new,
};

/// More steps than any function here takes.
const MOST_STEPS: usize = 50;

/// Fails `work` at each step; `check` looks what is there then. Afterwards it succeeds, and leaves nothing to be flushed.
fn fails_everywhere(
    prepare: impl Fn(&Path),
    work: impl Fn(&Path) -> io::Result<()>,
    check: impl Fn(&Path, &str),
    done: impl Fn(&Path),
) {
    for failure in Failure::ALL {
        for nth in 1.. {
            assert!(nth < MOST_STEPS, "it never ends");
            let folder = tempfile::tempdir().unwrap();
            prepare(folder.path());
            let _ = unflushed();
            let Ran { answer, failed } = failing(nth, failure, || work(folder.path()));
            let Some((step, _)) = failed else {
                answer.unwrap();
                break;
            };
            let place = format!("{failure:?} at {step:?}");
            assert!(answer.is_err(), "{place} is told as success");
            check(folder.path(), &place);
            work(folder.path()).unwrap_or_else(|error| panic!("again after {place}: {error}"));
            done(folder.path());
            assert_eq!(unflushed(), Vec::<std::path::PathBuf>::new(), "told as durable after {place}");
        }
    }
}

fn leaves_nothing_unfinished(folder: &Path, place: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.starts_with(".unfinished-"), "{place} leaves {name}");
    }
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all_whatever_fails() {
    fails_everywhere(
        |folder| replace(&folder.join("a"), b"the old bytes", PUBLIC).unwrap(),
        |folder| replace(&folder.join("a"), b"new bytes", PRIVATE),
        |folder, place| {
            leaves_nothing_unfinished(folder, place);
            let bytes = fs::read(folder.join("a")).unwrap();
            assert!([&b"the old bytes"[..], b"new bytes"].contains(&bytes.as_slice()), "{place}: {bytes:?}");
        },
        |folder| assert_eq!(fs::read(folder.join("a")).unwrap(), b"new bytes"),
    );
}

#[test]
fn a_new_file_that_could_not_be_made_durable_can_be_written_again() {
    fails_everywhere(
        |_| {},
        |folder| write_new(&folder.join("a"), b"new bytes", PRIVATE),
        |folder, place| {
            leaves_nothing_unfinished(folder, place);
            assert!(!folder.join("a").exists(), "{place}: it is there, and the next try would be refused");
        },
        |folder| assert_eq!(fs::read(folder.join("a")).unwrap(), b"new bytes"),
    );
}

#[test]
fn the_same_file_again_is_whole_or_not_there_whatever_fails() {
    fails_everywhere(
        |_| {},
        |folder| create_or_same(&folder.join("a"), b"new bytes", PUBLIC).and_then(|()| sync_folder(folder)),
        |folder, place| {
            leaves_nothing_unfinished(folder, place);
            let bytes = fs::read(folder.join("a")).ok();
            assert!(bytes.is_none_or(|bytes| bytes == b"new bytes"), "{place}");
        },
        |folder| assert_eq!(fs::read(folder.join("a")).unwrap(), b"new bytes"),
    );
}

#[test]
fn a_folder_has_its_mode_and_is_durable_when_it_is_reported_whatever_failed_before() {
    use std::os::unix::fs::MetadataExt;
    fails_everywhere(
        |_| {},
        |folder| make_folder(&folder.join("a/b"), 0o755),
        |_, _| {},
        |folder| assert_eq!(fs::metadata(folder.join("a/b")).unwrap().mode() & 0o777, 0o755),
    );
}

#[test]
fn a_removed_file_is_durably_away_when_it_is_reported_whatever_failed_before() {
    fails_everywhere(
        |folder| fs::write(folder.join("a"), b"").unwrap(),
        |folder| remove_durably(&folder.join("a")),
        |_, _| {},
        |folder| assert!(!folder.join("a").exists()),
    );
}

#[test]
fn what_a_killed_process_left_is_swept_after_any_failure() {
    fails_everywhere(
        |folder| {
            ["a", "b"]
                .iter()
                .for_each(|name| fs::write(folder.join(format!(".unfinished-{name}")), b"").unwrap())
        },
        |folder| sweep(folder).and_then(|()| sync_folder(folder)),
        |_, _| {},
        |folder| leaves_nothing_unfinished(folder, "the end"),
    );
}

#[test]
fn a_write_that_takes_half_of_the_bytes_is_followed_by_one_that_takes_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..=255).collect();
    let path = folder.path().join("a");
    let writes: [&dyn Fn() -> io::Result<()>; 3] = [
        &|| replace(&path, &bytes, PUBLIC),
        &|| write_new(&folder.path().join("b"), &bytes, PRIVATE),
        &|| create_or_same(&folder.path().join("c"), &bytes, PUBLIC),
    ];
    for (work, name) in writes.iter().zip(["a", "b", "c"]) {
        let Ran { answer, failed } = failing(1, Failure::Short, work);
        assert!(failed.is_some(), "{name}: no write was cut short");
        answer.unwrap();
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), bytes, "{name}");
    }
}
