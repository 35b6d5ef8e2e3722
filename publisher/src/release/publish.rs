//! From the order to the published release.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use sealpost_keys::{SigningKey, TrustedComment};
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, Document};
use sealpost_manifests::ids::{ChannelName, PackageName, TargetName};
use sealpost_manifests::release::{Encoding, PackageKind, ReleaseId, ReleaseManifest};
use sealpost_manifests::trust::{KeyStatus, TRUST_TARGET, TrustDocument, TrustedKey};
use sealpost_manifests::version::{ReleaseCounter, Revision, Version};
use sealpost_repository::{KeyThreshold, RoleName, TargetSource};
use serde::Serialize;

use super::error::ReleaseError;
use super::order::{Order, check_history, check_order, check_same, next_counter};
use crate::active_keys::check_active;
use crate::home::{Keyring, Vendor};
use crate::payload::{self, Built};
use crate::publication::{Publication, PublicationError};

/// What a release came to.
#[derive(Debug, Clone, Serialize)]
pub struct Released {
    #[serde(flatten)]
    pub release: ReleaseId,
    /// The digest of its manifest: what an admin approves.
    pub manifest_sha256: Sha256Digest,
    pub counter: ReleaseCounter,
    /// The channels that were asked for, and the version that each points at now.
    pub channels: BTreeMap<ChannelName, Version>,
    pub outcome: Outcome,
    /// The files that were written, in this order, relative to the repository.
    #[serde(skip)]
    pub written: Vec<PathBuf>,
}

/// Whether a release was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Published,
    /// The same content had been published before.
    PublishedBefore,
}

/// Builds, signs and publishes a release, and points channels at it. `progress` gets the bytes of the payload that
/// were written so far; `waiting` is called if another publisher is at work.
///
/// # Errors
/// [`ReleaseError`]; the published repository is as it was, and the same call again completes what was begun.
pub fn release(
    vendor: &Vendor,
    keyring: &Keyring,
    order: &Order,
    now: Timestamp,
    progress: &mut dyn FnMut(u64),
    waiting: impl FnOnce(),
) -> Result<Released, ReleaseError> {
    let id = &order.release;
    let refused = |problems: Vec<String>| match problems.is_empty() {
        true => Ok(()),
        false => Err(ReleaseError::Refused { release: id.clone(), problems }),
    };
    refused(check_order(order))?;
    let mut publication = Publication::open(vendor, waiting)?;
    let mut trust = publication.trust()?;
    let releases = publication.releases(&id.package, &trust)?;
    let mut channels = publication.channels(&id.package)?;
    refused(check_history(order, &releases, &channels))?;

    let built = payload::build(&order.folder, &vendor.staging(), progress)
        .map_err(|source| ReleaseError::Payload { release: id.clone(), source: Box::new(source) })?;
    let keys = open_keys(&mut publication, &mut trust, keyring, &id.package)?;
    let role = RoleName::Package(id.package.clone());
    let before = releases.iter().find(|published| published.manifest.release == *id);
    let (manifest_sha256, counter, outcome) = match before {
        Some(published) => {
            refused(check_same(order, published, &built))?;
            (published.digest, published.manifest.counter, Outcome::PublishedBefore)
        }
        None => {
            let Some(counter) = next_counter(&releases) else {
                let problem = "the package's release counter is used up; use another package name";
                return Err(ReleaseError::Refused {
                    release: id.clone(),
                    problems: vec![problem.to_owned()],
                });
            };
            let manifest = manifest(order, &built, counter, now)?;
            refused(manifest.check())?;
            let digest =
                put_release(&mut publication, &role, &manifest, built.file.path().to_owned(), &keys.release)?;
            (digest, counter, Outcome::Published)
        }
    };
    for channel in &order.channels {
        channels.channels.insert(channel.clone(), id.version.clone());
    }
    publication.put_document(&role, &ChannelsDocument::target(&id.package)?, &channels)?;
    let set = order.channels.iter().map(|channel| (channel.clone(), id.version.clone())).collect();
    let written = publication.publish(&keys.metadata.iter().collect::<Vec<_>>(), now)?.files;
    drop(built);
    Ok(Released { release: id.clone(), manifest_sha256, counter, channels: set, outcome, written })
}

