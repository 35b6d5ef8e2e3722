use std::io;

use super::applied;
use crate::apply::file::apply_file;
use crate::apply::window::WINDOW_BYTES;
use crate::apply::{ApplyError, Progress};
use crate::container::layout::{Cover, Packing};
use crate::limits::Limits;
use crate::read_at::ReadAt;
use crate::testing::encoder::{all_ways, covers, file_delta, find_covers, streams, whole};
use crate::testing::{noise, text};

/// Bases and targets of many kinds.
fn pairs() -> Vec<(Vec<u8>, Vec<u8>)> {
    let long = text(400_000, 1);
    let mut edited = long.clone();
    for at in (1000..350_000).step_by(9_973) {
        edited[at] = edited[at].wrapping_add(3);
    }
    edited.splice(200_000..200_010, noise(5_000, 3));
    edited.drain(50_000..60_000);
    edited.extend_from_within(..30_000);
    let random = noise(300_000, 5);
    let swapped = [&random[150_000..], &noise(90_000, 8), &random[..150_000]].concat();
    vec![
        (vec![], vec![]),
        (vec![], b"a".to_vec()),
        (b"a".to_vec(), vec![]),
        (long.clone(), long.clone()),
        (long, edited),
        (random, swapped),
        (vec![0; 100_000], vec![0; 300_000]),
        (text(200, 2), text(300, 2)),
    ]
}

#[test]
fn base_and_delta_give_the_target_whatever_the_codec() {
    for (base, target) in pairs() {
        for way in all_ways(&base, &target) {
            let delta = file_delta(&base, &target, &way);
            let (result, summary) = applied(&base, &delta).unwrap();
            assert!(result == target, "{} to {} by {:?}", base.len(), target.len(), way.0);
            assert_eq!(summary.bytes, delta.len() as u64);
            assert_eq!(summary.target_bytes, target.len() as u64);
            assert_eq!(summary.patched + summary.whole, 1);
        }
    }
}

#[test]
fn covers_may_point_at_what_is_made_also_at_what_they_make() {
    let base = noise(1000, 1);
    let mut target = noise(100, 2);
    target.extend_from_slice(&base[..500]);
    target.extend_from_within(20..90);
    for _ in 0..40_000 {
        target.extend_from_within(target.len() - 3..target.len() - 2);
    }
    let length = target.len() as u64;
    let found = [
        Cover { base: 0, target: 100, length: 500 },
        Cover { base: 1020, target: 600, length: 70 },
        Cover { base: 1000 + 667, target: 670, length: length - 670 },
    ];
    for joined in [false, true] {
        let way = covers(&base, &target, &found, joined, Packing::Zstd);
        let delta = file_delta(&base, &target, &way);
        assert!(delta.len() < 400, "{}", delta.len());
        assert!(applied(&base, &delta).unwrap().0 == target);
    }
}

#[test]
fn streams_of_more_than_a_chunk_are_read_in_chunks() {
    let base = noise(900_000, 1);
    let mut target = base.clone();
    for (number, at) in (0u32..).zip((0..base.len()).step_by(100)) {
        target[at..at + 60].copy_from_slice(&noise(60, number));
    }
    let extra = noise(200_000, 9);
    target.splice(300_000..300_000, extra);
    let found = [
        Cover { base: 0, target: 0, length: 300_000 },
        Cover { base: 300_000, target: 500_000, length: 600_000 },
    ];
    assert!(streams(&base, &target, &found).iter().filter(|stream| stream.len() > 65_536).count() >= 2);
    let way = covers(&base, &target, &found, false, Packing::Plain);
    assert!(applied(&base, &file_delta(&base, &target, &way)).unwrap().0 == target);
}

#[test]
fn another_base_is_refused_by_name() {
    let (base, target) = (text(5000, 1), text(6000, 1));
    let way = covers(&base, &target, &find_covers(&base, &target), false, Packing::Zstd);
    let delta = file_delta(&base, &target, &way);
    let mut other = base.clone();
    other[10] ^= 1;
    for other in [other, base[1..].to_vec(), vec![]] {
        let Err(ApplyError::AnotherBase { made_for, found }) = applied(&other, &delta) else { panic!() };
        assert_ne!(made_for, found);
        assert!(made_for.ends_with(" (5000 bytes)"), "{made_for}");
        assert!(found.ends_with(&format!(" ({} bytes)", other.len())), "{found}");
    }
}

/// Fails from some place on, as a bad disk does; or takes nothing, as a full one.
struct Bad(Vec<u8>);

impl ReadAt for Bad {
    fn length(&self) -> u64 {
        self.0.length()
    }

    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        if at + buffer.len() as u64 > 3000 {
            return Err(io::Error::other("bad sector"));
        }
        self.0.read_exact_at(at, buffer)
    }
}

impl io::Write for Bad {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_base_that_cannot_be_read_and_a_target_that_cannot_be_written_are_told_apart() {
    let (base, target) = (text(5000, 1), text(5000, 1));
    let way = covers(&base, &target, &find_covers(&base, &target), false, Packing::Zstd);
    let delta = file_delta(&base, &target, &way);
    let go = |base: &dyn ReadAt, out: &mut dyn io::Write| {
        apply_file(base, delta.as_slice(), out, &Limits::default(), &mut |_: Progress| true).unwrap_err()
    };
    assert!(matches!(go(&Bad(base.clone()), &mut io::sink()), ApplyError::BaseUnreadable(_)));
    assert!(matches!(go(&base, &mut Bad(vec![])), ApplyError::TargetUnwritable(_)));
}

#[test]
fn it_is_asked_for_every_window_and_can_be_cancelled() {
    let target = noise(1_000_000, 1);
    let delta = file_delta(b"", &target, &whole(&target, Packing::Plain));
    let mut seen = Vec::new();
    let mut watch = |progress: Progress| {
        seen.push(progress);
        progress.done < 500_000
    };
    let mut out = Vec::new();
    let result = apply_file(&b"".as_slice(), delta.as_slice(), &mut out, &Limits::default(), &mut watch);
    assert!(matches!(result, Err(ApplyError::Cancelled)));
    assert!(out.len() <= 500_000);
    assert!(seen.windows(2).all(|pair| pair[1].done - pair[0].done <= WINDOW_BYTES as u64));
    assert!(seen.iter().all(|progress| progress.whole == 1_000_000));
}

#[test]
fn more_than_the_limit_is_refused_before_anything_is_written() {
    let target = text(1000, 1);
    let delta = file_delta(b"", &target, &whole(&target, Packing::Plain));
    let limits = Limits { target_bytes: 999, ..Limits::default() };
    let mut out = Vec::new();
    let result = apply_file(&b"".as_slice(), delta.as_slice(), &mut out, &limits, &mut |_: Progress| true);
    assert!(matches!(result, Err(ApplyError::TooLarge { .. })));
    assert!(out.is_empty());
}
