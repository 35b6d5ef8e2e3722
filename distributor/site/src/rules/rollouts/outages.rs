//! When the server did not run, so that no computer could come.
//!
//! Invariant: the times are in order, apart from each other, and not later than the start at which they were read; there are at
//! most [`MOST`] of them. Whoever subtracts them from a time looks only at those in it.
//! Left out on purpose: how long the server ran in between. What is not known counts as time in which it ran.

use jiff::{SignedDuration, Timestamp};

/// From here on a server that starts says in the log that none ran. Shorter times count for its own run only, so that a server that
/// crashes again and again does not fill the log.
pub const NOTED_FROM: SignedDuration = SignedDuration::from_mins(15);

/// So many are remembered: nine a day for four weeks, and no pause of a computer counts for longer.
pub const MOST: u32 = 256;

/// A time in which the server did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outage {
    from: Timestamp,
    until: Timestamp,
}

impl Outage {
    /// From the last sign of life of a server to the start of the next one; `None` where that is no time at all.
    #[must_use]
    pub fn between(last_sign: Timestamp, started: Timestamp) -> Option<Self> {
        (last_sign < started).then_some(Self { from: last_sign, until: started })
    }

    /// How much of it lies between two times.
    fn within(self, from: Timestamp, until: Timestamp) -> SignedDuration {
        self.until.min(until).duration_since(self.from.max(from)).max(SignedDuration::ZERO)
    }
}

/// All times in which the server did not run, as far as that is known.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outages(Vec<Outage>);

impl Outages {
    /// Of a ledger over which no server listens.
    #[must_use]
    pub fn none() -> &'static Self {
        static NONE: Outages = Outages(Vec::new());
        &NONE
    }

    /// The newest of what is known at `now`. What ends later was noted by a clock that was ahead, and is left out; what overlaps
    /// is one.
    #[must_use]
    pub fn known(found: impl IntoIterator<Item = Outage>, now: Timestamp) -> Self {
        let mut found: Vec<Outage> = found.into_iter().filter(|outage| outage.until <= now).collect();
        found.sort_unstable();
        let mut apart: Vec<Outage> = Vec::new();
        for outage in found {
            match apart.last_mut() {
                Some(last) if outage.from <= last.until => last.until = last.until.max(outage.until),
                _ => apart.push(outage),
            }
        }
        let most = usize::try_from(MOST).unwrap_or(usize::MAX);
        Self(apart.split_off(apart.len().saturating_sub(most)))
    }

    /// How long the server did not run between two times.
    #[must_use]
    pub fn within(&self, from: Timestamp, until: Timestamp) -> SignedDuration {
        let later = self.0.iter().rev().take_while(|outage| outage.until > from);
        later.fold(SignedDuration::ZERO, |sum, outage| sum.saturating_add(outage.within(from, until)))
    }
}

/// What a ledger knows of the servers that ran over it, when the next one starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signs {
    /// The last sign of life that is not later than the start.
    pub last: Option<Timestamp>,
    /// The newest thing that was written, whatever its time.
    pub newest: Option<Timestamp>,
    /// When the ledger was restored last.
    pub restored: Option<Timestamp>,
    /// The newest outages of earlier starts, at most [`MOST`].
    pub outages: Vec<Outage>,
}

impl Signs {
    /// The outages of earlier starts, and the one that ends now.
    #[must_use]
    pub fn outages(&self, now: Timestamp) -> Outages {
        let ends_now = self.last.and_then(|last| Outage::between(last, now));
        Outages::known(self.outages.iter().copied().chain(ends_now), now)
    }

