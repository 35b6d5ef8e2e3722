//! The vendor of this computer: the digest of its pinned root, and its trust document as it was last verified.

use sealpost_files::PUBLIC;
use sealpost_manifests::digest::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::platform::store::{self, StoreError};

const NAME: &str = "vendor";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorRecord {
    /// SHA-256 of the pinned `root.json`.
    pub root_sha256: Sha256Digest,
    /// The exact text of the trust document, which was verified through the TUF metadata.
    pub trust: String,
}

impl VendorRecord {
    /// Reads it; `None` before enrollment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(home: &Home) -> Result<Option<Self>, StoreError> {
        store::load(&home.state(NAME))
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
        let golden = format!(r#"{{"root_sha256":"{}","trust":"text"}}"#, Sha256Digest::of(b"root"));
        let record: VendorRecord = serde_json::from_str(&golden).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), golden);
    }
}
