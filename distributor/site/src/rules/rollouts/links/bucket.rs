//! When the next bytes over a link are due: a token bucket that all downloads over the link share.
//!
//! Invariant: in no time are more bytes due than the rate gives in that time, and one burst; who asks first is due first, so
//! downloads that each ask for their next bytes when the last ones have gone share alike. Time comes in as an argument: how
//! long after some moment that stays the same.

use std::time::Duration;

use super::Rate;

/// How much may go at once after a pause: what the rate gives in this time.
pub const BURST: Duration = Duration::from_millis(250);
/// The most bytes that are asked for at once.
const MAX_CHUNK: u64 = 128 * 1024;
/// The fewest, for slow links.
const MIN_CHUNK: u64 = 1024;

/// As the module says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bucket {
    /// When the rate has given everything that was asked for.
    earned_at: Duration,
}

impl Bucket {
    /// How long to wait until so many bytes may go.
    pub fn take(&mut self, bytes: u64, rate: Rate, now: Duration) -> Duration {
        self.earned_at = self.earned_at.max(now).saturating_add(rate.time_for(bytes));
        self.earned_at.saturating_sub(BURST).saturating_sub(now)
    }

    /// What was asked for last does not go after all, so that the next one need not wait for it. Only the last one can be given
    /// back: who was told its time behind another would go at the same time as somebody else.
    pub fn give_back(&mut self, bytes: u64, rate: Rate) {
        self.earned_at = self.earned_at.saturating_sub(rate.time_for(bytes));
    }
}

/// How many bytes a download asks for at once, so that it is not silent for long and wakes up seldom.
#[must_use]
pub fn chunk(rate: Rate) -> u64 {
    (rate.bytes_per_second() / 8).clamp(MIN_CHUNK, MAX_CHUNK)
}

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::*;

    fn rate(bytes: u64) -> Rate {
        Rate::new(bytes).unwrap()
    }

    #[test]
    fn after_a_pause_a_burst_goes_at_once_and_then_the_rate() {
        let (mut bucket, rate) = (Bucket::default(), rate(1_000_000));
        let at = Duration::from_secs(100);
        assert_eq!(bucket.take(250_000, rate, at), Duration::ZERO);
        assert_eq!(bucket.take(100_000, rate, at), Duration::from_millis(100));
        assert_eq!(bucket.take(100_000, rate, at), Duration::from_millis(200), "behind the one before");
        let later = at + Duration::from_secs(3_600);
        assert_eq!(bucket.take(250_000, rate, later), Duration::ZERO);
        assert_eq!(bucket.take(1_000, rate, later), Duration::from_millis(1), "an hour saves up one burst");
    }

    #[test]
    fn what_was_asked_for_and_did_not_go_holds_nobody_up() {
        let (mut bucket, rate) = (Bucket::default(), rate(1_000_000));
        let at = Duration::from_secs(100);
        assert_eq!(bucket.take(250_000, rate, at), Duration::ZERO);
        assert_eq!(bucket.take(500_000, rate, at), Duration::from_millis(500));
        bucket.give_back(500_000, rate);
        assert_eq!(bucket.take(100_000, rate, at), Duration::from_millis(100));
        bucket.give_back(u64::MAX, rate);
        assert_eq!(
            bucket.take(500_000, rate, at),
            Duration::from_millis(250),
            "one burst is saved up at the most"
        );
    }

    #[test]
    fn a_download_asks_for_an_eighth_of_a_second_of_its_link_within_bounds() {
        assert_eq!([8_000, 80_000, 2_000_000_000].map(|bytes| chunk(rate(bytes))), [1_024, 10_000, 131_072]);
    }

    #[test]
    fn never_more_goes_in_a_time_than_the_rate_gives_and_one_burst() {
        let mut dice = Dice::new(7);
        for _ in 0..200 {
            let rate = rate(8_000 + dice.below(100_000_000));
            let (mut bucket, mut now) = (Bucket::default(), Duration::from_secs(5));
            let mut gone: Vec<(Duration, u64)> = Vec::new();
            for _ in 0..100 {
                now += Duration::from_millis(dice.below(2_000) * dice.below(2));
                let bytes = 1 + dice.below(chunk(rate));
                gone.push((now + bucket.take(bytes, rate, now), bytes));
            }
            let burst = rate.bytes_per_second() / 4 + chunk(rate) + 1;
            for (from, _) in &gone {
                let mut sum = 0;
                for (at, bytes) in gone.iter().filter(|(at, _)| at >= from) {
                    sum += bytes;
                    let given =
                        u128::from(rate.bytes_per_second()) * (*at - *from).as_nanos() / 1_000_000_000;
                    assert!(u128::from(sum) <= given + u128::from(burst), "{sum} in {:?}", *at - *from);
                }
            }
        }
    }

    #[test]
    fn downloads_that_go_on_when_their_last_bytes_have_gone_get_the_same() {
        let mut dice = Dice::new(11);
        for _ in 0..50 {
            let rate = rate(8_000 + dice.below(100_000_000));
            let (mut bucket, chunk) = (Bucket::default(), chunk(rate));
            let downloads = usize::try_from(2 + dice.below(48)).unwrap();
            let (mut next, mut got) = (vec![Duration::ZERO; downloads], vec![0_u64; downloads]);
            for _ in 0..downloads * 40 {
                let (first, now) = next.iter().copied().enumerate().min_by_key(|(_, at)| *at).unwrap();
                next[first] = now + bucket.take(chunk, rate, now);
                got[first] += 1;
            }
            let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
            // The burst may go to one alone.
            assert!(most - least <= 2 + rate.bytes_per_second() / 4 / chunk, "{got:?}");
        }
    }
}
