//! `distributor clients list`: the computers in lines, or what each of them runs.

use clap::Args;
use jiff::Timestamp;
use sealpost_admin_api::client_lines::ClientLinesQuery;
use sealpost_admin_api::clients::{ClientsPage, MAX_CLIENTS};
use sealpost_manifests::ids::{PackageName, SerialNumber};
use sealpost_manifests::version::Version;
use sealpost_manifests::wire::contact::DriftKind;
use sealpost_site::rules::computer_filter::Sort;
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::standing::ComputerState;

use super::cells::{content, refreshed, runs, should_run};
use super::lines::{self, Form};
use crate::cli::api::AdminApi;
use crate::cli::outcome::Outcome;
use crate::cli::output::{Table, counted, name_of, print_json, seconds_or_dash, tell};
use crate::cli::pages;
use crate::cli::when;

/// List the computers that hold a seat: how they stand, what they run, and when they were heard last.
///
/// A computer is Reserved until it enrolls, and Active from then on. It is Contact lost when it is silent for longer than its
/// longest pause of the last weeks, at least four hours, and an hour for one more try; time in which the server did not run does
/// not count. Two computers means that two use its identity: see both with `distributor clients show NAME`, and say with
/// `distributor clients resolve NAME --keep CONTACT` which one goes on. The gate is `run` from the first license on, for good, and
/// `run, upload, remote` (remote management) while it is in contact.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients list
  distributor clients list --state contact-lost --sort last-contact
  distributor clients list --group lab --package acme-av --version 5.2
  distributor clients list --silent-for 10d --csv
  distributor clients list --serial ABCDE-FGHJK-MNPQR-STVWX --json
  distributor clients list --runs
  distributor clients list --outdated --failing

Of several conditions each has to be met. Nothing is printed before the server answered. If it goes away in
the middle of a long list the command ends with 1, and JSON is left open there, so that nobody takes it for
the whole list; with CSV look at the exit code.")]
pub(in crate::cli) struct Options {
    /// Only those that stand so: scheduled, installing, failed, reserved, active, contact-lost or two-computers.
    #[arg(help_heading = "Which computers", long)]
    state: Option<ComputerState>,
    /// Only those of this group, by its list or by its rule.
    #[arg(help_heading = "Which computers", long)]
    group: Option<GroupName>,
    /// Only those that run this package.
    #[arg(help_heading = "Which computers", long)]
    package: Option<PackageName>,
    /// Only those that run this version, of the package where one is given.
    #[arg(help_heading = "Which computers", long)]
    version: Option<Version>,
    /// Only enrolled ones that were not heard for so long, such as 90m, 8h or 10d.
    #[arg(help_heading = "Which computers", long, value_name = "AGE")]
    silent_for: Option<String>,
    /// Only those that hold a seat of this serial number.
    #[arg(help_heading = "Which computers", long)]
    serial: Option<SerialNumber>,
    /// Sort by name, state, version or last-contact; with a hyphen in front from the other end [default: name].
    #[arg(help_heading = "How it is printed", long, value_name = "BY", allow_hyphen_values = true)]
    sort: Option<Sort>,
    /// Instead say what each runs and should run, how old its signature files are, and until when its lease is good.
    #[arg(help_heading = "What they run", long, conflicts_with_all = LINES)]
    runs: bool,
    /// The same of those whose last report says that the install of an approved release failed, whether they try again or not,
    /// and those that are refused because another computer uses the same identity.
    #[arg(help_heading = "What they run", long, conflicts_with_all = LINES)]
    failing: bool,
    /// The same of enrolled ones that were not heard for more than 10 days; after a restore they have that long again.
    #[arg(help_heading = "What they run", long, conflicts_with_all = LINES)]
    offline: bool,
    /// The same of those that have not installed what they were told to run, 24 hours after it was approved for their channel.
    /// Newer releases that came meanwhile give no further time.
    #[arg(help_heading = "What they run", long, conflicts_with_all = LINES)]
    outdated: bool,
    /// Print the answer as JSON.
    #[arg(help_heading = "How it is printed", long)]
    json: bool,
    /// Print it as CSV for a spreadsheet, with everything that `--json` has.
    #[arg(help_heading = "How it is printed", long, conflicts_with = "json")]
    csv: bool,
}

/// The options of the list in lines: what the longer one does not know.
const LINES: [&str; 8] = ["state", "group", "package", "version", "silent_for", "serial", "sort", "csv"];

pub(super) async fn run(api: &AdminApi, options: Options) -> anyhow::Result<Outcome> {
    if options.runs || options.failing || options.offline || options.outdated {
        return what_they_run(api, &options).await;
    }
    let Options { state, group, package, version, silent_for, serial, sort, json, csv, .. } = options;
    let silent_for = silent_for.map(|text| when::seconds_of("--silent-for", &text)).transpose()?;
    let query = ClientLinesQuery {
        after: None,
        limit: None,
        sort,
        state,
        group,
        package,
        version,
        silent_for,
        serial,
    };
    let form = if json {
        Form::Json
    } else if csv {
        Form::Csv
    } else {
        Form::Table
    };
    lines::run(api, query, form).await
}

/// What each computer runs and should run, of all or of those with which something is wrong.
async fn what_they_run(api: &AdminApi, options: &Options) -> anyhow::Result<Outcome> {
    let Options { failing, offline, outdated, .. } = *options;
    let conditions = [(failing, "failing"), (offline, "offline"), (outdated, "outdated")];
    let conditions: Vec<&str> =
        conditions.into_iter().filter(|(is_met, _)| *is_met).map(|(_, name)| name).collect();
    let query: String = conditions.iter().map(|name| format!("&{name}=true")).collect();
    let all = pages::all::<ClientsPage>(api, &format!("/clients?limit={MAX_CLIENTS}{query}")).await?;
    if options.json {
        print_json(&ClientsPage { clients: all, next: None })?;
        return Ok(Outcome::Done);
    }
    let now = Timestamp::now();
    let mut table = Table::new(&[
        "NAME",
        "STATE",
        "CHANNEL",
        "VERSION",
        "RUNS",
        "SHOULD RUN",
        "CONTENT AGE",
        "LAST REFRESH",
        "LEASE UNTIL",
    ])
    .with_states(1);
    for client in &all {
        table.row([
            client.name.to_string(),
            name_of(client.state),
            client.channel.to_string(),
            client.display_version.clone(),
            runs(client),
            should_run(client),
            content(client),
            refreshed(client.last_contact, client.came_by, now),
            seconds_or_dash(client.lease_until),
        ]);
    }
    if all.is_empty() && !conditions.is_empty() {
        tell(format_args!("no computer is {}", conditions.join(" and ")));
        return Ok(Outcome::Done);
    }
    table.print()?;
    let with = |is: &dyn Fn(DriftKind) -> bool| {
        all.iter().filter(|client| client.drift.iter().any(|drift| is(drift.kind))).count() as u64
    };
    let stopped = with(&|kind| kind == DriftKind::NotStarted);
    if stopped > 0 {
        let says = counted(stopped, "computer says", "computers say");
        tell(format_args!(
            "{says} that a product does not run because it could not be started: see `distributor clients show`"
        ));
    }
    let drifted = with(&|kind| kind != DriftKind::NotStarted);
    if drifted > 0 {
        let says = counted(drifted, "computer says", "computers say");
        tell(format_args!(
            "{says} that packages are not as they were signed (marked !): see `distributor clients show`"
        ));
    }
    Ok(Outcome::Done)
}
