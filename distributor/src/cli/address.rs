//! `distributor address show|finish`.

use clap::{Args, Subcommand};
use sealpost_admin_api::addresses::{AddressesView, FinishRequest};

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{Table, counted, plain, print_json, print_line, tell};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Show(Show),
    Finish(Finish),
}

/// Show under which addresses and ports computers reach the server, and who has not learned a change of them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor address show
  distributor address show --json")]
pub(super) struct Show {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Stop serving the addresses and ports before a change. That happens by itself when every computer has learned the new
/// ones.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor address finish
  distributor address finish --now")]
pub(super) struct Finish {
    /// Also while computers have not learned the new ones. They find the server no longer, and need a new setup file; they
    /// are named, also by `status`.
    #[arg(long)]
    now: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: AdminApi, command: Command) -> anyhow::Result<Outcome> {
    let (view, json): (AddressesView, bool) = match command {
        Command::Show(options) => (api.get("/addresses").await?, options.json),
        Command::Finish(options) => {
            (api.post("/addresses/finish", &FinishRequest { now: options.now }).await?, options.json)
        }
    };
    if json {
        print_json(&view)?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["PORT", "ADDRESSES", "SERVED"]);
    for way in &view.ways {
        let served = match (way.served, way.unserved.is_empty()) {
            (true, _) => "yes".to_owned(),
            (false, true) => "no".to_owned(),
            (false, false) => format!("not {}", plain(&way.unserved.join(", "))),
        };
        table.row([way.port.to_string(), way.addresses.join(", "), served]);
    }
    table.print()?;
    if let Some(left) = &view.left_behind {
        tell(format_args!(
            "left behind: {} ({}); each that does not get on needs a new setup file, from `distributor clients setup \
             NAME`",
            counted(left.count, "computer", "computers"),
            plain(&left.names.join(", "))
        ));
    }
    match (view.ways.len(), view.waiting.count) {
        (0 | 1, _) => print_line("nothing is being changed")?,
        (_, 0) => print_line("every computer has learned the first line; the others end by themselves")?,
        (_, count) => print_line(format_args!(
            "{} not learned the first line yet, which takes two contacts of each: {}",
            counted(count, "computer has", "computers have"),
            plain(&view.waiting.names.join(", "))
        ))?,
    }
    Ok(Outcome::Done)
}
