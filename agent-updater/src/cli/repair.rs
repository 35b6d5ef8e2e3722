//! `repair`: puts a package right that is not as it was signed.

use std::process::ExitCode;

use clap::Args;
use sealpost_manifests::ids::PackageName;
use tokio::runtime::Runtime;

use crate::app::Agent;
use crate::control::{Request, ask};
use crate::flows::install_root::accept_new;
use crate::flows::repair::repair;

use super::output::print_answer;
use super::runtime::blocking;

/// Put a package right that somebody removed or changed, and start it; exit status 0 when it is as it was signed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater repair acme-av
  agent-updater repair
  agent-updater repair --new-install-root

Without a package, every installed one is looked at. A whole slot and the link to it need no server;
what is missing is fetched from what the server assigns, and verified anew. The product is stopped
and started by its hooks.")]
pub(super) struct Repair {
    /// The package [default: every installed one].
    package: Option<PackageName>,
    /// Say that the folders of all products are lost for good, or their disk is: the install root is taken as it is, and
    /// what was installed is fetched again.
    #[arg(long)]
    new_install_root: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Repair {
    pub(super) fn execute(self, agent: Agent, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        if self.new_install_root {
            accept_new(&agent.context.host)?;
        }
        let request = Request::Repair(self.package.clone());
        let answer = match runtime.block_on(ask(&agent.home().socket(), &request))? {
            Some(answer) => answer,
            None => blocking(runtime, agent, move |agent| repair(&agent.context, self.package.as_ref()).1)?,
        };
        print_answer(&answer, self.json)
    }
}
