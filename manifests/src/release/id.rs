//! Which release: package, version and platform, and the names of its targets.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{NameError, PackageName, Platform, TargetName};
use crate::release::payload::Encoding;
use crate::version::Version;

/// What stands between a release and the name of a document beside it.
const ATTACHMENT: &str = "attachment.";

/// One release: package, version, platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReleaseId {
    /// The package, by name.
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
    pub(super) fn target(&self, suffix: &str) -> Result<TargetName, NameError> {
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

    /// The target that holds a document beside the release: `<package>_<version>_<platform>.attachment.<name>`.
    ///
    /// # Errors
    /// When the parts are together longer than a target name may be, or `name` has other characters than one.
    pub fn attachment_target(&self, name: &str) -> Result<TargetName, NameError> {
        self.target(&format!("{ATTACHMENT}{name}"))
    }

    /// Whether a target is named as a document beside this release.
    #[must_use]
    pub fn is_attachment(&self, target: &TargetName) -> bool {
        let prefix = format!("{}_{}_{}.{ATTACHMENT}", self.package, self.version, self.platform);
        target.as_str().len() > prefix.len() && target.as_str().starts_with(&prefix)
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

#[cfg(test)]
mod tests {
    use super::*;

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
