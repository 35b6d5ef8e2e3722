//! Where addresses stand: what looks like one, by the patterns of its region.
//!
//! A scan begins at any place and keeps nothing between places, so that both sides of a delta find the same sites in a cover,
//! whatever windows they read it in.

use super::regions::{GO_HEAD, Record, Region, Side, Style, is_address, is_code, is_loaded};
use super::words::{extended, low, u32_at};

/// How an address is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    /// Four bytes: distance from the end of themselves.
    Relative,
    /// Four bytes: distance from their beginning.
    FromHere,
    /// Eight bytes: the address.
    Address,
    /// Four bytes: distance from a pair.
    FromPair(u32),
    /// A branch of AArch64: 26 bits.
    Branch,
    /// `ADRP`: 21 bits of page; and whether the `ADD` of the low bits follows.
    Page { with_low_bits: bool },
}

impl Site {
    /// Bytes that the site takes.
    pub(super) const fn length(self) -> usize {
        match self {
            Self::Relative | Self::FromHere | Self::FromPair(_) | Self::Branch => 4,
            Self::Page { with_low_bits } => {
                if with_low_bits {
                    8
                } else {
                    4
                }
            }
            Self::Address => 8,
        }
    }
}

/// Bytes of an image that are looked at together.
pub(super) struct Stretch<'a> {
    pub(super) bytes: &'a [u8],
    /// Offset of the first of them in the image.
    pub(super) at: u64,
    /// Whether a site may end behind them, in bytes that come later.
    pub(super) goes_on: bool,
}

/// Visits the sites of a stretch in order, by offset in it; returns how many bytes are done. What is left, if the stretch goes
/// on, is shorter than [`MOST_LEFT`], and is to be given again in front of what follows.
pub(super) fn scan(
    side: &Side<'_>,
    regions: &[Region],
    stretch: &Stretch<'_>,
    visit: &mut dyn FnMut(usize, Site),
) -> usize {
    let end = stretch.at.saturating_add(stretch.bytes.len() as u64);
    let first = regions.partition_point(|region| region.end <= stretch.at);
    for region in regions.iter().skip(first).take_while(|region| region.start < end) {
        let from = region.start.max(stretch.at);
        let to = region.end.min(end);
        let offset = |place: u64| usize::try_from(place.saturating_sub(stretch.at)).unwrap_or(usize::MAX);
        let mut found = Found { bytes: stretch.bytes.get(..offset(to)).unwrap_or_default(), visit };
        // The last bytes of a region need nothing that follows.
        let open = stretch.goes_on && region.end > end;
        let reached = scan_region(side, region, offset(from), stretch.at, &mut found);
        if open {
            return reached.clamp(offset(from), offset(to));
        }
    }
    stretch.bytes.len()
}

/// Bytes up to the end of a region, and where to report to.
struct Found<'a, 'v> {
    bytes: &'a [u8],
    visit: &'v mut dyn FnMut(usize, Site),
}

impl Found<'_, '_> {
    /// Reports a site if it is whole; whether it was.
    fn report(&mut self, at: usize, site: Site) -> bool {
        let whole = at.checked_add(site.length()).is_some_and(|end| end <= self.bytes.len());
        if whole {
            (self.visit)(at, site);
        }
        whole
    }
}

