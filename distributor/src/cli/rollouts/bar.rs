//! A ring as a bar: what became of its computers, each part as long as its share.

use sealpost_admin_api::rollouts::Ring;

use crate::cli::colors;

/// Cells of a bar.
const WIDTH: u64 = 40;

/// One part of a bar: so many computers, the sign for them, and the word whose color it has.
type Part = (u64, char, &'static str);

/// The bar; with colors where colors are shown.
pub(super) fn bar(ring: &Ring) -> String {
    let shown: String = cells(&parts(ring))
        .into_iter()
        .filter(|(cells, _, _)| *cells > 0)
        .map(|(cells, sign, word)| {
            let text: String = std::iter::repeat_n(sign, usize::try_from(cells).unwrap_or(0)).collect();
            colors::cell(&text, word)
        })
        .collect();
    format!("[{shown}]")
}

/// What the signs mean.
pub(super) const LEGEND: &str = "# succeeded  > installing  - told  ! failed  ? silent  . not told yet";

fn parts(ring: &Ring) -> [Part; 6] {
    let counts = &ring.counts;
    let not_begun = counts.told + counts.offered;
    let told = counts.succeeded + counts.installing + not_begun + counts.failed + counts.silent;
    let rest = ring.members.unwrap_or(told).saturating_sub(told);
    [
        (counts.succeeded, '#', "succeeded"),
        (counts.installing, '>', "installing"),
        (not_begun, '-', "told"),
        (counts.failed, '!', "failed"),
        (counts.silent, '?', "silent"),
        (rest, '.', ""),
    ]
}

/// How many cells each part has: together [`WIDTH`], and at least one for whatever there is.
fn cells(parts: &[Part; 6]) -> [Part; 6] {
    let all: u64 = parts.iter().map(|(count, ..)| count).sum();
    if all == 0 {
        return [(WIDTH, ' ', ""), (0, ' ', ""), (0, ' ', ""), (0, ' ', ""), (0, ' ', ""), (0, ' ', "")];
    }
    let mut shown = parts.map(|(count, sign, word)| {
        let share = u128::from(count) * u128::from(WIDTH) / u128::from(all);
        let share = u64::try_from(share).unwrap_or(WIDTH);
        (if count > 0 { share.max(1) } else { 0 }, sign, word)
    });
    // What rounding left over or took too much of is that of the longest part.
    let used: u64 = shown.iter().map(|(cells, ..)| cells).sum();
    if let Some(longest) = shown.iter_mut().max_by_key(|(cells, ..)| *cells) {
        longest.0 = (longest.0 + WIDTH).saturating_sub(used);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells_of(counts: [u64; 6]) -> Vec<u64> {
        let signs = ['#', '>', '-', '!', '?', '.'];
        let mut index = 0;
        let parts = counts.map(|count| {
            index += 1;
            (count, signs[index - 1], "")
        });
        cells(&parts).iter().map(|(cells, ..)| *cells).collect()
    }

    #[test]
    fn a_bar_is_as_long_as_every_other_and_one_failure_among_thousands_is_seen() {
        for counts in [
            [1, 0, 0, 0, 0, 0],
            [2_998, 0, 0, 1, 1, 0],
            [7, 7, 7, 7, 7, 7],
            [1, 1, 1, 1, 1, 1_000_000],
            [0, 0, 0, 0, 0, u64::MAX],
        ] {
            let shown = cells_of(counts);
            assert_eq!(shown.iter().sum::<u64>(), WIDTH, "{counts:?}: {shown:?}");
            for (count, cells) in counts.iter().zip(&shown) {
                assert_eq!(*count > 0, *cells > 0, "{counts:?}: {shown:?}");
            }
        }
        assert_eq!(cells_of([5, 0, 0, 5, 0, 0]), [20, 0, 0, 20, 0, 0]);
    }

    #[test]
    fn a_ring_without_computers_is_an_empty_bar() {
        assert_eq!(cells_of([0; 6]), [WIDTH, 0, 0, 0, 0, 0]);
    }
}
