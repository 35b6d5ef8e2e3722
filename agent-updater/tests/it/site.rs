//! A site with a server that is played, and a vendor with a real repository.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::home::Home;
use sealpost_agent_updater::server::pin::spki_sha256;
use sealpost_keys::{PublicKey, SigningKey, TrustedComment};
use sealpost_manifests::assignment::{Assignment, PackageAssignment, Urgency};
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, Document, SignedDocument};
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{
    ClientId, ComputerName, EnrollmentCode, PackageName, Platform, SerialNumber, ServerId, TargetName,
};
use sealpost_manifests::lease::{Lease, LedgerHead};
use sealpost_manifests::payload::PayloadSource;
use sealpost_manifests::release::{Encoding, PackageKind, ReleaseId, ReleaseManifest, Severity};
use sealpost_manifests::repository::{
    KeyThreshold, Lifetimes, RepositoryEditor, RoleName, RootSpec, Signers, TargetSource,
};
use sealpost_manifests::setup::{SetupFile, SetupServer};
use sealpost_manifests::trust::{KeyStatus, TRUST_TARGET, TrustDocument, TrustedKey};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::wire::contact::{Contact, ContactAnswer, ContactRequest};
use sealpost_manifests::wire::enroll::{EnrollAnswer, EnrollRequest, Enrolled, Enrollment};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::report::Report;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

pub(crate) fn package() -> PackageName {
    PackageName::new("acme").unwrap()
}

/// What the server does with the next request to a path, instead of answering it.
#[derive(Debug, Clone)]
pub(crate) enum Trick {
    /// Reads and carries out the request, and drops the line instead of answering.
    LoseTheAnswer,
    /// Sends this many bytes of the body, and drops the line.
    CutAfter(usize),
    /// Sends this many bytes of the body, and then nothing, for ever.
    StallAfter(usize),
    /// Sends to another address.
    Redirect(String),
    /// Answers without end.
    Endless,
    /// Refuses.
    Refuse(ProblemCode),
}

/// What the played server knows and saw.
pub(crate) struct Played {
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

pub(crate) struct Site {
    pub(crate) vendor: TempDir,
    pub(crate) vendor_key: SigningKey,
    pub(crate) root: Vec<u8>,
    pub(crate) played: Arc<Mutex<Played>>,
    pub(crate) setup: SetupFile,
    pub(crate) runtime: Runtime,
    pub(crate) computer: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let vendor = tempfile::tempdir().unwrap();
        let vendor_key = SigningKey::generate().unwrap();
        let root = make_repository(&vendor.path().join("repository"), &vendor_key);
        let site_key = SigningKey::generate().unwrap();
        let server_id = ServerId::from_random([7; 16]);
        let grant = grant(&vendor_key, &site_key.public(), &server_id);
        let site_public = site_key.public();
        let played = Arc::new(Mutex::new(Played {
            site_key,
            server_id: server_id.clone(),
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
            repository: vendor.path().join("repository"),
            answered: None,
        }));
        let runtime = Runtime::new().unwrap();
        let (tls, pin) = tls();
        let port = runtime.block_on(serve(tls, Arc::clone(&played)));
        let server = SetupServer {
            addresses: vec!["127.0.0.1".to_owned()],
            port,
            server_id,
            site_key: site_public,
            ca_spki_sha256: pin,
        };
        let setup = SetupFile {
            computer_name: ComputerName::new("pc-1").unwrap(),
            enrollment_code: EnrollmentCode::from_random([1; 24]),
            servers: vec![server],
            root_sha256: Sha256Digest::of(&root),
        };
        let computer = tempfile::tempdir().unwrap();
        fs::set_permissions(computer.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { vendor, vendor_key, root, played, setup, runtime, computer }
    }

    pub(crate) fn agent(&self) -> Agent {
        let home = Home::at(&self.computer.path().join("home")).unwrap();
        Agent::new(home, None, self.runtime.handle().clone()).unwrap()
    }

