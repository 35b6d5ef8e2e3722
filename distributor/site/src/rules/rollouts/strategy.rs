//! Strategies: the rings through which a release goes, and what has to hold before the next one opens.
//!
//! Invariant: a strategy that exists has at least one ring, its last ring takes every computer, no two rings have one name,
//! and each number is within its bounds. A rollout keeps a copy of the strategy that it started with.

use std::collections::BTreeSet;
use std::fmt;

use jiff::SignedDuration;
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::word::Word;
use serde::{Deserialize, Serialize};

use super::groups::GroupName;
use super::share::Share;

/// Most rings of one strategy.
pub const MAX_RINGS: usize = 16;
/// Longest soak of one ring: 30 days, in minutes.
pub const MAX_SOAK_MINUTES: u32 = 30 * 24 * 60;
/// Highest number of computers that a ring may name.
pub const MAX_COMPUTERS: u32 = 1_000_000;

/// How a release goes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StrategyText", into = "StrategyText")]
pub struct Strategy {
    rings: Vec<Ring>,
    on_failure: OnFailure,
    deadline_hours: Option<u32>,
}

/// As it is stored and written in a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StrategyText {
    #[serde(default, skip_serializing_if = "OnFailure::is_default")]
    on_failure: OnFailure,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline_hours: Option<u32>,
    rings: Vec<Ring>,
}

/// What happens when a ring goes past its error threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The release is halted: nobody gets it from then on, and who runs it keeps it.
    #[default]
    Halt,
    /// It is halted, and the computers that run it are told to go back to what they ran before.
    RollBack,
}

impl OnFailure {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ring {
    /// Its name, unique within the strategy.
    pub name: Word,
    /// Which computers it takes, of those that no ring before it takes.
    pub takes: Takes,
    /// How long the ring is watched before the next one opens, in minutes. Only time in which the server ran counts.
    #[serde(default)]
    pub soak_minutes: u32,
    /// So many computers have to have finished, well or not, before the next ring opens; all, if the ring has fewer.
    #[serde(default = "one")]
    pub minimum_sample: u32,
    /// So many percent of those that finished have to have succeeded.
    #[serde(default = "default_gate")]
    pub success_percent: u8,
    /// When the release is halted.
    #[serde(default)]
    pub errors: ErrorThreshold,
    /// Most computers that install at one time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u32>,
    /// Most computers that are told in one hour of the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<u32>,
}

/// Which computers belong to a ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Takes {
    /// So many computers: those with the lowest places among all that get the release. They are the same in each rollout.
    First(u32),
    /// This share of all computers, by their places: 10 % are also among the first 20 %.
    Share(#[serde(with = "share_text")] Share),
    /// The computers of a group.
    Group(GroupName),
    /// Every computer.
    Everyone,
}

/// Both have to be reached: a share alone would halt at the first failure of a small ring, a count alone at the ordinary
/// failures of a large one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorThreshold {
    /// So many computers failed.
    pub count: u32,
    /// They are so many percent of those that finished.
    pub percent: u8,
}

impl Default for ErrorThreshold {
    fn default() -> Self {
        Self { count: 1, percent: 10 }
    }
}

impl ErrorThreshold {
    /// Whether so many failures of so many that finished reach it.
    #[must_use]
    pub fn is_reached(self, failed: u64, finished: u64) -> bool {
        failed >= u64::from(self.count) && failed * 100 >= finished * u64::from(self.percent)
    }
}

const fn one() -> u32 {
    1
}

const fn default_gate() -> u8 {
    90
}

/// Why a text is no strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrategyError {
    /// It has no ring, or too many.
    #[error("a strategy has 1 to {MAX_RINGS} rings, and this one has {0}")]
    Rings(usize),
    /// The last ring leaves somebody out.
    #[error("the last ring `{0}` has to take everyone: write `takes = \"everyone\"`")]
    LastRing(Word),
    /// A ring that would be reached by nobody.
    #[error("the ring `{0}` takes everyone, so that the rings after it take nobody: put it last")]
    EveryoneBeforeLast(Word),
    /// Two rings have one name.
    #[error("two rings are named `{0}`")]
    SameName(Word),
    /// A number is out of its bounds.
    #[error("the ring `{ring}` says {field} = {found}, and {field} is {least} to {most}")]
    Number {
        /// The ring.
        ring: Word,
        /// Which number.
        field: &'static str,
        /// What stands there.
        found: u64,
        /// The least that is possible.
        least: u64,
        /// The most.
        most: u64,
    },
    /// The deadline is out of its bounds.
    #[error("deadline_hours = {0}, and deadline_hours is 1 to 8760")]
    Deadline(u32),
}

