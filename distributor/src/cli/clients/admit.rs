//! `distributor clients admit`: which of the computers that wait is the one of a name.

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use sealpost_admin_api::pending::{AdmitAnswer, AdmitRequest};
use sealpost_keys::{Fingerprint, PublicKey};
use sealpost_manifests::ids::{ChannelName, ComputerName, SerialNumber};
use sealpost_site::rules::rollouts::groups::GroupName;

use super::reserve::{ensure_groups, groups_of, list_in};
use crate::cli::api::{AdminApi, segment};
use crate::cli::outcome::Outcome;
use crate::cli::output::{print_json, print_line, seconds_away, tell};
use crate::cli::permanence;

/// Admit a computer that waits, by its key: within 7 days it enrolls by itself, and no other computer of that name does.
///
/// A name that holds no seat takes one, for good. Setup files that were issued for the name are void. If another computer is
/// enrolled under the name, it goes on until this one comes; then its key is dead.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients admit lab-7 --key 3f2a9c0166b27d5e3f2a9c0166b27d5e3f2a9c0166b27d5e3f2a9c0166b27d5e
  distributor clients admit lab-7 --key KEY --group lab --channel beta --yes

Compare the whole key with what `agent-updater status` says on the computer itself: anybody can give
any name, and nobody can show another's key. It may be typed in groups, with blanks or hyphens.")]
pub(in crate::cli) struct Options {
    /// The computer's name.
    name: String,
    /// The fingerprint of its key, all 64 digits; or the whole public key (RW...), which needs no place in the list of those
    /// who wait.
    #[arg(long, value_name = "KEY")]
    key: String,
    /// The channel that it follows [default: stable]. A computer that holds a seat is moved with `clients channel`.
    #[arg(long)]
    channel: Option<ChannelName>,
    /// A group that there is, which lists it from now on.
    #[arg(long)]
    group: Option<GroupName>,
    /// The name mixes letters of several scripts, and is meant so.
    #[arg(long)]
    mixed_scripts: bool,
    /// The name is spelled nearly as another which holds a seat, and is meant so.
    #[arg(long)]
    similar: bool,
    /// Take a seat of this serial number [default: the first with a free seat].
    #[arg(long, value_name = "SERIAL")]
    serial: Option<SerialNumber>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// A fingerprint, or a whole key and its fingerprint.
fn typed_key(text: &str) -> anyhow::Result<(Fingerprint, Option<PublicKey>)> {
    match text.trim().parse::<PublicKey>() {
        Ok(key) => Ok((Fingerprint::of(&key), Some(key))),
        Err(_) => Ok((text.parse()?, None)),
    }
}

pub(in crate::cli) async fn run(api: &AdminApi, options: Options) -> anyhow::Result<Outcome> {
    let Options { name, key, channel, group, mixed_scripts, similar, serial, yes, json } = options;
    let name = ComputerName::new(&name).context("cannot admit a computer")?;
    let (key, public_key) = typed_key(&key).context("cannot admit a computer")?;
    ensure_groups(&groups_of(api, &group).await?, group.iter()).context("cannot admit a computer")?;
    if !permanence::agrees(1, yes)? {
        tell("not admitted; nothing was changed");
        return Ok(Outcome::Damage);
    }
    let request = AdmitRequest { key, public_key, channel, serial, mixed_scripts, similar };
    let path = format!("/clients/{}/admit", segment(name.as_str()));
    let answer: AdmitAnswer = api.post(&path, &request).await?;
    if let Some(group) = &group {
        list_in(api, group, vec![answer.name.clone()]).await?;
    }
    if json {
        print_json(&answer)?;
        return Ok(Outcome::Done);
    }
    let AdmitAnswer { name, key, expires_at, took, replaces } = answer;
    match expires_at {
        None => print_line(format_args!("{name} is enrolled with the key {key}"))?,
        Some(end) => print_line(format_args!(
            "{name} is admitted with the key {key}, until {}",
            seconds_away(end, Timestamp::now())
        ))?,
    }
    if let Some(serial) = took {
        tell(format_args!("{name} holds a seat of {serial} now"));
    }
    if expires_at.is_some() {
        tell("it enrolls by itself within a quarter of an hour, if its agent runs");
    }
    if replaces {
        tell(format_args!(
            "another computer is enrolled as {name} and goes on until this one comes; then its key is dead"
        ));
    }
    Ok(Outcome::Done)
}
