//! Enrollment through a folder: the request is laid there, and the answer is taken when it lies there.

use sealpost_files::with_causes;
use sealpost_manifests::contact_answer::MAX_SEALED_ANSWER_BYTES;
use sealpost_manifests::wire::by_file::ANSWER_FILE;

use crate::config::FolderSettings;
use crate::flows::context::Context;
use crate::flows::enroll::{EnrolledAs, WaitingEnrollment, take_enrollment};

use super::folder::{computers_folder, place_file};

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
    let unusable = |error| format!("the folder {} cannot be used: {error}", settings.path.display());
    let folder = computers_folder(&settings.path, &waiting.computer_name).map_err(unusable)?;
    if let Some(file) = folder.read(ANSWER_FILE, MAX_SEALED_ANSWER_BYTES).map_err(unusable)? {
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
    place_file(&folder, waiting.request.as_bytes()).map_err(unusable)?;
    Err(format!("the enrollment of {} waits for its answer", waiting.computer_name))
}
