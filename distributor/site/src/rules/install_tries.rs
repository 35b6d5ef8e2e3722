//! Tries to install what is planned: which may begin, what one leaves behind, and when an unattended program takes it up again.
//!
//! Invariant: of one computer no two tries go on at the same time, whoever runs them: a try is begun here before anything is
//! done there. One of which nothing is heard counts as failed after [`REPORTS_WITHIN`], which is longer than any may take. One
//! that began longer ahead than that was noted by a clock that was wrong, and is not waited for.

use jiff::{SignedDuration, Timestamp};

use crate::rules::schedule::InstallOutcome;

/// A try that was not reported within this time counts as failed. The program that runs it gives up before.
pub const REPORTS_WITHIN: SignedDuration = SignedDuration::from_mins(30);
/// How long after the first failed try an unattended program tries again; doubled with each further one.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(15);
/// The longest of these pauses: a computer that is off over a weekend does not fill the log.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(4);
/// Longest reason that is kept of a try, in characters.
pub const MAX_REASON_CHARS: usize = 200;

/// An install that is planned, as far as it decides what is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstallPlan {
    /// Not before this time.
    pub at: Timestamp,
    /// Whether it goes over ssh; else an install file is carried there.
    pub over_ssh: bool,
    /// The last try.
    pub last: Option<LastTry>,
}

/// The last try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastTry {
    /// Which, from 1.
    pub attempt: u32,
    /// What became of it.
    pub outcome: InstallOutcome,
    /// When that was noted.
    pub at: Timestamp,
}

/// Where a planned install stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstallStanding {
    /// It waits for its time, or for whoever runs it.
    Scheduled,
    /// A try goes on.
    Installing {
        /// Since when.
        since: Timestamp,
    },
    /// The last try failed.
    Failed(InstallFailure),
}

/// How a try failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstallFailure {
    /// The host did not answer, or let nobody in.
    Unreachable,
    /// The host has another key than the one that was pinned.
    HostKeyChanged,
    /// The install itself failed.
    Failed,
    /// Whoever ran it did not report.
    NotReported,
    /// It went well, and no computer enrolled under the name.
    NotEnrolled,
}

impl InstallFailure {
    /// In a short word, as a column shows it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::HostKeyChanged => "host key changed",
            Self::Failed => "install failed",
            Self::NotReported => "not reported",
            Self::NotEnrolled => "not enrolled",
        }
    }
}

/// When a planned install is taken up by whoever runs what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextTry {
    /// From this time on.
    At(Timestamp),
    /// Only if somebody names it: what failed does not mend itself.
    ByName,
    /// Never: an install file is carried there.
    Carried,
}

/// Why a try does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimRefusal {
    /// A computer of the name is enrolled.
    Enrolled,
    /// Nothing is planned.
    NotPlanned,
    /// It does not go over ssh.
    Carried,
    /// Its time has not come.
    NotYet {
        /// When it comes.
        at: Timestamp,
    },
    /// Another try goes on.
    GoesOn {
        /// Since when.
        since: Timestamp,
    },
}

/// What becomes of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportDecision {
    /// It is noted.
    Note,
    /// It stands there already.
    Same,
    /// It is about no try that goes on.
    Refuse,
}

impl InstallPlan {
    /// Where it stands at `now`.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> InstallStanding {
        let Some(last) = self.last else { return InstallStanding::Scheduled };
        InstallStanding::Failed(match last.outcome {
            InstallOutcome::Started if last.goes_on(now) => {
                return InstallStanding::Installing { since: last.at };
            }
            InstallOutcome::Started => InstallFailure::NotReported,
            InstallOutcome::Installed => InstallFailure::NotEnrolled,
            InstallOutcome::Unreachable => InstallFailure::Unreachable,
            InstallOutcome::HostKeyChanged => InstallFailure::HostKeyChanged,
            InstallOutcome::Failed => InstallFailure::Failed,
        })
    }

    /// When whoever runs what is due takes it up, as it looks at `now`.
    #[must_use]
    pub fn next_try(&self, now: Timestamp) -> NextTry {
        if !self.over_ssh {
            return NextTry::Carried;
        }
        let Some(last) = self.last else { return NextTry::At(self.at) };
        match last.outcome {
            InstallOutcome::HostKeyChanged | InstallOutcome::Installed => NextTry::ByName,
            _ if last.is_ahead(now) => NextTry::At(self.at),
            InstallOutcome::Started => NextTry::At(last.ends()),
            InstallOutcome::Unreachable | InstallOutcome::Failed => {
                NextTry::At(after(last.at, pause(last.attempt)))
            }
        }
    }
}

impl LastTry {
    /// When it counts as failed if nothing is heard of it.
    fn ends(self) -> Timestamp {
        after(self.at, REPORTS_WITHIN)
    }

    fn goes_on(self, now: Timestamp) -> bool {
        now < self.ends() && !self.is_ahead(now)
    }

