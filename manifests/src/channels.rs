//! The channels document: which version each channel of a package points to, and what the vendor took back.
//!
//! A TUF target (`<package>.channels`), covered by TUF signatures only. It decides what is *offered*; what is
//! *installed* an admin decides.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::ids::{ChannelName, NameError, PackageName, Platform, TargetName};
use crate::release::ReleaseId;
use crate::version::{ReleaseCounter, Version};

/// A version that nothing installs any more, and to which nothing goes back unless a person at the computer says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// The version that was withdrawn.
    pub version: Version,
    /// Why it was withdrawn, for people.
    pub reason: String,
    /// The platforms on which it was withdrawn; all, if empty. A program of before this field takes any for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
}

/// The channels of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelsDocument {
    /// The package whose channels these are.
    pub package: PackageName,
    /// The version that each channel points to.
    pub channels: BTreeMap<ChannelName, Version>,
    /// Channels that point to nothing, since what they pointed to was withdrawn: they are no new ones when they are set
    /// again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub emptied: BTreeSet<ChannelName>,
    /// Withdrawn releases stay listed for ever.
    #[serde(default)]
    pub withdrawn: Vec<Withdrawn>,
    /// Versions that must be passed through on the way up.
    #[serde(default)]
    pub mandatory: Vec<Version>,
    /// Below it nothing is installed, and no rollback goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_counter: Option<ReleaseCounter>,
    /// The vendor's clock when the document was written.
    pub signed_at: Timestamp,
}

impl Document for ChannelsDocument {
    const TYPE: &'static str = "channels";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        format!("channels package={}", self.package)
    }
}

impl ChannelsDocument {
    /// A package that has no channel yet.
    #[must_use]
    pub const fn empty(package: PackageName, signed_at: Timestamp) -> Self {
        Self {
            package,
            channels: BTreeMap::new(),
            emptied: BTreeSet::new(),
            withdrawn: Vec::new(),
            mandatory: Vec::new(),
            minimum_counter: None,
            signed_at,
        }
    }

    /// The target that holds a package's channels.
    ///
    /// # Errors
    /// Never for a package name; the constructor of target names can fail for others.
    pub fn target(package: &PackageName) -> Result<TargetName, NameError> {
        TargetName::new(format!("{package}.channels"))
    }

    /// Why a release was withdrawn, if it was: its version on its platform.
    #[must_use]
    pub fn withdrawn_reason(&self, release: &ReleaseId) -> Option<&str> {
        self.reason(&release.version, |entry| {
            entry.platforms.is_empty() || entry.platforms.contains(&release.platform)
        })
    }

    /// Why a version was withdrawn on all platforms, if it was.
    #[must_use]
    pub fn withdrawn_everywhere(&self, version: &Version) -> Option<&str> {
        self.reason(version, |entry| entry.platforms.is_empty())
    }

    fn reason(&self, version: &Version, is_meant: impl Fn(&Withdrawn) -> bool) -> Option<&str> {
        let entry = self.withdrawn.iter().find(|entry| entry.version == *version && is_meant(entry));
        entry.map(|entry| entry.reason.as_str())
    }

    /// Whether a counter is below what the vendor lets anybody run.
    #[must_use]
    pub fn is_below_minimum(&self, counter: ReleaseCounter) -> bool {
        self.minimum_counter.is_some_and(|minimum| counter < minimum)
    }

    /// The channels that there are, also those that point to nothing for the time being.
    pub fn known(&self) -> impl Iterator<Item = &ChannelName> {
        self.channels.keys().chain(&self.emptied)
    }

    /// The channels that point to a version.
    pub fn channels_of<'a>(&'a self, version: &'a Version) -> impl Iterator<Item = &'a ChannelName> + 'a {
        self.channels.iter().filter(move |(_, pointed)| *pointed == version).map(|(channel, _)| channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_withdrawn_on_the_platforms_that_are_named_and_on_all_if_none_is() {
        let text = r#"{"package":"acme-av","channels":{},"withdrawn":[
            {"version":"1","reason":"hangs","platforms":["linux-aarch64"]},{"version":"2","reason":"loses logs"}],
            "signed_at":"2026-11-20T08:00:00Z"}"#;
        let channels: ChannelsDocument = serde_json::from_str(text).unwrap();
        let release = |version: &str, platform: &str| ReleaseId {
            package: channels.package.clone(),
            version: version.parse().unwrap(),
            platform: platform.parse().unwrap(),
        };
        assert_eq!(channels.withdrawn_reason(&release("1", "linux-aarch64")), Some("hangs"));
        assert_eq!(channels.withdrawn_reason(&release("1", "linux-x86_64")), None);
        assert_eq!(channels.withdrawn_reason(&release("2", "linux-x86_64")), Some("loses logs"));
        assert_eq!(channels.withdrawn_everywhere(&release("1", "any").version), None);
        assert_eq!(channels.withdrawn_everywhere(&release("2", "any").version), Some("loses logs"));
    }
}
