//! Ways by deltas: a client is told of the best one to what it is to run, may fetch each delta of it, and none that leads
//! through what it must not get.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use reqwest::StatusCode;
use sealpost_admin_api::folder::{SyncRequest, SyncSummary};
use sealpost_distributor::blobs::FolderBlobs;
use sealpost_distributor::home::Home;
use sealpost_distributor::ports::blobs::BlobStore;
use sealpost_distributor::ports::staging::NOTHING;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::Blob;
use sealpost_manifests::trust::{KeyStatus, KeyUse, TrustedKey};
use sealpost_manifests::wire::by_file::{DELTAS_FOLDER, RELEASES_FOLDER, delta_file};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::refresh::{
    DELTA_CONTAINER, DeltaWay, HeldMetadata, Hop, RefreshAnswer, RefreshRequest, Route,
};
use sealpost_test_support::names::{package, release_id};
use sealpost_test_support::release::Draft;
use sealpost_test_support::vendor_server::ServedVendor;

use crate::agent::{Agent, send};
use crate::site::{Site, code, good};
use crate::vendor::start_vendor;

const PATH: &str = "/agent/v1/tuf/refresh";
/// How a container of the newest version begins.
const START: &[u8] = b"\xd5S\x22";

/// Stores what begins as a delta, as the server does after it made one.
fn store(home: &Path, base: Sha256Digest, target: Sha256Digest, length: usize) -> Sha256Digest {
    let home = Home::at(home);
    let mut bytes = [START, base.as_bytes(), target.as_bytes()].concat();
    bytes.resize(length, b'x');
    let blob = Blob { sha256: Sha256Digest::of(&bytes), length: length as u64 };
    FolderBlobs::open(&home.blobs()).unwrap().put(&mut bytes.as_slice(), blob).unwrap();
    let note = home.staging().join(format!("deltas/{base}-{target}.json"));
    std::fs::write(note, serde_json::to_vec(&blob).unwrap()).unwrap();
    blob.sha256
}

/// Three releases, one after the other approved, and the third assigned to a computer.
struct Three {
    site: Site,
    vendor: ServedVendor,
    agent: Agent,
    releases: [Sha256Digest; 3],
}

impl Three {
    async fn start() -> Self {
        let vendor = start_vendor(10).await;
        let site = Site::licensed(&vendor).await;
        let mut releases = [NOTHING; 3];
        for (place, version) in releases.iter_mut().zip(["1.0", "2.0", "3.0"]) {
            *place = vendor.release(version, &[("engine", version.as_bytes())]);
            site.pull().await;
            site.approve(*place).await;
        }
        let [one, two, three] = releases;
        let site = site
            .between(async |home| {
                store(home, one, two, 200);
                store(home, two, three, 300);
                store(home, one, three, 900);
                store(home, NOTHING, three, 5_000);
            })
            .await;
        let agent = Agent::licensed(&site, "pc-1").await;
        Self { site, vendor, agent, releases }
    }

    async fn asked(&self, request: &RefreshRequest) -> RefreshAnswer {
        let request = self.site.http.post(self.site.url(PATH)).json(request);
        good(request.bearer_auth(&self.agent.holds.token).send().await.unwrap()).await
    }

    async fn ways(&self, from: Option<Sha256Digest>, to: Sha256Digest) -> Vec<DeltaWay> {
        self.asked(&routes(vec![Route { from, to }])).await.ways
    }

    async fn fetched(&self, path: &str) -> (StatusCode, Vec<u8>) {
        let answer = self.agent.get(&self.site, path).await;
        (answer.status(), answer.bytes().await.unwrap().to_vec())
    }

    async fn refused(&self, path: &str) -> ProblemCode {
        code(self.agent.get(&self.site, path).await).await
    }
}

fn routes(routes: Vec<Route>) -> RefreshRequest {
    RefreshRequest { routes, container: Some(DELTA_CONTAINER), ..RefreshRequest::default() }
}

fn way(from: Sha256Digest, hops: &[(Sha256Digest, u64)]) -> DeltaWay {
    let hops = hops.iter().map(|(to, bytes)| Hop { to: *to, bytes: *bytes }).collect();
    DeltaWay { from: Some(from), hops }
}

fn packed(to: Sha256Digest) -> DeltaWay {
    DeltaWay { from: None, hops: vec![Hop { to, bytes: 5_000 }] }
}

