//! `rollback`: back to the previous release.

use std::process::ExitCode;

use clap::Args;
use sealpost_manifests::ids::PackageName;
use tokio::runtime::Runtime;

use crate::app::Agent;
use crate::control::{Request, ToUnwanted, ask};

use super::output::print_answer;
use super::runtime::blocking;

/// Go back to the previous release, which is still on this computer.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater rollback acme-av
  agent-updater rollback agent-updater
  agent-updater rollback acme-av --anyway

Works without a server and without a lease. The newer release is not reinstalled automatically; the
next one that is assigned is installed. Of the agent itself, the program of the operating system's package
runs again when no earlier release is kept.")]
pub(super) struct Rollback {
    /// The package.
    package: PackageName,
    /// Go back also to a release that the vendor withdrew, that the site led this computer away from, or that failed here.
    #[arg(long)]
    anyway: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Rollback {
    pub(super) fn execute(self, agent: Agent, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        let to = if self.anyway { ToUnwanted::Allow } else { ToUnwanted::Refuse };
        let request = Request::Rollback(self.package.clone(), to);
        let answer = match runtime.block_on(ask(&agent.home().socket(), &request))? {
            Some(answer) => answer,
            None => {
                let package = self.package.clone();
                blocking(runtime, agent, move |agent| agent.asked_back(&package, to))??
            }
        };
        print_answer(&answer, self.json)
    }
}
