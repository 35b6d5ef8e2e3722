//! The vendor's repository, mirrored: pulled on schedule or when asked, verified, published in generations.
//!
//! Invariants: one pull at a time; metadata that did not verify as a whole never reaches the mirror; freshness is
//! judged here and now, while agents judge it as of the last good pull.
//! Left out on purpose: import from a file, proxies beyond what the environment says, and pulling from another
//! Primary Server.

mod fetch;
mod mirror;
mod pull;
mod schedule;
mod targets;
mod verify;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sealpost_manifests::document;
use sealpost_manifests::trust::{TRUST_TARGET, TrustDocument};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_repository::{HttpTransport, ReaderHandle, Transport, TransportError};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::config::{Limits, Settings};
use crate::home::Home;
use crate::ports::blobs::BlobStore;
use crate::ports::clock::Clock;
use crate::ports::ledger::Ledger;
use crate::ports::staging::Staging;
use crate::ports::upstream::{MirrorReadError, PullSummary, RoleExpiry, TargetEntry, Upstream};

pub use mirror::{Mirror, PublishError};
pub use pull::PullError;

/// How long connecting to the vendor may take.
const CONNECT_TIME: Duration = Duration::from_secs(30);

/// What an upstream is made of.
pub struct Parts {
    /// Where pulls and releases are noted.
    pub ledger: Arc<dyn Ledger>,
    /// Where bytes go.
    pub blobs: Arc<dyn BlobStore>,
    /// Takes in what was fetched.
    pub staging: Arc<dyn Staging>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How the vendor is reached; see [`vendor_transport`].
    pub transport: Arc<dyn Transport>,
}

/// Why the upstream could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The mirror could not be opened.
    #[error("cannot open the mirror")]
    Mirror {
        /// Why.
        #[from]
        source: PublishError,
    },
    /// A folder could not be made.
    #[error("cannot make the folder {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The vendor's address cannot be used.
    #[error("cannot use the vendor's address {url}")]
    Address {
        /// The address.
        url: String,
        /// Why.
        #[source]
        source: TransportError,
    },
    /// No HTTP client.
    #[error("cannot make an HTTP client; check the system's certificates")]
    Client {
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}

/// Who wants a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A person: releases that were refused before are looked at again.
    ByPerson,
    /// The schedule.
    BySchedule,
}

/// What pulls work with.
struct Context {
    ledger: Arc<dyn Ledger>,
    blobs: Arc<dyn BlobStore>,
    staging: Arc<dyn Staging>,
    clock: Arc<dyn Clock>,
    mirror: Arc<Mirror>,
    downloads: PathBuf,
    limits: Limits,
    trust: RwLock<Option<Arc<TrustDocument>>>,
}

impl Context {
    fn set_trust(&self, trust: TrustDocument) {
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(trust));
    }
}

/// What outlives one pull.
#[derive(Default)]
struct State {
    reader: Option<ReaderHandle>,
    /// When the last pull began, and what came of it.
    last: Option<(Instant, Result<PullSummary, Problem>)>,
    /// When the last pull ended. The ledger has it too, unless it could not write.
    tried_at: Option<Timestamp>,
    failures: u32,
}

/// The vendor's repository as this server has it.
pub struct VendorUpstream {
    context: Arc<Context>,
    state: Arc<Mutex<State>>,
    transport: Arc<dyn Transport>,
    pinned_root: Vec<u8>,
    store: PathBuf,
    every: Duration,
}

impl std::fmt::Debug for VendorUpstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VendorUpstream").field("mirror", &self.context.mirror).finish_non_exhaustive()
    }
}

