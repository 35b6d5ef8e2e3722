//! What people do when a release turned out bad, over HTTP and on the command line; and how they find it in the log.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use jiff::SignedDuration;
use reqwest::header;
use sealpost_admin_api::clients::{Client, ClientsPage, Stopped};
use sealpost_admin_api::status::Status;
use sealpost_admin_api::storage::StorageView;
use sealpost_admin_api::updates::{MissingPayload, Review, Update};
use sealpost_manifests::server_list::ServerList;
use sealpost_manifests::setup::ServerEntry;
use sealpost_manifests::wire::contact::{Drift, DriftKind, InstalledPackage};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};
use sealpost_site::changes::Actor;
use sealpost_site::commands::servers::AnnounceServers;
use sealpost_site::rules::release::ReleaseState;
use sealpost_test_support::license::serial;
use sealpost_test_support::names::{acme_av, channel};

use crate::agent::{Agent, send};
use crate::program::{distributor, json, mistyped, refused, run, serve, stdout, stop};
use crate::site::{Site, code};
use crate::vendor::start_vendor;

#[tokio::test]
async fn a_halt_wakes_the_connected_computer_and_takes_the_release_out_of_its_assignment() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    site.pull().await;
    site.approve(manifest).await;
    let answer = agent.contact(&site).await;
    assert_eq!(agent.assignment(&answer).packages[0].manifest, manifest);
    let mut stream = agent.get(&site, "/wake").await;
    assert_eq!(stream.headers()[header::CONTENT_TYPE], "text/event-stream");
    let halt = serde_json::json!({ "manifest": manifest, "reason": "it crashes" });
    let halted: Update = site.post("/updates/halt", &halt).await;
    assert_eq!((halted.state, halted.reason.as_deref()), (ReleaseState::Halted, Some("it crashes")));
    let mut text = String::new();
    while !text.contains("event: contact") {
        text.push_str(&String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap()));
    }
    let answer = agent.contact(&site).await;
    assert!(agent.assignment(&answer).packages.is_empty());
    let unsaid = serde_json::json!({ "manifest": manifest });
    let problem = site.post_refused("/updates/retry", &unsaid).await;
    assert_eq!(problem.code, ProblemCode::BadRequest);
    assert!(problem.message.contains("without a reason"), "{problem}");
    let retry = serde_json::json!({ "manifest": manifest, "comment": "mended" });
    assert_eq!(site.post_refused("/updates/retry", &retry).await.code, ProblemCode::WrongState);
    let problem = site.post_refused("/updates/reconsider", &unsaid).await;
    assert_eq!(problem.code, ProblemCode::BadRequest);
    assert!(problem.message.contains("without a reason"), "{problem}");
    let staged: Update = site.post("/updates/reconsider", &retry).await;
    assert_eq!((staged.state, staged.attempt), (ReleaseState::Staged, 2));
}

#[tokio::test]
async fn who_approves_a_reconsidered_release_is_told_that_its_payload_was_removed_and_comes_back() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    let reject = serde_json::json!({ "manifest": manifest, "reason": "not now" });
    let _: Update = site.post("/updates/reject", &reject).await;
    let cleaned: StorageView = site.post("/storage/clean", &serde_json::json!({})).await;
    assert!(cleaned.removed_bytes.unwrap() > 0);
    let this = serde_json::json!({ "manifest": manifest, "comment": "now it fits" });
    let _: Update = site.post("/updates/reconsider", &this).await;
    let approved: Update = site.post("/updates/approve", &this).await;
    assert_eq!(approved.payload_missing, Some(MissingPayload::FetchedByNextPull));
    site.pull().await;
    let again: Update = site.post("/updates/approve", &this).await;
    assert_eq!(again.payload_missing, None);
}

