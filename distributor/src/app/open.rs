//! Opening a home: its lock, configuration, ledger and stores; and the few things that need no running server.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_keys::SigningKey;
use sealpost_keys::note::LogKey;
use sealpost_ledger::sqlite::{self, SqliteStore};
use sealpost_ledger::{Ledger, LedgerSettings};
use sealpost_manifests::log::LogHead;
use sealpost_site::changes::chain::LogCheck;
use sealpost_site::commands::Terms;

use super::error::AppError;
use crate::authority::OnlineAuthority;
use crate::blobs::FolderBlobs;
use crate::clock::LicenseClock;
use crate::config::{Settings, vendor_client};
use crate::home::{Home, HomeLock, InitOptions, NewServer};
use crate::http::admin_tokens::AdminTokens;
use crate::http::token_desk::{TokenDesk, Untold};
use crate::ledger_marker;
use crate::ports::authority::LicenseAuthority;
use crate::ports::blobs::BlobStore;
use crate::ports::clock::Clock;
use crate::ports::staging::Staging;
use crate::staging::{self, ChildCommand, ChildTask, FolderStaging};
use crate::upstream::{self, Pace, VendorUpstream};

/// A home with everything in it open.
pub(super) struct Opened {
    pub(super) home: Home,
    pub(super) settings: Settings,
    pub(super) site_key: Arc<SigningKey>,
    pub(super) log_key: Arc<LogKey>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) tokens: Arc<TokenDesk>,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) staging: Arc<dyn Staging>,
    pub(super) upstream: Arc<VendorUpstream>,
    pub(super) clock: Arc<dyn Clock>,
    /// Released when the server has stopped.
    pub(super) lock: Arc<HomeLock>,
}

impl Opened {
    pub(super) async fn open(path: &Path, clock: Option<Arc<dyn Clock>>) -> Result<Self, AppError> {
        let home = Home::open(path)?;
        let settings = Settings::load(&home.config_file(), &home.config_folder())?;
        let lock = Arc::new(home.lock()?);
        let store = SqliteStore::open(&home.ledger()).map_err(AppError::ledger)?;
        let untold = Untold::beside(&store);
        let terms =
            Terms { lease_days: u16::try_from(settings.lease_days).unwrap_or(u16::MAX), ..Terms::default() };
        let ledger = Ledger::start(Box::new(store), LedgerSettings { terms, ..LedgerSettings::default() });
        let ledger = Arc::new(ledger.map_err(AppError::ledger)?);
        let closing = Arc::clone(&ledger);
        // The lock outlives the ledger, also where this fails.
        let held = Arc::clone(&lock);
        closing.closed_when_failed(Self::around(ledger, untold, home, settings, held, clock)).await
    }

    async fn around(
        ledger: Arc<Ledger>,
        untold: Untold,
        home: Home,
        settings: Settings,
        lock: Arc<HomeLock>,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<Self, AppError> {
        let site_key = Arc::new(home.read_site_key_of(ledger.site_key())?);
        let log_key = Arc::new(home.read_log_key(&ledger.server_id())?);
        let license_time = LicenseClock::over(&ledger).await.map_err(AppError::ledger)?;
        let clock = clock.unwrap_or_else(|| Arc::new(license_time));
        ledger_marker::compare(&ledger, &home.ledger_marker(), &*clock).await?;
        // As early as it can be: what is taken over is taken over at this start or never.
        let file = AdminTokens::at(&home.admin_tokens());
        let tokens = Arc::new(TokenDesk::open(file, Arc::clone(&ledger), untold, clock.now()).await?);
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
        let pace = Pace::at_least(settings.limits.min_bytes_per_second);
        let upstream = VendorUpstream::open(
            &home,
            &settings,
            home.read_root()?,
            upstream::Parts {
                ledger: Arc::clone(&ledger),
                blobs: Arc::clone(&blobs),
                staging: Arc::clone(&staging),
                clock: Arc::clone(&clock),
                transport: upstream::vendor_transport(
                    &settings.vendor_url,
                    settings.vendor_ca.as_deref(),
                    &pace,
                )?,
                pace,
            },
        )?;
        Ok(Self { home, settings, site_key, log_key, ledger, tokens, blobs, staging, upstream, clock, lock })
    }

    /// The vendor's license authority, as it is configured.
    pub(super) fn authority(&self) -> Result<Arc<dyn LicenseAuthority>, AppError> {
        let client = vendor_client(&self.settings.vendor_url, self.settings.vendor_ca.as_deref())?;
        Ok(Arc::new(OnlineAuthority::new(&self.settings.vendor_url, client)?))
    }
}

/// The ledger of a server that does not run, and its tokens, for a command that writes to both.
#[derive(Debug)]
pub struct StoppedServer {
    pub tokens: TokenDesk,
    ledger: Arc<Ledger>,
    clock: LicenseClock,
    /// No server starts meanwhile.
    _lock: HomeLock,
}

impl StoppedServer {
    /// # Errors
    /// [`AppError`], also when a server runs.
    pub async fn open(path: &Path) -> Result<Self, AppError> {
        let home = Home::open(path)?;
        let lock = home.lock()?;
        let store = SqliteStore::open(&home.ledger()).map_err(AppError::ledger)?;
        let untold = Untold::beside(&store);
        let ledger = Ledger::start(Box::new(store), LedgerSettings::default()).map_err(AppError::ledger)?;
        let ledger = Arc::new(ledger);
        let beside = async {
            let clock = LicenseClock::over(&ledger).await.map_err(AppError::ledger)?;
            let file = AdminTokens::at(&home.admin_tokens());
            let tokens = TokenDesk::open(file, Arc::clone(&ledger), untold, clock.now()).await?;
            Ok::<_, AppError>((clock, tokens))
        };
        let (clock, tokens) = ledger.closed_when_failed(beside).await?;
        Ok(Self { tokens, ledger, clock, _lock: lock })
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// # Errors
    /// When the ledger could not be closed.
    pub async fn close(self) -> Result<(), AppError> {
        self.ledger.close().await.map_err(AppError::ledger)
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

/// Checks the log of a server that does not run, and its tables. `progress` hears how many entries were read.
///
/// # Errors
/// [`AppError::Ledger`] when the file cannot be read at all; damage is an answer, and no error.
pub fn verify_log(
    home: &Home,
    witnessed: Vec<LogHead>,
    progress: &mut dyn FnMut(u64),
) -> Result<LogCheck, AppError> {
    sqlite::verify_file_watched(&home.ledger(), witnessed, progress).map_err(AppError::ledger)
}

/// Makes one delta, in a process of its own that bounds itself first.
///
/// # Errors
/// [`AppError::Delta`].
pub fn make_delta(task: Vec<OsString>) -> Result<(), AppError> {
    ChildTask::from_arguments(task)?.run()?;
    Ok(())
}
