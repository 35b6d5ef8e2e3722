//! Where the journal or the record and the link `current` differ, the link is the truth.

use std::fs;
use std::os::unix::fs::symlink;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::contact::DriftKind;
use sealpost_test_support::folders::write_executable;

use super::fixture::{Computer, ONE, Published, TWO, package};
use super::refused::SmallDisk;
use crate::domain::install::JournalStep;
use crate::domain::record::PackageRecord;
use crate::flows::drift::{self, Keep};
use crate::flows::install::ChangeEnd;
use crate::flows::{linked, start_again};
use crate::records::vendor::VendorRecord;

/// A computer that knows the vendor's keys, with two releases, of which the second runs.
fn computer() -> (Computer, Published, Published) {
    with_two_releases(Computer::new())
}

fn with_two_releases(computer: Computer) -> (Computer, Published, Published) {
    computer.host.home.prepare().unwrap();
    let trust = sealpost_manifests::document::write(&computer.trust).unwrap();
    VendorRecord { root_sha256: Sha256Digest::of(b"root"), trust }.save(&computer.host.home).unwrap();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    assert_eq!(computer.install(&mut one, 0).unwrap(), ChangeEnd::Kept);
    assert_eq!(computer.install(&mut two, 0).unwrap(), ChangeEnd::Kept);
    (computer, one, two)
}

/// Installs a third release whose start hook fails and makes the journal unwritable, as a full disk does, and kills the
/// agent on its way back at `point`. Then the disk has room again.
fn killed_on_the_way_back(computer: &Computer, point: &str) -> Published {
    let journal = computer.host.home.state("journal");
    let saved = computer.root.path().join("journal-as-written");
    let start = computer.root.path().join("start");
    let before = fs::read_to_string(&start).unwrap();
    let full = format!(
        "if [ \"$SEALPOST_VERSION\" = 3 ]; then mv {0} {1}; mkdir -p {0}/x; exit 1; fi\n",
        journal.display(),
        saved.display()
    );
    write_executable(&start, before.replace("#!/bin/sh\n", &format!("#!/bin/sh\n{full}"))).unwrap();
    *computer.kill.0.lock().unwrap() = Some(point.to_owned());
    let mut three = computer.publish("3", 3, "loadable three");
    let ended = computer.install(&mut three, 0);
    assert!(ended.as_ref().is_err_and(|error| error.is_killed()), "{point}: {ended:?}");
    fs::remove_dir_all(&journal).unwrap();
    fs::rename(&saved, &journal).unwrap();
    write_executable(&start, before).unwrap();
    three
}

#[test]
fn an_install_whose_journal_could_not_be_written_on_the_way_back_is_ended_by_what_current_names() {
    for step in [JournalStep::SwitchedBack, JournalStep::Restored] {
        let (computer, one, two) = computer();
        let point = format!("before-{step}");
        let mut three = killed_on_the_way_back(&computer, &point);
        assert!(matches!(computer.recover(), Some(ChangeEnd::RolledBack(_))), "{point}");
        computer.assert_runs(&two, &point);
        let record = computer.record();
        assert_eq!(record.given_up[0].manifest, three.signed.digest(), "{point}: what was given up is known");
        assert_eq!(record.previous.unwrap().manifest, one.signed.digest(), "{point}");
        assert_eq!(computer.recover(), None, "{point}");
        // Nothing is refused because of it: the same release in a later attempt, and the way back from it.
        assert_eq!(computer.install(&mut three, 1).unwrap(), ChangeEnd::Kept, "{point}");
        computer.assert_runs(&three, &point);
        assert_eq!(computer.with_engine(|engine| engine.roll_back(&package())).unwrap(), ChangeEnd::Kept);
        computer.assert_runs(&two, &point);
    }
}

#[test]
fn a_start_hook_that_fills_the_disk_of_the_records_leaves_the_record_with_what_runs() {
    for has_reserve in [false, true] {
        let computer = Computer::new();
        let state = computer.host.home.state("x").parent().unwrap().to_owned();
        let Some(_disk) = SmallDisk::at(&state, "512k") else {
            sealpost_test_support::skips::needs("the right to mount").unwrap();
            return;
        };
        let (computer, _, two) = with_two_releases(computer);
        if has_reserve {
            computer.host.home.keep_reserve();
        }
        let start = computer.root.path().join("start");
        let before = fs::read_to_string(&start).unwrap();
        let fill = format!(
            "if [ \"$SEALPOST_VERSION\" = 3 ]; then dd if=/dev/zero of={}/fill bs=512; exit 1; fi 2>/dev/null\n",
            state.display()
        );
        write_executable(&start, before.replace("#!/bin/sh\n", &format!("#!/bin/sh\n{fill}"))).unwrap();
        let mut three = computer.publish("3", 3, "loadable three");
        let ended = computer.install(&mut three, 0);
        let recovered = computer.with_engine(|engine| engine.recover());
        assert_eq!(ended.is_ok(), has_reserve, "{ended:?}");
        assert_eq!(recovered.is_ok(), has_reserve, "{recovered:?}");
        let names = |record: &PackageRecord| record.current.as_ref().map(|current| current.manifest);
        assert_eq!(names(&computer.record()), Some(two.signed.digest()));
        fs::remove_file(state.join("fill")).unwrap();
        computer.recover();
        assert_eq!(computer.recover(), None);
        computer.assert_runs(&two, "the disk has room again");
        let mut four = computer.publish("4", 4, "loadable four");
        assert_eq!(computer.install(&mut four, 0).unwrap(), ChangeEnd::Kept);
        computer.assert_runs(&four, "a later release");
    }
}

