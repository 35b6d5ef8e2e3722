//! A fleet to which a release goes out ring by ring, in the order in which the site's rings take its computers.

use std::num::NonZeroUsize;

use jiff::SignedDuration;
use sealpost_ledger::Ledger;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report, TransferredBytes, Way};
use sealpost_manifests::word::Word;
use sealpost_site::commands::releases::ApproveRelease;
use sealpost_site::commands::rollouts::{AdvanceRollouts, Advanced};
use sealpost_site::commands::settings::ChangeSettings;
use sealpost_site::queries::{DeliveriesOf, RolloutByNumber, Rollouts};
use sealpost_site::rows::ReleaseRow;
use sealpost_site::rules::rollouts::progress::{DeliveryState, Population, Rollout};
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};
use sealpost_site::rules::rollouts::share::{Salt, Threshold, position};
use sealpost_test_support::world::{Computer, World, admin, installed, report};

use crate::fixture::{WorldExt, release};

/// The strategies of these tests.
const STRATEGIES: [(&str, &str); 4] = [
    (
        "rings",
        r#"{"on_failure":"roll_back","rings":[
            {"name":"canary","takes":{"first":1},"soak_minutes":60,"errors":{"count":1,"percent":1}},
            {"name":"early","takes":{"first":3},"soak_minutes":60},
            {"name":"everyone","takes":"everyone","soak_minutes":60}]}"#,
    ),
    (
        "slow-rings",
        r#"{"rings":[{"name":"canary","takes":{"first":9},"soak_minutes":600},{"name":"half","takes":{"first":4},"soak_minutes":600},
            {"name":"everyone","takes":"everyone","soak_minutes":600}]}"#,
    ),
    ("three", r#"{"rings":[{"name":"everyone","takes":"everyone","concurrent":3}]}"#),
    ("hourly", r#"{"rings":[{"name":"everyone","takes":"everyone","per_hour":2}]}"#),
];
/// How many computers the first rings of `rings` take together.
const FIRST: [usize; 2] = [1, 3];

pub(super) fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

/// A setting with its value as JSON.
pub(super) fn setting(kind: SettingKind, name: &str, json: &str) -> SettingChange {
    SettingChange {
        key: SettingKey { kind, name: name.to_owned() },
        value: Some(serde_json::from_str(json).unwrap()),
    }
}

/// An admin changes settings.
pub(super) fn changes(changes: Vec<SettingChange>) -> ChangeSettings {
    ChangeSettings { actor: admin(), changes, comment: String::new(), expected: None, confirms: None }
}

pub(super) async fn rollout(ledger: &Ledger, number: u64) -> Rollout {
    ledger.query(RolloutByNumber { number }).await.unwrap().unwrap()
}

/// The counts of each ring are what a count of all computers that were told gives.
pub(super) async fn counted(ledger: &Ledger) {
    let all = ledger.query(Rollouts { before: None, open: false, limit: 1_000 }).await.unwrap();
    for rollout in all {
        let of = DeliveriesOf { rollout: rollout.number, after: None, limit: 1_000 };
        let told = ledger.query(of).await.unwrap();
        for (ring, progress) in (0_u32..).zip(&rollout.rings) {
            for state in DeliveryState::ALL {
                let of_ring =
                    told.iter().filter(|row| row.delivery.ring == ring && row.delivery.state == state);
                let place = format!("{state:?} in ring {ring} of {}", rollout.number);
                assert_eq!(progress.counts.of(state), of_ring.count() as u64, "{place}");
            }
        }
    }
}

pub(super) struct Rolling<'a> {
    world: &'a World,
    /// In the order of their places.
    pub(super) computers: Vec<Computer>,
    pub(super) number: u64,
    pub(super) row: ReleaseRow,
}

impl<'a> Rolling<'a> {
    /// A site with so many computers, which knows the strategies.
    pub(super) async fn new(world: &'a World, ledger: &Ledger, count: u32) -> Self {
        Self::with_seats(world, ledger, count, count).await
    }

    /// The same, with seats for more.
    pub(super) async fn with_seats(world: &'a World, ledger: &Ledger, count: u32, seats: u32) -> Self {
        world.unlock(ledger, seats).await;
        world.pull(ledger, 4).await;
        let strategies =
            STRATEGIES.map(|(name, json)| setting(SettingKind::Strategy, name, json)).into_iter().collect();
        ledger.execute(world.at(4), changes(strategies)).await.unwrap();
        let mut computers = Vec::new();
        for number in 0..count {
            computers.push(world.enrolled(ledger, &format!("pc-{number}")).await);
        }
        let row = world.staged("acme-av", 9, &["stable"]);
        ledger.execute(world.at(5), row.clone()).await.unwrap();
        let row = release(ledger, row.manifest).await;
        Self::of(world, computers, row)
    }

    /// The same computers, for another release.
    pub(super) fn with(world: &'a World, row: ReleaseRow, computers: Vec<Computer>) -> Self {
        Self::of(world, computers, row)
    }

