//! `audit`: every installed file against its signed manifest.

use std::process::ExitCode;

use clap::Args;
use sealpost_service::output::{print_json, print_line};

use crate::app::Agent;

/// Check every installed file again against the manifest that the vendor signed; exit status 1 on any difference.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater audit
  agent-updater audit --json")]
pub(super) struct Audit {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(super) fn execute(self, agent: &Agent) -> anyhow::Result<ExitCode> {
        let audited = agent.audit()?;
        if self.json {
            print_json(&serde_json::to_string_pretty(&audited)?)?;
        } else {
            for one in &audited {
                let result = if one.problems.is_empty() { "as signed" } else { "NOT as signed" };
                let files = if one.files == 1 { "file" } else { "files" };
                print_line(format_args!(
                    "{} {} ({}): {} {files}, {result}",
                    one.package, one.version, one.slot, one.files
                ))?;
                for problem in &one.problems {
                    print_line(format_args!("  {problem}"))?;
                }
            }
            if audited.is_empty() {
                print_line("nothing is installed")?;
            }
        }
        let sound = audited.iter().all(|one| one.problems.is_empty());
        Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
