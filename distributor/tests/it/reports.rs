//! What is said of a rollout afterwards, and while somebody watches it: by its report over HTTP, as a table and as JSON, and by
//! `rollouts watch`.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::Duration;

use sealpost_admin_api::rollouts::{Delivered, DeliveredPage, MAX_EXPLAINED, Rollout};
use sealpost_admin_api::updates::Update;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report, TransferredBytes, Way};
use sealpost_site::rules::rollouts::progress::{DeliveryState, RolloutState};
use sealpost_test_support::vendor_server::ServedVendor;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::program::distributor;
use crate::rollouts::{cli, is_told, said, until};
use crate::site::Site;
use crate::vendor::start_vendor;

/// Longest wait for all rings of a rollout: far more than they take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A site with three computers, and a strategy of these rings.
async fn site_with(vendor: &ServedVendor, rings: Value) -> (Site, Vec<Agent>) {
    let site = Site::licensed(vendor).await;
    let mut agents = Vec::new();
    for name in ["pc-1", "pc-2", "pc-3"] {
        agents.push(Agent::licensed(&site, name).await);
    }
    set(&site, json!({ "kind": "strategy", "name": "tested", "value": { "rings": rings } })).await;
    (site, agents)
}

async fn set(site: &Site, change: Value) {
    let _: Value = site.post("/settings", &json!({ "changes": [change], "comment": "a test" })).await;
}

/// One ring for everybody, which is watched for hours and takes some failures.
fn everybody_watched() -> Value {
    json!([{
        "name": "everyone", "takes": "everyone", "soak_minutes": 600, "errors": { "count": 3, "percent": 100 },
    }])
}

/// A version is pulled, approved, and its first ring is open.
async fn goes_out(vendor: &ServedVendor, site: &Site, version: &str) -> (Sha256Digest, Rollout) {
    let manifest = vendor.release(version, &[("engine", version.as_bytes())]);
    site.pull().await;
    let approved: Update =
        site.post("/updates/approve", &json!({ "manifest": manifest, "strategy": "tested" })).await;
    let is_open = |rollout: &Rollout| rollout.current_ring() == Some(0);
    (manifest, until(site, approved.rollout.unwrap(), is_open).await)
}

/// What a computer says of a release: steps with their outcomes, reasons and details.
async fn says(
    site: &Site,
    agent: &mut Agent,
    rollout: &Rollout,
    first: u64,
    steps: &[(InstallStep, Outcome, ReasonCode, &str)],
) {
    let mut contact = agent.next_contact();
    let numbered = (first..).zip(steps);
    contact.reports = numbered
        .map(|(id, (step, outcome, reason, detail))| {
            let fetched = *step == InstallStep::Download;
            Report {
                id,
                at: site.clock.now(),
                release: rollout.release.clone(),
                manifest: rollout.manifest,
                rollout: rollout.number,
                attempt: 1,
                step: *step,
                outcome: *outcome,
                reason: *reason,
                detail: (*detail).to_owned(),
                ring: None,
                way: fetched.then_some(Way::Delta),
                bytes: fetched.then_some(TransferredBytes { metadata: 20, manifest: 3, payload: 4_000 }),
                duration_ms: None,
            }
        })
        .collect();
    agent.send_contact(site, &contact).await;
}

const CHECK: (InstallStep, Outcome, ReasonCode, &str) =
    (InstallStep::Check, Outcome::Ok, ReasonCode::Done, "");
const DOWNLOAD: (InstallStep, Outcome, ReasonCode, &str) =
    (InstallStep::Download, Outcome::Ok, ReasonCode::ByDelta, "");
const KEEP: (InstallStep, Outcome, ReasonCode, &str) = (InstallStep::Keep, Outcome::Ok, ReasonCode::Done, "");

async fn json_of(site: &Site, arguments: &[&str]) -> Value {
    serde_json::from_str(&said(site, arguments).await).unwrap()
}

