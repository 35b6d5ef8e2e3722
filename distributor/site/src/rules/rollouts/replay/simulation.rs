//! Runs one rollout of the past under another strategy.
//!
//! Invariant: the same past and strategy give the same course. Each computer is told at most once, so that the work is bounded
//! by computers and rings: nobody asks again before something changed that it waits for.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroUsize;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::word::Word;

use super::outcome::{Course, Ended, RingCourse};
use super::past::{Member, Past, ToldThen};
use crate::rules::explain::waits_for;
use crate::rules::percentile::percentile;
use crate::rules::rollouts::delivery::Content;
use crate::rules::rollouts::gate::{self, Admitted, Held};
use crate::rules::rollouts::plan::{Asker, LiveCounts, NO_ATTEMPTS, Plan};
use crate::rules::rollouts::progress::{
    AdvanceFacts, DeliveryState, Population, RingCounts, RingState, Rollout, RolloutState, Step,
    USUAL_CADENCE, Waiting, advance, hour_of, is_watched,
};
use crate::rules::rollouts::settings::Settings;
use crate::rules::rollouts::share::Threshold;
use crate::rules::rollouts::strategy::{Ring, Strategy, Takes};

/// Steps in one round: each opens a ring or ends the rollout, and a strategy has few rings.
const MAX_STEPS: usize = 32;

/// What a strategy would have made of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// What it came to.
    pub course: Course,
    /// Computers of it that the release never reached then.
    pub unreached: u64,
    /// What it waited for at the end, for people, if it had not ended.
    pub waits_for: Option<String>,
}

/// A strategy under which the past is run again.
#[derive(Debug)]
pub struct Under<'a> {
    /// Its name.
    pub name: Word,
    /// The strategy.
    pub strategy: &'a Strategy,
    /// What the site sets today.
    pub settings: &'a Settings,
    /// The computers of today.
    pub members: &'a [Member],
    /// The end of the history.
    pub until: Timestamp,
}

/// Runs a rollout of the past under another strategy.
#[must_use]
pub fn simulate(past: &Past, under: &Under<'_>) -> Simulated {
    let mut run = Run::new(past, under);
    run.start();
    while let Some(Reverse((at, event))) = run.events.pop() {
        if at > under.until || run.ended.is_some() {
            break;
        }
        run.pass(at);
        run.happens(event);
        run.advance();
    }
    run.finish()
}

/// What happens next, in the order in which it does at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// What was told is reported: the computer, and which step of its own.
    Step(usize, usize),
    /// Somebody stops the rollout from outside.
    Stop,
    /// A soak may have ended.
    Look,
    /// An hour begins in which so many computers may be told.
    Hour(u32),
    /// A computer makes a contact.
    Comes(usize),
}

/// A computer in the simulation.
struct Runner {
    member: usize,
    comes: Comes,
    steps: Vec<(SignedDuration, DeliveryState)>,
    state: Option<DeliveryState>,
    ring: u32,
    /// It is on its way, was told, or gets nothing at all.
    is_settled: bool,
    had_after: Option<SignedDuration>,
    has_failed: bool,
}

/// When a computer comes.
struct Comes {
    /// So long after it may have the release.
    reaction: SignedDuration,
    /// It was away between these, if it was.
    away: Option<(Timestamp, Timestamp)>,
}

impl Comes {
    fn after(&self, from: Timestamp) -> Timestamp {
        let at = from.saturating_add(self.reaction).unwrap_or(Timestamp::MAX);
        match self.away {
            Some((since, until)) if at > since && at < until => until,
            _ => at,
        }
    }
}

struct Run<'a> {
    under: &'a Under<'a>,
    past: &'a Past,
    plan: Plan,
    counts: LiveCounts,
    runners: Vec<Runner>,
    unreached: u64,
    populations: Vec<Population>,
    /// Computers that wait until fewer install at one time.
    queue: VecDeque<usize>,
    /// Computers that wait for the next hour, and whether it is known when that begins.
    hourly: VecDeque<usize>,
    hour_is_awaited: bool,
    events: BinaryHeap<Reverse<(Timestamp, Event)>>,
    look_at: Option<Timestamp>,
    waiting: Option<Waiting>,
    now: Timestamp,
    completed_at: Option<Timestamp>,
    ended: Option<Ended>,
}

