//! The terms of a change: what was assigned, what was put off here, and by which time that is judged.

use jiff::Timestamp;
use sealpost_manifests::assignment::PackageAssignment;

use crate::domain::put_off::PutOff;
use crate::domain::timing::{Timing, Wait, timing};

use super::fault::NotNow;

/// When a change may touch the product.
#[derive(Debug, Clone)]
pub struct Terms {
    pub wanted: PackageAssignment,
    pub put_off: PutOff,
    /// The floor under license time.
    pub time_floor: Timestamp,
}

impl Terms {
    /// By which nobody put anything off.
    #[cfg(test)]
    pub(in crate::flows) fn unhindered(wanted: &PackageAssignment) -> Self {
        let time_floor = Timestamp::UNIX_EPOCH;
        Self { wanted: wanted.clone(), put_off: PutOff::of(None, wanted, time_floor), time_floor }
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

    /// Whether the product is asked before it is touched.
    pub(super) fn asks_product(&self, now: Timestamp) -> bool {
        self.put_off.asks_product(&self.wanted, now.max(self.time_floor))
    }
}
