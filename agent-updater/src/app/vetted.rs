//! A release that passed every check that comes before its bytes are fetched.
//!
//! Invariant: a [`Vetted`] is made by [`Vetted::verify`] only: its signature is by a release key that the vendor's
//! trust document lists for that package, its digest is the one that the site approved, and its content is sound and
//! allowed over what this computer had.

use std::io;

use sealpost_keys::{MAX_MINISIG_BYTES, Minisig, Verified};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::verify_detached;
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::record::Installed;
use crate::domain::release::{Expectation, Refusal, judge_release};
use crate::home::Home;
use crate::platform::files::{PUBLIC, make_folder, read_bounded, write_atomic};

use super::with_causes;

/// Longest manifest that is read back, in bytes.
const MAX_MANIFEST_BYTES: u64 = sealpost_manifests::document::MAX_DOCUMENT_BYTES;

/// A vetted release.
#[derive(Debug, Clone)]
pub struct Vetted {
    manifest: Verified<ReleaseManifest>,
    bytes: Vec<u8>,
    minisig: Minisig,
    digest: Sha256Digest,
}

impl Vetted {
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
        let manifest = verified(&bytes, &minisig, trust, expected)?;
        let digest = Sha256Digest::of(&bytes);
        judge_release(&manifest, &digest, expected)?;
        Ok(Self { manifest, bytes, minisig, digest })
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &ReleaseManifest {
        &self.manifest
    }

    /// The digest of its exact bytes.
    #[must_use]
    pub const fn digest(&self) -> &Sha256Digest {
        &self.digest
    }

    /// Keeps manifest and signature beside the slot's name, for audits and as the base of later deltas.
    pub(super) fn keep(&self, home: &Home, installed: &Installed) -> io::Result<()> {
        make_folder(&home.manifests(&installed.release.package), 0o755)?;
        let (manifest, minisig) = home.manifest(&installed.release.package, &installed.slot);
        write_atomic(&manifest, &self.bytes, PUBLIC)?;
        write_atomic(&minisig, self.minisig.as_str().as_bytes(), PUBLIC)
    }
}

fn verified(
    bytes: &[u8],
    minisig: &Minisig,
    trust: &TrustDocument,
    expected: &Expectation<'_>,
) -> Result<Verified<ReleaseManifest>, Refusal> {
    let keys = trust.release_keys(&expected.wanted.release.package);
    verify_detached(bytes.to_vec(), minisig, &keys).map_err(|error| {
        Refusal::new(
            ReasonCode::ManifestInvalid,
            format!("the manifest of {} is not accepted: {}", expected.wanted.release, with_causes(&error)),
        )
    })
}

/// Why the kept manifest of a slot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeptManifestError {
    /// It is not there.
    #[error("the manifest of {0} is missing from the agent's home")]
    Missing(String),
    /// It cannot be read.
    #[error("the manifest of {0} cannot be read")]
    Unreadable(String, #[source] io::Error),
    /// It is not the recorded one.
    #[error("the kept manifest of {0} is not the one that was installed; install the release again")]
    Changed(String),
    /// Its signature does not hold (any more).
    #[error("the kept manifest of {release} is not accepted: {why}")]
    NotAccepted {
        /// Which release.
        release: String,
        /// Why.
        why: String,
    },
}

/// The manifest of a slot, held against the digest that the sealed record of the package has.
///
/// # Errors
/// [`KeptManifestError`].
pub fn kept_manifest(home: &Home, installed: &Installed) -> Result<ReleaseManifest, KeptManifestError> {
    kept(home, installed).map(|(manifest, _)| manifest)
}

fn kept(home: &Home, installed: &Installed) -> Result<(ReleaseManifest, Vec<u8>), KeptManifestError> {
    let (path, _) = home.manifest(&installed.release.package, &installed.slot);
    let name = || installed.release.to_string();
    let bytes = read_bounded(&path, MAX_MANIFEST_BYTES)
        .map_err(|source| KeptManifestError::Unreadable(name(), source))?
        .ok_or_else(|| KeptManifestError::Missing(name()))?;
    if Sha256Digest::of(&bytes) != installed.manifest {
        return Err(KeptManifestError::Changed(name()));
    }
    let manifest =
        sealpost_manifests::document::read(&bytes).map_err(|_| KeptManifestError::Changed(name()))?;
    Ok((manifest, bytes))
}

/// As [`kept_manifest`], and the signature is verified again with the keys that are trusted today.
///
/// # Errors
/// [`KeptManifestError`].
pub fn kept_and_signed(
    home: &Home,
    installed: &Installed,
    trust: &TrustDocument,
) -> Result<ReleaseManifest, KeptManifestError> {
    let (manifest, bytes) = kept(home, installed)?;
    let (_, minisig_path) = home.manifest(&installed.release.package, &installed.slot);
    let release = installed.release.to_string();
    let unreadable = |source| KeptManifestError::Unreadable(release.clone(), source);
    let minisig = read_bounded(&minisig_path, MAX_MINISIG_BYTES)
        .map_err(unreadable)?
        .ok_or_else(|| KeptManifestError::Missing(format!("{release} (its signature)")))?;
    let not_accepted = |why: String| KeptManifestError::NotAccepted { release: release.clone(), why };
    let minisig = String::from_utf8(minisig)
        .map_err(|error| not_accepted(error.to_string()))
        .and_then(|text| Minisig::parse(&text).map_err(|error| not_accepted(error.to_string())))?;
    let keys = trust.release_keys(&installed.release.package);
    verify_detached::<ReleaseManifest>(bytes, &minisig, &keys)
        .map_err(|error| not_accepted(with_causes(&error)))?;
    Ok(manifest)
}
