//! `check`: contact now.

use std::process::ExitCode;

use clap::Args;
use tokio::runtime::Runtime;

use crate::app::agent::Agent;
use crate::app::control::{Request, ask};
use crate::app::daemon::check_answer;

/// Contacts the server now and installs what is assigned; exit status 0 when everything is up to date.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater check
  agent-updater check --json

If the daemon runs, it does the work; else this command does.")]
pub(super) struct Check {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn execute(self, agent: Agent, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        let answer = match runtime.block_on(ask(&agent.home.socket(), &Request::Check))? {
            Some(answer) => answer,
            None => super::blocking(runtime, agent, |agent| check_answer(&agent.cycle()))?,
        };
        super::print_answer(&answer, self.json)
    }
}
