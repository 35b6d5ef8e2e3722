//! A running server: opens the home, the ledger, the upstream and the listeners, and closes them in the opposite order.
//!
//! Invariants: requests are answered when [`Server::start`] returns; on a stop, requests under way may end for a bounded
//! time, and the ledger is closed last, with everything that it answered on disk.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use jiff::Timestamp;
use sealpost_keys::SigningKey;
use sealpost_keys::note::LogKey;
use sealpost_ledger::Ledger;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::log::LogKeyCertificate;
use sealpost_serving::tls::TlsIdentity;
use sealpost_serving::{ConnectionLimits, Listener, TlsListeners, bind_private_socket, serve};
use tokio::sync::watch;

use super::error::AppError;
use super::open::Opened;
use super::reload::Reload;
use crate::activity_file::{self, RotationLimits};
use crate::authority::OnlineAuthority;
use crate::config::vendor_client;
use crate::doors::{Serve, TlsDoors};
use crate::http::limits::RequestLimits;
use crate::http::secret::{EnrollmentCodes, Receipts, ServerSecret};
use crate::http::token::AccessTokens;
use crate::http::{Site, SiteParts, admin_router, router};
use crate::ledger_marker;
use crate::listeners;
use crate::open_files;
use crate::ports::clock::Clock;
use crate::ports::doors::Doors;
use crate::ports::presence::Presence;
use crate::presence::{self, ServerPresence, StartedOn};
use crate::push::{self, Push};
use crate::syslog;
use crate::tasks::Tasks;
use crate::upstream::root_problem;

/// What a caller may set otherwise than the configuration says.
#[derive(Clone, Default)]
pub struct StartOptions {
    /// The address to listen on.
    pub listen: Option<SocketAddr>,
    pub connections: Option<ConnectionLimits>,
    pub requests: RequestLimits,
    /// License time over the computer's clock when absent.
    pub clock: Option<Arc<dyn Clock>>,
    pub pulls: Pulls,
    /// A listener that somebody else has bound, so that a new server takes over where the old one stopped.
    pub inherited: Option<Arc<std::net::TcpListener>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pulls {
    /// As configured, and when asked.
    #[default]
    Scheduled,
    OnDemand,
}

pub struct Server {
    address: SocketAddr,
    push: Push,
    tasks: Tasks,
    doors: Arc<TlsDoors>,
    reload: Reload,
    opened: Opened,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a server; it answers when this returns.
    ///
    /// # Errors
    /// [`AppError`]; then nothing runs.
    pub async fn start(home: &Path, options: StartOptions) -> Result<Self, AppError> {
        let opened = Opened::open(home, options.clock).await?;
        let wanted = options.listen.unwrap_or(opened.settings.listen);
        let is_held = options.inherited.is_some();
        let listener = listeners::take(options.inherited, wanted).await.map_err(AppError::port(wanted))?;
        let address = listener.local_addr().map_err(AppError::port(wanted))?;
        let socket = opened.home.admin_socket();
        let admin = bind_private_socket(&socket).map_err(AppError::socket(&socket))?;
        let presence = ServerPresence::open(&opened.home, &opened.settings, presence_parts(&opened)?).await?;
        let push = Push::new(opened.clock.now());
        let site = Site::new(site_parts(&opened, &presence, &push, options.requests).await?);

        let limits =
            options.connections.unwrap_or_else(|| open_files::connection_limits(&opened.settings.limits));
        let doors = Arc::new(TlsDoors::new(tls(presence.identity(), router(&site), limits)?));
        doors.serve(listener, address);
        let known: Arc<dyn Doors> = Arc::clone(&doors) as Arc<dyn Doors>;
        let started_on = StartedOn {
            address,
            // Another address than the configured one is nothing that computers should remember.
            configured_port: options.listen.map_or(opened.settings.listen.port(), |_| 0),
            is_held,
        };
        presence.listening(&known, started_on).await;
        let (logs, log_limits) = watch::channel(RotationLimits::of(&opened.settings.storage));
        let mut tasks = Tasks::new();
        tasks.listen(|stopped| serve(Listener::unix(admin), admin_router(&site), limits, stopped));
        tasks.follow(push::follow(Arc::clone(&opened.ledger), push.clone(), Arc::clone(&opened.clock)));
        tasks.follow(ledger_marker::keep(Arc::clone(&opened.ledger), opened.home.ledger_marker()));
        tasks.follow(activity_file::keep(Arc::clone(&opened.ledger), opened.home.log_folder(), log_limits));
        let (syslog, target) = watch::channel(opened.settings.syslog.clone());
        let progress = Arc::clone(&site.parts.syslog);
        tasks.follow(syslog::keep(Arc::clone(&opened.ledger), opened.home.log_folder(), target, progress));
        tasks.schedule(Some(tokio::spawn(Arc::clone(&presence).keep())));
        tasks.schedule((options.pulls == Pulls::Scheduled).then(|| opened.upstream.spawn_schedule()));
        let upstream = Arc::clone(&opened.upstream);
        let reload = Reload {
            home: opened.home.clone(),
            started: opened.settings.clone(),
            presence,
            upstream,
            logs,
            syslog,
        };
        Ok(Self { address, push, tasks, doors, reload, opened })
    }

