//! A computer, and releases of the agent for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use sealpost_keys::SigningKey;
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::{PackageName, Platform};
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::trust::{KeyStatus, KeyUse, TrustDocument, TrustedKey};
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};
use sealpost_test_support::folders::{set_mode, write_executable};
use sealpost_test_support::names::release_id;
use sealpost_test_support::release::{Draft, assignment};
use tempfile::TempDir;

use crate::config::Settings;
use crate::domain::record::PackageRecord;
use crate::domain::release::{Expectation, Refusal};
use crate::domain::self_update::record::SelfRecord;
use crate::domain::way::Hop;
use crate::flows::context::Host;
use crate::flows::install::{ChangeEnd, Engine, EngineError, Terms, VettedRelease};
use crate::flows::self_update::settle::{SettleError, settle};
use crate::home::Home;
use crate::hooks::runner_of_tests::runner_of_tests;
use crate::ports::{Disk, Faults, Killed, Source};
use crate::records::{packages, self_state};
use crate::slots::Slots;
use crate::spool::Spool;
use crate::system::SystemClock;

/// Where a kill is simulated; `None` for nowhere.
#[derive(Debug, Default, Clone)]
pub(super) struct SimulatedKill(pub(super) Arc<Mutex<Option<String>>>);

impl Faults for SimulatedKill {
    fn at(&self, point: &str) -> Result<(), Killed> {
        let mut wanted = self.0.lock().unwrap();
        if wanted.as_deref() == Some(point) { wanted.take().map_or(Ok(()), |_| Err(Killed)) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct RoomyDisk;

impl Disk for RoomyDisk {
    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

pub(super) struct Release {
    pub(super) draft: Draft,
    pub(super) signed: SignedDocument,
}

impl Source for Release {
    fn delta(&mut self, _: &Hop, _: &Path) -> Result<bool, Refusal> {
        Ok(false)
    }

    fn payload(&mut self, to: &Path) -> Result<(), Refusal> {
        fs::write(to, &self.draft.payload).unwrap();
        Ok(())
    }
}

pub(super) struct Computer {
    pub(super) root: TempDir,
    pub(super) host: Host,
    pub(super) kill: SimulatedKill,
    key: SigningKey,
    trust: TrustDocument,
}

impl Computer {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        set_mode(root.path(), 0o755).unwrap();
        let home = Home::at(&root.path().join("home")).unwrap();
        home.prepare().unwrap();
        let key = SigningKey::generate().unwrap();
        let listed = TrustedKey {
            key_use: KeyUse::Release,
            package: Some(PackageName::agent()),
            key: key.public().to_base64(),
            status: KeyStatus::Active,
            digests: BTreeSet::new(),
        };
        let trust = TrustDocument {
            vendor: "Acme".to_owned(),
            keys: vec![listed],
            counter_resets: Vec::new(),
            licensing_contact: None,
            signed_at: Timestamp::UNIX_EPOCH,
        };
        let kill = SimulatedKill::default();
        let host = Host {
            settings: Settings::load(&home.config(), home.path()).unwrap(),
            home,
            clock: Arc::new(SystemClock),
            disk: Box::new(RoomyDisk),
            runner: runner_of_tests(),
            faults: Arc::new(kill.clone()),
            stop: Arc::default(),
        };
        Self { root, host, kill, key, trust }
    }

    /// This computer once more, for what keeps its own.
    pub(super) fn same_host(&self) -> Host {
        Host {
            settings: self.host.settings.clone(),
            home: self.host.home.clone(),
            clock: Arc::new(SystemClock),
            disk: Box::new(RoomyDisk),
            runner: runner_of_tests(),
            faults: Arc::new(self.kill.clone()),
            stop: Arc::default(),
        }
    }

    /// A release whose program is a copy of one of this computer's.
    pub(super) fn publish(&self, version: &str, counter: u64, program: &str) -> Release {
        self.publish_bytes(version, counter, &fs::read(program).unwrap())
    }

    pub(super) fn publish_bytes(&self, version: &str, counter: u64, program: &[u8]) -> Release {
        let folder = self.root.path().join(format!("release-{version}"));
        write_executable(&folder.join("agent-updater"), program).unwrap();
        let mut draft = Draft::of_folder(&folder, release_id(&PackageName::agent(), version), counter);
        draft.manifest.kind = PackageKind::Agent;
        let signed = draft.sign(&self.key);
        Release { draft, signed }
    }

    pub(super) fn install(&self, release: &mut Release) -> Result<ChangeEnd, EngineError> {
        let (vetted, wanted) = self.vet(release);
        self.with_engine(|engine| engine.install(&vetted, Terms::unhindered(&wanted), release))
    }

    /// A release that is assigned, with its assignment.
    pub(super) fn vet(&self, release: &Release) -> (VettedRelease, PackageAssignment) {
        let wanted = assignment(&release.draft.manifest.release, release.signed.digest());
        let expected = Expectation {
            wanted: &wanted,
            platform: &Platform::current(),
            counter_floor: self.package().counter_floor,
            installed: &BTreeMap::new(),
            channels: &ChannelsDocument::empty(PackageName::agent(), Timestamp::UNIX_EPOCH),
        };
        let bytes = release.signed.document.clone().into_bytes();
        let vetted =
            VettedRelease::verify(bytes, release.signed.minisig.clone(), &self.trust, &expected).unwrap();
        (vetted, wanted)
    }

    pub(super) fn with_engine<R>(&self, work: impl FnOnce(&mut Engine<'_>) -> R) -> R {
        let mut spool = Spool::open(&self.host.home).unwrap();
        work(&mut Engine::new(&self.host, &mut spool))
    }

    /// A trial of a release that begins.
    pub(super) fn on_trial(&self, release: &mut Release) {
        assert_eq!(self.install(release).unwrap(), ChangeEnd::OnTrial);
    }

    /// A release that was tried, confirmed and noted.
    pub(super) fn runs(&self, release: &mut Release) {
        self.on_trial(release);
        self.write(&self.state().confirmed(self.host.now()));
        self.settle().unwrap();
    }

    pub(super) fn settle(&self) -> Result<(), SettleError> {
        settle(&self.host, &mut Spool::open(&self.host.home).unwrap())
    }

    pub(super) fn state(&self) -> SelfRecord {
        self_state::load(&self.host.home).unwrap()
    }

    pub(super) fn write(&self, record: &SelfRecord) {
        self_state::save(&self.host.home, record).unwrap();
    }

    pub(super) fn package(&self) -> PackageRecord {
        packages::load(&self.host.home, &PackageName::agent()).unwrap()
    }

    pub(super) fn slots(&self) -> Slots {
        Slots::open(&self.host.settings.install_root, &PackageName::agent()).unwrap()
    }

    pub(super) fn slot_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.slots().path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The version that launchers, the record of the package and `current` agree about.
    pub(super) fn agreed(&self, context: &str) -> Option<String> {
        let (state, package) = (self.state(), self.package());
        assert_eq!((state.trial, state.ended), (None, None), "{context}");
        let stable = state.stable.map(|stable| stable.installed);
        assert_eq!(stable, package.current, "{context}");
        let slot = stable.as_ref().map(|stable| stable.slot.clone());
        assert_eq!(self.slots().current().unwrap(), slot, "{context}");
        stable.map(|stable| stable.release.version.to_string())
    }

    pub(super) fn program(&self, version: &str) -> PathBuf {
        let name =
            self.slot_names().into_iter().find(|name| name.starts_with(&format!("{version}-"))).unwrap();
        self.slots().path().join(name).join("agent-updater")
    }

    pub(super) fn reports(&self) -> Vec<(InstallStep, Outcome, ReasonCode)> {
        let spool = Spool::open(&self.host.home).unwrap();
        spool.batch(0).iter().map(|report| (report.step, report.outcome, report.reason)).collect()
    }
}
