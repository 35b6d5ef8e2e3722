//! A whole site behind one address, as behind a router that translates addresses: each computer has a connection for
//! wakes that stays, and opens another one for each contact. Real TLS, real signatures.

use futures_util::StreamExt;
use futures_util::stream::iter;
use reqwest::{Client, Response, StatusCode};
use sealpost_distributor::home::Home;
use sealpost_keys::SealingKey;
use sealpost_keys::token::random_bytes;
use sealpost_manifests::ids::{ClientId, ComputerName, SetupId};
use sealpost_manifests::setup::SetupFile;
use sealpost_manifests::wire::contact::ContactAnswer;
use sealpost_manifests::wire::enroll::Enrollment;
use sealpost_site::changes::Actor;
use sealpost_site::commands::clients::{Enroll, IssueSetup, Reserve};
use sealpost_site::rules::enrollment::Proof;
use sealpost_site::rules::names::MixedScripts;
use sealpost_test_support::computer::Computer;

use crate::site::{Site, good};
use crate::vendor::start_vendor;

const COMPUTERS: u32 = 3_000;
/// Computers that do something at the same time; each waits for the one before it.
const AT_ONCE: usize = 200;

/// Enrolled by the ledger's own commands, which is quicker than by requests.
async fn enrolled(site: &Site, setup: &SetupFile, number: u32) -> Computer {
    let mut computer = Computer::new(setup.clone());
    let (ledger, now) = (site.server.ledger(), site.clock.now());
    let name = ComputerName::new(format!("pc-{number}")).unwrap();
    let (actor, proven) = (Actor::socket("root"), SetupId::from_random(random_bytes().unwrap()));
    let reserve = Reserve {
        actor: actor.clone(),
        name: name.clone(),
        channel: None,
        mixed: MixedScripts::AskBack,
        serial: None,
    };
    ledger.execute(now, reserve).await.unwrap();
    ledger
        .execute(now, IssueSetup { actor, name: name.clone(), setup: proven.clone(), valid_days: 30 })
        .await
        .unwrap();
    let enrollment = Enrollment {
        computer_name: name,
        sealing_key: SealingKey::generate().unwrap().public(),
        ..computer.enrollment()
    };
    let new_id = ClientId::from_random(random_bytes().unwrap());
    computer.client_id = Some(new_id.clone());
    let source = "127.0.0.1".to_owned();
    let proof = Proof::Setup(proven);
    ledger.execute(now, Enroll { source, enrollment, proof, copy: None, new_id }).await.unwrap();
    computer
}

async fn contact(site: &Site, http: &Client, computer: &mut Computer) {
    let contact = computer.next_contact();
    let request = http.post(site.url("/agent/v1/contact")).json(&computer.contact_request(&contact));
    let answer: ContactAnswer = good(request.send().await.unwrap()).await;
    computer.take_answer(&contact, &answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_thousand_computers_behind_one_address_hold_their_wakes_and_contact_all_the_same() {
    let vendor = start_vendor(COMPUTERS + 1).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("template").await;
    let setup = site.setup("template").await;
    let ca = std::fs::read(Home::at(site.home()).ca_certificate()).unwrap();
    let ca = reqwest::Certificate::from_pem(&ca).unwrap();

    let computers: Vec<Computer> = iter(0..COMPUTERS)
        .map(|number| enrolled(&site, &setup, number))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let connected = iter(computers).map(|mut computer| {
        let (site, ca) = (&site, ca.clone());
        async move {
            let http = Client::builder().tls_certs_only([ca]).build().unwrap();
            contact(site, &http, &mut computer).await;
            let wake =
                http.get(site.url("/agent/v1/wake")).bearer_auth(&computer.holds.token).send().await.unwrap();
            assert_eq!(wake.status(), StatusCode::OK);
            (http, computer, wake)
        }
    });
    let connected: Vec<(Client, Computer, Response)> = connected.buffer_unordered(AT_ONCE).collect().await;
    assert_eq!(connected.len(), COMPUTERS as usize);

    let again = iter(connected).map(|(http, mut computer, mut wake)| {
        let site = &site;
        async move {
            contact(site, &http, &mut computer).await;
            // Its greeting: the stream has not ended.
            assert!(wake.chunk().await.unwrap().is_some());
            wake
        }
    });
    let held: Vec<Response> = again.buffer_unordered(AT_ONCE).collect().await;
    let metrics = site.http.get(site.url("/metrics")).send().await.unwrap().text().await.unwrap();
    let said = format!("sealpost_connected_clients {COMPUTERS}\n");
    assert!(metrics.contains(&said), "{metrics}");
    drop(held);
}
