//! Contracts of enrollment and contacts.

use sealpost_manifests::ids::{ClientId, ComputerName, EnrollmentCode, Nonce, ServerId};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, MAX_DETAIL_BYTES, Outcome};

use super::Bench;
use super::fixture::{
    DAY, World, admin, channel, code_digest, installed, kinds, random_id, refused, report, sound, unchanged,
};
use crate::ports::ledger::{ActivityFilter, ClientState, Ledger};

pub(in crate::ledger) async fn a_retry_of_an_enrollment_gets_the_same_answer_after_a_restart_too(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&*ledger, 5).await;
    let computer = world.reserved(&*ledger, "pc-1").await;
    let digest = code_digest(&computer.code);
    assert!(ledger.enrollment_code_known(computer.name.clone(), digest).await.unwrap());
    let other = ComputerName::new("pc-2").unwrap();
    assert!(!ledger.enrollment_code_known(other, digest).await.unwrap());
    let first = world.enroll(&*ledger, &computer).await.unwrap();
    let head = ledger.head().await.unwrap().sequence;
    let again = world.enroll(&*ledger, &computer).await.unwrap();
    assert_eq!(first.enrolled, again.enrolled);
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = bench.open();
    let restarted = world.enroll(&*ledger, &computer).await.unwrap();
    assert_eq!(first.enrolled, restarted.enrolled);
    assert_eq!(first.grant.document, restarted.grant.document);
    unchanged(&*ledger, head).await;
    let row = ledger.client(computer.name).await.unwrap().unwrap();
    assert_eq!(row.state, ClientState::Active);
    assert_eq!(row.display_version, "V 0.0 (0000)");
}

pub(in crate::ledger) async fn a_used_code_is_refused_to_another_key_and_a_wrong_code_to_all(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&*ledger, 5).await;
    let computer = world.reserved(&*ledger, "pc-1").await;
    world.reserved(&*ledger, "pc-2").await;
    world.enroll(&*ledger, &computer).await.unwrap();
    let head = ledger.head().await.unwrap().sequence;
    let mut thief = world.computer("pc-1");
    assert_eq!(refused(world.enroll(&*ledger, &thief).await), ProblemCode::EnrollmentCodeUsed);
    thief.code = EnrollmentCode::from_random([3; 24]);
    assert_eq!(refused(world.enroll(&*ledger, &thief).await), ProblemCode::EnrollmentCodeWrong);
    // The name under which the code was issued counts.
    let mut swapped = world.computer("pc-2");
    swapped.code = computer.code.clone();
    assert_eq!(refused(world.enroll(&*ledger, &swapped).await), ProblemCode::EnrollmentCodeWrong);
    // A reserved name without a setup file.
    let bare = world.computer("pc-3");
    ledger.reserve(admin(), world.at(4), bare.name.clone(), channel("stable")).await.unwrap();
    assert_eq!(refused(world.enroll(&*ledger, &bare).await), ProblemCode::EnrollmentCodeWrong);
    unchanged(&*ledger, head + 1).await;
    let row = ledger.client(computer.name).await.unwrap().unwrap();
    assert_eq!(row.client_key, Some(computer.key));
}

pub(in crate::ledger) async fn an_unknown_computer_waits_and_takes_no_seat(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&*ledger, 5).await;
    let stranger = world.computer("stranger");
    for _ in 0..3 {
        assert_eq!(refused(world.enroll(&*ledger, &stranger).await), ProblemCode::UnknownComputer);
    }
    assert_eq!(kinds(&*ledger).await, ["server_initialized", "grant_accepted", "unknown_computer_seen"]);
    assert_eq!(ledger.licenses().await.unwrap()[0].used, 0);
    let setup = ledger.issue_setup(admin(), world.at(4), stranger.name, code_digest(&stranger.code)).await;
    assert_eq!(refused(setup), ProblemCode::NotReserved);
}

