//! The admission layer, tried from outside: every agent route, for everybody who may not have it.

use jiff::SignedDuration;
use reqwest::StatusCode;
use sealpost_distributor::app::{Server, StartOptions};
use sealpost_distributor::home::Home;
use sealpost_distributor::http::secret::ServerSecret;
use sealpost_distributor::http::token::{AccessTokens, TokenOrigin};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::queries::ClientByName;
use sealpost_site::rows::ClientRow;
use sealpost_test_support::names::acme_av;

use crate::agent::Agent;
use crate::site::{Site, code};
use crate::vendor::start_vendor;

/// Every `GET` route of the agent API, with the paths of one approved and one unapproved release.
struct Paths {
    early: Vec<String>,
    leased: Vec<String>,
    unassigned: Vec<String>,
}

fn paths(site: &Site, approved: Sha256Digest, other: Sha256Digest) -> Paths {
    let targets = targets(site);
    let find = |suffix: &str| {
        let (sha256, name) = targets.iter().find(|(_, name)| name.ends_with(suffix)).unwrap();
        format!("/tuf/targets/{sha256}.{name}")
    };
    Paths {
        early: vec![
            "/tuf/metadata/timestamp.json".into(),
            "/tuf/metadata/1.root.json".into(),
            find("trust.json"),
        ],
        leased: vec![
            find(&format!("{}.channels", acme_av())),
            find("_1.0_any.manifest"),
            find("_1.0_any.tar.gz"),
        ],
        unassigned: vec![
            find("_2.0_any.manifest"),
            find("_2.0_any.tar.gz"),
            format!("/deltas/{approved}/{other}"),
        ],
    }
}

