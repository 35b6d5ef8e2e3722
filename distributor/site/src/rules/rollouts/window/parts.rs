//! The values that a window is made of: what can be constructed is within its bounds.

use std::collections::BTreeSet;
use std::fmt;

use jiff::civil::{Date, Time, Weekday};
use serde::{Deserialize, Serialize};

/// Longest window: with more than a day, each occurrence would reach into the next.
pub const MAX_LENGTH_MINUTES: u32 = 24 * 60;
/// Longest time between the download and the window: a week, because windows come each week.
pub const MAX_DOWNLOAD_AHEAD_HOURS: u32 = 7 * 24;
/// Most windows that may be missed before a computer installs at once: a year of one window a week.
pub const MAX_MISSED: u8 = 52;
/// Characters of a refused text that its error repeats.
const MAX_SHOWN_CHARS: usize = 80;

/// Why a text or number is no part of a window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// A window without a day never opens.
    #[error("a window needs at least one day, for example [\"saturday\"]")]
    NoDays,
    /// The text is no time of day.
    #[error("{0:?} is no time of day: use HH:MM from 00:00 to 23:59")]
    TimeOfDay(String),
    /// The length is out of bounds.
    #[error("a window cannot be {0} minutes long: use 1 to {MAX_LENGTH_MINUTES}")]
    Length(u32),
    /// The name is not in the database.
    #[error("{0:?} is no time zone that this program knows: use a name such as \"Europe/Berlin\" or \"UTC\"")]
    Zone(String),
    /// The download would begin too long before.
    #[error("a download cannot begin {0} hours ahead of its window: use at most {MAX_DOWNLOAD_AHEAD_HOURS}")]
    DownloadAhead(u32),
    /// The number of missed windows is out of bounds.
    #[error("a computer cannot catch up after {0} missed windows: use 1 to {MAX_MISSED}")]
    Missed(u32),
}

/// The days on which a window opens: at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<Day>", into = "BTreeSet<Day>")]
pub struct Days(BTreeSet<Day>);

impl Days {
    /// Every day of the week.
    #[must_use]
    pub fn all() -> Self {
        Self(Day::ALL.into())
    }

    pub(super) fn contain(&self, date: Date) -> bool {
        self.0.contains(&Day::of(date.weekday()))
    }
}

impl TryFrom<BTreeSet<Day>> for Days {
    type Error = WindowError;
    fn try_from(days: BTreeSet<Day>) -> Result<Self, WindowError> {
        if days.is_empty() { Err(WindowError::NoDays) } else { Ok(Self(days)) }
    }
}

impl From<Days> for BTreeSet<Day> {
    fn from(days: Days) -> Self {
        days.0
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() == Day::ALL.len() {
            return f.write_str("every day");
        }
        for (index, day) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}", day.as_str())?;
        }
        Ok(())
    }
}

/// A day of the week; Monday is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "a day of the week is its name")]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Day {
    const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    /// The word in a file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Monday => "monday",
            Self::Tuesday => "tuesday",
            Self::Wednesday => "wednesday",
            Self::Thursday => "thursday",
            Self::Friday => "friday",
            Self::Saturday => "saturday",
            Self::Sunday => "sunday",
        }
    }

    const fn of(weekday: Weekday) -> Self {
        match weekday {
            Weekday::Monday => Self::Monday,
            Weekday::Tuesday => Self::Tuesday,
            Weekday::Wednesday => Self::Wednesday,
            Weekday::Thursday => Self::Thursday,
            Weekday::Friday => Self::Friday,
            Weekday::Saturday => Self::Saturday,
            Weekday::Sunday => Self::Sunday,
        }
    }
}

/// A time of day on the clocks of a zone, to the minute: `HH:MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(pub(super) Time);

impl TimeOfDay {
    /// Reads `HH:MM`.
    ///
    /// # Errors
    /// When the text has another form, or there is no such time of day.
    pub fn new(text: &str) -> Result<Self, WindowError> {
        Self::of(text).ok_or_else(|| WindowError::TimeOfDay(shown(text)))
    }

    fn of(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        Time::new(two_digits(hour)?, two_digits(minute)?, 0, 0).ok().map(Self)
    }
}

/// Digits only, so that no sign passes.
fn two_digits(text: &str) -> Option<i8> {
    let plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

impl TryFrom<String> for TimeOfDay {
    type Error = WindowError;
    fn try_from(text: String) -> Result<Self, WindowError> {
        Self::new(&text)
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

/// How long a window stays open, in elapsed minutes: 1 to [`MAX_LENGTH_MINUTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct WindowLength(pub(super) u32);

impl TryFrom<u32> for WindowLength {
    type Error = WindowError;
    fn try_from(minutes: u32) -> Result<Self, WindowError> {
        let fits = (1..=MAX_LENGTH_MINUTES).contains(&minutes);
        if fits { Ok(Self(minutes)) } else { Err(WindowError::Length(minutes)) }
    }
}

impl From<WindowLength> for u32 {
    fn from(length: WindowLength) -> Self {
        length.0
    }
}

/// How long before a window its download may begin, in hours: at most [`MAX_DOWNLOAD_AHEAD_HOURS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct DownloadAhead(pub(super) u32);

impl TryFrom<u32> for DownloadAhead {
    type Error = WindowError;
    fn try_from(hours: u32) -> Result<Self, WindowError> {
        if hours <= MAX_DOWNLOAD_AHEAD_HOURS {
            Ok(Self(hours))
        } else {
            Err(WindowError::DownloadAhead(hours))
        }
    }
}

impl From<DownloadAhead> for u32 {
    fn from(ahead: DownloadAhead) -> Self {
        ahead.0
    }
}

/// What a computer does that was off, or out of reach, while its window was open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// It waits for the next window, however many it missed. A deadline still overrides.
    #[default]
    NextWindow,
    /// Once so many whole windows passed while it waited, it installs as soon as it can.
    AtOnceAfter(MissedWindows),
}

/// A number of missed windows: 1 to [`MAX_MISSED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct MissedWindows(pub(super) u8);

impl TryFrom<u32> for MissedWindows {
    type Error = WindowError;
    fn try_from(count: u32) -> Result<Self, WindowError> {
        let small = u8::try_from(count).ok().filter(|count| (1..=MAX_MISSED).contains(count));
        small.map(Self).ok_or(WindowError::Missed(count))
    }
}

impl From<MissedWindows> for u32 {
    fn from(count: MissedWindows) -> Self {
        count.0.into()
    }
}

/// A refused text as its error repeats it.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN_CHARS).collect()
}
