//! A site: a home, a running server in it, its admin API, and a clock that a test can move.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, Method, Response, StatusCode};
use sealpost_admin_api::licenses::Registered;
use sealpost_admin_api::updates::UpdatesPage;
use sealpost_distributor::app::{Pulls, Server, StartOptions, init};
use sealpost_distributor::home::{Home, InitOptions};
use sealpost_distributor::http::limits::RequestLimits;
use sealpost_distributor::ports::clock::Clock;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::setup::SetupFile;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_serving::ConnectionLimits;
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::license::serial;
use sealpost_test_support::ports::free_port;
use sealpost_test_support::vendor_server::ServedVendor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

/// The server's clock, moved by a test.
pub(crate) struct TestClock(pub(crate) ManualClock);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) server: Server,
    pub(crate) clock: ManualClock,
    /// Over TLS, trusting the site CA only.
    pub(crate) http: Client,
    admin: Client,
}

impl Site {
    pub(crate) async fn start(vendor: &ServedVendor) -> Self {
        Self::start_with(vendor, None).await
    }

    pub(crate) async fn start_with(vendor: &ServedVendor, connections: Option<ConnectionLimits>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        let root = vendor.root_file();
        let options = InitOptions {
            vendor_url: &vendor.url(),
            vendor_ca: None,
            root: &root,
            listen: "127.0.0.1:0".parse().unwrap(),
            addresses: vec!["127.0.0.1".to_owned()],
            passphrase: None,
            now: Timestamp::now(),
        };
        init(&home, options).unwrap();
        Self::open(folder, ManualClock::running(), connections).await
    }

    /// A site whose port stays the same across restarts, as in the field; computers are told of it.
    pub(crate) async fn on_a_fixed_port(vendor: &ServedVendor) -> Self {
        let site = Self::start(vendor).await;
        let port = free_port();
        site.between(async |home| configure(home, &format!("listen = \"127.0.0.1:{port}\"\n"))).await
    }

    /// Reads the configuration again, as a SIGHUP does, with this beside it.
    pub(crate) async fn reload_with(&self, fragment: &str) {
        configure(&self.home(), fragment);
        self.server.reload().await;
    }

    /// Stops the server, and starts another that takes over a listener which was held all the time.
    pub(crate) async fn replaced(self, held: Arc<std::net::TcpListener>) -> Self {
        self.replaced_after(held, async || {}).await
    }

    /// The same, and something happens while no server runs.
    pub(crate) async fn replaced_after(
        self,
        held: Arc<std::net::TcpListener>,
        work: impl AsyncFnOnce(),
    ) -> Self {
        let Self { folder, server, clock, .. } = self;
        server.stop().await.unwrap();
        work().await;
        Self::open_on(folder, clock, None, Some(held), RequestLimits::default()).await
    }

    async fn open(folder: TempDir, clock: ManualClock, connections: Option<ConnectionLimits>) -> Self {
        Self::open_on(folder, clock, connections, None, RequestLimits::default()).await
    }

