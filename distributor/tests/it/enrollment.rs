//! Enrollment and contact over the wire: retries, other people's codes and keys, forks, licenses.

use std::collections::BTreeSet;

use jiff::Timestamp;
use reqwest::StatusCode;
use sealpost_admin_api::clients::Client;
use sealpost_admin_api::licenses::{Registered, Unlocked};
use sealpost_admin_api::status::Status;
use sealpost_keys::SigningKey;
use sealpost_ledger::sqlite::SqliteStore;
use sealpost_ledger::{Ledger, LedgerSettings};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, Registration};
use sealpost_manifests::ids::{ChannelName, ComputerName, ServerId};
use sealpost_manifests::setup::SetupFile;
use sealpost_manifests::text_code;
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::enroll::EnrollRequest;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::sync::RegisterAnswer;
use sealpost_site::changes::{Actor, Change};
use sealpost_site::commands::clients::{LoadSeats, SeatFacts};
use sealpost_site::commands::{Command, Context, Decision};
use sealpost_test_support::license::{serial, terms};
use sealpost_test_support::web::Fault;

use crate::agent::{Agent, send};
use crate::program::run;
use crate::site::{Site, code, problem};
use crate::vendor::start_vendor;

#[tokio::test]
async fn a_lost_reply_to_an_enrollment_or_a_contact_is_answered_again_byte_for_byte() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("pc-1").await;
    let mut agent = Agent::new(site.setup("pc-1").await);
    let first = agent.enroll(&site).await;
    let again = agent.enroll(&site).await;
    assert_eq!(first.enrolled.document, again.enrolled.document);
    assert_eq!(first.enrolled.minisig.as_str(), again.enrolled.minisig.as_str());

    let contact = agent.next_contact();
    let first = agent.send_contact(&site, &contact).await;
    let again = agent.send_contact(&site, &contact).await;
    assert_eq!(first.lease.as_ref().unwrap().document, again.lease.as_ref().unwrap().document);
    assert_eq!(first.lease.unwrap().minisig.as_str(), again.lease.unwrap().minisig.as_str());

    let site = site.restart().await;
    let after_restart = agent.send_contact(&site, &contact).await;
    assert_eq!(agent.lease(&after_restart).client_id, agent.client_id.clone().unwrap());
}

#[tokio::test]
async fn a_lease_names_the_computer_and_lasts_thirty_days() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("PC-1").await;
    let mut agent = Agent::new(site.setup("pc-1").await);
    agent.enroll(&site).await;
    let answer = agent.contact(&site).await;
    let lease = agent.lease(&answer);
    assert_eq!(lease.computer_name, ComputerName::new("pc-1").unwrap());
    assert_eq!(lease.client_key, agent.key.public());
    let days = lease.not_after().unwrap().duration_since(lease.issued_at).as_hours() / 24;
    assert_eq!(days, 30);
    let status: Status = site.get("/status").await;
    assert_eq!((status.licenses[0].used, status.licenses[0].active, status.licenses[0].reserved), (1, 1, 0));
}

#[tokio::test]
async fn a_wrong_name_a_used_code_and_an_unknown_computer_are_refused_and_take_no_seat() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("pc-1").await;
    let setup = site.setup("pc-1").await;
    let mut rightful = Agent::new(setup.clone());

    let mut wrong_name = rightful.enrollment();
    wrong_name.computer_name = ComputerName::new("pc-2").unwrap();
    let refused = send(&site, "/agent/v1/enroll", &rightful.enroll_request(&wrong_name)).await;
    assert_eq!(code(refused).await, ProblemCode::EnrollmentCodeWrong);

    let right = rightful.enroll_request(&rightful.enrollment());
    for (proof, expected) in [
        (None, ProblemCode::WaitsForAdmission),
        (Some(Sha256Digest::of(b"guess")), ProblemCode::EnrollmentCodeWrong),
    ] {
        let wrong = EnrollRequest { proof, ..right.clone() };
        let refused = send(&site, "/agent/v1/enroll", &wrong).await;
        assert_eq!(code(refused).await, expected);
    }
    // Somebody who saw the request learns nothing to enroll another key with.
    let watcher = Agent::new(setup.clone());
    let replayed = EnrollRequest { proof: right.proof, ..watcher.enroll_request(&watcher.enrollment()) };
    let refused = send(&site, "/agent/v1/enroll", &replayed).await;
    assert_eq!(code(refused).await, ProblemCode::EnrollmentCodeWrong);

    rightful.enroll(&site).await;
    let thief = Agent::new(setup);
    let refused = send(&site, "/agent/v1/enroll", &thief.enroll_request(&thief.enrollment())).await;
    assert_eq!(code(refused).await, ProblemCode::EnrollmentCodeUsed);

    let status: Status = site.get("/status").await;
    assert_eq!(status.licenses[0].used, 1);
}

