//! `install`: starts an install that waits for a person.

use std::process::ExitCode;

use clap::Args;
use sealpost_manifests::ids::PackageName;
use tokio::runtime::Runtime;

use crate::app::Agent;
use crate::control::{Request, ask};
use crate::flows::hold::install;

use super::output::print_answer;
use super::runtime::blocking;

/// Start an install that the site leaves to a person, or that was put off.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater install acme-av
  agent-updater install

Contacts the server first. Only what the site approved for this computer is installed, and only within
the site's window.")]
pub(super) struct Install {
    /// The package [default: every one that waits].
    package: Option<PackageName>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Install {
    pub(super) fn execute(self, agent: Agent, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        let request = Request::Install(self.package.clone());
        let answer = match runtime.block_on(ask(&agent.home().socket(), &request))? {
            Some(answer) => answer,
            None => blocking(runtime, agent, move |agent| install(&agent.context, self.package.as_ref()).1)?,
        };
        print_answer(&answer, self.json)
    }
}
