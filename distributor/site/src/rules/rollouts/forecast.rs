//! When the computers of each ring install a release, at the earliest and at the latest, if it is approved now.
//!
//! Invariant: earliest is what the settings allow, latest is what they force: only a deadline, or a critical release that waits
//! for nothing, forces anything. Where nothing does there is no latest time, and the answer says why and for how many.
//! Assumed: the server runs, computers are on and come every four hours at least, and no ring fails.
//! Left out on purpose: how long a download and an install take.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::word::Word;

use super::delivery::{Content, Delivery};
use super::progress::{USUAL_CADENCE, hour_of};
use super::strategy::{Ring, Strategy};
use super::window::Window;

/// Computers that wait for the same things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// How they get what is approved.
    pub delivery: Delivery,
    /// When they get signature files; of a program always with their ring.
    pub content: Content,
}

/// The computers of one ring.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RingFacts {
    /// Those that have to install it, by what they wait for.
    pub classes: Vec<(Class, u64)>,
    /// Those that run it already.
    pub running: u64,
}

impl RingFacts {
    /// One more computer.
    pub fn add(&mut self, class: Class) {
        match self.classes.iter_mut().find(|(known, _)| *known == class) {
            Some((_, count)) => *count += 1,
            None => self.classes.push((class, 1)),
        }
    }
}

/// What the times follow from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// When it is approved.
    pub now: Timestamp,
    /// How it goes out.
    pub strategy: &'a Strategy,
    /// The computers of each ring of the strategy.
    pub rings: &'a [RingFacts],
    /// The site's windows.
    pub windows: &'a BTreeMap<Word, Window>,
    /// Whether it is critical, and critical releases wait for no window, no person and no product.
    pub at_once: bool,
}

/// Why computers have no latest time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoLatest {
    /// Nothing forces them: a window, a person or a product can put it off.
    NoDeadline,
    /// A person starts it.
    ByPerson,
    /// It is carried to them.
    ByFolder,
    /// Signature files are paused for them.
    Paused,
    /// So many computers as a ring before theirs needs have no latest time.
    Ring(Word),
}

impl NoLatest {
    /// A stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoDeadline => "no_deadline",
            Self::ByPerson => "by_person",
            Self::ByFolder => "by_folder",
            Self::Paused => "content_paused",
            Self::Ring(_) => "earlier_ring",
        }
    }
}

impl fmt::Display for NoLatest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDeadline => f.write_str("no deadline is set"),
            Self::ByPerson => f.write_str("manual: when the person there starts it"),
            Self::ByFolder => f.write_str("folder: when it is carried there"),
            Self::Paused => f.write_str("signature files are paused for them"),
            Self::Ring(name) => write!(f, "the ring {name} before it has no latest time"),
        }
    }
}

/// The times of one ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// When it opens at the earliest.
    pub opens: Timestamp,
    /// When its first computer can install at the earliest; absent when there is none that can.
    pub first: Option<Timestamp>,
    /// When the last of those that have a latest time has begun to install at the latest; absent when none has one.
    pub latest: Option<Timestamp>,
    /// Why the others have none, and how many these are.
    pub without: Vec<(NoLatest, u64)>,
}

/// The times of all rings, in their order.
#[must_use]
pub fn forecast(facts: &Facts<'_>) -> Vec<Times> {
    let mut opens = facts.now;
    let mut opens_latest = Ok(facts.now);
    let rings = facts.strategy.rings().iter().zip(facts.rings);
    let times = rings.map(|(plan, ring)| {
        let early = earliest(facts, plan, ring, opens);
        let late = latest(facts, plan, ring, opens_latest);
        let times = Times { opens, first: early.first, latest: late.last, without: late.without };
        (opens, opens_latest) = (early.passes, late.passes);
        times
    });
    times.collect()
}

/// Whether the ring waits for these computers: not for those that get signature files later.
const fn is_prompt(class: &Class) -> bool {
    matches!(class.content, Content::Early | Content::General)
}

/// How many computers have to have finished before the ring passes; 0 in a ring that is passed over.
fn needed(plan: &Ring, ring: &RingFacts) -> u64 {
    let prompt = ring.classes.iter().filter(|(class, _)| is_prompt(class)).map(|(_, count)| count);
    u64::from(plan.minimum_sample).min(ring.running + prompt.sum::<u64>())
}

struct Earliest {
    first: Option<Timestamp>,
    passes: Timestamp,
}

fn earliest(facts: &Facts<'_>, plan: &Ring, ring: &RingFacts, opens: Timestamp) -> Earliest {
    let of = |(class, count): &(Class, u64)| Some((starts(facts, class, opens)?, *count, is_prompt(class)));
    let mut all: Vec<(Timestamp, u64, bool)> = ring.classes.iter().filter_map(of).collect();
    all.sort_by_key(|(at, ..)| *at);
    let first = all.first().map(|(at, ..)| *at);
    let needed = needed(plan, ring);
    let running = (ring.running > 0).then_some((opens, ring.running, true));
    let mut finish = running.into_iter().chain(all).filter(|(.., prompt)| *prompt);
    let watched_from = finish.clone().next().map(|(at, ..)| at);
    let mut left = needed;
    let sample = finish.find(|(_, count, _)| {
        left = left.saturating_sub(*count);
        left == 0
    });
    let told = told_no_sooner(plan, opens, needed.saturating_sub(ring.running));
    let sample = sample.map_or(opens, |(at, ..)| at.max(told));
    let passes = match watched_from.filter(|_| needed > 0) {
        Some(from) => after(from, plan.soak()).max(sample),
        None => opens,
    };
    Earliest { first, passes }
}

