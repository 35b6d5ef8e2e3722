//! `distributor clients list|show|reserve|verify|channel|setup`.

mod cells;
mod lines;
mod list;
mod reserve;
mod setup_info;
mod show;
mod verify;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use sealpost_admin_api::clients::{ChannelRequest, Client, SetupRequest};
use sealpost_files::{PRIVATE, Unfinished, read_bounded, sync_parent};
use sealpost_manifests::document;
use sealpost_manifests::ids::{ChannelName, ComputerName};
use sealpost_manifests::setup::SetupFile;
use sealpost_site::rules::names::canonical;

use super::api::{AdminApi, segment};
use super::outcome::Outcome;
use super::output::{print_json, print_line, tell};

/// Longest setup file that is looked at before it is replaced, in bytes.
const MAX_SETUP_BYTES: u64 = 64 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(list::Options),
    Show(show::Options),
    Reserve(reserve::Options),
    Verify(verify::Options),
    Channel(Channel),
    Setup(Setup),
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

/// Issue a setup file for a reserved computer. Earlier ones of that name become void.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients setup reception-1
  distributor clients setup reception-1 --out /media/stick/reception-1.setup.json
  distributor clients setup reception-1 --valid-days 3")]
pub(super) struct Setup {
    /// The computer's name.
    name: String,
    /// Where to write the setup file [default: NAME.setup.json]. It holds a secret and is written for you alone.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Days for which the enrollment code in it is good, 1 to 366 [default: 30].
    #[arg(long, value_name = "N")]
    valid_days: Option<u16>,
}

pub(super) async fn run(api: AdminApi, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::List(options) => list::run(&api, options).await,
        Command::Show(options) => show::run(&api, &options).await,
        Command::Reserve(options) => reserve::run(&api, options).await,
        Command::Verify(options) => verify::run(&api, options).await,
        Command::Channel(options) => channel(&api, &options).await,
        Command::Setup(options) => setup(&api, &options).await,
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

async fn setup(api: &AdminApi, options: &Setup) -> anyhow::Result<Outcome> {
    // In whatever spelling it was typed: the file is named, and later recognized, by the name that holds the seat.
    let typed = ComputerName::new(&options.name).context("cannot issue a setup file")?;
    let name = canonical(&typed);
    let out = options.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.setup.json")));
    ensure_not_anothers(&out, &name)?;
    // Made before the code is issued, so that a code is not lost to a full or missing folder.
    let attempted = || format!("cannot write the setup file {}", out.display());
    let file = unfinished(&out).with_context(attempted)?;
    let request = SetupRequest { valid_days: options.valid_days };
    let path = format!("/clients/{}/setup", segment(typed.as_str()));
    let text = api.post_for_text(&path, &request).await?;
    finish(file, &text, &out).with_context(attempted)?;
    print_line(out.display())?;
    tell(
        "carry this file to the computer, and run `agent-updater enroll --setup FILE` there; it holds a secret",
    );
    Ok(Outcome::Done)
}

/// A file that is there is only replaced when it is an earlier setup file of the same computer: that one's code is
/// void from now on anyway.
fn ensure_not_anothers(out: &Path, name: &ComputerName) -> anyhow::Result<()> {
    let attempted = || format!("cannot write the setup file {}", out.display());
    let text = match read_bounded(out, MAX_SETUP_BYTES) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(()),
        // Too long, or no regular file: no setup file of anybody.
        Err(error) if matches!(error.kind(), io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidInput) => {
            Vec::new()
        }
        Err(error) => return Err(error).with_context(attempted),
    };
    let earlier = document::read::<SetupFile>(&text).ok();
    if earlier.is_some_and(|earlier| earlier.computer_name.as_ref().map(canonical).as_ref() == Some(name)) {
        return Ok(());
    }
    bail!(
        "{}: it is there already and is no setup file of {name}; name another file with --out",
        attempted()
    );
}

fn unfinished(out: &Path) -> io::Result<Unfinished> {
    if out.file_name().is_none() {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    Unfinished::new_in(folder.unwrap_or(Path::new(".")))
}

fn finish(mut file: Unfinished, text: &str, out: &Path) -> io::Result<()> {
    file.file_mut().write_all(text.as_bytes())?;
    file.finish(PRIVATE)?;
    file.replace(out)?;
    sync_parent(out)
}
