//! What applying takes of memory, whatever the size: 1 GiB with as much of everything as a group may have.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::apply::Progress;
use crate::apply::file::apply_file;
use crate::apply::maker::proof;
use crate::container::layout::{Codec, Group, Head, Packing, STREAMS, Subject};
use crate::container::varint;
use crate::container::write::{write_head, write_streams};
use crate::limits::Limits;
use crate::read_at::ReadAt;
use crate::testing::encoder::covers_of_streams;
use crate::testing::{ensure_peak, in_own_process, noise};

const COVERS: u64 = 200_000;
const LENGTH: u64 = 1 << 30;
/// Bytes of each cover, of the gap before it, and how many of the cover differ.
const COVER: u64 = LENGTH / COVERS - GAP;
const GAP: u64 = 60;
const UNEQUAL: u64 = 30;
const DELTA: &str = "SEALPOST_LARGE_DELTA";
/// What the process itself takes, and 32 MiB.
const MOST_KIB: u64 = (32 + 6) * 1024;

/// Noise over and over: it takes no memory.
struct Noise(Vec<u8>);

impl Noise {
    fn new() -> Self {
        Self(noise(100_003, 1))
    }
}

impl ReadAt for Noise {
    fn length(&self) -> u64 {
        LENGTH
    }

    fn read_exact_at(&self, at: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        let mut place = usize::try_from(at % self.0.len() as u64).unwrap();
        while !buffer.is_empty() {
            let count = buffer.len().min(self.0.len() - place);
            let (here, rest) = buffer.split_at_mut(count);
            here.copy_from_slice(&self.0[place..place + count]);
            (buffer, place) = (rest, 0);
        }
        Ok(())
    }
}

fn write_delta(path: &Path) {
    let mut streams: [Vec<u8>; STREAMS] = Default::default();
    let (values, literals) = (noise(1 << 20, 2), noise(1 << 20, 3));
    for number in 0..COVERS {
        varint::write(GAP, &mut streams[0]);
        varint::write(COVER, &mut streams[1]);
        // To and fro, so that nothing is kept.
        let step = i64::try_from(number % 1000 + 10).unwrap() * if number % 2 == 0 { 1 } else { -1 };
        varint::write(8 + varint::unsigned(step), &mut streams[2]);
        varint::write(COVER - UNEQUAL, &mut streams[3]);
        varint::write(UNEQUAL, &mut streams[4]);
        let at = usize::try_from(number * 97 % 1_000_000).unwrap();
        streams[5].extend(values[at..at + size(UNEQUAL)].iter().map(|value| value | 1));
        streams[6].extend_from_slice(&literals[at..at + size(GAP)]);
    }
    let length = COVERS * (COVER + GAP);
    let (head, bodies) = covers_of_streams(&streams, size(COVERS), false, false, Packing::Lzma2);
    let (order, digest) = proof(&Codec::Covers(head.clone()), &bodies, &Noise::new(), length).unwrap();
    let head = Head {
        subject: Subject::File,
        base_check: [0; 2],
        base_length: LENGTH,
        target_length: length,
        target_check: *digest.0.first_chunk().unwrap(),
        groups: vec![Group { targets: vec![], bases: vec![], codec: Codec::Covers(head) }],
    };
    let mut file = File::create(path).unwrap();
    write_head(&head, |_| Ok((Packing::Plain, vec![])), &mut file).unwrap();
    write_streams(&bodies, &order, &mut file).unwrap();
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// In a process of its own, which is told where the delta lies.
fn apply_it(path: &Path) {
    let base = Noise::new();
    let (delta, limits) = (File::open(path).unwrap(), Limits::default());
    let summary = apply_file(&base, delta, &mut io::sink(), &limits, &mut |_: Progress| true).unwrap();
    assert_eq!(summary.target_bytes, COVERS * (COVER + GAP));
    ensure_peak(MOST_KIB);
}

#[test]
fn a_gibibyte_is_applied_in_32_mebibytes() {
    if let Some(path) = std::env::var_os(DELTA) {
        return apply_it(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("delta");
    write_delta(&path);
    in_own_process("apply::tests::large::a_gibibyte_is_applied_in_32_mebibytes", (DELTA, &path));
}
