//! Damage by somebody else: a new release heals what it safely can, and a repair puts the same release in its place again.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use sealpost_manifests::wire::report::ReasonCode;
use sealpost_test_support::folders::{set_mode, write_executable, write_file};

use super::fixture::{Computer, ONE, Published, TWO, package, read, reason};
use crate::domain::record::ChangeKind;
use crate::flows::install::{ChangeEnd, EngineError};
use crate::ports::fault_points;
use crate::slots::Current;

fn folder(computer: &Computer) -> PathBuf {
    computer.host.settings.install_root.join("acme")
}

fn slot_of(computer: &Computer) -> PathBuf {
    computer.slots().path_of(&computer.record().current.unwrap().slot)
}

fn change_a_file(computer: &Computer) {
    let file = slot_of(computer).join("lib/same");
    set_mode(&file, 0o644).unwrap();
    fs::write(&file, b"changed by hand").unwrap();
}

type Damage = fn(&Computer);

/// The ways to damage an installed package.
fn damages() -> Vec<(&'static str, Damage)> {
    vec![
        ("no folder", |computer| fs::remove_dir_all(folder(computer)).unwrap()),
        ("no slot", |computer| fs::remove_dir_all(slot_of(computer)).unwrap()),
        ("no link", |computer| fs::remove_file(folder(computer).join("current")).unwrap()),
        ("a link elsewhere", |computer| {
            fs::remove_file(folder(computer).join("current")).unwrap();
            symlink("/usr", folder(computer).join("current")).unwrap();
        }),
        ("a changed file", change_a_file),
        ("an added file", |computer| {
            set_mode(&slot_of(computer), 0o755).unwrap();
            write_file(&slot_of(computer).join("new"), "x").unwrap();
        }),
        ("a name that is no text", |computer| {
            set_mode(&slot_of(computer), 0o755).unwrap();
            fs::write(slot_of(computer).join(no_text()), b"x").unwrap();
        }),
        ("a link that is no text", |computer| {
            fs::remove_file(folder(computer).join("current")).unwrap();
            symlink(no_text(), folder(computer).join("current")).unwrap();
        }),
        ("what cannot be removed", add_what_cannot_be_removed),
    ]
}

fn no_text() -> &'static OsStr {
    OsStr::from_bytes(b"bad\xffname")
}

/// A tree that is deeper than anything that is removed.
fn add_what_cannot_be_removed(computer: &Computer) {
    let mut deep = slot_of(computer);
    set_mode(&deep, 0o755).unwrap();
    deep.extend(std::iter::repeat_n("d", 600));
    fs::create_dir_all(deep).unwrap();
}

fn repair(computer: &Computer, release: &mut Published) -> Result<ChangeEnd, EngineError> {
    let vetted = computer.vet(release).unwrap();
    let installed = computer.record().current.unwrap();
    computer.with_engine(|engine| engine.repair(&installed, Some((&vetted, release))))
}

#[test]
fn a_new_release_heals_whatever_somebody_did_to_the_old_one() {
    for (what, damage) in damages() {
        let computer = Computer::new();
        let mut one = computer.publish("1", 1, ONE);
        computer.install(&mut one, 0).unwrap();
        damage(&computer);
        let mut two = computer.publish("2", 2, TWO);
        assert_eq!(computer.install(&mut two, 0).unwrap(), ChangeEnd::Kept, "{what}");
        computer.assert_runs(&two, what);
        let log = read(&computer.root.path().join("log"));
        assert_eq!(
            log.lines().collect::<Vec<_>>(),
            ["start", "stop", "start"],
            "{what}: the old one was stopped"
        );
    }
}

#[test]
fn a_new_release_that_does_not_work_leaves_no_dead_end_when_the_old_one_is_gone() {
    for (what, damage) in damages() {
        let computer = Computer::new();
        let mut one = computer.publish("1", 1, ONE);
        computer.install(&mut one, 0).unwrap();
        damage(&computer);
        let mut sick = computer.publish("2", 2, "loadable but sick");
        assert!(matches!(computer.install(&mut sick, 0).unwrap(), ChangeEnd::RolledBack(_)), "{what}");
        assert_eq!(computer.recover(), None, "{what}: nothing is left to recover");
        let record = computer.record();
        assert_eq!(record.current.unwrap().manifest, one.signed.digest(), "{what}: it is still known");
        let mut three = computer.publish("3", 3, "loadable three");
        assert_eq!(computer.install(&mut three, 0).unwrap(), ChangeEnd::Kept, "{what}");
        computer.assert_runs(&three, what);
    }
}

#[test]
fn a_rollback_works_also_when_the_slot_that_is_left_is_gone() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    fs::remove_dir_all(slot_of(&computer)).unwrap();
    assert_eq!(computer.with_engine(|engine| engine.roll_back(&package())).unwrap(), ChangeEnd::Kept);
    computer.assert_runs(&one, "after the rollback");
    let record = computer.record();
    assert_eq!((record.given_up[0].manifest, record.previous), (two.signed.digest(), None));
}