impl<'a> Run<'a> {
    fn new(past: &'a Past, under: &'a Under<'a>) -> Self {
        let mut settings = under.settings.clone();
        settings.blocks.clear();
        settings.pins.clear();
        let rollout = Rollout {
            number: past.number,
            release: past.release.release.clone(),
            manifest: past.release.manifest,
            counter: past.release.counter,
            kind: past.release.kind,
            channels: past.channels.clone(),
            strategy_name: under.name,
            strategy: under.strategy.clone(),
            emergency: past.emergency,
            state: RolloutState::Running,
            started_at: past.started_at,
            changed: None,
            rings: Rollout::waiting_rings(under.strategy),
        };
        let plan = Plan { settings, rollouts: vec![rollout], ..Plan::default() };
        let mut runners: Vec<Runner> = Vec::with_capacity(past.told.len());
        for (member, told) in past.told.iter().filter(|(member, _)| under.members.get(**member).is_some()) {
            runners.push(reached(*member, told, past, &plan.settings, under.members));
        }
        let before = runners.len();
        if past.was_stopped() {
            let others = unreached(past, under.members);
            runners.extend(others);
        }
        let unreached = (runners.len() - before) as u64;
        let populations = vec![Population::default(); under.strategy.rings().len()];
        Self {
            under,
            past,
            plan,
            counts: LiveCounts::new(),
            runners,
            unreached,
            populations,
            queue: VecDeque::new(),
            hourly: VecDeque::new(),
            hour_is_awaited: false,
            events: BinaryHeap::new(),
            look_at: None,
            waiting: None,
            now: past.started_at,
            completed_at: None,
            ended: None,
        }
    }

    fn start(&mut self) {
        if let Some((at, _)) = self.past.stopped_at() {
            self.events.push(Reverse((at.max(self.now), Event::Stop)));
        }
        if self.under.strategy.is_immediate() {
            // As an approval by such a strategy does: it is complete at once, and nothing is watched.
            let now = self.now;
            if let Some(rollout) = self.plan.rollouts.first_mut() {
                rollout.state = RolloutState::Completed;
                rollout.rings.iter_mut().for_each(|ring| ring.state = RingState::Open { at: now });
            }
            self.completed_at = Some(now);
            self.opened(0);
            return;
        }
        self.look();
        self.advance();
    }

    /// The server runs until then: the ring that is open is watched for longer, if some computer of it runs the release.
    fn pass(&mut self, at: Timestamp) {
        let elapsed = at.duration_since(self.now).max(SignedDuration::ZERO);
        self.now = self.now.max(at);
        let Some(rollout) = self.plan.rollouts.first_mut() else { return };
        let Some(current) = rollout.current_ring() else { return };
        let soak = rollout.strategy.rings().get(current).map(Ring::soak).unwrap_or_default();
        if let Some(ring) = rollout.rings.get_mut(current).filter(|ring| is_watched(ring, None)) {
            ring.soaked = ring.soaked.saturating_add(elapsed).min(soak);
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Stop => self.ended = self.past.stopped_at().map(|(_, ended)| ended),
            Event::Look => self.look_at = None,
            Event::Hour(cap) => self.hour(cap),
            Event::Comes(index) => self.comes(index),
            Event::Step(index, step) => self.step(index, step),
        }
    }

