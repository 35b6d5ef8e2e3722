//! `distributor log checkpoint`, `prove` and `check-proof`: what an auditor keeps of a log, and checks without it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use sealpost_files::{PUBLIC, read_input, with_causes, write_new};
use sealpost_keys::key_file::read_public;
use sealpost_manifests::log::{LogProof, MAX_LOG_PROOF_BYTES};

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{counted, plain, print_json, print_line};

/// Write the signed head of the log, for an auditor to keep. `log verify --checkpoint` tells later whether the log was
/// rewritten or cut since.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor log checkpoint --out 2026.checkpoint
  distributor log verify --checkpoint 2026.checkpoint")]
pub(super) struct WriteCheckpoint {
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
pub(super) struct Prove {
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
pub(super) struct CheckProof {
    /// The proof.
    file: PathBuf,
    /// The site's public key, `keys/site.pub` of the server's home.
    #[arg(long, value_name = "FILE")]
    site_key: PathBuf,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn checkpoint(api: &AdminApi, options: &WriteCheckpoint) -> anyhow::Result<Outcome> {
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

pub(super) async fn prove(api: &AdminApi, options: &Prove) -> anyhow::Result<Outcome> {
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

pub(super) fn check_proof(options: &CheckProof) -> anyhow::Result<Outcome> {
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
