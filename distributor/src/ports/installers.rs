//! Install files: one executable that brings a computer up. A port, because HTTP must not know how one is put together.

use std::fs::File;
use std::io;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sealpost_admin_api::setups::HookFile;
use sealpost_keys::Minisig;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ComputerName, Platform, ServerId};

use tokio::sync::OwnedSemaphorePermit;

use super::staging::StagingError;

/// What goes into an install file. Not `Debug`: the setup file is a secret.
pub struct InstallerOrder {
    /// The computer that it is for, as it holds its seat.
    pub name: ComputerName,
    /// The server that it will be a client of.
    pub server: ServerId,
    /// The manifest of the agent's release.
    pub agent: Sha256Digest,
    /// For which platform that is.
    pub platform: Platform,
    /// The text of the setup file.
    pub setup: String,
    /// The text of the agent's configuration, if it brings one.
    pub config: Option<String>,
    /// The hooks that it brings.
    pub hooks: Vec<HookFile>,
    /// It waits until then.
    pub not_before: Option<Timestamp>,
    /// When it is made; that stands in it.
    pub made_at: Timestamp,
}

/// An install file that was made. It has no name on the disk, so that nothing of it stays.
#[derive(Debug)]
pub struct Installer {
    /// The file, at its beginning.
    pub file: File,
    /// The site's signature of it.
    pub signature: Minisig,
    /// Its room on the disk: kept for as long as the file is open.
    pub place: OwnedSemaphorePermit,
}

/// Why none was made.
#[derive(Debug, thiserror::Error)]
pub enum InstallerError {
    #[error("cannot take the agent's program out of its release")]
    Staging(#[from] StagingError),
    /// What is stored of the release is not here, was changed, or has no program.
    #[error("{0}")]
    Absent(&'static str),
    #[error("cannot put the install file together; check disk space and permissions of the server's home")]
    Io(#[from] io::Error),
    #[error("{0} install files are made or fetched just now, and no more may lie here at once")]
    Busy(usize),
    #[error("the thread that puts an install file together ended; the log says why")]
    Ended,
}

/// Makes install files, each from one order.
pub trait Installers: Send + Sync {
    /// Puts one together and signs it. The release's program is verified against its signed manifest first.
    fn make(&self, order: InstallerOrder) -> BoxFuture<'_, Result<Installer, InstallerError>>;
}
