//! How releases go out ring by ring, over HTTP and on the command line.

use std::process::Output;
use std::time::Duration;

use sealpost_admin_api::rollouts::{DeliveredPage, Rollout, RolloutsPage, failures};
use sealpost_admin_api::updates::{Review, Update};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{self, InstallStep, ReasonCode, Report};
use sealpost_site::changes::Change;
use sealpost_site::queries::Activity;
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::rollouts::progress::{DeliveryState, OpenReason, RolloutState};
use sealpost_test_support::vendor_server::ServedVendor;

use crate::agent::Agent;
use crate::program::run;
use crate::site::Site;
use crate::vendor::start_vendor;

/// Longest wait for a ring to open: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rings of which the first three have one of three computers each: none is passed over because it is empty.
fn one_by_one() -> serde_json::Value {
    let ring = |name: &str, first: u32| serde_json::json!({ "name": name, "takes": { "first": first }, "soak_minutes": 600, "minimum_sample": 1 });
    serde_json::json!([
        ring("canary", 1),
        ring("second", 2),
        ring("third", 3),
        { "name": "everyone", "takes": "everyone", "soak_minutes": 600 },
    ])
}

/// A site with three computers and a release that goes out by a strategy; its first ring is open.
async fn rolling_out(vendor: &ServedVendor, strategy: &str) -> (Site, Vec<Agent>, Sha256Digest, Rollout) {
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(vendor).await;
    let mut agents = Vec::new();
    for name in ["pc-1", "pc-2", "pc-3"] {
        agents.push(Agent::licensed(&site, name).await);
    }
    site.pull().await;
    if strategy == "one-by-one" {
        let change =
            serde_json::json!({ "kind": "strategy", "name": strategy, "value": { "rings": one_by_one() } });
        let change = serde_json::json!({ "changes": [change], "comment": "a test" });
        let _: serde_json::Value = site.post("/settings", &change).await;
    }
    let approval = serde_json::json!({ "manifest": manifest, "strategy": strategy });
    let approved: Update = site.post("/updates/approve", &approval).await;
    let number = approved.rollout.unwrap();
    let rollout = until(&site, number, |rollout| rollout.current_ring() == Some(0)).await;
    (site, agents, manifest, rollout)
}

