//! How the server stands in the network for years: its certificate, another port or address, another CA, and an admin's
//! own certificate, all while it runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use reqwest::{Client, Method, StatusCode};
use sealpost_admin_api::addresses::AddressesView;
use sealpost_admin_api::certificates::CertificateView;
use sealpost_admin_api::status::Status;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::rules::warnings::WarningCode;
use sealpost_test_support::ports::free_port;
use sealpost_test_support::vendor_server::ServedVendor;
use sealpost_test_support::wait::PATIENCE;

use crate::agent::Agent;
use crate::site::{Site, configure, problem};
use crate::vendor::start_vendor;

/// A licensed site on a fixed port, with one computer in contact.
pub(crate) async fn settled(vendor: &ServedVendor) -> (Site, Agent) {
    let site = Site::on_a_fixed_port(vendor).await;
    let serial = sealpost_test_support::license::serial();
    let _: serde_json::Value = site.post("/register", &serde_json::json!({ "serial": serial })).await;
    let agent = Agent::licensed(&site, "pc-1").await;
    (site, agent)
}

pub(crate) async fn warnings(site: &Site) -> Vec<String> {
    let status: Status = site.get("/status").await;
    status.warnings.into_iter().map(|warning| warning.message).collect()
}

pub(crate) async fn certificate(site: &Site) -> CertificateView {
    site.get("/certificate").await
}

pub(crate) async fn ways(site: &Site) -> AddressesView {
    site.get("/addresses").await
}

/// Whether the server answers on this port, by a CA.
pub(crate) async fn answers(ca: &Path, host: &str, port: u16) -> bool {
    let pem = std::fs::read(ca).unwrap();
    let trusted = reqwest::Certificate::from_pem_bundle(&pem).unwrap();
    let client = Client::builder().tls_certs_only(trusted).no_proxy().build().unwrap();
    client.get(format!("https://{host}:{port}/healthz")).send().await.is_ok()
}

pub(crate) fn ca(site: &Site) -> PathBuf {
    site.home().join("tls/ca.crt")
}

#[tokio::test]
async fn the_certificate_is_renewed_for_years_and_no_warning_of_it_ever_stands() {
    let vendor = start_vendor(3).await;
    let site = Site::start(&vendor).await;
    let first = certificate(&site).await;
    for _ in 0..60 {
        site.clock.forward(SignedDuration::from_hours(24 * 30));
        site.server.reload().await;
        let warned = warnings(&site).await;
        assert!(!warned.iter().any(|warning| warning.contains("certificate")), "{warned:?}");
        assert!(certificate(&site).await.not_after > site.clock.now());
    }
    let now = certificate(&site).await;
    assert!(now.not_after > first.not_after);
    assert_eq!(now.pin, first.pin, "the CA that computers pin is the same");
    // A restart after the end of every certificate that was ever issued.
    site.clock.forward(SignedDuration::from_hours(24 * 500));
    let site = site.restart().await;
    assert!(certificate(&site).await.not_after > site.clock.now());
    let view: CertificateView = site.post("/certificate/renew", &serde_json::json!({})).await;
    assert!(view.not_after > site.clock.now());
}

#[tokio::test]
async fn an_address_that_is_added_is_in_the_certificate_and_in_setup_files_after_a_reload() {
    let vendor = start_vendor(3).await;
    let site = Site::licensed(&vendor).await;
    let port = site.server.address().port();
    assert!(!answers(&ca(&site), "localhost", port).await);
    site.reload_with("addresses = [\"127.0.0.1\", \"localhost\"]\n").await;
    assert!(answers(&ca(&site), "localhost", port).await);
    assert_eq!(certificate(&site).await.missing, Vec::<String>::new());
    site.reserve("pc-1").await;
    assert_eq!(site.setup("pc-1").await.servers[0].server.addresses, ["127.0.0.1", "localhost"]);
}

