//! The release manifest: what one release of a package is, file by file, and the names of its targets.
//!
//! A manifest says *what*; who may sign it stands in the trust document, where it may go in the channels document.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::Document;
use crate::ids::{NameError, PackageName, Platform, RelativePath, TargetName};
use crate::version::{ReleaseCounter, Revision, Version};

/// Most files in one release.
pub const MAX_FILES: usize = 100_000;
/// Longest notes, in bytes.
pub const MAX_NOTES_BYTES: usize = 64 * 1024;
/// Most packages that one release may require.
pub const MAX_REQUIREMENTS: usize = 64;
/// Most compressed forms of one payload; one is known today.
const MAX_ENCODINGS: usize = 16;
/// Most problems of single files that are listed: a person reads no more, and a hostile list has millions.
const MAX_FILE_PROBLEMS: usize = 200;

/// One release: package, version, platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReleaseId {
    /// The package.
    pub package: PackageName,
    /// Its version; for signature packages the revision as text.
    pub version: Version,
    /// The platform that it runs on.
    pub platform: Platform,
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.package, self.version, self.platform)
    }
}

impl ReleaseId {
    /// `<package>_<version>_<platform>.<suffix>`.
    fn target(&self, suffix: &str) -> Result<TargetName, NameError> {
        TargetName::new(format!("{}_{}_{}.{suffix}", self.package, self.version, self.platform))
    }

    /// The target that holds the manifest.
    ///
    /// # Errors
    /// When the parts are together longer than a target name may be.
    pub fn manifest_target(&self) -> Result<TargetName, NameError> {
        self.target("manifest")
    }

    /// The target that holds the manifest's minisign signature.
    ///
    /// # Errors
    /// When the parts are together longer than a target name may be.
    pub fn minisig_target(&self) -> Result<TargetName, NameError> {
        self.target("manifest.minisig")
    }

    /// The target that holds the payload in an encoding.
    ///
    /// # Errors
    /// When the parts are together longer than a target name may be.
    pub fn payload_target(&self, encoding: Encoding) -> Result<TargetName, NameError> {
        self.target(encoding.suffix())
    }

    /// The release that a manifest target names; `None` when the name is of another shape.
    #[must_use]
    pub fn from_manifest_target(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(".manifest")?.splitn(3, '_');
        Some(Self {
            package: PackageName::new(parts.next()?).ok()?,
            version: Version::new(parts.next()?).ok()?,
            platform: Platform::new(parts.next()?).ok()?,
        })
    }
}

/// What a package holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageKind {
    /// Programs.
    Program,
    /// Signature files: data that a program reads; its version is a revision.
    Signatures,
}

impl fmt::Display for PackageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Program => "program",
            Self::Signatures => "signatures",
        })
    }
}

/// How urgent the vendor holds a release to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing hurries.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Soon.
    High,
    /// At once.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// How a payload tar is compressed. `zstd` comes later; readers skip encodings that they do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// gzip (RFC 1952).
    Gzip,
}

impl Encoding {
    /// The suffix of the payload's target name.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Gzip => "tar.gz",
        }
    }
}

/// Digest and length of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blob {
    /// SHA-256.
    pub sha256: Sha256Digest,
    /// Length in bytes.
    pub length: u64,
}

/// The payload: one tar, in one or more encodings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The uncompressed tar.
    pub tar: Blob,
    /// The compressed forms, by encoding name.
    pub encodings: BTreeMap<String, Blob>,
}

impl Payload {
    /// The blob of an encoding, if the release has it.
    #[must_use]
    pub fn encoding(&self, encoding: Encoding) -> Option<&Blob> {
        let Encoding::Gzip = encoding;
        self.encodings.get("gzip")
    }
}

/// What one path of a release is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FileKind {
    /// A regular file.
    File {
        /// Whether it is executable: mode 755, else 644.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        executable: bool,
        /// Length in bytes.
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
    /// The path.
    pub path: RelativePath,
    /// What it is.
    #[serde(flatten)]
    pub kind: FileKind,
}

/// Another package that must be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The package.
    pub package: PackageName,
    /// Its lowest release counter.
    pub counter: ReleaseCounter,
}

/// The release manifest (DESIGN: formats).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseManifest {
    /// Which release this is.
    pub release: ReleaseId,
    /// Program or signatures.
    pub kind: PackageKind,
    /// The revision, for signature packages only; equal to the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Rises with every release of the package.
    pub counter: ReleaseCounter,
    /// The payload.
    pub payload: Payload,
    /// Every path, sorted by its bytes.
    pub files: Vec<FileEntry>,
    /// What must be there before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// How urgent.
    #[serde(default)]
    pub severity: Severity,
    /// For people: what is new.
    #[serde(default)]
    pub notes: String,
    /// When the vendor built it.
    pub built_at: Timestamp,
}

