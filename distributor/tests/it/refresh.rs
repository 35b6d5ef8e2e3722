//! What is newer, in one answer: only what its asker could have by itself, and nothing that it holds.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use reqwest::{Response, StatusCode};
use sealpost_deltas::{Limits, Progress, apply_file};
use sealpost_manifests::ids::TargetName;
use sealpost_manifests::wire::coding::{self, GZIP};
use sealpost_manifests::wire::contact::ContactAnswer;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::refresh::{
    HeldMetadata, MAX_REFRESH_BYTES, NewMetadata, RefreshAnswer, RefreshRequest,
};
use sealpost_test_support::names::acme_av;

use crate::agent::{Agent, send};
use crate::site::{Site, code, good};
use crate::vendor::start_vendor;

const PATH: &str = "/agent/v1/tuf/refresh";

/// Everything, from the first root on.
fn everything(documents: &[&str]) -> RefreshRequest {
    let held = HeldMetadata { root: 1, timestamp: None, roles: BTreeMap::new() };
    let documents = documents.iter().map(|name| TargetName::new(*name).unwrap()).collect();
    RefreshRequest { metadata: Some(held), documents, ..RefreshRequest::default() }
}

async fn asked(site: &Site, agent: &Agent, request: &RefreshRequest) -> Response {
    site.http.post(site.url(PATH)).bearer_auth(&agent.holds.token).json(request).send().await.unwrap()
}

async fn newer(site: &Site, agent: &Agent, request: &RefreshRequest) -> RefreshAnswer {
    good(asked(site, agent, request).await).await
}

fn names(answer: &RefreshAnswer) -> Vec<&str> {
    let names = answer.documents.keys().map(|file| file.split_once('.').unwrap().1);
    names.collect()
}

#[tokio::test]
async fn an_answer_holds_what_its_asker_may_have_and_leaves_out_the_rest() {
    let vendor = start_vendor(10).await;
    let first = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    site.approve(first).await;
    let _second = vendor.release("2.0", &[("engine", b"two")]);
    site.pull().await;
    let agent = Agent::licensed(&site, "pc-1").await;
    site.reserve("pc-2").await;
    let mut unlicensed = Agent::new(site.setup("pc-2").await);
    unlicensed.enroll(&site).await;
    let (package, channels) = (acme_av(), format!("{}.channels", acme_av()));
    let request = everything(&[
        "trust.json",
        &channels,
        &format!("{package}_1.0_any.manifest"),
        &format!("{package}_1.0_any.manifest.minisig"),
        &format!("{package}_1.0_any.tar.gz"),
        &format!("{package}_2.0_any.manifest"),
        "nothing.channels",
    ]);
    let bare = send(&site, PATH, &request).await;
    assert_eq!((bare.status(), code(bare).await), (StatusCode::UNAUTHORIZED, ProblemCode::Unauthenticated));
    let of = newer(&site, &agent, &request).await;
    let manifest = format!("{package}_1.0_any.manifest");
    let mut expected =
        vec![channels.clone(), manifest.clone(), format!("{manifest}.minisig"), "trust.json".into()];
    expected.sort();
    let mut found = names(&of);
    found.sort_unstable();
    assert_eq!(found, expected, "neither a payload nor what is not assigned");
    assert_eq!(names(&newer(&site, &unlicensed, &request).await), ["trust.json"], "without a lease");

    // Nothing comes again that is held.
    let NewMetadata { root, timestamp, files, .. } = of.metadata.clone().unwrap();
    let roles = files.keys().filter_map(|name| name.strip_suffix(".json")?.split_once('.'));
    let roles: BTreeMap<String, u64> =
        roles.map(|(version, role)| (role.to_owned(), version.parse().unwrap())).collect();
    assert!(roles.contains_key("snapshot") && roles.contains_key("targets"));
    assert!(roles.contains_key(package.as_str()));
    let held = of.documents.keys().map(|file| file.split_once('.').unwrap().0.parse().unwrap()).collect();
    let metadata = Some(HeldMetadata { root, timestamp: Some(timestamp), roles });
    let again = newer(&site, &agent, &RefreshRequest { metadata, held, ..request.clone() }).await;
    let nothing = NewMetadata { root, timestamp, files: BTreeMap::new(), patches: BTreeMap::new() };
    assert_eq!(again, RefreshAnswer { metadata: Some(nothing), ..RefreshAnswer::default() });
    // Each is what is published under its name.
    for (name, text) in files {
        let alone = agent.get(&site, &format!("/tuf/metadata/{name}")).await.text().await.unwrap();
        assert_eq!(alone, text, "{name}");
    }
    // A client that says a root from beyond gets no file of it, and all the others.
    let beyond = HeldMetadata { root: u64::MAX, timestamp: Some(timestamp), roles: BTreeMap::new() };
    let beyond = newer(&site, &agent, &RefreshRequest { metadata: Some(beyond), ..request }).await;
    assert!(beyond.metadata.unwrap().files.contains_key("timestamp.json"));
}

