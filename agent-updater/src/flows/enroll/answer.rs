//! The request of an enrollment, and whether an answer to it is accepted.

use sealpost_files::with_causes;
use sealpost_keys::{PublicKey, SigningKey};
use sealpost_manifests::document::{self, DocumentError, SignedDocument};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::Platform;
use sealpost_manifests::setup::{SetupFile, SetupServer};
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::enroll::{self, EnrollAnswer, EnrollRequest, Enrolled};

use crate::records::server::Enrollment;

/// The exact body of the request.
pub(super) fn request_body(
    setup: &SetupFile,
    server: &SetupServer,
    key: &SigningKey,
) -> Result<String, DocumentError> {
    let enrollment = enroll::Enrollment {
        computer_name: setup.computer_name.clone(),
        enrollment_code: setup.enrollment_code.clone(),
        client_key: key.public(),
        server_id: server.server_id.clone(),
        platform: Platform::current(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let enrollment = SignedDocument::sign(&enrollment, key)?;
    serde_json::to_string(&EnrollRequest { client_key: key.public(), enrollment })
        .map_err(|source| DocumentError::Malformed { document: "enrollment", source })
}

/// Verifies an answer: first what the vendor signed, then what the site signed. `trust` is the verified text of the
/// vendor's trust document. Fails with the reason.
pub(super) fn judge_answer(
    setup: &SetupFile,
    server: &SetupServer,
    client_key: &PublicKey,
    answer: &EnrollAnswer,
    trust: String,
) -> Result<Enrollment, String> {
    let trust_document: TrustDocument =
        document::read(trust.as_bytes()).map_err(|error| with_causes(&error))?;
    let grant = answer
        .grant
        .verify::<Grant>(&trust_document.license_keys())
        .map_err(|error| format!("its grant is not by the vendor: {}", with_causes(&error)))?;
    if grant.server_id != server.server_id {
        return Err(format!(
            "its grant is for the server {}, the setup file pins {}",
            grant.server_id, server.server_id
        ));
    }
    if grant.site_key != server.site_key {
        return Err("its grant names another site key than the setup file pins".to_owned());
    }
    let enrolled = answer
        .enrolled
        .verify::<Enrolled>(std::slice::from_ref(&grant.site_key))
        .map_err(|error| with_causes(&error))?;
    let is_mine = enrolled.client_key == *client_key
        && enrolled.computer_name == setup.computer_name
        && enrolled.server_id == server.server_id;
    if !is_mine {
        return Err("it enrolls another computer".to_owned());
    }
    // A computer is enrolled with one server; the licenses of others are their own.
    let servers = setup.servers.iter().filter(|other| other.server_id == server.server_id).cloned().collect();
    Ok(Enrollment {
        computer_name: setup.computer_name.clone(),
        client_key: client_key.clone(),
        client_id: enrolled.client_id.clone(),
        server_id: server.server_id.clone(),
        servers,
        root_sha256: setup.root_sha256,
        trust,
        grant: answer.grant.clone(),
    })
}
