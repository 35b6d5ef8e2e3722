//! `distributor clients show`: one computer, as its setup information shows it.

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use sealpost_admin_api::clients::Client;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::contact::DriftKind;
use sealpost_site::changes::seat_history::SetupOutcome;
use sealpost_site::rules::came_by::CameBy;
use sealpost_site::rules::contact::ClientState;
use sealpost_site::rules::copies::{Decided, TwoComputers};

use super::cells::{runs, should_run};
use super::{resolve, setup_info};
use crate::cli::api::{AdminApi, segment};
use crate::cli::colors;
use crate::cli::outcome::Outcome;
use crate::cli::output::{age, name_of, plain, print_json, print_line, seconds, seconds_away};

/// Show one computer: its license and setup files, when it comes, what it runs, what it should run, and its last reports.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients show reception-1
  distributor clients show reception-1 --json")]
pub(in crate::cli) struct Options {
    /// The computer's name.
    name: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: &AdminApi, options: &Options) -> anyhow::Result<Outcome> {
    let name = ComputerName::new(&options.name).context("cannot show a computer")?;
    let client: Client = api.get(&format!("/clients/{}", segment(name.as_str()))).await?;
    if options.json {
        print_json(&client)?;
        return Ok(Outcome::Done);
    }
    let now = Timestamp::now();
    let info = client.setup_info.as_ref();
    let state = info.map_or_else(|| name_of(client.state), |info| info.state.to_string());
    let state = colors::state(&state);
    print_line(format_args!("{}: {state}, channel {}", client.name, client.channel))?;
    print_line(format_args!("  version       {}", plain(&client.display_version)))?;
    print_line(format_args!("  reserved at   {}", seconds(client.reserved_at)))?;
    if let Some(info) = info {
        setup_info::seats(&client.name, info, now)?;
        setup_info::install(info, now)?;
    }
    let came = client.came_by.map_or_else(String::new, |way| match way {
        CameBy::File => ", by file".to_owned(),
        CameBy::Network(address) => format!(", from {address}"),
    });
    print_line(format_args!("  last refresh  {}{came}", aged_or_dash(client.last_contact, now)))?;
    let lease_until = client.lease_until.map_or_else(|| "-".to_owned(), |end| seconds_away(end, now));
    print_line(format_args!("  lease until   {lease_until}"))?;
    if let Some(info) = info {
        setup_info::contacts(info, now)?;
    }
    print_line(format_args!("  connected     {}", if client.connected { "yes" } else { "no" }))?;
    if let Some(platform) = &client.platform {
        print_line(format_args!("  platform      {platform}"))?;
    }
    if let Some(agent) = &client.agent_version {
        print_line(format_args!("  agent         {}", plain(agent)))?;
    }
    if let Some(hostname) = &client.hostname {
        print_line(format_args!("  host name     {}", plain(hostname)))?;
    }
    if let Some(id) = &client.client_id {
        print_line(format_args!("  client id     {id}"))?;
    }
    if let Some(instance) = &client.instance {
        print_line(format_args!("  instance      {instance}"))?;
    }
    copies(&client, now)?;
    if let Some(fork) = &client.log_fork {
        print_line(format_args!(
            "  log forked    {}: it holds the head of {} entries sha256:{}, and was shown {} entries sha256:{}, which \
             does not extend it; run `distributor log verify`",
            seconds(fork.at),
            fork.held.size,
            fork.held.root,
            fork.seen.size,
            fork.seen.root
        ))?;
    }
    if let Some(resumed) = &client.resumed {
        print_line(format_args!(
            "  resumed       {} after a restore of the server, from its contact {}; served until {} if the vendor does \
             not confirm",
            seconds(resumed.at),
            resumed.contacts,
            seconds(resumed.provisional_until)
        ))?;
        if let Some(displaced) = resumed.displaced {
            print_line(format_args!(
                "  displaced     another computer with this identity, which went on from contact {displaced} and is refused"
            ))?;
        }
    }
    if let Some(info) = info {
        setup_info::history(info, now)?;
    }
    print_line(format_args!("  runs          {}", runs(&client)))?;
    print_line(format_args!("  should run    {}", should_run(&client)))?;
    for drift in &client.drift {
        let (what, is) = match drift.kind {
            DriftKind::NotStarted => ("not started", "does not run: it was stopped and could not be started"),
            _ => ("changed", "is not as it was signed"),
        };
        print_line(format_args!(
            "  {what:<13} {} {is} [{}], since {} ({})",
            drift.package,
            drift.kind,
            seconds(drift.since),
            age(drift.since, now)
        ))?;
    }
    for explanation in &client.explanations {
        print_line(format_args!("  {}", plain(&explanation.sentence)))?;
    }
    if client.explanations.is_empty() {
        let why = match client.state {
            ClientState::Reserved => "it holds a seat and has not enrolled yet: carry its setup file to it",
            ClientState::Forked => "two computers use its identity, and both are refused",
            ClientState::Active => "no release of its channel is here for it; see `distributor updates list`",
        };
        print_line(format_args!("  {} has nothing to run yet; {why}", client.name))?;
    }
    for report in &client.last_reports {
        let detail =
            if report.detail.is_empty() { String::new() } else { format!(": {}", plain(&report.detail)) };
        print_line(format_args!(
            "  reported      {} {} {} {} ({}){detail}",
            seconds(report.at),
            report.release,
            report.step,
            report.outcome,
            report.reason
        ))?;
    }
    Ok(Outcome::Done)
}

/// Both computers that use the identity, if there are two, and what an admin does about it.
fn copies(client: &Client, now: Timestamp) -> anyhow::Result<()> {
    if client.state != ClientState::Forked {
        return Ok(());
    }
    for copy in &client.copies {
        print_line(format_args!("  copy          {}", resolve::line(copy, now)))?;
    }
    if let Some(third) = &client.third {
        print_line(format_args!("  third one     {}", resolve::third_line(third, now)))?;
    }
    let setups = client.setup_info.iter().flat_map(|info| &info.setups);
    let two = TwoComputers {
        shown: client.copies.len(),
        decided: if client.copies.iter().any(|copy| copy.kept) {
            Decided::Yes
        } else if client.copies.iter().any(|copy| copy.kept_before_restore) {
            Decided::BeforeRestore
        } else {
            Decided::No
        },
        setup_out: setups
            .filter(|issue| issue.admitted.is_none())
            .any(|issue| issue.outcome == SetupOutcome::Out),
        third: client.third.is_some(),
    };
    print_line(format_args!("  two computers {}", two.advice(&client.name)))
}

/// A time with how long ago it was.
fn aged_or_dash(time: Option<Timestamp>, now: Timestamp) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{} ({})", seconds(time), age(time, now)))
}
