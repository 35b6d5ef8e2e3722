//! `publisher init`

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use super::contact::ContactOptions;
use super::output::{Ending, print_line};
use super::passphrase::PassphraseOptions;
use crate::home::Zone;
use crate::init::{Plan, init};

/// Make a vendor's home: keys, an empty repository, the license database.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher --home acme init --vendor \"Acme Security\"
  publisher --home acme init --vendor \"Acme Security\" --time-zone Europe/Berlin --contact-mail licenses@acme.example
  publisher --home acme init --vendor \"Acme Security\" --root-keys /media/safe --root-key-count 3 --root-threshold 2
  publisher --home test init --vendor Test --no-passphrase")]
pub(super) struct Options {
    /// The vendor's name, as sites will see it.
    #[arg(long, value_name = "NAME")]
    vendor: String,
    /// Folder for the root keys; best on a medium that is then taken away [default: HOME/root-keys]
    #[arg(long, value_name = "DIR")]
    root_keys: Option<PathBuf>,
    /// Root keys that must sign together.
    #[arg(long, value_name = "N", default_value = "1")]
    root_threshold: NonZeroU32,
    /// Root keys to make.
    #[arg(long, value_name = "N", default_value = "1")]
    root_key_count: NonZeroU32,
    /// The time zone in which grants end, at the end of a day [default: this computer's]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<Zone>,
    #[command(flatten)]
    contact: ContactOptions,
    #[command(flatten)]
    passphrase: PassphraseOptions,
}

pub(super) fn run(home: &Path, options: Options) -> anyhow::Result<Ending> {
    let plan = Plan {
        vendor: options.vendor,
        root_keys: options.root_keys.unwrap_or_else(|| home.join("root-keys")),
        root_threshold: options.root_threshold,
        root_key_count: options.root_key_count,
        time_zone: options.time_zone,
        contact: options.contact.into_contact(),
    };
    plan.check(Timestamp::now())?;
    let made = init(home, &plan, options.passphrase.for_new_keys()?, Timestamp::now())?;
    print_line(format_args!("made the vendor's home {}", home.display()))?;
    print_line(format_args!("root.json: {} (ship it to your sites)", made.root_file.display()))?;
    print_line(format_args!("root sha256: {}", made.root_digest))?;
    print_line(format_args!(
        "root keys: {} - move them offline now; they are needed again before the root ends, in a year, and `publisher \
         status` says when",
        plan.root_keys.display()
    ))?;
    print_line(
        "targets key: names the keys of every package, so with the online keys beside it a thief could publish code. \
         Keep it away from the machine that serves; vendor.toml says where it is looked for (keys.targets)",
    )?;
    print_line(
        "keep release keys and package-role keys on different machines or tokens: whoever holds both can publish \
         code. vendor.toml says where each is looked for (keys.release_dir, keys.role_dir)",
    )?;
    Ok(Ending::Done)
}
