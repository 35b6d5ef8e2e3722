//! Labels instead of addresses, for matching only: two pointers to the same content become the same bytes, wherever that
//! content stands. So code that only moved is found as what it is.

use std::io;

use super::find::Parsed;
use super::parts::Table;
use super::regions::{MAX_RECORDS, Side, regions};
use super::sites::{Site, Stretch, address_of, page_distance, scan};
use super::words::{extended, low, put_u32, u32_at, u64_at};
use crate::container::layout::{Extent, Table as Described, TableKind};

/// Bytes at the target of an address that make its label.
const LABEL_OF: usize = 32;

/// Replaces the addresses of a program by labels, in place.
///
/// # Errors
/// None that bytes in memory can have.
pub(crate) fn put_labels(program: &Parsed, bytes: &mut [u8]) -> io::Result<()> {
    let segments: Vec<_> = program.parts.iter().map(|part| (part.executable, part.extent)).collect();
    let mut starts = Vec::new();
    let tables: Vec<Described> =
        program.tables.iter().map(|(at, table)| describe(*at, table, &mut starts)).collect();
    let side = Side { machine: program.machine, segments: &segments, tables: &tables };
    let regions = regions(&side, &&*bytes, &mut { MAX_RECORDS })?;
    let mut sites: Vec<(u32, u32)> = Vec::new();
    let mut masked: Vec<(u32, Site)> = Vec::new();
    let stretch = Stretch { bytes, at: 0, goes_on: false };
    scan(&side, &regions, &stretch, &mut |at, site| {
        if let Ok(place) = u32::try_from(at) {
            let target = target(&side, &starts, bytes, at, site).and_then(|target| offset(&segments, target));
            sites.push((place, target.and_then(|target| u32::try_from(target).ok()).unwrap_or(u32::MAX)));
            masked.push((place, site));
        }
    });
    for &(place, site) in &masked {
        mask(bytes, place, site);
    }
    // All labels are made before the first one stands: each is of content without labels.
    for (_, target) in &mut sites {
        let content = usize::try_from(*target).ok().and_then(|target| bytes.get(target..));
        *target = content.map_or(0, |content| label(content.get(..LABEL_OF).unwrap_or(content)));
    }
    for ((place, label), (_, site)) in sites.into_iter().zip(masked) {
        put(bytes, place, site, label);
    }
    Ok(())
}

/// A table as both sides know it, with the addresses that it counts from.
fn describe(at: usize, table: &Table, starts: &mut Vec<u64>) -> Described {
    let first = u32::try_from(starts.len()).unwrap_or(u32::MAX);
    let kind = match *table {
        Table::Words { count, address, .. } => {
            starts.push(address);
            TableKind::Words { count: count as u64, pair: first }
        }
        Table::PlausibleWords { count, limit, address, .. } => {
            starts.push(address);
            TableKind::PlausibleWords { count: count as u64, pair: first, limit }
        }
        Table::GoFunctions { functions, length, starts: from } => {
            starts.extend(from);
            TableKind::GoFunctions { functions: functions as u64, length: length as u64, first_pair: first }
        }
        Table::Frames { length } => TableKind::Frames { length: length as u64 },
    };
    Described { at: at as u64, kind }
}

/// The address that a site means.
fn target(side: &Side<'_>, starts: &[u64], bytes: &[u8], at: usize, site: Site) -> Option<u64> {
    let word = u32_at(bytes, at)?;
    let here = || address_of(side, at as u64);
    match site {
        Site::Relative => Some(here()?.wrapping_add(4).wrapping_add(extended(word))),
        Site::FromHere => Some(here()?.wrapping_add(extended(word))),
        Site::Address => u64_at(bytes, at),
        Site::FromPair(pair) => Some(starts.get(usize::try_from(pair).ok()?)?.wrapping_add(word.into())),
        Site::Branch => Some(here()?.wrapping_add(i64::from((word << 6).cast_signed() >> 4).cast_unsigned())),
        Site::Page { with_low_bits: true } => {
            let low_bits = u64::from(u32_at(bytes, at + 4)? >> 10 & 0xfff);
            Some((here()? & !0xfff).wrapping_add(page_distance(word)).wrapping_add(low_bits))
        }
        Site::Page { with_low_bits: false } => None,
    }
}

fn offset(segments: &[(bool, Extent)], address: u64) -> Option<u64> {
    let mut extents = segments.iter().map(|(_, extent)| extent);
    let extent = extents.find(|extent| address.wrapping_sub(extent.address) < extent.stored)?;
    Some(address.wrapping_sub(extent.address).wrapping_add(extent.offset))
}

fn mask(bytes: &mut [u8], place: u32, site: Site) {
    put(bytes, place, site, 0);
}

/// Puts a label where the varying bits of a site are.
fn put(bytes: &mut [u8], place: u32, site: Site, label: u32) {
    let Ok(at) = usize::try_from(place) else { return };
    let word = u32_at(bytes, at).unwrap_or(0);
    match site {
        Site::Relative | Site::FromHere | Site::Address | Site::FromPair(_) => put_u32(bytes, at, label),
        Site::Branch => put_u32(bytes, at, word & 0xfc00_0000 | label & 0x00ff_ffff),
        Site::Page { with_low_bits } => {
            put_u32(bytes, at, word & 0x9f00_001f | (label << 5) & 0x00ff_ffe0);
            if with_low_bits && let Some(add) = u32_at(bytes, at + 4) {
                put_u32(bytes, at + 4, add & !(0xfff << 10));
            }
        }
    }
}

/// A short digest of what an address points at.
fn label(content: &[u8]) -> u32 {
    let hash = content.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    low(hash >> 32)
}