impl TryFrom<StrategyText> for Strategy {
    type Error = StrategyError;

    fn try_from(text: StrategyText) -> Result<Self, StrategyError> {
        Self::new(text.rings, text.on_failure, text.deadline_hours)
    }
}

impl From<Strategy> for StrategyText {
    fn from(strategy: Strategy) -> Self {
        let Strategy { rings, on_failure, deadline_hours } = strategy;
        Self { on_failure, deadline_hours, rings }
    }
}

impl Strategy {
    /// Puts rings together. `deadline_hours` is how long after its turn a computer has at most until it installs whatever its
    /// window or its user says.
    ///
    /// # Errors
    /// [`StrategyError`], for the first thing that does not hold.
    pub fn new(
        rings: Vec<Ring>,
        on_failure: OnFailure,
        deadline_hours: Option<u32>,
    ) -> Result<Self, StrategyError> {
        let Some((last, before)) = rings.split_last().filter(|_| rings.len() <= MAX_RINGS) else {
            return Err(StrategyError::Rings(rings.len()));
        };
        if last.takes != Takes::Everyone {
            return Err(StrategyError::LastRing(last.name));
        }
        if let Some(early) = before.iter().find(|ring| ring.takes == Takes::Everyone) {
            return Err(StrategyError::EveryoneBeforeLast(early.name));
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = rings.iter().find(|ring| !names.insert(ring.name)) {
            return Err(StrategyError::SameName(twice.name));
        }
        rings.iter().try_for_each(Ring::check)?;
        match deadline_hours {
            Some(hours) if !(1..=8760).contains(&hours) => Err(StrategyError::Deadline(hours)),
            _ => Ok(Self { rings, on_failure, deadline_hours }),
        }
    }

    /// Its rings, in the order in which they open; the last one takes everyone.
    #[must_use]
    pub fn rings(&self) -> &[Ring] {
        &self.rings
    }

    /// What happens past an error threshold.
    #[must_use]
    pub const fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    /// How long a computer has from its turn on.
    #[must_use]
    pub fn deadline(&self) -> Option<SignedDuration> {
        self.deadline_hours.map(|hours| SignedDuration::from_hours(i64::from(hours)))
    }

    /// Whether a computer of a ring, from 0, has its turn in the same way under another strategy: whatever holds before its ring
    /// and in it is the same. Deadlines, which begin with its turn, are left out.
    #[must_use]
    pub fn leads_the_same(&self, other: &Self, ring: usize) -> bool {
        let Self { rings, on_failure, deadline_hours: _ } = self;
        *on_failure == other.on_failure && rings.get(..=ring) == other.rings.get(..=ring)
    }

    /// Whether it waits for nothing: every computer gets the release at once.
    #[must_use]
    pub fn is_immediate(&self) -> bool {
        matches!(self.rings.as_slice(), [ring] if ring.concurrent.is_none() && ring.per_hour.is_none()
            && ring.soak_minutes == 0)
    }

    /// One computer, a tenth, half, everyone, with long soaks: for what must not go wrong.
    #[must_use]
    pub fn careful() -> Self {
        Self::known(vec![
            Ring::known("canary", Takes::First(1), 24 * 60, 1, 1, 1),
            Ring::known("early", Takes::percent(10), 24 * 60, 5, 95, 2),
            Ring::known("half", Takes::percent(50), 48 * 60, 20, 97, 3),
            Ring::known("everyone", Takes::Everyone, 48 * 60, 1, 97, 5),
        ])
    }

    /// One computer for an hour, a tenth for four, then everyone: for programs.
    #[must_use]
    pub fn normal() -> Self {
        Self::known(vec![
            Ring::known("canary", Takes::First(1), 60, 1, 1, 1),
            Ring::known("early", Takes::percent(10), 4 * 60, 3, 90, 2),
            Ring::known("everyone", Takes::Everyone, 24 * 60, 1, 95, 5),
        ])
    }

    /// One computer for a quarter of an hour, a tenth for half an hour, then everyone: for signature files.
    #[must_use]
    pub fn signatures() -> Self {
        Self::known(vec![
            Ring::known("canary", Takes::First(1), 15, 1, 1, 1),
            Ring::known("early", Takes::percent(10), 30, 3, 90, 2),
            Ring::known("everyone", Takes::Everyone, 60, 1, 95, 5),
        ])
    }

    /// Every computer at its next contact.
    #[must_use]
    pub fn everyone_now() -> Self {
        Self::known(vec![Ring::known("everyone", Takes::Everyone, 0, 1, 1, 5)])
    }

    fn known(rings: Vec<Ring>) -> Self {
        Self { rings, on_failure: OnFailure::RollBack, deadline_hours: None }
    }
}

impl Ring {
    fn known(
        name: &'static str,
        takes: Takes,
        soak_minutes: u32,
        minimum_sample: u32,
        success_percent: u8,
        failures: u32,
    ) -> Self {
        Self {
            name: Word::known(name),
            takes,
            soak_minutes,
            minimum_sample,
            success_percent,
            errors: ErrorThreshold { count: failures, percent: 5 },
            concurrent: None,
            per_hour: None,
        }
    }

