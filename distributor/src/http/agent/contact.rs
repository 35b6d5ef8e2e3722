//! `POST /agent/v1/contact`: a client shows that it is there, reports, and hears what to run.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sealpost_manifests::document::Document;
use sealpost_manifests::wire::contact::{Contact, ContactAnswer, ContactRequest};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::commands::contact::AnswerContact;
use sealpost_site::rules::contact::check;

use super::sign;
use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;
use crate::http::token::TOKEN_VALID_SECS;

/// Answers a contact, after the ledger has it on disk; a retry gets the same lease and assignment.
pub(crate) async fn contact(
    State(site): State<Arc<Site>>,
    JsonBody(request): JsonBody<ContactRequest>,
) -> Result<Json<ContactAnswer>, ApiError> {
    let contact = verified(&site, &request).await?;
    let now = site.now();
    let cost = u32::try_from(contact.reports.len()).unwrap_or(u32::MAX).saturating_add(1);
    site.contact_budgets.spend(&contact.client_id, cost, now).map_err(too_often)?;
    let outcome = site.parts.ledger.execute(now, AnswerContact { contact }).await?;
    let token = site.parts.access_tokens.issue(&request.client_id, now).ok_or_else(|| {
        ApiError::new(ProblemCode::Internal, "the server could not make an access token", "look at its clock")
    })?;
    tracing::debug!(client = %outcome.name, retry = outcome.retry, "answered a contact");
    Ok(Json(ContactAnswer {
        lease: outcome.lease.map(|lease| sign(&site, &lease)).transpose()?,
        assignment: outcome.assignment.map(|assignment| sign(&site, &assignment)).transpose()?,
        grant: outcome.grant,
        access_token: token,
        token_valid_secs: TOKEN_VALID_SECS,
        acknowledged_report: outcome.acknowledged_report,
        notice: outcome.notice,
    }))
}

fn too_often(wait_secs: i64) -> ApiError {
    ApiError::new(
        ProblemCode::Busy,
        "this computer contacts and reports far too often",
        format!("try again in {wait_secs} seconds; look what makes its agent do so"),
    )
    .with_status(StatusCode::TOO_MANY_REQUESTS)
}

/// The client's own key signed it, for this server, within the bounds.
async fn verified(site: &Site, request: &ContactRequest) -> Result<Contact, ApiError> {
    let key = site.parts.ledger.client_key(&request.client_id).await?.ok_or_else(|| {
        ApiError::new(
            ProblemCode::UnknownComputer,
            "no computer of this client id is enrolled here",
            "enroll it with a setup file of this server; it may have been enrolled again since",
        )
    })?;
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
    Ok(contact.into_inner())
}
