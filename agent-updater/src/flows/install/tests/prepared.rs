//! Releases that are made ready before their time, and what holds them back.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::assignment::{PackageAssignment, Postpone, Urgency};
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};
use sealpost_test_support::folders::{set_mode, write_executable};

use super::fixture::{Computer, ONE, Published, TWO, delta, read};
use crate::config::Settings;
use crate::domain::record::SlotId;
use crate::domain::timing::Wait;
use crate::flows::install::{ChangeEnd, NotNow, Terms, declines};
use crate::ports::fault_points;
use crate::slots::Slots;

impl Computer {
    /// With a hook that ends as the file `answer` says, and counts how often it was asked.
    fn asking_product(mut self) -> Self {
        let [answer, asked] = ["answer", "asked"].map(|name| self.root.path().join(name));
        let hook = self.root.path().join("ready");
        let text =
            format!("#!/bin/sh\necho asked >> {}\nexit $(cat {})\n", asked.display(), answer.display());
        write_executable(&hook, text).unwrap();
        let config = self.host.home.config();
        fs::write(&config, format!("{}ready = [{hook:?}]\n", read(&config))).unwrap();
        self.host.settings = Settings::load(&config, self.host.home.path()).unwrap();
        self
    }

    fn answers(&self, status: u8) {
        fs::write(self.root.path().join("answer"), status.to_string()).unwrap();
    }

    fn times_asked(&self) -> usize {
        read(&self.root.path().join("asked")).lines().count()
    }

    fn install_by(&self, wanted: &PackageAssignment, release: &mut Published) -> ChangeEnd {
        let vetted = self.vet(release).unwrap();
        self.with_engine(|engine| engine.install(&vetted, Terms::unhindered(wanted), release)).unwrap()
    }
}

fn soon() -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(1)
}

/// With "one" installed, and "two" made ready for a window that opens in an hour.
fn waiting() -> (Computer, Published, Published, PackageAssignment) {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    assert_eq!(computer.install(&mut one, 0).unwrap(), ChangeEnd::Kept);
    let wanted = PackageAssignment { install_from: Some(soon()), ..computer.assignment(&two, 0) };
    let ended = computer.install_by(&wanted, &mut two);
    assert!(matches!(ended, ChangeEnd::NotNow(NotNow::Waits(Wait::Window { .. }))), "{ended:?}");
    computer.assert_runs(&one, "its window is not open");
    (computer, one, two, wanted)
}

#[test]
fn what_was_made_ready_is_installed_in_its_window_without_another_download() {
    let (computer, _, mut two, wanted) = waiting();
    let prepared = computer.record().prepared.unwrap();
    assert_eq!((prepared.manifest, &two.fetches[..]), (two.signed.digest(), &["payload"][..]));
    assert!(computer.slots().has(&prepared.slot).unwrap());
    assert_eq!(computer.recover(), None, "a start of the agent finds nothing to end");
    assert!(computer.slots().has(&prepared.slot).unwrap(), "and leaves it there");
    let open = PackageAssignment { install_from: None, ..wanted };
    assert_eq!(computer.install_by(&open, &mut two), ChangeEnd::Kept);
    assert_eq!(two.fetches, ["payload"]);
    computer.assert_runs(&two, "in its window");
    assert_eq!(computer.record().prepared, None);
}

#[test]
fn a_slot_that_was_changed_while_it_waited_is_built_again_and_never_run() {
    let (computer, _, mut two, wanted) = waiting();
    let slot = computer.record().prepared.unwrap().slot;
    let program = computer.slots().path_of(&slot).join("bin/run");
    set_mode(&program, 0o755).unwrap();
    fs::write(&program, "loadable by somebody else").unwrap();
    let open = PackageAssignment { install_from: None, ..wanted };
    assert_eq!(computer.install_by(&open, &mut two), ChangeEnd::Kept);
    assert_eq!(two.fetches, ["payload", "payload"], "what lay there was of no use");
    computer.assert_runs(&two, "after it was changed");
}

#[test]
fn a_newer_release_that_is_made_ready_takes_the_place_of_the_one_before() {
    let (computer, one, _, _) = waiting();
    let before = computer.record().prepared.unwrap();
    let mut three = computer.publish("3", 3, "loadable three");
    let wanted = PackageAssignment { install_from: Some(soon()), ..computer.assignment(&three, 0) };
    computer.install_by(&wanted, &mut three);
    assert!(!computer.slots().has(&before.slot).unwrap());
    assert_eq!(computer.record().prepared.unwrap().manifest, three.signed.digest());
    computer.assert_runs(&one, "nothing was switched");
}

