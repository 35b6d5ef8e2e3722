//! `publisher refresh`

use std::path::Path;

use clap::Args;
use jiff::Timestamp;

use super::output::{Ending, print_json, print_signed_again, signed_again, tell, waiting};
use super::passphrase::PassphraseOptions;
use crate::home::{Keyring, Vendor};
use crate::renewal::{Urgency, renew};

/// Sign timestamp and snapshot again, and every role that is near its end; once a day is enough.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher --home acme refresh
  publisher --home acme refresh --passphrase-file /run/credentials/publisher

Exit status 1 if something has ended that it could not renew; the warning names the command.")]
pub(super) struct Options {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    passphrase: PassphraseOptions,
}

pub(super) fn run(home: &Path, options: Options) -> anyhow::Result<Ending> {
    let vendor = Vendor::open(home)?;
    let keyring = Keyring::new(&vendor, options.passphrase.source());
    let renewed = renew(&vendor, &keyring, Urgency::Now, Timestamp::now(), waiting)?;
    for warning in &renewed.warnings {
        tell(format_args!("warning: {warning}"));
    }
    if options.json {
        print_json(&signed_again(&renewed.roles))?;
    } else {
        print_signed_again(&renewed.roles)?;
    }
    Ok(if renewed.has_ended { Ending::DefectsFound } else { Ending::Done })
}
