//! Computers that ask without a code: they wait in a bounded list, take no seat and hold up nobody, until one is admitted by its
//! key.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use sealpost_admin_api::clients::Client;
use sealpost_admin_api::pending::{AdmitAnswer, NameStanding, PendingPage};
use sealpost_admin_api::setups::SetupsPage;
use sealpost_admin_api::status::Status;
use sealpost_distributor::home::Home;
use sealpost_keys::Fingerprint;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::setup::{SetupFile, SetupKind};
use sealpost_manifests::wire::enroll::EnrollRequest;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::seat_history::SetupOutcome;
use sealpost_site::rules::pending::MAX_PENDING;
use serde_json::json;

use crate::agent::{Agent, send};
use crate::site::{Site, code, problem};
use crate::vendor::start_vendor;

fn key(agent: &Agent) -> Fingerprint {
    Fingerprint::of(&agent.key.public())
}

pub(crate) async fn knock(site: &Site, agent: &Agent) -> ProblemCode {
    code(send(site, "/agent/v1/enroll", &agent.enroll_request(&agent.enrollment())).await).await
}

async fn pending(site: &Site) -> PendingPage {
    site.get("/pending").await
}

async fn text(site: &Site, path: &str) -> String {
    site.admin(Method::GET, path, None).await.text().await.unwrap()
}

