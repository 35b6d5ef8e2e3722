//! The agent API, one verb per file. Each handler is reached only by whom `admission` let through.

mod budget;
pub(crate) mod by_file;
pub(crate) mod contact;
mod copy;
pub(crate) mod deltas;
pub(crate) mod enroll;
mod evidence;
pub(crate) mod metadata;
pub(crate) mod refresh;
pub(crate) mod targets;
mod third;
pub(crate) mod wake;

use jiff::Timestamp;
use sealpost_manifests::document::{Document, SignedDocument};
use sealpost_manifests::ids::{ClientId, ComputerName};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::queries::HolderById;

use super::Site;
use super::problem::ApiError;
use super::token::TokenOrigin;

/// Signs with the site key. Ed25519 is deterministic, so a retry of the same answer has the same bytes.
fn sign<T: Document>(site: &Site, document: &T) -> Result<SignedDocument, ApiError> {
    SignedDocument::sign(document, &site.parts.site_key)
        .map_err(|error| ApiError::internal("sign its answer", &error))
}

/// An access token for a client.
fn access_token(
    site: &Site,
    client: &ClientId,
    origin: TokenOrigin,
    now: Timestamp,
) -> Result<String, ApiError> {
    site.parts.access_tokens.issue(client, origin, now).ok_or_else(|| {
        ApiError::new(ProblemCode::Internal, "the server could not make an access token", "look at its clock")
    })
}

/// The name of a client that is known here, for the log.
async fn name_of(site: &Site, client_id: &ClientId) -> Option<ComputerName> {
    let holder = site.parts.ledger.query(HolderById { client_id: client_id.clone() }).await;
    holder.ok().flatten().map(|row| row.name)
}
