//! What a program of the agent does when it is started as `run`: be the daemon, execute another program in its place,
//! or watch one that is on trial.
//!
//! Invariant: following the decisions from program to program comes to an end: a program never executes itself, and the
//! one that is executed finds nothing newer in the same record.

use std::fmt;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::version::Version;
use serde::{Deserialize, Serialize};

use super::record::{SelfRecord, SlotProgram};

/// Which program this process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Me {
    /// None that the record names: the one of the operating system's package, with its version.
    Packaged(String),
    /// A slot program, by the digest of its manifest; also one that the record does not name any more.
    Slot(Sha256Digest),
}

/// Whether a watchdog is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watchdog {
    AtWork,
    None,
}

/// What a program that was started as `run` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launch {
    /// Be the daemon, for this reason.
    Here(Why),
    /// Execute this program in the place of this one.
    Execute(Box<SlotProgram>),
    /// Execute the packaged program in the place of this one: no slot program is to run any more.
    ExecutePackaged,
    /// Watch the program that is on trial.
    Watch,
    /// End the trial: the packaged program is newer than the one on trial.
    Supersede,
}

/// Why this program is the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No other is in force: none was confirmed, or it was gone back from.
    Packaged,
    /// A slot program was confirmed, and is older.
    PackagedIsNewer,
    Confirmed,
    OnTrial,
    /// The one that should run cannot be executed.
    OtherUnusable,
    /// The packaged one should run, and cannot be executed before the service is started anew.
    PackagedUnusable,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Packaged => "the packaged program, because no update of the agent is in force",
            Self::PackagedIsNewer => "the packaged program, because it is newer than the confirmed update",
            Self::Confirmed => "the last update of the agent that was confirmed",
            Self::OnTrial => "an update of the agent that is on trial",
            Self::OtherUnusable => {
                "this program, because the update of the agent that should run cannot be executed"
            }
            Self::PackagedUnusable => {
                "an update of the agent that was given up, until the agent's service is restarted"
            }
        })
    }
}

/// Decides by the record, and by which program this is.
#[must_use]
pub fn launch(record: &SelfRecord, me: &Me, watchdog: Watchdog) -> Launch {
    let is_me = |program: &SlotProgram| *me == Me::Slot(*program.manifest());
    if let Some(trial) = &record.trial {
        if is_me(&trial.to) && watchdog == Watchdog::AtWork {
            return Launch::Here(Why::OnTrial);
        }
        if is_newer(me, &trial.to.installed.release.version) {
            return Launch::Supersede;
        }
        return match &trial.from {
            Some(from) if !is_me(from) => Launch::Execute(Box::new(from.clone())),
            _ => Launch::Watch,
        };
    }
    match &record.stable {
        None if matches!(me, Me::Slot(_)) => Launch::ExecutePackaged,
        None => Launch::Here(Why::Packaged),
        Some(stable) if is_me(stable) => Launch::Here(Why::Confirmed),
        Some(stable) if is_newer(me, &stable.installed.release.version) => Launch::Here(Why::PackagedIsNewer),
        Some(stable) => Launch::Execute(Box::new(stable.clone())),
    }
}

/// Whether this is a packaged program of a version above another one.
#[must_use]
pub fn is_newer(me: &Me, than: &Version) -> bool {
    let Me::Packaged(version) = me else { return false };
    match (numbers(version), numbers(than.as_str())) {
        (Some(mine), Some(other)) => mine > other,
        // Versions are names; of two that are not numbers nobody knows which is newer.
        _ => false,
    }
}

