//! `distributor log` and `distributor log verify`.

use anyhow::Context;
use jiff::Timestamp;
use sealpost_admin_api::log::{LogCheck, LogEntry};
use sealpost_manifests::ids::ComputerName;

use super::api::{AdminApi, segment};
use super::outcome::Outcome;
use super::output::{plain, print_json, print_line, seconds, tell};
use super::reach::Reach;
use crate::app;
use crate::home::Home;

/// Longest line of the log, in bytes.
const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;

/// Show what happened, oldest first.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  distributor log
  distributor log --follow
  distributor log --client reception-1 --since 2026-01-31T00:00:00Z
  distributor log --kind release_approved --json
  distributor log verify"
)]
pub(super) struct Options {
    /// Go on with what happens from now on, until Ctrl-C.
    #[arg(long)]
    follow: bool,
    /// Only what concerns this computer.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Only entries of this kind, for example release_approved.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only from this time on (RFC 3339, or a date).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Verify(Verify),
}

/// Check that no entry was changed, removed or moved. Reads the ledger file itself when the server is down.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor log verify
  distributor log verify --json")]
struct Verify {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(reach: Reach, options: Options) -> anyhow::Result<Outcome> {
    let api = AdminApi::open(&reach)?;
    match options.command {
        Some(Command::Verify(options)) => verify(&api, &reach, &options).await,
        None => show(&api, options).await,
    }
}

async fn show(api: &AdminApi, options: Options) -> anyhow::Result<Outcome> {
    let mut response = api.stream(&format!("/log?{}", query(&options)?)).await?;
    let mut rest = Vec::new();
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
        }
        if rest.len() > MAX_LINE_BYTES {
            anyhow::bail!(
                "the server sent a line of the log that is longer than {MAX_LINE_BYTES} bytes; give up"
            );
        }
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
    if let Some(kind) = &options.kind {
        parts.push(format!("kind={}", segment(kind)));
    }
    if let Some(since) = &options.since {
        parts.push(format!("since={}", segment(&parse_since(since)?.to_string())));
    }
    Ok(parts.join("&"))
}

fn parse_since(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let day = text.parse::<jiff::civil::Date>();
    let day =
        day.with_context(|| format!("cannot use --since {text:?}: give 2026-01-31 or 2026-01-31T08:00:00Z"))?;
    Ok(day.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp())
}

fn print_entry(line: &[u8], json: bool) -> anyhow::Result<()> {
    if json {
        return print_line(String::from_utf8_lossy(line).trim_end());
    }
    let logged: LogEntry = serde_json::from_slice(line)
        .context("cannot read an entry; do this program and the server have the same version?")?;
    print_line(format_args!("{:>6}  {}  {}", logged.sequence, seconds(logged.at), plain(&logged.summary)))
}

async fn verify(api: &AdminApi, reach: &Reach, options: &Verify) -> anyhow::Result<Outcome> {
    let check: LogCheck = if api.is_down().await {
        let home = Home::open(&reach.home)?;
        tell("the server does not run; reading the ledger file itself");
        app::verify_log(&home)?.into()
    } else {
        api.get("/log/verify").await?
    };
    if options.json {
        print_json(&check)?;
    } else if let Some(damage) = &check.damage {
        print_line(format_args!("the log is damaged at entry {}: {}", damage.sequence, plain(&damage.what)))?;
        tell(
            "entries before it are whole; keep a copy of the home, and compare with backups and the text log",
        );
    } else {
        print_line(format_args!(
            "the log is whole: {} entries, head {} sha256:{}",
            check.entries, check.head.sequence, check.head.hash
        ))?;
    }
    Ok(if check.damage.is_some() { Outcome::Damage } else { Outcome::Done })
}
