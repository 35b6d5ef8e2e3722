//! `enroll`: from the administrator's setup file to an enrolled computer.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use sealpost_service::output::{print_line, tell};
use tokio::runtime::Runtime;

use crate::app::Agent;
use crate::flows::enroll::OtherName;

use super::runtime::blocking;

/// Enroll this computer with the server of a setup file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater enroll --setup pc-1.setup.json
  agent-updater enroll --setup pc-1.setup.json --root /usr/share/acme/root.json
  agent-updater enroll --setup pc-2.setup.json --replace

Before enrolling, write HOME/agent.toml if the product has hooks (test_load, stop, start, health).
If the answer is lost, run the same command again: the same enrollment comes back.")]
pub(super) struct Enroll {
    /// The setup file, as `distributor clients setup NAME` wrote it.
    #[arg(long, value_name = "FILE")]
    setup: PathBuf,
    /// The vendor's root.json; once pinned it is never replaced [default: HOME/root.json].
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// Take another name than this computer has with the server: a further seat, and the old one stays used.
    #[arg(long)]
    replace: bool,
}

impl Enroll {
    pub(super) fn execute(self, agent: Agent, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        let other_name = if self.replace { OtherName::Replace } else { OtherName::Refuse };
        let enrolled = blocking(runtime, agent, move |agent| {
            agent.enroll(&self.setup, self.root.as_deref(), other_name)
        })??;
        for warning in &enrolled.warnings {
            tell(format_args!("warning: {warning}"));
        }
        let enrollment = enrolled.enrollment;
        let (name, client_id) = (enrollment.computer_name, enrollment.client_id);
        print_line(format_args!("enrolled as {name} (client {client_id})"))?;
        tell(
            "next: start the daemon (`agent-updater run`), or contact the server once (`agent-updater check`)",
        );
        Ok(ExitCode::SUCCESS)
    }
}
