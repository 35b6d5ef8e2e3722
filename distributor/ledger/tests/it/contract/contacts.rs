//! Contracts of contacts: nonces, leases, assignments, reports.

use sealpost_ledger::Ledger;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::{ClientId, ComputerName, Nonce, PackageName};
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::{Epoch, Order, Ordered};
use sealpost_manifests::wire::contact::{
    Contact, InstalledPackage, MAX_HOSTNAME_BYTES, MAX_PACKAGES, MAX_REPORTS,
};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, MAX_DETAIL_BYTES, Outcome, Report};
use sealpost_site::changes::Change;
use sealpost_site::commands::contact::{AnswerContact, ContactOutcome};
use sealpost_site::queries::{Activity, Failing, LogForks};
use sealpost_site::rows::LogForkRow;
use sealpost_site::rules::contact::ClientState;
use sealpost_site::rules::restore::NamedHead;
use sealpost_test_support::world::{DAY, World, installed, report};

use crate::bench::Bench;
use crate::fixture::{WorldExt, activity, client, entries_of, kinds, refused, sound, unchanged};

pub(super) async fn a_retry_of_a_contact_gets_the_same_answer_after_a_restart_too(
    world: &World,
    bench: &dyn Bench,
) {
    let mut ledger = bench.open();
    world.unlock(&ledger, 1).await;
    world.pull(&ledger, 4).await;
    let row = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    computer.reports = vec![report(1, &row, InstallStep::Check, Outcome::Ok)];
    let before = ledger.head();
    let sent = world.answer(&computer);
    let first = ledger.execute(world.at(10), sent.clone()).await.unwrap();
    assert!(!first.retry && first.lease.is_some() && first.assignment.is_some());
    let head = ledger.head().size;
    for restart in [false, true] {
        if restart {
            ledger.close().await.unwrap();
            drop(ledger);
            ledger = bench.open();
        }
        let again = ledger.execute(world.at(500), sent.clone()).await.unwrap();
        assert!(again.retry);
        assert_eq!(again.lease, first.lease);
        assert_eq!(again.assignment, first.assignment);
        let grants = |outcome: &ContactOutcome| -> Vec<_> {
            outcome.grants.iter().map(SignedDocument::digest).collect()
        };
        assert_eq!(grants(&again), grants(&first));
        assert_eq!((again.acknowledged_report, &again.receipt), (1, &first.receipt));
    }
    unchanged(&ledger, head);
    let lease = first.lease.unwrap();
    assert_eq!(lease.client_key, computer.key);
    assert_eq!(lease.not_after(), Some(world.at(10 + 30 * DAY)));
    assert!(ledger.had_head(lease.ledger_head).await.unwrap(), "the lease carries a head that is on disk");
    assert_eq!(lease.ledger_head, before, "the head before its own contact");
}

pub(super) async fn a_fork_is_noted_once_and_refused_until_an_admin_decides(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    world.contacts(&ledger, &mut computer, 10).await;
    let mut clone = computer.clone();
    world.contacts(&ledger, &mut computer, 20).await;
    clone.contacts = 100;
    assert_eq!(refused(world.tries(&ledger, &clone, 30).await), ProblemCode::ContactForked);
    let head = ledger.head().size;
    let found = kinds(&ledger).await;
    assert!(found.ends_with(&["fork_detected", "copy_seen", "copy_seen"].map(str::to_owned)), "{found:?}");
    assert_eq!(refused(world.tries(&ledger, &clone, 31).await), ProblemCode::ContactForked);
    let genuine = world.tries(&ledger, &computer, 32).await;
    assert_eq!(refused(genuine), ProblemCode::ContactForked, "nobody can tell which one is genuine");
    unchanged(&ledger, head);
    assert_eq!(client(&ledger, &computer.name).await.state, ClientState::Forked);
    let forked = ledger.query(Failing {}).await.unwrap().forked;
    assert_eq!((forked.count, forked.names), (1, vec![computer.name.clone()]));
    // The admin decides with a new setup file.
    let decided = world.computer("pc-1").with_setup(2);
    ledger.execute(world.at(40), decided.issue_setup()).await.unwrap();
    world.enrolls(&ledger, &decided).await.unwrap();
    assert_eq!(client(&ledger, &computer.name).await.state, ClientState::Active);
}

