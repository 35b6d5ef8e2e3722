//! What has to hold at every step of a simulation, and what is measured.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::assignment::{Action, PackageAssignment};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::changes::Change;
use sealpost_site::rules::rollouts::delivery::Delivery;
use sealpost_site::rules::rollouts::plan::Delivery as Told;
use sealpost_site::rules::rollouts::progress::{
    DeliveryState, OpenReason, Population, RingState, RolloutState, hour_of,
};
use sealpost_site::rules::rollouts::settings::{Block, Settings, Target};
use sealpost_site::rules::rollouts::window::{Missed, Window};

use crate::computer::Computer;
use crate::site::Site;

/// What was seen in a simulation.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// What the round that is under way was told of the fleet.
    pub(crate) populations: BTreeMap<u64, Vec<Population>>,
    /// When a release was halted, and its last ring that was open then.
    pub(crate) halts: BTreeMap<Sha256Digest, (Timestamp, usize)>,
    /// Rollouts that halted although nothing was wrong with their release.
    pub(crate) false_alarms: u32,
    /// Computers that counted as silent.
    pub(crate) silences: u32,
    /// Computers that enrolled late and were told a release while a newer one waited for its rings.
    pub(crate) late_ones_served: u32,
    /// Releases that a pin or a block kept from a computer.
    pub(crate) kept_away: u32,
    /// Computers that counted as silent although they were on at their hours.
    pub(crate) false_silences: u32,
    /// Time between two rounds.
    pub(crate) round: SignedDuration,
    /// Computers that began to install each release.
    pub(crate) installs: BTreeMap<Sha256Digest, BTreeSet<String>>,
    /// Rings that opened, by reason.
    pub(crate) opened: BTreeMap<&'static str, u32>,
    /// Times at which a cap was full.
    pub(crate) full: u32,
    /// Installs that began in a window, and those that did so outside by a deadline or to catch up.
    pub(crate) in_window: u32,
    pub(crate) out_of_window: u32,
    /// Ages of signature files on computers that were on, in minutes, once an hour.
    pub(crate) ages: Vec<i64>,
}

impl Checks {
    /// The age below which so many of 100 samples are.
    pub(crate) fn age(&mut self, percent: usize) -> i64 {
        self.ages.sort_unstable();
        self.ages[(self.ages.len() - 1) * percent / 100]
    }

    /// A rollout changes: a ring opens only when the one before has passed.
    pub(crate) fn change(&mut self, change: &Change, site: &Site, computers: &[Computer]) {
        match change {
            Change::RingOpened { rollout, ring, reason, .. } => {
                let why = match reason {
                    OpenReason::First => "first",
                    OpenReason::Passed => "passed",
                    OpenReason::Empty => "empty",
                    OpenReason::Asked => "asked",
                };
                *self.opened.entry(why).or_default() += 1;
                self.opens(*rollout, *ring as usize, *reason, site, computers);
            }
            Change::RolloutCompleted { rollout, .. } => {
                let last = site.rollout(*rollout).rings.len() - 1;
                self.passed(*rollout, last, site);
            }
            Change::ReleaseHalted { manifest, .. } => {
                let rollout = site.rollouts.iter().find(|one| one.manifest == *manifest).unwrap();
                self.halts.insert(*manifest, (site.now, rollout.current_ring().unwrap()));
            }
            _ => {}
        }
    }

    fn opens(&self, number: u64, ring: usize, reason: OpenReason, site: &Site, computers: &[Computer]) {
        let rollout = site.rollout(number);
        assert_eq!(rollout.state, RolloutState::Running, "rollout {number} opens a ring");
        assert_eq!(rollout.rings[ring].state, RingState::Waiting, "a ring opens once");
        assert_eq!(rollout.current_ring().map_or(0, |current| current + 1), ring, "rings open in order");
        match reason {
            OpenReason::First => assert_eq!(ring, 0),
            OpenReason::Asked => {}
            OpenReason::Empty => {
                let before = u32::try_from(ring).unwrap() - 1;
                let told = |one: &&Computer| {
                    one.deliveries.iter().any(|told| told.rollout == number && told.ring == before)
                };
                assert_eq!(computers.iter().filter(told).count(), 0, "rollout {number} ring {before}");
            }
            OpenReason::Passed => self.passed(number, ring - 1, site),
        }
    }

