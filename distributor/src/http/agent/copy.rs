//! The copy of a computer that an admin kept: it shows the contact that was refused, signed again with the key of before and with
//! its new key inside, and enrolls with that one.
//!
//! Invariant: the contact is verified with the key that the client has *now*, so that nobody goes on twice; and it names the key
//! that signed the enrollment, so that who has seen it can do nothing with it. Which branch it shows, the ledger decides. Whose
//! contact proves nothing is told the same whether a computer is enrolled under the name or not.

use jiff::Timestamp;
use sealpost_keys::token::random_bytes;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::SetupId;
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::enroll::Enrollment;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::commands::clients::ProvenCopy;
use sealpost_site::queries::CopiesOf;
use sealpost_site::rules::contact::NoncePair;
use sealpost_site::rules::enrollment::wrong_server;

use super::budget;
use crate::http::Site;
use crate::http::limits::EnrollsBy;
use crate::http::problem::ApiError;

/// What the contact beside an enrollment proves.
pub(super) async fn proven(
    site: &Site,
    contact: &SignedDocument,
    enrollment: &Enrollment,
    now: Timestamp,
) -> Result<ProvenCopy, ApiError> {
    let ledger = &site.parts.ledger;
    let row = ledger.query(CopiesOf { name: enrollment.computer_name.clone() }).await?;
    let client_id = row.ok_or_else(nothing_is_proven)?.client_id;
    let key = ledger.client_key(&client_id).await?.ok_or_else(nothing_is_proven)?;
    let setup = random_bytes::<16>().map_err(|error| ApiError::internal("draw a setup", &error))?;
    let setup = SetupId::from_random(setup);
    // It has its new key already, and signed with it: an answer was lost. The key of before verifies nothing any more.
    let pair = if key == enrollment.client_key {
        budget::enroll(site, &EnrollsBy::Copy(client_id.clone()), now)?;
        None
    } else {
        let contact = contact.verify::<Contact>(&[key]).map_err(|_| nothing_is_proven())?;
        if contact.client_id != client_id || contact.new_key.as_ref() != Some(&enrollment.client_key) {
            return Err(bad_signature("it is another client's, or names another key"));
        }
        if contact.server_id != ledger.server_id() {
            return Err(wrong_server().into());
        }
        let Contact { previous, next, .. } = contact.into_inner();
        budget::contact(site, &client_id, (previous.as_ref(), &next), 1, now).await?;
        Some(NoncePair { previous, next })
    };
    Ok(ProvenCopy { client_id, pair, setup })
}

fn nothing_is_proven() -> ApiError {
    bad_signature("no computer is enrolled under this name, or it is not signed by that one's key")
}

fn bad_signature(why: &str) -> ApiError {
    ApiError::new(
        ProblemCode::BadSignature,
        format!("cannot accept the contact of a copy: {why}"),
        "try again; if it stays, enroll with a new setup file",
    )
}
