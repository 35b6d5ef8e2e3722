//! A site: a home with ledger, blobs, staging and upstream, wired as the server wires them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sealpost_admin_api::pulls::{PullSummary, PulledOutcome};
use sealpost_distributor::blobs::FolderBlobs;
use sealpost_distributor::config::{Limits, Settings, Storage, TestLoads};
use sealpost_distributor::home::Home;
use sealpost_distributor::ports::blobs::BlobStore;
use sealpost_distributor::ports::clock::Clock;
use sealpost_distributor::ports::staging::{
    DeltaEdges, FetchedRelease, LaidOut, MissingDelta, OpenDelta, Review, StageOutcome, Staging,
    StagingError, StoredDelta,
};
use sealpost_distributor::ports::upstream::Upstream;
use sealpost_distributor::staging::{self, ChildCommand, FolderStaging};
use sealpost_distributor::upstream::{self, Pace, VendorUpstream, vendor_transport};
use sealpost_keys::SigningKey;
use sealpost_ledger::sqlite::{self, SqliteStore};
use sealpost_ledger::{Ledger, LedgerError, LedgerSettings};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::release::{Blob, DeltaTarget, ReleaseManifest};
use sealpost_manifests::wire::problem::Problem;
use sealpost_site::changes::Actor;
use sealpost_site::commands::releases::ApproveRelease;
use sealpost_site::queries::{LastPull, MAX_PAGE, ReleaseByManifest, Releases};
use sealpost_site::rows::ReleaseRow;
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::rollouts::strategy::everyone_now;
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::names::acme_av;
use sealpost_test_support::vendor::Vendor;
use sealpost_test_support::web::Web;
use tempfile::TempDir;

/// The server's clock, moved by a test.
struct TestClock(ManualClock);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

pub(crate) fn start_of_time() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// A vendor without a release, whose time stands still, behind a web server.
pub(crate) async fn vendor() -> (Vendor, Web) {
    let vendor = Vendor::new(acme_av(), ManualClock::still_at(start_of_time()));
    let web = Web::of_folder(&vendor.repository()).await;
    (vendor, web)
}

/// A vendor without a release, and a site that has not pulled yet.
pub(crate) async fn vendor_and_site() -> (Vendor, Site) {
    let (vendor, web) = vendor().await;
    let site = Site::new(&vendor, &web).await;
    (vendor, site)
}

/// A vendor, and a site that has pulled and approved its release 1.0 of these files.
pub(crate) async fn approved(files: &[(&str, &[u8])]) -> (Vendor, Site, Sha256Digest) {
    let (vendor, site) = vendor_and_site().await;
    let manifest = vendor.release("1.0", files);
    site.pull().await.unwrap();
    site.approve(manifest).await;
    (vendor, site, manifest)
}

/// The visible state of a site, compared to show that nothing changed.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    generation: Option<u64>,
    pub(crate) timestamp: Option<Vec<u8>>,
    pub(crate) releases: Vec<(Sha256Digest, ReleaseState, Vec<String>)>,
}

/// Staging that fails when a test says so, as if the server were killed there.
struct FragileStaging {
    inner: Arc<FolderStaging>,
    broken: Arc<AtomicBool>,
    deltas_may_begin: Arc<tokio::sync::Mutex<()>>,
    removal: Arc<Removal>,
}

/// Holds up a cleaning in the middle, when a test wants it.
#[derive(Default)]
pub(crate) struct Removal {
    /// While it is held, no note of a delta is removed.
    pub(crate) may_go_on: tokio::sync::Mutex<()>,
    pub(crate) has_begun: AtomicBool,
}

