//! Contacts and answers through a folder: `computers/NAME/contact.json` and `answer.sealed` beside `releases/`.

use std::io;
use std::path::{Path, PathBuf};

use sealpost_files::SharedFolder;
use sealpost_manifests::contact_answer::MAX_SEALED_ANSWER_BYTES;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::by_file::{
    ANSWER_FILE, COMPUTERS_FOLDER, CONTACT_FILE, MAX_REQUEST_FILE_BYTES, RELEASES_FOLDER,
};

use tokio::task::spawn_blocking;

use crate::config::FolderSettings;
use crate::flows::contact::{Answered, ContactError};
use crate::flows::context::Context;
use crate::flows::drift::Found;
use crate::flows::enroll::WaitingEnrollment;
use crate::flows::origin::Reads;
use crate::home::Home;
use crate::records::holdings::Holdings;
use crate::records::progress::Progress;
use crate::records::server::ServerRecords;
use crate::records::servers;
use crate::spool::Spool;

use super::file::{NOT_WAITED_FOR, request, take_file};

/// Whether there is something to tell the server before the next contact is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flows) enum News {
    /// Something was tried since the last answer.
    Yes,
    No,
}

/// Takes the answer that waits in the folder; else sees to it that the contact lies there, if one is due or waits.
pub(super) fn exchange(
    context: &Context,
    settings: &FolderSettings,
    holdings: &mut Holdings,
    progress: &mut Progress,
    spool: &mut Spool,
    found: &[Found],
    news: News,
) -> Result<Option<Answered>, ContactError> {
    let host = &context.host;
    let name = &holdings.identity.computer_name;
    let mut refused = None;
    if let Some(file) = read_answer(context, settings, name)? {
        match take_file(host, &file, holdings, progress, spool) {
            Ok(notices) => {
                let access = Some(Reads::Folder(settings.path.join(RELEASES_FOLDER)));
                return Ok(Some(Answered { access, was_retry: false, notices }));
            }
            // The last answer lies there until the next one comes.
            Err(ContactError::NotTaken(why)) if why == NOT_WAITED_FOR => {}
            Err(error) => refused = Some(error),
        }
    }
    let records = ServerRecords::of(&host.home, &holdings.identity.server_id);
    let waits = records.contact_state()?.outstanding.is_some();
    let is_due = progress.of(&holdings.identity.server_id).next_contact.is_none_or(|at| at <= host.now());
    if waits || is_due || news == News::Yes {
        let contact = request(host, holdings, progress, spool, found)?;
        place_request(context, settings, &holdings.identity.computer_name, contact)?;
    }
    refused.map_or(Ok(None), Err)
}

/// The file that lies in the folder as an answer to a computer, if there is one.
pub(super) fn read_answer(
    context: &Context,
    settings: &FolderSettings,
    name: &ComputerName,
) -> Result<Option<Vec<u8>>, ContactError> {
    let (path, name) = (settings.path.clone(), name.clone());
    on_share(context, settings, move || {
        computers_folder(&path, &name)?.read(ANSWER_FILE, MAX_SEALED_ANSWER_BYTES)
    })
}

/// Lays what a computer asks into its folder, unless it lies there already.
pub(super) fn place_request(
    context: &Context,
    settings: &FolderSettings,
    name: &ComputerName,
    request: Vec<u8>,
) -> Result<(), ContactError> {
    let (path, name) = (settings.path.clone(), name.clone());
    on_share(context, settings, move || {
        let folder = computers_folder(&path, &name)?;
        let lies_there = folder.read(CONTACT_FILE, MAX_REQUEST_FILE_BYTES).ok().flatten();
        if lies_there.as_ref() == Some(&request) {
            return Ok(());
        }
        folder.write(CONTACT_FILE, &mut request.as_slice()).map(drop)
    })
}

/// Work on the folder, on a thread of its own: a share that hangs is left behind when the agent is to stop.
fn on_share<T: Send + 'static>(
    context: &Context,
    settings: &FolderSettings,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ContactError> {
    let done = context.network.wait(async move { spawn_blocking(work).await })?;
    done.map_err(io::Error::other).flatten().map_err(|error| lost(&settings.path, &error))
}

/// The folder of a computer; it and the one around it are made, if they are missing.
fn computers_folder(path: &Path, name: &ComputerName) -> io::Result<SharedFolder> {
    SharedFolder::open(path)?.make_folder(COMPUTERS_FOLDER)?.make_folder(name.as_str())
}

/// The folder that answers to this computer appear in, if it is there; of an enrollment that waits, too.
pub(in crate::flows) fn watched(home: &Home, settings: &FolderSettings) -> Option<PathBuf> {
    let waiting = WaitingEnrollment::load(home).ok().flatten().map(|waiting| waiting.computer_name);
    let name = waiting.or_else(|| {
        let server = servers::load(home).ok()?.into_iter().next()?;
        Some(ServerRecords::of(home, &server).enrollment().ok()??.computer_name)
    })?;
    let path = settings.path.join(COMPUTERS_FOLDER).join(name.as_str());
    path.is_dir().then_some(path)
}

/// A folder that cannot be used is as good as a server that does not answer.
fn lost(path: &Path, error: &io::Error) -> ContactError {
    let why = format!(
        "the folder {} cannot be used: {error}; check that it is mounted, and that the agent may write there",
        path.display()
    );
    ContactError::AllFailed { failures: vec![why], refused: None, is_unknown_ca: false }
}
