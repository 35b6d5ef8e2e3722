//! The channels document: which version each channel of a package points to, and what the vendor withdrew.
//!
//! A TUF target (`<package>.channels`), covered by TUF signatures only. It decides what is *offered*; what is
//! *installed* an admin decides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::ids::{ChannelName, NameError, PackageName, TargetName};
use crate::version::Version;

/// A version that must no longer be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// The version that was withdrawn.
    pub version: Version,
    /// Why it was withdrawn, for people.
    pub reason: String,
}

/// The channels of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelsDocument {
    /// The package whose channels these are.
    pub package: PackageName,
    /// The version that each channel points to.
    pub channels: BTreeMap<ChannelName, Version>,
    /// Withdrawn releases stay listed for ever.
    #[serde(default)]
    pub withdrawn: Vec<Withdrawn>,
    /// Versions that must be passed through on the way up.
    #[serde(default)]
    pub mandatory: Vec<Version>,
}

impl Document for ChannelsDocument {
    const TYPE: &'static str = "channels";
    const VERSION: u32 = 1;

    fn trusted_comment(&self) -> String {
        format!("channels package={}", self.package)
    }
}

impl ChannelsDocument {
    /// A package that has no channel yet.
    #[must_use]
    pub const fn empty(package: PackageName) -> Self {
        Self { package, channels: BTreeMap::new(), withdrawn: Vec::new(), mandatory: Vec::new() }
    }

    /// The target that holds a package's channels.
    ///
    /// # Errors
    /// Never for a package name; the constructor of target names can fail for others.
    pub fn target(package: &PackageName) -> Result<TargetName, NameError> {
        TargetName::new(format!("{package}.channels"))
    }

    /// Why a version was withdrawn, if it was.
    #[must_use]
    pub fn withdrawn_reason(&self, version: &Version) -> Option<&str> {
        self.withdrawn.iter().find(|entry| entry.version == *version).map(|entry| entry.reason.as_str())
    }

    /// The channels that point to a version.
    pub fn channels_of<'a>(&'a self, version: &'a Version) -> impl Iterator<Item = &'a ChannelName> + 'a {
        self.channels.iter().filter(move |(_, pointed)| *pointed == version).map(|(channel, _)| channel)
    }
}
