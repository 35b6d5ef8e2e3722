//! Reads the images of a group.
//!
//! Invariant: what is accepted has no sum that overflows, tables lie in order and do not overlap, and they name pairs that
//! are there. That everything lies in the base space is checked when that is known ([`image_fits`]).

use std::io::Read;

use super::Bytes;
use crate::container::layout::{Extent, Image, Machine, Pair, Segment, Table, TableKind};
use crate::container::{Flaw, MAX_IMAGE_PARTS, MAX_IMAGES};

/// Bytes of a word in a table.
const WORD_BYTES: u64 = 4;
/// Bytes of a function in Go's table.
const GO_FUNCTION_BYTES: u64 = 8;
/// Pairs that Go's table needs.
const GO_PAIRS: u32 = 5;

impl<R: Read> Bytes<R> {
    pub(super) fn image(&mut self, parts: &mut usize) -> Result<Image, Flaw> {
        let machine = match self.byte()? {
            1 => Machine::X86_64,
            2 => Machine::AArch64,
            _ => return Err(Flaw::Later("a machine")),
        };
        let (base_at, target_at) = (self.number()?, self.number()?);
        let count = self.parts(parts)?;
        let mut segments = Vec::with_capacity(count);
        for _ in 0..count {
            segments.push(self.segment()?);
        }
        let count = self.parts(parts)?;
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count {
            let base = self.number()?;
            pairs.push(Pair { base, target: self.number_from(base)? });
        }
        let count = self.parts(parts)?;
        let mut tables = Vec::with_capacity(count);
        let pair_count = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
        let mut end = 0u64;
        for _ in 0..count {
            let kind = self.byte()?;
            let at = end.checked_add(self.number()?).ok_or(Flaw::Damaged)?;
            let table = Table { at, kind: self.table(kind, pair_count)? };
            end = table_end(&table).ok_or(Flaw::Damaged)?;
            tables.push(table);
        }
        Ok(Image { machine, base_at, target_at, segments, pairs, tables })
    }

    /// How many segments, pairs or tables follow; all of a delta together have a bound.
    fn parts(&mut self, parts: &mut usize) -> Result<usize, Flaw> {
        let count = self.count(MAX_IMAGES, "segments, pairs or tables in an image")?;
        *parts = parts.saturating_add(count);
        if *parts > MAX_IMAGE_PARTS {
            let limit = u64::try_from(MAX_IMAGE_PARTS).unwrap_or(u64::MAX);
            return Err(Flaw::TooLarge { what: "parts of images", limit });
        }
        Ok(count)
    }

    fn segment(&mut self) -> Result<Segment, Flaw> {
        let flags = self.byte()?;
        if flags & !1 != 0 {
            return Err(Flaw::Later("a flag of segments"));
        }
        let [offset, address, stored, loaded] =
            [self.number()?, self.number()?, self.number()?, self.number()?];
        let base = Extent { offset, address, stored, loaded };
        let target = Extent {
            offset: self.number_from(offset)?,
            address: self.number_from(address)?,
            stored: self.number_from(stored)?,
            loaded: self.number_from(loaded)?,
        };
        if !(ends(&base) && ends(&target)) {
            return Err(Flaw::Damaged);
        }
        Ok(Segment { executable: flags & 1 != 0, base, target })
    }

    fn table(&mut self, kind: u8, pairs: u32) -> Result<TableKind, Flaw> {
        let mut small = || u32::try_from(self.number()?).map_err(|_| Flaw::Damaged);
        let kind = match kind {
            1 => {
                let count = u64::from(small()?);
                TableKind::Words { count, pair: small()? }
            }
            2 => {
                let count = u64::from(small()?);
                TableKind::PlausibleWords { count, pair: small()?, limit: small()? }
            }
            3 => {
                let (functions, length) = (u64::from(small()?), u64::from(small()?));
                TableKind::GoFunctions { functions, length, first_pair: small()? }
            }
            4 => TableKind::Frames { length: u64::from(small()?) },
            _ => return Err(Flaw::Later("a table")),
        };
        let fits = match kind {
            TableKind::Words { pair, .. } | TableKind::PlausibleWords { pair, .. } => pair < pairs,
            TableKind::GoFunctions { functions, length, first_pair } => {
                functions.saturating_mul(GO_FUNCTION_BYTES) <= length
                    && first_pair.checked_add(GO_PAIRS).is_some_and(|end| end <= pairs)
            }
            TableKind::Frames { .. } => true,
        };
        if fits { Ok(kind) } else { Err(Flaw::Damaged) }
    }
}

const fn ends(extent: &Extent) -> bool {
    extent.offset.checked_add(extent.stored).is_some() && extent.address.checked_add(extent.loaded).is_some()
}

/// Where a table ends in its image.
pub(crate) fn table_end(table: &Table) -> Option<u64> {
    let length = match table.kind {
        TableKind::Words { count, .. } | TableKind::PlausibleWords { count, .. } => {
            count.checked_mul(WORD_BYTES)?
        }
        TableKind::GoFunctions { length, .. } | TableKind::Frames { length } => length,
    };
    table.at.checked_add(length)
}

/// Whether all that an image names in a base space lies in it.
pub(crate) fn image_fits(image: &Image, base_length: u64) -> bool {
    let segment_ends =
        image.segments.iter().map(|segment| segment.base.offset.checked_add(segment.base.stored));
    let table_ends = image.tables.iter().map(table_end);
    let inside = |end: Option<u64>| {
        end.and_then(|end| image.base_at.checked_add(end)).is_some_and(|end| end <= base_length)
    };
    image.base_at <= base_length && segment_ends.chain(table_ends).all(inside)
}
