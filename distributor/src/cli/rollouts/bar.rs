//! A ring as a bar: what became of its computers, each part as long as its share.

use sealpost_admin_api::rollouts::Ring;

use crate::cli::colors;
use crate::cli::output::print_line;

/// Cells of a bar.
const WIDTH: u64 = 40;

/// What can have become of a computer, as a bar shows it.
const PARTS: usize = 7;

/// One part of a bar: so many computers, the sign for them, and the word whose color it has.
type Part = (u64, char, &'static str);

/// Each ring with its bar, and what the signs mean.
pub(super) fn print_bars<'a>(rings: impl Iterator<Item = &'a Ring> + Clone) -> anyhow::Result<()> {
    let longest = rings.clone().map(|ring| ring.name.as_str().len()).max().unwrap_or(0);
    for ring in rings {
        print_line(format_args!("  {:<longest$}  {}", ring.name.as_str(), bar(ring)))?;
    }
    print_line(format_args!("  {:longest$}   {LEGEND}", ""))
}

/// The bar; with colors where colors are shown.
fn bar(ring: &Ring) -> String {
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
const LEGEND: &str =
    "# succeeded  > installing  - told  ! failed  ? silent  ~ moved on to another release  . not told yet";

fn parts(ring: &Ring) -> [Part; PARTS] {
    let counts = &ring.counts;
    [
        (counts.succeeded, '#', "succeeded"),
        (counts.installing, '>', "installing"),
        (counts.not_begun(), '-', "told"),
        (counts.failed, '!', "failed"),
        (counts.silent, '?', "silent"),
        (counts.dropped, '~', "dropped"),
        (ring.not_told().unwrap_or(0), '.', ""),
    ]
}

/// How many cells each part has: together [`WIDTH`], and at least one for whatever there is.
fn cells(parts: &[Part; PARTS]) -> [Part; PARTS] {
    let all: u64 = parts.iter().map(|(count, ..)| count).sum();
    if all == 0 {
        let mut empty = [(0, ' ', ""); PARTS];
        if let Some(first) = empty.first_mut() {
            first.0 = WIDTH;
        }
        return empty;
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

    fn cells_of(counts: [u64; PARTS]) -> Vec<u64> {
        let signs = ['#', '>', '-', '!', '?', '~', '.'];
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
            [1, 0, 0, 0, 0, 0, 0],
            [2_998, 0, 0, 1, 1, 0, 0],
            [7, 7, 7, 7, 7, 7, 7],
            [1, 1, 1, 1, 1, 1, 1_000_000],
            [0, 0, 0, 0, 0, 0, u64::MAX],
        ] {
            let shown = cells_of(counts);
            assert_eq!(shown.iter().sum::<u64>(), WIDTH, "{counts:?}: {shown:?}");
            for (count, cells) in counts.iter().zip(&shown) {
                assert_eq!(*count > 0, *cells > 0, "{counts:?}: {shown:?}");
            }
        }
        assert_eq!(cells_of([5, 0, 0, 5, 0, 0, 0]), [20, 0, 0, 20, 0, 0, 0]);
    }

    #[test]
    fn a_ring_without_computers_is_an_empty_bar() {
        assert_eq!(cells_of([0; PARTS]), [WIDTH, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_computer_that_moved_on_to_another_release_is_not_one_that_nobody_told() {
        let ring = |dropped: u64| -> Ring {
            let counts = serde_json::json!({
                "told": 1, "installing": 0, "succeeded": 1, "failed": 0, "silent": 0, "dropped": dropped,
            });
            let ring = serde_json::json!({
                "name": "early", "takes": "10 %", "soak_secs": 0, "soak_left_secs": 0, "minimum_sample": 1,
                "success_percent": 100, "halts_at_failures": 1, "halts_at_percent": 1, "counts": counts, "members": 4,
            });
            serde_json::from_value(ring).unwrap()
        };
        assert_eq!(bar(&ring(2)), format!("[{}]", ["#", "-", "~"].map(signs).concat()));
        assert_eq!((ring(2).not_told(), ring(0).not_told()), (Some(0), Some(2)));
        assert_eq!(bar(&ring(0)), format!("[{}]", ["#", "-", "."].map(signs).concat()));
        for sign in bar(&ring(1)).trim_matches(['[', ']']).chars() {
            assert!(LEGEND.contains(sign), "{sign}");
        }
    }

    /// A quarter of the bar for what is one of four, and half of it for what is two.
    fn signs(sign: &str) -> String {
        sign.repeat(if matches!(sign, "~" | ".") { 20 } else { 10 })
    }
}
