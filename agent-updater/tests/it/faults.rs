//! Every step at which the disk can refuse something, for what a computer does with its server and keeps of it.

use std::fs;

use jiff::Timestamp;
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::flows::enroll::OtherName;
use sealpost_agent_updater::home::Home;
use sealpost_agent_updater::platform::store::{self, StoreError};
use sealpost_agent_updater::spool::{Spool, Subject};
use sealpost_files::PRIVATE;
use sealpost_files::faults::{Failure, Ran, Step, counted, failing};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};
use sealpost_test_support::folders::set_mode;
use sealpost_test_support::names::release_id;

use crate::site::{Site, package};

/// More steps than anything here takes.
const MOST_STEPS: usize = 3_000;

fn enroll(site: &Site, agent: &Agent) -> Result<(), String> {
    let root = site.vendor.root_file();
    let enrolled = agent.enroll(&site.setup_file(), Some(&root), OtherName::Refuse);
    enrolled.map(drop).map_err(|error| sealpost_files::with_causes(&error))
}

fn every_failing_enrollment(failure: Failure) {
    let mut site = Site::new();
    for nth in 1..MOST_STEPS {
        site.computer = tempfile::tempdir().unwrap();
        set_mode(site.computer.path(), 0o755).unwrap();
        let agent = site.agent();
        let Ran { answer, failed } = failing(nth, failure, || enroll(&site, &agent));
        let Some((step, path)) = failed else {
            answer.unwrap();
            assert!(nth > 20, "an enrollment takes more steps");
            return;
        };
        let place = format!("{failure:?}, step {nth}: {step:?} at {}: {answer:?}", path.display());
        // Told as done, it is done; else the same again does it.
        if answer.is_err() {
            enroll(&site, &site.agent()).unwrap_or_else(|error| panic!("{place}; again: {error}"));
        }
        let cycle = site.agent().cycle();
        assert!(cycle.problems.is_empty(), "{place}: {:?}", cycle.problems);
    }
    panic!("an enrollment never ends");
}

#[test]
fn an_enrollment_survives_a_disk_that_fails_at_any_step() {
    every_failing_enrollment(Failure::Broken);
}

#[test]
fn an_enrollment_survives_a_disk_that_is_full_from_any_step_on() {
    every_failing_enrollment(Failure::Full);
}

/// One cycle: contact, metadata, download, install, report.
fn every_failing_cycle(failure: Failure) {
    // A cycle is slow: all of its steps only when they are asked for. The tests of its parts take all of theirs.
    let stride = if std::env::var_os("SEALPOST_EVERY_STEP").is_some() { 1 } else { 7 };
    let site = Site::new();
    drop(site.enrolled());
    let mut counter = 1;
    site.release("1", 1, "release 1");
    assert!(site.agent().cycle().problems.is_empty());
    for nth in (1..MOST_STEPS).step_by(stride) {
        counter += 1;
        let (old, new) = (format!("release {}", counter - 1), format!("release {counter}"));
        site.release(&counter.to_string(), counter, &new);
        let agent = site.agent();
        let ran = failing(nth, failure, || agent.cycle());
        let problems = ran.answer.problems;
        let installed = site.installed();
        let Some((step, path)) = ran.failed else {
            assert!(problems.is_empty(), "without a fault: {problems:?}");
            assert_eq!(installed, Some(new));
            assert!(nth > 50, "a cycle takes more steps");
            return;
        };
        let place = format!("{failure:?}, step {nth}: {step:?} at {}: {problems:?}", path.display());
        assert!([Some(&old), Some(&new)].contains(&installed.as_ref()), "{place}: {installed:?}");
        assert!(!problems.is_empty() || installed.as_ref() == Some(&new), "{place}: not told");
        drop(agent);
        site.agent().cycle();
        if site.installed().as_ref() != Some(&new) {
            // It was given up for a cause of this computer: an administrator has it tried again.
            site.server.lock().unwrap().assigned[0].attempt += 1;
            let cycle = site.agent().cycle();
            assert!(cycle.problems.is_empty(), "{place}, again: {:?}", cycle.problems);
            assert_eq!(site.installed(), Some(new), "{place}");
        }
        let agent = site.agent();
        let problems = agent.cycle().problems;
        assert!(problems.is_empty(), "{place}, at the end: {problems:?}");
        assert!(agent.audit().unwrap().iter().all(|one| one.problems.is_empty()), "{place}");
    }
    panic!("a cycle never ends");
}

#[test]
fn a_cycle_survives_a_disk_that_fails_at_any_step() {
    every_failing_cycle(Failure::Broken);
}

