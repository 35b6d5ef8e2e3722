//! The agent: everything that a cycle, a rollback or an enrollment stands on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;
use tokio::runtime::Handle;

use crate::platform::network::Network;

use crate::config::{ConfigError, Settings};
use crate::domain::time::whole_seconds;
use crate::home::Home;
use crate::ports::{Clock, Disk, Faults};
use crate::server::Endpoint;

use super::engine::Ground;
use super::system::{ProcessFaults, SystemClock, SystemDisk};

/// The agent. Its methods block, and are to be called from a thread that may; the network runs elsewhere.
pub struct Agent {
    /// Its home.
    pub home: Home,
    /// Its configuration.
    pub settings: Settings,
    /// The clock.
    pub clock: Box<dyn Clock>,
    /// The disk.
    pub disk: Box<dyn Disk>,
    /// Where tests end the process.
    pub faults: Box<dyn Faults>,
    /// Set when the agent is to stop.
    pub stop: Arc<AtomicBool>,
    /// Set while a person waits for something that needs no server: what waits for one gives way.
    pub give_way: Arc<AtomicBool>,
    /// The network.
    pub network: Network,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("home", &self.home).finish_non_exhaustive()
    }
}

/// The right to read from a server for a while.
#[derive(Clone)]
pub struct Access {
    /// The address that answered.
    pub endpoint: Endpoint,
    /// The token. A secret.
    pub token: String,
    /// When it ends.
    pub until: Timestamp,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("endpoint", &self.endpoint.address()).finish_non_exhaustive()
    }
}

impl Agent {
    /// The agent of a home, with its real clock and disk.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(home: Home, config: Option<&Path>, runtime: Handle) -> Result<Self, ConfigError> {
        let default = home.config();
        // A default file may be missing; one that was named and is not there would be hooks that never run.
        if let Some(named) = config {
            named.metadata().map_err(|source| ConfigError::Unreadable(named.to_owned(), source))?;
        }
        let settings = Settings::load(config.unwrap_or(&default), home.path())?;
        let (stop, give_way) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        Ok(Self {
            network: Network::new(runtime, &[&stop, &give_way]),
            settings,
            home,
            clock: Box::new(SystemClock),
            disk: Box::new(SystemDisk),
            faults: Box::new(ProcessFaults),
            stop,
            give_way,
        })
    }

    /// What the engine stands on.
    #[must_use]
    pub fn ground(&self) -> Ground<'_> {
        Ground {
            home: &self.home,
            settings: &self.settings,
            clock: &*self.clock,
            disk: &*self.disk,
            faults: &*self.faults,
            stop: &self.stop,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        whole_seconds(self.clock.now())
    }
}

/// A number that differs between computers and calls; not a secret.
pub(super) fn seed() -> u64 {
    sealpost_keys::token::random_bytes::<8>().map_or(0, u64::from_le_bytes)
}
