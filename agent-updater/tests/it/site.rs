//! A site: a computer, the server that it enrolls with, and the vendor of both.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::home::Home;
use sealpost_keys::{PublicKey, SigningKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::grant::Registration;
use sealpost_manifests::ids::{ComputerName, EnrollmentCode, PackageName, ServerId};
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::setup::{SetupFile, SetupServer};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::folders::set_mode;
use sealpost_test_support::license::{self, serial};
use sealpost_test_support::names;
use sealpost_test_support::release::{assignment, noise};
use sealpost_test_support::vendor::Vendor;
use sealpost_test_support::web::{Fault, Web};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::server::{SimulatedServer, serve};

pub(crate) struct Site {
    pub(crate) vendor: Vendor,
    pub(crate) server: Arc<Mutex<SimulatedServer>>,
    pub(crate) web: Web,
    pub(crate) setup: SetupFile,
    pub(crate) runtime: Runtime,
    pub(crate) computer: TempDir,
}

pub(crate) fn package() -> PackageName {
    names::package("acme")
}

/// A grant for a server, signed with any key.
pub(crate) fn grant(license_key: &SigningKey, site_key: &PublicKey, server_id: &ServerId) -> SignedDocument {
    let (server_id, site_key) = (server_id.clone(), site_key.clone());
    let registration = Registration { serial: serial(), server_id, site_key };
    license::grant(&registration, 5, Timestamp::now(), license_key)
}

/// The files of a release: a short text, and enough that does not compress for a download to be cut.
pub(crate) fn files<'a>(text: &'a str, noise: &'a [u8]) -> [(&'static str, &'a [u8]); 2] {
    [("text", text.as_bytes()), ("noise", noise)]
}

/// The bytes beside the text.
pub(crate) fn large() -> Vec<u8> {
    noise(128_000)
}

impl Site {
    pub(crate) fn new() -> Self {
        let vendor = Vendor::new(package(), ManualClock::running());
        let site_key = SigningKey::generate().unwrap();
        let site_public = site_key.public();
        let server_id = ServerId::from_random([7; 16]);
        let grant = grant(&vendor.license_key, &site_public, &server_id);
        let server = SimulatedServer::new(site_key, server_id.clone(), grant, vendor.repository());
        let server = Arc::new(Mutex::new(server));
        let runtime = Runtime::new().unwrap();
        let (web, pin) = runtime.block_on(serve(&server));
        let listed = SetupServer {
            addresses: vec!["127.0.0.1".to_owned()],
            port: web.port(),
            server_id,
            site_key: site_public,
            ca_spki_sha256: pin,
        };
        let setup = SetupFile {
            computer_name: ComputerName::new("pc-1").unwrap(),
            enrollment_code: EnrollmentCode::from_random([1; 24]),
            servers: vec![listed],
            root_sha256: Sha256Digest::of(vendor.root_bytes()),
        };
        let computer = tempfile::tempdir().unwrap();
        set_mode(computer.path(), 0o755).unwrap();
        Self { vendor, server, web, setup, runtime, computer }
    }

    pub(crate) fn agent(&self) -> Agent {
        let home = Home::at(&self.computer.path().join("home")).unwrap();
        Agent::new(home, None, self.runtime.handle().clone()).unwrap()
    }

    pub(crate) fn setup_file(&self) -> PathBuf {
        let path = self.computer.path().join("setup.json");
        fs::write(&path, document::write(&self.setup).unwrap()).unwrap();
        set_mode(&path, 0o600).unwrap();
        path
    }

    pub(crate) fn enrolled(&self) -> Agent {
        let agent = self.agent();
        agent.enroll(&self.setup_file(), Some(&self.vendor.root_file())).unwrap();
        agent
    }

    /// Makes the server refuse the next request for this path, which it does not carry out.
    pub(crate) fn refuse(&self, path: &str, code: ProblemCode) {
        let problem = Problem::new(code, "refused by the test", "ask the test");
        self.web.once(path, Fault::Answer(403, serde_json::to_vec(&problem).unwrap()));
    }

    /// Publishes a release and assigns it.
    pub(crate) fn release(&self, version: &str, counter: u64, text: &str) -> ReleaseManifest {
        let mut draft = self.vendor.draft(version, &files(text, &large()));
        draft.manifest.counter = ReleaseCounter(counter);
        // Of no channel: what is assigned need not be in one.
        let digest = self.vendor.publish(&draft, &[]);
        let mut server = self.server.lock().unwrap();
        server.metadata_as_of = Timestamp::now();
        server.assigned = vec![assignment(&draft.named, digest)];
        draft.manifest
    }

    pub(crate) fn installed(&self) -> Option<String> {
        fs::read_to_string(self.computer.path().join("home/products/acme/current/text")).ok()
    }
}