    /// Reads the configuration again and reopens logs. What counts only from the next start is said; a configuration that
    /// cannot be used leaves the old one in force.
    pub async fn reload(&self) {
        self.reload.run().await;
    }

    /// Whether it can do its work, for a watchdog.
    pub async fn is_healthy(&self) -> bool {
        self.opened.ledger.check_health().await.is_ok()
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The ledger, for tests that look behind the API.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.opened.ledger
    }

    /// Stops: no new connections, requests under way end, the ledger is closed.
    ///
    /// # Errors
    /// When the ledger could not be closed.
    pub async fn stop(self) -> Result<(), AppError> {
        let Self { push, mut tasks, doors, reload, opened, .. } = self;
        // Held streams never end by themselves.
        push.close();
        tokio::join!(doors.close_all(), tasks.stop_listening());
        drop(reload);
        // A socket file that stays is replaced at the next start.
        let _ = std::fs::remove_file(opened.home.admin_socket());
        let closed = opened.ledger.close().await.map_err(AppError::ledger);
        tasks.end().await;
        closed
    }
}

/// The site key's word that the log key speaks for this server's log.
fn certify(
    site_key: &SigningKey,
    log_key: &LogKey,
    ledger: &Ledger,
    issued_at: Timestamp,
) -> Result<SignedDocument, AppError> {
    let certificate =
        LogKeyCertificate { server_id: ledger.server_id(), log_key: log_key.public().clone(), issued_at };
    SignedDocument::sign(&certificate, site_key).map_err(AppError::Certify)
}

/// What serves a listener for computers.
fn tls(identity: Arc<TlsIdentity>, routes: Router, limits: ConnectionLimits) -> Result<Serve, AppError> {
    let tls = TlsListeners::of(identity, &limits)?;
    Ok(Box::new(move |listener, stopped| {
        Box::pin(serve(tls.over(listener), routes.clone(), limits, stopped))
    }))
}

fn presence_parts(opened: &Opened) -> Result<presence::Parts, AppError> {
    let root = opened.home.read_root()?;
    let root_problem = root_problem(&root, &opened.home.mirror())
        .inspect(|problem| tracing::error!(problem, "root.json of the home cannot be used"));
    Ok(presence::Parts {
        ledger: Arc::clone(&opened.ledger),
        clock: Arc::clone(&opened.clock),
        site_key: opened.site_key.public(),
        root_sha256: Sha256Digest::of(&root),
        root_problem,
    })
}

async fn site_parts(
    opened: &Opened,
    presence: &Arc<ServerPresence>,
    push: &Push,
    limits: RequestLimits,
) -> Result<SiteParts, AppError> {
    let secret = ServerSecret::new(opened.home.read_secret()?);
    Ok(SiteParts {
        ledger: Arc::clone(&opened.ledger),
        upstream: opened.upstream.clone(),
        blobs: Arc::clone(&opened.blobs),
        staging: Arc::clone(&opened.staging),
        authority: Arc::new(OnlineAuthority::new(
            &opened.settings.vendor_url,
            vendor_client(&opened.settings.vendor_url, opened.settings.vendor_ca.as_deref())?,
        )?),
        clock: Arc::clone(&opened.clock),
        push: Arc::new(push.clone()),
        site_key: Arc::clone(&opened.site_key),
        log_key: Arc::clone(&opened.log_key),
        log_certificate: certify(&opened.site_key, &opened.log_key, &opened.ledger, opened.clock.now())?,
        sealing_key: opened.home.read_sealing_key()?.public(),
        access_tokens: AccessTokens::new(&secret),
        receipts: Receipts::new(&secret),
        enrollment_codes: EnrollmentCodes::new(&secret),
        admin_tokens: opened.token_desk().await?,
        presence: Arc::clone(presence) as Arc<dyn Presence>,
        syslog: Arc::default(),
        limits,
    })
}
