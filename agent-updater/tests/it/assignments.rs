//! What an assignment can ask for: rollbacks and their bounds, windows, and what this version does not know.

use jiff::{SignedDuration, Timestamp};
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::control::{AnswerCode, ToUnwanted};
use sealpost_agent_updater::flows::install::ChangeEnd;
use sealpost_agent_updater::flows::rollback;
use sealpost_agent_updater::flows::status::ProblemKind;
use sealpost_manifests::assignment::{Action, PackageAssignment};
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};
use sealpost_test_support::release::assignment;

use crate::site::{Site, package};

fn reported(site: &Site) -> Vec<(InstallStep, Outcome, ReasonCode)> {
    let of = |report: &Report| (report.step, report.outcome, report.reason);
    site.server.lock().unwrap().reports.iter().map(of).collect()
}

fn times_refused(site: &Site, reason: ReasonCode) -> usize {
    let refused = (InstallStep::Check, Outcome::Refused, reason);
    reported(site).into_iter().filter(|one| *one == refused).count()
}

fn change(site: &Site, change: impl FnOnce(&mut PackageAssignment)) {
    change(&mut site.server.lock().unwrap().assigned[0]);
}

/// Installed "one", then "two"; a rollback to "one" is assigned.
fn rolling_back() -> (Site, Agent, ReleaseManifest) {
    let site = Site::new();
    let agent = site.enrolled();
    let one = site.release("1", 1, "one");
    let first = site.server.lock().unwrap().assigned[0].clone();
    assert!(agent.cycle().problems.is_empty());
    site.release("2", 2, "two");
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("two"));
    let back = PackageAssignment { action: Action::Rollback, rollout: 8, attempt: 3, ..first };
    site.server.lock().unwrap().assigned = vec![back];
    (site, agent, one)
}

#[test]
fn a_site_rolls_back_to_the_release_that_was_kept_and_the_one_that_was_left_stays_away() {
    let (site, agent, _) = rolling_back();
    let two = site.server.lock().unwrap().assigned.clone();
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("one"));
    assert!(reported(&site).contains(&(InstallStep::RollBack, Outcome::Ok, ReasonCode::AskedBySite)));
    let last = site.server.lock().unwrap().reports.last().unwrap().clone();
    assert_eq!((last.step, last.rollout, last.attempt), (InstallStep::Keep, 8, 3));
    assert_eq!(site.server.lock().unwrap().assigned, two);
    // The old assignment of "two", as it was: given up in this attempt.
    let record = agent.status().packages[0].previous.clone();
    assert_eq!(record.as_deref(), Some("2"));
    let manifest = site.vendor.target_file("acme_2_any.manifest");
    let digest = sealpost_manifests::digest::Sha256Digest::of(&std::fs::read(manifest).unwrap());
    let mut release = site.server.lock().unwrap().assigned[0].release.clone();
    release.version = sealpost_test_support::names::version("2");
    site.server.lock().unwrap().assigned = vec![assignment(&release, digest)];
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("given up"), "{problems}");
    assert_eq!(site.installed().as_deref(), Some("one"));
    change(&site, |wanted| wanted.attempt += 1);
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("two"));
}

#[test]
fn a_person_goes_back_to_what_the_site_led_away_from_only_by_saying_so() {
    let (site, agent, _) = rolling_back();
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("one"));
    let status = agent.status();
    assert!(status.packages[0].previous_left.is_some(), "{status:?}");
    let text = status.to_text();
    assert!(text.contains("rollback goes to 2 with `--anyway` only: the site's administrator led"), "{text}");
    let refused = agent.roll_back(&package(), ToUnwanted::Refuse).unwrap();
    let ChangeEnd::Refused(refusal) = &refused else { panic!("{refused:?}") };
    let detail = &refusal.detail;
    assert!(detail.contains("the site's administrator led this computer away from it"), "{detail}");
    assert!(detail.contains("`agent-updater rollback acme --anyway`"), "{detail}");
    let answer = rollback::answer(&package(), &refused);
    assert_eq!((answer.ok, answer.code), (false, AnswerCode::LeftBefore));
    assert_eq!(site.installed().as_deref(), Some("one"), "nothing was changed");
    assert_eq!(agent.roll_back(&package(), ToUnwanted::Allow).unwrap(), ChangeEnd::Kept);
    assert_eq!(site.installed().as_deref(), Some("two"));
    // A person left the other one, so a person goes back to it without being asked.
    assert_eq!(agent.roll_back(&package(), ToUnwanted::Refuse).unwrap(), ChangeEnd::Kept);
    assert_eq!(site.installed().as_deref(), Some("one"));
}

