//! From an approval to a computer: review, wake, assignment, targets in part, deltas.

use jiff::SignedDuration;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode, header};
use sealpost_admin_api::clients::Client;
use sealpost_admin_api::updates::{Review, Update};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::{AttachmentKind, PackageKind};
use sealpost_manifests::trust::{KeyStatus, KeyUse, TrustedKey};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::contact::{ContactAnswer, InstalledPackage};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::commands::releases::WithdrawRelease;
use sealpost_site::rules::release::ReleaseState;
use sealpost_test_support::names::{acme_av, package, release_id};
use sealpost_test_support::release::Draft;

use crate::agent::Agent;
use crate::site::{Site, code, good};
use crate::vendor::start_vendor;

/// Reads the stream until what came contains a text.
pub(crate) async fn read_until(stream: &mut Response, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let chunk = stream.chunk().await.unwrap();
        let chunk = chunk.unwrap_or_else(|| panic!("the stream ended after {text:?}"));
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    text
}

#[tokio::test]
async fn an_approval_wakes_the_connected_computer_and_its_contact_brings_the_assignment() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one"), ("notes.txt", b"n")]);
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let mut stream = agent.get(&site, "/wake").await;
    assert_eq!(stream.headers()[header::CONTENT_TYPE], "text/event-stream");
    read_until(&mut stream, ": hello\n\n").await;
    site.pull().await;

    let review: Review = site.get(&format!("/updates/{manifest}")).await;
    assert_eq!(review.update.state, ReleaseState::Staged);
    assert_eq!(review.recipient_count, 1);
    let content = review.content.unwrap();
    assert_eq!(content.difference.added.len(), 2);
    assert_eq!(content.notes, "notes of 1.0");

    let wrong = serde_json::json!({ "manifest": Sha256Digest::of(b"another") });
    let refused = site.post_refused("/updates/approve", &wrong).await;
    assert!(matches!(refused.code, ProblemCode::DigestMismatch | ProblemCode::NotFound), "{refused:?}");
    site.approve(manifest).await;
    site.approve(manifest).await;
    let event = read_until(&mut stream, "event: contact\ndata: now\n\n").await;
    assert!(!event.contains("1.0"));

    let answer = agent.contact(&site).await;
    let assignment = agent.assignment(&answer);
    assert_eq!(assignment.packages.len(), 1);
    assert_eq!(assignment.packages[0].manifest, manifest);
    assert_eq!(site.updates().await.updates[0].state, ReleaseState::Approved);
    let client: Client = site.get("/clients/pc-1").await;
    assert!(client.connected);
    assert_eq!(client.explanations.len(), 1);
    assert!(
        client.explanations[0].sentence.contains("pc-1 does not run acme-av and should run 1.0"),
        "{client:?}"
    );
}

#[tokio::test]
async fn an_approval_while_a_computer_has_no_stream_wakes_it_when_its_stream_opens() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    let listening = Agent::licensed(&site, "pc-1").await;
    let mut away = Agent::licensed(&site, "pc-2").await;
    let mut stream = listening.get(&site, "/wake").await;
    read_until(&mut stream, ": hello\n\n").await;
    site.pull().await;
    site.approve(manifest).await;
    // The computers that listen have been woken: that was the only wake.
    read_until(&mut stream, "event: contact\n").await;

    let mut late = away.get(&site, "/wake").await;
    read_until(&mut late, "event: contact\ndata: now\n\n").await;
    let answer = away.contact(&site).await;
    assert_eq!(away.assignment(&answer).packages[0].manifest, manifest);
}

#[tokio::test]
async fn a_newer_stream_ends_the_older_and_a_stop_ends_all_without_waiting() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let agent = Agent::licensed(&site, "pc-1").await;
    let mut older = agent.get(&site, "/wake").await;
    read_until(&mut older, ": hello").await;
    let mut newer = agent.get(&site, "/wake").await;
    read_until(&mut newer, ": hello").await;
    while older.chunk().await.unwrap().is_some() {}
    site.server.stop().await.unwrap();
    while newer.chunk().await.is_ok_and(|chunk| chunk.is_some()) {}
}

