//! `publisher lint`

use std::path::Path;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;

use super::output::{Ending, Tone, counted, painted, print_json, print_line, spinner, waiting};
use crate::home::Vendor;
use crate::lint::{Level, lint};
use crate::publication::{lifetimes, read_root};

/// Read the published repository as a stranger would, and report every defect at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher --home acme lint
  publisher --home acme lint --json

Exit status 1 if there is a defect; what only needs attention is printed as a warning.")]
pub(super) struct Options {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(home: &Path, options: Options) -> anyhow::Result<Ending> {
    let vendor = Vendor::open(home)?;
    let root = read_root(&vendor)?;
    // So that nothing changes while it is read.
    let lock = vendor.lock(waiting)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start reading the repository")?;
    let bar = spinner();
    bar.set_message("reading every file of the repository");
    let lifetimes = lifetimes(&vendor.settings().lifetime_days);
    let report = runtime.block_on(lint(&vendor.repository(), &root, Some(&lifetimes), Timestamp::now()));
    bar.finish_and_clear();
    let report = report?;
    drop(lock);
    if options.json {
        print_json(&report)?;
    } else {
        for finding in &report.findings {
            let (level, tone) = match finding.level {
                Level::Defect => ("defect", Tone::Bad),
                Level::Warning => ("warning", Tone::Attention),
            };
            print_line(format_args!("{}: {}: {}", painted(level, tone), finding.subject, finding.problem))?;
        }
        let defects = report.findings.iter().filter(|finding| finding.level == Level::Defect).count();
        print_line(format_args!(
            "{}, {}, {} checked: {}, {}",
            counted(report.packages, "package"),
            counted(report.releases, "release"),
            counted(report.targets, "target"),
            counted(defects, "defect"),
            counted(report.findings.len() - defects, "warning")
        ))?;
    }
    Ok(if report.is_sound() { Ending::Done } else { Ending::DefectsFound })
}
