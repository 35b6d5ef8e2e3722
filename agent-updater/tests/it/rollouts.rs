//! A rollout as one computer sees it: windows, deadlines, what a person or the product puts off, and what is reported.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::control::AnswerCode;
use sealpost_agent_updater::flows::cycle::{self, CycleResult, Starts};
use sealpost_agent_updater::flows::hold::{Hold, hold, install};
use sealpost_agent_updater::flows::status::PackageStatus;
use sealpost_manifests::assignment::{PackageAssignment, Postpone, Start, Urgency};
use sealpost_manifests::wire::contact::{PostponedBy, WaitsFor};
use sealpost_manifests::wire::report::{InstallStep, Outcome, Way};
use sealpost_manifests::word::Word;
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::folders::{set_mode, write_executable};
use sealpost_test_support::web::{Fault, Times};

use crate::site::{Site, package};

/// License time is rounded, and may lie a little behind the clock: nothing is asked at the very instant of a border.
const MARGIN: SignedDuration = SignedDuration::from_secs(2);

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// An enrolled computer that runs "one", with a clock that can be put forward.
fn computer() -> (Site, Agent, ManualClock) {
    let site = Site::new();
    drop(site.enrolled());
    let clock = ManualClock::running();
    let agent = site.agent_with(clock.clone());
    site.release("1", 1, "one");
    assert_eq!(agent.cycle().problems, Vec::<String>::new());
    (site, agent, clock)
}

/// The same, to which "two" is assigned in this way.
fn assigned(how: impl FnOnce(&mut PackageAssignment, Timestamp)) -> (Site, Agent, ManualClock) {
    let (site, agent, clock) = computer();
    site.release("2", 2, "two");
    how(&mut site.server.lock().unwrap().assigned[0], clock.now());
    (site, agent, clock)
}

fn change(site: &Site, how: impl FnOnce(&mut PackageAssignment)) {
    how(&mut site.server.lock().unwrap().assigned[0]);
}

fn runs(site: &Site) -> String {
    site.installed().unwrap()
}

/// As a timer or a wake has it, and no person.
fn cycle_of_timer(agent: &Agent) -> CycleResult {
    cycle::run(&agent.context, Starts::Due)
}

fn status(agent: &Agent) -> PackageStatus {
    agent.status().packages.remove(0)
}

fn payloads(site: &Site) -> usize {
    site.web.asked(".tar.gz").len()
}

#[test]
fn a_release_is_fetched_before_its_window_and_installed_when_it_opens_without_another_download() {
    let (site, agent, clock) = assigned(|wanted, now| {
        wanted.install_from = Some(now + HOUR * 2);
        wanted.install_until = Some(now + HOUR * 6);
        wanted.postpone = None;
    });
    let before = payloads(&site);
    cycle_of_timer(&agent);
    assert_eq!((runs(&site).as_str(), payloads(&site)), ("one", before + 1));
    let shown = status(&agent);
    assert_eq!((shown.decision, shown.prepared.as_deref()), (Some("waits_for_window"), Some("2")));
    assert!(shown.sentence.starts_with("ready; it waits for its window"), "{}", shown.sentence);
    let text = agent.status().to_text();
    assert!(text.contains("  window: ") && text.contains("that changes at"), "{text}");
    assert!(!agent.status().problems.iter().any(|problem| problem.package.is_some()), "that is no problem");

    clock.forward(HOUR + MARGIN);
    let next = cycle_of_timer(&agent).next_contact;
    assert_eq!((runs(&site).as_str(), payloads(&site)), ("one", before + 1), "nothing is fetched again");
    clock.forward(next.duration_since(clock.now()) + MARGIN);
    // A start of the agent forgets nothing.
    let agent = site.agent_with(clock);
    assert_eq!(agent.cycle().problems, Vec::<String>::new());
    assert_eq!((runs(&site).as_str(), payloads(&site)), ("two", before + 1));
    assert_eq!(status(&agent).prepared, None);
}

