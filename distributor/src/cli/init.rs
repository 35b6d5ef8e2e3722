//! `distributor init`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use sealpost_admin_api::licenses::{RegisterRequest, RegisterWay, Registered};
use sealpost_keys::PublicKey;
use sealpost_service::owner::{Presence, act_as_owner_of};
use sealpost_serving::Peer;
use sealpost_site::changes::Actor;

use super::outcome::Outcome;
use super::output::{plain, print_line, tell};
use super::register::{outcome_of, read_serial, say, way};
use crate::app;
use crate::config::{DEFAULT_PORT, may_carry_a_serial};
use crate::home::{HomeError, InitOptions};

/// Make a new server: its keys, certificates, ledger and configuration.
///
/// With --serial it is registered with the vendor at once, as `distributor register` does it later. Where the vendor cannot be
/// reached, the registration code is printed and the command ends with 1; the server is made all the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor --home /srv/sealpost init --vendor-url https://updates.acme.example --root root.json
  distributor --home /srv/sealpost init --vendor-url http://localhost:8080 --root root.json --address 192.0.2.7
  distributor --home /srv/sealpost init --vendor-url https://updates.acme.example --root root.json --serial - < serial.txt")]
pub(super) struct Options {
    /// Where the vendor's repository is.
    #[arg(long, value_name = "URL")]
    vendor_url: String,
    /// The vendor's root.json; from now on it is the root of all trust here.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// The CA of the vendor's server in PEM, where this system does not trust it. The configuration names the file, which stays
    /// where it is.
    #[arg(long, value_name = "FILE")]
    vendor_ca: Option<PathBuf>,
    /// A host name or IP address under which computers reach this server, best first [default: this host, 127.0.0.1].
    #[arg(long = "address", value_name = "HOST")]
    addresses: Vec<String>,
    /// The port to listen on, on all addresses.
    #[arg(long, default_value_t = DEFAULT_PORT, conflicts_with = "listen")]
    port: u16,
    /// The address and port to listen on.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// The serial number that the vendor sold, to unlock its seats at once, or `-` to read it from standard input: it is a
    /// secret, and arguments are seen by everybody on this computer.
    #[arg(long, value_name = "SERIAL|-")]
    serial: Option<String>,
    /// With --serial: do not ask the vendor; print the registration code, and nothing else on standard output.
    #[arg(long, requires = "serial")]
    offline: bool,
}

pub(super) async fn run(home: &Path, options: Options) -> anyhow::Result<Outcome> {
    // Before anything is made: a typing error costs no home.
    let serial = options.serial.as_deref().map(read_serial).transpose().context("no server is made")?;
    let actor = Actor::socket(Peer::of_this_process().source());
    if serial.is_some() {
        // What is made is opened afterwards, so it belongs to the user of a home that is there. One that is not becomes root's.
        let (Presence::Here | Presence::Absent) = act_as_owner_of(home)?;
    }
    let addresses = if options.addresses.is_empty() { default_addresses() } else { options.addresses };
    let init = InitOptions {
        vendor_url: &options.vendor_url,
        vendor_ca: options.vendor_ca.as_deref(),
        root: &options.root,
        listen: options.listen.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], options.port))),
        addresses: addresses.clone(),
        passphrase: None,
        now: Timestamp::now(),
    };
    let server = app::init(home, init)?;
    let command = command_of(home);
    let made = [
        format!("made server {} in {}", server.server_id, home.display()),
        format!("site key {}, computers reach it as {}", server.site_key.id(), addresses.join(", ")),
    ];
    for line in made {
        // Where a code is what was asked for, standard output is the code.
        if options.offline { tell(line) } else { print_line(line)? }
    }
    let way = way(options.offline);
    // Whoever asks the vendor now is told by the answer.
    let is_told = serial.is_some() && way == RegisterWay::Online;
    if !is_told && !may_carry_a_serial(&options.vendor_url) {
        tell(
            "note: releases are pulled over plain http, which is safe, since they are signed; but serial numbers are \
             not sent that way: give an https address as `vendor_url`, or exchange codes by hand with `distributor \
             register --offline` and `distributor unlock`",
        );
    }
    let Some(serial) = serial else {
        tell(format_args!("next: `{command} serve`, then `{command} register SERIAL`"));
        return Ok(Outcome::Done);
    };
    if way == RegisterWay::Online {
        tell(format_args!("asking the vendor at {} for the seats", plain(&options.vendor_url)));
    }
    let request = RegisterRequest { serial, way, reason: None };
    let registered = register(home, &server.site_key, actor, request).await.context(
        format!("the server is made, and its serial number is not registered (`{command} serve`, then `{command} register SERIAL`)"),
    )?;
    say(&registered)?;
    tell(match &registered {
        Registered::Granted { .. } => format!("next: `{command} serve`"),
        Registered::Code { reason: None, .. } => {
            format!("next: `{command} serve`, then `{command} unlock` with what the vendor sends back")
        }
        Registered::Code { reason: Some(_), .. } => format!(
            "the server is made all the same; next: `{command} serve`, then `{command} unlock` with what the vendor sends back, \
             or `{command} register SERIAL` once the vendor can be reached"
        ),
    });
    Ok(outcome_of(&registered))
}

/// How the program is called for this home: without one it takes the current folder.
fn command_of(home: &Path) -> String {
    if home == Path::new(".") {
        return "distributor".to_owned();
    }
    let home = home.to_string_lossy();
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+@".contains(letter);
    if home.chars().all(is_plain) {
        return format!("distributor --home {home}");
    }
    format!("distributor --home '{}'", plain(&home.replace('\'', "'\\''")))
}

async fn register(
    home: &Path,
    made: &PublicKey,
    actor: Actor,
    request: RegisterRequest,
) -> anyhow::Result<Registered> {
    // Root opens no home of another user, should one have taken the place of the new one.
    if act_as_owner_of(home)? == Presence::Absent {
        return Err(HomeError::NoServer { path: home.to_owned() }.into());
    }
    Ok(app::register_first(home, made, actor, request).await?)
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
