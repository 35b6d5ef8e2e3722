//! The admission layer by itself, with routes that only a test has.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::routing::get;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use jiff::Timestamp;
use sealpost_admin_api::addresses::AddressesView;
use sealpost_admin_api::certificates::CertificateView;
use sealpost_admin_api::pulls::PullSummary;
use sealpost_admin_api::storage::{StorageSummary, StorageView};
use sealpost_keys::note::LogKey;
use sealpost_keys::{SealingKey, SigningKey};
use sealpost_ledger::sqlite::{self, SqliteStore};
use sealpost_ledger::{Ledger, LedgerSettings};
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::log::{LogKeyCertificate, origin};
use sealpost_manifests::release::{Blob, DeltaTarget, ReleaseManifest};
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::sync::{RegisterAnswer, RegisterRequest};
use sealpost_service::supervision::Supervision;
use sealpost_serving::Peer;
use sealpost_site::changes::Actor;
use sealpost_site::rules::expiries::Expiry;
use sealpost_site::rules::warnings::Warning;
use tempfile::TempDir;
use tower::ServiceExt;

use super::admin_tokens::AdminTokens;
use super::limits::RequestLimits;
use super::router::{admin_router, admitted, agent_routes, router};
use super::secret::{EnrollmentCodes, Receipts, ServerSecret};
use super::token::AccessTokens;
use super::token_desk::TokenDesk;
use super::{Site, SiteParts};
use crate::blobs::FolderBlobs;
use crate::ports::authority::{AuthorityError, LicenseAuthority};
use crate::ports::clock::Clock;
use crate::ports::disks::Disks;
use crate::ports::folder::FolderDesk;
use crate::ports::installers::{Installer, InstallerError, InstallerOrder, Installers};
use crate::ports::presence::{Addresses, Presence, Renewal, Switch};
use crate::ports::staging::{
    DeltaEdges, FetchedRelease, LaidOut, MissingDelta, OpenDelta, Review, StageOutcome, Staging,
    StagingError, StoredDelta,
};
use crate::ports::test_load::TestDesk;
use crate::ports::upstream::{Listing, MirrorReadError, Missing, RoleExpiry, TargetEntry, Upstream};
use crate::push::Push;

/// Nothing was pulled, nobody answers, and it is always the same time.
struct Nothing;

impl Upstream for Nothing {
    fn pull_now(&self) -> BoxFuture<'_, Result<PullSummary, Problem>> {
        Box::pin(async { Err(Problem::new(ProblemCode::PullFailed, "no vendor", "none")) })
    }

    fn learn_keys(&self) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(async { Err(Problem::new(ProblemCode::PullFailed, "no vendor", "none")) })
    }

    fn metadata(&self, _: &str) -> Result<Option<Vec<u8>>, MirrorReadError> {
        Ok(None)
    }

    fn listing(&self) -> Listing {
        Listing::default()
    }

    fn generation(&self) -> Option<u64> {
        None
    }

    fn metadata_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn is_recent(&self, _: &str) -> bool {
        false
    }

    fn target_named(&self, _: &str) -> Option<TargetEntry> {
        None
    }

    fn expiries(&self) -> Result<Vec<RoleExpiry>, MirrorReadError> {
        Ok(Vec::new())
    }

    fn find_target(&self, _: &str) -> Option<TargetEntry> {
        None
    }

    fn offered(&self) -> Option<Vec<ChannelsDocument>> {
        None
    }

    fn trust(&self) -> Option<Arc<TrustDocument>> {
        None
    }

    fn storage(&self) -> BoxFuture<'_, Result<StorageView, Problem>> {
        Box::pin(async { Ok(StorageView::default()) })
    }

    fn clean(&self) -> BoxFuture<'_, Result<StorageView, Problem>> {
        self.storage()
    }

    fn check(&self) -> BoxFuture<'_, Result<StorageView, Problem>> {
        self.storage()
    }

    fn stored(&self) -> Option<StorageSummary> {
        None
    }

    fn missing(&self) -> Missing {
        Missing::default()
    }

    fn look(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn suspect(&self, _: Sha256Digest) {}
}

