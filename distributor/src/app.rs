//! Wiring: the only place that knows every room. Opens the home, the ledger, the upstream and the listeners, and
//! closes them in the opposite order.
//!
//! Invariants: the ready line is printed when requests are answered, and not before; on a stop, requests under way
//! may end for a bounded time, and the ledger is closed last, with everything that it answered on disk.

mod authority;
mod clock;
mod open;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sealpost_serving::tls::TlsIdentity;
use sealpost_serving::{ConnectionLimits, Listener, bind_private_socket};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::open::Opened;
pub use self::open::{AppError, init, make_delta, verify_log};
use crate::http::limits::RequestLimits;
use crate::http::token::AccessTokens;
use crate::http::{Addresses, Site, SiteParts, admin_router, router};
use crate::ports::clock::Clock;
use sealpost_ledger::Ledger;
use crate::push::{self, Push};

/// Time for what follows the ledger to end after it. What it leaves undone it does after the next start.
const FOLLOWERS_END_WITHIN: Duration = Duration::from_secs(2);

/// What a caller may set otherwise than the configuration says.
#[derive(Clone, Default)]
pub struct StartOptions {
    /// The address to listen on.
    pub listen: Option<SocketAddr>,
    /// Limits on connections.
    pub connections: Option<ConnectionLimits>,
    /// Limits on requests.
    pub requests: RequestLimits,
    /// The clock; license time over the computer's clock when absent.
    pub clock: Option<Arc<dyn Clock>>,
    /// Whether pulls happen by themselves.
    pub pulls: Pulls,
}

/// When pulls happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pulls {
    /// As configured, and when asked.
    #[default]
    Scheduled,
    /// Only when asked.
    OnDemand,
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    ledger: Arc<Ledger>,
    push: Push,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    followers: Vec<JoinHandle<()>>,
    schedule: Option<JoinHandle<()>>,
    opened: Opened,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Runs a server until SIGTERM or Ctrl-C; prints one line when it is ready.
///
/// # Errors
/// [`AppError`].
pub async fn serve(home: &Path, listen: Option<SocketAddr>) -> Result<(), AppError> {
    let failed = |source| AppError::Signals { source };
    // Before the ready line, so that a signal right after it is heard.
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let server = Server::start(home, StartOptions { listen, ..StartOptions::default() }).await?;
    let ready = writeln!(std::io::stdout(), "listening on https://{}", server.address());
    if let Err(error) = ready.and_then(|()| std::io::stdout().flush()) {
        tracing::warn!(%error, "nobody reads the ready line");
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    server.stop().await
}

impl Server {
    /// Starts a server; it answers when this returns.
    ///
    /// # Errors
    /// [`AppError`]; then nothing runs.
    pub async fn start(home: &Path, options: StartOptions) -> Result<Self, AppError> {
        let opened = Opened::open(home, options.clock).await?;
        let wanted = options.listen.unwrap_or(opened.settings.listen);
        let listener = TcpListener::bind(wanted)
            .await
            .map_err(|source| AppError::Listen { address: wanted.to_string(), source })?;
        let address = listener
            .local_addr()
            .map_err(|source| AppError::Listen { address: wanted.to_string(), source })?;
        let socket = opened.home.admin_socket();
        let admin = bind_private_socket(&socket)
            .map_err(|source| AppError::Listen { address: socket.display().to_string(), source })?;
        let identity = TlsIdentity::load(
            &opened.home.server_certificate(),
            &opened.home.server_key(),
            &opened.home.ca_certificate(),
        )?;

        let push = Push::new();
        let site = Site::new(SiteParts {
            ledger: Arc::clone(&opened.ledger),
            upstream: opened.upstream.clone(),
            blobs: Arc::clone(&opened.blobs),
            staging: Arc::clone(&opened.staging),
            authority: Arc::new(authority::OnlineAuthority::new(&opened.settings.vendor_url)?),
            clock: Arc::clone(&opened.clock),
            push: Arc::new(push.clone()),
            site_key: opened.home.read_site_key(&sealpost_keys::PassphraseSource::None)?,
            access_tokens: AccessTokens::new(&opened.home.read_token_key()?),
            admin_tokens: crate::http::admin_tokens::AdminTokens::at(&opened.home.admin_tokens()),
            addresses: Addresses {
                addresses: opened.settings.addresses.clone(),
                port: address.port(),
                ca_spki_sha256: opened.home.ca_pin()?,
                root_sha256: sealpost_manifests::digest::Sha256Digest::of(&opened.home.read_root()?),
            },
            limits: options.requests,
            expiries: opened.expiries(),
        });

        let limits = options.connections.unwrap_or_else(|| configured(&opened));
        let (stop, stopping) = watch::channel(false);
        let listeners = vec![
            tokio::spawn(sealpost_serving::serve(
                Listener::tls(listener, identity)?,
                router(&site),
                limits,
                stopped(stopping.clone()),
            )),
            tokio::spawn(sealpost_serving::serve(
                Listener::unix(admin),
                admin_router(&site),
                limits,
                stopped(stopping),
            )),
        ];
        let followers = vec![
            tokio::spawn(push::follow(Arc::clone(&opened.ledger), push.clone())),
            opened.write_activity_file(),
        ];
        let schedule = (options.pulls == Pulls::Scheduled).then(|| opened.upstream.spawn_schedule());
        let ledger = Arc::clone(&opened.ledger);
        Ok(Self { address, ledger, push, stop, listeners, followers, schedule, opened })
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The ledger, for tests that look behind the API.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Stops: no new connections, requests under way end, the ledger is closed.
    ///
    /// # Errors
    /// When the ledger could not be closed.
    pub async fn stop(self) -> Result<(), AppError> {
        // Nobody may listen any more; then there is nobody to tell.
        let _ = self.stop.send(true);
        // Held streams never end by themselves.
        self.push.close();
        for listener in self.listeners {
            if let Err(error) = listener.await {
                tracing::error!(%error, "a listener ended by a panic");
            }
        }
        // A socket file that stays is replaced at the next start.
        let _ = std::fs::remove_file(self.opened.home.admin_socket());
        if let Some(schedule) = &self.schedule {
            schedule.abort();
        }
        let closed = self.ledger.close().await.map_err(|source| AppError::Ledger { source: source.into() });
        // They end by themselves when the ledger has closed; the text log writes its last lines at the next start.
        for mut follower in self.followers {
            if tokio::time::timeout(FOLLOWERS_END_WITHIN, &mut follower).await.is_err() {
                follower.abort();
            }
        }
        closed
    }
}

/// Waits until the server is to stop, or nobody is left who could say so.
async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// The configured limits, and no more than the system gives this process files for.
fn configured(opened: &Opened) -> ConnectionLimits {
    let wanted = usize::try_from(opened.settings.limits.max_connections).unwrap_or(usize::MAX);
    let per_source =
        usize::try_from(opened.settings.limits.max_connections_per_address).unwrap_or(usize::MAX);
    let connections = wanted.min(open::files_for_connections());
    if connections < wanted {
        tracing::warn!(
            wanted,
            connections,
            "the system's limit on open files allows fewer connections than configured"
        );
    }
    ConnectionLimits { connections, per_source, ..ConnectionLimits::default() }
}

/// Now, by the computer's clock: for a home that has no license time yet.
fn local_now() -> Timestamp {
    Timestamp::now()
}
