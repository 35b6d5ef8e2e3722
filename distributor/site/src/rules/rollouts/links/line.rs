//! Whose turn it is to download over a link: who has one, and who waits for one.
//!
//! A turn is asked for with each request; who gets none comes back after a while and keeps its place in the line meanwhile, so
//! nothing is held open for it. Invariants: never more turns than the link has, but that turns which are out stay when an admin
//! lowers their number; a client has one turn, and its newest request has it; who only repeats what a computer sent takes
//! nothing from it; nobody gets a turn before those that came earlier and still come back; whose connection breaks has the next
//! free turn for a short while, and nobody waits for it meanwhile; who takes far less than its share loses its turn once
//! somebody waits, and goes on from the end of the line; the line is bounded. Of a turn only the time counts in which the
//! server waits for its reader, so that nobody loses it because of others. Time comes in as an argument: how long after some
//! moment that stays the same.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sealpost_manifests::ids::ClientId;

use super::Link;

/// Most clients that wait in one line; who comes then waits without a place.
pub const MAX_WAITING: usize = 10_000;
/// Who has a turn and takes less than this part of what the link has for it loses the turn, once somebody waits.
const LEAST_PART: u64 = 8;
/// That is at least this many bytes per second, which agents give up themselves.
const LEAST_PER_SECOND: u64 = 1024;
/// And at most this many: an old computer behind a fast link is no reason to cut its downloads again and again.
const MOST_PER_SECOND: u64 = 128 * 1024;
/// Time over which that is counted.
pub const WINDOW: Duration = Duration::from_secs(30);
/// Who waits comes back after this time at the earliest.
const SOONEST: Duration = Duration::from_secs(5);
/// Who waits comes back after this time at the latest.
const LATEST: Duration = Duration::from_secs(300);
/// A place is kept for so much longer than its client was told to wait: it may be busy otherwise, or slow.
const KEPT_BEYOND: Duration = Duration::from_secs(120);

/// Whose connection broke has the next free turn if it comes back within this time.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// So often in succession; then it goes to the end of the line.
const MAX_RETURNS: u8 = 5;

/// As the module says.
#[derive(Debug)]
pub struct Line {
    window: Duration,
    turns: BTreeMap<ClientId, Turn>,
    waiting: VecDeque<Waiting>,
    /// Clients whose connection broke in their turn.
    broken: BTreeMap<ClientId, Broken>,
}

/// What is known of a download.
#[derive(Debug, Clone, Copy)]
struct Turn {
    number: u64,
    proof: Proof,
    /// Bytes that it asked for.
    bytes: u64,
    /// Bytes that are still to go.
    left: u64,
    began: Duration,
    /// How often in succession it came back to it.
    returns: u8,
    /// Bytes that it has to take in each second.
    least: u64,
    /// Since when the server waits for the reader, if it does.
    reader_since: Option<Duration>,
    /// How long it waited for the reader in this window, and what that took.
    reader: Duration,
    taken: u64,
    /// Whether it took too little in the window before.
    was_slow: bool,
}

/// A client that may come back to its turn.
#[derive(Debug, Clone, Copy)]
struct Broken {
    proof: Proof,
    returns: u8,
    kept_until: Duration,
}

/// A client that waits.
#[derive(Debug)]
struct Waiting {
    client: ClientId,
    proof: Proof,
    bytes: u64,
    returns: u8,
    kept_until: Duration,
}

/// What shows that it is the computer itself that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// What only the computer can have sent.
    First,
    /// What everybody can send who recorded it.
    Repeated,
}

