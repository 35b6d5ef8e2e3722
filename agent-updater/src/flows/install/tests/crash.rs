//! Kills at every point of the journal: afterwards the old or the new release is whole, and the product runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sealpost_files::with_causes;

use super::fixture::{Computer, ONE, Published, delta, package};
use crate::domain::install::JournalStep;
use crate::flows::install::{ChangeEnd, Engine, Terms};
use crate::flows::retention;
use crate::ports::fault_points;
use crate::spool::Spool;

/// Simulates a kill at `point` while something runs; `true` if the point was reached.
fn killed_at(computer: &Computer, point: &str, work: impl FnOnce() -> Option<bool>) -> bool {
    *computer.kill.0.lock().unwrap() = Some(point.to_owned());
    let killed = work().unwrap_or(false);
    *computer.kill.0.lock().unwrap() = None;
    killed
}

fn install_killed_at(computer: &Computer, release: &mut Published, point: &str) -> bool {
    killed_at(computer, point, || match computer.install(release, 0) {
        Err(error) => Some(error.is_killed()),
        Ok(_) => Some(false),
    })
}

fn is_one_of_both(computer: &Computer, one: &Published, two: &Published, context: &str) -> bool {
    let is_two = computer.record().current.unwrap().manifest == two.signed.digest();
    computer.assert_runs(if is_two { two } else { one }, context);
    is_two
}

#[test]
fn a_kill_at_any_point_of_an_install_leaves_the_old_or_the_new_release_whole_and_running() {
    let mut reached = Vec::new();
    for program in ["loadable two", "loadable but sick", "broken"] {
        for point in fault_points() {
            let computer = Computer::new();
            let mut one = computer.publish("1", 1, ONE);
            let end = computer.install(&mut one, 0).unwrap();
            assert_eq!(end, ChangeEnd::Kept, "{program}, before {point}: {}", computer.details());
            let mut two = computer.publish("2", 2, program);
            two.delta = Some(delta(&one, &two));
            if !install_killed_at(&computer, &mut two, &point) {
                continue;
            }
            reached.push(point.clone());
            let context = format!("{program}, killed {point}");
            computer.recover();
            let is_two = is_one_of_both(&computer, &one, &two, &context);
            assert!(!is_two || program == "loadable two", "{context}");
            assert_eq!(computer.recover(), None, "{context}: nothing is left to recover");
            // Only what a record needs is left on disk, and what was built before the kill for as long as it is assigned.
            let slots =
                || fs::read_dir(computer.host.settings.install_root.join("acme/slots")).unwrap().count();
            assert!(slots() <= 2, "{context}");
            retention::collect(&computer.host, None);
            assert_eq!(slots(), if is_two { 2 } else { 1 }, "{context}");
        }
    }
    for point in fault_points() {
        assert!(reached.contains(&point), "no run comes to {point}");
    }
}

/// The product is not touched before these points.
fn is_untouched(point: &str) -> bool {
    let untouched = JournalStep::ALL.into_iter().filter(|step| *step <= JournalStep::Trying);
    untouched.map(|step| format!("before-{step}")).any(|untouched| untouched == point)
}

/// Kills installs at these points, and then the recovery at every point.
fn kill_recoveries(of: impl Fn(&str) -> bool) {
    // The points at which an action was done and not recorded; the test above has all points.
    let unrecorded = || fault_points().into_iter().filter(|point| point.starts_with("before-"));
    let mut reached = 0;
    for first in unrecorded().filter(|first| of(first)) {
        for second in unrecorded() {
            let computer = Computer::new();
            let mut one = computer.publish("1", 1, ONE);
            computer.install(&mut one, 0).unwrap();
            let mut two = computer.publish("2", 2, "loadable two");
            if !install_killed_at(&computer, &mut two, &first) {
                break;
            }
            let killed = killed_at(&computer, &second, || {
                Some(computer.with_engine(|engine| engine.recover()).is_err_and(|error| error.is_killed()))
            });
            if killed {
                reached += 1;
                computer.recover();
            }
            is_one_of_both(&computer, &one, &two, &format!("killed {first}, then {second}"));
        }
    }
    assert!(reached > 0);
}

#[test]
fn a_kill_of_the_recovery_of_what_did_not_touch_the_product_is_recovered_from() {
    kill_recoveries(is_untouched);
}

#[test]
fn a_kill_of_the_recovery_of_what_touched_the_product_is_recovered_from() {
    kill_recoveries(|point| !is_untouched(point));
}

