//! What cannot wait: a release for everybody at once, or away from everybody at once.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use clap::Args;
use sealpost_admin_api::rollouts::{Rollout, What};
use sealpost_admin_api::updates::{ApproveRequest, HaltRequest, Halted, Update};
use sealpost_manifests::ids::{ChannelName, PackageName};
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::rollouts::progress::RolloutState;
use sealpost_site::rules::rollouts::strategy::everyone_now;

use super::find;
use super::undo::{HaltAsked, told_of};
use crate::cli::api::AdminApi;
use crate::cli::approvals::waits_for_second;
use crate::cli::outcome::Outcome;
use crate::cli::output::{ask, can_ask, counted, print_json, print_line, tell};
use crate::cli::rollouts::{one, steer};

/// Give a release to every computer of its channels at once: computers wait for no ring, no window, no person and no product.
///
/// A release that waits for a review is approved; of one that rolls out, the rings that wait are opened. At a terminal you are
/// asked; with --yes you are not. Where a rule needs two people it waits for a second one, and this ends with 1.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates push-now acme-av:1.0.1 --why \"the fault is exploited\"
  distributor updates push-now acme-av:1.0.1 --yes --why \"the fault is exploited\"")]
pub(crate) struct PushNow {
    /// PACKAGE:VERSION[:PLATFORM], or 12 or more digits of the manifest digest.
    #[arg(value_name = "REF")]
    reference: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Take the newest approved release of a package away: it is halted, and every computer that runs it goes back to what it ran
/// before.
///
/// At a terminal you are asked; with --yes you are not. Ends with 1 if a computer has nothing to go back to.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates revert-now acme-av --why \"computers do not start any more\"
  distributor updates revert-now acme-av --channel beta --yes --why \"computers do not start any more\"")]
