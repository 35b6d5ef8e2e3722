//! An image as regions, each with one way in which addresses stand in it.

use std::io;

use super::words::{u32_at, u64_at};
use crate::container::layout::{Extent, Machine, Table, TableKind};
use crate::read_at::ReadAt;

/// Most records of tables that are looked at, of all images together: their index is held in memory, 8 bytes each.
pub(super) const MAX_RECORDS: usize = 400_000;
/// Words of a function of Go that are looked at behind its head, of each of both kinds: beyond, it is no function.
const MAX_WORDS: u8 = 32;
/// Length of the head of a function of Go.
pub(super) const GO_HEAD: u64 = 44;

/// One side of an image: the base's, or the target's.
#[derive(Debug, Clone)]
pub(super) struct Side<'a> {
    pub(super) machine: Machine,
    /// Whether it is executable, and where it is.
    pub(super) segments: &'a [(bool, Extent)],
    pub(super) tables: &'a [Table],
}

/// How addresses stand in a region.
#[derive(Debug)]
pub(super) enum Style {
    X86,
    Arm,
    /// Words of eight bytes, aligned in the file.
    Addresses,
    Words {
        pair: u32,
    },
    Plausible {
        pair: u32,
        limit: u32,
    },
    GoTable {
        first_pair: u32,
    },
    GoFunctions {
        first_pair: u32,
        records: Vec<Record>,
    },
    Frames {
        records: Vec<Record>,
    },
}

/// A record of a table: where it begins, and what of it varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Its place, from the beginning of its region.
    pub(super) at: u32,
    /// Words by program counter of a function; 1 for a frame that has a pointer to data.
    pub(super) counters: u8,
    /// Words of data of a function.
    pub(super) data: u8,
}

/// A stretch of an image with one style.
#[derive(Debug)]
pub(super) struct Region {
    /// Offset in the image.
    pub(super) start: u64,
    pub(super) end: u64,
    /// Address of its first byte; of tables, which need none, 0.
    pub(super) address: u64,
    pub(super) style: Style,
}

/// The regions of one side, by place; they do not overlap. Reads the tables whose records have no fixed length, as many records as
/// are `left`.
pub(super) fn regions(side: &Side<'_>, image: &dyn ReadAt, left: &mut usize) -> io::Result<Vec<Region>> {
    let mut regions = Vec::new();
    for table in side.tables {
        add_table(table, image, left, &mut regions)?;
    }
    let tables: Vec<(u64, u64)> = regions.iter().map(|region| (region.start, region.end)).collect();
    for (executable, extent) in side.segments {
        let end = extent.offset.saturating_add(extent.stored).min(image.length());
        let mut start = extent.offset;
        for &(table_start, table_end) in tables.iter().filter(|(from, to)| *to > extent.offset && *from < end)
        {
            add_segment(side.machine, *executable, extent, (start, table_start), &mut regions);
            start = start.max(table_end);
        }
        add_segment(side.machine, *executable, extent, (start, end), &mut regions);
    }
    regions.sort_by_key(|region| region.start);
    // Segments of a hostile image may overlap; the first one of a place counts.
    let mut reached = 0;
    regions.retain_mut(|region| {
        let start = region.start.max(reached);
        region.address = region.address.wrapping_add(start - region.start);
        region.start = start;
        let some = region.start < region.end;
        reached = reached.max(region.end);
        some
    });
    Ok(regions)
}

fn add_segment(
    machine: Machine,
    executable: bool,
    extent: &Extent,
    (start, end): (u64, u64),
    regions: &mut Vec<Region>,
) {
    let style = match (executable, machine) {
        (true, Machine::X86_64) => Style::X86,
        (true, Machine::AArch64) => Style::Arm,
        (false, _) => Style::Addresses,
    };
    if start < end {
        let address = extent.address.wrapping_add(start.wrapping_sub(extent.offset));
        regions.push(Region { start, end, address, style });
    }
}

fn add_table(
    table: &Table,
    image: &dyn ReadAt,
    left: &mut usize,
    regions: &mut Vec<Region>,
) -> io::Result<()> {
    let mut add = |start: u64, length: u64, style| {
        let end = start.saturating_add(length).min(image.length());
        if start < end {
            regions.push(Region { start, end, address: 0, style });
        }
    };
    match table.kind {
        TableKind::Words { count, pair } => add(table.at, count.saturating_mul(4), Style::Words { pair }),
        TableKind::PlausibleWords { count, pair, limit } => {
            add(table.at, count.saturating_mul(4), Style::Plausible { pair, limit });
        }
        TableKind::GoFunctions { functions, length, first_pair } => {
            let head = functions.saturating_mul(8).saturating_add(4).min(length);
            let records = go_records(table.at, functions, (head, length), image, left)?;
            add(table.at, head, Style::GoTable { first_pair });
            let style = Style::GoFunctions { first_pair, records };
            add(table.at.saturating_add(head), length.saturating_sub(head), style);
        }
        TableKind::Frames { length } => {
            let records = frame_records(table.at, length, image, left)?;
            add(table.at, length, Style::Frames { records });
        }
    }
    Ok(())
}

