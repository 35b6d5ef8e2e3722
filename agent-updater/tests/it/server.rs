//! A simulated Primary Server, which can lose answers, lie, and break connections.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sealpost_agent_updater::server::pin::spki_sha256;
use sealpost_keys::{PublicKey, SigningKey};
use sealpost_manifests::assignment::{Assignment, PackageAssignment};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::{ClientId, ComputerName, ServerId};
use sealpost_manifests::lease::{Lease, LedgerHead};
use sealpost_manifests::wire::contact::{Contact, ContactAnswer, ContactRequest};
use sealpost_manifests::wire::enroll::{EnrollAnswer, EnrollRequest, Enrolled, Enrollment};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::report::Report;
use tokio_rustls::TlsAcceptor;

/// What the server does with the next request to a path, instead of answering it.
#[derive(Debug, Clone)]
pub(crate) enum Trick {
    /// Carries out the request, and closes the connection instead of answering.
    LoseTheAnswer,
    /// Sends this many bytes of the body, and closes the connection.
    CutAfter(usize),
    /// Sends this many bytes of the body, and then nothing more.
    StallAfter(usize),
    /// Redirects to another address.
    Redirect(String),
    Endless,
    Refuse(ProblemCode),
}

/// What the server knows and has received.
pub(crate) struct SimulatedServer {
    pub(crate) site_key: SigningKey,
    pub(crate) server_id: ServerId,
    pub(crate) client_id: ClientId,
    pub(crate) grant: SignedDocument,
    pub(crate) client_key: Option<PublicKey>,
    pub(crate) acknowledge: Option<u64>,
    pub(crate) notice: Option<String>,
    /// What is answered when a delta is asked for.
    pub(crate) delta: Option<Vec<u8>>,
    pub(crate) assigned: Vec<PackageAssignment>,
    pub(crate) metadata_as_of: Timestamp,
    pub(crate) sequence: u64,
    pub(crate) change_lease: fn(&mut Lease),
    pub(crate) change_assignment: fn(&mut Assignment),
    pub(crate) enrollments: Vec<String>,
    pub(crate) contacts: Vec<String>,
    pub(crate) ranges: Vec<Option<String>>,
    pub(crate) delta_ranges: Vec<Option<String>>,
    pub(crate) reports: Vec<Report>,
    pub(crate) tricks: VecDeque<(String, Trick)>,
    pub(crate) repository: PathBuf,
    answered: Option<(String, Vec<u8>)>,
}

impl SimulatedServer {
    pub(crate) fn new(
        site_key: SigningKey,
        server_id: ServerId,
        grant: SignedDocument,
        repository: PathBuf,
    ) -> Self {
        Self {
            site_key,
            server_id,
            client_id: ClientId::from_random([8; 16]),
            grant,
            client_key: None,
            acknowledge: None,
            notice: None,
            delta: None,
            assigned: Vec::new(),
            metadata_as_of: Timestamp::now(),
            sequence: 0,
            change_lease: |_| (),
            change_assignment: |_| (),
            enrollments: Vec::new(),
            contacts: Vec::new(),
            ranges: Vec::new(),
            delta_ranges: Vec::new(),
            reports: Vec::new(),
            tricks: VecDeque::new(),
            repository,
            answered: None,
        }
    }

    fn enroll(&mut self, body: String) -> Vec<u8> {
        let request: EnrollRequest = serde_json::from_str(&body).unwrap();
        let enrollment = request.enrollment.verify::<Enrollment>(&[request.client_key]).unwrap();
        self.client_key = Some(enrollment.client_key.clone());
        self.enrollments.push(body);
        let enrolled = Enrolled {
            client_id: self.client_id.clone(),
            client_key: enrollment.client_key.clone(),
            computer_name: enrollment.computer_name.clone(),
            server_id: self.server_id.clone(),
            enrolled_at: Timestamp::now(),
        };
        let enrolled = SignedDocument::sign(&enrolled, &self.site_key).unwrap();
        serde_json::to_vec(&EnrollAnswer { enrolled, grant: self.grant.clone() }).unwrap()
    }

    fn contact(&mut self, body: String) -> Vec<u8> {
        self.contacts.push(body.clone());
        if let Some((asked, answer)) = &self.answered
            && *asked == body
        {
            return answer.clone();
        }
        let request: ContactRequest = serde_json::from_str(&body).unwrap();
        let client_key = self.client_key.clone().unwrap();
        let contact = request.contact.verify::<Contact>(std::slice::from_ref(&client_key)).unwrap();
        self.reports.extend(contact.reports.iter().cloned());
        self.sequence += 1;
        let mut lease = Lease {
            client_id: self.client_id.clone(),
            client_key,
            computer_name: ComputerName::new("pc-1").unwrap(),
            server_id: self.server_id.clone(),
            epoch: 1,
            sequence: self.sequence,
            issued_at: Timestamp::now(),
            not_after: Timestamp::now() + SignedDuration::from_hours(24 * 30),
            model: LicenseModel::Named,
            packages: Vec::new(),
            grant: self.grant.digest(),
            ledger_head: LedgerHead { sequence: 1, hash: Sha256Digest::of(b"head") },
        };
        (self.change_lease)(&mut lease);
        let mut assignment = Assignment {
            client_id: self.client_id.clone(),
            server_id: self.server_id.clone(),
            epoch: 1,
            sequence: self.sequence,
            issued_at: Timestamp::now(),
            expires_at: Timestamp::now() + SignedDuration::from_hours(24 * 30),
            metadata_as_of: self.metadata_as_of,
            packages: self.assigned.clone(),
        };
        (self.change_assignment)(&mut assignment);
        let answer = ContactAnswer {
            lease: Some(SignedDocument::sign(&lease, &self.site_key).unwrap()),
            assignment: Some(SignedDocument::sign(&assignment, &self.site_key).unwrap()),
            grant: None,
            access_token: "token-of-the-test".to_owned(),
            token_valid_secs: 900,
            acknowledged_report: self
                .acknowledge
                .unwrap_or_else(|| contact.reports.iter().map(|report| report.id).max().unwrap_or(0)),
            notice: self.notice.clone(),
        };
        let answer = serde_json::to_vec(&answer).unwrap();
        self.answered = Some((body, answer.clone()));
        answer
    }
}