/// The way to the vendor's files: `<vendor_url>/metadata/` and `<vendor_url>/targets/`. TLS as the system trusts it;
/// plain http is safe too, because everything that comes this way is verified. Redirects are not followed.
///
/// # Errors
/// [`UpstreamError`] if the address cannot be used.
pub fn vendor_transport(vendor_url: &str) -> Result<Arc<dyn Transport>, UpstreamError> {
    // An error says that a provider is installed already: then it is this one, since there is no other here.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder()
        .user_agent(concat!("sealpost-distributor/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIME)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|source| UpstreamError::Client { source })?;
    let base = vendor_url.trim_end_matches('/');
    let transport = HttpTransport::new(client, &format!("{base}/metadata"), &format!("{base}/targets"))
        .map_err(|source| UpstreamError::Address { url: base.to_owned(), source })?;
    Ok(Arc::new(transport))
}

impl VendorUpstream {
    /// Opens the mirror in a home. Nothing is pulled yet.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub fn open(
        home: &Home,
        settings: &Settings,
        pinned_root: Vec<u8>,
        parts: Parts,
    ) -> Result<Arc<Self>, UpstreamError> {
        let mirror = Arc::new(Mirror::open(&home.mirror())?);
        let downloads = home.downloads();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&downloads)
            .map_err(|source| UpstreamError::Folder { path: downloads.clone(), source })?;
        let trust = kept_trust(&mirror, &*parts.blobs).map(Arc::new);
        let context = Arc::new(Context {
            ledger: parts.ledger,
            blobs: parts.blobs,
            staging: parts.staging,
            clock: parts.clock,
            mirror,
            downloads,
            limits: settings.limits,
            trust: RwLock::new(trust),
        });
        Ok(Arc::new(Self {
            context,
            state: Arc::new(Mutex::new(State::default())),
            transport: parts.transport,
            pinned_root,
            store: home.tuf_store(),
            every: settings.pull_every,
        }))
    }

    /// Pulls on schedule, beginning now if the last pull is long ago. Abort the task to stop it; a pull that runs
    /// then goes on to its end or to that of the process, and both are safe.
    pub fn spawn_schedule(self: &Arc<Self>) -> JoinHandle<()> {
        schedule::spawn(Arc::clone(self))
    }

    /// The mirrored metadata.
    #[must_use]
    pub fn mirror(&self) -> &Mirror {
        &self.context.mirror
    }

    fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    const fn every(&self) -> Duration {
        self.every
    }

    /// Does what a killed process left undone, without the vendor: missing deltas, files that nobody needs.
    async fn catch_up(&self) {
        if let Err(error) = self.context.staging.reconcile().await {
            tracing::error!(error = %chain(&error), "cannot catch up with staging");
        }
    }

    async fn past(&self) -> schedule::Past {
        let state = self.state.lock().await;
        let (failures, tried_here) = (state.failures, state.tried_at);
        drop(state);
        match self.context.ledger.last_pull().await {
            Ok(noted) => schedule::Past::known(&noted, tried_here, failures),
            Err(error) => {
                tracing::error!(error = %chain(&error), "cannot read from the ledger when the last pull was");
                schedule::Past { tried_at: Some(self.now()), failures }
            }
        }
    }

    /// Pulls in a task of its own, so that nobody's leaving stops it.
    async fn pull(&self, asked: Asked) -> Result<PullSummary, Problem> {
        let asked_at = Instant::now();
        let (context, state) = (Arc::clone(&self.context), Arc::clone(&self.state));
        let (transport, store, root) =
            (Arc::clone(&self.transport), self.store.clone(), self.pinned_root.clone());
        let task = tokio::spawn(async move {
            let mut state = state.lock().await;
            let done_meanwhile = state.last.as_ref().filter(|(began, _)| *began >= asked_at);
            let result = if let Some((_, result)) = done_meanwhile {
                result.clone()
            } else {
                let began = Instant::now();
                let result = pull_once(&context, &mut state, transport, store, root, asked).await;
                let result = conclude(&context, &mut state, result).await;
                state.last = Some((began, result.clone()));
                state.tried_at = Some(context.clock.now());
                result
            };
            // Deltas can take minutes. Whoever asked waits for them, and the next pull does not: it may bring a
            // withdrawal.
            drop(state);
            if result.is_ok() {
                make_deltas(&context).await;
            }
            result
        });
        task.await.unwrap_or_else(|_| {
            let hint = "look at the server's log, report the panic there, then pull again";
            Err(Problem::new(ProblemCode::Internal, "the pull ended in the middle", hint))
        })
    }
}

