//! `publisher channel list|show|set|remove|minimum|mandatory`

use std::collections::BTreeSet;
use std::path::Path;

use clap::Subcommand;
use jiff::Timestamp;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::ids::{ChannelName, PackageName};
use sealpost_manifests::version::{ReleaseCounter, Version};

use super::ends::warn_of_ends;
use super::output::{Ending, Tone, can_ask, confirm, dated, painted, print_json, print_line, tell, waiting};
use super::passphrase::PassphraseOptions;
use crate::home::{Keyring, Vendor};
use crate::release::{
    ChannelOf, ChannelSet, Mandatory, Minimum, Permit, ReleaseError, read_channels, remove_channel,
    set_channel, set_mandatory, set_minimum,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List which version each channel of each package points at.
    #[command(after_help = "\
Examples:
  publisher --home acme channel list
  publisher --home acme channel list acme-av --json")]
    List {
        /// The package; may be repeated [default: every package]
        package: Vec<PackageName>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show channels, withdrawn and mandatory versions, and the minimum counter.
    #[command(after_help = "\
Examples:
  publisher --home acme channel show
  publisher --home acme channel show acme-av --json")]
    Show {
        /// The package; may be repeated [default: every package]
        package: Vec<PackageName>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show or set the release counter below which nothing of a package is installed, and to which nothing goes back.
    #[command(after_help = "\
Examples:
  publisher --home acme channel minimum acme-av
  publisher --home acme channel minimum acme-av --version 1.0.1
  publisher --home acme channel minimum acme-av --counter 7 --json
  publisher --home acme channel minimum acme-av --remove

Raise it when an older release must never run again, for example because it has a hole that is
attacked: neither a server nor a computer can then install it or go back to it. It cannot be
above what a channel offers.")]
    Minimum {
        /// The package.
        package: PackageName,
        /// The lowest version that may be installed.
        #[arg(long, value_name = "V", group = "wanted")]
        version: Option<Version>,
        /// The lowest release counter that may be installed; `publisher release --json` names a release's.
        #[arg(long, value_name = "N", group = "wanted")]
        counter: Option<u64>,
        /// Let every release be installed again.
        #[arg(long, group = "wanted")]
        remove: bool,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        passphrase: PassphraseOptions,
    },
    /// Mark a version that computers pass through on the way up, or show which are marked.
    #[command(after_help = "\
Examples:
  publisher --home acme channel mandatory acme-av
  publisher --home acme channel mandatory acme-av 2.0
  publisher --home acme channel mandatory acme-av 2.0 --remove --json

A computer that runs an older version gets this one first, in every channel of the package, and the newer one after it.
Mark a version whose first start changes what later ones rely on, for example a database. It can be marked later, too:
a computer that runs a newer version stays with that.")]
    Mandatory {
        /// The package.
        package: PackageName,
        /// The version [default: show which are marked]
        version: Option<Version>,
        /// Make it an ordinary version again.
        #[arg(long, requires = "version")]
        remove: bool,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        passphrase: PassphraseOptions,
    },
    /// Point a channel of a package at a version that was released.
    #[command(after_help = "\
Examples:
  publisher --home acme channel set acme-av stable 1.0.1
  publisher --home acme channel set acme-av early 2.0.0-rc1 --new-channel --json

A channel that the package does not have (--new-channel) and a lower version than the channel's
(--downgrade) are asked back on a terminal, and need an option elsewhere.")]
    Set {
        /// The package.
        package: PackageName,
        /// The channel.
        channel: ChannelName,
        /// The version.
        version: Version,
        /// It is meant to be a new channel.
        #[arg(long)]
        new_channel: bool,
        /// It is meant to be a lower version than the one that the channel points at.
        #[arg(long)]
        downgrade: bool,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        passphrase: PassphraseOptions,
    },
    /// Remove a channel of a package: nothing new comes through it.
    #[command(after_help = "\
Examples:
  publisher --home acme channel remove acme-av early
  publisher --home acme channel remove acme-av early --json

Releases stay, and so does what sites approved for the channel. Computers that follow it get
nothing new: each site warns of them, and moves them with `distributor clients channel`.")]
    Remove {
        /// The package.
        package: PackageName,
        /// The channel.
        channel: ChannelName,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        passphrase: PassphraseOptions,
    },
}

pub(super) fn run(home: &Path, command: Command) -> anyhow::Result<Ending> {
    let vendor = Vendor::open(home)?;
    match command {
        Command::List { package, json } => {
            let channels = read_channels(&vendor, &package)?;
            if json { print_json(&channels)? } else { print_table(&channels)? }
        }
        Command::Show { package, json } => {
            let channels = read_channels(&vendor, &package)?;
            if json { print_json(&channels)? } else { channels.iter().try_for_each(print_channels)? }
        }
        Command::Minimum { package, version, counter, remove, json, passphrase } => {
            let minimum = match (version, counter) {
                (Some(version), _) => Minimum::Version(version),
                (None, Some(counter)) => Minimum::Counter(ReleaseCounter(counter)),
                (None, None) if remove => Minimum::None,
                (None, None) => return show_minimum(&vendor, package, json),
            };
            let keyring = Keyring::new(&vendor, passphrase.source());
            let set = set_minimum(&vendor, &keyring, &package, &minimum, Timestamp::now(), waiting)?;
            if set.minimum_counter < set.before {
                tell("note: it is lower than before; what was kept out can be installed again");
            }
            print_minimum(&package, set.minimum_counter, json)?;
            warn_of_ends(&vendor, &keyring);
        }
        Command::Mandatory { package, version, remove, json, passphrase } => {
            let Some(version) = version else { return show_mandatory(&vendor, package, json) };
            let wanted = if remove { Mandatory::Ordinary } else { Mandatory::Pass };
            let keyring = Keyring::new(&vendor, passphrase.source());
            let set =
                set_mandatory(&vendor, &keyring, &package, &version, wanted, Timestamp::now(), waiting)?;
            if wanted == Mandatory::Pass && !set.later.is_empty() {
                tell(format_args!(
                    "note: {} {} a later version; computers that run that stay with it",
                    set.later.join(", "),
                    if set.later.len() == 1 { "offers" } else { "offer" }
                ));
            }
            if json {
                print_json(&set)?;
            } else {
                print_mandatory(&package, &set.mandatory)?;
            }
            warn_of_ends(&vendor, &keyring);
        }
        Command::Set { package, channel, version, new_channel, downgrade, json, passphrase } => {
            let keyring = Keyring::new(&vendor, passphrase.source());
            let given = [(new_channel, Permit::NewChannel), (downgrade, Permit::Downgrade)];
            let permits = given.into_iter().filter_map(|(given, permit)| given.then_some(permit)).collect();
            let of = ChannelOf { package: &package, channel: &channel };
            let set = set_asking(&vendor, &keyring, of, &version, permits)?;
            if let Some(before) = &set.lower_than {
                tell(format_args!(
                    "note: {version} was released before {before}; servers and computers that have {before} stay with \
                     it"
                ));
            }
            if json {
                print_json(&set)?;
            } else {
                print_line(format_args!("{package}: channel {channel} -> {version}"))?;
            }
            warn_of_ends(&vendor, &keyring);
        }
        Command::Remove { package, channel, json, passphrase } => {
            let keyring = Keyring::new(&vendor, passphrase.source());
            let of = ChannelOf { package: &package, channel: &channel };
            let removed = remove_channel(&vendor, &keyring, of, Timestamp::now(), waiting)?;
            tell(
                "note: computers that follow it get nothing new; each site warns of them, and moves them with \
                 `distributor clients channel`",
            );
            if json {
                print_json(&removed)?;
            } else {
                let pointed = removed.pointed_at.map(|version| format!(", which pointed at {version}"));
                let pointed = pointed.unwrap_or_default();
                print_line(format_args!("{package}: removed channel {channel}{pointed}"))?;
            }
            warn_of_ends(&vendor, &keyring);
        }
    }
    Ok(Ending::Done)
}

/// Sets a channel; what is a slip most of the time is asked back on a terminal.
fn set_asking(
    vendor: &Vendor,
    keyring: &Keyring,
    of: ChannelOf<'_>,
    version: &Version,
    mut permits: BTreeSet<Permit>,
) -> anyhow::Result<ChannelSet> {
    loop {
        match set_channel(vendor, keyring, of, version, &permits, Timestamp::now(), waiting) {
            Err(ReleaseError::ChannelQuestions { questions, .. }) if can_ask() => {
                for question in questions {
                    confirm(&question.what, question.permit.flag())?;
                    permits.insert(question.permit);
                }
            }
            set => return Ok(set?),
        }
    }
}

fn print_table(all: &[ChannelsDocument]) -> anyhow::Result<()> {
    print_line(format_args!("{:<32}  {:<16}  {:<16}  {}", "PACKAGE", "CHANNEL", "VERSION", "STATE"))?;
    for channels in all {
        let package = &channels.package;
        for (channel, version) in &channels.channels {
            print_line(format_args!(
                "{package:<32}  {channel:<16}  {version:<16}  offered",
                version = version.as_str()
            ))?;
        }
        for channel in &channels.emptied {
            let state = painted("empty: what it pointed at was withdrawn", Tone::Attention);
            print_line(format_args!("{package:<32}  {channel:<16}  {:<16}  {state}", "-"))?;
        }
        for withdrawn in &channels.withdrawn {
            let (version, reason) = (&withdrawn.version, &withdrawn.reason);
            let state = painted("withdrawn", Tone::Bad);
            print_line(format_args!(
                "{package:<32}  {:<16}  {:<16}  {state}: {reason}",
                "-",
                version.as_str()
            ))?;
        }
    }
    Ok(())
}

fn show_minimum(vendor: &Vendor, package: PackageName, json: bool) -> anyhow::Result<Ending> {
    for channels in read_channels(vendor, &[package])? {
        print_minimum(&channels.package, channels.minimum_counter, json)?;
    }
    Ok(Ending::Done)
}

fn show_mandatory(vendor: &Vendor, package: PackageName, json: bool) -> anyhow::Result<Ending> {
    for channels in read_channels(vendor, &[package])? {
        let (package, mandatory) = (&channels.package, &channels.mandatory);
        if json {
            print_json(&serde_json::json!({ "package": package, "mandatory": mandatory }))?;
        } else {
            print_mandatory(package, mandatory)?;
        }
    }
    Ok(Ending::Done)
}

fn print_mandatory(package: &PackageName, mandatory: &[Version]) -> anyhow::Result<()> {
    let versions: Vec<&str> = mandatory.iter().map(Version::as_str).collect();
    let versions = if versions.is_empty() { "none".to_owned() } else { versions.join(", ") };
    print_line(format_args!("{package}: computers pass through {versions}"))
}

fn print_minimum(package: &PackageName, minimum: Option<ReleaseCounter>, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&serde_json::json!({ "package": package, "minimum_counter": minimum }));
    }
    print_line(format_args!("{package}: minimum counter {}", shown_minimum(minimum)))
}

fn shown_minimum(minimum: Option<ReleaseCounter>) -> String {
    minimum.map_or_else(|| "none".to_owned(), |minimum| minimum.to_string())
}

fn print_channels(channels: &ChannelsDocument) -> anyhow::Result<()> {
    let package = &channels.package;
    print_line(format_args!("{package}, signed {}", dated(channels.signed_at, Timestamp::now())))?;
    for (channel, version) in &channels.channels {
        print_line(format_args!("  channel {channel} -> {version}"))?;
    }
    for channel in &channels.emptied {
        print_line(format_args!("  channel {channel} -> nothing, since what it pointed at was withdrawn"))?;
    }
    for withdrawn in &channels.withdrawn {
        print_line(format_args!("  withdrawn {}: {}", withdrawn.version, withdrawn.reason))?;
    }
    for version in &channels.mandatory {
        print_line(format_args!("  mandatory {version}"))?;
    }
    print_line(format_args!("  minimum counter {}", shown_minimum(channels.minimum_counter)))
}
