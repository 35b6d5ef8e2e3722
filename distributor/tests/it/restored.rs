//! A home that was copied back to an earlier state: whoever went on since shows it, goes on, and nothing new is licensed
//! until the vendor confirms.

use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use sealpost_admin_api::clients::Client;
use sealpost_admin_api::licenses::Registered;
use sealpost_admin_api::log::LogCheck;
use sealpost_admin_api::setups::SetupsPage;
use sealpost_admin_api::status::{Restored, Status};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::log::{LogHead, verify_consistency};
use sealpost_manifests::setup::SetupFile;
use sealpost_manifests::wire::contact::ContactAnswer;
use sealpost_manifests::wire::enroll::EnrollAnswer;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_site::changes::seat_history::SetupOutcome;
use sealpost_site::queries::Activity;
use sealpost_site::rules::setups::CodeState;
use sealpost_test_support::folders::copy_tree;
use sealpost_test_support::license::serial;

use crate::agent::{Agent, send};
use crate::copies;
use crate::knocking::{admit, knock};
use crate::program::{parts, run, stdout, typed};
use crate::site::{Site, code, good, problem};
use crate::vendor::start_vendor;

/// A copy of the whole home, made while no server runs.
async fn copied(site: Site) -> (Site, PathBuf) {
    let copy = site.folder.path().join("copy");
    let site = site.between(async |home| copy_tree(home, &copy).unwrap()).await;
    (site, copy)
}

/// The home is replaced by its earlier copy.
async fn copied_back(site: Site, copy: &Path) -> Site {
    site.between(async |home| {
        std::fs::remove_dir_all(home).unwrap();
        copy_tree(copy, home).unwrap();
    })
    .await
}

impl Agent {
    /// A contact as an agent makes it: what it holds is shown when the server says that it knows less.
    pub(crate) async fn goes_on(&mut self, site: &Site) -> Result<ContactAnswer, ProblemCode> {
        let contact = self.next_contact();
        let plain = send(site, "/agent/v1/contact", &self.contact_request(&contact)).await;
        let answer = if plain.status().is_success() {
            plain
        } else {
            let refused = code(plain).await;
            let may_show =
                [ProblemCode::NonceUnknown, ProblemCode::UnknownComputer, ProblemCode::LedgerBehind];
            if !may_show.contains(&refused) || self.holds.lease.is_none() {
                return Err(refused);
            }
            send(site, "/agent/v1/contact", &self.contact_request_with_evidence(&contact)).await
        };
        if !answer.status().is_success() {
            return Err(code(answer).await);
        }
        let answer: ContactAnswer = good(answer).await;
        self.take_answer(&contact, &answer);
        Ok(answer)
    }
}

pub(crate) async fn confirm(site: &Site) {
    let view: Registered = site.post("/register", &serde_json::json!({ "serial": serial() })).await;
    assert!(matches!(view, Registered::Granted { unconfirmed: false, .. }), "{view:?}");
}

