//! Short downloads over a link, which take no turn: when each may begin, so that many of them at once do not fill the link.
//!
//! A download that is over in a moment needs no place among the long ones. But thousands of computers may ask for the same
//! small delta at once, and each would get a drop of the link until it gives up. So what is under way is bounded in time; who
//! comes then gets an appointment: the time at which the link has sent what is due before. Invariants: what is under way never
//! takes the link longer than [`AHEAD`] and one download; while long downloads are under way the short ones are given half of
//! the link; a client has one short download at one time, and one appointment, and who only repeats what it sent takes neither
//! from it; appointments are bounded in number and in time. Time comes in as an argument: how long after some moment that stays
//! the same.

use std::collections::BTreeMap;
use std::time::Duration;

use sealpost_manifests::ids::ClientId;

use super::line::{Asked, MAX_WAITING, Proof, Request, Standing};
use super::{Link, Rate};

/// A download of at most so many bytes is short.
pub const SHORT_BYTES: u64 = 64 * 1024;
/// Short downloads begin as long as what is under way takes the link no longer than this.
pub const AHEAD: Duration = Duration::from_secs(2);
/// A request costs at least this many bytes, however few it asks for.
const LEAST_BYTES: u64 = 1024;
/// One that its reader does not take holds up no others from then on.
const COUNTS_FOR: Duration = Duration::from_secs(30);
/// Who waits comes back after this time at the earliest.
const SOONEST: Duration = Duration::from_secs(1);
/// Who waits comes back after this time at the latest.
const LATEST: Duration = Duration::from_secs(300);
/// An appointment is kept for so much longer than its client was told to wait.
const KEPT_BEYOND: Duration = Duration::from_secs(60);

/// What else goes over the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Only short downloads.
    Nothing,
    /// Downloads that have a turn.
    Long,
}

/// As the module says.
#[derive(Debug, Default)]
pub struct Short {
    under_way: BTreeMap<ClientId, UnderWay>,
    waiting: BTreeMap<ClientId, Appointment>,
}

#[derive(Debug, Clone, Copy)]
struct UnderWay {
    number: u64,
    proof: Proof,
    left: u64,
    counts_until: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Appointment {
    proof: Proof,
    bytes: u64,
    due: Duration,
    /// When the link has sent it, if it comes when it is due.
    done: Duration,
    kept_until: Duration,
}

impl Short {
    /// A client asks for a short download.
    pub fn ask(&mut self, request: &Request<'_>, link: &Link, beside: Beside, now: Duration) -> Asked {
        let Request { client, proof, number, bytes } = *request;
        self.waiting.retain(|_, waiting| waiting.kept_until >= now);
        if proof == Proof::Repeated && self.is_held(client) {
            return Asked::Held { again_in: SOONEST };
        }
        // Its connection may have broken without a word.
        let _ = self.under_way.remove(client);
        let takes = |bytes: u64| time_for(bytes, link.rate(), beside);
        let (left, cost) = (takes(self.left(now)), takes(bytes));
        let had = self.waiting.remove(client);
        let given = self.waiting.values().map(|waiting| waiting.done).max().unwrap_or_default();
        let is_due = had.map_or(given <= now, |had| had.due <= now);
        if is_due && left <= AHEAD {
            let counts_until = now.saturating_add(COUNTS_FOR);
            let began = UnderWay { number, proof, left: bytes.max(LEAST_BYTES), counts_until };
            let _ = self.under_way.insert(client.clone(), began);
            return Asked::Turn(number);
        }
        let due = had.map_or_else(|| given.max(now.saturating_add(left)), |had| had.due);
        // Who came when it was due, and found the link full, comes when that has gone.
        let comes = if due <= now { left } else { due.saturating_sub(now) };
        let again_in = whole_seconds(comes).clamp(SOONEST, LATEST);
        let ahead = self.waiting.values().filter(|waiting| waiting.due < due).count();
        if self.waiting.len() < MAX_WAITING {
            let kept_until = now.saturating_add(again_in).saturating_add(KEPT_BEYOND);
            let waits = Appointment { proof, bytes, due, done: due.saturating_add(cost), kept_until };
            let _ = self.waiting.insert(client.clone(), waits);
        }
        Asked::Wait { ahead, again_in }
    }

    /// Whether the computer itself has a download under way, or an appointment.
    fn is_held(&self, client: &ClientId) -> bool {
        self.under_way.get(client).is_some_and(|one| one.proof == Proof::First)
            || self.waiting.get(client).is_some_and(|waiting| waiting.proof == Proof::First)
    }

    /// Whether a download is still the newest of its client.
    #[must_use]
    pub fn has(&self, client: &ClientId, number: u64) -> bool {
        self.under_way.get(client).is_some_and(|one| one.number == number)
    }