    /// Does what is due, as the server's round does.
    fn advance(&mut self) {
        for _ in 0..MAX_STEPS {
            let Some(rollout) = self.plan.rollouts.first_mut() else { return };
            let facts = AdvanceFacts { populations: Some(&self.populations), overtaken_by: None };
            let step = match advance(rollout, &facts) {
                Err(Waiting::Survey) => return,
                Err(waiting) => {
                    self.waits(waiting);
                    return;
                }
                Ok(step) => step,
            };
            rollout.apply(&step, self.now);
            match step {
                Step::OpenRing { ring, .. } => self.opened(ring),
                Step::Complete => self.completed_at = Some(self.now),
                Step::Halt { .. } => {
                    self.ended = Some(Ended::Halted { at: self.now });
                    return;
                }
            }
        }
    }

    fn waits(&mut self, waiting: Waiting) {
        self.waiting = Some(waiting);
        let Waiting::Soak { left, .. } = waiting else { return };
        let at = self.now.saturating_add(left).unwrap_or(Timestamp::MAX);
        if self.look_at.is_none_or(|look| at < look) {
            self.look_at = Some(at);
            self.events.push(Reverse((at, Event::Look)));
        }
    }

    /// A ring opened: its computers come.
    fn opened(&mut self, opened: usize) {
        self.look();
        for index in 0..self.runners.len() {
            let ring = self.ring_of(index).filter(|(_, _, is_settled)| !is_settled);
            if ring.is_some_and(|(ring, ..)| place(ring) <= opened) {
                self.set_out(index, self.now);
            }
        }
    }

    /// A look at all computers.
    fn look(&mut self) {
        self.populations.fill(Population::default());
        for index in 0..self.runners.len() {
            let Some((ring, is_told, _)) = self.ring_of(index) else { continue };
            if let Some(population) = self.populations.get_mut(place(ring)) {
                population.members += 1;
                population.heard_of += 1;
                population.waiting += u64::from(!is_told);
            }
        }
        let all: Vec<u64> = self.runners.iter().filter_map(|runner| self.position(runner)).collect();
        for (ring, population) in self.under.strategy.rings().iter().zip(&mut self.populations) {
            if let Takes::First(count) = ring.takes {
                let count = NonZeroUsize::new(place(count));
                population.below = count.and_then(|count| Threshold::first(count, all.clone()));
            }
        }
    }

    fn position(&self, runner: &Runner) -> Option<u64> {
        self.under.members.get(runner.member).map(|member| member.position)
    }

    /// The ring of a computer, whether it was told, and whether it needs nothing more.
    fn ring_of(&self, index: usize) -> Option<(u32, bool, bool)> {
        let runner = self.runners.get(index)?;
        if runner.state.is_some() {
            return Some((runner.ring, true, true));
        }
        let rollout = self.plan.rollouts.first()?;
        let asker = asker(self.under.members.get(runner.member)?);
        Some((gate::ring_index(rollout, &asker, &self.plan), false, runner.is_settled))
    }

    /// A computer will make a contact, after it may have the release.
    fn set_out(&mut self, index: usize, from: Timestamp) {
        let Some(runner) = self.runners.get_mut(index) else { return };
        runner.is_settled = true;
        self.events.push(Reverse((runner.comes.after(from), Event::Comes(index))));
    }

    fn comes(&mut self, index: usize) {
        let Some(runner) = self.runners.get_mut(index) else { return };
        let Some(member) = self.under.members.get(runner.member) else { return };
        let asked =
            gate::admit(&self.past.release, false, &asker(member), &self.plan, &self.counts, self.now);
        match asked {
            Ok(Admitted::Now { ring, .. }) => self.told(index, ring),
            // Nothing else lets it through: it was not told before, and there is a rollout.
            Ok(_) => {}
            Err(Held::Ring { .. } | Held::Paused { .. }) => runner.is_settled = false,
            Err(Held::Concurrent { .. }) => self.queue.push_back(index),
            Err(Held::PerHour { until, cap, .. }) => {
                self.hourly.push_back(index);
                if !std::mem::replace(&mut self.hour_is_awaited, true) {
                    self.events.push(Reverse((until, Event::Hour(cap))));
                }
            }
            Err(Held::ContentDelayed { until, .. }) => {
                let at = runner.comes.after(until);
                self.events.push(Reverse((at, Event::Comes(index))));
            }
            Err(
                Held::ContentPaused { .. }
                | Held::Blocked { .. }
                | Held::RunsBlocked { .. }
                | Held::Pinned { .. }
                | Held::OffPin { .. }
                | Held::Mandatory { .. },
            ) => {
                self.leaves(index);
            }
        }
    }

