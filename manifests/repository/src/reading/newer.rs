//! Asking at once for all that is newer than what the store holds.
//!
//! Invariants: what comes is only laid out for the core, which verifies it as if it had come by itself; "unchanged" is believed
//! only of what this reader holds, and then what it holds is verified anew. Whatever does not fit is asked for by itself.

use std::sync::Arc;

use serde::Deserialize;

use crate::reading::reader::Reader;
use crate::reading::store::StoreError;
use crate::target::percent_encoded;
use crate::transport::{HeldVersions, Newer};

/// Most roots of one answer that are laid out.
const MAX_ROOTS: u64 = 64;

impl Reader {
    /// Lays out what the source says is newer, if it can say so at once.
    pub(super) async fn ask_at_once(&mut self) -> Result<(), Arc<StoreError>> {
        let Some(roles) = self.transport.roles_at_once() else { return Ok(()) };
        let timestamp = self.store.read("timestamp.json")?;
        let mut held = HeldVersions {
            root: self.updater.trusted().root().version,
            timestamp: timestamp.as_deref().and_then(version_of),
            ..HeldVersions::default()
        };
        for role in ["snapshot", "targets"].into_iter().map(str::to_owned).chain(roles) {
            let kept = self.store.read(&format!("{}.json", percent_encoded(&role)))?;
            if let Some((version, bytes)) = kept.and_then(|bytes| Some((version_of(&bytes)?, bytes))) {
                let _ = held.files.insert(format!("{version}.{}.json", percent_encoded(&role)), bytes);
                let _ = held.roles.insert(role, version);
            }
        }
        if let Some(newer) = self.transport.newer(&held).await {
            // Under a new root what is held may count no more.
            if newer.root == held.root {
                // The core asks for the exact version that the snapshot pins, and verifies it against that.
                let kept = std::mem::take(&mut held.files);
                kept.into_iter().for_each(|(name, bytes)| self.prefetched.put(name, bytes));
            }
            self.lay_out(&held, timestamp, newer);
        }
        Ok(())
    }

    fn lay_out(&self, held: &HeldVersions, timestamp: Option<Vec<u8>>, newer: Newer) {
        let Newer { root, timestamp: newest, files } = newer;
        let roots = (held.root.saturating_add(1)..=root).map(|version| format!("{version}.root.json"));
        let walks_to_the_newest = root >= held.root
            && root - held.root <= MAX_ROOTS
            && roots.into_iter().all(|name| files.contains_key(&name));
        if walks_to_the_newest && let Some(next) = root.checked_add(1) {
            self.prefetched.put_absent(format!("{next}.root.json"));
        }
        let is_unchanged = root == held.root && held.timestamp == Some(newest);
        if let Some(timestamp) = timestamp.filter(|_| is_unchanged && !files.contains_key("timestamp.json")) {
            self.prefetched.put("timestamp.json".to_owned(), timestamp);
        }
        for (name, bytes) in files {
            self.prefetched.put(name, bytes);
        }
    }
}

/// The version that metadata state, verified or not; nothing if they are not metadata.
#[must_use]
pub fn version_of(metadata: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Signed {
        version: u64,
    }
    #[derive(Deserialize)]
    struct Envelope {
        signed: Signed,
    }
    serde_json::from_slice::<Envelope>(metadata).ok().map(|envelope| envelope.signed.version)
}
