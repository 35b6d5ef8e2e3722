//! Contacts in, answers out: one folder for each computer.
//!
//! Invariants: a computer's folder gets answers to that computer only; a request that was answered is not answered again as
//! long as it and its answer are as they were; one that was refused is tried again after a while.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use sealpost_admin_api::folder::SyncSummary;
use sealpost_files::{Footprint, SharedFolder, escape};
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::by_file::{
    ANSWER_FILE, COMPUTERS_FOLDER, CONTACT_FILE, FileRequest, MAX_REQUEST_FILE_BYTES,
};
use sealpost_manifests::wire::problem::ProblemCode;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::pass::{Problems, Trigger};
use crate::ports::by_file::{FileAnswered, FileAnswers};

/// Most folders of computers.
const MAX_COMPUTERS: usize = 100_000;
/// When something that was refused is tried again by itself: an admin may have done something meanwhile.
const REFUSED_AGAIN: Duration = Duration::from_secs(600);

/// Which files were answered.
pub(super) type Answered = BTreeMap<ComputerName, Seen>;

/// The files of a computer as they were after its last answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    contact: Footprint,
    end: End,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Answered(Footprint),
    Refused(Instant),
}

impl Seen {
    fn is_done(&self, contact: Footprint, answer: Option<Footprint>, trigger: Trigger) -> bool {
        self.contact == contact
            && match self.end {
                End::Answered(written) => answer == Some(written),
                End::Refused(at) => trigger == Trigger::Schedule && at.elapsed() < REFUSED_AGAIN,
            }
    }
}

/// What lies in a computer's folder.
enum Found {
    Nothing,
    Done,
    Request(Box<FileRequest>, Footprint),
}

/// The computers that have a folder; the folder around them is made.
pub(super) async fn computers(
    root: Arc<SharedFolder>,
    problems: &mut Problems,
) -> io::Result<Vec<ComputerName>> {
    let listed = spawn_blocking(move || root.make_folder(COMPUTERS_FOLDER)?.names(MAX_COMPUTERS));
    let mut computers = Vec::new();
    for name in listed.await.map_err(io::Error::other)?? {
        let text = name.to_string_lossy();
        match ComputerName::new(text.as_ref()) {
            Ok(computer) if computer.as_str() == text => computers.push(computer),
            _ => problems.add(format!(
                "{COMPUTERS_FOLDER}/{} is not the name of a computer as `distributor clients list` shows it",
                escape(&text)
            )),
        }
    }
    Ok(computers)
}

/// Answers every request that waits.
pub(super) async fn answer_all(
    answers: &dyn FileAnswers,
    root: &Arc<SharedFolder>,
    computers: &[ComputerName],
    trigger: Trigger,
    answered: &mut Answered,
    summary: &mut SyncSummary,
    problems: &mut Problems,
) {
    answered.retain(|computer, _| computers.binary_search(computer).is_ok());
    for computer in computers {
        let (folder, name) = (Arc::clone(root), computer.clone());
        let seen = answered.get(computer).copied();
        let looked = spawn_blocking(move || look(&folder, &name, seen.as_ref(), trigger)).await;
        let found = match looked.map_err(io::Error::other).flatten() {
            Ok(found) => found,
            Err(error) => {
                problems.add(format!("{computer}: its folder cannot be used: {error}"));
                summary.waiting.push(computer.clone());
                continue;
            }
        };
        let (request, contact) = match found {
            Found::Nothing => continue,
            Found::Done => {
                summary.unchanged += 1;
                if seen.is_some_and(|seen| matches!(seen.end, End::Refused(_))) {
                    summary.waiting.push(computer.clone());
                }
                continue;
            }
            Found::Request(request, contact) => (*request, contact),
        };
        let end = match answers.answer(request, Some(computer.clone())).await {
            Ok(answer) => {
                let is_refused = answer.refused.is_some();
                if let Some(problem) = &answer.refused {
                    problems.add(format!("{computer}: refused: {problem}"));
                }
                match write(root, answer).await {
                    Ok(Some(_)) if is_refused => {
                        summary.waiting.push(computer.clone());
                        End::Refused(Instant::now())
                    }
                    Ok(Some(written)) => {
                        summary.answered.push(computer.clone());
                        End::Answered(written)
                    }
                    // Somebody removed it at once.
                    Ok(None) => continue,
                    Err(error) => {
                        problems.add(format!("{computer}: its answer cannot be written: {error}"));
                        summary.waiting.push(computer.clone());
                        continue;
                    }
                }
            }
            Err(problem) => {
                let is_passing = matches!(problem.code, ProblemCode::Busy | ProblemCode::Internal);
                problems.add(format!("{computer}: {problem}"));
                summary.waiting.push(computer.clone());
                if is_passing {
                    continue;
                }
                End::Refused(Instant::now())
            }
        };
        answered.insert(computer.clone(), Seen { contact, end });
    }
}

fn look(
    root: &SharedFolder,
    computer: &ComputerName,
    seen: Option<&Seen>,
    trigger: Trigger,
) -> io::Result<Found> {
    let Some(computers) = root.folder(COMPUTERS_FOLDER)? else { return Ok(Found::Nothing) };
    let Some(folder) = computers.folder(computer.as_str())? else { return Ok(Found::Nothing) };
    let Some(contact) = folder.footprint(CONTACT_FILE)? else {
        // What is there and is no regular file is told by the read.
        return folder.file(CONTACT_FILE).map(|_| Found::Nothing);
    };
    let answer = folder.footprint(ANSWER_FILE)?;
    if seen.is_some_and(|seen| seen.is_done(contact, answer, trigger)) {
        return Ok(Found::Done);
    }
    let Some(bytes) = folder.read(CONTACT_FILE, MAX_REQUEST_FILE_BYTES)? else { return Ok(Found::Nothing) };
    let request = serde_json::from_slice(&bytes).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{CONTACT_FILE} is not understood: {error}"))
    })?;
    Ok(Found::Request(Box::new(request), contact))
}

/// Writes an answer into the folder of its computer; answers how the file is then.
async fn write(root: &Arc<SharedFolder>, answer: FileAnswered) -> io::Result<Option<Footprint>> {
    let root = Arc::clone(root);
    let written = spawn_blocking(move || {
        let folder = root.make_folder(COMPUTERS_FOLDER)?.make_folder(answer.computer.as_str())?;
        folder.write(ANSWER_FILE, &mut answer.sealed.as_slice())?;
        folder.footprint(ANSWER_FILE)
    });
    written.await.map_err(io::Error::other)?
}
