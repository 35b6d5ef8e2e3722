//! What is wrong is said alike by `status`, by the check for monitors, by the metrics and by the list of computers.

use std::time::Duration;

use jiff::SignedDuration;
use sealpost_admin_api::clients::ClientsPage;
use sealpost_admin_api::status::{Status, WarningView};
use sealpost_distributor::home::Home;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};
use sealpost_test_support::ports::free_port;

use crate::agent::{Agent, send};
use crate::presence::settled;
use crate::program::run;
use crate::site::{Site, code};
use crate::vendor::start_vendor;

/// What a command ends with and prints, asked of the server in this process.
async fn says(site: &Site, arguments: &'static [&'static str]) -> (i32, String) {
    let home = site.home();
    let output = tokio::task::spawn_blocking(move || run(&home, arguments)).await.unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

async fn problem(site: &Site, wanted: &str) -> Option<WarningView> {
    let status: Status = site.get("/status").await;
    status.warnings.into_iter().find(|warning| warning.code == wanted)
}

async fn metrics(site: &Site) -> String {
    site.http.get(site.url("/metrics")).send().await.unwrap().text().await.unwrap()
}

async fn listed(site: &Site, query: &str) -> Vec<String> {
    let page: ClientsPage = site.get(&format!("/clients?{query}")).await;
    page.clients.iter().map(|client| client.name.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_outdated_and_failing_computers_are_said_alike_everywhere() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    let mut fails = Agent::licensed(&site, "fails").await;
    let mut full = Agent::licensed(&site, "full").await;
    let _off = Agent::licensed(&site, "off").await;
    let stranger = Agent::new(sealpost_manifests::setup::SetupFile {
        computer_name: Some(ComputerName::new("stranger").unwrap()),
        ..site.setup("off").await
    });
    let refused = send(&site, "/agent/v1/enroll", &stranger.enroll_request(&stranger.enrollment())).await;
    assert!(!refused.status().is_success());
    site.pull().await;
    site.approve(manifest).await;
    let row = site.updates().await.updates.remove(0);
    for (agent, step, outcome, reason) in [
        (&mut fails, InstallStep::RollBack, Outcome::Ok, ReasonCode::HookFailed),
        (&mut full, InstallStep::Download, Outcome::Failed, ReasonCode::DiskFull),
    ] {
        agent.contact(&site).await;
        let mut contact = agent.next_contact();
        let (release, at, detail) = (row.release.clone(), site.clock.now(), String::new());
        contact.reports = vec![Report {
            id: 1,
            at,
            release,
            manifest,
            rollout: 1,
            attempt: 1,
            step,
            outcome,
            reason,
            detail,
            ring: None,
            way: None,
            bytes: None,
            duration_ms: None,
        }];
        agent.send_contact(&site, &contact).await;
    }
    let failing = site.clock.now();
    site.clock.forward(SignedDuration::from_hours(11 * 24));
    fails.contact(&site).await;

    let gave_up = problem(&site, "installs_failed").await.unwrap();
    assert_eq!((gave_up.count, gave_up.unit.as_deref()), (Some(1), Some("computers")));
    assert_eq!(
        (gave_up.names, gave_up.next.unwrap()),
        (vec!["fails".to_owned()], "distributor clients show fails".to_owned())
    );
    assert!(gave_up.since.is_some_and(|since| since <= failing));
    let again = problem(&site, "installs_failing").await.unwrap();
    assert!(
        again.message.starts_with("1 computer cannot install acme-av 1.0") && again.names == ["full"],
        "{again:?}"
    );
    let offline = problem(&site, "clients_offline").await.unwrap();
    assert_eq!((offline.count, offline.level.as_str()), (Some(2), "warning"));
    assert_eq!(offline.names, ["full", "off"]);
    assert!(offline.since.is_some_and(|since| since <= failing), "{offline:?}");
    let outdated = problem(&site, "clients_outdated").await.unwrap();
    assert_eq!(outdated.names, ["fails", "full"], "off was told nothing");
    assert_eq!(listed(&site, "failing=true").await, ["fails", "full"]);
    assert_eq!(listed(&site, "offline=true").await, offline.names);
    assert_eq!(listed(&site, "outdated=true").await, outdated.names);
    assert_eq!(listed(&site, "outdated=true&offline=true").await, ["full"]);
    assert_eq!(listed(&site, "offline=true&limit=1&after=full").await, ["off"]);

    let text = metrics(&site).await;
    for line in ["clients_offline\",level=\"warning\"} 2", "installs_failed\",level=\"warning\"} 1"] {
        assert!(text.contains(&format!("sealpost_problems{{code=\"{line}\n")), "{text}");
    }
    assert!(!text.contains("fails") && !text.contains("stranger"), "a monitor learns no name: {text}");

    let (code, said) = says(&site, &["status", "--check"]).await;
    let line = "warning: 2 computers were not heard for more than 10 days (full, off): ";
    assert!(code == 2 && said.lines().any(|said| said.starts_with(line)), "{code}: {said}");
    assert!(
        said.starts_with("urgent: the vendor's metadata of timestamp ended") && !said.contains("notice"),
        "{said}"
    );
    let (_, said) = says(&site, &["status"]).await;
    assert!(said.contains("next: distributor clients show fails"), "{said}");
    let (code, said) = says(&site, &["clients", "list", "--offline"]).await;
    assert!(code == 0 && said.contains("\noff ") && !said.contains("\nfails "), "{said}");
    let (_, said) = says(&site, &["clients", "list", "--failing", "--offline", "--json"]).await;
    let page: ClientsPage = serde_json::from_str(&said).unwrap();
    assert_eq!(page.clients.len(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_ends_with_0_1_2_or_3_and_the_most_urgent_is_said_first() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    site.pull().await;
    let (code, said) = says(&site, &["status", "--check"]).await;
    assert_eq!((code, said.as_str()), (0, "ok: nothing is wrong\n"));
    site.clock.forward(SignedDuration::from_hours(84));
    let (code, said) = says(&site, &["status", "--check", "--json"]).await;
    let checked: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &checked["level"]), (1, &"warning".into()), "{said}");
    assert_eq!(checked["problems"][0]["code"], "metadata_stale", "{said}");
    let clone = agent.next_contact();
    agent.contact(&site).await;
    send(&site, "/agent/v1/contact", &agent.contact_request(&clone)).await;
    let (code, said) = says(&site, &["status", "--check"]).await;
    let lines: Vec<&str> = said.lines().collect();
    assert!(code == 2 && lines.len() > 1, "{code}: {said}");
    assert!(
        said.contains("urgent: 1 computer is refused because another one uses the same identity"),
        "{said}"
    );
    assert!(lines.iter().any(|line| line.starts_with("warning: ")), "{said}");
    assert!(lines.is_sorted_by_key(|line| line.starts_with("warning: ")), "{said}");
    let (code, said) = says(&site, &["status", "--check", "--json"]).await;
    let checked: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &checked["level"], &checked["problems"][0]["level"]),
        (2, &"urgent".into(), &"urgent".into())
    );
    let site = site.between(async |home| {
        let home = home.to_owned();
        let asked = move |arguments: &'static [&'static str]| run(&home, arguments);
        let output = tokio::task::spawn_blocking(move || {
            (asked(&["status", "--check"]), asked(&["status", "--check", "--json"]), asked(&["status"]))
        });
        let (plain, json, shown) = output.await.unwrap();
        let said = String::from_utf8(plain.stdout).unwrap();
        assert!(
            plain.status.code() == Some(3) && said.starts_with("unknown: cannot reach the server"),
            "{said}"
        );
        let checked: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!((json.status.code(), &checked["level"]), (Some(3), &"unknown".into()));
        assert_eq!(shown.status.code(), Some(1), "without a check a failure is a failure");
    });
    drop(site.await);
}