#[test]
fn a_computer_that_was_off_through_its_window_comes_in_the_next_one_or_at_the_deadline() {
    for with_deadline in [false, true] {
        let (site, agent, clock) = assigned(|wanted, now| {
            wanted.install_from = Some(now + HOUR * 2);
            wanted.install_until = Some(now + HOUR * 4);
            wanted.deadline = with_deadline.then_some(now + HOUR * 10);
        });
        cycle_of_timer(&agent);
        clock.forward(HOUR * 5 + MARGIN);
        let problems = agent.cycle().problems.join(" ");
        assert!(problems.contains("window closed") && runs(&site) == "one", "{problems}");
        assert_eq!(status(&agent).changes_at.is_some(), with_deadline);
        if with_deadline {
            // The server says nothing new.
            clock.forward(HOUR * 5 + MARGIN);
        } else {
            change(&site, |wanted| {
                wanted.install_from = Some(clock.now() - HOUR);
                wanted.install_until = Some(clock.now() + HOUR);
            });
        }
        assert_eq!(agent.cycle().problems, Vec::<String>::new());
        assert_eq!(runs(&site), "two", "{with_deadline}");
    }
}

#[test]
fn an_emergency_waits_for_no_window() {
    let (site, agent, _) = assigned(|wanted, now| {
        wanted.install_from = Some(now + HOUR * 2);
        wanted.start = Start::ByPerson;
        wanted.urgency = Urgency::Emergency;
    });
    assert_eq!(agent.cycle().problems, Vec::<String>::new());
    assert_eq!(runs(&site), "two");
}

#[test]
fn what_a_person_starts_is_made_ready_offered_and_installed_when_they_say_so() {
    let (site, agent, _) = assigned(|wanted, _| wanted.start = Start::ByPerson);
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("`agent-updater install PACKAGE`"), "{problems}");
    let shown = status(&agent);
    assert_eq!((shown.decision, shown.prepared.as_deref()), (Some("waits_for_person"), Some("2")));
    assert_eq!(runs(&site), "one");
    let other = "other".parse().unwrap();
    let (_, answer) = install(&agent.context, Some(&other));
    assert_eq!((answer.ok, answer.code), (false, AnswerCode::NothingWaits));
    let (_, answer) = install(&agent.context, Some(&package()));
    assert!(answer.ok, "{answer:?}");
    assert_eq!(runs(&site), "two");
    let (_, answer) = install(&agent.context, None);
    assert_eq!((answer.ok, answer.code), (false, AnswerCode::NothingWaits), "{answer:?}");
}

#[test]
fn a_person_does_not_open_the_sites_window_and_at_the_deadline_nobody_is_asked() {
    let (site, agent, clock) = assigned(|wanted, now| {
        wanted.start = Start::ByPerson;
        wanted.install_from = Some(now + HOUR);
        wanted.deadline = Some(now + HOUR * 3);
    });
    agent.cycle();
    let (_, answer) = install(&agent.context, None);
    assert!(!answer.ok && answer.lines[0].contains("nobody at this computer opens it"), "{answer:?}");
    assert_eq!(runs(&site), "one");
    // It was asked for, so the window is enough.
    clock.forward(HOUR + MARGIN);
    assert_eq!(cycle_of_timer(&agent).problems, Vec::<String>::new());
    assert_eq!(runs(&site), "two");

    let (site, agent, clock) = assigned(|wanted, now| {
        wanted.start = Start::ByPerson;
        wanted.deadline = Some(now + HOUR * 3);
    });
    agent.cycle();
    assert_eq!(status(&agent).changes_at, site.server.lock().unwrap().assigned[0].deadline);
    clock.forward(HOUR * 3 + MARGIN);
    assert_eq!(cycle_of_timer(&agent).problems, Vec::<String>::new());
    assert_eq!(runs(&site), "two");
}

