//! How and when a computer installs what it gets: methods of delivery, and the times in its assignment.
//!
//! Invariant: the times follow from the settings, from when the computer was told, and from `now`; within one window they stay
//! the same, so that a contact without news issues no new assignment.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::assignment::Urgency;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::Severity;
use sealpost_manifests::word::Word;
use serde::{Deserialize, Serialize};

use super::groups::GroupName;
use super::window::{Opening, WindowNow};

/// How computers get what is approved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Delivery {
    /// The server tells connected computers to come at once.
    #[default]
    Push,
    /// At the next contact, which a computer makes by itself.
    Poll,
    /// In a maintenance window, by its name.
    Window(Word),
    /// A person at the computer starts it.
    Manual,
    /// Through a folder, share or stick.
    Folder,
}

/// Why a text is no method of delivery.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no method of delivery: there are push, poll, window:NAME, manual and folder")]
pub struct DeliveryError(String);

impl FromStr for Delivery {
    type Err = DeliveryError;

    fn from_str(text: &str) -> Result<Self, DeliveryError> {
        match text {
            "push" => Ok(Self::Push),
            "poll" => Ok(Self::Poll),
            "manual" => Ok(Self::Manual),
            "folder" => Ok(Self::Folder),
            _ => match text.strip_prefix("window:").map(Word::new) {
                Some(Ok(name)) => Ok(Self::Window(name)),
                _ => Err(DeliveryError(text.chars().take(80).collect())),
            },
        }
    }
}

impl TryFrom<String> for Delivery {
    type Error = DeliveryError;

    fn try_from(text: String) -> Result<Self, DeliveryError> {
        text.parse()
    }
}

impl From<Delivery> for String {
    fn from(delivery: Delivery) -> Self {
        delivery.to_string()
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Push => f.pad("push"),
            Self::Poll => f.pad("poll"),
            Self::Window(name) => f.pad(&format!("window:{name}")),
            Self::Manual => f.pad("manual"),
            Self::Folder => f.pad("folder"),
        }
    }
}

/// When computers get signature files that are approved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// With the first ring.
    Early,
    /// With their ring.
    #[default]
    General,
    /// With their ring, and not sooner than so many hours after the approval: 1 to 72.
    Delayed(DelayHours),
    /// Not before somebody says otherwise.
    Paused,
}

/// Why a text is no policy of signature files.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no policy of signature files: there are early, general, paused, and delayed:HOURS with 1 to {MAX_DELAY_HOURS} hours"
)]
pub struct ContentError(String);

impl FromStr for Content {
    type Err = ContentError;

    fn from_str(text: &str) -> Result<Self, ContentError> {
        match text {
            "early" => Ok(Self::Early),
            "general" => Ok(Self::General),
            "paused" => Ok(Self::Paused),
            _ => {
                let hours = text.strip_prefix("delayed:").and_then(|hours| hours.parse::<u8>().ok());
                let delay = hours.and_then(|hours| DelayHours::try_from(hours).ok());
                delay.map(Self::Delayed).ok_or_else(|| ContentError(text.chars().take(80).collect()))
            }
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Early => f.pad("early"),
            Self::General => f.pad("general"),
            Self::Delayed(delay) => f.pad(&format!("delayed:{}", u8::from(*delay))),
            Self::Paused => f.pad("paused"),
        }
    }
}

/// Whose settings say when computers get signature files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentSetBy {
    /// A group of the computer.
    Group(GroupName),
    /// The package of the signature files.
    Package(PackageName),
}

impl fmt::Display for ContentSetBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(group) => write!(f, "the group `{group}`"),
            Self::Package(package) => write!(f, "the package `{package}`"),
        }
    }
}

/// 1 to 72 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct DelayHours(u8);

/// Longest delay of signature files, in hours.
pub const MAX_DELAY_HOURS: u8 = 72;

impl TryFrom<u8> for DelayHours {
    type Error = String;

    fn try_from(hours: u8) -> Result<Self, String> {
        match hours {
            1..=MAX_DELAY_HOURS => Ok(Self(hours)),
            _ => Err(format!("a delay is 1 to {MAX_DELAY_HOURS} hours, and this one {hours}")),
        }
    }
}

impl From<DelayHours> for u8 {
    fn from(hours: DelayHours) -> Self {
        hours.0
    }
}

impl DelayHours {
    /// How long it is.
    #[must_use]
    pub fn duration(self) -> SignedDuration {
        SignedDuration::from_hours(i64::from(self.0))
    }
}

/// What becomes of releases that the vendor calls critical.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenCritical {
    /// They go before other packages, in the window.
    #[default]
    InWindow,
    /// They wait for no window, no person and no product.
    AtOnce,
}

impl fmt::Display for WhenCritical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::InWindow => "in_window",
            Self::AtOnce => "at_once",
        })
    }
}

/// How often, and for how many hours after it was told, a person at a computer may put an install off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hold {
    times: u32,
    hours: u32,
}

