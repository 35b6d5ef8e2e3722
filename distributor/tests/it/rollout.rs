//! From an approval to a computer: review, wake, assignment, targets in part, deltas.

use jiff::SignedDuration;
use reqwest::{Response, StatusCode, header};
use sealpost_admin_api::clients::Client;
use sealpost_admin_api::updates::Review;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::AttachmentKind;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::commands::releases::WithdrawRelease;
use sealpost_site::rules::release::ReleaseState;

use crate::agent::Agent;
use crate::site::{Site, code};
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
