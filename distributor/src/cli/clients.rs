//! `distributor clients list|show|reserve|channel|group|setup|setups`.

mod group;
mod installer;
mod reserve;
mod setup;
mod setup_files;
mod setups;

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use sealpost_admin_api::clients::{ChannelRequest, Client, ClientsPage, MAX_CLIENTS};
use sealpost_manifests::ids::{ChannelName, ComputerName};
use sealpost_manifests::wire::contact::DriftKind;
use sealpost_site::rules::came_by::CameBy;
use sealpost_site::rules::contact::ClientState;

use super::api::{AdminApi, segment};
use super::colors;
use super::outcome::Outcome;
use super::output::{
    Table, age, counted, name_of, plain, print_json, print_line, seconds, seconds_away, seconds_or_dash,
    span, tell,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(List),
    Show(Show),
    Reserve(reserve::Options),
    Channel(Channel),
    Group(group::Options),
    Setup(setup::Options),
    Setups(setups::Options),
}

/// List every reserved computer, or those with which something is wrong.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients list
  distributor clients list --offline
  distributor clients list --outdated --failing
  distributor clients list --json

Of several conditions each has to be met.")]
pub(super) struct List {
    /// Only those whose last report says that the install of an approved release failed, whether they try again or not, and
    /// those that are refused because another computer uses the same identity.
    #[arg(long)]
    failing: bool,
    /// Only enrolled ones that were not heard for more than 10 days; after a restore they have that long again.
    #[arg(long)]
    offline: bool,
    /// Only those that have not installed what they were told to run, 24 hours after it was approved for their channel. Newer
    /// releases that came meanwhile give no further time.
    #[arg(long)]
    outdated: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Show one computer: what it runs, what it should run, its lease and its last reports.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients show reception-1
  distributor clients show reception-1 --json")]
pub(super) struct Show {
    /// The computer's name.
    name: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Move a computer to another channel. What it runs stays until something newer is approved for that channel.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients channel reception-1 beta
  distributor clients channel lab-7 stable --json")]
pub(super) struct Channel {
    /// The computer's name.
    name: String,
    /// The channel that it follows from now on.
    channel: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: AdminApi, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::List(options) => list(&api, &options).await,
        Command::Show(options) => show(&api, &options).await,
        Command::Reserve(options) => reserve::run(&api, options).await,
        Command::Channel(options) => channel(&api, &options).await,
        Command::Group(options) => group::run(&api, &options).await,
        Command::Setup(options) => setup::run(&api, options).await,
        Command::Setups(options) => setups::run(&api, &options).await,
    }
}

async fn list(api: &AdminApi, options: &List) -> anyhow::Result<Outcome> {
    let List { failing, offline, outdated, json: _ } = *options;
    let conditions = [(failing, "failing"), (offline, "offline"), (outdated, "outdated")];
    let conditions: Vec<&str> =
        conditions.into_iter().filter(|(is_met, _)| *is_met).map(|(_, name)| name).collect();
    let query: String = conditions.iter().map(|name| format!("&{name}=true")).collect();
    let mut all = Vec::new();
    let mut path = format!("/clients?limit={MAX_CLIENTS}{query}");
    loop {
        let page: ClientsPage = api.get(&path).await?;
        all.extend(page.clients);
        let Some(next) = page.next else { break };
        path = format!("/clients?limit={MAX_CLIENTS}{query}&after={}", segment(next.as_str()));
    }
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
            refreshed(client, now),
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

/// How long ago the last contact was, and that it came by file if it did: the next one waits for whoever carries it.
fn refreshed(client: &Client, now: Timestamp) -> String {
    let ago = client.last_contact.map_or_else(|| "-".to_owned(), |at| age(at, now));
    if client.came_by == Some(CameBy::File) { format!("{ago} by file") } else { ago }
}

fn runs(client: &Client) -> String {
    let runs = client.installed.iter().map(|package| {
        let drift = client.drift.iter().find(|drift| drift.package == *package.package());
        let mark = match drift.map(|drift| drift.kind) {
            Some(DriftKind::NotStarted) => " (NOT STARTED)",
            Some(_) => "!",
            None => "",
        };
        let stopped = client.stopped.iter().find(|stopped| stopped.package == *package.package());
        let stopped = stopped.map(|stopped| format!(" ({})", name_of(stopped.state))).unwrap_or_default();
        format!("{} {}{mark}{stopped}", package.package(), package.release.version)
    });
    dash_if_empty(runs.collect())
}

/// How old the signature files are that it runs, the oldest of several.
fn content(client: &Client) -> String {
    client.content.iter().map(|runs| runs.age_secs).max().map_or_else(|| "-".to_owned(), span)
}

fn should_run(client: &Client) -> String {
    let assigned =
        client.assigned.iter().map(|told| format!("{} {}", told.release.package, told.release.version));
    dash_if_empty(assigned.collect())
}

/// A time with how long ago it was.
fn aged_or_dash(time: Option<Timestamp>, now: Timestamp) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{} ({})", seconds(time), age(time, now)))
}

fn dash_if_empty(parts: Vec<String>) -> String {
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

async fn show(api: &AdminApi, options: &Show) -> anyhow::Result<Outcome> {
    let name = ComputerName::new(&options.name).context("cannot show a computer")?;
    let client: Client = api.get(&format!("/clients/{}", segment(name.as_str()))).await?;
    if options.json {
        print_json(&client)?;
        return Ok(Outcome::Done);
    }
    let now = Timestamp::now();
    let state = colors::state(&name_of(client.state));
    print_line(format_args!("{}: {state}, channel {}", client.name, client.channel))?;
    print_line(format_args!("  version       {}", plain(&client.display_version)))?;
    print_line(format_args!("  reserved at   {}", seconds(client.reserved_at)))?;
    let came = client.came_by.map_or_else(String::new, |way| match way {
        CameBy::File => ", by file".to_owned(),
        CameBy::Network(address) => format!(", from {address}"),
    });
    print_line(format_args!("  last refresh  {}{came}", aged_or_dash(client.last_contact, now)))?;
    let lease_until = client.lease_until.map_or_else(|| "-".to_owned(), |end| seconds_away(end, now));
    print_line(format_args!("  lease until   {lease_until}"))?;
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
            ClientState::Forked => {
                "two computers use its identity: issue a new setup file and enroll it again"
            }
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

async fn channel(api: &AdminApi, options: &Channel) -> anyhow::Result<Outcome> {
    let name = ComputerName::new(&options.name).context("cannot move a computer")?;
    let channel = ChannelName::new(&options.channel).context("cannot move a computer")?;
    let path = format!("/clients/{}/channel", segment(name.as_str()));
    let client: Client = api.post(&path, &ChannelRequest { channel }).await?;
    if options.json {
        print_json(&client)?;
        return Ok(Outcome::Done);
    }
    print_line(format_args!("{} follows the channel {}", client.name, client.channel))?;
    Ok(Outcome::Done)
}
