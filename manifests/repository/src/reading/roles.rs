//! Delegated roles one by one: verified, from the store if that holds the pinned version, from the server otherwise.

use jiff::Timestamp;
use sigstore_tuf::TrustedMetadataSet;

use crate::limits::MAX_METADATA_BYTES;
use crate::reading::errors::MirrorError;
use crate::reading::reader::Reader;
use crate::reading::refusal::Refusal;
use crate::target::percent_encoded;

impl Reader {
    /// The bytes of a delegated role, verified into `trusted`: the kept ones if they are still the pinned ones.
    pub(super) async fn verified_role(
        &self,
        trusted: &mut TrustedMetadataSet,
        role: &str,
        delegator: &str,
        now: Timestamp,
    ) -> Result<Vec<u8>, MirrorError> {
        let store_failed = |source| MirrorError::Store { source };
        let encoded = percent_encoded(role);
        let name = file_name(trusted, role)?;
        let kept = self.store.read(&format!("{encoded}.json")).map_err(store_failed)?;
        let kept = kept.filter(|bytes| trusted.update_delegated_targets(bytes, role, delegator, now).is_ok());
        let bytes = match kept {
            Some(bytes) => bytes,
            None => {
                let bytes = self
                    .transport
                    .metadata(&name, MAX_METADATA_BYTES)
                    .await
                    .map_err(|source| MirrorError::Transport { role: role.to_owned(), source })?
                    .ok_or_else(|| MirrorError::Incomplete {
                        role: role.to_owned(),
                        problem: "the server does not have",
                    })?;
                trusted.update_delegated_targets(&bytes, role, delegator, now).map_err(|source| {
                    MirrorError::Refused {
                        role: role.to_owned(),
                        refusal: Refusal::of(&source),
                        location: Some(self.transport.metadata_location(&name)),
                        source,
                    }
                })?;
                self.store.write(&format!("{encoded}.json"), &bytes).map_err(store_failed)?;
                bytes
            }
        };
        self.prefetched.put(name, bytes.clone());
        Ok(bytes)
    }
}

/// The file name under which a repository publishes the pinned version of a role.
pub(super) fn file_name(trusted: &TrustedMetadataSet, role: &str) -> Result<String, MirrorError> {
    let encoded = percent_encoded(role);
    if role == "timestamp" || !trusted.root().consistent_snapshot {
        return Ok(format!("{encoded}.json"));
    }
    let version = if role == "snapshot" {
        trusted.snapshot().map(|snapshot| snapshot.version)
    } else {
        let pins = trusted.snapshot().map(|snapshot| &snapshot.meta);
        pins.and_then(|pins| pins.get(&format!("{role}.json"))).map(|pin| pin.version)
    };
    let problem = "is delegated to but not pinned";
    let version = version.ok_or_else(|| MirrorError::Incomplete { role: role.to_owned(), problem })?;
    Ok(format!("{version}.{encoded}.json"))
}