#[tokio::test]
async fn after_a_copied_home_came_back_every_computer_goes_on_and_nothing_new_is_licensed_before_the_vendor_confirms()
 {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut asleep = Agent::licensed(&site, "asleep").await;
    let mut quiet = Agent::licensed(&site, "quiet").await;
    let mut renewed = Agent::licensed(&site, "renewed").await;
    let (site, copy) = copied(site).await;

    // What happens after the copy: a contact without news, a new lease, a new computer, a computer enrolled again.
    quiet.contact(&site).await;
    site.clock.forward(SignedDuration::from_hours(25));
    let lease = renewed.contact(&site).await;
    let lost_order = (renewed.lease(&lease).epoch, renewed.lease(&lease).sequence);
    let mut newcomer = Agent::licensed(&site, "newcomer").await;
    let site = copied_back(site, &copy).await;

    // One that the ledger knows to the last contact notices nothing.
    assert!(asleep.goes_on(&site).await.is_ok());
    let status: Status = site.get("/status").await;
    assert!(status.restored.is_none(), "nothing has shown it yet");
    // One that only contacted goes on, and shows that the ledger is older.
    quiet.goes_on(&site).await.unwrap();
    let status: Status = site.get("/status").await;
    assert!(!status.restored.unwrap().confirmed);
    assert!(
        status.warnings.iter().any(|warning| warning.message.contains("register SERIAL")),
        "{:?}",
        status.warnings
    );
    // One that was issued more gets what is above all of it.
    let answer = renewed.goes_on(&site).await.unwrap();
    let lease = renewed.lease(&answer);
    assert!((lease.epoch, lease.sequence) > lost_order);
    // One that the ledger lost altogether is there again, with its seat.
    newcomer.goes_on(&site).await.unwrap();
    newcomer.contact(&site).await;
    let shown: Client = site.get("/clients/newcomer").await;
    assert!(shown.resumed.is_some_and(|resumed| resumed.displaced.is_none()));
    let status: Status = site.get("/status").await;
    assert_eq!((status.licenses[0].used, status.licenses[0].active), (4, 4));

    // No new license: neither a seat, nor a computer for a seat that is there.
    let refused = site.post_refused("/clients", &serde_json::json!({ "name": "pc-9" })).await;
    assert_eq!(refused.code, ProblemCode::Unconfirmed);
    assert!(refused.hint.contains("register SERIAL"), "{refused:?}");
    let again = Agent::new(site.setup("asleep").await);
    let refused = send(&site, "/agent/v1/enroll", &again.enroll_request(&again.enrollment())).await;
    assert_eq!(code(refused).await, ProblemCode::Unconfirmed);

    confirm(&site).await;
    site.reserve("pc-9").await;
    for agent in [&mut asleep, &mut quiet, &mut renewed, &mut newcomer] {
        let answer = agent.contact(&site).await;
        assert_eq!(agent.lease(&answer).epoch.vendor(), 2, "the vendor's raised epoch");
        assert_eq!(answer.grants.len(), 1);
        agent.contact(&site).await;
    }
    let status: Status = site.get("/status").await;
    assert!(status.restored.unwrap().confirmed);
}

#[tokio::test]
async fn the_same_grant_again_and_a_restart_confirm_nothing() {
    let vendor = start_vendor(10).await;
    let site = Site::start(&vendor).await;
    let registration = crate::enrollment::registration(&site).await;
    let grant = vendor.grant(&registration, 10);
    let body = serde_json::json!({ "code": serde_json::to_string(&grant).unwrap() });
    let _: serde_json::Value = site.post("/unlock", &body).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let (site, copy) = copied(site).await;
    agent.contact(&site).await;
    let site = copied_back(site, &copy).await;
    agent.goes_on(&site).await.unwrap();

    let answer: serde_json::Value = site.post("/unlock", &body).await;
    assert_eq!(answer["unconfirmed"], true);
    let site = site.restart().await;
    let refused = site.post_refused("/clients", &serde_json::json!({ "name": "pc-2" })).await;
    assert_eq!(refused.code, ProblemCode::Unconfirmed);
    // What the server tells the vendor says why it asks.
    let registration = crate::enrollment::registration(&site).await;
    assert_eq!(registration.reason.as_str(), "restored");
    assert_eq!(registration.used.values().copied().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_stolen_old_disk_that_is_resumed_first_is_displaced_by_the_computer_that_went_on() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let (site, copy) = copied(site).await;
    agent.contact(&site).await;
    let stolen = agent.holds.clone();
    agent.contact(&site).await;
    agent.contact(&site).await;
    let site = copied_back(site, &copy).await;

    let rightful = std::mem::replace(&mut agent.holds, stolen);
    agent.goes_on(&site).await.unwrap();
    for _ in 0..5 {
        agent.contact(&site).await;
    }
    let thief = std::mem::replace(&mut agent.holds, rightful);
    agent.goes_on(&site).await.unwrap();
    agent.contact(&site).await;
    let shown: Client = site.get("/clients/pc-1").await;
    let resumed = shown.resumed.unwrap();
    assert_eq!((resumed.contacts, resumed.displaced), (4, Some(2)), "both are shown");

    let rightful = std::mem::replace(&mut agent.holds, thief);
    assert_eq!(agent.goes_on(&site).await.unwrap_err(), ProblemCode::Displaced);
    agent.holds = rightful;
    agent.contact(&site).await;
}

#[tokio::test]
async fn a_clone_of_the_disk_that_is_resumed_is_found_as_a_clone_and_a_replayed_resumption_changes_nothing() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let (site, copy) = copied(site).await;
    agent.contact(&site).await;
    let clone = agent.holds.clone();
    let site = copied_back(site, &copy).await;

    let contact = agent.next_contact();
    let request = agent.contact_request_with_evidence(&contact);
    let first: ContactAnswer = good(send(&site, "/agent/v1/contact", &request).await).await;
    let head = site.server.ledger().head();
    let again: ContactAnswer = good(send(&site, "/agent/v1/contact", &request).await).await;
    assert_eq!(first.lease.unwrap().document, again.lease.as_ref().unwrap().document);
    assert_eq!(site.server.ledger().head(), head, "a replay writes nothing");
    agent.take_answer(&contact, &again);

    let rightful = std::mem::replace(&mut agent.holds, clone);
    assert_eq!(agent.goes_on(&site).await.unwrap_err(), ProblemCode::ContactForked);
    agent.holds = rightful;
    // An admin decides, as with every clone; what runs is not touched.
    assert_eq!(agent.goes_on(&site).await.unwrap_err(), ProblemCode::ContactForked);
}

