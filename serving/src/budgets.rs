//! Budgets: how often something may happen per key, as token buckets in bounded memory.
//!
//! Invariant: at most so many keys are remembered, whatever is sent. A full budget is never worth remembering; where
//! that is not enough, the fullest is forgotten first, since it matters least.
//! Time comes in as an argument, in whole seconds. A clock that goes back gives nothing and costs one interval at the
//! most.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// How large a budget is, and how it comes back.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Size of a full budget.
    pub burst: u32,
    /// How much comes back in each interval. With as much as `burst`, a source that used all of its budget waits for
    /// the rest of the interval.
    pub refill: u32,
    /// Length of the interval in seconds, at least 1.
    pub every_secs: i64,
}

/// What each key may still do.
#[derive(Debug)]
pub struct Budgets<K> {
    rate: Rate,
    max_keys: usize,
    budgets: Mutex<HashMap<K, Budget>>,
}

#[derive(Debug, Clone, Copy)]
struct Budget {
    left: u32,
    /// The second up to which it was refilled.
    since: i64,
}

impl<K: Eq + Hash + Clone> Budgets<K> {
    /// Full budgets for everybody; at most `max_keys` that are not full are remembered.
    #[must_use]
    pub fn new(rate: Rate, max_keys: usize) -> Self {
        Self { rate, max_keys, budgets: Mutex::default() }
    }

    /// Seconds until a key has so much left; `None` if it has that now. Takes nothing.
    pub fn must_wait(&self, key: &K, cost: u32, now: Timestamp) -> Option<i64> {
        let now = now.as_second();
        let mut budgets = self.lock();
        let Some(budget) = budgets.get_mut(key) else {
            return self.rate.full(now).must_wait(cost, now, self.rate);
        };
        *budget = budget.at(now, self.rate);
        budget.must_wait(cost, now, self.rate)
    }

    /// Takes so much from a key's budget.
    ///
    /// # Errors
    /// The seconds until it has that much; then nothing is taken.
    pub fn spend(&self, key: &K, cost: u32, now: Timestamp) -> Result<(), i64> {
        let now = now.as_second();
        let mut budgets = self.lock();
        if !budgets.contains_key(key) {
            make_room(&mut budgets, self.max_keys, now, self.rate);
        }
        let budget = budgets.entry(key.clone()).or_insert(self.rate.full(now));
        *budget = budget.at(now, self.rate);
        match budget.must_wait(cost, now, self.rate) {
            Some(wait) => Err(wait),
            None => {
                budget.left -= cost;
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Budget>> {
        // Plain numbers: a panic cannot leave them half-changed in a way that matters.
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room<K: Eq + Hash + Clone>(budgets: &mut HashMap<K, Budget>, max_keys: usize, now: i64, rate: Rate) {
    if budgets.len() < max_keys {
        return;
    }
    budgets.retain(|_, budget| budget.at(now, rate).left < rate.burst);
    if budgets.len() >= max_keys
        && let Some(fullest) =
            budgets.iter().max_by_key(|(_, budget)| budget.left).map(|(key, _)| key.clone())
    {
        budgets.remove(&fullest);
    }
}

impl Rate {
    /// A full budget earns nothing, so its intervals begin when it is first used.
    const fn full(self, now: i64) -> Budget {
        Budget { left: self.burst, since: now }
    }
}

impl Budget {
    /// With what came back until now. After a clock that went back its intervals begin anew.
    fn at(self, now: i64, rate: Rate) -> Self {
        if now < self.since {
            return Self { left: self.left, since: now };
        }
        let every = rate.every_secs.max(1);
        let intervals = now.saturating_sub(self.since) / every;
        let left = intervals.saturating_mul(i64::from(rate.refill)).saturating_add(i64::from(self.left));
        match u32::try_from(left) {
            Ok(left) if left < rate.burst => {
                Self { left, since: self.since.saturating_add(intervals.saturating_mul(every)) }
            }
            _ => rate.full(now),
        }
    }

    /// Of a budget as it is now: seconds until so much is left.
    fn must_wait(self, cost: u32, now: i64, rate: Rate) -> Option<i64> {
        let missing = cost.checked_sub(self.left).filter(|missing| *missing > 0)?;
        let intervals = i64::from(missing.div_ceil(rate.refill.max(1)));
        let ready = self.since.saturating_add(intervals.saturating_mul(rate.every_secs.max(1)));
        Some(ready.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 10, refill: 1, every_secs: 60 };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn used_up(budgets: &Budgets<u32>, key: u32, second: i64) {
        budgets.spend(&key, RATE.burst, at(second)).unwrap();
    }

    #[test]
    fn a_budget_that_is_used_up_comes_back_interval_by_interval() {
        let budgets = Budgets::new(RATE, 100);
        used_up(&budgets, 1, 100);
        assert_eq!(budgets.must_wait(&1, 1, at(100)), Some(60));
        assert_eq!(budgets.must_wait(&1, 3, at(159)), Some(121));
        assert_eq!(budgets.must_wait(&1, 1, at(160)), None);
        assert_eq!(budgets.spend(&1, 1, at(160)), Ok(()));
        assert_eq!(budgets.spend(&1, 1, at(160)), Err(60));
        assert_eq!(budgets.spend(&2, 1, at(160)), Ok(()), "others have their own");
    }

    #[test]
    fn what_is_refused_costs_nothing() {
        let budgets = Budgets::new(RATE, 100);
        budgets.spend(&1, 8, at(100)).unwrap();
        assert_eq!(budgets.spend(&1, 3, at(100)), Err(60));
        assert_eq!(budgets.spend(&1, 2, at(100)), Ok(()));
    }

    #[test]
    fn a_refill_of_the_whole_budget_is_a_window_that_begins_with_its_first_use() {
        let budgets = Budgets::new(Rate { burst: 2, refill: 2, every_secs: 60 }, 100);
        budgets.spend(&1, 1, at(100)).unwrap();
        budgets.spend(&1, 1, at(150)).unwrap();
        assert_eq!(budgets.must_wait(&1, 1, at(159)), Some(1));
        assert_eq!(budgets.must_wait(&1, 2, at(160)), None);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_and_costs_one_interval_at_the_most() {
        let budgets = Budgets::new(RATE, 100);
        used_up(&budgets, 1, 1_000_000);
        assert_eq!(budgets.must_wait(&1, 1, at(0)), Some(60));
        assert_eq!(budgets.spend(&1, 1, at(59)), Err(1));
        assert_eq!(budgets.spend(&1, 1, at(60)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_the_emptiest_budget_is_remembered() {
        let budgets = Budgets::new(RATE, 50);
        used_up(&budgets, 0, 100);
        for key in 1..1_000 {
            budgets.spend(&key, 1, at(100)).unwrap();
        }
        assert!(budgets.lock().len() <= 50);
        assert_eq!(budgets.must_wait(&0, 1, at(100)), Some(60));
    }

    #[test]
    fn full_budgets_make_room_first() {
        let budgets = Budgets::new(RATE, 50);
        for key in 0..50 {
            budgets.spend(&key, 1, at(100)).unwrap();
        }
        budgets.spend(&50, 1, at(160)).unwrap();
        assert_eq!(budgets.lock().len(), 1);
    }
}