pub(in crate::ledger) async fn a_new_setup_replaces_the_client_and_takes_no_second_seat(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&*ledger, 1).await;
    let mut old = world.enrolled(&*ledger, "pc-1").await;
    world.contacts(&*ledger, &mut old, 10).await;
    let mut new = world.computer("pc-1");
    new.code = EnrollmentCode::from_random([9; 24]);
    ledger.issue_setup(admin(), world.at(20), new.name.clone(), code_digest(&new.code)).await.unwrap();
    // The old code is void at once; the old client goes on until the new one comes.
    assert_eq!(refused(world.enroll(&*ledger, &old).await), ProblemCode::EnrollmentCodeWrong);
    world.contacts(&*ledger, &mut old, 21).await;
    let enrolled = world.enroll(&*ledger, &new).await.unwrap().enrolled;
    assert_ne!(Some(&enrolled.client_id), old.client_id.as_ref());
    let late = ledger.contact(world.at(30), world.contact(&old)).await;
    assert_eq!(refused(late), ProblemCode::UnknownComputer);
    assert!(ledger.client_by_id(old.client_id.unwrap()).await.unwrap().is_none());
    new.client_id = Some(enrolled.client_id);
    assert!(world.contacts(&*ledger, &mut new, 31).await.lease.is_some());
    assert_eq!(ledger.licenses().await.unwrap()[0].used, 1);
    sound(&ledger).await;
}

pub(in crate::ledger) async fn a_request_for_another_server_is_refused(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&*ledger, 1).await;
    let computer = world.enrolled(&*ledger, "pc-1").await;
    let head = ledger.head().await.unwrap().sequence;
    let mut enrollment = world.enrollment(&computer);
    enrollment.server_id = ServerId::from_random([1; 16]);
    let candidate = ClientId::from_random(random_id());
    let answer = ledger.enroll("192.0.2.1".into(), world.at(5), enrollment, candidate).await;
    assert_eq!(refused(answer), ProblemCode::WrongServer);
    let mut contact = world.contact(&computer);
    contact.server_id = ServerId::from_random([1; 16]);
    assert_eq!(refused(ledger.contact(world.at(5), contact).await), ProblemCode::WrongServer);
    unchanged(&*ledger, head).await;
}

pub(in crate::ledger) async fn a_retry_of_a_contact_gets_the_same_answer_after_a_restart_too(
    world: &World,
    bench: &dyn Bench,
) {
    let mut ledger = bench.open();
    world.unlock(&*ledger, 1).await;
    world.pulled(&*ledger, 4).await;
    let row = world.approved(&*ledger, "acme-av", 1, &["stable"]).await;
    let mut computer = world.enrolled(&*ledger, "pc-1").await;
    computer.reports = vec![report(1, &row, InstallStep::Check, Outcome::Ok)];
    let sent = world.contact(&computer);
    let first = ledger.contact(world.at(10), sent.clone()).await.unwrap();
    assert!(!first.retry && first.lease.is_some() && first.assignment.is_some());
    let head = ledger.head().await.unwrap().sequence;
    for restart in [false, true] {
        if restart {
            ledger.close().await.unwrap();
            drop(ledger);
            ledger = bench.open();
        }
        let again = ledger.contact(world.at(500), sent.clone()).await.unwrap();
        assert!(again.retry);
        assert_eq!(again.lease, first.lease);
        assert_eq!(again.assignment, first.assignment);
        assert_eq!(again.acknowledged_report, 1);
    }
    unchanged(&*ledger, head).await;
    let lease = first.lease.unwrap();
    assert_eq!(lease.client_key, computer.key);
    assert_eq!(lease.not_after, world.at(10 + 30 * DAY));
    let entries = ledger.activity(ActivityFilter::default()).await.unwrap();
    let witnessed =
        entries.iter().find(|logged| logged.entry.sequence == lease.ledger_head.sequence).unwrap();
    assert_eq!(witnessed.hash, lease.ledger_head.hash, "the lease carries a head that is on disk");
}

