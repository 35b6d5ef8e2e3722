//! Weekly maintenance windows: when a computer may stop a product and install.
//!
//! Invariants: an answer depends on the window, the time and the bundled time zone database alone, so it is the same on
//! every machine; the file system's zoneinfo is never read. Every instant within one occurrence gets the same occurrence.
//!
//! How changes of the clocks are read: the length is elapsed time, so a window of four hours is four hours long also when
//! the clocks change in it. A start that the clocks skip is the first instant after the gap; of a start that comes twice
//! the earlier one counts. Windows of 24 hours on days that follow each other overlap by an hour when a day is short, and
//! leave an hour out when it is long.
//!
//! Left out on purpose: what overrides a window (deadlines and urgency), and which computers have one.

mod parts;
mod zone;

use std::fmt;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use parts::{
    Day, Days, DownloadAhead, MAX_DOWNLOAD_AHEAD_HOURS, MAX_LENGTH_MINUTES, MAX_MISSED, Missed,
    MissedWindows, TimeOfDay, WindowError, WindowLength,
};
pub use zone::Zone;

/// How many days the civil date of a start can be away from the civil date of the same elapsed time: a zone that skips a
/// whole day moves a start by one day, one that repeats a day by another.
const DAYS_BEFORE: usize = 2;

/// A weekly maintenance window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// On which days it opens, in its time zone.
    pub days: Days,
    /// At what time of day it opens, in its time zone.
    pub from: TimeOfDay,
    /// How long it stays open, in elapsed minutes.
    pub length_minutes: WindowLength,
    /// Where `days` and `from` are read.
    pub zone: Zone,
    /// How long before it opens the download may begin; absent, it may begin as soon as the release is assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_ahead_hours: Option<DownloadAhead>,
    /// What a computer does that was off while the window was open.
    #[serde(default)]
    pub missed: Missed,
}

/// One time that a window is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurrence {
    /// When it opens.
    pub from: Timestamp,
    /// When it closes: the first instant that is not in it.
    pub until: Timestamp,
}

/// A window at a time.
#[derive(Debug, Clone, Copy)]
pub struct WindowNow<'a> {
    window: &'a Window,
    now: Timestamp,
    occurrence: Occurrence,
}

/// Whether a computer that waits for its window may install, and when that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The window is open.
    Open {
        /// When it closes.
        until: Timestamp,
    },
    /// The window is closed.
    Closed {
        /// When it opens.
        opens_at: Timestamp,
    },
    /// The window is closed, and the computer missed as many as it may: it installs at once.
    CaughtUp {
        /// How many windows passed since it began to wait.
        missed: u8,
    },
}

impl Window {
    /// The occurrence that is open, or else the next one: of those that close after `now` the first.
    ///
    /// Where two occurrences overlap, it is the earlier one until that closes.
    #[must_use]
    pub fn occurrence(&self, now: Timestamp) -> Occurrence {
        self.around(now).find(|occurrence| now < occurrence.until).unwrap_or(Occurrence::NEVER)
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.occurrence(now).from <= now
    }

    /// When the download for an occurrence may begin; `None` when nothing holds it back.
    #[must_use]
    pub fn download_from(&self, occurrence: Occurrence) -> Option<Timestamp> {
        let ahead = SignedDuration::from_hours(self.download_ahead_hours?.0.into());
        Some(occurrence.from.checked_sub(ahead).unwrap_or(Timestamp::MIN))
    }

    /// The window at a time: a computer asks it for each package that it is told.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> WindowNow<'_> {
        WindowNow { window: self, now, occurrence: self.occurrence(now) }
    }

    /// Whether a computer that waits since `waiting_since` may install now.
    #[must_use]
    pub fn opening(&self, waiting_since: Timestamp, now: Timestamp) -> Opening {
        self.at(now).opening(waiting_since)
    }

    fn opening_at(&self, waiting_since: Timestamp, now: Timestamp, occurrence: Occurrence) -> Opening {
        let Occurrence { from, until } = occurrence;
        if from <= now {
            return Opening::Open { until };
        }
        match self.missed {
            Missed::AtOnceAfter(bound) if self.has_missed(bound, waiting_since, now) => {
                Opening::CaughtUp { missed: bound.0 }
            }
            Missed::AtOnceAfter(_) | Missed::NextWindow => Opening::Closed { opens_at: from },
        }
    }

    /// Whether so many windows opened and closed since. One that was open already does not count: it was not whole.
    fn has_missed(&self, bound: MissedWindows, since: Timestamp, now: Timestamp) -> bool {
        // No whole one fits in between: it needs no look at the calendar.
        if now.duration_since(since) < self.length() {
            return false;
        }
        let whole = self.around(since).filter(|occurrence| since <= occurrence.from);
        // The last of them decides; `bound` is at least one, so there are no more than 51 before it.
        whole.into_iter().nth(usize::from(bound.0) - 1).is_some_and(|last| last.until <= now)
    }

    /// The occurrences in order, beginning with one that closed before `now` or with the first that did not.
    fn around(&self, now: Timestamp) -> impl Iterator<Item = Occurrence> + '_ {
        let earliest = now.checked_sub(self.length()).unwrap_or(Timestamp::MIN);
        let date = self.zone.date(earliest);
        let before = (0..DAYS_BEFORE).fold(date, |date, _| date.yesterday().unwrap_or(date));
        let dates = std::iter::successors(Some(before), |date| date.tomorrow().ok());
        dates.filter(|date| self.days.contain(*date)).filter_map(|date| self.on(date))
    }

    /// The occurrence of one day; `None` only beyond the year 9999.
    fn on(&self, date: Date) -> Option<Occurrence> {
        let from = self.zone.first_instant(date.to_datetime(self.from.0))?;
        let until = from.checked_add(self.length()).ok()?;
        Some(Occurrence { from, until })
    }

    fn length(&self) -> SignedDuration {
        SignedDuration::from_mins(self.length_minutes.0.into())
    }
}

impl WindowNow<'_> {
    /// The occurrence that is open, or else the next one.
    #[must_use]
    pub const fn occurrence(&self) -> Occurrence {
        self.occurrence
    }

    /// When the download for it may begin; `None` when nothing holds it back.
    #[must_use]
    pub fn download_from(&self) -> Option<Timestamp> {
        self.window.download_from(self.occurrence)
    }

    /// Whether a computer that waits since `waiting_since` may install now.
    #[must_use]
    pub fn opening(&self, waiting_since: Timestamp) -> Opening {
        self.window.opening_at(waiting_since, self.now, self.occurrence)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} for {} minutes ({})", self.days, self.from, self.length_minutes.0, self.zone)
    }
}

impl Occurrence {
    /// What stands for an occurrence after the last instant that can be written, in the year 9999.
    const NEVER: Self = Self { from: Timestamp::MAX, until: Timestamp::MAX };
}

#[cfg(test)]
mod tests;
