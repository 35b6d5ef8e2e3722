//! From the order to the published release.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealpost_keys::{SigningKey, TrustedComment};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, Document};
use sealpost_manifests::ids::{ChannelName, PackageName};
use sealpost_manifests::payload::PayloadSource;
use sealpost_manifests::release::{
    Attachment, Encoding, FileKind, PackageKind, ReleaseId, ReleaseManifest, Severity,
};
use sealpost_manifests::trust::{CounterReset, KeyStatus, KeyUse, TrustDocument, TrustedKey};
use sealpost_manifests::version::{ReleaseCounter, Revision, Version};
use sealpost_repository::{KeyThreshold, RoleName, TargetSource};
use serde::Serialize;
use tempfile::NamedTempFile;

use super::attachments::{self, Attached};
use super::deltas::{self, ReleaseDelta, Target};
use super::error::ReleaseError;
use super::leaks::home_around;
use super::live::check_live;
use super::order::{Order, check_history, check_minimum, check_order, check_same, next_counter};
use super::permit::{Permit, Question};
use super::permits::open_questions;
use super::secrets::{Secret, secret_in, secret_in_file};
use crate::active_keys::check_active;
use crate::home::{Keyring, Vendor};
use crate::payload::{self, Built};
use crate::publication::{Publication, PublicationError, Published, whole_seconds};

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
    /// What became of the deltas that were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deltas: Vec<ReleaseDelta>,
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

/// How far a release is; a large one takes a while in each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The files are read and digested.
    Reading,
    /// So many bytes of the compressed payload were written.
    Packing(u64),
    /// It is signed, and its files are put into the repository.
    Publishing,
    /// A delta that leads to it is made.
    Comparing { number: usize, of: usize },
}

/// Builds, signs and publishes a release, and points channels at it. `progress` is told how far it is; `waiting` is
/// called if another publisher is at work.
///
/// # Errors
/// [`ReleaseError`]; the published repository is as it was, and the same call again completes what was begun.
pub fn release(
    vendor: &Vendor,
    keyring: &Keyring,
    order: &Order,
    now: Timestamp,
    progress: &mut dyn FnMut(Progress),
    waiting: impl FnOnce(),
) -> Result<Released, ReleaseError> {
    let id = &order.release;
    refuse(id, check_order(order))?;
    check_folder(&order.folder)?;
    let mut publication = Publication::open(vendor, waiting)?;
    check_live(vendor, keyring, &publication, &id.package, now)?;
    let mut trust = publication.trust()?;
    let releases = publication.releases(&id.package, &trust)?;
    let mut channels = publication.channels(&id.package)?;
    refuse(id, check_history(order, &releases, &channels))?;
    ask(id, open_questions(order, &publication, &channels))?;

    let failed = |source| ReleaseError::Payload { release: id.clone(), source: Box::new(source) };
    progress(Progress::Reading);
    let source = payload::scan(&order.folder).map_err(failed)?;
    check_secrets(order, &source)?;
    let built = payload::build(&source, &vendor.staging(), &mut |bytes| progress(Progress::Packing(bytes)))
        .map_err(failed)?;
    progress(Progress::Publishing);
    let attached = attachments::copy_all(order, &vendor.staging())?;
    let step = next_step(order, &releases, trust.counter_reset(&id.package), &built, &attached, now)?;
    let counter = match &step {
        Step::Publish(manifest) => manifest.counter,
        Step::Repeat(published) => published.manifest.counter,
    };
    refuse(id, check_minimum(counter, &channels))?;
    // Everything that can be refused was checked, so that no keys are made in vain.
    let keys = open_keys(&mut publication, &mut trust, keyring, &id.package, now)?;
    let (text, manifest, outcome) = match step {
        Step::Repeat(published) => {
            let text = published_text(&publication, id)?;
            (text, published.manifest.clone().into_inner(), Outcome::PublishedBefore)
        }
        Step::Publish(manifest) => {
            let text = put_release(&mut publication, &manifest, &built, &attached, &keys.release)?;
            (text, *manifest, Outcome::Published)
        }
    };
    let target = Target { manifest: &manifest, bytes: &text, folder: &order.folder };
    let staging = vendor.staging();
    let deltas =
        deltas::make_all(&publication, &releases, &target, order.deltas, &staging, &mut |number, of| {
            progress(Progress::Comparing { number, of });
        })?;
    deltas::put_all(&mut publication, &releases, id, &deltas)?;
    for channel in &order.channels {
        channels.channels.insert(channel.clone(), id.version.clone());
        channels.emptied.remove(channel);
    }
    publication.put_channels(&channels, now)?;
    let set = order.channels.iter().map(|channel| (channel.clone(), id.version.clone())).collect();
    let written = publication.publish(&keys.metadata.iter().collect::<Vec<_>>(), now)?.files;
    drop((built, attached));
    Ok(Released {
        release: id.clone(),
        manifest_sha256: Sha256Digest::of(&text),
        counter,
        channels: set,
        outcome,
        deltas: deltas.told,
        written,
    })
}

