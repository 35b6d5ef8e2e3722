//! What a client shows of what this server signed for it.
//!
//! Invariant: a [`Shown`] leaves here only if this server's site key signed every document in it, and every document
//! names this server, this client and this key. Whether it shows more than the ledger has is the command's question.

use sealpost_keys::PublicKey;
use sealpost_keys::token::random_bytes;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::document::{Document, SignedDocument};
use sealpost_manifests::ids::{ClientId, EraId, ServerId};
use sealpost_manifests::lease::{Lease, MAX_ENTITLEMENTS};
use sealpost_manifests::order::{Ordered, Signer};
use sealpost_manifests::wire::contact::{Contact, Evidence};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::commands::contact::Shown;

use crate::http::Site;
use crate::http::problem::ApiError;

/// The lease that is shown, and the assignment if there is one: signed by this server for this client.
pub(super) struct Documents {
    lease: Lease,
    assignment: Option<Assignment>,
    witness: Option<Lease>,
}

impl Documents {
    /// The key that the lease names: a client that the ledger lost is known by it.
    pub(super) const fn client_key(&self) -> &PublicKey {
        &self.lease.client_key
    }
}

/// Verifies the documents. `known` is the client's key, if the ledger has it.
pub(super) fn verified(
    site: &Site,
    client_id: &ClientId,
    known: Option<&PublicKey>,
    evidence: &Evidence,
) -> Result<Documents, ApiError> {
    let server_id = site.parts.ledger.server_id();
    let site_key = site.parts.site_key.public();
    let lease: Lease = document(&evidence.lease, &site_key, &server_id, client_id)?;
    let witness = match &evidence.witness {
        Some(signed) => Some(document::<Lease>(signed, &site_key, &server_id, client_id)?),
        None => None,
    };
    if witness.as_ref().is_some_and(|witness| witness.client_key != lease.client_key) {
        return Err(refused(Lease::TYPE, "it is for another client key"));
    }
    if known.is_some_and(|known| *known != lease.client_key) {
        return Err(refused(Lease::TYPE, "it is for another client key"));
    }
    if lease.entitlements.len() > MAX_ENTITLEMENTS {
        return Err(refused(Lease::TYPE, "it has more entitlements than any lease"));
    }
    let assignment = match &evidence.assignment {
        Some(signed) => Some(document(signed, &site_key, &server_id, client_id)?),
        None => None,
    };
    Ok(Documents { lease, assignment, witness })
}

fn document<T: Document + Ordered>(
    signed: &SignedDocument,
    site_key: &PublicKey,
    server_id: &ServerId,
    client_id: &ClientId,
) -> Result<T, ApiError> {
    let document = signed
        .verify::<T>(std::slice::from_ref(site_key))
        .map_err(|error| refused(T::TYPE, &error.to_string()))?
        .into_inner();
    if document.signer() != Signer::SiteKey {
        return Err(refused(T::TYPE, "a standby server signed it, which this version does not know"));
    }
    if document.server_id() != server_id || document.client_id() != client_id {
        return Err(refused(T::TYPE, "it is for another client, or by another server"));
    }
    Ok(document)
}

/// The documents together with what the receipt in the contact says.
pub(super) fn shown(site: &Site, documents: Documents, contact: &Contact) -> Result<Shown, ApiError> {
    let Documents { lease, assignment, witness } = documents;
    let receipt = contact
        .previous
        .as_ref()
        .zip(contact.receipt.as_deref())
        .and_then(|(nonce, text)| site.parts.receipts.check(&contact.client_id, nonce, text));
    let random = random_bytes::<16>().map_err(|error| ApiError::internal("draw an era", &error))?;
    Ok(Shown { lease, assignment, witness, receipt, new_era: EraId::from_random(random) })
}

fn refused(document: &str, why: &str) -> ApiError {
    ApiError::new(
        ProblemCode::BadSignature,
        format!("cannot accept the {document} that the computer shows: {why}"),
        "issue a new setup file and enroll the computer again",
    )
}
