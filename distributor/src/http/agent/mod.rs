//! The agent API, one verb per file. Each handler is reached only by whom `admission` let through.

pub(crate) mod contact;
pub(crate) mod deltas;
pub(crate) mod enroll;
pub(crate) mod metadata;
pub(crate) mod targets;
pub(crate) mod wake;

use sealpost_manifests::document::{Document, SignedDocument};

use super::Site;
use super::problem::ApiError;

/// Signs with the site key. Ed25519 is deterministic, so a retry of the same answer has the same bytes.
fn sign<T: Document>(site: &Site, document: &T) -> Result<SignedDocument, ApiError> {
    SignedDocument::sign(document, &site.parts.site_key)
        .map_err(|error| ApiError::internal("sign its answer", &error))
}
