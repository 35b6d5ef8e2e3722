//! Counts in words: one computer, two computers.

/// A count with its word.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// So many computers.
pub(super) fn computers(count: u64) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), "computer", "computers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_counted_as_several() {
        assert_eq!([0, 1, 2].map(computers), ["0 computers", "1 computer", "2 computers"]);
    }
}
