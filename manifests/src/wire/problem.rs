//! Errors over HTTP: `{code, message, hint}`; the code is stable, the texts are for people.

use std::fmt;

use sealpost_files::escape;
use serde::{Deserialize, Serialize};

use crate::word::open_codes;

/// The body of every error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The code that programs decide on.
    pub code: ProblemCode,
    /// What was attempted, and why it failed.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Both texts come from another computer and go to a terminal or a log.
        write!(f, "{} [{}]", escape(&self.message), self.code)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "; {}", escape(&self.hint)) }
    }
}

impl std::error::Error for Problem {}

open_codes! {
    /// Stable codes of refusals and errors.
    ProblemCode {
        /// The request is of no known shape.
        BadRequest = "bad_request",
        /// There is nothing of that name.
        NotFound = "not_found",
        /// The request is larger than allowed.
        TooLarge = "too_large",
        /// Too many at once.
        Busy = "busy",
        /// The server failed; its log says how.
        Internal = "internal",
        /// No token, or none that is known.
        Unauthenticated = "unauthenticated",
        /// The token was good once.
        TokenExpired = "token_expired",
        /// No computer of this name or id holds a reservation here.
        UnknownComputer = "unknown_computer",
        /// The code does not belong to this name.
        EnrollmentCodeWrong = "enrollment_code_wrong",
        /// Another client key used the code.
        EnrollmentCodeUsed = "enrollment_code_used",
        /// The request is meant for another server.
        WrongServer = "wrong_server",
        /// The signature does not hold.
        BadSignature = "bad_signature",
        /// Two computers use one identity.
        ContactForked = "contact_forked",
        /// The previous nonce is not the one that this server knows.
        NonceUnknown = "nonce_unknown",
        /// No reservation, so no lease.
        NotReserved = "not_reserved",
        /// The computer holds no live lease.
        NoLease = "no_lease",
        /// The license does not cover the package.
        NotEntitled = "not_entitled",
        /// No assignment names this target.
        NotAssigned = "not_assigned",
        /// All seats are taken.
        NoSeatFree = "no_seat_free",
        /// No grant: register and unlock first.
        NotUnlocked = "not_unlocked",
        /// The grant's year is over.
        GrantExpired = "grant_expired",
        /// The grant is for another server, of a lower generation, or not the vendor's.
        GrantRefused = "grant_refused",
        /// The serial number is bound to another server.
        SerialBound = "serial_bound",
        /// The serial number is unknown to the vendor.
        SerialUnknown = "serial_unknown",
        /// The manifest digest that was approved is not the one that is staged.
        DigestMismatch = "digest_mismatch",
        /// The release is not in a state in which this can be done.
        WrongState = "wrong_state",
        /// The vendor's repository could not be reached or did not verify.
        PullFailed = "pull_failed",
        /// It is there already.
        AlreadyExists = "already_exists",
        /// The caller may not do this.
        Forbidden = "forbidden",
        /// The previous state of this server is being restored: no new license before the vendor confirms.
        Unconfirmed = "unconfirmed",
        /// The client holds more than this server knows: it is to show what the server signed.
        LedgerBehind = "ledger_behind",
        /// Another computer with this identity continued it after the server was restored.
        Displaced = "displaced",
        /// The enrollment code is past its end.
        EnrollmentCodeExpired = "enrollment_code_expired",
        /// The link that the computer is behind is in use: it is to ask again when the answer says.
        LinkBusy = "link_busy",
        /// The vendor ended the serial number: no new seat and no new license come of it.
        SerialEnded = "serial_ended",
        /// Of two computers with one identity this one goes on: it is to make a key of its own, and to show its contact with it.
        CopyKept = "copy_kept",
        /// Of two computers with one identity the other one goes on: this one needs a name and a seat of its own.
        CopyGivenUp = "copy_given_up",
        /// An admin has to admit the computer by its key before it can enroll.
        WaitsForAdmission = "waits_for_admission",
    }
}

impl Problem {
    /// A problem of this code, with its texts for people.
    #[must_use]
    pub fn new(code: ProblemCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into() }
    }
}