#[test]
fn a_cycle_survives_a_disk_that_is_full_from_any_step_on() {
    every_failing_cycle(Failure::Full);
}

#[test]
fn a_file_that_could_not_be_read_once_is_not_told_as_changed_when_it_can_be_read_again() {
    let site = Site::new();
    drop(site.enrolled());
    let mut counter = 0;
    let mut release = || {
        counter += 1;
        site.release(&counter.to_string(), counter, &format!("release {counter}"));
    };
    release();
    site.agent().cycle();
    release();
    let agent = site.agent();
    let (_, steps) = counted(|| agent.cycle());
    // What was installed is looked at in the second half of a cycle.
    for nth in steps / 2..steps {
        release();
        let ran = failing(nth, Failure::Broken, || site.agent().cycle());
        let problems = site.agent().cycle().problems;
        let was_read = ran.failed.as_ref().is_some_and(|(step, _)| *step == Step::Read);
        let remembered = problems.iter().any(|problem| problem.contains("Input/output error"));
        assert!(!(was_read && remembered), "{:?} is over, and it still says {problems:?}", ran.failed);
    }
}

#[test]
fn a_record_is_the_old_or_the_new_one_whatever_fails_and_never_absent() {
    for failure in Failure::ALL {
        for nth in 1..MOST_STEPS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("record.json");
            store::save(&path, &"old", PRIVATE).unwrap();
            let ran = failing(nth, failure, || store::save(&path, &"new", PRIVATE));
            let kept: String = store::load(&path).unwrap().unwrap();
            let Some(_) = ran.failed else {
                ran.answer.unwrap();
                break;
            };
            assert!(ran.answer.is_err() && ["old", "new"].contains(&kept.as_str()), "{nth}: {kept}");
            store::save(&path, &"new", PRIVATE).unwrap();
        }
    }
}

#[test]
fn a_record_that_cannot_be_read_is_an_error_and_not_absent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.json");
    store::save(&path, &"old", PRIVATE).unwrap();
    let ran = failing(1, Failure::Broken, || store::load::<String>(&path));
    assert!(matches!(ran.answer, Err(StoreError::Io { .. })), "{:?}", ran.answer);
}

#[test]
fn a_damaged_record_that_is_replaced_or_put_aside_is_never_missing_whatever_fails() {
    for failure in Failure::ALL {
        for replaces in [true, false] {
            for nth in 1..MOST_STEPS {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("record.json");
                fs::write(&path, "damaged").unwrap();
                let work = || match replaces {
                    true => store::replace_damaged(&path, &"new", PRIVATE),
                    false => store::put_aside(&path),
                };
                let ran = failing(nth, failure, work);
                let place = format!("{failure:?}, step {nth}: {:?}: {:?}", ran.failed, ran.answer);
                let (is_there, is_aside) = (path.exists(), store::aside(&path).exists());
                assert!(is_there || (!replaces && is_aside), "{place}: nothing says that it was damaged");
                if ran.failed.is_none() {
                    ran.answer.unwrap();
                    break;
                }
                assert!(ran.answer.is_err(), "{place}");
                if matches!(store::load::<String>(&path), Err(StoreError::Damaged { .. })) {
                    work().unwrap_or_else(|error| panic!("{place}, again: {error:?}"));
                }
                assert_eq!(fs::read_to_string(store::aside(&path)).unwrap(), "damaged", "{place}");
            }
        }
    }
}

#[test]
fn no_report_number_is_used_twice_whatever_fails_and_what_was_flushed_is_there() {
    for failure in Failure::ALL {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        home.prepare().unwrap();
        let subject = Subject {
            release: release_id(&package(), "1"),
            manifest: Sha256Digest::of(b"manifest"),
            rollout: 1,
            attempt: 0,
            ring: None,
        };
        let (mut highest, mut flushed) = (0, 0);
        for nth in 1..MOST_STEPS {
            let mut spool = Spool::open(&home).unwrap();
            let ran = failing(nth, failure, || {
                let what = (InstallStep::Check, Outcome::Ok, ReasonCode::Done);
                spool.add(Timestamp::UNIX_EPOCH, &subject, what, "")
            });
            assert_eq!(ran.answer.is_err(), ran.failed.is_some(), "{nth}: {:?}", ran.failed);
            spool.flush().unwrap();
            let reports = Spool::open(&home).unwrap().batch(0);
            let newest = reports.last().unwrap().id;
            assert!(newest > highest, "{nth}: {newest} was used");
            highest = newest;
            flushed += 1;
            assert_eq!(reports.len(), flushed, "{nth}");
            if ran.failed.is_none() {
                break;
            }
        }
    }
}
