//! What a rollout came to, really or in a simulation: both are measured by the same function.

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::word::Word;

use crate::rules::percentile::percentile;

/// What a rollout came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// Its rings, in the order in which they open.
    pub rings: Vec<RingCourse>,
    /// How it ended.
    pub ended: Ended,
    /// Computers that were told. Of a release that was halted these met what was wrong with it.
    pub told: u64,
    /// Computers that failed, or were not heard of any more.
    pub failed: u64,
    /// Computers that had it.
    pub had_it: u64,
    /// After how long half of those had it, counted from the approval.
    pub p50: Option<SignedDuration>,
    /// After how long 95 of 100 of those had it.
    pub p95: Option<SignedDuration>,
    /// After how long the last of those had it.
    pub last: Option<SignedDuration>,
}

/// One ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingCourse {
    /// Its name.
    pub name: Word,
    /// When it opened; absent when it never did.
    pub opened_at: Option<Timestamp>,
    /// Computers that were told in it.
    pub told: u64,
    /// Those that had it.
    pub succeeded: u64,
    /// Those that failed, or were not heard of any more.
    pub failed: u64,
}

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its last ring passed.
    Completed {
        /// When.
        at: Timestamp,
    },
    /// It halted by itself: too many computers failed.
    Halted {
        /// When.
        at: Timestamp,
    },
    /// A person halted it, or the vendor withdrew it.
    Stopped {
        /// When.
        at: Timestamp,
    },
    /// A newer release was given to its computers instead.
    TakenOver {
        /// When.
        at: Timestamp,
    },
    /// It had not ended.
    Open,
}

impl Course {
    /// Puts it together; `had` is after how long each computer had it, in any order.
    #[must_use]
    pub fn new(rings: Vec<RingCourse>, ended: Ended, mut had: Vec<SignedDuration>) -> Self {
        had.sort_unstable();
        Self {
            told: rings.iter().map(|ring| ring.told).sum(),
            failed: rings.iter().map(|ring| ring.failed).sum(),
            had_it: had.len() as u64,
            p50: percentile(&had, 50),
            p95: percentile(&had, 95),
            last: had.last().copied(),
            rings,
            ended,
        }
    }

    /// Whether it was halted, by itself or by somebody.
    #[must_use]
    pub const fn was_halted(&self) -> bool {
        matches!(self.ended, Ended::Halted { .. } | Ended::Stopped { .. })
    }
}
