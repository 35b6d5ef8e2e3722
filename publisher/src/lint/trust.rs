//! The trust document: that it is there, and lists a key for everything that has to be signed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sealpost_files::with_causes;
use sealpost_keys::{PublicKey, SealingPublicKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, MAX_DOCUMENT_BYTES};
use sealpost_manifests::ids::{PackageName, TargetName};
use sealpost_manifests::trust::{CounterReset, KeyStatus, KeyUse, TRUST_TARGET, TrustDocument, TrustedKey};
use sealpost_repository::Reader;

use super::expiry::BEFORE_EVERYTHING;
use super::files;
use super::report::{Code, Report};
use crate::trust::check_contact;

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
            report.defect(
                Code::NotListed,
                TRUST_TARGET,
                "it is not listed, so no release and no grant will be accepted",
            );
            return None;
        }
        Err(error) => {
            report.defect(Code::DocumentRefused, TRUST_TARGET, with_causes(&error));
            return None;
        }
    }
    let limit = MAX_DOCUMENT_BYTES;
    let bytes = match reader.target_bytes(&name, limit, BEFORE_EVERYTHING).await {
        Ok(bytes) => bytes,
        Err(error) => {
            report.defect(Code::DocumentRefused, TRUST_TARGET, with_causes(&error));
            return None;
        }
    };
    document::read(&bytes)
        .map_err(|error| report.defect(Code::DocumentRefused, TRUST_TARGET, with_causes(&error)))
        .ok()
}

/// Compares its keys with the packages that have a role.
pub(super) fn check_keys(trust: &TrustDocument, packages: &[PackageName], report: &mut Report) {
    for key in &trust.keys {
        check_entry(key, report);
    }
    let named = trust.keys.iter().filter_map(|key| key.package.as_ref());
    let reset = trust.counter_resets.iter().map(|reset| &reset.package);
    for package in named.chain(reset).collect::<BTreeSet<_>>() {
        if !packages.contains(package) {
            report.warn(
                Code::EntryUnused,
                TRUST_TARGET,
                format_args!("it has entries for {package}, which has no role; release it or remove them"),
            );
        }
    }
    // No document has this digest, so what verifies it is active and not revoked.
    let any = Sha256Digest::of(b"");
    for package in packages.iter().filter(|package| trust.release_keys(package, any).is_empty()) {
        report.defect(
            Code::NoActiveKey,
            TRUST_TARGET,
            format_args!("{package} has no active release key, so nothing of it can be released"),
        );
    }
    if trust.license_keys(any).is_empty() {
        report.defect(
            Code::NoActiveKey,
            TRUST_TARGET,
            "there is no active license key, so no grant will be accepted",
        );
    }
    check_resets(&trust.counter_resets, report);
    if let Some(Err(error)) = trust.licensing_contact.as_ref().map(check_contact) {
        report.warn(
            Code::ContactWrong,
            TRUST_TARGET,
            format_args!("{error}; set another with `publisher trust contact`"),
        );
    }
}

fn check_entry(key: &TrustedKey, report: &mut Report) {
    let what = match &key.package {
        Some(package) => format!("{} key of {package}", key.key_use),
        None => format!("{} key", key.key_use),
    };
    let readable = match key.key_use {
        KeyUse::Release | KeyUse::License => PublicKey::from_base64(&key.key).is_ok(),
        KeyUse::Seal => key.key.parse::<SealingPublicKey>().is_ok(),
        KeyUse::Other(_) => {
            return report.warn(
                Code::EntryUnknown,
                TRUST_TARGET,
                format_args!("it lists a {what}, which this version does not know"),
            );
        }
    };
    if !readable {
        report.defect(
            Code::EntryWrong,
            TRUST_TARGET,
            format_args!("a {what} in it is no key, so it is good for nothing"),
        );
    }
    if (key.key_use == KeyUse::Release) != key.package.is_some() {
        report.defect(
            Code::EntryWrong,
            TRUST_TARGET,
            format_args!("a {what} in it names a package, or none, as it must not"),
        );
    }
    match key.status {
        KeyStatus::Retired if key.digests.is_empty() => report.warn(
            Code::EntryUnused,
            TRUST_TARGET,
            format_args!("a retired {what} in it lists nothing that it still verifies"),
        ),
        KeyStatus::Other(status) => report.defect(
            Code::EntryUnknown,
            TRUST_TARGET,
            format_args!("a {what} in it has the status {status}; sites take it as revoked"),
        ),
        _ => {}
    }
}

/// Sites apply the resets of a package in their order, each once, by its number.
fn check_resets(resets: &[CounterReset], report: &mut Report) {
    let mut highest = BTreeMap::new();
    for reset in resets {
        let before = highest.insert(&reset.package, reset.number);
        if before.is_some_and(|before| reset.number <= before) {
            report.defect(
                Code::ResetOrder,
                TRUST_TARGET,
                format_args!(
                    "the counter reset of {} with the number {} stands behind one that is not lower",
                    reset.package, reset.number
                ),
            );
        }
    }
}
