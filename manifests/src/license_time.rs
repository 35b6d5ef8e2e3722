//! License time, by which grants, leases and assignments are judged: `max(now, floor)`, so that setting the clock back
//! brings nothing back that has ended. The same arithmetic for server and agent.
//!
//! `now` is never held back: while the clock is right, license time is the clock. The floor only matters when the clock
//! is behind it, so a floor that is too high locks people out, and one that is too low costs nothing but protection.
//! Hence the invariant: **if the newest vendor statement was made by a right clock, the floor is never ahead of the true
//! time**, whatever the local clock or a peer says in between. What makes it so:
//!
//! - Times that the vendor did not sign (the local clock, a peer's) raise the floor by *credit* only: as much as
//!   monotonic time has passed, at most [`MAX_CREDIT`] at once.
//! - The newest vendor statement bounds the floor from below (`signed_at`) and from above (`not_after`).
//! - If the newest statement says an earlier time than the one before it, the vendor's clock was ahead then. All that
//!   this clock raised is dropped, and the floor begins again at the newest `signed_at`. The same happens with the first
//!   statement: until then the floor rests on a clock's word only.
//!
//! Which statement is the newest is the caller's to know, and it is *not* the one with the highest time. Statements come
//! in sequences: the grants of one serial by generation, the vendor's metadata by version. A statement is newer than the
//! one held if it was just accepted with a number strictly above the highest accepted in its own sequence. Between
//! sequences the later time counts, which callers see to: a grant that lay in a drawer for a year lowers nothing that
//! another sequence said since, and a wrong time is corrected in the sequence that said it.
//!
//! Left out on purpose: reading clocks, storing, verifying statements, and keeping the highest number of each sequence.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Most credit that is saved up: what one jump of a clock can move the floor at once.
pub const MAX_CREDIT: SignedDuration = SignedDuration::from_hours(24);

/// How far past an end license time is surely past it. Ends are judged by `now <= not_after`.
const PAST_THE_END: SignedDuration = SignedDuration::from_secs(1);

/// A time that the vendor signed, and the time up to which it vouches: a grant, or update metadata.
///
/// Invariant: `not_after` is not before `signed_at`; an earlier one is read as `signed_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Claimed")]
pub struct VendorStatement {
    signed_at: Timestamp,
    not_after: Timestamp,
}

#[derive(Deserialize)]
struct Claimed {
    signed_at: Timestamp,
    not_after: Timestamp,
}

impl From<Claimed> for VendorStatement {
    fn from(claimed: Claimed) -> Self {
        Self::new(claimed.signed_at, claimed.not_after)
    }
}

impl VendorStatement {
    /// Signed at a time, and vouching up to another.
    ///
    /// The floor stops right after `not_after`, and a clock that is set back brings back what ends later than that. A
    /// statement that ends soon, as metadata does, is therefore best given the latest end of the grants held.
    #[must_use]
    pub fn new(signed_at: Timestamp, not_after: Timestamp) -> Self {
        Self { signed_at, not_after: not_after.max(signed_at) }
    }

    /// The vendor's clock when it was signed. The true time at which it was accepted is not before it.
    #[must_use]
    pub const fn signed_at(&self) -> Timestamp {
        self.signed_at
    }

    /// The end of what the vendor vouches for.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The highest floor: one second past the end, because what ends at `not_after` still lives at that instant. Were
    /// the floor held there, a clock that is set back would revive it for good.
    fn ceiling(&self) -> Timestamp {
        self.not_after.checked_add(PAST_THE_END).unwrap_or(self.not_after)
    }
}

/// The floor under license time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LicenseFloor {
    floor: Timestamp,
    /// Monotonic time that passed since the newest statement and has not raised the floor yet.
    credit: SignedDuration,
    newest: Option<VendorStatement>,
}

