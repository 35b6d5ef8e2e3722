//! `distributor log`: what happened, oldest first. Its subcommands stand beside this.

use anyhow::Context;
use jiff::Timestamp;
use sealpost_admin_api::log::LogEntry;
use sealpost_manifests::ids::ComputerName;

use super::api::{AdminApi, segment};
use super::log_export;
use super::log_proofs::{self, CheckProof, Prove, WriteCheckpoint};
use super::log_verify::{self, Verify};
use super::outcome::Outcome;
use super::output::{plain, print_line, seconds, tell};
use super::reach::Reach;
use super::when;

/// Entries with which `--follow` begins.
const FOLLOW_BEGINS_WITH: u32 = 10;
/// Digits of a digest, and how many of them a line shows.
const DIGEST_DIGITS: usize = 64;
const SHOWN_DIGITS: usize = 12;
/// Longest line of the log, in bytes.
const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;

/// Show what happened, oldest first.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  distributor log
  distributor log -n 20
  distributor log --follow
  distributor log --client reception-1 --since \"2026-01-31 08:00\" --until now
  distributor log --failed --since 2h
  distributor log --release acme-av:1.0.1
  distributor log --by anna --since yesterday
  distributor log --kind release_approved --kind release_halted --json
  distributor log verify
  distributor log checkpoint --out 2026.checkpoint
  distributor log prove 1042 --out approval.proof.json
  distributor log export 2026.log"
)]
pub(super) struct Options {
    /// Go on with what happens from now on, until Ctrl-C. Begins with the last 10 entries, unless -n or --since says
    /// otherwise.
    #[arg(long)]
    follow: bool,
    /// Only the last so many entries of those that are asked for.
    #[arg(short = 'n', long = "last", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    last: Option<u32>,
    /// Only what concerns this computer.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Only what names a release, or any release of a package: PACKAGE[:VERSION[:PLATFORM]], or 12 or more digits of the
    /// manifest digest. With `--follow`: the releases that are known when it begins.
    #[arg(long, value_name = "REF")]
    release: Option<String>,
    /// Only what this admin did: an account of the server, or the name or id of a token. Where an account and a token have
    /// one name: socket:NAME or token:NAME.
    #[arg(long, value_name = "ADMIN")]
    by: Option<String>,
    /// Only entries of this kind, for example release_approved; what is no kind is answered with all of them. May be given
    /// more than once.
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Only what went wrong: failed and refused installs, failed pulls, refused requests, forks, changed files.
    #[arg(long)]
    failed: bool,
    /// Only from this time on: "2026-11-25 22:14" (UTC), a date, an age like 90m, 2h or 3d, now, today or yesterday.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only up to this time, in the same forms.
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    until: Option<String>,
    /// Also the steps of an install for which the release has no hook; with --json and --kind they are always there.
    #[arg(long)]
    all: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Verify(Verify),
    Checkpoint(WriteCheckpoint),
    Prove(Prove),
    CheckProof(CheckProof),
    Export(log_export::Export),
}

pub(super) async fn run(reach: Reach, options: Options) -> anyhow::Result<Outcome> {
    let Some(command) = &options.command else { return show(&AdminApi::open(&reach)?, options).await };
    match command {
        Command::Verify(options) => log_verify::verify(&reach, options).await,
        Command::Checkpoint(options) => log_proofs::checkpoint(&AdminApi::open(&reach)?, options).await,
        Command::Prove(options) => log_proofs::prove(&AdminApi::open(&reach)?, options).await,
        Command::CheckProof(options) => log_proofs::check_proof(options),
        Command::Export(options) => log_export::export(&reach, options).await,
    }
}

async fn show(api: &AdminApi, options: Options) -> anyhow::Result<Outcome> {
    let mut response = api.stream(&format!("/log?{}", query(&options)?)).await?;
    let mut rest = Vec::new();
    let mut is_empty = true;
    loop {
        let chunk = tokio::select! {
            chunk = response.chunk() => chunk.context("the server ended the log early")?,
            stopped = tokio::signal::ctrl_c() => {
                stopped?;
                return Ok(Outcome::Done);
            }
        };
        let Some(chunk) = chunk else { break };
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            print_entry(&line, options.json)?;
            is_empty = false;
        }
        if rest.len() > MAX_LINE_BYTES {
            anyhow::bail!(
                "the server sent a line of the log that is longer than {MAX_LINE_BYTES} bytes; give up"
            );
        }
    }
    if is_empty {
        tell("nothing matches");
    }
    Ok(Outcome::Done)
}