    pub(crate) fn setup_file(&self) -> PathBuf {
        let path = self.computer.path().join("setup.json");
        fs::write(&path, document::write(&self.setup).unwrap()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn root_file(&self) -> PathBuf {
        let path = self.computer.path().join("root.json");
        fs::write(&path, &self.root).unwrap();
        path
    }

    pub(crate) fn enrolled(&self) -> Agent {
        let agent = self.agent();
        agent.enroll(&self.setup_file(), Some(&self.root_file())).unwrap();
        agent
    }

    pub(crate) fn trick(&self, path: &str, trick: Trick) {
        self.played.lock().unwrap().tricks.push_back((path.to_owned(), trick));
    }

    /// Publishes a release and assigns it.
    pub(crate) fn release(&self, version: &str, counter: u64, text: &str) -> ReleaseManifest {
        let manifest = publish(self.vendor.path(), &self.vendor_key, &self.root, version, counter, text);
        let mut played = self.played.lock().unwrap();
        played.metadata_as_of = Timestamp::now();
        played.assigned = vec![PackageAssignment {
            release: manifest.release.clone(),
            manifest: Sha256Digest::of(document::write(&manifest).unwrap().as_bytes()),
            not_before: None,
            deadline: None,
            urgency: Urgency::Normal,
            rollout: 3,
            attempt: 0,
        }];
        manifest
    }

    /// Publishes a trust document in which the key that signed the site's grant is revoked.
    pub(crate) fn revoke_license_key(&self) {
        let folder = self.vendor.path().join("repository");
        let mut editor = RepositoryEditor::load(&folder, &self.root, Lifetimes::default()).unwrap();
        let key = |status| vec![TrustedKey { key: self.vendor_key.public(), status }];
        let trust = TrustDocument {
            vendor: "Acme".to_owned(),
            release_keys: [(package(), key(KeyStatus::Active))].into(),
            license_keys: key(KeyStatus::Revoked),
        };
        let trust = TargetSource::Bytes(document::write(&trust).unwrap().into_bytes());
        editor.put_target(&RoleName::Targets, &TargetName::new(TRUST_TARGET).unwrap(), trust).unwrap();
        editor.sign(&Signers::new(&[&self.vendor_key]), Timestamp::now()).unwrap().publish().unwrap();
    }

    pub(crate) fn installed(&self) -> Option<String> {
        fs::read_to_string(self.computer.path().join("home/products/acme/current/text")).ok()
    }
}

pub(crate) fn grant(vendor_key: &SigningKey, site_key: &PublicKey, server_id: &ServerId) -> SignedDocument {
    let grant = Grant {
        vendor: "Acme".to_owned(),
        serial: SerialNumber::from_random([5; 19]),
        server_id: server_id.clone(),
        site_key: site_key.clone(),
        key_epoch: 1,
        epoch: 1,
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats: 5,
        generation: 1,
        valid_until: Timestamp::now() + SignedDuration::from_hours(24 * 366),
        vendor_time: Timestamp::now(),
    };
    SignedDocument::sign(&grant, vendor_key).unwrap()
}

fn make_repository(folder: &Path, key: &SigningKey) -> Vec<u8> {
    let one = KeyThreshold::new(&[key.public()], 1).unwrap();
    let spec =
        RootSpec { root: one.clone(), targets: one.clone(), snapshot: one.clone(), timestamp: one.clone() };
    let mut editor = RepositoryEditor::create(folder, &spec, Lifetimes::default()).unwrap();
    let trusted = vec![TrustedKey { key: key.public(), status: KeyStatus::Active }];
    let trust = TrustDocument {
        vendor: "Acme".to_owned(),
        release_keys: [(package(), trusted.clone())].into(),
        license_keys: trusted,
    };
    let trust = TargetSource::Bytes(document::write(&trust).unwrap().into_bytes());
    editor.put_target(&RoleName::Targets, &TargetName::new(TRUST_TARGET).unwrap(), trust).unwrap();
    editor.delegate(&package(), &one).unwrap();
    let channels = document::write(&ChannelsDocument::empty(package())).unwrap().into_bytes();
    let name = ChannelsDocument::target(&package()).unwrap();
    editor.put_target(&RoleName::Package(package()), &name, TargetSource::Bytes(channels)).unwrap();
    let signed = editor.sign(&Signers::new(&[key]), Timestamp::now()).unwrap();
    let root = signed.root_bytes().unwrap().to_vec();
    signed.publish().unwrap();
    root
}

/// The files of a release.
pub(crate) fn tree(text: &str) -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("text"), text).unwrap();
    let noise: Vec<u8> =
        (0..4_000u64).flat_map(|number| *Sha256Digest::of(&number.to_le_bytes()).as_bytes()).collect();
    fs::write(tree.path().join("noise"), noise).unwrap();
    tree
}

fn publish(
    vendor: &Path,
    key: &SigningKey,
    root: &[u8],
    version: &str,
    counter: u64,
    text: &str,
) -> ReleaseManifest {
    let tree = tree(text);
    let source = PayloadSource::scan(tree.path()).unwrap();
    let mut gzip = Vec::new();
    let payload = source.write_gzip(&mut gzip).unwrap();
    let manifest = ReleaseManifest {
        release: ReleaseId {
            package: package(),
            version: Version::new(version).unwrap(),
            platform: Platform::any(),
        },
        kind: PackageKind::Program,
        revision: None,
        counter: ReleaseCounter(counter),
        payload,
        files: source.files().to_vec(),
        requires: Vec::new(),
        severity: Severity::Normal,
        notes: String::new(),
        built_at: Timestamp::UNIX_EPOCH,
    };
    let document = document::write(&manifest).unwrap();
    let minisig = key.sign(document.as_bytes(), &TrustedComment::new(manifest.trusted_comment()).unwrap());
    let mut editor = RepositoryEditor::load(&vendor.join("repository"), root, Lifetimes::default()).unwrap();
    let role = RoleName::Package(package());
    let release = &manifest.release;
    let targets = [
        (release.manifest_target(), document.into_bytes()),
        (release.minisig_target(), minisig.as_str().as_bytes().to_vec()),
        (release.payload_target(Encoding::Gzip), gzip),
    ];
    for (name, bytes) in targets {
        editor.put_target(&role, &name.unwrap(), TargetSource::Bytes(bytes)).unwrap();
    }
    editor.sign(&Signers::new(&[key]), Timestamp::now()).unwrap().publish().unwrap();
    manifest
}

/// A TLS configuration with a site CA of its own, and the pin of that CA.
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

pub(crate) async fn serve(tls: ServerConfig, played: Arc<Mutex<Played>>) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, played) = (acceptor.clone(), Arc::clone(&played));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = hyper::service::service_fn(move |request| answer(request, Arc::clone(&played)));
                let builder = hyper::server::conn::http1::Builder::new();
                // Lost answers end a connection with an error, which is what they are for.
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    port
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
        // While this waits, what came before is sent.
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

async fn answer(request: Request<Incoming>, played: Arc<Mutex<Played>>) -> io::Result<Response<Body>> {
    let path = request.uri().path().trim_start_matches("/agent/v1/").to_owned();
    let range = request.headers().get("range").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let mut played = played.lock().unwrap();
    let trick = match played.tricks.front() {
        Some((wanted, _)) if path.contains(wanted.as_str()) => {
            played.tricks.pop_front().map(|(_, trick)| trick)
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
        "enroll" => Some(played.enroll(body)),
        "contact" => Some(played.contact(body)),
        _ => {
            let file = path.replacen("tuf/", "", 1);
            if file.contains(".tar.gz") {
                played.ranges.push(range.clone());
            } else if file.starts_with("deltas/") {
                played.delta_ranges.push(range.clone());
            }
            match &played.delta {
                Some(delta) if file.starts_with("deltas/") => Some(delta.clone()),
                _ => fs::read(played.repository.join(file)).ok(),
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

impl Played {
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