/// Scans a region from this offset of the bytes on; returns the offset of the first byte that is not done.
fn scan_region(side: &Side<'_>, region: &Region, from: usize, at: u64, found: &mut Found<'_, '_>) -> usize {
    let place = at.saturating_add(from as u64).saturating_sub(region.start);
    match &region.style {
        // The bytes may begin in another part of the image than this region.
        Style::X86 => scan_x86(side, from, region.address.wrapping_add(at).wrapping_sub(region.start), found),
        Style::Arm => scan_arm(from, at, found),
        Style::Addresses => {
            let first = from.saturating_add(to_next(at.saturating_add(from as u64), 8));
            scan_words(first, (8, 8), found, |bytes, at| {
                is_address(side.segments, bytes, at).then_some(Site::Address)
            })
        }
        Style::Words { pair } => {
            let first = from.saturating_add(to_next(place, 4));
            scan_words(first, (4, 4), found, |_, _| Some(Site::FromPair(*pair)))
        }
        Style::Plausible { pair, limit } => {
            let first = from.saturating_add(to_next(place, 4));
            let plausible =
                |bytes: &[u8], at| u32_at(bytes, at).is_some_and(|word| word >= 4096 && word < *limit);
            scan_words(first, (4, 8), found, |bytes, offset| {
                let aligned = at.saturating_add(offset as u64).is_multiple_of(8);
                if aligned && is_address(side.segments, bytes, offset) {
                    return Some(Site::Address);
                }
                plausible(bytes, offset).then_some(Site::FromPair(*pair))
            })
        }
        Style::GoTable { first_pair } => {
            let first = from.saturating_add(to_next(place, 4));
            scan_words(first, (4, 4), found, |_, offset| {
                let of_table = at.saturating_add(offset as u64).saturating_sub(region.start) & 4 != 0;
                Some(Site::FromPair(first_pair.saturating_add(u32::from(of_table))))
            })
        }
        Style::GoFunctions { first_pair, records } => {
            scan_records(region, records, GO_WORDS_BYTES, from, at, found, &|record, word, bytes, at| {
                go_word(*first_pair, record, word, bytes, at)
            })
        }
        Style::Frames { records } => {
            scan_records(region, records, FRAME_BYTES, from, at, found, &|record, word, _, _| match word {
                8 => Some(Site::FromHere),
                17 if record.counters == 1 => Some(Site::FromHere),
                _ => None,
            })
        }
    }
}

/// Bytes from a place to the next multiple of a power of two.
fn to_next(place: u64, step: u64) -> usize {
    usize::try_from(place.wrapping_neg() % step).unwrap_or(0)
}

/// Looks at words from the first one on, as long as so many bytes are left as one may need.
fn scan_words(
    first: usize,
    (step, least): (usize, usize),
    found: &mut Found<'_, '_>,
    site: impl Fn(&[u8], usize) -> Option<Site>,
) -> usize {
    let bytes = found.bytes;
    let mut at = first;
    while at.saturating_add(least) <= bytes.len() {
        let site = site(bytes, at);
        if let Some(site) = site {
            found.report(at, site);
        }
        at += site.map_or(step, |site| site.length().max(step));
    }
    at
}

/// Calls, jumps, conditional jumps, and operands that count from the next instruction.
///
/// `start` is the address of the first of the bytes, as the region's part of the image has it.
fn scan_x86(side: &Side<'_>, from: usize, start: u64, found: &mut Found<'_, '_>) -> usize {
    let bytes = found.bytes;
    // The last byte from which six are left.
    let end = bytes.len().saturating_sub(5);
    let mut at = from;
    while at < end {
        let rest = bytes.get(at..end).unwrap_or_default();
        let Some(skipped) = rest.iter().position(|byte| BEGINS[usize::from(*byte)]) else {
            return end.max(at);
        };
        at += skipped;
        let (operand, jumps) = match (bytes.get(at), bytes.get(at + 1)) {
            (Some(0xe8 | 0xe9), _) => (at + 1, true),
            (Some(0x0f), Some(second)) if second & 0xf0 == 0x80 => (at + 2, true),
            (Some(0x0f), _) => {
                at += 1;
                continue;
            }
            _ => (at + 1, false),
        };
        let distance = u32_at(bytes, operand).map_or(0, extended);
        let target = start.wrapping_add(operand as u64).wrapping_add(4).wrapping_add(distance);
        let plausible = if jumps { is_code(side.segments, target) } else { is_loaded(side.segments, target) };
        if plausible && found.report(operand, Site::Relative) {
            at = operand + 4;
        } else {
            at += 1;
        }
    }
    at
}

/// Bytes with which something begins that may have an address behind it.
static BEGINS: [bool; 256] = {
    let mut begins = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        begins[byte] = matches!(byte, 0xe8 | 0xe9 | 0x0f) || byte & 0xc7 == 5;
        byte += 1;
    }
    begins
};

/// The address of an offset of the image, if it is stored; that of offset `at` of the first segment that has it.
pub(super) fn address_of(side: &Side<'_>, at: u64) -> Option<u64> {
    let extents = side.segments.iter().map(|(_, extent)| extent);
    let mut inside = extents.filter(|extent| at.wrapping_sub(extent.offset) < extent.stored);
    inside.next().map(|extent| at.wrapping_sub(extent.offset).wrapping_add(extent.address))
}

