//! `distributor storage show|clean|check`.

use clap::{Args, Subcommand};
use sealpost_admin_api::storage::StorageView;

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{Table, plain, print_json, print_line, seconds, size};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Show(Show),
    Clean(Clean),
    Check(Check),
}

/// Show what the server stores, what bounds it, and what is damaged or missing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor storage show
  distributor storage show --json")]
pub(super) struct Show {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Remove payloads and deltas that nothing needs now, without waiting for the time that they stay.
///
/// What is approved, staged, told to a computer or run by one stays, and so does the release before it, to which a halt
/// goes back.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor storage clean
  distributor storage clean --json")]
pub(super) struct Clean {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Compare every stored file with its digest now. The server does that by itself, slowly, all the time.
///
/// A file that is damaged is sent to nobody any more, and `distributor pull` fetches it again. Ends with 1 if something is
/// damaged or missing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor storage check
  distributor storage check --json")]
pub(super) struct Check {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: AdminApi, command: Command) -> anyhow::Result<Outcome> {
    let (path, json) = match command {
        Command::Show(options) => ("/storage", options.json),
        Command::Clean(options) => ("/storage/clean", options.json),
        Command::Check(options) => ("/storage/check", options.json),
    };
    let view: StorageView = match path {
        "/storage" => api.get(path).await?,
        path => api.post_work(path, &serde_json::json!({})).await?,
    };
    let is_damaged = path == "/storage/check" && !view.missing.is_empty();
    let outcome = if is_damaged { Outcome::Damage } else { Outcome::Done };
    if json {
        print_json(&view)?;
        return Ok(outcome);
    }
    let mut table = Table::new(&["WHAT", "FILES", "SIZE", "NOT NEEDED", "BOUND"]);
    for kind in view.kinds {
        table.row([
            kind.kind,
            kind.files.to_string(),
            size(kind.bytes),
            size(kind.unneeded_bytes),
            kind.bound,
        ]);
    }
    table.print()?;
    print_line(format_args!("free        {}", size(view.free_bytes)))?;
    let checked = view.scrubbed_at.map_or_else(|| "not yet in whole".to_owned(), seconds);
    print_line(format_args!("checked     {checked}"))?;
    for missing in &view.missing {
        let label = if view.damaged.contains(missing) { "damaged" } else { "missing" };
        let missing = plain(missing);
        print_line(format_args!("{label}     {missing} (`distributor pull` fetches it)"))?;
    }
    if let Some(removed) = view.removed_bytes {
        print_line(format_args!("removed     {}", size(removed)))?;
    }
    Ok(outcome)
}
