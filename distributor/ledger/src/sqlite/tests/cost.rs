//! What a contact costs on the writer's connection: statements, plans, steps, and frames of the write-ahead log; and that a
//! status costs no statement for each computer.
//!
//! The contacts go through a running ledger, one by one: what is counted is what a server does for each.

mod listing;
mod reserving;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, StatementStatus};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::log::{ProofPlan, verify_consistency};
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report, TransferredBytes, Way};
use sealpost_manifests::word::Word;
use sealpost_site::commands::contact::ContactOutcome;
use sealpost_site::commands::releases::ApproveRelease;
use sealpost_site::commands::rollouts::AdvanceRollouts;
use sealpost_site::commands::settings::{ChangeMembers, ChangeSettings};
use sealpost_site::queries::{
    Drifted, Endings, Failing, Fleet, Followers, LastPull, Licenses, LogForks, MAX_PAGE, NotStarted,
    Refusals, RefusedGrants, ReleaseByManifest, ReleaseCounts, Releases, Restores,
};
use sealpost_site::rules::restore::NamedHead;
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::rollouts::progress::Population;
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};
use sealpost_site::rules::troubles::Bounds;
use sealpost_test_support::world::{
    Computer, World, admin, computer_name, installed, reject, report, reserve,
};

use super::LedgerFile;
use super::long_log::{LongLog, MILLION};
use crate::grants::TrustedGrants;
use crate::sqlite::SqliteStore;
use crate::sqlite::connection::open_read_only;
use crate::sqlite::store::SqliteReader;
use crate::store::{ReadStore, Split, Store, StoreError};
use crate::{Ledger, LedgerSettings};

/// One frame: a page and its header, in bytes.
const FRAME_BYTES: u64 = 4096 + 24;
const HOUR: i64 = 3600;

/// What ran on the writer's connection.
#[derive(Debug, Default)]
struct Trace {
    /// The statements' texts, in the order in which they began.
    begun: Vec<String>,
    /// Their counters, in the order in which they ended.
    ended: Vec<Counters>,
}

/// The counters of a prepared statement as one of its runs ended.
#[derive(Debug, Clone)]
struct Counters {
    sql: String,
    /// How often it was run since it was prepared.
    runs: i32,
    /// How often it was planned again.
    planned_again: i32,
    /// How often it had to sort rows itself.
    sorts: i32,
    /// Instructions of SQLite's machine since it was prepared.
    steps: i32,
}

/// A statement's verb and its table.
fn short(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().collect();
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    match word(0) {
        "SELECT" => {
            // A column may be a query of its own: the last table is the statement's.
            let from = words.iter().rposition(|word| *word == "FROM").map_or(0, |at| at + 1);
            format!("SELECT {}", word(from))
        }
        "INSERT" if word(1) == "OR" => format!("INSERT {}", word(4)),
        "INSERT" => format!("INSERT {}", word(2)),
        "UPDATE" => format!("UPDATE {}", word(1)),
        "DELETE" => format!("DELETE {}", word(2)),
        _ => sql.to_owned(),
    }
}

/// The store with a trace of its writer's connection, which never folds the write-ahead log into the file, and one of
/// its readers.
struct TracedStore {
    store: SqliteStore,
    path: PathBuf,
    trace: Arc<Mutex<Trace>>,
    reads: Arc<Mutex<Trace>>,
}

impl Store for TracedStore {
    fn split(self: Box<Self>, readers: usize, grants: &Arc<TrustedGrants>) -> Result<Split, StoreError> {
        let Self { store, path, trace, reads } = *self;
        let (mut writer, _) = store.into_parts(0, grants)?;
        writer.connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        record(&mut writer.connection, trace)?;
        let mut traced: Vec<Box<dyn ReadStore>> = Vec::new();
        for _ in 0..readers {
            let mut connection = open_read_only(&path)?;
            record(&mut connection, Arc::clone(&reads))?;
            traced.push(Box::new(SqliteReader::new(connection, Arc::clone(grants))));
        }
        Ok(Split { writer: Box::new(writer), readers: traced })
    }
}

