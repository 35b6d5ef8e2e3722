//! Stopping a release, deciding about it anew, and letting computers try it again.

use anyhow::Context;
use clap::Args;
use sealpost_admin_api::updates::{HaltRequest, ReconsiderRequest, Retried, RetryRequest, Review, Update};
use sealpost_manifests::ids::ComputerName;

use super::find;
use crate::cli::api::AdminApi;
use crate::cli::outcome::Outcome;
use crate::cli::output::{counted, plain, print_json, print_line, tell};

/// Stop an approved release: from now on it goes to nobody, and the one before it is approved again.
///
/// Computers that run it keep it, and are listed; with --rollback each is told to go back to what it ran before.
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
  distributor updates reconsider acme-av:1.0.1
  distributor updates reconsider acme-av:1.0.1 --json")]
pub(crate) struct Reconsider {
    /// PACKAGE:VERSION[:PLATFORM], or 12 or more digits of the manifest digest.
    #[arg(value_name = "REF")]
    reference: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Let computers try an approved release again that they refused or went back from.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates retry acme-av:1.0.1
  distributor updates retry acme-av:1.0.1 --client reception-1 --client lab-7")]
pub(crate) struct Retry {
    /// PACKAGE:VERSION[:PLATFORM], or 12 or more digits of the manifest digest.
    #[arg(value_name = "REF")]
    reference: String,
    /// Only these computers [default: all that failed]. May be given more than once.
    #[arg(long = "client", value_name = "NAME", num_args = 1..)]
    clients: Vec<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn halt(api: &AdminApi, options: &Halt) -> anyhow::Result<Outcome> {
    let manifest = find::one(api, &options.reference).await?.manifest;
    let (reason, rollback) = (options.reason.clone(), options.rollback);
    let row: Update = api.post("/updates/halt", &HaltRequest { manifest, reason, rollback }).await?;
    if options.json {
        print_json(&row)?;
        return Ok(Outcome::Done);
    }
    print_line(format_args!("halted {} [sha256:{}]; it goes to nobody", row.release, row.manifest))?;
    let view: Review = api.get(&format!("/updates/{manifest}")).await?;
    if view.runner_count > 0 {
        let named: Vec<&str> = view.runners.iter().map(AsRef::as_ref).collect();
        let more = view.runner_count.saturating_sub(named.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let what = match (view.runner_count, row.rollback) {
            (1, true) => "that runs it is told to go back",
            (_, true) => "that run it are told to go back",
            (1, false) => "that runs it keeps it",
            (_, false) => "that run it keep it",
        };
        let (count, names) = (counted(view.runner_count, "computer", "computers"), plain(&named.join(", ")));
        print_line(format_args!("{count} {what}: {names}{more}"))?;
        if !row.rollback {
            tell("the same command with --rollback tells them to go back");
        }
    }
    Ok(Outcome::Done)
}

pub(super) async fn reconsider(api: &AdminApi, options: &Reconsider) -> anyhow::Result<Outcome> {
    let manifest = find::one(api, &options.reference).await?.manifest;
    let row: Update = api.post("/updates/reconsider", &ReconsiderRequest { manifest }).await?;
    if options.json {
        print_json(&row)?;
        return Ok(Outcome::Done);
    }
    print_line(format_args!("{} [sha256:{}] waits for a review again", row.release, row.manifest))?;
    Ok(Outcome::Done)
}

pub(super) async fn retry(api: &AdminApi, options: &Retry) -> anyhow::Result<Outcome> {
    let manifest = find::one(api, &options.reference).await?.manifest;
    let clients = options.clients.iter().map(ComputerName::new).collect::<Result<Vec<_>, _>>();
    let clients = clients.context("cannot use --client")?;
    let retried: Retried = api.post("/updates/retry", &RetryRequest { manifest, clients }).await?;
    if options.json {
        print_json(&retried)?;
        return Ok(Outcome::Done);
    }
    let release = &retried.update.release;
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