#[tokio::test]
async fn a_client_is_told_of_the_smallest_way_and_fetches_each_delta_of_it() {
    let three = Three::start().await;
    let [one, two, last] = three.releases;
    let ways = three.ways(Some(one), last).await;
    assert_eq!(ways, [way(one, &[(two, 200), (last, 300)]), packed(last)]);
    assert_eq!(three.ways(Some(two), last).await, [way(two, &[(last, 300)]), packed(last)]);
    assert_eq!(three.ways(None, last).await, [packed(last)]);
    assert_eq!(three.ways(Some(last), last).await, [packed(last)], "no way from itself");
    assert_eq!(three.ways(Some(NOTHING), last).await, [packed(last)], "nothing is no release");
    assert_eq!(three.ways(Some(Sha256Digest::of(b"?")), last).await, [packed(last)]);
    // What is not assigned, and what nobody knows, has no way.
    assert_eq!(three.ways(Some(one), two).await, []);
    assert_eq!(three.ways(Some(one), Sha256Digest::of(b"?")).await, []);
    // The same twice is told once.
    let twice = vec![Route { from: Some(one), to: last }; 2];
    assert_eq!(three.asked(&routes(twice)).await.ways.len(), 2);

    for (path, length) in [
        (format!("/deltas/{one}/{two}?for={last}"), 200),
        (format!("/deltas/{two}/{last}?for={last}"), 300),
        (format!("/deltas/{one}/{last}"), 900),
        (format!("/deltas/nothing/{last}"), 5_000),
    ] {
        let (status, bytes) = three.fetched(&path).await;
        assert_eq!((status, bytes.len()), (StatusCode::OK, length), "{path}");
        assert!(bytes.starts_with(START));
    }
    let part = three.agent.read(&three.site, &format!("/deltas/{one}/{two}?for={last}"));
    let part = part.header("range", "bytes=3-6").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().await.unwrap()[..], one.as_bytes()[..4]);
}

#[tokio::test]
async fn who_says_nothing_of_containers_or_an_old_one_gets_an_answer_as_before() {
    let three = Three::start().await;
    let [one, _, last] = three.releases;
    let held = HeldMetadata { root: 1, timestamp: None, roles: BTreeMap::new() };
    let plain = RefreshRequest { metadata: Some(held), ..RefreshRequest::default() };
    let before = three.asked(&plain).await;
    assert!(!before.metadata.as_ref().unwrap().files.is_empty());
    for container in [None, Some(0), Some(1)] {
        let routes = vec![Route { from: Some(one), to: last }];
        let request = RefreshRequest { routes, container, ..plain.clone() };
        assert_eq!(three.asked(&request).await, before, "{container:?}");
    }
}

#[tokio::test]
async fn no_way_leads_through_what_the_vendor_withdrew_or_a_person_halted() {
    let three = Three::start().await;
    let [one, two, last] = three.releases;
    three.vendor.withdraw("2.0", "it loses data");
    three.site.pull().await;
    assert_eq!(three.ways(Some(one), last).await, [way(one, &[(last, 900)]), packed(last)]);
    // Who runs it is led away from it.
    assert_eq!(three.ways(Some(two), last).await, [way(two, &[(last, 300)]), packed(last)]);
    let refused = three.refused(&format!("/deltas/{one}/{two}?for={last}")).await;
    assert_eq!(refused, ProblemCode::NotAssigned);
    assert_eq!(three.fetched(&format!("/deltas/{two}/{last}?for={last}")).await.0, StatusCode::OK);

    let three = Three::start().await;
    let [one, two, last] = three.releases;
    let fourth = three.vendor.release("4.0", &[("engine", b"4.0")]);
    three.site.pull().await;
    three.site.approve(fourth).await;
    let halt = serde_json::json!({ "manifest": fourth, "reason": "it hangs" });
    let _: serde_json::Value = three.site.post("/updates/halt", &halt).await;
    let staged = three.vendor.release("5.0", &[("engine", b"5.0")]);
    three.site.pull().await;
    let Three { site, vendor, agent, releases } = three;
    let site = site
        .between(async |home| {
            for between in [fourth, staged] {
                store(home, one, between, 110);
                store(home, between, last, 120);
            }
        })
        .await;
    let three = Three { site, vendor, agent, releases };
    let expected = [way(one, &[(two, 200), (last, 300)]), packed(last)];
    assert_eq!(three.ways(Some(one), last).await, expected, "neither halted nor waiting for a person");
    for between in [fourth, staged] {
        let refused = three.refused(&format!("/deltas/{one}/{between}?for={last}")).await;
        assert_eq!(refused, ProblemCode::NotAssigned);
    }
}

