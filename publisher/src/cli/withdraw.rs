//! `publisher withdraw`

use std::path::Path;

use clap::Args;
use jiff::Timestamp;
use sealpost_manifests::ids::{PackageName, Platform};
use sealpost_manifests::version::Version;

use super::ends::warn_of_ends;
use super::output::{Ending, print_json, print_line, tell, waiting};
use super::passphrase::PassphraseOptions;
use crate::home::{Keyring, Vendor};
use crate::release::{Withdrawal, withdraw};

/// Withdraw a version: nothing installs it any more, and nothing goes back to it unless a person at the computer says so.
///
/// This stays for ever.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher --home acme withdraw acme-av 2.0 --reason \"deletes quarantined files\"
  publisher --home acme withdraw acme-av 2.0 --platform linux-aarch64 --reason \"does not start\" --json

Channels that point at it point at nothing from then on; point them at another version with
`publisher channel set`. A person at a computer can still go back to it by name
(`agent-updater rollback PACKAGE --anyway`). Computers that run it go on until their site halts the release; each
site shows which they are, with the reason.")]
pub(super) struct Options {
    /// The package.
    package: PackageName,
    /// The version.
    version: Version,
    /// Only on this platform; may be repeated [default: on all]
    #[arg(long, value_name = "X")]
    platform: Vec<Platform>,
    /// Why, in one line; every site shows it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    passphrase: PassphraseOptions,
}

pub(super) fn run(home: &Path, options: Options) -> anyhow::Result<Ending> {
    let Options { package, version, platform, reason, json, passphrase } = options;
    let vendor = Vendor::open(home)?;
    let keyring = Keyring::new(&vendor, passphrase.source());
    let withdrawal =
        Withdrawal { package: &package, version: &version, platforms: &platform, reason: &reason };
    let withdrawn = withdraw(&vendor, &keyring, withdrawal, Timestamp::now(), waiting)?;
    for channel in &withdrawn.channels {
        tell(format_args!(
            "note: channel {channel} pointed at it and offers nothing now; point it at another version with `publisher \
             channel set {package} {channel} VERSION`"
        ));
    }
    if json {
        print_json(&withdrawn)?;
    } else {
        let platforms: Vec<&str> = withdrawn.platforms.iter().map(Platform::as_str).collect();
        print_line(format_args!(
            "withdrawn {package} {version} ({}): {}",
            platforms.join(", "),
            withdrawn.reason
        ))?;
    }
    warn_of_ends(&vendor, &keyring);
    Ok(Ending::Done)
}
