//! `distributor log`, and `distributor log verify`, `checkpoint`, `prove` and `check-proof`; `export` stands beside this.

use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use sealpost_admin_api::log::{Difference, LogCheck, LogEntry, TablesCheck, VerifyRequest};
use sealpost_files::{PUBLIC, read_input, with_causes, write_new};
use sealpost_keys::key_file::read_public;
use sealpost_keys::note::{MAX_NOTE_BYTES, SignedNote};
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::log::{Checkpoint, LogHead, LogProof, MAX_LOG_PROOF_BYTES};

use super::api::{AdminApi, segment};
use super::log_export::{self, ToVerify};
use super::outcome::Outcome;
use super::output::{Bar, counted, plain, print_json, print_line, seconds, tell};
use super::reach::Reach;
use super::when;
use crate::app;
use crate::home::Home;

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

/// Check that no entry was changed, removed or moved, and that the tables are as the log says. Reads the ledger file itself
/// when the server is down.
///
/// The log is replayed into a private temporary file, and every table that is made from it is compared row by row. A log
/// that was cut at its end or rewritten whole is found by a head that somebody kept: a checkpoint, or the size and root
/// that `distributor log verify` or a computer's lease showed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor log verify
  distributor log verify --checkpoint last-year.checkpoint
  distributor log verify --export 2026.log --site-key site.pub
  distributor log verify --head 1042:4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2
  distributor log verify --json")]