    /// Whether it was noted by a clock that was set back since.
    fn is_ahead(self, now: Timestamp) -> bool {
        after(now, REPORTS_WITHIN) <= self.at
    }
}

/// Which try begins now; `plan` is what is planned for the name, `enrolled` whether a computer of the name is enrolled.
///
/// # Errors
/// [`ClaimRefusal`].
pub fn claim(plan: Option<&InstallPlan>, enrolled: bool, now: Timestamp) -> Result<u32, ClaimRefusal> {
    if enrolled {
        return Err(ClaimRefusal::Enrolled);
    }
    let plan = plan.ok_or(ClaimRefusal::NotPlanned)?;
    if !plan.over_ssh {
        return Err(ClaimRefusal::Carried);
    }
    if now < plan.at {
        return Err(ClaimRefusal::NotYet { at: plan.at });
    }
    match plan.standing(now) {
        InstallStanding::Installing { since } => Err(ClaimRefusal::GoesOn { since }),
        InstallStanding::Scheduled | InstallStanding::Failed(_) => {
            Ok(plan.last.map_or(1, |last| last.attempt.saturating_add(1)))
        }
    }
}

/// Whether what somebody says of a try is noted. Once the computer is enrolled nothing is planned any more, and whatever its try
/// says is still worth an entry.
#[must_use]
pub fn report(
    plan: Option<&InstallPlan>,
    enrolled: bool,
    attempt: u32,
    outcome: InstallOutcome,
) -> ReportDecision {
    match plan.and_then(|plan| plan.last) {
        _ if outcome == InstallOutcome::Started => ReportDecision::Refuse,
        Some(last) if last.attempt != attempt => ReportDecision::Refuse,
        Some(last) if last.outcome == InstallOutcome::Started => ReportDecision::Note,
        Some(last) if last.outcome == outcome => ReportDecision::Same,
        Some(_) => ReportDecision::Refuse,
        None if enrolled => ReportDecision::Note,
        None => ReportDecision::Refuse,
    }
}

fn pause(attempt: u32) -> SignedDuration {
    let doubled = 1_i32.checked_shl(attempt.saturating_sub(1)).filter(|factor| *factor > 0);
    doubled
        .and_then(|factor| FIRST_PAUSE.checked_mul(factor))
        .map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE))
}

