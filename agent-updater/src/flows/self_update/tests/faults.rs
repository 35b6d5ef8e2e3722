//! Every step at which the disk can refuse something during an update of the agent itself: afterwards one program is the
//! agent, a launcher finds it, the records agree, and what failed is made up for by the next cycle.

use sealpost_files::faults::{Failure, failing};
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::wire::report::ReasonCode;

use super::fixture::{Computer, Release};
use crate::domain::self_update::step::TrialStep;
use crate::flows::context::Host;
use crate::flows::install::{ChangeEnd, Engine, Terms, VettedRelease};
use crate::flows::retention;
use crate::flows::self_update::record::save;
use crate::flows::self_update::settle::settle;
use crate::records::self_state;
use crate::spool::Spool;

/// More steps than any update takes.
const MOST_STEPS: usize = 2_000;

/// How the trial of a test goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Confirmed,
    GivenBack,
}

/// What a watchdog writes during a trial. What the disk does not take, it tries again.
fn watched(host: &Host, way: Way) {
    let Ok(mut record) = self_state::load(&host.home) else { return };
    let Some(trial) = &mut record.trial else { return };
    assert!(trial.to.path.is_file(), "what is on trial is there");
    trial.exits += 1;
    if save(host, TrialStep::Counted, &record).is_err() {
        return;
    }
    let now = host.now();
    let (step, ended) = match way {
        Way::Confirmed => (TrialStep::Confirmed, record.confirmed(now)),
        Way::GivenBack => {
            let silent = "silent".to_owned();
            (TrialStep::GivenBack, record.given_back(ReasonCode::AgentSilent, silent, now))
        }
    };
    // It is looked at what stands there, and not at what was said of the write.
    drop(save(host, step, &ended));
}

/// A cycle that installs the release, its trial, and the cycle that notes how it ended.
fn updates(
    host: &Host,
    spool: &mut Spool,
    (vetted, wanted): &(VettedRelease, PackageAssignment),
    release: &mut Release,
    way: Way,
) {
    let mut engine = Engine::new(host, spool);
    drop(engine.install(vetted, Terms::unhindered(wanted), release));
    watched(host, way);
    drop(settle(host, spool));
}

/// The cycles after a failure, on a disk that is good again.
fn goes_on(computer: &Computer, release: &mut Release, way: Way, place: &str) {
    computer.with_engine(|engine| engine.recover()).unwrap_or_else(|error| panic!("{place}: {error}"));
    watched(&computer.host, way);
    computer.settle().unwrap_or_else(|error| panic!("{place}: {error}"));
    let record = computer.package();
    let is_current = record.current.is_some_and(|current| current.manifest == release.signed.digest());
    let is_given_up = record.given_up.iter().any(|one| one.manifest == release.signed.digest());
    if !is_current && !is_given_up {
        assert_eq!(computer.install(release).unwrap(), ChangeEnd::OnTrial, "{place}");
        watched(&computer.host, way);
        computer.settle().unwrap();
    }
    retention::collect(&computer.host, None);
}

fn every_failing_update(failure: Failure, way: Way) {
    let computer = Computer::new();
    computer.runs(&mut computer.publish("1", 1, "/bin/true"));
    let mut runs = "1".to_owned();
    for nth in 1..MOST_STEPS {
        let version = (nth + 1).to_string();
        let mut new = computer.publish(&version, nth as u64 + 1, "/bin/true");
        let vetted = computer.vet(&new);
        let mut spool = Spool::open(&computer.host.home).unwrap();
        // A server took what was told before.
        spool.acknowledge(spool.last_id()).unwrap();
        let ran = failing(nth, failure, || updates(&computer.host, &mut spool, &vetted, &mut new, way));
        drop(spool);
        let place = format!("{failure:?}, {way:?}, step {nth}: {:?}", ran.failed);
        // A launcher of any program reads the record at this moment, and finds a program that it can execute.
        let state = computer.state();
        let from = state.trial.map(|trial| trial.from).unwrap_or(state.stable).unwrap();
        assert!(from.path.is_file(), "{place}");
        goes_on(&computer, &mut new, way, &place);
        if way == Way::Confirmed {
            runs.clone_from(&version);
        }
        assert_eq!(computer.agreed(&place).as_deref(), Some(runs.as_str()));
        let kept = computer.slot_names().len();
        assert!(kept <= 2, "{place}: {kept} slots are kept");
        if ran.failed.is_none() {
            assert!(nth > if failure == Failure::Short { 3 } else { 30 }, "an update takes more steps");
            return;
        }
    }
    panic!("an update never ends");
}

#[test]
fn an_update_of_the_agent_survives_a_disk_that_fails_at_any_step() {
    every_failing_update(Failure::Broken, Way::Confirmed);
}

#[test]
fn an_update_of_the_agent_survives_a_disk_that_is_full_from_any_step_on() {
    every_failing_update(Failure::Full, Way::Confirmed);
}

#[test]
fn an_update_of_the_agent_that_is_given_back_survives_a_disk_that_fails_or_is_full_at_any_step() {
    every_failing_update(Failure::Broken, Way::GivenBack);
    every_failing_update(Failure::Full, Way::GivenBack);
}

#[test]
fn an_update_of_the_agent_survives_every_write_that_takes_half_of_the_bytes() {
    every_failing_update(Failure::Short, Way::Confirmed);
    every_failing_update(Failure::Short, Way::GivenBack);
}