/// The line of a computer in a report as JSON.
fn of<'v>(report: &'v Value, name: &str) -> &'v Value {
    report["computers"].as_array().unwrap().iter().find(|one| one["computer"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_says_how_a_release_came_and_why_it_failed_also_after_the_next_one() {
    let vendor = start_vendor(10).await;
    let (site, mut agents) = site_with(&vendor, everybody_watched()).await;
    let (manifest, rollout) = goes_out(&vendor, &site, "1.0").await;
    for agent in &mut agents {
        agent.contact(&site).await;
        assert!(is_told(agent, manifest));
    }
    says(&site, &mut agents[0], &rollout, 1, &[CHECK, DOWNLOAD, KEEP]).await;
    let crash = (InstallStep::Health, Outcome::Failed, ReasonCode::HookFailed, "no \"engine\", no scan");
    says(&site, &mut agents[1], &rollout, 1, &[CHECK, DOWNLOAD, crash]).await;

    let number = rollout.number.to_string();
    let report = json_of(&site, &["rollouts", "report", &number, "--json"]).await;
    let installed = of(&report, "pc-1");
    assert_eq!(installed["state"], "succeeded", "{report:#}");
    assert_eq!(
        [&installed["way"], &installed["bytes"], &installed["tries"]],
        [&json!("delta"), &json!(4_023), &json!(1)]
    );
    assert_eq!(installed["step"], "keep", "the last one, which fetched nothing");
    let failed = of(&report, "pc-2");
    assert_eq!([&failed["state"], &failed["reason"]], ["failed", "hook_failed"], "{report:#}");
    assert_eq!([&failed["failed_step"], &failed["detail"]], ["health", "no \"engine\", no scan"]);
    assert_eq!(report["failures"].as_array().unwrap().len(), 1);
    let cluster = &report["failures"][0];
    assert_eq!([&cluster["reason"], &cluster["count"]], [&json!("hook_failed"), &json!(1)]);
    assert_eq!(cluster["example"], *failed, "one of them, as it stands in the list");
    let ring = &report["rings"][0];
    assert_eq!(
        [&ring["name"], &ring["members"], &ring["not_told"]],
        [&json!("everyone"), &json!(3), &json!(0)]
    );
    assert_eq!(
        [&ring["succeeded"], &ring["failed"], &ring["told"]],
        [1, 1, 1].map(|one| json!(one)).each_ref()
    );
    // Who has not finished: the same words as of the command that is about that computer.
    let why = json_of(&site, &["updates", "why", "pc-3", "acme-av", "--json"]).await;
    assert_eq!(of(&report, "pc-3")["why"]["sentence"], why[0]["sentence"], "{report:#}");
    assert!(of(&report, "pc-1").get("why").is_none(), "it has finished");

    let csv = said(&site, &["rollouts", "report", &number, "--csv"]).await;
    let line =
        |name: &str| csv.lines().find(|line| line.starts_with(&format!("{name},"))).unwrap().to_owned();
    assert!(line("pc-1").ends_with(",1,keep,delta,4023,,,1,"), "{csv}");
    assert!(line("pc-2").ends_with(r#",delta,4023,hook_failed,"no ""engine"", no scan",1,health"#), "{csv}");
    let text = said(&site, &["rollouts", "report", &number]).await;
    let sentence = why[0]["sentence"].as_str().unwrap();
    for part in [
        "1 failure with hook_failed, for example pc-2: no \"engine\", no scan",
        "NOT TOLD",
        sentence,
        "  waits for  ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // The next release goes out: one computer installs it, and one that had not finished is told it instead.
    let (_, newer) = goes_out(&vendor, &site, "1.1").await;
    for agent in &mut agents[1..] {
        agent.contact(&site).await;
    }
    says(&site, &mut agents[1], &newer, 10, &[CHECK, DOWNLOAD, KEEP]).await;
    let after = json_of(&site, &["rollouts", "report", &number, "--json"]).await;
    assert_eq!(after["failures"][0]["reason"], "hook_failed", "{after:#}");
    assert_eq!(after["failures"][0]["example"]["detail"], "no \"engine\", no scan");
    assert_eq!([&of(&after, "pc-1")["way"], &of(&after, "pc-1")["bytes"]], [&json!("delta"), &json!(4_023)]);
    assert_eq!([&of(&after, "pc-3")["state"], &after["rings"][0]["dropped"]], [&json!("dropped"), &json!(1)]);
    let text = said(&site, &["rollouts", "report", &number]).await;
    assert!(text.contains("hook_failed (health)"), "{text}");
    assert!(text.contains("~~~~") && text.contains("~ moved on to another release"), "{text}");
    let shown = said(&site, &["rollouts", "show", &number]).await;
    let bar = shown.lines().find(|line| line.contains("[#")).unwrap();
    assert!(bar.contains('~') && !bar.contains('.'), "nobody of them was told nothing: {shown}");
    let newest = json_of(&site, &["rollouts", "report", &newer.number.to_string(), "--json"]).await;
    assert_eq!(newest["failures"], json!([]), "what failed there was another release");
    let ring = &newest["rings"][0];
    assert_eq!([&ring["members"], &ring["not_told"]], [&json!(3), &json!(1)], "one was not in contact since");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_some_that_have_not_finished_are_explained_and_of_the_others_the_command_is_named() {
    let vendor = start_vendor(60).await;
    let (site, mut agents) = site_with(&vendor, everybody_watched()).await;
    for number in 4..=MAX_EXPLAINED + 2 {
        agents.push(Agent::licensed(&site, &format!("pc-{number}")).await);
    }
    let (_, rollout) = goes_out(&vendor, &site, "1.0").await;
    for agent in &mut agents {
        agent.contact(&site).await;
    }
    let page: DeliveredPage = site.get(&format!("/rollouts/{}/computers", rollout.number)).await;
    let explained = |computers: &[Delivered]| computers.iter().filter(|one| one.why.is_some()).count();
    assert_eq!((page.computers.len(), explained(&page.computers)), (MAX_EXPLAINED + 2, MAX_EXPLAINED));
    let second = format!("/rollouts/{}/computers?after=pc-1", rollout.number);
    let page: DeliveredPage = site.get(&second).await;
    assert_eq!(explained(&page.computers), 0, "only the first page has some");
    let text = said(&site, &["rollouts", "report", &rollout.number.to_string()]).await;
    assert!(text.contains("2 more have not finished: `distributor updates why pc-"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_a_rollout_sees_each_ring_and_ends_well_when_it_is_complete() {
    let vendor = start_vendor(10).await;
    let rings = json!([
        { "name": "canary", "takes": { "first": 1 }, "minimum_sample": 1 },
        { "name": "everyone", "takes": "everyone", "minimum_sample": 1 },
    ]);
    let (site, mut agents) = site_with(&vendor, rings).await;
    let (manifest, rollout) = goes_out(&vendor, &site, "1.0").await;
    let number = rollout.number.to_string();
    let mut watch = distributor(&site.home());
    watch.args(["rollouts", "watch", &number, "--json", "--timeout", "5"]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdout, stderr) = (watch.stdout.take().unwrap(), watch.stderr.take().unwrap());
    let (seen, first) = tokio::sync::oneshot::channel();
    let watching = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(stderr).lines().map(Result::unwrap);
        let first = lines.next().unwrap_or_default();
        let _ = seen.send(());
        let lines: Vec<String> = std::iter::once(first).chain(lines).collect();
        let mut ended = String::new();
        stdout.read_to_string(&mut ended).unwrap();
        (lines, ended, watch.wait().unwrap())
    });
    // It has said where the rollout stands; from now on that changes.
    first.await.unwrap();
    let mut kept = [false; 3];
    let rounds = async {
        while !kept.iter().all(|kept| *kept) {
            for (agent, kept) in agents.iter_mut().zip(&mut kept) {
                agent.contact(&site).await;
                if is_told(agent, manifest) && !*kept {
                    says(&site, agent, &rollout, 1, &[CHECK, DOWNLOAD, KEEP]).await;
                    *kept = true;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, rounds).await.unwrap();
    let (lines, ended, status) = tokio::time::timeout(PATIENCE, watching).await.unwrap().unwrap();
    assert!(lines[0].contains(": running, ring canary (1 of 2): 0 succeeded"), "{lines:?}");
    let last = lines.last().unwrap();
    assert!(last.contains(": completed, ring everyone (2 of 2): 3 succeeded"), "{lines:?}");
    let mut once = lines.clone();
    once.dedup();
    assert_eq!(once, lines, "nothing is said twice");
    let ended: Rollout = serde_json::from_str(&ended).unwrap();
    assert_eq!((ended.number, ended.state), (rollout.number, RolloutState::Completed));
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_sees_computers_where_a_person_starts_it_gives_up_in_time_and_hears_of_a_halt() {
    let vendor = start_vendor(10).await;
    let (site, mut agents) = site_with(&vendor, everybody_watched()).await;
    set(&site, json!({ "kind": "property", "name": "delivery", "value": "manual" })).await;
    let (_, rollout) = goes_out(&vendor, &site, "1.0").await;
    for agent in &mut agents[..2] {
        agent.contact(&site).await;
    }
    let number = rollout.number.to_string();
    let page: DeliveredPage = site.get(&format!("/rollouts/{number}/computers")).await;
    assert!(page.computers.iter().all(|one| one.state == DeliveryState::Offered), "{page:?}");
    let why = page.computers[0].why.as_ref().unwrap();
    assert!(why.sentence.contains("a person there starts it"), "{why:?}");

    let waited = cli(&site, &["rollouts", "watch", &number, "--timeout", "0", "--json"]).await;
    let progress = String::from_utf8(waited.stderr).unwrap();
    assert!(progress.contains("2 told (2 of them by hand: a person there starts it)"), "{progress}");
    assert!(progress.contains("the time is over"), "{progress}");
    let stands: Rollout = serde_json::from_slice(&waited.stdout).unwrap();
    assert_eq!((stands.state, stands.rings[0].counts.offered), (RolloutState::Running, 2));
    assert_eq!(waited.status.code(), Some(1), "it is not complete");
    let report = json_of(&site, &["rollouts", "report", &number, "--json"]).await;
    let ring = &report["rings"][0];
    assert_eq!([&ring["offered"], &ring["not_told"]], [&json!(2), &json!(1)], "{report:#}");

    said(&site, &["rollouts", "abort", &number, "--why", "it crashes"]).await;
    let ended = cli(&site, &["rollouts", "watch", &number]).await;
    let progress = String::from_utf8(ended.stderr).unwrap();
    assert!(progress.contains(": aborted, "), "{progress}");
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(1), 0), "{progress}");
}
