//! A computer with a product whose hooks record what runs, and a vendor that makes releases for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use sealpost_keys::{PublicKey, SigningKey};
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::{PackageName, Platform};
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::trust::{KeyStatus, KeyUse, TrustDocument, TrustedKey};
use sealpost_manifests::wire::refresh::DeltaWay;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};
use sealpost_test_support::delta;
use sealpost_test_support::folders::{set_mode, write_executable, write_file, write_folder};
use sealpost_test_support::names::{self, release_id};
use sealpost_test_support::release::{Draft, assignment, noise};
use tempfile::TempDir;

use crate::config::Settings;
use crate::domain::record::{Installed, PackageRecord};
use crate::domain::release::{Expectation, Refusal};
use crate::domain::way::Hop;
use crate::flows::context::Host;
use crate::flows::install::{ChangeEnd, Engine, EngineError, Terms, VettedRelease};
use crate::home::Home;
use crate::hooks::runner_of_tests::runner_of_tests;
use crate::ports::{Disk, Faults, Killed, Source};
use crate::records::packages;
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
pub(super) struct FixedDisk(pub(super) u64);

impl Disk for FixedDisk {
    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0)
    }
}

/// A release as it lies on a server, with the ways in which it can be wrong.
#[derive(Clone)]
pub(super) struct Published {
    pub(super) manifest: ReleaseManifest,
    pub(super) signed: SignedDocument,
    pub(super) payload: Vec<u8>,
    /// The delta from what is installed, of a server that tells of no ways.
    pub(super) delta: Option<Vec<u8>>,
    pub(super) way: Option<DeltaWay>,
    /// The deltas of the way, by their ends.
    pub(super) hops: BTreeMap<(Option<Sha256Digest>, Sha256Digest), Vec<u8>>,
    /// Manifests that the vendor's metadata list.
    pub(super) listed: Vec<Sha256Digest>,
    pub(super) folder: PathBuf,
    pub(super) fetches: Vec<&'static str>,
}

impl Source for Published {
    fn way(&self) -> Option<&DeltaWay> {
        self.way.as_ref()
    }

    fn lists(&mut self, manifest: &Sha256Digest) -> Result<bool, Refusal> {
        Ok(self.listed.contains(manifest))
    }

    fn delta(&mut self, hop: &Hop, to: &Path) -> Result<bool, Refusal> {
        let of_hop = self.hops.get(&(hop.from, hop.to)).or(self.delta.as_ref());
        let Some(delta) = of_hop else { return Ok(false) };
        self.fetches.push("delta");
        if delta.len() as u64 > hop.most_bytes {
            return Err(Refusal::new(ReasonCode::PayloadInvalid, "longer than allowed"));
        }
        fs::write(to, delta).unwrap();
        Ok(true)
    }

    fn payload(&mut self, to: &Path) -> Result<(), Refusal> {
        self.fetches.push("payload");
        fs::write(to, &self.payload).unwrap();
        Ok(())
    }
}

/// A source that is like a published release, but for what a test makes of it.
pub(super) struct But<'p> {
    pub(super) release: &'p mut Published,
    /// Asked before a payload is fetched.
    pub(super) payload: &'p dyn Fn() -> Result<(), Refusal>,
    pub(super) interruption: &'p dyn Fn() -> Option<Refusal>,
}

impl<'p> But<'p> {
    pub(super) fn new(release: &'p mut Published) -> Self {
        Self { release, payload: &|| Ok(()), interruption: &|| None }
    }
}

impl Source for But<'_> {
    fn way(&self) -> Option<&DeltaWay> {
        self.release.way()
    }

    fn lists(&mut self, manifest: &Sha256Digest) -> Result<bool, Refusal> {
        self.release.lists(manifest)
    }

    fn interruption(&self) -> Option<Refusal> {
        (self.interruption)()
    }

    fn delta(&mut self, hop: &Hop, to: &Path) -> Result<bool, Refusal> {
        self.release.delta(hop, to)
    }

    fn payload(&mut self, to: &Path) -> Result<(), Refusal> {
        (self.payload)().and_then(|()| self.release.payload(to))
    }
}

pub(super) struct Computer {
    pub(super) root: TempDir,
    pub(super) host: Host,
    pub(super) kill: SimulatedKill,
    pub(super) key: SigningKey,
    pub(super) trust: TrustDocument,
}

/// The program of a release that loads and works.
pub(super) const ONE: &str = "loadable one";
/// As [`ONE`], of a later release.
pub(super) const TWO: &str = "loadable two";

/// Why a change ended.
pub(super) fn reason(end: &ChangeEnd) -> ReasonCode {
    match end {
        ChangeEnd::Refused(refusal) | ChangeEnd::Down(refusal) => refusal.reason,
        ChangeEnd::RolledBack(reason) => *reason,
        ChangeEnd::Kept | ChangeEnd::OnTrial | ChangeEnd::NotNow(_) => ReasonCode::Done,
    }
}

pub(super) fn package() -> PackageName {
    names::package("acme")
}

