//! A log that somebody cut, so that everything on the disk fits together: what computers hold shows it, over the network,
//! and what an admin types then.

use std::path::Path;

use jiff::SignedDuration;
use rusqlite::Connection;
use sealpost_admin_api::status::Status;
use sealpost_distributor::home::Home;
use sealpost_distributor::ledger_marker::LedgerMarker;
use sealpost_ledger::sqlite::identify;
use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::wire::contact::{Contact, ContactAnswer, ContactRequest};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_test_support::computer::Held;
use sealpost_test_support::vendor_server::ServedVendor;

use crate::agent::{Agent, send};
use crate::program::{refused, run, stdout, typed};
use crate::restored::confirm;
use crate::site::{Site, code, good};
use crate::vendor::start_vendor;

/// Longer than a lease is left as it is, so that the next contact renews it.
const A_DAY: SignedDuration = SignedDuration::from_hours(25);
const TICKET: &str = "somebody cut the log, ticket 4711";

/// The last entries are gone, from this one on, and the marker beside the ledger says so too.
fn cut(home: &Path, from: u64) {
    let home = Home::at(home);
    let ledger = Connection::open(home.ledger()).unwrap();
    ledger.execute("DELETE FROM activity WHERE sequence >= ?1", [i64::try_from(from).unwrap()]).unwrap();
    drop(ledger);
    let found = identify(&home.ledger()).unwrap();
    assert_eq!(found.head.size, from - 1);
    let marker = LedgerMarker { server_id: found.server_id, head: found.head };
    std::fs::write(home.ledger_marker(), document::write(&marker).unwrap()).unwrap();
}

/// A contact that shows the held lease, and this one as the lease that carries the held head.
fn with_witness(agent: &Agent, contact: &Contact, witness: Option<&SignedDocument>) -> ContactRequest {
    let mut request = agent.contact_request_with_evidence(contact);
    request.evidence.as_mut().unwrap().witness = witness.cloned();
    request
}

async fn contact(site: &Site, request: &ContactRequest) -> Result<ContactAnswer, ProblemCode> {
    let response = send(site, "/agent/v1/contact", request).await;
    if response.status().is_success() { Ok(good(response).await) } else { Err(code(response).await) }
}

/// The level of the alarm, and what it says.
async fn alarm(site: &Site) -> Option<(String, String)> {
    let status: Status = site.get("/status").await;
    let found = status.warnings.into_iter().find(|warning| warning.code == "ledger_restored")?;
    Some((found.level, found.message))
}

/// What an admin types when the alarm has come, and what it changes: the alarm, and nothing else before the vendor's word.
async fn is_acknowledged_and_confirmed(site: &Site) {
    assert_eq!(alarm(site).await.unwrap().0, "urgent");
    let checked = typed(site, |home| run(home, &["status", "--check"]).status.code()).await;
    assert_eq!(checked, Some(2), "monitors are told");
    let early = typed(site, |home| refused(home, &["clients", "reserve", "pc-9"])).await;
    assert!(early.contains("unconfirmed") && early.contains("distributor register SERIAL"), "{early}");

    let said = typed(site, |home| stdout(home, &["ledger", "acknowledge", "--comment", TICKET])).await;
    assert!(said.contains("noted in the log") && said.contains("cut"), "{said}");
    let (level, message) = alarm(site).await.unwrap();
    assert!(level == "notice" && message.contains(TICKET), "{level}: {message}");
    let log = typed(site, |home| stdout(home, &["log", "--kind", "restore_acknowledged"])).await;
    assert!(log.contains(TICKET), "{log}");
    let twice = typed(site, |home| refused(home, &["ledger", "acknowledge", "--comment", "again"])).await;
    assert!(twice.contains("wrong_state"), "{twice}");
    let refused_seat = site.post_refused("/clients", &serde_json::json!({ "name": "pc-9" })).await;
    assert_eq!(refused_seat.code, ProblemCode::Unconfirmed, "an admin's word confirms nothing");

    confirm(site).await;
    site.reserve("pc-9").await;
    let status: Status = site.get("/status").await;
    assert!(status.restored.unwrap().confirmed);
}

