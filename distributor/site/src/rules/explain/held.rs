//! What holds a release back from a computer, or lets it wait there, in words, and until when.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::wire::contact::{InstalledPackage, Postponed, PostponedBy};
use sealpost_manifests::wire::report::{InstallStep, Outcome, Report};
use serde::{Deserialize, Serialize};

use crate::rules::assignment::{Choice, Told};
use crate::rules::release::KnownRelease;
use crate::rules::rollouts::delivery::ContentSetBy;
use crate::rules::rollouts::gate::Held;
use crate::rules::rollouts::progress::{AdvanceFacts, Rollout, Waiting, advance};
use crate::rules::rollouts::strategy::Ring;
use crate::rules::text::{Counted, Span, escape};

/// Longest pause between two tries of a computer that is believed: agents make none above four hours, and clocks differ.
const MAX_PAUSE: SignedDuration = SignedDuration::from_hours(24);

/// When the sentence will be another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangesWhen {
    /// When the vendor publishes and an admin approves something new.
    NewRelease,
    /// When the computer contacts the server.
    Contact,
    /// When an admin does something.
    Admin,
    /// When the vendor renews the license or ships another release.
    Vendor,
    /// When a rollout goes on, or its window opens.
    Rollout,
}

/// Why a computer does not run what it could, as one part of its sentence.
#[derive(Debug)]
pub(super) struct Reason {
    pub(super) text: String,
    /// What brings another sentence.
    pub(super) changes: ChangesWhen,
    /// At what time, if the text names one.
    pub(super) at: Option<Timestamp>,
}

impl Reason {
    /// One that names no time.
    pub(super) fn new(text: impl Into<String>, changes: ChangesWhen) -> Self {
        Self { text: text.into(), changes, at: None }
    }

    /// The same with the time that it names, if it does.
    pub(super) fn at(self, at: Option<Timestamp>) -> Self {
        Self { at, ..self }
    }
}

/// A release that a computer may have and does not get now.
#[derive(Debug, Clone)]
pub struct Waits<'a> {
    /// The release.
    pub release: &'a KnownRelease,
    /// Why.
    pub held: Held,
    /// The rollout that it waits for, as far as that is.
    pub rollout: Option<&'a Rollout>,
    /// Whether the computer runs the release all the same.
    pub runs: bool,
}

impl<'a> Waits<'a> {
    /// What of a choice is held back.
    pub(super) fn of(
        choice: &Choice<'a>,
        installed: &[InstalledPackage],
        rollouts: &'a [Rollout],
    ) -> Option<Self> {
        let held = choice.held.clone()?;
        let rollout = Self::rollout_of(&held)
            .and_then(|number| rollouts.iter().find(|rollout| rollout.number == number));
        let runs = installed.iter().any(|runs| runs.manifest == choice.newest.manifest);
        Some(Self { release: choice.newest, held, rollout, runs })
    }

    /// The number of the rollout that holds something back, if one does.
    pub(super) const fn rollout_of(held: &Held) -> Option<u64> {
        match held {
            Held::Ring { rollout, .. }
            | Held::Paused { rollout }
            | Held::Concurrent { rollout, .. }
            | Held::PerHour { rollout, .. } => Some(*rollout),
            _ => None,
        }
    }

    /// When it changes by itself, where that can be said. A soak goes on only while the server runs.
    pub(super) fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let soak = match (self.rollout, &self.held) {
            (Some(rollout), Held::Ring { ring, .. }) => {
                let next = rollout.current_ring().map_or(0, |current| current + 1);
                match waiting(rollout) {
                    Some(Waiting::Soak { left, .. }) if usize::try_from(*ring) == Ok(next) => {
                        now.checked_add(left).ok()
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        self.held.until().or(soak)
    }

    /// What changes it.
    pub(super) const fn changes(&self) -> ChangesWhen {
        match self.held {
            Held::Blocked { .. }
            | Held::RunsBlocked { .. }
            | Held::Pinned { .. }
            | Held::OffPin { .. }
            | Held::Mandatory { .. }
            | Held::ContentPaused { .. }
            | Held::Paused { .. } => ChangesWhen::Admin,
            Held::ContentDelayed { .. }
            | Held::Ring { .. }
            | Held::Concurrent { .. }
            | Held::PerHour { .. } => ChangesWhen::Rollout,
        }
    }
}

impl<'a> Waits<'a> {
    /// What the sentence begins with; empty where the computer runs the release.
    pub(super) fn lead(&self) -> String {
        if self.runs {
            String::new()
        } else {
            format!("it does not get {} yet: ", self.release.release.version)
        }
    }

    /// The rest of it. For a ring it is the same for each computer that waits in it.
    pub(super) const fn why(&self) -> Why<'_, 'a> {
        Why(self)
    }
}

/// What stands behind the sentence about what it runs.
impl fmt::Display for Waits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.lead(), self.why())
    }
}

