//! Two stores, one history: the same commands get the same answers, byte for byte, and leave the same log and lists.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use jiff::{SignedDuration, Timestamp};
use sealpost_ledger::store::{Read, ReadStore, WriteStore};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ComputerName, EnrollmentCode, Nonce, Platform};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome};
use sealpost_site::changes::summary;
use sealpost_site::commands::Command;
use sealpost_site::commands::contact::AnswerContact;
use sealpost_site::commands::licenses::RegisterSerial;
use sealpost_site::commands::pulls::PullFailed;
use sealpost_site::commands::releases::{NoteDelta, RefuseRelease, StageRelease};
use sealpost_site::queries::{
    Activity, ApprovedReleases, ClientByName, ClientKey, Clients, DeltaReleases, ExplainClient, Head,
    HolderById, KnownReleaseOf, KnownReleases, LastPull, Licenses, Query, Recipients, ReleaseByManifest,
    ReleaseCounts, Releases, Server, SetupOf, TimeFloor,
};
use sealpost_site::rules::release::ReleaseState;
use sealpost_test_support::world::{
    Computer, PACKAGES, World, admin, computer_name, installed, reject, report, reserve_for, serial, withdraw,
};

use crate::bench::{Bench, MemoryBench, SqliteBench};
use crate::fixture::sound;
use crate::random::Random;

/// Seconds between two commands: more than a test takes, so that license time is the test's.
const PACE: i64 = 1_000;

struct Pair {
    sqlite: Ledger,
    memory: Ledger,
}

impl Pair {
    async fn execute<C>(&self, now: Timestamp, command: C) -> Result<C::Answer, LedgerError>
    where
        C: Command + Clone + Debug,
        C::Answer: Debug,
        dyn WriteStore: Read<C::Facts>,
    {
        let sent = format!("{command:?}");
        let sqlite = self.sqlite.execute(now, command.clone()).await;
        let memory = self.memory.execute(now, command).await;
        assert_eq!(format!("{sqlite:?}"), format!("{memory:?}"), "{sent}");
        // The head's hash covers the bytes of all entries.
        assert_eq!(self.sqlite.head(), self.memory.head(), "{sent}");
        sqlite
    }

    async fn query<Q>(&self, query: Q) -> Q::Answer
    where
        Q: Query + Clone + Debug,
        Q::Answer: Debug,
        dyn ReadStore: Read<Q>,
    {
        let sqlite = self.sqlite.query(query.clone()).await.unwrap();
        let memory = self.memory.query(query.clone()).await.unwrap();
        assert_eq!(format!("{sqlite:?}"), format!("{memory:?}"), "{query:?}");
        sqlite
    }

    async fn close(self) {
        for ledger in [self.sqlite, self.memory] {
            sound(&ledger).await;
            ledger.close().await.unwrap();
        }
    }
}

/// A site to which random things happen.
struct Site<'a> {
    world: &'a World,
    pair: Pair,
    random: Random,
    now: i64,
    computers: BTreeMap<ComputerName, Computer>,
    /// The last contact of each, for retries.
    contacts: BTreeMap<ComputerName, AnswerContact>,
    staged: Vec<StageRelease>,
    generations: [u64; 2],
}

