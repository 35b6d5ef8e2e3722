//! Pointing a channel at a release.

use jiff::Timestamp;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::ids::{ChannelName, PackageName};
use sealpost_manifests::version::Version;
use sealpost_repository::RoleName;
use serde::Serialize;

use super::error::ReleaseError;
use crate::home::{Keyring, Vendor};
use crate::publication::Publication;

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

/// Points a channel at a version that was released for at least one platform and is not withdrawn.
///
/// # Errors
/// [`ReleaseError`]; the repository is as it was.
pub fn set_channel(
    vendor: &Vendor,
    keyring: &Keyring,
    package: &PackageName,
    channel: &ChannelName,
    version: &Version,
    now: Timestamp,
    waiting: impl FnOnce(),
) -> Result<ChannelSet, ReleaseError> {
    let refused = |problem: String| ReleaseError::Channel {
        package: package.clone(),
        channel: channel.clone(),
        problem,
    };
    let mut publication = Publication::open(vendor, waiting)?;
    if !publication.knows(package) {
        return Err(refused("there is no such package; release it first".to_owned()));
    }
    let releases = publication.releases(package, &publication.trust()?)?;
    let highest = |version: &Version| {
        let of_version = releases.iter().filter(|published| published.manifest.release.version == *version);
        of_version.map(|published| published.manifest.counter).max()
    };
    let Some(counter) = highest(version) else {
        return Err(refused(format!(
            "version {version} was not released for any platform; release it first"
        )));
    };
    let mut channels = publication.channels(package)?;
    if let Some(reason) = channels.withdrawn_reason(version) {
        return Err(refused(format!("version {version} is withdrawn ({reason}); choose another")));
    }
    let before = channels.channels.insert(channel.clone(), version.clone());
    let role = RoleName::Package(package.clone());
    publication.put_document(&role, &ChannelsDocument::target(package)?, &channels)?;
    let keys = [keyring.role(package)?, keyring.snapshot()?, keyring.timestamp()?];
    publication.publish(&keys.iter().collect::<Vec<_>>(), now)?;
    Ok(ChannelSet {
        package: package.clone(),
        channel: channel.clone(),
        version: version.clone(),
        lower_than: before.filter(|before| highest(before) > Some(counter)),
    })
}
