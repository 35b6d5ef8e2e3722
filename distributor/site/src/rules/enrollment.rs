//! Enrollment: what a computer proves binds a reserved name to the client key that proves it first. It proves the code of a
//! setup file, or it has the key that an admin admitted.
//!
//! Invariant: one code, one key. The same key gets the same answer for ever; another key is refused. A name whose
//! admin issued a new setup file, or admitted another key, can enroll again: that replaces the client and its key, and takes no
//! second seat. Whoever proves nothing changes nothing: it waits until an admin admits it. And it learns nothing: with a wrong
//! code the answer, and what is written, is the same whether a seat is reserved for the name or not, and whoever holds it.

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::ids::{ComputerName, SetupId};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use crate::rules::restore::RestoreState;

/// The newest setup of a reserved name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedSetup {
    /// Its id; the code is derived from it.
    pub setup: SetupId,
    /// After it the code is accepted no more. A restore ends one of before that nobody used
    /// (see [`RestoreState::end_of_setup`]).
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
    /// A setup file was issued, or a key admitted.
    Issued(IssuedSetup),
}

impl SetupState {
    /// The setup that stands for an admission of this key: one that the key used, or still can use. What nobody used in time
    /// is as if it were not there.
    #[must_use]
    pub fn admission_of(&self, client_key: &PublicKey, now: Timestamp) -> Option<&IssuedSetup> {
        let Self::Issued(issued) = self else { return None };
        let is_good = match &issued.used_by {
            Some(used_by) => used_by == client_key,
            None => now <= issued.expires_at,
        };
        (is_good && issued.admitted.as_ref() == Some(client_key)).then_some(issued)
    }
}

/// What an enrollment proves beside that its computer has the key inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// It says that it has no code.
    None,
    /// It is of no code that is good here.
    Wrong,
    /// The code of this setup of its name.
    Setup(SetupId),
}

/// By what a computer is bound to its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundBy {
    /// It proved the code.
    Code,
    /// An admin admitted its key.
    Admission,
}

/// What to do with an enrollment that was signed by the key inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnrollDecision {
    /// Bind this key now.
    Bind {
        /// The setup whose code was proven, or which stands for the admission.
        setup: SetupId,
        /// Which of the two.
        by: BoundBy,
    },
    /// The same key as before: answer the same.
    SameAgain,
}

/// Why an enrollment is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnrollRefusal {
    /// An admin has to admit the computer by its key; it waits in the pending list.
    WaitsForAdmission,
    /// The code is not the newest one of this name, or no seat is reserved for it; the computer waits in the pending list.
    CodeWrong,
    /// Another client key used the code.
    CodeUsed,
    /// Nobody used the code in time.
    CodeExpired {
        /// Its end.
        at: Timestamp,
    },
    /// It is from before a restore, which may have lost that another key used it.
    CodeBeforeRestore {
        /// When the restore was found.
        at: Timestamp,
    },
}

impl EnrollRefusal {
    /// The same, with the reason where a restore ended the code.
    #[must_use]
    pub fn after(self, restore: &RestoreState) -> Self {
        match self {
            Self::CodeExpired { at } => {
                restore.that_ended(at).map_or(self, |restored| Self::CodeBeforeRestore { at: restored.at })
            }
            Self::WaitsForAdmission | Self::CodeWrong | Self::CodeUsed | Self::CodeBeforeRestore { .. } => {
                self
            }
        }
    }

