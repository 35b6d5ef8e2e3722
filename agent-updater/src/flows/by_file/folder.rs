//! Contacts and answers through a folder: `computers/NAME/contact.json` and `answer.sealed` beside `releases/`.

use std::io;
use std::path::{Path, PathBuf};

use sealpost_files::SharedFolder;
use sealpost_manifests::contact_answer::MAX_SEALED_ANSWER_BYTES;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::by_file::{
    ANSWER_FILE, COMPUTERS_FOLDER, CONTACT_FILE, MAX_REQUEST_FILE_BYTES, RELEASES_FOLDER,
};

use crate::config::FolderSettings;
use crate::flows::contact::{Answered, ContactError};
use crate::flows::context::Host;
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
    host: &Host,
    settings: &FolderSettings,
    holdings: &mut Holdings,
    progress: &mut Progress,
    spool: &mut Spool,
    found: &[Found],
    news: News,
) -> Result<Option<Answered>, ContactError> {
    let unusable = |error: io::Error| lost(&settings.path, &error);
    let folder = computers_folder(&settings.path, &holdings.identity.computer_name).map_err(unusable)?;
    let mut refused = None;
    if let Some(file) = folder.read(ANSWER_FILE, MAX_SEALED_ANSWER_BYTES).map_err(unusable)? {
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
    let is_due = progress.standing.next_contact.is_none_or(|at| at <= host.now());
    if waits || is_due || news == News::Yes {
        let contact = request(host, holdings, progress, spool, found)?;
        place_file(&folder, &contact).map_err(unusable)?;
    }
    refused.map_or(Ok(None), Err)
}

/// The folder of a computer; it and the one around it are made, if they are missing.
pub(super) fn computers_folder(path: &Path, name: &ComputerName) -> io::Result<SharedFolder> {
    SharedFolder::open(path)?.make_folder(COMPUTERS_FOLDER)?.make_folder(name.as_str())
}

/// Lays what this computer asks into its folder, unless it lies there already.
pub(super) fn place_file(folder: &SharedFolder, request: &[u8]) -> io::Result<()> {
    let lies_there = folder.read(CONTACT_FILE, MAX_REQUEST_FILE_BYTES).ok().flatten();
    if lies_there.as_deref() == Some(request) {
        return Ok(());
    }
    folder.write(CONTACT_FILE, &mut &request[..]).map(drop)
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
