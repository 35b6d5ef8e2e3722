//! Contracts of the port itself, below the ledger: transactions, notes, and who sees what.

use std::sync::Arc;

use jiff::Timestamp;
use sealpost_ledger::store::{Read, ReadStore, Split, Store, WriteStore};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, Nonce, Platform, Tag};
use sealpost_manifests::license_time::VendorStatement;
use sealpost_manifests::log::Frontier;
use sealpost_manifests::wire::contact::{Postponed, PostponedBy};
use sealpost_site::changes::chain::{LinkedEntry, link};
use sealpost_site::changes::{Change, ContactAnswer, Note};
use sealpost_site::commands::contact::{ContactClient, LoadContact};
use sealpost_site::queries::{ClientByName, LastPull, LicenseTime, Log, ReleaseByManifest, StoredTime};
use sealpost_site::rows::{PullRow, ReleaseRow};
use sealpost_site::rules::restore::{Progress, Receipt};
use sealpost_site::rules::rollouts::cadence::Cadence;
use sealpost_site::rules::rollouts::outages::Outages;
use sealpost_test_support::world::{World, admin, channel, computer_name, era, installed, serial};

use crate::bench::Bench;
use crate::fixture::WorldExt;

/// A store's writer and one reader.
fn parts(store: Box<dyn Store>) -> (Box<dyn WriteStore>, Box<dyn ReadStore>) {
    let Split { writer, mut readers } = store.split(1, &Arc::default()).unwrap();
    (writer, readers.remove(0))
}

/// What the writer does for one command that only notes.
fn keep_notes(writer: &mut dyn WriteStore, notes: &[Note]) {
    writer.begin().unwrap();
    writer.savepoint().unwrap();
    for note in notes {
        writer.note(note).unwrap();
    }
    writer.keep().unwrap();
    writer.commit().unwrap();
}

fn contact_of(reader: &mut dyn ReadStore, client_id: &ClientId) -> ContactClient {
    let query = LoadContact { client_id: client_id.clone(), reports: false, runs: Vec::new(), shown: None };
    Read::<LoadContact>::read(reader, &query).unwrap().client.unwrap()
}