#[tokio::test]
async fn what_others_signed_or_what_belongs_to_another_client_shows_nothing() {
    let vendor = start_vendor(10).await;
    let (site, other) = (Site::licensed(&vendor).await, Site::licensed(&start_vendor(1).await).await);
    let agent = Agent::licensed(&site, "pc-1").await;
    let neighbor = Agent::licensed(&site, "pc-2").await;
    let foreign = Agent::licensed(&other, "pc-1").await;
    let head = site.server.ledger().head();
    let contact = agent.next_contact();
    for lease in [&neighbor.holds.lease, &foreign.holds.lease] {
        let mut request = agent.contact_request_with_evidence(&contact);
        request.evidence.as_mut().unwrap().lease = lease.as_ref().unwrap().signed.clone();
        let refused = send(&site, "/agent/v1/contact", &request).await;
        assert_eq!(code(refused).await, ProblemCode::BadSignature);
    }
    // A client that nobody lost shows its lease and a past that is none: nothing becomes of it.
    let mut invented = agent.next_contact();
    invented.previous = Some(sealpost_manifests::ids::Nonce::from_random([9; 16]));
    let request = agent.contact_request_with_evidence(&invented);
    let refused = send(&site, "/agent/v1/contact", &request).await;
    assert_eq!(code(refused).await, ProblemCode::NonceUnknown);
    assert_eq!(site.server.ledger().head(), head);
}

#[tokio::test]
async fn names_that_were_given_after_the_first_restore_are_not_lost_to_a_second_one() {
    let vendor = start_vendor(2).await;
    let site = Site::licensed(&vendor).await;
    let mut first = Agent::licensed(&site, "pc-1").await;
    let (site, copy) = copied(site).await;
    let mut second = Agent::licensed(&site, "pc-2").await;
    let site = copied_back(site, &copy).await;
    first.contact(&site).await;
    // Before anything shows it, the admin of the restored server gives the last seat away once more.
    let mut third = Agent::licensed(&site, "pc-3").await;
    second.goes_on(&site).await.unwrap();
    let status: Status = site.get("/status").await;
    assert_eq!((status.licenses[0].licenses, status.licenses[0].used), (2, 3));
    assert!(status.warnings.iter().any(|warning| warning.message.contains("2 seats, of which 3 are used")));
    confirm(&site).await;
    let refused = site.post_refused("/clients", &serde_json::json!({ "name": "pc-4" })).await;
    assert_eq!(refused.code, ProblemCode::NoSeatFree, "nothing new before the count is right");
    // And back once more: whoever is lost this time shows it again.
    let site = copied_back(site, &copy).await;
    third.goes_on(&site).await.unwrap();
    second.goes_on(&site).await.unwrap();
    first.goes_on(&site).await.unwrap();
    let status: Status = site.get("/status").await;
    assert_eq!((status.licenses[0].used, status.restored.unwrap().confirmed), (3, false));
}

