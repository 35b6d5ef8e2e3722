//! Two computers with one identity: both are shown, and the one that an admin keeps goes on with a key of its own.

use reqwest::StatusCode;
use sealpost_admin_api::clients::Client;
use sealpost_admin_api::copies::{CopyLine, ResolveRequest, Resolved};
use sealpost_admin_api::folder::AnsweredFile;
use sealpost_admin_api::status::Status;
use sealpost_keys::{PublicKey, SigningKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::Nonce;
use sealpost_manifests::wire::by_file::FileRequest;
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::enroll::{EnrollAnswer, EnrollRequest};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};
use sealpost_site::changes::EnrolledBy;
use sealpost_site::queries::Activity;
use sealpost_site::rules::came_by::CameBy;
use sealpost_test_support::names::{package, release_id};

use crate::agent::{Agent, send};
use crate::program::{parts, refused, run, stdout, typed};
use crate::site::{Site, code, good, problem};
use crate::vendor::start_vendor;

/// A computer and the waiting contact of a copy of its home, which has shown that there are two.
pub(crate) async fn copied(site: &Site) -> (Agent, Contact) {
    let mut agent = Agent::licensed(site, "pc-1").await;
    let copy = Contact { hostname: Some("COPY".to_owned()), ..agent.next_contact() };
    agent.contact(site).await;
    let refused = send(site, "/agent/v1/contact", &agent.contact_request(&copy)).await;
    assert_eq!(code(refused).await, ProblemCode::ContactForked);
    (agent, copy)
}

pub(crate) async fn shown(site: &Site) -> Vec<CopyLine> {
    site.get::<Client>("/clients/pc-1").await.copies
}

pub(crate) async fn keep(site: &Site, contact: &Sha256Digest) -> Resolved {
    let keep = ResolveRequest { keep: contact.short(), comment: "the one at the desk".to_owned() };
    site.post("/clients/pc-1/resolve", &keep).await
}

pub(crate) async fn tries(site: &Site, agent: &Agent, contact: &Contact) -> ProblemCode {
    code(send(site, "/agent/v1/contact", &agent.contact_request(contact)).await).await
}

/// How many entries the log has. Counts of refusals are left out, which are written once a minute by the clock on the wall.
async fn logged(site: &Site) -> usize {
    let entries = site.server.ledger().query(Activity::default()).await.unwrap();
    entries.iter().filter(|logged| logged.entry.kind() != "refused").count()
}

/// The request of a computer to go on with its own key: a contact with a key inside, signed with another.
pub(crate) fn goes_on(
    own: &Agent,
    contact: &Contact,
    new_key: Option<PublicKey>,
    signer: &SigningKey,
) -> EnrollRequest {
    let branch = SignedDocument::sign(&Contact { new_key, ..contact.clone() }, signer).unwrap();
    EnrollRequest { branch: Some(branch), ..own.enroll_request_with(&own.enrollment(), None) }
}

#[tokio::test]
async fn two_computers_are_both_shown_and_a_replayed_or_foreign_message_changes_nothing() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let (agent, copy) = copied(&site).await;
    let copies = shown(&site).await;
    let [first, second] = copies.as_slice() else { panic!("{copies:?}") };
    assert_eq!(
        (second.hostname.as_deref(), second.contact),
        (Some("COPY"), Sha256Digest::of(copy.next.as_str().as_bytes()))
    );
    assert!(copies.iter().all(|copy| copy.came_by.is_some() && !copy.agent_version.is_empty() && !copy.kept));
    let size = logged(&site).await;
    // Each of them again, a third one, and one that the neighbor signed.
    let third = Contact { previous: copy.previous.clone(), ..agent.next_contact() };
    for contact in [&agent.next_contact(), &copy, &copy, &third] {
        assert_eq!(tries(&site, &agent, contact).await, ProblemCode::ContactForked);
    }
    let neighbor = Agent::licensed(&site, "pc-2").await;
    let size = logged(&site).await.max(size);
    let mut forged = neighbor.contact_request(&copy);
    forged.client_id = agent.client_id.clone().unwrap();
    assert_eq!(code(send(&site, "/agent/v1/contact", &forged).await).await, ProblemCode::BadSignature);
    assert_eq!(shown(&site).await, copies);
    // A computer is told which of the two it is, so that a person there can say it.
    let told = problem(send(&site, "/agent/v1/contact", &agent.contact_request(&copy)).await).await;
    assert!(told.message.contains(&second.contact.short()), "{told}");
    for keep in ["0123456789ab", "0123", "", &first.contact.to_string()[..7]] {
        let request = ResolveRequest { keep: keep.to_owned(), comment: String::new() };
        let refused = site.post_refused("/clients/pc-1/resolve", &request).await;
        assert!(refused.message.contains(&first.contact.short()), "{refused}");
    }
    let request = ResolveRequest { keep: first.contact.short(), comment: String::new() };
    assert_eq!(site.post_refused("/clients/pc-2/resolve", &request).await.code, ProblemCode::WrongState);
    assert_eq!(logged(&site).await, size);
}

