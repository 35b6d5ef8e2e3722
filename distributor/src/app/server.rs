//! A running server: opens the home, the ledger, the upstream and the listeners, and closes them in the opposite order.
//!
//! Invariants: requests are answered when [`Server::start`] returns; on a stop, requests under way may end for a bounded
//! time, and the ledger is closed last, with everything that it answered on disk.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use jiff::Timestamp;
use sealpost_hook_runner::Runner;
use sealpost_keys::SigningKey;
use sealpost_keys::note::LogKey;
use sealpost_ledger::Ledger;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::log::LogKeyCertificate;
use sealpost_service::supervision::Supervision;
use sealpost_serving::tls::TlsIdentity;
use sealpost_serving::{ConnectionLimits, Listener, TlsListeners, bind_private_socket, serve};
use tokio::sync::watch;

use super::error::AppError;
use super::open::Opened;
use super::reload::Reload;
use crate::activity_file::{self, RotationLimits};
use crate::approvals;
use crate::config::{SyslogTarget, test_load_digests};
use crate::disks::FolderDisks;
use crate::doors::{Serve, TlsDoors};
use crate::folder::{self, Keeper};
use crate::http::limits::RequestLimits;
use crate::http::secret::{EnrollmentCodes, Receipts, ServerSecret};
use crate::http::token::AccessTokens;
use crate::http::{Site, SiteParts, admin_router, router};
use crate::installer::Workshop;
use crate::ledger_check;
use crate::ledger_marker;
use crate::listeners;
use crate::open_files;
use crate::ports::by_file::FileAnswers;
use crate::ports::clock::Clock;
use crate::ports::doors::Doors;
use crate::ports::folder::FolderDesk;
use crate::ports::presence::Presence;
use crate::ports::syslog::SyslogProgress;
use crate::ports::test_load::TestDesk;
use crate::presence::{self, ServerPresence, StartedOn};
use crate::push::{self, Push};
use crate::rollouts;
use crate::syslog;
use crate::tasks::Tasks;
use crate::test_load;
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
    supervision: Supervision,
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
        let opened = Opened::open(home, options.clock.clone()).await?;
        let (ledger, _lock) = (Arc::clone(&opened.ledger), Arc::clone(&opened.lock));
        ledger.closed_when_failed(Self::over(opened, options)).await
    }

    async fn over(opened: Opened, options: StartOptions) -> Result<Self, AppError> {
        let wanted = options.listen.unwrap_or(opened.settings.listen);
        let is_held = options.inherited.is_some();
        let listener = listeners::take(options.inherited, wanted).await.map_err(AppError::port(wanted))?;
        let address = listener.local_addr().map_err(AppError::port(wanted))?;
        let socket = opened.home.admin_socket();
        let admin = bind_private_socket(&socket).map_err(AppError::socket(&socket))?;
        // Once its port is its own: a server that cannot start did not run.
        opened.ledger.listens_from(opened.clock.now()).await.map_err(AppError::ledger)?;
        let presence = ServerPresence::open(&opened.home, &opened.settings, presence_parts(&opened)?).await?;
        let push = Push::new(opened.clock.now());
        let supervision = Supervision::new();
        let (desk, behind) = FolderDesk::open();
        let (test_loads, configured) = watch::channel(opened.settings.test_loads.clone());
        let tests = TestDesk::open(test_load_digests(&opened.settings.test_loads));
        let desks = (desk, tests.clone());
        let site =
            Site::new(site_parts(&opened, &presence, &push, &supervision, desks, options.requests).await?);

        let limits =
            options.connections.unwrap_or_else(|| open_files::connection_limits(&opened.settings.limits));
        let doors = Arc::new(TlsDoors::new(tls(presence.identity(), router(&site), limits, &supervision)?));
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
        let (syslog, target) = watch::channel(opened.settings.syslog.clone());
        let mut tasks = Tasks::new(supervision.clone());
        tasks.watch_writer(Arc::clone(&opened.ledger));
        tasks.listen("the listener for admins", |stopped| {
            serve(Listener::unix(admin), admin_router(&site), limits, stopped)
        });
        follow_ledger(&mut tasks, &opened, &push, log_limits);
        follow_to_syslog(&mut tasks, &opened, target, &site.parts.syslog);
        let (folders, folder) = watch::channel(opened.settings.folder.clone());
        let folder = Keeper::new(rooms(&opened, &site), folder, behind);
        tasks
            .schedule("the folder for computers without a network", Some(move || Arc::clone(&folder).keep()));
        let keeper = test_load::Keeper::new(test_rooms(&opened), configured, tests.clone());
        tasks.schedule("the test-loads of releases", Some(move || Arc::clone(&keeper).keep()));
        let kept = Arc::clone(&presence);
        let pulling = Arc::clone(&opened.upstream);
        let pulls = (options.pulls == Pulls::Scheduled).then_some(move || Arc::clone(&pulling).keep());
        tasks.schedule("the care for certificates and addresses", Some(move || Arc::clone(&kept).keep()));
        tasks.schedule("the schedule of pulls", pulls);
        check_ledger(&mut tasks, &opened);
        let (ledger, clock) = (Arc::clone(&opened.ledger), Arc::clone(&opened.clock));
        tasks
            .follow("the care for rollouts", move || rollouts::keep(Arc::clone(&ledger), Arc::clone(&clock)));
        let (ledger, clock, upstream) =
            (Arc::clone(&opened.ledger), Arc::clone(&opened.clock), Arc::clone(&opened.upstream));
        tasks.follow("the rules of approvals", move || {
            approvals::keep(Arc::clone(&ledger), Arc::clone(&clock), upstream.clone(), tests.clone())
        });
        let upstream = Arc::clone(&opened.upstream);
        let reload = Reload {
            home: opened.home.clone(),
            started: opened.settings.clone(),
            presence,
            upstream,
            logs,
            syslog,
            folders,
            test_loads,
            tests: site.parts.tests.clone(),
        };
        Ok(Self { address, push, tasks, supervision, doors, reload, opened })
    }

    /// Reads the configuration again and reopens logs. What counts only from the next start is said; a configuration that
    /// cannot be used leaves the old one in force.
    pub async fn reload(&self) {
        self.reload.run().await;
    }

    /// Whether it lives, for a watchdog. A full disk is no reason to start anew.
    pub async fn is_alive(&self) -> bool {
        self.supervision.is_alive() && self.opened.ledger.check_alive().await.is_ok()
    }

    /// Waits until something has failed without which the server can do nothing, and says what.
    pub async fn failed(&self) -> String {
        self.supervision.failed().await
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

fn test_rooms(opened: &Opened) -> test_load::Rooms {
    test_load::Rooms {
        ledger: Arc::clone(&opened.ledger),
        staging: Arc::clone(&opened.staging),
        clock: Arc::clone(&opened.clock),
        room: test_load::Room::of(
            opened.home.path(),
            &opened.home.staging(),
            opened.settings.limits.keep_free_bytes,
        ),
        runner: Runner::this_program(test_load::RUN_HOOK),
    }
}

/// What folders for computers without a network are brought up to date from.
fn rooms(opened: &Opened, site: &Arc<Site>) -> folder::Rooms {
    folder::Rooms {
        answers: Arc::clone(site) as Arc<dyn FileAnswers>,
        ledger: Arc::clone(&opened.ledger),
        upstream: opened.upstream.clone(),
        blobs: Arc::clone(&opened.blobs),
        staging: Arc::clone(&opened.staging),
        clock: Arc::clone(&opened.clock),
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
fn tls(
    identity: Arc<TlsIdentity>,
    routes: Router,
    limits: ConnectionLimits,
    supervision: &Supervision,
) -> Result<Serve, AppError> {
    let tls = TlsListeners::of(identity, &limits)?;
    let supervision = supervision.clone();
    Ok(Box::new(move |listener, stopped| {
        let work = serve(tls.over(listener), routes.clone(), limits, stopped);
        Box::pin(supervision.needed("a listener for computers", work))
    }))
}

/// What follows the ledger and ends with it.
fn follow_ledger(
    tasks: &mut Tasks,
    opened: &Opened,
    push: &Push,
    log_limits: watch::Receiver<RotationLimits>,
) {
    let (ledger, clock, push) = (Arc::clone(&opened.ledger), Arc::clone(&opened.clock), push.clone());
    tasks.follow("the waking of clients", move || {
        push::follow(Arc::clone(&ledger), push.clone(), Arc::clone(&clock))
    });
    let (ledger, marker) = (Arc::clone(&opened.ledger), opened.home.ledger_marker());
    tasks
        .follow("the marker of the ledger", move || ledger_marker::keep(Arc::clone(&ledger), marker.clone()));
    let (ledger, folder) = (Arc::clone(&opened.ledger), opened.home.log_folder());
    tasks.follow("the text log of activity", move || {
        activity_file::keep(Arc::clone(&ledger), folder.clone(), log_limits.clone())
    });
}

/// The comparison of the ledger's tables with its log, where it is wanted.
fn check_ledger(tasks: &mut Tasks, opened: &Opened) {
    let (ledger, clock) = (Arc::clone(&opened.ledger), Arc::clone(&opened.clock));
    let check = opened
        .settings
        .storage
        .verify_every()
        .map(|every| move || ledger_check::keep(Arc::clone(&ledger), Arc::clone(&clock), every));
    tasks.schedule("the comparison of the ledger with its log", check);
}

/// The log on its way to a syslog receiver, where one is configured.
fn follow_to_syslog(
    tasks: &mut Tasks,
    opened: &Opened,
    target: watch::Receiver<Option<SyslogTarget>>,
    progress: &Arc<SyslogProgress>,
) {
    let (ledger, folder, progress) =
        (Arc::clone(&opened.ledger), opened.home.log_folder(), Arc::clone(progress));
    tasks.follow("the log on its way to syslog", move || {
        syslog::keep(Arc::clone(&ledger), folder.clone(), target.clone(), Arc::clone(&progress))
    });
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
    supervision: &Supervision,
    (folders, tests): (FolderDesk, TestDesk),
    limits: RequestLimits,
) -> Result<SiteParts, AppError> {
    let secret = ServerSecret::new(opened.home.read_secret()?);
    let installers = Workshop {
        staging: Arc::clone(&opened.staging),
        folder: opened.home.staging(),
        root: opened.home.read_root()?.into(),
        site_key: Arc::clone(&opened.site_key),
        turns: Arc::new(tokio::sync::Semaphore::new(1)),
        places: Arc::new(tokio::sync::Semaphore::new(crate::installer::MAX_OPEN)),
    };
    Ok(SiteParts {
        ledger: Arc::clone(&opened.ledger),
        upstream: opened.upstream.clone(),
        blobs: Arc::clone(&opened.blobs),
        staging: Arc::clone(&opened.staging),
        authority: opened.authority()?,
        clock: Arc::clone(&opened.clock),
        push: Arc::new(push.clone()),
        site_key: Arc::clone(&opened.site_key),
        log_key: Arc::clone(&opened.log_key),
        log_certificate: certify(&opened.site_key, &opened.log_key, &opened.ledger, opened.clock.now())?,
        sealing_key: opened.home.read_sealing_key()?.public(),
        access_tokens: AccessTokens::new(&secret),
        receipts: Receipts::new(&secret),
        enrollment_codes: EnrollmentCodes::new(&secret),
        admin_tokens: Arc::clone(&opened.tokens),
        presence: Arc::clone(presence) as Arc<dyn Presence>,
        supervision: supervision.clone(),
        disks: Arc::new(FolderDisks::of(&opened.home)),
        syslog: Arc::default(),
        folders,
        installers: Arc::new(installers),
        tests,
        limits,
    })
}
