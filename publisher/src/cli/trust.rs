//! `publisher trust show|reset-counter|contact`

use std::path::Path;

use anyhow::bail;
use clap::Subcommand;
use jiff::Timestamp;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::trust::{KeyStatus, TrustDocument};
use sealpost_manifests::version::ReleaseCounter;

use super::contact::ContactOptions;
use super::ends::warn_of_ends;
use super::output::{Ending, Tone, dated, painted, print_json, print_line, waiting};
use super::passphrase::PassphraseOptions;
use crate::home::{Keyring, Vendor};
use crate::publication::PublicationView;
use crate::trust::{reset_counter, set_contact};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the published keys, counter resets and licensing contact.
    #[command(after_help = "\
Examples:
  publisher --home acme trust show
  publisher --home acme trust show --json")]
    Show {
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Go back to a lower release counter, after a stolen key signed one that nothing can follow.
    #[command(
        name = "reset-counter",
        after_help = "\
Examples:
  publisher --home acme trust reset-counter acme-av --to 41
  publisher --home acme trust reset-counter acme-av --to 41 --json

Servers and computers refuse a release whose counter is not above the highest that they have
seen. Whoever stole a release key can sign one with the counter 18446744073709551615 (2^64-1),
and then nothing of the package is installed any more, whatever you sign. Give the highest
counter that you released with yourself: every server and computer goes back to it, once, and
your next release has the one after it. Releases that you still offer must not be above it.
The thief's key must be replaced all the same."
    )]
    ResetCounter {
        /// The package.
        package: PackageName,
        /// The highest counter that you released with yourself.
        #[arg(long, value_name = "N")]
        to: u64,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        passphrase: PassphraseOptions,
    },
    /// Say whom customers ask about licenses; the whole contact is replaced.
    #[command(after_help = "\
Examples:
  publisher --home acme trust contact --contact-mail licenses@acme.example --contact-phone \"+49 89 0000000\"
  publisher --home acme trust contact --remove")]
    Contact {
        #[command(flatten)]
        contact: ContactOptions,
        /// Publish no contact any more.
        #[arg(
            long,
            conflicts_with_all = ["contact_name", "contact_mail", "contact_phone", "contact_url"]
        )]
        remove: bool,
        #[command(flatten)]
        passphrase: PassphraseOptions,
    },
}

pub(super) fn run(home: &Path, command: Command) -> anyhow::Result<Ending> {
    let vendor = Vendor::open(home)?;
    match command {
        Command::Show { json } => {
            let trust = PublicationView::read(&vendor)?.trust()?;
            if json { print_json(&trust)? } else { print_trust(&trust)? }
        }
        Command::ResetCounter { package, to, json, passphrase } => {
            let keyring = Keyring::new(&vendor, passphrase.source());
            let to = ReleaseCounter(to);
            let reset = reset_counter(&vendor, &keyring, &package, to, Timestamp::now(), waiting)?;
            if json {
                print_json(&reset)?;
            } else {
                print_line(format_args!(
                    "{package}: release counter back to {to} (reset number {}); the next release has {}",
                    reset.reset.number, reset.next
                ))?;
            }
            warn_of_ends(&vendor, &keyring);
        }
        Command::Contact { contact, remove, passphrase } => {
            let contact = contact.into_contact();
            if contact.is_none() && !remove {
                bail!(
                    "cannot set the licensing contact: give --contact-name, --contact-mail, --contact-phone or \
                     --contact-url, or --remove; `publisher trust show` shows the present one"
                );
            }
            let keyring = Keyring::new(&vendor, passphrase.source());
            print_trust(&set_contact(&vendor, &keyring, contact, Timestamp::now(), waiting)?)?;
            warn_of_ends(&vendor, &keyring);
        }
    }
    Ok(Ending::Done)
}

fn print_trust(trust: &TrustDocument) -> anyhow::Result<()> {
    print_line(format_args!("{}, signed {}", trust.vendor, dated(trust.signed_at, Timestamp::now())))?;
    print_line(format_args!("{:<10}  {:<8}  {:<32}  {}", "USE", "STATUS", "PACKAGE", "KEY"))?;
    for key in &trust.keys {
        let package = key.package.as_ref().map_or("-", PackageName::as_str);
        let tone = if key.status == KeyStatus::Active { Tone::Good } else { Tone::Attention };
        let status = painted(format_args!("{:<8}", key.status), tone);
        print_line(format_args!("{:<10}  {status}  {package:<32}  {}", key.key_use, key.key))?;
    }
    for reset in &trust.counter_resets {
        print_line(format_args!(
            "counter of {}: reset to {} (number {})",
            reset.package, reset.counter, reset.number
        ))?;
    }
    let contact = trust.licensing_contact.as_ref().map_or_else(
        || "none; set one with `publisher trust contact`".to_owned(),
        |contact| {
            let parts = [&contact.name, &contact.mail, &contact.phone, &contact.url];
            parts.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", ")
        },
    );
    print_line(format_args!("licensing contact: {contact}"))
}
