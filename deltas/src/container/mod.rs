//! What a delta of version 2 is, byte by byte: its head, and the order of what follows. `docs/DELTA.md` is the contract.
//!
//! Invariant: nothing is allocated for a number that the bytes merely claim, and every size is checked with checked
//! arithmetic. Left out on purpose: what streams mean, and files.

pub(crate) mod chunks;
pub(crate) mod layout;
pub(crate) mod read;
pub(crate) mod varint;
pub(crate) mod version;
pub(crate) mod write;

use std::io;

/// What a delta begins with. A byte follows: the version in its lower half, the kind in its upper half.
pub(crate) const MAGIC: [u8; 2] = [0xd5, b'S'];
pub(crate) const VERSION: u8 = 2;

/// Most groups of a delta.
pub(crate) const MAX_GROUPS: usize = 10_000;
/// Most open files, and most base files, that all groups name together.
pub(crate) const MAX_NAMED_FILES: usize = 400_000;
/// Most images of a group, and most segments, pairs and tables of an image.
pub(crate) const MAX_IMAGES: usize = 64;
/// Most segments, pairs and tables of a whole delta.
pub(crate) const MAX_IMAGE_PARTS: usize = 16_384;
/// Most covers of a group.
pub(crate) const MAX_COVERS: u64 = 200_000;
/// Most bytes of streams that are packed together.
pub(crate) const MAX_JOINED_BYTES: u64 = 64 * 1024;
/// Most bytes of a target space that covers may point into.
pub(crate) const MAX_OWN_BYTES: u64 = 8 * 1024 * 1024;
/// Most bytes of base and target space of a frame with a prefix.
pub(crate) const MAX_PREFIX_BYTES: u64 = 16 * 1024 * 1024;
/// Logarithm of the largest window of a frame with a prefix.
pub(crate) const PREFIX_WINDOW_LOG: u32 = 24;
/// Length of a chunk, unless it is the last of its stream; up to here streams need no chunks.
pub(crate) const CHUNK_BYTES: u64 = 65_536;
/// Most bytes of chunks that came before they were needed.
pub(crate) const MAX_EARLY_BYTES: u64 = 1024 * 1024;
/// Largest dictionary of a head.
pub(crate) const HEAD_CAP: u64 = 1024 * 1024;
/// Largest dictionary of a packed target space.
pub(crate) const WHOLE_CAP: u64 = 8 * 1024 * 1024;
/// Largest dictionary of streams that are packed together.
pub(crate) const JOINED_CAP: u64 = 64 * 1024;
/// Largest dictionary of each stream.
pub(crate) const STREAM_CAPS: [u64; layout::STREAMS] =
    [1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 4 << 20, 8 << 20];
/// Smallest dictionary.
const MIN_DICTIONARY: u64 = 4096;

/// The streams of covers, by number.
pub(crate) mod stream {
    pub(crate) const GAPS: usize = 0;
    pub(crate) const LENGTHS: usize = 1;
    pub(crate) const SEEKS: usize = 2;
    pub(crate) const EQUAL_RUNS: usize = 3;
    pub(crate) const UNEQUAL_RUNS: usize = 4;
    pub(crate) const VALUES: usize = 5;
    pub(crate) const LITERALS: usize = 6;
}

/// The dictionary for so many bytes: the smallest power of two that is not below, within bounds.
pub(crate) fn dictionary(length: u64, cap: u64) -> u64 {
    length.max(MIN_DICTIONARY).checked_next_power_of_two().map_or(cap, |power| power.min(cap))
}

/// Why a delta cannot be used.
#[derive(Debug)]
pub(crate) enum Flaw {
    Read(io::Error),
    NotADelta,
    Version(u16),
    /// It has something that this program does not know.
    Later(&'static str),
    Damaged,
    TooLarge {
        what: &'static str,
        limit: u64,
    },
    /// A file of the base cannot be read.
    Base(io::Error),
    Cancelled,
}

impl Flaw {
    /// What reading a delta failed with: an early end is damage.
    pub(crate) fn of_reading(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged,
            _ => Self::Read(error),
        }
    }
}