/// A request for a download.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Whose.
    pub client: &'a ClientId,
    /// Whether it is the computer that asks.
    pub proof: Proof,
    /// A number that no other request has.
    pub number: u64,
    /// Bytes that it asks for.
    pub bytes: u64,
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
    /// The computer itself has a turn or a place, and whoever asks may be another.
    Held {
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

/// A download that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Download<'a> {
    /// Whose.
    pub client: &'a ClientId,
    /// Bytes that were asked for.
    pub bytes: u64,
    /// Bytes that are still to go.
    pub left: u64,
    /// When it began.
    pub began: Duration,
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
        Self { window, turns: BTreeMap::new(), waiting: VecDeque::new(), broken: BTreeMap::new() }
    }

    /// A client asks for a turn.
    pub fn ask(&mut self, request: &Request<'_>, link: &Link, now: Duration) -> Asked {
        let Request { client, proof, bytes, .. } = *request;
        if proof == Proof::Repeated && self.is_held(client, now) {
            return Asked::Held { again_in: SOONEST };
        }
        self.waiting.retain(|waiting| waiting.kept_until >= now || waiting.client == *client);
        // Its connection may have broken without a word.
        if let Some(turn) = self.turns.get(client) {
            let number = turn.number;
            self.leave(client, number, now);
        }
        self.broken.retain(|_, broken| broken.kept_until >= now);
        let turns = usize::from(link.concurrent());
        if self.turns.len() >= turns {
            let window = self.window;
            self.turns.retain(|_, turn| !turn.has_stalled(window, now));
        }
        let free = turns.saturating_sub(self.turns.len());
        let place = self.waiting.iter().position(|waiting| waiting.client == *client);
        let returns = match place.and_then(|place| self.waiting.get(place)) {
            Some(waiting) => Some(waiting.returns),
            None => self.broken.get(client).map(|broken| broken.returns + 1),
        };
        let comes_back = place.is_none() && returns.is_some();
        let ahead = if comes_back { 0 } else { place.unwrap_or(self.waiting.len()) };
        let returns = returns.unwrap_or_default();
        let _ = self.broken.remove(client);
        if ahead < free {
            if let Some(place) = place {
                let _ = self.waiting.remove(place);
            }
            return Asked::Turn(self.begin(request, returns, link, now));
        }
        let again_in = again_in(ahead, bytes, link);
        let kept_until = now.saturating_add(again_in).saturating_add(KEPT_BEYOND);
        let waits = Waiting { client: client.clone(), proof, bytes, returns, kept_until };
        if let Some(waiting) = place.and_then(|place| self.waiting.get_mut(place)) {
            *waiting = waits;
        } else if self.waiting.len() < MAX_WAITING {
            // At the front or at the end: `ahead` is the place in both cases.
            self.waiting.insert(ahead, waits);
        }
        Asked::Wait { ahead, again_in }
    }

    /// Whether the computer itself has a turn or a place, or may come back to one.
    fn is_held(&self, client: &ClientId, now: Duration) -> bool {
        let turn = self.turns.get(client).map(|turn| turn.proof);
        let broken = self.broken.get(client).filter(|broken| broken.kept_until >= now);
        let mut waiting = self.waiting.iter().filter(|waiting| waiting.kept_until >= now);
        turn == Some(Proof::First)
            || broken.is_some_and(|broken| broken.proof == Proof::First)
            || waiting.any(|waiting| waiting.client == *client && waiting.proof == Proof::First)
    }

    fn begin(&mut self, request: &Request<'_>, returns: u8, link: &Link, now: Duration) -> u64 {
        let Request { client, proof, number, bytes } = *request;
        let turn = Turn {
            number,
            proof,
            bytes,
            left: bytes,
            began: now,
            returns,
            least: least(link),
            reader_since: Some(now),
            reader: Duration::ZERO,
            taken: 0,
            was_slow: false,
        };
        let _ = self.turns.insert(client.clone(), turn);
        number
    }

    /// Whether a download still has its turn.
    #[must_use]
    pub fn has(&self, client: &ClientId, number: u64) -> bool {
        self.turns.get(client).is_some_and(|turn| turn.number == number)
    }

    /// A client has taken what went before: from now on it is not the reader that the server waits for. `false` when the turn
    /// is not its any more.
    pub fn is_ready(&mut self, client: &ClientId, number: u64, now: Duration) -> bool {
        let window = self.window;
        let Some(turn) = self.turns.get_mut(client).filter(|turn| turn.number == number) else {
            return false;
        };
        turn.is_ready(window, now);
        true
    }

    /// A client that is ready takes so many bytes; `false` when the turn is not its any more.
    pub fn takes(&mut self, client: &ClientId, number: u64, bytes: u64, now: Duration) -> bool {
        let window = self.window;
        let Some(turn) = self.turns.get_mut(client).filter(|turn| turn.number == number) else {
            return false;
        };
        turn.takes(bytes, window, now);
        true
    }

    /// They go: from now on it is the reader that the server waits for.
    pub fn sends(&mut self, client: &ClientId, number: u64, now: Duration) {
        if let Some(turn) = self.turns.get_mut(client).filter(|turn| turn.number == number) {
            turn.reader_since = Some(now);
        }
    }

    /// A download has ended, however it did. Before its end its client may come back to its turn for a short while.
    pub fn leave(&mut self, client: &ClientId, number: u64, now: Duration) {
        let Some(turn) = self.turns.get(client).filter(|turn| turn.number == number).copied() else { return };
        let _ = self.turns.remove(client);
        let may_return = turn.left > 0 && turn.returns < MAX_RETURNS && !turn.has_stalled(self.window, now);
        if may_return && self.broken.len() < MAX_WAITING {
            let kept_until = now.saturating_add(BACK_WITHIN);
            let _ = self
                .broken
                .insert(client.clone(), Broken { proof: turn.proof, returns: turn.returns, kept_until });
        }
    }

    /// Who downloads now, with the bytes that it asked for, those that are still to go, and since when.
    pub fn downloads(&self) -> impl Iterator<Item = Download<'_>> {
        self.turns.iter().map(|(client, turn)| Download {
            client,
            bytes: turn.bytes,
            left: turn.left,
            began: turn.began,
        })
    }

    /// Who waits, in its order, with the bytes that it asks for.
    pub fn waits(&self, now: Duration) -> impl Iterator<Item = (&ClientId, u64)> {
        let kept = self.waiting.iter().filter(move |waiting| waiting.kept_until >= now);
        kept.map(|waiting| (&waiting.client, waiting.bytes))
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
    fn is_ready(&mut self, window: Duration, now: Duration) {
        self.reader = self.waited_for_reader(now);
        self.reader_since = None;
        if self.reader >= window {
            self.was_slow = self.taken < self.least_in(self.reader);
            (self.reader, self.taken) = (Duration::ZERO, 0);
        }
    }

    fn takes(&mut self, bytes: u64, window: Duration, now: Duration) {
        self.is_ready(window, now);
        self.taken = self.taken.saturating_add(bytes);
        // Who has become fast waits for no reader, and so has no window that would end.
        self.was_slow &= self.taken < self.least_in(window);
        self.left = self.left.saturating_sub(bytes);
    }

    fn waited_for_reader(&self, now: Duration) -> Duration {
        let since = self.reader_since.unwrap_or(now);
        self.reader.saturating_add(now.saturating_sub(since))
    }

    fn least_in(&self, time: Duration) -> u64 {
        let least = u128::from(self.least) * time.as_millis() / 1_000;
        u64::try_from(least).unwrap_or(u64::MAX)
    }

    /// Whether it took too little in its last window or in this one, or nothing at all for two.
    fn has_stalled(&self, window: Duration, now: Duration) -> bool {
        let reader = self.waited_for_reader(now);
        let silent = self.reader_since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        let is_slow = reader >= window && self.taken < self.least_in(reader);
        self.was_slow || is_slow || silent >= window.saturating_mul(2)
    }
}

/// What a download has to take in each second.
fn least(link: &Link) -> u64 {
    let each = link.rate().bytes_per_second() / u64::from(link.concurrent()).max(1);
    (each / LEAST_PART).clamp(LEAST_PER_SECOND, MOST_PER_SECOND)
}

/// The first of the line come back soon. Of those behind them each full set of turns takes about as long as its downloads.
fn again_in(ahead: usize, bytes: u64, link: &Link) -> Duration {
    let turns = u64::from(link.concurrent());
    let sets = u64::try_from(ahead).unwrap_or(u64::MAX) / turns.max(1);
    let bytes = bytes.saturating_mul(turns).saturating_mul(sets);
    link.rate().time_for(bytes).clamp(SOONEST, LATEST)
}

#[cfg(test)]
mod tests;
