//! A site: a computer, the server that it enrolls with, and the vendor of both.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::domain::boot::BootMoment;
use sealpost_agent_updater::domain::gate_file::{OpenNow, open_now};
use sealpost_agent_updater::flows::enroll::OtherName;
use sealpost_agent_updater::home::Home;
use sealpost_agent_updater::hooks::RUN_HOOK;
use sealpost_agent_updater::platform::machine;
use sealpost_agent_updater::ports::Clock;
use sealpost_hook_runner::Runner;
use sealpost_keys::SigningKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::ids::{ComputerName, EnrollmentCode, PackageName, ServerId};
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::setup::{ServerEntry, ServerRole, SetupFile, SetupKind, SetupServer};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::contact::{Contact, ContactRequest};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::folders::set_mode;
use sealpost_test_support::license::{self, registration, serial};
use sealpost_test_support::names;
use sealpost_test_support::release::{Draft, assignment, noise};
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

/// The agent's clock, moved by a test; the boot clock is this computer's.
pub(crate) struct TestClock(pub(crate) ManualClock);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn boot(&self) -> Option<BootMoment> {
        machine::boot_moment()
    }
}

pub(crate) fn package() -> PackageName {
    names::package("acme")
}

/// A grant for a server, signed with any key.
pub(crate) fn grant(license_key: &SigningKey, site_key: &SigningKey, server_id: &ServerId) -> SignedDocument {
    license::grant(&registration(&serial(), server_id, site_key), 5, Timestamp::now(), license_key)
}

/// The files of a release: a short text, and enough that does not compress for a download to be cut.
pub(crate) fn files<'a>(text: &'a str, noise: &'a [u8]) -> [(&'static str, &'a [u8]); 2] {
    [("text", text.as_bytes()), ("noise", noise)]
}

/// The bytes beside the text.
pub(crate) fn large() -> Vec<u8> {
    noise(128_000)
}

/// What is inside the body of a contact.
pub(crate) fn contact(body: &str) -> Contact {
    let request: ContactRequest = serde_json::from_str(body).unwrap();
    document::read(request.contact.document.as_bytes()).unwrap()
}

/// A new server of a vendor's customer, running, as a setup file lists it.
pub(crate) fn server_of(
    vendor: &Vendor,
    runtime: &Runtime,
) -> (Arc<Mutex<SimulatedServer>>, Web, SetupServer) {
    let site_key = SigningKey::generate().unwrap();
    let site_public = site_key.public();
    let server_id = ServerId::of_site_key(&site_public);
    let grant = grant(&vendor.license_key, &site_key, &server_id);
    let server = Arc::new(Mutex::new(SimulatedServer::new(site_key, grant, vendor.repository())));
    let (web, pin) = runtime.block_on(serve(&server));
    let listed = SetupServer {
        server: ServerEntry {
            role: ServerRole::Primary,
            addresses: vec!["127.0.0.1".to_owned()],
            port: web.port(),
            server_id,
            site_key: site_public,
            ca_spki_sha256: vec![pin],
        },
        enrollment_code: Some(EnrollmentCode::from_random([1; 24])),
        code_expires_at: None,
    };
    (server, web, listed)
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::of(package())
    }

    /// A site whose vendor releases this package.
    pub(crate) fn of(package: PackageName) -> Self {
        let vendor = Vendor::new(package, ManualClock::running());
        let runtime = Runtime::new().unwrap();
        let (server, web, listed) = server_of(&vendor, &runtime);
        let setup = SetupFile {
            kind: SetupKind::Reserved,
            computer_name: Some(ComputerName::new("pc-1").unwrap()),
            issued_at: Timestamp::now(),
            servers: vec![listed],
            root_sha256: Sha256Digest::of(vendor.root_bytes()),
        };
        let computer = tempfile::tempdir().unwrap();
        set_mode(computer.path(), 0o755).unwrap();
        Self { vendor, server, web, setup, runtime, computer }
    }

    pub(crate) fn agent(&self) -> Agent {
        let home = Home::at(&self.computer.path().join("home")).unwrap();
        let mut agent = Agent::new(home, None, self.runtime.handle().clone()).unwrap();
        // The program of this process is the tests'.
        agent.context.host.runner =
            Runner { program: env!("CARGO_BIN_EXE_agent-updater").into(), arguments: vec![RUN_HOOK.into()] };
        agent
    }

    /// The same agent, with another clock.
    pub(crate) fn agent_with(&self, clock: ManualClock) -> Agent {
        let mut agent = self.agent();
        agent.context.host.clock = Arc::new(TestClock(clock));
        agent
    }

    pub(crate) fn setup_file(&self) -> PathBuf {
        let path = self.computer.path().join("setup.json");
        fs::write(&path, document::write(&self.setup).unwrap()).unwrap();
        set_mode(&path, 0o600).unwrap();
        path
    }

    pub(crate) fn enrolled(&self) -> Agent {
        let agent = self.agent();
        agent.enroll(&self.setup_file(), Some(&self.vendor.root_file()), OtherName::Refuse).unwrap();
        agent
    }

    /// The server that the setup file lists.
    pub(crate) fn listed(&mut self) -> &mut SetupServer {
        &mut self.setup.servers[0]
    }

    /// A record of the server that the setup file lists.
    pub(crate) fn server_record(&self, name: &str) -> PathBuf {
        let home = Home::at(&self.computer.path().join("home")).unwrap();
        home.server_record(&self.setup.servers[0].server.server_id, name)
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
        self.assign(&draft);
        draft.manifest
    }

    /// Publishes a release as it is, and assigns it.
    pub(crate) fn assign(&self, draft: &Draft) {
        // Of no channel: what is assigned need not be in one.
        let digest = self.vendor.publish(draft, &[]);
        let mut server = self.server.lock().unwrap();
        server.metadata_as_of = server.now();
        server.assigned = vec![assignment(&draft.named, digest)];
    }

    pub(crate) fn installed(&self) -> Option<String> {
        fs::read_to_string(self.computer.path().join("home/products/acme/current/text")).ok()
    }

    /// What the product finds open now.
    pub(crate) fn gate(&self) -> OpenNow {
        let text = fs::read_to_string(self.computer.path().join("home/gate/acme")).unwrap_or_default();
        let boot = machine::boot_moment().unwrap();
        open_now(&text, Timestamp::now().as_second(), boot.boot.as_str(), boot.secs)
    }

    /// The contacts that the server received, oldest first.
    pub(crate) fn contacts(&self) -> Vec<Contact> {
        self.server.lock().unwrap().contacts.iter().map(|body| contact(body)).collect()
    }
}