#[test]
fn a_release_that_cannot_be_loaded_is_found_before_its_window_and_given_up() {
    let (computer, one, _, _) = waiting();
    let mut bad = computer.publish("3", 3, "broken");
    let wanted = PackageAssignment { install_from: Some(soon()), ..computer.assignment(&bad, 0) };
    let ChangeEnd::Refused(refusal) = computer.install_by(&wanted, &mut bad) else { panic!("not refused") };
    assert_eq!(refusal.reason, ReasonCode::HookFailed);
    let record = computer.record();
    assert!(record.given_up.iter().any(|past| past.manifest == bad.signed.digest()));
    assert_ne!(record.prepared.map(|prepared| prepared.manifest), Some(bad.signed.digest()));
    computer.assert_runs(&one, "a bad release was not switched to");
}

#[test]
fn whatever_ends_the_agent_while_it_makes_a_release_ready_the_old_one_runs_and_the_new_one_can_be_installed()
{
    let early = fault_points()
        .into_iter()
        .filter(|point| ["preparing", "built", "tested", "cleared"].iter().any(|step| point.ends_with(step)));
    for point in early {
        let computer = Computer::new();
        let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
        computer.install(&mut one, 0).unwrap();
        let wanted = PackageAssignment { install_from: Some(soon()), ..computer.assignment(&two, 0) };
        *computer.kill.0.lock().unwrap() = Some(point.clone());
        let vetted = computer.vet(&two).unwrap();
        let ended =
            computer.with_engine(|engine| engine.install(&vetted, Terms::unhindered(&wanted), &mut two));
        assert!(ended.is_err_and(|error| error.is_killed()), "{point}");
        computer.recover();
        computer.assert_runs(&one, &point);
        let open = PackageAssignment { install_from: None, ..wanted };
        assert_eq!(computer.install_by(&open, &mut two), ChangeEnd::Kept, "{point}");
        computer.assert_runs(&two, &point);
    }
}

#[test]
fn a_product_that_says_not_now_is_not_stopped_and_nothing_fails() {
    let computer = Computer::new().asking_product();
    computer.answers(0);
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.answers(75);
    let wanted = computer.assignment(&two, 0);
    let stops = read(&computer.root.path().join("log"));
    assert_eq!(computer.install_by(&wanted, &mut two), ChangeEnd::NotNow(NotNow::Declined));
    computer.assert_runs(&one, "it said not now");
    assert_eq!(read(&computer.root.path().join("log")), stops, "it was not stopped");
    assert!(
        computer.reports().iter().all(|(_, outcome, _)| *outcome == Outcome::Ok),
        "{:?}",
        computer.reports()
    );
    assert!(computer.record().given_up.is_empty());
    // It was asked before anything was unpacked, and what was fetched is kept.
    assert_eq!(computer.record().prepared, None);
    let slot = SlotId::of(&wanted.release.version, &wanted.manifest);
    assert!(!computer.slots().has(&slot).unwrap());
    assert_eq!(fs::read_dir(computer.host.home.downloads()).unwrap().count(), 1);
    assert!(declines(&computer.host, &mut Terms::unhindered(&wanted)), "asked before a change begins");
    computer.answers(0);
    let mut terms = Terms::unhindered(&wanted);
    assert!(!declines(&computer.host, &mut terms));
    let asked = computer.times_asked();
    let vetted = computer.vet(&two).unwrap();
    let ended = computer.with_engine(|engine| engine.install(&vetted, terms, &mut two)).unwrap();
    assert_eq!((ended, computer.times_asked()), (ChangeEnd::Kept, asked), "its yes counts for a moment");
    computer.assert_runs(&two, "it was ready");
    assert_eq!(fs::read_dir(computer.host.home.downloads()).unwrap().count(), 0);
}

#[test]
fn a_delta_that_is_fetched_and_declined_is_kept_whole_and_applied_later() {
    let computer = Computer::new().asking_product();
    computer.answers(0);
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    two.delta = Some(delta(&one, &two));
    computer.answers(75);
    let wanted = computer.assignment(&two, 0);
    assert_eq!(computer.install_by(&wanted, &mut two), ChangeEnd::NotNow(NotNow::Declined));
    computer.answers(0);
    assert_eq!(computer.install_by(&wanted, &mut two), ChangeEnd::Kept);
    assert_eq!(two.fetches, ["delta"], "neither is it fetched again, nor the payload");
    computer.assert_runs(&two, "by its delta");
    assert_eq!(fs::read_dir(computer.host.home.downloads()).unwrap().count(), 0);
}

