//! The admin API: who may use it, seats under load, the log.

use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use sealpost_admin_api::clients::ClientsPage;
use sealpost_admin_api::log::{LogCheck, LogEntry};
use sealpost_admin_api::status::Status;
use sealpost_distributor::home::Home;
use sealpost_distributor::http::admin_tokens::AdminTokens;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Actor;

use crate::site::{Site, code, good, problem};
use crate::vendor::start_vendor;

#[tokio::test]
async fn over_the_network_the_admin_api_wants_a_token_and_the_log_names_it() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let url = site.url("/api/v1/clients");
    let bare = site.http.get(&url).send().await.unwrap();
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(code(bare).await, ProblemCode::Unauthenticated);
    let wrong = site.http.get(&url).bearer_auth("x".repeat(43)).send().await.unwrap();
    assert_eq!(code(wrong).await, ProblemCode::Unauthenticated);

    let tokens = AdminTokens::at(&Home::at(site.home()).admin_tokens());
    let token = tokens.create("anna", jiff::Timestamp::now(), None).unwrap();
    let request = site.http.post(&url).bearer_auth(token.as_str());
    let _: serde_json::Value =
        good(request.json(&serde_json::json!({ "name": "pc-1" })).send().await.unwrap()).await;
    let entries = log(&site, "kind=seat_reserved").await;
    assert_eq!(entries.len(), 1);
    let entry: serde_json::Value = serde_json::from_str(entries[0].entry.get()).unwrap();
    assert_eq!(entry["actor"], serde_json::to_value(Actor::token("anna")).unwrap());
    tokens.revoke("anna").unwrap();
    let revoked = site.http.get(&url).bearer_auth(token.as_str()).send().await.unwrap();
    assert_eq!(code(revoked).await, ProblemCode::Unauthenticated);
}

#[tokio::test]
async fn a_token_that_ends_is_in_the_list_of_what_ends_and_refused_after_its_end() {
    let vendor = start_vendor(1).await;
    let site = Site::start(&vendor).await;
    let tokens = AdminTokens::at(&Home::at(site.home()).admin_tokens());
    let end = site.clock.now() + SignedDuration::from_hours(24 * 6);
    let ending = tokens.create("anna", end - SignedDuration::from_hours(24 * 366), Some(end)).unwrap();
    let endless = tokens.create("ci", site.clock.now(), None).unwrap();
    let ask = async |token: &str| {
        site.http.get(site.url("/api/v1/status")).bearer_auth(token).send().await.unwrap()
    };
    let status: Status = good(ask(ending.as_str()).await).await;
    let listed: Vec<_> = status.expiries.iter().filter(|ending| ending.kind == "admin_token").collect();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((listed[0].at, listed[0].level.as_deref()), (end, Some("urgent")));
    let warned = status.warnings.iter().find(|warning| warning.message.contains("admin token anna")).unwrap();
    assert_eq!((warned.code.as_str(), warned.level.as_str()), ("ends", "urgent"));
    assert!(warned.message.contains("`distributor token revoke anna`"), "{warned:?}");
    let metrics = site.http.get(site.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("sealpost_expiry_seconds{kind=\"admin_token\",what=\"first\"}"), "{metrics}");

    site.clock.forward(SignedDuration::from_hours(24 * 6));
    let refused = problem(ask(ending.as_str()).await).await;
    assert_eq!(refused.code, ProblemCode::TokenExpired);
    assert!(refused.hint.contains("`distributor token new anna`"), "{refused}");
    let status: Status = good(ask(endless.as_str()).await).await;
    assert!(status.warnings.iter().any(|warning| warning.code == "ended"));
}

