//! What the head of a delta says, as data. `docs/DELTA.md` has the bytes.

/// What a delta is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// One file; a `.tar` is one too.
    File,
    /// A tree whose list has the form of this crate.
    Folder,
    /// A tree whose list is the caller's manifest.
    Manifest,
}

/// The head of a delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) subject: Subject,
    /// First bytes of SHA-256 of the base file, or of the base's list.
    pub(crate) base_check: [u8; 2],
    /// Its length in bytes.
    pub(crate) base_length: u64,
    /// Length in bytes of the target file, or of the target's list.
    pub(crate) target_length: u64,
    /// First bytes of its SHA-256.
    pub(crate) target_check: [u8; 4],
    pub(crate) groups: Vec<Group>,
}

/// One base space, and the target space that is made from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// Open files that the group makes, by number, in the order of the target space. Empty for a file, and for a list.
    pub(crate) targets: Vec<u32>,
    /// Files of the base, by number among its regular files, in the order of the base space. Empty likewise.
    pub(crate) bases: Vec<u32>,
    pub(crate) codec: Codec,
}

/// How a group's target space comes about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Packed as it is.
    Whole(Packed),
    /// Covers of the base space, differences, and literals.
    Covers(CoversHead),
    /// A zstd frame with the base space as its prefix.
    Prefix {
        /// Its length in bytes.
        packed: u64,
    },
}

/// How many streams a group of covers has.
pub(crate) const STREAMS: usize = 7;

/// The head of a group of covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CoversHead {
    /// Whether covers may point at what the group has made so far.
    pub(crate) own_copies: bool,
    pub(crate) images: Vec<Image>,
    pub(crate) covers: u64,
    pub(crate) streams: Streams,
}

/// Lengths of the streams: gaps, lengths, seeks, equal runs, unequal runs, values, literals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Streams {
    /// Packed together.
    Joined {
        /// How many pairs of an equal and an unequal run there are.
        runs: u64,
        /// Length of all together, in bytes.
        length: u64,
        packed: Packed,
    },
    /// Packed one by one: length in bytes of each, and how it is packed.
    Apart([(u64, Packed); STREAMS]),
}

/// How bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) packing: Packing,
    /// Length of the packed bytes; with [`Packing::Plain`] that of the bytes themselves.
    pub(crate) length: u64,
}

/// How bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// As they are.
    Plain,
    /// A zstd frame without magic number, checksum and content size.
    Zstd,
    /// Raw LZMA2.
    Lzma2,
}

/// A stretch of the target that resembles one of the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cover {
    /// Place in the base space.
    pub(crate) base: u64,
    /// Place in the target space.
    pub(crate) target: u64,
    /// Length in bytes, at least 1.
    pub(crate) length: u64,
}

/// Which instructions an image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    X86_64,
    AArch64,
}

/// A program in both spaces. Nothing of it is believed: it is a prediction, and the differences repair it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) machine: Machine,
    /// Place of its first byte in the base space.
    pub(crate) base_at: u64,
    /// The same in the target space.
    pub(crate) target_at: u64,
    /// Loaded parts, by file offset.
    pub(crate) segments: Vec<Segment>,
    /// Addresses from which tables count.
    pub(crate) pairs: Vec<Pair>,
    /// Tables of addresses, by place in the image; they do not overlap.
    pub(crate) tables: Vec<Table>,
}

/// A part of an image, and where it is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) executable: bool,
    pub(crate) base: Extent,
    pub(crate) target: Extent,
}

/// Where a segment stands in a file and in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    /// Offset in the file.
    pub(crate) offset: u64,
    /// Address in memory.
    pub(crate) address: u64,
    /// Length in the file.
    pub(crate) stored: u64,
    /// Length in memory.
    pub(crate) loaded: u64,
}

/// An address in the base's image, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) base: u64,
    pub(crate) target: u64,
}

/// A table of addresses in the base's image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Table {
    /// Place in the base's image.
    pub(crate) at: u64,
    pub(crate) kind: TableKind,
}

/// What a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableKind {
    /// Words of four bytes: distances from a pair (its index).
    Words { count: u64, pair: u32 },
    /// The same, of which only those from 4,096 on and below the limit count.
    PlausibleWords { count: u64, pair: u32, limit: u32 },
    /// Go's table of functions and the functions behind it. The five pairs from this one on: text, this table, names, tables
    /// by program counter, functions' data.
    GoFunctions { functions: u64, length: u64, first_pair: u32 },
    /// Records of `.eh_frame`.
    Frames { length: u64 },
}