    fn of(world: &'a World, mut computers: Vec<Computer>, row: ReleaseRow) -> Self {
        let salt = Salt::of(&world.server_id);
        computers.sort_by_key(|computer| position(&salt, &computer.name));
        Self { world, computers, number: 0, row }
    }

    /// A release is staged and approved by a strategy.
    pub(super) async fn approve(&mut self, ledger: &Ledger, counter: u64, strategy: &str) {
        let staged = self.world.staged("acme-av", counter, &["stable"]);
        let manifest = staged.manifest;
        ledger.execute(self.world.at(5), staged).await.unwrap();
        let approve = ApproveRelease { strategy: Some(word(strategy)), ..self.world.approve(manifest) };
        ledger.execute(self.world.at(6), approve).await.unwrap();
        self.row = release(ledger, manifest).await;
        self.number = self.row.rollout.unwrap();
    }

    /// Every computer says that it runs a release.
    pub(super) async fn run(&mut self, ledger: &Ledger, row: &ReleaseRow, seconds: i64) {
        for computer in &mut self.computers {
            computer.packages = vec![installed(row)];
            self.world.contacts(ledger, computer, seconds).await;
        }
    }

    /// What a look at all computers finds of the strategy `rings`; so many wait in the last ring.
    pub(super) fn populations(&self, waiting: u64) -> Vec<Population> {
        let salt = Salt::of(&self.world.server_id);
        let places: Vec<u64> =
            self.computers.iter().map(|computer| position(&salt, &computer.name)).collect();
        let mut before = 0;
        let mut found = Vec::new();
        for first in FIRST {
            let together = first.min(places.len());
            let members = (together - before) as u64;
            let below = Threshold::first(NonZeroUsize::new(first).unwrap(), places.clone());
            found.push(Population { members, heard_of: members, below, ..Population::default() });
            before = together;
        }
        let members = (places.len() - before) as u64;
        found.push(Population { members, waiting, heard_of: members, ..Population::default() });
        found
    }

    /// The first ring of a strategy that begins with two computers.
    pub(super) fn two_at_first(&self) -> Population {
        let salt = Salt::of(&self.world.server_id);
        let places = self.computers.iter().map(|computer| position(&salt, &computer.name)).collect();
        let below = Threshold::first(NonZeroUsize::new(2).unwrap(), places);
        Population { members: 2, heard_of: 2, below, ..Population::default() }
    }

    /// The same for a strategy with a single ring, by what was told so far.
    async fn found(&self, ledger: &Ledger) -> Vec<Population> {
        let rollout = rollout(ledger, self.number).await;
        if rollout.rings.len() == FIRST.len() + 1 {
            return self.populations(0);
        }
        let told = rollout.rings[0].counts;
        let told = told.under_way() + told.finished() + told.dropped;
        let members = self.computers.len() as u64;
        vec![Population { members, waiting: members - told, heard_of: members, ..Population::default() }]
    }

    /// The rollout was watched for so many minutes more.
    pub(super) async fn advance(&self, ledger: &Ledger, seconds: i64, minutes: i64) -> Advanced {
        let populations = self.found(ledger).await;
        let command = AdvanceRollouts {
            populations: self.of_all(ledger, &populations).await,
            ..self.blind(seconds, minutes)
        };
        ledger.execute(self.world.at(seconds), command).await.unwrap()
    }

    /// Every live rollout has these populations, as they are of one strategy.
    async fn of_all(
        &self,
        ledger: &Ledger,
        populations: &[Population],
    ) -> std::collections::BTreeMap<u64, Vec<Population>> {
        let live = ledger.query(Rollouts { before: None, open: true, limit: 100 }).await.unwrap();
        live.iter().map(|rollout| (rollout.number, populations.to_vec())).collect()
    }

    fn blind(&self, seconds: i64, minutes: i64) -> AdvanceRollouts {
        AdvanceRollouts {
            now: self.world.at(seconds),
            elapsed: SignedDuration::from_mins(minutes),
            populations: Default::default(),
            watched: Default::default(),
            after: Default::default(),
        }
    }

    /// Nobody looked at all computers.
    pub(super) async fn advance_blindly(&self, ledger: &Ledger, seconds: i64) -> Advanced {
        ledger.execute(self.world.at(seconds), self.blind(seconds, 0)).await.unwrap()
    }

    /// The server has watched the rollout for so many hours.
    pub(super) async fn advance_watched(&self, ledger: &Ledger, seconds: i64, hours: i64) -> Advanced {
        let watched = [(self.number, SignedDuration::from_hours(hours))].into();
        let command = AdvanceRollouts { watched, ..self.blind(seconds, 0) };
        ledger.execute(self.world.at(seconds), command).await.unwrap()
    }

