//! Contacts and enrollments that came as files: answered by the same functions as those over the network, with the same
//! admission, budgets and commands; signed whole and sealed, because a file has no pinned connection.
//!
//! Invariants: no answer holds an access token; it is sealed to the key that the computer enrolled with, or enrolls with and
//! signed; a refusal is counted and logged as any other, and goes into the answer only if the contact's signature held.
//! What a computer shows beside its contact is looked at when the ledger says that it knows less, as over the network.
//! Left out on purpose: where the files lie.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sealpost_keys::SealingPublicKey;
use sealpost_manifests::contact_answer::{
    ContactFileAnswer, EnrollmentFileAnswer, FileAnswer, SealAnswerError, seal,
};
use sealpost_manifests::ids::{ClientId, ComputerName};
use sealpost_manifests::trust::TRUST_TARGET;
use sealpost_manifests::wire::by_file::FileRequest;
use sealpost_manifests::wire::contact::{Contact, ContactAnswer, ContactRequest};
use sealpost_manifests::wire::enroll::EnrollRequest;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_serving::Peer;
use sealpost_site::queries::ClientSealingKey;
use sealpost_site::rules::came_by::CameBy;

use super::{contact, enroll, name_of};
use crate::http::Site;
use crate::http::problem::ApiError;
use crate::ports::by_file::{FileAnswered, FileAnswers};

/// What logs and refusals name as the source.
const SOURCE: &str = "a file";
/// How a contact that lies in a file came.
const BY_FILE: Option<CameBy> = Some(CameBy::File);
/// Longest trust document that an answer carries, in bytes.
const MAX_TRUST_BYTES: u64 = 4 * 1024 * 1024;
/// The roles that the trust document is verified with.
const TOP_ROLES: [&str; 4] = ["root", "timestamp", "snapshot", "targets"];

impl FileAnswers for Site {
    fn answer(
        &self,
        request: FileRequest,
        only: Option<ComputerName>,
    ) -> BoxFuture<'_, Result<FileAnswered, Problem>> {
        Box::pin(
            async move { answer_file(self, request, only.as_ref()).await.map_err(ApiError::into_problem) },
        )
    }
}

/// Answers a file; see [`FileAnswers::answer`].
pub(crate) async fn answer_file(
    site: &Site,
    request: FileRequest,
    only: Option<&ComputerName>,
) -> Result<FileAnswered, ApiError> {
    let answered = match request {
        FileRequest::Contact(request) => answer_contact(site, *request, only).await,
        FileRequest::Enroll(request) => answer_enrollment(site, &request, only).await,
    };
    match &answered {
        Ok(FileAnswered { refused: Some(problem), computer, .. }) => {
            count(site, problem.code, Some(computer));
        }
        Ok(_) => {}
        Err(error) => count(site, error.code(), only),
    }
    answered
}

fn count(site: &Site, code: ProblemCode, computer: Option<&ComputerName>) {
    if matches!(code, ProblemCode::NotFound | ProblemCode::Internal) {
        return;
    }
    site.metrics.count_refusal(code);
    site.parts.ledger.count_refusal_of(site.now(), code, SOURCE, computer);
    tracing::debug!(%code, source = SOURCE, "a request was refused");
}