/// Why a release is held back, without which one.
pub(super) struct Why<'w, 'a>(&'w Waits<'a>);

impl fmt::Display for Why<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Waits { held, rollout, .. } = self.0;
        write!(f, "{held}")?;
        match (*rollout, held) {
            (Some(rollout), Held::Ring { .. }) => {
                let waiting = waiting(rollout);
                write!(f, ": {}", WaitsFor { rollout, waiting })
            }
            (Some(Rollout { changed: Some(changed), number, .. }), Held::Paused { .. }) => {
                let (who, why) = (crate::rules::account::named(&changed.by), escape(&changed.why));
                write!(
                    f,
                    " by {who} since {} ({why}); `distributor rollouts resume {number}` lets it go on",
                    changed.at
                )
            }
            (_, Held::ContentPaused { by: ContentSetBy::Group(group) }) => {
                write!(f, "; `distributor groups add {group} --content general --why TEXT` lets them come")
            }
            _ => Ok(()),
        }
    }
}

/// What a rollout waits for, as far as can be said without a look at all computers.
fn waiting(rollout: &Rollout) -> Option<Waiting> {
    advance(rollout, &AdvanceFacts { populations: None, overtaken_by: None }).err()
}

/// What a rollout waits for, in words.
#[must_use]
pub fn waits_for(rollout: &Rollout, waiting: Option<Waiting>) -> String {
    WaitsFor { rollout, waiting }.to_string()
}

/// The same, for a sentence that is written at one go.
struct WaitsFor<'a> {
    rollout: &'a Rollout,
    waiting: Option<Waiting>,
}

impl fmt::Display for WaitsFor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rollout, waiting } = self;
        let number = rollout.number;
        match *waiting {
            None => f.write_str("it goes on at once"),
            Some(Waiting::Survey) => match rollout.current_ring() {
                None => f.write_str("its first ring opens within a minute"),
                Some(ring) => sample(f, rollout, ring, None),
            },
            Some(Waiting::Soak { ring, left }) => write!(
                f,
                "the ring `{}` is watched for {} more; the next one opens then, if all goes well",
                rollout.ring_name(ring),
                Span(left)
            ),
            Some(Waiting::Sample { ring, needed, .. }) => sample(f, rollout, ring, Some(needed)),
            Some(Waiting::Gate { ring, succeeded, finished }) => write!(
                f,
                "in the ring `{}` only {succeeded} of {finished} succeeded: see `distributor rollouts show {number}`",
                rollout.ring_name(ring)
            ),
            Some(Waiting::Capped { waiting, .. }) => {
                write!(f, "{} behind its caps", Counted(waiting, "computer waits", "computers wait"))
            }
            Some(Waiting::Overtaken { by }) => write!(f, "rollout {by}, which is newer, passed first"),
            Some(Waiting::Person) => {
                write!(f, "it is {}: see `distributor rollouts show {number}`", rollout.state)
            }
        }
    }
}

fn sample(f: &mut fmt::Formatter<'_>, rollout: &Rollout, ring: usize, needed: Option<u64>) -> fmt::Result {
    let (name, number) = (rollout.ring_name(ring), rollout.number);
    let counts = rollout.rings.get(ring).map(|ring| ring.counts).unwrap_or_default();
    let plan = rollout.strategy.rings().get(ring).map_or(1, |ring| u64::from(ring.minimum_sample));
    let soak = rollout.strategy.rings().get(ring).map(Ring::soak).unwrap_or_default();
    let begins = rollout.rings.get(ring).is_some_and(|ring| ring.soaked.is_zero()) && !soak.is_zero();
    write!(
        f,
        "in the ring `{name}` {} of {} have finished, and {} on it",
        counts.finished(),
        Counted(needed.unwrap_or(plan), "computer that has to", "computers that have to"),
        Counted(counts.under_way(), "computer works", "computers work")
    )?;
    if begins {
        write!(f, "; it is watched for {} from the first one on", Span(soak))?;
    }
    write!(f, ": `distributor rollouts next {number}` goes on without them")
}

