//! Taking an answer that a person brings: to the enrollment that waits, or to the contact.

use std::path::PathBuf;

use crate::control::{Answer, AnswerCode};
use crate::records::servers;

use super::by_file::told;
use super::context::Context;
use super::cycle;
use super::enroll::{EnrollError, WaitingEnrollment, take_enrollment};

/// Takes a file as the answer to the enrollment that waits, if one does; else as that to a contact, after which a cycle
/// follows with `releases` as the folder to install from.
///
/// # Errors
/// [`EnrollError`]; nothing was changed then.
pub fn take(context: &Context, file: Vec<u8>, releases: Option<PathBuf>) -> Result<Answer, EnrollError> {
    let home = &context.host.home;
    let Some(waiting) = WaitingEnrollment::load(home)? else {
        return Ok(cycle::run_with_answer(context, file, releases).answer());
    };
    let taken = {
        let _lock = home.wait_for_cycle()?;
        take_enrollment(context, &waiting, &file)
    };
    let enrolled = match taken {
        Ok(enrolled) => enrolled,
        // A computer that enrolls again may bring the answer to its last contact.
        Err(error @ EnrollError::Answer { .. }) => {
            let is_enrolled = servers::load(home).is_ok_and(|servers| !servers.is_empty());
            if !is_enrolled {
                return Err(error);
            }
            return Ok(cycle::run_with_answer(context, file, releases).answer());
        }
        Err(error) => return Err(error),
    };
    Ok(Answer { ok: true, code: AnswerCode::Other, lines: told(&enrolled) })
}
