//! Which of the releases on this computer the vendor withdrew, as its channels documents said when they were read last.
//!
//! Invariant: nothing is installed or kept by it; it warns people, and asks them back. So a record that cannot be read
//! counts as none, and the next look makes it anew.

use jiff::Timestamp;
use sealpost_files::{PUBLIC, with_causes};
use sealpost_manifests::order::Order;
use sealpost_manifests::release::ReleaseId;
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::platform::store;

const NAME: &str = "withdrawn";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawnRelease {
    pub release: ReleaseId,
    /// Why, as the vendor says; without control characters.
    pub reason: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawals {
    /// When the channels were read last, by this computer's clock.
    #[serde(default)]
    pub looked_at: Option<Timestamp>,
    /// The assignment that was held then.
    #[serde(default)]
    pub assignment: Option<Order>,
    #[serde(default)]
    pub releases: Vec<WithdrawnRelease>,
}

impl Withdrawals {
    #[must_use]
    pub fn load(home: &Home) -> Self {
        match store::load(&home.state(NAME)) {
            Ok(known) => known.unwrap_or_default(),
            Err(error) => {
                tracing::warn!("{}; the vendor's channels are read again", with_causes(&error));
                Self::default()
            }
        }
    }

    /// Keeps it. If that fails, the channels are read once more than necessary.
    pub fn save(&self, home: &Home) {
        if let Err(error) = store::save(&home.state(NAME), self, PUBLIC) {
            tracing::warn!("{}", with_causes(&error));
        }
    }

    /// Why the vendor withdrew a release, if it did.
    #[must_use]
    pub fn reason(&self, release: &ReleaseId) -> Option<&str> {
        let found = self.releases.iter().find(|withdrawn| withdrawn.release == *release);
        found.map(|withdrawn| withdrawn.reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_keeps_its_form() {
        let golden = r#"{"looked_at":"2026-01-01T00:00:00Z","assignment":{"epoch":4294967296,"sequence":2},"releases":[{"release":{"package":"acme","version":"1.1","platform":"any"},"reason":"loses logs"}]}"#;
        let known: Withdrawals = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&known).unwrap(), golden);
        assert_eq!(known.reason(&known.releases[0].release), Some("loses logs"));
        assert_eq!(serde_json::from_str::<Withdrawals>("{}").unwrap(), Withdrawals::default());
    }
}
