//! The signed list of a server's ways: taken from an answer, used in its order, and of no use to whoever lies with it.

use std::fs;

use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::flows::enroll::OtherName;
use sealpost_agent_updater::flows::status::ProblemKind;
use sealpost_keys::SigningKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::order::{Epoch, Order, Signer};
use sealpost_manifests::server_list::ServerList;
use sealpost_manifests::setup::ServerEntry;
use sealpost_manifests::word::Word;
use sealpost_test_support::web::{Fault, Times, Web};

use crate::server::serve;
use crate::site::Site;

/// A list of the site's server, signed with its key.
pub(crate) fn list(site: &Site, sequence: u64, servers: Vec<ServerEntry>) -> ServerList {
    let known = &site.setup.servers[0].server;
    ServerList {
        server_id: known.server_id.clone(),
        signer: Signer::SiteKey,
        epoch: Epoch::of(1, 0),
        sequence,
        issued_at: jiff::Timestamp::now(),
        servers,
    }
}

pub(crate) fn send(site: &Site, list: &ServerList) {
    let mut server = site.server.lock().unwrap();
    server.server_list = Some(SignedDocument::sign(list, &server.site_key).unwrap());
}

/// The way of the setup file.
pub(crate) fn setup_way(site: &Site) -> ServerEntry {
    site.setup.servers[0].server.clone()
}

/// The same server under another port and another CA.
pub(crate) fn moved(site: &Site) -> (Web, ServerEntry) {
    let (web, pin) = site.runtime.block_on(serve(&site.server));
    let way = ServerEntry { port: web.port(), ca_spki_sha256: vec![pin], ..setup_way(site) };
    (web, way)
}

/// A way that nobody answers.
fn dead(site: &Site) -> ServerEntry {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    ServerEntry { port: listener.local_addr().unwrap().port(), ..setup_way(site) }
}

fn claimed(site: &Site) -> Option<Order> {
    let contacts = site.contacts();
    contacts.last().unwrap().highest.get(&Word::new("server_list").unwrap()).copied()
}

fn assert_answered(agent: &Agent) {
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
}

fn contacts(web: &Web) -> usize {
    web.asked("contact").len()
}

#[test]
fn a_computer_learns_a_new_port_and_ca_and_says_so() {
    let site = Site::new();
    let agent = site.enrolled();
    let (new, way) = moved(&site);
    send(&site, &list(&site, 1, vec![way.clone(), setup_way(&site)]));
    assert_answered(&agent);
    assert_eq!(contacts(&new), 0);
    site.release("1", 1, "one");
    let before = contacts(&site.web);
    assert_answered(&agent);
    assert_eq!(contacts(&site.web), before, "the old way is not used any more");
    assert!(contacts(&new) > 0);
    assert_eq!(site.installed().as_deref(), Some("one"), "also what is fetched comes by the new way");
    assert_eq!(claimed(&site), Some(Order { epoch: Epoch::of(1, 0), sequence: 1 }));
    let status = agent.status();
    assert_eq!(status.ways[0].address, format!("127.0.0.1:{}", way.port));
    assert!(status.ways[0].answered_last, "{:?}", status.ways);
    assert!(status.to_text().contains(&format!("127.0.0.1:{}", way.port)));
}

#[test]
fn while_the_ca_is_replaced_one_way_has_two_pins() {
    let site = Site::new();
    let agent = site.enrolled();
    let mut both = setup_way(&site);
    both.ca_spki_sha256.insert(0, Sha256Digest::of(b"the next ca"));
    send(&site, &list(&site, 1, vec![both]));
    assert_answered(&agent);
    assert_answered(&agent);
    assert_eq!(claimed(&site).map(|order| order.sequence), Some(1));
}

#[test]
fn a_list_of_another_server_or_key_or_epoch_or_from_before_is_refused_and_the_held_one_stays() {
    let site = Site::new();
    let agent = site.enrolled();
    let (_web, way) = moved(&site);
    send(&site, &list(&site, 5, vec![way.clone()]));
    assert_answered(&agent);
    let path = site.server_record("server_list");
    let held = fs::read(&path).unwrap();
    let good = |sequence| list(&site, sequence, vec![dead(&site)]);
    let other = SigningKey::generate().unwrap();
    let stranger = ServerEntry { site_key: other.public(), ..way.clone() };
    let lies = [
        ServerList { server_id: ServerId::from_random([9; 16]), ..good(6) },
        ServerList { servers: vec![way.clone(), stranger], ..good(6) },
        ServerList { servers: Vec::new(), ..good(6) },
        ServerList { servers: vec![way.clone(); 9], ..good(6) },
        ServerList { epoch: Epoch::of(2, 0), ..good(6) },
        ServerList { signer: Signer::Standby(Sha256Digest::of(b"standby")), ..good(6) },
        good(4),
    ];
    for lie in lies {
        send(&site, &lie);
        let problems = agent.cycle().problems;
        let refused = |problem: &String| problem.contains("list of the server's addresses was refused");
        assert!(problems.iter().any(refused), "{lie:?}: {problems:?}");
        assert_eq!(fs::read(&path).unwrap(), held);
    }
    let by_another_key = SignedDocument::sign(&good(6), &other).unwrap();
    site.server.lock().unwrap().server_list = Some(by_another_key);
    assert!(!agent.cycle().problems.is_empty());
    assert_eq!(fs::read(&path).unwrap(), held);
}

