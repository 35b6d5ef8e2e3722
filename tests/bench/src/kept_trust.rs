//! The vendor's trust document as a pull would have left it in the server's home: without one no grant counts.

use std::fs::create_dir_all;
use std::os::unix::fs::symlink;
use std::path::Path;

use jiff::Timestamp;
use sealpost_files::{PUBLIC, frame, write_new};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::trust::{TRUST_TARGET, TrustDocument};

/// Puts the document among the blobs, and a mirror generation that lists nothing else in place.
pub(crate) fn keep(home: &Path, trust: &TrustDocument) -> anyhow::Result<()> {
    let text = document::write(trust)?;
    let digest = Sha256Digest::of(text.as_bytes()).to_string();
    let blobs = home.join("blobs").join(digest.get(..2).unwrap_or_default());
    create_dir_all(&blobs)?;
    write_new(&blobs.join(&digest), text.as_bytes(), PUBLIC)?;
    let listed =
        serde_json::json!({ "name": TRUST_TARGET, "sha256": digest, "length": text.len(), "class": "trust" });
    let index = serde_json::json!({
        "published_at": Timestamp::now(),
        "files": {},
        "targets": { TRUST_TARGET: listed },
    });
    let generation = home.join("mirror/gen-00000001");
    create_dir_all(&generation)?;
    let index = frame("sealpost-mirror-2", &serde_json::to_vec(&index)?);
    write_new(&generation.join("index"), &index, PUBLIC)?;
    Ok(symlink("gen-00000001", home.join("mirror/current"))?)
}
