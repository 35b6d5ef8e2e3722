//! `distributor clients schedule`: plans an install, calls it off, and runs what is due.
//!
//! Invariant: the server gets a host's name and its public key, and never a credential. Targets come from the server, so what
//! this account has not planned or confirmed itself is not run without asking.

mod file;
mod hosts;
mod run;
mod ssh;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use sealpost_admin_api::clients::Client;
use sealpost_admin_api::schedules::{ScheduleRequest, Scheduled};
use sealpost_manifests::ids::{ChannelName, ComputerName, SerialNumber};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::schedule::{Schedule, SshAccess, SshTarget};

use self::hosts::{Hosts, Pinned, fingerprint, host_key};
use super::reserve::{self, nothing_done, take};
use crate::cli::api::{AdminApi, segment};
use crate::cli::outcome::Outcome;
use crate::cli::output::{print_json, print_line, seconds_away, tell};
use crate::cli::when;

/// Plan an install for a computer: its seat is taken at once, for good, and at the time it is installed over ssh or by an
/// install file that waits.
///
/// Over ssh, `clients schedule run` installs what is due, with the ssh of whoever runs it. The server keeps when, where and the
/// host's key, and never a credential. A computer that is named run is typed in
/// capitals here: RUN.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Examples:
  distributor clients schedule reception-1 --at \"2026-12-01 22:00\"
  distributor clients schedule lab-7 --at 12h --ssh admin@lab-7.example --host-key lab-7.pub
  distributor clients schedule lab-7 --off
  distributor clients schedule run

A host key is a line of `ssh-keyscan -t ed25519 HOST`. Whoever sits on the line can answer that too:
compare it with /etc/ssh/ssh_host_ed25519_key.pub on the host itself.")]
pub(in crate::cli) struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// The computer's name. It cannot be changed or freed later.
    #[arg(required = true)]
    name: Option<String>,
    /// Not before this time, such as "2026-12-01 22:00" in UTC, 12h or now.
    #[arg(long, value_name = "TIME", required_unless_present = "off")]
    at: Option<String>,
    /// Install over ssh, as whom at which host.
    #[arg(long, value_name = "USER@HOST[:PORT]")]
    ssh: Option<SshTarget>,
    /// The host's public key, or a file with it; another key is refused.
    #[arg(long, value_name = "FILE|KEY", requires = "ssh")]
    host_key: Option<String>,
    /// Whoever logs in there is root already [default for the user root].
    #[arg(long, requires = "ssh")]
    no_sudo: bool,
    /// Call it off. The seat stays taken.
    #[arg(long, conflicts_with_all = ["at", "ssh", "serial", "channel", "group", "mixed_scripts", "similar"])]
    off: bool,
    /// Take the seat of this serial number [default: the first with a free seat].
    #[arg(long, value_name = "SERIAL")]
    serial: Option<SerialNumber>,
    /// The channel that it follows [default: stable].
    #[arg(long)]
    channel: Option<ChannelName>,
    /// A group that there is, which lists it from now on.
    #[arg(long)]
    group: Option<GroupName>,
    /// The name mixes letters of several scripts, and is meant so.
    #[arg(long)]
    mixed_scripts: bool,
    /// The name is spelled nearly as another that holds a seat, and is meant so.
    #[arg(long)]
    similar: bool,
    /// Do not ask. Nobody is asked where standard input is no terminal.
    #[arg(long)]
    yes: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Options),
}

pub(super) async fn run(api: &AdminApi, options: Options) -> anyhow::Result<Outcome> {
    if let Some(Command::Run(options)) = options.command {
        return run::run(api, options).await;
    }
    let name = options.name.as_deref().unwrap_or_default();
    let name = ComputerName::new(name).context("cannot plan an install")?;
    if options.off { off(api, &name, options.json).await } else { plan(api, options, name).await }
}

async fn off(api: &AdminApi, name: &ComputerName, json: bool) -> anyhow::Result<Outcome> {
    let scheduled: Scheduled = api.post(&path(name), &ScheduleRequest { schedule: None }).await?;
    if json {
        print_json(&scheduled)?;
    } else {
        print_line(format_args!("no install is planned for {name}; its seat stays taken"))?;
    }
    Ok(Outcome::Done)
}

