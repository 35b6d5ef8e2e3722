//! The commands, each on one [`Step`](super::step::Step): read, decide by `domain/`, record.

pub(super) mod clients;
pub(super) mod contact;
pub(super) mod licensing;
pub(super) mod updates;

use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::step::CommandError;

/// What was just written cannot be read: refused like any failure, so that nothing of the command stays.
fn missing(what: &str) -> CommandError {
    CommandError::Refused(Problem::new(
        ProblemCode::Internal,
        format!("the ledger does not hold the {what} that it must hold"),
        "run `distributor log verify`, and restore the server's home from a backup if it finds damage",
    ))
}
