//! What every flow works with: this computer, and the network to its server.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_hook_runner::Runner;
use sealpost_keys::token::random_bytes;
use sealpost_repository::Pace;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::config::Settings;
use crate::domain::boot::BootMoment;
use crate::domain::floors::Floors;
use crate::domain::time::whole_seconds;
use crate::home::Home;
use crate::platform::network::Network;
use crate::ports::{Clock, Disk, Faults};
use crate::server::pin::TlsTimes;
use crate::server::{Access, Connections};

/// This computer. All that an install works with: it has no network, and gets bytes only through
/// [`crate::ports::Source`].
pub struct Host {
    pub home: Home,
    pub settings: Settings,
    pub clock: Arc<dyn Clock>,
    pub disk: Box<dyn Disk>,
    /// How hooks are run.
    pub runner: Runner,
    /// Where tests end the process. Shared with tasks that go on beside a reload.
    pub faults: Arc<dyn Faults>,
    /// Set when the agent is to stop: nothing new begins, and a change that has touched the product is finished.
    pub stop: Arc<AtomicBool>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("home", &self.home).finish_non_exhaustive()
    }
}

impl Host {
    /// The time of the clock, in whole seconds.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        whole_seconds(self.clock.now())
    }

    /// This moment on the boot clock; `None` if it cannot be read.
    #[must_use]
    pub fn boot(&self) -> Option<BootMoment> {
        self.clock.boot()
    }

    /// The times at which a server's certificate is judged.
    pub(super) fn tls_times(&self, setup_issued_at: Timestamp, floors: &Floors) -> TlsTimes {
        TlsTimes { clock: Arc::clone(&self.clock), issued_at: setup_issued_at, floor: floors.license() }
    }
}

/// This computer and its network. Flows block, and are to be called from a thread that may; the network runs on
/// another one.
#[derive(Debug)]
pub struct Context {
    pub host: Host,
    pub network: Network,
    /// Interrupts waits for the network while a person waits for something that needs no server.
    pub interrupt: Arc<AtomicBool>,
    /// The right to read from the server that the last answered contact gave; whoever listens for its wakes sees it at
    /// once, and not only when what the contact brought is installed.
    pub access: watch::Sender<Option<Access>>,
    /// The clients of the servers, with what is open to them.
    pub connections: Connections,
    /// How fast downloads have to come.
    pub pace: Arc<Pace>,
}

/// Reads the configuration again, on a thread that may block; called between cycles, which all see one configuration,
/// while nobody else holds the context. What is wrong with it is logged, and the old one stays.
pub(super) async fn reload(context: &mut Arc<Context>) {
    let (before, home) = (context.host.settings.clone(), context.host.home.clone());
    let Ok(read) = spawn_blocking(move || before.again(&home)).await else {
        tracing::error!("the configuration was not read again; the one of before stays in force");
        return;
    };
    let Some(context) = Arc::get_mut(context) else {
        tracing::error!("the configuration is in use and was not read again; send the signal again");
        return;
    };
    match read {
        Ok(settings) => {
            context.pace.set(settings.min_bytes_per_second);
            context.host.settings = settings;
            tracing::info!("the configuration was read again");
        }
        Err(error) => tracing::error!("{}; the configuration of before stays in force", with_causes(&error)),
    }
}

/// A number that differs between computers and calls; not a secret.
pub(super) fn seed() -> u64 {
    random_bytes::<8>().map_or(0, u64::from_le_bytes)
}