pub(in crate::ledger) async fn a_fork_is_noted_once_and_refused_until_an_admin_decides(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&*ledger, 1).await;
    let mut computer = world.enrolled(&*ledger, "pc-1").await;
    world.contacts(&*ledger, &mut computer, 10).await;
    let mut clone = computer.clone();
    world.contacts(&*ledger, &mut computer, 20).await;
    clone.contacts = 100;
    let forked = world.contact(&clone);
    assert_eq!(refused(ledger.contact(world.at(30), forked.clone()).await), ProblemCode::ContactForked);
    let head = ledger.head().await.unwrap().sequence;
    assert_eq!(kinds(&*ledger).await.last(), Some(&"fork_detected"));
    assert_eq!(refused(ledger.contact(world.at(31), forked).await), ProblemCode::ContactForked);
    let genuine = ledger.contact(world.at(32), world.contact(&computer)).await;
    assert_eq!(refused(genuine), ProblemCode::ContactForked, "nobody can tell which one is genuine");
    unchanged(&*ledger, head).await;
    let row = ledger.client(computer.name.clone()).await.unwrap().unwrap();
    assert_eq!(row.state, ClientState::Forked);
    // The admin decides with a new setup file.
    let mut decided = world.computer("pc-1");
    decided.code = EnrollmentCode::from_random([8; 24]);
    ledger
        .issue_setup(admin(), world.at(40), decided.name.clone(), code_digest(&decided.code))
        .await
        .unwrap();
    world.enroll(&*ledger, &decided).await.unwrap();
    let row = ledger.client(computer.name).await.unwrap().unwrap();
    assert_eq!(row.state, ClientState::Active);
}

pub(in crate::ledger) async fn a_contact_from_an_unknown_past_is_refused(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&*ledger, 1).await;
    let mut computer = world.enrolled(&*ledger, "pc-1").await;
    let mut restored = computer.clone();
    restored.nonce = Some(Nonce::from_random([77; 16]));
    let head = ledger.head().await.unwrap().sequence;
    let answer = ledger.contact(world.at(10), world.contact(&restored)).await;
    assert_eq!(refused(answer), ProblemCode::NonceUnknown);
    let mut stranger = computer.clone();
    stranger.client_id = Some(ClientId::from_random([5; 16]));
    let answer = ledger.contact(world.at(10), world.contact(&stranger)).await;
    assert_eq!(refused(answer), ProblemCode::UnknownComputer);
    unchanged(&*ledger, head).await;
    assert!(world.contacts(&*ledger, &mut computer, 11).await.lease.is_some());
}

pub(in crate::ledger) async fn a_contact_without_news_brings_nothing_and_logs_nothing(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&*ledger, 1).await;
    world.pulled(&*ledger, 4).await;
    let row = world.approved(&*ledger, "acme-av", 1, &["stable"]).await;
    let mut computer = world.enrolled(&*ledger, "pc-1").await;
    world.contacts(&*ledger, &mut computer, 10).await;
    computer.packages = vec![installed(&row)];
    let head = ledger.head().await.unwrap().sequence;
    for number in 1..=3 {
        let quiet = world.contacts(&*ledger, &mut computer, 10 + number * 4 * 3600).await;
        assert!(quiet.lease.is_none() && quiet.assignment.is_none() && quiet.grant.is_none());
    }
    unchanged(&*ledger, head).await;
    let row = ledger.client(computer.name.clone()).await.unwrap().unwrap();
    assert_eq!(row.last_contact, Some(world.at(10 + 12 * 3600)));
    assert_eq!(row.installed, computer.packages);
    assert_eq!(row.agent_version.as_deref(), Some("0.1.1"));
    assert_eq!(row.display_version, "V 1.0 (0000)");
    let daily = world.contacts(&*ledger, &mut computer, 11 + DAY).await;
    assert!(daily.lease.is_some() && daily.assignment.is_none());
}