/// A presence that counts how often it is told to look.
#[derive(Default)]
struct Still {
    looks: AtomicU32,
}

impl Presence for Still {
    fn addresses(&self) -> Addresses {
        Addresses {
            addresses: vec!["127.0.0.1".to_owned()],
            port: 1,
            ca_spki_sha256: vec![Sha256Digest::of(b"ca")],
            root_sha256: Sha256Digest::of(b"root"),
        }
    }

    fn checked_addresses(&self) -> Result<Addresses, Problem> {
        Ok(self.addresses())
    }

    fn expiries(&self) -> Vec<Expiry> {
        Vec::new()
    }

    fn look_soon(&self) {
        self.looks.fetch_add(1, Ordering::SeqCst);
    }

    fn list_is_known(&self) {}

    fn warnings(&self, _: Timestamp) -> BoxFuture<'_, Vec<Warning>> {
        Box::pin(async { Vec::new() })
    }

    fn certificate(&self) -> BoxFuture<'_, Result<CertificateView, Problem>> {
        Box::pin(async { Err(nothing()) })
    }

    fn renew(&self, _: Actor, _: Renewal) -> BoxFuture<'_, Result<CertificateView, Problem>> {
        self.certificate()
    }

    fn switch(&self, _: Actor, _: Switch) -> BoxFuture<'_, Result<CertificateView, Problem>> {
        self.certificate()
    }

    fn ways(&self) -> BoxFuture<'_, Result<AddressesView, Problem>> {
        Box::pin(async { Err(nothing()) })
    }

    fn finish(&self, _: Actor, _: Switch) -> BoxFuture<'_, Result<AddressesView, Problem>> {
        self.ways()
    }
}

fn nothing() -> Problem {
    Problem::new(ProblemCode::Internal, "nothing", "none")
}

impl Staging for Nothing {
    fn take_in(&self, _: FetchedRelease) -> BoxFuture<'_, Result<StageOutcome, StagingError>> {
        Box::pin(async { Err(StagingError::Ended) })
    }

    fn keep_free(&self, _: u64) {}

    fn reconcile(&self) -> BoxFuture<'_, Result<u32, StagingError>> {
        Box::pin(async { Ok(0) })
    }

    fn pack(&self) -> BoxFuture<'_, Result<u32, StagingError>> {
        Box::pin(async { Ok(0) })
    }

    fn missing_deltas(&self) -> BoxFuture<'_, Result<Vec<MissingDelta>, StagingError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn offer_delta(&self, _: DeltaTarget, _: Blob) {}

    fn review(&self, _: Sha256Digest) -> BoxFuture<'_, Result<Option<Review>, StagingError>> {
        Box::pin(async { Ok(None) })
    }

    fn manifest(&self, _: &Sha256Digest) -> Result<Option<ReleaseManifest>, StagingError> {
        Ok(None)
    }

    fn lay_out(&self, _: &Sha256Digest, _: &Path) -> Result<LaidOut, StagingError> {
        Ok(LaidOut::Absent)
    }

    fn copy_file(&self, _: &Sha256Digest, _: &str, _: &mut dyn Write) -> Result<LaidOut, StagingError> {
        Ok(LaidOut::Absent)
    }

    fn delta(&self, _: &Sha256Digest, _: &Sha256Digest) -> Result<Option<OpenDelta>, StagingError> {
        Ok(None)
    }

    fn edges(&self) -> Arc<DeltaEdges> {
        Arc::default()
    }

    fn deltas(&self) -> Result<Vec<StoredDelta>, StagingError> {
        Ok(Vec::new())
    }

    fn forget_delta(&self, _: &StoredDelta) -> Result<(), StagingError> {
        Ok(())
    }

    fn remove_unnoted(&self, _: Vec<Blob>) -> Result<Vec<Blob>, StagingError> {
        Ok(Vec::new())
    }
}

impl LicenseAuthority for Nothing {
    fn register(&self, _: RegisterRequest) -> BoxFuture<'_, Result<RegisterAnswer, AuthorityError>> {
        Box::pin(async { Err(AuthorityError::Unreachable { reason: "no vendor".to_owned() }) })
    }

    fn page(&self) -> Option<String> {
        None
    }
}