#[tokio::test]
async fn a_channel_that_the_vendor_removed_is_dropped_and_who_follows_it_is_warned_of() {
    let vendor = start_vendor(10).await;
    vendor.publish(&vendor.draft("1.0", &[("engine", b"one")]), &["beta", "stable"]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    let _: Client = site.post("/clients", &serde_json::json!({ "name": "pc-1", "channel": "beta" })).await;
    let warned = async |site: &Site| {
        let status: Status = site.get("/status").await;
        status.warnings.into_iter().find(|warning| warning.message.contains("channel beta"))
    };
    assert_eq!(warned(&site).await, None);
    vendor.remove_channel("beta");
    site.pull().await;
    assert_eq!(site.updates().await.updates[0].channels, [channel("stable")]);
    let site = site.restart().await;
    let warning = warned(&site).await.unwrap();
    let said = warning.message;
    assert!(said.starts_with("1 computer follows the channel beta") && said.contains("(pc-1)"), "{said}");
    assert_eq!(warning.code, "channel_left", "no release wants anything");
    vendor.point("beta", "1.0");
    site.pull().await;
    assert_eq!(warned(&site).await, None);
}

#[tokio::test]
async fn the_signed_ways_to_the_server_go_out_with_a_contact_and_name_this_server() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let setup = {
        site.reserve("pc-1").await;
        site.setup("pc-1").await
    };
    let known = setup.servers[0].server.clone();
    let mut agent = Agent::new(setup);
    agent.enroll(&site).await;
    assert!(agent.contact(&site).await.server_list.is_none());
    let ways = vec![ServerEntry { port: 443, ..known.clone() }, known.clone()];
    let announce = AnnounceServers { actor: Actor::Server, ways: ways.clone() };
    site.server.ledger().execute(site.clock.now(), announce).await.unwrap();
    let list = agent.contact(&site).await.server_list.unwrap();
    let list = list.verify::<ServerList>(std::slice::from_ref(&known.site_key)).unwrap().into_inner();
    assert_eq!((list.problem(&known), list.servers), (None, ways));
}

#[tokio::test]
async fn a_refused_contact_is_found_in_the_log_by_the_computer_s_name() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let agent = Agent::licensed(&site, "pc-1").await;
    let mut forked = agent.next_contact();
    forked.previous = None;
    let request = agent.contact_request(&forked);
    let refused = code(send(&site, "/agent/v1/contact", &request).await).await;
    assert_ne!(refused, ProblemCode::BadSignature);
    // Counted refusals are written once a minute, and when the server stops.
    let site = site.restart().await;
    let log =
        site.admin(reqwest::Method::GET, "/log?client=pc-1&kind=refused", None).await.text().await.unwrap();
    assert!(log.contains("127.0.0.1 about pc-1"), "{log}");
}

#[tokio::test]
async fn changed_files_are_shown_with_the_computer_and_warned_of() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let mut contact = agent.next_contact();
    contact.drift = vec![Drift { package: acme_av(), kind: DriftKind::Changed }];
    agent.send_contact(&site, &contact).await;
    let client: Client = site.get("/clients/pc-1").await;
    assert_eq!(client.drift[0].kind, DriftKind::Changed);
    assert!(client.explanations[0].sentence.contains("repair"), "{:?}", client.explanations);
    let status: Status = site.get("/status").await;
    let warned = status
        .warnings
        .iter()
        .any(|warning| warning.message.contains("1 computer says") && warning.message.contains("pc-1"));
    assert!(warned, "{:?}", status.warnings);
    let drifted = async || {
        let text = site.http.get(site.url("/metrics")).send().await.unwrap().text().await.unwrap();
        text.lines().find_map(|line| line.strip_prefix("sealpost_drifted_clients ")).unwrap().to_owned()
    };
    assert_eq!(drifted().await, "1");
    agent.contact(&site).await;
    let client: Client = site.get("/clients/pc-1").await;
    assert!(client.drift.is_empty());
    assert_eq!(drifted().await, "0");
}

