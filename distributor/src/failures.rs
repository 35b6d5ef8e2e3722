//! What failed inside the server, as a problem for whoever asked: logged here in full, once, and told without detail.

use std::error::Error;

use sealpost_files::with_causes;
use sealpost_ledger::LedgerError;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

/// Something inside failed, and nothing was changed.
pub(crate) fn internal(attempted: &'static str, error: &(dyn Error + 'static)) -> Problem {
    tracing::error!(attempted, error, "a request failed inside the server");
    Problem::new(
        ProblemCode::Internal,
        format!("the server could not {attempted}"),
        "look into the server's log, then try again; nothing was changed",
    )
}

/// What was asked for is done and on disk, and only its result cannot be read back.
pub(crate) fn done_but_unread(error: &LedgerError, done: &str, look: &str) -> Problem {
    tracing::error!(error = with_causes(error), done, "the result of a change cannot be read back");
    Problem::new(
        ProblemCode::Internal,
        format!("{done}, but the ledger could not be read afterwards"),
        format!("check the server's disk and its log, then look with `{look}`; do not repeat it"),
    )
}

/// The ledger's refusal as it is, and its failure without detail.
pub(crate) fn of_ledger(error: LedgerError) -> Problem {
    match error {
        LedgerError::Refused(problem) => problem,
        LedgerError::Failed { attempted, source } => {
            tracing::error!(attempted, error = &*source as &(dyn Error + 'static), "the ledger failed");
            Problem::new(
                ProblemCode::Internal,
                format!("the ledger could not {attempted}"),
                "check the server's disk and its log, then try again; nothing was changed",
            )
        }
        LedgerError::Closed => {
            Problem::new(ProblemCode::Busy, "the server is shutting down", "try again when it is back")
        }
    }
}
