//! `enroll`: from the administrator's setup file to an enrolled computer.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use sealpost_keys::Fingerprint;
use sealpost_manifests::ids::ComputerName;
use sealpost_service::output::{print_line, tell};
use tokio::runtime::Runtime;

use crate::app::Agent;
use crate::flows::enroll::{EnrollError, OtherName};
use crate::records::waiting::WaitingKnock;

use super::runtime::blocking;

/// Enroll this computer with the server of a setup file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater enroll --setup pc-1.setup.json
  agent-updater enroll --setup pc-1.setup.json --root /usr/share/acme/root.json
  agent-updater enroll --setup pc-2.setup.json --replace
  agent-updater enroll --setup knock.json --name lab-7

Before enrolling, write HOME/agent.toml if the product has hooks (test_load, stop, start, health).
If the answer is lost, run the same command again: the same enrollment comes back.

With a knock setup file this computer waits until an administrator admits it by its key, which is
printed. The daemon (`agent-updater run`) asks again every quarter of an hour and enrolls it then.

Exit status:
  0  enrolled
  1  not enrolled; also while it waits to be admitted
  2  the command line is not understood")]
pub(super) struct Enroll {
    /// The setup file, as `distributor clients setup NAME` wrote it.
    #[arg(long, value_name = "FILE")]
    setup: PathBuf,
    /// The vendor's root.json; once pinned it is never replaced [default: HOME/root.json].
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// The name that it asks for, with a knock setup file [default: what this computer calls itself].
    #[arg(long, value_name = "NAME")]
    name: Option<ComputerName>,
    /// Take another name than this computer has with the server: a further seat, and the old one stays used.
    #[arg(long)]
    replace: bool,
}

impl Enroll {
    pub(super) fn execute(self, agent: Agent, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        let other_name = if self.replace { OtherName::Replace } else { OtherName::Refuse };
        let enrolled = blocking(runtime, agent, move |agent| {
            agent.enroll_under(&self.setup, self.root.as_deref(), self.name.as_ref(), other_name)
        })?;
        let enrolled = match enrolled {
            Err(EnrollError::Waits(waiting)) => return waits(&waiting),
            other => other?,
        };
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

/// What a person has to bring to the administrator.
fn waits(waiting: &WaitingKnock) -> anyhow::Result<ExitCode> {
    let key = Fingerprint::of(&waiting.client_key);
    print_line(format_args!("{} waits to be admitted; its key is", waiting.computer_name))?;
    print_line(format_args!("  {}", key.grouped()))?;
    tell(format_args!(
        "next: compare that key where the server is administrated, and run there `{}`",
        waiting.command()
    ));
    tell(
        "then this computer enrolls by itself if the daemon (`agent-updater run`) runs; it asks every quarter of an hour",
    );
    Ok(ExitCode::FAILURE)
}