/// The keys that a release needs, by what they sign.
struct ReleaseKeys {
    release: SigningKey,
    /// Role, snapshot, timestamp, and for a new package the top-level targets.
    metadata: Vec<SigningKey>,
}

/// Opens the keys; for a new package makes them, delegates to it and lists its release key.
fn open_keys(
    publication: &mut Publication,
    trust: &mut TrustDocument,
    keyring: &Keyring,
    package: &PackageName,
) -> Result<ReleaseKeys, ReleaseError> {
    let mut metadata = Vec::new();
    let (role, release) = if publication.knows(package) {
        (keyring.role(package)?, keyring.release(package)?)
    } else {
        // The one that can refuse comes first, so that no keys are made in vain.
        metadata.push(keyring.targets()?);
        let made = keyring.make_package_keys(package)?;
        let role_key = KeyThreshold::new(&[made.role.public()], 1)?;
        publication.editor_mut().delegate(package, &role_key).map_err(PublicationError::from)?;
        let listed = TrustedKey { key: made.release.public(), status: KeyStatus::Active };
        trust.release_keys.insert(package.clone(), vec![listed]);
        let name = TargetName::new(TRUST_TARGET)?;
        publication.put_document(&RoleName::Targets, &name, trust)?;
        (made.role, made.release)
    };
    check_release_key(trust, package, &release)?;
    metadata.extend([role, keyring.snapshot()?, keyring.timestamp()?]);
    Ok(ReleaseKeys { release, metadata })
}

fn check_release_key(
    trust: &TrustDocument,
    package: &PackageName,
    key: &SigningKey,
) -> Result<(), ReleaseError> {
    let listed = trust.release_keys.get(package).map(Vec::as_slice).unwrap_or_default();
    Ok(check_active(listed, key, &format!("release key of {package}"), "keys.release_dir")?)
}

fn put_release(
    publication: &mut Publication,
    role: &RoleName,
    manifest: &ReleaseManifest,
    payload: PathBuf,
    key: &SigningKey,
) -> Result<Sha256Digest, ReleaseError> {
    let id = &manifest.release;
    let text = document::write(manifest).map_err(ReleaseError::Manifest)?;
    let comment = TrustedComment::new(manifest.trusted_comment())?;
    let minisig = key.sign(text.as_bytes(), &comment);
    let digest = Sha256Digest::of(text.as_bytes());
    let targets = [
        (id.payload_target(Encoding::Gzip)?, TargetSource::File(payload)),
        (id.manifest_target()?, TargetSource::Bytes(text.into_bytes())),
        (id.minisig_target()?, TargetSource::Bytes(minisig.as_str().as_bytes().to_vec())),
    ];
    for (name, source) in targets {
        publication.editor_mut().put_target(role, &name, source).map_err(PublicationError::from)?;
    }
    Ok(digest)
}

fn manifest(
    order: &Order,
    built: &Built,
    counter: ReleaseCounter,
    now: Timestamp,
) -> Result<ReleaseManifest, ReleaseError> {
    let revision = match order.kind {
        PackageKind::Program => None,
        PackageKind::Signatures => Some(Revision::from_version(&order.release.version)?),
    };
    Ok(ReleaseManifest {
        release: order.release.clone(),
        kind: order.kind,
        revision,
        counter,
        payload: built.payload.clone(),
        files: built.files.clone(),
        requires: Vec::new(),
        severity: order.severity,
        notes: order.notes.clone(),
        built_at: Timestamp::from_second(now.as_second()).unwrap_or(now),
    })
}
