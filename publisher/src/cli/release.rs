//! `publisher release`

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use indicatif::{HumanBytes, ProgressBar};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sealpost_files::read_input;
use sealpost_manifests::ids::{ChannelName, NameError, PackageName, Platform};
use sealpost_manifests::release::{AttachmentKind, MAX_NOTES_BYTES, PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::Version;
use sealpost_manifests::word::Word;

use super::delta::all_threads;
use super::ends::warn_of_ends;
use super::output::{Ending, can_ask, confirm, print_json, print_line, spinner, tell, waiting};
use super::passphrase::PassphraseOptions;
use crate::home::{Keyring, Vendor};
use crate::publication::whole_seconds;
use crate::release::{
    AttachmentOrder, DeltaMade, DeltaOrder, Order, Outcome, Permit, Progress, ReleaseError, Released, release,
};

/// Release a folder: build the payload, sign the manifest, publish, point channels at it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher --home acme release build/acme-av --package acme-av --version 1.0.0 --kind program --channel stable
  publisher --home acme release sigs --package acme-av-signatures --version 27001 --kind signatures --channel stable \\
      --severity high --notes notes.txt
  publisher --home acme release build/acme-av --package acme-av --version 1.0.1 --kind program --channel stable \\
      --category security --fixes CVE-2026-1234 --advisory-url https://acme.example/advisories/7 \\
      --supported-until 2028-12-31 --attach cyclonedx=sbom.cdx.json --attach provenance=build.intoto.jsonl
  publisher --home acme release build/acme-av --package acme-av --version 1.0.2 --kind program --channel stable \\
      --deltas-from 3

What is a slip most of the time is asked back on a terminal, and needs an option elsewhere: a further
package (--new-package), a further channel of one (--new-channel), an unknown platform
(--new-platform), a lower version than the channel's (--downgrade), private keys, tokens or serial
numbers among the files (--with-private-keys). The first release of a package makes its keys.
A release that was cut short is completed by the same command again. A published version stays as it was
signed: other files, attachments, notes and options that say something of it are refused.")]
pub(super) struct Options {
    /// The folder whose content is released.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The package.
    #[arg(long, value_name = "P")]
    package: PackageName,
    /// The version; for signatures the revision, a number that rises.
    #[arg(long, value_name = "V")]
    version: Version,
    /// What the package holds.
    #[arg(long, value_enum)]
    kind: KindArgument,
    /// A channel that is to point at it; may be repeated.
    #[arg(long, value_name = "C", required = true)]
    channel: Vec<ChannelName>,
    /// The platform that it runs on [default: this one for programs, `any` for signatures]
    #[arg(long, value_name = "X")]
    platform: Option<Platform>,
    /// How urgent it is [default: normal]
    #[arg(long, value_enum)]
    severity: Option<SeverityArgument>,
    /// What it is about: a code such as `bugfix`, `feature` or `security`.
    #[arg(long, value_name = "CODE", value_parser = Word::new)]
    category: Option<Word>,
    /// The id of a vulnerability that it fixes, for example CVE-2026-1234; may be repeated.
    #[arg(long, value_name = "ID")]
    fixes: Vec<String>,
    /// A web page that describes what it fixes.
    #[arg(long, value_name = "URL")]
    advisory_url: Option<String>,
    /// Until when it is supported: a day, which ends in the vendor's time zone, or a time such as 2028-12-31T12:00:00Z.
    #[arg(long, value_name = "DAY|TIME")]
    supported_until: Option<String>,
    /// A document to publish beside it: `cyclonedx`, `spdx`, `provenance`, `advisory` or another code, and its file;
    /// may be repeated.
    #[arg(long, value_name = "KIND=FILE", value_parser = parse_attachment)]
    attach: Vec<AttachmentOrder>,
    /// It is meant to be a new package.
    #[arg(long)]
    new_package: bool,
    /// A channel is meant to be a new one of the package.
    #[arg(long)]
    new_channel: bool,
    /// The platform is meant, although no program of ours is known to report it.
    #[arg(long)]
    new_platform: bool,
    /// It is meant to be a lower version than the one that a channel points at.
    #[arg(long)]
    downgrade: bool,
    /// Publish deltas from so many releases before it, for sites whose computers run those; what one cannot be made of is told.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=8))]
    deltas_from: u8,
    /// Memory that making a delta may take, nearly.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(64..))]
    delta_memory_mib: u64,
    /// Private keys among the files are meant for everybody to read.
    #[arg(long)]
    with_private_keys: bool,
    /// A text file that says what is new.
    #[arg(long, value_name = "FILE")]
    notes: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    passphrase: PassphraseOptions,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindArgument {
    /// Programs.
    Program,
    /// Data that a program reads.
    Signatures,
    /// The agent itself.
    Agent,
    /// The Primary Server itself.
    Server,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SeverityArgument {
    Low,
    Normal,
    High,
    Critical,
}

pub(super) fn run(home: &Path, options: Options) -> anyhow::Result<Ending> {
    let vendor = Vendor::open(home)?;
    let keyring = Keyring::new(&vendor, options.passphrase.source());
    let json = options.json;
    let mut order = options.into_order(&vendor)?;
    let released = loop {
        let bar = spinner();
        bar.set_message("checking");
        let released =
            release(&vendor, &keyring, &order, Timestamp::now(), &mut |step| show(&bar, step), waiting);
        bar.finish_and_clear();
        match released {
            Err(ReleaseError::Questions { questions, .. }) if can_ask() => {
                for question in questions {
                    confirm(&question.what, question.permit.flag())?;
                    order.permits.insert(question.permit);
                }
            }
            released => break released?,
        }
    };
    if json {
        print_json(&released)?
    } else {
        print_released(&released)?
    }
    warn_of_ends(&vendor, &keyring);
    Ok(Ending::Done)
}

impl Options {
    fn into_order(self, vendor: &Vendor) -> anyhow::Result<Order> {
        let kind = match self.kind {
            KindArgument::Program => PackageKind::Program,
            KindArgument::Signatures => PackageKind::Signatures,
            KindArgument::Agent => PackageKind::Agent,
            KindArgument::Server => PackageKind::Server,
        };
        let severity = self.severity.map(|severity| match severity {
            SeverityArgument::Low => Severity::Low,
            SeverityArgument::Normal => Severity::Normal,
            SeverityArgument::High => Severity::High,
            SeverityArgument::Critical => Severity::Critical,
        });
        let platform = self.platform.unwrap_or_else(|| match kind {
            PackageKind::Signatures => Platform::any(),
            _ => Platform::current(),
        });
        let permits = [
            (self.new_package, Permit::NewPackage),
            (self.new_channel, Permit::NewChannel),
            (self.new_platform, Permit::NewPlatform),
            (self.downgrade, Permit::Downgrade),
            (self.with_private_keys, Permit::PrivateKeys),
        ];
        let permits = permits.into_iter().filter_map(|(given, permit)| given.then_some(permit)).collect();
        let supported_until = self.supported_until.as_deref();
        let release = ReleaseId { package: self.package, version: self.version, platform };
        Ok(Order {
            severity,
            category: self.category,
            fixes: self.fixes,
            advisory_url: self.advisory_url,
            supported_until: supported_until.map(|text| parse_end(text, &vendor.time_zone())).transpose()?,
            notes: self.notes.as_deref().map(read_notes).transpose()?.unwrap_or_default(),
            attachments: self.attach,
            deltas: DeltaOrder {
                from: self.deltas_from.into(),
                memory_bytes: self.delta_memory_mib.saturating_mul(1 << 20),
                threads: all_threads(),
            },
            permits,
            ..Order::new(self.folder, release, kind, self.channel)
        })
    }
}

fn parse_attachment(text: &str) -> Result<AttachmentOrder, String> {
    let wrong = || format!("{text:?} is not KIND=FILE; an example is cyclonedx=sbom.cdx.json");
    let (kind, file) = text.split_once('=').filter(|(_, file)| !file.is_empty()).ok_or_else(wrong)?;
    let kind: AttachmentKind = kind.parse().map_err(|error: NameError| error.to_string())?;
    Ok(AttachmentOrder { kind, file: file.into() })
}

/// The last second of a day, or a time.
fn parse_end(text: &str, zone: &TimeZone) -> anyhow::Result<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(whole_seconds(time));
    }
    let wrong =
        || format!("{text:?} is neither a day such as 2028-12-31 nor a time such as 2028-12-31T12:00:00Z");
    // What the parser says of its own parts helps nobody.
    let day: Date = text.parse().map_err(|_| anyhow!("cannot use --supported-until: {}", wrong()))?;
    let end = day.to_zoned(zone.clone()).and_then(|start| start.end_of_day()).with_context(wrong)?;
    Ok(whole_seconds(end.timestamp()))
}

fn print_released(released: &Released) -> anyhow::Result<()> {
    let id = &released.release;
    let channels: Vec<String> = released
        .channels
        .iter()
        .map(|(channel, version)| format!("channel {channel} -> {version}"))
        .collect();
    if released.outcome == Outcome::PublishedBefore {
        tell("note: this version was published before with the same content; its manifest stays as it was");
    }
    print_line(format_args!(
        "published {} {} ({}): manifest sha256:{} ; {}",
        id.package,
        id.version,
        id.platform,
        released.manifest_sha256,
        channels.join(", ")
    ))?;
    released.deltas.iter().try_for_each(|delta| print_delta(&delta.from, &delta.made))
}

fn print_delta(from: &Version, made: &DeltaMade) -> anyhow::Result<()> {
    match made {
        DeltaMade::Published { bytes } => print_line(format_args!("delta from {from}: {bytes} bytes")),
        DeltaMade::PublishedBefore => print_line(format_args!("delta from {from}: published before")),
        DeltaMade::SparesNothing { bytes } => print_line(format_args!(
            "delta from {from}: not published, since it spares next to nothing with its {bytes} bytes"
        )),
        DeltaMade::NotMade { why } => {
            tell(format!("warning: no delta from {from} was published; sites make their own: {why}"));
            Ok(())
        }
    }
}

fn read_notes(path: &Path) -> anyhow::Result<String> {
    let attempt = || format!("cannot read the notes {}", path.display());
    let limit = u64::try_from(MAX_NOTES_BYTES).unwrap_or(u64::MAX);
    let bytes = match read_input(path, limit) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            bail!("{}: they have more than {MAX_NOTES_BYTES} bytes; shorten them", attempt())
        }
        bytes => bytes.with_context(attempt)?,
    };
    let text = String::from_utf8(bytes).with_context(|| format!("{}: save them as UTF-8 text", attempt()))?;
    Ok(text.replace("\r\n", "\n").trim_end().to_owned())
}

fn show(bar: &ProgressBar, step: Progress) {
    match step {
        Progress::Reading => bar.set_message("reading the files"),
        Progress::Packing(bytes) => bar.set_message(format!("packing, {} written", HumanBytes(bytes))),
        Progress::Publishing => bar.set_message("signing and publishing"),
        Progress::Comparing { number, of } => bar.set_message(format!("making delta {number} of {of}")),
    }
}