/// The functions behind Go's table of them, from its words; a word that is no place of one is passed over.
fn go_records(
    at: u64,
    functions: u64,
    (head, length): (u64, u64),
    image: &dyn ReadAt,
    left: &mut usize,
) -> io::Result<Vec<Record>> {
    let mut records: Vec<Record> = Vec::new();
    let mut window = Window::new(image);
    let count = usize::try_from(functions).unwrap_or(usize::MAX).min(*left);
    *left -= count;
    let mut places = Vec::new();
    for number in 0..count as u64 {
        let Some(word) = at.checked_add(number * 8 + 4).map(|place| window.u32(place)).transpose()?.flatten()
        else {
            break;
        };
        if u64::from(word) >= head && u64::from(word).saturating_add(GO_HEAD) <= length {
            places.push(word);
        }
    }
    places.sort_unstable();
    places.dedup();
    for place in places {
        let start = at.saturating_add(u64::from(place));
        let counters = window.u32(start.saturating_add(28))?.and_then(|count| u8::try_from(count).ok());
        let data = window.u32(start.saturating_add(40))?.map(|word| word.to_le_bytes()[3]);
        let (Some(counters), Some(data)) = (counters, data) else { continue };
        if counters <= MAX_WORDS && data <= MAX_WORDS {
            let Ok(at) = u32::try_from(u64::from(place).saturating_sub(head)) else { continue };
            records.push(Record { at, counters, data });
        }
    }
    Ok(records)
}

/// The records of `.eh_frame` that describe functions.
fn frame_records(at: u64, length: u64, image: &dyn ReadAt, left: &mut usize) -> io::Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut window = Window::new(image);
    let mut place = 0u64;
    while place.saturating_add(12) <= length && *left > 0 {
        *left -= 1;
        let start = at.saturating_add(place);
        let (Some(size), Some(pointer)) = (window.u32(start)?, window.u32(start.saturating_add(4))?) else {
            break;
        };
        if size == 0 || size == u32::MAX {
            break;
        }
        if pointer != 0
            && let Ok(at) = u32::try_from(place)
        {
            let augmented = size > 20
                && window.u32(start.saturating_add(16))?.is_some_and(|word| word.to_le_bytes()[0] == 4);
            records.push(Record { at, counters: u8::from(augmented), data: 0 });
        }
        place = place.saturating_add(4).saturating_add(u64::from(size));
    }
    Ok(records)
}

/// Reads words that stand near to each other, with few reads.
struct Window<'a> {
    image: &'a dyn ReadAt,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    const BYTES: u64 = 64 * 1024;

    const fn new(image: &'a dyn ReadAt) -> Self {
        Self { image, start: 0, bytes: Vec::new() }
    }

    /// The word at this place, if there is one.
    fn u32(&mut self, at: u64) -> io::Result<Option<u32>> {
        let inside = |start: u64| at.checked_sub(start).and_then(|offset| usize::try_from(offset).ok());
        if let Some(word) = inside(self.start).and_then(|offset| u32_at(&self.bytes, offset)) {
            return Ok(Some(word));
        }
        let left = self.image.length().saturating_sub(at).min(Self::BYTES);
        if left < 4 {
            return Ok(None);
        }
        self.start = at;
        self.bytes.resize(usize::try_from(left).unwrap_or(0), 0);
        self.image.read_exact_at(at, &mut self.bytes)?;
        Ok(u32_at(&self.bytes, 0))
    }
}

/// Whether this address lies in memory of one of the segments.
pub(super) fn is_loaded(segments: &[(bool, Extent)], address: u64) -> bool {
    segments.iter().any(|(_, extent)| address.wrapping_sub(extent.address) < extent.loaded)
}

/// Whether this address lies in code that is stored.
pub(super) fn is_code(segments: &[(bool, Extent)], address: u64) -> bool {
    segments
        .iter()
        .any(|(executable, extent)| *executable && address.wrapping_sub(extent.address) < extent.stored)
}

/// Whether these eight bytes are an address of the image. Small numbers are none, though a segment may begin at 0.
pub(super) fn is_address(segments: &[(bool, Extent)], bytes: &[u8], at: usize) -> bool {
    u64_at(bytes, at).is_some_and(|address| address > 4096 && is_loaded(segments, address))
}
