//! Withdrawing a version: it is not installed any more, and nothing goes back to it.
//!
//! Invariants: no channel points at a withdrawn version; it stays withdrawn for ever. A channel that pointed at it points
//! at nothing until it is set again, because only the vendor knows what to offer instead.
//! Left out on purpose: computers that run it. Each site shows them, and halts or rolls back.

use jiff::Timestamp;
use sealpost_manifests::channels::Withdrawn;
use sealpost_manifests::ids::{ChannelName, PackageName, Platform};
use sealpost_manifests::version::Version;
use serde::Serialize;

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
    /// The platforms that it was released for.
    pub platforms: Vec<Platform>,
    /// Channels that pointed at it, and point at nothing now.
    pub channels: Vec<ChannelName>,
}

/// Withdraws a version on all its platforms.
///
/// # Errors
/// [`ReleaseError`]; the repository is as it was.
pub fn withdraw(
    vendor: &Vendor,
    keyring: &Keyring,
    package: &PackageName,
    version: &Version,
    reason: &str,
    now: Timestamp,
    waiting: impl FnOnce(),
) -> Result<WithdrawnNow, ReleaseError> {
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
    let mut publication = Publication::open(vendor, waiting)?;
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
    let mut channels = publication.channels(package)?;
    if let Some(before) = channels.withdrawn_reason(version) {
        return Err(refused(format!("it is withdrawn already ({before}), which stays")));
    }
    let pointing: Vec<ChannelName> = channels.channels_of(version).cloned().collect();
    channels.channels.retain(|_, pointed| pointed != version);
    channels.withdrawn.push(Withdrawn { version: version.clone(), reason: reason.to_owned() });
    publication.put_channels(&channels, now)?;
    let keys = [keyring.role(package)?, keyring.snapshot()?, keyring.timestamp()?];
    publication.publish(&keys.iter().collect::<Vec<_>>(), now)?;
    Ok(WithdrawnNow {
        package: package.clone(),
        version: version.clone(),
        reason: reason.to_owned(),
        platforms,
        channels: pointing,
    })
}