impl Installers for Nothing {
    fn make(&self, _: InstallerOrder) -> BoxFuture<'_, Result<Installer, InstallerError>> {
        Box::pin(async { Err(InstallerError::Absent("nothing")) })
    }
}

impl Disks for Nothing {
    fn problem(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(async { None })
    }
}

/// The disk of the ledger is full.
struct Full;

impl Disks for Full {
    fn problem(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(async { Some("the disk of the ledger is full".to_owned()) })
    }
}

impl Clock for Nothing {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }
}

fn site(limits: RequestLimits) -> (Arc<Site>, TempDir) {
    site_with(limits, Arc::new(Still::default()))
}

fn site_with(limits: RequestLimits, presence: Arc<dyn Presence>) -> (Arc<Site>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    let ledger = folder.path().join("ledger.db");
    sqlite::create(&ledger, ServerId::from_random([1; 16]), key.public(), Nothing.now()).unwrap();
    let store = SqliteStore::open(&ledger).unwrap();
    let secret = ServerSecret::new([7; 32]);
    let server_id = ServerId::from_random([1; 16]);
    let log_key = LogKey::generate(&origin(&server_id)).unwrap();
    let certificate =
        LogKeyCertificate { server_id, log_key: log_key.public().clone(), issued_at: Nothing.now() };
    let log_certificate = SignedDocument::sign(&certificate, &key).unwrap();
    let ledger = Arc::new(Ledger::start(Box::new(store), LedgerSettings::default()).unwrap());
    let tokens = AdminTokens::at(&folder.path().join("admin-tokens.json"));
    let site = Site::new(SiteParts {
        ledger: Arc::clone(&ledger),
        upstream: Arc::new(Nothing),
        blobs: Arc::new(FolderBlobs::open(&folder.path().join("blobs")).unwrap()),
        staging: Arc::new(Nothing),
        authority: Arc::new(Nothing),
        clock: Arc::new(Nothing),
        push: Arc::new(Push::new(Nothing.now())),
        site_key: Arc::new(key),
        log_key: Arc::new(log_key),
        log_certificate,
        sealing_key: SealingKey::generate().unwrap().public(),
        access_tokens: AccessTokens::new(&secret),
        receipts: Receipts::new(&secret),
        enrollment_codes: EnrollmentCodes::new(&secret),
        admin_tokens: Arc::new(TokenDesk::empty(tokens, ledger)),
        presence,
        supervision: Supervision::new(),
        disks: Arc::new(Nothing),
        syslog: Arc::default(),
        folders: FolderDesk::open().0,
        installers: Arc::new(Nothing),
        tests: TestDesk::open(std::collections::BTreeMap::new()),
        limits,
    });
    (site, folder)
}

async fn ask(router: &Router, method: Method, path: &str) -> (StatusCode, String) {
    ask_as(Peer::Network("192.0.2.1".parse().unwrap()), router, method, path).await
}

async fn ask_as(peer: Peer, router: &Router, method: Method, path: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).extension(peer).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_server_whose_writer_is_dead_does_not_say_that_it_is_alive_or_ready() {
    let (site, _folder) = site(RequestLimits::default());
    let router = router(&site);
    assert_eq!(ask(&router, Method::GET, "/healthz").await, (StatusCode::OK, "alive\n".to_owned()));
    site.parts.supervision.fail("the ledger's writer", "has ended");
    let why = "the ledger's writer has ended, and the program is about to end\n";
    for (path, state) in [("/healthz", "not well"), ("/readyz", "not ready")] {
        let (status, body) = ask(&router, Method::GET, path).await;
        assert_eq!((status, body), (StatusCode::SERVICE_UNAVAILABLE, format!("{state}: {why}")));
    }
}

