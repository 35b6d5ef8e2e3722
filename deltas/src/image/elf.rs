//! What an ELF file says of itself.

use super::parts::{Part, Table, Tables};
use super::words::{u16_at, u32_at, u64_at};
use crate::container::layout::{Extent, Machine};

/// Parts that are looked at, at most.
const MOST_SEGMENTS: usize = 64;

/// Sections that are looked at, at most.
const MOST_SECTIONS: usize = 1024;

/// A section: offset, length, address.
pub(super) type Section = (usize, usize, u64);

pub(super) fn machine(bytes: &[u8]) -> Option<Machine> {
    // 64 bits, little-endian.
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    match u16_at(bytes, 18)? {
        62 => Some(Machine::X86_64),
        183 => Some(Machine::AArch64),
        _ => None,
    }
}

pub(super) fn parts(bytes: &[u8]) -> Option<Vec<Part>> {
    let (first, size, count) = (place(bytes, 32)?, u16_at(bytes, 54)?, u16_at(bytes, 56)?);
    let mut parts = Vec::new();
    for number in 0..usize::from(count) {
        let at = first.checked_add(number.checked_mul(usize::from(size))?)?;
        // PT_LOAD
        if u32_at(bytes, at)? == 1 && parts.len() < MOST_SEGMENTS {
            parts.push(Part {
                executable: u32_at(bytes, at + 4)? & 1 == 1,
                extent: Extent {
                    offset: u64_at(bytes, at + 8)?,
                    address: u64_at(bytes, at + 16)?,
                    stored: u64_at(bytes, at + 32)?,
                    loaded: u64_at(bytes, at + 40)?,
                },
            });
        }
    }
    Some(parts)
}

/// The tables that are named by sections.
pub(super) fn tables(bytes: &[u8], found: &mut Tables) {
    if let Some((at, length, address)) = section(bytes, b".eh_frame_hdr")
        && length > 12
    {
        found.add(at + 12, Table::Words { count: (length - 12) / 4, from: "frame index", address });
    }
    if let Some((at, length, _)) = section(bytes, b".eh_frame") {
        found.add(at, Table::Frames { length });
    }
}

pub(super) fn section(bytes: &[u8], name: &[u8]) -> Option<Section> {
    let (first, count, names) = (place(bytes, 40)?, u16_at(bytes, 60)?, u16_at(bytes, 62)?);
    let header = |number: u16| first.checked_add(64 * usize::from(number));
    let names = place(bytes, header(names)?.checked_add(24)?)?;
    (1..count).take(MOST_SECTIONS).find_map(|number| {
        let at = header(number)?;
        let text = bytes.get(names.checked_add(usize::try_from(u32_at(bytes, at)?).ok()?)?..)?;
        let rest = text.strip_prefix(name)?;
        if rest.first() != Some(&0) {
            return None;
        }
        let (offset, length) = (place(bytes, at + 24)?, place(bytes, at + 32)?);
        (offset.checked_add(length)? <= bytes.len()).then_some((offset, length, u64_at(bytes, at + 16)?))
    })
}

fn place(bytes: &[u8], at: usize) -> Option<usize> {
    u64_at(bytes, at).and_then(|place| usize::try_from(place).ok())
}