    /// How long it is watched.
    #[must_use]
    pub fn soak(&self) -> SignedDuration {
        SignedDuration::from_mins(i64::from(self.soak_minutes))
    }

    fn check(&self) -> Result<(), StrategyError> {
        let within = |field, found: u64, least: u64, most: u64| {
            if (least..=most).contains(&found) {
                return Ok(());
            }
            Err(StrategyError::Number { ring: self.name, field, found, least, most })
        };
        let computers = u64::from(MAX_COMPUTERS);
        if let Takes::First(count) = self.takes {
            within("first", count.into(), 1, computers)?;
        }
        within("soak_minutes", self.soak_minutes.into(), 0, MAX_SOAK_MINUTES.into())?;
        within("minimum_sample", self.minimum_sample.into(), 1, computers)?;
        within("success_percent", self.success_percent.into(), 1, 100)?;
        within("errors.count", self.errors.count.into(), 1, computers)?;
        within("errors.percent", self.errors.percent.into(), 0, 100)?;
        for (field, cap) in [("concurrent", self.concurrent), ("per_hour", self.per_hour)] {
            if let Some(cap) = cap {
                within(field, cap.into(), 1, computers)?;
            }
        }
        Ok(())
    }
}

/// A share as people write it: `10 %`, `0.5 %`.
mod share_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::rules::rollouts::share::Share;

    pub(super) fn serialize<S: Serializer>(share: &Share, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(share)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is no share: write it as `10 %`, from `0.01 %` to `100 %`"))
        })
    }

    fn parse(text: &str) -> Option<Share> {
        let number = text.strip_suffix('%')?.trim_end();
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 3 || part.len() > 2 || !plain(whole) || !plain(part) {
            return None;
        }
        let hundredths: u32 = format!("{part:0<2}").parse().ok()?;
        let whole: u32 = whole.parse().ok()?;
        Share::try_from(whole * 100 + hundredths).ok()
    }
}

impl Takes {
    /// A share in whole percent.
    #[must_use]
    pub fn percent(percent: u32) -> Self {
        Share::try_from(percent * 100).map_or(Self::Everyone, Self::Share)
    }

    /// The group that it names.
    #[must_use]
    pub const fn group(&self) -> Option<&GroupName> {
        match self {
            Self::Group(group) => Some(group),
            Self::First(_) | Self::Share(_) | Self::Everyone => None,
        }
    }
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First(1) => f.write_str("1 computer"),
            Self::First(count) => write!(f, "{count} computers"),
            Self::Share(share) => write!(f, "{share} of all"),
            Self::Group(group) => write!(f, "the group {group}"),
            Self::Everyone => f.write_str("everyone"),
        }
    }
}

/// The strategies that every site has. A site's own one of the same name goes before.
#[must_use]
pub fn built_in() -> [(Word, Strategy); 4] {
    [
        (Word::known("careful"), Strategy::careful()),
        (Word::known("normal"), Strategy::normal()),
        (Word::known("signatures"), Strategy::signatures()),
        (everyone_now(), Strategy::everyone_now()),
    ]
}

/// The name of the strategy that gives a release to every computer at once; it has to be chosen.
#[must_use]
pub fn everyone_now() -> Word {
    Word::known("everyone-now")
}

