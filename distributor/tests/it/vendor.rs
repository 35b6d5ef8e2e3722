//! A vendor: a repository that is published and served, and a license authority.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, Bytes};
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use sealpost_keys::{Minisig, SigningKey, TrustedComment};
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, Document, SignedDocument};
use sealpost_manifests::grant::{Grant, LicenseModel, Registration, verify_registration};
use sealpost_manifests::ids::{ChannelName, PackageName, Platform, SerialNumber, TargetName};
use sealpost_manifests::payload::PayloadSource;
use sealpost_manifests::release::{Encoding, PackageKind, ReleaseId, ReleaseManifest, Severity};
use sealpost_manifests::trust::{KeyStatus, TRUST_TARGET, TrustDocument, TrustedKey};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::sync::{RegisterAnswer, RegisterRequest};
use sealpost_repository::{
    KeyThreshold, Lifetimes, RepositoryEditor, RoleName, RootSpec, Signers, TargetSource,
};
use tempfile::TempDir;

pub(crate) struct Vendor {
    folder: TempDir,
    key: SigningKey,
    root: Vec<u8>,
    counter: AtomicU64,
    pub(crate) url: String,
}

pub(crate) fn package() -> PackageName {
    PackageName::new("acme-av").unwrap()
}

pub(crate) fn serial() -> SerialNumber {
    SerialNumber::from_random([5; 19])
}

impl Vendor {
    /// A vendor with one package, no release, and a license authority that sells this many seats.
    pub(crate) async fn start(seats: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::generate().unwrap();
        let one = KeyThreshold::new(&[key.public()], 1).unwrap();
        let spec = RootSpec {
            root: one.clone(),
            targets: one.clone(),
            snapshot: one.clone(),
            timestamp: one.clone(),
        };
        let repository = folder.path().join("repository");
        let mut editor = RepositoryEditor::create(&repository, &spec, Lifetimes::default()).unwrap();
        put_trust(&mut editor, &key, KeyStatus::Active);
        editor.delegate(&package(), &one).unwrap();
        let channels = ChannelsDocument::empty(package());
        put_channels(&mut editor, &channels);
        let signed = editor.sign(&Signers::new(&[&key]), Timestamp::now()).unwrap();
        let root = signed.root_bytes().unwrap().to_vec();
        signed.publish().unwrap();
        let key_again = Arc::new(resigned(&key));
        let url = serve(repository, key_again, seats).await;
        Self { folder, key, root, counter: AtomicU64::new(0), url }
    }

    pub(crate) fn root_file(&self) -> PathBuf {
        let path = self.folder.path().join("root.json");
        std::fs::write(&path, &self.root).unwrap();
        path
    }

    /// Publishes a release and points `stable` to it.
    pub(crate) fn release(&self, version: &str, files: &[(&str, &[u8])]) -> Sha256Digest {
        self.release_with_notes(version, files, "what is new: nothing")
    }

    pub(crate) fn release_with_notes(
        &self,
        version: &str,
        files: &[(&str, &[u8])],
        notes: &str,
    ) -> Sha256Digest {
        let tree = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(tree.path().join(name), content).unwrap();
        }
        let source = PayloadSource::scan(tree.path()).unwrap();
        let mut gzip = Vec::new();
        let payload = source.write_gzip(&mut gzip).unwrap();
        let release = ReleaseId {
            package: package(),
            version: Version::new(version).unwrap(),
            platform: Platform::any(),
        };
        let manifest = ReleaseManifest {
            release: release.clone(),
            kind: PackageKind::Program,
            revision: None,
            counter: ReleaseCounter(self.counter.fetch_add(1, Ordering::SeqCst) + 1),
            payload,
            files: source.files().to_vec(),
            requires: Vec::new(),
            severity: Severity::Normal,
            notes: notes.to_owned(),
            built_at: Timestamp::now(),
        };
        let text = document::write(&manifest).unwrap();
        let minisig = self.sign(&text, &manifest);
        let repository = self.folder.path().join("repository");
        let mut editor = RepositoryEditor::load(&repository, &self.root, Lifetimes::default()).unwrap();
        let role = RoleName::Package(package());
        let mut put = |name: TargetName, bytes: Vec<u8>| {
            editor.put_target(&role, &name, TargetSource::Bytes(bytes)).unwrap();
        };
        put(release.manifest_target().unwrap(), text.clone().into_bytes());
        put(release.minisig_target().unwrap(), minisig.as_str().as_bytes().to_vec());
        put(release.payload_target(Encoding::Gzip).unwrap(), gzip);
        let mut channels = ChannelsDocument::empty(package());
        channels.channels.insert(ChannelName::new("stable").unwrap(), release.version);
        put_channels(&mut editor, &channels);
        editor.sign(&Signers::new(&[&self.key]), Timestamp::now()).unwrap().publish().unwrap();
        Sha256Digest::of(text.as_bytes())
    }

    /// Publishes that the key which signed all releases signs none.
    pub(crate) fn revoke_release_key(&self) {
        let repository = self.folder.path().join("repository");
        let mut editor = RepositoryEditor::load(&repository, &self.root, Lifetimes::default()).unwrap();
        put_trust(&mut editor, &self.key, KeyStatus::Revoked);
        editor.sign(&Signers::new(&[&self.key]), Timestamp::now()).unwrap().publish().unwrap();
    }

    fn sign(&self, text: &str, manifest: &ReleaseManifest) -> Minisig {
        self.key.sign(text.as_bytes(), &TrustedComment::new(manifest.trusted_comment()).unwrap())
    }
}