/// A site whose log was cut below the head that its computer holds.
struct Cut {
    site: Site,
    agent: Agent,
    /// The computer's lease of before, whose head the log still has.
    earlier: Held<Lease>,
    /// Its newest lease, whose head the log has no more.
    later: Held<Lease>,
    /// A lease of another computer with such a head.
    of_a_neighbor: SignedDocument,
}

impl Cut {
    async fn site(vendor: &ServedVendor) -> Self {
        let site = Site::licensed(vendor).await;
        let mut agent = Agent::licensed(&site, "pc-1").await;
        let mut neighbor = Agent::licensed(&site, "pc-2").await;
        let earlier = agent.holds.lease.clone().unwrap();
        for name in ["pc-3", "pc-4"] {
            site.reserve(name).await;
        }
        site.clock.forward(A_DAY);
        agent.contact(&site).await;
        neighbor.contact(&site).await;
        let later = agent.holds.lease.clone().unwrap();
        let (kept, lost) = (earlier.document.ledger_head, later.document.ledger_head);
        assert!(lost.size > kept.size + 1, "the later lease carries a later head");
        let site = site.between(async |home| cut(home, lost.size)).await;
        assert!(alarm(&site).await.is_none(), "on the disk everything fits together");
        Self { site, agent, earlier, later, of_a_neighbor: neighbor.holds.lease.clone().unwrap().signed }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_computer_that_holds_a_later_head_finds_a_cut_log_and_only_the_vendor_ends_that() {
    let vendor = start_vendor(10).await;
    let Cut { site, mut agent, later, .. } = Cut::site(&vendor).await;
    agent.goes_on(&site).await.unwrap();
    let found = typed(&site, |home| stdout(home, &["log", "--kind", "ledger_restored", "--json"])).await;
    assert_eq!(found.lines().count(), 1, "{found}");
    let root = later.document.ledger_head.root.to_string();
    assert!(found.contains("client_knows_more") && found.contains(&root), "{found}");
    is_acknowledged_and_confirmed(&site).await;
    // It still holds the lost head, is asked once more, and gets a lease of the new epoch.
    let answer = agent.goes_on(&site).await.unwrap();
    assert_eq!(agent.lease(&answer).epoch.vendor(), 2);
    agent.contact(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_kept_apart_for_its_later_head_shows_a_cut_log_and_nobody_elses_does() {
    let vendor = start_vendor(10).await;
    let Cut { site, mut agent, earlier, later, of_a_neighbor } = Cut::site(&vendor).await;
    let lost = later.document.ledger_head;
    // As after a rollback of the computer: an older lease, and the highest head that it ever held.
    let hold_the_earlier = |agent: &mut Agent| {
        agent.holds.lease = Some(earlier.clone());
        agent.holds.head = Some(lost);
        agent.next_contact()
    };
    let named = hold_the_earlier(&mut agent);
    let asked = contact(&site, &agent.contact_request(&named)).await;
    assert_eq!(asked.unwrap_err(), ProblemCode::LedgerBehind, "it is to show the lease that carries it");
    let mut changed = later.signed.clone();
    changed.document = changed.document.replacen("pc-1", "pc-7", 1);
    for foreign in [&of_a_neighbor, &changed] {
        let shown = contact(&site, &with_witness(&agent, &named, Some(foreign))).await;
        assert_eq!(shown.unwrap_err(), ProblemCode::BadSignature);
    }
    let answer = contact(&site, &with_witness(&agent, &named, None)).await.unwrap();
    agent.take_answer(&named, &answer);
    assert!(alarm(&site).await.is_none(), "the lease that it shows carries a head of this log");

    let named = hold_the_earlier(&mut agent);
    let answer = contact(&site, &with_witness(&agent, &named, Some(&later.signed))).await.unwrap();
    agent.take_answer(&named, &answer);
    is_acknowledged_and_confirmed(&site).await;
    // It still holds the lost head, is asked once more, and gets a lease of the new epoch.
    let answer = agent.goes_on(&site).await.unwrap();
    assert_eq!(agent.lease(&answer).epoch.vendor(), 2);
    agent.contact(&site).await;
}
