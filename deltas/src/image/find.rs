//! Finds what is to be known of a program, and pairs it with its next release.

use super::parts::{Part, Table, Tables};
use super::{elf, go, pe};
use crate::container::layout::{Image, Machine, Pair, Segment, Table as Described, TableKind};

/// A program, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Parsed {
    pub(super) machine: Machine,
    pub(super) parts: Vec<Part>,
    pub(super) tables: Vec<(usize, Table)>,
}

/// Takes a program apart; nothing if these bytes are no program that is known.
pub(crate) fn parse(bytes: &[u8]) -> Option<Parsed> {
    let mut tables = Tables::default();
    let (machine, parts) = if let Some(machine) = elf::machine(bytes) {
        let parts = elf::parts(bytes)?;
        elf::tables(bytes, &mut tables);
        (machine, parts)
    } else {
        let machine = pe::machine(bytes)?;
        let parts = pe::parts(bytes)?;
        // Without them there are fewer corrections.
        let _ = pe::tables(bytes, &parts, &mut tables);
        (machine, parts)
    };
    let _ = go::tables(bytes, &parts, &mut tables);
    (!parts.is_empty()).then(|| Parsed { machine, parts, tables: tables.ordered(bytes.len()) })
}

/// What the two sides of a delta have to know of a program and its next release; nothing if they are too different.
pub(crate) fn pair_up(base: &Parsed, base_at: u64, target: &Parsed, target_at: u64) -> Option<Image> {
    if base.machine != target.machine {
        return None;
    }
    let both = base.parts.iter().zip(&target.parts);
    let segments: Vec<Segment> = both
        .take_while(|(base, target)| base.executable == target.executable)
        .map(|(base, target)| Segment {
            executable: base.executable,
            base: base.extent,
            target: target.extent,
        })
        .collect();
    let mut pairs: Vec<Pair> = Vec::new();
    let mut tables = Vec::new();
    for (at, table) in &base.tables {
        let Some((_, like)) = target.tables.iter().find(|(_, other)| table.is_like(other)) else { continue };
        if let Some(kind) = describe(table, like, &mut pairs) {
            tables.push(Described { at: *at as u64, kind });
        }
    }
    (!segments.is_empty()).then_some(Image {
        machine: base.machine,
        base_at,
        target_at,
        segments,
        pairs,
        tables,
    })
}

fn describe(table: &Table, like: &Table, pairs: &mut Vec<Pair>) -> Option<TableKind> {
    let kind = match (table, like) {
        (&Table::Words { count, address, .. }, Table::Words { address: target, .. }) => {
            TableKind::Words { count: count as u64, pair: pair(pairs, address, *target)? }
        }
        (
            &Table::PlausibleWords { count, limit, address, .. },
            Table::PlausibleWords { address: target, .. },
        ) => TableKind::PlausibleWords { count: count as u64, pair: pair(pairs, address, *target)?, limit },
        (&Table::GoFunctions { functions, length, starts }, Table::GoFunctions { starts: targets, .. }) => {
            let first_pair = u32::try_from(pairs.len()).ok()?;
            pairs.extend(starts.iter().zip(targets).map(|(&base, &target)| Pair { base, target }));
            TableKind::GoFunctions { functions: functions as u64, length: length as u64, first_pair }
        }
        (Table::Frames { length }, _) => TableKind::Frames { length: *length as u64 },
        _ => return None,
    };
    Some(kind)
}

/// The number of a pair, which is added if it is new.
fn pair(pairs: &mut Vec<Pair>, base: u64, target: u64) -> Option<u32> {
    let wanted = Pair { base, target };
    let known = pairs.iter().position(|pair| *pair == wanted);
    let number = known.unwrap_or_else(|| {
        pairs.push(wanted);
        pairs.len() - 1
    });
    u32::try_from(number).ok()
}