impl Computer {
    pub(super) fn new() -> Self {
        let root = folder();
        set_mode(root.path(), 0o755).unwrap();
        let home = Home::at(&root.path().join("home")).unwrap();
        home.prepare().unwrap();
        let key = SigningKey::generate().unwrap();
        let trust = TrustDocument {
            vendor: "Acme".to_owned(),
            keys: vec![trusted(&key.public(), KeyStatus::Active)],
            counter_resets: Vec::new(),
            licensing_contact: None,
            signed_at: Timestamp::UNIX_EPOCH,
        };
        let runs = root.path().join("runs");
        let log = root.path().join("log");
        let hook = |name: &str, text: &str| {
            let text = format!("#!/bin/sh\n{}\n", text.replace("RUNS", runs.to_str().unwrap()));
            let text = text.replace("LOG", log.to_str().unwrap());
            let path = root.path().join(name);
            write_executable(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let test_load =
            hook("test_load", "grep -q loadable \"$SEALPOST_SLOT/bin/run\" || { echo cannot load; exit 1; }");
        let stop = hook("stop", "rm -f RUNS; echo stop >> LOG");
        let start = hook("start", "cp \"$SEALPOST_CURRENT/bin/run\" RUNS; echo start >> LOG");
        let health = hook("health", "cmp -s \"$SEALPOST_CURRENT/bin/run\" RUNS && ! grep -q sick RUNS");
        let config = home.config();
        let text = format!(
            "[packages.acme]\ntest_load=[{test_load:?}]\nstop=[{stop:?}]\nstart=[{start:?}]\nhealth=[{health:?}]\n"
        );
        write_file(&config, text).unwrap();
        let kill = SimulatedKill::default();
        let host = Host {
            settings: Settings::load(&config, home.path()).unwrap(),
            home,
            clock: Arc::new(SystemClock),
            disk: Box::new(FixedDisk(u64::MAX)),
            runner: runner_of_tests(),
            faults: Arc::new(kill.clone()),
            stop: Arc::default(),
        };
        Self { root, host, kill, key, trust }
    }

    /// The same computer, whose test-load hook runs as the agent's own user.
    pub(super) fn test_loading_as_root(mut self) -> Self {
        let config = self.host.home.config();
        fs::write(&config, format!("{}test_load_user = \"0:0\"\n", read(&config))).unwrap();
        self.host.settings = Settings::load(&config, self.host.home.path()).unwrap();
        self
    }

    /// A release whose program has this text; "loadable" must be in it to pass the test-load, "sick" fails health.
    pub(super) fn publish(&self, version: &str, counter: u64, program: &str) -> Published {
        self.publish_with(version, counter, program, &[])
    }

    /// As [`Self::publish`], with these files beside the others.
    pub(super) fn publish_with(
        &self,
        version: &str,
        counter: u64,
        program: &str,
        more: &[(&str, &[u8])],
    ) -> Published {
        let folder = self.root.path().join(format!("release-{version}-{counter}"));
        // Does not compress, so that a delta that leaves it out is smaller than a payload.
        let same = noise(32_000);
        let files = [&[("bin/run", program.as_bytes()), ("lib/same", &*same)], more].concat();
        write_folder(&folder, &files).unwrap();
        std::os::unix::fs::symlink("same", folder.join("lib/link")).unwrap();
        let draft = Draft::of_folder(&folder, release_id(&package(), version), counter);
        let signed = draft.sign(&self.key);
        let Draft { manifest, payload, .. } = draft;
        Published {
            manifest,
            signed,
            payload,
            delta: None,
            way: None,
            hops: BTreeMap::new(),
            listed: Vec::new(),
            folder,
            fetches: Vec::new(),
        }
    }

    pub(super) fn assignment(&self, release: &Published, attempt: u32) -> PackageAssignment {
        PackageAssignment { attempt, ..assignment(&release.manifest.release, release.signed.digest()) }
    }

    pub(super) fn vet(&self, release: &Published) -> Result<VettedRelease, Refusal> {
        let wanted = self.assignment(release, 0);
        let record = self.record();
        let expected = Expectation {
            wanted: &wanted,
            platform: &Platform::current(),
            counter_floor: record.counter_floor,
            installed: &BTreeMap::new(),
            channels: &ChannelsDocument::empty(package(), Timestamp::UNIX_EPOCH),
        };
        let bytes = release.signed.document.clone().into_bytes();
        VettedRelease::verify(bytes, release.signed.minisig.clone(), &self.trust, &expected)
    }

    pub(super) fn install(&self, release: &mut Published, attempt: u32) -> Result<ChangeEnd, EngineError> {
        let vetted = self.vet(release).unwrap();
        let wanted = self.assignment(release, attempt);
        let mut spool = Spool::open(&self.host.home).unwrap();
        Engine::new(&self.host, &mut spool).install(&vetted, Terms::unhindered(&wanted), release)
    }

    /// As [`Self::install`], from another source of the release.
    pub(super) fn install_from(&self, release: &Published, source: &mut dyn Source) -> ChangeEnd {
        let (vetted, wanted) = (self.vet(release).unwrap(), self.assignment(release, 0));
        self.with_engine(|engine| engine.install(&vetted, Terms::unhindered(&wanted), source)).unwrap()
    }

    /// A rollback that the site asks for, of this attempt; its bounds are judged elsewhere.
    pub(super) fn roll_back_for_site(&self, attempt: u32) -> Result<ChangeEnd, EngineError> {
        let previous = self.record().previous.unwrap();
        let to = Installed { rollout: 9, attempt, ..previous };
        let wanted = PackageAssignment::install(to.release.clone(), to.manifest, 9, attempt);
        self.with_engine(|engine| engine.roll_back_for_site(to, Terms::unhindered(&wanted)))
    }

    pub(super) fn with_engine<R>(&self, work: impl FnOnce(&mut Engine<'_>) -> R) -> R {
        let mut spool = Spool::open(&self.host.home).unwrap();
        work(&mut Engine::new(&self.host, &mut spool))
    }

    pub(super) fn recover(&self) -> Option<ChangeEnd> {
        self.with_engine(|engine| engine.recover()).unwrap().map(|(_, end)| end)
    }

    pub(super) fn record(&self) -> PackageRecord {
        packages::load(&self.host.home, &package()).unwrap()
    }

    pub(super) fn slots(&self) -> Slots {
        Slots::open(&self.host.settings.install_root, &package()).unwrap()
    }

    /// The program in `current`, and the one that runs.
    pub(super) fn current_and_running(&self) -> (Option<String>, Option<String>) {
        let current = fs::read_to_string(self.slots().current_path().join("bin/run")).ok();
        (current, fs::read_to_string(self.root.path().join("runs")).ok())
    }

    /// Asserts that exactly this release is installed, whole, and running.
    pub(super) fn assert_runs(&self, release: &Published, context: &str) {
        let program = fs::read_to_string(release.folder.join("bin/run")).unwrap();
        let (current, running) = self.current_and_running();
        assert_eq!(current.as_ref(), Some(&program), "current, {context}");
        assert_eq!(running.as_ref(), Some(&program), "running, {context}");
        let record = self.record().current.unwrap();
        assert_eq!(self.slots().current().unwrap(), Some(record.slot.clone()), "{context}");
        assert_eq!(record.manifest, release.signed.digest(), "{context}");
        self.slots().check(&record.slot, &release.manifest).unwrap();
    }

    /// Everything beneath the install root, for "nothing changed".
    pub(super) fn snapshot(&self) -> Vec<(PathBuf, Option<Sha256Digest>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.host.settings.install_root.clone()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries {
                let path = entry.unwrap().path();
                let kind = fs::symlink_metadata(&path).unwrap();
                if kind.is_dir() {
                    folders.push(path.clone());
                    found.push((path, None));
                } else if kind.is_symlink() {
                    let target = fs::read_link(&path).unwrap();
                    found.push((path, Some(Sha256Digest::of(target.to_str().unwrap().as_bytes()))));
                } else {
                    found.push((path.clone(), Some(Sha256Digest::of(&fs::read(&path).unwrap()))));
                }
            }
        }
        found.sort();
        found
    }

    /// What the steps said, for whoever reads why a test failed.
    pub(super) fn details(&self) -> String {
        let spool = Spool::open(&self.host.home).unwrap();
        let said = spool
            .batch(0)
            .iter()
            .map(|report| format!("{}: {}", report.step, report.detail))
            .collect::<Vec<_>>();
        said.join("; ")
    }

    pub(super) fn reports(&self) -> Vec<(InstallStep, Outcome, ReasonCode)> {
        let spool = Spool::open(&self.host.home).unwrap();
        spool.batch(0).iter().map(|report| (report.step, report.outcome, report.reason)).collect()
    }
}

/// A folder in memory, if programs can be executed there: the kills here are simulated, so whatever was written is still
/// there, and making it durable is most of what these tests would wait for.
fn folder() -> TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm").ok().filter(|folder| {
        let program = folder.path().join("program");
        write_executable(&program, "#!/bin/sh\n").is_ok()
            && Command::new(&program).status().is_ok_and(|status| status.success())
    });
    in_memory.unwrap_or_else(|| tempfile::tempdir().unwrap())
}

/// A release key of the package, as a trust document lists it.
pub(super) fn trusted(key: &PublicKey, status: KeyStatus) -> TrustedKey {
    TrustedKey {
        key_use: KeyUse::Release,
        package: Some(package()),
        key: key.to_base64(),
        status,
        digests: BTreeSet::new(),
    }
}

/// A delta between two published releases.
pub(super) fn delta(base: &Published, target: &Published) -> Vec<u8> {
    let [base, target] = [base, target].map(|release| (release.folder.as_path(), &release.manifest));
    delta::between(base, target)
}

/// Everything beneath a folder that is no folder.
pub(super) fn files_beneath(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let beneath = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => files_beneath(&entry.path()),
        false => BTreeSet::from([entry.path()]),
    });
    beneath.flatten().collect()
}

/// The whole text of a file, if it is there.
pub(super) fn read(path: &Path) -> String {
    File::open(path).and_then(io::read_to_string).unwrap_or_default()
}
