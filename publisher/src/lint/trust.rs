//! The trust document: that it is there, and lists a key for everything that has to be signed.

use std::path::Path;

use sealpost_files::with_causes;
use sealpost_manifests::document::{self, MAX_DOCUMENT_BYTES};
use sealpost_manifests::ids::{PackageName, TargetName};
use sealpost_manifests::trust::{KeyStatus, TRUST_TARGET, TrustDocument};
use sealpost_repository::Reader;

use super::expiry::BEFORE_EVERYTHING;
use super::files;
use super::report::Report;

/// Reads it, if it is as listed; what is wrong with it is reported otherwise.
pub(super) async fn read(reader: &mut Reader, targets: &Path, report: &mut Report) -> Option<TrustDocument> {
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
            report.defect(TRUST_TARGET, with_causes(&error));
            return None;
        }
    }
    let limit = MAX_DOCUMENT_BYTES;
    let bytes = match reader.target_bytes(&name, limit, BEFORE_EVERYTHING).await {
        Ok(bytes) => bytes,
        Err(error) => {
            report.defect(TRUST_TARGET, with_causes(&error));
            return None;
        }
    };
    document::read(&bytes).map_err(|error| report.defect(TRUST_TARGET, with_causes(&error))).ok()
}

/// Compares its keys with the packages that have a role.
pub(super) fn check_keys(trust: &TrustDocument, packages: &[PackageName], report: &mut Report) {
    for package in trust.release_keys.keys().filter(|package| !packages.contains(package)) {
        report.warn(
            TRUST_TARGET,
            format_args!("it lists keys for {package}, which has no role; release it or remove them"),
        );
    }
    for package in packages {
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