fn after(at: Timestamp, pause: SignedDuration) -> Timestamp {
    at.checked_add(pause).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    fn tried(attempt: u32, outcome: InstallOutcome, minute: i64) -> Option<LastTry> {
        Some(LastTry { attempt, outcome, at: at(minute) })
    }

    #[test]
    fn each_plan_stands_somewhere_and_is_claimed_or_refused_on_either_side_of_its_bound() {
        use ClaimRefusal::{GoesOn, NotYet};
        use InstallFailure as Is;
        use InstallOutcome::{Failed, HostKeyChanged, Installed, Started, Unreachable};
        use InstallStanding::{Failed as Fell, Installing, Scheduled};
        let since = at(100);
        let later = |minutes| NextTry::At(at(minutes));
        let cases = [
            ("before its time", None, 99, Scheduled, Err(NotYet { at: at(100) }), later(100)),
            ("at its time", None, 100, Scheduled, Ok(1), later(100)),
            ("long after", None, 90_000, Scheduled, Ok(1), later(100)),
            ("begun", tried(1, Started, 100), 100, Installing { since }, Err(GoesOn { since }), later(130)),
            ("begun", tried(1, Started, 100), 129, Installing { since }, Err(GoesOn { since }), later(130)),
            // The clock went back a little, and by more than a try may take.
            (
                "ahead",
                tried(1, Started, 150),
                121,
                Installing { since: at(150) },
                Err(GoesOn { since: at(150) }),
                later(180),
            ),
            ("far ahead", tried(1, Started, 150), 120, Fell(Is::NotReported), Ok(2), later(100)),
            ("far ahead", tried(9, Unreachable, 90_000), 120, Fell(Is::Unreachable), Ok(10), later(100)),
            (
                "far ahead, by another host",
                tried(1, HostKeyChanged, 90_000),
                120,
                Fell(Is::HostKeyChanged),
                Ok(2),
                NextTry::ByName,
            ),
            ("not heard of", tried(1, Started, 100), 130, Fell(Is::NotReported), Ok(2), later(130)),
            ("off", tried(1, Unreachable, 100), 100, Fell(Is::Unreachable), Ok(2), later(115)),
            ("off again", tried(2, Unreachable, 100), 100, Fell(Is::Unreachable), Ok(3), later(130)),
            ("failed", tried(4, Failed, 100), 101, Fell(Is::Failed), Ok(5), later(220)),
            ("for days", tried(5, Failed, 100), 101, Fell(Is::Failed), Ok(6), later(340)),
            ("for years", tried(999, Failed, 100), 101, Fell(Is::Failed), Ok(1_000), later(340)),
            ("for ever", tried(u32::MAX, Failed, 100), 101, Fell(Is::Failed), Ok(u32::MAX), later(340)),
            (
                "another host",
                tried(1, HostKeyChanged, 100),
                999,
                Fell(Is::HostKeyChanged),
                Ok(2),
                NextTry::ByName,
            ),
            ("elsewhere", tried(1, Installed, 100), 999, Fell(Is::NotEnrolled), Ok(2), NextTry::ByName),
        ];
        for (what, last, minute, standing, claimed, next) in cases {
            let plan = InstallPlan { at: at(100), over_ssh: true, last };
            assert_eq!(plan.standing(at(minute)), standing, "{what}");
            assert_eq!(claim(Some(&plan), false, at(minute)), claimed, "{what}");
            assert_eq!(plan.next_try(at(minute)), next, "{what}");
            assert_eq!(claim(Some(&plan), true, at(minute)), Err(ClaimRefusal::Enrolled), "{what}");
            let carried = InstallPlan { over_ssh: false, ..plan };
            assert_eq!(claim(Some(&carried), false, at(minute)), Err(ClaimRefusal::Carried), "{what}");
            assert_eq!(carried.next_try(at(minute)), NextTry::Carried, "{what}");
        }
        assert_eq!(claim(None, false, at(0)), Err(ClaimRefusal::NotPlanned));
    }

    #[test]
    fn a_report_is_noted_of_the_try_that_goes_on_and_of_no_other() {
        use InstallOutcome::{Failed, HostKeyChanged, Installed, Started, Unreachable};
        use ReportDecision::{Note, Refuse, Same};
        for outcome in [Installed, Unreachable, HostKeyChanged, Failed] {
            let said = |last: Option<LastTry>, enrolled, attempt| {
                let plan = InstallPlan { at: at(0), over_ssh: true, last };
                report(Some(&plan), enrolled, attempt, outcome)
            };
            assert_eq!(said(None, false, 1), Refuse, "none began");
            assert_eq!(said(tried(3, Started, 0), false, 3), Note);
            assert_eq!(said(tried(3, Started, 0), false, 2), Refuse, "one of before");
            assert_eq!(said(tried(3, Started, 0), false, 4), Refuse, "one to come");
            assert_eq!(said(tried(3, outcome, 0), false, 3), Same, "the answer was lost");
            let other = if outcome == Failed { Installed } else { Failed };
            assert_eq!(said(tried(3, other, 0), false, 3), Refuse, "it ended otherwise");
            assert_eq!(report(None, true, 3, outcome), Note, "the computer came meanwhile");
            assert_eq!(report(None, false, 3, outcome), Refuse, "it was called off");
        }
        let plan = InstallPlan { at: at(0), over_ssh: true, last: tried(3, Started, 0) };
        assert_eq!(report(Some(&plan), false, 3, Started), Refuse);
        assert_eq!(report(None, true, 3, Started), Refuse);
    }

    /// Numbers that look like chance.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, most: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % most
        }
    }

    /// Two admins whose programs run at once, for days; each gives up within 25 minutes, or dies and never says a word.
    #[test]
    fn no_two_programs_install_one_computer_at_the_same_time() {
        let outcomes = [
            InstallOutcome::Installed,
            InstallOutcome::Unreachable,
            InstallOutcome::HostKeyChanged,
            InstallOutcome::Failed,
        ];
        for seed in 1..200 {
            let mut dice = Dice(seed * 7_919);
            let mut plan = InstallPlan { at: at(0), over_ssh: true, last: None };
            // The attempt that each runs, and until when it is alive.
            let mut running: [Option<(u32, i64)>; 2] = [None, None];
            let (mut minute, mut claims, mut last_attempt) = (0, 0, 0);
            for _ in 0..600 {
                minute += i64::try_from(dice.below(7)).unwrap();
                let who = usize::from(dice.below(2) == 0);
                for run in &mut running {
                    // It is killed: nothing is reported.
                    *run = run.filter(|(_, until)| *until > minute);
                }
                match running[who] {
                    None => {
                        if let Ok(attempt) = claim(Some(&plan), false, at(minute)) {
                            assert!(running[1 - who].is_none(), "seed {seed}: both run at minute {minute}");
                            assert_eq!(attempt, last_attempt + 1, "seed {seed}");
                            (last_attempt, claims) = (attempt, claims + 1);
                            plan.last = tried(attempt, InstallOutcome::Started, minute);
                            let until = minute + 1 + i64::try_from(dice.below(25)).unwrap();
                            running[who] = Some((attempt, until));
                        }
                    }
                    Some((attempt, _)) if dice.below(3) == 0 => {
                        let outcome = outcomes[usize::try_from(dice.below(4)).unwrap()];
                        assert_eq!(report(Some(&plan), false, attempt, outcome), ReportDecision::Note);
                        plan.last = tried(attempt, outcome, minute);
                        running[who] = None;
                    }
                    Some(_) => {}
                }
            }
            assert!(claims > 10, "seed {seed}: only {claims} tries");
        }
    }
}