/// The strategy of a package of this kind, unless the site or the approval names another one.
#[must_use]
pub fn default_for(kind: PackageKind) -> Word {
    match kind {
        PackageKind::Signatures => Word::known("signatures"),
        _ => Word::known("normal"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(name: &'static str, takes: Takes) -> Ring {
        Ring::known(name, takes, 10, 1, 90, 1)
    }

    fn everyone() -> Ring {
        ring("everyone", Takes::Everyone)
    }

    #[test]
    fn the_strategies_that_every_site_has_are_strategies_and_read_back_the_same() {
        for (name, strategy) in built_in() {
            let made = Strategy::new(strategy.rings.clone(), strategy.on_failure, strategy.deadline_hours);
            assert_eq!(made.as_ref(), Ok(&strategy), "{name}");
            let text = serde_json::to_string(&strategy).unwrap();
            assert_eq!(serde_json::from_str::<Strategy>(&text).unwrap(), strategy, "{text}");
        }
        assert!(Strategy::everyone_now().is_immediate());
        assert!(!Strategy::normal().is_immediate() && !Strategy::signatures().is_immediate());
    }

    /// As the pages and the names promise it.
    #[test]
    fn the_strategies_that_every_site_has_go_as_far_as_is_said_of_them() {
        let hours = 60;
        let (first, tenth, half) = (Takes::First(1), Takes::percent(10), Takes::percent(50));
        let all = Takes::Everyone;
        #[rustfmt::skip]
        let table = [
            ("careful", vec![(first.clone(), 24 * hours), (tenth.clone(), 24 * hours), (half, 48 * hours), (all.clone(), 48 * hours)]),
            ("everyone-now", vec![(all.clone(), 0)]),
            ("normal", vec![(first.clone(), hours), (tenth.clone(), 4 * hours), (all.clone(), 24 * hours)]),
            ("signatures", vec![(first, 15), (tenth, 30), (all, hours)]),
        ];
        let mut found: Vec<_> = built_in()
            .into_iter()
            .map(|(name, strategy)| {
                let rings = strategy.rings.iter().map(|ring| (ring.takes.clone(), ring.soak_minutes));
                assert_eq!(strategy.on_failure, OnFailure::RollBack, "{name}");
                (name.to_string(), rings.collect::<Vec<_>>())
            })
            .collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(found, table.map(|(name, rings)| (name.to_owned(), rings)));
    }

    #[test]
    fn rings_that_leave_somebody_out_or_take_nobody_are_no_strategy() {
        let of = |rings| Strategy::new(rings, OnFailure::Halt, None).unwrap_err();
        assert_eq!(of(Vec::new()), StrategyError::Rings(0));
        assert_eq!(of(vec![everyone(); MAX_RINGS + 1]), StrategyError::Rings(MAX_RINGS + 1));
        assert_eq!(of(vec![ring("a", Takes::First(1))]), StrategyError::LastRing(Word::known("a")));
        let twice = vec![ring("a", Takes::First(1)), ring("a", Takes::First(2)), everyone()];
        assert_eq!(of(twice), StrategyError::SameName(Word::known("a")));
        let early = vec![ring("a", Takes::Everyone), everyone()];
        assert_eq!(of(early), StrategyError::EveryoneBeforeLast(Word::known("a")));
    }

    #[test]
    fn numbers_out_of_their_bounds_are_named() {
        let of = |change: fn(&mut Ring)| {
            let mut ring = everyone();
            change(&mut ring);
            Strategy::new(vec![ring], OnFailure::Halt, None).unwrap_err().to_string()
        };
        for (said, field) in [
            (of(|ring| ring.soak_minutes = MAX_SOAK_MINUTES + 1), "soak_minutes = 43201"),
            (of(|ring| ring.minimum_sample = 0), "minimum_sample = 0"),
            (of(|ring| ring.success_percent = 101), "success_percent = 101"),
            (of(|ring| ring.errors.count = 0), "errors.count = 0"),
            (of(|ring| ring.errors.percent = 101), "errors.percent = 101"),
            (of(|ring| ring.concurrent = Some(0)), "concurrent = 0"),
            (of(|ring| ring.per_hour = Some(0)), "per_hour = 0"),
        ] {
            assert!(said.contains(field), "{said}");
        }
        assert!(Strategy::new(vec![everyone()], OnFailure::Halt, Some(0)).is_err());
    }

    #[test]
    fn a_share_is_written_in_percent() {
        for (text, share) in
            [("10 %", 1_000), ("0.5%", 50), ("0.01 %", 1), ("100 %", 10_000), ("2.25 %", 225)]
        {
            let takes: Takes = serde_json::from_value(serde_json::json!({ "share": text })).unwrap();
            assert_eq!(takes, Takes::Share(Share::try_from(share).unwrap()), "{text}");
        }
        for text in ["10", "0 %", "101 %", "-1 %", "1.234 %", "1e1 %", " %", "1. 5 %"] {
            let read: Result<Takes, _> = serde_json::from_value(serde_json::json!({ "share": text }));
            assert!(read.is_err(), "{text}");
        }
    }

    #[test]
    fn a_threshold_wants_both_the_share_and_the_count() {
        let threshold = ErrorThreshold { count: 2, percent: 10 };
        for (failed, finished, reached) in
            [(0, 0, false), (1, 1, false), (2, 20, true), (2, 21, false), (3, 30, true), (2, 2, true)]
        {
            assert_eq!(threshold.is_reached(failed, finished), reached, "{failed} of {finished}");
        }
    }
}
