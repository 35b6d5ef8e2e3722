//! The bodies of an enrollment.

use sealpost_manifests::document;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::EnrollmentCode;
use sealpost_manifests::log::LogKeyCertificate;
use sealpost_manifests::wire::enroll::{EnrollAnswer, EnrollRequest, Enrolled, Enrollment, proof};

use crate::fixed::key;
use crate::reading::{json, verified};
use crate::site;

/// What a server reads of a computer that wants to enroll, and what the computer reads of the server.
pub(crate) fn enrollments(data: &[u8]) -> bool {
    let (request, answer) = (json::<EnrollRequest>(data), json::<EnrollAnswer>(data));
    if let Some(request) = &request {
        drop(verified::<Enrollment>(&request.enrollment));
        // Whoever asks brings the key.
        let signed = request.enrollment.verify::<Enrollment>(std::slice::from_ref(&request.client_key));
        let of_fixed_key = request.client_key.ed25519_bytes() == key().public().ed25519_bytes();
        assert!(signed.is_err() || of_fixed_key, "another key than the fixed one signed");
        let right = proof(&EnrollmentCode::from_random([8; 24]), &request.enrollment.document);
        assert_eq!(request.proof.is_some_and(|proof| right.matches(&proof)), request.proof == Some(right));
        if let Ok(enrollment) = document::read::<Enrollment>(request.enrollment.document.as_bytes()) {
            site::enrollment(&enrollment);
        }
    }
    if let Some(answer) = &answer {
        drop(verified::<Enrolled>(&answer.enrolled));
        for grant in &answer.grants {
            drop(verified::<Grant>(grant));
        }
        drop(LogKeyCertificate::verify(&answer.log_key, &key().public()));
    }
    request.is_some() || answer.is_some()
}
