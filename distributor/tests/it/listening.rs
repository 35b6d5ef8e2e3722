//! Where the server listens while it is moved to another IP address: nobody is cut off by a changed configuration.

use std::sync::Arc;

use sealpost_admin_api::addresses::AddressesView;
use sealpost_admin_api::certificates::CertificateView;
use sealpost_test_support::ports::free_port;
use tokio::net::{TcpListener, TcpStream};

use crate::agent::Agent;
use crate::presence::{answers, ca, settled, warnings, ways};
use crate::site::{Site, configure};
use crate::vendor::start_vendor;

/// Addresses and whether they are served, of each way.
fn served(view: &AddressesView) -> Vec<(String, bool)> {
    view.ways.iter().map(|way| (way.addresses.join(" "), way.served)).collect()
}

async fn both_answer(site: &Site, port: u16) -> bool {
    answers(&ca(site), "127.0.0.1", port).await && answers(&ca(site), "127.0.0.2", port).await
}

/// Whether something listens there, whatever its certificate names.
async fn is_open(ip: &str, port: u16) -> bool {
    TcpStream::connect((ip, port)).await.is_ok()
}

async fn learn(site: &Site, agent: &mut Agent) {
    agent.contact(site).await;
    agent.contact(site).await;
    site.server.reload().await;
}

fn moved_to(port: u16, ip: &str) -> String {
    format!("listen = \"{ip}:{port}\"\naddresses = [\"127.0.0.2\"]\n")
}

#[tokio::test]
async fn another_ip_address_is_served_beside_the_old_one_until_every_computer_has_learned_it() {
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    let port = site.server.address().port();
    agent.contact(&site).await;
    assert!(!answers(&ca(&site), "127.0.0.2", port).await);
    site.reload_with(&moved_to(port, "127.0.0.2")).await;
    assert!(both_answer(&site, port).await, "without a restart");
    let moving = [("127.0.0.2".to_owned(), true), ("127.0.0.1".to_owned(), true)];
    assert_eq!(served(&ways(&site).await), moving);
    // Trouble with the disk closes nothing.
    let remembered = site.home().join("listening.json");
    let written = std::fs::read(&remembered).unwrap();
    std::fs::write(&remembered, "{").unwrap();
    site.server.reload().await;
    assert!(both_answer(&site, port).await && served(&ways(&site).await) == moving);
    std::fs::write(&remembered, written).unwrap();

    let site = site.restart().await;
    assert!(both_answer(&site, port).await, "a start remembers where computers still come");
    assert_eq!(served(&ways(&site).await), moving);
    learn(&site, &mut agent).await;
    assert_eq!(served(&ways(&site).await), [("127.0.0.2".to_owned(), true)]);
    assert!(!answers(&ca(&site), "127.0.0.1", port).await && answers(&ca(&site), "127.0.0.2", port).await);
    let site = site.restart().await;
    assert!(!answers(&ca(&site), "127.0.0.1", port).await);
    assert!(warnings(&site).await.iter().all(|warning| !warning.contains("listen")));
}

#[tokio::test]
async fn an_ip_address_that_was_changed_while_the_server_stood_still_is_served_at_both_and_an_admin_ends_it()
{
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    let port = site.server.address().port();
    agent.contact(&site).await;
    let site = site.between(async |home| configure(home, &moved_to(port, "127.0.0.2"))).await;
    assert!(both_answer(&site, port).await);
    let view: AddressesView = site.post("/addresses/finish", &serde_json::json!({ "now": true })).await;
    assert_eq!(view.left_behind.clone().unwrap().names, ["pc-1"]);
    assert_eq!(served(&view), [("127.0.0.2".to_owned(), true)]);
    assert!(!answers(&ca(&site), "127.0.0.1", port).await && answers(&ca(&site), "127.0.0.2", port).await);
}

