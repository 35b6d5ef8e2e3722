//! `check`: contact now.

use std::process::ExitCode;

use clap::Args;
use tokio::runtime::Runtime;

use crate::app::Agent;
use crate::control::{Request, ask};

use super::output::print_answer;
use super::runtime::blocking;

/// Contact the server now and install what is assigned; exit status 0 when everything is up to date.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater check
  agent-updater check --json

If the daemon runs, it does the work; otherwise this command does.")]
pub(super) struct Check {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn execute(self, agent: Agent, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        let answer = match runtime.block_on(ask(&agent.home().socket(), &Request::Check))? {
            Some(answer) => answer,
            None => blocking(runtime, agent, |agent| agent.cycle().answer())?,
        };
        print_answer(&answer, self.json)
    }
}
