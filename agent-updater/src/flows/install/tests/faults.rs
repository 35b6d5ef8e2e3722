//! Every step at which the disk can refuse something, for each change of release: afterwards the old or the new release
//! is whole, the product runs, what is told is true, and the next try succeeds.

use sealpost_files::faults::{Failure, Ran, failing, killed};

use super::fixture::{Computer, Published, delta, package};
use crate::flows::install::{ChangeEnd, Engine, EngineError, Terms};
use crate::ports::fault_points;
use crate::spool::Spool;

/// More steps than any change takes.
const MOST_STEPS: usize = 2_000;

/// A computer, the release that it runs, and how many there were.
struct Scene {
    computer: Computer,
    runs: Published,
    made: u64,
    attempt: u32,
}

impl Scene {
    fn new() -> Self {
        let computer = Computer::new();
        let runs = computer.publish("1", 1, "loadable 1");
        let mut scene = Self { computer, runs, made: 1, attempt: 0 };
        scene.installs(scene.runs.clone());
        scene
    }

    /// The release after the one before, not installed yet.
    fn publish(&mut self) -> Published {
        self.made += 1;
        self.computer.publish(&self.made.to_string(), self.made, &format!("loadable {}", self.made))
    }

    /// What runs, and the release after it.
    fn next(&mut self, by_delta: bool) -> (Published, Published) {
        let mut new = self.publish();
        if by_delta {
            new.delta = Some(delta(&self.runs, &new));
        }
        (self.runs.clone(), new)
    }

    /// Installs a release without a fault.
    fn installs(&mut self, mut release: Published) {
        self.attempt += 1;
        assert_eq!(self.computer.install(&mut release, self.attempt).unwrap(), ChangeEnd::Kept);
        self.computer.assert_runs(&release, "without a fault");
        self.runs = release;
    }