fn put_trust(editor: &mut RepositoryEditor, key: &SigningKey, release_key: KeyStatus) {
    let trusted = |status| vec![TrustedKey { key: key.public(), status }];
    let trust = TrustDocument {
        vendor: "Acme".to_owned(),
        release_keys: [(package(), trusted(release_key))].into(),
        license_keys: trusted(KeyStatus::Active),
    };
    let trust = document::write(&trust).unwrap().into_bytes();
    let name = TargetName::new(TRUST_TARGET).unwrap();
    editor.put_target(&RoleName::Targets, &name, TargetSource::Bytes(trust)).unwrap();
}

fn put_channels(editor: &mut RepositoryEditor, channels: &ChannelsDocument) {
    let bytes = document::write(channels).unwrap().into_bytes();
    let name = ChannelsDocument::target(&package()).unwrap();
    editor.put_target(&RoleName::Package(package()), &name, TargetSource::Bytes(bytes)).unwrap();
}

/// The same key once more, by way of a key file: keys cannot be cloned.
fn resigned(key: &SigningKey) -> SigningKey {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    sealpost_keys::key_file::write_secret(&path, key, None).unwrap();
    sealpost_keys::key_file::read_secret(&path, &sealpost_keys::PassphraseSource::None).unwrap()
}

async fn serve(repository: PathBuf, key: Arc<SigningKey>, seats: u32) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (repository, key) = (repository.clone(), Arc::clone(&key));
            let service = hyper::service::service_fn(move |request| {
                let (repository, key) = (repository.clone(), Arc::clone(&key));
                async move { Ok::<_, Infallible>(answer(request, &repository, &key, seats).await) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    format!("http://{address}")
}

async fn answer(
    request: Request<Incoming>,
    repository: &std::path::Path,
    key: &SigningKey,
    seats: u32,
) -> Response<Body> {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    if path == "license/v1/register" {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        return register(&body, key, seats);
    }
    match std::fs::read(repository.join(path)) {
        Ok(bytes) => Response::new(Body::from(bytes)),
        Err(_) => with_status(StatusCode::NOT_FOUND, Body::empty()),
    }
}

fn register(body: &Bytes, key: &SigningKey, seats: u32) -> Response<Body> {
    let request: RegisterRequest = serde_json::from_slice(body).unwrap();
    let registration = verify_registration(&request.registration).unwrap();
    if registration.serial != serial() {
        let problem = Problem::new(ProblemCode::SerialUnknown, "no such serial number was sold", "check it");
        return with_status(StatusCode::NOT_FOUND, Body::from(serde_json::to_vec(&problem).unwrap()));
    }
    let grant = grant(&registration, seats, key);
    Response::new(Body::from(serde_json::to_vec(&RegisterAnswer { grant }).unwrap()))
}

pub(crate) fn grant(registration: &Registration, seats: u32, key: &SigningKey) -> SignedDocument {
    let now = Timestamp::now();
    let grant = Grant {
        vendor: "Acme".to_owned(),
        serial: registration.serial.clone(),
        server_id: registration.server_id.clone(),
        site_key: registration.site_key.clone(),
        key_epoch: 1,
        epoch: 1,
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats,
        generation: 1,
        valid_until: now.checked_add(SignedDuration::from_hours(24 * 366)).unwrap(),
        vendor_time: now,
    };
    SignedDocument::sign(&grant, key).unwrap()
}

impl Vendor {
    /// A grant for whoever the registration names, signed with this vendor's license key.
    pub(crate) fn grant(&self, registration: &Registration, seats: u32) -> SignedDocument {
        grant(registration, seats, &self.key)
    }
}

fn with_status(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
