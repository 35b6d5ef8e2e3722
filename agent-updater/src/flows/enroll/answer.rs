//! The request of an enrollment, and whether an answer to it is accepted.

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_keys::{SealingPublicKey, SigningKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, DocumentError, SignedDocument};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ComputerName, Platform};
use sealpost_manifests::log::LogKeyCertificate;
use sealpost_manifests::setup::{ServerEntry, SetupServer};
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::contact::MAX_GRANTS;
use sealpost_manifests::wire::enroll::{self, EnrollAnswer, EnrollRequest, Enrolled};

use crate::domain::grants::{Grants, HeldGrant};
use crate::records::holdings::{Holdings, known_server, verified_grant, verified_grants};
use crate::records::server::Enrollment;

/// Who enrolls, with the keys that it made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Applicant<'a> {
    pub(super) name: &'a ComputerName,
    pub(super) client_key: &'a SigningKey,
    pub(super) sealing_key: SealingPublicKey,
    /// When the setup file was issued.
    pub(super) setup_issued_at: Timestamp,
}

/// What an accepted answer says.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) enrollment: Enrollment,
    pub(super) grants: Grants,
}

/// What an accepted answer says to a computer that was enrolled before.
#[derive(Debug)]
pub(super) struct AcceptedBeside {
    /// With the grants that are held from now on.
    pub(super) enrollment: Enrollment,
    /// Those of the answer that were taken.
    pub(super) taken: Vec<Grant>,
}

/// The exact body of the request. The enrollment code proves the request and is not in it.
pub(super) fn request_body(server: &SetupServer, applicant: &Applicant<'_>) -> Result<String, DocumentError> {
    let enrollment = signed(server, applicant)?;
    let proof = server.enrollment_code.as_ref().map(|code| enroll::proof(code, &enrollment.document));
    body(applicant, enrollment, proof, None)
}

/// The same, of the copy that was kept: its contact proves the request.
pub(super) fn request_of_copy(
    server: &SetupServer,
    applicant: &Applicant<'_>,
    branch: SignedDocument,
) -> Result<String, DocumentError> {
    body(applicant, signed(server, applicant)?, None, Some(branch))
}

fn signed(server: &SetupServer, applicant: &Applicant<'_>) -> Result<SignedDocument, DocumentError> {
    let enrollment = enroll::Enrollment {
        computer_name: applicant.name.clone(),
        client_key: applicant.client_key.public(),
        sealing_key: applicant.sealing_key,
        server_id: server.server.server_id.clone(),
        platform: Platform::current(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    SignedDocument::sign(&enrollment, applicant.client_key)
}

fn body(
    applicant: &Applicant<'_>,
    enrollment: SignedDocument,
    proof: Option<Sha256Digest>,
    branch: Option<SignedDocument>,
) -> Result<String, DocumentError> {
    let client_key = applicant.client_key.public();
    serde_json::to_string(&EnrollRequest { client_key, enrollment, proof, branch })
        .map_err(|source| DocumentError::Malformed { document: "enrollment", source })
}

/// Verifies an answer: first what the vendor signed, then what the site signed. `trust` is the verified text of the
/// vendor's trust document. Fails with the reason.
pub(super) fn judge_answer(
    server: &SetupServer,
    applicant: &Applicant<'_>,
    answer: &EnrollAnswer,
    trust: &str,
) -> Result<Accepted, String> {
    let server = &server.server;
    let trust: TrustDocument = document::read(trust.as_bytes()).map_err(|error| with_causes(&error))?;
    let offered = answer.grants.get(..MAX_GRANTS).unwrap_or(&answer.grants);
    // A site key that replaced the pinned one needs a setup file that says so.
    let ours: Vec<SignedDocument> = offered
        .iter()
        .filter(|signed| {
            verified_grant(signed, &trust).is_ok_and(|held| held.grant.site_key == server.site_key)
        })
        .cloned()
        .collect();
    let grants = verified_grants(&ours, &trust, &server.server_id).map_err(|_| {
        let found = verified_grants(offered, &trust, &server.server_id).map_or_else(
            |why| format!("it brings no grant that counts: {why}"),
            |_| "its grants name another site key than the setup file pins".to_owned(),
        );
        format!("{found}; the setup file pins the server {}", server.server_id)
    })?;
    let enrollment = judge_enrolled(server, applicant, answer, &grants, &ours)?;
    Ok(Accepted { enrollment, grants })
}

/// Verifies an answer to the copy that was kept, beside the grants that it holds: each grant of the answer is judged as that of an
/// answer to a contact, and what is refused of them is said in the second part. The server has bound the new key by then, so an
/// older grant must not make its answer void. Fails with the reason.
pub(super) fn judge_answer_beside(
    holdings: &Holdings,
    applicant: &Applicant<'_>,
    answer: &EnrollAnswer,
) -> Result<(AcceptedBeside, Vec<String>), String> {
    let server_id = &holdings.identity.server_id;
    let (mut grants, mut taken, mut refused) = (holdings.grants.clone(), Vec::new(), Vec::new());
    for signed in answer.grants.iter().take(MAX_GRANTS) {
        let accepted = verified_grant(signed, &holdings.trust).and_then(|held| {
            let grant = held.grant.clone();
            grants.accept(held, server_id).map_err(|refusal| refusal.to_string())?;
            Ok(grant)
        });
        match accepted {
            Ok(grant) => taken.push(grant),
            Err(why) => refused.push(format!("a grant of the server was refused: {why}")),
        }
    }
    let texts: Vec<SignedDocument> =
        answer.grants.iter().take(MAX_GRANTS).chain(&holdings.enrollment.grants).cloned().collect();
    let server = known_server(&holdings.enrollment, &grants);
    let enrollment = judge_enrolled(&server, applicant, answer, &grants, &texts)?;
    Ok((AcceptedBeside { enrollment, taken }, refused))
}

/// The enrollment that an answer says, by the site key of these grants; `texts` has the text of each of them.
fn judge_enrolled(
    server: &ServerEntry,
    applicant: &Applicant<'_>,
    answer: &EnrollAnswer,
    grants: &Grants,
    texts: &[SignedDocument],
) -> Result<Enrollment, String> {
    let site_key = grants.site_key();
    let enrolled = answer
        .enrolled
        .verify::<Enrolled>(std::slice::from_ref(site_key))
        .map_err(|error| with_causes(&error))?;
    let client_key = applicant.client_key.public();
    let is_mine = enrolled.client_key == client_key
        && enrolled.computer_name == *applicant.name
        && enrolled.server_id == server.server_id;
    if !is_mine {
        return Err("it enrolls another computer".to_owned());
    }
    let log_key = LogKeyCertificate::verify(&answer.log_key, site_key)
        .map_err(|error| format!("the key of its log is not accepted: {}", with_causes(&error)))?;
    if log_key.server_id != server.server_id {
        return Err("the key of its log is of another server".to_owned());
    }
    let text_of = |held: &HeldGrant| texts.iter().find(|text| text.digest() == held.digest).cloned();
    Ok(Enrollment {
        computer_name: applicant.name.clone(),
        client_key,
        sealing_key: applicant.sealing_key,
        client_id: enrolled.client_id.clone(),
        server: server.clone(),
        setup_issued_at: applicant.setup_issued_at,
        grants: grants.iter().filter_map(text_of).collect(),
        log_key: answer.log_key.clone(),
    })
}