/// The exact bytes of a manifest that is listed.
fn published_text(publication: &Publication, id: &ReleaseId) -> Result<Vec<u8>, ReleaseError> {
    let name = id.manifest_target()?;
    let text = publication.bytes(&RoleName::Package(id.package.clone()), &name)?;
    Ok(text.ok_or_else(|| PublicationError::not_listed(&name))?)
}

/// What an order comes to.
enum Step<'a> {
    /// A new release with this manifest.
    Publish(Box<ReleaseManifest>),
    /// The same was published before.
    Repeat(&'a Published),
}

fn next_step<'a>(
    order: &Order,
    releases: &'a [Published],
    reset: Option<&CounterReset>,
    built: &Built,
    attached: &[Attached],
    now: Timestamp,
) -> Result<Step<'a>, ReleaseError> {
    let id = &order.release;
    let attachments: Vec<Attachment> = attached.iter().map(|attached| attached.attachment.clone()).collect();
    if let Some(published) = releases.iter().find(|published| published.manifest.release == *id) {
        refuse(id, check_same(order, published, built, &attachments))?;
        return Ok(Step::Repeat(published));
    }
    let Some(counter) = next_counter(releases, reset) else {
        let problem = format!(
            "a release with the highest counter that there is was signed for the package, so none can follow; go back to \
             the highest counter that you gave yourself with `publisher trust reset-counter {} --to N`",
            id.package
        );
        return Err(ReleaseError::Refused { release: id.clone(), problems: vec![problem] });
    };
    let manifest = manifest(order, built, attachments, counter, now)?;
    refuse(id, manifest.check())?;
    Ok(Step::Publish(Box::new(manifest)))
}

fn refuse(release: &ReleaseId, problems: Vec<String>) -> Result<(), ReleaseError> {
    match problems.is_empty() {
        true => Ok(()),
        false => Err(ReleaseError::Refused { release: release.clone(), problems }),
    }
}

fn ask(release: &ReleaseId, questions: Vec<Question>) -> Result<(), ReleaseError> {
    match questions.is_empty() {
        true => Ok(()),
        false => Err(ReleaseError::Questions { release: release.clone(), questions }),
    }
}

/// The folder neither is a home, nor lies in one or holds one.
fn check_folder(folder: &Path) -> Result<(), ReleaseError> {
    let failed = |source| ReleaseError::Look { path: folder.to_owned(), source };
    match home_around(folder).map_err(failed)? {
        None => Ok(()),
        Some((home, what)) => Err(ReleaseError::InHome { folder: folder.to_owned(), home, what }),
    }
}

