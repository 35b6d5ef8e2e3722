//! The published repository: read as it is, or changed once, from the lock to the timestamp.
//!
//! Invariants of a change: the home is locked from before the repository is read until after it is written; what is read was
//! verified from the pinned root; files are written first, the timestamp last (the repository's writer sees to it),
//! so that a crash leaves the old repository and a rerun completes the change.
//!
//! Left out on purpose: what a change means (releases and renewals do that), and which keys may sign.

use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use sealpost_files::{FileLock, read_bounded};
use sealpost_keys::SigningKey;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, Document, MAX_DOCUMENT_BYTES};
use sealpost_manifests::ids::{PackageName, TargetName};
use sealpost_manifests::trust::{TRUST_TARGET, TrustDocument};
use sealpost_repository::{
    Lifetimes, MAX_ROOT_BYTES, RepositoryEditor, RepositoryView, RoleName, Signers, TargetPath, TargetSource,
    Written,
};

use super::error::{PublicationError, RESTORE};
use crate::home::{LifetimeDays, Vendor};

/// The published repository, read. [`Publication`] alone is one that is being changed, under the home's lock.
#[derive(Debug)]
pub struct Publication<R = Changing> {
    repository: R,
    targets: PathBuf,
}

/// A publication that is only looked at: it takes no lock, so it waits for nobody and holds nobody up.
pub type PublicationView = Publication<RepositoryView>;

/// A repository that is being changed, with the home's lock.
#[derive(Debug)]
pub struct Changing {
    editor: RepositoryEditor,
    lock: FileLock,
}

impl AsRef<RepositoryEditor> for Changing {
    fn as_ref(&self) -> &RepositoryEditor {
        &self.editor
    }
}

impl PublicationView {
    /// Reads the repository as it is published now.
    pub fn read(vendor: &Vendor) -> Result<Self, PublicationError> {
        let (folder, lifetimes) = (vendor.repository(), lifetimes(&vendor.settings().lifetime_days));
        let repository = RepositoryView::load(&folder, &read_root(vendor)?, lifetimes)?;
        Ok(Self { repository, targets: folder.join("targets") })
    }
}

impl Publication {
    /// Locks the home and loads the repository; calls `waiting` once if another publisher has the lock.
    pub fn open(vendor: &Vendor, waiting: impl FnOnce()) -> Result<Self, PublicationError> {
        Self::open_from(vendor, &read_root(vendor)?, waiting)
    }

    /// The same from these bytes of the pinned root.
    pub(crate) fn open_from(
        vendor: &Vendor,
        pinned_root: &[u8],
        waiting: impl FnOnce(),
    ) -> Result<Self, PublicationError> {
        let lock = vendor.lock(waiting)?;
        let (folder, lifetimes) = (vendor.repository(), lifetimes(&vendor.settings().lifetime_days));
        let editor = RepositoryEditor::load(&folder, pinned_root, lifetimes)?;
        Ok(Self { repository: Changing { editor, lock }, targets: folder.join("targets") })
    }

    pub const fn editor_mut(&mut self) -> &mut RepositoryEditor {
        &mut self.repository.editor
    }

    /// Lists a trust document, signed now; one that says nothing new keeps the time at which it was signed. Once for each
    /// publication. The document as it is listed then.
    pub fn put_trust(
        &mut self,
        trust: &TrustDocument,
        now: Timestamp,
    ) -> Result<TrustDocument, PublicationError> {
        let before = self.trust()?;
        if (TrustDocument { signed_at: before.signed_at, ..trust.clone() }) == before {
            return Ok(before);
        }
        let signed = TrustDocument { signed_at: whole_seconds(now), ..trust.clone() };
        self.put_document(&RoleName::Targets, &TargetName::new(TRUST_TARGET)?, &signed)?;
        Ok(signed)
    }