/// When the first computer of a class can install; `None` as long as nobody says otherwise.
fn starts(facts: &Facts<'_>, class: &Class, opens: Timestamp) -> Option<Timestamp> {
    let told = match class.content {
        Content::Early | Content::General => opens,
        Content::Delayed(delay) => opens.max(after(facts.now, delay.duration())),
        Content::Paused => return None,
    };
    let window = match &class.delivery {
        Delivery::Window(name) if !facts.at_once => facts.windows.get(name),
        _ => None,
    };
    Some(window.map_or(told, |window| window.occurrence(told).from.max(told)))
}

/// The earliest time at which so many computers of a ring were told.
fn told_no_sooner(plan: &Ring, opens: Timestamp, count: u64) -> Timestamp {
    let hours = plan.per_hour.map_or(0, |cap| rounds_before_last(count, cap));
    if hours == 0 {
        return opens;
    }
    let hour = hour_of(opens).saturating_add(i64::try_from(hours).unwrap_or(i64::MAX));
    let at = hour.checked_mul(3600).and_then(|second| Timestamp::from_second(second).ok());
    at.unwrap_or(Timestamp::MAX)
}

/// In how many rounds of a cap all but the last ones of so many computers have their turn.
fn rounds_before_last(count: u64, cap: u32) -> u64 {
    count.saturating_sub(1) / u64::from(cap.max(1))
}

struct Latest {
    last: Option<Timestamp>,
    without: Vec<(NoLatest, u64)>,
    passes: Result<Timestamp, Word>,
}

fn latest(facts: &Facts<'_>, plan: &Ring, ring: &RingFacts, opens: Result<Timestamp, Word>) -> Latest {
    let behind_caps = ring.classes.iter().map(|(_, count)| count).sum();
    let spill = spill(facts, plan, behind_caps);
    let mut found = Latest { last: None, without: Vec::new(), passes: opens };
    let (mut in_time, mut sampled) = (ring.running, opens.ok());
    for (class, count) in &ring.classes {
        match ends(facts, class, opens, spill) {
            Ok(at) => {
                found.last = found.last.max(Some(at));
                if is_prompt(class) {
                    in_time += count;
                    sampled = sampled.max(Some(at));
                }
            }
            Err(why) => match found.without.iter_mut().find(|(known, _)| *known == why) {
                Some((_, counted)) => *counted += count,
                None => found.without.push((why, *count)),
            },
        }
    }
    let needed = needed(plan, ring);
    if needed > 0 {
        let sampled = sampled.filter(|_| in_time >= needed).ok_or(plan.name);
        found.passes = opens.and(sampled).map(|at| after(at, plan.soak()));
    }
    found
}

/// How long after the ring opened the last of so many computers is told because of its caps.
fn spill(facts: &Facts<'_>, plan: &Ring, count: u64) -> SignedDuration {
    let each = facts.strategy.deadline().filter(|_| !facts.at_once).unwrap_or(SignedDuration::ZERO);
    let rounds = |cap: Option<u32>, each: SignedDuration| {
        let rounds = cap.map_or(0, |cap| rounds_before_last(count, cap));
        each.checked_mul(i32::try_from(rounds).unwrap_or(i32::MAX)).unwrap_or(SignedDuration::MAX)
    };
    let hourly = rounds(plan.per_hour, SignedDuration::from_hours(1));
    // Who has its turn makes room at its deadline at the latest.
    hourly.max(rounds(plan.concurrent, each.saturating_add(USUAL_CADENCE)))
}

/// When the last computer of a class has begun to install.
fn ends(
    facts: &Facts<'_>,
    class: &Class,
    opens: Result<Timestamp, Word>,
    spill: SignedDuration,
) -> Result<Timestamp, NoLatest> {
    let deadline = facts.strategy.deadline();
    match (class.content, &class.delivery) {
        (Content::Paused, _) => return Err(NoLatest::Paused),
        // It is told when it is carried there, and its deadline begins with that.
        (_, Delivery::Folder) => return Err(NoLatest::ByFolder),
        (_, Delivery::Manual) if deadline.is_none() && !facts.at_once => return Err(NoLatest::ByPerson),
        (_, Delivery::Push | Delivery::Poll | Delivery::Window(_))
            if deadline.is_none() && !facts.at_once =>
        {
            return Err(NoLatest::NoDeadline);
        }
        _ => {}
    }
    let turn = after(opens.map_err(NoLatest::Ring)?, spill);
    let turn = match class.content {
        Content::Delayed(delay) => turn.max(after(facts.now, delay.duration())),
        _ => turn,
    };
    let told = after(turn, USUAL_CADENCE);
    Ok(if facts.at_once { told } else { deadline.map_or(told, |deadline| after(told, deadline)) })
}

fn after(at: Timestamp, duration: SignedDuration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