#[tokio::test]
async fn contacts_of_nobody_from_the_same_address_wait_and_the_copy_that_was_kept_does_not() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let (agent, copy) = copied(&site).await;
    keep(&site, &shown(&site).await[1].contact).await;
    let own = Agent::new(agent.setup.clone());
    let request = goes_on(&own, &copy, Some(own.key.public()), &agent.key);
    let of_nobody = goes_on(&own, &copy, Some(own.key.public()), &own.key);
    let mut tries = 0;
    while code(send(&site, "/agent/v1/enroll", &of_nobody).await).await != ProblemCode::Busy {
        tries += 1;
        assert!(tries < 100, "a stranger never waits");
    }
    let _: EnrollAnswer = good(send(&site, "/agent/v1/enroll", &request).await).await;
}

#[tokio::test]
async fn the_copy_that_is_kept_goes_on_with_a_key_of_its_own_and_the_other_one_is_told_how_to_get_a_seat() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let (agent, copy) = copied(&site).await;
    let mut own = Agent::new(agent.setup.clone());
    let new_key = Some(own.key.public());
    let request = goes_on(&own, &copy, new_key.clone(), &agent.key);
    let early = send(&site, "/agent/v1/enroll", &request).await;
    assert_eq!(code(early).await, ProblemCode::ContactForked, "nobody decided yet");
    // With the key that both have, whatever is shown beside it.
    let shared = goes_on(&agent, &copy, new_key.clone(), &own.key);
    assert_eq!(code(send(&site, "/agent/v1/enroll", &shared).await).await, ProblemCode::ContactForked);

    let copies = shown(&site).await;
    keep(&site, &copies[0].contact).await;
    assert_eq!(tries(&site, &agent, &copy).await, ProblemCode::CopyGivenUp);
    // It is decided anew.
    let resolved = keep(&site, &copies[1].contact).await;
    assert!(!resolved.copies[0].kept && resolved.copies[1].kept);
    assert_eq!(tries(&site, &agent, &copy).await, ProblemCode::CopyKept);
    let of_other = agent.next_contact();
    assert_eq!(tries(&site, &agent, &of_other).await, ProblemCode::CopyGivenUp);

    // Nobody goes on with what is not signed by the old key, or names another key, or is the other one's.
    let size = logged(&site).await;
    let stranger = SigningKey::generate().unwrap();
    for (request, expected) in [
        (goes_on(&own, &copy, new_key.clone(), &own.key), ProblemCode::BadSignature),
        (goes_on(&own, &copy, Some(stranger.public()), &agent.key), ProblemCode::BadSignature),
        (goes_on(&own, &copy, None, &agent.key), ProblemCode::BadSignature),
        (goes_on(&own, &of_other, new_key.clone(), &agent.key), ProblemCode::CopyGivenUp),
    ] {
        assert_eq!(code(send(&site, "/agent/v1/enroll", &request).await).await, expected);
    }
    // Who has seen the request of the kept one can do nothing with it.
    let watcher = Agent::new(agent.setup.clone());
    let stolen = EnrollRequest {
        branch: request.branch.clone(),
        ..watcher.enroll_request_with(&watcher.enrollment(), None)
    };
    assert_eq!(code(send(&site, "/agent/v1/enroll", &stolen).await).await, ProblemCode::BadSignature);
    assert_eq!(logged(&site).await, size);

    let answer: EnrollAnswer = good(send(&site, "/agent/v1/enroll", &request).await).await;
    let again: EnrollAnswer = good(send(&site, "/agent/v1/enroll", &request).await).await;
    assert_eq!(again.enrolled.document, answer.enrolled.document, "the answer may have been lost");
    own.take_enrolled(&answer);
    let licensed = own.contact(&site).await;
    assert!(licensed.lease.is_some());
    own.contact(&site).await;

    // The old key is dead.
    let refused = problem(send(&site, "/agent/v1/contact", &agent.contact_request(&of_other)).await).await;
    assert_eq!(refused.code, ProblemCode::CopyGivenUp);
    assert!(
        refused.hint.contains("clients reserve NEWNAME") && refused.hint.contains("--replace"),
        "{refused}"
    );
    let shows = agent.contact_request_with_evidence(&of_other);
    assert_eq!(code(send(&site, "/agent/v1/contact", &shows).await).await, ProblemCode::CopyGivenUp);
    assert_eq!(agent.get(&site, "/wake").await.status(), StatusCode::FORBIDDEN);
    let late = goes_on(&watcher, &copy, Some(watcher.key.public()), &agent.key);
    assert_eq!(code(send(&site, "/agent/v1/enroll", &late).await).await, ProblemCode::BadSignature);

    let client: Client = site.get("/clients/pc-1").await;
    assert!(client.copies.is_empty() && client.client_id == own.client_id);
    let former = client.setup_info.unwrap().former;
    assert_eq!(former[0].client_id, agent.client_id.clone().unwrap());
    assert_eq!(former[0].client_key, Some(agent.key.public()));
    assert_eq!(former[0].replaced_by, Some(EnrolledBy::Copy));
    assert!(former[0].last_contact.is_some() && former[0].enrolled_at.is_some());
    let status: Status = site.get("/status").await;
    assert!(status.warnings.iter().all(|warning| warning.code != "clients_forked"));
    assert_eq!(status.licenses[0].used, 1);
    // The other one gets a seat of its own, also with the key that it has.
    site.reserve("pc-9").await;
    let mut other = Agent::new(site.setup("pc-9").await);
    other.enroll(&site).await;
    assert!(other.contact(&site).await.lease.is_some());
}

