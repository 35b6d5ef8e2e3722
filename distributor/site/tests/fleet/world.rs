//! The clock, the vendor, the admins, and everything that happens in a simulation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName, PackageName};
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::word::Word;
use sealpost_site::changes::{Actor, Change};
use sealpost_site::commands::Command;
use sealpost_site::commands::releases::{ApproveRelease, ReleaseFacts};
use sealpost_site::commands::rollouts::{
    AdvanceRollouts, AdvancingFacts, Overdue, RolloutFacts, Steer, SteerRollout,
};
use sealpost_site::commands::undoing::{HaltRelease, WhoRunsIt};
use sealpost_site::rules::rollouts::cadence::Cadence;
use sealpost_site::rules::rollouts::outages::{Outage, Outages};
use sealpost_site::rules::rollouts::progress::{DeliveryState, Population, Rollout, RolloutState, Waiting};
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind, Settings};
use sealpost_site::rules::rollouts::share::{Salt, position};

use crate::checks::Checks;
use crate::computer::{Computer, Hours};
use crate::contact::{by_command, by_rules, enrolled};
use crate::dice::Dice;
use crate::site::Site;
use crate::survey::survey;

/// Minutes between two rounds of the rollouts.
const ROUND: i64 = 5;
/// Minutes for which a look at all computers counts, of a fleet of this size.
const fn look(computers: usize) -> i64 {
    if computers > 10_000 { 360 } else { 60 }
}