#[tokio::test]
async fn a_product_that_could_not_be_started_is_an_urgent_warning_and_a_metric_of_its_own_until_it_starts() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let gauge = async |name: &str| {
        let text = site.http.get(site.url("/metrics")).send().await.unwrap().text().await.unwrap();
        let name = format!("{name} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().to_owned()
    };
    let mut contact = agent.next_contact();
    contact.drift = vec![Drift { package: acme_av(), kind: DriftKind::NotStarted }];
    agent.send_contact(&site, &contact).await;
    let client: Client = site.get("/clients/pc-1").await;
    assert_eq!(client.drift[0].kind, DriftKind::NotStarted);
    let status: Status = site.get("/status").await;
    let warning = status.warnings.iter().find(|warning| warning.code == "products_stopped").unwrap();
    assert_eq!(warning.level, "urgent");
    assert!(warning.message.contains("does NOT run") && warning.message.contains("pc-1"), "{warning:?}");
    assert!(!status.warnings.iter().any(|warning| warning.code == "clients_drifted"));
    assert_eq!(gauge("sealpost_stopped_products").await, "1");
    assert_eq!(gauge("sealpost_drifted_clients").await, "0", "no file was changed");
    agent.contact(&site).await;
    assert_eq!(gauge("sealpost_stopped_products").await, "0");
    let status: Status = site.get("/status").await;
    assert!(!status.warnings.iter().any(|warning| warning.code == "products_stopped"));
}

