//! Deltas that the vendor publishes: of those, the ones between releases that this site's computers run and get.
//!
//! Invariants: a delta holds up no pull, and nothing rests on it: what does not come is made here. Only what the role of the
//! release's own package lists under the release's own name is fetched, never more than it says, only what spares enough of a
//! payload, and nothing twice that was refused. Left out on purpose: whether it makes the release, which staging finds out
//! when no pull waits.

use sealpost_files::with_causes;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::{DeltaTarget, spares_enough};
use sealpost_repository::TargetInfo;

use super::context::Context;
use super::error::PullError;
use super::fetch::{Fetcher, blob_of};
use crate::ports::staging::MissingDelta;

/// A delta that the role of a package lists.
#[derive(Debug)]
pub(super) struct ListedDelta {
    package: PackageName,
    delta: DeltaTarget,
    target: TargetInfo,
}

/// The deltas among the targets that the role of a package lists.
pub(super) fn among(package: &PackageName, targets: &[TargetInfo]) -> Vec<ListedDelta> {
    let listed = |target: &TargetInfo| {
        Some(ListedDelta { package: package.clone(), delta: target.delta()?, target: target.clone() })
    };
    targets.iter().filter_map(listed).collect()
}

impl ListedDelta {
    /// Whether it is worth fetching for one that is missing.
    fn is_for(&self, missing: &MissingDelta) -> bool {
        (self.delta.base, self.delta.target) == (missing.base, missing.target)
            && self.package == missing.release.package
            && missing.release.is_delta(self.target.name())
            && spares_enough(self.target.length(), missing.payload_bytes)
            && !missing.refused.contains(&self.target.sha256())
    }
}

/// Fetches those that staging misses.
///
/// # Errors
/// What stops the pull; never because of one delta.
pub(super) async fn fetch(
    context: &Context,
    fetcher: &mut Fetcher<'_>,
    listed: &[ListedDelta],
) -> Result<(), PullError> {
    if listed.is_empty() {
        return Ok(());
    }
    for missing in context.staging.missing_deltas().await? {
        let Some(ListedDelta { delta, target, .. }) = listed.iter().find(|listed| listed.is_for(&missing))
        else {
            continue;
        };
        match fetcher.payload(target, 0).await {
            Ok(()) => context.staging.offer_delta(*delta, blob_of(target)),
            Err(error) if error.is_about_one_file() => {
                tracing::warn!(target_name = %target.name(), error = with_causes(&error), "a delta of the vendor cannot be fetched; it is made here");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
