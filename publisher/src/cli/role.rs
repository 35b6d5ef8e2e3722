//! `publisher role renew`

use std::path::Path;

use clap::Subcommand;
use jiff::Timestamp;
use sealpost_manifests::ids::PackageName;
use sealpost_repository::RoleName;

use super::output::{Ending, print_json, print_signed_again, signed_again, waiting};
use super::passphrase::PassphraseOptions;
use crate::home::{Keyring, Vendor};
use crate::renewal::renew_lists;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Sign the top-level targets or the role of a package again, with a new end, although nothing in them changes.
    #[command(after_help = "\
Examples:
  publisher --home acme role renew targets
  publisher --home acme role renew acme-av acme-av-signatures --json

Each needs its own key, where vendor.toml says (keys.targets, keys.role_dir), and the online keys.
`publisher status` says when each role ends; `publisher refresh` renews those that are near their
end and whose keys are there.")]
    Renew {
        /// `targets`, or a package.
        #[arg(required = true, value_name = "ROLE", value_parser = parse_role)]
        role: Vec<RoleName>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        passphrase: PassphraseOptions,
    },
}

pub(super) fn run(home: &Path, command: Command) -> anyhow::Result<Ending> {
    let Command::Renew { role, json, passphrase } = command;
    let vendor = Vendor::open(home)?;
    let keyring = Keyring::new(&vendor, passphrase.source());
    let renewed = renew_lists(&vendor, &keyring, &role, Timestamp::now(), waiting)?;
    if json {
        print_json(&signed_again(&renewed.roles))?;
    } else {
        print_signed_again(&renewed.roles)?;
    }
    Ok(Ending::Done)
}

fn parse_role(text: &str) -> Result<RoleName, String> {
    match text {
        "targets" => Ok(RoleName::Targets),
        "root" => Err("the root is renewed with `publisher root renew`".to_owned()),
        "snapshot" => Ok(RoleName::Snapshot),
        "timestamp" => Ok(RoleName::Timestamp),
        package => PackageName::new(package).map(RoleName::Package).map_err(|error| error.to_string()),
    }
}
