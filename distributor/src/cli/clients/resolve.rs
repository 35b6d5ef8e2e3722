//! `distributor clients resolve`: which of two computers with one identity goes on.

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use sealpost_admin_api::clients::Client;
use sealpost_admin_api::copies::{CopyLine, ResolveRequest, Resolved, ThirdComputer};
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::Problem;
use sealpost_site::rules::came_by::CameBy;
use sealpost_site::rules::contact::ClientState;
use sealpost_site::rules::copies::{meant, not_two, third_advice};

use crate::cli::api::{AdminApi, segment};
use crate::cli::outcome::Outcome;
use crate::cli::output::{age, ask, can_ask, plain, print_json, print_line, seconds, tell};

/// Say which of two computers with one identity goes on, as after a disk was copied.
///
/// That one makes a key of its own with its next contact, and with it the old key is dead. The other one is told how it gets a
/// seat of its own; what it runs goes on running. Until the one that is kept came, it can be decided anew.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients show reception-1
  distributor clients resolve reception-1 --keep 3f9a01c27b5e
  distributor clients resolve reception-1 --keep 3f9a01c27b5e --comment \"the one at the desk\" --yes --json")]
pub(in crate::cli) struct Options {
    /// The computer's name.
    name: String,
    /// The contact of the computer that goes on, as `clients show` names it; its first digits, at least 8.
    #[arg(long, value_name = "CONTACT")]
    keep: String,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: &AdminApi, options: Options) -> anyhow::Result<Outcome> {
    let Options { name, keep, comment, yes, json } = options;
    let name = ComputerName::new(&name).context("cannot say which computer goes on")?;
    let path = format!("/clients/{}", segment(name.as_str()));
    let client: Client = api.get(&path).await?;
    looked_at(&client, &keep)?;
    let now = Timestamp::now();
    if !yes {
        for copy in &client.copies {
            tell(line(copy, now));
        }
    }
    // Also who wants no question is told: what is decided here may give the seat to a copy.
    if let Some(third) = &client.third {
        tell(format!("of neither: {}", third_line(third, now)));
        tell(format!("warning: {}", third_advice(&client.name)));
    }
    if !yes {
        if !can_ask() {
            bail!(
                "there is no terminal to ask at: see `distributor clients show {}`, then give --yes",
                client.name
            );
        }
        let name = &client.name;
        let others = match client.third {
            Some(_) => "A third computer may be the right one; it is refused then, as is the other one.",
            None => "The other one needs a seat of its own.",
        };
        if !ask(&format!("Is {name} the computer {}? {others}", plain(&keep)))? {
            tell("not decided; nothing was changed");
            return Ok(Outcome::Damage);
        }
    }
    let resolved: Resolved = api.post(&format!("{path}/resolve"), &ResolveRequest { keep, comment }).await?;
    if json {
        print_json(&resolved)?;
        return Ok(Outcome::Done);
    }
    for copy in resolved.copies.iter().filter(|copy| copy.kept) {
        print_line(format_args!(
            "{name} is the computer {}: it makes a key of its own with its next contact; the other one is refused, and told how \
             it gets a seat of its own",
            copy.contact.short()
        ))?;
    }
    Ok(Outcome::Done)
}

/// Refuses what the server would refuse too, before somebody is asked about it.
fn looked_at(client: &Client, keep: &str) -> Result<(), Problem> {
    if client.state != ClientState::Forked {
        return Err(not_two(&client.name));
    }
    let copies: Vec<_> = client.copies.iter().map(|copy| copy.contact).collect();
    meant(&copies, keep).map(drop).map_err(|refusal| refusal.problem(&client.name, &copies))
}

fn from(came_by: Option<CameBy>) -> String {
    match came_by {
        None => String::new(),
        Some(CameBy::File) => ", by file".to_owned(),
        Some(CameBy::Network(address)) => format!(", from {address}"),
    }
}

fn host(hostname: Option<&str>) -> String {
    hostname.map(|host| format!(", host name {}", plain(host))).unwrap_or_default()
}

/// What is shown of a contact of neither of two computers.
pub(super) fn third_line(third: &ThirdComputer, now: Timestamp) -> String {
    let (from, host) = (from(third.came_by), host(third.hostname.as_deref()));
    format!("seen {} ({}){from}{host}", seconds(third.seen_at), age(third.seen_at, now))
}

/// What is shown of one of two computers.
pub(super) fn line(copy: &CopyLine, now: Timestamp) -> String {
    let (from, host) = (from(copy.came_by), host(copy.hostname.as_deref()));
    let runs: Vec<String> = copy
        .packages
        .iter()
        .map(|package| format!("{} {}", package.package(), package.release.version))
        .collect();
    let runs = if runs.is_empty() { "nothing".to_owned() } else { runs.join(", ") };
    let kept = if copy.kept { "; it goes on" } else { "" };
    format!(
        "contact {}: seen {} ({}){from}{host}, agent {}, runs {runs}{kept}",
        copy.contact.short(),
        seconds(copy.seen_at),
        age(copy.seen_at, now),
        plain(&copy.agent_version)
    )
}
