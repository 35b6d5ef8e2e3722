//! Learning what the vendor withdrew of the releases on this computer, although nothing is to be installed: what was
//! withdrawn is just what the server assigns no more.
//!
//! Read when the assignment changed, because that is how a site's decision shows, and else once an hour.
//! Invariant: a look that fails changes nothing and fails nothing; what was withdrawn once stays so.

use jiff::{SignedDuration, Timestamp};
use sealpost_files::escape;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::order::Order;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::wire::report::ReasonCode;

use crate::download::VendorMetadata;
use crate::flows::context::{Context, Host};
use crate::flows::linked;
use crate::records::withdrawn::{Withdrawals, WithdrawnRelease};

/// With each contact of a licensed computer, and not with each of many wakes.
const LOOK_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// Longest reason that is kept, in characters.
const MAX_REASON_CHARS: usize = 500;

/// The releases that the vendor's channels are to be read for now; none if that is not due.
pub(super) fn to_look_up(host: &Host, assignment: Order, now: Timestamp) -> Vec<ReleaseId> {
    let known = Withdrawals::load(&host.home);
    let is_recent = known.looked_at.is_some_and(|at| now.duration_since(at).abs() < LOOK_EVERY);
    if is_recent && known.assignment == Some(assignment) {
        return Vec::new();
    }
    let records = linked::load_all(host).unwrap_or_default().into_values().filter_map(Result::ok);
    let kept = records.flat_map(|record| record.current.into_iter().chain(record.previous));
    kept.map(|installed| installed.release).collect()
}

/// Reads the channels of these releases, and keeps which of them were withdrawn.
pub(super) fn look_up(
    context: &Context,
    metadata: &VendorMetadata,
    releases: Vec<ReleaseId>,
    assignment: Order,
) {
    let home = &context.host.home;
    let mut known = Withdrawals::load(home);
    known.releases.retain(|withdrawn| releases.contains(&withdrawn.release));
    let mut packages: Vec<&PackageName> = releases.iter().map(|release| &release.package).collect();
    packages.dedup();
    // Of a look that failed altogether nothing is known, and the next contact looks again.
    let mut is_answered = packages.is_empty();
    for package in packages {
        // The contact comes first, and the look after it begins anew.
        if context.network.is_contact_due() {
            return;
        }
        let channels = match context.network.download(metadata.channels_if_handed_out(package)) {
            Ok(Ok(Some(channels))) => channels,
            // A server from before this was allowed refuses it, and a package may be gone.
            Ok(Ok(None)) => {
                tracing::debug!(%package, "the server does not hand the channels out");
                is_answered = true;
                continue;
            }
            Ok(Err(refusal)) => {
                tracing::debug!(%package, %refusal, "the channels cannot be read");
                is_answered |= refusal.reason != ReasonCode::NetworkFailed;
                continue;
            }
            Err(_) => return,
        };
        is_answered = true;
        for release in releases.iter().filter(|release| release.package == *package) {
            if let Some(reason) = channels.withdrawn_reason(release)
                && known.reason(release).is_none()
            {
                let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
                known.releases.push(WithdrawnRelease { release: release.clone(), reason: escape(&reason) });
            }
        }
    }
    if is_answered {
        (known.looked_at, known.assignment) = (Some(context.host.now()), Some(assignment));
    }
    known.save(home);
}
