//! The minimum counter of a package: below it nothing is installed, and no rollback goes.
//!
//! Invariant: what a channel offers is never below it.

use jiff::Timestamp;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::version::{ReleaseCounter, Version};
use serde::Serialize;

use super::channel::publish_channels;
use super::error::ReleaseError;
use super::live::check_live;
use crate::home::{Keyring, Vendor};
use crate::publication::{Publication, Published};

/// What the minimum is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Minimum {
    Counter(ReleaseCounter),
    /// The lowest counter of this version, so that it can be installed on each of its platforms.
    Version(Version),
    /// Everything may be installed.
    None,
}

/// A minimum that was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MinimumSet {
    pub package: PackageName,
    pub minimum_counter: Option<ReleaseCounter>,
    /// What it was before.
    pub before: Option<ReleaseCounter>,
}

/// Sets the minimum counter of a package.
///
/// # Errors
/// [`ReleaseError`]; the repository is as it was.
pub fn set_minimum(
    vendor: &Vendor,
    keyring: &Keyring,
    package: &PackageName,
    minimum: &Minimum,
    now: Timestamp,
    waiting: impl FnOnce(),
) -> Result<MinimumSet, ReleaseError> {
    let refused = |problem: String| ReleaseError::Minimum { package: package.clone(), problem };
    let publication = Publication::open(vendor, waiting)?;
    if !publication.knows(package) {
        return Err(refused("there is no such package; release it first".to_owned()));
    }
    check_live(vendor, keyring, &publication, package, now)?;
    let releases = publication.releases(package, &publication.trust()?)?;
    let mut channels = publication.channels(package)?;
    let wanted = match minimum {
        Minimum::None => None,
        Minimum::Counter(counter) => Some(*counter),
        Minimum::Version(version) => {
            let lowest = lowest_of(&releases, version).ok_or_else(|| {
                refused(format!(
                    "version {version} was not released, or with a key that is no longer trusted"
                ))
            })?;
            Some(lowest.manifest.counter)
        }
    };
    let before = channels.minimum_counter;
    channels.minimum_counter = wanted;
    for (channel, version) in &channels.channels {
        if let Some(offered) = lowest_of(&releases, version)
            && channels.is_below_minimum(offered.manifest.counter)
        {
            let (release, counter) = (&offered.manifest.release, offered.manifest.counter);
            return Err(refused(format!(
                "channel {channel} offers {release} with the counter {counter}, which could no longer be installed; \
                 point it at a later version first with `publisher channel set`, or give a lower minimum"
            )));
        }
    }
    publish_channels(publication, keyring, &channels, now)?;
    Ok(MinimumSet { package: package.clone(), minimum_counter: wanted, before })
}

/// Of the platforms of a version, the release with the lowest counter. Releases are sorted by counter.
fn lowest_of<'a>(releases: &'a [Published], version: &Version) -> Option<&'a Published> {
    releases.iter().find(|published| published.is_trusted() && published.manifest.release.version == *version)
}
