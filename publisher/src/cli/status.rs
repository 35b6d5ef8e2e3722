//! `publisher status`

use std::path::Path;

use clap::Args;
use indicatif::HumanBytes;
use jiff::Timestamp;
use sealpost_keys::PassphraseSource;
use serde::Serialize;

use super::output::{Ending, Tone, painted, print_json, print_line, seconds};
use crate::expiries::{Expiry, Left, Level, Nearness};
use crate::home::{KeyState, Keyring, Vendor};
use crate::status::{Status, status};

/// Show what ends when, which key renews it and where that lies, and the command to type.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher --home acme status
  publisher --home acme status --json

Warnings begin 90 days before an end, and name the command that renews it. Of grants only those are
shown that end soon, or have ended, while a server is bound to the serial number; `publisher clear-key`
takes those of a customer who is gone off the list. Exit status 1 if something is urgent: it has ended (a grant too) or ends within 7 days, what is renewed daily was not
for days, a certificate or its key cannot be used, or others can read a secret.")]
pub(super) struct Options {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(home: &Path, options: Options) -> anyhow::Result<Ending> {
    let vendor = Vendor::open(home)?;
    // No key is opened, so no passphrase is ever asked for.
    let keyring = Keyring::new(&vendor, PassphraseSource::None);
    let now = Timestamp::now();
    let status = status(&vendor, &keyring, now)?;
    if options.json {
        let Status { vendor, version, expiries, warnings, newer_publisher, repository_bytes } = &status;
        let expiries: Vec<Dated<'_>> = expiries.iter().map(|end| Dated::of(end, now)).collect();
        print_json(&serde_json::json!({
            "vendor": vendor,
            "version": version,
            "expiries": expiries,
            "warnings": warnings,
            "newer_publisher": newer_publisher,
            "repository_bytes": repository_bytes,
        }))?;
    } else {
        print_line(format_args!("{}: publisher {}", status.vendor, status.version))?;
        print_line(format_args!("{:<32}  {:<38}  {}", "WHAT", "EXPIRES", "KEY"))?;
        for end in &status.expiries {
            print_end(end, now)?;
        }
        print_line(format_args!("the repository takes {}", HumanBytes(status.repository_bytes)))?;
        for warning in &status.warnings {
            let tone = if warning.level == Level::Notice { Tone::Attention } else { Tone::Bad };
            print_line(format_args!("{}: {}", painted(warning.level, tone), warning.message))?;
        }
        if let Some(newer) = &status.newer_publisher {
            print_line(format_args!(
                "publisher {newer} is in your own repository, and this is {}; unpack its payload and start it instead",
                status.version
            ))?;
        }
        if status.warnings.is_empty() {
            print_line("nothing is to be done")?;
        }
    }
    Ok(if status.is_urgent() { Ending::DefectsFound } else { Ending::Done })
}

/// An end as programs read it; a site says its own in the same fields.
#[derive(Debug, Serialize)]
struct Dated<'a> {
    #[serde(flatten)]
    expiry: &'a Expiry,
    /// Until the end; below 0 after it.
    seconds_left: i64,
    nearness: Nearness,
}

impl<'a> Dated<'a> {
    fn of(expiry: &'a Expiry, now: Timestamp) -> Self {
        let seconds_left = expiry.at.as_second().saturating_sub(now.as_second());
        Self { expiry, seconds_left, nearness: expiry.nearness(now) }
    }
}

fn print_end(end: &Expiry, now: Timestamp) -> anyhow::Result<()> {
    let tone = match end.nearness(now) {
        Nearness::Ended | Nearness::Urgent => Tone::Bad,
        Nearness::Soon | Nearness::Near => Tone::Attention,
        Nearness::Far => Tone::Good,
    };
    let when = format!("{} ({})", seconds(end.at), Left::of(end.at, now));
    let key = end.key.as_ref().map_or_else(String::new, |key| {
        let state = match key.state {
            KeyState::Here => "here",
            KeyState::Absent => "not here",
            KeyState::Other => "another key",
        };
        let count =
            if key.needed > 1 { format!(", {} of {} needed", key.found, key.needed) } else { String::new() };
        format!("{} ({state}{count})", key.place.display())
    });
    print_line(format_args!("{:<32}  {}  {key}", end.to_string(), painted(format_args!("{when:<38}"), tone)))
}
