//! Kills at every point at which the record is written: afterwards one program is the agent, and the records agree.

use std::fs;

use sealpost_manifests::wire::report::ReasonCode;
use sealpost_test_support::folders::make_writable;

use super::fixture::{Computer, Release};
use crate::domain::self_update::record::SelfRecord;
use crate::domain::self_update::step::TrialStep;
use crate::flows::install::ChangeEnd;
use crate::flows::self_update::record::{RecordError, save};
use crate::ports::self_update_points;

/// How the trial of a test goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Confirmed,
    GivenBack,
}

/// Goes on with whatever the record says, as the next start of the agent would; `true` if it was killed at its point.
fn go_on(computer: &Computer, two: &mut Release, way: Way) -> bool {
    let record = |step, record: &SelfRecord| match save(&computer.host, step, record) {
        Ok(()) => false,
        Err(RecordError::Killed(_)) => true,
        Err(error) => panic!("{error}"),
    };
    computer.with_engine(|engine| engine.recover()).unwrap();
    if computer.settle().is_err() {
        return true;
    }
    let is_due = computer.package().current.map(|current| current.manifest) != Some(two.signed.digest())
        && computer.package().given_up.is_empty();
    if is_due && computer.state().trial.is_none() {
        match computer.install(two) {
            Ok(end) => assert_eq!(end, ChangeEnd::OnTrial),
            Err(error) => return error.is_killed(),
        }
    }
    if computer.state().trial.is_some() {
        let mut counted = computer.state();
        counted.trial.as_mut().unwrap().exits += 1;
        if record(TrialStep::Counted, &counted) {
            return true;
        }
        let now = computer.host.now();
        let killed = match way {
            Way::Confirmed => record(TrialStep::Confirmed, &counted.confirmed(now)),
            Way::GivenBack => record(
                TrialStep::GivenBack,
                &counted.given_back(ReasonCode::AgentSilent, "silent".to_owned(), now),
            ),
        };
        if killed {
            return true;
        }
    }
    computer.settle().is_err()
}

#[test]
fn a_kill_at_any_point_leaves_one_agent_and_records_that_agree() {
    let mut reached = Vec::new();
    for way in [Way::Confirmed, Way::GivenBack] {
        for point in self_update_points() {
            let computer = Computer::new();
            computer.runs(&mut computer.publish("1.0", 1, "/bin/true"));
            let mut two = computer.publish("2.0", 2, "/bin/true");
            *computer.kill.0.lock().unwrap() = Some(point.clone());
            if !go_on(&computer, &mut two, way) {
                continue;
            }
            reached.push(point.clone());
            // At the moment of the kill a launcher of any program finds one that it can execute.
            let state = computer.state();
            let from = state.trial.map(|trial| trial.from).unwrap_or(state.stable).unwrap();
            assert!(from.path.is_file(), "{way:?}, killed {point}");
            assert!(!go_on(&computer, &mut two, way));
            let context = format!("{way:?}, killed {point}");
            let version = if way == Way::Confirmed { "2.0" } else { "1.0" };
            assert_eq!(computer.agreed(&context).as_deref(), Some(version));
            let given_up = computer.package().given_up.len();
            assert_eq!(given_up, usize::from(way == Way::GivenBack), "{context}");
            assert_eq!(computer.slot_names().len(), if way == Way::Confirmed { 2 } else { 1 }, "{context}");
        }
    }
    for point in self_update_points() {
        let is_elsewhere = point.ends_with("-lost");
        assert!(is_elsewhere || reached.contains(&point), "no run comes to {point}");
    }
}

#[test]
fn a_kill_while_a_changed_program_is_given_up_is_made_up_for_by_the_next_cycle() {
    for point in ["before-lost", "after-lost", "before-settled", "after-settled"] {
        let computer = Computer::new();
        computer.runs(&mut computer.publish("1.0", 1, "/bin/true"));
        make_writable(computer.slots().path());
        fs::write(computer.program("1.0"), b"changed").unwrap();
        *computer.kill.0.lock().unwrap() = Some(point.to_owned());
        assert!(computer.settle().is_err(), "{point}");
        computer.settle().unwrap();
        assert_eq!(computer.agreed(point), None);
        assert_eq!(computer.slot_names(), [""; 0], "{point}");
    }
}
