//! `publisher refresh`

use std::path::Path;

use clap::Args;
use jiff::Timestamp;

use super::output::{Ending, print_line, seconds, tell, waiting};
use super::passphrase::PassphraseOptions;
use crate::home::{Keyring, Vendor};
use crate::renewal::{Urgency, renew};

/// Sign timestamp and snapshot again, and every role that is near its end; once a day is enough.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher --home acme refresh
  publisher --home acme refresh --passphrase-file /run/credentials/publisher")]
pub(super) struct Options {
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
    for (role, expires) in &renewed.roles {
        print_line(format_args!("{role}: signed again, valid until {}", seconds(*expires)))?;
    }
    Ok(Ending::Done)
}
