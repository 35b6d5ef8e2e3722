//! Whoever has no credentials, from another address of this computer, with as many connections as they like: what they
//! leave for computers that have.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sealpost_distributor::home::Home;
use sealpost_manifests::ids::EnrollmentCode;
use sealpost_manifests::wire::MAX_REQUEST_BYTES;
use sealpost_manifests::wire::coding;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_serving::ConnectionLimits;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::agent::{Agent, send};
use crate::site::{Site, code};
use crate::vendor::start_vendor;

/// More than the requests that a server works on at once.
const HALF_SENT: usize = 600;
/// Far longer than any limit under test.
const BOUND: Duration = Duration::from_secs(20);

/// Somebody at `127.0.0.{host}`, which the server takes for another computer.
pub(crate) struct Stranger {
    from: IpAddr,
    to: SocketAddr,
    tls: TlsConnector,
}

impl Stranger {
    pub(crate) fn at(site: &Site, host: u8) -> Self {
        let ca = std::fs::read(Home::at(site.home()).ca_certificate()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&ca).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self {
            from: Ipv4Addr::new(127, 0, 0, host).into(),
            to: site.server.address(),
            tls: TlsConnector::from(Arc::new(config)),
        }
    }

    async fn connect(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(self.from, 0)).unwrap();
        socket.connect(self.to).await.unwrap()
    }

    pub(crate) async fn tls(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::IpAddress(self.to.ip().into());
        self.tls.connect(name, self.connect().await).await
    }

    /// A connection with a request of which something is missing.
    async fn half(&self, request: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut stream = self.tls().await?;
        stream.write_all(request).await?;
        stream.flush().await?;
        Ok(stream)
    }
}

#[tokio::test]
async fn half_sent_bodies_of_a_stranger_hold_up_no_contact() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let stranger = Stranger::at(&site, 2);
    let mut held = Vec::new();
    for _ in 0..HALF_SENT {
        let half = b"POST /agent/v1/contact HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{\"client";
        held.push(stranger.half(half).await.unwrap());
    }
    for _ in 0..20 {
        agent.contact(&site).await;
    }
    drop(held);
}

#[tokio::test]
async fn a_few_addresses_do_not_fill_all_connections() {
    let vendor = start_vendor(10).await;
    let limits = ConnectionLimits {
        connections: 48,
        per_source: 12,
        handshake_within: Duration::from_secs(3600),
        ..ConnectionLimits::default()
    };
    let site = Site::start_with(&vendor, Some(limits)).await;
    let mut held = Vec::new();
    for host in 2..10 {
        let stranger = Stranger::at(&site, host);
        for _ in 0..12 {
            held.push(stranger.connect().await);
        }
    }
    let answer = tokio::time::timeout(BOUND, site.http.get(site.url("/healthz")).send()).await.unwrap();
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    drop(held);
}

#[tokio::test]
async fn requests_without_a_token_and_wrong_codes_do_not_keep_a_neighbor_from_enrolling() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("pc-1").await;
    let mut agent = Agent::new(site.setup("pc-1").await);
    for _ in 0..25 {
        site.http.get(site.url("/api/v1/status")).send().await.unwrap();
    }
    let another = EnrollmentCode::from_random([3; 24]);
    let wrong = || agent.enroll_request_with(&agent.enrollment(), Some(&another));
    let refused = send(&site, "/agent/v1/enroll", &wrong()).await;
    assert_ne!(
        refused.status(),
        StatusCode::TOO_MANY_REQUESTS,
        "failures of admins are no failures of computers"
    );
    for _ in 0..25 {
        send(&site, "/agent/v1/enroll", &wrong()).await;
    }
    let refused = send(&site, "/agent/v1/enroll", &wrong()).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(code(refused).await, ProblemCode::Busy);
    agent.enroll(&site).await;
}

#[tokio::test]
async fn a_large_body_that_does_not_come_and_a_head_or_handshake_that_ends_nowhere_hold_up_no_contact() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let stranger = Stranger::at(&site, 2);
    let mut large =
        b"POST /agent/v1/enroll HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n30000\r\n".to_vec();
    large.extend_from_slice(&[b' '; 0x2_0000]);
    let (mut held, mut silent) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        held.push(stranger.half(&large).await.unwrap());
        held.push(stranger.half(b"POST /agent/v1/contact HTTP/1.1\r\nhost:").await.unwrap());
        let mut garbage = stranger.connect().await;
        garbage.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await.unwrap();
        silent.push(garbage);
    }
    for _ in 0..10 {
        agent.contact(&site).await;
    }
    drop((held, silent));
}

