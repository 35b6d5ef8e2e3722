//! Printing an answer of the agent or of a running daemon.

use std::process::ExitCode;

use crate::control::Answer;

/// The lines on standard output if the request succeeded, else on standard error; or all of it as JSON.
pub(super) fn print_answer(answer: &Answer, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        println!("{}", serde_json::to_string(answer)?);
    } else {
        for line in &answer.lines {
            if answer.ok {
                println!("{line}");
            } else {
                eprintln!("{line}");
            }
        }
    }
    Ok(if answer.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