#[tokio::test]
async fn a_kept_copy_that_comes_by_file_is_told_that_it_needs_a_setup_file() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let (agent, copy) = copied(&site).await;
    keep(&site, &shown(&site).await[1].contact).await;
    let by_file = FileRequest::Contact(Box::new(agent.contact_request(&copy)));
    let answer: AnsweredFile = site.post("/folder/answer", &by_file).await;
    let refused = answer.refused.unwrap();
    assert_eq!(refused.code, ProblemCode::CopyKept);
    assert!(
        refused.hint.contains("reached by file") && refused.hint.contains("clients setup pc-1"),
        "{refused}"
    );
}

fn report(id: u64) -> Report {
    let release = release_id(&package("acme-av"), "1.0");
    Report {
        id,
        at: jiff::Timestamp::UNIX_EPOCH,
        release,
        manifest: Sha256Digest::of(b"manifest"),
        rollout: 1,
        attempt: 1,
        step: InstallStep::Check,
        outcome: Outcome::Ok,
        reason: ReasonCode::Done,
        detail: String::new(),
        ring: None,
        way: None,
        bytes: None,
        duration_ms: None,
    }
}

#[tokio::test]
async fn a_copy_that_asks_far_too_often_has_to_wait_and_the_kept_one_goes_on() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let (agent, copy) = copied(&site).await;
    keep(&site, &shown(&site).await[1].contact).await;
    // Down to the last of what it may have written.
    let mut asked = 0;
    for reports in [64, 0] {
        let flood = Contact { reports: (1..=reports).map(report).collect(), ..agent.next_contact() };
        while tries(&site, &agent, &flood).await != ProblemCode::Busy {
            asked += 1;
            assert!(asked < 400, "it never has to wait");
        }
    }
    // A third copy, and the contact of before, are of neither and have nothing of their own.
    let third = Contact { next: Nonce::from_random([9; 16]), ..copy.clone() };
    assert_eq!(tries(&site, &agent, &third).await, ProblemCode::Busy);
    assert_eq!(site.get::<Client>("/clients/pc-1").await.third.unwrap().hostname.as_deref(), Some("COPY"));
    assert_eq!(tries(&site, &agent, &copy).await, ProblemCode::CopyKept);
    let mut own = Agent::new(agent.setup.clone());
    let request = goes_on(&own, &copy, Some(own.key.public()), &agent.key);
    let answer: EnrollAnswer = good(send(&site, "/agent/v1/enroll", &request).await).await;
    own.take_enrolled(&answer);
    assert!(own.contact(&site).await.lease.is_some());
    // Its request was seen, and is sent again and again.
    let mut answered = 0;
    let refused = loop {
        let answer = send(&site, "/agent/v1/enroll", &request).await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        answered += 1;
        assert!(answered < 200, "each goes through the ledger");
    };
    assert_eq!(code(refused).await, ProblemCode::Busy);
    own.contact(&site).await;
}