    /// As many computers set out as may be told in this hour; the others wait for the next one.
    fn hour(&mut self, cap: u32) {
        self.hour_is_awaited = false;
        let next: Vec<usize> = self.hourly.drain(..place(cap).min(self.hourly.len())).collect();
        next.into_iter().for_each(|index| self.set_out(index, self.now));
        if !self.hourly.is_empty() {
            self.hour_is_awaited = true;
            let at = Timestamp::from_second((hour_of(self.now) + 1) * 3600).unwrap_or(Timestamp::MAX);
            self.events.push(Reverse((at, Event::Hour(cap))));
        }
    }

    /// A computer gets nothing: it is none of its ring.
    fn leaves(&mut self, index: usize) {
        let Some((ring, ..)) = self.ring_of(index) else { return };
        if let Some(population) = self.populations.get_mut(place(ring)) {
            population.members = population.members.saturating_sub(1);
            population.heard_of = population.heard_of.saturating_sub(1);
            population.waiting = population.waiting.saturating_sub(1);
        }
    }

    fn told(&mut self, index: usize, ring: u32) {
        if let Some(population) = self.populations.get_mut(place(ring)) {
            population.waiting = population.waiting.saturating_sub(1);
        }
        let Some(runner) = self.runners.get_mut(index) else { return };
        runner.ring = ring;
        for (step, (after, _)) in runner.steps.iter().enumerate() {
            let at = self.now.saturating_add(*after).unwrap_or(Timestamp::MAX);
            self.events.push(Reverse((at, Event::Step(index, step))));
        }
        self.moves(index, DeliveryState::Told);
        let hour = hour_of(self.now);
        self.count(ring, |counts| {
            counts.told_in_hour = counts.told_in(hour) + 1;
            counts.hour = hour;
        });
    }

    fn step(&mut self, index: usize, step: usize) {
        let started = self.past.started_at;
        let Some(runner) = self.runners.get_mut(index) else { return };
        let Some((_, state)) = runner.steps.get(step).copied() else { return };
        match state {
            DeliveryState::Succeeded if runner.had_after.is_none() => {
                runner.had_after = Some(self.now.duration_since(started));
            }
            DeliveryState::Failed | DeliveryState::Silent => runner.has_failed = true,
            _ => {}
        }
        let was_under_way = runner.state.is_some_and(DeliveryState::is_under_way);
        self.moves(index, state);
        if was_under_way
            && !state.is_under_way()
            && let Some(next) = self.queue.pop_front()
        {
            self.set_out(next, self.now);
        }
    }

    fn moves(&mut self, index: usize, after: DeliveryState) {
        let Some(runner) = self.runners.get_mut(index) else { return };
        let (ring, before) = (runner.ring, runner.state.replace(after));
        if before != Some(after) {
            self.count(ring, |counts| counts.moves(before, after));
        }
    }

    /// Changes the counts of a ring, in both places where they are looked at.
    fn count(&mut self, ring: u32, change: impl FnOnce(&mut RingCounts)) {
        let Some(rollout) = self.plan.rollouts.first_mut() else { return };
        let number = rollout.number;
        if let Some(progress) = rollout.rings.get_mut(place(ring)) {
            change(&mut progress.counts);
            self.counts.insert((number, ring), progress.counts);
        }
    }

