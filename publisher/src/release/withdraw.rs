//! Withdrawing a version: nothing installs it any more, and nothing goes back to it unless a person at the computer says so.
//!
//! Invariants: no channel points at a version that is withdrawn on all its platforms; it stays withdrawn for ever. A channel that pointed at it points
//! at nothing until it is set again, because only the vendor knows what to offer instead.
//! Left out on purpose: computers that run it. Each site shows them, and halts or rolls back.

use jiff::Timestamp;
use sealpost_manifests::channels::Withdrawn;
use sealpost_manifests::ids::{ChannelName, PackageName, Platform};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::version::Version;
use serde::Serialize;

use super::channel::publish_channels;
use super::error::ReleaseError;
use super::live::check_live;
use crate::home::{Keyring, Vendor};
use crate::publication::Publication;

/// Longest reason, in bytes: it is shown in lists.
const MAX_REASON_BYTES: usize = 500;

/// A version that was withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WithdrawnNow {
    pub package: PackageName,
    pub version: Version,
    pub reason: String,
    /// Where it was withdrawn: the platforms that it was released for, or those that were given.
    pub platforms: Vec<Platform>,
    /// Channels that pointed at it, and point at nothing now.
    pub channels: Vec<ChannelName>,
}

/// What is to be withdrawn, and why.
#[derive(Debug, Clone, Copy)]
pub struct Withdrawal<'a> {
    pub package: &'a PackageName,
    pub version: &'a Version,
    /// Only on these; on all platforms, if empty.
    pub platforms: &'a [Platform],
    /// One line for people.
    pub reason: &'a str,
}

/// Withdraws a version.
///
/// # Errors
/// [`ReleaseError`]; the repository is as it was.
pub fn withdraw(
    vendor: &Vendor,
    keyring: &Keyring,
    withdrawal: Withdrawal<'_>,
    now: Timestamp,
    waiting: impl FnOnce(),
) -> Result<WithdrawnNow, ReleaseError> {
    let Withdrawal { package, version, platforms: on, reason } = withdrawal;
    let refused = |problem: String| ReleaseError::Withdraw {
        package: package.clone(),
        version: version.clone(),
        problem,
    };
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > MAX_REASON_BYTES || reason.chars().any(char::is_control) {
        return Err(refused(format!(
            "the reason must be one line of 1 to {MAX_REASON_BYTES} bytes; every site shows it"
        )));
    }
    let publication = Publication::open(vendor, waiting)?;
    if !publication.knows(package) {
        return Err(ReleaseError::NoSuchPackage { package: package.clone() });
    }
    check_live(vendor, keyring, &publication, package, now)?;
    let releases = publication.releases(package, &publication.trust()?)?;
    let platforms: Vec<Platform> = releases
        .iter()
        .map(|published| &published.manifest.release)
        .filter(|release| release.version == *version)
        .map(|release| release.platform.clone())
        .collect();
    if platforms.is_empty() {
        return Err(refused(format!(
            "it was not released; `publisher releases list {package}` lists the versions that were"
        )));
    }
    if let Some(other) = on.iter().find(|platform| !platforms.contains(platform)) {
        let released = platforms.iter().map(Platform::as_str).collect::<Vec<_>>().join(", ");
        return Err(refused(format!("it was not released for {other}, but for {released}")));
    }
    let mut channels = publication.channels(package)?;
    let release = |platform: &Platform| ReleaseId {
        package: package.clone(),
        version: version.clone(),
        platform: platform.clone(),
    };
    let wanted = if on.is_empty() { &platforms } else { on };
    let before: Option<Vec<&str>> =
        wanted.iter().map(|platform| channels.withdrawn_reason(&release(platform))).collect();
    // That it is withdrawn on all platforms says more than that it is on each that there is.
    if let Some(before) =
        before.filter(|_| !on.is_empty() || channels.withdrawn_everywhere(version).is_some())
    {
        return Err(refused(format!("it is withdrawn already ({}), which stays", before.join("; "))));
    }
    channels.withdrawn.push(Withdrawn {
        version: version.clone(),
        reason: reason.to_owned(),
        platforms: on.to_vec(),
    });
    let is_offered = platforms.iter().any(|platform| channels.withdrawn_reason(&release(platform)).is_none());
    let mut pointing: Vec<ChannelName> = Vec::new();
    if !is_offered {
        pointing.extend(channels.channels_of(version).cloned());
        channels.channels.retain(|_, pointed| pointed != version);
        channels.emptied.extend(pointing.iter().cloned());
    }
    let platforms = wanted.to_vec();
    publish_channels(publication, keyring, &channels, now)?;
    Ok(WithdrawnNow {
        package: package.clone(),
        version: version.clone(),
        reason: reason.to_owned(),
        platforms,
        channels: pointing,
    })
}