#[test]
fn what_somebody_put_in_the_place_of_the_link_is_not_lost() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let current = folder(&computer).join("current");
    fs::remove_file(&current).unwrap();
    fs::create_dir(&current).unwrap();
    fs::write(current.join("notes"), b"by hand").unwrap();
    let mut two = computer.publish("2", 2, TWO);
    let ChangeEnd::Refused(refusal) = computer.install(&mut two, 0).unwrap() else { panic!("installed") };
    assert!(refusal.detail.contains("`agent-updater repair acme`"), "{refusal}");
    assert_eq!(repair(&computer, &mut one).unwrap(), ChangeEnd::Kept);
    computer.assert_runs(&one, "after the repair that the message names");
    assert_eq!(fs::read(folder(&computer).join("current.put-aside-1/notes")).unwrap(), b"by hand");
    assert_eq!(computer.install(&mut two, 0).unwrap(), ChangeEnd::Kept);
}

#[test]
fn a_repair_puts_the_same_release_in_its_place_and_keeps_the_one_before() {
    for (what, damage) in damages() {
        let computer = Computer::new();
        let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
        computer.install(&mut one, 0).unwrap();
        computer.install(&mut two, 0).unwrap();
        let before = computer.record();
        damage(&computer);
        assert_eq!(repair(&computer, &mut two).unwrap(), ChangeEnd::Kept, "{what}");
        computer.assert_runs(&two, what);
        assert_eq!(computer.record(), before, "{what}");
        if what != "no folder" {
            assert_eq!(computer.with_engine(|engine| engine.roll_back(&package())).unwrap(), ChangeEnd::Kept);
            computer.assert_runs(&one, what);
        }
    }
}

#[test]
fn a_repair_needs_no_bytes_when_the_slot_is_whole() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    computer.slots().switch(None).unwrap();
    let installed = computer.record().current.unwrap();
    let end = computer.with_engine(|engine| engine.repair(&installed, None)).unwrap();
    assert_eq!(end, ChangeEnd::Kept);
    computer.assert_runs(&one, "repaired");
}

#[test]
fn a_repair_by_other_bytes_leaves_everything_as_it_was() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    change_a_file(&computer);
    let before = computer.snapshot();
    one.payload = computer.publish("2", 2, TWO).payload;
    let ended = repair(&computer, &mut one).unwrap();
    assert_eq!(reason(&ended), ReasonCode::PayloadInvalid);
    assert_eq!(computer.snapshot(), before);
    assert_eq!(computer.current_and_running().1.as_deref(), Some(ONE), "and nothing was stopped");
}

#[test]
fn a_repair_whose_hooks_fail_leaves_the_whole_release_and_gives_nothing_up() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    change_a_file(&computer);
    fs::write(computer.root.path().join("health"), "#!/bin/sh\nexit 1\n").unwrap();
    let ended = repair(&computer, &mut one).unwrap();
    assert_eq!(ended, ChangeEnd::RolledBack(ReasonCode::HookFailed));
    computer.assert_runs(&one, "with a failing health hook");
    assert!(computer.record().given_up.is_empty());
}

#[test]
fn a_product_that_makes_itself_unremovable_is_repaired_and_started_as_often_as_it_is_asked_for() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    for number in 1..=4 {
        add_what_cannot_be_removed(&computer);
        change_a_file(&computer);
        assert_eq!(repair(&computer, &mut one).unwrap(), ChangeEnd::Kept, "{number}");
        assert_eq!(computer.recover(), None, "{number}");
        computer.assert_runs(&one, "repaired");
    }
    let mut two = computer.publish("2", 2, TWO);
    assert_eq!(computer.install(&mut two, 0).unwrap(), ChangeEnd::Kept, "and it holds back no release");
    computer.assert_runs(&two, "installed");
    let log = read(&computer.root.path().join("log"));
    assert_eq!(log.matches("stop").count() + 1, log.matches("start").count(), "{log}");
}

