//! What a PE file says of itself.

use super::parts::{Part, Table, Tables};
use super::words::{u16_at, u32_at, u64_at};
use crate::container::layout::{Extent, Machine};

/// Sections that are looked at, at most.
const MOST_SECTIONS: u16 = 64;

pub(super) fn machine(bytes: &[u8]) -> Option<Machine> {
    let head = head(bytes)?;
    // PE32+ only.
    if u16_at(bytes, head + 24)? != 0x20b {
        return None;
    }
    match u16_at(bytes, head + 4)? {
        0x8664 => Some(Machine::X86_64),
        0xaa64 => Some(Machine::AArch64),
        _ => None,
    }
}

/// Where the head begins.
fn head(bytes: &[u8]) -> Option<usize> {
    if !bytes.starts_with(b"MZ") {
        return None;
    }
    let at = usize::try_from(u32_at(bytes, 0x3c)?).ok()?;
    bytes.get(at..)?.starts_with(b"PE\0\0").then_some(at)
}

fn image_base(bytes: &[u8]) -> Option<u64> {
    u64_at(bytes, head(bytes)? + 48)
}

pub(super) fn parts(bytes: &[u8]) -> Option<Vec<Part>> {
    let (head, base) = (head(bytes)?, image_base(bytes)?);
    let first = head.checked_add(24)?.checked_add(usize::from(u16_at(bytes, head + 20)?))?;
    let mut parts = Vec::new();
    for number in 0..u16_at(bytes, head + 6)?.min(MOST_SECTIONS) {
        let at = first + 40 * usize::from(number);
        let word = |offset: usize| u32_at(bytes, at + offset);
        let (loaded, stored) = (word(8)?, word(16)?);
        if loaded > 0 {
            parts.push(Part {
                executable: word(36)? & 0x2000_0000 != 0,
                extent: Extent {
                    offset: word(20)?.into(),
                    address: base.wrapping_add(word(12)?.into()),
                    stored: stored.min(loaded).into(),
                    loaded: loaded.into(),
                },
            });
        }
    }
    Some(parts)
}

/// The table of functions for unwinding: words from the beginning of the image.
pub(super) fn tables(bytes: &[u8], parts: &[Part], found: &mut Tables) -> Option<()> {
    let (head, base) = (head(bytes)?, image_base(bytes)?);
    let directory = head + 24 + 112 + 3 * 8;
    let (at, length) = (u32_at(bytes, directory)?, u32_at(bytes, directory + 4)?);
    let address = base.wrapping_add(at.into());
    let part = parts.iter().find(|part| address.wrapping_sub(part.extent.address) < part.extent.stored)?;
    let offset = part.extent.offset.wrapping_add(address.wrapping_sub(part.extent.address));
    let count = usize::try_from(length / 4).ok()?;
    found.add(usize::try_from(offset).ok()?, Table::Words { count, from: "image", address: base });
    Some(())
}