#[test]
fn a_release_that_takes_the_agent_down_twice_is_rolled_back() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let mut two = computer.publish("2", 2, "loadable two");
    let point = format!("after-{}", JournalStep::Started);
    assert!(install_killed_at(&computer, &mut two, &point));
    assert!(killed_at(&computer, &point, || {
        Some(computer.with_engine(|engine| engine.recover()).is_err_and(|error| error.is_killed()))
    }));
    assert!(matches!(computer.recover(), Some(ChangeEnd::RolledBack(_))));
    computer.assert_runs(&one, "after two kills");
}

#[test]
fn a_kill_at_any_point_of_a_local_rollback_leaves_one_of_both_whole_and_running() {
    for point in fault_points() {
        let computer = Computer::new();
        let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, "loadable two"));
        computer.install(&mut one, 0).unwrap();
        computer.install(&mut two, 0).unwrap();
        let killed = killed_at(&computer, &point, || {
            Some(
                computer
                    .with_engine(|engine| engine.roll_back(&package()))
                    .is_err_and(|error| error.is_killed()),
            )
        });
        if !killed {
            continue;
        }
        computer.recover();
        is_one_of_both(&computer, &one, &two, &point);
        assert_eq!(
            fs::read_dir(computer.host.settings.install_root.join("acme/slots")).unwrap().count(),
            2,
            "{point}"
        );
    }
}

#[test]
fn a_journal_that_cannot_be_written_does_not_leave_the_product_stopped() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    // The stop hook also makes the journal unwritable, by a folder in its place, until the product is started again.
    let journal = computer.host.home.state("journal");
    let hook = |name: &str, text: String| {
        let path = computer.root.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let (runs, journal) = (computer.root.path().join("runs"), journal.display());
    hook("stop", format!("rm -f {} {journal}; mkdir -p {journal}/x", runs.display()));
    let started = format!("cp \"$SEALPOST_CURRENT/bin/run\" {}", runs.display());
    hook("start", format!("rm -r {journal} || exit 9; {started}"));
    let mut two = computer.publish("2", 2, "loadable two");
    let ended = computer.install(&mut two, 0);
    assert!(matches!(ended, Ok(ChangeEnd::RolledBack(_))), "{ended:?}");
    computer.assert_runs(&one, "with an unwritable journal");
}

#[test]
fn a_damaged_journal_is_not_taken_for_none() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    fs::write(computer.host.home.state("journal"), "sealpost-record 2 2 00\n{}").unwrap();
    let error = computer.with_engine(|engine| engine.recover()).unwrap_err();
    assert!(with_causes(&error).contains("damaged"));
    // Nothing new is begun over it, neither by an assignment nor by a person.
    let mut two = computer.publish("2", 2, "loadable two");
    assert!(computer.install(&mut two, 0).is_err() && two.fetches.is_empty());
    assert!(computer.with_engine(|engine| engine.roll_back(&package())).is_err());
    computer.assert_runs(&one, "with a damaged journal");
}

#[test]
fn a_change_that_is_not_finished_is_not_overwritten_by_another() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let mut two = computer.publish("2", 2, "loadable two");
    assert!(install_killed_at(&computer, &mut two, "after-stopped"));
    let mut three = computer.publish("3", 3, "loadable three");
    let error = computer.install(&mut three, 0).unwrap_err();
    assert!(error.to_string().contains("is not finished"), "{error}");
    assert!(three.fetches.is_empty());
    computer.recover();
    computer.assert_runs(&one, "the journal still knew that the product was stopped");
}

#[test]
fn reports_that_cannot_be_written_stop_nothing_and_leave_nothing_half_built() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let before = computer.snapshot();
    let mut spool = Spool::open(&computer.host.home).unwrap();
    // A folder in the place of the reports.
    let reports = computer.host.home.state("reports");
    fs::remove_file(&reports).unwrap();
    fs::create_dir(&reports).unwrap();
    let mut engine = Engine::new(&computer.host, &mut spool);
    let mut broken = computer.publish("2", 2, "broken");
    let (vetted, wanted) = (computer.vet(&broken).unwrap(), computer.assignment(&broken, 0));
    assert!(matches!(
        engine.install(&vetted, Terms::unhindered(&wanted), &mut broken),
        Ok(ChangeEnd::Refused(_))
    ));
    assert_eq!(computer.snapshot(), before);
    let mut three = computer.publish("3", 3, "loadable three");
    let (vetted, wanted) = (computer.vet(&three).unwrap(), computer.assignment(&three, 0));
    assert_eq!(engine.install(&vetted, Terms::unhindered(&wanted), &mut three).unwrap(), ChangeEnd::Kept);
    assert_eq!(engine.roll_back(&package()).unwrap(), ChangeEnd::Kept);
    computer.assert_runs(&one, "after the rollback");
    assert!(Spool::open(&computer.host.home).is_err(), "no report could be written");
}