#[tokio::test]
async fn a_lower_version_under_a_higher_counter_is_called_a_downgrade() {
    let vendor = start_vendor(10).await;
    let new = vendor.release("2.0", &[("engine", b"two")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    site.approve(new).await;
    let old = vendor.release("1.9", &[("engine", b"one")]);
    site.pull().await;
    let review: Review = site.get(&format!("/updates/{old}")).await;
    let down = review.downgrade.unwrap();
    assert_eq!((down.from.as_str(), down.computers), ("2.0", 0));
    let review: Review = site.get(&format!("/updates/{new}")).await;
    assert!(review.downgrade.is_none(), "1.9 waits for a review and is approved for nobody");
}

/// What a command ends with, asked of the server in this process.
async fn ends_with(site: &Site, arguments: &'static [&'static str]) -> (i32, String) {
    let home = site.home();
    let output = tokio::task::spawn_blocking(move || run(&home, arguments)).await.unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_well_when_all_run_the_release_and_with_1_when_one_failed() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    let mut good = Agent::licensed(&site, "pc-1").await;
    let mut bad = Agent::licensed(&site, "pc-2").await;
    site.pull().await;
    site.clock.forward(SignedDuration::from_hours(1));
    site.approve(manifest).await;
    let row = site.updates().await.updates.remove(0);
    let mut contact = good.next_contact();
    let runs =
        InstalledPackage { release: row.release.clone(), kind: row.kind, counter: row.counter, manifest };
    contact.packages = vec![runs.clone()];
    good.send_contact(&site, &contact).await;
    let (code, said) = ends_with(&site, &["updates", "watch", "acme-av:1.0", "--timeout", "0"]).await;
    assert!(code == 1 && said.contains("on 1 of 2 computers") && said.contains("the time is over"), "{said}");
    let silent = "1 enrolled computer not in contact since the approval (the longest since 20";
    assert!(said.contains(silent), "a computer that is switched off cannot know of it: {said}");

    let report = |attempt| Report {
        id: u64::from(attempt),
        at: site.clock.now(),
        release: row.release.clone(),
        manifest,
        rollout: 1,
        attempt,
        step: InstallStep::RollBack,
        outcome: Outcome::Ok,
        reason: ReasonCode::HookFailed,
        detail: String::new(),
        ring: None,
        way: None,
        bytes: None,
        duration_ms: None,
    };
    let mut contact = bad.next_contact();
    contact.reports = vec![report(1)];
    bad.send_contact(&site, &contact).await;
    let (code, said) = ends_with(&site, &["updates", "watch", "acme-av:1.0"]).await;
    assert!(code == 1 && said.contains("1 failed") && !said.contains("not in contact"), "{said}");
    let status: Status = site.get("/status").await;
    let gave_up = status.warnings.iter().find(|warning| warning.code == "installs_failed").unwrap();
    assert!(
        gave_up.message.contains("1 computer has given up acme-av 1.0")
            && gave_up.message.contains("`distributor updates retry acme-av:1.0 --why TEXT`"),
        "{}",
        gave_up.message
    );
    // Who lets computers try again says why, on the command line and over the API, and the log keeps it.
    let home = site.home();
    let unsaid =
        tokio::task::spawn_blocking(move || run(&home, &["updates", "retry", "acme-av:1.0"])).await.unwrap();
    let said = String::from_utf8(unsaid.stderr).unwrap();
    assert_eq!(unsaid.status.code(), Some(2), "{said}");
    assert!(said.contains("--why <TEXT>"), "{said}");
    let home = site.home();
    let empty = ["updates", "retry", "acme-av:1.0", "--why", " "];
    let said = tokio::task::spawn_blocking(move || refused(&home, &empty)).await.unwrap();
    assert!(said.contains("without a reason"), "{said}");
    let (code, said) =
        ends_with(&site, &["updates", "retry", "acme-av:1.0", "--why", "the disk was full"]).await;
    assert_eq!(code, 0, "{said}");
    let home = site.home();
    let entry = ["log", "--kind", "release_retried", "--json"];
    let entry = tokio::task::spawn_blocking(move || json(&home, &entry)).await.unwrap();
    assert_eq!(entry["entry"]["change"]["comment"], "the disk was full", "{entry}");
    let answer = bad.contact(&site).await;
    assert_eq!(bad.assignment(&answer).packages[0].attempt, 2);
    let mut again = bad.next_contact();
    again.packages = vec![runs];
    again.reports = vec![Report { step: InstallStep::Keep, ..report(2) }];
    bad.send_contact(&site, &again).await;
    let (code, said) = ends_with(&site, &["updates", "watch", "acme-av:1.0"]).await;
    assert!(code == 0 && said.contains("on 2 of 2 computers"), "{said}");
    let status: Status = site.get("/status").await;
    assert!(status.warnings.iter().all(|warning| warning.code != "installs_failed"));
    // A name is found in whatever spelling.
    let home = site.home();
    let arguments = ["updates", "retry", "acme-av:1.0", "--client", "PC-2.", "--why", "once more"];
    let output = tokio::task::spawn_blocking(move || run(&home, &arguments)).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "it runs it: {said}");
    assert!(said.contains("pc-2 runs acme-av 1.0") && said.contains("already: nothing to retry"), "{said}");
    // Who has a seat and never enrolled, or follows a channel without an approval, is counted apart and not waited for.
    site.reserve("pc-9").await;
    let (code, said) = ends_with(&site, &["updates", "watch", "acme-av:1.0"]).await;
    assert!(code == 0 && said.contains("on 2 of 2 computers"), "{said}");
    assert!(said.contains("1 computer has a seat and never enrolled: not waited for"), "{said}");

    // Steps without a hook are many and say nothing: they are shown on request.
    let mut contact = bad.next_contact();
    contact.reports = vec![Report { step: InstallStep::Stop, reason: ReasonCode::NoHook, ..report(3) }];
    bad.send_contact(&site, &contact).await;
    let shown = async |more: &'static [&'static str]| {
        let home = site.home();
        let arguments = [&["log"], more].concat();
        tokio::task::spawn_blocking(move || stdout(&home, &arguments)).await.unwrap()
    };
    assert!(!shown(&[]).await.contains("[no_hook]") && shown(&[]).await.contains("[hook_failed]"));
    for all in [&["--all"][..], &["--json"], &["--kind", "step_reported"], &["--client", "PC-2.", "--all"]] {
        assert!(shown(all).await.contains("no_hook"), "{all:?}");
    }
    assert_eq!(shown(&["-n", "4"]).await.lines().count(), 4, "what is left out is not counted either");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_says_who_goes_back_and_names_who_has_nothing_to_go_back_to() {
    let vendor = start_vendor(10).await;
    let old = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    let mut agents = [Agent::licensed(&site, "pc-1").await, Agent::licensed(&site, "pc-2").await];
    site.pull().await;
    site.approve(old).await;
    let bad = vendor.release("1.1", &[("engine", b"two")]);
    site.pull().await;
    site.approve(bad).await;
    let rows = site.updates().await.updates;
    let says = |manifest| {
        let row: &Update = rows.iter().find(|row| row.manifest == manifest).unwrap();
        InstalledPackage { release: row.release.clone(), kind: row.kind, counter: row.counter, manifest }
    };
    for (agent, runs) in [(0, says(old)), (0, says(bad)), (1, says(bad))] {
        let agent = &mut agents[agent];
        let mut contact = agent.next_contact();
        contact.packages = vec![runs];
        agent.send_contact(&site, &contact).await;
    }
    let halt = |more: &[&'static str]| {
        let mut arguments = vec!["updates", "halt", "acme-av:1.1", "--reason", "it crashes"];
        arguments.extend(more);
        let home = site.home();
        async move { tokio::task::spawn_blocking(move || run(&home, &arguments)).await.unwrap() }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let kept = halt(&[]).await;
    let said = text(&kept.stdout);
    assert_eq!(kept.status.code(), Some(0), "{said}");
    assert!(said.contains("1 computer that runs it keeps it: pc-1"), "{said}");
    let told = halt(&["--rollback"]).await;
    let said = text(&told.stdout);
    assert_eq!(told.status.code(), Some(1), "it was asked for what cannot be: {said}");
    assert!(said.contains("1 computer that runs it is told to go back: pc-1"), "{said}");
    let stays = "1 computer that runs it has nothing to go back to and keeps it until a newer release is approved: pc-2";
    assert!(said.contains(stays), "{said}");
    let again = halt(&["--rollback"]).await;
    assert!(text(&again.stdout).contains("is halted already; nothing changed"), "{}", text(&again.stdout));
    let listed = halt(&["--rollback", "--json"]).await;
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!((&listed["state"], &listed["rollback"]), (&"halted".into(), &true.into()));
    let leaving = serde_json::json!({
        "can_go_back": { "count": 1, "names": ["pc-1"] },
        "updating": { "count": 0, "names": [] },
        "cannot_go_back": { "count": 1, "names": ["pc-2"] },
    });
    assert_eq!(listed["leaving"], leaving);
    let page: ClientsPage = site.get("/clients").await;
    let client: Client = site.get("/clients/pc-1").await;
    for client in page.clients.iter().chain([&client]) {
        assert_eq!(client.stopped, [Stopped { package: acme_av(), state: ReleaseState::Halted }]);
    }
    let home = site.home();
    let listed =
        tokio::task::spawn_blocking(move || stdout(&home, &["clients", "list", "--runs"])).await.unwrap();
    assert!(listed.contains("acme-av 1.1 (halted)"), "{listed}");
    let review: Review = site.get(&format!("/updates/{bad}")).await;
    assert_eq!(serde_json::to_value(review.leaving).unwrap(), leaving);
    let status: Status = site.get("/status").await;
    let words = "1 is told to go back; 1 has nothing to go back to and runs on (pc-2): approve a newer release for it";
    assert!(status.warnings.iter().any(|warning| warning.message.ends_with(words)), "{:?}", status.warnings);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_command_line_what_cannot_be_is_said_and_what_was_decided_can_be_undone() {
    let vendor = start_vendor(3).await;
    vendor.release("2.0", &[("engine", b"two")]);
    let (url, root) = (vendor.url(), vendor.root_file());
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let server = {
        let (home, root) = (home.clone(), root.clone());
        let start = move || {
            let root = root.to_str().unwrap();
            stdout(&home, &["init", "--vendor-url", &url, "--root", root, "--address", "127.0.0.1"]);
            let server = serve(&home);
            stdout(&home, &["register", serial().as_ref()]);
            stdout(&home, &["pull"]);
            stdout(&home, &["updates", "approve", "acme-av:2.0", "--yes"]);
            server
        };
        tokio::task::spawn_blocking(start).await.unwrap()
    };
    vendor.publish(&vendor.draft("1.9", &[("engine", b"one")]), &["beta", "stable"]);
    let walk = move || {
        names_and_channels(&home);
        decisions(&home);
        the_log(&home);
        stop(server);
    };
    tokio::task::spawn_blocking(walk).await.unwrap();
}

fn names_and_channels(home: &Path) {
    stdout(home, &["pull"]);
    stdout(home, &["clients", "reserve", "pc-1"]);
    assert!(stdout(home, &["clients", "reserve", "PC-1."]).contains("pc-1 holds a seat"));
    assert_eq!(json(home, &["status", "--json"])["licenses"][0]["used"], 1, "one seat for all spellings");
    let elsewhere = refused(home, &["clients", "reserve", "pc-1", "--channel", "beta"]);
    assert!(elsewhere.contains("`distributor clients channel pc-1 beta`"), "{elsewhere}");
    let typo = refused(home, &["clients", "reserve", "pc-2", "--channel", "bata"]);
    assert!(typo.contains("beta, stable"), "{typo}");
    let mixed = refused(home, &["clients", "reserve", "p\u{441}-3"]);
    assert!(mixed.contains("--mixed-scripts"), "{mixed}");
    stdout(home, &["clients", "reserve", "p\u{441}-3", "--mixed-scripts"]);
    assert!(stdout(home, &["clients", "channel", "pc-1", "beta"]).contains("pc-1 follows the channel beta"));
    assert!(refused(home, &["clients", "channel", "pc-1", "bata"]).contains("beta, stable"));
    assert!(refused(home, &["clients", "channel", "pc-9", "beta"]).contains("clients reserve"));
    stdout(home, &["clients", "channel", "pc-1", "stable"]);
    // The file of an earlier code is known as one of the same computer, however its name was typed.
    let out = home.with_file_name("pc-1.setup.json");
    let out = out.to_str().unwrap();
    for spelling in ["pc-1", "PC-1.", "pc-1"] {
        stdout(home, &["clients", "setup", spelling, "--out", out]);
    }
}

fn decisions(home: &Path) {
    let shown = stdout(home, &["updates", "show", "acme-av:1.9"]);
    assert!(shown.contains("DOWNGRADE") && shown.contains("goes to    2 computers"), "{shown}");
    let for_beta = ["updates", "approve", "acme-av:1.9", "--yes", "--channel", "beta"];
    stdout(home, &for_beta);
    let status = stdout(home, &["status"]);
    assert!(status.contains("approved for beta, and the vendor points stable to it too"), "{status}");
    let listed = stdout(home, &["updates", "list"]);
    assert!(listed.contains("beta (waits: stable)"), "{listed}");
    // What the vendor offers where now is another question than for whom it was approved.
    assert!(listed.contains("OFFERED IN"), "{listed}");
    let offered = json(home, &["updates", "list", "--json"]);
    for row in offered["updates"].as_array().unwrap() {
        let is_offered = !row["offered"].as_array().unwrap().is_empty();
        assert_eq!(is_offered, row["release"]["version"] == "1.9", "{row}");
    }
    assert!(!listed.contains('\u{1b}'), "no colors where no terminal is");
    stdout(home, &["updates", "approve", "acme-av:1.9", "--yes"]);
    let about = stdout(home, &["log", "--release", "acme-av:1.9", "--kind", "release_approved"]);
    assert_eq!(about.lines().count(), 2, "{about}");
    let of_package = stdout(home, &["log", "--release", "acme-av", "--kind", "release_approved"]);
    assert!(of_package.lines().count() > 2, "{of_package}");
    let unknown = refused(home, &["log", "--release", "acme-av:7"]);
    assert!(
        unknown.contains("nothing is known of a release") && unknown.contains("updates list"),
        "{unknown}"
    );
    let entry = json(home, &["log", "--kind", "release_approved", "-n", "1", "--json"]);
    let admin = entry["entry"]["actor"]["account"]["id"].as_str().unwrap().to_owned();
    let by = stdout(home, &["log", "--by", &admin, "--release", "acme-av:1.9", "--kind", "release_approved"]);
    assert_eq!(by, about);
    assert!(!stdout(home, &["log", "--by", &admin]).contains("staged"), "the server did that by itself");
    assert!(refused(home, &["log", "--by", "nobody-here"]).contains("has done anything"));
    // What the admin did: beside it the server opens the rings of a rollout, at its own pace.
    let done = || stdout(home, &["log", "--by", &admin]);
    let before = done().lines().count();
    let again = stdout(home, &["updates", "approve", "acme-av:1.9", "--yes"]);
    assert!(again.contains("is approved already for beta, stable; nothing changed"), "{again}");
    // 2.0 is superseded now: it would reach nobody.
    assert!(refused(home, &["updates", "approve", "acme-av:2.0", "--yes"]).contains("newer release"));
    assert!(
        refused(home, &["updates", "retry", "acme-av:1.9", "--why", "mended"])
            .contains("nothing to try again")
    );
    let unknown = refused(home, &["updates", "show", "acme-av:7", "--json"]);
    assert!(unknown.contains("\"code\":\"not_found\""), "{unknown}");
    let halted = stdout(home, &["updates", "halt", "acme-av:1.9", "--reason", "it crashes", "--rollback"]);
    assert!(halted.contains("halted acme-av 1.9"), "{halted}");
    let again = stdout(home, &["updates", "halt", "acme-av:1.9", "--reason", "it crashes"]);
    assert!(again.contains("is halted already; nothing changed"), "{again}");
    assert!(refused(home, &["updates", "watch", "acme-av:1.9"]).contains("is halted"));
    assert!(refused(home, &["updates", "approve", "acme-av:1.9", "--yes"]).contains("updates reconsider"));
    let states = |version: &str| {
        let updates = json(home, &["updates", "list", "--json"]);
        let all = updates["updates"].as_array().unwrap();
        let one = all.iter().find(|row| row["release"]["version"] == version).unwrap();
        one["state"].as_str().unwrap().to_owned()
    };
    assert_eq!((states("1.9"), states("2.0")), ("halted".to_owned(), "approved".to_owned()));
    let reconsider = ["updates", "reconsider", "acme-av:1.9", "--why", "the vendor explained it"];
    assert_eq!(run(home, &reconsider[..3]).status.code(), Some(2), "a reason is asked for");
    stdout(home, &reconsider);
    assert_eq!(states("1.9"), "staged");
    let again = stdout(home, &reconsider);
    assert!(again.contains("waits for a review already; nothing changed"), "{again}");
    let reject = ["updates", "reject", "acme-av:1.9", "--reason", "not now"];
    assert!(stdout(home, &reject).contains("rejected acme-av 1.9"));
    assert!(stdout(home, &reject).contains("is rejected already; nothing changed"));
    stdout(home, &reconsider);
    assert_eq!(done().lines().count(), before + 4, "what changed nothing is not logged: {}", done());
}

fn the_log(home: &Path) {
    let kinds = ["log", "--kind", "release_halted", "--kind", "release_reconsidered"];
    assert_eq!(stdout(home, &kinds).lines().count(), 3);
    let last = stdout(home, &["log", "-n", "1"]);
    assert!(last.contains("took back the decision") && last.contains("(the vendor explained it)"), "{last}");
    assert_eq!(stdout(home, &["log", "--since", "1h", "-n", "3"]).lines().count(), 3);
    assert_eq!(stdout(home, &["log", "--until", "yesterday"]), "");
    let nothing = run(home, &["log", "--failed"]);
    assert!(nothing.status.success() && nothing.stdout.is_empty());
    assert!(String::from_utf8(nothing.stderr).unwrap().contains("nothing matches"));
    for (swapped, said) in [
        (&["log", "--since", "1h", "--until", "2h"][..], "--until is before --since"),
        (&["log", "--since", "2999-01-01 00:00"], "lies in the future"),
        (&["log", "--kind", "foo"], "kinds are"),
    ] {
        assert!(refused(home, swapped).contains(said), "{swapped:?}: {}", refused(home, swapped));
    }
    assert_eq!(run(home, &["log", "-n", "0"]).status.code(), Some(2));
    assert!(
        refused(home, &["log", "--client", "nobody"]).contains("nothing is known of a computer named nobody")
    );
    assert!(mistyped(home, &["log", "--since", "22:14"]).contains("yesterday"));
    let of_pc_1 = stdout(home, &["log", "--client", "pc-1"]);
    assert!(!of_pc_1.is_empty());
    assert_eq!(stdout(home, &["log", "--client", "PC-1."]), of_pc_1);
    follows(home);
}

/// `log --follow` begins with the last ten entries, and does not print everything that ever was.
fn follows(home: &Path) {
    assert!(stdout(home, &["log", "--all"]).lines().count() > 12);
    let last = stdout(home, &["log", "--all", "-n", "10"]);
    let mut command = distributor(home);
    let mut child = command.args(["log", "--follow", "--all"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let begins: Vec<String> = lines.by_ref().take(10).collect();
    stdout(home, &["clients", "reserve", "pc-5"]);
    let next = lines.next().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(begins, last.lines().collect::<Vec<_>>());
    assert!(next.contains("pc-5"), "{next}");
}