async fn plan(api: &AdminApi, options: Options, name: ComputerName) -> anyhow::Result<Outcome> {
    let now = Timestamp::now();
    // All that was typed is looked at before a seat is taken.
    let at = when::planned("--at", options.at.as_deref().unwrap_or_default(), now)?;
    // As the server keeps it.
    let at = Timestamp::from_second(at.as_second())?;
    let ssh = access(&options)?;
    let schedule = Schedule { at, ssh };
    let Some(name) = seat(api, &options, name).await? else { return nothing_done() };
    let request = ScheduleRequest { schedule: Some(schedule.clone()) };
    let scheduled: Scheduled = api.post(&path(&name), &request).await?;
    let kept = scheduled.schedule.as_ref().map(|line| &line.schedule);
    if kept != Some(&schedule) {
        bail!("the server answered with another plan for {name}; see `distributor clients schedules`");
    }
    if let Some(ssh) = &schedule.ssh {
        let pinned = Pinned::new(&scheduled.site_key, &name, ssh);
        if let Err(error) = Hosts::of_this_account().and_then(|mut hosts| hosts.confirm(pinned)) {
            tell(format_args!("this account will be asked again before it installs there: {error:#}"));
        }
    }
    if options.json {
        print_json(&scheduled)?;
        return Ok(Outcome::Done);
    }
    let when = seconds_away(at, now);
    match &schedule.ssh {
        Some(ssh) => {
            let SshAccess { target, host_key, .. } = ssh;
            print_line(format_args!(
                "{name} is planned for {when}, over ssh: {target}, host key {}",
                fingerprint(host_key)
            ))?;
            tell(
                "when it is due, `distributor clients schedule run` installs it with your own ssh; a timer of yours can",
            );
        }
        None => {
            print_line(format_args!("{name} is planned for {when}, by an install file"))?;
            tell(format_args!(
                "make it with `distributor clients setup {name} --installer FILE` and start it there before: it waits"
            ));
        }
    }
    Ok(Outcome::Done)
}

fn path(name: &ComputerName) -> String {
    format!("/clients/{}/schedule", segment(name.as_str()))
}

/// How the computer is reached, if that goes over ssh.
fn access(options: &Options) -> anyhow::Result<Option<SshAccess>> {
    let Some(target) = options.ssh.clone() else { return Ok(None) };
    let Some(key) = &options.host_key else {
        bail!(
            "cannot plan an install over ssh without --host-key: read it with `ssh-keyscan -t ed25519 {}`, and compare it \
             with /etc/ssh/ssh_host_ed25519_key.pub on the host itself",
            target.host()
        );
    };
    let host_key = host_key(key)?;
    let sudo = !options.no_sudo && target.user() != Some("root");
    Ok(Some(SshAccess { target, host_key, sudo }))
}

/// The name as it holds a seat, which is taken if there is none yet; `None` if somebody said no.
async fn seat(api: &AdminApi, options: &Options, name: ComputerName) -> anyhow::Result<Option<ComputerName>> {
    let Options { serial, channel, group, mixed_scripts, similar, yes, .. } = options;
    if serial.is_none() && channel.is_none() && group.is_none() {
        let held = api.get::<Client>(&format!("/clients/{}", segment(name.as_str()))).await;
        match held {
            Ok(client) => return Ok(Some(client.name)),
            Err(error) => match error.downcast_ref::<Problem>() {
                Some(problem) if problem.code == ProblemCode::NotReserved => {}
                _ => return Err(error),
            },
        }
    }
    let options = reserve::Options {
        names: Vec::new(),
        from: None,
        channel: channel.clone(),
        group: group.clone(),
        mixed_scripts: *mixed_scripts,
        similar: *similar,
        serial: serial.clone(),
        yes: *yes,
        json: false,
    };
    Ok(take(api, &options, name).await?.map(|taken| taken.client.name))
}
