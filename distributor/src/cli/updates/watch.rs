//! Waiting until a release runs where it should.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use sealpost_admin_api::updates::Review;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::rules::release::ReleaseState;
use tokio::time::Instant;

use super::find;
use crate::cli::api::{AdminApi, unless_stopped};
use crate::cli::outcome::Outcome;
use crate::cli::output::{counted, name_of, print_json, seconds, tell};

/// How often the server is asked.
const EVERY: Duration = Duration::from_secs(2);

/// Watch an approved release until every enrolled computer that gets it runs it or failed. Ends with 1 when one failed, or
/// when the time is over.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates watch acme-av:1.0.1
  distributor updates watch acme-av:1.0.1 --timeout 30 --json")]
pub(crate) struct Watch {
    /// PACKAGE:VERSION[:PLATFORM], or 12 or more digits of the manifest digest.
    #[arg(value_name = "REF")]
    reference: String,
    /// Give up after so many minutes [default: wait until Ctrl-C].
    #[arg(long, value_name = "MINUTES")]
    timeout: Option<u64>,
    /// Print how it ended as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: &AdminApi, options: &Watch) -> anyhow::Result<Outcome> {
    let manifest = find::one(api, &options.reference).await?.manifest;
    let view = until_done(api, manifest, options.timeout).await?;
    if options.json {
        print_json(&view)?;
    }
    Ok(outcome(&view))
}

/// Follows a release until nothing more is to be expected of it, and answers how it stands then.
pub(super) async fn until_done(
    api: &AdminApi,
    manifest: Sha256Digest,
    timeout: Option<u64>,
) -> anyhow::Result<Review> {
    let ends = timeout.and_then(|minutes| {
        // An end beyond what the clock can say is none.
        Instant::now().checked_add(Duration::from_secs(minutes.saturating_mul(60)))
    });
    let mut said = String::new();
    loop {
        let view: Review = unless_stopped(async { api.get(&format!("/updates/{manifest}")).await }).await?;
        if view.update.state != ReleaseState::Approved {
            bail!(
                "{} is {}, and goes to nobody; see `distributor updates show {}:{}`",
                view.update.release,
                name_of(view.update.state),
                view.update.release.package,
                view.update.release.version
            );
        }
        let line = progress(&view);
        if line != said {
            tell(&line);
            said = line;
        }
        if is_done(&view) {
            tell_of_the_rest(&view);
            return Ok(view);
        }
        if ends.is_some_and(|ends| Instant::now() >= ends) {
            tell("the time is over; `distributor clients list` shows who has not got it yet");
            return Ok(view);
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            stopped = tokio::signal::ctrl_c() => {
                stopped?;
                return Ok(view);
            }
        }
    }
}

/// Whether it ended well.
pub(super) const fn outcome(view: &Review) -> Outcome {
    if is_content(view) { Outcome::Done } else { Outcome::Damage }
}

fn progress(view: &Review) -> String {
    let row = &view.update;
    let failed = if row.failed > 0 { format!(", {} failed", row.failed) } else { String::new() };
    let silent = silent(view);
    format!(
        "{}: on {} of {}, {} told{failed}{silent}",
        row.release,
        expected(view).saturating_sub(pending(view)),
        counted(expected(view), "computer", "computers"),
        row.assigned
    )
}

/// Those that cannot know of it yet: whoever waits for a computer that is switched off waits until it is on, or until
/// `--timeout`.
fn silent(view: &Review) -> String {
    let count = match view.silent_count {
        0 => return String::new(),
        count => counted(count, "enrolled computer", "enrolled computers"),
    };
    let since = view
        .silent_since
        .map_or_else(|| "one of them never".to_owned(), |at| format!("the longest since {}", seconds(at)));
    format!(", {count} not in contact since the approval ({since})")
}

/// Who is not waited for.
fn tell_of_the_rest(view: &Review) {
    if view.reserved_count > 0 {
        let (one, more) =
            ("computer has a seat and never enrolled", "computers have seats and never enrolled");
        tell(format_args!("{}: not waited for", counted(view.reserved_count, one, more)));
    }
    if view.waiting_count > 0 {
        let count = counted(view.waiting_count, "computer follows", "computers follow");
        tell(format_args!("{count} channels that it is not approved for"));
    }
}

/// Computers of which it is to be expected that they come to run the release.
const fn expected(view: &Review) -> u64 {
    view.recipient_count.saturating_sub(view.reserved_count)
}

const fn pending(view: &Review) -> u64 {
    match view.pending_count {
        Some(pending) => pending,
        // An older server does not say it.
        None => view.recipient_count.saturating_sub(view.runner_count),
    }
}

const fn is_done(view: &Review) -> bool {
    // Who does not keep it is not expected to run it.
    pending(view) <= view.update.failed.saturating_sub(view.not_kept_count)
}

const fn is_content(view: &Review) -> bool {
    view.update.failed == 0 && pending(view) == 0
}
