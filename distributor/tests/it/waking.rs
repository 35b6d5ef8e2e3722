//! Whom the server tells to come at once: by the method of the computer, by what the vendor says, and by what an admin does.

use std::time::Duration;

use reqwest::Response;
use sealpost_admin_api::rollouts::Rollout;
use sealpost_admin_api::settings::Changed;
use sealpost_admin_api::updates::Update;
use sealpost_manifests::release::Severity;

use crate::agent::Agent;
use crate::rollout::read_until;
use crate::site::Site;
use crate::vendor::start_vendor;

/// Longest wait for something that is to happen: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn pollers(delivery: &str) -> serde_json::Value {
    serde_json::json!({ "kind": "group", "name": "pollers", "value": { "delivery": delivery } })
}

async fn set(site: &Site, changes: &[serde_json::Value]) {
    let _: Changed = site.post("/settings", &serde_json::json!({ "changes": changes, "comment": "x" })).await;
}

/// `polls-1` comes by itself, and `pushed-1` is woken by any news: the first one, and the streams of both.
async fn one_polls_and_one_is_pushed(site: &Site) -> (Agent, Response, Response) {
    let polls = Agent::licensed(site, "polls-1").await;
    let pushed = Agent::licensed(site, "pushed-1").await;
    let mut told = pushed.get(site, "/wake").await;
    read_until(&mut told, ": hello\n\n").await;
    let members = serde_json::json!([{ "group": "pollers", "add": ["polls-1"] }]);
    let request = serde_json::json!({ "changes": [pollers("poll")], "members": members, "comment": "x" });
    let _: Changed = site.post("/settings", &request).await;
    // So the next wake is another one.
    read_until(&mut told, "event: contact\n").await;
    let mut quiet = polls.get(site, "/wake").await;
    read_until(&mut quiet, ": hello\n\n").await;
    (polls, quiet, told)
}

/// The next stream of who polls. The one before it ends with that, and nothing woke it.
async fn unwoken(site: &Site, polls: &Agent, mut before: Response) -> Response {
    let mut next = polls.get(site, "/wake").await;
    let came = read_until(&mut next, ": hello\n\n").await;
    assert!(!came.contains("contact"), "{came}");
    while let Ok(Some(chunk)) = before.chunk().await {
        assert!(!String::from_utf8_lossy(&chunk).contains("contact"), "news wakes who polls");
    }
    next
}

async fn wakes(stream: &mut Response, what: &str) {
    let woken = tokio::time::timeout(PATIENCE, read_until(stream, "event: contact\n")).await;
    assert!(woken.is_ok(), "{what} does not wake who polls");
}

#[tokio::test]
async fn news_wakes_only_whom_the_method_wants_woken_and_what_cannot_wait_wakes_everybody() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    let (polls, quiet, mut told) = one_polls_and_one_is_pushed(&site).await;
    site.pull().await;
    site.approve(manifest).await;
    read_until(&mut told, "event: contact\n").await;
    // A stream that opens after it is not woken by what it missed either.
    let mut late = unwoken(&site, &polls, quiet).await;
    // The method is changed while the server runs.
    set(&site, &[pollers("push")]).await;
    read_until(&mut late, "event: contact\n").await;
    set(&site, &[pollers("folder")]).await;
    let halt = serde_json::json!({ "manifest": manifest, "reason": "crashes" });
    let _: serde_json::Value = site.post("/updates/halt", &halt).await;
    wakes(&mut late, "a halt").await;
}

#[tokio::test]
async fn what_the_vendor_calls_critical_wakes_who_polls_where_the_site_wants_it_at_once() {
    let vendor = start_vendor(10).await;
    let of_severity = |version: &str, severity| {
        let mut draft = vendor.draft(version, &[("engine", version.as_bytes())]);
        draft.manifest.severity = severity;
        vendor.publish(&draft, &["stable"])
    };
    let site = Site::licensed(&vendor).await;
    let at_once = serde_json::json!({ "kind": "property", "name": "critical", "value": "at_once" });
    set(&site, &[at_once]).await;
    let (polls, quiet, mut told) = one_polls_and_one_is_pushed(&site).await;
    let ordinary = of_severity("1.0", Severity::Normal);
    site.pull().await;
    site.approve(ordinary).await;
    read_until(&mut told, "event: contact\n").await;
    let mut late = unwoken(&site, &polls, quiet).await;
    let critical = of_severity("1.1", Severity::Critical);
    site.pull().await;
    site.approve(critical).await;
    wakes(&mut late, "a critical release").await;
}

#[tokio::test]
async fn what_is_pushed_now_wakes_who_polls() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    let (polls, quiet, mut told) = one_polls_and_one_is_pushed(&site).await;
    site.pull().await;
    let approval = serde_json::json!({ "manifest": manifest, "strategy": "careful" });
    let approved: Update = site.post("/updates/approve", &approval).await;
    read_until(&mut told, "event: contact\n").await;
    let mut quiet = unwoken(&site, &polls, quiet).await;
    let push_now =
        serde_json::json!({ "do": "edit", "strategy": "everyone-now", "emergency": true, "comment": "x" });
    let path = format!("/rollouts/{}/steer", approved.rollout.unwrap());
    let edited: Rollout = site.post(&path, &push_now).await;
    assert!(edited.emergency);
    wakes(&mut quiet, "a push-now").await;
}

#[tokio::test]
async fn what_is_approved_as_an_emergency_wakes_who_polls_whatever_its_strategy() {
    // To everybody with the approval itself, and with the ring that opens after it.
    for strategy in ["everyone-now", "careful"] {
        let vendor = start_vendor(10).await;
        let manifest = vendor.release("1.0", &[("engine", b"one")]);
        let site = Site::licensed(&vendor).await;
        let (polls, quiet, _told) = one_polls_and_one_is_pushed(&site).await;
        site.pull().await;
        let mut quiet = unwoken(&site, &polls, quiet).await;
        let approval = serde_json::json!({ "manifest": manifest, "strategy": strategy, "emergency": true });
        let _: Update = site.post("/updates/approve", &approval).await;
        wakes(&mut quiet, strategy).await;
    }
}
