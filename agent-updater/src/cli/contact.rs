//! `contact`: contact and enrollment by file, for a computer without a network.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use sealpost_files::{PUBLIC, read_input, replace};
use sealpost_manifests::contact_answer::MAX_SEALED_ANSWER_BYTES;
use sealpost_service::output::{print_line, tell};
use tokio::runtime::Runtime;

use crate::app::Agent;
use crate::config::{FOLDER_POLL_SECS, FolderSettings};
use crate::flows::enroll::OtherName;

use super::output::print_answer;
use super::runtime::blocking;

/// Contact the server by files, for a computer without a network.
///
/// The file that --out writes is carried to the server (`distributor folder answer FILE --out DIR`), and what comes back
/// is taken with --in. Both may be repeated: until it is answered the contact stays the same, and an answer counts once.
/// With --setup the file is an enrollment; the code in the setup file is not in it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater contact --setup pc-1.setup.json --root root.json --out pc-1.contact.json
  agent-updater contact --in pc-1.answer.sealed
  agent-updater contact --out pc-1.contact.json
  agent-updater contact --in pc-1.answer.sealed --releases /media/stick/releases
  agent-updater contact --folder /media/stick

--folder does all of it with a folder that `distributor folder sync DIR` serves: it takes the answer that lies there,
installs what is assigned, and leaves the next contact.")]
pub(super) struct Contact {
    /// Write what this computer has to say to a file.
    #[arg(long, value_name = "FILE", group = "way")]
    out: Option<PathBuf>,
    /// Take an answer from a file.
    #[arg(long = "in", value_name = "FILE", group = "way")]
    answer: Option<PathBuf>,
    /// Exchange contact and answer through a folder.
    #[arg(long, value_name = "DIR", group = "way")]
    folder: Option<PathBuf>,
    /// Enroll with this setup file, instead of a contact; goes with --out or --folder, or a configured folder.
    #[arg(long, value_name = "FILE", conflicts_with = "answer")]
    setup: Option<PathBuf>,
    /// The vendor's root.json; once pinned it is never replaced [default: HOME/root.json].
    #[arg(long, value_name = "FILE", requires = "setup")]
    root: Option<PathBuf>,
    /// Take another name than this computer has with the server: a further seat, and the old one stays used.
    #[arg(long, requires = "setup")]
    replace: bool,
    /// Install what is assigned from this folder, with `metadata` and `targets` in it.
    #[arg(long, value_name = "DIR", requires = "answer")]
    releases: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Contact {
    /// Whether it may make a home.
    pub(super) const fn enrolls(&self) -> bool {
        self.setup.is_some()
    }

    pub(super) fn execute(self, mut agent: Agent, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        if let Some(path) = &self.answer {
            return self.take(path, agent, runtime);
        }
        if let Some(path) = &self.folder {
            let path = std::path::absolute(path).context("cannot name the folder")?;
            let poll = std::time::Duration::from_secs(u64::from(FOLDER_POLL_SECS));
            agent.context.host.settings.folder = Some(FolderSettings { path, poll });
        }
        let Self { out, setup, root, replace, json, .. } = self;
        if out.is_none() && agent.context.host.settings.folder.is_none() {
            bail!(
                "no file is named; add --out FILE, or name a folder with --folder DIR or under [folder] in agent.toml"
            );
        }
        let other_name = if replace { OtherName::Replace } else { OtherName::Refuse };
        let (code, agent_answer) = blocking(runtime, agent, move |agent| -> anyhow::Result<_> {
            let enrollment = match &setup {
                Some(setup) => {
                    let (waiting, warnings) = agent.enrollment_file(setup, root.as_deref(), other_name)?;
                    for warning in warnings {
                        tell(format_args!("warning: {warning}"));
                    }
                    Some(waiting.request.into_bytes())
                }
                None => None,
            };
            match out {
                Some(out) => {
                    let file = match enrollment {
                        Some(file) => file,
                        None => agent.contact_file()?,
                    };
                    write(&out, &file)?;
                    Ok((ExitCode::SUCCESS, None))
                }
                None => Ok((ExitCode::SUCCESS, Some(agent.cycle().answer()))),
            }
        })??;
        match agent_answer {
            Some(answer) => print_answer(&answer, json),
            None => Ok(code),
        }
    }

    fn take(&self, path: &Path, agent: Agent, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        let file = read_input(path, MAX_SEALED_ANSWER_BYTES)
            .with_context(|| format!("cannot read an answer from {}", path.display()))?;
        let releases = self.releases.as_ref().map(std::path::absolute).transpose();
        let releases = releases.context("cannot name the folder of the releases")?;
        let answer = blocking(runtime, agent, move |agent| agent.take_answer(file, releases))??;
        print_answer(&answer, self.json)
    }
}

fn write(path: &Path, file: &[u8]) -> anyhow::Result<()> {
    replace(path, file, PUBLIC).with_context(|| format!("cannot write {}", path.display()))?;
    print_line(path.display())?;
    tell(
        "next: have it answered at the server (`distributor folder answer FILE --out DIR`), and take the answer with \
         `agent-updater contact --in FILE`",
    );
    Ok(())
}