impl LicenseFloor {
    /// As it was stored, or a beginning without a statement: the clock at `init`, a setup file's `issued_at`.
    ///
    /// A stored floor is brought within the bounds of its statement. Credit is earned anew.
    #[must_use]
    pub fn from_stored(floor: Timestamp, newest: Option<VendorStatement>) -> Self {
        let floor = newest.map_or(floor, |newest| bounded(floor, &newest));
        Self { floor, credit: SignedDuration::ZERO, newest }
    }

    /// The floor, to be stored.
    #[must_use]
    pub const fn floor(&self) -> Timestamp {
        self.floor
    }

    /// The newest vendor statement, to be stored with the floor.
    #[must_use]
    pub const fn statement(&self) -> Option<VendorStatement> {
        self.newest
    }

    /// License time when the local clock says `now`.
    #[must_use]
    pub fn license_time(&self, now: Timestamp) -> Timestamp {
        now.max(self.floor)
    }

    /// The local clock or a peer says `time`, and `elapsed` of monotonic time has passed since the last call.
    ///
    /// Whoever hears several clocks passes what has passed since the last call of any, so that no time earns twice.
    pub fn observe(&mut self, time: Timestamp, elapsed: SignedDuration) {
        let earned = elapsed.max(SignedDuration::ZERO);
        self.credit = self.credit.saturating_add(earned).min(MAX_CREDIT);
        let goal = self.newest.map_or(time, |newest| time.min(newest.ceiling()));
        let raise = goal.duration_since(self.floor).max(SignedDuration::ZERO).min(self.credit);
        if let Ok(raised) = self.floor.checked_add(raise) {
            self.floor = raised;
            self.credit = self.credit.saturating_sub(raise);
        }
    }

    /// The vendor says something newer than what is held (see the module's text for what is newer). May lower the floor.
    ///
    /// Call [`Self::observe`] right before, so that the time until now is accounted for: credit is earned anew from here,
    /// because the statement's own time stands for what passed before it.
    pub fn observe_statement(&mut self, statement: VendorStatement) {
        let base_is_trusted = self.newest.is_some_and(|held| held.signed_at <= statement.signed_at);
        let floor = if base_is_trusted { self.floor } else { statement.signed_at };
        *self = Self::from_stored(floor, Some(statement));
    }

    /// The floor after a statement that is judged by a clock which is behind the floor, to find out whether the floor
    /// rests on a wrong clock of the vendor. `None` if clocks went past the newest statement: then it was no later than
    /// the true time, so the clock was set back, and the statement may be an old one that was kept for that.
    #[must_use]
    pub fn corrected_by(mut self, statement: VendorStatement) -> Option<Self> {
        let past_it =
            self.newest.map_or(SignedDuration::ZERO, |newest| self.floor.duration_since(newest.signed_at));
        if past_it > MAX_CREDIT {
            return None;
        }
        self.observe_statement(statement);
        Some(self)
    }
}

fn bounded(floor: Timestamp, statement: &VendorStatement) -> Timestamp {
    floor.max(statement.signed_at).min(statement.ceiling())
}

/// The times at which a peer's TLS certificate is judged; it is good if it is valid at any of them.
///
/// - First the clock, but not before `issued_at`, the time of what the peer's pins came with (a setup file, an
///   enrollment). No floor is in it, so nothing that raised the floor can make a good certificate look expired.
/// - Then, only if the clock is behind the floor, the floor. A computer whose clock begins at 1970 after each power cut
///   would otherwise take a certificate that was renewed after `issued_at` for one of the future.
/// - Last, only if the clock is before `issued_at`, the clock: the setup file may have been made by one that was ahead.
///
/// The further times only add: what a setup file or a peer said wrongly can make a certificate of the future pass, never
/// a good one fail; and an expired one passes only as long as the clock is behind, when no better time is known.
pub fn tls_times(
    now: Timestamp,
    issued_at: Timestamp,
    floor: Timestamp,
) -> impl Iterator<Item = Timestamp> + Clone {
    let first = now.max(issued_at);
    let behind = (now < floor && floor != first).then_some(floor);
    let clock = (now != first).then_some(now);
    std::iter::once(first).chain(behind).chain(clock)
}

#[cfg(test)]
mod tests;
