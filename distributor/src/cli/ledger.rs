//! `distributor ledger rebuild` and `distributor ledger acknowledge`.

use std::path::Path;

use jiff::Timestamp;
use sealpost_admin_api::status::{AcknowledgeRequest, Restored};

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{Bar, plain, print_json, print_line, tell};
use super::reach::Reach;
use crate::home::Home;
use crate::ledger_rebuild::rebuild_in_place;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Rebuild(Rebuild),
    Acknowledge(Acknowledge),
}

/// Make the ledger again from its log alone, while the server is stopped.
///
/// For a ledger whose tables are damaged and whose log is whole (see `distributor log verify`). The old file stays beside
/// the new one. What is not in the log is lost, above all the last contacts: the computers show what they hold, and go
/// on. No new license is given before the vendor confirms.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor --home /srv/sealpost ledger rebuild")]
pub(super) struct Rebuild {}

/// Note for good that somebody has looked into a restored, cut or rewritten ledger.
///
/// It ends the alarm of `distributor status` and stands in the log with your name. It confirms nothing: no new license is
/// given before the vendor answers `distributor register SERIAL` with a higher epoch. The running server writes it: start
/// `distributor serve` first, or ask it from elsewhere with --server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor ledger acknowledge --comment \"restored from Monday's backup, ticket 4711\"
  distributor --server https://server:16770 --ca ca.crt --token-file anna.token ledger acknowledge \\
    --comment \"restored from Monday's backup, ticket 4711\"")]
pub(super) struct Acknowledge {
    /// What was found, in 1 to 1000 characters.
    #[arg(long, value_name = "TEXT")]
    comment: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(reach: &Reach, command: &Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Rebuild(Rebuild {}) => rebuild(&reach.home).await,
        Command::Acknowledge(options) => acknowledge(&AdminApi::open(reach)?, options).await,
    }
}

async fn acknowledge(api: &AdminApi, options: &Acknowledge) -> anyhow::Result<Outcome> {
    let request = AcknowledgeRequest { comment: options.comment.clone() };
    let restored: Restored = api.post("/ledger/acknowledge", &request).await?;
    if options.json {
        print_json(&restored)?;
        return Ok(Outcome::Done);
    }
    let by = restored.acknowledged.as_ref().map_or("you", |seen| seen.by.as_str());
    print_line(format_args!(
        "noted in the log: {} has seen that the ledger was restored, cut or rewritten (found at {})",
        plain(by),
        restored.at
    ))?;
    if !restored.confirmed {
        tell("no new license is given before the vendor confirms: `distributor register SERIAL`");
    }
    Ok(Outcome::Done)
}

async fn rebuild(home: &Path) -> anyhow::Result<Outcome> {
    let home = Home::open(home)?;
    let bar = Bar::count("rebuilding");
    let rebuilt = rebuild_in_place(&home, Timestamp::now(), &mut |entries| bar.at(entries, 0)).await?;
    bar.end();
    print_line(format_args!("rebuilt the ledger from {} log entries", rebuilt.head.size))?;
    print_line(format_args!("the ledger of before is {}", rebuilt.before.display()))?;
    tell(
        "next: `distributor serve`, then `distributor register SERIAL`: until the vendor confirms, computers are served \
         and no new license is given",
    );
    Ok(Outcome::Done)
}