#[tokio::test]
async fn a_body_that_is_packed_otherwise_or_twice_is_refused_before_it_is_read_and_a_bomb_at_its_bound() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    for path in ["/agent/v1/contact", "/agent/v1/enroll"] {
        let sent = |codings: &[&'static str], body: Vec<u8>| {
            let request = site.http.post(site.url(path)).body(body);
            codings.iter().fold(request, |request, coding| request.header("content-encoding", *coding)).send()
        };
        let good = coding::pack("{}".repeat(200).as_bytes()).unwrap();
        for codings in [&["br"][..], &["gzip, gzip"], &["gzip", "gzip"], &["identity", "gzip"], &["deflate"]]
        {
            let refused = sent(codings, good.clone()).await.unwrap();
            assert_eq!(refused.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path} {codings:?}");
            assert_eq!(code(refused).await, ProblemCode::BadRequest);
        }
        let bomb = coding::pack(&vec![b' '; 64 * 1024 * 1024]).unwrap();
        assert!(bomb.len() < MAX_REQUEST_BYTES);
        let refused = sent(&["gzip"], bomb).await.unwrap();
        assert_eq!(code(refused).await, ProblemCode::TooLarge, "{path}");
        let damaged: [Vec<u8>; 4] =
            [b"{}".to_vec(), good[..good.len() - 1].to_vec(), [&good[..], b"x"].concat(), good.repeat(2)];
        for body in damaged {
            assert_eq!(code(sent(&["gzip"], body).await.unwrap()).await, ProblemCode::BadRequest, "{path}");
        }
        let stated = site.http.post(site.url(path)).header("content-length", "100000000").body("{");
        // The client may see the answer or, since it would have to send on, the end of the connection.
        if let Ok(refused) = stated.send().await {
            assert_ne!(refused.status(), StatusCode::OK, "{path}");
        }
    }
}

/// How many of so many connections that have sent nothing are still open.
async fn open(streams: &mut [TcpStream]) -> usize {
    let mut open = 0;
    for stream in streams {
        let read = stream.try_read(&mut [0; 1]);
        open += usize::from(matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock));
    }
    open
}

#[tokio::test]
async fn with_strangers_on_every_connection_computers_that_were_here_are_answered_and_their_wakes_stay() {
    let vendor = start_vendor(10).await;
    let hour = Duration::from_secs(3600);
    let limits = ConnectionLimits {
        connections: 40,
        unproven: 20,
        per_source: 5,
        makes_way_after: Some(hour),
        handshake_within: hour,
        ..ConnectionLimits::default()
    };
    let site = Site::start_with(&vendor, Some(limits)).await;
    let _: serde_json::Value = site
        .post("/register", &serde_json::json!({ "serial": sealpost_test_support::license::serial() }))
        .await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let mut wake = agent.get(&site, "/wake").await;
    assert_eq!(wake.status(), StatusCode::OK);
    wake.chunk().await.unwrap();
    let mut held = Vec::new();
    // One connection of each of many sources: nobody has more than another.
    for host in 2..60 {
        held.push(Stranger::at(&site, host).connect().await);
    }
    for _ in 0..20 {
        let fresh = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(
                &std::fs::read(Home::at(site.home()).ca_certificate()).unwrap(),
            )
            .unwrap()])
            .build()
            .unwrap();
        let contact = agent.next_contact();
        let request = fresh.post(site.url("/agent/v1/contact")).json(&agent.contact_request(&contact));
        let answer = tokio::time::timeout(BOUND, request.send()).await.unwrap().unwrap();
        let answer = crate::site::good(answer).await;
        agent.take_answer(&contact, &answer);
    }
    assert!(open(&mut held).await <= 20, "the rest is kept");
    let woken = tokio::time::timeout(Duration::from_millis(100), wake.chunk()).await;
    assert!(woken.is_err(), "the stream of the computer has ended");
}

#[tokio::test]
async fn a_contact_that_is_sent_again_takes_no_connection_out_of_its_sources_share() {
    let vendor = start_vendor(10).await;
    let hour = Duration::from_secs(3600);
    let limits = ConnectionLimits {
        connections: 40,
        unproven: 40,
        per_source: 6,
        makes_way_after: None,
        handshake_within: hour,
        head_within: hour,
        ..ConnectionLimits::default()
    };
    let site = Site::start_with(&vendor, Some(limits)).await;
    let _: serde_json::Value = site
        .post("/register", &serde_json::json!({ "serial": sealpost_test_support::license::serial() }))
        .await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let contact = agent.next_contact();
    let body = serde_json::to_string(&agent.contact_request(&contact)).unwrap();
    agent.send_contact(&site, &contact).await;
    let request = format!(
        "POST /agent/v1/contact HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let stranger = Stranger::at(&site, 2);
    let mut held = Vec::new();
    for _ in 0..6 {
        let mut stream = stranger.half(request.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200", "a retry is answered");
        held.push(stream);
    }
    assert!(stranger.tls().await.is_err(), "the share of the source is not used up");
    agent.contact(&site).await;
}
