//! Going back to a lower release counter: for when a stolen key published one that nothing can follow.
//!
//! Sites and computers refuse a release whose counter is not above the highest that they have seen. Whoever stole a
//! release key can sign one with 2^64-1, and then nothing of the package is installed any more, whatever the vendor
//! signs. The reset tells everybody, once, up to which counter the vendor's own releases go; from there the counters go
//! on.
//! Invariant: no release that the vendor still offers is above a reset, or computers that have it would take an older
//! one for a newer.

use jiff::Timestamp;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::trust::CounterReset;
use sealpost_manifests::version::ReleaseCounter;
use serde::Serialize;

use super::error::TrustError;
use super::live::check_live;
use crate::home::{Keyring, Vendor};
use crate::publication::{Publication, Published};
use crate::release::next_counter;

/// A counter that was reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CounterWasReset {
    #[serde(flatten)]
    pub reset: CounterReset,
    /// The counter of the package's next release.
    pub next: ReleaseCounter,
}

/// Resets the release counter of a package: `to` is the highest that the vendor itself gave.
///
/// # Errors
/// [`TrustError`]; the repository is as it was.
pub fn reset_counter(
    vendor: &Vendor,
    keyring: &Keyring,
    package: &PackageName,
    to: ReleaseCounter,
    now: Timestamp,
    waiting: impl FnOnce(),
) -> Result<CounterWasReset, TrustError> {
    let refused = |problem: String| TrustError::Reset { package: package.clone(), problem };
    let mut publication = Publication::open(vendor, waiting)?;
    check_live(vendor, keyring, &publication, now)?;
    if !publication.knows(package) {
        return Err(refused("there is no such package; see `publisher channel show`".to_owned()));
    }
    let mut trust = publication.trust()?;
    let releases = publication.releases(package, &trust)?;
    let channels = publication.channels(package)?;
    if let Some(highest) = releases.iter().rfind(|published| is_offered(published, &channels))
        && highest.manifest.counter > to
    {
        let (release, counter) = (&highest.manifest.release, highest.manifest.counter);
        return Err(refused(format!(
            "{release} has the counter {counter} and is not withdrawn, and computers that run it would take a lower \
             one for older; give --to {counter} or more"
        )));
    }
    let number = trust.counter_reset(package).map_or(0, |before| before.number).checked_add(1);
    let number =
        number.ok_or_else(|| refused("it was reset too often; use another package name".to_owned()))?;
    let reset = CounterReset { package: package.clone(), counter: to, number };
    let Some(next) = next_counter(&releases, Some(&reset)) else {
        return Err(refused(format!(
            "above {to} there is no counter left to release with; give the highest counter that you released with"
        )));
    };
    if channels.is_below_minimum(next) {
        return Err(refused(format!(
            "the next release would have the counter {next}, and the package's minimum counter is higher; lower it \
             first with `publisher channel minimum {package} --counter N`"
        )));
    }
    // Behind the earlier ones: a site that missed them applies each, in this order.
    trust.counter_resets.push(reset.clone());
    publication.put_trust(&trust, now)?;
    let keys = [keyring.targets()?, keyring.snapshot()?, keyring.timestamp()?];
    publication.publish(&keys.iter().collect::<Vec<_>>(), now)?;
    Ok(CounterWasReset { reset, next })
}

/// Whether the vendor still stands by a release.
fn is_offered(published: &Published, channels: &ChannelsDocument) -> bool {
    published.is_trusted() && channels.withdrawn_reason(&published.manifest.release).is_none()
}
