//! The audit: every installed file, compared again with the manifest that the vendor signed, with the keys that are
//! trusted today.

use sealpost_files::{escape, with_causes};
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};
use serde::Serialize;

use crate::domain::record::Installed;
use crate::records::holdings::{Holdings, HoldingsError};
use crate::records::manifests;
use crate::records::progress::Progress;
use crate::slots::{SlotFault, Slots};
use crate::spool::Subject;

use super::context::Host;
use super::{install_root, linked, reports};

/// Name of the slot in use, as it is shown.
const CURRENT: &str = "current";
/// Name of the slot that `rollback` goes to, as it is shown.
const PREVIOUS: &str = "previous";

#[derive(Debug, Serialize)]
pub struct AuditedSlot {
    pub package: PackageName,
    /// The version in the slot.
    pub version: String,
    pub slot: &'static str,
    /// How many files and links were compared with the manifest.
    pub files: usize,
    /// The result for programs: `as_signed`, or `not_as_signed`.
    pub code: &'static str,
    /// Everything that is not as signed; empty when the slot is sound.
    pub problems: Vec<String>,
}

/// Audits every installed slot.
///
/// # Errors
/// [`HoldingsError`] when there is nothing to compare with.
pub fn audit(host: &Host) -> Result<Vec<AuditedSlot>, HoldingsError> {
    // During an install, a slot is for a moment neither the old nor the new release. A user who may not take the lock
    // audits what is there.
    let lock = host.home.wait_for_cycle().ok();
    let progress = Progress::load(&host.home)?;
    let holdings = Holdings::load(&host.home, &progress, host.now())?;
    let elsewhere = install_root::problem(host);
    let mut audited = Vec::new();
    let mut results = Vec::new();
    for (package, record) in linked::load_all(host)? {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                audited.push(AuditedSlot {
                    package,
                    version: "unknown".to_owned(),
                    slot: CURRENT,
                    files: 0,
                    code: code(false),
                    problems: vec![with_causes(&error)],
                });
                continue;
            }
        };
        let installed = [(CURRENT, record.current), (PREVIOUS, record.previous)];
        for (slot, installed) in installed.into_iter().filter_map(|(slot, one)| Some((slot, one?))) {
            let one = audit_slot(host, &package, slot, &installed, &holdings, elsewhere.as_deref());
            results.push((installed, result_of(&one)));
            audited.push(one);
        }
    }
    // Without the lock the reports are another process's.
    if lock.is_some() {
        report(host, &results);
    }
    Ok(audited)
}

/// What the server is told of an audited slot.
fn result_of(one: &AuditedSlot) -> (Outcome, ReasonCode, String) {
    if one.problems.is_empty() {
        let files = one.files;
        return (
            Outcome::Ok,
            ReasonCode::Done,
            format!("{}: all {files} files are as they were signed", one.slot),
        );
    }
    let said = format!("{}: {}", one.slot, one.problems.join("; "));
    (Outcome::Failed, ReasonCode::PayloadInvalid, escape(&said))
}

/// Tells the server by the next contact. What cannot be kept is logged: the person who asked has the result.
fn report(host: &Host, results: &[(Installed, (Outcome, ReasonCode, String))]) {
    let mut spool = match reports::open(host) {
        Ok(spool) => spool,
        Err(error) => {
            tracing::error!(error = with_causes(&error), "the server will not hear of this audit");
            return;
        }
    };
    for (installed, (outcome, reason, detail)) in results {
        let about = Subject {
            release: installed.release.clone(),
            manifest: installed.manifest,
            rollout: 0,
            attempt: installed.attempt,
            ring: None,
        };
        if let Err(error) = spool.add(host.now(), &about, (InstallStep::Audit, *outcome, *reason), detail) {
            tracing::error!(error = with_causes(&error), "a report of this audit is not on disk yet");
        }
    }
}

fn audit_slot(
    host: &Host,
    package: &PackageName,
    slot: &'static str,
    installed: &Installed,
    holdings: &Holdings,
    elsewhere: Option<&str>,
) -> AuditedSlot {
    let mut problems = Vec::new();
    // An audit makes nothing: where no folder is, a disk may not be mounted.
    let files = match Slots::find(&host.settings.install_root, package) {
        Ok(Some(slots)) => {
            if slot == CURRENT {
                problems.extend(link_problem(&slots, installed));
            }
            compare(host, &slots, installed, holdings, &mut problems)
        }
        Ok(None) => {
            let folder = host.settings.install_root.join(package.as_str());
            problems.push(elsewhere.map_or_else(|| format!("{} is gone", folder.display()), str::to_owned));
            0
        }
        Err(error) => {
            problems.push(with_causes(&error));
            0
        }
    };
    let version = installed.release.version.to_string();
    let code = code(problems.is_empty());
    AuditedSlot { package: package.clone(), version, slot, files, code, problems }
}

const fn code(is_sound: bool) -> &'static str {
    if is_sound { "as_signed" } else { "not_as_signed" }
}

fn link_problem(slots: &Slots, installed: &Installed) -> Option<String> {
    match slots.current() {
        Ok(Some(current)) if current == installed.slot => None,
        Ok(_) => Some("`current` is not the link that the agent set".to_owned()),
        Err(error) => Some(with_causes(&error)),
    }
}

/// Compares a slot with its kept manifest; returns how many files the manifest has.
fn compare(
    host: &Host,
    slots: &Slots,
    installed: &Installed,
    holdings: &Holdings,
    problems: &mut Vec<String>,
) -> usize {
    let manifest = match manifests::read_and_verify(&host.home, installed, &holdings.trust) {
        Ok(manifest) => manifest,
        Err(error) => {
            problems.push(with_causes(&error));
            return 0;
        }
    };
    match slots.check(&installed.slot, &manifest) {
        Ok(()) => {}
        Err(SlotFault::Differs { differences, count }) => {
            problems.extend(differences.iter().map(ToString::to_string));
            if count > differences.len() {
                problems.push(format!("and {} more", count - differences.len()));
            }
        }
        Err(error) => problems.push(with_causes(&error)),
    }
    manifest.files.len()
}