    /// A change whose `nth` step fails. Whoever begins it has read the record and the reports before.
    fn fails(
        &mut self,
        nth: usize,
        failure: Failure,
        change: impl FnOnce(&mut Engine<'_>) -> Result<ChangeEnd, EngineError>,
    ) -> Ran<Result<ChangeEnd, EngineError>> {
        let mut spool = Spool::open(&self.computer.host.home).unwrap();
        // A server took what was told before: with hundreds of reports waiting, these tests would write little else.
        spool.acknowledge(spool.last_id()).unwrap();
        let mut engine = Engine::new(&self.computer.host, &mut spool);
        failing(nth, failure, || change(&mut engine))
    }

    /// After a failure: what was told is true, what was begun is ended, and `old` or `new` runs. Whether it is the new.
    fn ends(
        &self,
        answer: &Result<ChangeEnd, EngineError>,
        old: &Published,
        new: &Published,
        place: &str,
    ) -> bool {
        let place = &format!("{place}: {answer:?}");
        match answer {
            Ok(ChangeEnd::Kept) => self.computer.assert_runs(new, place),
            Ok(ChangeEnd::Refused(_) | ChangeEnd::RolledBack(_)) => self.computer.assert_runs(old, place),
            // A recovery that finds nothing to end.
            Ok(ChangeEnd::Down(_) | ChangeEnd::OnTrial | ChangeEnd::NotNow(_)) | Err(_) => {}
        }
        self.computer.recover();
        let is_new =
            self.computer.record().current.is_some_and(|current| current.manifest == new.signed.digest());
        self.computer.assert_runs(if is_new { new } else { old }, place);
        assert_eq!(self.computer.recover(), None, "{place}: nothing is left to recover");
        is_new
    }
}

fn every_failing_install(failure: Failure, by_delta: bool) {
    let mut scene = Scene::new();
    for nth in 1..MOST_STEPS {
        let (old, new) = scene.next(by_delta);
        let (vetted, wanted) = (scene.computer.vet(&new).unwrap(), scene.computer.assignment(&new, 0));
        let mut source = new.clone();
        let ran = scene
            .fails(nth, failure, |engine| engine.install(&vetted, Terms::unhindered(&wanted), &mut source));
        let Some((step, path)) = ran.failed else {
            assert_eq!(ran.answer.unwrap(), ChangeEnd::Kept);
            assert!(nth > 30, "an install takes more steps");
            return;
        };
        let place = format!("{failure:?}, step {nth}: {step:?} at {}", path.display());
        if scene.ends(&ran.answer, &old, &new, &place) {
            scene.runs = new;
        } else {
            scene.installs(new);
        }
    }
    panic!("an install never ends");
}

fn every_killed_install(by_delta: bool) {
    let mut scene = Scene::new();
    for nth in 1..MOST_STEPS {
        let (old, new) = scene.next(by_delta);
        let mut source = new.clone();
        let ran = killed(nth, || scene.computer.install(&mut source, 0));
        let Some((step, path)) = ran.failed else {
            assert_eq!(ran.answer.unwrap().unwrap(), ChangeEnd::Kept);
            assert!(nth > 30, "an install takes more steps");
            return;
        };
        let place = format!("killed at step {nth}: {step:?} at {}", path.display());
        // The recovery is killed as well, at a step that differs from round to round.
        drop(killed(nth % 13 + 1, || scene.computer.recover()));
        scene.computer.recover();
        let runs = scene.computer.record().current.unwrap().manifest;
        let is_new = runs == new.signed.digest();
        scene.computer.assert_runs(if is_new { &new } else { &old }, &place);
        assert_eq!(scene.computer.recover(), None, "{place}: nothing is left to recover");
        if is_new {
            scene.runs = new;
        } else {
            scene.installs(new);
        }
    }
    panic!("an install never ends");
}

#[test]
fn an_install_by_payload_survives_a_kill_at_any_step() {
    every_killed_install(false);
}

#[test]
fn an_install_by_delta_survives_a_kill_at_any_step() {
    every_killed_install(true);
}

#[test]
fn an_install_by_payload_survives_a_disk_that_fails_at_any_step() {
    every_failing_install(Failure::Broken, false);
}

#[test]
fn an_install_by_payload_survives_a_disk_that_is_full_from_any_step_on() {
    every_failing_install(Failure::Full, false);
}

#[test]
fn an_install_by_delta_survives_a_disk_that_fails_at_any_step() {
    every_failing_install(Failure::Broken, true);
}

#[test]
fn an_install_by_delta_survives_a_disk_that_is_full_from_any_step_on() {
    every_failing_install(Failure::Full, true);
}

#[test]
fn a_rollback_survives_a_disk_that_fails_at_any_step() {
    for failure in Failure::ALL {
        let mut scene = Scene::new();
        let one = scene.runs.clone();
        let two = scene.publish();
        for nth in 1.. {
            assert!(nth < MOST_STEPS, "a rollback never ends");
            scene.installs(two.clone());
            let ran = scene.fails(nth, failure, |engine| engine.roll_back(&package()));
            let Some((step, path)) = ran.failed else {
                assert_eq!(ran.answer.unwrap(), ChangeEnd::Kept);
                break;
            };
            let place = format!("{failure:?}, step {nth}: {step:?} at {}", path.display());
            if !scene.ends(&ran.answer, &two, &one, &place) {
                let again = scene.computer.with_engine(|engine| engine.roll_back(&package()));
                assert_eq!(again.unwrap(), ChangeEnd::Kept, "{place}");
                scene.computer.assert_runs(&one, &place);
            }
        }
    }
}

#[test]
fn a_repair_survives_a_disk_that_fails_at_any_step() {
    for failure in Failure::ALL {
        let mut scene = Scene::new();
        let one = scene.runs.clone();
        let installed = scene.computer.record().current.unwrap();
        for nth in 1.. {
            assert!(nth < MOST_STEPS, "a repair never ends");
            let file = scene.computer.slots().path_of(&installed.slot).join("lib/same");
            sealpost_test_support::folders::set_mode(&file, 0o644).unwrap();
            std::fs::write(&file, b"changed by hand").unwrap();
            let (vetted, mut source) = (scene.computer.vet(&one).unwrap(), one.clone());
            let ran =
                scene.fails(nth, failure, |engine| engine.repair(&installed, Some((&vetted, &mut source))));
            let Some((step, path)) = ran.failed else {
                assert_eq!(ran.answer.unwrap(), ChangeEnd::Kept);
                break;
            };
            let place = format!("{failure:?}, step {nth}: {step:?} at {}: {:?}", path.display(), ran.answer);
            if matches!(ran.answer, Ok(ChangeEnd::Kept)) {
                scene.computer.assert_runs(&one, &place);
                continue;
            }
            scene.computer.recover();
            let (current, running) = scene.computer.current_and_running();
            assert_eq!(
                (current.as_deref(), running.as_deref()),
                (Some("loadable 1"), Some("loadable 1")),
                "{place}"
            );
            let mut again = one.clone();
            let repaired =
                scene.computer.with_engine(|engine| engine.repair(&installed, Some((&vetted, &mut again))));
            assert_eq!(repaired.unwrap(), ChangeEnd::Kept, "{place}");
            scene.computer.assert_runs(&one, &place);
        }
    }
}

/// Recoveries of installs that were killed before these points.
fn every_failing_recovery(failure: Failure) {
    let mut scene = Scene::new();
    for point in fault_points().into_iter().filter(|point| point.starts_with("before-")) {
        for nth in 1.. {
            assert!(nth < MOST_STEPS, "a recovery never ends");
            let old = scene.runs.clone();
            let mut new = scene.publish();
            *scene.computer.kill.0.lock().unwrap() = Some(point.clone());
            let killed = scene.computer.install(&mut new, 0).is_err_and(|error| error.is_killed());
            *scene.computer.kill.0.lock().unwrap() = None;
            if !killed {
                scene.runs = new;
                break;
            }
            let ran = scene.fails(nth, failure, |engine| {
                engine.recover().map(|ended| ended.map_or(ChangeEnd::OnTrial, |(_, end)| end))
            });
            let place = format!("{failure:?}, killed {point}, step {nth}: {:?}", ran.failed);
            let is_new = scene.ends(&ran.answer, &old, &new, &place);
            if is_new {
                scene.runs = new;
            } else {
                scene.installs(new);
            }
            if ran.failed.is_none() {
                break;
            }
        }
    }
}

#[test]
fn a_recovery_survives_a_disk_that_fails_at_any_step() {
    every_failing_recovery(Failure::Broken);
}

#[test]
fn a_recovery_survives_a_disk_that_is_full_from_any_step_on() {
    every_failing_recovery(Failure::Full);
}