#[test]
fn a_list_that_leads_nowhere_does_not_cut_a_computer_off() {
    let site = Site::new();
    let agent = site.enrolled();
    let (new, way) = moved(&site);
    send(&site, &list(&site, 1, vec![way]));
    assert_answered(&agent);
    assert_answered(&agent);
    // The server was taken over for an hour, and signed ways that lead nowhere.
    send(&site, &list(&site, 2, vec![dead(&site)]));
    assert_answered(&agent);
    let from: Vec<&str> = agent.status().ways.iter().map(|way| way.from).collect();
    assert_eq!(from, ["server_list", "answered_last", "setup_file"], "the status says why each is tried");
    let before = contacts(&new);
    assert_answered(&agent);
    assert!(contacts(&new) > before, "the way that answered last is used");
    // And when that one is gone too, the setup file's.
    new.fail("contact", Fault::Content(b"another program took the port".to_vec()), Times::Always);
    let before = contacts(&site.web);
    assert_answered(&agent);
    assert!(contacts(&site.web) > before);
}

#[test]
fn a_list_that_is_damaged_on_disk_is_shown_and_comes_again_and_a_new_enrollment_forgets_it() {
    let site = Site::new();
    let agent = site.enrolled();
    send(&site, &list(&site, 1, vec![setup_way(&site)]));
    assert_answered(&agent);
    let path = site.server_record("server_list");
    let good = fs::read(&path).unwrap();
    fs::write(&path, b"damaged").unwrap();
    let notices = agent.status().notices.join(" ");
    assert!(notices.contains("server_list"), "{notices}");
    assert_answered(&agent);
    assert_eq!(fs::read(&path).unwrap(), good);
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    assert!(!path.exists());
    assert_answered(&agent);
    assert!(path.exists());
}

#[test]
fn records_of_before_there_were_lists_are_read() {
    let site = Site::new();
    let agent = site.enrolled();
    assert_answered(&agent);
    let path = site.server_record("standing");
    let text = fs::read_to_string(&path).unwrap();
    let start = text.find(",\"answered_by\":{").unwrap();
    let end = start + text[start..].find("]}").unwrap() + 2;
    let body = [&text[text.find('\n').unwrap() + 1..start], &text[end..]].concat();
    fs::write(&path, sealpost_files::frame("sealpost-record 3", body.as_bytes())).unwrap();
    assert_answered(&agent);
    assert_eq!(claimed(&site), None);
}

#[test]
fn a_computer_that_a_new_ca_left_behind_is_told_what_to_do_and_its_status_names_it() {
    let site = Site::new();
    let agent = site.enrolled();
    assert!(agent.cycle().problems.is_empty());
    // The server presents a CA that this computer never heard of: what it pins is another one.
    let (pin, other) = (setup_way(&site).ca_spki_sha256[0], Sha256Digest::of(b"the ca of before"));
    for record in ["enrollment", "standing"] {
        let path = site.server_record(record);
        let text = fs::read_to_string(&path).unwrap();
        let body = text[text.find('\n').unwrap() + 1..].replace(&pin.to_string(), &other.to_string());
        fs::write(&path, sealpost_files::frame("sealpost-record 3", body.as_bytes())).unwrap();
    }
    let problems = agent.cycle().problems.join(" ");
    assert!(
        problems.contains("the site replaced its CA since") && problems.contains("intercepts"),
        "{problems}"
    );
    assert_eq!(problems.matches("`distributor clients setup NAME`").count(), 1, "{problems}");
    let status = agent.status();
    let codes: Vec<ProblemKind> = status.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [ProblemKind::UnknownCa]);
    assert!(status.problems[0].text.contains("`agent-updater enroll --setup FILE`"), "{status:?}");
    // A new setup file is what mends it.
    site.enrolled();
    assert!(agent.cycle().problems.is_empty());
    assert!(agent.status().problems.is_empty());
}
