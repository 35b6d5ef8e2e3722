//! Following a rollout until it is complete or was stopped.

use std::time::Duration;

use clap::Args;
use sealpost_admin_api::rollouts::{Counts, Rollout};
use sealpost_site::rules::rollouts::progress::RolloutState;
use tokio::time::Instant;

use super::find::{one, ring};
use crate::cli::api::{AdminApi, unless_stopped};
use crate::cli::outcome::Outcome;
use crate::cli::output::{plain, print_json, tell};

/// How often the server is asked.
const EVERY: Duration = Duration::from_secs(2);

/// Watch a rollout until it is complete, was halted or has ended otherwise. Ends with 1 when it is not complete then.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor rollouts watch 12
  distributor rollouts watch 12 --timeout 30 --json")]
pub(crate) struct Watch {
    /// The rollout's number, as `distributor rollouts list` shows it.
    #[arg(value_name = "N")]
    number: u64,
    /// Give up after so many minutes [default: wait until Ctrl-C].
    #[arg(long, value_name = "MINUTES")]
    timeout: Option<u64>,
    /// Print how it ended as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: &AdminApi, options: &Watch) -> anyhow::Result<Outcome> {
    let ends = options.timeout.and_then(|minutes| {
        // An end beyond what the clock can say is none.
        Instant::now().checked_add(Duration::from_secs(minutes.saturating_mul(60)))
    });
    let mut said = String::new();
    let rollout = loop {
        let rollout = unless_stopped(one(api, options.number)).await?;
        let line = progress(&rollout);
        if line != said {
            tell(&line);
            said = line;
        }
        if rollout.state.has_ended() || rollout.state == RolloutState::Halted {
            break rollout;
        }
        if ends.is_some_and(|ends| Instant::now() >= ends) {
            tell("the time is over; `distributor rollouts show` says what it waits for");
            break rollout;
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            stopped = tokio::signal::ctrl_c() => {
                stopped?;
                break rollout;
            }
        }
    };
    if options.json {
        print_json(&rollout)?;
    }
    Ok(if rollout.state == RolloutState::Completed { Outcome::Done } else { Outcome::Damage })
}

/// One line. The server counts a soak once a minute, so what is left of it is not another text each second.
fn progress(rollout: &Rollout) -> String {
    let Rollout { number, release, state, .. } = rollout;
    let ring = ring(rollout);
    let mut all = Counts::default();
    for Counts { offered, told, installing, succeeded, failed, silent, .. } in
        rollout.rings.iter().map(|ring| ring.counts)
    {
        all.offered += offered;
        all.told += told;
        all.installing += installing;
        all.succeeded += succeeded;
        all.failed += failed;
        all.silent += silent;
    }
    let failed = match all.failed + all.silent {
        0 => String::new(),
        failed => format!(", {failed} failed or silent"),
    };
    let by_hand = match all.offered {
        0 => String::new(),
        offered => format!(" ({offered} of them by hand: a person there starts it)"),
    };
    format!(
        "rollout {number} ({release}): {state}, ring {ring}: {} succeeded, {} installing, {} told{by_hand}{failed}; {}",
        all.succeeded,
        all.installing,
        all.not_begun(),
        plain(&rollout.waits_for)
    )
}