impl Staging for FragileStaging {
    fn take_in(&self, fetched: FetchedRelease) -> BoxFuture<'_, Result<StageOutcome, StagingError>> {
        if self.broken.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StagingError::Ended) });
        }
        self.inner.take_in(fetched)
    }

    fn keep_free(&self, bytes: u64) {
        self.inner.keep_free(bytes);
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<u32, StagingError>> {
        Box::pin(async {
            let _begun = self.deltas_may_begin.lock().await;
            self.inner.reconcile().await
        })
    }

    fn pack(&self) -> BoxFuture<'_, Result<u32, StagingError>> {
        self.inner.pack()
    }

    fn missing_deltas(&self) -> BoxFuture<'_, Result<Vec<MissingDelta>, StagingError>> {
        self.inner.missing_deltas()
    }

    fn offer_delta(&self, delta: DeltaTarget, blob: Blob) {
        self.inner.offer_delta(delta, blob);
    }

    fn review(&self, manifest: Sha256Digest) -> BoxFuture<'_, Result<Option<Review>, StagingError>> {
        self.inner.review(manifest)
    }

    fn manifest(&self, digest: &Sha256Digest) -> Result<Option<ReleaseManifest>, StagingError> {
        self.inner.manifest(digest)
    }

    fn lay_out(&self, digest: &Sha256Digest, folder: &Path) -> Result<LaidOut, StagingError> {
        self.inner.lay_out(digest, folder)
    }

    fn copy_file(
        &self,
        digest: &Sha256Digest,
        path: &str,
        into: &mut dyn std::io::Write,
    ) -> Result<LaidOut, StagingError> {
        self.inner.copy_file(digest, path, into)
    }

    fn delta(&self, base: &Sha256Digest, target: &Sha256Digest) -> Result<Option<OpenDelta>, StagingError> {
        self.inner.delta(base, target)
    }

    fn edges(&self) -> Arc<DeltaEdges> {
        self.inner.edges()
    }

    fn deltas(&self) -> Result<Vec<StoredDelta>, StagingError> {
        self.inner.deltas()
    }

    fn forget_delta(&self, delta: &StoredDelta) -> Result<(), StagingError> {
        self.removal.has_begun.store(true, Ordering::SeqCst);
        let _may_go_on = self.removal.may_go_on.blocking_lock();
        self.inner.forget_delta(delta)
    }

    fn remove_unnoted(&self, blobs: Vec<Blob>) -> Result<Vec<Blob>, StagingError> {
        self.inner.remove_unnoted(blobs)
    }
}

pub(crate) struct Site {
    folder: TempDir,
    /// The vendor's web server.
    pub(crate) web: Web,
    limits: Limits,
    pace: Arc<Pace>,
    pub(crate) clock: ManualClock,
    root_bytes: Vec<u8>,
    /// While it is set, nothing can be staged.
    pub(crate) staging_broken: Arc<AtomicBool>,
    /// While it is held, no delta is made.
    pub(crate) deltas_may_begin: Arc<tokio::sync::Mutex<()>>,
    pub(crate) removal: Arc<Removal>,
    pub(crate) running: Option<Running>,
}

/// The parts of a running server.
pub(crate) struct Running {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) staging: Arc<FolderStaging>,
    pub(crate) upstream: Arc<VendorUpstream>,
}

impl Site {
    pub(crate) async fn new(vendor: &Vendor, web: &Web) -> Self {
        Self::with_limits(vendor, web, Limits { keep_free_bytes: 0, ..Limits::default() }).await
    }

    pub(crate) async fn with_limits(vendor: &Vendor, web: &Web, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let site_key = SigningKey::generate().unwrap().public();
        let server_id = ServerId::from_random([7; 16]);
        sqlite::create(&home.ledger(), server_id, site_key, start_of_time()).unwrap();
        let mut site = Self {
            folder,
            web: web.clone(),
            limits,
            // A minute's bytes within a second, so that a test does not wait.
            pace: Pace::averaged_over(Duration::from_secs(1), limits.min_bytes_per_second),
            clock: ManualClock::still_at(start_of_time()),
            root_bytes: vendor.root_bytes().to_vec(),
            staging_broken: Arc::default(),
            deltas_may_begin: Arc::default(),
            removal: Arc::default(),
            running: None,
        };
        site.start();
        site
    }

    pub(crate) fn home(&self) -> Home {
        Home::at(self.folder.path())
    }

    fn start(&mut self) {
        let home = self.home();
        let store = SqliteStore::open(&home.ledger()).unwrap();
        let ledger: Arc<Ledger> =
            Arc::new(Ledger::start(Box::new(store), LedgerSettings::default()).unwrap());
        let blobs: Arc<dyn BlobStore> = Arc::new(FolderBlobs::open(&home.blobs()).unwrap());
        let clock: Arc<dyn Clock> = Arc::new(TestClock(self.clock.clone()));
        let parts = staging::Parts {
            ledger: Arc::clone(&ledger),
            blobs: Arc::clone(&blobs),
            clock: Arc::clone(&clock),
            child: child(),
            limits: self.limits,
        };
        let staging = FolderStaging::open(&home.staging(), parts).unwrap();
        let parts = upstream::Parts {
            ledger: Arc::clone(&ledger),
            blobs: Arc::clone(&blobs),
            staging: Arc::new(FragileStaging {
                inner: staging.clone(),
                broken: self.staging_broken.clone(),
                deltas_may_begin: self.deltas_may_begin.clone(),
                removal: self.removal.clone(),
            }),
            clock,
            transport: vendor_transport(&self.web.url(), None, &self.pace).unwrap(),
            pace: Arc::clone(&self.pace),
        };
        let settings = self.settings();
        let upstream = VendorUpstream::open(&home, &settings, self.root_bytes.clone(), parts).unwrap();
        self.running = Some(Running { ledger, blobs, staging, upstream });
    }