pub(crate) struct RevertNow {
    /// The package.
    #[arg(value_name = "PACKAGE")]
    package: String,
    /// Only on this platform, if releases for several are approved.
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// The newest one of this channel, if channels have different ones. It is taken away from every channel that has it.
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn push_now(api: &AdminApi, options: &PushNow) -> anyhow::Result<Outcome> {
    let view = find::review(api, &options.reference, Some(everyone_now())).await?;
    let update = &view.update;
    let (release, manifest) = (&update.release, update.manifest);
    let computers = counted(view.recipient_count, "computer", "computers");
    if !may(options.yes, &format!("Give {release} to {computers} at once?"))? {
        return Ok(Outcome::Damage);
    }
    let mut rollout = match (update.state, update.rollout) {
        (ReleaseState::Approved, Some(number)) => one(api, number).await?,
        _ => {
            let request = ApproveRequest {
                manifest,
                channels: Some(update.channels.clone()),
                comment: options.why.clone(),
                strategy: Some(everyone_now()),
                emergency: true,
                now: true,
            };
            let approved: Update = api.post("/updates/approve", &request).await?;
            if let Some(waiting) = &approved.waiting {
                if options.json {
                    print_json(&approved)?;
                }
                tell(waits_for_second(waiting));
                return Ok(Outcome::Damage);
            }
            let number = approved.rollout.with_context(|| {
                format!("{release} is approved, and the server names no rollout of it; see `distributor rollouts list`")
            })?;
            one(api, number).await?
        }
    };
    // What is complete stays as it is: nothing would be done, and that is no success.
    if asked_of_a_complete_one(&update.state, &rollout) {
        bail!(
            "{release} goes to every computer of its channels already, and its rollout {} is complete: computers that do not \
             run it wait for a window, for a person, or for their next contact; `distributor updates why COMPUTER` says for \
             which, and `distributor properties set` changes the method",
            rollout.number
        );
    }
    if rollout.state.is_live() {
        rollout = open_all(api, rollout, &options.why).await?;
    }
    if let Some(proposal) = &rollout.proposal {
        if options.json {
            print_json(&rollout)?;
        }
        tell(waits_for_second(proposal));
        return Ok(Outcome::Damage);
    }
    if options.json {
        print_json(&rollout)?;
    } else {
        print_line(format_args!(
            "{release} goes to every computer at once: `distributor rollouts watch {}` follows it",
            rollout.number
        ))?;
    }
    Ok(Outcome::Done)
}

/// Whether a release was approved before, and its rollout is complete without having been an emergency.
fn asked_of_a_complete_one(state: &ReleaseState, rollout: &Rollout) -> bool {
    *state == ReleaseState::Approved && rollout.state == RolloutState::Completed && !rollout.emergency
}

/// Lets a live rollout go on as an emergency, and opens every ring that waits. Each step can be repeated.
async fn open_all(api: &AdminApi, rollout: Rollout, why: &str) -> anyhow::Result<Rollout> {
    let number = rollout.number;
    let mut rollout = rollout;
    if !rollout.emergency || rollout.strategy != everyone_now() {
        let what = What::Edit { strategy: everyone_now(), emergency: true };
        rollout = steer(api, number, what, why).await?;
    }
    // Somebody paused it: what only waits does not end that.
    if rollout.state == RolloutState::Paused && rollout.proposal.is_none() {
        rollout = steer(api, number, What::Resume, why).await?;
    }
    // What waits for a second person opens nothing.
    while let Some(ring) = rollout.next_ring.filter(|_| rollout.proposal.is_none()) {
        rollout = steer(api, number, What::Next { ring }, why).await?;
    }
    Ok(rollout)
}

pub(super) async fn revert_now(api: &AdminApi, options: &RevertNow) -> anyhow::Result<Outcome> {
    let package = PackageName::new(&options.package).context("cannot take a release away")?;
    let all = find::of_package(api, &package).await?;
    let is_asked = |update: &&Update| {
        let goes_to = |asked: &str| update.approved_for.iter().any(|channel| channel.as_str() == asked);
        options.platform.as_deref().is_none_or(|asked| asked == update.release.platform.as_str())
            && options.channel.as_deref().is_none_or(goes_to)
    };
    let approved: Vec<&Update> =
        all.iter().filter(|update| update.state == ReleaseState::Approved).filter(is_asked).collect();
    let Some(newest) = approved.iter().max_by_key(|update| update.counter) else {
        let of_channel = options.channel.as_deref().map(|channel| format!(" for the channel {channel}"));
        let of_channel = of_channel.unwrap_or_default();
        bail!("no release of {package} is approved{of_channel}; see `distributor updates list`");
    };
    let mut platforms: Vec<&str> = approved.iter().map(|update| update.release.platform.as_str()).collect();
    platforms.sort_unstable();
    platforms.dedup();
    if platforms.len() > 1 {
        bail!("releases of {package} are approved for {}: name one with --platform", platforms.join(", "));
    }
    let of_channels = newest_by_channel(&approved);
    if options.channel.is_none() && of_channels.values().any(|one| one.manifest != newest.manifest) {
        let named: Vec<String> =
            of_channels.iter().map(|(channel, one)| format!("{channel} {}", one.release.version)).collect();
        bail!(
            "channels have different newest releases of {package} ({}): name one with --channel",
            named.join(", ")
        );
    }
    let release = &newest.release;
    let computers = counted(newest.installed, "computer runs", "computers run");
    if !may(options.yes, &format!("Halt {release} and go back? {computers} it."))? {
        return Ok(Outcome::Damage);
    }
    let request = HaltRequest { manifest: newest.manifest, reason: options.why.clone(), rollback: true };
    let halted: Halted = api.post("/updates/halt", &request).await?;
    told_of(&halted, HaltAsked { rollback: true, unchanged: false, json: options.json })
}

/// The newest release of each channel.
fn newest_by_channel<'a>(approved: &[&'a Update]) -> BTreeMap<&'a ChannelName, &'a Update> {
    let mut newest: BTreeMap<&ChannelName, &Update> = BTreeMap::new();
    for update in approved {
        for channel in &update.approved_for {
            let known = newest.entry(channel).or_insert(update);
            if update.counter > known.counter {
                *known = update;
            }
        }
    }
    newest
}

/// Asks at a terminal.
fn may(yes: bool, question: &str) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    if !can_ask() {
        bail!("there is no terminal to ask at: give --yes");
    }
    if ask(question)? {
        return Ok(true);
    }
    tell("not done; nothing was changed");
    Ok(false)
}