/// No file that is to be published is a secret key.
fn check_secrets(order: &Order, source: &PayloadSource) -> Result<(), ReleaseError> {
    let files = source.files().iter().filter(|entry| matches!(entry.kind, FileKind::File { .. }));
    let files = files.map(|entry| order.folder.join(entry.path.as_str()));
    let notes = secret_in(order.notes.as_bytes()).map(|secret| ("the notes".to_owned(), secret));
    let mut found: Vec<(String, Secret)> = notes.into_iter().collect();
    let mut note = |path: &Path, secret: Option<Secret>| {
        found.extend(secret.map(|secret| (path.display().to_string(), secret)));
    };
    for path in files {
        let secret = secret_in_file(&path);
        note(&path, secret.map_err(|source| ReleaseError::Look { path: path.clone(), source })?);
    }
    for path in order.attachments.iter().map(|attachment| &attachment.file) {
        let secret = secret_in_file(path);
        note(path, secret.map_err(|source| ReleaseError::Attachment { path: path.clone(), source })?);
    }
    let (mut problems, mut questions) = (Vec::new(), Vec::new());
    for (place, secret) in found {
        match secret {
            Secret::Ours(what) => problems.push(format!("{place} is {what}; take it out of there")),
            Secret::Perhaps(_) if order.permits.contains(&Permit::PrivateKeys) => {}
            Secret::Perhaps(what) => questions.push(Question {
                permit: Permit::PrivateKeys,
                what: format!("{place} {what}, which everybody could read"),
            }),
        }
    }
    refuse(&order.release, problems)?;
    ask(&order.release, questions)
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
    now: Timestamp,
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
        list_release_key(trust, package, &made.release);
        publication.put_trust(trust, now)?;
        (made.role, made.release)
    };
    check_active(trust, &release, KeyUse::Release, Some(package), "keys.release_dir")?;
    metadata.extend([role, keyring.snapshot()?, keyring.timestamp()?]);
    Ok(ReleaseKeys { release, metadata })
}

/// Lists the key of a new package. One that is listed already, in whatever status, stays as it is.
fn list_release_key(trust: &mut TrustDocument, package: &PackageName, key: &SigningKey) {
    let text = key.public().to_base64();
    let is_it = |listed: &TrustedKey| {
        listed.key_use == KeyUse::Release && listed.package.as_ref() == Some(package) && listed.key == text
    };
    if !trust.keys.iter().any(is_it) {
        trust.keys.push(TrustedKey {
            key_use: KeyUse::Release,
            package: Some(package.clone()),
            key: text,
            status: KeyStatus::Active,
            digests: BTreeSet::new(),
        });
    }
}

/// Signs a manifest, and lists all of its release. Its exact bytes.
fn put_release(
    publication: &mut Publication,
    manifest: &ReleaseManifest,
    built: &Built,
    attached: &[Attached],
    key: &SigningKey,
) -> Result<Vec<u8>, ReleaseError> {
    let id = &manifest.release;
    let role = RoleName::Package(id.package.clone());
    let text = document::write(manifest).map_err(ReleaseError::Manifest)?;
    let comment = TrustedComment::new(manifest.trusted_comment())?;
    let minisig = key.sign(text.as_bytes(), &comment);
    let bytes = text.into_bytes();
    let file = |file: &NamedTempFile| TargetSource::File(file.path().to_owned());
    let attachments = attached.iter().map(|one| (one.attachment.target.clone(), file(&one.file)));
    let targets = [
        (id.payload_target(Encoding::Gzip)?, file(&built.file)),
        (id.manifest_target()?, TargetSource::Bytes(bytes.clone())),
        (id.minisig_target()?, TargetSource::Bytes(minisig.as_str().as_bytes().to_vec())),
    ];
    for (name, source) in targets.into_iter().chain(attachments) {
        publication.editor_mut().put_target(&role, &name, source).map_err(PublicationError::from)?;
    }
    Ok(bytes)
}

fn manifest(
    order: &Order,
    built: &Built,
    attachments: Vec<Attachment>,
    counter: ReleaseCounter,
    now: Timestamp,
) -> Result<ReleaseManifest, ReleaseError> {
    let revision = match order.kind {
        PackageKind::Signatures => Some(Revision::from_version(&order.release.version)?),
        _ => None,
    };
    Ok(ReleaseManifest {
        release: order.release.clone(),
        kind: order.kind,
        revision,
        counter,
        payload: built.payload.clone(),
        files: built.files.clone(),
        requires: Vec::new(),
        severity: order.severity.unwrap_or(Severity::Normal),
        category: order.category,
        security: order.security(),
        supported_until: order.supported_until,
        notes: order.notes.clone(),
        attachments,
        built_at: whole_seconds(now),
    })
}