impl Default for Hold {
    fn default() -> Self {
        Self { times: 3, hours: 72 }
    }
}

impl Hold {
    /// Nobody may put anything off.
    pub const NONE: Self = Self { times: 0, hours: 0 };

    /// How often.
    #[must_use]
    pub const fn times(self) -> u32 {
        self.times
    }

    /// For how long from the time on at which the computer was told.
    #[must_use]
    pub fn duration(self) -> SignedDuration {
        SignedDuration::from_hours(i64::from(self.hours))
    }
}

/// Why a text is no hold.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no hold: write TIMESxHOURS with 1 to 100 times and 1 to 720 hours, as in `3x72`, or `none`"
)]
pub struct HoldError(String);

impl FromStr for Hold {
    type Err = HoldError;

    fn from_str(text: &str) -> Result<Self, HoldError> {
        if text == "none" {
            return Ok(Self::NONE);
        }
        let parts = text.split_once('x').map(|(times, hours)| (times.parse(), hours.parse()));
        match parts {
            Some((Ok(times @ 1..=100), Ok(hours @ 1..=720))) => Ok(Self { times, hours }),
            _ => Err(HoldError(text.chars().take(80).collect())),
        }
    }
}

impl TryFrom<String> for Hold {
    type Error = HoldError;

    fn try_from(text: String) -> Result<Self, HoldError> {
        text.parse()
    }
}

impl From<Hold> for String {
    fn from(hold: Hold) -> Self {
        hold.to_string()
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            return f.pad("none");
        }
        f.pad(&format!("{}x{}", self.times, self.hours))
    }
}

/// When a computer installs what it is told, and who starts it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Not downloaded before.
    pub download_from: Option<Timestamp>,
    /// Not installed before.
    pub install_from: Option<Timestamp>,
    /// Not begun after.
    pub install_until: Option<Timestamp>,
    /// Installed by then, whatever window or person says.
    pub deadline: Option<Timestamp>,
    /// Whether a person at the computer starts it.
    pub by_person: bool,
    /// How often it may be put off, and until when; absent: not at all.
    pub postpone: Option<(u32, Timestamp)>,
    /// How soon.
    pub urgency: Option<Urgency>,
}

/// What the times follow from.
#[derive(Debug, Clone, Copy)]
pub struct ScheduleFacts<'a> {
    /// License time.
    pub now: Timestamp,
    /// When the computer was told first; absent where no rollout has to do with it.
    pub told_at: Option<Timestamp>,
    /// How it gets what is approved.
    pub delivery: &'a Delivery,
    /// The window that the method names, as it is now.
    pub window: Option<WindowNow<'a>>,
    /// How urgent the vendor holds it.
    pub severity: Severity,
    /// What becomes of critical ones.
    pub critical: WhenCritical,
    /// An admin pushes it through.
    pub emergency: bool,
    /// How long the strategy gives a computer.
    pub deadline: Option<SignedDuration>,
    /// What a person may put off.
    pub hold: Hold,
}

impl Schedule {
    /// The times for one computer.
    #[must_use]
    pub fn of(facts: &ScheduleFacts<'_>) -> Self {
        let critical = facts.severity == Severity::Critical;
        if facts.emergency || (critical && facts.critical == WhenCritical::AtOnce) {
            return Self { urgency: Some(Urgency::Emergency), ..Self::default() };
        }
        let after = |term| facts.told_at.and_then(|told_at| told_at.checked_add(term).ok());
        let deadline = facts.deadline.and_then(after);
        let urgency = critical.then_some(Urgency::Critical);
        let until = after(facts.hold.duration()).filter(|_| facts.hold != Hold::NONE);
        let until = until.map(|until| deadline.map_or(until, |deadline| deadline.min(until)));
        let postpone = until.map(|until| (facts.hold.times(), until));
        let by_person = *facts.delivery == Delivery::Manual;
        let at_once = Self { deadline, by_person, postpone, urgency, ..Self::default() };
        if deadline.is_some_and(|deadline| deadline <= facts.now) {
            return Self { by_person: false, postpone: None, ..at_once };
        }
        let Some(window) = facts.window.filter(|_| matches!(facts.delivery, Delivery::Window(_))) else {
            return at_once;
        };
        if let Opening::CaughtUp { .. } = window.opening(facts.told_at.unwrap_or(facts.now)) {
            return at_once;
        }
        let occurrence = window.occurrence();
        Self {
            download_from: window.download_from(),
            install_from: Some(occurrence.from),
            install_until: Some(occurrence.until),
            ..at_once
        }
    }

    /// How long after it was told a computer is still in time at least.
    #[must_use]
    pub fn latest_start(&self, told_at: Timestamp) -> SignedDuration {
        // One that is put off or waits for a person is heard of all the same.
        let until = self.install_until;
        until.map_or(SignedDuration::ZERO, |until| until.duration_since(told_at).max(SignedDuration::ZERO))
    }
}

#[cfg(test)]
mod tests;
