//! Percentiles, by one definition for everything that is shown: the value of the nearest rank.

/// The smallest value that so many of 100 values do not exceed, of values in order; `None` of no value.
#[must_use]
pub fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_there() {
        assert_eq!(percentile::<i64>(&[], 50), None);
        assert_eq!(percentile(&[7], 50), Some(7));
        assert_eq!(percentile(&[1, 2, 3, 4], 50), Some(2));
        let hundred: Vec<i64> = (1..=100).collect();
        assert_eq!((percentile(&hundred, 95), percentile(&hundred, 100)), (Some(95), Some(100)));
        assert_eq!(percentile(&[1, 2, 3], 95), Some(3));
    }
}