/// Traces what runs on a connection.
fn record(connection: &mut Connection, trace: Arc<Mutex<Trace>>) -> rusqlite::Result<()> {
    let record = move |event: TraceEvent<'_>| match event {
        TraceEvent::Stmt(statement, _) => trace.lock().unwrap().begun.push(statement.sql().into_owned()),
        TraceEvent::Profile(statement, _) => trace.lock().unwrap().ended.push(Counters {
            sql: statement.sql().into_owned(),
            runs: statement.get_status(StatementStatus::Run),
            planned_again: statement.get_status(StatementStatus::RePrepare),
            sorts: statement.get_status(StatementStatus::Sort),
            steps: statement.get_status(StatementStatus::VmStep),
        }),
        _ => {}
    };
    let events = TraceEventCodes::SQLITE_TRACE_STMT | TraceEventCodes::SQLITE_TRACE_PROFILE;
    connection.trace_v2(events, Some(record))
}

/// A server with an approved release.
struct Server {
    world: World,
    ledger: Ledger,
    trace: Arc<Mutex<Trace>>,
    reads: Arc<Mutex<Trace>>,
    log: PathBuf,
    release: Sha256Digest,
    _file: LedgerFile,
}

impl Server {
    async fn new() -> Self {
        let world = World::new();
        let file = LedgerFile::new(&world);
        Self::over(world, file).await
    }

    async fn over(world: World, file: LedgerFile) -> Self {
        let [trace, reads] = [(); 2].map(|()| Arc::new(Mutex::new(Trace::default())));
        let (store, path) = (SqliteStore::open(&file.path()).unwrap(), file.path());
        let store = TracedStore { store, path, trace: Arc::clone(&trace), reads: Arc::clone(&reads) };
        let ledger = Ledger::start(Box::new(store), LedgerSettings::default()).unwrap();
        ledger.adopt_trust(Arc::new(world.trust()));
        ledger.execute(world.at(1), world.accept_grant(world.grant(1, 1_000))).await.unwrap();
        ledger.execute(world.at(2), world.pulled(1)).await.unwrap();
        let staged = world.staged("acme-av", 1, &["stable"]);
        let release = staged.manifest;
        ledger.execute(world.at(3), staged).await.unwrap();
        ledger.execute(world.at(4), world.approve(release)).await.unwrap();
        let log = file.folder.path().join("ledger.db-wal");
        let server = Self { world, ledger, trace, reads, log, release, _file: file };
        // The plan was changed by the approval, and is read by the first contact after it.
        let mut first = server.enrolled("first").await;
        server.contact(&mut first, 9).await;
        server
    }

    async fn enrolled(&self, name: &str) -> Computer {
        let (world, ledger) = (&self.world, &self.ledger);
        let mut computer = world.computer(name);
        ledger.execute(world.at(5), reserve(name)).await.unwrap();
        ledger.execute(world.at(5), computer.issue_setup()).await.unwrap();
        computer.enrolled(&ledger.execute(world.at(6), world.enroll(&computer)).await.unwrap());
        computer
    }

    /// A computer that runs what it should, and has said so.
    async fn settled(&self, name: &str) -> Computer {
        let mut computer = self.enrolled(name).await;
        self.contact(&mut computer, 10).await;
        let manifest = self.release;
        let row = self.ledger.query(ReleaseByManifest { manifest }).await.unwrap().unwrap();
        computer.packages = vec![installed(&row)];
        self.contact(&mut computer, 20).await;
        computer
    }

    async fn contact(&self, computer: &mut Computer, seconds: i64) -> ContactOutcome {
        let sent = self.world.answer(computer);
        let next = sent.contact.next.clone();
        let outcome = self.ledger.execute(self.world.at(seconds), sent).await.unwrap();
        computer.answered(next, &outcome);
        outcome
    }

    async fn quiet_contact(&self, computer: &mut Computer, seconds: i64) {
        let outcome = self.contact(computer, seconds).await;
        assert!(outcome.lease.is_none() && outcome.assignment.is_none() && outcome.grants.is_empty());
    }

    /// What ran since the last time.
    fn traced(&self) -> Trace {
        std::mem::take(&mut *self.trace.lock().unwrap())
    }

    /// Bytes of the write-ahead log.
    fn log_bytes(&self) -> u64 {
        std::fs::metadata(&self.log).unwrap().len()
    }
}

impl Trace {
    fn begun(&self) -> Vec<String> {
        self.begun.iter().map(|sql| short(sql)).collect()
    }

