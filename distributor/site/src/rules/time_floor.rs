//! License time: `max(now, floor)`, so that setting the clock back brings nothing back.
//!
//! Invariant: license time never goes backwards. A vendor-signed time raises the floor freely; the local clock raises
//! it at most as fast as monotonic time passes, saved up for one day at most: one wrong reading of a clock that jumped
//! ahead cannot end a license for ever. Left out on purpose: a vendor-signed sync that lowers the floor.

use jiff::{SignedDuration, Timestamp};

/// Most credit that is saved up: what one jump of the local clock can move the floor at once.
const MAX_CREDIT: SignedDuration = SignedDuration::from_hours(24);

/// The floor under license time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeFloor {
    floor: Timestamp,
    credit: SignedDuration,
}

impl TimeFloor {
    /// As it was stored; credit is earned anew.
    #[must_use]
    pub const fn new(floor: Timestamp) -> Self {
        Self { floor, credit: SignedDuration::ZERO }
    }

    /// What to store.
    #[must_use]
    pub const fn floor(&self) -> Timestamp {
        self.floor
    }

    /// License time when the local clock says `now`.
    #[must_use]
    pub fn license_time(&self, now: Timestamp) -> Timestamp {
        now.max(self.floor)
    }

    /// The local clock says `now`, `elapsed` of monotonic time after the last observation.
    pub fn observe_local(&mut self, now: Timestamp, elapsed: SignedDuration) {
        let earned = elapsed.max(SignedDuration::ZERO);
        self.credit = self.credit.saturating_add(earned).min(MAX_CREDIT);
        let ahead = now.duration_since(self.floor);
        if ahead <= SignedDuration::ZERO {
            return;
        }
        let raise = ahead.min(self.credit);
        if let Ok(raised) = self.floor.checked_add(raise) {
            self.floor = raised;
            self.credit = self.credit.saturating_sub(raise);
        }
    }

    /// The vendor signed this time.
    pub fn observe_vendor(&mut self, vendor_time: Timestamp) {
        self.floor = self.floor.max(vendor_time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_turn_license_time_back() {
        let mut floor = TimeFloor::new(at(1000));
        floor.observe_local(at(1500), SignedDuration::from_secs(500));
        assert_eq!(floor.license_time(at(10)), at(1500));
        floor.observe_local(at(10), SignedDuration::from_secs(1));
        assert_eq!(floor.floor(), at(1500));
    }

    #[test]
    fn a_clock_that_jumps_ahead_moves_the_floor_no_faster_than_monotonic_time() {
        let mut floor = TimeFloor::new(at(0));
        floor.observe_local(at(3650 * DAY), SignedDuration::from_secs(60));
        assert_eq!(floor.floor(), at(60));
        // A reading goes back, the license time with it: nothing was lost for good.
        assert_eq!(floor.license_time(at(120)), at(120));
    }

    #[test]
    fn credit_is_saved_for_one_day_at_most() {
        let mut floor = TimeFloor::new(at(0));
        floor.observe_local(at(0), SignedDuration::from_hours(24 * 30));
        floor.observe_local(at(30 * DAY), SignedDuration::ZERO);
        assert_eq!(floor.floor(), at(DAY));
        floor.observe_local(at(30 * DAY), SignedDuration::from_secs(-5));
        assert_eq!(floor.floor(), at(DAY));
    }

    #[test]
    fn a_vendor_signed_time_raises_freely_and_never_lowers() {
        let mut floor = TimeFloor::new(at(0));
        floor.observe_vendor(at(400 * DAY));
        floor.observe_vendor(at(5));
        assert_eq!(floor.floor(), at(400 * DAY));
    }
}
