//! `publisher release`

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use sealpost_manifests::ids::{ChannelName, PackageName, Platform};
use sealpost_manifests::release::{MAX_NOTES_BYTES, PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::Version;

use super::output::{Ending, print_json, print_line, tell, waiting};
use super::passphrase::PassphraseOptions;
use crate::home::{Keyring, Vendor};
use crate::release::{Order, Outcome, Released, release};

/// Release a folder: build the payload, sign the manifest, publish, point channels at it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher --home acme release build/acme-av --package acme-av --version 1.0.0 --kind program --channel stable
  publisher --home acme release sigs --package acme-av-signatures --version 27001 --kind signatures --channel stable \\
      --severity high --notes notes.txt

The first release of a package makes its keys. A release that was cut short is completed by the same command again.")]
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
    /// How urgent it is.
    #[arg(long, value_enum, default_value = "normal")]
    severity: SeverityArgument,
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
    let order = options.into_order()?;
    let bar = progress_bar();
    let released =
        release(&vendor, &keyring, &order, Timestamp::now(), &mut |bytes| bar.set_position(bytes), waiting);
    bar.finish_and_clear();
    let released = released?;
    if json {
        print_json(&released)?
    } else {
        print_released(&released)?
    }
    Ok(Ending::Done)
}

impl Options {
    fn into_order(self) -> anyhow::Result<Order> {
        let kind = match self.kind {
            KindArgument::Program => PackageKind::Program,
            KindArgument::Signatures => PackageKind::Signatures,
        };
        let severity = match self.severity {
            SeverityArgument::Low => Severity::Low,
            SeverityArgument::Normal => Severity::Normal,
            SeverityArgument::High => Severity::High,
            SeverityArgument::Critical => Severity::Critical,
        };
        let platform = self.platform.unwrap_or_else(|| match kind {
            PackageKind::Program => Platform::current(),
            PackageKind::Signatures => Platform::any(),
        });
        Ok(Order {
            folder: self.folder,
            release: ReleaseId { package: self.package, version: self.version, platform },
            kind,
            channels: self.channel,
            severity,
            notes: self.notes.as_deref().map(read_notes).transpose()?.unwrap_or_default(),
        })
    }
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
    ))
}

fn read_notes(path: &Path) -> anyhow::Result<String> {
    let attempt = || format!("cannot read the notes {}", path.display());
    let limit = u64::try_from(MAX_NOTES_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(attempt)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).with_context(attempt)?;
    if bytes.len() > MAX_NOTES_BYTES {
        bail!("{}: they have more than {MAX_NOTES_BYTES} bytes; shorten them", attempt());
    }
    let text = String::from_utf8(bytes).with_context(|| format!("{}: save them as UTF-8 text", attempt()))?;
    Ok(text.replace("\r\n", "\n").trim_end().to_owned())
}

fn progress_bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("packing {spinner} {bytes} written, {elapsed}") {
        bar.set_style(style);
    }
    bar
}
