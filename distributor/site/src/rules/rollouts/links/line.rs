//! Whose turn it is to download over a link: who has one, and who waits for one.
//!
//! A turn is asked for with each request; who gets none comes back after a while and keeps its place in the line meanwhile, so
//! nothing is held open for it. Invariants: never more turns than the link has, but that turns which are out stay when
//! an admin lowers their number; a client has one turn, and its newest request has it; nobody gets a turn before those that
//! came earlier and still come back; who takes next to nothing loses its turn once somebody waits; the line is bounded.
//! Time comes in as an argument: how long after some moment that stays the same.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sealpost_manifests::ids::ClientId;

use super::Link;

/// Most clients that wait in one line; who comes then waits without a place.
pub const MAX_WAITING: usize = 10_000;
/// Who has a turn and takes fewer bytes than this per second loses it, once somebody waits: what agents give up themselves.
const LEAST_PER_SECOND: u64 = 1024;
/// Time over which that is counted.
pub const WINDOW: Duration = Duration::from_secs(30);
/// Who waits comes back after this time at the earliest.
const SOONEST: Duration = Duration::from_secs(5);
/// Who waits comes back after this time at the latest.
const LATEST: Duration = Duration::from_secs(300);
/// A place is kept for so much longer than its client was told to wait: it may be busy otherwise, or slow.
const KEPT_BEYOND: Duration = Duration::from_secs(120);

/// As the module says.
#[derive(Debug)]
pub struct Line {
    window: Duration,
    turns: BTreeMap<ClientId, Turn>,
    waiting: VecDeque<Waiting>,
    next: u64,
}

/// A download that is under way.
#[derive(Debug, Clone, Copy)]
struct Turn {
    number: u64,
    /// Bytes that are still to go.
    left: u64,
    window_began: Duration,
    taken_in_window: u64,
}

/// A client that waits.
#[derive(Debug)]
struct Waiting {
    client: ClientId,
    bytes: u64,
    kept_until: Duration,
}

/// The answer to who asks for a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It is its turn: give this number with what it takes.
    Turn(u64),
    /// All turns are taken, or belong to others that wait.
    Wait {
        /// How many wait before it.
        ahead: usize,
        /// When it is to ask again.
        again_in: Duration,
    },
}

/// Where a client stands in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How many wait before it; absent when it has a turn.
    pub ahead: Option<usize>,
    /// How many wait in all.
    pub waiting: usize,
    /// Bytes that go over the link before it is done, its own among them.
    pub bytes: u64,
}

impl Default for Line {
    fn default() -> Self {
        Self::counting_over(WINDOW)
    }
}

impl Line {
    /// Nobody downloads yet. What a client takes is counted over this time.
    #[must_use]
    pub const fn counting_over(window: Duration) -> Self {
        Self { window, turns: BTreeMap::new(), waiting: VecDeque::new(), next: 0 }
    }

