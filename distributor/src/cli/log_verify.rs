//! `distributor log verify`: the log and the tables that are made from it, of a server, of its files, or of an export.
//!
//! Invariant: it ends with [`Outcome::Damage`] when anything differs, and prints what. Nothing is written.

use std::path::{Path, PathBuf};

use anyhow::Context;
use sealpost_admin_api::log::{Difference, LogCheck, TablesCheck, VerifyRequest};
use sealpost_files::read_input;
use sealpost_keys::note::{MAX_NOTE_BYTES, SignedNote};
use sealpost_manifests::log::{Checkpoint, LogHead};

use super::api::AdminApi;
use super::log_export::{self, ToVerify};
use super::outcome::Outcome;
use super::output::{Bar, counted, plain, print_json, print_line, tell};
use super::reach::Reach;
use crate::app;
use crate::home::Home;

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
pub(super) struct Verify {
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

pub(super) async fn verify(reach: &Reach, options: &Verify) -> anyhow::Result<Outcome> {
    let checkpoints = read_checkpoints(&options.checkpoints)?;
    if let Some(file) = &options.export {
        let (site_key, heads) = (options.site_key.as_deref(), options.heads.as_slice());
        let wanted = ToVerify { file, site_key, checkpoints: &checkpoints, heads, json: options.json };
        return log_export::verify(&wanted);
    }
    let api = AdminApi::open(reach)?;
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
        api.post_work("/log/verify", &VerifyRequest { witnessed: options.heads.clone(), checkpoints }).await?
    };
    if options.json {
        print_json(&check)?;
    } else if let Some(damage) = &check.damage {
        print_line(format_args!(
            "the log is damaged, found at entry {}: {}",
            damage.sequence,
            plain(&damage.what)
        ))?;
        tell("keep a copy of the home, and compare with backups, exports and the text log");
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
}