#[test]
fn an_install_that_was_switched_and_not_journaled_goes_on_with_the_new_release() {
    let (computer, _, two) = computer();
    *computer.kill.0.lock().unwrap() = Some("before-switched".to_owned());
    let mut three = computer.publish("3", 3, "loadable three");
    assert!(computer.install(&mut three, 0).is_err_and(|error| error.is_killed()));
    assert_eq!(computer.recover(), Some(ChangeEnd::Kept));
    computer.assert_runs(&three, "switched");
    assert_eq!(computer.record().previous.unwrap().manifest, two.signed.digest());
}

#[test]
fn an_install_whose_link_was_taken_away_meanwhile_is_switched_again_before_it_is_started() {
    let (computer, _, _) = computer();
    *computer.kill.0.lock().unwrap() = Some("after-started".to_owned());
    let mut three = computer.publish("3", 3, "loadable three");
    assert!(computer.install(&mut three, 0).is_err_and(|error| error.is_killed()));
    fs::remove_file(computer.slots().current_path()).unwrap();
    assert_eq!(computer.recover(), Some(ChangeEnd::Kept));
    computer.assert_runs(&three, "the link is there again");
}

#[test]
fn a_record_follows_the_link_to_a_release_that_this_computer_knows() {
    let (computer, one, two) = computer();
    let before = computer.record();
    computer.slots().switch(Some(&before.previous.as_ref().unwrap().slot)).unwrap();
    // Also before anything is written, for whoever only reads.
    assert_eq!(computer.record(), before);
    let read = linked::load(&computer.host, &package()).unwrap();
    assert_eq!(read.current.as_ref().unwrap().manifest, one.signed.digest());
    assert_eq!(drift::look(&computer.host, Keep::No).unwrap(), []);
    assert_eq!(computer.recover(), None);
    assert_eq!(computer.record(), read);
    assert_eq!(read.previous.as_ref().unwrap().manifest, two.signed.digest());
    assert_eq!((read.counter_floor, &read.given_up), (before.counter_floor, &before.given_up));
    let mut three = computer.publish("3", 3, "loadable three");
    assert_eq!(computer.install(&mut three, 0).unwrap(), ChangeEnd::Kept);
    computer.assert_runs(&three, "a later release");
    assert_eq!(computer.with_engine(|engine| engine.roll_back(&package())).unwrap(), ChangeEnd::Kept);
    computer.assert_runs(&one, "and the way back to what ran before");
}

#[test]
fn what_a_link_names_and_nobody_knows_stays_drift() {
    let (computer, one, _) = computer();
    let before = computer.record();
    let current = computer.slots().current_path();
    let previous = before.previous.as_ref().unwrap();
    let (manifest, _) = computer.host.home.manifest(&package(), &previous.slot);
    let links = ["/usr".to_owned(), "slots/9-000000000000".to_owned(), format!("slots/{}", previous.slot)];
    for to in links {
        fs::remove_file(&current).unwrap();
        symlink(&to, &current).unwrap();
        // The kept manifest does not hold any more.
        fs::write(&manifest, "{}").unwrap();
        assert_eq!(computer.recover(), None, "{to}");
        assert_eq!(computer.record(), before, "{to}");
        let found = drift::look(&computer.host, Keep::No).unwrap();
        assert!(found.iter().any(|found| found.kind == DriftKind::Link), "{to}: {found:?}");
    }
    assert_eq!(one.manifest.counter.0, 1);
}

#[test]
fn records_that_cannot_be_listed_do_not_read_as_nothing_drifted_and_nothing_down() {
    let (computer, ..) = computer();
    let records = computer.host.home.package_records();
    let aside = records.with_extension("aside");
    fs::rename(&records, &aside).unwrap();
    // Root reads a folder whatever its mode is.
    fs::write(&records, "").unwrap();
    assert!(drift::look(&computer.host, Keep::No).is_err());
    assert!(start_again::down(&computer.host).is_err());
    fs::remove_file(&records).unwrap();
    fs::rename(&aside, &records).unwrap();
    assert_eq!(drift::look(&computer.host, Keep::No).unwrap(), []);
    assert!(start_again::down(&computer.host).unwrap().is_empty());
}
