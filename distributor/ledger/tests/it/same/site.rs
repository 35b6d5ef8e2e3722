//! A site to which random things happen, the same in two stores: also restores, cloned disks and lies.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sealpost_ledger::LedgerError;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::RegistrationReason;
use sealpost_manifests::ids::{ComputerName, Nonce, Platform, RequestId, Tag};
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::Epoch;
use sealpost_manifests::trust::CounterReset;
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::contact::{Drift, DriftKind};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome};
use sealpost_manifests::word::Word;
use sealpost_site::commands::clients::{ChangeChannel, Reserve};
use sealpost_site::commands::contact::AnswerContact;
use sealpost_site::commands::licenses::RegisterSerial;
use sealpost_site::commands::pulls::PullFailed;
use sealpost_site::commands::releases::{
    ApproveRelease, NoteDelta, RefuseRelease, ResetCounter, StageRelease,
};
use sealpost_site::commands::restores::{AcknowledgeRestore, DeclareRestore};
use sealpost_site::commands::rollouts::{AdvanceRollouts, Steer, SteerRollout};
use sealpost_site::commands::servers::AnnounceServers;
use sealpost_site::commands::settings::{ChangeMembers, ChangeSettings};
use sealpost_site::commands::starts::StartServer;
use sealpost_site::commands::test_loads::{NoteTestLoad, OverrideTestLoad};
use sealpost_site::commands::undoing::{HaltRelease, RetryRelease, WhoRunsIt};
use sealpost_site::queries::{ReleaseByManifest, Rollouts};
use sealpost_site::rules::restore::{NamedHead, RestoreCause};
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::rollouts::progress::{Population, Rollout};
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};
use sealpost_site::rules::test_load::{TestOutcome, Wanted};
use sealpost_test_support::world::{
    Computer, PACKAGES, TEST_PROGRAM, World, admin, channel, computer_name, era, installed, reconsider,
    reject, report, reserve_for, serial, token_commands, withdraw,
};

use super::pair::Pair;
use super::questions::Known;
use crate::random::Random;

/// Seconds between two commands: more than a test takes, so that license time is the test's.
const PACE: i64 = 1_000;

/// A site to which random things happen.
pub(crate) struct Site<'a> {
    world: &'a World,
    pub(crate) pair: Pair,
    random: Random,
    now: i64,
    computers: BTreeMap<ComputerName, Computer>,
    /// Copies of disks, as somebody made them some time ago.
    copies: BTreeMap<ComputerName, Computer>,
    /// The last contact of each, for retries.
    contacts: BTreeMap<ComputerName, AnswerContact>,
    staged: Vec<StageRelease>,
    generations: [u64; 2],
    /// The vendor's part of the epoch.
    epoch: u32,
    setups: u64,
    resets: u64,
    eras: u8,
    /// Everything that was ever there, also what a restore lost.
    pub(crate) known: Known,
}

impl<'a> Site<'a> {
    pub(crate) fn new(world: &'a World, pair: Pair, seed: u64) -> Self {
        let known = Known {
            names: (0..12).map(|number| computer_name(&format!("pc-{number}"))).collect(),
            serials: [1, 2, 3].map(serial).into(),
            bases: (0..3).map(|number| Sha256Digest::of(&[number])).collect(),
            ..Known::default()
        };
        Self {
            world,
            pair,
            random: Random(seed),
            now: 0,
            computers: BTreeMap::new(),
            copies: BTreeMap::new(),
            contacts: BTreeMap::new(),
            staged: Vec::new(),
            generations: [0, 0],
            epoch: 1,
            setups: 0,
            resets: 0,
            eras: 0,
            known,
        }
    }

    pub(crate) async fn step(&mut self) {
        match self.random.below(25) {
            0 => self.licensing().await,
            1 | 2 => self.reserves().await,
            3 | 4 => self.enrolls().await,
            5 => self.pulls().await,
            6..=8 => self.releases().await,
            20..=24 => self.rollouts().await,
            _ => self.contacts().await,
        }
    }

    pub(crate) fn now(&mut self) -> Timestamp {
        self.now += PACE;
        self.world.at(self.now)
    }

    fn pick(&mut self, limit: usize) -> usize {
        usize::try_from(self.random.below(limit as u64)).unwrap()
    }

