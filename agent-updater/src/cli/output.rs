//! Printing an answer of the agent or of a running daemon, and why there is none.

use std::process::ExitCode;

use sealpost_files::escape;
use sealpost_service::output;

use crate::control::Answer;
use crate::home::HomeError;
use crate::records::holdings::HoldingsError;

/// The lines on standard output if the request succeeded, else on standard error; or all of it as JSON.
pub(super) fn print_answer(answer: &Answer, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        output::print_json(&serde_json::to_string(answer)?)?;
    } else {
        for line in &answer.lines {
            if answer.ok {
                output::print_line(line)?;
            } else {
                output::tell(line);
            }
        }
    }
    Ok(if answer.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is said of an error: a sentence, or for programs an object with a stable code.
pub(super) fn told(error: &anyhow::Error, wants_json: bool) -> String {
    let message = escape(&format!("{error:#}"));
    if !wants_json {
        return format!("error: {message}");
    }
    let code = if matches!(error.downcast_ref(), Some(HoldingsError::NotEnrolled)) {
        "not_enrolled"
    } else if matches!(error.downcast_ref(), Some(HomeError::NoHome { .. })) {
        "no_home"
    } else {
        "failed"
    };
    serde_json::json!({ "code": code, "message": message, "hint": "" }).to_string()
}