#[tokio::test]
async fn another_port_is_served_beside_the_old_one_until_every_computer_has_learned_it() {
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    let (old, new) = (site.server.address().port(), free_port());
    agent.contact(&site).await;
    assert_eq!(agent.holds.server_list.as_ref().unwrap().document.servers[0].port, old);
    site.reload_with(&format!("listen = \"127.0.0.1:{new}\"\n")).await;
    assert!(answers(&ca(&site), "127.0.0.1", old).await && answers(&ca(&site), "127.0.0.1", new).await);
    let view = ways(&site).await;
    assert_eq!(
        view.ways.iter().map(|way| (way.port, way.served)).collect::<Vec<_>>(),
        [(new, true), (old, true)]
    );
    assert_eq!((view.waiting.count, view.waiting.names), (1, vec!["pc-1".to_owned()]));
    let warned = warnings(&site).await;
    let moving = |warned: &[String]| {
        warned
            .iter()
            .any(|warning| warning.contains("1 computer has not learned") && warning.contains("pc-1"))
    };
    assert!(moving(&warned), "{warned:?}");
    site.reserve("pc-2").await;
    assert_eq!(site.setup("pc-2").await.servers[0].server.port, new);

    // It survives a restart, and ends when the last one has said that it learned.
    let mut site = site.restart().await;
    assert!(answers(&ca(&site), "127.0.0.1", old).await && answers(&ca(&site), "127.0.0.1", new).await);
    agent.contact(&site).await;
    let list = &agent.holds.server_list.as_ref().unwrap().document;
    assert_eq!(list.servers.iter().map(|way| way.port).collect::<Vec<_>>(), [new, old]);
    agent.contact(&site).await;
    site.server.reload().await;
    assert!(!answers(&ca(&site), "127.0.0.1", old).await && answers(&ca(&site), "127.0.0.1", new).await);
    assert!(!moving(&warnings(&site).await));
    site = site.restart().await;
    assert_eq!(ways(&site).await.ways.len(), 1);
}