#[tokio::test]
async fn who_reads_deltas_gets_newer_metadata_as_patches_on_what_it_holds_and_anybody_else_the_files() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    for version in 1..30 {
        vendor.release(&format!("{version}.0"), &[("engine", b"one")]);
    }
    site.pull().await;
    let agent = Agent::licensed(&site, "pc-1").await;
    let channels = format!("{}.channels", acme_av());
    let request = everything(&[&channels]);
    let first = newer(&site, &agent, &request).await.metadata.unwrap();
    vendor.release("30.0", &[("engine", b"two")]);
    site.pull().await;
    let versioned = |name: &String| -> Option<(String, u64)> {
        let (version, role) = name.strip_suffix(".json")?.split_once('.')?;
        Some((role.to_owned(), version.parse().unwrap()))
    };
    let roles: BTreeMap<String, u64> = first.files.keys().filter_map(versioned).collect();
    let held = HeldMetadata { root: first.root, timestamp: Some(first.timestamp), roles: roles.clone() };
    let request = RefreshRequest { metadata: Some(held.clone()), ..request };
    let with = |held: &HeldMetadata, container| RefreshRequest {
        metadata: Some(held.clone()),
        container,
        ..request.clone()
    };
    let whole = newer(&site, &agent, &request).await.metadata.unwrap();
    assert!(whole.patches.is_empty());
    assert_eq!(newer(&site, &agent, &with(&held, Some(1))).await.metadata.unwrap(), whole);
    for _ in 0..2 {
        let patched = newer(&site, &agent, &with(&held, Some(2))).await.metadata.unwrap();
        assert_eq!((patched.root, patched.timestamp), (whole.root, whole.timestamp));
        let package = patched.patches.keys().find(|name| name.ends_with(&format!(".{}.json", acme_av())));
        assert!(package.is_some(), "{:?}", patched.patches.keys());
        for (name, patch) in &patched.patches {
            let (role, _) = versioned(name).unwrap();
            assert_eq!(patch.from, roles[&role], "{name}");
            let base = first.files[&format!("{}.{role}.json", patch.from)].as_bytes().to_vec();
            let (delta, mut file) = (BASE64.decode(patch.delta.as_bytes()).unwrap(), Vec::new());
            let (limits, go_on) = (Limits::default(), &mut |_: Progress| true);
            apply_file(&base, delta.as_slice(), &mut file, &limits, go_on).unwrap();
            assert_eq!(file, whole.files[name].as_bytes(), "{name}");
            assert!(patch.delta.len() * 2 < whole.files[name].len(), "{name}");
        }
        let mut names: Vec<&String> = patched.files.keys().chain(patched.patches.keys()).collect();
        names.sort();
        assert_eq!(names, whole.files.keys().collect::<Vec<_>>(), "each once");
    }
    // What was never there, and what is held under another root, is no base.
    let unknown = roles.keys().map(|role| (role.clone(), 7_000)).collect();
    let unknown = HeldMetadata { roles: unknown, ..held.clone() };
    let from_unknown = newer(&site, &agent, &with(&unknown, Some(2))).await.metadata.unwrap();
    assert!(
        from_unknown.patches.is_empty()
            && whole.files.keys().all(|name| from_unknown.files.contains_key(name))
    );
    let other = HeldMetadata { root: first.root + 1, ..held };
    assert!(newer(&site, &agent, &with(&other, Some(2))).await.metadata.unwrap().patches.is_empty());
}

#[tokio::test]
async fn versions_that_somebody_makes_up_take_no_patch_from_anybody() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    for version in 1..30 {
        vendor.release(&format!("{version}.0"), &[("engine", b"one")]);
    }
    site.pull().await;
    let agent = Agent::licensed(&site, "pc-1").await;
    // Enrolled, and without a lease: it never made a contact.
    site.reserve("pc-2").await;
    let mut hostile = Agent::new(site.setup("pc-2").await);
    hostile.enroll(&site).await;
    let channels = format!("{}.channels", acme_av());
    let request = everything(&[&channels]);
    let first = newer(&site, &agent, &request).await.metadata.unwrap();
    vendor.release("30.0", &[("engine", b"two")]);
    site.pull().await;
    let roles: BTreeMap<String, u64> = first
        .files
        .keys()
        .filter_map(|name| name.strip_suffix(".json")?.split_once('.'))
        .map(|(version, role)| (role.to_owned(), version.parse().unwrap()))
        .collect();
    let holding = |roles| {
        let held = HeldMetadata { root: first.root, timestamp: None, roles };
        RefreshRequest { metadata: Some(held), container: Some(2), ..request.clone() }
    };
    // Three pairs each: more than there are places.
    for made_up in 0..345 {
        let roles = roles.keys().map(|role| (role.clone(), 1_000_000 + made_up)).collect();
        let answer = newer(&site, &hostile, &holding(roles)).await.metadata.unwrap();
        assert!(answer.patches.is_empty());
    }
    assert!(!newer(&site, &agent, &holding(roles)).await.metadata.unwrap().patches.is_empty());
}

#[tokio::test]
async fn who_takes_packed_answers_gets_them_and_a_packed_contact_is_answered_as_a_plain_one() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let request = everything(&["trust.json"]);
    let plain = asked(&site, &agent, &request).await;
    assert_eq!(plain.headers().get("content-encoding"), None, "nobody asked for it");
    assert_eq!(plain.headers()["accept-encoding"], GZIP);
    let plain = plain.bytes().await.unwrap();
    let packed = site.http.post(site.url(PATH)).bearer_auth(&agent.holds.token).json(&request);
    let packed = packed.header("accept-encoding", "br, gzip").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], GZIP);
    let packed = packed.bytes().await.unwrap();
    assert!(packed.len() * 3 < plain.len() * 2, "{} of {}", packed.len(), plain.len());
    assert_eq!(coding::unpack(&packed, MAX_REFRESH_BYTES).unwrap(), plain);

    let contact = agent.next_contact();
    let body = serde_json::to_vec(&agent.contact_request(&contact)).unwrap();
    let sent = site.http.post(site.url("/agent/v1/contact")).header("content-type", "application/json");
    let sent = sent.header("content-encoding", GZIP).body(coding::pack(&body).unwrap());
    let answer: ContactAnswer = good(sent.send().await.unwrap()).await;
    agent.take_answer(&contact, &answer);
    agent.contact(&site).await;
}
