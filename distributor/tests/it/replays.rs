//! What somebody gains who has recorded a computer's requests, and sends them again.

use std::time::Duration;

use reqwest::StatusCode;
use sealpost_manifests::wire::contact::ContactAnswer;
use sealpost_manifests::wire::enroll::EnrollAnswer;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_serving::ConnectionLimits;
use sealpost_test_support::vendor_server::ServedVendor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::agent::{Agent, send};
use crate::site::{Site, code, good};
use crate::strangers::Stranger;
use crate::vendor::start_vendor;

/// Connections that one source may have which has shown nothing.
const SHARE: usize = 6;

async fn site(vendor: &ServedVendor) -> Site {
    let hour = Duration::from_secs(3600);
    let limits = ConnectionLimits {
        connections: 40,
        unproven: 40,
        per_source: SHARE,
        makes_way_after: None,
        handshake_within: hour,
        head_within: hour,
        ..ConnectionLimits::default()
    };
    let site = Site::start_with(vendor, Some(limits)).await;
    let serial = serde_json::json!({ "serial": sealpost_test_support::license::serial() });
    let _: serde_json::Value = site.post("/register", &serial).await;
    site
}

fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The body of a good answer.
async fn exchange(stream: &mut TlsStream<TcpStream>, request: &str) -> Vec<u8> {
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.trim().parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    body
}

/// Sends a recorded request over as many connections as a source may have, reads with the token in each answer, and asks
/// whether the source may have further ones.
async fn uses_up_its_share(site: &Site, recorded: &str, token: impl Fn(&[u8]) -> String) -> bool {
    let stranger = Stranger::at(site, 2);
    let mut held = Vec::new();
    for _ in 0..SHARE {
        let mut stream = stranger.tls().await.unwrap();
        let answer = exchange(&mut stream, recorded).await;
        let read = format!(
            "GET /agent/v1/tuf/metadata/timestamp.json HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
            token(&answer)
        );
        exchange(&mut stream, &read).await;
        held.push(stream);
    }
    stranger.tls().await.is_err()
}

#[tokio::test]
async fn a_recorded_contact_and_the_token_in_its_answer_take_no_connection_out_of_its_sources_share() {
    let vendor = start_vendor(10).await;
    let site = site(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let contact = agent.next_contact();
    let body = serde_json::to_string(&agent.contact_request(&contact)).unwrap();
    agent.send_contact(&site, &contact).await;
    let token = |answer: &[u8]| serde_json::from_slice::<ContactAnswer>(answer).unwrap().access_token;
    assert!(uses_up_its_share(&site, &post("/agent/v1/contact", &body), token).await);
    agent.contact(&site).await;
}

#[tokio::test]
async fn a_recorded_enrollment_takes_no_connection_out_of_its_sources_share_and_ends_no_stream() {
    let vendor = start_vendor(10).await;
    let site = site(&vendor).await;
    site.reserve("pc-1").await;
    let mut agent = Agent::new(site.setup("pc-1").await);
    let request = agent.enroll_request(&agent.enrollment());
    let answer: EnrollAnswer = good(send(&site, "/agent/v1/enroll", &request).await).await;
    agent.take_enrolled(&answer);
    agent.contact(&site).await;
    let mut wake = agent.get(&site, "/wake").await;
    wake.chunk().await.unwrap();

    let recorded = post("/agent/v1/enroll", &serde_json::to_string(&request).unwrap());
    let token = |answer: &[u8]| serde_json::from_slice::<EnrollAnswer>(answer).unwrap().access_token;
    assert!(uses_up_its_share(&site, &recorded, token).await);

    let repeated: EnrollAnswer = good(send(&site, "/agent/v1/enroll", &request).await).await;
    assert_eq!(repeated.enrolled.document, answer.enrolled.document);
    let url = site.url("/agent/v1/wake");
    let refused = site.http.get(&url).bearer_auth(&repeated.access_token).send().await.unwrap();
    assert_eq!(code(refused).await, ProblemCode::Busy);
    let ended = tokio::time::timeout(Duration::from_millis(100), wake.chunk()).await;
    assert!(ended.is_err(), "the stream of the computer has ended");
    // The computer itself takes its stream's place.
    agent.contact(&site).await;
    let mut newer = agent.get(&site, "/wake").await;
    newer.chunk().await.unwrap();
    assert!(wake.chunk().await.unwrap().is_none());
    // Where there is none, a computer whose answer was lost has one.
    drop(newer);
    while site.http.get(&url).bearer_auth(&repeated.access_token).send().await.unwrap().status()
        != StatusCode::OK
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_recorded_enrollment_that_is_sent_without_end_has_to_wait_and_other_computers_do_not() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("pc-1").await;
    let mut agent = Agent::new(site.setup("pc-1").await);
    let request = agent.enroll_request(&agent.enrollment());
    let answer: EnrollAnswer = good(send(&site, "/agent/v1/enroll", &request).await).await;
    agent.take_enrolled(&answer);
    let mut answered = 0;
    let refused = loop {
        let answer = send(&site, "/agent/v1/enroll", &request).await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        answered += 1;
        assert!(answered < 200, "each goes through the ledger");
    };
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(code(refused).await, ProblemCode::Busy);
    agent.contact(&site).await;
    Agent::licensed(&site, "pc-2").await;
}
