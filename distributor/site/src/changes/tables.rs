//! What a comparison of the tables with the log found.
//!
//! Invariant: every difference is counted, and the first ones are kept, with texts of bounded length.

/// Most differences that are kept; all are counted.
pub const MAX_DIFFERENCES: usize = 100;
/// Longest text of a value that is kept, in characters.
pub const MAX_VALUE_CHARS: usize = 200;

/// The result of comparing the tables with what the log makes of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TablesCheck {
    /// Tables that were compared.
    pub tables: u32,
    /// Rows that the log makes in them.
    pub rows: u64,
    /// How many differences there are.
    pub differing: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
    /// Why nothing, or not all, was compared.
    pub skipped: Option<String>,
    /// Tables that are not made from the log: nothing proves what stands in them.
    pub unproven: Vec<String>,
}

/// A row that is not as the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its table.
    pub table: String,
    /// Its key.
    pub key: String,
    /// The column that differs; `None` for a whole row.
    pub column: Option<String>,
    /// What the log says; `None`: no such row.
    pub logged: Option<String>,
    /// What the table says; `None`: no such row.
    pub stored: Option<String>,
}

impl TablesCheck {
    /// Counts a difference, and keeps it if it is one of the first.
    pub fn differs(&mut self, mut difference: Difference) {
        self.differing = self.differing.saturating_add(1);
        if self.differences.len() < MAX_DIFFERENCES {
            difference.key = bounded(&difference.key);
            difference.logged = difference.logged.as_deref().map(bounded);
            difference.stored = difference.stored.as_deref().map(bounded);
            self.differences.push(difference);
        }
    }
}

fn bounded(text: &str) -> String {
    let mut characters = text.chars();
    let mut bounded: String = characters.by_ref().take(MAX_VALUE_CHARS).collect();
    if characters.next().is_some() {
        bounded.push('…');
    }
    bounded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_counted_and_the_first_ones_are_kept_within_bounds() {
        let mut check = TablesCheck::default();
        let difference = Difference {
            table: "releases".to_owned(),
            key: "k".repeat(MAX_VALUE_CHARS * 3),
            column: None,
            logged: Some("ü".repeat(MAX_VALUE_CHARS)),
            stored: None,
        };
        for _ in 0..=MAX_DIFFERENCES {
            check.differs(difference.clone());
        }
        assert_eq!((check.differing, check.differences.len()), (101, MAX_DIFFERENCES));
        assert_eq!(check.differences[0].key.chars().count(), MAX_VALUE_CHARS + 1);
        assert_eq!(check.differences[0].logged, difference.logged);
    }
}
