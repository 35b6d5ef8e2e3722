//! `distributor folder answer|sync`: computers without a network.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use data_encoding::BASE64;
use sealpost_admin_api::folder::{AnsweredFile, SyncRequest, SyncSummary};
use sealpost_files::{PUBLIC, read_input, replace};
use sealpost_manifests::wire::by_file::{FileRequest, MAX_REQUEST_FILE_BYTES};

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{plain, print_json, print_line, size, tell};

/// What the name of an answer ends with.
const ANSWER_SUFFIX: &str = "answer.sealed";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Answer(Answer),
    Sync(Sync),
}

/// Answer what computers without a network wrote (`agent-updater contact --out FILE`).
///
/// Each answer is a file that only its computer can open, which takes it with `agent-updater contact --in FILE`. The same
/// file again gets the same answer.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor folder answer pc-1.contact.json --out answers
  distributor folder answer /media/stick/*.json --out /media/stick")]
pub(super) struct Answer {
    /// The computers' files.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The folder that the answers are written to, as NAME.answer.sealed.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Answer every computer in a folder, a share or a stick, and write there what their releases need.
///
/// Everybody who reads the folder can read the releases, licensed or not; answers only their computer. The server reads and
/// writes the folder itself, as its own user. Without a folder, the configured one (path under [folder] in distributor.toml).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor folder sync
  distributor folder sync /media/stick")]
pub(super) struct Sync {
    /// The folder.
    #[arg(value_name = "DIR")]
    path: Option<PathBuf>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: AdminApi, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Answer(options) => answer(&api, &options).await,
        Command::Sync(options) => sync(&api, options).await,
    }
}

async fn answer(api: &AdminApi, options: &Answer) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Done;
    let mut written = Vec::new();
    for file in &options.files {
        match answer_one(api, file, &options.out).await {
            Ok((answered, path)) => {
                if let Some(problem) = &answered.refused {
                    tell(format_args!("{}: refused: {}", file.display(), plain(&problem.to_string())));
                    outcome = Outcome::Damage;
                }
                if !options.json {
                    print_line(format_args!("{}: {}", answered.computer, path.display()))?;
                }
                let computer = answered.computer;
                written.push(serde_json::json!({
                    "computer": computer, "file": path, "refused": answered.refused,
                }));
            }
            // The others are answered all the same.
            Err(error) if options.files.len() > 1 => {
                tell(format_args!("{}: {}", file.display(), plain(&format!("{error:#}"))));
                outcome = Outcome::Damage;
            }
            Err(error) => return Err(error),
        }
    }
    if options.json {
        print_json(&written)?;
    }
    Ok(outcome)
}

async fn answer_one(api: &AdminApi, file: &Path, out: &Path) -> anyhow::Result<(AnsweredFile, PathBuf)> {
    let bytes = read_input(file, MAX_REQUEST_FILE_BYTES).map_err(|error| {
        let too_large = error.kind() == io::ErrorKind::FileTooLarge;
        let error = anyhow::Error::from(error);
        if too_large {
            return error.context(format!("{} is longer than any file of a computer", file.display()));
        }
        error.context(format!("cannot read {}", file.display()))
    })?;
    let request: FileRequest = serde_json::from_slice(&bytes).with_context(|| {
        format!("{} is no file that `agent-updater contact --out FILE` wrote", file.display())
    })?;
    let answered: AnsweredFile = api.post_work("/folder/answer", &request).await?;
    let sealed = BASE64.decode(answered.sealed.as_bytes()).context("cannot read the server's answer")?;
    if !fs::metadata(out).is_ok_and(|found| found.is_dir()) {
        bail!("{} is no folder; make it, or name another with --out", out.display());
    }
    let path = out.join(format!("{}.{ANSWER_SUFFIX}", answered.computer));
    replace(&path, &sealed, PUBLIC).with_context(|| format!("cannot write {}", path.display()))?;
    Ok((answered, path))
}

async fn sync(api: &AdminApi, options: Sync) -> anyhow::Result<Outcome> {
    // The server has another folder to start from.
    let path = options.path.map(std::path::absolute).transpose().context("cannot name the folder")?;
    let summary: SyncSummary = api.post_work("/folder/sync", &SyncRequest { path }).await?;
    let outcome = if summary.problems.is_empty() { Outcome::Done } else { Outcome::Damage };
    if options.json {
        print_json(&summary)?;
        return Ok(outcome);
    }
    for computer in &summary.answered {
        print_line(format_args!("answered {computer}"))?;
    }
    print_line(format_args!(
        "{} answered, {} unchanged, {} files written ({}), {} removed",
        summary.answered.len(),
        summary.unchanged,
        summary.written_files,
        size(summary.written_bytes),
        summary.removed_files
    ))?;
    for problem in &summary.problems {
        tell(plain(problem));
    }
    Ok(outcome)
}
