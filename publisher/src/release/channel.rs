//! The channels of a package: reading them, pointing one at a release, and removing one.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::ids::{ChannelName, PackageName};
use sealpost_manifests::version::{ReleaseCounter, Version};
use serde::Serialize;

use super::error::ReleaseError;
use super::live::check_live;
use super::permit::Permit;
use super::permits::about_channel;
use crate::home::{Keyring, Vendor};
use crate::publication::{Publication, PublicationView, Published};

/// A channel that was set.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelSet {
    pub package: PackageName,
    pub channel: ChannelName,
    /// The version that it points at now.
    pub version: Version,
    /// The version that it pointed at before, if that was released later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower_than: Option<Version>,
}

/// The channels of these packages, or of every package if none is named, as they are published.
///
/// # Errors
/// [`ReleaseError`], also for a package that there is not.
pub fn read_channels(
    vendor: &Vendor,
    packages: &[PackageName],
) -> Result<Vec<ChannelsDocument>, ReleaseError> {
    let publication = PublicationView::read(vendor)?;
    if let Some(package) = packages.iter().find(|package| !publication.knows(package)) {
        return Err(ReleaseError::NoSuchPackage { package: package.clone() });
    }
    let all: Vec<PackageName> = publication.editor().packages().cloned().collect();
    let wanted = if packages.is_empty() { &all } else { packages };
    wanted.iter().map(|package| Ok(publication.channels(package)?)).collect()
}

/// Which channel of which package.
#[derive(Debug, Clone, Copy)]
pub struct ChannelOf<'a> {
    pub package: &'a PackageName,
    pub channel: &'a ChannelName,
}

/// Points a channel at a version that was released for at least one platform and is not withdrawn.
///
/// # Errors
/// [`ReleaseError`]; the repository is as it was.
pub fn set_channel(
    vendor: &Vendor,
    keyring: &Keyring,
    ChannelOf { package, channel }: ChannelOf<'_>,
    version: &Version,
    permits: &BTreeSet<Permit>,
    now: Timestamp,
    waiting: impl FnOnce(),
) -> Result<ChannelSet, ReleaseError> {
    let refused = |problem: String| ReleaseError::Channel {
        package: package.clone(),
        channel: channel.clone(),
        problem,
    };
    let publication = Publication::open(vendor, waiting)?;
    if !publication.knows(package) {
        return Err(refused("there is no such package; release it first".to_owned()));
    }
    check_live(vendor, keyring, &publication, package, now)?;
    let releases = publication.releases(package, &publication.trust()?)?;
    let (Some(lowest), Some(highest)) = counters(&releases, version) else {
        return Err(refused(match releases.iter().any(|one| one.manifest.release.version == *version) {
            false => format!("version {version} was not released for any platform; release it first"),
            true => format!(
                "version {version} was signed with a key that is no longer trusted; release a new version"
            ),
        }));
    };
    let mut channels = publication.channels(package)?;
    if let Some(minimum) = channels.minimum_counter.filter(|minimum| lowest < *minimum) {
        return Err(refused(format!(
            "version {version} has the counter {lowest}, and below {minimum} nothing of the package is installed; choose \
             a later version, or lower the minimum with `publisher channel minimum`"
        )));
    }
    let of_version =
        releases.iter().filter(|one| one.is_trusted() && one.manifest.release.version == *version);
    let reasons: Option<Vec<&str>> =
        of_version.map(|one| channels.withdrawn_reason(&one.manifest.release)).collect();
    // Of a version that is still good on one platform, the others are passed over by sites.
    if let Some(reason) = reasons.as_ref().and_then(|reasons| reasons.first()) {
        return Err(refused(format!("version {version} is withdrawn ({reason}); choose another")));
    }
    if let Some(question) = about_channel(&channels, channel, version, permits) {
        let (package, channel, questions) = (package.clone(), channel.clone(), vec![question]);
        return Err(ReleaseError::ChannelQuestions { package, channel, questions });
    }
    let before = channels.channels.insert(channel.clone(), version.clone());
    channels.emptied.remove(channel);
    publish_channels(publication, keyring, &channels, now)?;
    Ok(ChannelSet {
        package: package.clone(),
        channel: channel.clone(),
        version: version.clone(),
        lower_than: before.filter(|before| counters(&releases, before).1 > Some(highest)),
    })
}

/// A channel that was removed.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelRemoved {
    pub package: PackageName,
    pub channel: ChannelName,
    /// The version that it pointed at, if it pointed at one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointed_at: Option<Version>,
}

/// Removes a channel. Releases stay, and what a site approved for the channel stays approved there.
///
/// # Errors
/// [`ReleaseError`]; the repository is as it was.
pub fn remove_channel(
    vendor: &Vendor,
    keyring: &Keyring,
    ChannelOf { package, channel }: ChannelOf<'_>,
    now: Timestamp,
    waiting: impl FnOnce(),
) -> Result<ChannelRemoved, ReleaseError> {
    let publication = Publication::open(vendor, waiting)?;
    if !publication.knows(package) {
        return Err(ReleaseError::NoSuchPackage { package: package.clone() });
    }
    check_live(vendor, keyring, &publication, package, now)?;
    let mut channels = publication.channels(package)?;
    let pointed_at = channels.channels.remove(channel);
    if !channels.emptied.remove(channel) && pointed_at.is_none() {
        let known: Vec<&str> = channels.known().map(AsRef::as_ref).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let problem = format!("there is no such channel; there are: {known}");
        return Err(ReleaseError::Channel { package: package.clone(), channel: channel.clone(), problem });
    }
    publish_channels(publication, keyring, &channels, now)?;
    Ok(ChannelRemoved { package: package.clone(), channel: channel.clone(), pointed_at })
}

/// Publishes the channels of a package, signed with its keys.
pub(super) fn publish_channels(
    mut publication: Publication,
    keyring: &Keyring,
    channels: &ChannelsDocument,
    now: Timestamp,
) -> Result<(), ReleaseError> {
    publication.put_channels(channels, now)?;
    let keys = [keyring.role(&channels.package)?, keyring.snapshot()?, keyring.timestamp()?];
    publication.publish(&keys.iter().collect::<Vec<_>>(), now)?;
    Ok(())
}

/// The lowest and the highest counter that a version has on the platforms that it was released for.
fn counters(releases: &[Published], version: &Version) -> (Option<ReleaseCounter>, Option<ReleaseCounter>) {
    let of_version = releases
        .iter()
        .filter(|published| published.is_trusted() && published.manifest.release.version == *version)
        .map(|published| published.manifest.counter);
    (of_version.clone().min(), of_version.max())
}