    /// Since when the log is to say that no server ran, if it is to say so.
    ///
    /// A ledger that was restored does not know whether one ran before that. If the newest thing is later than now, the clock was
    /// ahead, and a server may have run until just now.
    #[must_use]
    pub fn to_note(&self, now: Timestamp) -> Option<Timestamp> {
        let since = self.last?.max(self.restored.unwrap_or(Timestamp::MIN));
        let was_ahead = self.newest.is_some_and(|newest| newest > now);
        (!was_ahead && now.duration_since(since) >= NOTED_FROM).then_some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_mins(minutes)).unwrap()
    }

    fn out(from: i64, until: i64) -> Outage {
        Outage::between(at(from), at(until)).unwrap()
    }

    #[test]
    fn outages_that_overlap_are_one_and_each_counts_as_far_as_it_lies_between_two_times() {
        let found = [out(300, 400), out(100, 200), out(150, 220), out(220, 230), out(120, 130)];
        let outages = Outages::known(found, at(400));
        assert_eq!(outages, Outages(vec![out(100, 230), out(300, 400)]));
        let cases = [
            (0, 1_000, 230),
            (0, 100, 0),
            (0, 150, 50),
            (200, 350, 80),
            (230, 300, 0),
            (250, 1_000, 100),
            (400, 1_000, 0),
            (350, 200, 0),
        ];
        for (from, until, wanted) in cases {
            assert_eq!(
                outages.within(at(from), at(until)),
                SignedDuration::from_mins(wanted),
                "{from} {until}"
            );
        }
        assert_eq!(Outages::none().within(at(0), at(100)), SignedDuration::ZERO);
    }

    #[test]
    fn an_outage_that_ends_later_than_now_is_none() {
        let outages = Outages::known([out(100, 200), out(150, 9_000), out(8_000, 9_000)], at(300));
        assert_eq!(outages, Outages(vec![out(100, 200)]));
        assert_eq!(Outage::between(at(5), at(5)), None);
        assert_eq!(Outage::between(at(6), at(5)), None, "a clock that was set back");
    }

    #[test]
    fn the_newest_outages_are_kept_and_a_row_that_is_one_counts_as_one() {
        let most = i64::from(MOST);
        let many = (0..most + 10).map(|day| out(day * 100, day * 100 + 50));
        let kept = Outages::known(many, at(1_000_000));
        assert_eq!((kept.0.len() as i64, kept.0[0]), (most, out(1_000, 1_050)));
        let row = (0..10 * most).map(|step| out(step * 16, step * 16 + 16));
        assert_eq!(Outages::known(row, at(1_000_000)), Outages(vec![out(0, 160 * most)]));
    }

    #[test]
    fn a_start_is_noted_if_no_server_ran_for_a_quarter_of_an_hour_and_the_ledger_knows_that() {
        let signs = |last, newest, restored: Option<i64>| Signs {
            last: Some(at(last)),
            newest: Some(at(newest)),
            restored: restored.map(at),
            outages: Vec::new(),
        };
        let cases = [
            ("just so long", signs(100, 100, None), 115, Some(100)),
            ("a minute less", signs(100, 100, None), 114, None),
            ("something was written without a server", signs(100, 190, None), 200, Some(100)),
            ("the clock was ahead", signs(100, 201, None), 200, None),
            ("restored just now", signs(100, 190, Some(190)), 200, None),
            ("restored, and started later", signs(100, 150, Some(150)), 200, Some(150)),
            ("restored, and it ran since", signs(160, 160, Some(150)), 200, Some(160)),
            ("the first start", Signs::default(), 200, None),
            ("the time goes back", signs(100, 100, None), 50, None),
        ];
        for (what, signs, now, wanted) in cases {
            assert_eq!(signs.to_note(at(now)), wanted.map(at), "{what}");
        }
    }

    #[test]
    fn the_time_before_this_start_counts_also_where_it_is_not_noted() {
        let signs = Signs { last: Some(at(100)), outages: vec![out(20, 90)], ..Signs::default() };
        assert_eq!(signs.to_note(at(105)), None);
        assert_eq!(signs.outages(at(105)), Outages(vec![out(20, 90), out(100, 105)]));
        assert_eq!(Signs::default().outages(at(105)), Outages::default());
    }
}
