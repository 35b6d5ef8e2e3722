//! What verified metadata says about a target, and where the target's bytes lie in a repository.
//!
//! Invariant: [`ListedTarget`] and [`TargetInfo`] have private constructors; they come out of a
//! [`Reader`](crate::Reader) only, after the whole chain was checked. A [`TargetPath`] has no empty, `.` or `..`
//! part, so that it stays below the base it is joined to, as a URL and as a file.

use aws_lc_rs::digest;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::TargetName;
use sealpost_manifests::release::DeltaTarget;

/// A target of any name and supported digest that a verified chain lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTarget {
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) length: u64,
    pub(crate) digests: ExpectedDigests,
    pub(crate) path: TargetPath,
    pub(crate) delta: Option<DeltaTarget>,
}

impl ListedTarget {
    /// The name under which metadata lists it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The role that lists it: `targets`, or a delegated role.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Its SHA-256, if that is among the listed digests.
    #[must_use]
    pub const fn sha256(&self) -> Option<Sha256Digest> {
        self.digests.sha256
    }
}

/// A target of ours: a flat, safe name, and a SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetInfo {
    name: TargetName,
    sha256: Sha256Digest,
    listed: ListedTarget,
}

impl TargetInfo {
    /// `None` if the name is not one of ours or no SHA-256 is listed.
    pub(crate) fn of(listed: ListedTarget) -> Option<Self> {
        let name = TargetName::new(&listed.name).ok()?;
        Some(Self { name, sha256: listed.sha256()?, listed })
    }

    /// The name under which metadata lists it.
    #[must_use]
    pub const fn name(&self) -> &TargetName {
        &self.name
    }

    /// The SHA-256 that metadata lists for it.
    #[must_use]
    pub const fn sha256(&self) -> Sha256Digest {
        self.sha256
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.listed.length
    }

    /// The role that lists it: `targets`, or the package's.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.listed.role
    }

    /// The same as a target of any kind, for [`Reader::download`](crate::Reader::download).
    #[must_use]
    pub const fn listed(&self) -> &ListedTarget {
        &self.listed
    }

    /// Between which releases it leads, if it is a delta in a container that this program reads.
    #[must_use]
    pub const fn delta(&self) -> Option<DeltaTarget> {
        self.listed.delta
    }

    /// Where its bytes lie below the targets base, for example `<sha256>.trust.json`.
    #[must_use]
    pub const fn path(&self) -> &TargetPath {
        &self.listed.path
    }
}

/// Where a target's bytes lie below the targets base of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetPath(Vec<String>);

impl TargetPath {
    /// The path of a target; `prefix` is the digest that a repository with consistent snapshots puts before the
    /// file name. `None` if a part of the name is empty, `.`, `..`, or has a control character or backslash.
    #[must_use]
    pub fn new(name: &str, prefix: Option<&str>) -> Option<Self> {
        let mut parts: Vec<String> = name.split('/').map(str::to_owned).collect();
        let bad = |part: &String| {
            part.is_empty()
                || part == "."
                || part == ".."
                || part.chars().any(|character| character.is_control() || character == '\\')
        };
        if parts.iter().any(bad) {
            return None;
        }
        if let (Some(prefix), Some(last)) = (prefix, parts.last_mut()) {
            *last = format!("{prefix}.{last}");
        }
        Some(Self(parts))
    }

    /// Its parts, in order; none is empty, `.` or `..`.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// As the path of a URL: each part percent-encoded.
    #[must_use]
    pub fn encoded(&self) -> String {
        self.0.iter().map(|part| percent_encoded(part)).collect::<Vec<_>>().join("/")
    }
}

/// The length of bytes in memory as the `u64` that metadata uses.
pub(crate) fn length_of(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

/// Every byte outside of the unreserved set of RFC 3986 as `%XX`.
#[must_use]
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&data_encoding::HEXUPPER.encode(&[byte]));
        }
    }
    out
}

/// The digests that metadata lists for a target, at least one. All are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExpectedDigests {
    sha256: Option<Sha256Digest>,
    sha512: Option<[u8; 64]>,
}

impl ExpectedDigests {
    /// `None` if no supported digest is listed, or one is malformed. Unknown algorithms are ignored, as TUF says.
    pub(crate) fn of(listed: &std::collections::BTreeMap<String, String>) -> Option<Self> {
        let decode = |text: &String| data_encoding::HEXLOWER.decode(text.as_bytes()).ok();
        let sha256 = match listed.get("sha256") {
            Some(text) => Some(Sha256Digest::from_bytes(decode(text)?.try_into().ok()?)),
            None => None,
        };
        let sha512 = match listed.get("sha512") {
            Some(text) => Some(<[u8; 64]>::try_from(decode(text)?).ok()?),
            None => None,
        };
        (sha256.is_some() || sha512.is_some()).then_some(Self { sha256, sha512 })
    }

    /// The digest that stands before the file name in a repository with consistent snapshots.
    pub(crate) fn prefix(&self) -> String {
        match (&self.sha256, &self.sha512) {
            (Some(sha256), _) => sha256.to_string(),
            (None, Some(sha512)) => data_encoding::HEXLOWER.encode(sha512),
            (None, None) => String::new(),
        }
    }

    pub(crate) fn hasher(&self) -> TargetHasher {
        TargetHasher {
            sha256: self.sha256.map(|expected| (digest::Context::new(&digest::SHA256), expected)),
            sha512: self.sha512.map(|expected| (digest::Context::new(&digest::SHA512), expected)),
        }
    }
}

/// Digests a target piece by piece.
pub(crate) struct TargetHasher {
    sha256: Option<(digest::Context, Sha256Digest)>,
    sha512: Option<(digest::Context, [u8; 64])>,
}

impl TargetHasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some((context, _)) = &mut self.sha256 {
            context.update(bytes);
        }
        if let Some((context, _)) = &mut self.sha512 {
            context.update(bytes);
        }
    }

    /// Whether every listed digest is the digest of what was added.
    pub(crate) fn matches(self) -> bool {
        let sha256 =
            self.sha256.is_none_or(|(context, expected)| context.finish().as_ref() == expected.as_bytes());
        let sha512 = self.sha512.is_none_or(|(context, expected)| context.finish().as_ref() == expected);
        sha256 && sha512
    }
}