#[tokio::test]
async fn a_server_goes_from_one_ip_address_to_all_and_from_all_to_another() {
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    let port = site.server.address().port();
    agent.contact(&site).await;
    site.reload_with(&moved_to(port, "0.0.0.0")).await;
    assert!(both_answer(&site, port).await);
    learn(&site, &mut agent).await;
    let site = site.restart().await;
    assert!(both_answer(&site, port).await);
    // Computers are told of one address only, and all still answer.
    assert_eq!(served(&ways(&site).await), [("127.0.0.2".to_owned(), true)]);
    assert!(answers(&ca(&site), "127.0.0.2", port).await);
    site.reload_with(&format!("listen = \"127.0.0.1:{port}\"\naddresses = [\"127.0.0.1\"]\n")).await;
    assert!(both_answer(&site, port).await, "all are listened on until it is learned");
    let site = site.restart().await;
    assert!(both_answer(&site, port).await);
    learn(&site, &mut agent).await;
    assert!(answers(&ca(&site), "127.0.0.1", port).await);
    assert!(TcpListener::bind(("127.0.0.2", port)).await.is_ok(), "only one is listened on");
}

#[tokio::test]
async fn an_address_that_computers_are_told_is_served_on_when_listen_alone_is_changed_and_status_says_so() {
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    let port = site.server.address().port();
    agent.contact(&site).await;
    site.reload_with(&format!("listen = \"127.0.0.2:{port}\"\n")).await;
    let site = site.restart().await;
    assert!(answers(&ca(&site), "127.0.0.1", port).await);
    assert_eq!(served(&ways(&site).await), [("127.0.0.1".to_owned(), true)]);
    let warned = warnings(&site).await;
    let kept =
        |warning: &&String| warning.contains("`listen` says 127.0.0.2") && warning.contains("served on");
    assert!(warned.iter().any(|warning| kept(&warning)), "{warned:?}");
    // With the address they learn it, and the old one ends.
    site.reload_with(&moved_to(port, "127.0.0.2")).await;
    learn(&site, &mut agent).await;
    assert!(!answers(&ca(&site), "127.0.0.1", port).await && answers(&ca(&site), "127.0.0.2", port).await);
    assert!(!warnings(&site).await.iter().any(|warning| kept(&warning)));
}

#[tokio::test]
async fn an_address_where_nothing_listens_is_not_said_to_be_served() {
    let vendor = start_vendor(3).await;
    let (site, _agent) = settled(&vendor).await;
    let port = site.server.address().port();
    site.reload_with(&format!("listen = \"127.0.0.1:{port}\"\naddresses = [\"127.0.0.2\", \"localhost\"]\n"))
        .await;
    let view = ways(&site).await;
    assert_eq!(
        (view.ways[0].served, view.ways[0].unserved.as_slice()),
        (false, ["127.0.0.2".to_owned()].as_slice())
    );
    let said = format!("come to 127.0.0.2, port {port}, and nothing listens there");
    let warned = warnings(&site).await;
    assert!(warned.iter().any(|warning| warning.contains(&said)), "{warned:?}");
}

#[tokio::test]
async fn a_port_that_another_program_holds_is_not_announced_and_its_holder_is_named_once() {
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    agent.contact(&site).await;
    let old = site.server.address().port();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    site.reload_with(&format!("listen = \"127.0.0.1:{port}\"\n")).await;
    let told = |view: AddressesView| view.ways.iter().map(|way| way.port).collect::<Vec<_>>();
    assert_eq!(told(ways(&site).await), [old], "nobody is told of a door that is not open");
    site.reserve("pc-2").await;
    assert_eq!(site.setup("pc-2").await.servers[0].server.port, old);
    let said: Vec<String> =
        warnings(&site).await.into_iter().filter(|warning| warning.contains(&format!(":{port}"))).collect();
    let holder = format!("(process {}) listens there", std::process::id());
    assert!(said.len() == 1 && said[0].contains(&holder), "{said:?}");
    // The certificate has nothing to do with it.
    let _: CertificateView = site.post("/certificate/renew", &serde_json::json!({ "ca": true })).await;
    let _: CertificateView = site.post("/certificate/switch", &serde_json::json!({ "now": true })).await;
    assert_eq!(told(ways(&site).await), [old]);
    drop(taken);
    site.server.reload().await;
    assert_eq!(told(ways(&site).await), [port, old]);
    assert!(answers(&ca(&site), "127.0.0.1", port).await && answers(&ca(&site), "127.0.0.1", old).await);
}