fn query(options: &Options) -> anyhow::Result<String> {
    let mut parts = Vec::new();
    if options.follow {
        parts.push("follow=true".to_owned());
    }
    if let Some(client) = &options.client {
        let name = ComputerName::new(client).context("cannot use --client")?;
        parts.push(format!("client={}", segment(name.as_str())));
    }
    if let Some(release) = &options.release {
        let release = release.strip_prefix("sha256:").unwrap_or(release);
        parts.push(format!("release={}", segment(release)));
    }
    if let Some(by) = &options.by {
        parts.push(format!("by={}", segment(by)));
    }
    if !options.kinds.is_empty() {
        parts.push(format!("kind={}", segment(&options.kinds.join(","))));
    }
    if options.failed {
        parts.push("failed=true".to_owned());
    }
    if !options.all && !options.json && options.kinds.is_empty() {
        parts.push("without_absent_hooks=true".to_owned());
    }
    let now = Timestamp::now();
    let time = |option: &str, text: &Option<String>| -> anyhow::Result<Option<Timestamp>> {
        text.as_ref().map(|text| when::parse(option, text, now)).transpose()
    };
    let (since, until) = (time("--since", &options.since)?, time("--until", &options.until)?);
    // An empty answer would read as "it never happened".
    if since.is_some_and(|since| since > now) {
        anyhow::bail!("cannot use --since: that time lies in the future; give one that has passed");
    }
    if since.zip(until).is_some_and(|(since, until)| since > until) {
        anyhow::bail!("cannot use --until: --until is before --since; swap them");
    }
    if let Some(since) = since {
        parts.push(format!("since={}", segment(&since.to_string())));
    }
    if let Some(until) = until {
        parts.push(format!("until={}", segment(&until.to_string())));
    }
    // Whoever follows wants what comes, and not everything that ever was.
    let begins = (options.follow && options.since.is_none()).then_some(FOLLOW_BEGINS_WITH);
    if let Some(last) = options.last.or(begins) {
        parts.push(format!("last={last}"));
    }
    Ok(parts.join("&"))
}

fn print_entry(line: &[u8], json: bool) -> anyhow::Result<()> {
    if json {
        return print_line(String::from_utf8_lossy(line).trim_end());
    }
    let logged: LogEntry = serde_json::from_slice(line)
        .context("cannot read an entry; do this program and the server have the same version?")?;
    let summary = with_short_digests(&plain(&logged.summary));
    print_line(format_args!("{:>6}  {}  {summary}", logged.sequence, seconds(logged.at)))
}

/// A text whose digests are cut to as many digits as name an update; `--json` has them whole.
fn with_short_digests(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    for part in text.split_inclusive(|character: char| !character.is_ascii_hexdigit()) {
        let digits = part.trim_end_matches(|character: char| !character.is_ascii_hexdigit());
        match digits.get(..SHOWN_DIGITS).filter(|_| digits.len() == DIGEST_DIGITS) {
            Some(begin) => {
                short.push_str(begin);
                short.push_str(part.get(DIGEST_DIGITS..).unwrap_or_default());
            }
            None => short.push_str(part),
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_a_line_are_cut_and_nothing_else_is() {
        let digest = "0123456789abcdef".repeat(4);
        let text = format!("approved acme-av 1.0 [sha256:{digest}] of ü {digest}");
        let short = "approved acme-av 1.0 [sha256:0123456789ab] of ü 0123456789ab";
        assert_eq!(with_short_digests(&text), short);
        for kept in [format!("{digest}0"), digest[1..].to_owned(), "acme".to_owned(), String::new()] {
            assert_eq!(with_short_digests(&kept), kept);
        }
    }
}