    fn name(&mut self) -> String {
        format!("pc-{}", self.random.below(12))
    }

    /// An era that no restore has begun yet.
    fn era(&mut self) -> u8 {
        self.eras += 1;
        self.eras
    }

    /// Both serial numbers are unlocked, and the first pull is done.
    pub(crate) async fn begins(&mut self) {
        for id in [1, 2] {
            let now = self.now();
            self.pair.execute(now, self.world.accept_grant(self.world.grant_of(id, 0, 8))).await.unwrap();
        }
        let now = self.now();
        self.pair.execute(now, self.world.pulled(1)).await.unwrap();
        let (make, used, revoke, operate) = token_commands("alice");
        // Each at a time of its own, because one that takes long moves license time.
        let now = self.now();
        self.pair.execute(now, make).await.unwrap();
        let now = self.now();
        self.pair.execute(now, used).await.unwrap();
        let now = self.now();
        self.pair.execute(now, revoke).await.unwrap();
        let now = self.now();
        self.pair.execute(now, operate).await.unwrap();
        let now = self.now();
        self.pair.execute(now, StartServer { now }).await.unwrap();
    }

    /// Accounts, four eyes, and what waits for a second person.
    pub(crate) async fn people(&mut self) {
        macro_rules! run {
            ($command:expr) => {{
                let (now, command) = (self.now(), $command);
                self.pair.execute(now, command).await.unwrap();
            }};
        }
        let world = self.world;
        sealpost_test_support::people_happen!(world, run, self.now / sealpost_test_support::world::DAY + 30);
    }

    async fn licensing(&mut self) {
        let now = self.now();
        let which = self.pick(2);
        self.generations[which] += self.random.below(3).min(1);
        self.epoch += u32::from(self.random.below(3) == 0);
        let seats = 2 + u32::try_from(self.random.below(12)).unwrap();
        let id = u8::try_from(which).unwrap() + 1;
        let mut grant = self.world.grant_of(id, self.generations[which], seats);
        let older = u32::from(self.random.below(4) == 0);
        grant.epoch = Epoch::of(self.epoch - older.min(self.epoch - 1), 0);
        let asked = self.epoch;
        if self.random.below(2) == 0 {
            let _ = self.pair.execute(now, self.world.asks_to_confirm(asked)).await;
        }
        grant.request_id = self.world.asks_to_confirm(asked).request_id.into();
        let now = self.now();
        let _ = self.pair.execute(now, self.world.accept_grant(grant)).await;
        let now = self.now();
        match self.random.below(10) {
            0 | 1 => {
                let request_id = RequestId::from_random([u8::try_from(self.random.below(250)).unwrap(); 16]);
                let (serial, reason) = (serial(3), RegistrationReason::MoreSeats);
                let register = RegisterSerial { actor: admin(), serial, reason, request_id };
                self.pair.execute(now, register).await.unwrap();
            }
            2 => {
                let cause = RestoreCause::BackupRestored { head: self.pair.sqlite.head() };
                let new_era = era(self.era());
                let declared = DeclareRestore { actor: admin(), cause, new_era };
                self.pair.execute(now, declared).await.unwrap();
            }
            // Where there is nothing to acknowledge, both stores refuse it.
            6 | 7 => {
                let acknowledged = AcknowledgeRestore { actor: admin(), comment: "a backup".to_owned() };
                let _ = self.pair.execute(now, acknowledged).await;
            }
            3..=5 => {
                let ports = [16770, 443, 16771];
                let ways =
                    (0..=self.pick(2)).map(|at| self.world.way("primary.example", ports[at])).collect();
                let announced = AnnounceServers { actor: admin(), ways };
                self.pair.execute(now, announced).await.unwrap();
            }
            _ => drop(self.pair.execute(now, StartServer { now }).await.unwrap()),
        }
    }

    async fn reserves(&mut self) {
        let (now, name) = (self.now(), self.name());
        let channel = ["stable", "beta"][self.pick(2)];
        if self.random.below(3) == 0 {
            let name = computer_name(&name);
            let moved = ChangeChannel { actor: admin(), name, channel: self::channel(channel) };
            let _ = self.pair.execute(now, moved).await;
            return;
        }
        let wanted = [None, Some(serial(1)), Some(serial(2)), Some(serial(3))][self.pick(4)].clone();
        let command = Reserve { serial: wanted, ..reserve_for(&name, channel) };
        let _ = self.pair.execute(now, command).await;
    }

