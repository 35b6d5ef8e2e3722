//! How far this computer got: by itself, and with the server that it works with.

use jiff::Timestamp;
use sealpost_manifests::ids::ServerId;

use crate::home::Home;
use crate::platform::store::StoreError;

use super::computer::ComputerProgress;
use super::server::ServerRecords;
use super::servers;
use super::standing::ServerStanding;

#[derive(Debug, Clone, Default)]
pub struct Progress {
    pub computer: ComputerProgress,
    /// How it stands with [`Progress::server`]; the default before enrollment.
    pub standing: ServerStanding,
    server: Option<ServerId>,
}

impl Progress {
    /// Reads it; the default before enrollment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(home: &Home) -> Result<Self, StoreError> {
        let computer = ComputerProgress::load(home)?;
        let server = servers::load(home)?.into_iter().next();
        let standing = match &server {
            Some(server) => ServerRecords::of(home, server).standing()?,
            None => ServerStanding::default(),
        };
        Ok(Self { computer, standing, server })
    }

    /// Writes it; durable at return.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn save(&self, home: &Home) -> Result<(), StoreError> {
        self.computer.save(home)?;
        match &self.server {
            Some(server) => ServerRecords::of(home, server).save_standing(&self.standing),
            None => Ok(()),
        }
    }

    /// The server that this computer works with; `None` before enrollment.
    #[must_use]
    pub const fn server(&self) -> Option<&ServerId> {
        self.server.as_ref()
    }

    /// License time at a clock time.
    #[must_use]
    pub fn license_time(&self, now: Timestamp) -> Timestamp {
        self.computer.floors.license_time(now)
    }
}
