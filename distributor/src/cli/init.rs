//! `distributor init`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::outcome::Outcome;
use super::output::{print_line, tell};
use crate::app;
use crate::config::{DEFAULT_PORT, may_carry_a_serial};
use crate::home::InitOptions;

/// Make a new server: its keys, certificates, ledger and configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor --home /srv/sealpost init --vendor-url https://updates.acme.example --root root.json
  distributor --home /srv/sealpost init --vendor-url http://localhost:8080 --root root.json --address 192.0.2.7")]
pub(super) struct Options {
    /// Where the vendor's repository is.
    #[arg(long, value_name = "URL")]
    vendor_url: String,
    /// The vendor's root.json; from now on it is the root of all trust here.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// A host name or IP address under which computers reach this server, best first [default: this host, 127.0.0.1].
    #[arg(long = "address", value_name = "HOST")]
    addresses: Vec<String>,
    /// The port to listen on, on all addresses.
    #[arg(long, default_value_t = DEFAULT_PORT, conflicts_with = "listen")]
    port: u16,
    /// The address and port to listen on.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
}

pub(super) fn run(home: &Path, options: Options) -> anyhow::Result<Outcome> {
    let addresses = if options.addresses.is_empty() { default_addresses() } else { options.addresses };
    let init = InitOptions {
        vendor_url: &options.vendor_url,
        root: &options.root,
        listen: options.listen.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], options.port))),
        addresses: addresses.clone(),
        passphrase: None,
        now: Timestamp::now(),
    };
    let server = app::init(home, init)?;
    print_line(format_args!("made server {} in {}", server.server_id, home.display()))?;
    print_line(format_args!(
        "site key {}, computers reach it as {}",
        server.site_key.id(),
        addresses.join(", ")
    ))?;
    if !may_carry_a_serial(&options.vendor_url) {
        tell(
            "note: releases are pulled over plain http, which is safe, since they are signed; but serial numbers are \
             not sent that way: give an https address as `vendor_url`, or exchange codes by hand with `distributor \
             register --offline` and `distributor unlock`",
        );
    }
    tell("next: `distributor serve`, then `distributor register SERIAL`");
    Ok(Outcome::Done)
}

fn default_addresses() -> Vec<String> {
    // Linux's own word for it; where there is none, the loopback address alone is still right.
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let mut addresses = Vec::new();
    if !matches!(name, "" | "localhost" | "(none)") {
        addresses.push(name.to_owned());
    }
    addresses.push("127.0.0.1".to_owned());
    addresses
}
