//! `distributor clients pending`: who waits to be enrolled.

use clap::Args;
use jiff::Timestamp;
use sealpost_admin_api::pending::{MAX_PENDING_ROWS, NameStanding, PendingComputer, PendingPage};

use sealpost_site::rules::pending::MAX_PENDING;

use crate::cli::api::AdminApi;
use crate::cli::outcome::Outcome;
use crate::cli::output::{Table, age, counted, plain, print_json, tell};
use crate::cli::pages;

/// Characters of a cell with what an unknown computer says of itself.
const MAX_CELL_CHARS: usize = 20;

/// List the computers that asked to be enrolled and wait: those of a knock setup file, those without a reservation, and those whose
/// setup file is not good (any more).
///
/// They take no seat. What they say of themselves is unproven, but for the key: compare it on the computer, then admit that key.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients pending
  distributor clients pending --json

The list has 1,000 rows at the most, and 3 keys of one name; each keeps its place for a day.")]
pub(in crate::cli) struct Options {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) async fn run(api: &AdminApi, options: &Options) -> anyhow::Result<Outcome> {
    let pending = pages::all::<PendingPage>(api, &format!("/pending?limit={MAX_PENDING_ROWS}")).await?;
    if options.json {
        print_json(&PendingPage { pending, next: None })?;
        return Ok(Outcome::Done);
    }
    if pending.is_empty() {
        tell("no computer waits");
        return Ok(Outcome::Done);
    }
    let now = Timestamp::now();
    let heading = ["NAME", "KEY", "FROM", "PLATFORM", "AGENT", "SINCE", "THE NAME"];
    let mut table = Table::new(&heading);
    for row in &pending {
        let PendingComputer { name, key, source, platform, agent_version, since, standing } = row;
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row([
            name.to_string(),
            or_dash(key.map(|key| key.to_string())),
            plain(source),
            or_dash(platform.as_ref().map(|platform| narrow(platform.as_ref()))),
            or_dash(agent_version.as_deref().map(narrow)),
            age(*since, now),
            said(*standing).to_owned(),
        ]);
    }
    table.print()?;
    if pending.len() as u64 >= MAX_PENDING {
        tell(
            "the list is full: whoever comes now is not listed, and is told its whole public key; \
             `distributor clients admit NAME --key KEY` takes that too",
        );
    }
    tell(format_args!(
        "{}: compare the key with what `agent-updater status` says on the computer, then run \
         `distributor clients admit NAME --key KEY`",
        counted(pending.len() as u64, "computer waits", "computers wait")
    ));
    Ok(Outcome::Done)
}

/// What an unknown computer says of itself, as it stands in the table: the key is compared by eye and must not be pushed out of
/// sight. Servers of before stored more kinds of characters. `--json` has it whole.
fn narrow(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_CELL_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    plain(&shown)
}

const fn said(standing: NameStanding) -> &'static str {
    match standing {
        NameStanding::NoSeat => "no seat",
        NameStanding::Reserved => "reserved",
        NameStanding::Enrolled => "another computer is enrolled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_unknown_computer_says_of_itself_pushes_no_column_out_of_sight() {
        assert_eq!(narrow("linux-x86_64"), "linux-x86_64");
        assert_eq!(narrow("12345678901234567890"), "12345678901234567890");
        assert_eq!(narrow(&"1".repeat(64)), format!("{}…", "1".repeat(20)));
        assert_eq!(narrow("1\u{1b}[2J"), "1\\u{1b}[2J");
    }
}
