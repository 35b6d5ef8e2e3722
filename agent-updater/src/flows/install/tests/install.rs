//! Installs that succeed, or fail by a hook.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::Ordering;

use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};

use crate::flows::install::ChangeEnd;

use super::fixture::{Computer, ONE, Published, TWO, delta, package, read, reason};

#[test]
fn a_first_release_is_installed_from_its_payload_and_every_step_is_reported() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    assert_eq!(computer.install(&mut one, 0).unwrap(), ChangeEnd::Kept);
    computer.assert_runs(&one, "first");
    assert_eq!(one.fetches, ["payload"]);
    let steps: Vec<_> = computer.reports().into_iter().map(|(step, ..)| step).collect();
    use InstallStep::{Build, Check, Download, Health, Keep, Start, Switch, TestLoad};
    assert_eq!(steps, [Check, Download, Build, TestLoad, Switch, Start, Health, Keep]);
    assert_eq!(read(&computer.root.path().join("log")), "start\n", "there was nothing to stop");
}

#[test]
fn an_update_comes_by_delta_and_the_slot_before_the_last_is_removed() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let mut two = computer.publish("2", 2, TWO);
    two.delta = Some(delta(&one, &two));
    assert_eq!(computer.install(&mut two, 0).unwrap(), ChangeEnd::Kept);
    computer.assert_runs(&two, "second");
    assert_eq!(two.fetches, ["delta"]);
    assert!(computer.reports().contains(&(InstallStep::Download, Outcome::Ok, ReasonCode::ByDelta)));
    let mut three = computer.publish("3", 3, "loadable three");
    computer.install(&mut three, 0).unwrap();
    let record = computer.record();
    let slots = fs::read_dir(computer.host.settings.install_root.join("acme/slots")).unwrap().count();
    assert_eq!(slots, 2);
    assert_eq!(record.previous.unwrap().manifest, two.signed.digest());
    assert_eq!(fs::read_dir(computer.host.home.manifests(&package())).unwrap().count(), 4);
}

#[test]
fn a_delta_that_leads_anywhere_else_falls_back_to_the_payload() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let other = computer.publish("other", 7, "loadable other");
    let good = delta(&one, &computer.publish("x", 8, TWO));
    let mut cases = vec![delta(&one, &other), b"garbage".to_vec(), Vec::new(), vec![0; 100_000]];
    cases.push(good[..good.len() - 1].to_vec());
    for (number, bad) in cases.into_iter().enumerate() {
        let mut next =
            computer.publish(&format!("2.{number}"), 10 + number as u64, &format!("{TWO} {number}"));
        next.delta = Some(bad);
        assert_eq!(computer.install(&mut next, 0).unwrap(), ChangeEnd::Kept, "{number}");
        assert_eq!(next.fetches, ["delta", "payload"]);
        computer.assert_runs(&next, "after the fall-back");
    }
}

#[test]
fn a_release_that_the_product_cannot_load_never_becomes_current() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let before = computer.snapshot();
    let log = read(&computer.root.path().join("log"));
    let mut broken = computer.publish("2", 2, "broken");
    let ended = computer.install(&mut broken, 3).unwrap();
    assert!(matches!(&ended, ChangeEnd::Refused(why) if why.detail.contains("cannot load")), "{ended:?}");
    assert_eq!(computer.snapshot(), before);
    assert_eq!(read(&computer.root.path().join("log")), log, "the product was not touched");
    computer.assert_runs(&one, "after the refusal");
    assert!(computer.reports().contains(&(InstallStep::TestLoad, Outcome::Refused, ReasonCode::HookFailed)));
    assert_eq!(computer.record().given_up[0].attempt, 3);
}

