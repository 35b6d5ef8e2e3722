//! How far this computer got with its server and its packages: floors that only rise, and what `status` shows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_files::PUBLIC;
use sealpost_manifests::ids::PackageName;
use serde::{Deserialize, Serialize};

use crate::domain::cadence::Standing;
use crate::domain::license::Place;
use crate::domain::time::{license_time, raised};
use crate::home::Home;
use crate::platform::store::{self, StoreError};

/// Name of the record.
const NAME: &str = "progress";

/// How the last contact went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastContact {
    pub at: Timestamp,
    /// Why it failed; `None` when it was answered.
    pub problem: Option<String>,
}

/// The highest (epoch, sequence) that was held of what one server signed, so that an older document is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighestPlaces {
    #[serde(default, rename = "lease_place")]
    pub lease: Option<Place>,
    #[serde(default, rename = "assignment_place")]
    pub assignment: Option<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// How the agent stands with its server.
    pub standing: Standing,
    /// License time is never before it.
    #[serde(default)]
    pub time_floor: Option<Timestamp>,
    /// Metadata is never judged as of an earlier time.
    #[serde(default)]
    pub metadata_floor: Option<Timestamp>,
    #[serde(flatten)]
    pub highest: HighestPlaces,
    /// The last contact that was answered.
    #[serde(default)]
    pub answered_at: Option<Timestamp>,
    #[serde(default)]
    pub last_contact: Option<LastContact>,
    /// When the next one is due.
    #[serde(default)]
    pub next_contact: Option<Timestamp>,
    /// What the server wants a person to look at, and what of its answers was refused.
    #[serde(default)]
    pub notices: Vec<String>,
    /// Why a package was not installed, when it was last tried.
    #[serde(default)]
    pub refusals: BTreeMap<PackageName, String>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            standing: Standing::Unlicensed,
            time_floor: None,
            metadata_floor: None,
            highest: HighestPlaces::default(),
            answered_at: None,
            last_contact: None,
            next_contact: None,
            notices: Vec::new(),
            refusals: BTreeMap::new(),
        }
    }
}

impl Progress {
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

    /// Raises the time floor to a time that the site signed.
    pub fn raise_time(&mut self, site_signed: Timestamp) {
        self.time_floor = Some(raised(self.time_floor, site_signed));
    }

    /// License time at a clock time.
    #[must_use]
    pub fn license_time(&self, now: Timestamp) -> Timestamp {
        license_time(now, self.time_floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_keeps_its_form() {
        let golden = r#"{"standing":"licensed","time_floor":"2026-01-01T00:00:00Z","metadata_floor":null,"lease_place":{"epoch":1,"sequence":2},"assignment_place":null,"answered_at":null,"last_contact":null,"next_contact":null,"notices":["a"],"refusals":{"acme":"why"}}"#;
        let progress: Progress = serde_json::from_str(golden).unwrap();
        assert_eq!(progress.highest.lease, Some(Place { epoch: 1, sequence: 2 }));
        assert_eq!(serde_json::to_string(&progress).unwrap(), golden);
        let least: Progress = serde_json::from_str(r#"{"standing":"unlicensed"}"#).unwrap();
        assert_eq!(least, Progress::default());
    }
}
