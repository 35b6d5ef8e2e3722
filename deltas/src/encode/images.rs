//! The programs of a group.

use std::io;

use crate::container::layout::Image;
use crate::image::{Parsed, pair_up, parse, put_labels};
use crate::parallel::Crew;
use crate::read_at::ReadAt;
use crate::spool::Scratch;

/// Of the memory, for each byte that is indexed; an index is half of what is there at once.
const MEMORY_OF_INDEXED: u64 = 10;

/// A program in the base and its next release in the target: places and lengths in the spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProgramPair {
    pub(crate) base: (u64, u64),
    pub(crate) target: (u64, u64),
}

/// What is known of the spaces.
#[derive(Debug, Clone)]
pub(crate) struct Hints<'c> {
    /// Programs that are in both.
    pub(crate) programs: Vec<ProgramPair>,
    /// Memory that making may take, nearly.
    pub(crate) memory_bytes: u64,
    /// Who works on it.
    pub(crate) crew: &'c Crew,
    /// Where what is long lies.
    pub(crate) scratch: &'c Scratch,
}

impl Hints<'_> {
    /// Bytes that may be indexed: a suffix array has four for each, and there are copies and samples beside it.
    pub(super) fn most_indexed(&self) -> usize {
        usize::try_from(self.memory_bytes / MEMORY_OF_INDEXED).unwrap_or(usize::MAX)
    }
}

/// A program in both spaces.
pub(super) struct Pairing {
    pair: ProgramPair,
    base: Parsed,
    target: Parsed,
    pub(super) image: Image,
}

/// Takes the programs apart that are in both spaces.
pub(super) fn images(
    base: &dyn ReadAt,
    target: &dyn ReadAt,
    programs: &[ProgramPair],
) -> io::Result<Vec<Pairing>> {
    let mut images = Vec::new();
    for pair in programs {
        let (Some(old), Some(new)) = (parse(&read(base, pair.base)?), parse(&read(target, pair.target)?))
        else {
            continue;
        };
        if let Some(image) = pair_up(&old, pair.base.0, &new, pair.target.0) {
            images.push(Pairing { pair: *pair, base: old, target: new, image });
        }
    }
    Ok(images)
}

pub(super) fn read(space: &dyn ReadAt, part: (u64, u64)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_behind(space, part, &mut bytes)?;
    Ok(bytes)
}

/// Reads a part of a space behind the bytes that are there, into no more memory than they take.
pub(super) fn read_behind(
    space: &dyn ReadAt,
    (at, length): (u64, u64),
    bytes: &mut Vec<u8>,
) -> io::Result<()> {
    let start = bytes.len();
    let length = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.reserve_exact(length);
    bytes.resize(start + length, 0);
    space.read_exact_at(at, &mut bytes[start..])
}

fn within(bytes: &mut [u8], (at, length): (u64, u64)) -> &mut [u8] {
    let (at, length) = (usize::try_from(at).unwrap_or(0), usize::try_from(length).unwrap_or(0));
    &mut bytes[at..at + length]
}

/// Replaces the addresses of all programs by labels, in both spaces.
pub(super) fn label_all(images: &[Pairing], base: &mut [u8], target: &mut [u8]) -> io::Result<()> {
    for image in images {
        put_labels(&image.base, within(base, image.pair.base))?;
        put_labels(&image.target, within(target, image.pair.target))?;
    }
    Ok(())
}
