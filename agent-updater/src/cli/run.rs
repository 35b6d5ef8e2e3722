//! `run`: the daemon.

use std::process::ExitCode;

use clap::Args;
use tokio::runtime::Runtime;

use crate::app::Agent;

/// Runs the agent until SIGTERM or SIGINT: contacts the server when due or woken, and installs what is assigned.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater run
  SEALPOST_LOG=debug agent-updater --home /srv/agent run

Prints `running` once it is ready; logs to stderr.")]
pub(super) struct Run {}

impl Run {
    pub(super) fn execute(self, agent: Agent, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        runtime.block_on(agent.run())?;
        Ok(ExitCode::SUCCESS)
    }
}