#[tokio::test]
async fn who_says_to_be_the_kept_copy_and_shows_nothing_has_to_wait_and_the_kept_one_does_not() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let (agent, copy) = copied(&site).await;
    keep(&site, &shown(&site).await[1].contact).await;
    let stranger = Agent::new(agent.setup.clone());
    let forged = goes_on(&stranger, &copy, Some(stranger.key.public()), &stranger.key);
    for _ in 0..20 {
        let refused = send(&site, "/agent/v1/enroll", &forged).await;
        assert_eq!(code(refused).await, ProblemCode::BadSignature);
    }
    let refused = send(&site, "/agent/v1/enroll", &forged).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(code(refused).await, ProblemCode::Busy);
    let own = Agent::new(agent.setup.clone());
    let request = goes_on(&own, &copy, Some(own.key.public()), &agent.key);
    good::<EnrollAnswer>(send(&site, "/agent/v1/enroll", &request).await).await;
    // Who shows the contact of a computer of which there is one is no copy of it.
    let (mut alone, own) = (Agent::licensed(&site, "pc-2").await, Agent::new(site.setup("pc-2").await));
    let request = goes_on(&own, &alone.next_contact(), Some(own.key.public()), &alone.key);
    let refused = send(&site, "/agent/v1/enroll", &request).await;
    assert_eq!(code(refused).await, ProblemCode::ContactForked);
    alone.contact(&site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_computers_and_a_setup_file_that_is_out_every_view_tells_the_same() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let _copied = copied(&site).await;
    let _alone = Agent::licensed(&site, "pc-2").await;
    let before = typed(&site, |home| stdout(home, &["clients", "show", "pc-1"])).await;
    assert!(before.contains("`distributor clients resolve pc-1 --keep CONTACT`"), "{before}");
    assert!(!before.contains("NAME") && !before.contains("setup file of pc-1 that is out"), "{before}");
    typed(&site, |home| {
        let (_, _, told) = parts(&run(home, &["clients", "setups"]));
        assert!(!told.contains("two computers"), "{told}");
        let out = home.join("pc-1.setup.json");
        let (code, _, told) =
            parts(&run(home, &["clients", "setup", "pc-1", "--out", out.to_str().unwrap()]));
        let lost =
            "two computers use the identity of pc-1: once this file is used, both are refused for good";
        assert!(
            code == Some(0) && told.contains(lost) && told.contains("clients resolve pc-1 --keep"),
            "{told}"
        );
        let out = home.join("pc-2.setup.json");
        let (_, _, told) = parts(&run(home, &["clients", "setup", "pc-2", "--out", out.to_str().unwrap()]));
        assert!(
            told.contains("a computer is enrolled as pc-2: once this file is used, its key is dead"),
            "{told}"
        );
        let folder = home.join("setups");
        let folder = folder.to_str().unwrap();
        let both = ["clients", "setup", "pc-1", "pc-2", "--again", "--folder", folder];
        let (_, _, told) = parts(&run(home, &both));
        assert!(told.contains(lost) && told.contains("is enrolled as pc-2"), "{told}");
        let (_, _, told) = parts(&run(home, &["clients", "setups"]));
        assert!(told.contains(lost), "{told}");
        let shown = stdout(home, &["clients", "show", "pc-1"]);
        assert!(
            shown.contains("say which one goes on") && shown.contains("holds the seat instead of both"),
            "{shown}"
        );
    })
    .await;
    let [first, _] = shown(&site).await.try_into().unwrap();
    keep(&site, &first.contact).await;
    let decided = typed(&site, |home| stdout(home, &["clients", "show", "pc-1"])).await;
    assert!(
        decided.contains("it is decided which one goes on")
            && decided.contains("stays good when that one came"),
        "{decided}"
    );
    assert!(!decided.contains("say which one") && !decided.contains("NAME"), "{decided}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_decides_is_asked_only_about_what_can_be_decided() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let _copied = copied(&site).await;
    let _alone = Agent::licensed(&site, "pc-2").await;
    let [first, _] = shown(&site).await.try_into().unwrap();
    typed(&site, move |home| {
        for (name, keep, why) in [
            ("pc-9", "0123456789ab", "no seat is reserved for the computer pc-9"),
            ("pc-2", "0123456789ab", "no two computers use the identity of pc-2"),
            ("pc-1", "0123456789ab", "there is no such contact"),
            ("pc-1", "first", "a contact is named by its first 8 to 64 hexadecimal digits"),
            // What would be asked about; there is nobody to ask.
            ("pc-1", first.contact.short().as_str(), "see `distributor clients show pc-1`, then give --yes"),
        ] {
            let told = refused(home, &["clients", "resolve", name, "--keep", keep]);
            assert!(told.contains(why) && !told.contains("NAME"), "{name} {keep}: {told}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_computer_is_refused_noted_and_shown_and_gets_the_seat_back_by_a_setup_file_of_the_same_name()
{
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    // Two copies come before the right computer does.
    let (agent, copy) = copied(&site).await;
    let right =
        Contact { hostname: Some("RIGHT".to_owned()), next: Nonce::from_random([7; 16]), ..copy.clone() };
    let client = || site.get::<Client>("/clients/pc-1");
    for contact in [&copy, &agent.next_contact()] {
        tries(&site, &agent, contact).await;
    }
    assert_eq!(client().await.third, None);
    let before = logged(&site).await;
    // Whoever has not the key is not noted.
    let stranger = SigningKey::generate().unwrap();
    let mut forged = agent.contact_request(&right);
    forged.contact = SignedDocument::sign(&right, &stranger).unwrap();
    assert_eq!(code(send(&site, "/agent/v1/contact", &forged).await).await, ProblemCode::BadSignature);
    assert_eq!(client().await.third, None);
    let told = problem(send(&site, "/agent/v1/contact", &agent.contact_request(&right)).await).await;
    assert_eq!(told.code, ProblemCode::ContactForked);
    assert!(
        told.message.contains("more than two computers") && told.hint.contains("clients setup pc-1"),
        "{told}"
    );
    assert!(!told.hint.contains("NEWNAME") && !told.hint.contains("reserve"), "{told}");
    let third = client().await.third.unwrap();
    assert_eq!(third.hostname.as_deref(), Some("RIGHT"));
    assert!(matches!(third.came_by, Some(CameBy::Network(address)) if address.is_loopback()), "{third:?}");
    assert_eq!((shown(&site).await.len(), logged(&site).await), (2, before));
    // Another one is noted in its place.
    let other = Contact { hostname: Some("OTHER".to_owned()), ..right.clone() };
    assert_eq!(tries(&site, &agent, &other).await, ProblemCode::ContactForked);
    assert_eq!(client().await.third.unwrap().hostname.as_deref(), Some("OTHER"));
    assert_eq!(tries(&site, &agent, &right).await, ProblemCode::ContactForked);

    let kept = shown(&site).await[1].contact.short();
    typed(&site, move |home| {
        let said = stdout(home, &["clients", "show", "pc-1"]);
        assert!(
            said.contains("third one     seen 20") && said.contains(", from 127.0.0.1, host name RIGHT"),
            "{said}"
        );
        assert!(
            said.contains("Keep none of the two") && said.contains("`distributor clients setup pc-1`"),
            "{said}"
        );
        let json = stdout(home, &["clients", "show", "pc-1", "--json"]);
        assert!(json.contains("\"third\"") && json.contains("RIGHT"), "{json}");
        let warned =
            |told: &str| told.contains("host name RIGHT") && told.contains("warning: a contact of neither");
        let told = refused(home, &["clients", "resolve", "pc-1", "--keep", &kept]);
        assert!(warned(&told) && told.contains("give --yes"), "{told}");
        let (code, _, told) = parts(&run(home, &["clients", "resolve", "pc-1", "--keep", &kept, "--yes"]));
        assert!(code == Some(0) && warned(&told), "{told}");
        let said = stdout(home, &["clients", "show", "pc-1"]);
        assert!(said.contains("it is decided") && said.contains("Keep none of the two"), "{said}");
    })
    .await;
    // A copy goes on; the right one hears of both ways, and gets the seat back by the one.
    let told = problem(send(&site, "/agent/v1/contact", &agent.contact_request(&right)).await).await;
    assert!(told.hint.contains("clients setup pc-1") && !told.hint.contains("NEWNAME"), "{told}");
    let mut own = Agent::new(agent.setup.clone());
    let request = goes_on(&own, &copy, Some(own.key.public()), &agent.key);
    let answer: EnrollAnswer = good(send(&site, "/agent/v1/enroll", &request).await).await;
    own.take_enrolled(&answer);
    own.contact(&site).await;
    let told = problem(send(&site, "/agent/v1/contact", &agent.contact_request(&right)).await).await;
    assert_eq!(told.code, ProblemCode::CopyGivenUp);
    assert!(told.hint.contains("the same name gives it back"), "{told}");
    let client = client().await;
    assert!(client.third.is_none() && client.copies.is_empty());
    let mut back = Agent::new(site.setup("pc-1").await);
    back.enroll(&site).await;
    assert!(back.contact(&site).await.lease.is_some());
    assert_eq!(tries(&site, &own, &own.next_contact()).await, ProblemCode::UnknownComputer);
}