#[test]
fn a_product_whose_repair_cannot_be_put_in_its_place_is_started_again() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    change_a_file(&computer);
    // As many trees out of the way as there may be, and more.
    let away = format!("{}.replaced", slot_of(&computer).display());
    let script = format!("mkdir {away}; for n in $(seq 1 40); do mkdir {away}-$n; done\n");
    let stop = computer.root.path().join("stop");
    let before = read(&stop);
    write_executable(&stop, format!("{before}{script}")).unwrap();
    let ended = repair(&computer, &mut one).unwrap();
    assert_eq!(ended, ChangeEnd::RolledBack(ReasonCode::LocalFault));
    assert_eq!(computer.recover(), None);
    assert_eq!(computer.current_and_running().1.as_deref(), Some(ONE));
    assert!(read(&computer.root.path().join("log")).ends_with("stop\nstart\n"));
    // The clean-up made room. Without room nothing is stopped.
    write_executable(&stop, before).unwrap();
    for number in 0..40 {
        let mut deep = PathBuf::from(if number == 0 { away.clone() } else { format!("{away}-{number}") });
        deep.extend(std::iter::repeat_n("d", 600));
        fs::create_dir_all(deep).unwrap();
    }
    assert_eq!(reason(&repair(&computer, &mut one).unwrap()), ReasonCode::LocalFault);
    assert_eq!(read(&computer.root.path().join("log")).matches("stop").count(), 1);
    let rest = format!("rm -rf {away}*");
    assert!(Command::new("sh").args(["-c", &rest]).status().unwrap().success());
    assert_eq!(repair(&computer, &mut one).unwrap(), ChangeEnd::Kept);
    computer.assert_runs(&one, "repaired");
}

/// Kills repairs of these damages at every point.
fn kill_repairs(of: &[&str]) {
    let mut reached = 0;
    for (what, damage) in damages().into_iter().filter(|(what, _)| of.contains(what)) {
        for point in fault_points() {
            let computer = Computer::new();
            let mut one = computer.publish("1", 1, ONE);
            computer.install(&mut one, 0).unwrap();
            damage(&computer);
            *computer.kill.0.lock().unwrap() = Some(point.clone());
            let killed = repair(&computer, &mut one).is_err_and(|error| error.is_killed());
            *computer.kill.0.lock().unwrap() = None;
            if !killed {
                continue;
            }
            reached += 1;
            let context = format!("{what}, killed {point}");
            computer.recover();
            assert_eq!(computer.recover(), None, "{context}");
            assert_eq!(repair(&computer, &mut one).unwrap(), ChangeEnd::Kept, "{context}");
            computer.assert_runs(&one, &context);
            assert_eq!(
                computer.slots().find_current().unwrap(),
                Current::Slot(computer.record().current.unwrap().slot)
            );
        }
    }
    assert!(reached > 20, "{reached}");
}

#[test]
fn a_kill_at_any_point_of_a_repair_of_what_was_removed_leaves_it_repairable() {
    kill_repairs(&["no folder", "no slot"]);
}

#[test]
fn a_kill_at_any_point_of_a_repair_of_the_link_leaves_it_repairable() {
    kill_repairs(&["no link", "a link elsewhere", "a link that is no text"]);
}

#[test]
fn a_kill_at_any_point_of_a_repair_of_files_leaves_it_repairable() {
    kill_repairs(&["a changed file", "an added file"]);
}

#[test]
fn a_kill_at_any_point_of_a_repair_of_what_cannot_be_named_or_removed_leaves_it_repairable() {
    kill_repairs(&["a name that is no text", "what cannot be removed"]);
}

#[test]
fn a_change_whose_old_slot_is_removed_meanwhile_ends_and_is_no_dead_end() {
    for point in ["after-switched", "after-trying", "after-rolling-back"] {
        let computer = Computer::new();
        let mut one = computer.publish("1", 1, ONE);
        computer.install(&mut one, 0).unwrap();
        *computer.kill.0.lock().unwrap() = Some(point.to_owned());
        let mut two = computer.publish("2", 2, "loadable but sick");
        assert!(computer.install(&mut two, 0).is_err_and(|error| error.is_killed()), "{point}");
        let old = computer.slots().path_of(&computer.record().current.unwrap().slot);
        fs::remove_dir_all(old).unwrap();
        computer.recover();
        assert_eq!(computer.recover(), None, "{point}");
        assert_eq!(repair(&computer, &mut one).unwrap(), ChangeEnd::Kept, "{point}");
        computer.assert_runs(&one, point);
    }
    assert_eq!(ChangeKind::Repair.asked_back(), None);
}

#[test]
fn an_install_that_was_interrupted_is_finished_once_its_disk_is_there_again() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    *computer.kill.0.lock().unwrap() = Some("after-stopped".to_owned());
    let mut two = computer.publish("2", 2, TWO);
    assert!(computer.install(&mut two, 0).is_err_and(|error| error.is_killed()));
    // What a disk leaves that is not mounted: an empty folder.
    let (root, disk) = (computer.host.settings.install_root.clone(), computer.root.path().join("disk"));
    fs::rename(&root, &disk).unwrap();
    fs::create_dir(&root).unwrap();
    for _ in 0..3 {
        let error = computer.with_engine(|engine| engine.recover()).unwrap_err();
        assert!(error.to_string().contains("may not be mounted"), "{error}");
    }
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    fs::remove_dir(&root).unwrap();
    fs::rename(&disk, &root).unwrap();
    assert!(computer.recover().is_some());
    assert_eq!(computer.recover(), None);
    computer.assert_runs(
        if computer.record().current.unwrap().manifest == two.signed.digest() { &two } else { &one },
        "mounted",
    );
}
