//! What became of a release on computers, and how many of a ring each of it is.
//!
//! Invariant: a computer counts once in a ring; its counts move with its deliveries and are never counted anew.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What became of the computers of one ring: each of them counts once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingCounts {
    /// Told, and a person there starts it.
    pub offered: u64,
    /// Told, and nothing is known of how it went.
    pub told: u64,
    /// They install it.
    pub begun: u64,
    /// They run it.
    pub succeeded: u64,
    /// They refused it, or went back from it.
    pub failed: u64,
    /// They were told, and were not heard of since.
    pub silent: u64,
    /// They were told, and then told something else before they finished.
    pub dropped: u64,
    /// Failures of before a person resumed it, which halt it no more.
    pub forgiven: u64,
    /// The hour, since 1970, in which computers were told last.
    pub hour: i64,
    /// How many were told in that hour.
    pub told_in_hour: u64,
}

/// What became of a release on one computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It was told, and a person there starts it, whenever that is: it is in the way of nobody.
    Offered,
    /// It was told.
    Told,
    /// It reported the first step.
    Begun,
    /// It runs it.
    Succeeded,
    /// It refused it, or went back from it.
    Failed,
    /// It was not heard of for too long.
    Silent,
    /// It was told something else before it finished.
    Dropped,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Offered, Self::Told, Self::Begun, Self::Succeeded, Self::Failed, Self::Silent, Self::Dropped];

    /// The word for it, in entries, answers and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Told => "told",
            Self::Begun => "begun",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Silent => "silent",
            Self::Dropped => "dropped",
        }
    }

    /// Whether it is under way.
    #[must_use]
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Offered | Self::Told | Self::Begun)
    }

    /// Whether the computer is told by this, and has not begun.
    #[must_use]
    pub const fn is_told(self) -> bool {
        matches!(self, Self::Offered | Self::Told)
    }

    /// Whether a computer in state `before` is told anew by this, and not only by another way what it was told.
    #[must_use]
    pub fn tells_anew(self, before: Option<(Self, u32)>, attempt: u32) -> bool {
        self.is_told() && !before.is_some_and(|(before, told)| before.is_told() && told == attempt)
    }

    /// Whether one more computer of a ring begins by itself in this hour: it is told anew, or a person has to start it no more.
    #[must_use]
    pub fn counts_in_hour(self, before: Option<(Self, u32)>, attempt: u32) -> bool {
        let starts_now = self == Self::Told && before.is_some_and(|(before, _)| before == Self::Offered);
        starts_now || self.tells_anew(before, attempt)
    }
}

impl RingCounts {
    /// The count of a state, to be changed.
    const fn of_mut(&mut self, state: DeliveryState) -> &mut u64 {
        match state {
            DeliveryState::Offered => &mut self.offered,
            DeliveryState::Told => &mut self.told,
            DeliveryState::Begun => &mut self.begun,
            DeliveryState::Succeeded => &mut self.succeeded,
            DeliveryState::Failed => &mut self.failed,
            DeliveryState::Silent => &mut self.silent,
            DeliveryState::Dropped => &mut self.dropped,
        }
    }

    /// A computer goes from one state to another; from none when it is told for the first time.
    pub fn moves(&mut self, before: Option<DeliveryState>, after: DeliveryState) {
        if let Some(before) = before {
            let count = self.of_mut(before);
            *count = count.saturating_sub(1);
            // No more failures are forgiven than there are.
            self.forgiven = self.forgiven.min(self.failures());
        }
        let count = self.of_mut(after);
        *count = count.saturating_add(1);
    }

    /// The count of a state.
    #[must_use]
    pub const fn of(&self, state: DeliveryState) -> u64 {
        match state {
            DeliveryState::Offered => self.offered,
            DeliveryState::Told => self.told,
            DeliveryState::Begun => self.begun,
            DeliveryState::Succeeded => self.succeeded,
            DeliveryState::Failed => self.failed,
            DeliveryState::Silent => self.silent,
            DeliveryState::Dropped => self.dropped,
        }
    }

    /// Computers that were told and have not finished.
    #[must_use]
    pub const fn under_way(&self) -> u64 {
        self.offered + self.at_work()
    }

    /// Computers that install it now, as far as the server knows: who waits for a person there is not among them.
    #[must_use]
    pub const fn at_work(&self) -> u64 {
        self.told + self.begun
    }

    /// Computers that finished, well or not.
    #[must_use]
    pub const fn finished(&self) -> u64 {
        self.succeeded + self.failures()
    }

    /// Computers that count as failed: silence after an install is a failure.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.failed + self.silent
    }

    /// Failures that can halt the rollout: what a person forgave counts as if it had not happened.
    #[must_use]
    pub const fn counting_failures(&self) -> u64 {
        self.failures().saturating_sub(self.forgiven)
    }

    /// Computers told in this hour.
    #[must_use]
    pub const fn told_in(&self, hour: i64) -> u64 {
        if self.hour == hour { self.told_in_hour } else { 0 }
    }
}

/// The hour of a time, counted since 1970.
#[must_use]
pub fn hour_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3600)
}