pub(super) async fn the_latest_note_of_a_key_wins(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    world.pull(&ledger, 4).await;
    let row = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    let mut other = world.enrolled(&ledger, "pc-2").await;
    let outcome = world.contacts(&ledger, &mut computer, 10).await;
    world.contacts(&ledger, &mut other, 11).await;
    ledger.close().await.unwrap();
    drop(ledger);

    let (mut writer, mut reader) = parts(bench.store());
    let (id, other_id) = (computer.client_id.clone().unwrap(), other.client_id.clone().unwrap());
    let untouched = format!("{:?}", contact_of(&mut *reader, &other_id));
    let (lease, assignment) = (outcome.lease.unwrap(), outcome.assignment.unwrap());
    let notes = |number: u8, at: Timestamp| {
        let mut lease = lease.clone();
        lease.sequence = u64::from(number);
        let mut assignment = assignment.clone();
        assignment.sequence = u64::from(number);
        [
            Note::ContactAnswered {
                client_id: id.clone(),
                previous: Some(Nonce::from_random([number; 16])),
                next: Nonce::from_random([number + 100; 16]),
                at,
                answer: ContactAnswer { acknowledged_report: u64::from(number), ..ContactAnswer::default() },
                progress: progress(number),
                server_list: None,
                cadence: Some(Cadence::at(None, at, Outages::none())),
            },
            Note::ClientSeen {
                client_id: id.clone(),
                platform: Platform::any(),
                agent_version: format!("9.{number}"),
                instance: Some(Sha256Digest::of(&[number])),
                hostname: (number == 7).then(|| "PC SEVEN".to_owned()),
                before: Vec::new(),
                installed: if number == 7 { vec![installed(&row)] } else { Vec::new() },
                tags: vec![Tag::new(format!("hall-{number}")).unwrap()],
                postponed: vec![Postponed {
                    package: row.release.package.clone(),
                    manifest: row.manifest,
                    by: PostponedBy::Person,
                    until: at,
                    times: u32::from(number),
                }],
                came_by: (number == 7).then(|| "10.2.0.7".parse().unwrap()),
            },
            Note::RingSoaked { rollout: 1, ring: 0, soaked_millis: u64::from(number) },
            Note::LeaseSent { lease },
            Note::AssignmentSent { assignment },
            Note::PullTried { at },
            Note::MetadataFresh { as_of: at },
            Note::TimeFloor { floor: at },
            Note::VendorStatement { statement: VendorStatement::new(at, world.at(900)) },
        ]
    };
    // Twice in one transaction, and once more in another one; the last one is not the one with the latest time.
    let twice = [notes(5, world.at(500)), notes(6, world.at(600))].concat();
    keep_notes(&mut *writer, &twice);
    assert_eq!(contact_of(&mut *reader, &id).seen.unwrap().agent_version, "9.6");
    keep_notes(&mut *writer, &notes(7, world.at(70)));

    let client = contact_of(&mut *reader, &id);
    let last = client.last.unwrap();
    assert_eq!(last.nonces.previous, Some(Nonce::from_random([7; 16])));
    assert_eq!(last.nonces.next, Nonce::from_random([107; 16]));
    assert_eq!((last.answer.acknowledged_report, last.progress), (7, progress(7)));
    assert_eq!((client.lease.unwrap().sequence, client.assignment.unwrap().sequence), (7, 7));
    let seen = client.seen.unwrap();
    assert_eq!((seen.platform, seen.agent_version.as_str()), (Platform::any(), "9.7"));
    assert_eq!(seen.installed, [installed(&row)]);
    assert_eq!(seen.instance, Some(Sha256Digest::of(&[7])));
    assert_eq!(seen.hostname.as_deref(), Some("PC SEVEN"));
    assert_eq!((seen.tags, seen.postponed[0].times), (vec![Tag::new("hall-7").unwrap()], 7));
    assert_eq!(seen.came_by.map(|way| way.to_string()).as_deref(), Some("10.2.0.7"));
    let by_name = ClientByName { name: computer.name.clone() };
    let client = Read::<ClientByName>::read(&mut *reader, &by_name).unwrap().unwrap();
    assert_eq!((client.last_contact, client.agent_version.as_deref()), (Some(world.at(70)), Some("9.7")));
    let runs_it: ReleaseRow =
        Read::<ReleaseByManifest>::read(&mut *reader, &ReleaseByManifest { manifest: row.manifest })
            .unwrap()
            .unwrap();
    assert_eq!(runs_it.installed, 1);
    let pull: PullRow = Read::<LastPull>::read(&mut *reader, &LastPull {}).unwrap();
    assert_eq!((pull.metadata_as_of, pull.tried_at), (Some(world.at(70)), Some(world.at(70))));
    let time = Read::<LicenseTime>::read(&mut *reader, &LicenseTime {}).unwrap();
    let statement = Some(VendorStatement::new(world.at(70), world.at(900)));
    assert_eq!(time, StoredTime { floor: Some(world.at(70)), statement });
    assert_eq!(format!("{:?}", contact_of(&mut *reader, &other_id)), untouched, "another key");
}

/// How far a client has come, different for each number.
fn progress(number: u8) -> Progress {
    let last = Receipt { era: era(number), contacts: 10 + u64::from(number) };
    Progress { last, base: u64::from(number) }
}

/// The entry by which a name takes a seat, after a log; and the log with it.
fn seat(world: &World, log: &Frontier, name: &str) -> (LinkedEntry, Frontier) {
    let change =
        Change::SeatReserved { name: computer_name(name), channel: channel("stable"), serial: serial(1) };
    let mut log = log.clone();
    (link(&mut log, world.at(2), admin(), change).unwrap(), log)
}

fn log_of(store: &mut (impl ReadStore + ?Sized)) -> Frontier {
    store.read(&Log {}).unwrap()
}

fn holds_seat(store: &mut (impl ReadStore + ?Sized), name: &str) -> bool {
    Read::<ClientByName>::read(store, &ClientByName { name: computer_name(name) }).unwrap().is_some()
}

