//! `distributor token new|list|revoke`: works on the file in the home, whether the server runs or not.

use std::path::Path;

use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::outcome::Outcome;
use super::output::{Table, age, plain, print_line, seconds, tell};
use crate::home::Home;
use crate::http::admin_tokens::AdminTokens;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    New(New),
    List(List),
    Revoke(Revoke),
}

/// Make a token for an admin who comes over the network. It is printed once and stored nowhere.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  (umask 077; distributor token new anna > anna.token)
  distributor --server https://server:16770 --ca ca.crt --token-file anna.token status")]
pub(super) struct New {
    /// Whose it is; the log names it.
    name: String,
}

/// List tokens by name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor token list")]
pub(super) struct List {}

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
            let token = tokens.create(&options.name, Timestamp::now())?;
            print_line(token.as_str())?;
            tell("this token is shown once; keep it in a file that only its owner can read");
        }
        Command::List(List {}) => {
            let (mut table, now) = (Table::new(&["NAME", "MADE AT", "AGE"]), Timestamp::now());
            for (name, token) in tokens.list()? {
                table.row([name, seconds(token.created_at), age(token.created_at, now)]);
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
