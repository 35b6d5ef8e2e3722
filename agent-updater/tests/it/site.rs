//! A site: a computer, the server that it enrolls with, and the vendor of both.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::home::Home;
use sealpost_keys::SigningKey;
use sealpost_manifests::assignment::{PackageAssignment, Urgency};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::ids::{ComputerName, EnrollmentCode, ServerId, TargetName};
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::setup::{SetupFile, SetupServer};
use sealpost_manifests::trust::{KeyStatus, TRUST_TARGET, TrustDocument, TrustedKey};
use sealpost_repository::{Lifetimes, RepositoryEditor, RoleName, Signers, TargetSource};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::server::{SimulatedServer, Trick, serve, tls};
use crate::vendor::{grant, make_repository, package, publish};

pub(crate) struct Site {
    pub(crate) vendor: TempDir,
    pub(crate) vendor_key: SigningKey,
    pub(crate) root: Vec<u8>,
    pub(crate) server: Arc<Mutex<SimulatedServer>>,
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
        let repository = vendor.path().join("repository");
        let server =
            Arc::new(Mutex::new(SimulatedServer::new(site_key, server_id.clone(), grant, repository)));
        let runtime = Runtime::new().unwrap();
        let (tls, pin) = tls();
        let port = runtime.block_on(serve(tls, Arc::clone(&server)));
        let listed = SetupServer {
            addresses: vec!["127.0.0.1".to_owned()],
            port,
            server_id,
            site_key: site_public,
            ca_spki_sha256: pin,
        };
        let setup = SetupFile {
            computer_name: ComputerName::new("pc-1").unwrap(),
            enrollment_code: EnrollmentCode::from_random([1; 24]),
            servers: vec![listed],
            root_sha256: Sha256Digest::of(&root),
        };
        let computer = tempfile::tempdir().unwrap();
        fs::set_permissions(computer.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { vendor, vendor_key, root, server, setup, runtime, computer }
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
        self.server.lock().unwrap().tricks.push_back((path.to_owned(), trick));
    }

    /// Publishes a release and assigns it.
    pub(crate) fn release(&self, version: &str, counter: u64, text: &str) -> ReleaseManifest {
        let manifest = publish(self.vendor.path(), &self.vendor_key, &self.root, version, counter, text);
        let mut server = self.server.lock().unwrap();
        server.metadata_as_of = Timestamp::now();
        server.assigned = vec![PackageAssignment {
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
