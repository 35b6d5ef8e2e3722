//! `POST /agent/v1/contact`: a client shows that it is there, reports, and hears what to run.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;
use sealpost_keys::note::SignedNote;
use sealpost_manifests::document::Document;
use sealpost_manifests::ids::ClientId;
use sealpost_manifests::lease::Lease;
use sealpost_manifests::log::{Checkpoint, ConsistencyProof, ProofPlan};
use sealpost_manifests::wire::contact::{Contact, ContactAnswer, ContactRequest};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_serving::Peer;
use sealpost_site::commands::contact::{AnswerContact, Shown};
use sealpost_site::queries::GivenUpCopy;
use sealpost_site::rules::came_by::CameBy;
use sealpost_site::rules::contact::{check, unknown_client};
use sealpost_site::rules::copies::given_up_problem;

use super::third::Seen;
use super::{access_token, budget, evidence, name_of, sign};
use crate::http::Site;
use crate::http::asker::Asker;
use crate::http::body::JsonBody;
use crate::http::coding;
use crate::http::problem::ApiError;
use crate::http::token::{TOKEN_VALID_SECS, TokenOrigin};

/// Changed packages that take as much of the log as one report.
const DRIFTS_PER_ENTRY: usize = 16;

/// Answers a contact, after the ledger has it on disk; a retry gets the same lease and assignment.
pub(crate) async fn contact(
    State(site): State<Arc<Site>>,
    Extension(asker): Extension<Asker>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<ContactRequest>,
) -> Result<Response, ApiError> {
    let (contact, shown) = verified(&site, &request).await?;
    asker.has_shown(&site).await?;
    let (client_id, now) = (contact.client_id.clone(), site.now());
    let answered = answered(&site, contact, shown, came_over_network(&peer), now).await?;
    // The same contact once more can be somebody else's who has seen it.
    let origin = if answered.retry { TokenOrigin::Repeated } else { TokenOrigin::First };
    if origin == TokenOrigin::First {
        asker.is_accepted(client_id.as_str());
    }
    let access_token = access_token(&site, &client_id, origin, now)?;
    let answer = ContactAnswer { access_token, token_valid_secs: TOKEN_VALID_SECS, ..answered.answer };
    coding::json(&headers, &answer, None).await
}

/// From where a contact came, as the connection shows it. What a header says of that counts nowhere.
fn came_over_network(peer: &Peer) -> Option<CameBy> {
    match peer {
        Peer::Network(address) => Some(CameBy::network(*address)),
        Peer::Local { .. } => None,
    }
}

/// What every door answers to a contact.
pub(super) struct Answered {
    /// Without a right to read: that is for who asks over the network.
    pub(super) answer: ContactAnswer,
    /// Whether the same contact was answered before.
    pub(super) retry: bool,
}

/// Answers a verified contact, after the ledger has it on disk. The one way to an answer, whatever the contact came by.
pub(super) async fn answered(
    site: &Site,
    contact: Contact,
    shown: Option<Shown>,
    came_by: Option<CameBy>,
    now: Timestamp,
) -> Result<Answered, ApiError> {
    let seen = Seen::of(&contact, came_by, now);
    let answered = committed(site, contact, shown, came_by, now).await;
    if let Err(error) = &answered {
        seen.refused(site, error.code()).await;
    }
    answered
}

async fn committed(
    site: &Site,
    contact: Contact,
    shown: Option<Shown>,
    came_by: Option<CameBy>,
    now: Timestamp,
) -> Result<Answered, ApiError> {
    let cost = cost(contact.reports.len(), contact.drift.len());
    let pair = (contact.previous.as_ref(), &contact.next);
    budget::contact(site, &contact.client_id, pair, cost, now).await?;
    let (client_id, nonce) = (contact.client_id.clone(), contact.next.clone());
    let head = site.parts.ledger.judge_head(contact.held_head).await?;
    let answered = site.parts.ledger.execute(now, AnswerContact { contact, shown, head, came_by }).await;
    let outcome = match answered {
        Ok(outcome) => outcome,
        Err(error) => {
            let error = ApiError::from(error);
            // Its key may still be remembered here.
            if error.code() == ProblemCode::UnknownComputer {
                return Err(gone(site, &client_id).await);
            }
            return Err(error.about(name_of(site, &client_id).await));
        }
    };
    let (checkpoint, consistency) = match &outcome.lease {
        Some(lease) => witness(site, lease, outcome.held_head).await?,
        None => (None, None),
    };
    if outcome.server_list.is_none() {
        site.parts.presence.list_is_known();
    }
    tracing::debug!(client = %outcome.name, retry = outcome.retry, "answered a contact");
    // The same contact once more can be somebody else's who has seen it.
    if !outcome.retry {
        site.heard.tell(&outcome.name);
    }
    let answer = ContactAnswer {
        grants: outcome.grants,
        lease: outcome.lease.map(|lease| sign(site, &lease)).transpose()?,
        assignment: outcome.assignment.map(|assignment| sign(site, &assignment)).transpose()?,
        server_list: outcome.server_list.map(|list| sign(site, &list)).transpose()?,
        checkpoint,
        consistency,
        receipt: Some(site.parts.receipts.issue(&client_id, &nonce, &outcome.receipt)),
        access_token: String::new(),
        token_valid_secs: 0,
        acknowledged_report: outcome.acknowledged_report,
        notice: outcome.notice,
        waits: outcome.waits,
    };
    Ok(Answered { answer, retry: outcome.retry })
}

