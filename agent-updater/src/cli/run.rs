//! `run`: the daemon.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use tokio::runtime::Runtime;

use crate::app::Agent;

/// Run the agent until SIGTERM or SIGINT: contact the server when due or woken, and install what is assigned.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater run
  SEALPOST_LOG=debug agent-updater --home /srv/agent run

Prints `running` once it is ready; logs to stderr. A newer version of the agent that the site approved
runs in the place of this program; `agent-updater status` says which one runs, and why.")]
pub(super) struct Run {
    /// Used by the agent itself: execute the program that is on trial, as a child of this process.
    #[arg(long, hide = true, value_name = "PID")]
    trial_of: Option<u32>,
}

impl Run {
    pub(super) fn execute(
        self,
        agent: Agent,
        config: Option<&Path>,
        runtime: &Runtime,
    ) -> anyhow::Result<ExitCode> {
        match self.trial_of {
            Some(watchdog) => agent.become_trial(config, watchdog)?,
            None => runtime.block_on(agent.launch(config))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