#[tokio::test]
async fn a_target_can_be_fetched_in_part_and_goes_on_where_it_was_cut() {
    let vendor = start_vendor(10).await;
    let content: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    let manifest = vendor.release("1.0", &[("engine", &content)]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    site.approve(manifest).await;
    let agent = Agent::licensed(&site, "pc-1").await;
    let path = payload_path(&site, &agent).await;
    let whole = agent.get(&site, &path).await;
    assert_eq!(whole.headers()[header::ACCEPT_RANGES], "bytes");
    let whole = whole.bytes().await.unwrap();
    let half = whole.len() / 2;
    let range = format!("bytes={half}-");
    let rest = agent.read(&site, &path).header(header::RANGE, range).send().await.unwrap();
    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT);
    let expected = format!("bytes {half}-{}/{}", whole.len() - 1, whole.len());
    assert_eq!(rest.headers()[header::CONTENT_RANGE], expected.as_str());
    assert_eq!(rest.bytes().await.unwrap(), whole[half..]);
    let beyond = format!("bytes={}-", whole.len());
    let refused = agent.read(&site, &path).header(header::RANGE, beyond).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let absent = agent.get(&site, "/tuf/metadata/99.root.json").await;
    assert_eq!(absent.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_release_that_the_vendor_withdraws_is_not_given_out_to_those_who_were_told_to_install_it() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    site.approve(manifest).await;
    let agent = Agent::licensed(&site, "pc-1").await;
    let path = payload_path(&site, &agent).await;
    assert_eq!(agent.get(&site, &path).await.status(), StatusCode::OK);
    let command = WithdrawRelease { manifest, reason: "deletes quarantine".into() };
    site.server.ledger().execute(site.clock.now(), command).await.unwrap();
    assert_eq!(code(agent.get(&site, &path).await).await, ProblemCode::NotAssigned);
}

#[tokio::test]
async fn a_staged_release_whose_key_the_vendor_revoked_since_cannot_be_approved() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    vendor.revoke_release_key();
    site.pull().await;
    let refused = site.post_refused("/updates/approve", &serde_json::json!({ "manifest": manifest })).await;
    assert_eq!(refused.code, ProblemCode::BadSignature);
    assert_eq!(site.updates().await.updates[0].state, ReleaseState::Staged);
}

#[tokio::test]
async fn an_attachment_is_served_to_the_computers_that_the_release_is_assigned_to() {
    const SBOM: &[u8] = b"{\"bomFormat\":\"CycloneDX\"}";
    let vendor = start_vendor(10).await;
    let draft = vendor.draft("1.0", &[("engine", b"one")]);
    let draft = draft.with_attachment(AttachmentKind::CycloneDx, "sbom.json", SBOM);
    let manifest = vendor.publish(&draft, &["stable"]);
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    site.pull().await;
    let path = target_path(&site, &agent, ".attachment.sbom.json").await;
    assert_eq!(agent.get(&site, &path).await.status(), StatusCode::FORBIDDEN, "not assigned yet");
    site.approve(manifest).await;
    agent.contact(&site).await;
    let served = agent.get(&site, &path).await;
    assert_eq!(served.status(), StatusCode::OK);
    assert_eq!(served.bytes().await.unwrap(), SBOM);
}

/// Finds the payload as a client does.
pub(crate) async fn payload_path(site: &Site, agent: &Agent) -> String {
    target_path(site, agent, ".tar.gz").await
}

/// Finds a target as a client does: snapshot → package role → target.
pub(crate) async fn target_path(site: &Site, agent: &Agent, suffix: &str) -> String {
    let json = |response: Response| async { response.json::<serde_json::Value>().await.unwrap() };
    let timestamp = json(agent.get(site, "/tuf/metadata/timestamp.json").await).await;
    let version = &timestamp["signed"]["meta"]["snapshot.json"]["version"];
    let snapshot = json(agent.get(site, &format!("/tuf/metadata/{version}.snapshot.json")).await).await;
    let version = &snapshot["signed"]["meta"]["acme-av.json"]["version"];
    let role = json(agent.get(site, &format!("/tuf/metadata/{version}.acme-av.json")).await).await;
    let targets = role["signed"]["targets"].as_object().unwrap();
    let (name, target) = targets.iter().find(|(name, _)| name.ends_with(suffix)).unwrap();
    format!("/tuf/targets/{}.{name}", target["hashes"]["sha256"].as_str().unwrap())
}

#[tokio::test]
async fn a_rejected_release_goes_nowhere_and_a_contact_without_news_is_small() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    let body = serde_json::json!({ "manifest": manifest, "reason": "not this one" });
    let _: serde_json::Value = site.post("/updates/reject", &body).await;
    let refused = site.post_refused("/updates/approve", &serde_json::json!({ "manifest": manifest })).await;
    assert_eq!(refused.code, ProblemCode::WrongState);
    let empty = serde_json::json!({ "manifest": manifest, "reason": " " });
    assert_eq!(site.post_refused("/updates/reject", &empty).await.code, ProblemCode::BadRequest);

    let mut agent = Agent::licensed(&site, "pc-1").await;
    let answer = agent.contact(&site).await;
    assert!(answer.assignment.is_none_or(|signed| !signed.document.contains("acme-av\"")));
    site.clock.forward(SignedDuration::from_mins(1));
    let quiet = agent.contact(&site).await;
    assert!(quiet.lease.is_none() && quiet.assignment.is_none() && quiet.grants.is_empty());
    assert!(serde_json::to_vec(&quiet).unwrap().len() < 1024);
}