#[tokio::test]
async fn a_move_outlives_a_restart_behind_a_socket_unit_that_still_holds_the_old_port() {
    let vendor = start_vendor(3).await;
    let held = Arc::new(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let (old, new) = (held.local_addr().unwrap().port(), free_port());
    let site = Site::licensed(&vendor).await;
    configure(&site.home(), &format!("listen = \"127.0.0.1:{old}\"\n"));
    let site = site.replaced(Arc::clone(&held)).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    agent.contact(&site).await;
    let unit_is_said = async |site: &Site| {
        warnings(site).await.iter().any(|warning| warning.contains(&format!("socket unit holds port {old}")))
    };
    assert!(!unit_is_said(&site).await);
    site.reload_with(&format!("listen = \"127.0.0.1:{new}\"\n")).await;
    assert!(unit_is_said(&site).await);

    let site = site.replaced(Arc::clone(&held)).await;
    let ports = |view: AddressesView| view.ways.iter().map(|way| (way.port, way.served)).collect::<Vec<_>>();
    assert_eq!(ports(ways(&site).await), [(new, true), (old, true)]);
    assert!(answers(&ca(&site), "127.0.0.1", old).await && answers(&ca(&site), "127.0.0.1", new).await);
    assert!(unit_is_said(&site).await);
    site.reserve("pc-2").await;
    assert_eq!(site.setup("pc-2").await.servers[0].server.port, new);
    // A problem of the unit keeps nothing else from being done.
    let _: CertificateView = site.post("/certificate/renew", &serde_json::json!({})).await;
    let view: AddressesView = site.post("/addresses/finish", &serde_json::json!({ "now": true })).await;
    assert_eq!(ports(view), [(new, true)]);
    assert!(answers(&ca(&site), "127.0.0.1", old).await, "callers would wait in the unit's queue");

    // The unit holds the new port.
    drop(held);
    let site = site.restart().await;
    assert_eq!(ports(ways(&site).await), [(new, true)]);
    assert!(!unit_is_said(&site).await && !answers(&ca(&site), "127.0.0.1", old).await);
}

#[tokio::test]
async fn the_way_that_is_served_is_told_first_and_kept_when_another_program_took_the_port_of_a_move() {
    let vendor = start_vendor(3).await;
    let held = Arc::new(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let (old, new) = (held.local_addr().unwrap().port(), free_port());
    let site = Site::licensed(&vendor).await;
    configure(&site.home(), &format!("listen = \"127.0.0.1:{old}\"\n"));
    let site = site.replaced(Arc::clone(&held)).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    agent.contact(&site).await;
    site.reload_with(&format!("listen = \"127.0.0.1:{new}\"\n")).await;
    let mut taken = None;
    let take = async || taken = Some(std::net::TcpListener::bind(("127.0.0.1", new)).unwrap());
    let site = site.replaced_after(Arc::clone(&held), take).await;
    let ports = |view: AddressesView| view.ways.iter().map(|way| (way.port, way.served)).collect::<Vec<_>>();
    assert_eq!(ports(ways(&site).await), [(old, true), (new, false)]);
    site.reserve("pc-2").await;
    assert_eq!(site.setup("pc-2").await.servers[0].server.port, old);
    for _ in 0..2 {
        agent.contact(&site).await;
        site.server.reload().await;
    }
    assert_eq!(ports(ways(&site).await), [(old, true)]);
    drop(taken);
    site.server.reload().await;
    assert_eq!(ports(ways(&site).await), [(new, true), (old, true)]);
}

#[tokio::test]
async fn no_way_is_dropped_while_the_server_listens_at_none_of_them() {
    let vendor = start_vendor(3).await;
    let held = Arc::new(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let (old, new) = (free_port(), free_port());
    let site = Site::licensed(&vendor).await;
    configure(&site.home(), &format!("listen = \"127.0.0.1:{old}\"\n"));
    let site = site.replaced(Arc::clone(&held)).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    agent.contact(&site).await;
    site.reload_with(&format!("listen = \"127.0.0.1:{new}\"\n")).await;
    let mut taken = Vec::new();
    let take = async || {
        taken.extend([old, new].map(|port| std::net::TcpListener::bind(("127.0.0.1", port)).unwrap()));
    };
    let site = site.replaced_after(Arc::clone(&held), take).await;
    for _ in 0..2 {
        agent.contact(&site).await;
        site.server.reload().await;
    }
    let ports = |view: AddressesView| view.ways.iter().map(|way| (way.port, way.served)).collect::<Vec<_>>();
    assert_eq!(ports(ways(&site).await), [(new, false), (old, false)]);
    let refused = site.post_refused("/addresses/finish", &serde_json::json!({ "now": true })).await;
    assert!(refused.code == ProblemCode::WrongState && refused.message.contains("nothing was changed"));
    assert_eq!(ways(&site).await.ways.len(), 2);
    drop(taken);
    site.server.reload().await;
    assert_eq!(ports(ways(&site).await), [(new, true)], "pc-1 has learned both");
}

#[tokio::test]
async fn a_move_ends_when_the_last_computer_says_that_it_has_learned_and_waits_for_no_time() {
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    let new = free_port();
    agent.contact(&site).await;
    site.reload_with(&format!("listen = \"127.0.0.1:{new}\"\n")).await;
    agent.contact(&site).await;
    agent.contact(&site).await;
    let moved = async {
        while ways(&site).await.ways.len() > 1 {
            tokio::task::yield_now().await;
        }
    };
    // Less than the pause between two looks.
    tokio::time::timeout(Duration::from_secs(30), moved).await.unwrap();
    assert_eq!(ways(&site).await.ways[0].port, new);
}

#[tokio::test]
async fn an_admin_ends_a_move_whoever_has_not_learned_it() {
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    let (old, new) = (site.server.address().port(), free_port());
    let nothing = serde_json::json!({});
    for path in ["/addresses/finish", "/certificate/switch"] {
        assert_eq!(
            site.post_refused(path, &nothing).await.code,
            ProblemCode::WrongState,
            "nothing is being changed"
        );
    }
    site.reload_with(&format!("listen = \"127.0.0.1:{new}\"\naddresses = [\"localhost\"]\n")).await;
    let names = certificate(&site).await.names;
    assert!(names.contains(&"localhost".to_owned()) && names.contains(&"127.0.0.1".to_owned()), "{names:?}");
    let refused = site.post_refused("/addresses/finish", &nothing).await;
    assert_eq!(refused.code, ProblemCode::WrongState);
    assert!(refused.message.contains("(pc-1)") && refused.hint.contains("finish --now"), "{refused}");
    assert_eq!(ways(&site).await.ways.len(), 2);
    let view: AddressesView = site.post("/addresses/finish", &serde_json::json!({ "now": true })).await;
    assert_eq!(view.left_behind.as_ref().unwrap().names, ["pc-1"]);
    assert_eq!(view.ways.iter().map(|way| way.port).collect::<Vec<_>>(), [new]);
    assert!(!answers(&ca(&site), "127.0.0.1", old).await && answers(&ca(&site), "localhost", new).await);
    // It is said until the computer comes again, also after a restart.
    let is_said = async |site: &Site| {
        warnings(site).await.iter().any(|warning| warning.contains("finds the server no longer (pc-1)"))
    };
    assert!(is_said(&site).await);
    let site = site.restart().await;
    assert!(is_said(&site).await && ways(&site).await.left_behind.unwrap().count == 1);
    agent.contact(&site).await;
    assert!(!is_said(&site).await && ways(&site).await.left_behind.is_none());
}

#[tokio::test]
async fn the_site_ca_is_replaced_by_two_pins_when_every_computer_has_learned_the_next() {
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    agent.contact(&site).await;
    let before = certificate(&site).await;
    let view: CertificateView = site.post("/certificate/renew", &serde_json::json!({ "ca": true })).await;
    let next = view.next.clone().unwrap();
    assert_eq!((view.pin, next.waiting.count), (before.pin, 1));
    let refused = site.post_refused("/certificate/switch", &serde_json::json!({})).await;
    assert!(
        refused.message.contains("pc-1") && refused.hint.contains("certificate switch --now"),
        "{refused}"
    );
    assert!(warnings(&site).await.iter().any(|warning| warning.contains("new CA")));
    site.reserve("pc-2").await;
    assert_eq!(site.setup("pc-2").await.servers[0].server.ca_spki_sha256, [before.pin, next.pin]);

    // Learned, and said so: the next contact is answered by the new CA, without a restart.
    let site = site.restart().await;
    agent.contact(&site).await;
    let pins =
        |agent: &Agent| agent.holds.server_list.as_ref().unwrap().document.servers[0].ca_spki_sha256.clone();
    assert_eq!(pins(&agent), [before.pin, next.pin]);
    agent.contact(&site).await;
    site.server.reload().await;
    let after = certificate(&site).await;
    assert_eq!((after.pin, after.next), (next.pin, None));
    let port = site.server.address().port();
    assert!(answers(&ca(&site), "127.0.0.1", port).await);
    let site = site.restart().await;
    let begun = format!("CA pin {}, then {}", before.pin.short(), next.pin.short());
    let ended = format!("CA pin {})", next.pin.short());
    // The text follows the ledger: what was the last before a stop may be written after the next start.
    let log = site.home().join("log/activity.log");
    let is_written = async {
        let says = |what: &str| std::fs::read_to_string(&log).unwrap().contains(what);
        while !says(&begun) || !says(&ended) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, is_written).await.expect("the text log says both");
    agent.contact(&site).await;
    assert_eq!(pins(&agent), [next.pin], "the old pin is dropped");
    assert_eq!(site.setup("pc-2").await.servers[0].server.ca_spki_sha256, [next.pin]);
}

#[tokio::test]
async fn a_ca_near_its_end_is_replaced_by_itself_and_a_switch_names_whom_it_leaves_behind() {
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    agent.contact(&site).await;
    site.clock.forward(SignedDuration::from_hours(24 * (3653 - 390)));
    site.server.reload().await;
    assert!(certificate(&site).await.next.is_some(), "a year before its end the next one is announced");
    let view: CertificateView = site.post("/certificate/switch", &serde_json::json!({ "now": true })).await;
    assert_eq!(view.left_behind.unwrap().names, ["pc-1"]);
    assert!(view.ca_not_after.duration_since(site.clock.now()).as_hours() > 24 * 3000);
}

#[tokio::test]
async fn whom_a_switch_left_behind_is_shown_also_after_a_restart_until_it_comes_again() {
    let vendor = start_vendor(4).await;
    let (site, mut agent) = settled(&vendor).await;
    let mut learned = Agent::licensed(&site, "pc-2").await;
    Agent::licensed(&site, "pc-3").await;
    for agent in [&mut agent, &mut learned] {
        agent.contact(&site).await;
    }
    let _: CertificateView = site.post("/certificate/renew", &serde_json::json!({ "ca": true })).await;
    learned.contact(&site).await;
    learned.contact(&site).await;
    site.clock.forward(SignedDuration::from_mins(10));
    let _: CertificateView = site.post("/certificate/switch", &serde_json::json!({ "now": true })).await;
    let site = site.restart().await;
    let refusing = async |site: &Site| {
        let warned = warnings(site).await;
        warned.into_iter().find(|warning| warning.contains("not know the new CA"))
    };
    let warned = refusing(&site).await.unwrap();
    assert!(warned.contains("2 computers") && warned.contains("pc-1, pc-3"), "{warned}");
    assert!(warned.contains("`distributor clients setup NAME`"), "{warned}");
    assert_eq!(certificate(&site).await.left_behind.unwrap().names, ["pc-1", "pc-3"]);
    // Who enrolls from now on knows it from its setup file.
    site.clock.forward(SignedDuration::from_mins(10));
    Agent::licensed(&site, "pc-4").await;
    agent.contact(&site).await;
    assert_eq!(certificate(&site).await.left_behind.unwrap().names, ["pc-3"]);
    // A new setup file, or a repaired one.
    let setup = site.setup("pc-3").await;
    Agent::new(setup).enroll(&site).await;
    assert!(certificate(&site).await.left_behind.is_none() && refusing(&site).await.is_none());
}

#[tokio::test]
async fn who_replaces_the_ca_and_who_presents_it_before_all_know_it_stands_in_the_log() {
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    agent.contact(&site).await;
    let announced = async || {
        let log = site.admin(Method::GET, "/log?kind=server_list_changed", None).await.text().await.unwrap();
        let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.map(|line| line["entry"]["actor"].clone()).collect::<Vec<_>>()
    };
    let before = announced().await.len();
    let _: CertificateView = site.post("/certificate/renew", &serde_json::json!({ "ca": true })).await;
    let _: CertificateView = site.post("/certificate/switch", &serde_json::json!({ "now": true })).await;
    let after = announced().await.split_off(before);
    assert_eq!(after.len(), 2, "the new pin, and the end of the old one: {after:?}");
    for actor in after {
        assert_eq!(actor["kind"], "admin", "{actor}");
    }
}

#[tokio::test]
async fn a_switch_of_the_ca_that_was_killed_halfway_is_ended_by_the_next_start() {
    let vendor = start_vendor(3).await;
    let (site, _agent) = settled(&vendor).await;
    let view: CertificateView = site.post("/certificate/renew", &serde_json::json!({ "ca": true })).await;
    let next = view.next.unwrap().pin;
    let site = site
        .between(async |home| std::fs::rename(home.join("tls/next-ca.key"), home.join("tls/ca.key")).unwrap())
        .await;
    let after = certificate(&site).await;
    assert_eq!((after.pin, after.next), (next, None));
    assert!(answers(&ca(&site), "127.0.0.1", site.server.address().port()).await);
}

/// An admin's own CA, and certificates by it.
struct OwnCa(CertifiedIssuer<'static, KeyPair>);

impl OwnCa {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes a certificate for these names, and its key.
    fn issue(&self, folder: &Path, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        std::fs::write(folder.join("own.key"), key.serialize_pem()).unwrap();
        std::fs::write(folder.join("own.pem"), format!("{}{}", leaf.pem(), self.0.pem())).unwrap();
        std::fs::write(folder.join("own-ca.pem"), self.0.pem()).unwrap();
    }
}

#[tokio::test]
async fn an_own_certificate_is_presented_when_computers_know_its_ca_and_is_renewed_without_a_restart() {
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    agent.contact(&site).await;
    let (folder, port) = (site.folder.path().to_owned(), site.server.address().port());
    let own = OwnCa::new("Example CA");
    own.issue(&folder, &["127.0.0.1"]);
    let paths = format!(
        "listen = \"127.0.0.1:{port}\"\n[tls]\ncertificate = {:?}\nkey = {:?}\n",
        folder.join("own.pem"),
        folder.join("own.key")
    );
    site.reload_with(&paths).await;
    let own_ca = folder.join("own-ca.pem");
    assert!(!answers(&own_ca, "127.0.0.1", port).await, "pc-1 would refuse it");
    let refused = site.post_refused("/certificate/renew", &serde_json::json!({ "ca": true })).await;
    assert!(refused.code == ProblemCode::WrongState && refused.message.contains("nothing was changed"));
    let status: Status = site.get("/status").await;
    let site_ca = status.expiries.iter().find(|ending| ending.kind == "site_ca").unwrap();
    assert!(!site_ca.renewed_by_itself && site_ca.remedy.contains("`distributor certificate switch`"));
    agent.contact(&site).await;
    agent.contact(&site).await;
    site.server.reload().await;
    assert!(answers(&own_ca, "127.0.0.1", port).await && !answers(&ca(&site), "127.0.0.1", port).await);
    assert_eq!(certificate(&site).await.issuer, "own");
    let refused = site.post_refused("/certificate/renew", &serde_json::json!({})).await;
    assert!(refused.code == ProblemCode::WrongState && refused.hint.contains("tls.certificate"), "{refused}");

    // Renewed by the same CA, without the address under which computers come: not taken, and said.
    own.issue(&folder, &["other.example"]);
    site.server.reload().await;
    assert_eq!(certificate(&site).await.names, ["127.0.0.1"]);
    assert!(warnings(&site).await.iter().any(|warning| warning.contains("does not name 127.0.0.1")));
    own.issue(&folder, &["127.0.0.1"]);
    // An address that it does not name: no setup file.
    site.reload_with(&format!("addresses = [\"127.0.0.1\", \"other.example\"]\n{paths}")).await;
    site.reserve("pc-2").await;
    let answer = site.admin(Method::POST, "/clients/pc-2/setup", Some(serde_json::json!({}))).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    let refused = problem(answer).await;
    assert_eq!(refused.code, ProblemCode::WrongState);
    assert!(
        refused.message.contains("does not name other.example") && refused.hint.contains("addresses"),
        "{refused}"
    );
    assert!(warnings(&site).await.iter().any(|warning| warning.contains("does not name other.example")));
    site.reload_with(&paths).await;
    // A damaged or lone certificate is not taken, and said.
    std::fs::write(folder.join("own.key"), "no key").unwrap();
    site.server.reload().await;
    assert!(warnings(&site).await.iter().any(|warning| warning.contains("own.key")));
    assert_eq!(certificate(&site).await.names, ["127.0.0.1"]);
    own.issue(&folder, &["127.0.0.1", "spare.example"]);
    site.server.reload().await;
    assert_eq!(certificate(&site).await.names, ["127.0.0.1", "spare.example"]);

    // A restart presents the same, and the way back leads to the site's own CA.
    let site = site.restart().await;
    assert!(answers(&own_ca, "127.0.0.1", port).await);
    site.reload_with(&format!("listen = \"127.0.0.1:{port}\"\n")).await;
    assert_eq!(certificate(&site).await.issuer, "own", "pc-1 knows no other CA");
    let back: CertificateView = site.post("/certificate/switch", &serde_json::json!({ "now": true })).await;
    assert_eq!((back.issuer.as_str(), back.left_behind.unwrap().count), ("site", 1));
    assert!(answers(&ca(&site), "127.0.0.1", port).await);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_leaves_the_old_one_in_force_and_a_restart_is_said_where_needed()
{
    let vendor = start_vendor(3).await;
    let site = Site::licensed(&vendor).await;
    site.reload_with("colour = \"blue\"\n").await;
    let warned = warnings(&site).await;
    let said = warned.iter().find(|warning| warning.contains("colour")).unwrap();
    assert!(said.contains("stays") && said.contains("line 1") && said.contains("reload"), "{said}");
    assert!(!said.contains('\n') && !said.contains("vendor_url: is missing"), "{said}");
    site.reserve("pc-1").await;
    site.setup("pc-1").await;
    site.reload_with("[license]\nlease_days = 7\n").await;
    let warned = warnings(&site).await;
    assert!(!warned.iter().any(|warning| warning.contains("colour")), "{warned:?}");
    assert!(warned.iter().any(|warning| warning.contains("`license.lease_days`")), "{warned:?}");
    site.reload_with("").await;
    assert!(!warnings(&site).await.iter().any(|warning| warning.contains("lease_days")));
}

#[tokio::test]
async fn the_end_of_the_ca_by_which_the_vendor_is_known_is_in_the_list_of_what_ends() {
    let vendor = start_vendor(1).await;
    let site = Site::start(&vendor).await;
    // Any certificate will do.
    let ends = certificate(&site).await.ca_not_after;
    site.reload_with(&format!("vendor_ca = \"{}\"\n", ca(&site).display())).await;
    let status: Status = site.get("/status").await;
    let listed = status.expiries.iter().find(|ending| ending.kind == "vendor_ca").unwrap();
    assert!(listed.at == ends && listed.what.contains("Sealpost"), "{listed:?}");
    assert!(status.warnings.iter().any(|warning| warning.code == "restart_needed"));
}

#[tokio::test]
async fn each_warning_has_a_code_that_the_page_for_administrators_explains() {
    let page = include_str!("../../../docs/operations.md");
    for code in WarningCode::ALL {
        assert!(page.contains(&format!("`{}`", code.as_str())), "{}", code.as_str());
    }
    let vendor = start_vendor(1).await;
    let site = Site::start(&vendor).await;
    let status = site.admin(Method::GET, "/status", None).await.text().await.unwrap();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let said: Vec<_> =
        status["warnings"].as_array().unwrap().iter().map(|warning| &warning["code"]).collect();
    assert_eq!(said, ["no_license", "never_pulled"]);
    assert_eq!(status["warnings"][0]["level"], "notice");
}

#[tokio::test]
async fn the_list_of_what_ends_is_the_same_in_status_in_metrics_and_in_the_warnings() {
    let vendor = start_vendor(3).await;
    let (site, _agent) = settled(&vendor).await;
    site.pull().await;
    site.reserve("pc-2").await;
    site.setup("pc-2").await;
    let status: Status = site.get("/status").await;
    let mut kinds: Vec<&str> = status.expiries.iter().map(|ending| ending.kind.as_str()).collect();
    assert!(status.expiries.is_sorted_by_key(|ending| ending.at), "{kinds:?}");
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["certificate", "grant", "lease", "role", "root", "setup_code", "site_ca"]);
    let metrics = site.http.get(site.url("/metrics")).send().await.unwrap().text().await.unwrap();
    for kind in kinds {
        assert!(metrics.contains(&format!("sealpost_expiry_seconds{{kind=\"{kind}\"")), "{kind}: {metrics}");
    }
    let serial = sealpost_test_support::license::serial().to_string();
    assert!(!metrics.contains(&serial) && !metrics.contains("pc-2"), "a monitor learns no secret: {metrics}");
    let root = status.expiries.iter().find(|ending| ending.kind == "root").unwrap();
    site.clock.forward(root.at.duration_since(site.clock.now()));
    assert!(warnings(&site).await.iter().any(|warning| warning.contains("`publisher root renew`")));
}
