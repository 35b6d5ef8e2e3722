//! The manifest itself: the types that are signed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::Document;
use crate::ids::{PackageName, RelativePath, TargetName};
use crate::release::id::ReleaseId;
use crate::release::payload::{Blob, Payload};
use crate::version::{ReleaseCounter, Revision};
use crate::word::{Word, open_codes};

open_codes! {
    /// What a package holds. A release of another kind is skipped with a sentence.
    PackageKind {
        /// Programs and whatever else is not a signature set.
        Program = "program",
        /// Signature files: data that a program reads; its version is a revision.
        Signatures = "signatures",
        /// The agent itself.
        Agent = "agent",
        /// The Primary Server itself.
        Server = "server",
    }
}

open_codes! {
    /// How urgent the vendor holds a release to be.
    Severity {
        /// It can wait for the next maintenance.
        Low = "low",
        /// As most releases.
        Normal = "normal",
        /// It should be installed soon.
        High = "high",
        /// It should be installed at once.
        Critical = "critical",
    }
}

open_codes! {
    /// What an attachment is.
    AttachmentKind {
        /// A bill of materials in CycloneDX.
        CycloneDx = "cyclonedx",
        /// A bill of materials in SPDX.
        Spdx = "spdx",
        /// A provenance statement in in-toto's or SLSA's form.
        Provenance = "provenance",
        /// A security advisory.
        Advisory = "advisory",
    }
}

/// A document beside a release, published as a signed target of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// What it is.
    pub kind: AttachmentKind,
    /// The name of its target.
    pub target: TargetName,
    /// SHA-256 and length of its bytes.
    pub blob: Blob,
}

/// What a release has to do with security.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Ids of the vulnerabilities that it fixes, for example CVE ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<String>,
    /// Where the vendor describes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisory_url: Option<String>,
}

/// What one path of a release is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FileKind {
    /// A regular file of mode 644 or 755.
    File {
        /// Whether it is executable: mode 755, else 644.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        executable: bool,
        /// Length of its content in bytes.
        length: u64,
        /// SHA-256 of its content.
        sha256: Sha256Digest,
    },
    /// A symbolic link that stays inside the release.
    Symlink {
        /// The link's text, relative to the folder of the link.
        target: String,
    },
}

/// One path of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Where it is in the release.
    pub path: RelativePath,
    /// Whether it is a file or a link, and its content.
    #[serde(flatten)]
    pub kind: FileKind,
}

/// Another package that must be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The package, by name.
    pub package: PackageName,
    /// Its lowest release counter.
    pub counter: ReleaseCounter,
}

/// The release manifest (DESIGN: formats).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseManifest {
    /// Which release this is.
    pub release: ReleaseId,
    /// Whether the package holds programs or signatures.
    pub kind: PackageKind,
    /// The revision, for signature packages only; equal to the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Rises with every release of the package.
    pub counter: ReleaseCounter,
    /// The tar with all files, and its compressed forms.
    pub payload: Payload,
    /// Every path, sorted by its bytes.
    pub files: Vec<FileEntry>,
    /// What must be there before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// How urgent the vendor considers it.
    pub severity: Severity,
    /// What it is about, for example `bugfix` or `feature`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Word>,
    /// What it has to do with security; absent when nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Security>,
    /// Until when the vendor supports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supported_until: Option<Timestamp>,
    /// For people: what is new.
    #[serde(default)]
    pub notes: String,
    /// Documents beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// When the vendor built it.
    pub built_at: Timestamp,
}

impl Document for ReleaseManifest {
    const TYPE: &'static str = "release";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        release_comment(&self.release)
    }
}

/// The trusted comment of a manifest's signature: names package, version and platform.
#[must_use]
pub fn release_comment(release: &ReleaseId) -> String {
    format!("release package={} version={} platform={}", release.package, release.version, release.platform)
}

impl ReleaseManifest {
    /// The bytes that the release takes on disk, without file-system overhead.
    #[must_use]
    pub fn installed_bytes(&self) -> u64 {
        self.files.iter().fold(0, |total, entry| match entry.kind {
            FileKind::File { length, .. } => total.saturating_add(length),
            FileKind::Symlink { .. } => total,
        })
    }
}