pub(super) async fn a_contact_from_an_unknown_past_is_refused(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    let mut restored = computer.clone();
    restored.nonce = Some(Nonce::from_random([77; 16]));
    let head = ledger.head().size;
    assert_eq!(refused(world.tries(&ledger, &restored, 10).await), ProblemCode::NonceUnknown);
    let mut stranger = computer.clone();
    stranger.client_id = Some(ClientId::from_random([5; 16]));
    assert_eq!(refused(world.tries(&ledger, &stranger, 10).await), ProblemCode::UnknownComputer);
    unchanged(&ledger, head);
    assert!(world.contacts(&ledger, &mut computer, 11).await.lease.is_some());
}

pub(super) async fn a_contact_without_news_brings_nothing_and_logs_nothing(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    world.pull(&ledger, 4).await;
    let row = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    world.contacts(&ledger, &mut computer, 10).await;
    computer.packages = vec![installed(&row)];
    // That it runs what it was told, without a report of it, is logged once.
    world.contacts(&ledger, &mut computer, 11).await;
    assert_eq!(entries_of(&ledger, "deliveries_changed").await.len(), 1);
    let head = ledger.head().size;
    for number in 1..=3 {
        let quiet = world.contacts(&ledger, &mut computer, 10 + number * 4 * 3600).await;
        assert!(quiet.lease.is_none() && quiet.assignment.is_none() && quiet.grants.is_empty());
    }
    unchanged(&ledger, head);
    let row = client(&ledger, &computer.name).await;
    assert_eq!(row.last_contact, Some(world.at(10 + 12 * 3600)));
    assert_eq!(row.installed, computer.packages);
    assert_eq!(row.agent_version.as_deref(), Some("0.1.1"));
    assert_eq!(row.display_version().to_string(), "V 1.0 (0000)");
    let daily = world.contacts(&ledger, &mut computer, 11 + DAY).await;
    assert!(daily.lease.is_some() && daily.assignment.is_none());
}

