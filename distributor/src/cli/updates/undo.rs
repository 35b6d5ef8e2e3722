//! Stopping a release, deciding about it anew, and letting computers try it again.

use anyhow::Context;
use clap::Args;
use sealpost_admin_api::updates::{
    HaltRequest, Halted, Leaving, ReconsiderRequest, Retried, RetryRequest, Update,
};
use sealpost_manifests::ids::ComputerName;

use super::find;
use crate::cli::api::AdminApi;
use crate::cli::outcome::Outcome;
use crate::cli::output::{counted, name_of, plain, print_json, print_line, tell};

/// Stop an approved release: from now on it goes to nobody, and the one before it is approved again.
///
/// Computers that run it keep it, and are listed; with --rollback each is told to go back to what it ran before. Ends with
/// 1 if that was asked for and a computer has nothing to go back to: it keeps the release until a newer one is approved.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates halt acme-av:1.0.1 --reason \"crashes on the CAD computers\"
  distributor updates halt acme-av:1.0.1 --reason \"deletes quarantine\" --rollback")]
pub(crate) struct Halt {
    /// PACKAGE:VERSION[:PLATFORM], or 12 or more digits of the manifest digest.
    #[arg(value_name = "REF")]
    reference: String,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Tell the computers that run it to go back to what they ran before.
    #[arg(long)]
    rollback: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Take back a rejection or a halt: the release waits for a review again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates reconsider acme-av:1.0.1 --why \"the vendor explained the crash\"
  distributor updates reconsider acme-av:1.0.1 --why \"tried again in the laboratory\" --json")]
pub(crate) struct Reconsider {
    /// PACKAGE:VERSION[:PLATFORM], or 12 or more digits of the manifest digest.
    #[arg(value_name = "REF")]
    reference: String,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Let computers try an approved release again that they refused or went back from. Ends with 1 when all that were named run
/// it already.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates retry acme-av:1.0.1 --why \"the disk was full\"
  distributor updates retry acme-av:1.0.1 --client reception-1 --client lab-7 --why \"their disks were full\"")]
pub(crate) struct Retry {
    /// PACKAGE:VERSION[:PLATFORM], or 12 or more digits of the manifest digest.
    #[arg(value_name = "REF")]
    reference: String,
    /// Only these computers [default: all that failed]. May be given more than once.
    #[arg(long = "client", value_name = "NAME", num_args = 1..)]
    clients: Vec<String>,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn halt(api: &AdminApi, options: &Halt) -> anyhow::Result<Outcome> {
    let before = find::one(api, &options.reference).await?;
    let (manifest, reason, rollback) = (before.manifest, options.reason.clone(), options.rollback);
    let halted: Halted = api.post("/updates/halt", &HaltRequest { manifest, reason, rollback }).await?;
    let unchanged = is_as_before(&before, &halted.update);
    told_of(&halted, HaltAsked { rollback, unchanged, json: options.json })
}

/// What was asked for with a halt, and how its result is printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct HaltAsked {
    /// Computers that run it are to go back.
    pub(super) rollback: bool,
    /// It was so already.
    pub(super) unchanged: bool,
    /// Print it as JSON.
    pub(super) json: bool,
}

/// Says what a halt did, and to whom.
pub(super) fn told_of(halted: &Halted, asked: HaltAsked) -> anyhow::Result<Outcome> {
    let HaltAsked { rollback, unchanged, json } = asked;
    let (row, leaving) = (&halted.update, &halted.leaving);
    let stays = rollback && leaving.cannot_go_back.count > 0;
    let outcome = if stays { Outcome::Damage } else { Outcome::Done };
    if json {
        print_json(halted)?;
        return Ok(outcome);
    }
    if unchanged {
        print_line(format_args!("{} is {} already; nothing changed", row.release, name_of(row.state)))?;
    } else {
        print_line(format_args!("halted {} [sha256:{}]; it goes to nobody", row.release, row.manifest))?;
    }
    print_leaving(leaving, row.rollback)?;
    if leaving.trying.count > 0 {
        tell(
            "who was told to install it hears at its next contact that it is taken back; then see `distributor clients show NAME`",
        );
    }
    if stays && row.release.package.is_agent() {
        tell("at the computer, `agent-updater rollback agent-updater` goes back to the packaged program");
    }
    if !row.rollback && leaving.can_go_back.count > 0 {
        tell("the same command with --rollback tells those to go back that can");
    }
    Ok(outcome)
}