#[test]
fn a_product_is_asked_before_the_unpacking_and_again_before_a_stop_that_comes_later() {
    for (secs_ago, asks) in [(0, 0), (15, 0), (31, 1), (-60, 1)] {
        let computer = Computer::new().asking_product();
        computer.answers(0);
        let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
        computer.install(&mut one, 0).unwrap();
        let before = computer.times_asked();
        let ahead = PackageAssignment { install_from: Some(soon()), ..computer.assignment(&two, 0) };
        let ended = computer.install_by(&ahead, &mut two);
        assert!(matches!(ended, ChangeEnd::NotNow(NotNow::Waits(Wait::Window { .. }))), "{ended:?}");
        assert_eq!(computer.times_asked(), before + 1, "before it was unpacked");
        let wanted = PackageAssignment { install_from: None, ..ahead };
        let said = computer.host.now() - SignedDuration::from_secs(secs_ago);
        let terms = Terms { ready_at: Some(said), ..Terms::unhindered(&wanted) };
        let vetted = computer.vet(&two).unwrap();
        let ended = computer.with_engine(|engine| engine.install(&vetted, terms, &mut two)).unwrap();
        assert_eq!((ended, computer.times_asked()), (ChangeEnd::Kept, before + 1 + asks), "{secs_ago}");
    }
}

#[test]
fn whatever_ends_the_agent_between_a_product_s_not_now_and_its_yes_the_old_release_runs() {
    for point in fault_points().into_iter().filter(|point| point.ends_with("cleared")) {
        let computer = Computer::new().asking_product();
        computer.answers(0);
        let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
        computer.install(&mut one, 0).unwrap();
        computer.answers(75);
        let wanted = computer.assignment(&two, 0);
        *computer.kill.0.lock().unwrap() = Some(point.clone());
        let vetted = computer.vet(&two).unwrap();
        let ended =
            computer.with_engine(|engine| engine.install(&vetted, Terms::unhindered(&wanted), &mut two));
        assert!(ended.is_err_and(|error| error.is_killed()), "{point}");
        computer.recover();
        computer.assert_runs(&one, &point);
        assert!(computer.record().given_up.is_empty());
        computer.answers(0);
        assert_eq!(computer.install_by(&wanted, &mut two), ChangeEnd::Kept, "{point}");
        computer.assert_runs(&two, &point);
    }
}

#[test]
fn a_ready_hook_that_is_broken_or_hangs_holds_nothing_up_and_is_reported() {
    for (status, remove) in [(1, false), (0, true)] {
        let mut computer = Computer::new().asking_product();
        computer.answers(status);
        if remove {
            fs::remove_file(computer.root.path().join("ready")).unwrap();
        }
        let mut one = computer.publish("1", 1, ONE);
        assert_eq!(computer.install(&mut one, 0).unwrap(), ChangeEnd::Kept, "{status}");
        let reason = if remove { ReasonCode::HookRefused } else { ReasonCode::HookFailed };
        assert!(
            computer.reports().contains(&(InstallStep::Check, Outcome::Ok, reason)),
            "{:?}",
            computer.reports()
        );
        computer.host.settings =
            Settings::load(&computer.host.home.config(), computer.host.home.path()).unwrap();
    }
}

#[test]
fn a_product_is_not_asked_in_an_emergency_or_once_the_deadline_came() {
    let now = Timestamp::now();
    let changes: [fn(&mut PackageAssignment); 3] = [
        |wanted| wanted.urgency = Urgency::Emergency,
        |wanted| wanted.deadline = Some(Timestamp::now() - SignedDuration::from_secs(1)),
        |wanted| {
            let until = Timestamp::now() - SignedDuration::from_secs(1);
            wanted.postpone = Some(Postpone { times: 3, until });
        },
    ];
    for change in changes {
        let computer = Computer::new().asking_product();
        computer.answers(75);
        let mut one = computer.publish("1", 1, ONE);
        let mut wanted = computer.assignment(&one, 0);
        change(&mut wanted);
        assert_eq!(computer.install_by(&wanted, &mut one), ChangeEnd::Kept, "{now}: {wanted:?}");
        assert_eq!(computer.times_asked(), 0);
    }
}

#[test]
fn the_slot_that_waits_is_kept_by_a_rollback_of_a_person() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    let mut three = computer.publish("3", 3, "loadable three");
    let wanted = PackageAssignment { install_from: Some(soon()), ..computer.assignment(&three, 0) };
    computer.install_by(&wanted, &mut three);
    let ready = computer.record().prepared.unwrap();
    assert_eq!(
        computer.with_engine(|engine| engine.roll_back(&ready.release.package)).unwrap(),
        ChangeEnd::Kept
    );
    computer.assert_runs(&one, "a person went back");
    assert_eq!(computer.record().prepared, Some(ready.clone()));
    let slots = Slots::open(&computer.host.settings.install_root, &ready.release.package).unwrap();
    assert!(slots.has(&ready.slot).unwrap());
}
