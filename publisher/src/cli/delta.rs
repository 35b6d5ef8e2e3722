//! `publisher delta`

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use sealpost_deltas::{MakeSettings, Progress, Shown, ShownGroup, Summary};
use serde_json::json;

use super::output::{Ending, bar, counted, print_json, print_line};
use crate::delta::{Existing, apply_delta, make, show};

/// From so many bytes on a stream that no packer makes smaller is content that was packed before.
const PACKED_BEFORE_BYTES: u64 = 1024;
/// Paths of a group that are printed; the others are counted.
const SHOWN_PATHS: usize = 5;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Make(Make),
    Apply(Apply),
    Show(Show),
}

/// Make the delta that leads from one file or folder to another.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher delta make acme-1.0.tar acme-1.1.tar acme.delta
  publisher delta make build-1.0 build-1.1 acme.delta --force --json

A tar archive is a file like any other: it comes back bit by bit. Of a folder, files, links and modes come back; empty \
folders, owners and times do not.")]
pub(super) struct Make {
    /// The file or folder that receivers have.
    base: PathBuf,
    /// The one that they are to get.
    target: PathBuf,
    /// The delta.
    out: PathBuf,
    /// Memory that making may take, nearly; with less than it needs the delta becomes larger.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(64..))]
    memory_mib: u64,
    /// Threads that work at once, as many as the computer has cores unless told; the delta is the same with any number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,
    /// Replace a file that has the delta's name.
    #[arg(long)]
    force: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Make the target out of the base and a delta.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher delta apply acme-1.0.tar acme.delta acme-1.1.tar
  publisher delta apply build-1.0 acme.delta build-1.1 --json

The target appears when it is whole, and its digest is the one in the delta. A delta is not signed: check the target's \
digest before you trust what it holds.")]
pub(super) struct Apply {
    /// The file or folder that the delta was made for.
    base: PathBuf,
    /// The delta.
    delta: PathBuf,
    /// The target, which must not exist yet if it is a folder.
    out: PathBuf,
    /// Most that the target may have: a small delta can ask for a large one.
    #[arg(long, value_name = "MIB", default_value_t = 16384)]
    max_mib: u64,
    /// Replace a file that has the target's name.
    #[arg(long)]
    force: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Show what each part of a delta cost, and by which codec.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher delta show acme.delta
  publisher delta show acme.delta build-1.0 --json")]
pub(super) struct Show {
    /// The delta.
    delta: PathBuf,
    /// The folder that it was made for, so that files have names.
    base: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: Command) -> anyhow::Result<Ending> {
    match command {
        Command::Make(options) => {
            let bar = bar("making the delta");
            let mut control = shown_in(&bar);
            let settings = MakeSettings {
                memory_bytes: options.memory_mib.saturating_mul(1 << 20),
                threads: options.threads.map_or_else(all_threads, usize::from),
                ..MakeSettings::default()
            };
            let existing = existing(options.force);
            let made = make(&options.base, &options.target, &options.out, existing, &settings, &mut control);
            bar.finish_and_clear();
            print_summary(&made?, options.json)?;
        }
        Command::Apply(options) => {
            let bar = bar("applying the delta");
            let mut control = shown_in(&bar);
            let existing = existing(options.force);
            let most = options.max_mib.saturating_mul(1 << 20);
            let made = apply_delta(&options.base, &options.delta, &options.out, existing, most, &mut control);
            bar.finish_and_clear();
            print_summary(&made?, options.json)?;
        }
        Command::Show(options) => {
            let shown = show(&options.delta, options.base.as_deref())?;
            if options.json { print_json(&shown)? } else { print_shown(&shown)? }
        }
    }
    Ok(Ending::Done)
}

/// As many threads as there are cores.
pub(super) fn all_threads() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn shown_in(bar: &ProgressBar) -> impl FnMut(Progress) -> bool {
    |progress| {
        bar.set_length(progress.whole);
        bar.set_position(progress.done);
        true
    }
}

const fn existing(force: bool) -> Existing {
    if force { Existing::Replace } else { Existing::Keep }
}

fn print_summary(summary: &Summary, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return print_json(&json!({
            "delta_bytes": summary.bytes,
            "target_bytes": summary.target_bytes,
            "unchanged": summary.unchanged,
            "patched": summary.patched,
            "whole": summary.whole,
            "links": summary.links,
            "removed": summary.removed,
        }));
    }
    print_line(format_args!(
        "the delta has {} bytes, the target {}: {} unchanged, {} patched, {} whole, {} links, {} removed",
        summary.bytes,
        summary.target_bytes,
        summary.unchanged,
        summary.patched,
        summary.whole,
        summary.links,
        summary.removed
    ))
}

fn print_shown(shown: &Shown) -> anyhow::Result<()> {
    print_line(format_args!(
        "{} bytes, version {}, leads to a {}: head {} bytes",
        shown.bytes, shown.version, shown.subject, shown.head_bytes
    ))?;
    if let (Some(base), Some(check)) = (shown.base_bytes, &shown.base_check) {
        let what = if shown.subject == "file" { "base" } else { "list of the base" };
        print_line(format_args!("{what}: {base} bytes, sha256 begins with {check}"))?;
    }
    shown.groups.iter().try_for_each(print_group)
}

fn print_group(group: &ShownGroup) -> anyhow::Result<()> {
    let bytes = group.bytes.map_or_else(|| "?".to_owned(), |bytes| bytes.to_string());
    let of = group.target_bytes.map(|bytes| format!(" for {bytes}")).unwrap_or_default();
    let streams: Vec<String> = group
        .streams
        .iter()
        .filter_map(|stream| {
            let bytes = stream.packed_bytes?;
            // What resists both packers was packed before.
            let is_packed = stream.packing == "plain" && bytes >= PACKED_BEFORE_BYTES;
            let packing = if is_packed { "packed before" } else { stream.packing };
            Some(format!("{} {packing} {bytes}", stream.name))
        })
        .collect();
    let programs = group.images.filter(|images| *images > 0).map(|images| counted(images, "program"));
    let how = match (programs, group.own_copies) {
        (Some(programs), _) => format!(" with the addresses of {programs} corrected"),
        (None, Some(true)) => " with copies of itself".to_owned(),
        (None, _) => String::new(),
    };
    let streams = if streams.is_empty() { String::new() } else { format!(" ({})", streams.join(", ")) };
    let mut makes = group.makes.iter().take(SHOWN_PATHS).cloned().collect::<Vec<_>>().join(", ");
    let others = group.files.saturating_sub(SHOWN_PATHS);
    if makes.is_empty() {
        makes = counted(group.files, "file");
    } else if others > 0 {
        makes = format!("{makes} and {others} more");
    }
    print_line(format_args!("{}{how}: {bytes} bytes{of}: {makes}{streams}", group.codec))
}
