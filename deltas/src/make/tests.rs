//! What making takes, and that it gives the same whoever works on it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{MakeError, MakeSettings, make_file, make_folder};
use crate::apply::Progress;
use crate::folder::read_folder;
use crate::limits::Limits;
use crate::read_at::ReadAt;
use crate::testing::{ensure_peak, in_own_process, noise, text};
use crate::tree::Tree;

const GIBIBYTE: u64 = 1 << 30;
const CHILD: &str = "SEALPOST_MAKE_OF";
/// Memory that making may take, and the process itself.
const MEMORY: u64 = 96 << 20;
const PROCESS_KIB: u64 = 8 << 10;

/// Noise without end that is the same each time, with some stretches of another noise in it. It takes no memory.
struct Endless {
    /// Which noise stretches have of a mebibyte each: nothing for most, so that the two differ there alone.
    other: fn(u64) -> u64,
}

impl ReadAt for Endless {
    fn length(&self) -> u64 {
        GIBIBYTE
    }

    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut place = at;
        let mut rest = buffer;
        while !rest.is_empty() {
            let word = word(place / 8, (self.other)(place >> 20)).to_le_bytes();
            let from = usize::try_from(place % 8).unwrap();
            let count = rest.len().min(8 - from);
            let (here, after) = rest.split_at_mut(count);
            here.copy_from_slice(&word[from..from + count]);
            (rest, place) = (after, place + count as u64);
        }
        Ok(())
    }
}

fn word(number: u64, seed: u64) -> u64 {
    let mixed = (number ^ seed << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ mixed >> 27
}

/// Counts what is written.
#[derive(Default)]
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gibibyte_in_child(test: &str, other: fn(u64) -> u64, most_bytes: u64) {
    if std::env::var_os(CHILD).is_none() {
        return in_own_process(&format!("make::tests::{test}"), (CHILD, Path::new(test)));
    }
    let (base, target) = (Endless { other: |_| 0 }, Endless { other });
    let settings = MakeSettings { memory_bytes: MEMORY, threads: 2, ..MakeSettings::default() };
    let mut delta = Count::default();
    let mut go_on = |_: Progress| true;
    make_file(&base, &target, &mut delta, &settings, &mut go_on).unwrap();
    assert!(delta.0 < most_bytes, "{}", delta.0);
    ensure_peak((MEMORY >> 10) + PROCESS_KIB);
}

#[test]
fn a_gibibyte_of_which_little_changed_is_compared_within_the_memory() {
    let of_each_thirtieth = |mebibyte: u64| u64::from(mebibyte % 30 == 7);
    gibibyte_in_child(
        "a_gibibyte_of_which_little_changed_is_compared_within_the_memory",
        of_each_thirtieth,
        (GIBIBYTE / 30) + (2 << 20),
    );
}

#[test]
fn a_gibibyte_of_which_most_changed_is_compared_within_the_memory() {
    let of_most = |mebibyte: u64| u64::from(mebibyte % 4 != 1);
    gibibyte_in_child(
        "a_gibibyte_of_which_most_changed_is_compared_within_the_memory",
        of_most,
        GIBIBYTE / 4 * 3 + (2 << 20),
    );
}

/// A tree with large files, which are groups of their own, and small ones.
fn tree(root: &Path, release: u32) -> Tree {
    fs::create_dir_all(root).unwrap();
    for number in 1..6 {
        let mut content = [text(700_000, number), noise(700_000, number)].concat();
        let at = 100_000 * usize::try_from(number).unwrap();
        content.splice(at..at, noise(40_000, release * 10 + number));
        fs::write(root.join(format!("large-{number}")), content).unwrap();
        fs::write(root.join(format!("small-{number}")), text(9_000 + 7 * release as usize, number)).unwrap();
    }
    Tree { root: root.to_owned(), entries: read_folder(root).unwrap() }
}

fn trees() -> (tempfile::TempDir, Tree, Tree) {
    let folder = tempfile::tempdir().unwrap();
    let (base, target) = (tree(&folder.path().join("base"), 1), tree(&folder.path().join("target"), 2));
    (folder, base, target)
}

#[test]
fn the_delta_is_the_same_however_many_work_on_it_and_progress_ends_at_the_whole() {
    let (_folder, base, target) = trees();
    let made = |settings: MakeSettings| {
        let (mut delta, mut told) = (Vec::new(), Vec::new());
        let mut control = |progress: Progress| {
            told.push((progress.done, progress.whole));
            true
        };
        make_folder(&base, &target, &mut delta, &Limits::default(), &settings, &mut control).unwrap();
        assert!(told.is_sorted(), "progress goes forward");
        let (done, whole) = *told.last().unwrap();
        assert_eq!(done, whole);
        delta
    };
    let alone = made(MakeSettings { threads: 1, ..MakeSettings::default() });
    for threads in [0, 2, 3, 16] {
        assert!(made(MakeSettings { threads, ..MakeSettings::default() }) == alone, "{threads} threads");
    }
    // Less memory lets fewer work at once; here it is enough for each of them.
    assert!(made(MakeSettings { threads: 4, memory_bytes: 32 << 20, ..MakeSettings::default() }) == alone);
}

#[test]
fn who_stops_it_waits_for_no_thread_that_goes_on() {
    let (_folder, base, target) = trees();
    for (threads, after) in [(1, 3), (4, 1), (4, 3)] {
        let asked = AtomicU64::new(0);
        let mut control = |_: Progress| asked.fetch_add(1, Ordering::Relaxed) < after;
        let settings = MakeSettings { threads, ..MakeSettings::default() };
        let ended = make_folder(&base, &target, &mut Vec::new(), &Limits::default(), &settings, &mut control);
        assert!(matches!(ended, Err(MakeError::Cancelled)), "{threads}, {after}: {ended:?}");
    }
}

#[test]
fn a_file_that_is_not_what_its_list_says_ends_all_threads() {
    let (folder, base, target) = trees();
    fs::write(folder.path().join("target/large-3"), noise(1_440_000, 3)).unwrap();
    let settings = MakeSettings { threads: 4, ..MakeSettings::default() };
    let mut go_on = |_: Progress| true;
    let ended = make_folder(&base, &target, &mut Vec::new(), &Limits::default(), &settings, &mut go_on);
    assert!(matches!(&ended, Err(MakeError::Differs { path }) if path == "large-3"), "{ended:?}");
}
