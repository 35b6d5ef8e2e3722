//! The terms of a change: what was assigned, what was put off here, and by which time that is judged.

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::assignment::PackageAssignment;

use crate::domain::put_off::PutOff;
use crate::domain::timing::{Timing, Wait, timing};

use super::fault::NotNow;

/// For how long a product's "yes" counts. Unpacking and test-loading a small release takes no longer, and then one question is
/// enough. After more than that a meeting may have begun, and the product is stopped without it having been asked.
const READY_FOR: SignedDuration = SignedDuration::from_secs(30);

/// When a change may touch the product.
#[derive(Debug, Clone)]
pub struct Terms {
    pub wanted: PackageAssignment,
    pub put_off: PutOff,
    /// The floor under license time.
    pub time_floor: Timestamp,
    /// When the product said that it is ready, if it was asked already.
    pub ready_at: Option<Timestamp>,
}

impl Terms {
    /// By which nobody put anything off.
    #[cfg(test)]
    pub(in crate::flows) fn unhindered(wanted: &PackageAssignment) -> Self {
        let time_floor = Timestamp::UNIX_EPOCH;
        let put_off = PutOff::of(None, wanted, time_floor);
        Self { wanted: wanted.clone(), put_off, time_floor, ready_at: None }
    }

    /// Why the product is not touched now, if it is not.
    pub(super) fn not_now(&self, now: Timestamp) -> Option<NotNow> {
        match timing(&self.wanted, &self.put_off, now.max(self.time_floor)) {
            Timing::Now => None,
            Timing::Closed { closed_at, .. } => Some(NotNow::Closed(closed_at)),
            Timing::NotBefore(opens_at) => Some(NotNow::Waits(Wait::Window { opens_at })),
            Timing::Waits(wait) => Some(NotNow::Waits(wait)),
        }
    }

    /// Whether the product is asked before anything heavy is done, or before it is touched; not again as long as its last
    /// "yes" counts. A clock that was put back ends that too.
    pub(super) fn asks_product(&self, now: Timestamp) -> bool {
        let counts = |said: Timestamp| said <= now && now.duration_since(said) < READY_FOR;
        !self.ready_at.is_some_and(counts)
            && self.put_off.asks_product(&self.wanted, now.max(self.time_floor))
    }
}
