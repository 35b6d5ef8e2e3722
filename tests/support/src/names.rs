//! Typed names from text, for tests that write many of them. A name that is not allowed ends the test.

use sealpost_manifests::ids::{ChannelName, PackageName, Platform, TargetName};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::version::Version;

/// The package of most tests.
#[must_use]
pub fn acme_av() -> PackageName {
    package("acme-av")
}

/// A package by its name.
#[must_use]
pub fn package(name: &str) -> PackageName {
    PackageName::new(name).unwrap()
}

/// A channel by its name.
#[must_use]
pub fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

/// A target by its name.
#[must_use]
pub fn target(name: &str) -> TargetName {
    TargetName::new(name).unwrap()
}

/// A version from its text.
#[must_use]
pub fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

/// A release for every platform.
#[must_use]
pub fn release_id(package: &PackageName, number: &str) -> ReleaseId {
    ReleaseId { package: package.clone(), version: version(number), platform: Platform::any() }
}