    async fn enrolls(&mut self) {
        let (now, name) = (self.now(), self.name());
        self.setups += 1;
        if self.random.below(4) > 0 {
            let _ = self.pair.execute(now, reserve_for(&name, "stable")).await;
        }
        let mut computer = self.world.computer(&name).with_setup(self.setups);
        if self.random.below(4) > 0 {
            let now = self.now();
            let _ = self.pair.execute(now, computer.issue_setup()).await;
        }
        for _ in 0..1 + self.random.below(2) {
            let now = self.now();
            if let Ok(outcome) = self.pair.execute(now, self.world.enroll(&computer)).await {
                computer.enrolled(&outcome);
                self.known.clients.insert(outcome.enrolled.client_id);
                self.contacts.remove(&computer.name);
                self.computers.insert(computer.name.clone(), computer.clone());
            }
        }
    }

    async fn contacts(&mut self) {
        let now = self.now();
        let name = computer_name(&self.name());
        let Some(mut computer) = self.computers.get(&name).cloned() else { return };
        match self.random.below(16) {
            0 => {
                if let Some(again) = self.contacts.get(&name).cloned() {
                    let _ = self.pair.execute(now, again).await;
                }
                return;
            }
            1 => {
                // A clone has the same past and another next nonce.
                let mut contact = self.world.contact(&computer);
                contact.next = Nonce::from_random([250; 16]);
                contact.previous = self.contacts.get(&name).and_then(|last| last.contact.previous.clone());
                let _ = self
                    .pair
                    .execute(
                        now,
                        AnswerContact { contact, shown: None, head: NamedHead::OfThisLog, came_by: None },
                    )
                    .await;
                return;
            }
            2 => computer.lease = None,
            3 => {
                computer.assignment = None;
                computer.grants.clear();
            }
            4 => {
                if let Some(lease) = &mut computer.lease {
                    lease.sequence += 1 + self.random.below(1_000);
                }
            }
            5 => {
                let size = self.random.below(50);
                computer.forked_head = Some(LogHead { size, root: Sha256Digest::of(b"another log") });
            }
            6 => {
                let mut copy = computer.clone();
                copy.contacts = copy.contacts.wrapping_add(120);
                copy.instance = Some(Sha256Digest::of(b"another machine"));
                self.copies.insert(name.clone(), copy);
            }
            7 => {
                // Somebody with a copy of its disk goes on in its place.
                let Some(copy) = self.copies.get(&name).cloned() else { return };
                self.contact(now, copy).await;
                return;
            }
            _ => {}
        }
        self.contact(now, computer).await;
    }

    /// A computer contacts; if the server knows less, it shows what it holds, as an agent does.
    async fn contact(&mut self, now: Timestamp, mut computer: Computer) {
        if !self.staged.is_empty() && self.random.below(3) == 0 {
            let at = self.pick(self.staged.len());
            let manifest = self.staged[at].manifest;
            if let Some(row) = self.pair.query(ReleaseByManifest { manifest }).await {
                let outcome = [Outcome::Ok, Outcome::Refused][self.pick(2)];
                computer.reports = vec![report(self.random.below(40), &row, InstallStep::Keep, outcome)];
                computer.packages = vec![installed(&row)];
                let package = row.release.package.clone();
                let kinds = [DriftKind::Missing, DriftKind::Link, DriftKind::Changed, DriftKind::NotStarted];
                let kind = kinds[self.pick(4)];
                let drifted = self.random.below(3) == 0;
                computer.drift = if drifted { vec![Drift { package, kind }] } else { Vec::new() };
            }
        }
        if self.random.below(6) == 0 {
            computer.tags = [vec![Tag::new("laptop").unwrap()], Vec::new()][self.pick(2)].clone();
        }
        let sent = self.world.answer(&computer);
        let mut answer = self.pair.execute(now, sent.clone()).await;
        if computer.lease.is_some() && answer.as_ref().is_err_and(knows_less) {
            let shown = self.world.answer_shown(&computer, self.era());
            let now = self.now();
            answer = self.pair.execute(now, shown).await;
        }
        if let Ok(outcome) = answer {
            computer.answered(sent.contact.next.clone(), &outcome);
            computer.reports.clear();
            computer.forked_head = None;
            self.known
                .heads
                .extend(outcome.lease.map(|lease| (lease.ledger_head.size, lease.ledger_head.root)));
            self.contacts.insert(computer.name.clone(), sent);
            self.computers.insert(computer.name.clone(), computer);
        }
    }

