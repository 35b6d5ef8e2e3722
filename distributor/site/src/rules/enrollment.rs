//! Enrollment: a code binds a reserved name to the first client key that presents it.
//!
//! Invariant: one code, one key. The same key gets the same answer for ever; another key is refused. A name whose
//! admin issued a new setup file can enroll again: that replaces the client and its key, and takes no second seat.

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::ids::{ComputerName, SetupId};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

/// The newest setup of a reserved name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedSetup {
    /// Its id; the code is derived from it.
    pub setup: SetupId,
    /// After it the code is accepted no more.
    pub expires_at: Timestamp,
    /// The client key that used it.
    pub used_by: Option<PublicKey>,
    /// The client key that an admin admitted; then there is no code.
    pub admitted: Option<PublicKey>,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnrollDecision {
    /// Bind this key now.
    Bind {
        /// The setup whose code was proven.
        setup: SetupId,
    },
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
    /// Nobody used the code in time.
    CodeExpired {
        /// Its end.
        at: Timestamp,
    },
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
            Self::CodeExpired { at } => Problem::new(
                ProblemCode::EnrollmentCodeExpired,
                format!("the enrollment code of {name} was good until {at}"),
                format!("issue a new setup file with `distributor clients setup {name}`"),
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

/// The refusal of an enrollment that is meant for another server.
#[must_use]
pub fn wrong_server() -> Problem {
    Problem::new(
        ProblemCode::WrongServer,
        "the enrollment is meant for another server",
        "use the setup file that this server issued",
    )
}

/// Decides about an enrollment. `proven` is the setup whose code the computer proved to know; what it did not prove
/// tells it nothing.
///
/// # Errors
/// [`EnrollRefusal`].
pub fn decide(
    state: &SetupState,
    proven: Option<&SetupId>,
    client_key: &PublicKey,
    now: Timestamp,
) -> Result<EnrollDecision, EnrollRefusal> {
    let issued = match state {
        SetupState::Unknown => return Err(EnrollRefusal::UnknownComputer),
        SetupState::Reserved => return Err(EnrollRefusal::CodeWrong),
        SetupState::Issued(issued) => issued,
    };
    if proven != Some(&issued.setup) {
        return Err(EnrollRefusal::CodeWrong);
    }
    match &issued.used_by {
        Some(key) if key == client_key => Ok(EnrollDecision::SameAgain),
        Some(_) => Err(EnrollRefusal::CodeUsed),
        None if issued.expires_at < now => Err(EnrollRefusal::CodeExpired { at: issued.expires_at }),
        None => Ok(EnrollDecision::Bind { setup: issued.setup.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_keys::KeyId;

    fn key(id: u8) -> PublicKey {
        PublicKey::new(KeyId::from_bytes([id; 8]), [id; 32])
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn setup(id: u8) -> SetupId {
        SetupId::from_random([id; 16])
    }

    fn issued(used_by: Option<PublicKey>) -> SetupState {
        SetupState::Issued(IssuedSetup { setup: setup(1), expires_at: at(100), used_by, admitted: None })
    }

    #[test]
    fn a_code_binds_to_the_first_key_and_answers_only_that_key_again() {
        let proven = setup(1);
        let bind = Ok(EnrollDecision::Bind { setup: setup(1) });
        assert_eq!(decide(&issued(None), Some(&proven), &key(1), at(0)), bind);
        let used = issued(Some(key(1)));
        assert_eq!(decide(&used, Some(&proven), &key(1), at(0)), Ok(EnrollDecision::SameAgain));
        assert_eq!(decide(&used, Some(&proven), &key(2), at(0)), Err(EnrollRefusal::CodeUsed));
    }

    #[test]
    fn a_code_ends_for_whoever_did_not_use_it_and_not_for_who_did() {
        let proven = setup(1);
        assert!(decide(&issued(None), Some(&proven), &key(1), at(100)).is_ok());
        assert_eq!(
            decide(&issued(None), Some(&proven), &key(1), at(101)),
            Err(EnrollRefusal::CodeExpired { at: at(100) })
        );
        let used = issued(Some(key(1)));
        assert_eq!(decide(&used, Some(&proven), &key(1), at(101)), Ok(EnrollDecision::SameAgain));
    }

    #[test]
    fn without_the_proof_nothing_is_told_about_whether_the_code_was_used() {
        for used_by in [None, Some(key(1))] {
            for proven in [None, Some(setup(2))] {
                let found = decide(&issued(used_by.clone()), proven.as_ref(), &key(1), at(0));
                assert_eq!(found, Err(EnrollRefusal::CodeWrong));
            }
        }
        assert_eq!(decide(&SetupState::Reserved, None, &key(1), at(0)), Err(EnrollRefusal::CodeWrong));
        let unknown = decide(&SetupState::Unknown, None, &key(1), at(0));
        assert_eq!(unknown, Err(EnrollRefusal::UnknownComputer));
    }
}