#[tokio::test]
async fn a_new_lease_comes_with_a_proof_that_the_log_extends_what_the_computer_witnessed() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let held = agent.holds.head.unwrap();
    for number in 0..7 {
        site.reserve(&format!("lab-{number}")).await;
    }
    site.clock.forward(SignedDuration::from_hours(25));
    let answer = agent.contact(&site).await;
    let head = agent.lease(&answer).ledger_head;
    assert!(head.size > held.size);
    verify_consistency(&held, &head, answer.consistency.unwrap().hashes()).unwrap();
}

#[tokio::test]
async fn a_computer_that_lies_about_the_head_that_it_holds_freezes_no_site() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let head = site.server.ledger().head();
    let mut contact = agent.next_contact();
    contact.held_head = Some(LogHead { size: 2, root: Sha256Digest::of(b"invented") });
    let named = send(&site, "/agent/v1/contact", &agent.contact_request(&contact)).await;
    assert_eq!(code(named).await, ProblemCode::LedgerBehind, "it is to show the lease that carries it");
    // A lease that somebody else signed is refused, and its own carries another head.
    let other = Site::licensed(&start_vendor(1).await).await;
    let foreign = Agent::licensed(&other, "pc-1").await;
    let mut forged = agent.contact_request_with_evidence(&contact);
    forged.evidence.as_mut().unwrap().witness = Some(foreign.holds.lease.as_ref().unwrap().signed.clone());
    let refused = send(&site, "/agent/v1/contact", &forged).await;
    assert_eq!(code(refused).await, ProblemCode::BadSignature);
    let request = agent.contact_request_with_evidence(&contact);
    let answer: ContactAnswer = good(send(&site, "/agent/v1/contact", &request).await).await;
    agent.take_answer(&contact, &answer);
    let status: Status = site.get("/status").await;
    // Refusals are counted, and written once a minute.
    let after = Activity { after: head.size, ..Activity::default() };
    let later = site.server.ledger().query(after).await.unwrap();
    let believed = later.iter().any(|logged| logged.entry.kind() != "refused");
    assert!(status.restored.is_none() && !believed, "nothing was believed: {later:?}");
    site.reserve("pc-2").await;
}