pub(in crate::ledger) async fn reports_are_logged_once_in_order_and_acknowledged(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&*ledger, 1).await;
    world.pulled(&*ledger, 4).await;
    let row = world.approved(&*ledger, "acme-av", 1, &["stable"]).await;
    let mut computer = world.enrolled(&*ledger, "pc-1").await;
    let mut failed = report(3, &row, InstallStep::TestLoad, Outcome::Refused);
    failed.detail = "ü".repeat(MAX_DETAIL_BYTES);
    computer.reports = vec![
        failed,
        report(1, &row, InstallStep::Check, Outcome::Ok),
        report(2, &row, InstallStep::Download, Outcome::Ok),
    ];
    let first = world.contacts(&*ledger, &mut computer, 10).await;
    assert_eq!(first.acknowledged_report, 3);
    // The agent did not hear it, and sends them again with one more.
    computer.reports.push(report(4, &row, InstallStep::Keep, Outcome::Ok));
    let second = world.contacts(&*ledger, &mut computer, 20).await;
    assert_eq!(second.acknowledged_report, 4);
    let filter = ActivityFilter { kind: Some("step_reported".into()), ..ActivityFilter::default() };
    let logged = ledger.activity(filter).await.unwrap();
    let summaries: Vec<&str> = logged.iter().map(|entry| entry.summary.as_str()).collect();
    assert_eq!(summaries.len(), 4);
    for (summary, step) in summaries.iter().zip(["check ok", "download ok", "test-load refused", "keep ok"]) {
        assert!(summary.contains(step), "{summary:?}");
    }
    let client = ledger.client(computer.name.clone()).await.unwrap().unwrap();
    assert_eq!(client.last_reports.len(), 1);
    assert_eq!(client.last_reports[0].id, 4);
    // Too many at once, or an id beyond counting, is refused whole.
    let head = ledger.head().await.unwrap().sequence;
    let mut flood = world.contact(&computer);
    flood.reports = (5..100).map(|id| report(id, &row, InstallStep::Check, Outcome::Ok)).collect();
    assert_eq!(refused(ledger.contact(world.at(30), flood).await), ProblemCode::BadRequest);
    let mut beyond = world.contact(&computer);
    beyond.reports = vec![report(u64::MAX, &row, InstallStep::Check, Outcome::Ok)];
    assert_eq!(refused(ledger.contact(world.at(30), beyond).await), ProblemCode::BadRequest);
    unchanged(&*ledger, head).await;
}

pub(in crate::ledger) async fn a_lost_lease_is_sent_again_and_a_client_that_is_ahead_gets_a_higher_one(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&*ledger, 1).await;
    world.pulled(&*ledger, 4).await;
    world.approved(&*ledger, "acme-av", 1, &["stable"]).await;
    let mut computer = world.enrolled(&*ledger, "pc-1").await;
    let first = world.contacts(&*ledger, &mut computer, 10).await;
    let head = ledger.head().await.unwrap().sequence;
    (computer.lease, computer.assignment, computer.grant) = (None, None, None);
    let again = world.contacts(&*ledger, &mut computer, 20).await;
    assert_eq!((&again.lease, &again.assignment), (&first.lease, &first.assignment));
    assert!(again.grant.is_some());
    unchanged(&*ledger, head).await;
    computer.lease = Some((1, 500));
    let higher = world.contacts(&*ledger, &mut computer, 30).await;
    assert_eq!(higher.lease.unwrap().sequence, 501);
    sound_sequences(&*ledger, &computer.name).await;
}

/// Sequences of leases and assignments of one client only rise.
async fn sound_sequences(ledger: &dyn Ledger, name: &ComputerName) {
    use crate::domain::activity::Change;
    let filter = ActivityFilter { client: Some(name.clone()), ..ActivityFilter::default() };
    let mut last = 0;
    for logged in ledger.activity(filter).await.unwrap() {
        if let Change::LeaseIssued { sequence, .. } | Change::AssignmentChanged { sequence, .. } =
            logged.entry.change
        {
            assert!(sequence > last, "{sequence} after {last}");
            last = sequence;
        }
    }
    assert!(last > 0);
}