    /// A client asks for a turn, to download so many bytes.
    pub fn ask(&mut self, client: &ClientId, bytes: u64, link: &Link, now: Duration) -> Asked {
        self.waiting.retain(|waiting| waiting.kept_until >= now || waiting.client == *client);
        // Its connection may have broken without a word.
        let _ = self.turns.remove(client);
        let turns = usize::from(link.concurrent());
        if self.turns.len() >= turns {
            let window = self.window;
            self.turns.retain(|_, turn| !turn.has_stalled(window, now));
        }
        let free = turns.saturating_sub(self.turns.len());
        let place = self.waiting.iter().position(|waiting| waiting.client == *client);
        let ahead = place.unwrap_or(self.waiting.len());
        if ahead < free {
            if let Some(place) = place {
                let _ = self.waiting.remove(place);
            }
            return Asked::Turn(self.begin(client, bytes, now));
        }
        let again_in = again_in(ahead, bytes, link);
        let kept_until = now.saturating_add(again_in).saturating_add(KEPT_BEYOND);
        if let Some(waiting) = self.waiting.get_mut(ahead) {
            (waiting.bytes, waiting.kept_until) = (bytes, kept_until);
        } else if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(Waiting { client: client.clone(), bytes, kept_until });
        }
        Asked::Wait { ahead, again_in }
    }

    fn begin(&mut self, client: &ClientId, bytes: u64, now: Duration) -> u64 {
        self.next += 1;
        let turn = Turn { number: self.next, left: bytes, window_began: now, taken_in_window: 0 };
        let _ = self.turns.insert(client.clone(), turn);
        self.next
    }

    /// A client takes so many bytes; `false` when the turn is not its any more.
    pub fn takes(&mut self, client: &ClientId, number: u64, bytes: u64, now: Duration) -> bool {
        let Some(turn) = self.turns.get_mut(client).filter(|turn| turn.number == number) else {
            return false;
        };
        if turn.is_over(self.window, now) {
            (turn.window_began, turn.taken_in_window) = (now, 0);
        }
        turn.taken_in_window = turn.taken_in_window.saturating_add(bytes);
        turn.left = turn.left.saturating_sub(bytes);
        true
    }

    /// A download has ended, however it did.
    pub fn leave(&mut self, client: &ClientId, number: u64) {
        if self.turns.get(client).is_some_and(|turn| turn.number == number) {
            let _ = self.turns.remove(client);
        }
    }

    /// Where a client stands; `None` if it neither downloads nor waits.
    #[must_use]
    pub fn standing(&self, client: &ClientId, now: Duration) -> Option<Standing> {
        let under_way: u64 = self.turns.values().map(|turn| turn.left).fold(0, u64::saturating_add);
        let waiting: Vec<&Waiting> =
            self.waiting.iter().filter(|waiting| waiting.kept_until >= now).collect();
        if let Some(turn) = self.turns.get(client) {
            // All that is under way shares the link; what is longer goes on after it.
            let beside = self.turns.values().map(|other| other.left.min(turn.left));
            let bytes = beside.fold(0, u64::saturating_add);
            return Some(Standing { ahead: None, waiting: waiting.len(), bytes });
        }
        let ahead = waiting.iter().position(|waiting| waiting.client == *client)?;
        let before = waiting.iter().take(ahead + 1).map(|waiting| waiting.bytes);
        let bytes = before.fold(under_way, u64::saturating_add);
        Some(Standing { ahead: Some(ahead), waiting: waiting.len(), bytes })
    }

    /// How many download now.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.turns.len()
    }

    /// Whether it can be forgotten.
    #[must_use]
    pub fn is_idle(&self, now: Duration) -> bool {
        self.turns.is_empty() && self.waiting.iter().all(|waiting| waiting.kept_until < now)
    }
}

impl Turn {
    fn is_over(&self, window: Duration, now: Duration) -> bool {
        now.saturating_sub(self.window_began) >= window
    }

    /// Whether it took next to nothing in its last window, or nothing at all since that ended a window ago.
    fn has_stalled(&self, window: Duration, now: Duration) -> bool {
        let least = u128::from(LEAST_PER_SECOND) * window.as_millis() / 1_000;
        let is_slow = u128::from(self.taken_in_window) < least;
        (is_slow && self.is_over(window, now)) || self.is_over(window.saturating_mul(2), now)
    }
}