    /// The counters of the last run of a statement.
    fn counters(&self, statement: &str) -> &Counters {
        self.ended.iter().rev().find(|counters| short(&counters.sql) == statement).unwrap()
    }
}

const QUIET: [&str; 6] =
    ["BEGIN IMMEDIATE", "SELECT server", "SAVEPOINT command", "INSERT contacts", "RELEASE command", "COMMIT"];

/// A first contact that brings a lease and an assignment.
const FIRST: [&str; 24] = [
    "BEGIN IMMEDIATE",
    "SELECT server",
    // Its reservation in the log: once for each computer and seat.
    "SELECT activity",
    // It may have been in a ring before it was set up again.
    "SELECT rings",
    "SAVEPOINT command",
    // The lease of one seat, then the assignment of one release.
    "INSERT activity",
    "UPDATE clients",
    "UPDATE reservations",
    "INSERT activity",
    "UPDATE clients",
    "DELETE assigned",
    "INSERT assigned",
    // The rollout of the release, and its counts.
    "SELECT deliveries",
    "UPDATE deliveries",
    "INSERT deliveries",
    "UPDATE rings",
    "UPDATE rings",
    // What was sent, and what the computer said of itself.
    "INSERT sent",
    "INSERT sent",
    "INSERT seen",
    "DELETE installed",
    "INSERT contacts",
    "RELEASE command",
    "COMMIT",
];

