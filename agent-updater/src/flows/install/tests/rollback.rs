//! Rollbacks that a person asks for, and slots that exist already.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};

use crate::control::ToUnwanted;
use crate::flows::install::ChangeEnd;
use crate::flows::rollback::roll_back;

use super::fixture::{Computer, ONE, TWO, package, read, reason};
use super::refused::SmallDisk;

#[test]
fn a_slot_that_belongs_to_another_user_is_not_taken_for_the_signed_one() {
    if !rustix::process::geteuid().is_root() {
        sealpost_test_support::skips::needs("root").unwrap();
        return;
    }
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    let slot = computer.slots().path_of(&computer.record().previous.unwrap().slot);
    for path in [slot.clone(), slot.join("lib"), slot.join("bin/run")] {
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        let back = computer.with_engine(|engine| engine.roll_back(&package())).unwrap();
        assert!(matches!(&back, ChangeEnd::Refused(why) if why.detail.contains("another user")), "{back:?}");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
    computer.assert_runs(&two, "after the refusals");
}

#[test]
fn a_rollback_by_a_person_goes_to_the_release_before_and_gives_the_newer_one_up() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    let nothing_before = computer.with_engine(|engine| engine.roll_back(&package())).unwrap();
    assert_eq!(reason(&nothing_before), ReasonCode::LocalFault);
    computer.assert_runs(&one, "no earlier release");
    computer.install(&mut two, 2).unwrap();
    assert_eq!(computer.with_engine(|engine| engine.roll_back(&package())).unwrap(), ChangeEnd::Kept);
    computer.assert_runs(&one, "after the rollback");
    let given_up = &computer.record().given_up[0];
    assert_eq!((given_up.manifest, given_up.attempt), (two.signed.digest(), 2));
    assert_eq!(given_up.reason, ReasonCode::AskedLocally);
    assert_eq!(
        computer.reports().last(),
        Some(&(InstallStep::RollBack, Outcome::Ok, ReasonCode::AskedLocally))
    );
    // A raised attempt brings it back, without fetching what is still there.
    two.fetches.clear();
    assert_eq!(computer.install(&mut two, 3).unwrap(), ChangeEnd::Kept);
    assert!(two.fetches.is_empty());
    computer.assert_runs(&two, "after the retry");
}

#[test]
fn a_rollback_that_the_site_asks_for_is_carried_out_like_a_local_one_and_reported_for_its_rollout() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 2).unwrap();
    assert_eq!(computer.roll_back_for_site(4).unwrap(), ChangeEnd::Kept);
    computer.assert_runs(&one, "after the rollback");
    let record = computer.record();
    assert_eq!(record.counter_floor, Some(ReleaseCounter(2)), "the floor stays");
    let current = record.current.unwrap();
    assert_eq!((current.rollout, current.attempt), (9, 4));
    let given_up = &record.given_up[0];
    assert_eq!((given_up.manifest, given_up.attempt), (two.signed.digest(), 2));
    assert_eq!(given_up.reason, ReasonCode::AskedBySite);
    let reports = computer.reports();
    let left = (InstallStep::RollBack, Outcome::Ok, ReasonCode::AskedBySite);
    assert_eq!(reports[reports.len() - 2..], [left, (InstallStep::Keep, Outcome::Ok, ReasonCode::Done)]);
}

#[test]
fn a_rollback_of_the_site_to_a_release_that_does_not_start_any_more_is_not_tried_again() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    let health = computer.root.path().join("health");
    fs::write(&health, "#!/bin/sh\ngrep -q two \"$SEALPOST_CURRENT/bin/run\"\n").unwrap();
    assert_eq!(reason(&computer.roll_back_for_site(4).unwrap()), ReasonCode::HookFailed);
    computer.assert_runs(&two, "after the failure");
    let given_up = &computer.record().given_up[0];
    assert_eq!((given_up.manifest, given_up.attempt), (one.signed.digest(), 4));
}

#[test]
fn a_rollback_by_hand_needs_no_free_byte_of_the_disk_of_the_records() {
    let computer = Computer::new();
    let state = computer.host.home.state("x").parent().unwrap().to_owned();
    let Some(_disk) = SmallDisk::at(&state, "512k") else {
        sealpost_test_support::skips::needs("the right to mount").unwrap();
        return;
    };
    computer.host.home.prepare().unwrap();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    computer.host.home.keep_reserve();
    // Another program fills the disk to its last byte.
    let mut fill = fs::File::create(state.join("fill")).unwrap();
    while fill.write_all(&[7; 512]).is_ok() {}
    assert!(fs::write(state.join("one-more"), [7; 4096]).is_err());
    let ended = roll_back(&computer.host, &package(), ToUnwanted::Refuse).unwrap();
    assert_eq!(ended, ChangeEnd::Kept);
    computer.assert_runs(&one, "on a full disk");
    // Once there is room again, there is a reserve again.
    fs::remove_file(state.join("fill")).unwrap();
    computer.host.home.keep_reserve();
    assert!(state.join("reserve").exists());
    assert_eq!(roll_back(&computer.host, &package(), ToUnwanted::Refuse).unwrap(), ChangeEnd::Kept);
    computer.assert_runs(&two, "with room");
}

#[test]
fn a_rollback_to_a_slot_that_was_changed_is_refused() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    let slot = computer.slots().path_of(&computer.record().previous.unwrap().slot);
    fs::set_permissions(slot.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(slot.join("bin/run"), "loadable evil").unwrap();
    let ended = computer.with_engine(|engine| engine.roll_back(&package())).unwrap();
    assert_eq!(reason(&ended), ReasonCode::LocalFault);
    computer.assert_runs(&two, "after the refusal");
}

#[test]
fn a_rollback_by_a_kept_manifest_that_was_changed_is_refused() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    let (manifest, _) = computer.host.home.manifest(&package(), &computer.record().previous.unwrap().slot);
    // Still a sound manifest of the same files: only its digest differs.
    fs::write(&manifest, format!("{} ", read(&manifest))).unwrap();
    let ended = computer.with_engine(|engine| engine.roll_back(&package())).unwrap();
    assert_eq!(reason(&ended), ReasonCode::LocalFault);
    computer.assert_runs(&two, "after the refusal");
}

#[test]
fn a_slot_that_stands_there_already_is_used_only_if_it_is_what_was_signed() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    computer.with_engine(|engine| engine.roll_back(&package())).unwrap();
    let slot = computer.slots().path_of(&computer.record().previous.unwrap().slot);
    fs::set_permissions(slot.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(slot.join("bin/run"), "loadable evil").unwrap();
    let mut again = two.clone();
    again.fetches.clear();
    assert_eq!(computer.install(&mut again, 1).unwrap(), ChangeEnd::Kept);
    assert!(!again.fetches.is_empty(), "it was fetched anew");
    computer.assert_runs(&two, "after the slot was built anew");
}