/// The first of the line come back soon. Of those behind them each full set of turns takes about as long as its downloads.
fn again_in(ahead: usize, bytes: u64, link: &Link) -> Duration {
    let turns = u64::from(link.concurrent());
    let sets = u64::try_from(ahead).unwrap_or(u64::MAX) / turns.max(1);
    let bytes = bytes.saturating_mul(turns).saturating_mul(sets);
    link.rate().time_for(bytes).clamp(SOONEST, LATEST)
}

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::*;

    fn client(number: u8) -> ClientId {
        ClientId::from_random([number; 16])
    }

    fn link(concurrent: u16) -> Link {
        let subnet = "10.2.0.0/16".parse().unwrap();
        Link::new(vec![subnet], "2 MB/s".parse().unwrap(), concurrent).unwrap()
    }

    const fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn turn(asked: Asked) -> u64 {
        let Asked::Turn(number) = asked else { panic!("{asked:?}") };
        number
    }

    #[test]
    fn turns_are_as_many_as_the_link_has_and_who_came_first_is_next() {
        let (mut line, link) = (Line::default(), link(2));
        let first = turn(line.ask(&client(1), 100, &link, at(0)));
        let _ = turn(line.ask(&client(2), 100, &link, at(0)));
        let wait = |ahead| Asked::Wait { ahead, again_in: SOONEST };
        assert_eq!(line.ask(&client(3), 100, &link, at(1)), wait(0));
        assert_eq!(line.ask(&client(4), 100, &link, at(2)), wait(1));
        assert_eq!(line.ask(&client(5), 100, &link, at(3)), wait(2));
        line.leave(&client(1), first);
        assert_eq!(line.ask(&client(5), 100, &link, at(5)), wait(2), "others came before");
        assert_eq!(line.ask(&client(4), 100, &link, at(5)), wait(1));
        let _ = turn(line.ask(&client(3), 100, &link, at(6)));
        assert_eq!(line.ask(&client(4), 100, &link, at(7)), wait(0));
        assert_eq!(line.under_way(), 2);
    }

    #[test]
    fn who_does_not_come_back_loses_its_place_and_nobody_waits_for_it() {
        let (mut line, link) = (Line::default(), link(1));
        let first = turn(line.ask(&client(1), 100, &link, at(0)));
        let _ = line.ask(&client(2), 100, &link, at(0));
        let _ = line.ask(&client(3), 100, &link, at(100));
        line.leave(&client(1), first);
        assert!(matches!(line.ask(&client(3), 100, &link, at(120)), Asked::Wait { ahead: 1, .. }));
        let _ = turn(line.ask(&client(3), 100, &link, at(126)));
        assert!(matches!(line.ask(&client(2), 100, &link, at(127)), Asked::Wait { ahead: 0, .. }));
    }

    #[test]
    fn who_holds_a_turn_and_reads_nothing_loses_it_when_somebody_waits() {
        let (mut line, link) = (Line::default(), link(1));
        let number = turn(line.ask(&client(1), 1 << 30, &link, at(0)));
        assert!(line.takes(&client(1), number, 1_000, at(1)));
        assert!(matches!(line.ask(&client(2), 100, &link, at(29)), Asked::Wait { ahead: 0, .. }));
        let _ = turn(line.ask(&client(2), 100, &link, at(30)));
        assert!(
            !line.takes(&client(1), number, 1_000, at(31)),
            "its download is cut, and goes on in its turn"
        );
        assert!(matches!(line.ask(&client(1), 100, &link, at(32)), Asked::Wait { ahead: 0, .. }));
    }

    #[test]
    fn who_took_much_and_then_nothing_more_loses_its_turn_too() {
        let (mut line, link) = (Line::default(), link(1));
        let number = turn(line.ask(&client(1), 1 << 30, &link, at(0)));
        assert!(line.takes(&client(1), number, 10_000_000, at(1)));
        assert!(matches!(line.ask(&client(2), 100, &link, at(59)), Asked::Wait { ahead: 0, .. }));
        let _ = turn(line.ask(&client(2), 100, &link, at(60)));
    }

    #[test]
    fn who_takes_what_agents_ask_for_at_least_keeps_its_turn() {
        let (mut line, link) = (Line::default(), link(1));
        let number = turn(line.ask(&client(1), 1 << 30, &link, at(0)));
        for second in 1..200 {
            assert!(line.takes(&client(1), number, 1_100, at(second)));
            assert!(matches!(line.ask(&client(2), 100, &link, at(second)), Asked::Wait { .. }), "{second}");
        }
    }

    #[test]
    fn a_client_has_one_turn_however_often_it_asks_and_the_newest_request_has_it() {
        let (mut line, link) = (Line::default(), link(2));
        let older = turn(line.ask(&client(1), 100, &link, at(0)));
        let newer = turn(line.ask(&client(1), 50, &link, at(1)));
        assert_eq!(line.under_way(), 1);
        assert!(!line.takes(&client(1), older, 1, at(2)));
        line.leave(&client(1), older);
        assert!(line.takes(&client(1), newer, 1, at(2)), "the end of the older one ends nothing else");
    }

    #[test]
    fn who_is_far_back_comes_back_later_and_the_line_has_an_end() {
        let (mut line, link) = (Line::default(), link(1));
        let _ = turn(line.ask(&ClientId::from_random([0; 16]), 100_000_000, &link, at(0)));
        let mut waits = Vec::new();
        for number in 1..=MAX_WAITING + 5 {
            let mut bytes = [1; 16];
            bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
            let asked = line.ask(&ClientId::from_random(bytes), 100_000_000, &link, at(0));
            let Asked::Wait { again_in, .. } = asked else { panic!("{asked:?}") };
            waits.push(again_in.as_secs());
        }
        assert_eq!(waits[..8], [5, 50, 100, 150, 200, 250, 300, 300]);
        assert_eq!(line.waiting.len(), MAX_WAITING);
    }

    #[test]
    fn a_lower_number_of_turns_counts_from_the_next_one_on() {
        let mut line = Line::default();
        let first = turn(line.ask(&client(1), 100, &link(2), at(0)));
        let second = turn(line.ask(&client(2), 100, &link(2), at(0)));
        assert!(line.takes(&client(1), first, 10, at(1)) && line.takes(&client(2), second, 10, at(1)));
        assert!(matches!(line.ask(&client(3), 100, &link(1), at(1)), Asked::Wait { .. }));
        line.leave(&client(1), first);
        assert!(matches!(line.ask(&client(3), 100, &link(1), at(2)), Asked::Wait { .. }));
        line.leave(&client(2), second);
        let _ = turn(line.ask(&client(3), 100, &link(1), at(3)));
        assert!(!line.is_idle(at(4)));
    }

    #[test]
    fn where_somebody_stands_counts_the_bytes_before_it() {
        let (mut line, link) = (Line::default(), link(1));
        let number = turn(line.ask(&client(1), 1_000, &link, at(0)));
        let _ = line.ask(&client(2), 500, &link, at(0));
        let _ = line.ask(&client(3), 40, &link, at(0));
        assert!(line.takes(&client(1), number, 200, at(1)));
        let standing = |number| line.standing(&client(number), at(1));
        assert_eq!(standing(1), Some(Standing { ahead: None, waiting: 2, bytes: 800 }));
        assert_eq!(standing(3), Some(Standing { ahead: Some(1), waiting: 2, bytes: 1_340 }));
        assert_eq!(standing(4), None);
        assert_eq!(line.standing(&client(3), at(1_000)), None, "its place is gone");
    }

    #[test]
    fn everybody_who_keeps_coming_back_gets_a_turn_in_the_order_of_coming() {
        let mut dice = Dice::new(3);
        for _ in 0..50 {
            let concurrent = u16::try_from(1 + dice.below(4)).unwrap();
            let (mut line, link) = (Line::default(), link(concurrent));
            // When each comes again, and until when each downloads.
            let mut comes: BTreeMap<u8, u64> = (0..40).map(|number| (number, dice.below(100))).collect();
            let mut under_way: Vec<(u8, u64, u64)> = Vec::new();
            let (mut first_asked, mut served) = (Vec::new(), Vec::new());
            for second in 0..40_000 {
                under_way.retain(|(number, turn, until)| {
                    let goes_on = *until > second;
                    if goes_on {
                        assert!(line.takes(&client(*number), *turn, 2_000, at(second)));
                    } else {
                        line.leave(&client(*number), *turn);
                    }
                    goes_on
                });
                let due: Vec<u8> =
                    comes.iter().filter(|(_, at)| **at == second).map(|(number, _)| *number).collect();
                for number in due {
                    if !first_asked.contains(&number) {
                        first_asked.push(number);
                    }
                    match line.ask(&client(number), 10_000_000, &link, at(second)) {
                        Asked::Turn(turn) => {
                            let before = first_asked.iter().take_while(|one| **one != number);
                            let ahead = before.filter(|one| !served.contains(*one)).count();
                            let free = usize::from(concurrent) - under_way.len();
                            assert!(
                                ahead < free,
                                "{ahead} came before it and wait, and {free} turns are free"
                            );
                            under_way.push((number, turn, second + 1 + dice.below(200)));
                            let _ = comes.remove(&number);
                            served.push(number);
                        }
                        Asked::Wait { again_in, .. } => {
                            let _ = comes.insert(number, second + again_in.as_secs() + dice.below(60));
                        }
                    }
                    assert!(under_way.len() <= usize::from(concurrent));
                }
            }
            assert_eq!(served.len(), 40, "nobody waits for ever");
        }
    }
}
