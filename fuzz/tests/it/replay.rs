//! Every seed, and changes of it, through its target.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;

use sealpost_fuzz::{TARGETS, Target};

use crate::folder::seeds_of;
use crate::mutations::mutated;

/// Changes of each seed. More find little that a minute of fuzzing would not find better.
const MUTATIONS: u64 = 300;

/// Bytes on which a target stopped.
struct Finding {
    seed: PathBuf,
    /// The number of the change; `None` for the seed itself.
    mutation: Option<u64>,
    bytes: Vec<u8>,
}

#[test]
fn every_seed_and_every_change_of_it_goes_through_its_target() {
    let waiting = Mutex::new(TARGETS.to_vec());
    let next = || waiting.lock().unwrap().pop();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let findings: Vec<Finding> = std::thread::scope(|scope| {
        let work = || std::iter::from_fn(next).flat_map(replayed).collect::<Vec<Finding>>();
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    for Finding { seed, mutation, bytes } in &findings {
        let what = mutation.map_or("itself".to_owned(), |number| format!("with change {number}"));
        eprintln!("{} {what}: b\"{}\"", seed.display(), bytes.escape_ascii());
    }
    assert!(findings.is_empty(), "{} findings; see the messages of the panics above", findings.len());
}

/// The first finding of each seed of a target.
fn replayed(target: Target) -> Vec<Finding> {
    let seeds = seeds_of(target.name);
    let mut findings = Vec::new();
    for (index, seed) in seeds.iter().enumerate() {
        let other = &seeds[(index + 1) % seeds.len()].bytes;
        let changes = (0..MUTATIONS).map(|number| (Some(number), mutated(&seed.bytes, other, number)));
        let all = std::iter::once((None, seed.bytes.clone())).chain(changes);
        let mut stopped =
            all.filter(|(_, bytes)| catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))).is_err());
        if let Some((mutation, bytes)) = stopped.next() {
            findings.push(Finding { seed: seed.path.clone(), mutation, bytes });
        }
    }
    findings
}

/// A seed that is refused at the first byte shows a fuzzer nothing. Golden files of other keys and bases may be.
#[test]
fn every_seed_is_accepted_unless_its_name_says_otherwise() {
    for target in TARGETS {
        for seed in seeds_of(target.name) {
            let name = seed.path.file_name().unwrap().to_str().unwrap();
            let may_be_refused = ["golden", "refused", "found"].iter().any(|prefix| name.starts_with(prefix));
            assert!((target.run)(&seed.bytes) || may_be_refused, "{} is refused", seed.path.display());
        }
    }
}

/// What no seed can be: nothing, and bytes that are no text.
#[test]
fn every_target_takes_nothing_and_noise() {
    for target in TARGETS {
        for bytes in [&b""[..], b"\n", b"\0", b"{}", b"[]", b"null", b"\"\"", &[0xff; 300], &[0; 300]] {
            (target.run)(bytes);
        }
    }
}
