//! How a computer stands, as the list of computers names it: reserved, active, silent, or claimed by two machines.
//!
//! Invariants: the state is derived when somebody reads it, from what the ledger holds, and is never stored: a server that lost
//! its network changes no row of anybody. Time in which no server ran is nobody's silence. Left out on purpose: `offline`
//! ([`troubles`](crate::rules::troubles)), which is about days and warns, and the computer's own gate, which its own clock and
//! lease decide.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rules::install_tries::{InstallPlan, InstallStanding};
use crate::rules::rollouts::cadence::{Cadence, absence};
use crate::rules::rollouts::outages::Outages;
use crate::rules::rollouts::progress::USUAL_CADENCE;

/// What a computer has beyond its longest pause: it tries again an hour after a contact that failed, a tenth later at the most.
const ONE_MORE_TRY: SignedDuration = SignedDuration::from_mins(66);
/// Time between two contacts of a computer that has no license yet.
const UNLICENSED: SignedDuration = SignedDuration::from_secs(60);
/// Time until a computer tries again after a contact that failed.
pub const AFTER_FAILURE: SignedDuration = SignedDuration::from_hours(1);
/// A computer comes by this part of the time sooner or later.
const JITTER_PART: i32 = 10;

/// The state of a reserved name, in the order in which a list sorted by state shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum ComputerState {
    /// A seat is taken, and an install is planned.
    Scheduled,
    /// An install goes on.
    Installing,
    /// The last try to install failed.
    Failed,
    /// A seat is taken; the computer has not come yet.
    Reserved,
    /// Enrolled, and not silent for longer than it may be.
    Active,
    /// Enrolled, and silent for longer than its longest pause and one more try.
    ContactLost,
    /// Two computers use its identity; both are refused until an admin says which one goes on.
    TwoComputers,
}

/// Such a state does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no state of a computer is called {0:?}: use scheduled, installing, failed, reserved, active, contact_lost or two_computers"
)]
pub struct UnknownState(String);

/// Characters of a refused word that its error repeats.
const MAX_SHOWN_CHARS: usize = 40;

impl ComputerState {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Installing,
        Self::Failed,
        Self::Reserved,
        Self::Active,
        Self::ContactLost,
        Self::TwoComputers,
    ];

    /// The word that stands in answers and files. Two computers are called `forked` there, as they always were.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Installing => "installing",
            Self::Failed => "failed",
            Self::Reserved => "reserved",
            Self::Active => "active",
            Self::ContactLost => "contact_lost",
            Self::TwoComputers => "forked",
        }
    }
}

/// As people read it.
impl fmt::Display for ComputerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Scheduled => "Scheduled",
            Self::Installing => "Installing",
            Self::Failed => "Failed",
            Self::Reserved => "Reserved",
            Self::Active => "Active",
            Self::ContactLost => "Contact lost",
            Self::TwoComputers => "Two computers",
        })
    }
}

impl From<ComputerState> for &'static str {
    fn from(state: ComputerState) -> Self {
        state.word()
    }
}

/// The word, or what people read, in either case and with a hyphen or a space between words.
impl FromStr for ComputerState {
    type Err = UnknownState;
    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let plain = text.to_ascii_lowercase().replace(['-', ' '], "_");
        let found = Self::ALL.into_iter().find(|state| state.word() == plain);
        let found = found.or((plain == "two_computers").then_some(Self::TwoComputers));
        found.ok_or_else(|| UnknownState(text.chars().take(MAX_SHOWN_CHARS).collect()))
    }
}

impl TryFrom<String> for ComputerState {
    type Error = UnknownState;
    fn try_from(text: String) -> Result<Self, UnknownState> {
        text.parse()
    }
}

/// What the state of a reserved name follows from.
#[derive(Debug, Clone, Copy)]
pub struct StandingFacts<'a> {
    /// Whether two computers use the identity; `None` while no computer has enrolled.
    pub forked: Option<bool>,
    /// When it was heard last: its last answered contact, else its enrollment; not before the last restore of the ledger, whose
    /// copy may not have what came later.
    pub heard: Option<Timestamp>,
    /// How often it comes, where that is known.
    pub cadence: Option<&'a Cadence>,
    /// The install that is planned for it, while no computer has enrolled.
    pub install: Option<&'a InstallPlan>,
}

/// How a computer stands at `now`.
#[must_use]
pub fn state(facts: &StandingFacts<'_>, outages: &Outages, now: Timestamp) -> ComputerState {
    match facts.forked {
        None => match facts.install.map(|install| install.standing(now)) {
            None => ComputerState::Reserved,
            Some(InstallStanding::Scheduled) => ComputerState::Scheduled,
            Some(InstallStanding::Installing { .. }) => ComputerState::Installing,
            Some(InstallStanding::Failed(_)) => ComputerState::Failed,
        },
        Some(true) => ComputerState::TwoComputers,
        Some(false) => {
            let silent = facts.heard.map_or(SignedDuration::ZERO, |heard| absence(heard, now, outages));
            if silent > lost_after(facts.cadence) {
                ComputerState::ContactLost
            } else {
                ComputerState::Active
            }
        }
    }
}

/// How long a computer may be silent before its contact counts as lost: for its longest pause of two to four weeks, at least the
/// four hours between two contacts, and for one more try. An office that is closed at night is not lost each evening.
#[must_use]
pub fn lost_after(cadence: Option<&Cadence>) -> SignedDuration {
    cadence.map_or(USUAL_CADENCE, Cadence::longest).saturating_add(ONE_MORE_TRY)
}

/// The time between two contacts of a computer, by its usual settings.
#[must_use]
pub const fn contacts_every(lease_until: Option<Timestamp>) -> SignedDuration {
    if lease_until.is_some() { USUAL_CADENCE } else { UNLICENSED }
}

/// By when a computer comes again that was heard then, if its contacts succeed.
#[must_use]
pub fn due_by(heard: Timestamp, lease_until: Option<Timestamp>) -> Timestamp {
    let every = contacts_every(lease_until);
    let latest = every.saturating_add(every / JITTER_PART);
    heard.checked_add(latest).unwrap_or(Timestamp::MAX)
}

/// What the gate on a computer lets its products do, as far as the server can tell: the computer decides by its own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Nothing: it was never licensed.
    Closed,
    /// Run, and neither upload nor be managed remotely: a named seat runs for good, the rest needs a good contact.
    Run,
    /// Run, upload, and be managed remotely.
    Open,
}

impl Gate {
    /// Of a computer in this state, whose newest lease ends then.
    #[must_use]
    pub const fn of(state: ComputerState, lease_until: Option<Timestamp>) -> Self {
        match (lease_until, state) {
            (None, _) => Self::Closed,
            (Some(_), ComputerState::Active) => Self::Open,
            (Some(_), _) => Self::Run,
        }
    }
}

/// As a column shows it.
impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Closed => "-",
            Self::Run => "run",
            Self::Open => "run, upload, remote",
        })
    }
}

#[cfg(test)]
mod tests;