impl Site<'_> {
    fn now(&mut self) -> Timestamp {
        self.now += PACE;
        self.world.at(self.now)
    }

    fn pick(&mut self, limit: usize) -> usize {
        usize::try_from(self.random.below(limit as u64)).unwrap()
    }

    fn name(&mut self) -> String {
        format!("pc-{}", self.random.below(12))
    }

    async fn licensing(&mut self) {
        let now = self.now();
        let which = self.pick(2);
        self.generations[which] += self.random.below(2);
        let seats = u32::try_from(self.random.below(12)).unwrap();
        let mut grant = self.world.grant(self.generations[which], seats);
        grant.serial = serial(u8::try_from(which).unwrap() + 1);
        grant.epoch = 1 + self.random.below(2);
        let _ = self.pair.execute(now, self.world.accept_grant(grant)).await;
        if self.random.below(5) == 0 {
            let register = RegisterSerial { actor: admin(), serial: serial(3) };
            self.pair.execute(now, register).await.unwrap();
        }
    }

    async fn reserves(&mut self) {
        let (now, name) = (self.now(), self.name());
        let channel = ["stable", "beta"][self.pick(2)];
        let _ = self.pair.execute(now, reserve_for(&name, channel)).await;
    }

    async fn enrolls(&mut self) {
        let (now, name) = (self.now(), self.name());
        let mut computer = self.world.computer(&name);
        let mut code = [7; 24];
        code[..8].copy_from_slice(&self.random.0.to_le_bytes());
        computer.code = EnrollmentCode::from_random(code);
        if self.random.below(4) > 0 {
            let _ = self.pair.execute(now, computer.issue_setup()).await;
        }
        for _ in 0..1 + self.random.below(2) {
            if let Ok(outcome) = self.pair.execute(now, self.world.enroll(&computer)).await {
                computer.enrolled(&outcome);
                self.contacts.remove(&computer.name);
                self.computers.insert(computer.name.clone(), computer.clone());
            }
        }
    }

    async fn contacts(&mut self) {
        let now = self.now();
        let name = computer_name(&self.name());
        let Some(mut computer) = self.computers.get(&name).cloned() else { return };
        match self.random.below(12) {
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
                let _ = self.pair.execute(now, AnswerContact { contact }).await;
                return;
            }
            2 => computer.lease = None,
            3 => (computer.assignment, computer.grant) = (None, None),
            4 => computer.lease = Some((1, 1_000 + self.random.below(1_000))),
            _ => {}
        }
        if !self.staged.is_empty() && self.random.below(3) == 0 {
            let at = self.pick(self.staged.len());
            let manifest = self.staged[at].manifest;
            if let Some(row) = self.pair.query(ReleaseByManifest { manifest }).await {
                let outcome = [Outcome::Ok, Outcome::Refused][self.pick(2)];
                computer.reports = vec![report(self.random.below(40), &row, InstallStep::Keep, outcome)];
                computer.packages = vec![installed(&row)];
            }
        }
        let sent = self.world.answer(&computer);
        if let Ok(outcome) = self.pair.execute(now, sent.clone()).await {
            computer.answered(sent.contact.next.clone(), &outcome);
            computer.reports.clear();
            self.contacts.insert(name.clone(), sent);
            self.computers.insert(name, computer);
        }
    }

    async fn releases(&mut self) {
        let now = self.now();
        let known = (!self.staged.is_empty()).then(|| self.pick(self.staged.len()));
        let known = known.map(|at| self.staged[at].clone());
        match (self.random.below(10), known) {
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
            (_, Some(known)) => {
                let base = Sha256Digest::of(&[u8::try_from(self.random.below(3)).unwrap()]);
                let made = NoteDelta { base, target: known.manifest, bytes: self.random.below(3) };
                self.pair.execute(now, made).await.unwrap();
            }
        }
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

    /// Every question, about everything that is known and one thing that is not. Answers which kinds of changes happened.
    async fn asks_everything(&self) -> Vec<String> {
        let pair = &self.pair;
        pair.query(Server {}).await;
        pair.query(Head {}).await;
        // The floor follows how long the test takes.
        let floor = async |ledger: &Ledger| ledger.query(TimeFloor {}).await.unwrap().unwrap();
        let (sqlite, memory) = (floor(&pair.sqlite).await, floor(&pair.memory).await);
        assert!(sqlite.duration_since(memory).abs() < SignedDuration::from_mins(1), "{sqlite} {memory}");
        pair.query(Licenses {}).await;
        pair.query(ApprovedReleases {}).await;
        pair.query(ReleaseCounts {}).await;
        pair.query(LastPull {}).await;
        for limit in [1, 5, 1_000] {
            let after = Some(computer_name("pc-4"));
            for after in [None, after] {
                pair.query(Clients { after: after.clone(), limit }).await;
                pair.query(Recipients { after, limit }).await;
            }
            for after in [None, self.staged.first().map(|staged| staged.manifest)] {
                for state in ReleaseState::ALL.map(Some).into_iter().chain([None]) {
                    pair.query(Releases { state, after, limit }).await;
                }
                pair.query(KnownReleases { after, limit }).await;
                pair.query(DeltaReleases { after, limit }).await;
            }
        }
        let names = (0..12).map(|number| computer_name(&format!("pc-{number}")));
        for name in names.chain([computer_name("unknown")]) {
            pair.query(ClientByName { name: name.clone() }).await;
            pair.query(SetupOf { name: name.clone() }).await;
            pair.query(ExplainClient { name: name.clone() }).await;
            pair.query(Activity { client: Some(name), after: 5, ..Activity::default() }).await;
        }
        for computer in self.computers.values() {
            let client_id = computer.client_id.clone().unwrap();
            pair.query(ClientKey { client_id: client_id.clone() }).await;
            pair.query(HolderById { client_id }).await;
        }
        let manifests = self.staged.iter().map(|staged| staged.manifest);
        for manifest in manifests.chain([Sha256Digest::of(b"unknown")]) {
            pair.query(ReleaseByManifest { manifest }).await;
            pair.query(KnownReleaseOf { manifest }).await;
        }
        let mut after = 0;
        loop {
            let page = pair.query(Activity { after, ..Activity::default() }).await;
            let Some(last) = page.last() else { break };
            after = last.entry.sequence;
            let since = Some(last.entry.at);
            pair.query(Activity { since, limit: Some(3), ..Activity::default() }).await;
        }
        let mut kinds = Vec::new();
        for kind in summary::KINDS.map(str::to_owned) {
            let filter = Activity { kind: Some(kind.clone()), ..Activity::default() };
            if !pair.query(filter).await.is_empty() {
                kinds.push(kind);
            }
        }
        kinds
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_with_one_history_give_the_same_answers_and_the_same_log() {
    let mut kinds: BTreeSet<String> = BTreeSet::new();
    for seed in 0..3 {
        let world = World::new();
        let (sqlite, memory) = (SqliteBench::new(&world), MemoryBench::new(&world));
        let pair = Pair { sqlite: sqlite.open(), memory: memory.open() };
        let mut site = Site {
            world: &world,
            pair,
            random: Random(seed + 100),
            now: 0,
            computers: BTreeMap::new(),
            contacts: BTreeMap::new(),
            staged: Vec::new(),
            generations: [1, 1],
        };
        for round in 0..6 {
            for _ in 0..60 {
                match site.random.below(12) {
                    0 => site.licensing().await,
                    1 | 2 => site.reserves().await,
                    3 | 4 => site.enrolls().await,
                    5 => site.pulls().await,
                    6..=8 => site.releases().await,
                    _ => site.contacts().await,
                }
            }
            site.asks_everything().await;
            if round % 2 == 1 {
                let now = world.at(site.now);
                for ledger in [&site.pair.sqlite, &site.pair.memory] {
                    ledger.count_refusal(now, ProblemCode::NoLease, "pc-1");
                }
                site.pair.close().await;
                site.pair = Pair { sqlite: sqlite.open(), memory: memory.open() };
            }
        }
        kinds.extend(site.asks_everything().await);
        site.pair.close().await;
    }
    assert_eq!(kinds, summary::KINDS.map(str::to_owned).into(), "every kind of change is tried");
}