#[test]
fn a_release_that_fails_its_health_check_is_rolled_back_and_remembered() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let before = computer.snapshot();
    let mut sick = computer.publish("2", 2, "loadable but sick");
    assert_eq!(computer.install(&mut sick, 5).unwrap(), ChangeEnd::RolledBack(ReasonCode::HookFailed));
    assert_eq!(computer.snapshot(), before);
    computer.assert_runs(&one, "after the roll-back");
    assert_eq!(read(&computer.root.path().join("log")), "start\nstop\nstart\nstop\nstart\n");
    let given_up = &computer.record().given_up[0];
    assert_eq!((given_up.manifest, given_up.attempt), (sick.signed.digest(), 5));
    assert_eq!(computer.record().counter_floor.unwrap().0, 1, "what was not kept raises no floor");
    let reports = computer.reports();
    assert!(reports.contains(&(InstallStep::Health, Outcome::Failed, ReasonCode::HookFailed)));
    assert_eq!(reports.last(), Some(&(InstallStep::RollBack, Outcome::Ok, ReasonCode::HookFailed)));
}

#[test]
fn a_sick_first_release_leaves_nothing_behind() {
    let computer = Computer::new();
    let mut sick = computer.publish("1", 1, "loadable but sick");
    assert!(matches!(computer.install(&mut sick, 0).unwrap(), ChangeEnd::RolledBack(_)));
    assert_eq!(computer.slots().current().unwrap(), None);
    assert_eq!(fs::read_dir(computer.host.settings.install_root.join("acme/slots")).unwrap().count(), 0);
    assert_eq!(computer.record().current, None);
}

#[test]
fn a_stop_hook_that_fails_leaves_the_old_release_started() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let runs = computer.root.path().join("runs");
    fs::write(computer.root.path().join("stop"), format!("#!/bin/sh\nrm -f {}\nexit 4\n", runs.display()))
        .unwrap();
    let mut two = computer.publish("2", 2, TWO);
    assert_eq!(computer.install(&mut two, 0).unwrap(), ChangeEnd::RolledBack(ReasonCode::HookFailed));
    computer.assert_runs(&one, "after the failed stop");
}

#[test]
fn a_hook_that_others_can_write_stops_the_install_before_anything_changes() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let before = computer.snapshot();
    let hook = computer.root.path().join("test_load");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o777)).unwrap();
    let mut two = computer.publish("2", 2, TWO);
    assert_eq!(reason(&computer.install(&mut two, 0).unwrap()), ReasonCode::HookRefused);
    assert_eq!(computer.snapshot(), before);
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(computer.install(&mut two, 0).unwrap(), ChangeEnd::Kept, "a refused hook gives nothing up");
}

#[test]
fn no_product_is_stopped_that_its_hooks_could_not_start_again() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    let before = computer.snapshot();
    let log = read(&computer.root.path().join("log"));
    let mut three = computer.publish("3", 3, "loadable three");
    for name in ["stop", "start", "health"] {
        let hook = computer.root.path().join(name);
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o775)).unwrap();
        assert_eq!(reason(&computer.install(&mut three, 0).unwrap()), ReasonCode::HookRefused, "{name}");
        let back = computer.with_engine(|engine| engine.roll_back(&package())).unwrap();
        assert_eq!(reason(&back), ReasonCode::HookRefused, "{name}");
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }
    assert!(three.fetches.is_empty(), "nothing is fetched for a product that cannot be switched");
    assert_eq!(computer.snapshot(), before);
    assert_eq!(read(&computer.root.path().join("log")), log, "the product was not touched");
    computer.assert_runs(&two, "with hooks that others can change");
}

