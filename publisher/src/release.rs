//! A release: folder → payload → manifest → signed → repository.
//!
//! Invariants: a published version never changes (the same content again is no error and changes nothing, other
//! content is refused); the release counter is one above the highest that the vendor ever signed for the package, read
//! from the verified manifests themselves, so no second record of it can be wrong; a revision only rises; a manifest
//! is signed only with a key that the trust document lists as active.
//!
//! Left out on purpose: withdrawing a release, mandatory releases, several release keys (later versions).

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use sealpost_keys::{SigningKey, TrustedComment, TrustedCommentError};
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, Document, DocumentError};
use sealpost_manifests::ids::{ChannelName, NameError, PackageName};
use sealpost_manifests::release::{
    Encoding, PackageKind, ReleaseId, ReleaseManifest, Severity, notes_problem,
};
use sealpost_manifests::trust::{KeyStatus, TRUST_TARGET, TrustDocument, TrustedKey};
use sealpost_manifests::version::{ReleaseCounter, Revision, Version};
use sealpost_repository::{KeyThreshold, RoleName, TargetSource, ThresholdError};
use serde::Serialize;

use crate::payload::{self, BuildError, Built};
use crate::publication::{Publication, PublicationError, Published, check_active};
use crate::vendor::{HomeError, Keyring, KeyringError, Vendor};

/// Longest target name, in bytes: with digest and dot before it, file systems take 255.
const MAX_TARGET_BYTES: usize = 255 - 65;

/// What is to be released.
#[derive(Debug, Clone)]
pub struct Order {
    /// The folder whose content is released.
    pub folder: PathBuf,
    /// Which release this is to be.
    pub release: ReleaseId,
    /// Program or signatures.
    pub kind: PackageKind,
    /// Channels that are to point at it.
    pub channels: Vec<ChannelName>,
    /// How urgent it is.
    pub severity: Severity,
    /// What is new, for people.
    pub notes: String,
}

/// What a release came to.
#[derive(Debug, Clone, Serialize)]
pub struct Released {
    /// Which release.
    #[serde(flatten)]
    pub release: ReleaseId,
    /// The digest of its manifest: what an admin approves.
    pub manifest_sha256: Sha256Digest,
    /// Its counter.
    pub counter: ReleaseCounter,
    /// The channels that were asked for, and the version that each points at now.
    pub channels: BTreeMap<ChannelName, Version>,
    /// Whether it was new.
    pub outcome: Outcome,
    /// The files that were written, in this order, relative to the repository.
    #[serde(skip)]
    pub written: Vec<PathBuf>,
}

/// Whether a release was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was published now.
    Published,
    /// The same content had been published before.
    PublishedBefore,
}

/// A channel that was set.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelSet {
    /// The package.
    pub package: PackageName,
    /// The channel.
    pub channel: ChannelName,
    /// The version that it points at now.
    pub version: Version,
    /// The version that it pointed at before, if that was released later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower_than: Option<Version>,
}