/// What headers take as text; HTTP/2 takes less.
fn bytes_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}

#[tokio::test]
async fn a_contact_without_news_stays_within_two_kib_each_way_also_where_all_is_said_that_may_wait() {
    const MOST: usize = 2 * 1024;
    let vendor = start_vendor(10).await;
    let other = package("beta-scanner");
    vendor.change_trust(|trust| {
        trust.keys.push(TrustedKey {
            key_use: KeyUse::Release,
            package: Some(other.clone()),
            key: vendor.release_key.public().to_base64(),
            status: KeyStatus::Active,
            digests: std::collections::BTreeSet::new(),
        });
    });
    let site = Site::licensed(&vendor).await;
    let _pilot = Agent::licensed(&site, "pilot-1").await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let rings = serde_json::json!([
        { "name": "pilots", "takes": { "group": "pilots" }, "soak_minutes": 600 },
        { "name": "everyone", "takes": "everyone", "soak_minutes": 600 },
    ]);
    let request = serde_json::json!({
        "changes": [
            { "kind": "group", "name": "pilots", "value": {} },
            { "kind": "strategy", "name": "pilots-first", "value": { "rings": rings } },
        ],
        "members": [{ "group": "pilots", "add": ["pilot-1"] }],
        "comment": "a test",
    });
    let _: serde_json::Value = site.post("/settings", &request).await;
    let old = vendor.release("1.0", &[("engine", b"one")]);
    site.pull().await;
    site.approve(old).await;
    let held = [
        vendor.release("2.0", &[("engine", b"two")]),
        vendor.publish_in_another_package(&Draft::of_files(
            &[("engine", b"other")],
            release_id(&other, "10.4.2"),
            1,
        )),
    ];
    site.pull().await;
    let mut rollouts = Vec::new();
    for manifest in held {
        let approval = serde_json::json!({ "manifest": manifest, "strategy": "pilots-first" });
        let approved: Update = site.post("/updates/approve", &approval).await;
        rollouts.push(approved.rollout.unwrap());
    }
    let is_open = |rollout: &sealpost_admin_api::rollouts::Rollout| rollout.current_ring() == Some(0);
    for number in &rollouts {
        crate::rollouts::until(&site, *number, is_open).await;
    }
    let pause = serde_json::json!({ "do": "pause", "comment": "the support desk is closed. ".repeat(13) });
    let _: serde_json::Value = site.post(&format!("/rollouts/{}/steer", rollouts[0]), &pause).await;

    let runs = InstalledPackage {
        release: release_id(&acme_av(), "1.0"),
        kind: PackageKind::Program,
        counter: ReleaseCounter(1),
        manifest: old,
    };
    let contact = |agent: &Agent| {
        let mut contact = agent.next_contact();
        contact.packages = vec![runs.clone()];
        contact
    };
    let first = contact(&agent);
    agent.send_contact(&site, &first).await;
    site.clock.forward(SignedDuration::from_mins(1));
    let second = contact(&agent);
    let sent = site.http.post(site.url("/agent/v1/contact")).json(&agent.contact_request(&second));
    let request = sent.try_clone().unwrap().build().unwrap();
    let request_body = request.body().and_then(|body| body.as_bytes()).unwrap().len();
    let host = format!("POST /agent/v1/contact HTTP/1.1\r\nhost: {}\r\n", site.server.address());
    let request_head =
        bytes_of(request.headers()) + host.len() + format!("content-length: {request_body}\r\n\r\n").len();
    let response = sent.send().await.unwrap();
    let answer_head = bytes_of(response.headers()) + "HTTP/1.1 200 OK\r\n\r\n".len();
    let answer: ContactAnswer = good(response).await;
    let answer_body = serde_json::to_vec(&answer).unwrap().len();
    agent.take_answer(&second, &answer);
    assert!(answer.lease.is_none() && answer.assignment.is_none() && answer.checkpoint.is_none());
    let waits = serde_json::to_vec(&answer.waits).unwrap().len();
    assert!(answer.waits.len() == 2 && (800..=1_002).contains(&waits), "{waits}: {:?}", answer.waits);
    println!(
        "a contact without news: request {request_body} + {request_head} of headers, answer {answer_body} + \
         {answer_head}, of which {waits} say what waits"
    );
    for (what, body, head) in [("request", request_body, request_head), ("answer", answer_body, answer_head)]
    {
        assert!(body + head <= MOST, "the {what} takes {body} bytes and {head} of headers");
    }
}
