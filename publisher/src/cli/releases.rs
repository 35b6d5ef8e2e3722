//! `publisher releases list|show`

use std::path::Path;

use clap::Subcommand;
use jiff::Timestamp;
use sealpost_manifests::ids::{ChannelName, PackageName};
use sealpost_manifests::version::Version;

use super::output::{Ending, Tone, dated, painted, print_json, print_line};
use crate::home::Vendor;
use crate::release::{ReleaseEntry, list_releases, show_release};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what was released, the newest of each package first.
    #[command(after_help = "\
Examples:
  publisher --home acme releases list
  publisher --home acme releases list acme-av --json")]
    List {
        /// The package; may be repeated [default: every package]
        package: Vec<PackageName>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a version of a package: what was signed about it on each platform.
    #[command(after_help = "\
Examples:
  publisher --home acme releases show acme-av 1.0.1
  publisher --home acme releases show acme-av 1.0.1 --json")]
    Show {
        /// The package.
        package: PackageName,
        /// The version.
        version: Version,
        /// Print the result as JSON: for each platform what the list has, with the whole manifest.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(home: &Path, command: Command) -> anyhow::Result<Ending> {
    let vendor = Vendor::open(home)?;
    let now = Timestamp::now();
    match command {
        Command::List { package, json } => {
            let entries = list_releases(&vendor, &package)?;
            if json {
                return print_json(&entries).map(|()| Ending::Done);
            }
            print_line(format_args!(
                "{:<24}  {:<16}  {:<20}  {:>7}  {:<38}  {}",
                "PACKAGE", "VERSION", "PLATFORM", "COUNTER", "BUILT", "STATE"
            ))?;
            for entry in &entries {
                let id = &entry.release;
                let built = dated(entry.built_at, now);
                print_line(format_args!(
                    "{:<24}  {:<16}  {:<20}  {:>7}  {built:<38}  {}",
                    id.package,
                    id.version,
                    id.platform,
                    entry.counter,
                    state(entry)
                ))?;
            }
        }
        Command::Show { package, version, json } => {
            let entries = show_release(&vendor, &package, &version)?;
            if json {
                let whole: Vec<_> = entries
                    .iter()
                    .map(|entry| serde_json::json!({ "entry": entry, "manifest": entry.manifest }))
                    .collect();
                return print_json(&whole).map(|()| Ending::Done);
            }
            entries.iter().try_for_each(|entry| print_entry(entry, now))?;
        }
    }
    Ok(Ending::Done)
}

/// Whether sites take it, and who is offered it.
fn state(entry: &ReleaseEntry) -> String {
    if let Some(reason) = &entry.withdrawn {
        return painted(format_args!("withdrawn: {reason}"), Tone::Bad);
    }
    if !entry.trusted {
        return painted("signed with a key that counts no more", Tone::Bad);
    }
    if entry.below_minimum {
        return painted("below the minimum counter", Tone::Attention);
    }
    if entry.channels.is_empty() {
        return "on no channel".to_owned();
    }
    let channels: Vec<&str> = entry.channels.iter().map(ChannelName::as_str).collect();
    painted(channels.join(", "), Tone::Good)
}

fn print_entry(entry: &ReleaseEntry, now: Timestamp) -> anyhow::Result<()> {
    let (id, manifest) = (&entry.release, &entry.manifest);
    print_line(format_args!("{} {} ({}): {}", id.package, id.version, id.platform, state(entry)))?;
    print_line(format_args!(
        "  kind {}, severity {}, counter {}",
        entry.kind, entry.severity, entry.counter
    ))?;
    print_line(format_args!("  built {}", dated(entry.built_at, now)))?;
    print_line(format_args!("  manifest sha256:{}", entry.manifest_sha256))?;
    print_line(format_args!("  payload {} bytes, files: {}", entry.payload_bytes, manifest.files.len()))?;
    if let Some(until) = manifest.supported_until {
        print_line(format_args!("  supported until {}", dated(until, now)))?;
    }
    if let Some(security) = &manifest.security {
        print_line(format_args!("  fixes {}", security.fixes.join(", ")))?;
    }
    for attachment in &manifest.attachments {
        print_line(format_args!("  attachment {} ({})", attachment.target, attachment.kind))?;
    }
    for line in manifest.notes.lines() {
        print_line(format_args!("  | {line}"))?;
    }
    Ok(())
}