#[tokio::test]
async fn who_has_seen_a_restore_is_noted_for_good_and_the_alarm_becomes_a_notice() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let comment = serde_json::json!({ "comment": "Monday's backup, ticket 4711" });
    let early = site.post_refused("/ledger/acknowledge", &comment).await;
    assert_eq!(early.code, ProblemCode::WrongState);
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let (site, copy) = copied(site).await;
    agent.contact(&site).await;
    let site = copied_back(site, &copy).await;
    agent.goes_on(&site).await.unwrap();
    let level = |status: &Status| {
        let found = status.warnings.iter().find(|warning| warning.code == "ledger_restored").unwrap();
        (found.level.clone(), found.message.clone())
    };
    let status: Status = site.get("/status").await;
    assert_eq!(level(&status).0, "urgent");
    let empty = site.post_refused("/ledger/acknowledge", &serde_json::json!({ "comment": " " })).await;
    assert_eq!(empty.code, ProblemCode::BadRequest);
    let noted: Restored = site.post("/ledger/acknowledge", &comment).await;
    let seen = noted.acknowledged.unwrap();
    assert_eq!(seen.comment, "Monday's backup, ticket 4711");
    let site = site.restart().await;
    let status: Status = site.get("/status").await;
    let (found, message) = level(&status);
    assert_eq!(found, "notice");
    assert!(message.contains(&seen.by) && message.contains("ticket 4711"), "{message}");
    let restored = status.restored.unwrap();
    assert_eq!((restored.confirmed, restored.acknowledged), (false, Some(seen)), "only the vendor confirms");
    let log = site.admin(reqwest::Method::GET, "/log?kind=restore_acknowledged", None).await;
    assert_eq!(log.text().await.unwrap().lines().count(), 1);
    let refused = site.post_refused("/clients", &serde_json::json!({ "name": "pc-9" })).await;
    assert_eq!(refused.code, ProblemCode::Unconfirmed);
    // The tables are as this log says, and the tables that it does not make are named.
    let check: LogCheck = site.post("/log/verify", &serde_json::json!({})).await;
    let tables = check.tables.unwrap();
    assert_eq!((check.damage.is_none(), tables.differing), (true, 0), "{:?}", tables.differences);
    assert!(tables.tables > 10 && tables.unproven.contains(&"contacts".to_owned()), "{tables:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_replaced_after_a_backup_takes_no_name_back_by_the_admission_or_the_code_in_it() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut quiet = Agent::licensed(&site, "quiet").await;
    let setup: SetupFile = site.get("/setups/knock").await;
    let mut dead = Agent::knocking(&setup, "pc-1");
    assert_eq!(knock(&site, &dead).await, ProblemCode::WaitsForAdmission);
    admit(&site, "pc-1", &dead).await;
    site.reserve("pc-2").await;
    let mut coded = Agent::new(site.setup("pc-2").await);
    let (site, copy) = copied(site).await;

    // After the copy both enroll, and another computer takes the name of the first one.
    quiet.contact(&site).await;
    dead.enroll(&site).await;
    coded.enroll(&site).await;
    let mut holder = Agent::knocking(&setup, "pc-1");
    assert_eq!(knock(&site, &holder).await, ProblemCode::WaitsForAdmission);
    assert!(admit(&site, "pc-1", &holder).await.replaces);
    holder.enroll(&site).await;
    holder.contact(&site).await;
    let site = copied_back(site, &copy).await;
    quiet.goes_on(&site).await.unwrap();
    confirm(&site).await;

    assert_eq!(knock(&site, &dead).await, ProblemCode::WaitsForAdmission);
    let request = coded.enroll_request(&coded.enrollment());
    let refused: Problem = send(&site, "/agent/v1/enroll", &request).await.json().await.unwrap();
    assert_eq!(refused.code, ProblemCode::EnrollmentCodeExpired);
    assert!(refused.message.contains("ledger was restored"), "{refused}");
    assert!(refused.hint.contains("`distributor clients setup pc-2`"), "{refused}");
    // Every view tells the same.
    let (_, status, _) = typed(&site, |home| parts(&run(home, &["status", "--json"]))).await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let warnings = status["warnings"].as_array().unwrap();
    let found = warnings.iter().find(|warning| warning["code"] == "ledger_restored").unwrap();
    let said = found["message"].as_str().unwrap();
    assert!(said.contains("setup files and admissions from before that nobody had used are void"), "{said}");
    assert!(said.contains("`distributor clients setup NAME`") && said.contains("clients admit"), "{said}");
    assert_eq!(found["next"], "distributor clients setups --expired");
    let page: SetupsPage = site.get("/setups").await;
    let states: Vec<_> = page.setups.iter().map(|line| (line.name.as_str(), line.state)).collect();
    assert_eq!(states, [("pc-2", CodeState::Expired), ("quiet", CodeState::Used)]);
    for name in ["pc-1", "pc-2"] {
        let shown: Client = site.get(&format!("/clients/{name}")).await;
        assert_eq!(shown.setup_info.unwrap().setups[0].outcome, SetupOutcome::Expired, "{name}");
    }
    let site = site.restart().await;
    assert_eq!(knock(&site, &dead).await, ProblemCode::WaitsForAdmission);
    // The rightful one goes on, and what is issued now is good.
    holder.goes_on(&site).await.unwrap();
    holder.contact(&site).await;
    let mut again = Agent::new(site.setup("pc-2").await);
    again.enroll(&site).await;
    again.contact(&site).await;
    assert_eq!(knock(&site, &dead).await, ProblemCode::WaitsForAdmission);
    holder.contact(&site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_kept_before_a_backup_goes_on_only_when_that_is_decided_again() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut quiet = Agent::licensed(&site, "quiet").await;
    let (agent, of_second) = copies::copied(&site).await;
    let of_first = agent.next_contact();
    let [first, second] = copies::shown(&site).await.try_into().unwrap();
    copies::keep(&site, &first.contact).await;
    let (site, copy) = copied(site).await;

    // After the copy the other one is kept, and goes on.
    quiet.contact(&site).await;
    copies::keep(&site, &second.contact).await;
    let mut holder = Agent::new(agent.setup.clone());
    let request = copies::goes_on(&holder, &of_second, Some(holder.key.public()), &agent.key);
    let answer: EnrollAnswer = good(send(&site, "/agent/v1/enroll", &request).await).await;
    holder.take_enrolled(&answer);
    holder.contact(&site).await;
    holder.contact(&site).await;
    let site = copied_back(site, &copy).await;
    quiet.goes_on(&site).await.unwrap();
    confirm(&site).await;

    // The dead one does not take the name back by what the backup says.
    let dead = Agent::new(agent.setup.clone());
    let request = copies::goes_on(&dead, &of_first, Some(dead.key.public()), &agent.key);
    let refused = problem(send(&site, "/agent/v1/enroll", &request).await).await;
    assert_eq!(refused.code, ProblemCode::ContactForked);
    let told = problem(send(&site, "/agent/v1/contact", &agent.contact_request(&of_first)).await).await;
    assert_eq!(told.code, ProblemCode::ContactForked);
    for said in [refused, told] {
        assert!(said.message.contains("before this server's ledger was restored"), "{said}");
        assert!(said.hint.contains("`distributor clients resolve pc-1 --keep CONTACT`"), "{said}");
    }
    let shown = copies::shown(&site).await;
    assert!(shown[0].kept_before_restore && shown.iter().all(|copy| !copy.kept), "{shown:?}");
    let told = typed(&site, |home| stdout(home, &["clients", "show", "pc-1"])).await;
    assert!(told.contains("decided before this server's ledger was restored"), "{told}");
    assert!(told.contains("`distributor clients resolve pc-1 --keep CONTACT`"), "{told}");
    assert!(!told.contains("it goes on"), "{told}");

    // The one that went on comes back by itself; the other one never does.
    holder.goes_on(&site).await.unwrap();
    holder.contact(&site).await;
    let request = copies::goes_on(&dead, &of_first, Some(dead.key.public()), &agent.key);
    assert!(!send(&site, "/agent/v1/enroll", &request).await.status().is_success());
    assert!(copies::shown(&site).await.is_empty());
    holder.contact(&site).await;

    // Where nobody went on meanwhile, the same decision once more lets the same copy go on.
    let site = copied_back(site, &copy).await;
    quiet.goes_on(&site).await.unwrap();
    confirm(&site).await;
    let keep = first.contact.short();
    typed(&site, move |home| {
        let done = run(home, &["clients", "resolve", "pc-1", "--keep", &keep, "--yes"]);
        assert!(done.status.success(), "{done:?}");
    })
    .await;
    let mut own = Agent::new(agent.setup.clone());
    let request = copies::goes_on(&own, &of_first, Some(own.key.public()), &agent.key);
    let answer: EnrollAnswer = good(send(&site, "/agent/v1/enroll", &request).await).await;
    own.take_enrolled(&answer);
    own.contact(&site).await;
}