#[test]
fn a_person_puts_off_as_often_as_the_site_allows_and_the_server_hears_of_it() {
    let (site, agent, clock) = assigned(|wanted, now| {
        wanted.postpone = Some(Postpone { times: 2, until: now + HOUR * 24 });
        wanted.install_from = Some(now + SignedDuration::from_mins(1));
    });
    cycle_of_timer(&agent);
    let (_, answer) = hold(&agent.context, Some(&package()), Hold::For(HOUR * 2));
    assert_eq!((answer.ok, answer.code), (true, AnswerCode::PutOff), "{answer:?}");
    assert!(answer.lines[0].contains("1 of 2 times"), "{answer:?}");
    clock.forward(SignedDuration::from_mins(2) + MARGIN);
    cycle_of_timer(&agent);
    assert_eq!(runs(&site), "one");
    let told = site.contacts().last().unwrap().postponed.clone();
    assert_eq!((told[0].by, told[0].times, told.len()), (PostponedBy::Person, 1, 1));
    assert_eq!(told[0].manifest, site.server.lock().unwrap().assigned[0].manifest);
    let shown = status(&agent);
    assert_eq!((shown.decision, shown.changes_at), (Some("postponed_by_person"), Some(told[0].until)));
    assert!(
        agent.status().to_text().contains("it can be put off once more, until"),
        "{}",
        agent.status().to_text()
    );
    // A start of the agent forgets nothing.
    let agent = site.agent_with(clock.clone());
    cycle_of_timer(&agent);
    assert_eq!(runs(&site), "one");

    let (_, answer) = hold(&agent.context, None, Hold::For(HOUR * 99));
    assert!(answer.ok, "{answer:?}");
    let (_, answer) = hold(&agent.context, None, Hold::For(HOUR));
    assert_eq!((answer.ok, answer.code), (false, AnswerCode::NotPutOff));
    assert!(answer.lines[0].contains("2 of 2 times"), "{answer:?}");
    assert!(site.server.lock().unwrap().reports.iter().all(|report| report.outcome == Outcome::Ok));
    let (_, answer) = hold(&agent.context, None, Hold::End);
    assert_eq!((answer.ok, answer.code), (true, AnswerCode::HoldEnded));
    assert_eq!(cycle_of_timer(&agent).problems, Vec::<String>::new());
    assert_eq!(runs(&site), "two");
    assert_eq!(site.contacts().last().unwrap().postponed, []);
}

#[test]
fn a_hold_ends_by_itself_at_its_time_and_none_is_given_that_the_site_does_not_allow() {
    let (site, agent, clock) = assigned(|wanted, now| wanted.install_from = Some(now + HOUR));
    cycle_of_timer(&agent);
    let (_, answer) = hold(&agent.context, None, Hold::For(HOUR * 3));
    assert_eq!((answer.ok, answer.code), (false, AnswerCode::NotPutOff));
    assert!(answer.lines[0].contains("the site allows no putting off"), "{answer:?}");
    let (_, answer) = hold(&agent.context, None, Hold::End);
    assert!(!answer.ok && answer.lines[0].contains("nobody put it off"), "{answer:?}");

    let until = clock.now() + HOUR * 24;
    change(&site, |wanted| wanted.postpone = Some(Postpone { times: 1, until }));
    cycle_of_timer(&agent);
    let (_, answer) = hold(&agent.context, None, Hold::For(HOUR * 3));
    assert!(answer.ok, "{answer:?}");
    clock.forward(HOUR * 2 + MARGIN);
    let next = cycle_of_timer(&agent).next_contact;
    assert_eq!(runs(&site), "one");
    clock.forward(next.duration_since(clock.now()) + MARGIN);
    assert!(cycle_of_timer(&agent).problems.is_empty(), "the contact comes when the hold ends");
    assert_eq!(runs(&site), "two");
}

#[test]
fn a_product_that_is_not_ready_is_asked_again_and_uses_up_no_try() {
    let (site, agent, clock) = assigned(|_, _| ());
    let [answer, hook] = ["answer", "ready"].map(|name| site.computer.path().join(name));
    fs::write(&answer, "75").unwrap();
    write_executable(&hook, format!("#!/bin/sh\nexit $(cat {})\n", answer.display())).unwrap();
    let config = site.computer.path().join("home/agent.toml");
    fs::write(&config, format!("tags = [\"site:berlin\"]\n[packages.acme]\nready = [{hook:?}]\n")).unwrap();
    set_mode(&config, 0o644).unwrap();
    drop(agent);
    let agent = site.agent_with(clock.clone());
    let next = cycle_of_timer(&agent).next_contact;
    assert_eq!(runs(&site), "one");
    assert!(next <= clock.now() + SignedDuration::from_mins(6), "it is asked again soon: {next}");
    let told = site.contacts().last().unwrap().clone();
    assert_eq!(told.tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>(), ["site:berlin"]);
    assert_eq!((told.postponed[0].by, told.postponed[0].times), (PostponedBy::Product, 1));
    assert_eq!(status(&agent).decision, Some("not_ready"));
    // Not before its time.
    let fetched = payloads(&site);
    cycle_of_timer(&agent);
    assert_eq!(site.contacts().last().unwrap().postponed[0].times, 1);
    clock.forward(SignedDuration::from_mins(6) + MARGIN);
    cycle_of_timer(&agent);
    assert_eq!(site.contacts().last().unwrap().postponed[0].times, 2);
    assert!(site.server.lock().unwrap().reports.iter().all(|report| report.outcome == Outcome::Ok));
    fs::write(&answer, "0").unwrap();
    clock.forward(SignedDuration::from_mins(11) + MARGIN);
    assert_eq!(cycle_of_timer(&agent).problems, Vec::<String>::new());
    assert_eq!((runs(&site).as_str(), payloads(&site)), ("two", fetched));
}

