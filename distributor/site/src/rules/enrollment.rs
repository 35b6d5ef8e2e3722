//! Enrollment: a code binds a reserved name to the first client key that presents it.
//!
//! Invariant: one code, one key. The same key gets the same answer for ever; another key is refused. A name whose
//! admin issued a new setup file can enroll again: that replaces the client and its key, and takes no second seat.

use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

/// The newest setup of a reserved name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedSetup {
    /// SHA-256 of the code's canonical text.
    pub code_sha256: Sha256Digest,
    /// The client key that used it.
    pub used_by: Option<PublicKey>,
}

/// What is known of the name that wants to enroll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetupState {
    /// No seat is reserved for it.
    Unknown,
    /// A seat is reserved, but no setup file was issued.
    Reserved,
    /// A setup file was issued.
    Issued(IssuedSetup),
}

/// What to do with an enrollment that was signed by the key inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnrollDecision {
    /// Bind this key now.
    Bind,
    /// The same key as before: answer the same.
    SameAgain,
}

/// Why an enrollment is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnrollRefusal {
    /// The computer waits in the pending list.
    UnknownComputer,
    /// The code is not the newest one of this name.
    CodeWrong,
    /// Another client key used the code.
    CodeUsed,
}

impl EnrollRefusal {
    /// As it is answered.
    #[must_use]
    pub fn problem(self, name: &ComputerName) -> Problem {
        match self {
            Self::UnknownComputer => Problem::new(
                ProblemCode::UnknownComputer,
                format!("no seat is reserved for {name}"),
                format!(
                    "on the server, run `distributor clients reserve {name}`; until then the computer waits in a list"
                ),
            ),
            Self::CodeWrong => Problem::new(
                ProblemCode::EnrollmentCodeWrong,
                format!("the enrollment code does not belong to {name}, or a newer one was issued"),
                format!(
                    "use the newest setup file of {name}, or issue one with `distributor clients setup {name}`"
                ),
            ),
            Self::CodeUsed => Problem::new(
                ProblemCode::EnrollmentCodeUsed,
                format!("the enrollment code of {name} was used by another client key"),
                format!(
                    "if the computer was set up anew, issue a new setup file with `distributor clients setup {name}`"
                ),
            ),
        }
    }
}

/// Whether a code is the newest one of its reserved name: whoever presents it may read root, metadata and trust.json.
#[must_use]
pub fn is_known_code(setup: &SetupState, code_sha256: Sha256Digest) -> bool {
    matches!(setup, SetupState::Issued(issued) if issued.code_sha256 == code_sha256)
}

/// The refusal of an enrollment that is meant for another server.
#[must_use]
pub fn wrong_server() -> Problem {
    Problem::new(
        ProblemCode::WrongServer,
        "the enrollment is meant for another server",
        "use the setup file that this server issued",
    )
}

/// Decides about an enrollment.
///
/// # Errors
/// [`EnrollRefusal`].
pub fn decide(
    setup: &SetupState,
    code_sha256: Sha256Digest,
    client_key: &PublicKey,
) -> Result<EnrollDecision, EnrollRefusal> {
    match setup {
        SetupState::Unknown => Err(EnrollRefusal::UnknownComputer),
        SetupState::Reserved => Err(EnrollRefusal::CodeWrong),
        SetupState::Issued(setup) if setup.code_sha256 != code_sha256 => Err(EnrollRefusal::CodeWrong),
        SetupState::Issued(IssuedSetup { used_by: None, .. }) => Ok(EnrollDecision::Bind),
        SetupState::Issued(IssuedSetup { used_by: Some(key), .. }) if key == client_key => {
            Ok(EnrollDecision::SameAgain)
        }
        SetupState::Issued(_) => Err(EnrollRefusal::CodeUsed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_keys::KeyId;

    fn key(id: u8) -> PublicKey {
        PublicKey::new(KeyId::from_bytes([id; 8]), [id; 32])
    }

    #[test]
    fn a_code_binds_to_the_first_key_and_answers_only_that_key_again() {
        let code = Sha256Digest::of(b"code");
        let fresh = SetupState::Issued(IssuedSetup { code_sha256: code, used_by: None });
        assert_eq!(decide(&fresh, code, &key(1)), Ok(EnrollDecision::Bind));
        let used = SetupState::Issued(IssuedSetup { code_sha256: code, used_by: Some(key(1)) });
        assert_eq!(decide(&used, code, &key(1)), Ok(EnrollDecision::SameAgain));
        assert_eq!(decide(&used, code, &key(2)), Err(EnrollRefusal::CodeUsed));
    }

    #[test]
    fn a_wrong_code_tells_nothing_about_whether_the_right_one_was_used() {
        let wrong = Sha256Digest::of(b"wrong");
        let code_sha256 = Sha256Digest::of(b"code");
        for used_by in [None, Some(key(1))] {
            let setup = SetupState::Issued(IssuedSetup { code_sha256, used_by });
            assert_eq!(decide(&setup, wrong, &key(1)), Err(EnrollRefusal::CodeWrong));
        }
        assert_eq!(decide(&SetupState::Reserved, wrong, &key(1)), Err(EnrollRefusal::CodeWrong));
        assert_eq!(decide(&SetupState::Unknown, wrong, &key(1)), Err(EnrollRefusal::UnknownComputer));
    }
}
