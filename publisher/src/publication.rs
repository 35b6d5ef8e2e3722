//! One change of the published repository, from the lock to the timestamp.
//!
//! Invariants: the home is locked from before the repository is read until after it is written; what is read was
//! verified from the pinned root; files are written first, the timestamp last (the repository's writer sees to it),
//! so that a crash leaves the old repository and a rerun completes the change.
//!
//! Left out on purpose: what a change means (releases and renewals do that), and which keys may sign.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use sealpost_files::{FileLock, open_regular};
use sealpost_keys::{Minisig, PublicKey, SigningKey, Verified};
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, Document, DocumentError, MAX_DOCUMENT_BYTES};
use sealpost_manifests::ids::{NameError, PackageName, TargetName};
use sealpost_manifests::release::{ReleaseId, ReleaseManifest};
use sealpost_manifests::trust::{TRUST_TARGET, TrustDocument};
use sealpost_repository::{
    EditError, Lifetimes, LoadError, PublishError, RepositoryEditor, RoleName, SignError, Signers,
    TargetPath, TargetSource, Written,
};

use crate::home::{HomeError, LifetimeDays, Vendor};

/// What to do about a target that is not what it should be.
const RESTORE: &str = "; restore it from the published copy, and see `publisher lint`";

/// Why the repository could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublicationError {
    #[error("cannot begin a publication")]
    Home(#[from] HomeError),
    /// The pinned root could not be read.
    #[error("cannot read {}; restore it: it is metadata/1.root.json of the published repository", path.display())]
    Root {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot load the published repository")]
    Load(#[from] LoadError),
    /// A listed target is absent, or not what is listed; `problem` says what to do.
    #[error("cannot go on with the published target {name}: {problem}")]
    Target { name: String, problem: String },
    /// A published document was refused.
    #[error("cannot accept the published document {name}; see `publisher lint`")]
    Document {
        name: String,
        #[source]
        source: DocumentError,
    },
    /// A new document could not be written.
    #[error("cannot write the document {name}")]
    Write {
        name: String,
        #[source]
        source: DocumentError,
    },
    /// A target name that is too long, once put together.
    #[error("cannot name a target")]
    Name(#[from] NameError),
    #[error("cannot change the repository")]
    Edit(#[from] EditError),
    /// Signing failed. Nothing was written.
    #[error("cannot sign the repository")]
    Sign(#[from] SignError),
    /// Writing failed. Readers see the repository as it was.
    #[error("cannot write the repository")]
    Publish(#[from] PublishError),
}

/// A release that is published, verified.
#[derive(Debug)]
pub struct Published {
    pub manifest: Verified<ReleaseManifest>,
    /// The digest of the manifest's exact bytes.
    pub digest: Sha256Digest,
}

/// A repository that is being changed.
#[derive(Debug)]
pub struct Publication {
    editor: RepositoryEditor,
    targets: PathBuf,
    lock: FileLock,
}

impl Publication {
    /// Locks the home and loads the repository; calls `waiting` once if another publisher has the lock.
    pub fn open(vendor: &Vendor, waiting: impl FnOnce()) -> Result<Self, PublicationError> {
        let lock = vendor.lock(waiting)?;
        let root = read_root(vendor)?;
        let repository = vendor.repository();
        let editor = RepositoryEditor::load(&repository, &root, lifetimes(&vendor.settings().lifetime_days))?;
        Ok(Self { editor, targets: repository.join("targets"), lock })
    }

    #[must_use]
    pub const fn editor(&self) -> &RepositoryEditor {
        &self.editor
    }

    pub const fn editor_mut(&mut self) -> &mut RepositoryEditor {
        &mut self.editor
    }

    /// Whether a package has a role of its own already.
    #[must_use]
    pub fn knows(&self, package: &PackageName) -> bool {
        self.editor.packages().any(|known| known == package)
    }

    /// The trust document. There always is one; that it is absent is an error.
    pub fn trust(&self) -> Result<TrustDocument, PublicationError> {
        let name = TargetName::new(TRUST_TARGET)?;
        self.document(&RoleName::Targets, &name)?.ok_or_else(|| PublicationError::Target {
            name: name.to_string(),
            problem: format!("it is not listed{RESTORE}"),
        })
    }

    /// The channels of a package; an empty document if it has none yet.
    pub fn channels(&self, package: &PackageName) -> Result<ChannelsDocument, PublicationError> {
        let name = ChannelsDocument::target(package)?;
        let found: Option<ChannelsDocument> = self.document(&RoleName::Package(package.clone()), &name)?;
        match found {
            None => Ok(ChannelsDocument::empty(package.clone())),
            Some(channels) if channels.package == *package => Ok(channels),
            Some(other) => Err(PublicationError::Target {
                name: name.to_string(),
                problem: format!("it is about the package {}{RESTORE}", other.package),
            }),
        }
    }

    /// Every release of a package, each verified with the keys of the trust document, lowest counter first.
    ///
    /// # Errors
    /// For the first that does not verify: counters would be wrong without it.
    pub fn releases(
        &self,
        package: &PackageName,
        trust: &TrustDocument,
    ) -> Result<Vec<Published>, PublicationError> {
        let role = RoleName::Package(package.clone());
        let keys = trust.release_keys(package);
        let ids: Vec<ReleaseId> = self
            .editor
            .targets(&role)
            .filter_map(|(name, _, _)| ReleaseId::from_manifest_target(name))
            .collect();
        let mut releases = ids
            .into_iter()
            .map(|release| self.published(&role, &release, &keys))
            .collect::<Result<Vec<_>, _>>()?;
        releases.sort_by_key(|published| published.manifest.counter);
        Ok(releases)
    }

    /// Lists a document as a target.
    pub fn put_document<T: Document>(
        &mut self,
        role: &RoleName,
        name: &TargetName,
        document: &T,
    ) -> Result<(), PublicationError> {
        let text = document::write(document)
            .map_err(|source| PublicationError::Write { name: name.to_string(), source })?;
        Ok(self.editor.put_target(role, name, TargetSource::Bytes(text.into_bytes()))?)
    }

    /// Signs with these keys what changed, and writes it: files first, timestamp last.
    ///
    /// # Errors
    /// [`PublicationError`]; readers see the repository as it was then.
    pub fn publish(self, keys: &[&SigningKey], now: Timestamp) -> Result<Written, PublicationError> {
        let Self { editor, lock, .. } = self;
        let written = editor.sign(&Signers::new(keys), now)?.publish()?;
        drop(lock);
        Ok(written)
    }

    fn published(
        &self,
        role: &RoleName,
        release: &ReleaseId,
        keys: &[PublicKey],
    ) -> Result<Published, PublicationError> {
        let (name, signature_name) = (release.manifest_target()?, release.minisig_target()?);
        let missing = |name: &TargetName| PublicationError::Target {
            name: name.to_string(),
            problem: format!("it is not listed{RESTORE}"),
        };
        let bytes = self.bytes(role, &name)?.ok_or_else(|| missing(&name))?;
        let signature = self.bytes(role, &signature_name)?.ok_or_else(|| missing(&signature_name))?;
        let malformed = || PublicationError::Target {
            name: signature_name.to_string(),
            problem: format!("it is not a minisign signature{RESTORE}"),
        };
        let minisig = std::str::from_utf8(&signature)
            .ok()
            .and_then(|text| Minisig::parse(text).ok())
            .ok_or_else(malformed)?;
        let digest = Sha256Digest::of(&bytes);
        let manifest = document::verify_detached::<ReleaseManifest>(bytes, &minisig, keys)
            .map_err(|source| PublicationError::Document { name: name.to_string(), source })?;
        if manifest.release != *release {
            return Err(PublicationError::Target {
                name: name.to_string(),
                problem: format!("its manifest is of {}{RESTORE}", manifest.release),
            });
        }
        Ok(Published { manifest, digest })
    }

    fn document<T: Document>(
        &self,
        role: &RoleName,
        name: &TargetName,
    ) -> Result<Option<T>, PublicationError> {
        let Some(bytes) = self.bytes(role, name)? else { return Ok(None) };
        document::read(&bytes)
            .map(Some)
            .map_err(|source| PublicationError::Document { name: name.to_string(), source })
    }

    /// The bytes of a listed target, compared with what is listed; `None` if it is not listed.
    fn bytes(&self, role: &RoleName, name: &TargetName) -> Result<Option<Vec<u8>>, PublicationError> {
        let Some((_, length, sha256)) =
            self.editor.targets(role).find(|(listed, _, _)| *listed == name.as_str())
        else {
            return Ok(None);
        };
        let wrong = |problem: String| PublicationError::Target {
            name: name.to_string(),
            problem: format!("{problem}{RESTORE}"),
        };
        if length > MAX_DOCUMENT_BYTES {
            return Err(wrong(format!("{length} bytes are too many for a document")));
        }
        let path = target_file(&self.targets, name, &sha256)
            .ok_or_else(|| wrong("it has no safe path".to_owned()))?;
        let mut bytes = Vec::new();
        open_regular(&path)
            .and_then(|file| file.take(length.saturating_add(1)).read_to_end(&mut bytes))
            .map_err(|error| wrong(format!("{}: {error}", path.display())))?;
        if bytes.len() as u64 != length || Sha256Digest::of(&bytes) != sha256 {
            return Err(wrong(format!("{} is not what is listed", path.display())));
        }
        Ok(Some(bytes))
    }
}

/// The root that sites pin, and from which the publisher itself verifies its repository.
pub fn read_root(vendor: &Vendor) -> Result<Vec<u8>, PublicationError> {
    let path = vendor.root_file();
    std::fs::read(&path).map_err(|source| PublicationError::Root { path, source })
}

/// Where a target's file lies in the folder of targets.
pub(crate) fn target_file(targets: &Path, name: &TargetName, sha256: &Sha256Digest) -> Option<PathBuf> {
    let path = TargetPath::new(name.as_str(), Some(&sha256.to_string()))?;
    let mut file = targets.to_owned();
    file.extend(path.parts());
    Some(file)
}

#[must_use]
pub fn lifetimes(days: &LifetimeDays) -> Lifetimes {
    let span = |days: u32| SignedDuration::from_hours(24 * i64::from(days));
    Lifetimes {
        root: span(days.root),
        targets: span(days.targets),
        package: span(days.packages),
        snapshot: span(days.snapshot),
        timestamp: span(days.timestamp),
    }
}