#[test]
fn a_newer_release_each_hour_lets_nobody_put_off_more_often() {
    let (site, agent, clock) = assigned(|_, _| ());
    let until = clock.now() + HOUR * 48;
    let allow = || {
        change(&site, |wanted| {
            wanted.postpone = Some(Postpone { times: 2, until });
            wanted.install_from = Some(clock.now() + SignedDuration::from_mins(1));
        });
    };
    let hold_now = |agent: &Agent| {
        allow();
        cycle_of_timer(agent);
        hold(&agent.context, Some(&package()), Hold::For(HOUR)).1
    };
    assert!(hold_now(&agent).lines[0].contains("1 of 2 times"));
    clock.forward(HOUR * 2);
    site.release("3", 3, "three");
    assert!(hold_now(&agent).lines[0].contains("2 of 2 times"));
    clock.forward(HOUR * 2);
    site.release("4", 4, "four");
    // A start of the agent forgets nothing.
    drop(agent);
    let agent = site.agent_with(clock.clone());
    let answer = hold_now(&agent);
    assert_eq!((answer.ok, answer.code), (false, AnswerCode::NotPutOff), "{answer:?}");
    assert!(answer.lines[0].contains("2 of 2 times"), "{answer:?}");
    assert_eq!(runs(&site), "one");
    clock.forward(SignedDuration::from_mins(1) + MARGIN);
    assert_eq!(cycle_of_timer(&agent).problems, Vec::<String>::new());
    assert_eq!(runs(&site), "four");
    // What was installed ends the count.
    site.release("5", 5, "five");
    let answer = hold_now(&agent);
    assert!(answer.ok && answer.lines[0].contains("1 of 2 times"), "{answer:?}");
}

#[test]
fn a_product_that_declines_each_newer_release_is_asked_less_and_less_often() {
    let (site, agent, clock) = assigned(|_, _| ());
    let hook = site.computer.path().join("ready");
    write_executable(&hook, "#!/bin/sh\nexit 75\n").unwrap();
    let config = site.computer.path().join("home/agent.toml");
    fs::write(&config, format!("[packages.acme]\nready = [{hook:?}]\n")).unwrap();
    set_mode(&config, 0o644).unwrap();
    drop(agent);
    let agent = site.agent_with(clock.clone());
    let until = clock.now() + HOUR * 24;
    let allow = || change(&site, |wanted| wanted.postpone = Some(Postpone { times: 9, until }));
    allow();
    cycle_of_timer(&agent);
    let told = || site.contacts().last().unwrap().postponed[0].clone();
    assert_eq!((told().by, told().times), (PostponedBy::Product, 1));
    let shown = status(&agent);
    assert_eq!((shown.decision, shown.prepared), (Some("not_ready"), None), "{}", shown.sentence);
    assert!(
        shown.sentence.contains("not unpacked") || shown.sentence.contains("not now"),
        "{}",
        shown.sentence
    );
    site.release("3", 3, "three");
    allow();
    cycle_of_timer(&agent);
    assert_eq!((told().times, told().until), (1, status(&agent).changes_at.unwrap()), "not asked at once");
    clock.forward(SignedDuration::from_mins(6) + MARGIN);
    cycle_of_timer(&agent);
    assert_eq!(told().times, 2, "one more, and not the first about another release");
    clock.forward(HOUR * 24 + MARGIN);
    assert_eq!(cycle_of_timer(&agent).problems, Vec::<String>::new());
    assert_eq!(runs(&site), "three", "the site's end does not begin anew");
}