#[tokio::test]
async fn a_quiet_contact_is_six_statements_and_each_is_planned_once() {
    let server = Server::new().await;
    let mut computers = Vec::new();
    for number in 0..5 {
        computers.push(server.settled(&format!("pc-{number}")).await);
    }
    // The last one was told what to install: how far the rings are is read again.
    server.quiet_contact(&mut computers[0], 60).await;
    let mut runs: Vec<i32> =
        QUIET.map(|statement| server.trace.lock().unwrap().counters(statement).runs).into();
    server.traced();
    for hour in 1..5 {
        for computer in &mut computers {
            server.quiet_contact(computer, hour * HOUR).await;
            let trace = server.traced();
            assert_eq!(trace.begun(), QUIET);
            assert_eq!(trace.ended.len(), QUIET.len());
            for (statement, runs) in QUIET.iter().zip(&mut runs) {
                let counters = trace.counters(statement);
                assert_eq!((counters.planned_again, counters.sorts), (0, 0), "{counters:?}");
                *runs += 1;
                assert_eq!(counters.runs, *runs, "it was prepared anew: {counters:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_head_that_a_computer_names_is_looked_up_once_and_then_remembered() {
    let server = Server::new().await;
    let computer = server.settled("pc-1").await;
    let looked_up = async || {
        std::mem::take(&mut *server.reads.lock().unwrap());
        let judged = server.ledger.judge_head(computer.held_head).await.unwrap();
        assert_eq!(judged, NamedHead::OfThisLog);
        server.reads.lock().unwrap().begun().len()
    };
    assert!(looked_up().await > 0);
    assert_eq!(looked_up().await, 0);
}

#[tokio::test]
async fn a_first_contact_with_a_lease_and_an_assignment_is_twenty_four_statements() {
    let server = Server::new().await;
    server.settled("pc-0").await;
    let mut computer = server.enrolled("pc-1").await;
    server.traced();
    let outcome = server.contact(&mut computer, 10).await;
    assert!(outcome.lease.is_some() && outcome.assignment.is_some());
    let trace = server.traced();
    assert_eq!(trace.begun(), FIRST);
    assert!(trace.ended.iter().all(|counters| counters.planned_again == 0));
}

/// Most hashes of a consistency proof at a million entries: what keeps an answer within 2 KiB.
const MAX_MILLION_HASHES: usize = 21;

#[tokio::test]
async fn at_a_million_entries_a_contact_costs_the_same_and_its_proof_has_at_most_21_hashes() {
    let world = World::new();
    let file = LedgerFile::new(&world);
    let connection = Connection::open(file.path()).unwrap();
    let sql =
        "SELECT leaf FROM activity WHERE sequence = (SELECT max(sequence) FROM activity) AND sequence = 1";
    let first: [u8; 32] = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    drop(connection);
    let long = LongLog::after(Sha256Digest::from_bytes(first));
    let held = [1, 7, 524_287, 524_289, 654_321, 983_039, 999_999, MILLION];
    long.write(&file.path());
    let server = Server::over(world, file).await;
    server.settled("pc-first").await;

    for (number, held) in held.into_iter().enumerate() {
        let mut computer = server.enrolled(&format!("pc-{number}")).await;
        let held = long.head(held);
        computer.held_head = Some(held);
        server.traced();
        let outcome = server.contact(&mut computer, 10).await;
        assert_eq!(server.traced().begun(), FIRST, "held {}", held.size);
        assert!(outcome.assignment.is_some());
        let head = outcome.lease.unwrap().ledger_head;
        assert!(head.size >= MILLION, "{head:?}");

        std::mem::take(&mut *server.reads.lock().unwrap());
        let plan = ProofPlan::consistency(held.size, head.size).unwrap();
        let looked_up = plan.nodes().len();
        let proof = server.ledger.prove(plan).await.unwrap().unwrap();
        verify_consistency(&held, &head, &proof).unwrap();
        assert!(proof.len() <= MAX_MILLION_HASHES, "held {}: {} hashes", held.size, proof.len());
        let reads = server.reads.lock().unwrap().begun();
        assert_eq!(reads, vec!["SELECT activity"; looked_up], "one look-up for each node");
        assert!(looked_up <= 2 * MAX_MILLION_HASHES, "held {}: {looked_up} look-ups", held.size);
    }
}

#[tokio::test]
async fn a_quiet_contact_that_commits_alone_is_one_frame_of_the_write_ahead_log() {
    let server = Server::new().await;
    let mut computers = Vec::new();
    // More rows than fit into a page.
    for number in 0..60 {
        computers.push(server.settled(&format!("pc-{number}")).await);
    }
    let mut before = server.log_bytes();
    for hour in 1..6 {
        for computer in &mut computers {
            server.quiet_contact(computer, hour * HOUR).await;
            let after = server.log_bytes();
            assert_eq!(after - before, FRAME_BYTES, "{} at hour {hour}", computer.name);
            before = after;
        }
    }
}

#[tokio::test]
async fn a_quiet_contact_costs_the_same_however_many_computers_and_undecided_releases_there_are() {
    let server = Server::new().await;
    let mut computer = server.settled("pc-1").await;
    let mut steps_of = async |seconds: i64| {
        let steps = |trace: &Trace| QUIET.map(|statement| trace.counters(statement).steps);
        server.quiet_contact(&mut computer, seconds).await;
        let before = steps(&server.traced());
        server.quiet_contact(&mut computer, seconds + 60).await;
        let after = steps(&server.traced());
        QUIET.iter().enumerate().map(|(at, _)| after[at] - before[at]).collect::<Vec<_>>()
    };
    let few = steps_of(HOUR).await;
    for number in 0..100 {
        server.enrolled(&format!("other-{number}")).await;
        let staged = server.world.staged("acme-av", 100 + number, &["stable"]);
        let manifest = staged.manifest;
        server.ledger.execute(server.world.at(7), staged).await.unwrap();
        if number % 2 == 0 {
            server.ledger.execute(server.world.at(8), reject(manifest, "no")).await.unwrap();
        }
    }
    assert_eq!(steps_of(2 * HOUR).await, few);
}

/// A contact of a computer that is told by a rollout: beside the assignment, one row of its own and the counts of its ring.
const TOLD: [&str; 17] = [
    "BEGIN IMMEDIATE",
    "SELECT server",
    // The one before was told too, so that they stand otherwise now.
    "SELECT rings",
    "SAVEPOINT command",
    "INSERT activity",
    "UPDATE clients",
    "DELETE assigned",
    "INSERT assigned",
    "SELECT deliveries",
    // What it was told before of the package is not the newest any more.
    "UPDATE deliveries",
    "INSERT deliveries",
    // So many were told, and so many in this hour.
    "UPDATE rings",
    "UPDATE rings",
    "INSERT sent",
    "INSERT contacts",
    "RELEASE command",
    "COMMIT",
];
/// What is read when a plan was changed.
const PLAN: [&str; 4] = ["SELECT settings", "SELECT rollouts", "SELECT rings", "SELECT releases"];

/// Settings of every kind, and a release that goes out by rings with caps, of which the first is open for the computers
/// up to a place.
async fn goes_out(server: &Server, counter: u64, below: &str) -> u64 {
    let (world, ledger) = (&server.world, &server.ledger);
    let set = |kind, name: &str, json: &str| SettingChange {
        key: SettingKey { kind, name: name.to_owned() },
        value: Some(serde_json::from_str(json).unwrap()),
    };
    let window =
        r#"{"days":["monday","saturday"],"from":"22:30","length_minutes":120,"zone":"Europe/Berlin"}"#;
    let rings = r#"{"rings":[{"name":"canary","takes":{"first":2},"concurrent":5,"per_hour":5},
        {"name":"lab","takes":{"group":"group-3"}},{"name":"everyone","takes":"everyone","concurrent":9}]}"#;
    let mut changes = vec![
        set(SettingKind::Window, "night", window),
        set(SettingKind::Block, "one", r#"{"of":{"computer":"pc-4711"}}"#),
        set(SettingKind::Pin, "one", r#"{"of":{"computer":"pc-4711"},"package":"acme-av","version":"1.0"}"#),
    ];
    for number in 0..10 {
        let group = r#"{"rule":{"tags":["laptop"],"names":["x-*"]},"delivery":"window:night"}"#;
        changes.push(set(SettingKind::Group, &format!("group-{number}"), group));
    }
    changes.push(set(SettingKind::Strategy, "capped", rings));
    let change =
        ChangeSettings { actor: admin(), changes, comment: String::new(), expected: None, confirms: None };
    ledger.execute(world.at(30), change).await.unwrap();
    let group = GroupName::new("group-3").unwrap();
    let add = vec![computer_name("pc-4711"), computer_name("pc-4712")];
    let members = ChangeMembers { actor: admin(), group, add, remove: Vec::new(), comment: String::new() };
    ledger.execute(world.at(30), members).await.unwrap();
    let staged = world.staged("acme-av", counter, &["stable"]);
    let manifest = staged.manifest;
    ledger.execute(world.at(31), staged).await.unwrap();
    let strategy = Some(Word::new("capped").unwrap());
    ledger.execute(world.at(32), ApproveRelease { strategy, ..world.approve(manifest) }).await.unwrap();
    let row = ledger.query(ReleaseByManifest { manifest }).await.unwrap().unwrap();
    let number = row.rollout.unwrap();
    let first = Population { members: 2, below: Some(below.parse().unwrap()), ..Population::default() };
    let advance = AdvanceRollouts {
        now: world.at(33),
        elapsed: SignedDuration::ZERO,
        populations: [(number, vec![first, Population::default(), Population::default()])].into(),
        watched: [].into(),
        after: [].into(),
    };
    assert!(ledger.execute(world.at(33), advance).await.unwrap().opened);
    number
}

#[tokio::test]
async fn rings_windows_caps_and_groups_cost_a_quiet_contact_no_statement_and_no_page() {
    let server = Server::new().await;
    let mut computers = Vec::new();
    for number in 0..3 {
        computers.push(server.settled(&format!("pc-{number}")).await);
    }
    goes_out(&server, 2, "0000000000000000").await;
    server.traced();
    // The first one reads the plan, which was changed.
    server.quiet_contact(&mut computers[0], 40).await;
    let begun = server.traced().begun();
    assert!(PLAN.iter().all(|read| begun.contains(&(*read).to_owned())), "{begun:?}");
    let mut log = server.log_bytes();
    for hour in 1..4 {
        for computer in &mut computers {
            server.quiet_contact(computer, hour * HOUR).await;
            let trace = server.traced();
            assert_eq!(trace.begun(), QUIET, "a plan is read again only after it changed");
            for statement in QUIET {
                let counters = trace.counters(statement);
                assert_eq!((counters.planned_again, counters.sorts), (0, 0), "{counters:?}");
            }
            assert_eq!(server.log_bytes() - log, FRAME_BYTES, "{} at hour {hour}", computer.name);
            log = server.log_bytes();
        }
    }
}

#[tokio::test]
async fn a_contact_that_is_told_by_a_rollout_is_seventeen_statements() {
    let server = Server::new().await;
    let mut computers = Vec::new();
    for number in 0..3 {
        computers.push(server.settled(&format!("pc-{number}")).await);
    }
    let number = goes_out(&server, 2, "ffffffffffffffff").await;
    server.contact(&mut computers[0], 40).await;
    for computer in &mut computers[1..] {
        server.traced();
        let outcome = server.contact(computer, 50).await;
        assert_eq!(outcome.assignment.unwrap().packages[0].rollout, number);
        let trace = server.traced();
        assert_eq!(trace.begun(), TOLD);
        assert!(trace.ended.iter().all(|counters| counters.planned_again == 0));
    }
    // Who was told is quiet again, once somebody read how far the rings are.
    server.quiet_contact(&mut computers[0], 55).await;
    for computer in &mut computers {
        server.traced();
        server.quiet_contact(computer, 60).await;
        assert_eq!(server.traced().begun(), QUIET);
    }
}

/// The reports of an install, of which three have something to keep: each is an entry, and the newest of its package.
const REPORTED: [&str; 3] = ["INSERT activity", "UPDATE clients", "INSERT last_reports"];

#[tokio::test]
async fn a_contact_that_reports_an_install_costs_no_statement_more_for_what_is_kept_of_it() {
    let server = Server::new().await;
    let mut computer = server.settled("pc-0").await;
    goes_out(&server, 2, "ffffffffffffffff").await;
    let outcome = server.contact(&mut computer, 40).await;
    let told = outcome.assignment.unwrap().packages.remove(0);
    let manifest = told.manifest;
    let row = server.ledger.query(ReleaseByManifest { manifest }).await.unwrap().unwrap();
    let step = |id, step, reason| Report { reason, ..report(id, &row, step, Outcome::Ok) };
    let bytes = Some(TransferredBytes { metadata: 1, manifest: 2, payload: 3 });
    let check = step(1, InstallStep::Check, ReasonCode::Done);
    let download = step(2, InstallStep::Download, ReasonCode::ByDelta);
    let download = Report { way: Some(Way::Delta), bytes, ..download };
    let build = step(3, InstallStep::Build, ReasonCode::Done);
    let keep = step(4, InstallStep::Keep, ReasonCode::Done);
    computer.reports = vec![check, download, build, keep];
    server.traced();
    server.contact(&mut computer, 50).await;
    let begun = server.traced().begun();
    let of = |statement: &str| begun.iter().filter(|begun| *begun == statement).count();
    assert_eq!(REPORTED.map(of), [4, 4, 4], "{begun:?}");
    // The first and the last report move the delivery on, with one statement for its row and one for its ring; the download
    // is one more for the row. That is seven; while nothing was kept, they were eight, two for the ring each time.
    let kept = ["SELECT deliveries", "UPDATE deliveries", "UPDATE rings"].map(of);
    assert_eq!(kept, [2, 3, 2], "{begun:?}");
}

#[tokio::test]
async fn what_a_status_asks_is_the_same_statements_however_many_computers_there_are() {
    let server = Server::new().await;
    server.settled("pc-1").await;
    let asked = async || {
        std::mem::take(&mut *server.reads.lock().unwrap());
        let ledger = &server.ledger;
        ledger.query(Licenses {}).await.unwrap();
        // With when the ledger was restored last: that ends codes.
        ledger.query(Endings { now: server.world.at(0) }).await.unwrap();
        ledger.query(LastPull {}).await.unwrap();
        ledger.query(ReleaseCounts {}).await.unwrap();
        ledger.query(Restores {}).await.unwrap();
        ledger.query(LogForks {}).await.unwrap();
        ledger.query(RefusedGrants {}).await.unwrap();
        ledger.query(Drifted {}).await.unwrap();
        ledger.query(NotStarted {}).await.unwrap();
        ledger.query(Failing {}).await.unwrap();
        ledger.query(Followers {}).await.unwrap();
        ledger.query(Fleet { bounds: Bounds::at(server.world.at(0)) }).await.unwrap();
        ledger.query(Refusals {}).await.unwrap();
        ledger.query(Releases { state: None, after: None, limit: MAX_PAGE }).await.unwrap();
        server.reads.lock().unwrap().begun()
    };
    let few = asked().await;
    assert_eq!(few.len(), 24, "{few:?}");
    for number in 0..60 {
        server.settled(&format!("other-{number}")).await;
    }
    assert_eq!(asked().await, few);
}