#[tokio::test]
async fn who_guesses_a_code_or_shows_a_branch_of_nobody_is_told_nothing_about_the_name() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("pc-2").await;
    site.reserve("pc-3").await;
    let setup = site.setup("pc-3").await;
    let enrolled = Agent::licensed(&site, "pc-4").await;
    // No seat, a seat without a setup file, one with it, and one with a computer.
    let mut told = Vec::new();
    for name in ["pc-1", "pc-2", "pc-3", "pc-4"] {
        let name = ComputerName::new(name).unwrap();
        let agent = Agent::new(SetupFile { computer_name: Some(name.clone()), ..setup.clone() });
        let request = agent.enroll_request(&agent.enrollment());
        let guess = EnrollRequest { proof: Some(Sha256Digest::of(b"guess")), ..request.clone() };
        let contact = Contact {
            client_id: sealpost_manifests::ids::ClientId::from_random([3; 16]),
            new_key: Some(agent.key.public()),
            ..enrolled.next_contact()
        };
        let branch = Some(SignedDocument::sign(&contact, &agent.key).unwrap());
        let shows = EnrollRequest { proof: None, branch, ..request };
        let head = site.server.ledger().head().size;
        let mut said = Vec::new();
        for request in [guess, shows] {
            let refused = send(&site, "/agent/v1/enroll", &request).await;
            let status = refused.status();
            let problem = problem(refused).await;
            let text = |text: &str| text.replace(name.as_str(), "NAME");
            said.push((status, problem.code, text(&problem.message), text(&problem.hint)));
        }
        told.push((said, site.server.ledger().head().size - head));
    }
    assert!(told.iter().all(|one| *one == told[0]), "{told:#?}");
    let (said, written) = &told[0];
    let codes: Vec<_> = said.iter().map(|(_, code, ..)| *code).collect();
    assert_eq!(codes, [ProblemCode::EnrollmentCodeWrong, ProblemCode::BadSignature]);
    assert_eq!(*written, 1, "it waits in the list, whatever the name is");
}

#[tokio::test]
async fn an_enrollment_that_is_signed_by_another_key_or_meant_for_another_server_is_refused() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("pc-1").await;
    let agent = Agent::new(site.setup("pc-1").await);

    let mut forged = agent.enroll_request(&agent.enrollment());
    forged.client_key = SigningKey::generate().unwrap().public();
    assert_eq!(code(send(&site, "/agent/v1/enroll", &forged).await).await, ProblemCode::BadSignature);

    let other = Agent::new(agent.setup.clone());
    let borrowed = other.enroll_request(&agent.enrollment());
    assert_eq!(code(send(&site, "/agent/v1/enroll", &borrowed).await).await, ProblemCode::BadSignature);

    let mut elsewhere = agent.enrollment();
    elsewhere.server_id = ServerId::from_random([1; 16]);
    let refused = send(&site, "/agent/v1/enroll", &agent.enroll_request(&elsewhere)).await;
    assert_eq!(code(refused).await, ProblemCode::WrongServer);
}

#[tokio::test]
async fn a_contact_that_one_computer_signs_in_the_name_of_another_is_refused() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut one = Agent::licensed(&site, "pc-1").await;
    let mut two = Agent::licensed(&site, "pc-2").await;
    // Addressed as itself, so that the key fits; inside stands the neighbor, with its right nonces.
    let mut forged = one.contact_request(&two.next_contact());
    forged.client_id = one.client_id.clone().unwrap();
    assert_eq!(code(send(&site, "/agent/v1/contact", &forged).await).await, ProblemCode::BadSignature);
    // And addressed as the neighbor, whose key it has not.
    let borrowed = one.contact_request(&two.next_contact());
    assert_eq!(code(send(&site, "/agent/v1/contact", &borrowed).await).await, ProblemCode::BadSignature);
    // Neither lost its place.
    one.contact(&site).await;
    two.contact(&site).await;
}

#[tokio::test]
async fn a_cloned_disk_is_found_as_a_fork() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let mut held = agent.get(&site, "/wake").await;
    assert!(held.chunk().await.unwrap().is_some());
    let on_the_clone = agent.next_contact();
    agent.contact(&site).await;
    let refused = send(&site, "/agent/v1/contact", &agent.contact_request(&on_the_clone)).await;
    assert_eq!(code(refused).await, ProblemCode::ContactForked);
    while held.chunk().await.unwrap().is_some() {}
    for path in ["/wake", "/tuf/metadata/timestamp.json"] {
        assert_eq!(code(agent.get(&site, path).await).await, ProblemCode::ContactForked, "{path}");
    }
    let status: Status = site.get("/status").await;
    let forked = status.warnings.iter().find(|warning| warning.code == "clients_forked").unwrap();
    assert_eq!(forked.level, "urgent");
    assert!(
        forked.message.contains("(pc-1)") && forked.message.contains("clients resolve"),
        "{}",
        forked.message
    );
    // An admin decides which of them is the computer; the other's token opens nothing any more.
    let mut chosen = Agent::new(site.setup("pc-1").await);
    chosen.enroll(&site).await;
    chosen.contact(&site).await;
    let status: Status = site.get("/status").await;
    assert!(status.warnings.iter().all(|warning| warning.code != "clients_forked"));
    assert_eq!(chosen.get(&site, "/wake").await.status(), StatusCode::OK);
    assert_eq!(code(agent.get(&site, "/wake").await).await, ProblemCode::NotReserved);
}