/// Whether a decision changed nothing, since the same was decided before.
pub(super) fn is_as_before(before: &Update, after: &Update) -> bool {
    let at = |row: &Update| row.decided.as_ref().map(|decided| decided.at);
    before.state == after.state
        && before.rollback == after.rollback
        && before.approved_for == after.approved_for
        && at(before) == at(after)
}

/// The computers that run a stopped release or may try it, a line for each way that leads away from it.
pub(super) fn print_leaving(leaving: &Leaving, rollback: bool) -> anyhow::Result<()> {
    let Leaving { can_go_back, updating, cannot_go_back, trying } = leaving;
    let back = if rollback { ["is told to go back", "are told to go back"] } else { ["keeps it", "keep it"] };
    let newer = ["is told to install a newer release", "are told to install a newer release"];
    let stays = [
        "has nothing to go back to and keeps it until a newer release is approved",
        "have nothing to go back to and keep it until a newer release is approved",
    ];
    let runs = |[one, more]: [&str; 2]| [format!("that runs it {one}"), format!("that run it {more}")];
    let tries = [
        "was told to install it and did not say how that ended",
        "were told to install it and did not say how that ended",
    ];
    let groups = [
        (updating, runs(newer)),
        (can_go_back, runs(back)),
        (cannot_go_back, runs(stays)),
        (trying, tries.map(str::to_owned)),
    ];
    for (who, [one, more]) in groups {
        if who.count == 0 {
            continue;
        }
        let what = if who.count == 1 { one } else { more };
        let named: Vec<&str> = who.names.iter().map(AsRef::as_ref).collect();
        let left_out = who.count.saturating_sub(named.len() as u64);
        let left_out = if left_out > 0 { format!(" and {left_out} more") } else { String::new() };
        let (count, names) = (counted(who.count, "computer", "computers"), plain(&named.join(", ")));
        print_line(format_args!("  {count} {what}: {names}{left_out}"))?;
    }
    Ok(())
}

pub(super) async fn reconsider(api: &AdminApi, options: &Reconsider) -> anyhow::Result<Outcome> {
    let before = find::one(api, &options.reference).await?;
    let request = ReconsiderRequest { manifest: before.manifest, comment: options.why.clone() };
    let row: Update = api.post("/updates/reconsider", &request).await?;
    if options.json {
        print_json(&row)?;
        return Ok(Outcome::Done);
    }
    let what = if is_as_before(&before, &row) {
        "waits for a review already; nothing changed"
    } else {
        "waits for a review again"
    };
    print_line(format_args!("{} [sha256:{}] {what}", row.release, row.manifest))?;
    Ok(Outcome::Done)
}

pub(super) async fn retry(api: &AdminApi, options: &Retry) -> anyhow::Result<Outcome> {
    let manifest = find::one(api, &options.reference).await?.manifest;
    let clients = options.clients.iter().map(ComputerName::new).collect::<Result<Vec<_>, _>>();
    let clients = clients.context("cannot use --client")?;
    let request = RetryRequest { manifest, clients, comment: options.why.clone() };
    let retried: Retried = api.post("/updates/retry", &request).await?;
    let outcome = if retried.clients.is_empty() && !retried.running.is_empty() {
        Outcome::Damage
    } else {
        Outcome::Done
    };
    if options.json {
        print_json(&retried)?;
        return Ok(outcome);
    }
    let release = &retried.update.release;
    if !retried.running.is_empty() {
        let running: Vec<&str> = retried.running.iter().map(AsRef::as_ref).collect();
        let runs = if running.len() == 1 { "runs" } else { "run" };
        let names = plain(&running.join(", "));
        print_line(format_args!("{names} {runs} {release} already: nothing to retry"))?;
        if retried.clients.is_empty() {
            return Ok(outcome);
        }
    }
    if retried.clients.is_empty() {
        print_line(format_args!(
            "all that failed to install {release} were asked before; they have not tried since"
        ))?;
        return Ok(Outcome::Done);
    }
    let names: Vec<&str> = retried.clients.iter().map(AsRef::as_ref).collect();
    let count = counted(names.len() as u64, "computer tries", "computers try");
    print_line(format_args!("{count} {release} again: {}", plain(&names.join(", "))))?;
    Ok(Outcome::Done)
}