pub(super) async fn what_was_undone_or_not_committed_is_not_there(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    ledger.close().await.unwrap();
    drop(ledger);
    let (mut writer, reader) = parts(bench.store());
    let start = log_of(&mut *writer);

    writer.begin().unwrap();
    assert!(writer.in_transaction());
    let (kept, with_kept) = seat(world, &start, "kept");
    writer.savepoint().unwrap();
    writer.append(&kept).unwrap();
    writer.note(&Note::PullTried { at: world.at(7) }).unwrap();
    writer.keep().unwrap();
    writer.savepoint().unwrap();
    let (undone, _) = seat(world, &with_kept, "undone");
    writer.append(&undone).unwrap();
    writer.note(&Note::PullTried { at: world.at(8) }).unwrap();
    assert!(holds_seat(&mut *writer, "undone"), "the writer sees what it wrote");
    writer.undo().unwrap();
    assert!(writer.in_transaction());
    assert_eq!(log_of(&mut *writer), with_kept);
    assert!(holds_seat(&mut *writer, "kept") && !holds_seat(&mut *writer, "undone"));
    // Another command takes its place.
    let (instead, with_instead) = seat(world, &with_kept, "instead");
    writer.savepoint().unwrap();
    writer.append(&instead).unwrap();
    writer.keep().unwrap();
    writer.commit().unwrap();
    assert!(!writer.in_transaction());
    assert_eq!(log_of(&mut *writer), with_instead);
    assert!(holds_seat(&mut *writer, "instead"));
    let tried_at = Read::<LastPull>::read(&mut *writer, &LastPull {}).unwrap().tried_at;
    assert_eq!(tried_at, Some(world.at(7)));

    // A second row with the same key is an error, and the command can be undone.
    let (taken, _) = seat(world, &with_instead, "kept");
    writer.begin().unwrap();
    writer.savepoint().unwrap();
    assert!(writer.append(&taken).is_err());
    if writer.in_transaction() {
        writer.undo().unwrap();
    }
    writer.roll_back().unwrap();
    assert!(!writer.in_transaction());

    let (rolled_back, _) = seat(world, &with_instead, "rolled-back");
    writer.begin().unwrap();
    writer.savepoint().unwrap();
    writer.append(&rolled_back).unwrap();
    writer.keep().unwrap();
    writer.roll_back().unwrap();
    assert!(!holds_seat(&mut *writer, "rolled-back"));
    writer.roll_back().unwrap();

    // Killed before its commit.
    writer.begin().unwrap();
    writer.savepoint().unwrap();
    writer.append(&rolled_back).unwrap();
    writer.keep().unwrap();
    drop((writer, reader));
    let (mut writer, mut reader) = parts(bench.store());
    for name in ["undone", "rolled-back"] {
        assert!(!holds_seat(&mut *writer, name) && !holds_seat(&mut *reader, name));
    }
    assert_eq!((log_of(&mut *writer), log_of(&mut *reader)), (with_instead.clone(), with_instead));
    let mut hashes: Vec<(Option<Sha256Digest>, Option<Vec<Sha256Digest>>)> = Vec::new();
    reader
        .entries(&mut |entry| {
            hashes.push((entry.leaf, entry.nodes));
            sealpost_ledger::store::Walk::Continue
        })
        .unwrap();
    assert_eq!(hashes[2..], [kept, instead].map(|entry| (Some(entry.leaf), Some(entry.nodes))));
}

pub(super) async fn a_reader_sees_what_was_committed_and_nothing_else(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    ledger.close().await.unwrap();
    drop(ledger);
    let (mut writer, mut reader) = parts(bench.store());
    let start = log_of(&mut *writer);
    let (entry, with_entry) = seat(world, &start, "pc-1");
    writer.begin().unwrap();
    writer.savepoint().unwrap();
    writer.append(&entry).unwrap();
    writer.keep().unwrap();
    assert_eq!(log_of(&mut *reader), start);
    assert!(!holds_seat(&mut *reader, "pc-1"));
    writer.commit().unwrap();
    assert_eq!(log_of(&mut *reader), with_entry);
    assert!(holds_seat(&mut *reader, "pc-1"));
}

pub(super) async fn one_ledger_at_a_time_writes_to_a_store(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    assert!(!bench.starts());
    assert!(!bench.starts(), "a try takes nothing away");
    ledger.close().await.unwrap();
    drop(ledger);
    assert!(bench.starts());
}
