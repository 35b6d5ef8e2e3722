//! Why a computer does not get a release now, in words.
//!
//! Invariant: what is said of a block or a pin is so for this computer: what it runs is taken away by neither, and no pin "keeps"
//! a computer at a version that it does not run and cannot get.

use std::fmt;

use jiff::Timestamp;
use sealpost_manifests::version::Version;
use sealpost_manifests::word::Word;

use crate::rules::rollouts::delivery::ContentSetBy;
use crate::rules::text::escape;

/// Why a computer does not get a release now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// A block keeps it away.
    Blocked {
        /// The name of the block.
        name: Word,
        /// Why, in an admin's words.
        why: String,
    },
    /// It stays at another version.
    Pinned {
        /// The name of the pin.
        name: Word,
        /// The version.
        version: Version,
        /// Why, in an admin's words.
        why: String,
    },
    /// A block names what it runs.
    RunsBlocked {
        /// The name of the block.
        name: Word,
        /// What it runs.
        version: Version,
        /// Why, in an admin's words.
        why: String,
    },
    /// A pin names a version to which nothing leads it.
    OffPin {
        /// The name of the pin.
        name: Word,
        /// The version.
        version: Version,
        /// Why nothing leads there.
        off: OffPin,
        /// Why it is pinned, in an admin's words.
        why: String,
    },
    /// It has to pass through another release first, which nobody approved for it.
    Mandatory {
        /// The version of that.
        version: Version,
    },
    /// Signature files wait until somebody says otherwise.
    ContentPaused {
        /// What says so.
        by: ContentSetBy,
    },
    /// Signature files come later.
    ContentDelayed {
        /// When.
        until: Timestamp,
        /// What says so.
        by: ContentSetBy,
    },
    /// Its ring has not opened.
    Ring {
        /// The rollout.
        rollout: u64,
        /// Its ring, from 0.
        ring: u32,
        /// The name of that ring.
        name: Word,
    },
    /// The rollout is paused.
    Paused {
        /// The rollout.
        rollout: u64,
    },
    /// As many as may install at one time do so.
    Concurrent {
        /// The rollout.
        rollout: u64,
        /// So many.
        cap: u32,
    },
    /// As many as may be told in an hour were told.
    PerHour {
        /// The rollout.
        rollout: u64,
        /// So many.
        cap: u32,
        /// When the next hour begins.
        until: Timestamp,
    },
}

/// Why nothing leads a computer to the version of its pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OffPin {
    /// It runs this one, which is newer.
    RunsNewer(Version),
    /// It ran this one before, which is newer, and went back below the pin.
    RanNewer(Version),
    /// No release of that version is approved for it.
    NotApproved,
}

impl Held {
    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Blocked { .. } | Self::RunsBlocked { .. } => "blocked",
            Self::Pinned { .. } | Self::OffPin { .. } => "pinned",
            Self::Mandatory { .. } => "mandatory_release",
            Self::ContentPaused { .. } => "content_paused",
            Self::ContentDelayed { .. } => "content_delayed",
            Self::Ring { .. } => "ring_waits",
            Self::Paused { .. } => "rollout_paused",
            Self::Concurrent { .. } => "cap_concurrent",
            Self::PerHour { .. } => "cap_per_hour",
        }
    }

    /// When it changes by itself, as far as that is known.
    #[must_use]
    pub const fn until(&self) -> Option<Timestamp> {
        match self {
            Self::ContentDelayed { until, .. } | Self::PerHour { until, .. } => Some(*until),
            _ => None,
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked { name, why } => write!(f, "the block `{name}` keeps it away{}", because(why)),
            Self::Pinned { name, version, why } => {
                write!(f, "the pin `{name}` keeps it at {version}{}", because(why))
            }
            Self::RunsBlocked { name, version, why } => {
                let why = because(why);
                write!(
                    f,
                    "the block `{name}` does not take {version} away{why}: nothing leads down but a halt"
                )
            }
            Self::OffPin { name, version, off, why } => {
                let why = because(why);
                match off {
                    OffPin::RunsNewer(runs) => write!(
                        f,
                        "the pin `{name}` names {version}{why}, and does not take {runs} away: nothing leads down but a halt"
                    ),
                    OffPin::RanNewer(ran) => write!(
                        f,
                        "the pin `{name}` names {version}{why}, and it ran {ran} before, below which nothing is installed"
                    ),
                    OffPin::NotApproved => {
                        write!(f, "the pin `{name}` names {version}{why}, which is not approved for it")
                    }
                }
            }
            Self::Mandatory { version } => {
                write!(f, "it has to pass through {version} first, which is not approved for it")
            }
            Self::ContentPaused { by } => {
                write!(f, "signature files are paused for it by the settings of {by}")
            }
            Self::ContentDelayed { until, by } => {
                write!(f, "signature files are delayed for it until {until} by the settings of {by}")
            }
            Self::Ring { rollout, name, .. } => {
                write!(f, "it is in the ring `{name}` of rollout {rollout}, which has not opened")
            }
            Self::Paused { rollout } => write!(f, "rollout {rollout} is paused"),
            Self::Concurrent { rollout, cap } => write!(
                f,
                "at most {cap} computers install at one time in its ring of rollout {rollout}, and so many do"
            ),
            Self::PerHour { rollout, cap, until } => write!(
                f,
                "at most {cap} computers are told in one hour in its ring of rollout {rollout}; the next hour begins \
                 at {until}"
            ),
        }
    }
}

fn because(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(" ({})", escape(why)) }
}