struct Verify {
    /// A checkpoint that somebody kept: this server must have signed it, and the log must extend it. May be given more
    /// than once.
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// Check this file that `log export` wrote, or `-` for standard input, and no server's ledger. Needs no server.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// The site's public key from another source than the file: `keys/site.pub` of the server's home.
    #[arg(long, value_name = "FILE", requires = "export")]
    site_key: Option<PathBuf>,
    /// A head that the log must extend: the number of entries, a colon, and the root in 64 hexadecimal digits. May be given
    /// more than once.
    #[arg(long = "head", value_name = "SIZE:ROOT", value_parser = parse_head)]
    heads: Vec<LogHead>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Write the signed head of the log, for an auditor to keep. `log verify --checkpoint` tells later whether the log was
/// rewritten or cut since.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor log checkpoint --out 2026.checkpoint
  distributor log verify --checkpoint 2026.checkpoint")]
struct WriteCheckpoint {
    /// Where to write it [default: standard output].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print it as a text in JSON, or the file that it was written to.
    #[arg(long)]
    json: bool,
}

/// Write a proof that an entry stands in the log. Whoever has the site's public key checks it without the log.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor log prove 1042 --out approval.proof.json
  distributor log check-proof approval.proof.json --site-key site.pub")]
struct Prove {
    /// The number of the entry.
    sequence: u64,
    /// Where to write the proof [default: standard output].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Check a proof that `distributor log prove` wrote. Needs no server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor log check-proof approval.proof.json --site-key site.pub")]
struct CheckProof {
    /// The proof.
    file: PathBuf,
    /// The site's public key, `keys/site.pub` of the server's home.
    #[arg(long, value_name = "FILE")]
    site_key: PathBuf,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(reach: Reach, options: Options) -> anyhow::Result<Outcome> {
    match &options.command {
        Some(Command::CheckProof(options)) => return check_proof(options),
        Some(Command::Verify(Verify { checkpoints, heads, export: Some(file), site_key, json })) => {
            let checkpoints = read_checkpoints(checkpoints)?;
            let (site_key, json) = (site_key.as_deref(), *json);
            return log_export::verify(&ToVerify { file, site_key, checkpoints: &checkpoints, heads, json });
        }
        Some(Command::Export(options)) => return log_export::export(&reach, options).await,
        _ => {}
    }
    let api = AdminApi::open(&reach)?;
    match options.command {
        Some(Command::Verify(options)) => verify(&api, &reach, &options).await,
        Some(Command::Checkpoint(options)) => checkpoint(&api, &options).await,
        Some(Command::Prove(options)) => prove(&api, &options).await,
        Some(Command::CheckProof(options)) => check_proof(&options),
        Some(Command::Export(options)) => log_export::export(&reach, &options).await,
        None => show(&api, options).await,
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

async fn verify(api: &AdminApi, reach: &Reach, options: &Verify) -> anyhow::Result<Outcome> {
    let checkpoints = read_checkpoints(&options.checkpoints)?;
    let check: LogCheck = if api.is_down().await {
        let home = Home::open(&reach.home)?;
        tell("the server does not run; reading the ledger file itself");
        let mut witnessed =
            checkpoints.iter().map(|note| signed_head(&home, note)).collect::<Result<Vec<_>, _>>()?;
        witnessed.extend(&options.heads);
        let bar = Bar::count("verifying");
        let check = app::verify_log(&home, witnessed, &mut |entries| bar.at(entries, 0))?;
        bar.end();
        check.into()
    } else {
        api.post("/log/verify", &VerifyRequest { witnessed: options.heads.clone(), checkpoints }).await?
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
            "the log is whole: {}, head {} sha256:{}",
            counted(check.entries, "entry", "entries"),
            check.head.size,
            check.head.root
        ))?;
    }
    if check.newer > 0 && !options.json {
        tell(format_args!(
            "{} written by a newer version of this program; update it to read all",
            counted(check.newer, "entry was", "entries were")
        ));
    }
    if let Some(tables) = check.tables.as_ref().filter(|_| !options.json) {
        print_tables(tables)?;
    }
    let differing = check.tables.as_ref().map_or(0, |tables| tables.differing);
    Ok(if check.damage.is_some() || differing > 0 { Outcome::Damage } else { Outcome::Done })
}

fn print_tables(check: &TablesCheck) -> anyhow::Result<()> {
    if check.differing > 0 {
        print_line(format_args!(
            "the tables are not as the log says: {}",
            counted(check.differing, "difference", "differences")
        ))?;
        for difference in &check.differences {
            print_line(format_args!("  {}", difference_line(difference)))?;
        }
        let more = check.differing.saturating_sub(check.differences.len() as u64);
        if more > 0 {
            print_line(format_args!("  and {more} more"))?;
        }
        tell(
            "somebody edited the ledger, or the disk damaged it: keep a copy of the home; then stop the server and run \
             `distributor ledger rebuild`, which makes the tables again from the log",
        );
    } else if check.tables > 0 {
        print_line(format_args!(
            "the tables are as the log says: {} in {}",
            counted(check.rows, "row", "rows"),
            counted(u64::from(check.tables), "table", "tables")
        ))?;
    }
    if let Some(why) = &check.skipped {
        tell(format_args!("not everything was compared: {}", plain(why)));
    }
    if !check.unproven.is_empty() {
        tell(format_args!("not in the log, and so proven by nothing: {}", plain(&check.unproven.join(", "))));
    }
    Ok(())
}

fn difference_line(difference: &Difference) -> String {
    let Difference { table, key, column, logged, stored } = difference;
    let place = plain(&format!("{table} {key}"));
    match (column, logged, stored) {
        (Some(column), Some(logged), Some(stored)) => {
            let (column, logged, stored) = (plain(column), plain(logged), plain(stored));
            format!("{place}: {column} is {stored}, and the log says {logged}")
        }
        (_, Some(logged), None) => format!("{place}: is missing, and the log says {}", plain(logged)),
        (_, None, Some(stored)) => format!("{place}: is no row that the log makes: {}", plain(stored)),
        (_, logged, stored) => {
            let (logged, stored) = (logged.as_deref().unwrap_or("-"), stored.as_deref().unwrap_or("-"));
            format!("{place}: is {}, and the log says {}", plain(stored), plain(logged))
        }
    }
}

/// A head as `log verify` shows it.
fn parse_head(text: &str) -> Result<LogHead, String> {
    let bad = || {
        "it is not SIZE:ROOT: the number of entries, a colon, and the root in 64 hexadecimal digits, for example \
         1042:4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2"
            .to_owned()
    };
    let (size, root) = text.split_once(':').ok_or_else(bad)?;
    let size: u64 = size.parse().map_err(|_| bad())?;
    let root = root.strip_prefix("sha256:").unwrap_or(root).parse().map_err(|_| bad())?;
    if size == 0 {
        return Err("a head of a log without entries proves nothing; give one of at least 1 entry".to_owned());
    }
    Ok(LogHead { size, root })
}

fn read_checkpoints(paths: &[PathBuf]) -> anyhow::Result<Vec<SignedNote>> {
    paths.iter().map(|path| read_checkpoint(path)).collect()
}

fn read_checkpoint(path: &Path) -> anyhow::Result<SignedNote> {
    let attempted = || format!("cannot use the checkpoint {}", path.display());
    let text = read_input(path, MAX_NOTE_BYTES as u64).with_context(attempted)?;
    let text = String::from_utf8(text).with_context(attempted)?;
    SignedNote::parse(&text).with_context(attempted)
}

/// The head in a checkpoint that this home's log key signed.
fn signed_head(home: &Home, note: &SignedNote) -> anyhow::Result<LogHead> {
    // The log key speaks about the log of its own server only, whose id stands in the first line.
    let origin = note.as_str().lines().next().unwrap_or_default();
    let key = home.read_log_key_named(origin)?;
    let checkpoint = Checkpoint::verify(note, key.public(), origin)
        .context("a checkpoint is not one of this server's log")?;
    Ok(checkpoint.head)
}

async fn checkpoint(api: &AdminApi, options: &WriteCheckpoint) -> anyhow::Result<Outcome> {
    let note = api.get_text("/log/checkpoint").await?;
    if !options.json {
        return give(&note, options.out.as_deref(), "checkpoint");
    }
    let out = options.out.as_deref();
    if let Some(out) = out {
        write_text(out, &note, "checkpoint")?;
    }
    print_json(&serde_json::json!({ "checkpoint": note, "out": out }))?;
    Ok(Outcome::Done)
}

async fn prove(api: &AdminApi, options: &Prove) -> anyhow::Result<Outcome> {
    let text = api.get_text(&format!("/log/{}/proof", options.sequence)).await?;
    give(&text, options.out.as_deref(), "proof")
}

/// Writes a text that `log verify` or `log check-proof` reads.
fn give(text: &str, out: Option<&Path>, what: &str) -> anyhow::Result<Outcome> {
    match out {
        Some(out) => {
            write_text(out, text, what)?;
            print_line(out.display())?;
        }
        None => print_line(text.trim_end())?,
    }
    Ok(Outcome::Done)
}

fn write_text(out: &Path, text: &str, what: &str) -> anyhow::Result<()> {
    write_new(out, text.as_bytes(), PUBLIC)
        .with_context(|| format!("cannot write the {what} {}", out.display()))
}

fn check_proof(options: &CheckProof) -> anyhow::Result<Outcome> {
    let attempted = || format!("cannot check the proof {}", options.file.display());
    let bytes = read_input(&options.file, MAX_LOG_PROOF_BYTES as u64).with_context(attempted)?;
    let key = read_public(&options.site_key).with_context(attempted)?;
    let proven = LogProof::read(&bytes).and_then(|proof| proof.check(&key));
    let proven = match proven {
        Ok(proven) => proven,
        Err(error) if options.json => {
            print_json(&serde_json::json!({ "holds": false, "why": with_causes(&error) }))?;
            return Ok(Outcome::Damage);
        }
        Err(error) => {
            print_line(format_args!("the proof does not hold: {}", plain(&with_causes(&error))))?;
            return Ok(Outcome::Damage);
        }
    };
    if options.json {
        print_json(&serde_json::json!({
            "holds": true,
            "server_id": proven.server_id,
            "head": proven.head,
            "sequence": proven.index + 1,
            "entry": proven.entry,
        }))?;
        return Ok(Outcome::Done);
    }
    print_line(format_args!(
        "the log of server {} with {} (root sha256:{}) holds entry {}:",
        proven.server_id,
        counted(proven.head.size, "entry", "entries"),
        proven.head.root,
        proven.index + 1
    ))?;
    print_line(plain(&proven.entry))?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_shown_and_the_refusal_says_the_form() {
        let root = "4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2";
        for text in [format!("1042:{root}"), format!("1042:sha256:{root}")] {
            let head = parse_head(&text).unwrap();
            assert_eq!((head.size, head.root.to_string()), (1042, root.to_owned()));
        }
        for text in ["", "1042", root, "x:4813", &format!("-1:{root}"), &format!("1:{root}0")] {
            assert!(parse_head(text).unwrap_err().contains("SIZE:ROOT"), "{text}");
        }
        assert!(parse_head(&format!("0:{root}")).unwrap_err().contains("at least 1 entry"));
    }

    #[test]
    fn a_difference_says_what_stands_there_and_what_the_log_says() {
        let of = |column: Option<&str>, logged: Option<&str>, stored: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            difference_line(&Difference {
                table: "releases".to_owned(),
                key: "8d0f".to_owned(),
                column: owned(column),
                logged: owned(logged),
                stored: owned(stored),
            })
        };
        let edited = of(Some("state"), Some("staged"), Some("approved"));
        assert_eq!(edited, "releases 8d0f: state is approved, and the log says staged");
        assert_eq!(of(None, Some("a=1"), None), "releases 8d0f: is missing, and the log says a=1");
        assert_eq!(of(None, None, Some("a=1")), "releases 8d0f: is no row that the log makes: a=1");
    }

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