/// A TLS configuration with a new site CA, and the pin of that CA.
pub(crate) fn tls() -> (ServerConfig, Sha256Digest) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let pin = spki_sha256(ca.as_ref().der()).unwrap();
    let chain = vec![leaf.der().clone(), ca.as_ref().der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    (config, pin)
}

pub(crate) async fn serve(tls: ServerConfig, server: Arc<Mutex<SimulatedServer>>) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, server) = (acceptor.clone(), Arc::clone(&server));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = hyper::service::service_fn(move |request| answer(request, Arc::clone(&server)));
                let builder = hyper::server::conn::http1::Builder::new();
                // A lost answer ends its connection with an error, as intended.
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    port
}

async fn answer(
    request: Request<Incoming>,
    server: Arc<Mutex<SimulatedServer>>,
) -> io::Result<Response<Body>> {
    let path = request.uri().path().trim_start_matches("/agent/v1/").to_owned();
    let range = request.headers().get("range").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let mut server = server.lock().unwrap();
    let trick = match server.tricks.front() {
        Some((wanted, _)) if path.contains(wanted.as_str()) => {
            server.tricks.pop_front().map(|(_, trick)| trick)
        }
        _ => None,
    };
    if let Some(Trick::Refuse(code)) = trick {
        let problem = Problem::new(code, "refused by the test", "ask the test");
        let mut response = Response::new(full(serde_json::to_vec(&problem).unwrap()));
        *response.status_mut() = StatusCode::FORBIDDEN;
        return Ok(response);
    }
    let bytes = match path.as_str() {
        "enroll" => Some(server.enroll(body)),
        "contact" => Some(server.contact(body)),
        _ => {
            let file = path.replacen("tuf/", "", 1);
            if file.contains(".tar.gz") {
                server.ranges.push(range.clone());
            } else if file.starts_with("deltas/") {
                server.delta_ranges.push(range.clone());
            }
            match &server.delta {
                Some(delta) if file.starts_with("deltas/") => Some(delta.clone()),
                _ => fs::read(server.repository.join(file)).ok(),
            }
        }
    };
    let Some(bytes) = bytes else {
        let mut response = Response::new(full(Vec::new()));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let total = bytes.len();
    let part = &bytes[from.unwrap_or(0)..];
    let mut response = match trick {
        Some(Trick::LoseTheAnswer) => return Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        Some(Trick::CutAfter(after)) => Response::new(cut(part, after)),
        Some(Trick::StallAfter(after)) => Response::new(stalled(part, after)),
        Some(Trick::Endless) => Response::new(endless()),
        Some(Trick::Redirect(to)) => {
            let mut response = Response::new(full(Vec::new()));
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            response.headers_mut().insert("location", to.parse().unwrap());
            return Ok(response);
        }
        _ => Response::new(full(part.to_vec())),
    };
    if let Some(from) = from {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let value = format!("bytes {from}-{}/{total}", total - 1);
        response.headers_mut().insert("content-range", value.parse().unwrap());
    }
    Ok(response)
}

type Body = http_body_util::combinators::BoxBody<Bytes, io::Error>;

fn full(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never: Infallible| match never {}).boxed()
}

fn cut(bytes: &[u8], after: usize) -> Body {
    let first = Bytes::copy_from_slice(&bytes[..after.min(bytes.len())]);
    let frames = futures_util::stream::unfold(Some(first), |first| async move {
        if let Some(first) = first {
            return Some((Ok(Frame::data(first)), None));
        }
        // Meanwhile the first part is sent.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), None))
    });
    BodyExt::boxed(StreamBody::new(frames))
}

fn stalled(bytes: &[u8], after: usize) -> Body {
    let first = Ok(Frame::data(Bytes::copy_from_slice(&bytes[..after.min(bytes.len())])));
    let frames = futures_util::StreamExt::chain(
        futures_util::stream::once(std::future::ready(first)),
        futures_util::stream::pending(),
    );
    BodyExt::boxed(StreamBody::new(frames))
}

fn endless() -> Body {
    let frames = futures_util::stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b' '; 65_536]))));
    BodyExt::boxed(StreamBody::new(frames))
}
