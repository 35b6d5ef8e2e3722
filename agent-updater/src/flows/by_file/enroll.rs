//! Enrollment through a folder: the request is laid there, and the answer is taken when it lies there.

use sealpost_files::with_causes;

use crate::config::FolderSettings;
use crate::flows::context::Context;
use crate::flows::enroll::{EnrolledAs, WaitingEnrollment, take_enrollment};

use super::folder::{place_request, read_answer};

/// What is said of an enrollment.
pub(in crate::flows) fn told(enrolled: &EnrolledAs) -> Vec<String> {
    let enrollment = &enrolled.enrollment;
    let line = format!("enrolled as {} (client {})", enrollment.computer_name, enrollment.client_id);
    let warnings = enrolled.warnings.iter().map(|warning| format!("warning: {warning}"));
    let next = "next: `agent-updater contact --out FILE`, or start the daemon if a folder is configured";
    std::iter::once(line).chain(warnings).chain([next.to_owned()]).collect()
}

/// Lays the enrollment that waits into the folder, and takes its answer, if it lies there. The caller holds the lock of the
/// cycle. Fails with a sentence.
pub(in crate::flows) fn enroll_by_folder(context: &Context, settings: &FolderSettings) -> Result<(), String> {
    let home = &context.host.home;
    let waiting = WaitingEnrollment::load(home).map_err(|error| with_causes(&error))?;
    let Some(waiting) = waiting else { return Ok(()) };
    let name = &waiting.computer_name;
    if let Some(file) = read_answer(context, settings, name).map_err(|error| error.to_string())? {
        match take_enrollment(context, &waiting, &file) {
            Ok(enrolled) => {
                told(&enrolled).iter().for_each(|line| tracing::info!("{line}"));
                return Ok(());
            }
            // An answer from before the enrollment lies there until the next one comes.
            Err(error) => {
                tracing::debug!(error = with_causes(&error), "the answer in the folder is not taken")
            }
        }
    }
    let request = waiting.request.clone().into_bytes();
    place_request(context, settings, name, request).map_err(|error| error.to_string())?;
    Err(format!("the enrollment of {} waits for its answer", waiting.computer_name))
}
