//! What belongs to this computer whichever server it works with: the floors of its times, which products were ever let
//! run, and how far its packages got.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sealpost_files::PUBLIC;
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::word::Word;
use serde::{Deserialize, Serialize};

use crate::domain::failing::Failing;
use crate::domain::floors::Floors;
use crate::domain::put_off::PutOff;
use crate::home::Home;
use crate::platform::store::{self, StoreError};

const NAME: &str = "computer";

/// Something about an assigned package that the server was told once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Digest of the assigned manifest.
    pub manifest: Sha256Digest,
    pub attempt: u32,
    /// The action that is not known here.
    pub action: Word,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputerProgress {
    pub floors: Floors,
    /// Packages whose `run` was open once: it stays so.
    #[serde(default)]
    pub ran: BTreeSet<PackageName>,
    /// Why a package was not installed, when it was last tried.
    #[serde(default)]
    pub refusals: BTreeMap<PackageName, String>,
    #[serde(default)]
    pub told: BTreeMap<PackageName, Told>,
    /// What was put off at this computer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub put_off: BTreeMap<PackageName, PutOff>,
    /// Releases whose last try did not succeed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failing: BTreeMap<PackageName, Failing>,
}

impl ComputerProgress {
    /// What was put off of the release that is assigned.
    #[must_use]
    pub fn put_off(&self, wanted: &PackageAssignment, now: Timestamp) -> PutOff {
        PutOff::of(self.put_off.get(&wanted.release.package), wanted, now)
    }

    /// Forgets what was put off of a package of which a release was installed since, or of which nothing waits any more.
    pub fn settle_put_off(&mut self, wanted: &PackageAssignment, runs: Option<Sha256Digest>) {
        let package = &wanted.release.package;
        if let Some(left) = self.put_off.remove(package).and_then(|kept| kept.while_runs(runs, wanted)) {
            _ = self.put_off.insert(package.clone(), left);
        }
    }

    /// Keeps what was put off of a package; what says nothing is not kept.
    pub fn keep_put_off(&mut self, package: &PackageName, put_off: PutOff) {
        let _ = match put_off.is_nothing() {
            true => self.put_off.remove(package),
            false => self.put_off.insert(package.clone(), put_off),
        };
    }

    /// Reads it; the default if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(home: &Home) -> Result<Self, StoreError> {
        Ok(store::load(&home.state(NAME))?.unwrap_or_default())
    }

    /// Writes it; durable at return.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn save(&self, home: &Home) -> Result<(), StoreError> {
        store::save(&home.state(NAME), self, PUBLIC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_keeps_its_form() {
        let digest = Sha256Digest::of(b"m");
        let golden = format!(
            r#"{{"floors":{{"license":"2026-01-01T00:00:00Z","newest":null,"observed":null,"metadata":null,"metadata_observed":null,"generations":{{}},"metadata_version":0}},"ran":["acme"],"refusals":{{"acme":"why"}},"told":{{"acme":{{"manifest":"{digest}","attempt":1,"action":"remove"}}}}}}"#
        );
        let progress: ComputerProgress = serde_json::from_str(&golden).unwrap();
        assert_eq!(serde_json::to_string(&progress).unwrap(), golden);
        let least: ComputerProgress =
            serde_json::from_str(r#"{"floors":{"license":"1970-01-01T00:00:00Z"}}"#).unwrap();
        assert_eq!(least, ComputerProgress::default());
    }
}