    /// A client takes so many bytes; `false` when it asked anew meanwhile.
    pub fn takes(&mut self, client: &ClientId, number: u64, bytes: u64) -> bool {
        let Some(one) = self.under_way.get_mut(client).filter(|one| one.number == number) else {
            return false;
        };
        one.left = one.left.saturating_sub(bytes);
        true
    }

    /// A download has ended, however it did.
    pub fn leave(&mut self, client: &ClientId, number: u64) {
        if self.has(client, number) {
            let _ = self.under_way.remove(client);
        }
    }

    /// Where a client stands; `None` if it does not wait.
    #[must_use]
    pub fn standing(&self, client: &ClientId, now: Duration) -> Option<Standing> {
        let own = self.waiting.get(client).filter(|own| own.kept_until >= now)?;
        let kept = || self.waiting.values().filter(|waiting| waiting.kept_until >= now);
        let ahead = kept().filter(|waiting| waiting.due < own.due).count();
        let before = kept().filter(|waiting| waiting.due <= own.due).map(|waiting| waiting.bytes);
        let bytes = before.fold(self.left(now), u64::saturating_add);
        Some(Standing { ahead: Some(ahead), waiting: kept().count(), bytes })
    }

    /// How many have begun, and how many have an appointment, with the bytes of both.
    #[must_use]
    pub fn counts(&self, now: Duration) -> (usize, usize, u64) {
        let kept = || self.waiting.values().filter(|waiting| waiting.kept_until >= now);
        let bytes = kept().map(|waiting| waiting.bytes).fold(self.left(now), u64::saturating_add);
        (self.under_way.len(), kept().count(), bytes)
    }

    /// Whether it can be forgotten.
    #[must_use]
    pub fn is_idle(&self, now: Duration) -> bool {
        self.under_way.is_empty() && self.waiting.values().all(|waiting| waiting.kept_until < now)
    }

