//! Why a computer runs what it runs, and when that changes.

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use sealpost_admin_api::clients::Client;
use sealpost_manifests::ids::{ComputerName, PackageName};

use crate::cli::api::{AdminApi, segment};
use crate::cli::outcome::Outcome;
use crate::cli::output::{plain, print_json, print_line, seconds_away};

/// Say in one sentence for each package what a computer runs, what it should run, and why it does not get that yet.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates why reception-1
  distributor updates why reception-1 acme-av
  distributor updates why reception-1 acme-av --json")]
pub(crate) struct Why {
    /// The computer's name.
    #[arg(value_name = "COMPUTER")]
    computer: String,
    /// Only about this package.
    #[arg(value_name = "PACKAGE")]
    package: Option<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: &AdminApi, options: &Why) -> anyhow::Result<Outcome> {
    let name = ComputerName::new(&options.computer).context("cannot explain a computer")?;
    let package =
        options.package.as_ref().map(PackageName::new).transpose().context("cannot explain a package")?;
    let client: Client = api.get(&format!("/clients/{}", segment(name.as_str()))).await?;
    let mut explanations = client.explanations;
    if let Some(package) = &package {
        explanations.retain(|explanation| explanation.package == *package);
        if explanations.is_empty() {
            bail!(
                "{} does not run {package} and gets nothing of it: either nothing of it is approved or waits for a review \
                 for its channel {} and its platform, as `distributor updates list` shows, or its licenses do not cover it, \
                 as `distributor status` says",
                client.name,
                client.channel
            );
        }
    }
    if options.json {
        print_json(&explanations)?;
        return Ok(Outcome::Done);
    }
    if explanations.is_empty() {
        print_line(format_args!(
            "{} has nothing to run yet: see `distributor clients show {}`",
            client.name, client.name
        ))?;
    }
    let now = Timestamp::now();
    for explanation in explanations {
        print_line(plain(&explanation.sentence))?;
        if let Some(at) = explanation.changes_at {
            print_line(format_args!("  changes {}", seconds_away(at, now)))?;
        }
    }
    Ok(Outcome::Done)
}
