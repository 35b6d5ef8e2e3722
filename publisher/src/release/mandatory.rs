//! Mandatory versions of a package: computers pass through them on the way up, whatever their channel offers.
//!
//! Invariant: a version is marked only where computers can install it. Marking one later sends nobody backwards: who runs a later
//! one stays with it.

use jiff::Timestamp;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::version::Version;
use serde::Serialize;

use super::channel::publish_channels;
use super::error::ReleaseError;
use super::live::check_live;
use crate::home::{Keyring, Vendor};
use crate::publication::Publication;

/// What a version is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mandatory {
    /// Computers pass through it.
    Pass,
    /// An ordinary one again.
    Ordinary,
}

/// What is mandatory now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MandatorySet {
    pub package: PackageName,
    /// In the order of their counters.
    pub mandatory: Vec<Version>,
    /// Whether anything was changed.
    pub changed: bool,
    /// Channels that offer a later version: computers that run that stay with it.
    pub later: Vec<String>,
}

/// Marks a version as one that computers pass through, or as an ordinary one.
///
/// # Errors
/// [`ReleaseError`]; the repository is as it was.
pub fn set_mandatory(
    vendor: &Vendor,
    keyring: &Keyring,
    package: &PackageName,
    version: &Version,
    wanted: Mandatory,
    now: Timestamp,
    waiting: impl FnOnce(),
) -> Result<MandatorySet, ReleaseError> {
    let refused = |problem: String| ReleaseError::Mandatory {
        package: package.clone(),
        version: version.clone(),
        problem,
    };
    let publication = Publication::open(vendor, waiting)?;
    if !publication.knows(package) {
        return Err(ReleaseError::NoSuchPackage { package: package.clone() });
    }
    check_live(vendor, keyring, &publication, package, now)?;
    let releases = publication.releases(package, &publication.trust()?)?;
    let mut channels = publication.channels(package)?;
    // Releases are sorted by counter.
    let counter_of = |version: &Version| {
        let mut of =
            releases.iter().filter(|one| one.is_trusted() && one.manifest.release.version == *version);
        of.next().map(|one| one.manifest.counter)
    };
    let was = channels.mandatory.contains(version);
    match wanted {
        Mandatory::Pass => {
            let Some(counter) = counter_of(version) else {
                return Err(refused(format!(
                    "it was not released, or with a key that is no longer trusted; `publisher releases list {package}` \
                     shows which are"
                )));
            };
            if let Some(reason) = channels.withdrawn_everywhere(version) {
                return Err(refused(format!("it is withdrawn ({reason}), so that nobody installs it")));
            }
            if channels.is_below_minimum(counter) {
                return Err(refused(
                    "it is below the minimum counter, so that nobody installs it; see `publisher channel minimum`"
                        .to_owned(),
                ));
            }
            if !was {
                channels.mandatory.push(version.clone());
            }
        }
        Mandatory::Ordinary => channels.mandatory.retain(|one| one != version),
    }
    channels.mandatory.sort_by_key(|version| (counter_of(version), version.to_string()));
    let marked = counter_of(version);
    let is_later = |offered: &Version| counter_of(offered) > marked;
    let later = channels.channels.iter().filter(|(_, offered)| is_later(offered));
    let set = MandatorySet {
        package: package.clone(),
        mandatory: channels.mandatory.clone(),
        changed: was != (wanted == Mandatory::Pass),
        later: later.map(|(channel, _)| channel.to_string()).collect(),
    };
    if set.changed {
        publish_channels(publication, keyring, &channels, now)?;
    }
    Ok(set)
}
