//! The admin API: who may use it, seats under load, the log.

use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use sealpost_admin_api::clients::ClientsPage;
use sealpost_admin_api::log::{LogCheck, LogEntry};
use sealpost_admin_api::status::Status;
use sealpost_admin_api::tokens::{MadeTokenView, MakeTokenRequest, RevokedTokensView};
use sealpost_manifests::log::ExportReader;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::{Actor, ServerOperation};
use sealpost_site::commands::tokens::OperateServer;
use sealpost_site::rules::account::Account;

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

    let made = make_token(&site, "anna", None).await;
    let token = &made.token;
    let request = site.http.post(&url).bearer_auth(token.as_str());
    let _: serde_json::Value =
        good(request.json(&serde_json::json!({ "name": "pc-1" })).send().await.unwrap()).await;
    let entries = log(&site, "kind=seat_reserved").await;
    assert_eq!(entries.len(), 1);
    let entry: serde_json::Value = serde_json::from_str(entries[0].entry.get()).unwrap();
    let anna = Actor::Admin { account: Account::token("anna", made.id.clone()) };
    assert_eq!(entry["actor"], serde_json::to_value(anna).unwrap());
    assert!(entries[0].summary.starts_with(&format!("token anna [{}]: ", made.id)), "{}", entries[0].summary);
    let _: RevokedTokensView = site.post("/tokens/revoke", &serde_json::json!({ "name": "anna" })).await;
    let revoked = site.http.get(&url).bearer_auth(token.as_str()).send().await.unwrap();
    assert_eq!(code(revoked).await, ProblemCode::Unauthenticated);
    let of_tokens = "kind=admin_token_made,admin_token_used,admin_token_revoked";
    let kinds: Vec<String> = log(&site, of_tokens).await.into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["admin_token_made", "admin_token_used", "admin_token_revoked"]);
}

#[tokio::test]
async fn a_token_named_as_an_account_is_another_admin_and_the_first_use_is_told_once_across_restarts() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let entries = log(&site, "kind=grant_accepted").await;
    let entry: serde_json::Value = serde_json::from_str(entries[0].entry.get()).unwrap();
    let account = entry["actor"]["account"]["id"].as_str().unwrap().to_owned();
    let made = make_token(&site, &account, None).await;
    let site = site.restart().await;
    for name in ["pc-1", "pc-2"] {
        let body = serde_json::json!({ "name": name });
        let request = site.http.post(site.url("/api/v1/clients")).bearer_auth(made.token.as_str());
        let _: serde_json::Value = good(request.json(&body).send().await.unwrap()).await;
    }
    let site = site.restart().await;
    let asked = site.http.get(site.url("/api/v1/clients")).bearer_auth(made.token.as_str());
    let _: ClientsPage = good(asked.send().await.unwrap()).await;
    assert_eq!(log(&site, "kind=admin_token_used").await.len(), 1);
    let both = site.admin(Method::GET, &format!("/log?by={account}"), None).await;
    let both = problem(both).await;
    assert!(both.hint.contains(&format!("socket:{account} or token:{account}")), "{both}");
    for by in [format!("token:{account}"), format!("token:{}", made.id), made.id.to_string()] {
        let by_token = log(&site, &format!("by={by}&kind=seat_reserved")).await;
        assert_eq!(by_token.len(), 2, "{by}");
    }
    assert!(log(&site, &format!("by=socket:{account}&kind=seat_reserved")).await.is_empty());
    assert_eq!(log(&site, &format!("by=socket:{account}&kind=admin_token_made")).await.len(), 1);
    // A token makes no tokens.
    let request = site.http.post(site.url("/api/v1/tokens")).bearer_auth(made.token.as_str());
    let refused = request.json(&serde_json::json!({ "name": "other" })).send().await.unwrap();
    assert_eq!(code(refused).await, ProblemCode::Forbidden);
}

#[tokio::test]
async fn what_an_admin_does_at_the_server_is_an_entry_before_it_is_done() {
    let vendor = start_vendor(1).await;
    let site = Site::start(&vendor).await;
    for path in
        ["/certificate/renew", "/certificate/switch", "/addresses/finish", "/storage/clean", "/backup"]
    {
        // Some of them are refused here, and that they were asked for is told all the same.
        let _ = site.admin(Method::POST, path, Some(serde_json::json!({}))).await;
    }
    let entries = log(&site, "kind=server_operated").await;
    let operations: Vec<String> = entries
        .iter()
        .map(|entry| {
            let entry: serde_json::Value = serde_json::from_str(entry.entry.get()).unwrap();
            entry["change"]["operation"].as_str().unwrap().to_owned()
        })
        .collect();
    let all = ["renew_certificate", "switch_certificate", "finish_addresses", "clean_storage", "make_backup"];
    assert_eq!(operations, all);
}

