//! `distributor clients schedules`: the installs that are planned.

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use sealpost_admin_api::schedules::{MAX_SCHEDULES, ScheduleLine, SchedulesPage};

use crate::cli::api::AdminApi;
use crate::cli::outcome::Outcome;
use crate::cli::output::{Table, print_json, seconds, tell};
use crate::cli::pages::Pages;

/// List the installs that are planned: when each is due, how, and what became of the last try.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients schedules
  distributor clients schedules --json")]
pub(in crate::cli) struct Options {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: &AdminApi, options: &Options) -> anyhow::Result<Outcome> {
    let page = all(api).await?;
    if options.json {
        print_json(&page)?;
        return Ok(Outcome::Done);
    }
    if page.schedules.is_empty() {
        tell("no install is planned");
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["NAME", "STATE", "AT", "HOW", "TRIES", "RESULT"]).with_states(1);
    for line in &page.schedules {
        table.row(cells(line));
    }
    table.print()?;
    Ok(Outcome::Done)
}

/// Everything that is planned, by name.
pub(super) async fn all(api: &AdminApi) -> anyhow::Result<SchedulesPage> {
    let mut pages = Pages::<SchedulesPage>::of(api, &format!("/schedules?limit={MAX_SCHEDULES}"));
    let mut whole = pages.next().await?.context("cannot read what is planned: nothing was asked")?;
    while let Some(mut page) = pages.next().await? {
        whole.schedules.append(&mut page.schedules);
    }
    Ok(whole)
}

fn cells(line: &ScheduleLine) -> [String; 6] {
    let how = match &line.schedule.ssh {
        Some(ssh) => format!("ssh {}", ssh.target),
        None => "install file".to_owned(),
    };
    let result = match &line.stands.failure {
        Some(failure) if line.stands.reason.is_empty() => failure.clone(),
        Some(failure) => format!("{failure}: {}", line.stands.reason),
        None => since(line.stands.tried_at),
    };
    [
        line.name.to_string(),
        line.stands.install_state.to_string(),
        seconds(line.schedule.at),
        how,
        line.stands.tries.to_string(),
        result,
    ]
}

fn since(tried_at: Option<Timestamp>) -> String {
    tried_at.map_or_else(|| "-".to_owned(), |at| format!("since {}", seconds(at)))
}