#[tokio::test]
async fn a_contact_by_another_key_or_of_an_unknown_client_is_refused() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let agent = Agent::licensed(&site, "pc-1").await;
    let mut thief = Agent::new(agent.setup.clone());
    thief.client_id.clone_from(&agent.client_id);
    thief.holds.clone_from(&agent.holds);
    let refused = send(&site, "/agent/v1/contact", &thief.contact_request(&thief.next_contact())).await;
    assert_eq!(code(refused).await, ProblemCode::BadSignature);

    let mut contact = agent.next_contact();
    contact.client_id = sealpost_manifests::ids::ClientId::from_random([3; 16]);
    let refused = send(&site, "/agent/v1/contact", &agent.contact_request(&contact)).await;
    assert_eq!(code(refused).await, ProblemCode::UnknownComputer);
}

#[tokio::test]
async fn someone_who_guesses_codes_has_to_wait_and_others_are_served() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut licensed = Agent::licensed(&site, "pc-1").await;
    site.reserve("pc-2").await;
    let agent = Agent::new(site.setup("pc-2").await);
    let right = agent.enroll_request(&agent.enrollment());
    let request = EnrollRequest { proof: Some(Sha256Digest::of(b"guess")), ..right };
    let mut last = StatusCode::OK;
    for _ in 0..40 {
        last = send(&site, "/agent/v1/enroll", &request).await.status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    licensed.contact(&site).await;
}