/// Why a computer that was told does not install yet.
pub(super) fn waits_there(
    told: &Told<'_>,
    last_report: Option<&Report>,
    postponed: Option<&Postponed>,
    now: Timestamp,
) -> Option<(String, ChangesWhen)> {
    let schedule = &told.schedule;
    // What is made ready ahead of its time is reported too, and waits all the same.
    let made_ready = |report: &Report| {
        let before_the_stop = matches!(
            report.step,
            InstallStep::Check | InstallStep::Download | InstallStep::Build | InstallStep::TestLoad
        );
        before_the_stop && report.outcome == Outcome::Ok
    };
    let begun = last_report.is_some_and(|report| {
        report.manifest == told.release.manifest && report.attempt >= told.attempt && !made_ready(report)
    });
    if let Some(put_off) = put_off(told, postponed, now) {
        let at = put_off.until;
        let text = match put_off.by {
            PostponedBy::Person => format!("a person there put it off until {at}"),
            PostponedBy::Product => {
                format!("the product there was not ready for it, and is asked again at {at}")
            }
            PostponedBy::Link => {
                format!("other computers use the link to the server, and it asks for its turn again at {at}")
            }
            by => format!("it is put off there until {at} ({by})"),
        };
        return Some((text, ChangesWhen::Rollout));
    }
    if begun {
        return None;
    }
    let opens = schedule.install_from.filter(|opens| *opens > now);
    let deadline = schedule.deadline.filter(|deadline| *deadline > now);
    // What is overdue waits neither for a window nor for a person.
    if schedule.deadline.is_some() && deadline.is_none() {
        return None;
    }
    if let Some(opens) = opens {
        let text = match deadline.filter(|deadline| *deadline < opens) {
            Some(deadline) => format!(
                "it is told, and installs at its deadline, {deadline}, before its window opens at {opens}"
            ),
            None => format!("it is told, and its window opens at {opens}"),
        };
        return Some((text, ChangesWhen::Rollout));
    }
    schedule.by_person.then(|| {
        let package = &told.release.release.package;
        let by_itself = deadline.map(|at| format!(", or it installs by itself at its deadline, {at}"));
        let text = format!(
            "it is told, and a person there starts it with `agent-updater install {package}`{}",
            by_itself.unwrap_or_default()
        );
        (text, ChangesWhen::Contact)
    })
}

/// Until when a computer that was told waits: for what is put off there, else for its window or its deadline, whichever is first.
pub(super) fn waits_until(
    told: &Told<'_>,
    last_report: Option<&Report>,
    postponed: Option<&Postponed>,
    now: Timestamp,
) -> Option<Timestamp> {
    waits_there(told, last_report, postponed, now)?;
    if let Some(put_off) = put_off(told, postponed, now) {
        return Some(put_off.until);
    }
    let schedule = &told.schedule;
    [schedule.install_from, schedule.deadline].into_iter().flatten().filter(|at| *at > now).min()
}

/// What somebody or something there puts off now. A pause after a failure is none of it: it goes with the report of that.
pub(super) fn put_off<'p>(
    told: &Told<'_>,
    postponed: Option<&'p Postponed>,
    now: Timestamp,
) -> Option<&'p Postponed> {
    let of_it = postponed.filter(|put_off| put_off.manifest == told.release.manifest);
    of_it.filter(|put_off| put_off.until > now && put_off.by != PostponedBy::BackOff)
}

/// When the computer tries again by itself what failed there. Its word, by its clock: what is further off than a pause can be is
/// not repeated.
pub(super) fn tries_again_at(
    told: &Told<'_>,
    postponed: Option<&Postponed>,
    now: Timestamp,
) -> Option<Timestamp> {
    let of_it = postponed.filter(|put_off| put_off.manifest == told.release.manifest)?;
    let is_pause = of_it.until > now && of_it.until.duration_since(now) <= MAX_PAUSE;
    (of_it.by == PostponedBy::BackOff && is_pause).then_some(of_it.until)
}
