//! One rollout, ring by ring.

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use sealpost_admin_api::rollouts::{Ring, Rollout};
use sealpost_site::changes::summary;
use sealpost_site::rules::rollouts::progress::RolloutState;
use sealpost_site::rules::rollouts::strategy::OnFailure;
use sealpost_site::rules::text::span;

use super::bar::print_bars;
use super::find::one;
use crate::cli::api::AdminApi;
use crate::cli::colors;
use crate::cli::outcome::Outcome;
use crate::cli::output::{Table, age, plain, print_json, print_line, seconds, seconds_away};

/// Show a rollout: its rings with their computers, what it waits for, and when that changes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor rollouts show 12
  distributor rollouts show 12 --json

SOAK LEFT  how long a ring is still watched; only time in which the server runs counts
TOLD       computers that were told and have not begun; of some a person there starts it
SILENT     computers that were told and were not heard of for too long: they count as failed
MOVED ON   computers that were told another release before they finished
COMPUTERS  all of the ring, as far as they are enrolled, licensed and on its channels")]
pub(crate) struct Show {
    /// The rollout's number, as `distributor rollouts list` shows it.
    #[arg(value_name = "N")]
    number: u64,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: &AdminApi, options: &Show) -> anyhow::Result<Outcome> {
    let rollout = one(api, options.number).await?;
    if options.json {
        print_json(&rollout)?;
    } else {
        print(&rollout)?;
    }
    Ok(Outcome::Done)
}

fn print(rollout: &Rollout) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let Rollout { number, release, kind, strategy, .. } = rollout;
    let state = colors::state(rollout.state.as_str());
    print_line(format_args!("rollout {number}: {release} ({kind}), {state}, strategy {strategy}"))?;
    print_line(format_args!("  manifest   sha256:{}", rollout.manifest))?;
    let channels: Vec<&str> = rollout.channels.iter().map(AsRef::as_ref).collect();
    print_line(format_args!("  channels   {}", channels.join(", ")))?;
    print_line(format_args!(
        "  started at {} ({})",
        seconds(rollout.started_at),
        age(rollout.started_at, now)
    ))?;
    if let Some(changed) = &rollout.changed {
        let (at, ago) = (seconds(changed.at), age(changed.at, now));
        let by = plain(&summary::actor(&changed.by));
        let why = if changed.why.is_empty() { String::new() } else { format!(": {}", plain(&changed.why)) };
        print_line(format_args!("  {:<10} {at} ({ago}) by {by}{why}", rollout.state.as_str()))?;
    }
    if rollout.emergency {
        print_line("  emergency  computers wait for no window, no person and no product")?;
    }
    let on_failure = match rollout.on_failure {
        OnFailure::Halt => "the release is halted, and who runs it keeps it",
        OnFailure::RollBack => "the release is halted, and who runs it goes back",
    };
    print_line(format_args!("  past an error threshold {on_failure}"))?;
    let heading = [
        "  RING",
        "TAKES",
        "STATE",
        "SOAK LEFT",
        "TOLD",
        "INSTALLING",
        "SUCCEEDED",
        "FAILED",
        "SILENT",
        "MOVED ON",
        "COMPUTERS",
        "HALTS AT",
    ];
    let mut table = Table::new(&heading);
    for ring in &rollout.rings {
        let counts = &ring.counts;
        table.row([
            format!("  {}", ring.name),
            ring.takes.clone(),
            state_of(ring).to_owned(),
            if ring.opened_at.is_some() { soak(ring.soak_left_secs) } else { soak(ring.soak_secs) },
            counts.not_begun().to_string(),
            counts.installing.to_string(),
            counts.succeeded.to_string(),
            counts.failed.to_string(),
            counts.silent.to_string(),
            counts.dropped.to_string(),
            ring.members.map_or_else(|| "-".to_owned(), |members| members.to_string()),
            format!("{} and {} %", ring.halts_at_failures, ring.halts_at_percent),
        ]);
    }
    table.print()?;
    print_bars(rollout.rings.iter())?;
    print_line(format_args!("  waits for  {}", plain(&rollout.waits_for)))?;
    if let Some(at) = rollout.changes_at {
        print_line(format_args!("  changes    {} at the earliest", seconds_away(at, now)))?;
    }
    for (index, load) in rollout.links.iter().enumerate() {
        let heading = if index == 0 { "links" } else { "" };
        print_line(format_args!("  {heading:<10} {}", load.sentence(now)))?;
    }
    if let Some(next) = rollout.next_ring.and_then(|next| rollout.rings.get(usize::try_from(next).ok()?)) {
        print_line(format_args!(
            "  next       {}: `distributor rollouts next {number} --why TEXT` opens it now",
            next.name
        ))?;
    }
    if let Some(proposal) = &rollout.proposal {
        print_line(format_args!(
            "  proposed   {} asked to {}: `distributor approvals confirm {}`",
            plain(&proposal.from),
            plain(&proposal.says),
            proposal.number
        ))?;
    }
    if rollout.state == RolloutState::Halted {
        print_line(format_args!(
            "  decide     `distributor rollouts report {number}` says what failed; then `distributor rollouts resume \
             {number} --why TEXT` or `distributor rollouts abort {number} --why TEXT`"
        ))?;
    }
    Ok(())
}

const fn state_of(ring: &Ring) -> &'static str {
    match (ring.opened_at.is_some(), ring.passed) {
        (false, _) => "waits",
        (true, true) => "passed",
        (true, false) => "open",
    }
}

fn soak(seconds: i64) -> String {
    if seconds == 0 { "-".to_owned() } else { span(SignedDuration::from_secs(seconds)) }
}
