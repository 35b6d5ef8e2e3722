//! `distributor clients list|show|reserve|pending|admit|verify|channel|group|resolve|setup|setups|schedule|schedules`.

mod admit;
mod cells;
mod group;
mod installer;
mod lines;
mod list;
mod pending;
mod reserve;
mod resolve;
mod schedule;
mod schedules;
mod setup;
mod setup_files;
mod setup_info;
mod setups;
mod show;
mod verify;

use anyhow::Context;
use clap::{Args, Subcommand};
use sealpost_admin_api::clients::{ChannelRequest, Client};
use sealpost_manifests::ids::{ChannelName, ComputerName};

use super::api::{AdminApi, segment};
use super::outcome::Outcome;
use super::output::{print_json, print_line};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(list::Options),
    Show(show::Options),
    Reserve(reserve::Options),
    Pending(pending::Options),
    Admit(admit::Options),
    Verify(verify::Options),
    Channel(Channel),
    Group(group::Options),
    Resolve(resolve::Options),
    Setup(setup::Options),
    Setups(setups::Options),
    Schedule(Box<schedule::Options>),
    Schedules(schedules::Options),
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
        Command::List(options) => list::run(&api, options).await,
        Command::Show(options) => show::run(&api, &options).await,
        Command::Reserve(options) => reserve::run(&api, options).await,
        Command::Pending(options) => pending::run(&api, &options).await,
        Command::Admit(options) => admit::run(&api, options).await,
        Command::Verify(options) => verify::run(&api, options).await,
        Command::Channel(options) => channel(&api, &options).await,
        Command::Group(options) => group::run(&api, &options).await,
        Command::Resolve(options) => resolve::run(&api, options).await,
        Command::Setup(options) => setup::run(&api, options).await,
        Command::Setups(options) => setups::run(&api, &options).await,
        Command::Schedule(options) => schedule::run(&api, *options).await,
        Command::Schedules(options) => schedules::run(&api, &options).await,
    }
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
