//! `distributor ledger rebuild`.

use std::path::Path;

use jiff::Timestamp;

use super::outcome::Outcome;
use super::output::{Bar, print_line, tell};
use crate::home::Home;
use crate::ledger_rebuild::rebuild_in_place;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Rebuild(Rebuild),
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

pub(super) async fn run(home: &Path, command: &Command) -> anyhow::Result<Outcome> {
    let Command::Rebuild(Rebuild {}) = command;
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