    async fn open_on(
        folder: TempDir,
        clock: ManualClock,
        connections: Option<ConnectionLimits>,
        inherited: Option<Arc<std::net::TcpListener>>,
        requests: RequestLimits,
    ) -> Self {
        let home = folder.path().join("home");
        let options = StartOptions {
            connections,
            requests,
            clock: Some(Arc::new(TestClock(clock.clone()))),
            pulls: Pulls::OnDemand,
            inherited,
            ..StartOptions::default()
        };
        let server = Server::start(&home, options).await.unwrap();
        let home = Home::at(&home);
        let ca = std::fs::read(home.ca_certificate()).unwrap();
        let http = Client::builder()
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(&ca).unwrap())
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        let admin = Client::builder().unix_socket(home.admin_socket()).tls_certs_only([]).build().unwrap();
        Self { folder, server, clock, http, admin }
    }

    /// Stops the server and starts another in the same home.
    pub(crate) async fn restart(self) -> Self {
        let Self { folder, server, clock, .. } = self;
        server.stop().await.unwrap();
        Self::open(folder, clock, None).await
    }

    /// Stops the server and starts another in the same home, with other limits.
    pub(crate) async fn restart_with(self, requests: RequestLimits) -> Self {
        let Self { folder, server, clock, .. } = self;
        server.stop().await.unwrap();
        Self::open_on(folder, clock, None, None, requests).await
    }

    /// Stops the server, does something to its home, and starts another in it.
    pub(crate) async fn between(self, work: impl AsyncFnOnce(&std::path::Path)) -> Self {
        let Self { folder, server, clock, .. } = self;
        server.stop().await.unwrap();
        work(&folder.path().join("home")).await;
        Self::open(folder, clock, None).await
    }

    /// A site with seats unlocked.
    pub(crate) async fn licensed(vendor: &ServedVendor) -> Self {
        let site = Self::start(vendor).await;
        let view: Registered = site.post("/register", &serde_json::json!({ "serial": serial() })).await;
        assert!(matches!(view, Registered::Granted { .. }), "{view:?}");
        site
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.server.address())
    }

    pub(crate) async fn admin(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Response {
        let request = self.admin.request(method, format!("http://localhost/api/v1{path}"));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        request.send().await.unwrap()
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        good(self.admin(Method::GET, path, None).await).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> T {
        good(self.admin(Method::POST, path, Some(serde_json::to_value(body).unwrap())).await).await
    }

    pub(crate) async fn post_refused(&self, path: &str, body: &impl Serialize) -> Problem {
        problem(self.admin(Method::POST, path, Some(serde_json::to_value(body).unwrap())).await).await
    }

    pub(crate) async fn reserve(&self, name: &str) {
        let _: serde_json::Value = self.post("/clients", &serde_json::json!({ "name": name })).await;
    }

    pub(crate) async fn setup(&self, name: &str) -> SetupFile {
        let response =
            self.admin(Method::POST, &format!("/clients/{name}/setup"), Some(serde_json::json!({}))).await;
        assert_eq!(response.status(), StatusCode::OK);
        document::read(&response.bytes().await.unwrap()).unwrap()
    }

    pub(crate) async fn pull(&self) {
        let _: serde_json::Value = self.post("/pull", &serde_json::json!({})).await;
    }

    pub(crate) async fn approve(&self, manifest: Sha256Digest) {
        let _: serde_json::Value = self.post("/updates/approve", &everyone_now(manifest)).await;
    }

    pub(crate) async fn updates(&self) -> UpdatesPage {
        self.get("/updates").await
    }
}

/// An approval that every computer hears of at its next contact.
fn everyone_now(manifest: Sha256Digest) -> serde_json::Value {
    serde_json::json!({ "manifest": manifest, "strategy": "everyone-now" })
}

/// Writes the fragment that is read last.
pub(crate) fn configure(home: &std::path::Path, fragment: &str) {
    std::fs::write(home.join("distributor.d/zz-test.toml"), fragment).unwrap();
}

pub(crate) async fn good<T: DeserializeOwned>(response: Response) -> T {
    let status = response.status();
    let bytes = response.bytes().await.unwrap();
    assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&bytes));
    serde_json::from_slice(&bytes).unwrap()
}

/// The problem of a refusal.
pub(crate) async fn problem(response: Response) -> Problem {
    let status = response.status();
    let bytes = response.bytes().await.unwrap();
    assert!(!status.is_success(), "{status}: {}", String::from_utf8_lossy(&bytes));
    let problem: Problem = serde_json::from_slice(&bytes).unwrap();
    assert!(!problem.message.is_empty() && !problem.hint.is_empty(), "{problem:?}");
    problem
}

pub(crate) async fn code(response: Response) -> ProblemCode {
    problem(response).await.code
}