#[tokio::test]
async fn all_addresses_that_another_program_holds_in_part_cost_one_moment_and_not_one_at_each_look() {
    let vendor = start_vendor(3).await;
    let (site, _agent) = settled(&vendor).await;
    let port = site.server.address().port();
    let taken = TcpListener::bind(("127.0.0.3", port)).await.unwrap();
    site.reload_with(&format!("listen = \"0.0.0.0:{port}\"\n")).await;
    assert!(answers(&ca(&site), "127.0.0.1", port).await, "what was open is open again");
    let said = format!("cannot listen on 0.0.0.0:{port}");
    let count = |warned: Vec<String>| warned.iter().filter(|warning| warning.contains(&said)).count();
    assert_eq!(count(warnings(&site).await), 1);
    let began = std::time::Instant::now();
    let _: CertificateView = site.post("/certificate/renew", &serde_json::json!({})).await;
    assert!(began.elapsed() < std::time::Duration::from_millis(1500), "it is not tried again");
    let warned = warnings(&site).await;
    assert!(warned.iter().any(|warning| warning.contains(&said) && warning.contains("reload the server")));
    assert_eq!(count(warned), 1);
    // The advice helps.
    drop(taken);
    site.server.reload().await;
    assert_eq!(count(warnings(&site).await), 0);
    assert!(is_open("127.0.0.2", port).await);
}

#[tokio::test]
async fn what_could_not_be_taken_is_tried_again_when_an_admin_ends_a_move() {
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    let port = site.server.address().port();
    agent.contact(&site).await;
    let more = "addresses = [\"127.0.0.1\", \"localhost\"]\n";
    site.reload_with(&format!("listen = \"127.0.0.1:{port}\"\n{more}")).await;
    let taken = TcpListener::bind(("127.0.0.3", port)).await.unwrap();
    site.reload_with(&format!("listen = \"0.0.0.0:{port}\"\n{more}")).await;
    assert!(!is_open("127.0.0.2", port).await && ways(&site).await.ways.len() == 2);
    drop(taken);
    let _: AddressesView = site.post("/addresses/finish", &serde_json::json!({ "now": true })).await;
    let warned = warnings(&site).await;
    assert!(!warned.iter().any(|warning| warning.contains("cannot listen on")), "{warned:?}");
    assert!(answers(&ca(&site), "127.0.0.1", port).await && is_open("127.0.0.2", port).await);
}

#[tokio::test]
async fn another_ip_address_than_the_one_of_a_socket_unit_is_served_beside_it_and_the_unit_is_named() {
    let vendor = start_vendor(3).await;
    let held = Arc::new(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let port = held.local_addr().unwrap().port();
    let site = Site::licensed(&vendor).await;
    configure(&site.home(), &format!("listen = \"127.0.0.1:{port}\"\n"));
    let site = site.replaced(Arc::clone(&held)).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    agent.contact(&site).await;
    site.reload_with(&moved_to(port, "127.0.0.2")).await;
    let site = site.replaced(Arc::clone(&held)).await;
    assert!(both_answer(&site, port).await);
    let said = format!("the socket unit holds 127.0.0.1:{port}, and `listen` says 127.0.0.2:{port}");
    let warned = warnings(&site).await;
    assert!(warned.iter().any(|warning| warning.contains(&said)), "{warned:?}");
    learn(&site, &mut agent).await;
    assert!(answers(&ca(&site), "127.0.0.1", port).await, "callers would wait in the unit's queue");
}

#[tokio::test]
async fn a_server_moves_from_ipv4_to_ipv6() {
    if TcpListener::bind("[::1]:0").await.is_err() {
        sealpost_test_support::skips::needs("IPv6").unwrap();
        return;
    }
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    agent.contact(&site).await;
    let (old, new) = (site.server.address().port(), free_port());
    site.reload_with(&format!("listen = \"[::1]:{new}\"\naddresses = [\"::1\"]\n")).await;
    let site = site.restart().await;
    assert!(answers(&ca(&site), "127.0.0.1", old).await && answers(&ca(&site), "[::1]", new).await);
    learn(&site, &mut agent).await;
    assert!(!answers(&ca(&site), "127.0.0.1", old).await && answers(&ca(&site), "[::1]", new).await);
}
