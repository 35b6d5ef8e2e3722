//! `publisher clear-key`

use std::path::Path;

use clap::Args;
use jiff::Timestamp;
use sealpost_manifests::ids::{SerialNumber, ServerId};

use super::output::{Ending, confirm, counted, print_json, print_line};
use crate::authority::{Authority, ClearedKey};
use crate::home::Vendor;

/// Clear the bindings of a server that was lost or stolen, so that its serial numbers can be registered by another one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher --home acme clear-key 9c1f0e6a2b7d4c35a8e0f1d2c3b4a596
  publisher --home acme clear-key 9c1f0e6a2b7d4c35a8e0f1d2c3b4a596 --yes --json
  publisher --home acme clear-key 9c1f0e6a2b7d4c35a8e0f1d2c3b4a596 --stolen

For a site that lost its server and has no backup of its keys. The next registration of each serial
number binds it again, whoever sends it: a new server, which has an id of its own, or the old one with
the key that it had. Everybody at a computer of the site can read the number in the grant that the
computer keeps, so clear when the new server is ready to register, and let it do that at once. The old
server keeps its grant until that ends, so make sure that it is gone. `publisher serial list` names the server of each serial number, and
`publisher serial show` what was cleared.

With --stolen no key of that server registers anything again, and nobody does under its id; that cannot
be taken back. The customer sets up a new server: a restored backup would have the refused key. Whoever
stole the server knows its serial numbers too and could register them with another key, so let the
new server register at once, or sell new ones with `publisher serial new`.")]
pub(super) struct Options {
    /// The id of the server, as `publisher serial list` shows it.
    server: ServerId,
    /// The server was stolen, or its keys were copied: refuse them for good.
    #[arg(long)]
    stolen: bool,
    /// Do not ask back.
    #[arg(long)]
    yes: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(home: &Path, options: Options) -> anyhow::Result<Ending> {
    let Options { server, stolen, yes, json } = options;
    let key = if stolen { ClearedKey::Stolen } else { ClearedKey::Lost };
    let vendor = Vendor::open(home)?;
    let mut authority = Authority::open(&vendor.license_database())?;
    let bound = authority.bound_to(&server)?;
    // Of a server that it does not know, or that has nothing to clear, it says so without a question.
    let is_change = if stolen { authority.has_had(&server)? } else { !bound.is_empty() };
    if is_change && !yes {
        confirm(&question(&server, bound.len(), stolen), "--yes")?;
    }
    let cleared = authority.clear_key(&server, key, Timestamp::now())?;
    if json {
        print_json(&serde_json::json!({ "server_id": server, "serials": cleared, "stolen": stolen }))?;
        return Ok(Ending::Done);
    }
    let serials: Vec<&str> = cleared.iter().map(SerialNumber::as_str).collect();
    if !serials.is_empty() {
        print_line(format_args!(
            "cleared the server {server}: {} can be registered anew by whoever has the number, and every computer of that site has \
             it; let the new server register at once, and look who did with `publisher serial list`",
            serials.join(", ")
        ))?;
    }
    if stolen {
        print_line(format_args!(
            "the server {server} was stolen: its key and its id are refused from now on"
        ))?;
    }
    Ok(Ending::Done)
}

/// What would come of it.
fn question(server: &ServerId, bound: usize, stolen: bool) -> String {
    let cleared = match bound {
        0 => format!("no serial number is bound to the server {server} any more"),
        bound => format!(
            "the server {server} has {}, and whoever registers one next gets it; the old server keeps its grant until \
             that ends",
            counted(bound, "serial number")
        ),
    };
    let refused = if stolen { "; its key and its id are refused from now on, for good" } else { "" };
    format!("{cleared}{refused}")
}
