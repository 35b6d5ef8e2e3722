//! `retry`: tries a release again that was given up.

use std::process::ExitCode;

use clap::Args;
use sealpost_manifests::ids::PackageName;
use tokio::runtime::Runtime;

use crate::app::Agent;
use crate::control::{Request, ask};
use crate::flows::retry::retry;

use super::output::print_answer;
use super::runtime::blocking;

/// Try an assigned release again that this computer gave up, after you repaired the cause.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater retry acme-av

Contacts the server at once. What made the release fail (a hook, a missing library, a full disk) is
to be repaired before: if it fails again, it is given up again.")]
pub(super) struct Retry {
    /// The package.
    package: PackageName,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Retry {
    pub(super) fn execute(self, agent: Agent, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        let request = Request::Retry(self.package.clone());
        let answer = match runtime.block_on(ask(&agent.home().socket(), &request))? {
            Some(answer) => answer,
            None => blocking(runtime, agent, move |agent| retry(&agent.context, &self.package).1)?,
        };
        print_answer(&answer, self.json)
    }
}
