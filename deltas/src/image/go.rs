//! Go's tables of functions, and what they count from. The layout is that of Go 1.20 and later.

use super::elf::section;
use super::parts::{Part, Table, Tables};
use super::words::{u32_at, u64_at};

/// Words of the module's data, from its beginning: the types, their end, the data of functions.
const TYPES: usize = 37;
const TYPES_END: usize = 38;
const FUNCTIONS_DATA: usize = 40;

/// Finds the tables of a program that Go made.
pub(super) fn tables(bytes: &[u8], parts: &[Part], found: &mut Tables) -> Option<()> {
    let (at, address) = table_of_lines(bytes, parts)?;
    let head = |word: usize| u64_at(bytes, at + 8 + 8 * word);
    let functions = usize::try_from(head(0)?).ok()?;
    let place = |part: u64| usize::try_from(part).ok().and_then(|part| at.checked_add(part));
    let table = place(head(7)?)?;
    let module = module_data(bytes, parts, address);
    let of_module = |word: usize| module.and_then(|module| u64_at(bytes, module + 8 * word));
    let text = match head(2)? {
        // Later linkers leave it out.
        0 => section(bytes, b".text").map(|(.., address)| address).or_else(|| of_module(22))?,
        text => text,
    };
    let end = table.checked_add(functions.checked_mul(8)?)?;
    let last = u32_at(bytes, end.checked_sub(4)?)?;
    // The last function has a head and some words; what is behind them belongs to nobody.
    let length = usize::try_from(last).ok()?.checked_add(44 + 4 * 16)?.min(bytes.len().checked_sub(table)?);
    let starts = [
        text,
        address.wrapping_add(head(7)?),
        address.wrapping_add(head(3)?),
        address.wrapping_add(head(6)?),
        of_module(FUNCTIONS_DATA).unwrap_or(0),
    ];
    found.add(table, Table::GoFunctions { functions, length, starts });
    types(bytes, parts, of_module(TYPES)?, of_module(TYPES_END)?, found)
}

/// Types point at each other by their distance from the first of them.
fn types(bytes: &[u8], parts: &[Part], start: u64, end: u64, found: &mut Tables) -> Option<()> {
    let at = offset(parts, start)?;
    let length = usize::try_from(end.checked_sub(start)?).ok()?.min(bytes.len().checked_sub(at)?);
    let limit = u32::try_from(length).ok()?;
    found.add(at, Table::PlausibleWords { count: length / 4, limit, from: "types", address: start });
    if let Some((at, length, _)) = section(bytes, b".typelink") {
        found.add(at, Table::Words { count: length / 4, from: "types", address: start });
    }
    Some(())
}

fn offset(parts: &[Part], address: u64) -> Option<usize> {
    let part = parts.iter().find(|part| address.wrapping_sub(part.extent.address) < part.extent.stored)?;
    usize::try_from(address.wrapping_sub(part.extent.address).wrapping_add(part.extent.offset)).ok()
}

/// The bytes of the image that are data, with the address of the first.
fn data<'a>(bytes: &'a [u8], parts: &[Part]) -> impl Iterator<Item = (usize, u64, &'a [u8])> {
    parts.iter().filter(|part| !part.executable).filter_map(|part| {
        let start = usize::try_from(part.extent.offset).ok()?;
        let length = usize::try_from(part.extent.stored).ok()?;
        let stored = bytes.get(start..)?;
        Some((start, part.extent.address, stored.get(..length).unwrap_or(stored)))
    })
}

/// Place and address of the table of lines.
fn table_of_lines(bytes: &[u8], parts: &[Part]) -> Option<(usize, u64)> {
    if let Some((at, _, address)) = section(bytes, b".gopclntab") {
        return is_table(bytes, at).then_some((at, address));
    }
    data(bytes, parts).find_map(|(start, address, stored)| {
        let at = (0..stored.len()).step_by(16).find(|at| is_table(stored, *at))?;
        Some((start + at, address.wrapping_add(at as u64)))
    })
}

/// Its magic number, two zeros, the step of instructions, and the size of pointers.
fn is_table(bytes: &[u8], at: usize) -> bool {
    let head = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>);
    head.is_some_and(|head| matches!(head, [0xf1, 0xff, 0xff, 0xff, 0, 0, 1 | 4, 8]))
}

/// The data of the module begin with the address of the table of lines.
fn module_data(bytes: &[u8], parts: &[Part], table: u64) -> Option<usize> {
    data(bytes, parts).find_map(|(start, _, stored)| {
        let at = (0..stored.len()).step_by(8).find(|at| u64_at(stored, *at) == Some(table))?;
        Some(start + at)
    })
}
