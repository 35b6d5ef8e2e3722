//! Why the launcher ended.

use std::io;

use crate::flows::daemon::DaemonError;
use crate::home::HomeError;
use crate::ports::Killed;
use crate::records::self_state::SelfStateError;

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    #[error("it is not known which program of the agent is to run")]
    State(#[from] SelfStateError),
    #[error("the agent cannot {action}")]
    System {
        action: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the program that is on trial cannot be executed")]
    NotExecuted(#[source] crate::platform::program::ProgramError),
    #[error("there is no program on trial; this command is for the agent itself")]
    NoTrial,
    /// Its disk work panicked. The record holds what it was doing; a restart goes on from there.
    #[error("the launcher ended by a fault of the program; restart the daemon and report what its log says")]
    Panicked,
    /// A test simulated a kill here.
    #[error(transparent)]
    Killed(#[from] Killed),
}