pub(crate) async fn until(site: &Site, number: u64, is_so: impl Fn(&Rollout) -> bool) -> Rollout {
    let look = async {
        loop {
            let rollout: Rollout = site.get(&format!("/rollouts/{number}")).await;
            if is_so(&rollout) {
                return rollout;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap()
}

/// A computer says that it keeps what was rolled out.
async fn keeps(site: &Site, agent: &mut Agent, rollout: &Rollout) {
    let mut contact = agent.next_contact();
    contact.reports = vec![Report {
        id: 1,
        at: site.clock.now(),
        release: rollout.release.clone(),
        manifest: rollout.manifest,
        rollout: rollout.number,
        attempt: 1,
        step: InstallStep::Keep,
        outcome: report::Outcome::Ok,
        reason: ReasonCode::Done,
        detail: String::new(),
        ring: None,
        way: None,
        bytes: None,
        duration_ms: None,
    }];
    agent.send_contact(site, &contact).await;
}

async fn steered(site: &Site, number: u64, what: serde_json::Value) -> Rollout {
    site.post(&format!("/rollouts/{number}/steer"), &what).await
}

fn next(ring: u32) -> serde_json::Value {
    serde_json::json!({ "do": "next", "ring": ring, "comment": "tried by hand" })
}

/// What the command line does against the site of a test.
pub(crate) async fn cli(site: &Site, arguments: &[&str]) -> Output {
    let home = site.home();
    let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
    let work = move || run(&home, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(work).await.unwrap()
}

pub(crate) async fn said(site: &Site, arguments: &[&str]) -> String {
    let output = cli(site, arguments).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

async fn count(site: &Site, kind: &str) -> usize {
    let kind = Some(kind.to_owned());
    site.server.ledger().query(Activity { kind, ..Activity::default() }).await.unwrap().len()
}

#[tokio::test]
async fn the_first_ring_opens_by_itself_and_two_who_open_the_next_at_once_open_one() {
    let vendor = start_vendor(10).await;
    let (site, _agents, _, rollout) = rolling_out(&vendor, "one-by-one").await;
    assert_eq!((rollout.state, rollout.next_ring), (RolloutState::Running, Some(1)));
    let waits = "in the ring `canary` 0 of 1 computer that has to have finished";
    assert!(rollout.waits_for.contains(waits), "{}", rollout.waits_for);
    assert!(rollout.changes_at.is_none(), "nobody knows when a computer comes");
    let members: Vec<Option<u64>> = rollout.rings.iter().map(|ring| ring.members).collect();
    assert_eq!((members[0], members.iter().flatten().sum::<u64>()), (Some(1), 3), "{members:?}");
    assert_eq!(count(&site, "ring_opened").await, 1);

    let number = rollout.number;
    let (one, other) = tokio::join!(steered(&site, number, next(1)), steered(&site, number, next(1)));
    assert_eq!((one.current_ring(), other.current_ring()), (Some(1), Some(1)));
    assert_eq!(count(&site, "ring_opened").await, 2, "the second one found it open");
    let refused = site.post_refused(&format!("/rollouts/{number}/steer"), &next(3)).await;
    assert_eq!(refused.code, ProblemCode::WrongState, "a ring is not jumped over: {refused:?}");
    let list: RolloutsPage = site.get("/rollouts?open=true").await;
    assert_eq!(list.rollouts.iter().map(|one| one.number).collect::<Vec<_>>(), [number]);
    assert_eq!(site.post_refused("/rollouts/99/steer", &next(1)).await.code, ProblemCode::NotFound);
}

#[tokio::test]
async fn a_pause_wants_a_reason_holds_the_rings_and_ends_with_a_resume() {
    let vendor = start_vendor(10).await;
    let (site, mut agents, manifest, rollout) = rolling_out(&vendor, "careful").await;
    let path = format!("/rollouts/{}/steer", rollout.number);
    let silent = serde_json::json!({ "do": "pause", "comment": " " });
    assert_eq!(site.post_refused(&path, &silent).await.code, ProblemCode::BadRequest);
    let unread = serde_json::json!({ "do": "hurry", "comment": "x" });
    assert_eq!(site.post_refused(&path, &unread).await.code, ProblemCode::BadRequest);
    let pause = serde_json::json!({ "do": "pause", "comment": "the desk is closed" });
    let paused = steered(&site, rollout.number, pause.clone()).await;
    assert_eq!((paused.state, paused.next_ring), (RolloutState::Paused, None));
    assert_eq!(paused.changed.as_ref().unwrap().why, "the desk is closed");
    steered(&site, rollout.number, pause).await;
    assert_eq!(count(&site, "rollout_paused").await, 1, "again is no second entry");
    assert_eq!(site.post_refused(&path, &next(1)).await.code, ProblemCode::WrongState);
    for agent in &mut agents {
        agent.contact(&site).await;
        let told = agent.holds.assignment.as_ref().is_some_and(|held| !held.document.packages.is_empty());
        assert!(!told, "nobody new is told while it is paused");
    }
    let resume = serde_json::json!({ "do": "resume", "comment": "the desk is open" });
    assert_eq!(steered(&site, rollout.number, resume).await.state, RolloutState::Running);
    let mut told = 0;
    for agent in &mut agents {
        agent.contact(&site).await;
        told += usize::from(is_told(agent, manifest));
    }
    assert_eq!(told, 1, "the canary ring has one computer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_names_what_failed_at_its_top_and_is_a_table_for_spreadsheets() {
    let vendor = start_vendor(10).await;
    let (site, mut agents, manifest, rollout) = rolling_out(&vendor, "careful").await;
    let number = rollout.number;
    let mut canary = None;
    for agent in &mut agents {
        agent.contact(&site).await;
        let told = agent.holds.assignment.as_ref().is_some_and(|held| !held.document.packages.is_empty());
        if told {
            canary = Some(agent);
        }
    }
    let canary = canary.unwrap();
    let page: DeliveredPage = site.get(&format!("/rollouts/{number}/computers")).await;
    assert_eq!(page.computers.len(), 1);
    assert_eq!((page.computers[0].state, page.computers[0].ring), (DeliveryState::Told, 0));
    let name = page.computers[0].computer.to_string();
    let mut contact = canary.next_contact();
    contact.reports = vec![Report {
        id: 1,
        at: site.clock.now(),
        release: rollout.release.clone(),
        manifest,
        rollout: number,
        attempt: 1,
        step: InstallStep::RollBack,
        outcome: report::Outcome::Ok,
        reason: ReasonCode::HookFailed,
        detail: "=SUM(A1), \"it\" crashed".to_owned(),
        ring: Some("canary".to_owned()),
        way: None,
        bytes: None,
        duration_ms: None,
    }];
    canary.send_contact(&site, &contact).await;
    let halted = until(&site, number, |rollout| rollout.state == RolloutState::Halted).await;
    assert_eq!(halted.rings[0].counts.failed, 1, "one of one is past its threshold");
    let page: DeliveredPage = site.get(&format!("/rollouts/{number}/computers")).await;
    let failed = failures(&page.computers);
    assert_eq!((failed.len(), failed[0].reason.as_str(), failed[0].count), (1, "hook_failed", 1));

    let text = said(&site, &["rollouts", "report", &number.to_string()]).await;
    let second = text.lines().nth(1).unwrap();
    assert!(second.contains("1 failure with hook_failed, for example") && second.contains(&name), "{text}");
    let csv = said(&site, &["rollouts", "report", &number.to_string(), "--csv"]).await;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "computer,ring,state,since,told_at,attempt,step,way,bytes,reason,detail,tries,failed_step"
    );
    assert!(lines[1].starts_with(&format!("{name},canary,failed,")), "{csv}");
    assert!(lines[1].ends_with(r#",hook_failed,"'=SUM(A1), ""it"" crashed",1,roll_back"#), "{csv}");
    let other = cli(&site, &["rollouts", "report", &number.to_string(), "--ring", "nowhere"]).await;
    assert!(String::from_utf8_lossy(&other.stderr).contains("it has canary, early, half, everyone"));
    let shown = said(&site, &["rollouts", "show", &number.to_string()]).await;
    assert!(shown.contains("halted") && shown.contains("[!!!!!!"), "{shown}");
    assert!(shown.contains(&format!("rollouts resume {number} --why")), "{shown}");
    let watched = cli(&site, &["rollouts", "watch", &number.to_string()]).await;
    assert_eq!(watched.status.code(), Some(1), "it is not complete");
    let progress = String::from_utf8_lossy(&watched.stderr).into_owned();
    assert!(progress.contains(": halted, ring canary (1 of 4)"), "{progress}");
    assert!(progress.contains("1 failed or silent"), "{progress}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_shows_each_ring_with_its_computers_and_an_emergency_goes_to_all_of_them() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    let mut agents = Vec::new();
    for name in ["pc-1", "pc-2", "pc-3"] {
        agents.push(Agent::licensed(&site, name).await);
    }
    site.pull().await;
    let review: Review = site.get(&format!("/updates/{manifest}")).await;
    let preview = review.preview.unwrap();
    assert_eq!(preview.strategy.as_str(), "normal", "a program that no setting names another strategy for");
    assert_eq!(preview.rings.iter().map(|ring| ring.members).sum::<u64>(), 3);
    assert_eq!(preview.rings[0].opens_after_secs, 0);
    assert_eq!(preview.rings[1].opens_after_secs, 3600, "the first one is watched for an hour");
    assert_eq!(preview.bytes, 3 * review.update.payload_bytes);
    assert_eq!(preview.rings.iter().map(|ring| ring.bytes).sum::<u64>(), preview.bytes);
    let mut named: Vec<String> =
        preview.rings.iter().flat_map(|ring| &ring.computers).map(ToString::to_string).collect();
    named.sort();
    assert_eq!(named, ["pc-1", "pc-2", "pc-3"], "each is named in one ring");
    assert!(preview.earliest_at.is_some() && preview.latest_at.is_none());
    assert_eq!((preview.no_latest[0].code.as_str(), preview.no_latest[0].computers), ("no_deadline", 3));
    let careful: Review = site.get(&format!("/updates/{manifest}?strategy=careful")).await;
    assert_eq!(careful.preview.unwrap().rings.len(), 4);
    let none = site.admin(reqwest::Method::GET, &format!("/updates/{manifest}?strategy=none"), None).await;
    assert_eq!(crate::site::code(none).await, ProblemCode::NotFound);
    let text = said(&site, &["updates", "show", "acme-av:1.0"]).await;
    assert!(text.contains("strategy   normal") && text.contains("canary"), "{text}");
    assert!(text.contains("there is no latest time for 3 computers (no deadline is set)"), "{text}");
    assert!(text.contains("canary: 1 computer: pc-"), "{text}");

    // It begins with care, and then it cannot wait.
    let approval = serde_json::json!({ "manifest": manifest, "strategy": "careful" });
    let approved: Update = site.post("/updates/approve", &approval).await;
    let number = approved.rollout.unwrap();
    until(&site, number, |rollout| rollout.current_ring() == Some(0)).await;
    let pause = serde_json::json!({ "do": "pause", "comment": "later" });
    steered(&site, number, pause).await;
    let asked = cli(&site, &["updates", "push-now", "acme-av:1.0", "--why", "it is exploited"]).await;
    assert!(
        String::from_utf8_lossy(&asked.stderr).contains("give --yes"),
        "without a terminal nobody is asked"
    );
    said(&site, &["updates", "push-now", "acme-av:1.0", "--yes", "--why", "it is exploited"]).await;
    let rollout: Rollout = site.get(&format!("/rollouts/{number}")).await;
    assert!(rollout.emergency && rollout.next_ring.is_none(), "{rollout:?}");
    for agent in &mut agents {
        agent.contact(&site).await;
        let held = agent.holds.assignment.as_ref().unwrap();
        assert_eq!(held.document.packages[0].manifest, manifest, "everybody has it");
    }
    let why = said(&site, &["updates", "why", "pc-1", "acme-av"]).await;
    assert!(why.starts_with("pc-1 does not run acme-av and should run 1.0"), "{why}");
    let nothing = cli(&site, &["updates", "why", "pc-1", "other"]).await;
    assert_eq!(nothing.status.code(), Some(1));

    said(&site, &["updates", "revert-now", "acme-av", "--yes", "--why", "it crashes"]).await;
    assert_eq!(site.updates().await.updates[0].state, ReleaseState::Halted);
    assert!(site.updates().await.updates[0].rollback);
    let again = cli(&site, &["updates", "revert-now", "acme-av", "--yes", "--why", "it crashes"]).await;
    assert!(String::from_utf8_lossy(&again.stderr).contains("no release of acme-av is approved"));
}

#[tokio::test(flavor = "multi_thread")]
async fn revert_now_asks_for_the_channel_where_channels_have_different_newest_releases() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    for (version, channels) in [("1.0", &["beta", "stable"][..]), ("2.0", &["beta"])] {
        let manifest = vendor.publish(&vendor.draft(version, &[("engine", version.as_bytes())]), channels);
        site.pull().await;
        site.approve(manifest).await;
    }
    let revert = ["updates", "revert-now", "acme-av", "--yes", "--why", "it crashes"];
    let output = cli(&site, &revert).await;
    let asks = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && asks.contains("(beta 2.0, stable 1.0): name one with --channel"),
        "{asks}"
    );
    let halted = async |site: &Site| -> Vec<String> {
        let updates = site.updates().await.updates;
        let halted = updates.iter().filter(|update| update.state == ReleaseState::Halted);
        halted.map(|update| update.release.version.to_string()).collect()
    };
    assert!(halted(&site).await.is_empty(), "nothing was done");
    said(&site, &[&revert[..], &["--channel", "stable"]].concat()).await;
    assert_eq!(halted(&site).await, ["1.0"]);
    let output = cli(&site, &[&revert[..], &["--channel", "nightly"]].concat()).await;
    let none = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(none.contains("no release of acme-av is approved for the channel nightly"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_listed_paused_edited_gone_on_with_and_ended_on_the_command_line() {
    let vendor = start_vendor(10).await;
    let (site, _agents, _, rollout) = rolling_out(&vendor, "normal").await;
    let number = rollout.number.to_string();
    let listed = said(&site, &["rollouts", "list"]).await;
    assert!(listed.contains("acme-av") && listed.contains("canary (1 of 3)"), "{listed}");
    let no_reason = cli(&site, &["rollouts", "pause", &number]).await;
    assert_eq!(no_reason.status.code(), Some(2), "a reason is asked for");
    let paused = said(&site, &["rollouts", "pause", &number, "--why", "holidays"]).await;
    assert!(paused.contains("is paused"), "{paused}");
    let next = cli(&site, &["rollouts", "next", &number, "--why", "now"]).await;
    assert!(String::from_utf8_lossy(&next.stderr).contains("is paused: no ring of it opens"));
    said(&site, &["rollouts", "resume", &number, "--why", "back"]).await;
    let edited = ["rollouts", "edit", &number, "--strategy", "careful", "--why", "two crashes", "--json"];
    let edited: Rollout = serde_json::from_str(&said(&site, &edited).await).unwrap();
    let rings: Vec<&str> = edited.rings.iter().map(|ring| ring.name.as_str()).collect();
    assert_eq!((edited.strategy.as_str(), rings), ("careful", vec!["canary", "early", "half", "everyone"]));
    said(&site, &["rollouts", "next", &number, "--why", "tried by hand"]).await;
    let unknown = ["rollouts", "edit", &number, "--strategy", "none", "--why", "x"];
    let unknown = cli(&site, &unknown).await;
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no strategy named none"));
    let ended = said(&site, &["rollouts", "abort", &number, "--roll-back", "--why", "it crashes"]).await;
    assert!(ended.contains("is aborted"), "{ended}");
    assert!(site.updates().await.updates[0].rollback, "who runs it is told to go back");
    let resumed = cli(&site, &["rollouts", "resume", &number, "--why", "x"]).await;
    assert!(String::from_utf8_lossy(&resumed.stderr).contains("wrong_state"), "what has ended stays so");
}

#[tokio::test]
async fn a_ring_without_a_computer_is_passed_over_at_once_however_long_it_would_be_watched() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    site.pull().await;
    let rings = serde_json::json!([
        { "name": "canary", "takes": { "first": 1 }, "minimum_sample": 1 },
        { "name": "laboratory", "takes": { "group": "laboratory" }, "soak_minutes": 600, "minimum_sample": 1 },
        { "name": "everyone", "takes": "everyone", "soak_minutes": 600 },
    ]);
    let group = serde_json::json!({ "kind": "group", "name": "laboratory", "value": { "rule": { "names": ["lab-*"] } } });
    let strategy = serde_json::json!({ "kind": "strategy", "name": "by-room", "value": { "rings": rings } });
    let changes = serde_json::json!({ "changes": [group, strategy], "comment": "a test" });
    let _: serde_json::Value = site.post("/settings", &changes).await;
    let approval = serde_json::json!({ "manifest": manifest, "strategy": "by-room" });
    let approved: Update = site.post("/updates/approve", &approval).await;
    let number = approved.rollout.unwrap();
    until(&site, number, |rollout| rollout.current_ring() == Some(0)).await;
    agent.contact(&site).await;
    assert!(is_told(&agent, manifest), "it is the canary");
    keeps(&site, &mut agent, &until(&site, number, |_| true).await).await;
    // Nobody is left for the last ring either: the whole rollout is complete.
    until(&site, number, |rollout| rollout.state == RolloutState::Completed).await;
    let rings = Activity { kind: Some("ring_opened".to_owned()), ..Activity::default() };
    let rings = site.server.ledger().query(rings).await.unwrap();
    let passed_over = rings.iter().any(|logged| {
        let change = logged.entry.change();
        matches!(change, Some(Change::RingOpened { ring: 2, reason: OpenReason::Empty, .. }))
    });
    assert!(passed_over, "{rings:?}");
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_in_a_soak_opens_no_ring_and_makes_no_failure() {
    a_clock_jumps_in_a_soak(sealpost_test_support::clock::days(2)).await;
}

#[tokio::test]
async fn a_clock_that_jumps_back_in_a_soak_opens_no_ring_and_the_soak_goes_on() {
    a_clock_jumps_in_a_soak(sealpost_test_support::clock::days(-2)).await;
}

async fn a_clock_jumps_in_a_soak(by: jiff::SignedDuration) {
    let vendor = start_vendor(10).await;
    let (site, mut agents, manifest, rollout) = rolling_out(&vendor, "one-by-one").await;
    let number = rollout.number;
    for agent in &mut agents {
        agent.contact(&site).await;
    }
    let told: DeliveredPage = site.get(&format!("/rollouts/{number}/computers")).await;
    assert_eq!(told.computers.len(), 1, "the canary");
    // The second ring is watched, and the canary has not finished.
    let canary = agents.iter().position(|agent| is_told(agent, manifest)).unwrap();
    let _canary = agents.remove(canary);
    let opened = steered(&site, number, next(1)).await;
    for agent in &mut agents {
        agent.contact(&site).await;
    }
    let second = agents.iter().position(|agent| is_told(agent, manifest)).unwrap();
    keeps(&site, &mut agents[second], &opened).await;
    let left = opened.rings[1].soak_left_secs;
    // Longer than the second ring is watched, and than the canary may be silent.
    site.clock.forward(by);
    // Each entry is a round of the rollouts; one that counted a second of this server's own time was after the jump.
    let rounds = async {
        for round in 0.. {
            let value = serde_json::json!({ "description": format!("round {round}") });
            let change = serde_json::json!({ "kind": "group", "name": "rounds", "value": value });
            let change = serde_json::json!({ "changes": [change], "comment": "a round" });
            let _: serde_json::Value = site.post("/settings", &change).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            let rollout: Rollout = site.get(&format!("/rollouts/{number}")).await;
            if rollout.current_ring() != Some(1) || rollout.rings[1].soak_left_secs < left - 1 {
                return rollout;
            }
        }
        unreachable!()
    };
    let after = tokio::time::timeout(PATIENCE, rounds).await.unwrap();
    assert_eq!((after.state, after.current_ring()), (RolloutState::Running, Some(1)), "{after:?}");
    assert!(left - after.rings[1].soak_left_secs < 3600, "only time in which the server ran: {after:?}");
    let counts = after.rings[0].counts;
    assert_eq!((counts.told, counts.silent, counts.failed), (1, 0, 0), "{counts:?}");
    assert!(after.waits_for.contains("the ring `second` is watched for"), "{}", after.waits_for);
}

/// Nobody asks for anything in between: the server's own rounds count the minute, and open the ring.
#[tokio::test]
async fn a_ring_that_was_watched_for_its_minute_lets_the_next_one_open_by_itself() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    let mut agents = [Agent::licensed(&site, "pc-1").await, Agent::licensed(&site, "pc-2").await];
    site.pull().await;
    let rings = serde_json::json!([
        { "name": "canary", "takes": { "first": 1 }, "soak_minutes": 1, "minimum_sample": 1 },
        { "name": "everyone", "takes": "everyone", "soak_minutes": 600 },
    ]);
    let strategy = serde_json::json!({ "kind": "strategy", "name": "a-minute", "value": { "rings": rings } });
    let _: serde_json::Value =
        site.post("/settings", &serde_json::json!({ "changes": [strategy], "comment": "a test" })).await;
    let approval = serde_json::json!({ "manifest": manifest, "strategy": "a-minute" });
    let approved: Update = site.post("/updates/approve", &approval).await;
    let number = approved.rollout.unwrap();
    let rollout = until(&site, number, |rollout| rollout.current_ring() == Some(0)).await;
    for agent in &mut agents {
        agent.contact(&site).await;
    }
    let canary = agents.iter_mut().find(|agent| is_told(agent, manifest)).unwrap();
    keeps(&site, canary, &rollout).await;
    let begun = std::time::Instant::now();
    let opened = async {
        while count(&site, "ring_opened").await < 2 {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(3 * PATIENCE, opened).await.unwrap();
    // Up to a round of it may have passed before the report came.
    assert!(begun.elapsed() > Duration::from_secs(30), "{:?}", begun.elapsed());
    let rings = Activity { kind: Some("ring_opened".to_owned()), ..Activity::default() };
    let rings = site.server.ledger().query(rings).await.unwrap();
    let passed = |change: Option<&Change>| {
        matches!(change, Some(Change::RingOpened { ring: 1, reason: OpenReason::Passed, .. }))
    };
    assert!(rings.iter().any(|logged| passed(logged.entry.change())), "{rings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn push_now_of_a_release_that_goes_to_everybody_already_does_nothing_and_says_so() {
    let vendor = start_vendor(10).await;
    let (site, _agents, _, rollout) = rolling_out(&vendor, "everyone-now").await;
    until(&site, rollout.number, |rollout| rollout.state == RolloutState::Completed).await;
    let reference = format!("{}:{}", rollout.release.package, rollout.release.version);
    let output = cli(&site, &["updates", "push-now", &reference, "--yes", "--why", "it is urgent"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("its rollout 1 is complete") && said.contains("updates why COMPUTER"), "{said}");
    assert_eq!(count(&site, "rollout_edited").await, 0);
}

pub(crate) fn is_told(agent: &Agent, manifest: Sha256Digest) -> bool {
    let held = agent.holds.assignment.as_ref();
    held.is_some_and(|held| held.document.packages.iter().any(|one| one.manifest == manifest))
}