/// Why nothing was released. The repository is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The request makes no sense, or the repository forbids it; everything at once.
    #[error("cannot release {release}:{}", listed(problems))]
    Refused {
        /// Which release.
        release: ReleaseId,
        /// Each reason, with what to do.
        problems: Vec<String>,
    },
    /// The channel cannot point there.
    #[error("cannot set channel {channel} of {package}: {problem}")]
    Channel {
        /// The package.
        package: PackageName,
        /// The channel.
        channel: ChannelName,
        /// Why not, and what to do.
        problem: String,
    },
    /// The payload could not be built.
    #[error("cannot build the payload of {release}")]
    Payload {
        /// Which release.
        release: ReleaseId,
        /// Why.
        #[source]
        source: Box<BuildError>,
    },
    /// A key could not be opened or made.
    #[error("cannot sign the release")]
    Keys(#[from] KeyringError),
    /// The keys of a new package do not fit.
    #[error("cannot delegate to the package")]
    Threshold(#[from] ThresholdError),
    /// A file or folder of the home failed.
    #[error("cannot release")]
    Home(#[from] HomeError),
    /// A name that is too long, once put together.
    #[error("cannot name the release's files; use a shorter version or platform")]
    Name(#[from] NameError),
    /// The manifest could not be written.
    #[error("cannot write the manifest")]
    Manifest(#[source] DocumentError),
    /// The trusted comment cannot be signed.
    #[error("cannot sign the manifest")]
    Comment(#[from] TrustedCommentError),
    /// The repository could not be read or changed.
    #[error("cannot publish")]
    Publication(#[from] PublicationError),
}

/// Builds, signs and publishes a release, and points channels at it. `progress` gets the bytes that were read so far;
/// `waiting` is called if another publisher is at work.
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
    let written = publication.publish(&keys.all(), now)?.files;
    drop(built);
    Ok(Released { release: id.clone(), manifest_sha256, counter, channels: set, outcome, written })
}

/// Points a channel at a version that was released for at least one platform and is not withdrawn.
///
/// # Errors
/// [`ReleaseError`]; the repository is as it was.
pub fn set_channel(
    vendor: &Vendor,
    keyring: &Keyring,
    package: &PackageName,
    channel: &ChannelName,
    version: &Version,
    now: Timestamp,
    waiting: impl FnOnce(),
) -> Result<ChannelSet, ReleaseError> {
    let refused = |problem: String| ReleaseError::Channel {
        package: package.clone(),
        channel: channel.clone(),
        problem,
    };
    let mut publication = Publication::open(vendor, waiting)?;
    if !publication.knows(package) {
        return Err(refused("there is no such package; release it first".to_owned()));
    }
    let releases = publication.releases(package, &publication.trust()?)?;
    let highest = |version: &Version| {
        let of_version = releases.iter().filter(|published| published.manifest.release.version == *version);
        of_version.map(|published| published.manifest.counter).max()
    };
    let Some(counter) = highest(version) else {
        return Err(refused(format!(
            "version {version} was not released for any platform; release it first"
        )));
    };
    let mut channels = publication.channels(package)?;
    if let Some(reason) = channels.withdrawn_reason(version) {
        return Err(refused(format!("version {version} is withdrawn ({reason}); choose another")));
    }
    let before = channels.channels.insert(channel.clone(), version.clone());
    let role = RoleName::Package(package.clone());
    publication.put_document(&role, &ChannelsDocument::target(package)?, &channels)?;
    let keys = [keyring.role(package)?, keyring.snapshot()?, keyring.timestamp()?];
    publication.publish(&keys.iter().collect::<Vec<_>>(), now)?;
    Ok(ChannelSet {
        package: package.clone(),
        channel: channel.clone(),
        version: version.clone(),
        lower_than: before.filter(|before| highest(before) > Some(counter)),
    })
}

/// The keys that a release needs.
struct ReleaseKeys {
    release: SigningKey,
    /// Role, snapshot, timestamp, and for a new package the top-level targets.
    metadata: Vec<SigningKey>,
}

impl ReleaseKeys {
    fn all(&self) -> Vec<&SigningKey> {
        self.metadata.iter().collect()
    }
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
        let speaker = KeyThreshold::new(&[made.role.public()], 1)?;
        publication.editor_mut().delegate(package, &speaker).map_err(PublicationError::from)?;
        let listed = TrustedKey { key: made.release.public(), status: KeyStatus::Active };
        trust.release_keys.insert(package.clone(), vec![listed]);
        let name = sealpost_manifests::ids::TargetName::new(TRUST_TARGET)?;
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

/// `None` if no counter is left: a repeated one would let an older release pass for a newer.
fn next_counter(releases: &[Published]) -> Option<ReleaseCounter> {
    let highest = releases.iter().map(|published| published.manifest.counter.0).max().unwrap_or(0);
    highest.checked_add(1).map(ReleaseCounter)
}

fn check_order(order: &Order) -> Vec<String> {
    let mut problems = Vec::new();
    if order.kind == PackageKind::Signatures
        && let Err(error) = Revision::from_version(&order.release.version)
    {
        problems.push(error.to_string());
    }
    problems.extend(notes_problem(&order.notes));
    match order.release.minisig_target() {
        Ok(name) if name.as_str().len() > MAX_TARGET_BYTES => problems.push(format!(
            "package, version and platform are too long together: {name} has more than {MAX_TARGET_BYTES} bytes; use \
             a shorter version or platform"
        )),
        Ok(_) => {}
        Err(error) => problems.push(format!("{error}; use a shorter version or platform")),
    }
    if order.channels.is_empty() {
        problems.push("give at least one --channel, or nobody is offered it".to_owned());
    }
    problems
}

fn check_history(order: &Order, releases: &[Published], channels: &ChannelsDocument) -> Vec<String> {
    let mut problems = Vec::new();
    let id = &order.release;
    if let Some(other) = releases.iter().find(|published| published.manifest.kind != order.kind) {
        let kind = other.manifest.kind;
        problems.push(format!("the package holds {kind}, not {}; use another package name", order.kind));
    }
    if let Some(reason) = channels.withdrawn_reason(&id.version) {
        problems.push(format!("version {} is withdrawn ({reason}); release a new version", id.version));
    }
    if releases.iter().any(|published| published.manifest.release == *id) {
        return problems;
    }
    if let (PackageKind::Signatures, Ok(revision)) = (order.kind, Revision::from_version(&id.version)) {
        let highest = |same_platform: bool| {
            releases
                .iter()
                .filter(|published| !same_platform || published.manifest.release.platform == id.platform)
                .filter_map(|published| published.manifest.revision)
                .max()
        };
        // Several platforms may have the same revision.
        if highest(true).is_some_and(|highest| revision <= highest) || highest(false) > Some(revision) {
            let highest = highest(false).map_or(0, |highest| highest.0);
            problems.push(format!(
                "revision {revision} does not rise: {highest} was released; use {}",
                highest + 1
            ));
        }
    }
    problems
}

/// The same version again must be the same files; notes and severity are what was signed the first time.
fn check_same(order: &Order, published: &Published, built: &Built) -> Vec<String> {
    if published.manifest.files == built.files && published.manifest.payload.tar == built.payload.tar {
        return Vec::new();
    }
    vec![format!(
        "version {} was published with other content, and a published version never changes; release a new version",
        order.release.version
    )]
}

fn listed(problems: &[String]) -> String {
    match problems {
        [problem] => format!(" {problem}"),
        problems => problems.iter().map(|problem| format!("\n  - {problem}")).collect(),
    }
}
