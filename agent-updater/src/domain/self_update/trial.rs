//! Judging a program that is on trial, by what its watchdog saw.
//!
//! Invariant: only time in which the server could be reached counts against it; what was counted is kept over restarts,
//! so that a computer that is switched off every few minutes comes to an end too.

use std::time::Duration;

use sealpost_manifests::wire::report::ReasonCode;

use super::record::Trial;

/// Pause before a program that ended by itself is started again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two of its starts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The bounds by which a trial is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// For how long the server may be reachable without an answered contact.
    pub confirm_within: Duration,
    /// For how long the program must live on after its contact.
    pub probation: Duration,
    /// How often it may end by itself.
    pub exits: u32,
}

/// What a watchdog saw since its last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// For how long the server could be reached since then.
    pub reachable_for: Duration,
    /// How long ago the program that runs now said that a contact of its own was answered; `None` if it did not.
    pub contacted_for: Option<Duration>,
}

/// What follows on a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    GoOn,
    Confirm,
    GiveBack { reason: ReasonCode, detail: String },
}

/// Judges a running program. `so_far` is for how long the server could be reached before, over all starts.
#[must_use]
pub fn judge(so_far: Duration, look: Look, bounds: &Bounds) -> (Duration, Verdict) {
    if let Some(contacted_for) = look.contacted_for {
        // From here on only its own end counts against it.
        let verdict = if contacted_for >= bounds.probation { Verdict::Confirm } else { Verdict::GoOn };
        return (so_far, verdict);
    }
    let reachable = so_far.saturating_add(look.reachable_for);
    if reachable < bounds.confirm_within {
        return (reachable, Verdict::GoOn);
    }
    let detail = format!(
        "the new agent completed no contact, although its server could be reached for {} s",
        reachable.as_secs()
    );
    (reachable, Verdict::GiveBack { reason: ReasonCode::AgentSilent, detail })
}

/// What follows on an end of the program that nobody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterExit {
    StartAgain(Duration),
    GiveBack { reason: ReasonCode, detail: String },
}

/// Judges an end of the program by itself, which `trial` has counted already; `what` says how it ended.
#[must_use]
pub fn after_exit(trial: &Trial, what: &str, bounds: &Bounds) -> AfterExit {
    if trial.exits > bounds.exits {
        let detail = format!("the new agent ended by itself {} times, at last with {what}", trial.exits);
        return AfterExit::GiveBack { reason: ReasonCode::AgentFailed, detail };
    }
    let doublings = trial.exits.saturating_sub(1).min(16);
    AfterExit::StartAgain(FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use crate::domain::record::ChangeKind;
    use crate::domain::self_update::record::SelfRecord;
    use crate::domain::self_update::record::tests::{AT, program};

    use super::*;

    const BOUNDS: Bounds =
        Bounds { confirm_within: Duration::from_secs(600), probation: Duration::from_secs(60), exits: 5 };

    fn judged(so_far: u64, reachable_for: u64, contacted_for: Option<u64>) -> (u64, Verdict) {
        let look = Look {
            reachable_for: Duration::from_secs(reachable_for),
            contacted_for: contacted_for.map(Duration::from_secs),
        };
        let (total, verdict) = judge(Duration::from_secs(so_far), look, &BOUNDS);
        (total.as_secs(), verdict)
    }

    #[test]
    fn while_the_server_cannot_be_reached_a_trial_goes_on_for_ever() {
        assert_eq!(judged(599, 0, None), (599, Verdict::GoOn));
        assert_eq!(judged(0, 0, None), (0, Verdict::GoOn));
    }

    #[test]
    fn a_reachable_server_without_a_contact_ends_it_at_the_bound_and_not_before() {
        assert_eq!(judged(590, 9, None), (599, Verdict::GoOn));
        let (total, verdict) = judged(590, 10, None);
        assert_eq!(total, 600);
        assert!(matches!(verdict, Verdict::GiveBack { reason: ReasonCode::AgentSilent, .. }));
    }

    #[test]
    fn a_contact_confirms_after_the_probation_and_stops_the_count() {
        assert_eq!(judged(599, 30, Some(0)), (599, Verdict::GoOn));
        assert_eq!(judged(599, 30, Some(59)), (599, Verdict::GoOn));
        assert_eq!(judged(599, 30, Some(60)), (599, Verdict::Confirm));
    }

    #[test]
    fn ends_by_itself_are_followed_by_longer_pauses_and_then_by_the_program_of_before() {
        let record = SelfRecord::default().on_trial(ChangeKind::Install, program("2"), AT);
        let trial = |exits| Trial { exits, ..record.trial.clone().unwrap() };
        let pause = |exits| match after_exit(&trial(exits), "status 1", &BOUNDS) {
            AfterExit::StartAgain(pause) => pause.as_secs(),
            AfterExit::GiveBack { .. } => panic!("given back after {exits}"),
        };
        assert_eq!([1, 2, 3, 4, 5].map(pause), [1, 2, 4, 8, 16]);
        let AfterExit::GiveBack { reason, detail } = after_exit(&trial(6), "status 1", &BOUNDS) else {
            panic!("tried again")
        };
        assert_eq!(reason, ReasonCode::AgentFailed);
        assert!(detail.contains("6 times") && detail.contains("status 1"), "{detail}");
        let patient = Bounds { exits: u32::MAX, ..BOUNDS };
        assert_eq!(after_exit(&trial(40), "x", &patient), AfterExit::StartAgain(LONGEST_PAUSE));
    }
}