#[tokio::test]
async fn a_server_with_a_full_disk_is_alive_and_not_ready_and_says_which_disk() {
    let (mut site, _folder) = site(RequestLimits::default());
    Arc::get_mut(&mut site).unwrap().parts.disks = Arc::new(Full);
    let router = router(&site);
    let (status, body) = ask(&router, Method::GET, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body, "not ready: the disk of the ledger is full\n");
    assert_eq!(ask(&router, Method::GET, "/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_route_that_nobody_gave_a_class_is_refused_before_its_handler() {
    let (site, _folder) = site(RequestLimits::default());
    let routes = agent_routes().route("/agent/v1/forgotten", get(|| async { "the handler was reached" }));
    let router = admitted(&site, routes).with_state(Arc::clone(&site));
    let (status, body) = ask(&router, Method::GET, "/agent/v1/forgotten").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body.contains("\"forbidden\""), "{body}");
    assert!(!body.contains("handler"), "{body}");
}

#[tokio::test]
async fn every_route_of_the_agent_api_has_a_class() {
    let (site, _folder) = site(RequestLimits::default());
    let router = admitted(&site, agent_routes()).with_state(Arc::clone(&site));
    let digest = Sha256Digest::of(b"x");
    for (method, path) in [
        (Method::POST, "/agent/v1/enroll".to_owned()),
        (Method::POST, "/agent/v1/contact".to_owned()),
        (Method::GET, "/agent/v1/tuf/metadata/timestamp.json".to_owned()),
        (Method::GET, format!("/agent/v1/tuf/targets/{digest}.x")),
        (Method::GET, format!("/agent/v1/deltas/{digest}/{digest}")),
        (Method::GET, "/agent/v1/wake".to_owned()),
    ] {
        let (status, body) = ask(&router, method, &path).await;
        let expected = if path.ends_with("enroll") || path.ends_with("contact") {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::UNAUTHORIZED
        };
        assert_eq!(status, expected, "{path}: {body}");
    }
}

#[tokio::test]
async fn whatever_an_admin_did_makes_the_presence_look_at_once_and_what_was_only_asked_or_refused_does_not() {
    let presence = Arc::new(Still::default());
    let (site, _folder) = site_with(RequestLimits::default(), Arc::clone(&presence) as Arc<dyn Presence>);
    let router = admin_router(&site);
    let admin = || Peer::Local { account: "root".to_owned() };
    for (method, path, status, looks) in [
        (Method::GET, "/api/v1/storage", StatusCode::OK, 0),
        (Method::POST, "/api/v1/addresses/finish", StatusCode::BAD_REQUEST, 0),
        (Method::POST, "/api/v1/storage/clean", StatusCode::OK, 1),
    ] {
        let (found, body) = ask_as(admin(), &router, method, path).await;
        assert_eq!(found, status, "{path}: {body}");
        assert_eq!(presence.looks.load(Ordering::SeqCst), looks, "{path}");
    }
}

#[tokio::test]
async fn a_request_from_nowhere_or_beyond_the_limit_is_refused() {
    let (site, _folder) = site(RequestLimits {
        in_flight_per_source: 0,
        place_within: Duration::from_millis(1),
        ..RequestLimits::default()
    });
    let router = admitted(&site, agent_routes()).with_state(Arc::clone(&site));
    let (status, body) = ask(&router, Method::GET, "/agent/v1/wake").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    let request = Request::builder().uri("/agent/v1/wake").body(Body::empty()).unwrap();
    assert_eq!(router.oneshot(request).await.unwrap().status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_refusal_is_counted_in_the_metrics_and_in_the_ledger() {
    let (site, _folder) = site(RequestLimits::default());
    let router = admitted(&site, agent_routes()).with_state(Arc::clone(&site));
    ask(&router, Method::GET, "/agent/v1/wake").await;
    ask(&router, Method::GET, "/agent/v1/wake").await;
    let text = site.metrics.text(&super::metrics::Gauges::default());
    assert!(text.contains("sealpost_refusals_total{code=\"unauthenticated\"} 2\n"), "{text}");
    let mut commits = site.parts.ledger.subscribe();
    let before = *commits.borrow_and_update();
    site.parts.ledger.close().await.unwrap();
    assert!(*commits.borrow() > before, "the counted refusals were not written");
}