/// The refusal of a client whose id is none any more: that of a copy which was given up, or of one that nobody knows.
async fn gone(site: &Site, client_id: &ClientId) -> ApiError {
    match site.parts.ledger.query(GivenUpCopy { client_id: client_id.clone() }).await {
        // Nothing need be signed to ask here, so the name is for the log alone.
        Ok(Some(name)) => ApiError::from(given_up_problem(None)).about(Some(name)),
        Ok(None) => ApiError::from(unknown_client()),
        Err(error) => ApiError::from(error),
    }
}

/// The checkpoint of the head that a new lease names, and the proof that it extends the head that the client holds.
/// Nodes of the log never change, so a retry gets the same.
async fn witness(
    site: &Site,
    lease: &Lease,
    held: Option<u64>,
) -> Result<(Option<SignedNote>, Option<ConsistencyProof>), ApiError> {
    let head = lease.ledger_head;
    let checkpoint = Checkpoint::sign(&head, &site.parts.log_key)
        .map_err(|error| ApiError::internal("sign a checkpoint", &error))?;
    let plan = held.filter(|held| *held <= head.size).map(|held| ProofPlan::consistency(held, head.size));
    let consistency = match plan {
        Some(Ok(plan)) => {
            let hashes = site.parts.ledger.prove(plan).await?;
            hashes.and_then(|hashes| ConsistencyProof::new(hashes).ok())
        }
        // What the client holds is no head of this log; it keeps both, and says so.
        Some(Err(_)) | None => None,
    };
    Ok((Some(checkpoint), consistency))
}

/// What a contact may have written to the log, in entries of usual size: a computer that says something else of its packages
/// each time writes as much as one that reports.
fn cost(reports: usize, drift: usize) -> u32 {
    let entries = reports.saturating_add(drift.div_ceil(DRIFTS_PER_ENTRY)).saturating_add(1);
    u32::try_from(entries).unwrap_or(u32::MAX)
}

/// The client's own key signed it, for this server, within the bounds. A client that the ledger does not know is known
/// by the lease that it shows.
pub(super) async fn verified(
    site: &Site,
    request: &ContactRequest,
) -> Result<(Contact, Option<Shown>), ApiError> {
    let known = site.parts.ledger.client_key(&request.client_id).await?;
    let documents = match &request.evidence {
        Some(evidence) => Some(evidence::verified(site, &request.client_id, known.as_ref(), evidence)?),
        None => None,
    };
    let lost = documents.as_ref().map(|documents| documents.client_key().clone());
    let Some(key) = known.or(lost) else { return Err(gone(site, &request.client_id).await) };
    let contact = request.contact.verify::<Contact>(&[key]).map_err(|error| {
        ApiError::new(
            ProblemCode::BadSignature,
            format!("cannot accept the {}: {error}", Contact::TYPE),
            "try again; if it stays, enroll the computer with a new setup file",
        )
    })?;
    if contact.client_id != request.client_id {
        return Err(ApiError::new(
            ProblemCode::BadSignature,
            "the contact names another client than the one that signed it",
            "enroll the computer with a new setup file",
        ));
    }
    check(&contact, &site.parts.ledger.server_id())?;
    let contact = contact.into_inner();
    let shown = documents.map(|documents| evidence::shown(site, documents, &contact)).transpose()?;
    Ok((contact, shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_computer_says_of_changed_packages_is_counted_as_its_reports_are() {
        assert_eq!((cost(0, 0), cost(3, 0)), (1, 4));
        assert_eq!((cost(0, 1), cost(0, 16), cost(0, 17), cost(0, 64)), (2, 2, 3, 5));
        assert_eq!(cost(usize::MAX, usize::MAX), u32::MAX);
    }
}
