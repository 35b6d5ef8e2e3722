//! `publisher root renew`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;
use sealpost_service::owner::{Presence, act_as_owner_of};

use super::output::{Ending, dated, print_json, print_line, waiting};
use super::passphrase::PassphraseOptions;
use crate::home::{HomeError, Keyring, Vendor};
use crate::root::{SHOWN_ID, find_root_keys, renew_root};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Sign the next root with the same keys and a new end; sites and computers follow by themselves.
    #[command(after_help = "\
Examples:
  publisher --home acme root renew --root-keys /media/safe
  publisher --home acme root renew --root-keys /media/safe-1 --root-keys /media/safe-2 --json

A root ends after a year (lifetime_days.root), and then nobody takes anything any more until it is
renewed. `publisher status` says when, and warns 90, 30 and 7 days before. As many keys sign as
`publisher init` was told with --root-threshold. The root.json that you ship stays the same.

Whoever can write in the home need not be you, so a root key signs only what follows a root that it has
signed itself, with the same keys for each role, and for two years at most. What was signed is printed:
the digest of the new root, the keys of each role, and the digest of the home's root.json, which
`publisher init` printed too.")]
    Renew {
        /// A folder that holds root keys; may be repeated [default: keys.root_dir of vendor.toml, or HOME/root-keys]
        #[arg(long, value_name = "DIR")]
        root_keys: Vec<PathBuf>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        passphrase: PassphraseOptions,
    },
}

pub(super) fn run(home: &Path, command: Command) -> anyhow::Result<Ending> {
    let Command::Renew { root_keys, json, passphrase } = command;
    let vendor = Vendor::open(home)?;
    let keyring = Keyring::new(&vendor, passphrase.source());
    // A safe may open for root alone; all that is written in the home is its owner's.
    let root_keys = find_root_keys(&vendor, &keyring, &root_keys)?;
    if act_as_owner_of(home)? == Presence::Absent {
        return Err(HomeError::NotAHome { home: home.to_owned() }.into());
    }
    let renewed = renew_root(&vendor, &keyring, root_keys, Timestamp::now(), waiting)?;
    if json {
        print_json(&renewed)?;
    } else {
        print_line(format_args!(
            "root: version {} signed, valid until {}; take the root keys away again",
            renewed.version,
            dated(renewed.expires, Timestamp::now())
        ))?;
        if let Some(sha256) = renewed.sha256 {
            print_line(format_args!("sha256 of version {}: {sha256}", renewed.version))?;
        }
        for (name, role) in &renewed.roles {
            let shown = |id: &String| id.chars().take(SHOWN_ID).collect();
            let keys: Vec<String> = role.keys.iter().map(shown).collect();
            print_line(format_args!(
                "{name}: {} of the keys {}, as before",
                role.threshold,
                keys.join(", ")
            ))?;
        }
        print_line(format_args!(
            "sha256 of root.json, which is that of your sites unless somebody changed it: {}",
            renewed.pinned_sha256
        ))?;
    }
    Ok(Ending::Done)
}