pub(super) async fn reports_are_logged_once_in_order_and_acknowledged(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    world.pull(&ledger, 4).await;
    let row = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    let mut failed = report(3, &row, InstallStep::TestLoad, Outcome::Refused);
    failed.detail = "ü".repeat(MAX_DETAIL_BYTES / 2);
    computer.reports = vec![
        failed.clone(),
        report(1, &row, InstallStep::Check, Outcome::Ok),
        report(2, &row, InstallStep::Download, Outcome::Ok),
    ];
    let first = world.contacts(&ledger, &mut computer, 10).await;
    assert_eq!(first.acknowledged_report, 3);
    // The agent did not hear it, and sends them again with one more.
    computer.reports.push(report(4, &row, InstallStep::Keep, Outcome::Ok));
    let second = world.contacts(&ledger, &mut computer, 20).await;
    assert_eq!(second.acknowledged_report, 4);
    let logged = entries_of(&ledger, "step_reported").await;
    let summaries: Vec<&str> = logged.iter().map(|entry| entry.summary.as_str()).collect();
    assert_eq!(summaries.len(), 4);
    for (summary, step) in summaries.iter().zip(["check ok", "download ok", "test_load refused", "keep ok"]) {
        assert!(summary.contains(step), "{summary:?}");
    }
    let details: Vec<String> = logged
        .into_iter()
        .filter_map(|logged| match logged.entry.change() {
            Some(Change::StepReported { report, .. }) => Some(report.detail.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(details[2], failed.detail, "the longest detail is kept whole");
    let row = client(&ledger, &computer.name).await;
    assert_eq!(row.last_reports.len(), 1);
    assert_eq!(row.last_reports[0].id, 4);
}

pub(super) async fn a_contact_beyond_the_bounds_is_refused_whole(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    world.pull(&ledger, 4).await;
    let row = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    let head = ledger.head().size;
    let one = |id: u64| report(id, &row, InstallStep::Check, Outcome::Ok);
    let contact = world.contact(&computer);
    let try_it = async |contact: Contact| {
        let command = AnswerContact { contact, shown: None, head: NamedHead::OfThisLog, came_by: None };
        refused(ledger.execute(world.at(30), command).await)
    };
    let with_reports = |reports: Vec<Report>| Contact { reports, ..contact.clone() };
    let reports = u64::try_from(MAX_REPORTS).unwrap();
    let too_many = with_reports((0..=reports).map(one).collect());
    assert_eq!(try_it(too_many).await, ProblemCode::TooLarge);
    let packages: Vec<InstalledPackage> = (0..=MAX_PACKAGES)
        .map(|number| {
            let mut package = installed(&row);
            package.release.package = PackageName::new(format!("package-{number}")).unwrap();
            package
        })
        .collect();
    let too_many = Contact { packages: packages.clone(), ..contact.clone() };
    assert_eq!(try_it(too_many).await, ProblemCode::TooLarge);
    let too_long = Report { detail: "x".repeat(MAX_DETAIL_BYTES + 1), ..one(1) };
    assert_eq!(try_it(with_reports(vec![too_long])).await, ProblemCode::TooLarge);
    assert_eq!(try_it(with_reports(vec![one(u64::MAX)])).await, ProblemCode::BadRequest);
    let too_long = Contact { hostname: Some("x".repeat(MAX_HOSTNAME_BYTES + 1)), ..contact.clone() };
    assert_eq!(try_it(too_long).await, ProblemCode::TooLarge);
    unchanged(&ledger, head);
    let row = client(&ledger, &computer.name).await;
    assert_eq!((row.last_contact, row.last_reports), (None, Vec::new()));
    // At the bounds it is answered.
    computer.packages = packages[..MAX_PACKAGES].to_vec();
    computer.reports = (1..=reports).map(one).collect();
    assert_eq!(world.contacts(&ledger, &mut computer, 31).await.acknowledged_report, reports);
}

pub(super) async fn lost_documents_are_sent_again_and_a_claim_to_later_ones_is_refused(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    world.pull(&ledger, 4).await;
    world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    let first = world.contacts(&ledger, &mut computer, 10).await;
    let head = ledger.head().size;
    (computer.lease, computer.assignment) = (None, None);
    computer.grants.clear();
    let again = world.contacts(&ledger, &mut computer, 20).await;
    assert_eq!((&again.lease, &again.assignment), (&first.lease, &first.assignment));
    assert_eq!(again.grants.len(), 1);
    // Only what this server signed is believed, and a claim is not even a reason to look further.
    let mut liar = computer.clone();
    liar.lease.as_mut().unwrap().sequence += 500;
    assert_eq!(refused(world.tries(&ledger, &liar, 30).await), ProblemCode::LedgerBehind);
    unchanged(&ledger, head);
    assert!(world.contacts(&ledger, &mut computer, 31).await.lease.is_none());
}

pub(super) async fn leases_and_assignments_have_orders_of_their_own_which_only_rise(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    world.pull(&ledger, 4).await;
    world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    for day in 0..4 {
        world.contacts(&ledger, &mut computer, 10 + day * (DAY + 1)).await;
    }
    world.approved(&ledger, "acme-av", 2, &["stable"]).await;
    world.contacts(&ledger, &mut computer, 5 * DAY).await;
    // The vendor raises the epoch.
    world.accept(&ledger, world.confirming(2, 2, 1)).await.unwrap();
    let raised = world.contacts(&ledger, &mut computer, 5 * DAY + 60).await;
    let (leases, assignments) = orders(&ledger, &computer.name).await;
    let order = |vendor, sequence| Order { epoch: Epoch::of(vendor, 0), sequence };
    assert_eq!(leases, [order(1, 1), order(1, 2), order(1, 3), order(1, 4), order(1, 5), order(2, 6)]);
    assert_eq!(assignments, [order(1, 1), order(1, 2), order(2, 3)]);
    assert_eq!(raised.lease.unwrap().order(), order(2, 6));
    assert_eq!(raised.assignment.unwrap().order(), order(2, 3));
}

/// The orders of the leases and of the assignments of one client, as they were logged.
async fn orders(ledger: &Ledger, name: &ComputerName) -> (Vec<Order>, Vec<Order>) {
    let filter = Activity { client: Some(name.clone()), ..Activity::default() };
    let (mut leases, mut assignments) = (Vec::new(), Vec::new());
    for logged in activity(ledger, filter).await {
        match logged.entry.change() {
            Some(Change::LeaseIssued { order, .. }) => leases.push(*order),
            Some(Change::AssignmentChanged { order, .. }) => assignments.push(*order),
            _ => {}
        }
    }
    (leases, assignments)
}

pub(super) async fn heads_that_do_not_fit_are_logged_once_and_listed(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 2).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    world.contacts(&ledger, &mut computer, 10).await;
    world.enrolled(&ledger, "pc-2").await;
    assert_eq!(ledger.query(LogForks {}).await.unwrap(), []);
    let fork = |size| LogHead { size, root: Sha256Digest::of(b"another log") };
    computer.forked_head = Some(fork(7));
    for seconds in [20, 30] {
        world.contacts(&ledger, &mut computer, seconds).await;
    }
    assert_eq!(entries_of(&ledger, "log_fork_reported").await.len(), 1);
    let row = LogForkRow {
        name: computer.name.clone(),
        held: computer.held_head.unwrap(),
        seen: fork(7),
        at: world.at(20),
    };
    assert_eq!(ledger.query(LogForks {}).await.unwrap(), std::slice::from_ref(&row));
    computer.forked_head = Some(fork(9));
    world.contacts(&ledger, &mut computer, 40).await;
    let newest = LogForkRow { seen: fork(9), at: world.at(40), ..row };
    assert_eq!(ledger.query(LogForks {}).await.unwrap(), std::slice::from_ref(&newest));
    assert_eq!(client(&ledger, &computer.name).await.log_fork, Some(newest));
    assert_eq!(client(&ledger, &ComputerName::new("pc-2").unwrap()).await.log_fork, None);
    // Enrolled anew, it witnesses from the beginning.
    let again = world.computer("pc-1").with_setup(2);
    ledger.execute(world.at(41), again.issue_setup()).await.unwrap();
    world.enrolls(&ledger, &again).await.unwrap();
    assert_eq!(ledger.query(LogForks {}).await.unwrap(), []);
    assert_eq!(client(&ledger, &computer.name).await.log_fork, None);
}

pub(super) async fn an_assignment_covers_only_licensed_packages(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let mut grant = world.grant(1, 5);
    grant.packages = vec![PackageName::new("acme-av").unwrap()];
    world.accept(&ledger, grant.clone()).await.unwrap();
    world.pull(&ledger, 4).await;
    world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    world.approved(&ledger, "acme-cad", 1, &["stable"]).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    let first = world.contacts(&ledger, &mut computer, 10).await;
    let packages = |assignment: Assignment| {
        let names = assignment.packages.into_iter().map(|package| package.release.package.to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(packages(first.assignment.unwrap()), ["acme-av"]);
    assert_eq!(first.lease.unwrap().entitlements[0].packages, grant.packages);
    grant.packages.push(PackageName::new("acme-cad").unwrap());
    grant.generation = 2;
    world.accept(&ledger, grant).await.unwrap();
    let second = world.contacts(&ledger, &mut computer, 20).await;
    assert_eq!(packages(second.assignment.unwrap()), ["acme-av", "acme-cad"]);
    assert_eq!(second.grants.len(), 1);
    assert_eq!(second.lease.unwrap().entitlements[0].packages.len(), 2);
    sound(&ledger).await;
}
