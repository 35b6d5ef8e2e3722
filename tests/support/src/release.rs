//! Releases as a vendor builds them, which a test can spoil before it signs or publishes them.

use std::path::Path;

use jiff::Timestamp;
use sealpost_keys::SigningKey;
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::TargetName;
use sealpost_manifests::payload::PayloadSource;
use sealpost_manifests::release::{
    Attachment, AttachmentKind, Blob, FileEntry, PackageKind, Payload, ReleaseId, ReleaseManifest, Severity,
};
use sealpost_manifests::version::ReleaseCounter;

use crate::folders::write_folder;

/// A release that is not published yet.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The manifest that will be signed.
    pub manifest: ReleaseManifest,
    /// The payload, compressed with gzip.
    pub payload: Vec<u8>,
    /// Documents beside the release, by the names of their targets.
    pub attachments: Vec<(TargetName, Vec<u8>)>,
    /// The release whose target names are used; the one that the manifest names, unless a test says otherwise.
    pub named: ReleaseId,
}

impl Draft {
    /// A release of what is in a folder.
    #[must_use]
    pub fn of_folder(folder: &Path, release: ReleaseId, counter: u64) -> Self {
        let source = PayloadSource::scan(folder).unwrap();
        let mut payload = Vec::new();
        let written = source.write_gzip(&mut payload).unwrap();
        let manifest = manifest(release, counter, written, source.files().to_vec());
        Self { named: manifest.release.clone(), manifest, payload, attachments: Vec::new() }
    }

    /// A release of these files, given as path and content. A path below `bin/` is executable.
    #[must_use]
    pub fn of_files(files: &[(&str, &[u8])], release: ReleaseId, counter: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_folder(folder.path(), files).unwrap();
        Self::of_folder(folder.path(), release, counter)
    }

    /// Puts a document beside the release.
    #[must_use]
    pub fn with_attachment(mut self, kind: AttachmentKind, name: &str, bytes: &[u8]) -> Self {
        let target = self.named.attachment_target(name).unwrap();
        let blob = Blob { sha256: Sha256Digest::of(bytes), length: bytes.len() as u64 };
        self.manifest.attachments.push(Attachment { kind, target: target.clone(), blob });
        self.attachments.push((target, bytes.to_vec()));
        self
    }

    /// The manifest as a vendor signs it.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> SignedDocument {
        SignedDocument::sign(&self.manifest, key).unwrap()
    }
}

/// A manifest of a program that asks for nothing else: normal severity, no notes, built at the epoch.
#[must_use]
pub fn manifest(
    release: ReleaseId,
    counter: u64,
    payload: Payload,
    files: Vec<FileEntry>,
) -> ReleaseManifest {
    ReleaseManifest {
        release,
        kind: PackageKind::Program,
        revision: None,
        counter: ReleaseCounter(counter),
        payload,
        files,
        requires: Vec::new(),
        severity: Severity::Normal,
        category: None,
        security: None,
        supported_until: None,
        notes: String::new(),
        attachments: Vec::new(),
        built_at: Timestamp::UNIX_EPOCH,
    }
}

/// An assignment of a release whose manifest has this digest: at once, first attempt.
#[must_use]
pub fn assignment(release: &ReleaseId, manifest: Sha256Digest) -> PackageAssignment {
    PackageAssignment::install(release.clone(), manifest, 3, 0)
}

/// Bytes that do not compress, always the same.
#[must_use]
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    (0..bytes).map(|_| next()).collect()
}