async fn answer_contact(
    site: &Site,
    request: ContactRequest,
    only: Option<&ComputerName>,
) -> Result<FileAnswered, ApiError> {
    let client_id = request.client_id.clone();
    let named = name_of(site, &client_id).await;
    ensure_only(only, named.as_ref())?;
    let evidence = request.evidence.clone();
    let plain = ContactRequest { evidence: None, ..request };
    let tried = match contact::verified(site, &plain).await {
        Ok((contact, _)) => Some(contact),
        Err(error) if is_behind(error.code()) && evidence.is_some() => None,
        Err(error) => return Err(error),
    };
    let now = site.now();
    let mut answered = match &tried {
        Some(contact) => contact::answered(site, contact.clone(), None, BY_FILE, now).await,
        None => Err(ApiError::new(ProblemCode::UnknownComputer, "", "")),
    };
    let mut signed = tried;
    if let Err(error) = &answered
        && is_behind(error.code())
        && evidence.is_some()
    {
        // What the server signed is shown, as the computer would show it over the network now.
        let (contact, shown) = contact::verified(site, &ContactRequest { evidence, ..plain }).await?;
        answered = contact::answered(site, contact.clone(), shown, BY_FILE, now).await;
        signed = Some(contact);
    }
    let Some(contact) = signed else { return Err(internal("read a contact")) };
    // A computer that the ledger had lost has its name back now.
    let named = name_of(site, &client_id).await;
    ensure_only(only, named.as_ref())?;
    let computer = named.ok_or_else(|| internal("find the name of a computer"))?;
    let recipient = sealing_key(site, &client_id, &computer).await?;
    match answered {
        Ok(contact::Answered { answer, .. }) => sealed_contact(site, &contact, answer, computer, &recipient),
        // Passes by itself: the next look answers.
        Err(error) if matches!(error.code(), ProblemCode::Busy | ProblemCode::Internal) => Err(error),
        Err(error) => {
            let problem = error.into_problem();
            let document = ContactFileAnswer::refusal(&contact, problem.clone(), now);
            let sealed = sealed(site, &document, &recipient)?;
            Ok(FileAnswered { computer, sealed, refused: Some(problem) })
        }
    }
}

fn sealed_contact(
    site: &Site,
    contact: &Contact,
    answer: ContactAnswer,
    computer: ComputerName,
    recipient: &SealingPublicKey,
) -> Result<FileAnswered, ApiError> {
    let document = ContactFileAnswer::of(contact, answer, site.now());
    let sealed = sealed(site, &document, recipient)?;
    Ok(FileAnswered { computer, sealed, refused: None })
}

async fn answer_enrollment(
    site: &Site,
    request: &EnrollRequest,
    only: Option<&ComputerName>,
) -> Result<FileAnswered, ApiError> {
    let (metadata, targets) = vendor_documents(site).await?;
    let peer = Peer::Local { account: SOURCE.to_owned() };
    let claimed = request
        .enrollment
        .verify::<sealpost_manifests::wire::enroll::Enrollment>(std::slice::from_ref(&request.client_key))
        .ok()
        .map(|enrollment| enrollment.computer_name.clone());
    ensure_only(only, claimed.as_ref())?;
    let enroll::Answered { answer, enrollment } = enroll::answered(site, &peer, None, request).await?;
    let document = EnrollmentFileAnswer {
        server_id: site.parts.ledger.server_id(),
        computer_name: enrollment.computer_name.clone(),
        client_key: enrollment.client_key.clone(),
        issued_at: site.now(),
        enrolled: answer.enrolled,
        grants: answer.grants,
        log_key: answer.log_key,
        metadata,
        targets,
    };
    let sealed = sealed(site, &document, &enrollment.sealing_key)?;
    Ok(FileAnswered { computer: enrollment.computer_name, sealed, refused: None })
}

/// Whether what the computer shows may help.
const fn is_behind(code: ProblemCode) -> bool {
    matches!(code, ProblemCode::NonceUnknown | ProblemCode::UnknownComputer | ProblemCode::LedgerBehind)
}

/// A request that lies in the place of another computer is refused before anything is done. One of which no name is known
/// yet shows more.
fn ensure_only(only: Option<&ComputerName>, named: Option<&ComputerName>) -> Result<(), ApiError> {
    match (only, named) {
        (Some(only), Some(named)) if only != named => Err(ApiError::new(
            ProblemCode::Forbidden,
            format!("the request in the folder of {only} is one of {named}"),
            "let each computer write into its own folder",
        )),
        _ => Ok(()),
    }
}

async fn sealing_key(
    site: &Site,
    client_id: &ClientId,
    computer: &ComputerName,
) -> Result<SealingPublicKey, ApiError> {
    let key = site.parts.ledger.query(ClientSealingKey { client_id: client_id.clone() }).await?;
    key.ok_or_else(|| {
        ApiError::new(
            ProblemCode::WrongState,
            format!("the ledger lost the key that answers by file are sealed to for {computer}"),
            format!(
                "issue a new setup file with `distributor clients setup {computer}`, and enroll it again"
            ),
        )
    })
}