    async fn releases(&mut self) {
        let now = self.now();
        let known = (!self.staged.is_empty()).then(|| self.pick(self.staged.len()));
        let known = known.map(|at| self.staged[at].clone());
        match (self.random.below(20), known) {
            (0..=3, _) | (_, None) => {
                let package = PACKAGES[self.pick(PACKAGES.len())];
                let channels: &[&str] = [&["stable"][..], &["beta"], &["beta", "stable"], &[]][self.pick(4)];
                let mut staged = self.world.staged(package, self.random.below(9), channels);
                staged.release.platform = Platform::new(["any", "linux-x86_64"][self.pick(2)]).unwrap();
                staged.manifest = Sha256Digest::of(staged.release.to_string().as_bytes());
                if self.random.below(5) == 0 {
                    let (release, manifest) = (staged.release.clone(), staged.manifest);
                    let problems = vec!["file a is missing".to_owned(), format!("at {now}")];
                    let _ = self.pair.execute(now, RefuseRelease { release, manifest, problems }).await;
                } else {
                    let _ = self.pair.execute(now, staged.clone()).await;
                }
                self.known.releases.push((staged.release.clone(), staged.manifest));
                self.staged.push(staged);
            }
            (4..=6, Some(known)) => {
                let _ = self.pair.execute(now, self.world.approve(known.manifest)).await;
            }
            (7, Some(known)) => {
                let _ = self.pair.execute(now, reject(known.manifest, "too big")).await;
            }
            (8, Some(known)) => {
                let _ = self.pair.execute(now, withdraw(known.manifest, "crashes")).await;
            }
            (9, Some(known)) => {
                self.resets += self.random.below(2);
                let reset = CounterReset {
                    package: known.release.package,
                    counter: ReleaseCounter(self.random.below(12)),
                    number: self.resets,
                };
                self.pair.execute(now, ResetCounter { reset }).await.unwrap();
            }
            (10 | 11, Some(known)) => {
                let runs = [WhoRunsIt::Keeps, WhoRunsIt::GoesBack][self.pick(2)];
                let reason = "it crashes".to_owned();
                let halt = HaltRelease { actor: admin(), manifest: known.manifest, reason, runs };
                let _ = self.pair.execute(now, halt).await;
            }
            (12, Some(known)) => {
                let _ = self.pair.execute(now, reconsider(known.manifest)).await;
            }
            (13, Some(known)) => {
                let names =
                    if self.random.below(2) == 0 { Vec::new() } else { vec![computer_name(&self.name())] };
                let retry = RetryRelease {
                    actor: admin(),
                    manifest: known.manifest,
                    names,
                    comment: "mended".to_owned(),
                };
                let _ = self.pair.execute(now, retry).await;
            }
            (14, Some(known)) => {
                let channels = Some(vec![channel(["stable", "beta"][self.pick(2)])]);
                let approve = ApproveRelease { channels, ..self.world.approve(known.manifest) };
                let _ = self.pair.execute(now, approve).await;
            }
            (15 | 16, Some(known)) => {
                let outcome = TestOutcome::ALL[self.pick(4)];
                let program = Sha256Digest::of([TEST_PROGRAM, "another"][self.pick(2)].as_bytes());
                let detail = ["", "bad set"][self.pick(2)].to_owned();
                let note = NoteTestLoad { manifest: known.manifest, program, outcome, detail };
                self.pair.execute(now, note).await.unwrap();
            }
            (17, Some(known)) => {
                let comment = "it is known".to_owned();
                let lets = OverrideTestLoad { actor: admin(), manifest: known.manifest, comment };
                let _ = self.pair.execute(now, lets).await;
            }
            (18, Some(known)) => {
                let test_load = Wanted::By(Sha256Digest::of(TEST_PROGRAM.as_bytes()));
                let approve = ApproveRelease { test_load, ..self.world.approve(known.manifest) };
                let _ = self.pair.execute(now, approve).await;
            }
            (_, Some(known)) => {
                let base = Sha256Digest::of(&[u8::try_from(self.random.below(3)).unwrap()]);
                let made = NoteDelta { base, target: known.manifest, bytes: self.random.below(3) };
                self.pair.execute(now, made).await.unwrap();
            }
        }
    }