    /// As it is answered to whoever showed this key.
    #[must_use]
    pub fn problem(self, name: &ComputerName, client_key: &PublicKey) -> Problem {
        match self {
            // The same whatever the name is: a stranger learns nothing about it.
            Self::WaitsForAdmission => Problem::new(
                ProblemCode::WaitsForAdmission,
                format!("{name} cannot enroll before an administrator admits it by its key"),
                format!(
                    "on the server, run `distributor clients admit {name} --key {}`; \
                     `distributor clients pending` lists who waits",
                    client_key.fingerprint()
                ),
            ),
            // The same whatever the name is, so both causes and both remedies.
            Self::CodeWrong => Problem::new(
                ProblemCode::EnrollmentCodeWrong,
                format!(
                    "no seat is reserved for {name}, or the enrollment code is not that of its newest setup file"
                ),
                format!(
                    "on the server, `distributor clients show {name}` says which: run `distributor clients reserve {name}` if it \
                     holds no seat, and then use its newest setup file, or issue one with `distributor clients setup {name}`; \
                     until then the computer waits in a list"
                ),
            ),
            Self::CodeExpired { at } => Problem::new(
                ProblemCode::EnrollmentCodeExpired,
                format!("the enrollment code of {name} was good until {at}"),
                format!("issue a new setup file with `distributor clients setup {name}`"),
            ),
            Self::CodeBeforeRestore { at } => Problem::new(
                ProblemCode::EnrollmentCodeExpired,
                format!(
                    "the enrollment code of {name} is from before this server's ledger was restored to an older state \
                     (found at {at}), which may have lost that another computer used it"
                ),
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

    /// As it is answered to whoever has to wait and finds no room in the list: so nobody keeps it out by filling that.
    #[must_use]
    pub fn not_listed(name: &ComputerName, client_key: &PublicKey) -> Problem {
        Problem::new(
            ProblemCode::WaitsForAdmission,
            format!(
                "{name} cannot enroll before an administrator admits it by its key, and has no place in the list of those who wait"
            ),
            format!(
                "on the server, run `distributor clients admit {name} --key {client_key}`: that is the whole public key"
            ),
        )
    }

    /// Whether the computer waits in the pending list from now on.
    #[must_use]
    pub const fn waits(self) -> bool {
        match self {
            Self::CodeWrong | Self::WaitsForAdmission => true,
            Self::CodeUsed | Self::CodeExpired { .. } | Self::CodeBeforeRestore { .. } => false,
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

/// Decides about an enrollment. What it did not prove tells it nothing.
///
/// # Errors
/// [`EnrollRefusal`].
pub fn decide(
    state: &SetupState,
    proof: &Proof,
    client_key: &PublicKey,
    now: Timestamp,
) -> Result<EnrollDecision, EnrollRefusal> {
    // The signature shows the key, whatever else the computer still has from before.
    if let Some(IssuedSetup { setup, used_by, .. }) = state.admission_of(client_key, now) {
        return Ok(match used_by {
            Some(_) => EnrollDecision::SameAgain,
            None => EnrollDecision::Bind { setup: setup.clone(), by: BoundBy::Admission },
        });
    }
    let proven = match (state, proof) {
        (_, Proof::None) => return Err(EnrollRefusal::WaitsForAdmission),
        (SetupState::Unknown | SetupState::Reserved, _) | (_, Proof::Wrong) => {
            return Err(EnrollRefusal::CodeWrong);
        }
        (SetupState::Issued(issued), Proof::Setup(proven)) => {
            if *proven != issued.setup || issued.admitted.is_some() {
                return Err(EnrollRefusal::CodeWrong);
            }
            issued
        }
    };
    match &proven.used_by {
        Some(key) if key == client_key => Ok(EnrollDecision::SameAgain),
        Some(_) => Err(EnrollRefusal::CodeUsed),
        None if proven.expires_at < now => Err(EnrollRefusal::CodeExpired { at: proven.expires_at }),
        None => Ok(EnrollDecision::Bind { setup: proven.setup.clone(), by: BoundBy::Code }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::restore::Restored;
    use sealpost_keys::KeyId;
    use sealpost_manifests::order::Epoch;

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

    /// Key 1 is admitted until second 100.
    fn admitted(used_by: Option<PublicKey>) -> SetupState {
        let admitted = Some(key(1));
        SetupState::Issued(IssuedSetup { setup: setup(1), expires_at: at(100), used_by, admitted })
    }

    fn code() -> Proof {
        Proof::Setup(setup(1))
    }

    #[test]
    fn a_code_binds_to_the_first_key_and_answers_only_that_key_again() {
        let bind = Ok(EnrollDecision::Bind { setup: setup(1), by: BoundBy::Code });
        assert_eq!(decide(&issued(None), &code(), &key(1), at(0)), bind);
        let used = issued(Some(key(1)));
        assert_eq!(decide(&used, &code(), &key(1), at(0)), Ok(EnrollDecision::SameAgain));
        assert_eq!(decide(&used, &code(), &key(2), at(0)), Err(EnrollRefusal::CodeUsed));
    }

    #[test]
    fn a_code_ends_for_whoever_did_not_use_it_and_not_for_who_did() {
        assert!(decide(&issued(None), &code(), &key(1), at(100)).is_ok());
        assert_eq!(
            decide(&issued(None), &code(), &key(1), at(101)),
            Err(EnrollRefusal::CodeExpired { at: at(100) })
        );
        let used = issued(Some(key(1)));
        assert_eq!(decide(&used, &code(), &key(1), at(101)), Ok(EnrollDecision::SameAgain));
    }

    #[test]
    fn a_code_that_a_restore_ended_says_so_and_what_to_do() {
        let restored = Restored {
            at: at(50),
            epoch: Epoch::of(1, 0),
            resumes_until: at(90),
            confirmed: true,
            acknowledged: None,
        };
        let restore = RestoreState { restored: Some(restored), ..RestoreState::default() };
        let of_before = |used_by, admitted| {
            let expires_at = restore.end_of_setup(true, at(100));
            SetupState::Issued(IssuedSetup { setup: setup(1), expires_at, used_by, admitted })
        };
        let refusal = |state, proof, id| {
            decide(&state, &proof, &key(id), at(50)).map_err(|refusal| refusal.after(&restore))
        };
        let said = refusal(of_before(None, None), code(), 1).unwrap_err();
        assert_eq!(said, EnrollRefusal::CodeBeforeRestore { at: at(50) });
        let problem = said.problem(&ComputerName::new("pc-1").unwrap(), &key(1));
        assert_eq!(problem.code, ProblemCode::EnrollmentCodeExpired);
        assert!(problem.message.contains("restored"), "{problem:?}");
        assert!(problem.hint.contains("`distributor clients setup pc-1`"), "{problem:?}");
        // Who used it before the restore gets the same answer again, and a guess is told nothing.
        assert_eq!(refusal(of_before(Some(key(1)), None), code(), 1), Ok(EnrollDecision::SameAgain));
        assert_eq!(refusal(of_before(None, None), Proof::Wrong, 1), Err(EnrollRefusal::CodeWrong));
        // An admission that nobody used is as if it were not there: its computer waits again.
        let waits = refusal(of_before(None, Some(key(1))), Proof::None, 1);
        assert_eq!(waits, Err(EnrollRefusal::WaitsForAdmission));
        let again = refusal(of_before(Some(key(1)), Some(key(1))), Proof::None, 1);
        assert_eq!(again, Ok(EnrollDecision::SameAgain));
    }

    #[test]
    fn without_the_proof_nothing_is_told_about_whether_the_code_was_used() {
        for used_by in [None, Some(key(1))] {
            for (proof, refusal) in [
                (Proof::Wrong, EnrollRefusal::CodeWrong),
                (Proof::Setup(setup(2)), EnrollRefusal::CodeWrong),
                (Proof::None, EnrollRefusal::WaitsForAdmission),
            ] {
                let found = decide(&issued(used_by.clone()), &proof, &key(1), at(0));
                assert_eq!(found, Err(refusal), "{proof:?}");
            }
        }
    }

    #[test]
    fn who_proves_nothing_waits_whatever_its_name_is_and_only_the_admitted_key_is_bound() {
        use EnrollRefusal::{CodeWrong, WaitsForAdmission};
        let bind = || Ok(EnrollDecision::Bind { setup: setup(1), by: BoundBy::Admission });
        let again = || Ok(EnrollDecision::SameAgain);
        let rows = [
            // (what is known of the name, proof, key, second, what becomes of it)
            (SetupState::Unknown, Proof::None, 1, 0, Err(WaitsForAdmission)),
            (SetupState::Unknown, Proof::Wrong, 1, 0, Err(CodeWrong)),
            (SetupState::Unknown, code(), 1, 0, Err(CodeWrong)),
            (SetupState::Reserved, Proof::None, 1, 0, Err(WaitsForAdmission)),
            (SetupState::Reserved, Proof::Wrong, 1, 0, Err(CodeWrong)),
            (SetupState::Reserved, code(), 1, 0, Err(CodeWrong)),
            (issued(None), Proof::None, 1, 0, Err(WaitsForAdmission)),
            (issued(Some(key(1))), Proof::None, 1, 0, Err(WaitsForAdmission)),
            // The key that was admitted: once, in time, whatever code it still has.
            (admitted(None), Proof::None, 1, 0, bind()),
            (admitted(None), Proof::Wrong, 1, 0, bind()),
            (admitted(None), Proof::None, 1, 100, bind()),
            (admitted(None), Proof::None, 1, 101, Err(WaitsForAdmission)),
            (admitted(Some(key(1))), Proof::None, 1, 0, again()),
            (admitted(Some(key(1))), Proof::None, 1, 1_000, again()),
            // Any other key, before and after.
            (admitted(None), Proof::None, 2, 0, Err(WaitsForAdmission)),
            (admitted(None), Proof::Wrong, 2, 0, Err(CodeWrong)),
            (admitted(Some(key(1))), Proof::None, 2, 0, Err(WaitsForAdmission)),
            // An admission has no code, and nobody can have one.
            (admitted(None), code(), 2, 0, Err(CodeWrong)),
            (admitted(Some(key(1))), code(), 2, 0, Err(CodeWrong)),
        ];
        for (state, proof, id, second, expected) in rows {
            let found = decide(&state, &proof, &key(id), at(second));
            assert_eq!(found, expected, "{state:?} {proof:?} {id} {second}");
        }
    }

    #[test]
    fn who_guesses_a_code_is_told_both_causes_and_both_remedies_and_nothing_about_the_name() {
        let name = ComputerName::new("pc-1").unwrap();
        let states =
            [SetupState::Unknown, SetupState::Reserved, issued(None), issued(Some(key(1))), admitted(None)];
        let told = states.map(|state| {
            let refusal = decide(&state, &Proof::Wrong, &key(2), at(0)).unwrap_err();
            (refusal.problem(&name, &key(2)), refusal.waits())
        });
        assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
        let (problem, waits) = &told[0];
        assert!(*waits && problem.code == ProblemCode::EnrollmentCodeWrong, "{problem}");
        for part in ["no seat is reserved for pc-1, or", "newest setup file"] {
            assert!(problem.message.contains(part), "{problem}");
        }
        for command in ["`distributor clients reserve pc-1`", "`distributor clients setup pc-1`"] {
            assert!(problem.hint.contains(command), "{problem}");
        }
    }

    #[test]
    fn who_waits_is_told_the_command_with_its_own_key_and_nothing_about_the_name() {
        let name = ComputerName::new("pc-1").unwrap();
        let problem = EnrollRefusal::WaitsForAdmission.problem(&name, &key(1));
        assert_eq!(problem.code, ProblemCode::WaitsForAdmission);
        let command = format!("`distributor clients admit pc-1 --key {}`", key(1).fingerprint());
        assert!(problem.hint.contains(&command), "{problem:?}");
    }
}