#[test]
fn a_product_declines_the_unpacking_ahead_of_a_window_and_is_not_asked_at_each_contact() {
    let (site, agent, clock) = assigned(|wanted, now| wanted.install_from = Some(now + HOUR * 5));
    let [asked, hook] = ["asked", "ready"].map(|name| site.computer.path().join(name));
    write_executable(&hook, format!("#!/bin/sh\necho asked >> {}\nexit 75\n", asked.display())).unwrap();
    let config = site.computer.path().join("home/agent.toml");
    fs::write(&config, format!("[packages.acme]\nready = [{hook:?}]\n")).unwrap();
    set_mode(&config, 0o644).unwrap();
    drop(agent);
    let agent = site.agent_with(clock.clone());
    let times_asked = || fs::read_to_string(&asked).unwrap().lines().count();
    let before = payloads(&site);
    for _ in 0..3 {
        cycle_of_timer(&agent);
    }
    assert_eq!((times_asked(), payloads(&site)), (1, before + 1));
    let shown = status(&agent);
    assert_eq!((shown.decision, shown.prepared.as_deref()), (Some("not_ready"), None));
    assert!(shown.sentence.starts_with("not unpacked yet: its `ready` hook said"), "{}", shown.sentence);
    write_executable(&hook, format!("#!/bin/sh\necho asked >> {}\n", asked.display())).unwrap();
    clock.forward(SignedDuration::from_mins(6) + MARGIN);
    cycle_of_timer(&agent);
    let shown = status(&agent);
    assert_eq!((shown.decision, shown.prepared.as_deref()), (Some("waits_for_window"), Some("2")));
    assert_eq!((times_asked(), payloads(&site)), (2, before + 1), "what was fetched is used");
    clock.forward(HOUR * 5);
    assert_eq!(cycle_of_timer(&agent).problems, Vec::<String>::new());
    assert_eq!((runs(&site).as_str(), times_asked()), ("two", 3), "once more before the stop");
}