#[test]
fn nothing_is_fetched_that_the_user_of_the_test_load_hook_could_not_reach() {
    if !rustix::process::geteuid().is_root() {
        sealpost_test_support::skips::needs("root").unwrap();
        return;
    }
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    fs::set_permissions(computer.root.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(reason(&computer.install(&mut one, 0).unwrap()), ReasonCode::HookRefused);
    assert!(one.fetches.is_empty());
    fs::set_permissions(computer.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(computer.install(&mut one, 0).unwrap(), ChangeEnd::Kept);
}

#[test]
fn a_start_hook_that_becomes_unsafe_during_the_install_is_found_before_the_product_is_stopped() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let log = read(&computer.root.path().join("log"));
    let start = computer.root.path().join("start");
    let text = format!("#!/bin/sh\nchmod 777 {}\n", start.display());
    fs::write(computer.root.path().join("test_load"), text).unwrap();
    let computer = computer.test_loading_as_root();
    let mut two = computer.publish("2", 2, TWO);
    assert_eq!(reason(&computer.install(&mut two, 0).unwrap()), ReasonCode::HookRefused);
    assert_eq!(read(&computer.root.path().join("log")), log, "the product was not touched");
    computer.assert_runs(&one, "after the refusal");
}

#[test]
fn a_test_load_hook_that_changes_the_slot_is_found() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let before = computer.snapshot();
    // As root the hook would run as nobody and could not write; so here it runs as the agent's own user.
    let text = "#!/bin/sh\nchmod u+w \"$SEALPOST_SLOT/lib\" \"$SEALPOST_SLOT/lib/same\" && echo x >> \"$SEALPOST_SLOT/lib/same\"\n";
    fs::write(computer.root.path().join("test_load"), text).unwrap();
    let computer = computer.test_loading_as_root();
    let mut two = computer.publish("2", 2, TWO);
    assert_eq!(reason(&computer.install(&mut two, 0).unwrap()), ReasonCode::PayloadInvalid);
    assert_eq!(computer.snapshot(), before);
}

#[test]
fn an_agent_that_is_stopping_does_not_touch_the_product() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    computer.host.stop.store(true, Ordering::SeqCst);
    let mut two = computer.publish("2", 2, TWO);
    assert_eq!(reason(&computer.install(&mut two, 0).unwrap()), ReasonCode::Interrupted);
    computer.assert_runs(&one, "while stopping");
}

const IN_NAMESPACE: &str = "SEALPOST_TEST_INSTALL_WITH_A_MOUNT";

#[test]
fn what_is_mounted_in_an_old_slot_stays_and_holds_back_neither_an_install_nor_other_old_slots() {
    if std::env::var_os(IN_NAMESPACE).is_some() {
        return install_with_a_mount();
    }
    // Hooks run as another user, which a namespace of users that maps root alone does not have.
    let may_mount = Command::new("unshare").args(["--mount", "true"]).status();
    if !may_mount.is_ok_and(|status| status.success()) {
        sealpost_test_support::skips::needs("root and a mount namespace").unwrap();
        return;
    }
    let name = "flows::install::tests::install::what_is_mounted_in_an_old_slot_stays_and_holds_back_neither_an_install_nor_other_old_slots";
    let ended = Command::new("unshare")
        .arg("--mount")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(IN_NAMESPACE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}

fn install_with_a_mount() {
    let computer = Computer::new();
    let mut releases: Vec<Published> =
        (1..=3).map(|number| computer.publish(&number.to_string(), number, ONE)).collect();
    computer.install(&mut releases[0], 0).unwrap();
    let slots = computer.slots().path_of(&computer.record().current.unwrap().slot);
    let all = slots.parent().unwrap().to_owned();
    for number in 0..8 {
        fs::create_dir(all.join(format!("left-{number}"))).unwrap();
    }
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("kept"), "x").unwrap();
    let mounted =
        Command::new("mount").arg("--bind").arg(data.path()).arg(slots.join("lib")).status().unwrap();
    if !mounted.success() {
        sealpost_test_support::skips::needs("the right to mount").unwrap();
        return;
    }
    for release in &mut releases[1..] {
        assert_eq!(computer.install(release, 0).unwrap(), ChangeEnd::Kept);
    }
    computer.assert_runs(&releases[2], "although an old slot cannot be removed");
    let left: Vec<String> =
        fs::read_dir(&all).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.starts_with("left-")), "{left:?}");
    assert_eq!(left.len(), 3, "the one that runs, the one before, and what is left of the first: {left:?}");
    assert_eq!(fs::read(data.path().join("kept")).unwrap(), b"x");
}
