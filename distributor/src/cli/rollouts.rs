//! `distributor rollouts list|show|report|watch|simulate|pause|resume|next|abort|edit`.

mod bar;
mod find;
mod report;
mod show;
mod simulate;
mod watch;

use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use sealpost_admin_api::rollouts::{Rollout, RolloutsPage, What};
use sealpost_manifests::word::Word;
use sealpost_site::rules::rollouts::progress::RolloutState;

use self::find::ring;
pub(super) use self::find::{one, steer};
use super::api::AdminApi;
use super::approvals::waits_for_second;
use super::outcome::Outcome;
use super::output::{Table, age, plain, print_json, print_line, tell};
use super::pages;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(List),
    Show(show::Show),
    Report(report::Report),
    Watch(watch::Watch),
    Simulate(simulate::Simulate),
    Pause(Pause),
    Resume(Resume),
    Next(Next),
    Abort(Abort),
    Edit(Edit),
}

/// List rollouts, the newest first: what goes out, how far it has come, and what it waits for.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor rollouts list
  distributor rollouts list --open
  distributor rollouts list --json")]
pub(super) struct List {
    /// Only those that are running, paused or halted.
    #[arg(long)]
    open: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// What every command says that steers a rollout.
#[derive(Debug, Args)]
pub(super) struct Steered {
    /// The rollout's number, as `distributor rollouts list` shows it.
    #[arg(value_name = "N")]
    number: u64,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Pause a rollout: no further computer is told until it is resumed. Those that have begun finish.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor rollouts pause 12 --why \"the support desk is closed today\"")]
pub(super) struct Pause {
    #[command(flatten)]
    steered: Steered,
}

/// Let a paused or halted rollout go on. Failures of before halt it no more.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor rollouts resume 12 --why \"the failures were a full disk\"")]
pub(super) struct Resume {
    #[command(flatten)]
    steered: Steered,
}

/// Open the next ring of a rollout now, whatever it waits for.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor rollouts next 12 --why \"tried by hand on the laboratory computers\"")]
pub(super) struct Next {
    #[command(flatten)]
    steered: Steered,
}

/// End a rollout for good: its release is halted, and the one before it is approved again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor rollouts abort 12 --why \"breaks the scanner\"
  distributor rollouts abort 12 --roll-back --why \"breaks the scanner\"")]
pub(super) struct Abort {
    #[command(flatten)]
    steered: Steered,
    /// Tell the computers that run the release to go back to what they ran before.
    #[arg(long)]
    roll_back: bool,
}

/// Let a rollout go on by another strategy. Its open rings stay open.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor rollouts edit 12 --strategy careful --why \"two computers reported crashes\"
  distributor rollouts edit 12 --strategy everyone-now --emergency --why \"the fault is exploited\"")]
pub(super) struct Edit {
    #[command(flatten)]
    steered: Steered,
    /// The strategy from now on; `distributor strategies list` shows all.
    #[arg(long, value_name = "NAME")]
    strategy: Word,
    /// Computers wait for no window, no person and no product.
    #[arg(long)]
    emergency: bool,
}

pub(super) async fn run(api: AdminApi, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::List(options) => list(&api, &options).await,
        Command::Show(options) => show::run(&api, &options).await,
        Command::Report(options) => report::run(&api, &options).await,
        Command::Watch(options) => watch::run(&api, &options).await,
        Command::Simulate(options) => simulate::run(&api, &options).await,
        Command::Pause(options) => steered(&api, options.steered, What::Pause).await,
        Command::Resume(options) => steered(&api, options.steered, What::Resume).await,
        Command::Next(options) => next(&api, options.steered).await,
        Command::Abort(options) => {
            steered(&api, options.steered, What::Abort { roll_back: options.roll_back }).await
        }
        Command::Edit(options) => {
            let Edit { steered: how, strategy, emergency } = options;
            steered(&api, how, What::Edit { strategy, emergency }).await
        }
    }
}

async fn list(api: &AdminApi, options: &List) -> anyhow::Result<Outcome> {
    let all = pages::all::<RolloutsPage>(api, &format!("/rollouts?open={}", options.open)).await?;
    if options.json {
        print_json(&RolloutsPage { rollouts: all, next: None })?;
        return Ok(Outcome::Done);
    }
    let now = Timestamp::now();
    let heading =
        ["N", "RELEASE", "STATE", "STRATEGY", "RING", "SUCCEEDED", "FAILED", "STARTED", "WAITS FOR"];
    let mut table = Table::new(&heading).with_states(2);
    for rollout in &all {
        let sum = |of: &dyn Fn(&sealpost_admin_api::rollouts::Counts) -> u64| -> String {
            rollout.rings.iter().map(|ring| of(&ring.counts)).sum::<u64>().to_string()
        };
        table.row([
            rollout.number.to_string(),
            rollout.release.to_string(),
            rollout.state.to_string(),
            rollout.strategy.to_string(),
            ring(rollout),
            sum(&|counts| counts.succeeded),
            sum(&|counts| counts.failed + counts.silent),
            age(rollout.started_at, now),
            if rollout.state == RolloutState::Running { rollout.waits_for.clone() } else { "-".to_owned() },
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

async fn steered(api: &AdminApi, how: Steered, what: What) -> anyhow::Result<Outcome> {
    let rollout = steer(api, how.number, what, &how.why).await?;
    print_steered(&rollout, how.json)
}

fn print_steered(rollout: &Rollout, json: bool) -> anyhow::Result<Outcome> {
    if json {
        print_json(rollout)?;
    } else {
        let Rollout { number, release, state, waits_for, .. } = rollout;
        print_line(format_args!(
            "rollout {number} ({release}) is {state}; it waits for: {}",
            plain(waits_for)
        ))?;
        if let Some(proposal) = &rollout.proposal {
            tell(waits_for_second(proposal));
        }
    }
    Ok(Outcome::Done)
}

/// Opens the ring that is shown as the next one: who presses at the same time opens no second one.
async fn next(api: &AdminApi, how: Steered) -> anyhow::Result<Outcome> {
    let number = how.number;
    let shown = one(api, number).await?;
    let Some(ring) = shown.next_ring else {
        if shown.state == RolloutState::Running {
            bail!(
                "rollout {number} has no further ring: its last one is open; see `distributor rollouts show {number}`"
            );
        }
        bail!(
            "rollout {number} is {}: no ring of it opens; see `distributor rollouts show {number}`",
            shown.state
        );
    };
    let rollout = steer(api, number, What::Next { ring }, &how.why).await?;
    print_steered(&rollout, how.json)
}