    fn finish(self) -> Simulated {
        let Some(rollout) = self.plan.rollouts.first() else { unreachable!("a run has one rollout") };
        let mut rings: Vec<RingCourse> = Vec::new();
        for (ring, progress) in rollout.strategy.rings().iter().zip(&rollout.rings) {
            let opened_at = match progress.state {
                RingState::Waiting => None,
                RingState::Open { at } => Some(at),
            };
            rings.push(RingCourse { name: ring.name, opened_at, told: 0, succeeded: 0, failed: 0 });
        }
        for runner in self.runners.iter().filter(|runner| runner.state.is_some()) {
            if let Some(ring) = rings.get_mut(place(runner.ring)) {
                ring.told += 1;
                ring.succeeded += u64::from(runner.had_after.is_some());
                ring.failed += u64::from(runner.has_failed);
            }
        }
        let completed = self.completed_at.map(|at| Ended::Completed { at });
        let ended = self.ended.or(completed).unwrap_or(Ended::Open);
        let had = self.runners.iter().filter_map(|runner| runner.had_after).collect();
        let course = Course::new(rings, ended, had);
        let waits_for = (ended == Ended::Open).then(|| waits_for(rollout, self.waiting));
        Simulated { course, unreached: self.unreached, waits_for }
    }
}

/// A computer that was told then.
fn reached(member: usize, told: &ToldThen, past: &Past, settings: &Settings, members: &[Member]) -> Runner {
    let mut open = past.opened(told.ring);
    if past.release.kind == PackageKind::Signatures
        && let Some(Content::Delayed(delay)) =
            members.get(member).map(|one| settings.content_of(&one.groups, &past.release.release.package))
    {
        open = open.max(past.started_at.saturating_add(delay.duration()).unwrap_or(Timestamp::MAX));
    }
    let reaction = told.at.duration_since(open).max(SignedDuration::ZERO);
    let comes = Comes {
        reaction: reaction.min(told.pause()),
        away: (reaction > told.pause()).then_some((open, told.at)),
    };
    Runner { comes, ..Runner::new(member, told.steps().collect()) }
}

/// Computers that a release never reached because it was stopped: as the median of the others, and as many of them fail.
fn unreached<'a>(past: &'a Past, members: &'a [Member]) -> impl Iterator<Item = Runner> + 'a {
    let others = || past.told.values();
    let median = |mut values: Vec<SignedDuration>| {
        values.sort_unstable();
        percentile(&values, 50)
    };
    let reaction = median(others().map(|told| told.at.duration_since(past.opened(told.ring))).collect());
    let reaction = reaction.unwrap_or(USUAL_CADENCE).clamp(SignedDuration::ZERO, USUAL_CADENCE);
    let ends: Vec<_> = others().filter_map(ToldThen::end).collect();
    let failed = ends.iter().filter(|(_, state)| *state != DeliveryState::Succeeded).count();
    let took = median(ends.iter().map(|(after, _)| *after).collect());
    let all = ends.len().max(1);
    let never = members.iter().enumerate().filter(|(member, one)| {
        !past.told.contains_key(member) && one.may_have(&past.release, &past.channels)
    });
    // Failures are spread evenly over them.
    never.enumerate().map(move |(number, (member, _))| {
        let fails = (number + 1) * failed / all > number * failed / all;
        let state = if fails { DeliveryState::Failed } else { DeliveryState::Succeeded };
        let steps = took.map(|after| (after, state)).into_iter().collect();
        Runner { comes: Comes { reaction, away: None }, ..Runner::new(member, steps) }
    })
}

impl Runner {
    fn new(member: usize, steps: Vec<(SignedDuration, DeliveryState)>) -> Self {
        let comes = Comes { reaction: SignedDuration::ZERO, away: None };
        Self {
            member,
            comes,
            steps,
            state: None,
            ring: 0,
            is_settled: false,
            had_after: None,
            has_failed: false,
        }
    }
}

fn asker(member: &Member) -> Asker<'_> {
    Asker {
        name: &member.name,
        position: member.position,
        groups: &member.groups,
        channel: &member.channel,
        deliveries: &[],
        attempts: &NO_ATTEMPTS,
    }
}

fn place(ring: u32) -> usize {
    usize::try_from(ring).unwrap_or(usize::MAX)
}