    async fn rollouts(&mut self) {
        let now = self.now();
        let known = (!self.staged.is_empty()).then(|| self.pick(self.staged.len()));
        let known = known.map(|at| self.staged[at].clone());
        match (self.random.below(13), known) {
            (0, _) => self.settings(now).await,
            (1, _) => {
                let mut names = || (0..3).map(|_| computer_name(&self.name())).collect::<Vec<_>>();
                let (add, remove) = (names(), names());
                let group = GroupName::new(["pilots", "lab"][self.pick(2)]).unwrap();
                let comment = "moved".to_owned();
                let change = ChangeMembers { actor: admin(), group, add, remove, comment };
                let _ = self.pair.execute(now, change).await;
            }
            (2 | 3, Some(known)) => {
                let strategy = self.strategy();
                let emergency = self.random.below(4) == 0;
                let approve = self.world.approve(known.manifest);
                let approve = ApproveRelease { strategy: Some(strategy), emergency, ..approve };
                let _ = self.pair.execute(now, approve).await;
            }
            (4, Some(known)) => {
                let mandatory = self.random.below(2) == 0;
                let _ = self.pair.execute(now, StageRelease { mandatory, ..known }).await;
            }
            (4, _) => {}
            (5..=7, _) => self.steers(now).await,
            (9, Some(known)) => {
                // Of those that failed, and of one that is named.
                for names in [Vec::new(), vec![computer_name(&self.name())]] {
                    let retry = RetryRelease {
                        actor: admin(),
                        manifest: known.manifest,
                        names,
                        comment: "mended".to_owned(),
                    };
                    let _ = self.pair.execute(now, retry).await;
                }
            }
            (8, Some(known)) => {
                let _ = self.pair.execute(now, reconsider(known.manifest)).await;
            }
            _ => self.advances(now).await,
        }
    }

    fn strategy(&mut self) -> Word {
        Word::new(["normal", "signatures", "careful", "capped", "everyone-now"][self.pick(5)]).unwrap()
    }

    async fn settings(&mut self, now: Timestamp) {
        let ring = |name, takes| serde_json::json!({"name": name, "takes": takes, "concurrent": 2, "per_hour": 3, "soak_minutes": 1});
        let rings = [ring("pilots", serde_json::json!({"group": "pilots"})), ring("all", "everyone".into())];
        let of = |target| serde_json::json!({"of": target, "package": "acme-av"});
        let mut pin = of(serde_json::json!({"group": "lab"}));
        pin["version"] = "3.0".into();
        let window = serde_json::json!({"days": ["monday", "saturday"], "from": "22:30", "length_minutes": 600, "zone": "Europe/Berlin"});
        let link = |subnet| serde_json::json!({"subnets": [subnet], "rate": "2 MB/s", "concurrent": 3});
        let all = [
            (
                SettingKind::Group,
                "pilots",
                serde_json::json!({"rule": {"tags": ["laptop"]}, "delivery": "poll"}),
            ),
            (SettingKind::Group, "pilots", serde_json::json!({"rule": {"tags": ["laptop"]}, "rank": 2})),
            (SettingKind::Group, "lab", serde_json::json!({"delivery": "manual"})),
            (SettingKind::Strategy, "capped", serde_json::json!({"rings": rings})),
            (SettingKind::Window, "night", window),
            (SettingKind::Property, "delivery", "window:night".into()),
            (SettingKind::Package, "acme-sigs", serde_json::json!({"content": {"delayed": 24}})),
            (SettingKind::Block, "one", of(serde_json::json!({"computer": "pc-1"}))),
            (SettingKind::Block, "all", serde_json::json!({"of": {"computer": "pc-2"}})),
            (SettingKind::Pin, "lab", pin),
        ];
        let change = |(kind, name, value): (SettingKind, &str, serde_json::Value), keeps: bool| {
            SettingChange { key: SettingKey { kind, name: name.to_owned() }, value: keeps.then_some(value) }
        };
        let changes = (0..1 + self.pick(6)).map(|_| {
            let at = self.pick(all.len());
            change(all[at].clone(), self.random.below(5) > 0)
        });
        let mut changes: Vec<SettingChange> = changes.collect();
        // With what was drawn, so that nothing else is drawn otherwise.
        let (name, subnet) = [("north", "10.2.0.0/16"), ("south", "10.3.0.0/16")][changes.len() % 2];
        let keeps = changes.iter().any(|change| change.value.is_some());
        changes.push(change((SettingKind::Link, name, link(subnet)), keeps));
        let (actor, comment) = (admin(), String::new());
        let command = ChangeSettings { actor, changes, comment, expected: None, confirms: None };
        let _ = self.pair.execute(now, command).await;
    }

