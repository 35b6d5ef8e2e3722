//! Deltas that the vendor publishes: of those, the ones between releases that this site's computers run and get.
//!
//! Invariants: a delta holds up no pull, and nothing rests on it: what does not come is made here. Only what verified metadata
//! list is fetched, never more than they say, and only what spares enough of a payload.

use sealpost_files::with_causes;
use sealpost_manifests::release::{DeltaTarget, spares_enough};
use sealpost_repository::TargetInfo;

use super::context::Context;
use super::error::PullError;
use super::fetch::{Fetcher, blob_of};

/// The deltas among listed targets.
pub(super) fn among(targets: &[TargetInfo]) -> impl Iterator<Item = (DeltaTarget, TargetInfo)> {
    targets.iter().filter_map(|target| Some((target.delta()?, target.clone())))
}

/// Fetches those that staging misses.
///
/// # Errors
/// What stops the pull; never because of one delta.
pub(super) async fn fetch(
    context: &Context,
    fetcher: &mut Fetcher<'_>,
    listed: &[(DeltaTarget, TargetInfo)],
) -> Result<(), PullError> {
    if listed.is_empty() {
        return Ok(());
    }
    for missing in context.staging.missing_deltas().await? {
        let wanted = DeltaTarget { base: missing.base, target: missing.target };
        let is_it = |(delta, target): &&(DeltaTarget, TargetInfo)| {
            *delta == wanted && spares_enough(target.length(), missing.payload_bytes)
        };
        let Some((_, target)) = listed.iter().find(is_it) else { continue };
        match fetcher.payload(target, 0).await {
            Ok(()) => {}
            Err(error) if error.is_about_one_file() => {
                tracing::warn!(target_name = %target.name(), error = with_causes(&error), "a delta of the vendor cannot be fetched; it is made here");
                continue;
            }
            Err(error) => return Err(error),
        }
        if !context.staging.take_delta(wanted, blob_of(target)).await? {
            tracing::warn!(target_name = %target.name(), "a delta of the vendor does not lead where it says; it is made here");
        }
    }
    Ok(())
}