    fn settings(&self) -> Settings {
        Settings {
            vendor_url: self.web.url(),
            listen: "127.0.0.1:0".parse().unwrap(),
            addresses: Vec::new(),
            pull_every: Duration::from_secs(3600),
            lease_days: 30,
            limits: self.limits,
            vendor_ca: None,
            tls: None,
            storage: Storage::default(),
            syslog: None,
            folder: None,
            test_loads: TestLoads::default(),
        }
    }

    /// Stops everything and starts it again in the same home.
    pub(crate) async fn restart(&mut self) {
        if let Some(running) = self.running.take() {
            running.ledger.close().await.unwrap();
        }
        self.start();
    }

    /// Removes what was not needed for long, as once a day.
    pub(crate) async fn collect(&self) {
        self.parts().upstream.collect().await.unwrap();
    }

    /// Goes on with other limits.
    pub(crate) async fn limit(&mut self, limits: Limits) {
        self.limits = limits;
        self.restart().await;
    }

    /// Goes on with other limits, as when the configuration is read again.
    pub(crate) fn reload(&mut self, limits: Limits) {
        self.limits = limits;
        self.parts().upstream.adopt(&self.settings());
    }

    pub(crate) fn parts(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(crate) async fn pull(&self) -> Result<PullSummary, Problem> {
        self.parts().upstream.pull_now().await
    }

    /// Pulls well, and answers what happened to releases.
    pub(crate) async fn pull_well(&self) -> Vec<(String, PulledOutcome)> {
        let summary = self.pull().await.unwrap();
        summary
            .releases
            .into_iter()
            .map(|pulled| (pulled.release.version.to_string(), pulled.outcome))
            .collect()
    }

    pub(crate) async fn row(&self, manifest: Sha256Digest) -> Option<ReleaseRow> {
        self.parts().ledger.query(ReleaseByManifest { manifest }).await.unwrap()
    }

    /// Every release that the ledger knows.
    pub(crate) async fn rows(&self) -> Vec<ReleaseRow> {
        let query = Releases { state: None, after: None, limit: MAX_PAGE };
        self.parts().ledger.query(query).await.unwrap()
    }

    pub(crate) async fn head(&self) -> LogHead {
        self.parts().ledger.head()
    }

    pub(crate) async fn state(&self, manifest: Sha256Digest) -> Option<ReleaseState> {
        self.row(manifest).await.map(|row| row.state)
    }

    pub(crate) async fn approve(&self, manifest: Sha256Digest) {
        self.try_approve(manifest).await.unwrap();
    }

    pub(crate) async fn try_approve(&self, manifest: Sha256Digest) -> Result<(), LedgerError> {
        let trust = self.parts().upstream.trust();
        let (actor, comment) = (Actor::socket("ada"), String::new());
        let (strategy, emergency) = (Some(everyone_now()), false);
        let test_load = sealpost_site::rules::test_load::Wanted::Nothing;
        let command = ApproveRelease {
            actor,
            manifest,
            channels: None,
            trust,
            comment,
            strategy,
            emergency,
            despite_deferral: false,
            test_load,
            confirms: None,
        };
        self.parts().ledger.execute(self.clock.now(), command).await.map(|_| ())
    }

    pub(crate) async fn seen(&self) -> Seen {
        let mut releases = self.rows().await;
        releases.sort_by_key(|row| row.manifest);
        let releases = releases
            .into_iter()
            .map(|row| (row.manifest, row.state, row.channels.iter().map(ToString::to_string).collect()));
        Seen {
            generation: self.parts().upstream.mirror().generation(),
            timestamp: self.parts().upstream.metadata("timestamp.json").unwrap(),
            releases: releases.collect(),
        }
    }

    /// The failure that the ledger has of the last pull.
    pub(crate) async fn noted_failure(&self) -> Option<String> {
        self.parts().ledger.query(LastPull {}).await.unwrap().failure
    }

    /// A mirrored metadata file.
    pub(crate) fn mirrored(&self, name: &str) -> Option<Vec<u8>> {
        self.parts().upstream.metadata(name).unwrap()
    }
}

/// The real program as the process that makes deltas.
fn child() -> ChildCommand {
    ChildCommand { program: env!("CARGO_BIN_EXE_distributor").into(), arguments: vec!["make-delta".into()] }
}