    /// The soak by the clock, the sample and the gate, computed here from what became of computers.
    fn passed(&self, number: u64, ring: usize, site: &Site) {
        let rollout = site.counted(number);
        let (plan, progress) = (&rollout.strategy.rings()[ring], &rollout.rings[ring]);
        assert!(progress.state != RingState::Waiting, "ring {ring} of {number} was not open");
        let running = self.populations.get(&number).map_or(0, |found| found[ring].running);
        let place = (number, u32::try_from(ring).unwrap());
        let watched = match site.first_finished.get(&place) {
            Some(first) if running == 0 => site.real.duration_since(*first).saturating_add(self.round),
            _ => site.real.duration_since(site.opened[&place]),
        };
        assert!(watched >= plan.soak(), "the soak of ring {ring} of {number}: {watched}");
        let counts = progress.counts;
        let failed = counts.failures() - counts.forgiven.min(counts.failures());
        let finished = counts.succeeded + failed;
        let sample = u64::from(plan.minimum_sample);
        // A smaller sample is all that can be had: nobody of the ring works on it, and nobody that is heard of waits for it.
        let all = self
            .populations
            .get(&number)
            .is_some_and(|found| found[ring].waiting == 0 && counts.under_way() == 0);
        let members = self.populations.get(&number).map_or(u64::MAX, |found| found[ring].members);
        assert!(finished + running >= 1, "nobody of ring {ring} of {number} finished: {counts:?}");
        assert!(
            finished + running >= sample.min(members) || all,
            "the sample of ring {ring} of {number}: {counts:?}"
        );
        let good = counts.succeeded * 100 >= finished * u64::from(plan.success_percent);
        assert!(good, "the gate of ring {ring} of {number}: {counts:?}");
        assert!(!plan.errors.is_reached(failed, finished), "{counts:?}");
    }

    /// The caps of the rings in which a computer was told just now.
    pub(crate) fn caps(&mut self, computer: &Computer, site: &Site) {
        let begins = |told: &&Told| told.told_at == site.now && told.state == DeliveryState::Told;
        let now = computer.deliveries.iter().filter(begins);
        for told in now {
            let rollout = site.rollout(told.rollout);
            let plan = &rollout.strategy.rings()[told.ring as usize];
            if rollout.state == RolloutState::Completed {
                continue;
            }
            let counts = site.counts[&(told.rollout, told.ring)];
            assert!(rollout.rings[told.ring as usize].state != RingState::Waiting, "{told:?}");
            if let Some(cap) = plan.concurrent {
                assert!(counts.under_way() <= cap.into(), "{counts:?} of at most {cap}");
                self.full += u32::from(counts.under_way() == u64::from(cap));
            }
            if let Some(cap) = plan.per_hour {
                let told = counts.told_in(hour_of(site.now));
                assert!(told <= cap.into(), "{told} in an hour, of at most {cap}");
                self.full += u32::from(told == u64::from(cap));
            }
        }
    }

    /// The times in an assignment are those of the computer's window, unless it is late.
    pub(crate) fn told(&mut self, packages: &[PackageAssignment], computer: &Computer, site: &Site) {
        self.kept_away(packages, computer, site);
        if computer.late {
            self.served(packages, computer, site);
        }
        let Some(window) = window_of(computer, site) else { return };
        for told in packages.iter().filter(|told| told.action == Action::Install) {
            let runs = computer.installed.iter().any(|runs| runs.manifest == told.manifest);
            let Some(delivery) = computer.deliveries.iter().find(|one| one.rollout == told.rollout) else {
                continue;
            };
            if runs || told.deadline.is_some_and(|deadline| deadline <= site.now) {
                continue;
            }
            match (told.install_from, told.install_until) {
                (Some(from), Some(until)) => {
                    assert!(until > site.now && from < until, "{told:?}");
                    assert!(window.is_open(from) && !window.is_open(until), "{told:?} of {window}");
                }
                // Of some computers only: it takes a look at every half hour.
                _ if computer.position.is_multiple_of(64) => {
                    assert!(caught_up(window, delivery.told_at, site.now), "{told:?} outside {window}");
                }
                _ => {}
            }
        }
    }

    /// Nobody is told what a pin or a block keeps from it.
    fn kept_away(&mut self, packages: &[PackageAssignment], computer: &Computer, site: &Site) {
        let installs = packages.iter().filter(|told| {
            told.action == Action::Install
                && computer.installed.iter().all(|runs| runs.manifest != told.manifest)
        });
        let settings = &site.plan.settings;
        for told in installs {
            let package = &told.release.package;
            for pin in
                settings.pins.values().filter(|pin| pin.package == *package && is_of(computer, &pin.of))
            {
                assert_eq!(told.release.version, pin.version, "{} is pinned", computer.name);
            }
            let blocks = |block: &Block| block.package.as_ref().is_none_or(|one| one == package);
            let blocked = settings.blocks.values().any(|block| blocks(block) && is_of(computer, &block.of));
            assert!(!blocked, "{} is blocked and told {}", computer.name, told.release);
        }
        let kept = settings.pins.values().any(|pin| is_of(computer, &pin.of))
            || settings.blocks.values().any(|block| is_of(computer, &block.of));
        self.kept_away += u32::from(kept);
    }