async fn pull_once(
    context: &Context,
    state: &mut State,
    transport: Arc<dyn Transport>,
    store: PathBuf,
    pinned_root: Vec<u8>,
    asked: Asked,
) -> Result<PullSummary, PullError> {
    let reader = match state.reader.take() {
        Some(reader) => reader,
        None => ReaderHandle::open(pinned_root, store, transport)
            .await
            .map_err(|source| PullError::Open { source })?,
    };
    let result = pull::pull(context, &reader, asked).await;
    if !result.as_ref().is_err_and(PullError::needs_a_new_reader) {
        state.reader = Some(reader);
    }
    result
}

/// Without deltas the payload is delivered: slower, and no reason to call the pull failed.
async fn make_deltas(context: &Context) {
    if let Err(error) = context.staging.reconcile().await {
        tracing::error!(error = %chain(&error), "cannot make deltas");
    }
}

/// Logs and notes the outcome.
async fn conclude(
    context: &Context,
    state: &mut State,
    result: Result<PullSummary, PullError>,
) -> Result<PullSummary, Problem> {
    match result {
        Ok(summary) => {
            state.failures = 0;
            tracing::info!(
                timestamp_version = summary.timestamp_version,
                new_releases = summary.releases.len(),
                fetched_bytes = summary.fetched_bytes,
                "pulled"
            );
            Ok(summary)
        }
        Err(error) => {
            state.failures = state.failures.saturating_add(1);
            let (reason, hint) = (chain(&error), error.hint());
            // As a value, not as a display: the vendor's words in it must not make lines of their own.
            tracing::warn!(reason = reason.as_str(), hint, "a pull failed; nothing was changed");
            if let Err(error) = context.ledger.pull_failed(context.clock.now(), reason.clone()).await {
                tracing::error!(error = %chain(&error), "cannot note in the ledger that a pull failed");
            }
            // A problem says its hint by itself, so the reason need not.
            let message = reason.replace(&format!("; {hint}"), "");
            Err(Problem::new(ProblemCode::PullFailed, message, hint))
        }
    }
}

impl Upstream for VendorUpstream {
    fn pull_now(&self) -> BoxFuture<'_, Result<PullSummary, Problem>> {
        Box::pin(self.pull(Asked::ByPerson))
    }

    fn metadata(&self, file_name: &str) -> Result<Option<Vec<u8>>, MirrorReadError> {
        self.context.mirror.read(file_name)
    }

    fn expiries(&self) -> Result<Vec<RoleExpiry>, MirrorReadError> {
        self.context.mirror.expiries()
    }

    fn find_target(&self, file_name: &str) -> Option<TargetEntry> {
        self.context.mirror.find_target(file_name)
    }

    fn trust(&self) -> Option<Arc<TrustDocument>> {
        self.context.trust.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The trust document of the last good pull, out of our own checked files.
fn kept_trust(mirror: &Mirror, blobs: &dyn BlobStore) -> Option<TrustDocument> {
    let entry = mirror.target_named(TRUST_TARGET)?;
    let bytes = match blobs.read(&entry.sha256, fetch::MAX_DOCUMENT_BYTES) {
        Ok(bytes) => bytes?,
        Err(error) => {
            tracing::error!(error = %chain(&error), "the kept trust document cannot be used until the next pull");
            return None;
        }
    };
    document::read(&bytes)
        .inspect_err(|error| tracing::error!(%error, "the kept trust document cannot be read"))
        .ok()
}

/// An error with all its causes, for a log line or a person.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}
