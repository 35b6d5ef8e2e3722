//! `publisher channel set`

use std::path::Path;

use clap::Subcommand;
use jiff::Timestamp;
use sealpost_manifests::ids::{ChannelName, PackageName};
use sealpost_manifests::version::Version;

use super::output::{Ending, print_json, print_line, tell, waiting};
use super::passphrase::PassphraseOptions;
use crate::home::{Keyring, Vendor};
use crate::release::set_channel;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Point a channel of a package at a version that was released.
    #[command(after_help = "\
Examples:
  publisher --home acme channel set acme-av stable 1.0.1
  publisher --home acme channel set acme-av early 2.0.0-rc1 --json")]
    Set {
        /// The package.
        package: PackageName,
        /// The channel.
        channel: ChannelName,
        /// The version.
        version: Version,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        passphrase: PassphraseOptions,
    },
}

pub(super) fn run(home: &Path, command: Command) -> anyhow::Result<Ending> {
    let Command::Set { package, channel, version, json, passphrase } = command;
    let vendor = Vendor::open(home)?;
    let keyring = Keyring::new(&vendor, passphrase.source());
    let set = set_channel(&vendor, &keyring, &package, &channel, &version, Timestamp::now(), waiting)?;
    if let Some(before) = &set.lower_than {
        tell(format_args!(
            "note: {version} was released before {before}; servers and computers that have {before} stay with it"
        ));
    }
    if json {
        print_json(&set)?;
    } else {
        print_line(format_args!("{package}: channel {channel} -> {version}"))?;
    }
    Ok(Ending::Done)
}
