//! The audit: every installed file again, against the manifest that the vendor signed, with the keys trusted today.

use sealpost_manifests::ids::PackageName;
use serde::Serialize;

use crate::domain::record::Installed;
use crate::slots::Slots;

use super::agent::Agent;
use super::state::{Holdings, HoldingsError, Progress, package_records};
use super::vetted::kept_and_signed;
use super::with_causes;

/// One slot that was looked at.
#[derive(Debug, Serialize)]
pub struct Audited {
    /// The package.
    pub package: PackageName,
    /// The version in the slot.
    pub version: String,
    /// `current` or `previous`.
    pub slot: &'static str,
    /// How many files and links were held against the manifest.
    pub files: usize,
    /// Everything that is not as signed; empty when the slot is sound.
    pub problems: Vec<String>,
}

impl Agent {
    /// Audits every installed slot.
    ///
    /// # Errors
    /// [`HoldingsError`] when there is nothing to audit against.
    pub fn audit(&self) -> Result<Vec<Audited>, HoldingsError> {
        // An install under way is neither the old nor the new release for a moment. Who may not take the lock (not
        // the agent's user) audits what is there.
        let _lock = self.home.wait_for_cycle().ok();
        let progress = Progress::load(&self.home)?;
        let holdings = Holdings::load(&self.home, &progress, self.now())?;
        let mut audited = Vec::new();
        for (package, record) in package_records(&self.home)? {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    audited.push(Audited {
                        package,
                        version: "unknown".to_owned(),
                        slot: "current",
                        files: 0,
                        problems: vec![with_causes(&error)],
                    });
                    continue;
                }
            };
            let installed = [("current", record.current), ("previous", record.previous)];
            for (slot, installed) in installed.into_iter().filter_map(|(slot, one)| Some((slot, one?))) {
                audited.push(self.audit_slot(&package, slot, &installed, &holdings));
            }
        }
        Ok(audited)
    }

    fn audit_slot(
        &self,
        package: &PackageName,
        slot: &'static str,
        installed: &Installed,
        holdings: &Holdings,
    ) -> Audited {
        let mut problems = Vec::new();
        let mut files = 0;
        match Slots::open(&self.settings.install_root, package) {
            Err(error) => problems.push(with_causes(&error)),
            Ok(slots) => {
                if slot == "current" {
                    match slots.current() {
                        Ok(Some(current)) if current == installed.slot => {}
                        Ok(_) => problems.push("`current` leads elsewhere than the agent set it".to_owned()),
                        Err(error) => problems.push(with_causes(&error)),
                    }
                }
                match kept_and_signed(&self.home, installed, &holdings.trust) {
                    Err(error) => problems.push(with_causes(&error)),
                    Ok(manifest) => {
                        files = manifest.files.len();
                        match slots.check(&installed.slot, &manifest) {
                            Ok(()) => {}
                            Err(crate::slots::SlotFault::Differs { differences, count }) => {
                                problems.extend(differences.iter().map(ToString::to_string));
                                if count > differences.len() {
                                    problems.push(format!("and {} more", count - differences.len()));
                                }
                            }
                            Err(error) => problems.push(with_causes(&error)),
                        }
                    }
                }
            }
        }
        let version = installed.release.version.to_string();
        Audited { package: package.clone(), version, slot, files, problems }
    }
}
