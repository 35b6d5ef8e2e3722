//! `install-file`: the work of an install file, which unpacked this program and started it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use sealpost_service::output::{print_json, print_line};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::app::Agent;
use crate::flows::first_install::{Mode, Order, Outcome, Step};

use super::runtime::blocking;

/// Install what an install file brought. No person types it: the install file does.
#[derive(Debug, Args)]
pub(super) struct InstallFile {
    /// The folder that the install file unpacked.
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
    /// Change nothing, and say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Take it back: stop the service and remove the program. Products and the home stay.
    #[arg(long)]
    uninstall: bool,
    /// Print the steps as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Steps {
    /// Those that were looked at, in their order; the same again does the others.
    steps: Vec<Step>,
    /// Whether that is all of them.
    complete: bool,
}

impl InstallFile {
    pub(super) fn execute(self, agent: Agent, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        let mode = if self.dry_run { Mode::DryRun } else { Mode::Do };
        if mode == Mode::Do && !rustix::process::geteuid().is_root() {
            bail!(
                "an install file changes the system: run it as root, or look at what it would do with --dry-run"
            );
        }
        let json = self.json;
        let (done, steps) = blocking(runtime, agent, move |agent| {
            let mut steps = Vec::new();
            let mut tell = |step: Step| {
                if !json {
                    // As they are done: an enrollment may take a while.
                    let _ = print_line(line(&step));
                }
                steps.push(step);
            };
            let order = Order { from: &self.from, system: Path::new("/"), mode };
            let done = if self.uninstall {
                agent.remove_first_install(order, &mut tell)
            } else {
                agent.first_install(order, &mut tell)
            };
            (done, steps)
        })?;
        if json {
            print_json(&serde_json::to_string_pretty(&Steps { steps, complete: done.is_ok() })?)?;
        }
        done?;
        Ok(ExitCode::SUCCESS)
    }
}

fn line(step: &Step) -> String {
    let how = match step.outcome {
        Outcome::Done => "done",
        Outcome::WasSo => "already so",
        Outcome::Would => "would do",
        Outcome::ByHand => "by hand",
    };
    format!("{:<13} {how:<10} {}", step.what, step.says)
}