/// The numbers of a version such as `1.2.3`, without zeros at the end; what follows `-` or `+` counts for nothing.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let plain = version.split(['-', '+']).next().unwrap_or_default();
    let parts: Result<Vec<u64>, _> = plain.split('.').map(str::parse).collect();
    let mut numbers = parts.ok()?;
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use crate::domain::record::ChangeKind;
    use crate::domain::self_update::record::tests::{AT, program};

    use super::*;

    fn packaged(version: &str) -> Me {
        Me::Packaged(version.to_owned())
    }

    fn execute(version: &str) -> Launch {
        Launch::Execute(Box::new(program(version)))
    }

    fn slot(version: &str) -> Me {
        Me::Slot(*program(version).manifest())
    }

    fn stable(version: &str) -> SelfRecord {
        SelfRecord { stable: Some(program(version)), ..SelfRecord::default() }
    }

    #[test]
    fn without_a_confirmed_program_the_packaged_one_is_the_daemon() {
        assert_eq!(
            launch(&SelfRecord::default(), &packaged("1"), Watchdog::None),
            Launch::Here(Why::Packaged)
        );
    }

    #[test]
    fn a_slot_program_that_nothing_names_any_more_makes_way_for_the_packaged_one() {
        assert_eq!(launch(&SelfRecord::default(), &slot("1"), Watchdog::None), Launch::ExecutePackaged);
        // But the first trial of the next one is watched by whoever is there.
        let next = SelfRecord::default().on_trial(ChangeKind::Install, program("2"), AT);
        assert_eq!(launch(&next, &slot("1"), Watchdog::None), Launch::Watch);
    }

    #[test]
    fn a_confirmed_program_runs_in_the_place_of_every_other_but_of_a_newer_packaged_one() {
        let record = stable("1.2");
        assert_eq!(launch(&record, &slot("1.2"), Watchdog::None), Launch::Here(Why::Confirmed));
        for other in [packaged("1.1.9"), packaged("1.2"), packaged("1.2.0"), packaged("unknown"), slot("1.1")]
        {
            assert_eq!(launch(&record, &other, Watchdog::None), execute("1.2"), "{other:?}");
        }
        for newer in ["1.2.1", "1.10", "2"] {
            let launched = launch(&record, &packaged(newer), Watchdog::None);
            assert_eq!(launched, Launch::Here(Why::PackagedIsNewer), "{newer}");
        }
    }

    #[test]
    fn a_trial_is_watched_by_the_program_of_before_and_its_own_program_runs_only_under_a_watchdog() {
        let first = SelfRecord::default().on_trial(ChangeKind::Install, program("2"), AT);
        assert_eq!(launch(&first, &packaged("1"), Watchdog::None), Launch::Watch);
        assert_eq!(
            launch(&first, &packaged("1"), Watchdog::AtWork),
            Launch::Watch,
            "the lock refuses the second"
        );
        assert_eq!(launch(&first, &slot("2"), Watchdog::AtWork), Launch::Here(Why::OnTrial));
        assert_eq!(launch(&first, &slot("2"), Watchdog::None), Launch::Watch);
        let second = stable("2").on_trial(ChangeKind::Install, program("3"), AT);
        for other in [packaged("1"), slot("3")] {
            assert_eq!(launch(&second, &other, Watchdog::None), execute("2"), "{other:?}");
        }
        assert_eq!(launch(&second, &slot("2"), Watchdog::None), Launch::Watch);
    }

    #[test]
    fn a_packaged_program_that_is_newer_than_the_stable_one_watches_a_trial_itself() {
        let record = stable("1").on_trial(ChangeKind::Install, program("3"), AT).watched_by_packaged();
        assert_eq!(launch(&record, &packaged("2"), Watchdog::None), Launch::Watch);
    }

    #[test]
    fn a_newer_packaged_program_ends_a_trial() {
        let record = stable("2").on_trial(ChangeKind::Install, program("3"), AT);
        assert_eq!(launch(&record, &packaged("3.1"), Watchdog::None), Launch::Supersede);
        assert_eq!(launch(&record, &packaged("3"), Watchdog::None), execute("2"));
    }

    #[test]
    fn launching_from_program_to_program_ends_whatever_the_record_says() {
        let records = [
            SelfRecord::default(),
            stable("2"),
            stable("2").on_trial(ChangeKind::Install, program("3"), AT),
            stable("3").on_trial(ChangeKind::SiteRollback, program("2"), AT),
            stable("2").on_trial(ChangeKind::Install, program("2"), AT),
            SelfRecord::default().on_trial(ChangeKind::Install, program("3"), AT),
        ];
        for record in records {
            for first in [packaged("1"), packaged("2.5"), packaged("9"), slot("2"), slot("3"), slot("7")] {
                for watchdog in [Watchdog::AtWork, Watchdog::None] {
                    let mut me = first.clone();
                    let mut steps = 0;
                    while let Launch::Execute(next) = launch(&record, &me, watchdog) {
                        me = Me::Slot(*next.manifest());
                        steps += 1;
                        assert!(steps <= 1, "{record:?} from {first:?}");
                    }
                }
            }
        }
    }
}