#[test]
fn what_the_server_says_of_a_release_that_waits_is_kept_shown_and_bounded() {
    let (site, agent, clock) = computer();
    let version = sealpost_test_support::names::version;
    let until = clock.now() + HOUR;
    let said = WaitsFor {
        package: package(),
        version: version("2"),
        code: Word::known("ring_waits"),
        sentence: "it does not get 2 yet: its ring `all` has not opened".to_owned(),
        until: Some(until),
    };
    let other = WaitsFor {
        package: "acme-sig".parse().unwrap(),
        until: None,
        sentence: format!("it waits\u{1b}[31m {}", "é".repeat(9_000)),
        ..said.clone()
    };
    let mut waits = vec![said.clone(), other];
    let more = (0..40).map(|n| WaitsFor { package: format!("p{n}").parse().unwrap(), ..said.clone() });
    waits.extend(more);
    site.server.lock().unwrap().waits = waits;
    cycle_of_timer(&agent);
    // A start of the agent forgets nothing.
    drop(agent);
    let agent = site.agent_with(clock);
    let shown = agent.status();
    let of = |name: &str| shown.packages.iter().find(|one| one.package.as_str() == name);
    assert_eq!(of("acme").unwrap().server_says.as_ref(), Some(&said));
    assert!(of("acme").unwrap().up_to_date, "that something newer is held back is no fault of this computer");
    let text = shown.to_text();
    assert!(
        text.contains("  the server says (")
            && text.contains("): it does not get 2 yet: its ring `all` has not opened (until "),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
    let json = serde_json::to_value(&shown).unwrap();
    assert_eq!(json["packages"][0]["server_says"]["code"], "ring_waits", "{json}");
    assert!(of("acme-sig").unwrap().server_says.as_ref().unwrap().sentence.len() < 4_096);
    assert_eq!(shown.packages.len(), 8, "no more than a server may say");
    assert!(shown.problems.is_empty(), "{:?}", shown.problems);

    // It runs now: what was said of it is no more shown, and then not kept.
    site.release("2", 2, "two");
    cycle_of_timer(&agent);
    assert_eq!(status(&agent).server_says, None);
    site.server.lock().unwrap().waits = Vec::new();
    cycle_of_timer(&agent);
    assert_eq!(agent.status().packages.len(), 1);
}

#[test]
fn a_person_does_not_wait_for_the_product() {
    let (site, agent, clock) = assigned(|_, _| ());
    let config = site.computer.path().join("home/agent.toml");
    let hook = site.computer.path().join("ready");
    write_executable(&hook, "#!/bin/sh\nexit 75\n").unwrap();
    fs::write(&config, format!("[packages.acme]\nready = [{hook:?}]\n")).unwrap();
    set_mode(&config, 0o644).unwrap();
    drop(agent);
    let agent = site.agent_with(clock);
    cycle_of_timer(&agent);
    assert_eq!(runs(&site), "one");
    let (_, answer) = install(&agent.context, Some(&package()));
    assert!(answer.ok, "{answer:?}");
    assert_eq!(runs(&site), "two");
}

#[test]
fn reports_say_in_which_ring_by_which_way_how_many_bytes_and_how_long() {
    let (site, agent, _) = assigned(|wanted, _| wanted.ring = Some("canary".to_owned()));
    assert_eq!(agent.cycle().problems, Vec::<String>::new());
    let target = site.vendor.target_file("acme_2_any.tar.gz");
    let payload = fs::metadata(target).unwrap().len();
    let reports = site.server.lock().unwrap().reports.clone();
    let two: Vec<_> = reports.iter().filter(|report| report.release.version.as_str() == "2").collect();
    assert!(two.iter().all(|report| report.ring.as_deref() == Some("canary")), "{two:?}");
    let download = two.iter().find(|report| report.step == InstallStep::Download).unwrap();
    let bytes = download.bytes.unwrap();
    assert_eq!((download.way, bytes.payload), (Some(Way::Gzip), payload));
    assert!(bytes.metadata > 0 && bytes.manifest > 0, "{bytes:?}");
    assert!(
        two.iter()
            .filter(|report| report.step != InstallStep::Check)
            .all(|report| report.duration_ms.is_some())
    );
    assert!(
        two.iter().filter(|report| report.step != InstallStep::Download).all(|report| report.way.is_none())
    );
}

#[test]
fn what_comes_damaged_is_not_fetched_again_and_again_however_often_the_server_wakes() {
    let (site, agent, clock) = assigned(|_, _| ());
    let size =
        usize::try_from(fs::metadata(site.vendor.target_file("acme_2_any.tar.gz")).unwrap().len()).unwrap();
    site.web.fail(".tar.gz", Fault::Content(vec![7; size]), Times::Always);
    let before = payloads(&site);
    for _ in 0..5 {
        cycle_of_timer(&agent);
    }
    let first = payloads(&site) - before;
    assert!(first <= 2, "{first}");
    let shown = status(&agent);
    assert_eq!(shown.decision, Some("tries_again"));
    assert!(shown.sentence.contains("it is tried again at"), "{}", shown.sentence);
    // The server hears when, and how often it failed.
    let pause = || site.contacts().last().unwrap().postponed.clone();
    let told = pause().remove(0);
    assert_eq!((told.by, told.times, Some(told.until)), (PostponedBy::BackOff, 1, shown.changes_at));
    // After its pause, then a longer one.
    clock.forward(SignedDuration::from_secs(61) + MARGIN);
    cycle_of_timer(&agent);
    let second = payloads(&site);
    assert!(second > before + first);
    clock.forward(SignedDuration::from_secs(61) + MARGIN);
    cycle_of_timer(&agent);
    assert_eq!(payloads(&site), second);
    let later = pause().remove(0);
    assert_eq!((later.by, later.times), (PostponedBy::BackOff, 2));
    assert!(later.until > told.until);
    site.web.make_no_faults();
    assert!(agent.cycle().problems.is_empty(), "a person who asks does not wait");
    assert_eq!(runs(&site), "two");
    assert_eq!(pause(), []);
}

#[test]
fn what_was_made_ready_and_is_assigned_no_more_leaves_the_disk() {
    let (site, agent, _) = assigned(|wanted, now| wanted.install_from = Some(now + HOUR));
    cycle_of_timer(&agent);
    assert_eq!(agent.status().storage.slots.count, 2);
    let one = site.vendor.target_file("acme_1_any.manifest");
    let digest = sealpost_manifests::digest::Sha256Digest::of(&fs::read(one).unwrap());
    change(&site, |wanted| {
        wanted.manifest = digest;
        wanted.release.version = sealpost_test_support::names::version("1");
    });
    assert_eq!(cycle_of_timer(&agent).problems, Vec::<String>::new());
    assert_eq!(agent.status().storage.slots.count, 1);
    assert_eq!((runs(&site).as_str(), status(&agent).prepared), ("one", None));
}
