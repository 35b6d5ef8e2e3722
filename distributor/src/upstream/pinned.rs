//! The vendor's root that the home holds: whether everything here can be checked against it.
//!
//! The file may have been damaged, or replaced by another vendor's, since the server was made. Its digest stands in every
//! setup file, so a computer that is set up with it would refuse the right root.
//! Left out on purpose: roots that follow it. Pulls check them, each against the one before.

use std::path::Path;
use std::sync::Arc;

use sealpost_files::{read_bounded, with_causes};
use sealpost_repository::{FolderTransport, MAX_ROOT_BYTES, OpenError, Reader};

use super::mirror::root_path;

/// Why the pinned root cannot be what this server was made with; `None` if nothing is wrong with it.
#[must_use]
pub fn root_problem(root: &[u8], mirror: &Path) -> Option<String> {
    if let Some(problem) = not_a_root(root) {
        return Some(problem);
    }
    let version = version_of(root)?;
    // Pulls kept each root that they trusted, this one among them.
    let kept = read_bounded(&root_path(mirror, version), MAX_ROOT_BYTES).ok()??;
    (kept != root).then(|| {
        format!(
            "it is not the root {version} with which this server pulled before: another vendor's, or one that was made \
             again"
        )
    })
}

/// Whether it is a root that is signed by itself. What cannot be looked at is found at the next pull.
fn not_a_root(root: &[u8]) -> Option<String> {
    let folder = tempfile::tempdir().ok()?;
    let transport = Arc::new(FolderTransport::new(folder.path()));
    match Reader::open(root, &folder.path().join("store"), transport) {
        Err(OpenError::Root { source }) => {
            Some(format!("it is damaged or no root: {}", with_causes(&source)))
        }
        _ => None,
    }
}

fn version_of(root: &[u8]) -> Option<u64> {
    let root: serde_json::Value = serde_json::from_slice(root).ok()?;
    root.get("signed")?.get("version")?.as_u64()
}