/// Branches, and pages with the low bits that follow.
fn scan_arm(from: usize, image_at: u64, found: &mut Found<'_, '_>) -> usize {
    let bytes = found.bytes;
    let mut at = from.saturating_add(to_next(image_at.saturating_add(from as u64), 4));
    while at.saturating_add(8) <= bytes.len() {
        let (word, next) = (u32_at(bytes, at).unwrap_or(0), u32_at(bytes, at + 4).unwrap_or(0));
        let site = if word & 0x7c00_0000 == 0x1400_0000 {
            Site::Branch
        } else if word & 0x9f00_0000 == 0x9000_0000 {
            let register = word & 31;
            Site::Page { with_low_bits: next & 0xffc0_0000 == 0x9100_0000 && (next >> 5) & 31 == register }
        } else {
            at += 4;
            continue;
        };
        found.report(at, site);
        at += site.length();
    }
    at
}

/// Bytes of a frame that are looked at.
const FRAME_BYTES: u64 = 21;
/// Bytes of a function of Go that are looked at, at most.
const GO_WORDS_BYTES: u64 = GO_HEAD + 4 * 64;

/// What stands at a byte of a record, which is at an offset of these bytes.
type WhatStands<'a> = &'a dyn Fn(Record, u64, &[u8], usize) -> Option<Site>;

/// Visits the words of records; `site` says what stands at a place of one.
fn scan_records(
    region: &Region,
    records: &[Record],
    most: u64,
    from: usize,
    at: u64,
    found: &mut Found<'_, '_>,
    site: WhatStands<'_>,
) -> usize {
    let start = at.saturating_add(from as u64).saturating_sub(region.start);
    let end = at.saturating_add(found.bytes.len() as u64).saturating_sub(region.start);
    let first = records.partition_point(|record| u64::from(record.at).saturating_add(most) <= start);
    let mut reached = from;
    let records = records.get(first..).unwrap_or_default();
    for (record, next) in records.iter().zip(records.iter().skip(1).map(Some).chain([None])) {
        let place = u64::from(record.at);
        if place >= end {
            break;
        }
        // A record ends where the next one begins.
        let most = next.map_or(most, |next| most.min(u64::from(next.at).saturating_sub(place)));
        for word in 0..most.saturating_sub(3) {
            let place = place.saturating_add(word);
            if place < start {
                continue;
            }
            let Some(offset) = offset_of(region, place, at).filter(|offset| *offset >= reached) else {
                continue;
            };
            if let Some(site) = site(*record, word, found.bytes, offset) {
                if !found.report(offset, site) {
                    return offset;
                }
                reached = offset + site.length();
            }
        }
    }
    found.bytes.len()
}

fn offset_of(region: &Region, place: u64, at: u64) -> Option<usize> {
    usize::try_from(region.start.checked_add(place)?.checked_sub(at)?).ok()
}

/// What stands at this byte of a function of Go.
fn go_word(first_pair: u32, record: Record, word: u64, bytes: &[u8], at: usize) -> Option<Site> {
    let pair = |number: u32| Some(Site::FromPair(first_pair.saturating_add(number)));
    let is_not = |none: u32| u32_at(bytes, at).is_none_or(|value| value != none);
    let counters_end = GO_HEAD + 4 * u64::from(record.counters);
    match word {
        0 => pair(0),
        4 => pair(2),
        16 | 20 | 24 if is_not(0) => pair(3),
        _ if !word.is_multiple_of(4) || word < GO_HEAD => None,
        _ if word < counters_end => is_not(0).then_some(Site::FromPair(first_pair.saturating_add(3))),
        _ if word < counters_end + 4 * u64::from(record.data) => {
            is_not(u32::MAX).then_some(Site::FromPair(first_pair.saturating_add(4)))
        }
        _ => None,
    }
}

/// The page's distance in an `ADRP`, in bytes.
pub(super) fn page_distance(word: u32) -> u64 {
    let pages = ((word >> 5 & 0x7_ffff) << 2) | (word >> 29 & 3);
    // 21 bits with their sign, in pages of 4,096 bytes.
    extended(pages << 11).wrapping_mul(2)
}

/// An `ADRP` with another distance, in pages.
pub(super) fn with_pages(word: u32, pages: u64) -> u32 {
    let pages = low(pages);
    word & 0x9f00_001f | (pages & 3) << 29 | (pages >> 2 & 0x7_ffff) << 5
}
