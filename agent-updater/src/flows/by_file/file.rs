//! A contact as a file, and the answer to it.

use sealpost_files::{escape, with_causes};
use sealpost_keys::SealingKey;
use sealpost_manifests::contact_answer::{ContactFileAnswer, open};
use sealpost_manifests::wire::by_file::FileRequest;
use sealpost_manifests::wire::contact::ContactRequest;

use crate::flows::contact::{ContactError, outstanding, take};
use crate::flows::context::Host;
use crate::flows::drift::{self, Found, Keep};
use crate::flows::reports;
use crate::home::HomeError;
use crate::platform::store::StoreError;
use crate::records::holdings::{Holdings, HoldingsError};
use crate::records::progress::Progress;
use crate::records::server::ServerRecords;
use crate::spool::Spool;

/// Why no contact could be written.
#[derive(Debug, thiserror::Error)]
pub enum ByFileError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
    #[error("the agent's records cannot be used")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Contact(#[from] ContactError),
}

/// The contact that waits for its answer, as a file; one is made if none does. Waits for a cycle that is at work.
///
/// # Errors
/// [`ByFileError`].
pub fn contact_file(host: &Host) -> Result<Vec<u8>, ByFileError> {
    host.home.prepare()?;
    let _lock = host.home.wait_for_cycle()?;
    let progress = Progress::load(&host.home)?;
    let holdings = Holdings::load(&host.home, &progress, host.now())?;
    let spool = reports::open(host)?;
    let found = drift::look(host, Keep::Yes)?;
    Ok(request(host, &holdings, &progress, &spool, &found)?)
}

/// The file of the contact that waits, which is made if none does.
pub(super) fn request(
    host: &Host,
    holdings: &Holdings,
    progress: &Progress,
    spool: &Spool,
    found: &[Found],
) -> Result<Vec<u8>, ContactError> {
    let (outstanding, _) = outstanding(host, holdings, progress, Some(spool), found)?;
    let request = ContactRequest {
        client_id: holdings.identity.client_id.clone(),
        contact: outstanding.contact,
        // A file has no second try.
        evidence: holdings.evidence.clone(),
    };
    serde_json::to_vec(&FileRequest::Contact(Box::new(request)))
        .map_err(|error| ContactError::NotTaken(error.to_string()))
}

/// Takes a file as the answer to the contact that waits. Fails, and changes nothing, if it is not that. Answers what was
/// refused of it, and what the server wants a person to know.
pub(super) fn take_file(
    host: &Host,
    file: &[u8],
    holdings: &mut Holdings,
    progress: &mut Progress,
    spool: &mut Spool,
) -> Result<Vec<String>, ContactError> {
    let identity = holdings.identity.clone();
    let records = ServerRecords::of(&host.home, &identity.server_id);
    let key = SealingKey::read_file(&host.home.sealing_key()).map_err(|error| {
        ContactError::NotTaken(format!("the key that answers are sealed to: {}", with_causes(&error)))
    })?;
    let site_key = holdings.grants.site_key();
    let opened = open::<ContactFileAnswer>(file, &key, identity.client_id.as_str(), site_key);
    let answer = opened
        .map_err(|error| {
            let why = escape(&with_causes(&error));
            ContactError::NotTaken(format!("the file is no answer for this computer: {why}"))
        })?
        .into_inner();
    let state = records.contact_state()?;
    let waits = state.outstanding.filter(|waits| {
        answer.is_to(&identity.server_id, &identity.client_id, state.previous.as_ref(), &waits.next)
    });
    let Some(waits) = waits else { return Err(ContactError::NotTaken(NOT_WAITED_FOR.to_owned())) };
    if let Some(problem) = &answer.refused {
        let failures = vec![format!("the server refused the contact: {problem}")];
        return Err(ContactError::AllFailed { failures, refused: Some(problem.code), is_unknown_ca: false });
    }
    take(host, holdings, progress, Some(spool), waits, &answer.into_answer())
}

/// Said of an answer that was taken before, and of one that is older or newer than the contact that waits.
pub(super) const NOT_WAITED_FOR: &str = "the answer is not to the contact that waits for one: it was taken before, or is an old one; nothing was changed. \
     `agent-updater contact --out FILE` writes the contact that waits";