fn sealed<T: FileAnswer>(
    site: &Site,
    document: &T,
    recipient: &SealingPublicKey,
) -> Result<Vec<u8>, ApiError> {
    seal(document, &site.parts.site_key, recipient).map_err(|error| match error {
        // The key came from the computer, signed: a bad one is its own.
        SealAnswerError::Seal(_) => ApiError::new(
            ProblemCode::BadRequest,
            format!("the {} cannot be sealed: the computer gave no usable key", T::TYPE),
            "enroll the computer again",
        ),
        error => ApiError::internal("seal an answer", &error),
    })
}

/// The vendor's top roles, and its trust document under the name that a repository has it under.
async fn vendor_documents(
    site: &Site,
) -> Result<(BTreeMap<String, String>, BTreeMap<String, String>), ApiError> {
    let (upstream, blobs) = (Arc::clone(&site.parts.upstream), Arc::clone(&site.parts.blobs));
    let read = tokio::task::spawn_blocking(move || {
        let listing = upstream.listing();
        let (mut metadata, mut targets) = (BTreeMap::new(), BTreeMap::new());
        for name in listing.metadata.into_iter().filter(|name| is_top_role(name)) {
            let bytes = upstream
                .metadata(&name)
                .map_err(|error| ApiError::internal("read its metadata", &error))?
                .ok_or_else(|| internal("read its metadata"))?;
            let text =
                String::from_utf8(bytes).map_err(|error| ApiError::internal("read its metadata", &error))?;
            metadata.insert(name, text);
        }
        let trust = listing.targets.into_iter().find(|entry| entry.name.as_str() == TRUST_TARGET);
        if let Some(entry) = trust {
            let bytes = blobs
                .read(&entry.sha256, MAX_TRUST_BYTES)
                .map_err(|error| ApiError::internal("read the trust document", &error))?
                .ok_or_else(|| internal("read the trust document"))?;
            let text = String::from_utf8(bytes)
                .map_err(|error| ApiError::internal("read the trust document", &error))?;
            targets.insert(format!("{}.{}", entry.sha256, entry.name), text);
        }
        Ok::<_, ApiError>((metadata, targets))
    });
    let (metadata, targets) =
        read.await.map_err(|error| ApiError::internal("read its metadata", &error))??;
    if metadata.is_empty() || targets.is_empty() {
        return Err(ApiError::new(
            ProblemCode::WrongState,
            "the server has no metadata of the vendor yet, which an enrollment by file takes along",
            "run `distributor pull`, then answer again",
        ));
    }
    Ok((metadata, targets))
}

/// Whether a metadata file is of a role that signs no package: `timestamp.json`, or `3.root.json`.
fn is_top_role(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".json") else { return false };
    let role = match stem.split_once('.') {
        Some((version, role)) if version.bytes().all(|byte| byte.is_ascii_digit()) => role,
        _ => stem,
    };
    TOP_ROLES.contains(&role)
}

fn internal(attempted: &'static str) -> ApiError {
    ApiError::internal(attempted, &std::io::Error::from(std::io::ErrorKind::NotFound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_roles_that_sign_no_package_go_with_an_enrollment() {
        for name in ["timestamp.json", "7.snapshot.json", "1.root.json", "12.targets.json"] {
            assert!(is_top_role(name), "{name}");
        }
        for name in ["3.acme-av.json", "root", "x.root.json", "3.targets.json.x", "acme-av.json"] {
            assert!(!is_top_role(name), "{name}");
        }
    }

    #[test]
    fn a_request_in_the_folder_of_another_computer_is_refused() {
        let name = |text| ComputerName::new(text).unwrap();
        assert!(ensure_only(Some(&name("pc-1")), Some(&name("pc-2"))).is_err());
        assert!(ensure_only(Some(&name("pc-1")), Some(&name("pc-1"))).is_ok());
        assert!(ensure_only(None, Some(&name("pc-1"))).is_ok());
        assert!(ensure_only(Some(&name("pc-1")), None).is_ok());
    }
}
