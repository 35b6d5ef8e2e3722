//! A running server: opens the home, the ledger, the upstream and the listeners, and closes them in the opposite order.
//!
//! Invariants: requests are answered when [`Server::start`] returns; on a stop, requests under way may end for a bounded
//! time, and the ledger is closed last, with everything that it answered on disk.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_keys::SigningKey;
use sealpost_keys::note::LogKey;
use sealpost_ledger::Ledger;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::log::LogKeyCertificate;
use sealpost_serving::tls::TlsIdentity;
use sealpost_serving::{ConnectionLimits, Listener, bind_private_socket, serve};
use tokio::net::TcpListener;

use super::error::AppError;
use super::open::Opened;
use crate::activity_file::{self, RotationLimits};
use crate::authority::OnlineAuthority;
use crate::http::admin_tokens::AdminTokens;
use crate::http::limits::RequestLimits;
use crate::http::secret::{EnrollmentCodes, Receipts, ServerSecret};
use crate::http::token::AccessTokens;
use crate::http::{Addresses, Site, SiteParts, admin_router, router};
use crate::ledger_marker;
use crate::open_files;
use crate::ports::clock::Clock;
use crate::push::{self, Push};
use crate::tasks::Tasks;

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
        let listener = TcpListener::bind(wanted).await.map_err(AppError::listen(wanted))?;
        let address = listener.local_addr().map_err(AppError::listen(wanted))?;
        let socket = opened.home.admin_socket();
        let admin = bind_private_socket(&socket).map_err(AppError::listen(socket.display()))?;
        let identity = TlsIdentity::load(
            &opened.home.server_certificate(),
            &opened.home.server_key(),
            Some(&opened.home.ca_certificate()),
        )?;
        let push = Push::new(opened.clock.now());
        let site = Site::new(site_parts(&opened, address, &push, options.requests)?);

        let limits =
            options.connections.unwrap_or_else(|| open_files::connection_limits(&opened.settings.limits));
        let mut tasks = Tasks::new();
        let tls = Listener::tls(listener, identity)?;
        tasks.listen(|stopped| serve(tls, router(&site), limits, stopped));
        tasks.listen(|stopped| serve(Listener::unix(admin), admin_router(&site), limits, stopped));
        tasks.follow(push::follow(Arc::clone(&opened.ledger), push.clone(), Arc::clone(&opened.clock)));
        tasks.follow(ledger_marker::keep(Arc::clone(&opened.ledger), opened.home.ledger_marker()));
        tasks.follow(activity_file::keep(
            Arc::clone(&opened.ledger),
            opened.home.activity_log(),
            RotationLimits::default(),
        ));
        tasks.schedule((options.pulls == Pulls::Scheduled).then(|| opened.upstream.spawn_schedule()));
        Ok(Self { address, push, tasks, opened })
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
        let Self { push, mut tasks, opened, .. } = self;
        // Held streams never end by themselves.
        push.close();
        tasks.stop_listening().await;
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

fn site_parts(
    opened: &Opened,
    address: SocketAddr,
    push: &Push,
    limits: RequestLimits,
) -> Result<SiteParts, AppError> {
    let secret = ServerSecret::new(opened.home.read_secret()?);
    Ok(SiteParts {
        ledger: Arc::clone(&opened.ledger),
        upstream: opened.upstream.clone(),
        blobs: Arc::clone(&opened.blobs),
        staging: Arc::clone(&opened.staging),
        authority: Arc::new(OnlineAuthority::new(&opened.settings.vendor_url)?),
        clock: Arc::clone(&opened.clock),
        push: Arc::new(push.clone()),
        site_key: Arc::clone(&opened.site_key),
        log_key: Arc::clone(&opened.log_key),
        log_certificate: certify(&opened.site_key, &opened.log_key, &opened.ledger, opened.clock.now())?,
        sealing_key: opened.home.read_sealing_key()?.public(),
        access_tokens: AccessTokens::new(&secret),
        receipts: Receipts::new(&secret),
        enrollment_codes: EnrollmentCodes::new(&secret),
        admin_tokens: AdminTokens::at(&opened.home.admin_tokens()),
        addresses: Addresses {
            addresses: opened.settings.addresses.clone(),
            port: address.port(),
            ca_spki_sha256: vec![opened.home.ca_pin()?],
            root_sha256: Sha256Digest::of(&opened.home.read_root()?),
        },
        limits,
        expiries: opened.home.expiries(),
    })
}
