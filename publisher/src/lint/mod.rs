//! Reads a published repository as a site does, and reports every defect at once.
//!
//! Nothing is trusted because this program wrote it: metadata comes through the same reader as a site's, from the pinned root;
//! targets are digested; manifests are verified with the keys of the trust document; payloads are unpacked and
//! discarded. A defect in one place does not hide those in another, as far as the chain of trust allows: what lies
//! below metadata that is refused cannot be checked, except that a file's digest must be the one in its name.
//!
//! Expiry is checked apart from the walk, so that an expired role is one finding and not the end.
//! Left out on purpose: repairing. `publisher refresh` and a backup do that.

mod channels;
mod expiry;
mod files;
mod package;
mod release;
mod report;
mod sound;
mod trust;

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_repository::{FolderTransport, Lifetimes, OpenError, Reader};

use self::expiry::BEFORE_EVERYTHING;
pub use self::report::{Code, Finding, Level, Report};

/// Why a repository could not be checked at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LintError {
    /// No scratch folder for the reader's records.
    #[error("cannot make a scratch folder; check the free space of the system's folder for temporary files")]
    Scratch(#[source] io::Error),
    /// The pinned root is not one.
    #[error("cannot begin to read the repository")]
    Open(#[source] OpenError),
}

/// Checks the repository in a folder, from the root that sites pin. With the vendor's lifetimes it warns of ends when
/// `publisher status` does; without them roles count as living long.
///
/// # Errors
/// If nothing can be checked; every defect of the repository is a finding instead.
pub async fn lint(
    repository: &Path,
    pinned_root: &[u8],
    lifetimes: Option<&Lifetimes>,
    now: Timestamp,
) -> Result<Report, LintError> {
    let scratch = tempfile::tempdir().map_err(LintError::Scratch)?;
    let transport = Arc::new(FolderTransport::new(repository));
    let mut reader =
        Reader::open(pinned_root, &scratch.path().join("trusted"), transport).map_err(LintError::Open)?;
    let mut report = Report::default();
    let targets = repository.join("targets");
    files::check_names(&targets, &mut report);
    expiry::check(&repository.join("metadata"), lifetimes, &mut report, now);
    match reader.refresh(BEFORE_EVERYTHING).await {
        Ok(_) => walk(&mut reader, &targets, &mut report).await,
        Err(error) => {
            // The reader's own advice is for somebody who reads from elsewhere.
            let refusal = error.refusal().map_or_else(|| error.to_string(), |refusal| refusal.to_string());
            let cause = error.source().map_or_else(String::new, |cause| format!(" ({})", with_causes(cause)));
            let problem =
                format_args!("readers refuse it: {refusal}{cause}; restore it from the published copy");
            report.defect(Code::MetadataRefused, "metadata", problem);
        }
    }
    report.findings.sort();
    report.findings.dedup();
    Ok(report)
}

async fn walk(reader: &mut Reader, targets: &Path, report: &mut Report) {
    let trust = trust::read(reader, targets, report).await;
    let packages = reader.packages();
    for package in &packages {
        report.packages += 1;
        package::check(reader, targets, package, trust.as_ref(), report).await;
    }
    if let Some(trust) = trust {
        trust::check_keys(&trust, &packages, report);
    }
}
