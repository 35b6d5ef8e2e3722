//! Whose TLS handshake is next: the arithmetic behind [`Handshakes`](crate::handshakes::Handshakes), without tasks or a clock.
//!
//! There are two lines: one for sources from which a client has shown itself, and one for all others. Each has a rate of its
//! own, so strangers never take turns of the known. Within a line each source has its turn after every other, so whoever asks
//! once waits for one turn of each source, however many connections those have.
//! Invariants: no line gives more turns in a time than its rate allows, and one second's worth at once; an entry is here only
//! while its connection waits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

const MICROS: u128 = 1_000_000;

/// As the module says.
#[derive(Debug)]
pub(crate) struct Turns {
    known: Line,
    strangers: Line,
}

#[derive(Debug)]
struct Line {
    per_second: u32,
    left: u32,
    /// The time up to which turns were earned.
    since: Instant,
    next: u64,
    /// Sources in the order of their turns.
    order: BTreeMap<u64, IpAddr>,
    waiting: HashMap<IpAddr, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// Its place in the order.
    turn: u64,
    /// Connections, from the oldest to the newest.
    connections: BTreeSet<u64>,
}

impl Turns {
    pub(crate) fn new(known_per_second: u32, strangers_per_second: u32, now: Instant) -> Self {
        Self { known: Line::new(known_per_second, now), strangers: Line::new(strangers_per_second, now) }
    }

    /// Whether a connection may go on at once; if not, it waits.
    pub(crate) fn ask(&mut self, source: IpAddr, connection: u64, is_known: bool, now: Instant) -> bool {
        let line = if is_known { &mut self.known } else { &mut self.strangers };
        line.earn(now);
        if line.order.is_empty() && line.left > 0 {
            line.left -= 1;
            return true;
        }
        line.join(source, BTreeSet::from([connection]));
        false
    }

    /// Who may go on now. A source that has become known changes lines when its turn comes.
    pub(crate) fn next(&mut self, now: Instant, is_known: impl Fn(IpAddr) -> bool) -> Vec<u64> {
        self.strangers.earn(now);
        self.known.earn(now);
        let mut due = Vec::new();
        while self.strangers.left > 0
            && let Some((_, source)) = self.strangers.order.first_key_value()
        {
            let source = *source;
            if is_known(source) {
                let connections = self.strangers.remove(source);
                self.known.join(source, connections);
            } else {
                due.extend(self.strangers.give(source));
            }
        }
        while self.known.left > 0
            && let Some((_, source)) = self.known.order.first_key_value()
        {
            let source = *source;
            due.extend(self.known.give(source));
        }
        due
    }

    /// A connection waits no more, for whatever reason.
    pub(crate) fn leave(&mut self, source: IpAddr, connection: u64) {
        self.known.leave(source, connection);
        self.strangers.leave(source, connection);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.order.is_empty() && self.strangers.order.is_empty()
    }
}

impl Line {
    fn new(per_second: u32, now: Instant) -> Self {
        let per_second = per_second.max(1);
        Self {
            per_second,
            left: per_second,
            since: now,
            next: 0,
            order: BTreeMap::new(),
            waiting: HashMap::new(),
        }
    }

    fn earn(&mut self, now: Instant) {
        let rate = u128::from(self.per_second);
        let earned = now.saturating_duration_since(self.since).as_micros() * rate / MICROS;
        match u32::try_from(earned) {
            Ok(earned) if earned < self.per_second => {
                self.left = self.left.saturating_add(earned).min(self.per_second);
                // What is short of a whole turn is kept for the next time.
                let took = u64::try_from(u128::from(earned) * MICROS / rate).unwrap_or_default();
                self.since += Duration::from_micros(took);
            }
            _ => (self.left, self.since) = (self.per_second, now),
        }
    }

    fn join(&mut self, source: IpAddr, connections: BTreeSet<u64>) {
        if let Some(waiting) = self.waiting.get_mut(&source) {
            waiting.connections.extend(connections);
            return;
        }
        let turn = self.next;
        self.next += 1;
        self.order.insert(turn, source);
        self.waiting.insert(source, Waiting { turn, connections });
    }

    /// The source's oldest connection; its next one comes after every other source.
    fn give(&mut self, source: IpAddr) -> Option<u64> {
        let mut connections = self.remove(source);
        let connection = connections.pop_first()?;
        self.left = self.left.saturating_sub(1);
        if !connections.is_empty() {
            self.join(source, connections);
        }
        Some(connection)
    }

    fn remove(&mut self, source: IpAddr) -> BTreeSet<u64> {
        let Some(waiting) = self.waiting.remove(&source) else { return BTreeSet::new() };
        self.order.remove(&waiting.turn);
        waiting.connections
    }

    fn leave(&mut self, source: IpAddr, connection: u64) {
        let Some(waiting) = self.waiting.get_mut(&source) else { return };
        waiting.connections.remove(&connection);
        if waiting.connections.is_empty() {
            self.remove(source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: Duration = Duration::from_millis(100);

    fn from(host: u8) -> IpAddr {
        [10, 0, 0, host].into()
    }

    /// Connections of this source that wait, after those that went at once.
    fn flood(turns: &mut Turns, host: u8, ids: std::ops::Range<u64>, now: Instant) -> Vec<u64> {
        ids.filter(|id| !turns.ask(from(host), *id, false, now)).collect()
    }

    #[test]
    fn a_flood_gets_its_rate_and_whoever_asks_once_goes_after_one_turn_of_each_source() {
        let now = Instant::now();
        let mut turns = Turns::new(10, 10, now);
        assert_eq!(flood(&mut turns, 1, 0..1_000, now).len(), 990, "one second's worth goes at once");
        assert_eq!(flood(&mut turns, 2, 1_000..2_000, now).len(), 1_000);
        assert!(!turns.ask(from(3), 5_000, false, now));
        assert!(turns.next(now, |_| false).is_empty());
        assert_eq!(turns.next(now + 3 * TENTH, |_| false), [10, 1_000, 5_000]);
        let given: usize = (4..=53).map(|tenth| turns.next(now + tenth * TENTH, |_| false).len()).sum();
        assert_eq!(given, 50, "ten in a second, whoever asks");
    }

    #[test]
    fn strangers_take_no_turn_of_the_known_and_a_source_that_becomes_known_changes_lines() {
        let now = Instant::now();
        let mut turns = Turns::new(100, 1, now);
        flood(&mut turns, 1, 0..1_000, now);
        let waiting = flood(&mut turns, 2, 1_000..1_010, now);
        assert!((2_000..2_050).all(|id| turns.ask(from(3), id, true, now)));
        let second = now + Duration::from_secs(1);
        let given = turns.next(second, |source| source == from(1));
        assert_eq!(given.len(), 101);
        assert!(given.contains(&waiting[0]), "the strangers' turn is still there");
    }

    #[test]
    fn whoever_leaves_takes_no_turn_and_leaves_nothing_behind() {
        let now = Instant::now();
        let mut turns = Turns::new(1, 1, now);
        for id in flood(&mut turns, 1, 0..100, now).into_iter().chain(flood(&mut turns, 2, 100..200, now)) {
            turns.leave(from(1), id);
            turns.leave(from(2), id);
        }
        assert!(turns.is_empty() && turns.strangers.waiting.is_empty());
        assert!(turns.ask(from(3), 500, false, now + Duration::from_secs(1)));
    }
}
