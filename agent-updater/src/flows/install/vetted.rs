//! A release that passed every check that comes before its bytes are fetched.
//!
//! Invariant: a [`VettedRelease`] is made by [`VettedRelease::verify`] only: its signature is by a release key that the
//! vendor's trust document lists for that package, its digest is the one that the site approved, and its content is
//! sound and may be installed on this computer.

use std::io;

use sealpost_files::with_causes;
use sealpost_keys::{Minisig, Verified};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::verify_detached;
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::record::Installed;
use crate::domain::release::{Expectation, Refusal, judge_release};
use crate::home::Home;
use crate::records::manifests;

#[derive(Debug, Clone)]
pub struct VettedRelease {
    manifest: Verified<ReleaseManifest>,
    bytes: Vec<u8>,
    minisig: Minisig,
    digest: Sha256Digest,
}

impl VettedRelease {
    /// Verifies the exact bytes, then parses and judges them.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn verify(
        bytes: Vec<u8>,
        minisig: Minisig,
        trust: &TrustDocument,
        expected: &Expectation<'_>,
    ) -> Result<Self, Refusal> {
        let release = &expected.wanted.release;
        let digest = Sha256Digest::of(&bytes);
        let keys = trust.release_keys(&release.package, digest);
        let manifest = verify_detached(bytes.clone(), &minisig, &keys).map_err(|error| {
            let detail = format!("the manifest of {release} is not accepted: {}", with_causes(&error));
            Refusal::new(ReasonCode::ManifestInvalid, detail)
        })?;
        judge_release(&manifest, &digest, expected)?;
        Ok(Self { manifest, bytes, minisig, digest })
    }

    #[must_use]
    pub fn manifest(&self) -> &ReleaseManifest {
        &self.manifest
    }

    /// The digest of the manifest's exact bytes.
    #[must_use]
    pub const fn digest(&self) -> &Sha256Digest {
        &self.digest
    }

    /// The manifest's exact bytes.
    #[must_use]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Keeps manifest and signature under the name of the slot.
    pub(super) fn keep(&self, home: &Home, installed: &Installed) -> io::Result<()> {
        manifests::keep(home, installed, &self.bytes, &self.minisig)
    }
}
