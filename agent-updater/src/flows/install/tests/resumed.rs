//! Installs that were killed while the slot was built go on, file by file, with what is whole.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use sealpost_files::faults::{Step, killed};
use sealpost_test_support::release::noise;

use super::fixture::{Computer, FixedDisk, ONE, Published, TWO, delta};
use crate::domain::record::SlotId;
use crate::flows::install::ChangeEnd;
use crate::flows::retention;

/// More steps than an install takes.
const MOST_STEPS: usize = 2_000;

/// Releases 1 and 2 with this many files that differ.
fn pair(computer: &Computer, files: u8) -> (Published, Published) {
    let names: Vec<String> = (0..files).map(|number| format!("data/{number}")).collect();
    let of = |first: u8| -> Vec<Vec<u8>> {
        (0..files).map(|number| [&[first, number][..], &noise(3_000)].concat()).collect()
    };
    let publish = |version: &str, counter, text, contents: &[Vec<u8>]| {
        let more: Vec<(&str, &[u8])> =
            names.iter().zip(contents).map(|(name, content)| (name.as_str(), &**content)).collect();
        computer.publish_with(version, counter, text, &more)
    };
    let one = publish("1", 1, ONE, &of(b'1'));
    let mut two = publish("2", 2, TWO, &of(b'2'));
    two.delta = Some(delta(&one, &two));
    (one, two)
}

/// What is being built: every path with its inode, and whether it is a whole file.
fn half_built(computer: &Computer, of: &Published) -> BTreeMap<PathBuf, u64> {
    let slots = computer.host.settings.install_root.join("acme/slots");
    let names = fs::read_dir(slots).unwrap().map(|entry| entry.unwrap().path());
    let Some(half) = names.into_iter().find(|path| path.extension().is_some_and(|end| end == "building"))
    else {
        return BTreeMap::new();
    };
    let files = of.manifest.files.iter().map(|entry| PathBuf::from(entry.path.as_str()));
    let is_whole = |path: &PathBuf| {
        let built = half.join(path);
        fs::symlink_metadata(&built).is_ok_and(|found| {
            found.is_symlink()
                || found.mode() & 0o222 == 0
                    && fs::read(built).unwrap() == fs::read(of.folder.join(path)).unwrap()
        })
    };
    let inode = |path: PathBuf| {
        let inode = fs::symlink_metadata(half.join(&path)).unwrap().ino();
        (path, inode)
    };
    files.filter(is_whole).map(inode).collect()
}

#[test]
fn what_was_whole_at_a_kill_is_not_made_again() {
    let mut most = 0;
    let mut boundaries = 0;
    for nth in 1..MOST_STEPS {
        let computer = Computer::new();
        let (mut one, mut two) = pair(&computer, 6);
        assert_eq!(computer.install(&mut one, 0).unwrap(), ChangeEnd::Kept);
        let ran = killed(nth, || computer.install(&mut two, 0));
        let Some((step, path)) = ran.failed else {
            assert_eq!(most, one.manifest.files.len(), "some kill came after the last file");
            assert!(boundaries >= 6, "and one before each file");
            return;
        };
        let context = format!("killed at step {nth}: {step:?} at {}", path.display());
        let half = half_built(&computer, &two);
        if half.is_empty() {
            continue;
        }
        boundaries += usize::from(step == Step::Create && path.to_string_lossy().ends_with(".building"));
        most = most.max(half.len());
        computer.recover();
        let is_two = computer.record().current.unwrap().manifest == two.signed.digest();
        if !is_two {
            assert_eq!(half_built(&computer, &two), half, "{context}: kept by the recovery");
            retention::collect(&computer.host, Some(&[computer.assignment(&two, 0)]));
            assert_eq!(half_built(&computer, &two), half, "{context}: kept while it is assigned");
            assert_eq!(computer.install(&mut two, 0).unwrap(), ChangeEnd::Kept, "{context}");
        }
        computer.assert_runs(&two, &context);
        assert!(!two.fetches.contains(&"payload"), "{context}");
        let slot = computer.slots().path_of(&computer.record().current.unwrap().slot);
        for (path, inode) in half {
            assert_eq!(fs::symlink_metadata(slot.join(&path)).unwrap().ino(), inode, "{context}: {path:?}");
        }
    }
    panic!("an install never ends");
}

/// A computer with release 1, and 2 of which some files were built when it was killed.
fn half_way() -> (Computer, Published, BTreeMap<PathBuf, u64>) {
    // Steps come long before the first file, and some between two.
    for nth in (10..MOST_STEPS).step_by(4) {
        let computer = Computer::new();
        let (mut one, mut two) = pair(&computer, 6);
        computer.install(&mut one, 0).unwrap();
        assert!(killed(nth, || computer.install(&mut two, 0)).answer.is_none());
        let half = half_built(&computer, &two);
        if half.len() >= 4 {
            computer.recover();
            two.fetches.clear();
            return (computer, two, half);
        }
    }
    panic!("no kill came while it was built");
}

#[test]
fn what_was_changed_after_the_kill_is_made_again() {
    let (computer, mut two, half) = half_way();
    let slots = computer.host.settings.install_root.join("acme/slots");
    let names = fs::read_dir(&slots).unwrap().map(|entry| entry.unwrap().path());
    let building =
        names.into_iter().find(|path| path.extension().is_some_and(|end| end == "building")).unwrap();
    let mut changed = 0;
    for (number, path) in half.keys().enumerate() {
        let path = building.join(path);
        fs::remove_file(&path).unwrap();
        match number % 4 {
            0 => fs::write(&path, "other").unwrap(),
            1 => std::os::unix::fs::symlink("/etc/passwd", &path).unwrap(),
            2 => {}
            _ => fs::hard_link(&*computer.host.home.config(), &path).unwrap(),
        }
        changed += 1;
    }
    assert!(changed >= 4);
    assert_eq!(computer.install(&mut two, 0).unwrap(), ChangeEnd::Kept);
    computer.assert_runs(&two, "after somebody was there");
    assert!(two.fetches.is_empty(), "the delta had come before: {:?}, {}", two.fetches, computer.details());
}

#[test]
fn what_is_begun_goes_when_something_else_is_assigned_and_counts_as_room_until_then() {
    let (mut computer, mut two, half) = half_way();
    // Just enough for what is missing.
    let slot = SlotId::of(&two.manifest.release.version, &two.signed.digest());
    let begun = computer.slots().bytes_beside(&slot).unwrap();
    assert!(begun > 3_000);
    let needed = |computer: &Computer, two: &mut Published| match computer.install(two, 0).unwrap() {
        ChangeEnd::Refused(refusal) => refusal.detail,
        end => format!("{end:?}"),
    };
    computer.host.disk = Box::new(FixedDisk(0));
    let with_half = needed(&computer, &mut two);
    assert_eq!(half_built(&computer, &two), half, "a refusal takes nothing away");
    retention::collect(&computer.host, None);
    assert!(half_built(&computer, &two).is_empty());
    let without = needed(&computer, &mut two);
    let number = |text: &str| -> u64 {
        text.split_whitespace()
            .find_map(|word| word.parse::<u64>().ok().filter(|bytes| *bytes > 1_000))
            .unwrap()
    };
    assert_eq!(number(&without) - number(&with_half), begun, "{without} / {with_half}");
}
