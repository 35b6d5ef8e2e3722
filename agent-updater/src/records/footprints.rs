//! How the slots of a package were found when they were digested last, so that a look at an unchanged slot is cheap.
//!
//! Invariant: nothing is decided by it alone: where the footprint of a slot is another one, the slot is digested. So a
//! record that cannot be read counts as none.

use std::collections::BTreeMap;

use sealpost_files::{PUBLIC, with_causes};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use serde::{Deserialize, Serialize};

use crate::domain::record::SlotId;
use crate::home::Home;
use crate::platform::store;

/// How a slot was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Digest of the manifest that it was compared with.
    pub manifest: Sha256Digest,
    /// The slot's footprint before it was digested.
    pub footprint: Sha256Digest,
    /// What was wrong with it; `None` when it was as signed.
    pub problem: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprints {
    pub slots: BTreeMap<SlotId, Look>,
}

/// What is known of a package's slots.
#[must_use]
pub fn load(home: &Home, package: &PackageName) -> Footprints {
    match store::load(&home.footprints(package)) {
        Ok(known) => known.unwrap_or_default(),
        Err(error) => {
            tracing::warn!("{}; the slots are digested again", with_causes(&error));
            Footprints::default()
        }
    }
}

/// Keeps it. If that fails, slots are digested once more than necessary.
pub fn save(home: &Home, package: &PackageName, footprints: &Footprints) {
    if let Err(error) = store::save(&home.footprints(package), footprints, PUBLIC) {
        tracing::warn!("{}", with_causes(&error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_keeps_its_form() {
        let digest = Sha256Digest::of(b"1");
        let golden = format!(
            r#"{{"slots":{{"1-{}":{{"manifest":"{digest}","footprint":"{digest}","problem":"why"}}}}}}"#,
            digest.short()
        );
        let footprints: Footprints = serde_json::from_str(&golden).unwrap();
        assert_eq!(serde_json::to_string(&footprints).unwrap(), golden);
    }
}