// The computers follow `stable`.
#[tokio::test]
async fn no_way_leads_through_what_another_channel_gets_or_a_newer_release_and_nothing_whole_is_passed() {
    let three = Three::start().await;
    let [one, two, last] = three.releases;
    // Approved for `beta` alone: one of before the last release cannot be published any more, so the others follow it.
    let beta = three.vendor.publish(&three.vendor.draft("4.0", &[("engine", b"4.0")]), &["beta"]);
    three.site.pull().await;
    three.site.approve(beta).await;
    let end = three.vendor.publish(&three.vendor.draft("5.0", &[("engine", b"5.0")]), &["stable"]);
    three.site.pull().await;
    three.site.approve(end).await;
    let newer = three.vendor.publish(&three.vendor.draft("6.0", &[("engine", b"6.0")]), &["beta"]);
    three.site.pull().await;
    three.site.approve(newer).await;
    let Three { site, vendor, .. } = three;
    let site = site
        .between(async |home| {
            for between in [beta, newer] {
                store(home, NOTHING, between, 6_000);
                store(home, one, between, 110);
                store(home, between, end, 120);
            }
            store(home, NOTHING, two, 6_000);
            store(home, two, end, 800);
            store(home, NOTHING, end, 5_000);
        })
        .await;
    let agent = Agent::licensed(&site, "pc-2").await;
    let three = Three { site, vendor, agent, releases: [one, two, last] };
    assert_eq!(three.ways(Some(one), end).await, [way(one, &[(two, 200), (end, 800)]), packed(end)]);
    assert_eq!(three.fetched(&format!("/deltas/{one}/{two}?for={end}")).await.0, StatusCode::OK);
    for path in [
        // Not for its channel.
        format!("/deltas/{one}/{beta}?for={end}"),
        format!("/deltas/{one}/{newer}?for={end}"),
        // Whole, however nothing is spelled, also of what it may pass.
        format!("/deltas/nothing/{beta}?for={end}"),
        format!("/deltas/nothing/{newer}?for={end}"),
        format!("/deltas/nothing/{two}?for={end}"),
        format!("/deltas/{NOTHING}/{two}?for={end}"),
    ] {
        assert_eq!(three.refused(&path).await, ProblemCode::NotAssigned, "{path}");
    }
    // What it may have, it has whole.
    assert_eq!(three.fetched(&format!("/deltas/nothing/{end}?for={end}")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn no_way_leads_through_another_package_and_no_delta_is_told_that_is_gone() {
    let three = Three::start().await;
    let [one, two, last] = three.releases;
    let name = package("acme-db");
    three.vendor.change_trust(|trust| {
        trust.keys.push(TrustedKey {
            key_use: KeyUse::Release,
            package: Some(name.clone()),
            key: three.vendor.release_key.public().to_base64(),
            status: KeyStatus::Active,
            digests: BTreeSet::new(),
        });
    });
    let other = Draft::of_files(&[("engine", b"other")], release_id(&name, "1.0"), 1);
    let other = three.vendor.publish_in_another_package(&other);
    three.site.pull().await;
    three.site.approve(other).await;
    let Three { site, vendor, agent, releases } = three;
    let (mut chain, mut direct) = (NOTHING, NOTHING);
    let site = site
        .between(async |home| {
            store(home, one, other, 110);
            store(home, other, last, 120);
            chain = store(home, one, two, 250);
            direct = store(home, one, last, 950);
        })
        .await;
    let mut three = Three { site, vendor, agent, releases };
    assert_eq!(three.ways(Some(one), last).await[0], way(one, &[(two, 250), (last, 300)]));
    three.agent.contact(&three.site).await;
    let refused = three.refused(&format!("/deltas/{one}/{other}?for={last}")).await;
    assert_eq!(refused, ProblemCode::NotAssigned);

    let blobs = FolderBlobs::open(&Home::at(three.site.home()).blobs()).unwrap();
    blobs.remove(&chain).unwrap();
    assert_eq!(three.ways(Some(one), last).await[0], way(one, &[(last, 950)]));
    blobs.remove(&direct).unwrap();
    assert_eq!(three.ways(Some(one), last).await, [packed(last)]);
}

#[tokio::test]
async fn a_folder_gets_the_deltas_between_releases_and_no_packed_release_beside_its_payload() {
    let three = Three::start().await;
    let [one, two, last] = three.releases;
    let share = tempfile::tempdir().unwrap();
    let order = SyncRequest { path: Some(share.path().to_owned()) };
    let done: SyncSummary = three.site.post("/folder/sync", &order).await;
    let deltas = share.path().join(RELEASES_FOLDER).join(DELTAS_FOLDER);
    let lies = |base| deltas.join(delta_file(&base, &last)).exists();
    assert_eq!([lies(one), lies(two), lies(NOTHING)], [true, true, false], "{done:?}");
}

#[tokio::test]
async fn a_delta_on_the_way_is_refused_to_whoever_may_not_have_its_end_and_garbage_is_not_there() {
    let three = Three::start().await;
    let [one, two, last] = three.releases;
    let unknown = Sha256Digest::of(b"?");
    for path in [
        // As before: not assigned.
        format!("/deltas/{one}/{two}"),
        // The end is not assigned, whatever the target is.
        format!("/deltas/{one}/{two}?for={two}"),
        format!("/deltas/{one}/{last}?for={two}"),
        format!("/deltas/{one}/{two}?for={unknown}"),
        // The end is assigned, and nobody knows the target.
        format!("/deltas/{one}/{unknown}?for={last}"),
        format!("/deltas/nothing/{NOTHING}?for={last}"),
    ] {
        assert_eq!(three.refused(&path).await, ProblemCode::NotAssigned, "{path}");
    }
    let upper = last.to_string().to_uppercase();
    for query in ["for=", "for=x", "for=nothing", &format!("for={upper}"), &format!("for={last}&for={last}")]
    {
        let path = format!("/deltas/{one}/{two}?{query}");
        assert_eq!(three.refused(&path).await, ProblemCode::NotFound, "{path}");
    }
    let without = three.site.http.get(three.site.url(&format!("/agent/v1/deltas/{one}/{two}?for={last}")));
    assert_eq!(code(without.send().await.unwrap()).await, ProblemCode::Unauthenticated);
    let bare = send(&three.site, PATH, &routes(vec![Route { from: Some(one), to: last }])).await;
    assert_eq!(code(bare).await, ProblemCode::Unauthenticated);
}

#[tokio::test]
async fn a_delta_that_was_damaged_on_the_disk_is_cut_before_its_end_and_is_gone_then() {
    let three = Three::start().await;
    let last = three.releases[2];
    let path = format!("/deltas/nothing/{last}");
    let (_, whole) = three.fetched(&path).await;
    let blobs = FolderBlobs::open(&Home::at(three.site.home()).blobs()).unwrap();
    let place = blobs.place(&Sha256Digest::of(&whole)).unwrap();
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::remove_file(&place).unwrap();
    std::fs::write(&place, &damaged).unwrap();
    // The connection ends before or after the head: nobody takes what came for whole. Until the server has noted it, it may begin
    // again.
    let mut is_gone = false;
    for _ in 0..1_000 {
        match three.agent.read(&three.site, &path).send().await {
            Ok(answer) if answer.status() == StatusCode::NOT_FOUND => {
                is_gone = true;
                break;
            }
            Ok(answer) => assert!(answer.bytes().await.is_err(), "nobody takes it for whole"),
            Err(_) => {}
        }
        tokio::task::yield_now().await;
    }
    assert!(is_gone);
    // One of another length is not even begun.
    let (_, two, _) = (three.releases[0], three.releases[1], last);
    let delta = format!("/deltas/{two}/{last}");
    let (_, whole) = three.fetched(&delta).await;
    let place = blobs.place(&Sha256Digest::of(&whole)).unwrap();
    std::fs::remove_file(&place).unwrap();
    std::fs::write(&place, &whole[1..]).unwrap();
    assert_eq!(three.refused(&delta).await, ProblemCode::NotFound);
}