    /// Lists the channels of a package, signed now; a document that says nothing new keeps its time. Once for each
    /// publication and package.
    pub fn put_channels(
        &mut self,
        channels: &ChannelsDocument,
        now: Timestamp,
    ) -> Result<(), PublicationError> {
        let before = self.channels(&channels.package)?;
        if (ChannelsDocument { signed_at: before.signed_at, ..channels.clone() }) == before {
            return Ok(());
        }
        let signed = ChannelsDocument { signed_at: whole_seconds(now), ..channels.clone() };
        let role = RoleName::Package(channels.package.clone());
        self.put_document(&role, &ChannelsDocument::target(&channels.package)?, &signed)
    }

    /// Signs with these keys what changed, and writes it: files first, timestamp last.
    ///
    /// # Errors
    /// [`PublicationError`]; readers see the repository as it was then.
    pub fn publish(self, keys: &[&SigningKey], now: Timestamp) -> Result<Written, PublicationError> {
        let Changing { editor, lock } = self.repository;
        let written = editor.sign(&Signers::new(keys), now)?.publish()?;
        drop(lock);
        Ok(written)
    }

    fn put_document<T: Document>(
        &mut self,
        role: &RoleName,
        name: &TargetName,
        document: &T,
    ) -> Result<(), PublicationError> {
        let text = document::write(document)
            .map_err(|source| PublicationError::Write { name: name.to_string(), source })?;
        Ok(self.editor_mut().put_target(role, name, TargetSource::Bytes(text.into_bytes()))?)
    }
}

impl<R: AsRef<RepositoryEditor>> Publication<R> {
    #[must_use]
    pub fn editor(&self) -> &RepositoryEditor {
        self.repository.as_ref()
    }

    /// Whether a package has a role of its own already.
    #[must_use]
    pub fn knows(&self, package: &PackageName) -> bool {
        self.editor().packages().any(|known| known == package)
    }

    /// The trust document. There always is one; that it is absent is an error.
    pub fn trust(&self) -> Result<TrustDocument, PublicationError> {
        let name = TargetName::new(TRUST_TARGET)?;
        self.document(&RoleName::Targets, &name)?.ok_or_else(|| PublicationError::not_listed(&name))
    }

    /// The channels of a package; an empty document, signed at the beginning of time, if it has none yet.
    pub fn channels(&self, package: &PackageName) -> Result<ChannelsDocument, PublicationError> {
        let name = ChannelsDocument::target(package)?;
        let found: Option<ChannelsDocument> = self.document(&RoleName::Package(package.clone()), &name)?;
        match found {
            None => Ok(ChannelsDocument::empty(package.clone(), Timestamp::UNIX_EPOCH)),
            Some(channels) if channels.package == *package => Ok(channels),
            Some(other) => Err(PublicationError::Target {
                name: name.to_string(),
                problem: format!("it is about the package {}{RESTORE}", other.package),
            }),
        }
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

    /// Where the file of a target lies.
    pub(crate) fn target_file(&self, name: &TargetName, sha256: &Sha256Digest) -> Option<PathBuf> {
        target_file(&self.targets, name, sha256)
    }

    /// The bytes of a listed target, compared with what is listed; `None` if it is not listed.
    pub(crate) fn bytes(
        &self,
        role: &RoleName,
        name: &TargetName,
    ) -> Result<Option<Vec<u8>>, PublicationError> {
        let Some((_, length, sha256)) =
            self.editor().targets(role).find(|(listed, _, _)| *listed == name.as_str())
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
        let absent = || io::Error::from(io::ErrorKind::NotFound);
        let bytes = read_bounded(&path, length)
            .and_then(|bytes| bytes.ok_or_else(absent))
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
    match read_bounded(&path, MAX_ROOT_BYTES) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(PublicationError::Root { path, source: io::Error::from(io::ErrorKind::NotFound) }),
        Err(source) => Err(PublicationError::Root { path, source }),
    }
}

/// Where a target's file lies in the folder of targets.
pub(crate) fn target_file(targets: &Path, name: &TargetName, sha256: &Sha256Digest) -> Option<PathBuf> {
    let path = TargetPath::new(name.as_str(), Some(&sha256.to_string()))?;
    let mut file = targets.to_owned();
    file.extend(path.parts());
    Some(file)
}

/// Documents carry whole seconds.
pub(crate) fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
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