    /// Whoever was told and did not come since counts as silent.
    pub(super) async fn finds_the_silent(&self, ledger: &Ledger, seconds: i64) -> Advanced {
        let watched = [(self.number, SignedDuration::from_hours(100))].into();
        let command = AdvanceRollouts { watched, ..self.blind(seconds + 90 * 3600, 0) };
        ledger.execute(self.world.at(seconds), command).await.unwrap()
    }

    /// Whether it is one of the first four by name.
    pub(super) fn is_by_hand(&self, at: usize) -> bool {
        self.computers[at].name.as_str() < "pc-4"
    }

    /// Whether a computer's newest assignment names the release.
    pub(super) fn holds(&self, at: usize) -> bool {
        let told = self.computers[at].assignment.iter().flat_map(|assignment| &assignment.packages);
        told.clone().any(|told| told.manifest == self.row.manifest)
    }

    /// A computer contacts. Whether it is told the release by the answer.
    pub(super) async fn is_told(&mut self, ledger: &Ledger, at: usize, seconds: i64) -> bool {
        let outcome = self.world.contacts(ledger, &mut self.computers[at], seconds).await;
        let told = outcome.assignment.iter().flat_map(|assignment| &assignment.packages);
        told.clone().any(|told| told.manifest == self.row.manifest)
    }

    /// A computer comes to run the release, and reports it; if it was not told yet, it comes for that first.
    pub(super) async fn succeeds(&mut self, ledger: &Ledger, at: usize, seconds: i64) {
        if !self.holds(at) {
            assert!(self.is_told(ledger, at, seconds).await, "computer {at} at {seconds} s");
        }
        self.computers[at].packages = vec![installed(&self.row)];
        self.reports(ledger, at, seconds, (InstallStep::Keep, Outcome::Ok)).await;
    }

    /// A computer refuses the release.
    pub(super) async fn fails(&mut self, ledger: &Ledger, at: usize, seconds: i64) {
        self.reports(ledger, at, seconds, (InstallStep::TestLoad, Outcome::Refused)).await;
    }

    /// A computer says what stopped it before its product was touched.
    pub(super) async fn is_stopped(
        &mut self,
        ledger: &Ledger,
        at: usize,
        seconds: i64,
        (step, reason): (InstallStep, ReasonCode),
    ) {
        self.says(ledger, at, seconds, (step, Outcome::Refused, Some(reason))).await;
    }

    async fn reports(&mut self, ledger: &Ledger, at: usize, seconds: i64, what: (InstallStep, Outcome)) {
        self.says(ledger, at, seconds, (what.0, what.1, None)).await;
    }

    async fn says(
        &mut self,
        ledger: &Ledger,
        at: usize,
        seconds: i64,
        what: (InstallStep, Outcome, Option<ReasonCode>),
    ) {
        let said = report(0, &self.row, what.0, what.1);
        let reason = what.2.unwrap_or(said.reason);
        self.says_all(ledger, at, seconds, vec![Report { reason, ..said }]).await;
    }

    /// A computer sends these reports about the release in one contact, with ids and the attempt that it was told.
    pub(super) async fn says_all(&mut self, ledger: &Ledger, at: usize, seconds: i64, reports: Vec<Report>) {
        let told = self.computers[at].assignment.iter().flat_map(|assignment| &assignment.packages);
        let mut told = told.filter(|told| told.manifest == self.row.manifest);
        let attempt = told.next().map_or(1, |told| told.attempt);
        self.says_of_attempt(ledger, at, seconds, attempt, reports).await;
    }

    /// As [`Rolling::says_all`], of an attempt that it may have been told before.
    pub(super) async fn says_of_attempt(
        &mut self,
        ledger: &Ledger,
        at: usize,
        seconds: i64,
        attempt: u32,
        reports: Vec<Report>,
    ) {
        let computer = &mut self.computers[at];
        let first = (u64::from(computer.contacts) + 1) * 100;
        let numbered = (first..).zip(reports).map(|(id, said)| Report { id, attempt, ..said });
        computer.reports = numbered.collect();
        self.world.contacts(ledger, computer, seconds).await;
        computer.reports.clear();
    }

    /// A step of the release as a computer reports it.
    pub(super) fn step(
        &self,
        step: InstallStep,
        outcome: Outcome,
        reason: ReasonCode,
        detail: &str,
    ) -> Report {
        Report { reason, detail: detail.to_owned(), ..report(0, &self.row, step, outcome) }
    }

    /// The release came this way, and so many bytes of it traveled.
    pub(super) fn came(&self, way: Way, payload: u64) -> Report {
        let bytes = TransferredBytes { metadata: 20, manifest: 3, payload };
        let came = self.step(InstallStep::Download, Outcome::Ok, ReasonCode::ByDelta, "");
        Report { way: Some(way), bytes: Some(bytes), ..came }
    }

    /// A computer comes to run the release, and reports nothing.
    pub(super) async fn runs_silently(&mut self, ledger: &Ledger, at: usize, seconds: i64) {
        self.computers[at].packages = vec![installed(&self.row)];
        self.world.contacts(ledger, &mut self.computers[at], seconds).await;
    }
}
