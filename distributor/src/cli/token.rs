//! `distributor token new|list|revoke`: works on the file in the home, whether the server runs or not.

use std::path::Path;

use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::outcome::Outcome;
use super::output::{Table, age, plain, print_json, print_line, seconds, span, tell};
use crate::home::Home;
use crate::http::admin_tokens::AdminTokens;

/// Days that a token is good for, unless something else is said: a year and a day.
const DAYS: u32 = 366;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    New(New),
    List(List),
    Revoke(Revoke),
}

/// Make a token for an admin who comes over the network. It is printed once and stored nowhere, and ends after a year if
/// nothing else is said; `status` warns before.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  (umask 077; distributor token new anna > anna.token)
  (umask 077; distributor token new monitor --forever > monitor.token)
  distributor --server https://server:16770 --ca ca.crt --token-file anna.token status")]
pub(super) struct New {
    /// Whose it is; the log names it.
    name: String,
    /// Days until it ends.
    #[arg(long, value_name = "N", default_value_t = DAYS, value_parser = clap::value_parser!(u32).range(1..=36_600))]
    days: u32,
    /// It is good until it is revoked.
    #[arg(long, conflicts_with = "days")]
    forever: bool,
}

/// List tokens by name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor token list
  distributor token list --json")]
pub(super) struct List {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// A token as `--json` has it: never itself, and never its digest.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    created_at: Timestamp,
    /// Absent for one that is good until it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
}

/// Revoke a token; it is refused from now on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor token revoke anna")]
pub(super) struct Revoke {
    /// Its name.
    name: String,
}

pub(super) fn run(home: &Path, command: Command) -> anyhow::Result<Outcome> {
    let home = Home::open(home)?;
    let tokens = AdminTokens::at(&home.admin_tokens());
    match command {
        Command::New(options) => {
            let now = Timestamp::now();
            let ends_at =
                (!options.forever).then(|| now + SignedDuration::from_hours(24 * i64::from(options.days)));
            let token = tokens.create(&options.name, now, ends_at)?;
            print_line(token.as_str())?;
            let until = ends_at
                .map_or_else(|| "until it is revoked".to_owned(), |end| format!("until {}", seconds(end)));
            tell(format_args!(
                "this token is shown once, and good {until}; keep it in a file that only its owner can read"
            ));
        }
        Command::List(List { json: true }) => {
            let listed = tokens.list()?.into_iter().map(|(name, token)| Listed {
                name,
                created_at: token.created_at,
                ends_at: token.ends_at,
            });
            print_json(&serde_json::json!({ "tokens": listed.collect::<Vec<_>>() }))?;
        }
        Command::List(List { json: false }) => {
            let (mut table, now) = (Table::new(&["NAME", "MADE AT", "AGE", "ENDS", "IN"]), Timestamp::now());
            for (name, token) in tokens.list()? {
                let (ends, left) = match token.ends_at {
                    None => ("never".to_owned(), "-".to_owned()),
                    Some(end) if end <= now => (seconds(end), "ended".to_owned()),
                    Some(end) => (seconds(end), span(end.as_second() - now.as_second())),
                };
                table.row([name, seconds(token.created_at), age(token.created_at, now), ends, left]);
            }
            table.print()?;
        }
        Command::Revoke(options) => {
            if !tokens.revoke(&options.name)? {
                bail!("there is no token named {:?}; see `distributor token list`", plain(&options.name));
            }
            print_line(format_args!("revoked {}", options.name))?;
        }
    }
    Ok(Outcome::Done)
}
