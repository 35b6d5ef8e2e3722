//! Opening a home: its lock, configuration, ledger and stores; and the few things that need no running server.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sealpost_keys::PassphraseSource;
use sealpost_serving::tls::{self, TlsError};
use tokio::task::JoinHandle;

use super::clock::LicenseClock;
use super::local_now;
use crate::blobs::FolderBlobs;
use crate::config::{ConfigError, Settings};
use crate::home::{Home, HomeError, HomeLock, InitOptions, NewServer};
use crate::ledger::activity_file::{self, RotationLimits};
use crate::ledger::{LedgerSettings, sqlite};
use crate::ports::blobs::{BlobError, BlobStore};
use crate::ports::clock::Clock;
use crate::ports::ledger::{Ledger, LogCheck};
use crate::ports::staging::{Staging, StagingError};
use crate::staging::{self, ChildCommand, ChildError, ChildTask, FolderStaging};
use crate::upstream::{self, UpstreamError, VendorUpstream};

/// Files that the server needs besides its connections.
const FILES_BESIDES: u64 = 256;

/// Why a server could not be made, started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The ledger.
    #[error("cannot use the ledger")]
    Ledger {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The key file is another server's.
    #[error(
        "the key in {} is not the one that the ledger was made for; restore keys and ledger from the same backup",
        path.display()
    )]
    OtherSiteKey {
        /// Which file.
        path: PathBuf,
    },
    /// The blobs.
    #[error("cannot open the stored files")]
    Blobs(#[from] BlobError),
    /// Staging.
    #[error("cannot open staging")]
    Staging(#[from] StagingError),
    /// The vendor's repository.
    #[error("cannot open the vendor's repository")]
    Upstream(#[from] UpstreamError),
    /// The HTTP client.
    #[error("cannot set up connections to the vendor; check the system's certificates")]
    Client(#[from] reqwest::Error),
    /// TLS.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
    /// A delta, in a child process.
    #[error("cannot make the delta")]
    Delta(#[from] ChildError),
    /// Nothing can be heard.
    #[error("cannot listen on {address}; is it free, and may this account use it?")]
    Listen {
        /// Where.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// This program's own file is gone.
    #[error("cannot find this program's own file, which makes deltas; start the server anew")]
    Program {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Signals cannot be heard.
    #[error("cannot listen for signals")]
    Signals {
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A home with everything in it open.
pub(super) struct Opened {
    pub(super) home: Home,
    pub(super) settings: Settings,
    pub(super) ledger: Arc<Ledger>,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) staging: Arc<dyn Staging>,
    pub(super) upstream: Arc<VendorUpstream>,
    pub(super) clock: Arc<dyn Clock>,
    /// Released when the server is gone.
    _lock: HomeLock,
}

impl Opened {
    pub(super) async fn open(path: &Path, clock: Option<Arc<dyn Clock>>) -> Result<Self, AppError> {
        let home = Home::open(path)?;
        let settings = Settings::load(&home.config_file(), &home.config_folder())?;
        let lock = home.lock()?;
        let ledger_settings = LedgerSettings {
            lease_days: u16::try_from(settings.lease_days).unwrap_or(u16::MAX),
            ..LedgerSettings::default()
        };
        let ledger = sqlite::open(&home.ledger(), ledger_settings).map_err(of_ledger)?;
        if home.read_site_key(&PassphraseSource::None)?.public() != *ledger.site_key() {
            return Err(AppError::OtherSiteKey { path: home.site_key() });
        }
        let ledger: Arc<Ledger> = Arc::new(ledger);
        let clock = match clock {
            Some(clock) => clock,
            None => license_clock(&*ledger).await?,
        };
        let blobs: Arc<dyn BlobStore> = Arc::new(FolderBlobs::open(&home.blobs())?);
        let staging: Arc<dyn Staging> = FolderStaging::open(
            &home.staging(),
            staging::Parts {
                ledger: Arc::clone(&ledger),
                blobs: Arc::clone(&blobs),
                clock: Arc::clone(&clock),
                child: ChildCommand::of_this_program().map_err(|source| AppError::Program { source })?,
                limits: settings.limits,
            },
        )?;
        let upstream = VendorUpstream::open(
            &home,
            &settings,
            home.read_root()?,
            upstream::Parts {
                ledger: Arc::clone(&ledger),
                blobs: Arc::clone(&blobs),
                staging: Arc::clone(&staging),
                clock: Arc::clone(&clock),
                transport: upstream::vendor_transport(&settings.vendor_url)?,
            },
        )?;
        Ok(Self { home, settings, ledger, blobs, staging, upstream, clock, _lock: lock })
    }

    /// When the certificates end: what `status` warns of.
    pub(super) fn expiries(&self) -> Vec<(String, Timestamp)> {
        let files = [
            ("the server's certificate", self.home.server_certificate()),
            ("the site CA's certificate", self.home.ca_certificate()),
        ];
        files
            .into_iter()
            .filter_map(|(what, path)| Some((what.to_owned(), end_of_certificate(&path)?)))
            .collect()
    }

    /// Starts the text log of activity.
    pub(super) fn write_activity_file(&self) -> JoinHandle<()> {
        let (ledger, file) = (Arc::clone(&self.ledger), self.home.activity_log());
        tokio::spawn(async move {
            let folder = file.parent().unwrap_or(&file).to_owned();
            if let Err(error) = activity_file::follow(ledger, folder, RotationLimits::default()).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the text log of activity has ended"
                );
            }
        })
    }
}

/// Makes a new home with its ledger.
///
/// # Errors
/// [`AppError`]; then nothing is there that looks like a server.
pub fn init(path: &Path, options: InitOptions<'_>) -> Result<NewServer, AppError> {
    let now = options.now;
    let (_, server) = Home::init(path, options, |ledger, server_id, site_key| {
        sqlite::create(ledger, server_id.clone(), site_key.clone(), now)
    })?;
    Ok(server)
}

/// Checks the log of a server that does not run.
///
/// # Errors
/// [`AppError::Ledger`] when the file cannot be read at all; damage is an answer, and no error.
pub fn verify_log(home: &Home) -> Result<LogCheck, AppError> {
    sqlite::verify_file(&home.ledger()).map_err(of_ledger)
}

/// Makes one delta, in a process of its own that bounds itself first.
///
/// # Errors
/// [`AppError::Delta`].
pub fn make_delta(task: Vec<OsString>) -> Result<(), AppError> {
    ChildTask::from_arguments(task)?.run()?;
    Ok(())
}

/// How many connections the limit on open files allows, after raising it as far as the system lets us.
pub(super) fn files_for_connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // A connection may have a file open that it sends. Absent means that there is no limit.
    let places = current.map_or(u64::MAX, |files| files.saturating_sub(FILES_BESIDES) / 2);
    usize::try_from(places).unwrap_or(usize::MAX).clamp(16, tokio::sync::Semaphore::MAX_PERMITS)
}

/// Never earlier than the ledger knows, so that a clock which is set back before a start brings nothing back.
async fn license_clock(ledger: &Ledger) -> Result<Arc<dyn Clock>, AppError> {
    let floor = ledger.time_floor().await.map_err(of_ledger)?;
    if floor > local_now() {
        tracing::warn!(%floor, "this computer's clock is behind the time that the ledger knows; set it right");
    }
    Ok(Arc::new(LicenseClock::new(floor)))
}

fn end_of_certificate(path: &Path) -> Option<Timestamp> {
    let chain = tls::certificates(path).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(chain.first()?).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

fn of_ledger(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> AppError {
    AppError::Ledger { source: source.into() }
}