/// (digest, name) of every target, as the mirrored metadata lists them.
fn targets(site: &Site) -> Vec<(String, String)> {
    fn walk(folder: &std::path::Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
                continue;
            }
            let Ok(text) = std::fs::read(&path) else { continue };
            let Ok(json) = serde_json::from_slice::<serde_json::Value>(&text) else { continue };
            let Some(targets) = json["signed"]["targets"].as_object() else { continue };
            for (name, target) in targets {
                let sha256 = target["hashes"]["sha256"].as_str().unwrap().to_owned();
                found.push((sha256, name.clone()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Home::at(site.home()).mirror(), &mut found);
    // The newest list comes last in any order of files, and older ones list nothing else of these names.
    found.sort();
    found.dedup();
    found
}

async fn client(site: &Site, name: &str) -> ClientRow {
    let name = ComputerName::new(name).unwrap();
    site.server.ledger().query(ClientByName { name }).await.unwrap().unwrap()
}

#[tokio::test]
async fn every_agent_route_refuses_whoever_may_not_have_it_and_nothing_changes() {
    let vendor = start_vendor(10).await;
    let first = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    site.approve(first).await;
    let second = vendor.release("2.0", &[("engine", b"two")]);
    site.pull().await;
    let agent = Agent::licensed(&site, "pc-1").await;
    site.reserve("pc-2").await;
    let mut unlicensed = Agent::new(site.setup("pc-2").await);
    unlicensed.enroll(&site).await;
    let paths = paths(&site, first, second);
    let head = site.server.ledger().head();
    let before = client(&site, "pc-1").await;

    let home = Home::at(site.home());
    let tokens = AccessTokens::new(&ServerSecret::new(home.read_secret().unwrap()));
    let client_id = agent.client_id.clone().unwrap();
    let foreign = AccessTokens::new(&ServerSecret::new([1; 32]))
        .issue(&client_id, TokenOrigin::First, site.clock.now())
        .unwrap();
    let gone = tokens.issue(&ClientId::from_random([7; 16]), TokenOrigin::First, site.clock.now()).unwrap();
    let unlicensed_token =
        tokens.issue(&unlicensed.client_id.clone().unwrap(), TokenOrigin::First, site.clock.now()).unwrap();
    let everything: Vec<&String> = paths.early.iter().chain(&paths.leased).chain(&paths.unassigned).collect();
    let wake = "/wake".to_owned();

    for path in everything.iter().copied().chain([&wake]) {
        let url = site.url(&format!("/agent/v1{path}"));
        let bare = site.http.get(&url).send().await.unwrap();
        assert_eq!(bare.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(code(bare).await, ProblemCode::Unauthenticated, "{path}");
        for (token, expected) in [
            ("nonsense", ProblemCode::Unauthenticated),
            (foreign.as_str(), ProblemCode::Unauthenticated),
            (gone.as_str(), ProblemCode::NotReserved),
        ] {
            let refused = site.http.get(&url).bearer_auth(token).send().await.unwrap();
            assert_eq!(code(refused).await, expected, "{path}");
        }
    }
    for path in paths.leased.iter().chain(&paths.unassigned).chain([&wake]) {
        let url = site.url(&format!("/agent/v1{path}"));
        let refused = site.http.get(&url).bearer_auth(&unlicensed_token).send().await.unwrap();
        assert_eq!(code(refused).await, ProblemCode::NoLease, "{path}");
    }
    for path in &paths.early {
        let url = site.url(&format!("/agent/v1{path}"));
        let allowed = site.http.get(&url).bearer_auth(&unlicensed.holds.token).send().await.unwrap();
        assert_eq!(allowed.status(), StatusCode::OK, "{path}");
    }
    for path in paths.early.iter().chain(&paths.leased) {
        assert_eq!(agent.get(&site, path).await.status(), StatusCode::OK, "{path}");
    }
    for path in &paths.unassigned {
        assert_eq!(code(agent.get(&site, path).await).await, ProblemCode::NotAssigned, "{path}");
    }
    assert_eq!(site.server.ledger().head(), head);
    assert_eq!(client(&site, "pc-1").await, before);

    let metrics = site.http.get(site.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(!metrics.contains("sealpost_refusals_total{code=\"no_lease\"} 0"), "{metrics}");
    assert!(!metrics.contains("pc-1"), "{metrics}");
}

#[tokio::test]
async fn a_lease_that_has_ended_and_a_token_that_has_ended_are_told_apart() {
    let vendor = start_vendor(10).await;
    let release = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    site.approve(release).await;
    let agent = Agent::licensed(&site, "pc-1").await;
    let paths = paths_of_one(&site);
    site.clock.forward(SignedDuration::from_mins(15));
    for path in &paths {
        assert_eq!(code(agent.get(&site, path).await).await, ProblemCode::TokenExpired, "{path}");
    }
    site.clock.forward(SignedDuration::from_hours(31 * 24));
    let tokens = AccessTokens::new(&ServerSecret::new(Home::at(site.home()).read_secret().unwrap()));
    let token =
        tokens.issue(&agent.client_id.clone().unwrap(), TokenOrigin::First, site.clock.now()).unwrap();
    for path in &paths {
        let url = site.url(&format!("/agent/v1{path}"));
        let refused = site.http.get(&url).bearer_auth(&token).send().await.unwrap();
        assert_eq!(code(refused).await, ProblemCode::NoLease, "{path}");
    }
    let url = site.url("/agent/v1/tuf/metadata/timestamp.json");
    assert_eq!(site.http.get(&url).bearer_auth(&token).send().await.unwrap().status(), StatusCode::OK);
}

fn paths_of_one(site: &Site) -> Vec<String> {
    let targets = targets(site);
    let of_release = targets.iter().filter(|(_, name)| name.contains("_1.0_"));
    of_release
        .map(|(sha256, name)| format!("/tuf/targets/{sha256}.{name}"))
        .chain(["/wake".to_owned()])
        .collect()
}

#[tokio::test]
async fn unknown_paths_methods_and_bodies_are_problems_too() {
    let vendor = start_vendor(1).await;
    let site = Site::start(&vendor).await;
    let get = |path: &str| site.http.get(site.url(path));
    let answer = get("/nowhere").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(code(answer).await, ProblemCode::NotFound);
    let answer = get("/agent/v1/enroll").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(code(answer).await, ProblemCode::BadRequest);
    let answer = site.http.post(site.url("/healthz")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(code(answer).await, ProblemCode::BadRequest);
    let answer = site.http.post(site.url("/agent/v1/enroll")).body("{").send().await.unwrap();
    assert_eq!(code(answer).await, ProblemCode::BadRequest);
    let large = vec![b' '; 257 * 1024];
    let answer = site.http.post(site.url("/agent/v1/contact")).body(large).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(code(answer).await, ProblemCode::TooLarge);
    assert_eq!(get("/healthz").send().await.unwrap().text().await.unwrap(), "alive\n");
    assert_eq!(get("/readyz").send().await.unwrap().text().await.unwrap(), "ready\n");
}

#[tokio::test]
async fn names_that_lead_out_of_the_mirror_name_nothing() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    let agent = Agent::licensed(&site, "pc-1").await;
    for name in [
        "..%2f..%2fdistributor.toml",
        "..%2F..%2Fadmin-tokens.json",
        "..%2froots%2f1.root.json",
        "%2e%2e%2f%2e%2e%2fadmin-tokens.json",
        "%252e%252e%252f1.root.json",
        ".unfinished.json",
        "a%00.root.json",
        "%ff.root.json",
        "%2fetc%2fpasswd",
    ] {
        for path in [format!("/tuf/metadata/{name}"), format!("/tuf/targets/{name}")] {
            let answer = agent.get(&site, &path).await;
            let status = answer.status();
            assert!(status == StatusCode::NOT_FOUND || status == StatusCode::BAD_REQUEST, "{path}: {status}");
        }
    }
}

#[tokio::test]
async fn a_server_does_not_start_with_the_key_of_another() {
    let vendor = start_vendor(1).await;
    let (one, other) = (Site::start(&vendor).await, Site::start(&vendor).await);
    one.server.stop().await.unwrap();
    let (home, foreign) = (one.folder.path().join("home"), Home::at(other.home()));
    std::fs::copy(foreign.site_key(), Home::at(&home).site_key()).unwrap();
    let error = Server::start(&home, StartOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("not the one that the ledger was made for"), "{error}");
}
