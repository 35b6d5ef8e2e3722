//! Noting the end of a trial, and making the records agree after damage.

use std::fs;

use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};
use sealpost_test_support::folders::make_writable;

use super::fixture::Computer;
use crate::domain::self_update::record::SelfRecord;
use crate::platform::program;
use crate::records::packages;

#[test]
fn a_confirmed_program_becomes_current_the_one_before_is_kept_and_older_ones_go() {
    let computer = Computer::new();
    for (version, counter) in [("1.0", 1), ("2.0", 2), ("3.0", 3)] {
        computer.runs(&mut computer.publish(version, counter, "/bin/true"));
        assert_eq!(computer.agreed(version).as_deref(), Some(version));
        assert_eq!(computer.reports().last(), Some(&(InstallStep::Keep, Outcome::Ok, ReasonCode::Done)));
    }
    let kept: Vec<String> =
        computer.slot_names().iter().map(|name| name.split('-').next().unwrap().to_owned()).collect();
    assert_eq!(kept, ["2.0", "3.0"]);
    let before = computer.reports().len();
    computer.settle().unwrap();
    assert_eq!(computer.reports().len(), before, "an end is reported once");
}

#[test]
fn a_program_that_was_given_back_is_reported_with_its_reason_and_not_tried_again() {
    let computer = Computer::new();
    computer.runs(&mut computer.publish("1.0", 1, "/bin/true"));
    let mut two = computer.publish("2.0", 2, "/bin/true");
    computer.on_trial(&mut two);
    computer.settle().unwrap();
    assert!(computer.state().trial.is_some(), "a cycle leaves an open trial alone");
    let why = "it completed no contact".to_owned();
    computer.write(&computer.state().given_back(ReasonCode::AgentSilent, why, computer.host.now()));
    computer.settle().unwrap();
    assert_eq!(computer.agreed("given back").as_deref(), Some("1.0"));
    let given_up = &computer.package().given_up[0];
    assert_eq!((given_up.manifest, given_up.reason), (two.signed.digest(), ReasonCode::AgentSilent));
    let reports = computer.reports();
    let end = [
        (InstallStep::Health, Outcome::Failed, ReasonCode::AgentSilent),
        (InstallStep::RollBack, Outcome::Ok, ReasonCode::AgentSilent),
    ];
    assert_eq!(reports[reports.len() - 2..], end);
    assert_eq!(computer.slot_names().len(), 1, "what was given back takes no room");
}

#[test]
fn nothing_is_noted_while_a_watchdog_is_at_work() {
    let computer = Computer::new();
    computer.on_trial(&mut computer.publish("1.0", 1, "/bin/true"));
    let confirmed = computer.state().confirmed(computer.host.now());
    computer.write(&confirmed);
    let watchdog = computer.host.home.lock_watch().unwrap();
    computer.settle().unwrap();
    assert_eq!(computer.state(), confirmed);
    drop(watchdog);
    computer.settle().unwrap();
    assert_eq!(computer.agreed("after it").as_deref(), Some("1.0"));
}

#[test]
fn a_stable_program_that_was_changed_is_lost_and_installed_again() {
    let computer = Computer::new();
    let mut one = computer.publish("1.0", 1, "/bin/true");
    computer.runs(&mut one);
    let stable = computer.state().stable.unwrap();
    make_writable(computer.slots().path());
    fs::remove_file(&stable.path).unwrap();
    fs::copy("/bin/false", &stable.path).unwrap();
    assert!(program::open(&stable.path, &stable.sha256).is_err());
    computer.settle().unwrap();
    assert_eq!(computer.agreed("lost"), None);
    let package = computer.package();
    assert!(package.given_up.is_empty() && package.counter_floor.is_some());
    let lost = (InstallStep::Start, Outcome::Failed, ReasonCode::LocalFault);
    assert_eq!(computer.reports().last(), Some(&lost));
    // The next contact finds it not installed, and builds it anew.
    computer.runs(&mut one);
    assert_eq!(computer.agreed("healed").as_deref(), Some("1.0"));
    assert!(program::open(&stable.path, &stable.sha256).is_ok());
}

#[test]
fn after_damage_of_the_record_what_is_stable_is_known_from_the_record_of_the_package() {
    let computer = Computer::new();
    computer.runs(&mut computer.publish("1.0", 1, "/bin/true"));
    let state = computer.state();
    let path = computer.host.home.self_state();
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, bytes).unwrap();
    computer.settle().unwrap();
    assert_eq!(computer.state(), state, "nothing was tried again for it");
    assert_eq!(computer.agreed("damaged").as_deref(), Some("1.0"));
    assert!(computer.host.home.path().join("self/state.damaged.json").exists(), "for people to look at");
    // The other way round.
    packages::save(&computer.host.home, &sealpost_manifests::ids::PackageName::agent(), &Default::default())
        .unwrap();
    computer.settle().unwrap();
    assert_eq!(computer.agreed("package lost").as_deref(), Some("1.0"));
    // Without the kept manifest nobody can say which bytes are right.
    computer.write(&SelfRecord::default());
    fs::remove_dir_all(computer.host.home.path().join("manifests/agent-updater")).unwrap();
    computer.settle().unwrap();
    assert_eq!(computer.agreed("unknown"), None, "it is installed again");
}