    /// Who comes late gets a release of each package that is complete, also while a newer one goes through its rings.
    fn served(&mut self, packages: &[PackageAssignment], computer: &Computer, site: &Site) {
        for known in site.approved.iter().filter(|known| known.rolling_out.is_empty()) {
            let package = &known.release.package;
            let failed = |told: &Told| told.package == *package && told.state == DeliveryState::Failed;
            let Settings { blocks, pins, .. } = &site.plan.settings;
            let blocked = blocks.values().any(|block| block.package.as_ref() == Some(package));
            // Whoever is pinned waits for that version alone.
            let pinned = pins.values().any(|pin| pin.package == *package && is_of(computer, &pin.of));
            let runs = computer.installed.iter().any(|runs| runs.package() == package);
            if runs || blocked || pinned || computer.deliveries.iter().any(failed) {
                continue;
            }
            let told = packages.iter().find(|told| told.release.package == *package);
            assert!(told.is_some(), "{} enrolled late and gets no {package}", computer.name);
            let waits = site
                .approved
                .iter()
                .any(|other| other.release.package == *package && !other.rolling_out.is_empty());
            self.late_ones_served +=
                u32::from(waits && told.is_some_and(|told| told.manifest == known.manifest));
        }
    }

    /// A computer begins an install: where it may, and when it may.
    pub(crate) fn began(
        &mut self,
        told: &PackageAssignment,
        computer: &Computer,
        site: &Site,
        bad: &BTreeSet<Sha256Digest>,
    ) {
        if told.action != Action::Install {
            return;
        }
        self.installs.entry(told.manifest).or_default().insert(computer.name.to_string());
        if let (true, Some((halted, ring))) = (bad.contains(&told.manifest), self.halts.get(&told.manifest)) {
            let delivery = computer.deliveries.iter().find(|one| one.manifest == told.manifest);
            // Who was told before the halt, and was not in contact since, cannot know of it.
            let before = delivery.is_some_and(|one| one.told_at <= *halted && one.ring as usize <= *ring);
            assert!(before, "{} installs {} after it was halted", computer.name, told.release);
        }
        let late = told.deadline.is_some_and(|deadline| deadline <= site.real);
        if let Some(window) = window_of(computer, site) {
            if told.install_from.is_some() && !late {
                assert!(window.is_open(site.real), "{} at {} outside {window}", computer.name, site.real);
                self.in_window += 1;
            } else {
                self.out_of_window += 1;
            }
        }
    }

    /// Once an hour: how old signature files are on computers that are on.
    pub(crate) fn hour(&mut self, now: i64, computers: &[Computer], published: &BTreeMap<Sha256Digest, i64>) {
        for computer in computers.iter().step_by(17).filter(|computer| computer.is_on(now)) {
            let heard = computer.last.is_some_and(|last| now - last <= 2 * computer.cadence);
            let signatures =
                computer.installed.iter().find(|runs| runs.package().as_str().starts_with("sig"));
            if let (true, Some(runs)) = (heard, signatures) {
                self.ages.push(now - published[&runs.manifest]);
            }
        }
    }
}

fn is_of(computer: &Computer, of: &Target) -> bool {
    match of {
        Target::Group(group) => computer.groups.contains(group),
        Target::Computer(name) => *name == computer.name,
        Target::Everyone => true,
    }
}

fn window_of<'s>(computer: &Computer, site: &'s Site) -> Option<&'s Window> {
    let settings = &site.plan.settings;
    let delivery = settings.delivery_of(&computer.groups);
    matches!(delivery, Delivery::Window(_)).then(|| settings.window_of(delivery)).flatten()
}

/// Whether as many whole windows passed as the window's rule asks for, found by walking through the half hours at which they begin and
/// end.
fn caught_up(window: &Window, since: Timestamp, now: Timestamp) -> bool {
    let Missed::AtOnceAfter(bound) = window.missed else { return false };
    let half_hour = since.as_second().div_euclid(1800) * 1800;
    let (mut at, mut missed) = (Timestamp::from_second(half_hour).unwrap(), 0);
    let mut was_open = window.is_open(at);
    at += SignedDuration::from_mins(30);
    let mut whole = false;
    while at <= now {
        let open = window.is_open(at);
        whole = if open && !was_open { true } else { whole };
        if was_open && !open && whole {
            missed += 1;
            whole = false;
        }
        was_open = open;
        at += SignedDuration::from_mins(30);
    }
    missed >= u32::from(bound)
}
