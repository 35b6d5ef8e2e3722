//! `status`: what the agent does and why, read from its files.

use std::process::ExitCode;

use clap::Args;
use sealpost_service::output::{print_json, print_line};

use crate::app::Agent;
use crate::flows::status::Hooks;

use super::paint;

/// Show what this computer runs, what it should run, why not yet, and when that changes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater status
  agent-updater status --hooks
  agent-updater status --json

Needs no daemon and no server.

Exit status:
  0  nothing here needs a person; also while contact is lost, which is tried again by itself
  1  something does (`problems` in the JSON names each by a code): a release was given up or cannot
     be installed here, a rollback cannot be done, a product was stopped and could not be started, a
     package is not as it was signed, the vendor withdrew what runs, the folder of the products is
     not the one of before, a record is damaged, the computer's key cannot be read, there is no
     enrollment or no lease, or the server refuses this computer or is not known by its CA
  2  the command line is not understood")]
pub(super) struct Status {
    /// Print the status as JSON.
    #[arg(long)]
    json: bool,
    /// Say for each hook that is not configured what happens without it.
    #[arg(long)]
    hooks: bool,
}

impl Status {
    pub(super) fn execute(self, agent: &Agent) -> anyhow::Result<ExitCode> {
        let status = agent.status();
        if self.json {
            print_json(&serde_json::to_string_pretty(&status)?)?;
        } else {
            let hooks = if self.hooks { Hooks::Explained } else { Hooks::Named };
            let text = status.to_painted_text(paint::of_stdout(), hooks);
            print_line(text.trim_end_matches('\n'))?;
        }
        Ok(if status.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