impl Document for ReleaseManifest {
    const TYPE: &'static str = "release";
    const VERSION: u32 = 1;

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
    /// Every defect at once; empty when the manifest is sound. To be called after every parse.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match (self.kind, self.revision) {
            (PackageKind::Signatures, revision) => match Revision::from_version(&self.release.version) {
                Ok(named) if revision == Some(named) => {}
                Ok(named) => problems.push(format!("revision is {revision:?}, but the version says {named}")),
                Err(error) => problems.push(error.to_string()),
            },
            (PackageKind::Program, Some(_)) => problems.push("a program has no revision".to_owned()),
            (PackageKind::Program, None) => {}
        }
        if self.files.is_empty() {
            problems.push("it has no files".to_owned());
        }
        problems.extend(notes_problem(&self.notes));
        if self.payload.encoding(Encoding::Gzip).is_none() {
            problems.push("the payload has no gzip encoding".to_owned());
        }
        if self.payload.encodings.len() > MAX_ENCODINGS {
            let count = self.payload.encodings.len();
            problems.push(format!("{count} encodings of the payload are more than {MAX_ENCODINGS}"));
        }
        self.check_requires(&mut problems);
        if self.files.len() > MAX_FILES {
            problems.push(format!("{} files are more than {MAX_FILES}", self.files.len()));
        } else {
            problems.extend(self.file_problems().take(MAX_FILE_PROBLEMS));
        }
        let total = self.installed_bytes();
        if total > self.payload.tar.length {
            problems.push(format!(
                "files of {total} bytes do not fit a tar of {} bytes",
                self.payload.tar.length
            ));
        }
        problems
    }

    fn check_requires(&self, problems: &mut Vec<String>) {
        if self.requires.len() > MAX_REQUIREMENTS {
            let count = self.requires.len();
            return problems.push(format!("{count} required packages are more than {MAX_REQUIREMENTS}"));
        }
        let mut seen = BTreeSet::from([&self.release.package]);
        for required in &self.requires {
            if !seen.insert(&required.package) {
                problems.push(format!("it requires {} twice, or itself", required.package));
            }
        }
    }

    /// What is wrong with single files; lazily, so that a hostile list costs no more than is looked at.
    fn file_problems(&self) -> impl Iterator<Item = String> {
        let unsorted = self.files.windows(2).filter_map(|pair| {
            let [first, second] = pair else { return None };
            let sorted = first.path.as_str().as_bytes() < second.path.as_str().as_bytes();
            (!sorted).then(|| format!("{} is not sorted before {}, or stands twice", first.path, second.path))
        });
        let leaves: BTreeSet<&str> = self.files.iter().map(|entry| entry.path.as_str()).collect();
        let misplaced = self.files.iter().filter_map(move |entry| {
            let path = entry.path.as_str();
            let mut folders = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
            if let Some(folder) = folders.find(|folder| leaves.contains(folder)) {
                return Some(format!("{path} lies beneath {folder}, which is not a folder"));
            }
            match &entry.kind {
                FileKind::Symlink { target } if !link_stays_inside(path, target) => {
                    Some(format!("the link {path} leads out of the release, to {target:?}"))
                }
                FileKind::Symlink { .. } | FileKind::File { .. } => None,
            }
        });
        unsorted.chain(misplaced)
    }

    /// The bytes that the release takes on disk, without file-system overhead.
    #[must_use]
    pub fn installed_bytes(&self) -> u64 {
        self.files.iter().fold(0, |total, entry| match entry.kind {
            FileKind::File { length, .. } => total.saturating_add(length),
            FileKind::Symlink { .. } => total,
        })
    }
}

/// Why notes cannot be published, if they cannot: too long, or with control characters, which could forge what the
/// terminal of a reviewer shows.
#[must_use]
pub fn notes_problem(notes: &str) -> Option<String> {
    if notes.len() > MAX_NOTES_BYTES {
        return Some(format!("the notes have {} bytes; shorten them to {MAX_NOTES_BYTES}", notes.len()));
    }
    let odd = notes.chars().find(|character| character.is_control() && !matches!(character, '\n' | '\t'))?;
    Some(format!("the notes have the control character {odd:?}; remove it"))
}

/// Whether a symbolic link at `path` with text `target` stays inside the tree, judged by its text alone.
///
/// A `..` may stand only before the first name, where it climbs real folders. After a name it would climb from
/// wherever another link has led: with `p/q/x` leading to the root, `p/q/x/..` is outside.
#[must_use]
pub fn link_stays_inside(path: &str, target: &str) -> bool {
    if target.is_empty() || target.len() > 1024 || target.starts_with('/') {
        return false;
    }
    if target.chars().any(|character| character.is_control() || character == '\\') {
        return false;
    }
    let mut depth = path.matches('/').count();
    let mut named = false;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if named || depth == 0 => return false,
            ".." => depth -= 1,
            _ => named = true,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_judged_from_where_it_stands() {
        assert!(link_stays_inside("lib/libx.so", "libx.so.1"));
        assert!(link_stays_inside("lib/a/x", "../../bin/x"));
        assert!(!link_stays_inside("lib/a/x", "../../../etc/passwd"));
        assert!(!link_stays_inside("x", "/etc/passwd"));
        assert!(!link_stays_inside("x", "a/../../b"));
        assert!(link_stays_inside("p/q/x", "../.."));
        assert!(!link_stays_inside("y", "p/q/x/.."));
    }

    #[test]
    fn target_names_and_releases_are_each_others_inverse() {
        let release = ReleaseId {
            package: PackageName::new("acme-av").unwrap(),
            version: Version::new("1.2.0+b3").unwrap(),
            platform: Platform::new("linux-x86_64").unwrap(),
        };
        let name = release.manifest_target().unwrap();
        assert_eq!(name.as_str(), "acme-av_1.2.0+b3_linux-x86_64.manifest");
        assert_eq!(ReleaseId::from_manifest_target(name.as_str()), Some(release));
        assert_eq!(ReleaseId::from_manifest_target("acme-av.channels"), None);
    }
}
