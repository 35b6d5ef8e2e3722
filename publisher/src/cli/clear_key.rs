//! `publisher clear-key`

use std::path::Path;

use clap::Args;
use jiff::Timestamp;
use sealpost_manifests::ids::{SerialNumber, ServerId};

use super::output::{Ending, confirm, counted, print_json, print_line};
use crate::authority::Authority;
use crate::home::Vendor;

/// Clear the bindings of a server, so that its serial numbers can be registered by another server or site key.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher --home acme clear-key 9c1f0e6a2b7d4c35a8e0f1d2c3b4a596
  publisher --home acme clear-key 9c1f0e6a2b7d4c35a8e0f1d2c3b4a596 --yes --json

For a site that lost its server and has no backup of its keys. The next registration of each serial
number binds it again, whoever sends it. The old server keeps its grant until that ends, so make
sure that it is gone. `publisher serial list` names the server of each serial number, and
`publisher serial show` what was cleared.")]
pub(super) struct Options {
    /// The id of the server, as `publisher serial list` shows it.
    server: ServerId,
    /// Do not ask back.
    #[arg(long)]
    yes: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(home: &Path, options: Options) -> anyhow::Result<Ending> {
    let Options { server, yes, json } = options;
    let vendor = Vendor::open(home)?;
    let mut authority = Authority::open(&vendor.license_database())?;
    let bound = authority.bound_to(&server)?;
    if !yes && !bound.is_empty() {
        let what = format!(
            "the server {server} has {}, and whoever registers one next gets it; the old server keeps its grant until \
             that ends",
            counted(bound.len(), "serial number")
        );
        confirm(&what, "--yes")?;
    }
    let cleared = authority.clear_key(&server, Timestamp::now())?;
    if json {
        print_json(&serde_json::json!({ "server_id": server, "serials": cleared }))?;
    } else {
        let serials: Vec<&str> = cleared.iter().map(SerialNumber::as_str).collect();
        print_line(format_args!(
            "cleared the server {server}: {} can be registered anew",
            serials.join(", ")
        ))?;
    }
    Ok(Ending::Done)
}