#[tokio::test]
async fn an_export_of_many_entries_ends_where_its_head_does() {
    let vendor = start_vendor(1).await;
    let site = Site::start(&vendor).await;
    for _ in 0..1_100 {
        let operate =
            OperateServer { actor: Actor::socket("alice"), operation: ServerOperation::CleanStorage };
        site.server.ledger().execute(site.clock.now(), operate).await.unwrap();
    }
    let size = site.server.ledger().head().size;
    let text = site.admin(Method::GET, "/log/export", None).await.text().await.unwrap();
    let mut reader = ExportReader::open(std::io::Cursor::new(text), None).unwrap();
    let mut entries = 0;
    while reader.next_entry().unwrap().is_some() {
        entries += 1;
    }
    assert!(size > 1_000 && entries >= size, "{entries} of {size}");
}

#[tokio::test]
async fn a_log_that_is_followed_breaks_off_when_its_token_is_revoked_or_has_ended() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let (eve, max) = (make_token(&site, "eve", None).await, make_token(&site, "max", Some(1)).await);
    let follow = async |token: &MadeTokenView| {
        let url = site.url("/api/v1/log?follow=true&last=1");
        let mut answer = site.http.get(url).bearer_auth(token.token.as_str()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.chunk().await.unwrap().is_some());
        answer
    };
    // What is left of an answer, and that it does not end like a whole one.
    let rest = async |mut answer: reqwest::Response| {
        let mut text = Vec::new();
        loop {
            match answer.chunk().await {
                Ok(Some(part)) => text.extend_from_slice(&part),
                Ok(None) => panic!("it ended as if it were whole"),
                Err(_broken) => return String::from_utf8(text).unwrap(),
            }
        }
    };
    let (of_eve, mut of_max) = (follow(&eve).await, follow(&max).await);
    let _: RevokedTokensView = site.post("/tokens/revoke", &serde_json::json!({ "name": "eve" })).await;
    site.reserve("secret-name-1").await;
    let seen = rest(of_eve).await;
    assert!(!seen.contains("admin_token_revoked") && !seen.contains("secret-name-1"), "{seen}");
    // His token has not ended yet: what is told in its time arrives, before the clock goes on.
    let mut seen = String::new();
    while !seen.contains("secret-name-1") {
        let part = of_max.chunk().await.unwrap().expect("it ended");
        seen.push_str(&String::from_utf8_lossy(&part));
    }
    site.clock.forward(SignedDuration::from_hours(25));
    site.reserve("secret-name-2").await;
    let seen = rest(of_max).await;
    assert!(!seen.contains("secret-name-2"), "{seen}");
}

async fn make_token(site: &Site, name: &str, days: Option<u32>) -> MadeTokenView {
    site.post("/tokens", &MakeTokenRequest { name: name.to_owned(), days, account: None }).await
}

#[tokio::test]
async fn a_token_that_ends_is_in_the_list_of_what_ends_and_refused_after_its_end() {
    let vendor = start_vendor(1).await;
    let site = Site::start(&vendor).await;
    let ending = make_token(&site, "anna", Some(366)).await;
    let endless = make_token(&site, "ci", None).await;
    let end = ending.ends_at.unwrap();
    site.clock.forward(SignedDuration::from_hours(24 * 360));
    let (ending, endless) = (ending.token, endless.token);
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
    let token = make_token(&site, "anna", None).await.token;
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

pub(crate) async fn log(site: &Site, query: &str) -> Vec<LogEntry> {
    let text = site.admin(Method::GET, &format!("/log?{query}"), None).await.text().await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn metrics_are_open_to_this_computer_and_not_to_what_a_proxy_on_it_passes_on() {
    let vendor = start_vendor(1).await;
    let site = Site::start(&vendor).await;
    let ask = || site.http.get(site.url("/metrics"));
    assert_eq!(ask().send().await.unwrap().status(), StatusCode::OK);
    let token = make_token(&site, "anna", None).await.token;
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

#[tokio::test]
async fn a_stranger_who_is_refused_at_the_metrics_is_counted_and_logged_as_one_at_the_admin_api() {
    let vendor = start_vendor(1).await;
    let site = Site::start(&vendor).await;
    let passed_on = site.http.get(site.url("/metrics")).header("via", "1.1 proxy");
    assert_eq!(passed_on.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let metrics = site.http.get(site.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("sealpost_refusals_total{code=\"unauthenticated\"} 1\n"), "{metrics}");
    // What is counted is written at the latest when the server ends.
    let site = site.restart().await;
    let told: Vec<String> = log(&site, "kind=refused").await.into_iter().map(|entry| entry.summary).collect();
    assert!(told.len() == 1 && told[0].contains("unauthenticated"), "{told:?}");
}