#[tokio::test]
async fn that_nobody_comes_after_the_port_was_changed_is_urgent_until_one_comes() {
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    site.reload_with(&format!("listen = \"127.0.0.1:{}\"\n", free_port())).await;
    assert!(problem(&site, "nobody_contacts").await.is_none());
    site.clock.forward(SignedDuration::from_mins(80));
    let said = problem(&site, "nobody_contacts").await.unwrap();
    assert!(said.level == "urgent" && said.next.as_deref() == Some("distributor address show"), "{said:?}");
    assert!(
        said.message.starts_with("none of 1 enrolled computer has contacted the server since its address")
    );
    agent.contact(&site).await;
    assert!(problem(&site, "nobody_contacts").await.is_none());
}

#[tokio::test]
async fn who_is_refused_after_a_restore_and_that_refusals_rise_is_said_of_the_log() {
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    let name = ComputerName::new("pc-1").unwrap();
    let ledger = site.server.ledger();
    // In another minute than its last contact.
    site.clock.forward(SignedDuration::from_mins(2));
    ledger.count_refusal_of(site.clock.now(), ProblemCode::Displaced, "192.0.2.1", Some(&name));
    for _ in 0..150 {
        ledger.count_refusal(site.clock.now(), ProblemCode::Unauthenticated, "192.0.2.7");
    }
    site.clock.forward(SignedDuration::from_mins(2));
    ledger.count_refusal(site.clock.now(), ProblemCode::NoLease, "192.0.2.1");
    let refused = in_time(async || problem(&site, "clients_refused").await).await;
    assert!(refused.message.contains("(pc-1; displaced)") && refused.count == Some(1), "{refused:?}");
    let rise = problem(&site, "refusals_rise").await.unwrap();
    assert_eq!((rise.count, rise.unit.as_deref()), (Some(152), Some("requests")));
    agent.contact(&site).await;
    assert!(problem(&site, "clients_refused").await.is_none(), "it was answered since");
}

