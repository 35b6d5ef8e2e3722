//! What a program is made of: its loaded parts, and tables of addresses.

use crate::container::layout::Extent;

/// A loaded part of a program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) executable: bool,
    pub(super) extent: Extent,
}

/// A table, and the addresses that its words count from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Words { count: usize, from: &'static str, address: u64 },
    PlausibleWords { count: usize, limit: u32, from: &'static str, address: u64 },
    GoFunctions { functions: usize, length: usize, starts: [u64; 5] },
    Frames { length: usize },
}

impl Table {
    pub(super) const fn length(&self) -> usize {
        match self {
            Self::Words { count, .. } | Self::PlausibleWords { count, .. } => count.saturating_mul(4),
            Self::GoFunctions { length, .. } | Self::Frames { length } => *length,
        }
    }

    /// Whether both are of the same sort and count from the same thing.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Words { from, .. }, Self::Words { from: other, .. })
            | (Self::PlausibleWords { from, .. }, Self::PlausibleWords { from: other, .. }) => from == other,
            (Self::GoFunctions { .. }, Self::GoFunctions { .. })
            | (Self::Frames { .. }, Self::Frames { .. }) => true,
            _ => false,
        }
    }
}

/// Tables of one image as they are found. Plausible words give way to the others.
#[derive(Debug, Default)]
pub(super) struct Tables(Vec<(usize, Table)>);

impl Tables {
    pub(super) fn add(&mut self, at: usize, table: Table) {
        if table.length() > 0 {
            self.0.push((at, table));
        }
    }

    /// By place, without overlaps.
    pub(super) fn ordered(self, length: usize) -> Vec<(usize, Table)> {
        let (plausible, mut exact): (Vec<_>, Vec<_>) =
            self.0.into_iter().partition(|(_, table)| matches!(table, Table::PlausibleWords { .. }));
        exact.sort_by_key(|(at, _)| *at);
        let mut reached = 0;
        exact.retain(|(at, table)| {
            let apart = *at >= reached && at.checked_add(table.length()).is_some_and(|end| end <= length);
            if apart {
                reached = at + table.length();
            }
            apart
        });
        let mut all = exact.clone();
        for (at, table) in plausible {
            split_around(at, table, &exact, &mut all);
        }
        all.sort_by_key(|(at, _)| *at);
        all
    }
}

/// Adds the parts of a table that no exact one takes.
fn split_around(at: usize, table: Table, exact: &[(usize, Table)], all: &mut Vec<(usize, Table)>) {
    let Table::PlausibleWords { limit, from, address, .. } = table else { return };
    let end = at + table.length();
    let mut start = at;
    let mut add = |start: usize, end: usize| {
        if end >= start + 4 {
            all.push((start, Table::PlausibleWords { count: (end - start) / 4, limit, from, address }));
        }
    };
    for (other, table) in exact.iter().filter(|(other, table)| *other < end && other + table.length() > at) {
        add(start, *other);
        start = start.max((other + table.length()).next_multiple_of(4));
    }
    add(start, end);
}