#[tokio::test]
async fn a_stranger_who_guesses_waits_and_locks_out_no_admin_behind_the_same_address() {
    let vendor = start_vendor(1).await;
    let site = Site::start(&vendor).await;
    let url = site.url("/api/v1/clients");
    let tokens = AdminTokens::at(&Home::at(site.home()).admin_tokens());
    let token = tokens.create("anna", jiff::Timestamp::now(), None).unwrap();
    let mut last = StatusCode::OK;
    for _ in 0..50 {
        last = site.http.get(&url).bearer_auth("x".repeat(43)).send().await.unwrap().status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let _: ClientsPage = good(site.http.get(&url).bearer_auth(token.as_str()).send().await.unwrap()).await;
}

#[tokio::test]
async fn a_hundred_reservations_at_once_for_ten_seats_take_exactly_ten() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let attempts = (0..100).map(|number| {
        let body = serde_json::json!({ "name": format!("pc-{number}") });
        site.admin(Method::POST, "/clients", Some(body))
    });
    let answers = futures_util::future::join_all(attempts).await;
    let mut taken = 0;
    for answer in answers {
        if answer.status().is_success() {
            taken += 1;
        } else {
            assert_eq!(code(answer).await, ProblemCode::NoSeatFree);
        }
    }
    assert_eq!(taken, 10);
    let site = site.restart().await;
    let view: ClientsPage = site.get("/clients").await;
    assert_eq!(view.clients.len(), 10);
    let status: Status = site.get("/status").await;
    assert_eq!((status.licenses[0].licenses, status.licenses[0].used), (10, 10));
}

#[tokio::test]
async fn clients_are_listed_in_pages_that_leave_nobody_out() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    for number in 0..7 {
        site.reserve(&format!("pc-{number}")).await;
    }
    let mut names = Vec::new();
    let mut path = "/clients?limit=3".to_owned();
    loop {
        let page: ClientsPage = site.get(&path).await;
        assert!(page.clients.len() <= 3);
        names.extend(page.clients.iter().map(|view| view.name.to_string()));
        let Some(next) = page.next else { break };
        path = format!("/clients?limit=3&after={next}");
    }
    assert_eq!(names, ["pc-0", "pc-1", "pc-2", "pc-3", "pc-4", "pc-5", "pc-6"]);
    let absent = site.admin(Method::GET, "/clients/nobody", None).await;
    assert_eq!(absent.status(), StatusCode::NOT_FOUND);
    let bad = site.admin(Method::GET, "/clients?limit=x", None).await;
    assert_eq!(code(bad).await, ProblemCode::BadRequest);
}

#[tokio::test]
async fn the_log_can_be_followed_filtered_and_verified() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("pc-1").await;
    let mut stream = site.admin(Method::GET, "/log?follow=true&client=pc-1", None).await;
    let mut text = String::new();
    while !text.contains("seat_reserved") {
        text.push_str(&String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap()));
    }
    site.setup("pc-1").await;
    while !text.contains("setup_issued") {
        text.push_str(&String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap()));
    }
    assert!(!text.contains("grant_accepted"));
    let entries = log(&site, "").await;
    assert!(entries.windows(2).all(|pair| pair[0].sequence + 1 == pair[1].sequence));
    let check: LogCheck = site.post("/log/verify", &serde_json::json!({})).await;
    assert!(check.damage.is_none());
    assert_eq!(check.entries, entries.len() as u64);
    drop(stream);
}

async fn log(site: &Site, query: &str) -> Vec<LogEntry> {
    let text = site.admin(Method::GET, &format!("/log?{query}"), None).await.text().await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn metrics_are_open_to_this_computer_and_not_to_what_a_proxy_on_it_passes_on() {
    let vendor = start_vendor(1).await;
    let site = Site::start(&vendor).await;
    let ask = || site.http.get(site.url("/metrics"));
    assert_eq!(ask().send().await.unwrap().status(), StatusCode::OK);
    let tokens = AdminTokens::at(&Home::at(site.home()).admin_tokens());
    let token = tokens.create("anna", jiff::Timestamp::now(), None).unwrap();
    for (name, value) in [
        ("forwarded", "for=192.0.2.7"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "server"),
        ("x-real-ip", "192.0.2.7"),
        ("via", "1.1 proxy"),
    ] {
        let refused = ask().header(name, value).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{name}");
        let given = ask().header(name, value).bearer_auth(token.as_str()).send().await.unwrap();
        assert_eq!(given.status(), StatusCode::OK, "{name}");
    }
}