#[tokio::test]
async fn before_an_unlock_nothing_can_be_reserved_and_without_the_vendor_the_code_goes_by_hand() {
    let vendor = start_vendor(2).await;
    let site = Site::start(&vendor).await;
    let refused = site.post_refused("/clients", &serde_json::json!({ "name": "pc-1" })).await;
    assert_eq!(refused.code, ProblemCode::NotUnlocked);

    let registration = registration(&site).await;
    let grant = vendor.grant(&registration, 2);
    let unlock_code = text_code::encode(&grant);
    let unlocked: Unlocked = site.post("/unlock", &serde_json::json!({ "code": unlock_code })).await;
    assert_eq!((unlocked.license.licenses, unlocked.notice), (2, None));
    let again: Unlocked = site.post("/unlock", &serde_json::json!({ "code": unlock_code })).await;
    assert!(again.notice.unwrap().contains("same end as before"), "nothing was renewed, and it says so");
    let from = site.clock.now() + jiff::SignedDuration::from_hours(24);
    let answer = RegisterAnswer { grant, renewable_from: Some(from) };
    vendor.answer_next_registration(Fault::Content(serde_json::to_vec(&answer).unwrap()));
    let renewed: Registered = site.post("/register", &serde_json::json!({ "serial": serial() })).await;
    let Registered::Granted { notice: Some(notice), .. } = renewed else { panic!("{renewed:?}") };
    assert!(notice.contains(&format!("renews it from {from}")), "{notice}");
    site.reserve("pc-1").await;
    site.reserve("PC-1").await;
    site.reserve("pc-2").await;
    let refused = site.post_refused("/clients", &serde_json::json!({ "name": "pc-3" })).await;
    assert_eq!(refused.code, ProblemCode::NoSeatFree);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_says_when_there_are_fewer_seats_than_before_or_no_more() {
    let vendor = start_vendor(5).await;
    let site = Site::start(&vendor).await;
    let registration = registration(&site).await;
    let grant = |generation, seats| {
        let terms = Grant { generation, ..terms(&registration, seats, site.clock.now()) };
        SignedDocument::sign(&terms, &vendor.license_key).unwrap()
    };
    let unlock = async |grant: &SignedDocument| -> Unlocked {
        site.post("/unlock", &serde_json::json!({ "code": text_code::encode(grant) })).await
    };
    let five = grant(1, 5);
    assert_eq!(unlock(&five).await.seats_before, None);
    let answer = RegisterAnswer { grant: five, renewable_from: None };
    vendor.answer_next_registration(Fault::Content(serde_json::to_vec(&answer).unwrap()));
    let home = site.home();
    let more = move || run(&home, &["register", serial().as_ref(), "--more-seats"]);
    let output = tokio::task::spawn_blocking(more).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the vendor granted no more seats: there are 5 seats, as before"), "{said}");
    let fewer = unlock(&grant(2, 2)).await;
    assert_eq!((fewer.license.licenses, fewer.seats_before), (2, Some(5)));
    let notice = fewer.notice.unwrap();
    assert!(notice.contains("the grant has 2 seats, and the one before had 5: 2 are free"), "{notice}");
    assert_eq!(unlock(&grant(3, 7)).await.license.licenses, 7);
}

#[tokio::test]
async fn a_grant_for_another_server_or_by_another_vendor_is_refused_and_a_typing_error_is_named() {
    let (vendor, stranger) = (start_vendor(2).await, start_vendor(2).await);
    let site = Site::start(&vendor).await;
    let ours = registration(&site).await;
    let theirs = Registration { server_id: ServerId::from_random([1; 16]), ..ours.clone() };
    let other_key = Registration { site_key: SigningKey::generate().unwrap().public(), ..ours.clone() };
    for grant in [vendor.grant(&theirs, 9), vendor.grant(&other_key, 9), stranger.grant(&ours, 9)] {
        let body = serde_json::json!({ "code": serde_json::to_string(&grant).unwrap() });
        assert_eq!(site.post_refused("/unlock", &body).await.code, ProblemCode::GrantRefused);
    }
    let asked = site
        .post::<Registered>("/register", &serde_json::json!({ "serial": serial(), "way": "offline" }))
        .await;
    let Registered::Code { code, .. } = asked else { panic!("{asked:?}") };
    let twisted = site.post_refused("/unlock", &serde_json::json!({ "code": code })).await;
    assert!(twisted.message.contains("this is a registration code"), "{twisted:?}");
    let good = text_code::encode(&vendor.grant(&ours, 9));
    let typo = good.replacen(|c: char| c.is_ascii_digit(), "Z", 1);
    let refused = site.post_refused("/unlock", &serde_json::json!({ "code": typo })).await;
    assert_eq!(refused.code, ProblemCode::BadRequest);
    assert!(refused.message.contains("group 1 on line 1"), "{refused:?}");
    let status: Status = site.get("/status").await;
    assert!(status.licenses.is_empty());
}

#[tokio::test]
async fn a_serial_number_that_the_vendor_does_not_know_is_his_no_and_not_a_network_fault() {
    let vendor = start_vendor(2).await;
    let site = Site::start(&vendor).await;
    let serial = sealpost_manifests::ids::SerialNumber::from_random([6; 19]);
    let refused = site.post_refused("/register", &serde_json::json!({ "serial": serial })).await;
    assert_eq!(refused.code, ProblemCode::SerialUnknown);
}

/// What the server tells the vendor, out of its registration code.
pub(crate) async fn registration(site: &Site) -> Registration {
    let body = serde_json::json!({ "serial": serial(), "way": "offline" });
    let view: Registered = site.post("/register", &body).await;
    let Registered::Code { code, reason: None, .. } = view else { panic!("{view:?}") };
    let registration = text_code::decode(&code).unwrap();
    sealpost_manifests::grant::verify_registration(&registration).unwrap().into_inner()
}

/// A seat in a spelling that servers took before a dot at the end counted as the same name.
struct ReserveAsBefore(ComputerName);

impl Command for ReserveAsBefore {
    type Facts = LoadSeats;
    type Answer = ();
    const ATTEMPTED: &'static str = "reserve a seat as an older server did";

    fn facts(&self) -> LoadSeats {
        LoadSeats { names: BTreeSet::from([self.0.clone()]) }
    }

    fn decide(self, _: SeatFacts, _: &Context<'_>) -> Decision<()> {
        let channel = ChannelName::new("stable").unwrap();
        let change = Change::SeatReserved { name: self.0, channel, serial: serial() };
        Decision::answer(()).change(Actor::Server, change)
    }
}

#[tokio::test]
async fn a_script_that_reserves_a_name_of_an_older_server_again_takes_no_second_seat() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let site = site
        .between(async |home| {
            let store = SqliteStore::open(&home.join("ledger.db")).unwrap();
            let ledger = Ledger::start(Box::new(store), LedgerSettings::default()).unwrap();
            let name = ComputerName::new("h.example.com.").unwrap();
            ledger.execute(Timestamp::now(), ReserveAsBefore(name)).await.unwrap();
            ledger.close().await.unwrap();
        })
        .await;
    let again: Client = site.post("/clients", &serde_json::json!({ "name": "H.example.com." })).await;
    assert_eq!(again.name.as_str(), "h.example.com.");
    let other = serde_json::json!({ "name": "h.example.com.", "channel": "beta" });
    assert_eq!(site.post_refused("/clients", &other).await.code, ProblemCode::WrongState);
    let status: Status = site.get("/status").await;
    assert_eq!(status.licenses[0].used, 1);
}
