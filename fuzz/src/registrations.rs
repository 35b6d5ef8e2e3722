//! What a server and its vendor say to each other, and errors over HTTP.

use sealpost_manifests::grant::{Grant, verify_registration};
use sealpost_manifests::wire::problem::Problem;
use sealpost_manifests::wire::sync::{RegisterAnswer, RegisterRequest};

use crate::fixed::key;
use crate::reading::{assert_harmless, json, verified};

/// Longest problem as it is shown, in bytes: two texts of 2,000 characters, and a code.
const MAX_PROBLEM_BYTES: usize = 2 * 2000 * 4 + 100;

/// What a vendor reads of a server, and what the server reads of the vendor.
pub(crate) fn registrations(data: &[u8]) -> bool {
    let (request, answer) = (json::<RegisterRequest>(data), json::<RegisterAnswer>(data));
    if let Some(request) = &request
        && let Ok(registration) = verify_registration(&request.registration)
    {
        assert_eq!(registration.site_key, key().public(), "another key than the fixed one signed");
        let again = verified(&request.registration).expect("the fixed key signed it");
        assert_eq!(*registration, again);
    }
    if let Some(answer) = &answer {
        drop(verified::<Grant>(&answer.grant));
    }
    request.is_some() || answer.is_some()
}

/// The body of an error.
pub(crate) fn problems(data: &[u8]) -> bool {
    let Some(problem) = json::<Problem>(data) else { return false };
    let shown = problem.to_string();
    assert_harmless(&shown);
    assert!(shown.len() <= MAX_PROBLEM_BYTES, "a problem is shown with {} bytes", shown.len());
    true
}