#[tokio::test]
async fn a_certificate_past_its_end_is_urgent_with_when_it_ended() {
    let vendor = start_vendor(3).await;
    let (site, _agent) = settled(&vendor).await;
    let status: Status = site.get("/status").await;
    let certificate = status.expiries.iter().find(|ending| ending.kind == "certificate").unwrap();
    site.clock.forward(certificate.at.duration_since(site.clock.now()) + SignedDuration::from_secs(9));
    let status: Status = site.get("/status").await;
    let mut ended = status.warnings.iter().filter(|warning| warning.code == "ended");
    let said = ended.find(|warning| warning.since == Some(certificate.at)).unwrap();
    assert!(said.level == "urgent" && said.message.contains("certificate"), "{said:?}");
    assert_eq!(status.warnings[0].level, "urgent");
}

#[tokio::test]
async fn a_damaged_document_that_somebody_reads_is_said_until_it_is_fetched_anew() {
    let vendor = start_vendor(3).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    assert!(problem(&site, "files_damaged").await.is_none());
    damage(&site, manifest);
    let shown = site.admin(reqwest::Method::GET, &format!("/updates/{manifest}"), None).await;
    assert_ne!(code_of(shown).await, None, "the review needs the document");
    let said = problem(&site, "files_damaged").await.unwrap();
    assert_eq!((said.count, said.unit.as_deref()), (Some(1), Some("files")));
    assert!(said.since.is_some() && said.next.as_deref() == Some("distributor pull"), "{said:?}");
    site.pull().await;
    assert!(problem(&site, "files_damaged").await.is_none());
}

async fn code_of(response: reqwest::Response) -> Option<ProblemCode> {
    if response.status().is_success() { None } else { Some(code(response).await) }
}

/// Flips a bit of a stored file.
fn damage(site: &Site, sha256: Sha256Digest) {
    let name = sha256.to_string();
    let path = Home::at(site.home()).blobs().join(&name[..2]).join(&name);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
}

/// Asks until there is an answer, for a minute at the most.
pub(crate) async fn in_time<T>(ask: impl AsyncFn() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked).await.unwrap()
}
