//! What a running server does besides answering: it keeps the repository fresh, follows its certificate, and takes the
//! settings over again when it is told.
//!
//! Invariant: settings, keys or a certificate that cannot be read leave those before in force, and are logged.
//! Left out on purpose: another address, or a certificate where there was none; those need a restart, and it says so.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_keys::PassphraseSource;
use sealpost_service::supervision::Supervision;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::certificate::{CertificateFiles, Served};
use super::license::{Licenses, Licensing};
use crate::active_keys::{LicenseKeyError, license_key};
use crate::authority::{Authority, AuthorityError};
use crate::home::{HomeError, Keyring, KeyringError, Vendor};
use crate::renewal::{RenewError, Renewed, Urgency, renew};
use crate::status::certificate_end;

/// How often due roles are looked for. Where none is due, that costs a few file reads.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(3600);
/// How often the files of the certificate are looked at.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(5);

/// Why a server cannot start, or cannot take new settings over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunningError {
    #[error("cannot read the vendor's home")]
    Home(#[from] HomeError),
    #[error("cannot open the keys that stay with the server")]
    Keys(#[from] KeyringError),
    #[error("cannot answer registrations")]
    License(#[from] LicenseKeyError),
    #[error("cannot answer registrations")]
    Authority(#[from] AuthorityError),
}

/// A vendor whose online keys are open.
#[derive(Debug, Clone)]
pub struct Running {
    vendor: Vendor,
    keyring: Arc<Keyring>,
}

impl Running {
    /// Opens the keys that a server needs, and what grants are made of; the passphrase is asked for now, and once, and the
    /// home is locked once.
    ///
    /// # Errors
    /// [`RunningError`].
    pub fn open(
        vendor: Vendor,
        source: PassphraseSource,
        waiting: impl FnOnce(),
    ) -> Result<(Self, Licensing), RunningError> {
        let keyring = Keyring::new(&vendor, source);
        Self::checked(vendor, keyring, waiting)
    }

    fn checked(
        vendor: Vendor,
        keyring: Keyring,
        waiting: impl FnOnce(),
    ) -> Result<(Self, Licensing), RunningError> {
        let licensing = Licensing {
            vendor: vendor.settings().vendor.clone(),
            key: license_key(&vendor, &keyring, waiting)?,
            authority: Authority::open(&vendor.license_database())?,
            grant_days: vendor.settings().lifetime_days.grant,
            time_zone: vendor.time_zone(),
        };
        keyring.timestamp()?;
        keyring.snapshot()?;
        Ok((Self { vendor, keyring: Arc::new(keyring) }, licensing))
    }

    #[must_use]
    pub const fn vendor(&self) -> &Vendor {
        &self.vendor
    }

    /// Keeps everything fresh until it is stopped. Needs a tokio runtime.
    #[must_use]
    pub fn keep(self, licenses: Licenses, served: Option<Served>, supervision: &Supervision) -> Keeping {
        let (current, follow) = watch::channel(self);
        let (files, new_files) = mpsc::channel(1);
        let speaks_tls = served.is_some();
        let renewal = move || keep_fresh(follow.clone());
        let mut tasks = vec![tokio::spawn(supervision.started_again("the renewal of metadata", renewal))];
        tasks.extend(served.map(|served| {
            let follow = follow_certificate(served, new_files, supervision.clone());
            tokio::spawn(supervision.needed("the care for the certificate", follow))
        }));
        Keeping { current, licenses, files, speaks_tls, tasks }
    }

    /// The same vendor as the settings say it now.
    fn reread(&self) -> Result<(Self, Licensing), RunningError> {
        let vendor = Vendor::open(self.vendor.home())?;
        let keyring = self.keyring.reopened(&vendor);
        Self::checked(vendor, keyring, || {})
    }
}

/// A server's own work while it answers.
#[derive(Debug)]
pub struct Keeping {
    current: watch::Sender<Running>,
    licenses: Licenses,
    files: mpsc::Sender<CertificateFiles>,
    speaks_tls: bool,
    tasks: Vec<JoinHandle<()>>,
}

impl Keeping {
    /// Reads settings, keys and certificate again; `files_of` says where the certificate of a vendor lies. It waits while
    /// another publisher has the home's lock; safe to drop meanwhile, which leaves what is in force.
    pub async fn reload(&mut self, files_of: impl Fn(&Vendor) -> Option<CertificateFiles>) {
        let before = self.current.borrow().clone();
        let listened = before.vendor.settings().serve.listen;
        let reread = tokio::task::spawn_blocking(move || before.reread()).await;
        let (running, licensing) = match reread {
            Ok(Ok(reread)) => reread,
            Ok(Err(error)) => {
                let error = with_causes(&error);
                return tracing::error!(%error, "cannot take the settings over; those before stay in force");
            }
            Err(error) => return tracing::error!(%error, "reading the settings again stopped"),
        };
        let files = files_of(&running.vendor);
        if running.vendor.settings().serve.listen != listened || files.is_some() != self.speaks_tls {
            tracing::warn!("another address, or TLS instead of plain HTTP or back, needs a restart");
        }
        if let Some(files) = files.filter(|_| self.speaks_tls) {
            // Closed only if the task has ended, which then was logged.
            let _ = self.files.send(files).await;
        }
        self.licenses.replace(licensing).await;
        self.current.send_replace(running);
        tracing::info!("the settings were read again");
    }

    /// Ends the work. What is being written may be killed safely.
    pub fn stop(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn follow_certificate(
    mut served: Served,
    mut new_files: mpsc::Receiver<CertificateFiles>,
    supervision: Supervision,
) {
    let mut ticks = tokio::time::interval(CERTIFICATE_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let files = tokio::select! {
            _ = ticks.tick() => None,
            files = new_files.recv() => files,
        };
        // Two small files, and they are read only when they have changed.
        let followed = tokio::task::spawn_blocking(move || {
            match files {
                Some(files) => served.replace_files(files),
                None => served.follow(),
            }
            served
        });
        served = match followed.await {
            Ok(served) => served,
            Err(_) => return supervision.fail("the care for the certificate", "ended by a panic"),
        };
    }
}

/// Renews what is due, now, every hour and after new settings. A failure is logged and tried again; sites notice only after
/// days.
async fn keep_fresh(mut current: watch::Receiver<Running>) {
    let mut ticks = tokio::time::interval(RENEWAL_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut warned = Vec::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = current.changed() => if changed.is_err() { return },
        }
        let Running { vendor, keyring } = current.borrow_and_update().clone();
        let renewal = tokio::task::spawn_blocking(move || {
            let now = Timestamp::now();
            let mut renewed = renew(&vendor, &keyring, Urgency::WhenDue, now, || {})?;
            renewed.warnings.extend(certificate_warning(&vendor, now));
            Ok(renewed)
        });
        match renewal.await {
            Ok(result) => log_renewal(result, &mut warned),
            Err(error) => tracing::error!(%error, "the renewal stopped"),
        }
    }
}

fn certificate_warning(vendor: &Vendor, now: Timestamp) -> Option<String> {
    match certificate_end(vendor)? {
        Ok(end) => end.warning(now),
        Err(problem) => Some(problem.message),
    }
}

/// A warning that says the same as an hour before is not said again; it changes each day.
fn log_renewal(result: Result<Renewed, RenewError>, warned: &mut Vec<String>) {
    match result {
        Ok(renewed) => {
            for warning in renewed.warnings.iter().filter(|warning| !warned.contains(warning)) {
                tracing::warn!("{warning}");
            }
            *warned = renewed.warnings;
            for (role, expires) in &renewed.roles {
                tracing::info!(%role, %expires, "signed again");
            }
        }
        Err(error) => tracing::error!(error = %with_causes(&error), "cannot renew the repository"),
    }
}
