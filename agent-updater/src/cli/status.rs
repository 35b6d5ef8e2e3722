//! `status`: what the agent does and why, read from its files.

use std::process::ExitCode;

use clap::Args;

use crate::app::Agent;

/// Shows what this computer runs, what it should run, why not yet, and when that changes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater status
  agent-updater status --json

Needs no daemon and no server. Also shows which hooks are not configured, and the consequence.")]
pub(super) struct Status {
    /// Print the status as JSON.
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn execute(self, agent: &Agent) -> anyhow::Result<ExitCode> {
        let status = agent.status();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&status)?);
        } else {
            print!("{}", status.to_text());
        }
        Ok(ExitCode::SUCCESS)
    }
}