    /// A rollout, if there is one; also one that has ended.
    async fn rollout(&mut self) -> Option<Rollout> {
        let open = self.random.below(3) > 0;
        let mut all = self.pair.query(Rollouts { before: None, open, limit: 20 }).await;
        let at = (!all.is_empty()).then(|| self.pick(all.len()))?;
        Some(all.swap_remove(at))
    }

    async fn steers(&mut self, now: Timestamp) {
        let Some(rollout) = self.rollout().await else { return };
        let what = match self.random.below(9) {
            0 | 1 => Steer::Pause,
            2 | 3 => Steer::Resume,
            4 | 5 => {
                let next = rollout.current_ring().map_or(0, |ring| ring + 1);
                let populations = Some(self.populations(&rollout));
                Steer::Next { ring: u32::try_from(next).unwrap(), populations }
            }
            6 => Steer::Abort { roll_back: self.random.below(2) == 0 },
            _ => Steer::Edit { strategy: self.strategy(), emergency: self.random.below(2) == 0 },
        };
        let comment = "a look".to_owned();
        let steer = SteerRollout { actor: admin(), number: rollout.number, what, comment, confirms: None };
        let _ = self.pair.execute(now, steer).await;
    }

    /// What a look at all computers may have found.
    fn populations(&mut self, rollout: &Rollout) -> Vec<Population> {
        let one = |random: &mut Random| Population {
            members: random.below(3),
            waiting: random.below(2),
            running: random.below(3),
            heard_of: 1,
            below: Some(
                ["3fffffffffffffff", "ffffffffffffffff"][usize::from(random.below(2) == 0)].parse().unwrap(),
            ),
        };
        rollout.rings.iter().map(|_| one(&mut self.random)).collect()
    }

    async fn advances(&mut self, now: Timestamp) {
        let live = self.pair.query(Rollouts { before: None, open: true, limit: 100 }).await;
        let hours =
            |random: &mut Random, limit| SignedDuration::from_hours(random.below(limit).cast_signed());
        let mut populations = BTreeMap::new();
        let mut watched = BTreeMap::new();
        for rollout in &live {
            if self.random.below(5) > 0 {
                populations.insert(rollout.number, self.populations(rollout));
            }
            watched.insert(rollout.number, hours(&mut self.random, 30));
        }
        let elapsed = hours(&mut self.random, 60);
        self.pair
            .execute(now, AdvanceRollouts { now, elapsed, populations, watched, after: [].into() })
            .await
            .unwrap();
    }

    async fn pulls(&mut self) {
        let now = self.now();
        match self.random.below(3) {
            0 => {
                let reason = format!("no route {}", self.random.below(2));
                self.pair.execute(now, PullFailed { reason }).await.unwrap();
            }
            _ => self.pair.execute(now, self.world.pulled(self.random.below(3))).await.unwrap(),
        }
    }
}

/// Whether a refusal asks the computer to show what it holds.
fn knows_less(error: &LedgerError) -> bool {
    match error {
        LedgerError::Refused(problem) => matches!(
            problem.code,
            ProblemCode::NonceUnknown | ProblemCode::UnknownComputer | ProblemCode::LedgerBehind
        ),
        _ => false,
    }
}