pub(crate) async fn admit(site: &Site, name: &str, agent: &Agent) -> AdmitAnswer {
    site.post(&format!("/clients/{name}/admit"), &json!({ "key": key(agent) })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_computer_waits_until_its_key_is_admitted_and_the_stranger_of_its_name_never_enrolls() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let setup: SetupFile = site.get("/setups/knock").await;
    assert_eq!((setup.kind, setup.computer_name.as_ref()), (SetupKind::Knock, None));
    assert_eq!((&setup.servers[0].enrollment_code, setup.servers[0].code_expires_at), (&None, None));
    let (mut agent, stranger) = (Agent::knocking(&setup, "lab-7"), Agent::knocking(&setup, "lab-7"));
    for _ in 0..2 {
        assert_eq!(knock(&site, &stranger).await, ProblemCode::WaitsForAdmission);
        assert_eq!(knock(&site, &agent).await, ProblemCode::WaitsForAdmission);
    }
    let page = pending(&site).await;
    let rows: Vec<_> = page.pending.iter().map(|row| (row.key.unwrap(), row.standing)).collect();
    assert_eq!(rows, [(key(&stranger), NameStanding::NoSeat), (key(&agent), NameStanding::NoSeat)]);
    let status: Status = site.get("/status").await;
    assert_eq!(status.licenses[0].used, 0);
    let warning =
        status.warnings.iter().find(|warning| warning.code.as_str() == "computers_pending").unwrap();
    assert_eq!(warning.next.as_deref(), Some("distributor clients pending"));
    // Page by page.
    let first: PendingPage = site.get("/pending?limit=1").await;
    let rest: PendingPage = site.get(&format!("/pending?limit=500&after={}", first.next.unwrap())).await;
    assert_eq!((first.pending[0].key, rest.pending[0].key), (Some(rows[0].0), Some(rows[1].0)));

    let neither = Agent::knocking(&setup, "lab-7");
    let refused = site.post_refused("/clients/lab-7/admit", &json!({ "key": key(&neither) })).await;
    assert_eq!(refused.code, ProblemCode::NotFound);
    assert!(refused.message.contains(&key(&agent).to_string()), "{refused}");
    let refused = site.post_refused("/clients/lab-7/admit", &json!({ "key": "ab" })).await;
    assert_eq!(refused.code, ProblemCode::BadRequest);
    let admitted = admit(&site, "lab-7", &agent).await;
    assert!(admitted.took.is_some() && admitted.expires_at.is_some() && !admitted.replaces);
    assert_eq!(admit(&site, "lab-7", &agent).await.took, None, "the same again takes no second seat");
    assert_eq!(pending(&site).await.pending, []);
    let setups: SetupsPage = site.get("/setups").await;
    assert_eq!(setups.setups, [], "it is no setup file");

    assert_eq!(knock(&site, &stranger).await, ProblemCode::WaitsForAdmission);
    let answer = agent.enroll(&site).await;
    let again = agent.enroll(&site).await;
    assert_eq!(answer.enrolled.document, again.enrolled.document);
    agent.contact(&site).await;
    assert_eq!(knock(&site, &stranger).await, ProblemCode::WaitsForAdmission);
    assert_eq!(pending(&site).await.pending[0].standing, NameStanding::Enrolled);
    agent.contact(&site).await;
    assert_eq!(admit(&site, "lab-7", &agent).await.expires_at, None, "it is enrolled");
    let client: Client = site.get("/clients/lab-7").await;
    let history = client.setup_info.unwrap().setups;
    assert_eq!(history[0].admitted, Some(key(&agent)));
    assert!(matches!(history[0].outcome, SetupOutcome::Used { .. }), "{history:?}");
    // Who waits is told so once, and is no refusal that the log counts.
    let log = text(&site, "/log").await;
    assert!(log.contains("computer_knocked") && !log.contains("waits_for_admission"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_enrolled_goes_on_until_the_admitted_computer_comes_and_then_its_stream_ends() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut old = Agent::licensed(&site, "pc-1").await;
    let mut wake = old.get(&site, "/wake").await;
    assert_eq!(wake.status(), StatusCode::OK);
    wake.chunk().await.unwrap();
    let setup: SetupFile = site.get("/setups/knock").await;
    let mut new = Agent::knocking(&setup, "pc-1");
    assert_eq!(knock(&site, &new).await, ProblemCode::WaitsForAdmission);
    old.contact(&site).await;
    assert!(admit(&site, "pc-1", &new).await.replaces);
    old.contact(&site).await;
    let quiet = tokio::time::timeout(Duration::from_millis(200), wake.chunk()).await;
    assert!(quiet.is_err(), "the stream of the computer has ended: {quiet:?}");
    new.enroll(&site).await;
    new.contact(&site).await;
    let ends = async { while let Ok(Some(_)) = wake.chunk().await {} };
    tokio::time::timeout(Duration::from_secs(10), ends).await.expect("the old stream is cut");
    let refused = send(&site, "/agent/v1/contact", &old.contact_request(&old.next_contact())).await;
    assert_eq!(code(refused).await, ProblemCode::UnknownComputer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knocks_and_who_guesses_from_one_address_hold_up_neither_each_other_nor_who_was_let_in() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("pc-1").await;
    let mut with_code = Agent::new(site.setup("pc-1").await);
    let setup: SetupFile = site.get("/setups/knock").await;
    let mut admitted = Agent::knocking(&setup, "lab-7");
    let guess = |agent: &Agent| {
        let proof = Some(Sha256Digest::of(b"guess"));
        EnrollRequest { proof, ..agent.enroll_request(&agent.enrollment()) }
    };
    for _ in 0..25 {
        send(&site, "/agent/v1/enroll", &guess(&with_code)).await;
    }
    let refused = send(&site, "/agent/v1/enroll", &guess(&with_code)).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(knock(&site, &admitted).await, ProblemCode::WaitsForAdmission, "it guesses nothing");
    admit(&site, "lab-7", &admitted).await;
    let stranger = Agent::knocking(&setup, "stranger");
    let mut last = ProblemCode::WaitsForAdmission;
    for _ in 0..70 {
        last = knock(&site, &stranger).await;
    }
    assert_eq!(last, ProblemCode::Busy, "one address asks so often in a minute");
    admitted.enroll(&site).await;
    with_code.enroll(&site).await;
}

#[tokio::test]
async fn who_comes_with_a_setup_file_of_a_name_without_a_seat_waits_too_and_is_admitted_by_its_key() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("pc-1").await;
    let setup = SetupFile { computer_name: ComputerName::new("pc-2").ok(), ..site.setup("pc-1").await };
    let (mut agent, stranger) = (Agent::new(setup.clone()), Agent::new(setup));
    for one in [&agent, &stranger, &agent] {
        assert_eq!(knock(&site, one).await, ProblemCode::EnrollmentCodeWrong);
    }
    let rows = pending(&site).await.pending;
    let rows: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.key.unwrap(), row.standing)).collect();
    let expected = [&agent, &stranger].map(|one| ("pc-2", key(one), NameStanding::NoSeat));
    assert_eq!(rows, expected);
    let status: Status = site.get("/status").await;
    assert_eq!(status.licenses[0].used, 1, "it takes no seat");
    assert!(admit(&site, "pc-2", &agent).await.took.is_some());
    assert_eq!(knock(&site, &stranger).await, ProblemCode::EnrollmentCodeWrong);
    agent.enroll(&site).await;
    assert!(agent.contact(&site).await.lease.is_some());
    assert_eq!(knock(&site, &stranger).await, ProblemCode::EnrollmentCodeWrong);
}

#[tokio::test]
async fn who_was_admitted_and_did_not_come_in_time_waits_like_any_other() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let setup: SetupFile = site.get("/setups/knock").await;
    let mut late = Agent::knocking(&setup, "lab-7");
    assert_eq!(knock(&site, &late).await, ProblemCode::WaitsForAdmission);
    admit(&site, "lab-7", &late).await;
    site.clock.forward(SignedDuration::from_hours(8 * 24));
    let stranger = Agent::knocking(&setup, "stranger");
    while knock(&site, &stranger).await != ProblemCode::Busy {}
    assert_eq!(knock(&site, &late).await, ProblemCode::Busy, "its admission has ended");
    site.clock.forward(SignedDuration::from_mins(1));
    assert_eq!(knock(&site, &late).await, ProblemCode::WaitsForAdmission);
    assert_eq!(pending(&site).await.pending.len(), 2);
    assert_eq!(admit(&site, "lab-7", &late).await.took, None, "it has its seat");
    while knock(&site, &stranger).await != ProblemCode::Busy {}
    late.enroll(&site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_unknown_computers_in_a_minute_take_no_seat_and_known_ones_are_served_meanwhile() {
    const SOURCES: u8 = 50;
    const OF_EACH: u32 = 100;
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut known = Agent::licensed(&site, "pc-1").await;
    let setup: SetupFile = site.get("/setups/knock").await;
    let mut first = Agent::knocking(&setup, "first");
    assert_eq!(knock(&site, &first).await, ProblemCode::WaitsForAdmission);
    let before = text(&site, "/log/checkpoint").await;
    let ca = std::fs::read(Home::at(site.home()).ca_certificate()).unwrap();
    let began = Instant::now();
    let floods = (0..SOURCES).map(|source| {
        let (setup, url) = (setup.clone(), site.url("/agent/v1/enroll"));
        let ca = reqwest::Certificate::from_pem(&ca).unwrap();
        tokio::spawn(async move {
            let http = reqwest::Client::builder()
                .tls_certs_only([ca])
                .local_address(Some(Ipv4Addr::new(127, 0, 1, source).into()))
                .build()
                .unwrap();
            let (mut waits, mut held_up) = (0_u32, 0_u32);
            for number in 0..OF_EACH {
                let agent = Agent::knocking(&setup, &format!("stranger-{source}-{number}"));
                let request = agent.enroll_request(&agent.enrollment());
                let refused = http.post(&url).json(&request).send().await.unwrap();
                match code(refused).await {
                    ProblemCode::WaitsForAdmission => waits += 1,
                    ProblemCode::Busy => held_up += 1,
                    other => panic!("{other}"),
                }
            }
            (waits, held_up)
        })
    });
    let floods: Vec<_> = floods.collect();
    let mut longest = Duration::ZERO;
    while !floods.iter().all(tokio::task::JoinHandle::is_finished) {
        let asked = Instant::now();
        known.contact(&site).await;
        longest = longest.max(asked.elapsed());
    }
    let (mut waits, mut held_up) = (0, 0);
    for flood in floods {
        let (waiting, busy) = flood.await.unwrap();
        waits += waiting;
        held_up += busy;
    }
    let took = began.elapsed();
    assert_eq!(waits + held_up, u32::from(SOURCES) * OF_EACH);
    // What comes back within the time that it took is allowed too.
    assert!(held_up > 0 && u64::from(waits) > MAX_PENDING, "{waits} {held_up} in {took:?}");
    assert!(longest < Duration::from_secs(5), "a known computer waited for {longest:?}");
    let status: Status = site.get("/status").await;
    assert_eq!(status.licenses[0].used, 1);
    let mut rows = Vec::new();
    let mut path = "/pending".to_owned();
    loop {
        let page: PendingPage = site.get(&path).await;
        rows.extend(page.pending);
        let Some(next) = page.next else { break };
        path = format!("/pending?after={next}");
    }
    assert_eq!(rows.len() as u64, MAX_PENDING);
    assert_eq!(rows[0].key, Some(key(&first)), "who came before them keeps its place");
    let size = |checkpoint: &str| {
        let size = checkpoint.lines().nth(1).and_then(|size| size.parse::<u64>().ok());
        size.unwrap_or_else(|| panic!("{checkpoint}"))
    };
    let grown = size(&text(&site, "/log/checkpoint").await) - size(&before);
    assert!(grown < 2 * MAX_PENDING, "the log grew by {grown} entries");
    admit(&site, "first", &first).await;
    first.enroll(&site).await;
    first.contact(&site).await;
    // One made room; the next but one finds none, and is told by what it is admitted all the same.
    let warned = status.warnings.iter().find(|warning| warning.code.as_str() == "computers_pending").unwrap();
    assert!(warned.message.contains("the list is full"), "{warned:?}");
    let mut late = Agent::knocking(&setup, "late");
    let ask = async |agent: &Agent| {
        problem(send(&site, "/agent/v1/enroll", &agent.enroll_request(&agent.enrollment())).await).await
    };
    let filling = Agent::knocking(&setup, "filling");
    assert!(ask(&filling).await.hint.contains(&key(&filling).to_string()));
    let told = ask(&late).await;
    let whole = late.key.public();
    assert!(told.code == ProblemCode::WaitsForAdmission && told.hint.contains(&whole.to_string()), "{told}");
    let refused = site.post_refused("/clients/late/admit", &json!({ "key": key(&late) })).await;
    assert_eq!(refused.code, ProblemCode::NotFound);
    let by_all_of_it = json!({ "key": key(&late), "public_key": whole });
    let admitted: AdmitAnswer = site.post("/clients/late/admit", &by_all_of_it).await;
    assert!(admitted.took.is_some());
    late.enroll(&site).await;
    late.contact(&site).await;
}
