//! `distributor pull`.

use std::time::Duration;

use indicatif::ProgressBar;
use sealpost_admin_api::pulls::{PullSummary, PulledOutcome};
use sealpost_admin_api::status::Status;
use sealpost_service::output::is_told_to_a_terminal;
use sealpost_site::rules::release::ReleaseState;

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{plain, print_json, print_line, seconds, size};

/// Look for new releases now, and wait for the result.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor pull
  distributor pull --json")]
pub(super) struct Options {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: AdminApi, options: Options) -> anyhow::Result<Outcome> {
    let spinner = is_told_to_a_terminal().then(|| {
        let spinner = ProgressBar::new_spinner().with_message("pulling from the vendor");
        spinner.enable_steady_tick(Duration::from_millis(120));
        spinner
    });
    let answer = api.post_work::<PullSummary>("/pull", &serde_json::json!({})).await;
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    let pulled = answer?;
    if options.json {
        print_json(&pulled)?;
        return Ok(Outcome::Done);
    }
    print_line(format_args!(
        "metadata is fresh as of {} (timestamp {}, snapshot {}, root {})",
        seconds(pulled.metadata_as_of),
        pulled.timestamp_version,
        pulled.snapshot_version,
        pulled.root_version
    ))?;
    for release in &pulled.releases {
        let what = match &release.outcome {
            PulledOutcome::Staged => "staged, waits for review".to_owned(),
            PulledOutcome::Refused { problems } => format!("refused: {}", plain(&problems.join("; "))),
            PulledOutcome::Withdrawn { reason } => format!("withdrawn by the vendor: {}", plain(reason)),
        };
        print_line(format_args!("{} [{}]: {what}", release.release, release.manifest.short()))?;
    }
    if pulled.releases.is_empty() && pulled.fetched_bytes > 0 {
        print_line(format_args!(
            "{} fetched again, of files that were damaged, missing or removed here",
            size(pulled.fetched_bytes)
        ))?;
    }
    if pulled.releases.is_empty() {
        let status: Status = api.get("/status").await?;
        let waiting = status.releases.get(ReleaseState::Staged.as_str()).copied().unwrap_or(0);
        match waiting {
            0 => print_line("nothing new")?,
            count => print_line(format_args!(
                "nothing new; waiting for review: {count} (`distributor updates list`)"
            ))?,
        }
    } else {
        print_line(format_args!("{} fetched", size(pulled.fetched_bytes)))?;
    }
    Ok(Outcome::Done)
}