/// Something that a person does.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// The vendor publishes a release, and it is approved.
    Release { package: &'static str, kind: PackageKind, strategy: Option<&'static str>, bad: bool },
    /// The newest rollout of a package is paused, if it runs.
    Pause(&'static str),
    /// It goes on.
    Resume(&'static str),
    /// So many computers enroll.
    Join(u32),
    /// A setting is made, or taken back.
    Set(SettingKind, &'static str, Option<serde_json::Value>),
    /// The next ring of the newest rollout of a package opens, if there is one.
    Next(&'static str),
    /// It goes on by another strategy.
    Edit(&'static str, &'static str),
    /// Its release is halted, and computers go back from it.
    Halt(&'static str),
    /// The server does not run for so many minutes.
    Out(i64),
    /// The server's clock is so many minutes ahead from now on.
    ClockAhead(i64),
    /// The next computer that is told a release is never heard of again.
    Dies,
}

/// A whole simulation.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) site: Site,
    pub(crate) computers: Vec<Computer>,
    pub(crate) checks: Checks,
    pub(crate) bad: BTreeSet<Sha256Digest>,
    /// When each release was published, in minutes.
    pub(crate) published: BTreeMap<Sha256Digest, i64>,
    begun: Timestamp,
    dice: Dice,
    counter: u64,
    now: i64,
    queue: BTreeMap<i64, Vec<u32>>,
    under_way: BTreeSet<u32>,
    numbers: BTreeMap<ComputerName, u32>,
    /// What was found of each rollout, and when.
    looked: BTreeMap<u64, (i64, Vec<Population>)>,
    /// When an admin lets rollouts go on that halted although nothing is wrong with their release.
    resumes: Vec<(i64, u64)>,
    /// Of 1,000 installs of a good release so many fail.
    fails_per_mille: u64,
    /// The server does not run before this minute.
    out_until: i64,
    /// When it did not run.
    outages: Vec<Outage>,
    /// So many minutes its clock is ahead.
    ahead: i64,
    /// Since when this process of the server has watched each rollout.
    watched_since: BTreeMap<u64, i64>,
    fleet: Fleet,
    next_dies: bool,
    /// Computers that will not be heard of any more, and since when.
    pub(crate) dead: BTreeMap<u32, i64>,
    /// When dead computers counted as silent.
    pub(crate) found_dead: BTreeMap<u32, i64>,
}

/// How many computers, and of which kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fleet {
    pub(crate) computers: u32,
    /// Of 1,000 so many are always on.
    pub(crate) servers_per_mille: u64,
    /// Minutes between two contacts, of servers and of the others.
    pub(crate) cadence: (i64, i64),
    /// So many make whole contacts, the first ones.
    pub(crate) whole_contacts: u32,
    pub(crate) fails_per_mille: u64,
}

impl World {
    pub(crate) fn new(seed: u64, fleet: &Fleet, settings: Settings, packages: &[&str]) -> Self {
        // A Monday.
        let begun: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        let site = Site::new(settings, begun, packages);
        let mut world = Self {
            seed,
            site,
            computers: Vec::new(),
            checks: Checks::default(),
            bad: BTreeSet::new(),
            published: BTreeMap::new(),
            begun,
            dice: Dice::of(seed),
            counter: 0,
            now: 0,
            queue: BTreeMap::new(),
            under_way: BTreeSet::new(),
            numbers: BTreeMap::new(),
            looked: BTreeMap::new(),
            resumes: Vec::new(),
            fails_per_mille: fleet.fails_per_mille,
            out_until: 0,
            outages: Vec::new(),
            ahead: 0,
            watched_since: BTreeMap::new(),
            fleet: *fleet,
            next_dies: false,
            dead: BTreeMap::new(),
            found_dead: BTreeMap::new(),
        };
        // What every computer runs at the beginning.
        for package in packages {
            let kind =
                if package.starts_with("sig") { PackageKind::Signatures } else { PackageKind::Program };
            world.release(package, kind, Some("everyone-now"));
        }
        for number in 0..fleet.computers {
            world.join(number, fleet);
        }
        world
    }

    fn join(&mut self, number: u32, fleet: &Fleet) {
        let dice = &mut self.dice;
        let name = ComputerName::new(format!("pc-{number:05}")).unwrap();
        let server = dice.happens(fleet.servers_per_mille);
        let zone = [60, -300, 330][dice.below(3) as usize];
        let hours = if server { Hours::Always } else { Hours::Office(zone) };
        // A tenth are off for a week or two.
        let from = dice.below(25 * 24 * 60) as i64;
        let away =
            if dice.happens(100) { (from, from + (5 + dice.below(10) as i64) * 24 * 60) } else { (0, 0) };
        let cadence = if server { fleet.cadence.0 } else { fleet.cadence.1 };
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let begins_with = self.published.keys().filter(|_| self.now == 0);
        let installed = begins_with.map(|manifest| self.site.package(*manifest)).collect();
        let mut computer = Computer {
            position: position(&Salt::of(&self.site.server.server_id), &name),
            id: ClientId::from_random(id),
            groups: BTreeSet::new(),
            name,
            hours,
            away,
            cadence,
            installed,
            before: Vec::new(),
            deliveries: Vec::new(),
            silences: BTreeMap::new(),
            last: None,
            answered_at: None,
            late: self.now > 0,
            by_person: BTreeMap::new(),
            pauses: None,
            work: Vec::new(),
            reports: Vec::new(),
            next_report: 0,
            made: BTreeMap::new(),
            dice: Dice::of(self.seed ^ u64::from(number) << 20),
            client: None,
            wakes: 0,
        };
        computer.installed.sort_by(|one, other| one.package().cmp(other.package()));
        computer.wakes = computer.next_on(self.now + 1 + dice.below(cadence as u64) as i64);
        computer.groups = self.site.plan.groups_of(
            &BTreeSet::new(),
            &sealpost_site::rules::rollouts::groups::Attributes {
                name: &computer.name,
                channel: &crate::site::stable(),
                platform: None,
                tags: &[],
                serials: &[],
                installed: &[],
            },
        );
        if number < fleet.whole_contacts {
            computer.client = Some(enrolled(&self.site, &computer));
        }
        self.queue.entry(computer.wakes).or_default().push(number);
        self.numbers.insert(computer.name.clone(), number);
        self.computers.push(computer);
    }

    pub(crate) fn at(&self, minute: i64) -> Timestamp {
        self.begun + SignedDuration::from_mins(minute)
    }

    /// Lets time pass until a minute; `events` are what persons do, in order.
    pub(crate) fn run(&mut self, until: i64, events: &[(i64, Event)]) {
        let mut events = events.iter().peekable();
        while self.now < until {
            self.now += 1;
            self.site.real = self.at(self.now);
            self.site.now = self.at(self.now + self.ahead);
            while let Some((_, event)) = events.next_if(|(at, _)| *at <= self.now) {
                self.happens(event);
            }
            let now = self.now;
            for (_, number) in self.resumes.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>() {
                if self.site.rollout(number).state == RolloutState::Halted {
                    self.steer_rollout(number, &Steer::Resume);
                }
            }
            for number in self.queue.remove(&self.now).unwrap_or_default() {
                self.wake(number);
            }
            if self.now % ROUND == 0 && self.now >= self.out_until {
                self.advance();
            }
            if self.now % 60 == 0 {
                self.checks.hour(self.now, &self.computers, &self.published);
            }
        }
    }

    fn happens(&mut self, event: &Event) {
        match event {
            Event::Release { package, kind, strategy, bad } => {
                let manifest = self.release(package, *kind, *strategy);
                if *bad {
                    self.bad.insert(manifest);
                }
            }
            Event::Pause(package) => self.steer(package, RolloutState::Running, &Steer::Pause),
            Event::Resume(package) => {
                self.steer(package, RolloutState::Paused, &Steer::Resume);
            }
            Event::Join(more) => {
                let (known, fleet) = (self.computers.len() as u32, self.fleet);
                (known..known + more).for_each(|number| self.join(number, &fleet));
            }
            Event::Set(kind, name, value) => {
                let key = SettingKey { kind: *kind, name: (*name).to_owned() };
                self.site.set(&SettingChange { key, value: value.clone() });
            }
            Event::Next(package) => self.next_ring(package),
            Event::Edit(package, strategy) => {
                let strategy = Word::new(strategy).unwrap();
                let edit = Steer::Edit { strategy, emergency: false };
                self.steer(package, RolloutState::Running, &edit);
            }
            Event::Halt(package) => self.halt(package),
            Event::Out(minutes) => {
                self.out_until = self.now + minutes;
                let until = self.at(self.out_until);
                self.outages.extend(Outage::between(self.at(self.now), until));
                self.site.outages = Outages::known(self.outages.iter().copied(), until);
                self.watched_since.clear();
            }
            Event::ClockAhead(minutes) => {
                self.ahead = *minutes;
                self.site.now = self.at(self.now + self.ahead);
            }
            Event::Dies => self.next_dies = true,
        }
    }

    fn release(&mut self, package: &str, kind: PackageKind, strategy: Option<&str>) -> Sha256Digest {
        self.counter += 1;
        let manifest = self.site.staged(package, self.counter, kind);
        let command = ApproveRelease {
            actor: Actor::Server,
            manifest,
            channels: None,
            trust: Some(Arc::clone(&self.site.trust)),
            comment: String::new(),
            strategy: strategy.map(|name| Word::new(name).unwrap()),
            emergency: false,
            despite_deferral: false,
            confirms: None,
            test_load: sealpost_site::rules::test_load::Wanted::Nothing,
        };
        let facts = self.facts_of(manifest, package);
        let decision = command.decide(facts, &self.site.context());
        decision.answer.unwrap();
        decision.changes.iter().for_each(|(_, change)| self.site.apply(change));
        self.published.insert(manifest, self.now);
        manifest
    }

    fn next_ring(&mut self, package: &str) {
        let runs =
            |one: &&Rollout| one.release.package.as_str() == package && one.state == RolloutState::Running;
        let Some(rollout) = self.site.rollouts.iter().rev().find(runs).cloned() else { return };
        let ring = rollout.current_ring().map_or(0, |current| current + 1);
        if ring >= rollout.rings.len() {
            return;
        }
        let number = rollout.number;
        let found = survey(&self.site, &self.computers, &[rollout], |minute| self.at(minute));
        let what = Steer::Next { ring: ring as u32, populations: found.get(&number).cloned() };
        self.steer_rollout(number, &what);
    }

    fn halt(&mut self, package: &str) {
        let newest = self.site.approved.iter().filter(|known| known.release.package.as_str() == package);
        let known = newest.max_by_key(|known| known.counter).unwrap().clone();
        let manifest = known.manifest;
        let command = HaltRelease {
            actor: Actor::Server,
            manifest,
            reason: "simulated".to_owned(),
            runs: WhoRunsIt::GoesBack,
        };
        let decision = command.decide(self.facts_of(manifest, package), &self.site.context());
        decision.answer.unwrap();
        for (_, change) in &decision.changes {
            self.checks.change(change, &self.site, &self.computers);
            self.site.apply(change);
        }
    }

    fn facts_of(&self, manifest: Sha256Digest, package: &str) -> ReleaseFacts {
        ReleaseFacts {
            known: self.site.releases.get(&manifest).cloned(),
            manifest_of_claimed: None,
            approved: self.site.approved_or_superseded(&PackageName::new(package).unwrap()),
            next_rollout: self.site.rollouts.len() as u64 + 1,
            highest_attempt: 0,
            staged_at: Some(self.site.now),
            test: None,
            plan: Arc::clone(&self.site.plan),
        }
    }

    /// A person does something with the newest rollout of a package that is in a state.
    pub(crate) fn steer(&mut self, package: &str, state: RolloutState, what: &Steer) {
        let of_package = |one: &&Rollout| one.release.package.as_str() == package && one.state == state;
        let Some(number) = self.site.rollouts.iter().rev().find(of_package).map(|one| one.number) else {
            return;
        };
        self.steer_rollout(number, what);
    }

    pub(crate) fn steer_rollout(&mut self, number: u64, what: &Steer) {
        let rollout = self.site.counted(number);
        let of_release = self.site.rollouts.iter().rev().find(|other| other.manifest == rollout.manifest);
        let facts = RolloutFacts {
            known: self.site.releases.get(&rollout.manifest).cloned(),
            releases: self.site.approved_or_superseded(&rollout.release.package),
            newest: of_release.map(|newest| newest.number),
            highest_attempt: 0,
            rollout: Some(rollout),
            plan: Arc::clone(&self.site.plan),
        };
        let command = SteerRollout {
            actor: Actor::Server,
            number,
            what: what.clone(),
            comment: "simulated".to_owned(),
            confirms: None,
        };
        let decision = command.decide(facts, &self.site.context());
        decision.answer.unwrap();
        for (_, change) in &decision.changes {
            self.checks.change(change, &self.site, &self.computers);
            self.site.apply(change);
        }
    }

    /// One computer does what is due, and makes a contact.
    fn wake(&mut self, number: u32) {
        let (now, at, real) = (self.now, self.site.now, self.site.real);
        let computer = &mut self.computers[number as usize];
        if computer.wakes != now {
            return;
        }
        let (bad, ordinary, site) = (&self.bad, self.fails_per_mille, &self.site);
        let fails =
            |dice: &mut Dice, manifest| dice.happens(if bad.contains(&manifest) { 1000 } else { ordinary });
        let began = computer.works(now, real, fails, |manifest| site.package(manifest));
        for told in &began {
            self.checks.began(told, computer, &self.site, &self.bad);
        }
        if now < self.out_until {
            // It tries again soon after the server is back.
            computer.wakes = computer.next_on(self.out_until + 1 + (computer.position % 30) as i64);
            self.queue.entry(computer.wakes).or_default().push(number);
            return;
        }
        let cadence =
            Cadence::at(computer.answered_at.map(|last| (last, computer.pauses)), at, &site.outages);
        computer.pauses = Some(cadence);
        let answer = if computer.client.is_some() {
            by_command(&mut self.site, computer)
        } else {
            by_rules(&mut self.site, computer, cadence)
        };
        (computer.last, computer.answered_at) = (Some(now), Some(at));
        let begun = self.begun;
        let minute_of = |time: Timestamp| (time.duration_since(begun).as_mins()).max(0);
        if let Some(packages) = answer.packages {
            self.checks.told(&packages, computer, &self.site);
            computer.obeys(&packages, now, minute_of);
        }
        self.checks.caps(computer, &self.site);
        if computer.deliveries.iter().any(|told| told.state.is_under_way()) {
            self.under_way.insert(number);
        } else {
            self.under_way.remove(&number);
        }
        if self.next_dies && self.under_way.contains(&number) {
            (self.next_dies, computer.wakes) = (false, i64::MAX);
            self.dead.insert(number, now);
            return;
        }
        let begins = computer.work.iter().map(|work| work.begins).min().unwrap_or(i64::MAX);
        let wakes = begins.min(now + computer.cadence).max(now + 1);
        computer.wakes = computer.next_on(wakes);
        self.queue.entry(computer.wakes).or_default().push(number);
    }

    /// A round of the rollouts; after it another one for those that want a look at all computers.
    fn advance(&mut self) {
        let live: Vec<u64> =
            self.site.rollouts.iter().filter(|one| one.state.is_live()).map(|one| one.number).collect();
        if live.is_empty() {
            return;
        }
        let (now, computers) = (self.now, self.computers.len());
        self.looked.retain(|number, (at, _)| now - *at < look(computers) && live.contains(number));
        let waiting = self.round(&live, SignedDuration::from_mins(ROUND), self.looked());
        let wants = |number: &&u64| waiting.get(number) == Some(&Waiting::Survey);
        let asked: Vec<Rollout> =
            live.iter().filter(wants).map(|number| self.site.rollout(*number).clone()).collect();
        if !asked.is_empty() {
            let found = survey(&self.site, &self.computers, &asked, |minute| self.at(minute));
            self.looked.extend(found.into_iter().map(|(number, found)| (number, (now, found))));
            self.round(&live, SignedDuration::ZERO, self.looked());
        }
    }

    /// What looks at all computers found that still count.
    fn looked(&self) -> BTreeMap<u64, Vec<Population>> {
        self.looked.iter().map(|(number, (_, found))| (*number, found.clone())).collect()
    }

    fn round(
        &mut self,
        live: &[u64],
        elapsed: SignedDuration,
        populations: BTreeMap<u64, Vec<Population>>,
    ) -> BTreeMap<u64, Waiting> {
        let packages: BTreeSet<PackageName> =
            live.iter().map(|number| self.site.rollout(*number).release.package.clone()).collect();
        let completed = self.site.rollouts.iter().rev().filter(|one| one.state == RolloutState::Completed);
        let completed = completed.filter(|one| packages.contains(&one.release.package)).take(10);
        let mut numbers: Vec<u64> = completed.map(|one| one.number).chain(live.iter().copied()).collect();
        numbers.sort_unstable();
        let (now, since) = (self.now, &mut self.watched_since);
        let watched = live.iter().map(|number| {
            let watched = now - *since.entry(*number).or_insert(now);
            (*number, SignedDuration::from_mins(watched))
        });
        let watched: BTreeMap<u64, SignedDuration> = watched.collect();
        let command =
            AdvanceRollouts { now: self.site.now, elapsed, populations, watched, after: BTreeMap::new() };
        self.checks.round = SignedDuration::from_mins(ROUND);
        let facts = AdvancingFacts {
            rollouts: numbers.iter().map(|number| self.site.counted(*number)).collect(),
            releases: packages.iter().flat_map(|package| self.site.approved_or_superseded(package)).collect(),
            overdue: if self.now % 60 == 0 && !elapsed.is_zero() { self.overdue() } else { Vec::new() },
            looked_to: BTreeMap::new(),
        };
        self.checks.populations = command.populations.clone();
        let decision = command.decide(facts, &self.site.context());
        decision.notes.iter().for_each(|note| self.site.note(note));
        for (_, change) in &decision.changes {
            if let Change::DeliveriesChanged { computers, .. } = change {
                for of in computers {
                    let number = self.numbers[&of.name];
                    self.checks.silences += 1;
                    if self.dead.contains_key(&number) {
                        self.found_dead.entry(number).or_insert(self.now);
                    }
                    let (from, until) = self.computers[number as usize].away;
                    let is_away = (from..until + 3 * crate::computer::DAY).contains(&self.now);
                    // Who comes for less than a fortnight may be off for longer than is known of it.
                    self.checks.false_silences += u32::from(!is_away && self.now > 15 * crate::computer::DAY);
                    self.site.deliver(&mut self.computers[number as usize], &of.step);
                    self.under_way.remove(&number);
                }
                continue;
            }
            self.checks.change(change, &self.site, &self.computers);
            self.site.apply(change);
        }
        let advanced = decision.answer.unwrap();
        for number in advanced.halted {
            // An admin looks at it after three hours: what is not bad goes on.
            if !self.bad.contains(&self.site.rollout(number).manifest) {
                self.checks.false_alarms += 1;
                self.resumes.push((self.now + 180, number));
            }
        }
        advanced.waiting
    }

    fn overdue(&self) -> Vec<Overdue> {
        let mut found = Vec::new();
        for number in &self.under_way {
            let computer = &self.computers[*number as usize];
            let works = |told: &&sealpost_site::rules::rollouts::plan::Delivery| {
                told.state.is_under_way() && told.state != DeliveryState::Offered
            };
            for delivery in computer.deliveries.iter().filter(works) {
                let silence = computer.silences[&delivery.rollout];
                let heard = computer.answered_at.unwrap();
                let live = self.site.rollout(delivery.rollout).state.is_live();
                let heard = heard.max(delivery.told_at);
                if live && self.site.now.duration_since(heard) > silence {
                    let (client_id, name) = (computer.id.clone(), computer.name.clone());
                    found.push(Overdue { client_id, name, delivery: delivery.clone(), heard, silence });
                }
            }
        }
        found
    }
}
