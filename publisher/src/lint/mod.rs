//! Reads a published repository as a stranger would, and reports every defect at once.
//!
//! Nothing is believed because we wrote it: metadata comes through the same reader as a site's, from the pinned root;
//! targets are digested; manifests are verified with the keys of the trust document; payloads are unpacked into
//! nothing. A defect in one place does not hide those in another, as far as the chain of trust allows: what lies below
//! metadata that is refused cannot be judged, except that a file's digest must be the one in its name.
//!
//! Expiry is judged apart from the walk, so that an expired role is one finding and not the end.
//! Left out on purpose: repairing. `publisher refresh` and a backup do that.

mod expiry;
mod files;
mod package;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_manifests::document::{self, MAX_DOCUMENT_BYTES};
use sealpost_manifests::ids::TargetName;
use sealpost_manifests::trust::{KeyStatus, TRUST_TARGET, TrustDocument};
use sealpost_repository::{FolderTransport, OpenError, Reader};
use serde::Serialize;

use crate::chain::chain;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A site refuses something because of it.
    Defect,
    /// It needs a person's attention.
    Warning,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad.
    pub level: Level,
    /// What it is about: a role, a target, a file.
    pub subject: String,
    /// What is wrong, and what to do.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Defect => "defect",
            Level::Warning => "warning",
        };
        write!(f, "{level}: {}: {}", self.subject, self.problem)
    }
}

/// What was checked, and found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Packages that were looked at.
    pub packages: usize,
    /// Releases that were looked at.
    pub releases: usize,
    /// Targets that were looked at.
    pub targets: usize,
    /// What is not as it should be, defects first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether there is no defect.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.level != Level::Defect)
    }

    fn defect(&mut self, subject: impl fmt::Display, problem: impl fmt::Display) {
        self.find(Level::Defect, &subject, &problem);
    }

    fn warn(&mut self, subject: impl fmt::Display, problem: impl fmt::Display) {
        self.find(Level::Warning, &subject, &problem);
    }

    fn find(&mut self, level: Level, subject: &dyn fmt::Display, problem: &dyn fmt::Display) {
        self.findings.push(Finding { level, subject: subject.to_string(), problem: problem.to_string() });
    }
}

/// Why a repository could not be checked at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LintError {
    /// No scratch folder for the reader's records.
    #[error("cannot make a scratch folder; check the free space of the system's folder for temporary files")]
    Scratch(#[source] io::Error),
    /// The root is not one.
    #[error("cannot begin to read the repository")]
    Open(#[source] OpenError),
}

/// Any time before everything: nothing has expired then, so that the walk does not end at what has.
const BEFORE_EVERYTHING: Timestamp = Timestamp::UNIX_EPOCH;

/// Checks the repository in a folder, from the root that sites pin.
///
/// # Errors
/// [`LintError`] if nothing can be checked; every defect of the repository is a finding instead.
pub async fn lint(repository: &Path, pinned_root: &[u8], now: Timestamp) -> Result<Report, LintError> {
    let scratch = tempfile::tempdir().map_err(LintError::Scratch)?;
    let transport = Arc::new(FolderTransport::new(repository));
    let mut reader =
        Reader::open(pinned_root, &scratch.path().join("trusted"), transport).map_err(LintError::Open)?;
    let mut report = Report::default();
    let targets = repository.join("targets");
    files::check_names(&targets, &mut report);
    expiry::check(&repository.join("metadata"), &mut report, now);
    match reader.refresh(BEFORE_EVERYTHING).await {
        Ok(_) => walk(&mut reader, &targets, &mut report).await,
        Err(error) => {
            report.defect("metadata", format_args!("{}; restore it from the published copy", chain(&error)))
        }
    }
    report.findings.sort();
    report.findings.dedup();
    Ok(report)
}

async fn walk(reader: &mut Reader, targets: &Path, report: &mut Report) {
    let trust = read_trust(reader, targets, report).await;
    let packages = reader.packages();
    for package in &packages {
        report.packages += 1;
        package::check(reader, targets, package, trust.as_ref(), report).await;
    }
    let Some(trust) = trust else { return };
    for package in trust.release_keys.keys().filter(|package| !packages.contains(package)) {
        report.warn(
            TRUST_TARGET,
            format_args!("it lists keys for {package}, which has no role; release it or remove them"),
        );
    }
    for package in &packages {
        let keys = trust.release_keys.get(package).map(Vec::as_slice).unwrap_or_default();
        if !keys.iter().any(|key| key.status == KeyStatus::Active) {
            report.defect(
                TRUST_TARGET,
                format_args!("{package} has no active release key, so nothing of it can be released"),
            );
        }
    }
    if !trust.license_keys.iter().any(|key| key.status == KeyStatus::Active) {
        report.defect(TRUST_TARGET, "there is no active license key, so no grant will be accepted");
    }
}

async fn read_trust(reader: &mut Reader, targets: &Path, report: &mut Report) -> Option<TrustDocument> {
    let name = TargetName::new(TRUST_TARGET).ok()?;
    match reader.target(&name, BEFORE_EVERYTHING).await {
        Ok(Some(info)) => {
            report.targets += 1;
            if !files::check_target(targets, &info, report) {
                return None;
            }
        }
        Ok(None) => {
            report.defect(TRUST_TARGET, "it is not listed, so no release and no grant will be accepted");
            return None;
        }
        Err(error) => {
            report.defect(TRUST_TARGET, chain(&error));
            return None;
        }
    }
    let bytes = match reader.target_bytes(&name, MAX_DOCUMENT_BYTES, BEFORE_EVERYTHING).await {
        Ok(bytes) => bytes,
        Err(error) => {
            report.defect(TRUST_TARGET, chain(&error));
            return None;
        }
    };
    document::read(&bytes).map_err(|error| report.defect(TRUST_TARGET, chain(&error))).ok()
}
