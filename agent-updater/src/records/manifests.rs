//! The manifests and signatures of installed releases, kept for audits, rollbacks and deltas.
//!
//! Invariant: a kept manifest is used only if its digest is the one in the record of the package.

use std::io;

use sealpost_files::{PUBLIC, make_folder, read_bounded, replace, with_causes};
use sealpost_keys::{MAX_MINISIG_BYTES, Minisig};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, MAX_DOCUMENT_BYTES, verify_detached};
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::trust::TrustDocument;

use crate::domain::record::{Installed, SlotId};
use crate::home::Home;

/// Longest manifest that is read back, in bytes.
const MAX_MANIFEST_BYTES: u64 = MAX_DOCUMENT_BYTES;

/// Most kept manifests of one package that are looked at: there are two, and one while a release is built.
const MAX_KEPT: usize = 16;

/// Why the kept manifest of a slot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeptManifestError {
    #[error("the manifest of {0} is missing from the agent's home")]
    Missing(String),
    #[error("the manifest of {0} cannot be read")]
    Unreadable(String, #[source] io::Error),
    /// It is not the recorded one.
    #[error("the kept manifest of {0} is not the one that was installed; install the release again")]
    Changed(String),
    /// Its signature does not hold, or not any more.
    #[error("the kept manifest of {release} is not accepted: {why}")]
    NotAccepted { release: String, why: String },
}

/// Keeps the exact bytes of a manifest and its signature under the name of the slot.
///
/// # Errors
/// The system's.
pub fn keep(home: &Home, installed: &Installed, manifest: &[u8], minisig: &Minisig) -> io::Result<()> {
    make_folder(&home.manifests(&installed.release.package), 0o755)?;
    let (manifest_path, minisig_path) = home.manifest(&installed.release.package, &installed.slot);
    replace(&manifest_path, manifest, PUBLIC)?;
    replace(&minisig_path, minisig.as_str().as_bytes(), PUBLIC)
}

/// The manifest of a slot, checked against the digest in the record of the package.
///
/// # Errors
/// [`KeptManifestError`].
pub fn read(home: &Home, installed: &Installed) -> Result<ReleaseManifest, KeptManifestError> {
    read_exact(home, installed).map(|(manifest, _)| manifest)
}

/// As [`read`], and the signature is verified again with the keys that are trusted today.
///
/// # Errors
/// [`KeptManifestError`].
pub fn read_and_verify(
    home: &Home,
    installed: &Installed,
    trust: &TrustDocument,
) -> Result<ReleaseManifest, KeptManifestError> {
    let (manifest, bytes) = read_exact(home, installed)?;
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
    let keys = trust.release_keys(&installed.release.package, installed.manifest);
    verify_detached::<ReleaseManifest>(bytes, &minisig, &keys)
        .map_err(|error| not_accepted(with_causes(&error)))?;
    Ok(manifest)
}

/// The releases whose kept manifests verify with the keys that are trusted today, as far as they say what was installed:
/// for a package whose record is lost. The highest counter comes first.
#[must_use]
pub fn kept(home: &Home, package: &PackageName, trust: &TrustDocument) -> Vec<Installed> {
    let Ok(entries) = std::fs::read_dir(home.manifests(package)) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let slots = names.filter_map(|name| SlotId::try_from(name.strip_suffix(".manifest")?.to_owned()).ok());
    let mut kept: Vec<Installed> =
        slots.take(MAX_KEPT).filter_map(|slot| kept_in(home, package, slot, trust)).collect();
    kept.sort_by_key(|installed| std::cmp::Reverse(installed.counter));
    kept
}

fn kept_in(home: &Home, package: &PackageName, slot: SlotId, trust: &TrustDocument) -> Option<Installed> {
    let bytes = read_bounded(&home.manifest(package, &slot).0, MAX_MANIFEST_BYTES).ok().flatten()?;
    let digest = Sha256Digest::of(&bytes);
    let manifest: ReleaseManifest = document::read(&bytes).ok()?;
    let is_of_slot =
        manifest.release.package == *package && SlotId::of(&manifest.release.version, &digest) == slot;
    let installed = Installed {
        slot,
        release: manifest.release,
        kind: manifest.kind,
        counter: manifest.counter,
        manifest: digest,
        rollout: 0,
        attempt: 0,
        ring: None,
    };
    (is_of_slot && read_and_verify(home, &installed, trust).is_ok()).then_some(installed)
}

/// Removes what is kept under names of slots that `is_needed` does not accept, and what a killed process left there.
/// What cannot be removed now is removed after the next change.
pub fn remove_others(home: &Home, package: &PackageName, is_needed: impl Fn(&str) -> bool) {
    let Ok(entries) = std::fs::read_dir(home.manifests(package)) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let slot = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if !is_needed(slot) {
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// As [`read`], with the exact bytes.
///
/// # Errors
/// [`KeptManifestError`].
pub fn read_exact(
    home: &Home,
    installed: &Installed,
) -> Result<(ReleaseManifest, Vec<u8>), KeptManifestError> {
    let (path, _) = home.manifest(&installed.release.package, &installed.slot);
    let name = || installed.release.to_string();
    let bytes = read_bounded(&path, MAX_MANIFEST_BYTES)
        .map_err(|source| KeptManifestError::Unreadable(name(), source))?
        .ok_or_else(|| KeptManifestError::Missing(name()))?;
    if Sha256Digest::of(&bytes) != installed.manifest {
        return Err(KeptManifestError::Changed(name()));
    }
    let manifest = document::read(&bytes).map_err(|_| KeptManifestError::Changed(name()))?;
    Ok((manifest, bytes))
}