#[test]
fn a_rollback_beyond_its_bounds_is_refused_with_the_right_reason_and_changes_nothing() {
    type Beyond = fn(&Site);
    let cases: [(Beyond, ReasonCode); 4] = [
        (|site| site.vendor.withdraw("1", "it is bad"), ReasonCode::ReleaseWithdrawn),
        (|site| site.vendor.minimum_counter(2), ReasonCode::ReleaseTooOld),
        (|site| site.vendor.revoke_release_key(), ReasonCode::ManifestInvalid),
        (
            |site| {
                site.release("0", 1, "zero");
                change(site, |wanted| wanted.action = Action::Rollback);
            },
            ReasonCode::NotKept,
        ),
    ];
    for (beyond, reason) in cases {
        let (site, agent, _) = rolling_back();
        beyond(&site);
        let problems = agent.cycle().problems.join(" ");
        assert!(problems.contains(reason.as_str()), "{reason}: {problems}");
        assert_eq!(times_refused(&site, reason), 1, "{reason}");
        assert_eq!(site.installed().as_deref(), Some("two"), "{reason}");
        let status = agent.status();
        let sentence = &status.packages[0].sentence;
        assert!(sentence.starts_with("not rolled back") && !sentence.contains("tried again"), "{sentence}");
        let codes: Vec<ProblemKind> = status.problems.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, [ProblemKind::NotRolledBack], "{reason}: the status ends with 1");
        if reason == ReasonCode::NotKept {
            assert!(sentence.contains("ask the administrator to approve a release for this computer"));
        }
    }
}

#[test]
fn a_rollback_needs_no_lease() {
    let (site, agent, _) = rolling_back();
    site.server.lock().unwrap().change_lease =
        |lease| lease.entitlements[0].not_after = lease.issued_at - SignedDuration::from_hours(1);
    std::fs::remove_file(site.server_record("lease")).unwrap();
    agent.cycle();
    assert!(!agent.status().lease.live);
    assert_eq!(site.installed().as_deref(), Some("one"));
}

#[test]
fn an_unknown_action_is_skipped_explained_and_reported_once() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    change(&site, |wanted| wanted.action = "uninstall".parse().unwrap());
    for _ in 0..3 {
        let problems = agent.cycle().problems.join(" ");
        assert!(problems.contains("`uninstall`"), "{problems}");
    }
    assert_eq!(times_refused(&site, ReasonCode::ActionUnknown), 1);
    assert_eq!(site.installed(), None);
    change(&site, |wanted| wanted.attempt += 1);
    agent.cycle();
    agent.cycle();
    assert_eq!(times_refused(&site, ReasonCode::ActionUnknown), 2, "an admin asked again");
    change(&site, |wanted| wanted.action = Action::Install);
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("one"));
}

#[test]
fn an_install_waits_for_its_window_and_the_next_contact_is_when_it_opens() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    let opens_at = Timestamp::now() + SignedDuration::from_mins(30);
    change(&site, |wanted| {
        wanted.install_from = Some(opens_at);
        wanted.urgency = "critical".parse().unwrap();
    });
    let cycle = agent.cycle();
    assert_eq!(site.installed(), None);
    assert!(cycle.next_contact >= opens_at && cycle.next_contact < opens_at + SignedDuration::from_mins(1));
    let status = agent.status();
    assert_eq!(status.packages[0].changes_at, Some(opens_at));
    assert!(status.to_text().contains("urgency: critical"), "{}", status.to_text());
    change(&site, |wanted| {
        wanted.install_from = None;
        wanted.install_until = Some(Timestamp::now() - SignedDuration::from_secs(5));
    });
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("window closed"), "{problems}");
    change(&site, |wanted| wanted.install_until = Some(Timestamp::now() + SignedDuration::from_mins(5)));
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("one"));
}

#[test]
fn what_a_later_version_starts_in_its_own_way_is_not_installed_and_says_so() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    change(&site, |wanted| wanted.start = "by_nobody".parse().unwrap());
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("`by_nobody`"), "{problems}");
    assert_eq!(site.installed(), None);
}

#[test]
fn nothing_below_the_vendors_minimum_counter_is_installed() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    site.vendor.minimum_counter(2);
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("below 2") && problems.contains("release_too_old"), "{problems}");
    assert_eq!(site.installed(), None);
    site.release("2", 2, "two");
    assert!(agent.cycle().problems.is_empty());
}

#[test]
fn a_stolen_keys_highest_counter_is_survived_by_a_counter_reset_once() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", u64::MAX, "stolen");
    assert!(agent.cycle().problems.is_empty());
    site.release("2", 6, "honest");
    assert!(!agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("stolen"));
    site.vendor.reset_counter(5);
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("honest"));
    // The same reset lowers nothing more, and going back to the stolen release raises nothing again.
    site.release("3", 5, "older");
    assert!(!agent.cycle().problems.is_empty());
    agent.roll_back(&package(), ToUnwanted::Refuse).unwrap();
    assert_eq!(site.installed().as_deref(), Some("stolen"));
    site.release("4", 7, "next");
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("next"));
}