    /// Bytes that are under way and still to go.
    fn left(&self, now: Duration) -> u64 {
        let counts = self.under_way.values().filter(|one| one.counts_until > now);
        counts.map(|one| one.left).fold(0, u64::saturating_add)
    }
}

/// How long the link needs for short downloads.
fn time_for(bytes: u64, rate: Rate, beside: Beside) -> Duration {
    match beside {
        Beside::Nothing => rate.time_for(bytes),
        Beside::Long => rate.time_for(bytes.saturating_mul(2)),
    }
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::super::asking::{asks, at, client, repeated};
    use super::*;

    const BYTES: u64 = 30_000;

    fn link(rate: &str) -> Link {
        Link::new(vec!["10.2.0.0/16".parse().unwrap()], rate.parse().unwrap(), 3).unwrap()
    }

    #[test]
    fn on_a_link_with_room_nobody_waits() {
        let (mut short, link) = (Short::default(), link("100 MB/s"));
        for number in 0..1_000 {
            let asked = short.ask(&asks(&client(number), BYTES), &link, Beside::Long, at(1));
            assert!(matches!(asked, Asked::Turn(_)), "{number}: {asked:?}");
        }
        assert_eq!(short.counts(at(1)), (1_000, 0, 30_000_000));
    }

    #[test]
    fn many_at_once_on_a_thin_link_come_one_after_the_other_and_keep_it_full() {
        for (beside, takes) in [(Beside::Nothing, 500), (Beside::Long, 1_000)] {
            let (mut short, link) = (Short::default(), link("60 kB/s"));
            // When each comes again; all ask at once.
            let mut comes: BTreeMap<u16, u64> = (0..1_000).map(|number| (number, 1)).collect();
            let (mut under_way, mut last) = (std::collections::VecDeque::new(), 0);
            for second in 1..3_000 {
                // What long downloads leave of the link.
                let mut sent = if beside == Beside::Nothing { 60_000 } else { 30_000 };
                while let Some((number, turn, left)) = under_way.pop_front() {
                    let now = sent.min(left);
                    assert!(short.takes(&client(number), turn, now));
                    sent -= now;
                    if left > now {
                        under_way.push_front((number, turn, left - now));
                        break;
                    }
                    short.leave(&client(number), turn);
                    last = second;
                }
                let due: Vec<u16> =
                    comes.iter().filter(|(_, at)| **at == second).map(|(number, _)| *number).collect();
                for number in due {
                    match short.ask(&asks(&client(number), BYTES), &link, beside, at(second)) {
                        Asked::Turn(turn) => {
                            let _ = comes.remove(&number);
                            under_way.push_back((number, turn, BYTES));
                        }
                        Asked::Wait { again_in, .. } => {
                            let _ = comes.insert(number, second + again_in.as_secs());
                        }
                        Asked::Held { .. } => panic!("each asks by itself"),
                    }
                }
                let left = short.left(at(second));
                assert!(time_for(left, link.rate(), beside) <= AHEAD + at(1), "{left} in second {second}");
            }
            assert!(comes.is_empty(), "{} never came", comes.len());
            assert!((takes..takes + takes / 10).contains(&last), "done after {last} s instead of {takes}");
        }
    }

    #[test]
    fn who_asks_too_early_keeps_its_time_and_who_does_not_come_back_loses_it() {
        let (mut short, link) = (Short::default(), link("24 kB/s"));
        for number in 0..2 {
            let _ = short.ask(&asks(&client(number), 60_000), &link, Beside::Nothing, at(0));
        }
        let wait = |ahead, secs| Asked::Wait { ahead, again_in: at(secs) };
        assert_eq!(short.ask(&asks(&client(2), 60_000), &link, Beside::Nothing, at(0)), wait(1, 5));
        assert_eq!(short.ask(&asks(&client(3), 60_000), &link, Beside::Nothing, at(0)), wait(2, 8));
        assert_eq!(short.ask(&asks(&client(2), 60_000), &link, Beside::Nothing, at(1)), wait(1, 4));
        assert_eq!(short.standing(&client(3), at(1)).unwrap().ahead, Some(2));
        // Client 1 and client 2 are told to come within 5 s, and kept for a minute beyond that.
        assert!(short.standing(&client(2), at(100)).is_none());
        assert!(!short.is_idle(at(60)) && short.under_way.len() == 1);
        let asked = short.ask(&asks(&client(4), 60_000), &link, Beside::Nothing, at(100));
        assert!(matches!(asked, Asked::Turn(_)), "what nobody comes for holds nobody up: {asked:?}");
    }

    #[test]
    fn a_client_has_one_at_a_time_and_cannot_fill_the_link_by_asking_often() {
        let (mut short, link) = (Short::default(), link("64 kB/s"));
        let mut last = None;
        for _ in 0..100 {
            let Asked::Turn(number) = short.ask(&asks(&client(1), SHORT_BYTES), &link, Beside::Long, at(0))
            else {
                panic!("it holds up itself")
            };
            if let Some(before) = last.replace(number) {
                assert!(!short.takes(&client(1), before, 1), "the newest request has it");
                short.leave(&client(1), before);
            }
        }
        assert_eq!(short.counts(at(0)), (1, 0, SHORT_BYTES));
        let asked = short.ask(&asks(&client(2), BYTES), &link, Beside::Nothing, at(0));
        assert!(matches!(asked, Asked::Turn(_)), "{asked:?}");
    }

    #[test]
    fn one_that_is_not_read_holds_nobody_up_for_long_and_appointments_have_an_end() {
        let (mut short, link) = (Short::default(), link("24 kB/s"));
        for number in 0..4 {
            let _ = short.ask(&asks(&client(number), SHORT_BYTES), &link, Beside::Nothing, at(0));
        }
        let asked = short.ask(&asks(&client(9), BYTES), &link, Beside::Nothing, at(20));
        assert!(matches!(asked, Asked::Wait { .. }), "{asked:?}");
        let waits = short.waiting[&client(9)];
        let others = (10..).map(client).take(MAX_WAITING - short.waiting.len());
        short.waiting.extend(others.map(|other| (other, Appointment { done: at(9_000), ..waits })));
        let (_, waiting, _) = short.counts(at(20));
        assert_eq!(waiting, MAX_WAITING);
        let asked = short.ask(&asks(&client(60_000), BYTES), &link, Beside::Nothing, at(20));
        assert!(matches!(asked, Asked::Wait { again_in: LATEST, .. }), "{asked:?}");
        assert_eq!(short.counts(at(20)).1, MAX_WAITING);
    }

    #[test]
    fn who_repeats_a_request_takes_no_download_and_no_appointment_of_the_computer_itself() {
        let (mut short, link) = (Short::default(), link("24 kB/s"));
        let held = Asked::Held { again_in: SOONEST };
        let began = |asked| {
            let Asked::Turn(number) = asked else { panic!("{asked:?}") };
            number
        };
        let ask =
            |short: &mut Short, request: Request<'_>| short.ask(&request, &link, Beside::Nothing, at(0));
        let recorded = began(ask(&mut short, repeated(&client(1), SHORT_BYTES)));
        let own = began(ask(&mut short, asks(&client(1), SHORT_BYTES)));
        assert!(!short.takes(&client(1), recorded, 1), "the computer itself goes before it");
        assert_eq!(ask(&mut short, repeated(&client(1), 1)), held);
        assert!(short.takes(&client(1), own, 1));
        let wait = |ahead, secs| Asked::Wait { ahead, again_in: at(secs) };
        assert_eq!(ask(&mut short, repeated(&client(2), SHORT_BYTES)), wait(0, 3));
        assert_eq!(ask(&mut short, asks(&client(2), SHORT_BYTES)), wait(0, 3), "it takes over the place");
        assert_eq!(ask(&mut short, repeated(&client(2), SHORT_BYTES)), held);
        assert!(short.waiting[&client(2)].due < at(4));
        short.leave(&client(1), own);
        assert_eq!(ask(&mut short, repeated(&client(2), SHORT_BYTES)), held, "what is due is not its either");
    }
}
