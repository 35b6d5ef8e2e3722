//! Manage Computers: the list with its filters and orders, Setup Info, and Verify License now, over the admin API and on the
//! command line.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use reqwest::Method;
use sealpost_admin_api::client_lines::ClientLinesPage;
use sealpost_admin_api::clients::Client;
use sealpost_admin_api::licenses::Unlocked;
use sealpost_admin_api::settings::Changed;
use sealpost_admin_api::verifying::{VerifiedComputer, VerifiedMany, VerifyOutcome};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Registration;
use sealpost_manifests::ids::{PackageName, SerialNumber};
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::text_code;
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::contact::{Contact, InstalledPackage};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::seat_history::SetupOutcome;
use sealpost_site::rules::standing::{ComputerState, Gate};
use sealpost_test_support::names::release_id;

use crate::agent::{Agent, send};
use crate::enrollment::registration;
use crate::program::run;
use crate::rollout::read_until;
use crate::site::{Site, problem};
use crate::vendor::start_vendor;

async fn page(site: &Site, query: &str) -> ClientLinesPage {
    site.get(&format!("/client-lines?{query}")).await
}

async fn names(site: &Site, query: &str) -> Vec<String> {
    page(site, query).await.clients.iter().map(|line| line.name.to_string()).collect()
}

/// The names of every page of so many.
async fn in_pages(site: &Site, query: &str, limit: usize) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = page(site, &format!("{query}&limit={limit}{after}")).await;
        assert!(page.clients.len() <= limit);
        found.extend(page.clients.iter().map(|line| line.name.to_string()));
        let Some(next) = page.next else { return found };
        let encoded: String = next.bytes().map(|byte| format!("%{byte:02X}")).collect();
        after = format!("&after={encoded}");
    }
}

/// What a command ends with and prints.
async fn says(site: &Site, arguments: &'static [&'static str]) -> (i32, String) {
    let home = site.home();
    let output = tokio::task::spawn_blocking(move || run(&home, arguments)).await.unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// `a-1` is in contact and runs the release, `b-2` was lost hours ago, `c-3` is reserved, and two use the identity of `d-4`.
async fn four_computers(site: &Site) -> [Agent; 3] {
    let mut contacted = Agent::licensed(site, "a-1").await;
    let lost = Agent::licensed(site, "b-2").await;
    site.reserve("c-3").await;
    let mut copied = Agent::licensed(site, "d-4").await;
    let contact = copied.next_contact();
    copied.send_contact(site, &contact).await;
    let mut copy = contact;
    copy.next = sealpost_manifests::ids::Nonce::from_random([9; 16]);
    let refused = send(site, "/agent/v1/contact", &copied.contact_request(&copy)).await;
    assert!(!refused.status().is_success());
    site.clock.forward(SignedDuration::from_hours(6));
    let contact = Contact { agent_version: "+1+1".to_owned(), ..contacted.next_contact() };
    contacted.send_contact(site, &contact).await;
    [contacted, lost, copied]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_computer_is_listed_with_how_it_stands_and_found_by_it() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agents = four_computers(&site).await;
    let lines = page(&site, "").await;
    assert_eq!(lines.next, None);
    let found: Vec<_> =
        lines.clients.iter().map(|line| (line.name.as_str(), line.state, line.gate)).collect();
    use ComputerState::{Active, ContactLost, Reserved, TwoComputers};
    let wanted = [
        ("a-1", Active, Gate::Open),
        ("b-2", ContactLost, Gate::Run),
        ("c-3", Reserved, Gate::Closed),
        ("d-4", TwoComputers, Gate::Run),
    ];
    assert_eq!(found, wanted);
    assert!(
        lines.clients.iter().all(|line| line.display_version == "V 0.0 (0000)" && line.serials.len() == 1)
    );

    // A group by rule, and one by list.
    let changes = serde_json::json!([
        { "kind": "group", "name": "by-rule", "value": { "rule": { "names": ["*-1", "*-3"] } } },
        { "kind": "group", "name": "by-list", "value": {} },
    ]);
    let members = serde_json::json!([{ "group": "by-list", "add": ["b-2", "c-3"] }]);
    let request = serde_json::json!({ "changes": changes, "members": members, "comment": "x" });
    let _: Changed = site.post("/settings", &request).await;
    let serial = &lines.clients[0].serials[0];
    for (query, wanted) in [
        ("state=active", vec!["a-1"]),
        ("state=contact_lost", vec!["b-2"]),
        ("state=reserved", vec!["c-3"]),
        ("state=forked", vec!["d-4"]),
        ("state=two-computers", vec!["d-4"]),
        ("group=by-rule", vec!["a-1", "c-3"]),
        ("group=by-list", vec!["b-2", "c-3"]),
        ("group=by-list&state=reserved", vec!["c-3"]),
        ("silent_for=18000", vec!["b-2", "d-4"]),
        ("silent_for=0", vec!["a-1", "b-2", "d-4"]),
        ("package=acme-av", vec![]),
        (&format!("serial={serial}"), vec!["a-1", "b-2", "c-3", "d-4"]),
        ("sort=-name", vec!["d-4", "c-3", "b-2", "a-1"]),
        ("sort=state", vec!["c-3", "a-1", "b-2", "d-4"]),
        ("sort=last_contact", vec!["c-3", "b-2", "d-4", "a-1"]),
        ("sort=-last_contact&state=contact_lost", vec!["b-2"]),
        ("sort=version", vec!["a-1", "b-2", "c-3", "d-4"]),
    ] {
        assert_eq!(names(&site, query).await, wanted, "{query}");
        for limit in [1, 2, 3] {
            assert_eq!(in_pages(&site, query, limit).await, wanted, "{query} in pages of {limit}");
        }
    }
    // What one runs, and a second serial number that one has.
    let runs = InstalledPackage {
        release: release_id(&PackageName::new("acme-av").unwrap(), "4.2"),
        kind: PackageKind::Program,
        counter: ReleaseCounter(1),
        manifest: Sha256Digest::of(b"runs"),
    };
    let contact = Contact { packages: vec![runs], ..agents[0].next_contact() };
    agents[0].send_contact(&site, &contact).await;
    let second = SerialNumber::from_random([7; 19]);
    let asked = Registration { serial: second.clone(), ..registration(&site).await };
    let code = text_code::encode(&vendor.grant(&asked, 3));
    let _: Unlocked = site.post("/unlock", &serde_json::json!({ "code": code })).await;
    let wanted = serde_json::json!({ "name": "c-3", "serial": second });
    let _: serde_json::Value = site.post("/clients", &wanted).await;
    for (query, wanted) in [
        ("package=acme-av", vec!["a-1"]),
        ("package=acme-cad", vec![]),
        ("version=4.2", vec!["a-1"]),
        ("version=4.1", vec![]),
        ("package=acme-av&version=4.2", vec!["a-1"]),
        ("package=acme-cad&version=4.2", vec![]),
        (&format!("serial={second}"), vec!["c-3"]),
    ] {
        assert_eq!(names(&site, query).await, wanted, "{query}");
    }
    for (options, wanted) in [
        (&["clients", "list", "--package", "acme-av", "--version", "4.2"][..], "a-1"),
        (&["clients", "list", "--state", "reserved", "--sort", "-name"], "c-3"),
    ] {
        let (code, said) = says(&site, options).await;
        assert!(code == 0 && said.lines().count() == 2 && said.contains(wanted), "{said}");
    }
    // Of a group or a serial number that is not there it is not said that nobody is like that.
    let unknown = SerialNumber::from_random([9; 19]);
    for (query, says) in [
        ("group=nobody".to_owned(), "there is none of that name"),
        (format!("serial={unknown}"), "this server has none of that number"),
    ] {
        let refused = problem(site.admin(Method::GET, &format!("/client-lines?{query}"), None).await).await;
        assert!(refused.message.contains(says), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_cannot_be_is_refused_with_what_can() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    for (query, says) in [
        ("state=planned", "contact_lost"),
        ("sort=age", "last_contact"),
        ("group=No%20group", "group name"),
        ("silent_for=-1", "cannot read the query"),
        ("sort=state&after=pc-1", "`after`"),
        ("sort=state&after=%7B%22key%22%3A%22name%22%2C%22name%22%3A%22pc-1%22%7D", "`after`"),
        ("after=%00", "`after`"),
    ] {
        let response = site.admin(Method::GET, &format!("/client-lines?{query}"), None).await;
        let problem = problem(response).await;
        assert_eq!(problem.code, ProblemCode::BadRequest, "{query}");
        assert!(problem.message.contains(says), "{query}: {problem:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_command_line_the_list_is_a_table_csv_or_json() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let _agents = four_computers(&site).await;
    let (code, said) = says(&site, &["clients", "list"]).await;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((code, lines.len()), (0, 5), "{said}");
    assert!(lines[0].starts_with("NAME  STATE          VERSION       CHANNEL  SERIALS"), "{said}");
    assert!(lines[1].starts_with("a-1   Active         V 0.0 (0000)  stable"), "{said}");
    assert!(lines[2].starts_with("b-2   Contact lost") && lines[2].contains("-       run   "), "{said}");
    assert!(lines[4].starts_with("d-4   Two computers"), "{said}");

    let (_, csv) = says(&site, &["clients", "list", "--csv", "--sort", "-name"]).await;
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("name,state,version,channel,serials,groups,gate,last_refresh,"), "{csv}");
    assert!(lines[1].starts_with("d-4,forked,V 0.0 (0000),stable,") && lines[1].contains(",run,20"), "{csv}");
    assert!(lines[3].starts_with("b-2,contact_lost,") && lines[4].contains(",'+1+1,"), "{csv}");

    let (_, json) = says(&site, &["clients", "list", "--json", "--state", "contact-lost"]).await;
    let page: ClientLinesPage = serde_json::from_str(&json).unwrap();
    assert_eq!(page.clients.len(), 1, "{json}");
    let (_, none) = says(&site, &["clients", "list", "--json", "--package", "acme-av"]).await;
    assert_eq!(serde_json::from_str::<ClientLinesPage>(&none).unwrap().clients, []);
    let (code, said) =
        says(&site, &["clients", "list", "--silent-for", "5h", "--sort", "last-contact"]).await;
    assert!(code == 0 && said.lines().count() == 3, "{said}");
    let (_, runs) = says(&site, &["clients", "list", "--runs"]).await;
    assert!(runs.contains("SHOULD RUN") && runs.contains("\na-1 "), "{runs}");
    for refused in [
        &["clients", "list", "--silent-for", "long"][..],
        &["clients", "list", "--runs", "--csv"],
        &["clients", "list", "--failing", "--state", "active"],
        &["clients", "list", "--state", "lost"],
    ] {
        let home = site.home();
        let output = tokio::task::spawn_blocking(move || run(&home, refused)).await.unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_info_says_what_became_of_each_setup_file_and_who_held_the_name() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("pc-1").await;
    let reserved: Client = site.get("/clients/pc-1").await;
    let info = reserved.setup_info.unwrap();
    assert_eq!((info.state, info.gate, info.setups.len()), (ComputerState::Reserved, Gate::Closed, 0));
    assert_eq!((info.contact.every_secs, info.contact.due_by), (60, None));
    assert!(
        info.seats.len() == 1 && info.seats[0].reserved_at.is_some() && info.seats[0].not_after.is_some()
    );

    site.setup("pc-1").await;
    site.clock.forward(SignedDuration::from_mins(10));
    let mut first = Agent::new(site.setup("pc-1").await);
    first.enroll(&site).await;
    first.contact(&site).await;
    site.clock.forward(SignedDuration::from_mins(10));
    let mut second = Agent::new(site.setup("pc-1").await);
    second.enroll(&site).await;
    site.setup("pc-1").await;
    second.contact(&site).await;
    let shown: Client = site.get("/clients/pc-1").await;
    let info = shown.setup_info.unwrap();
    assert_eq!((info.state, info.gate), (ComputerState::Active, Gate::Open));
    let outcomes: Vec<_> = info.setups.iter().map(|issue| issue.outcome).collect();
    use SetupOutcome::{Out, Used, Voided};
    let [Out, Used { at: second_at }, Used { at: first_at }, Voided { at: voided_at }] = outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert!(voided_at < first_at && first_at < second_at);
    assert_eq!(info.former.len(), 1);
    assert_eq!((info.former[0].enrolled_at, info.former[0].replaced_at), (Some(first_at), Some(second_at)));
    assert!(info.enrolled_at == Some(second_at) && info.first_contact.is_some_and(|at| at >= second_at));
    assert_eq!((info.contact.every_secs, info.contact.after_failure_secs), (4 * 3600, 3600));
    assert!(info.contact.due_by.unwrap() > shown.last_contact.unwrap() + SignedDuration::from_hours(4));
    assert_eq!(info.server.addresses, ["127.0.0.1"]);

    let (code, said) = says(&site, &["clients", "show", "pc-1"]).await;
    assert_eq!(code, 0);
    for line in [
        "pc-1: Active, channel stable\n",
        "; gives new licenses until ",
        "  gate          run, upload, remote management\n",
        "  contacts      every 4 hours, a tenth sooner or later, and 1 hour after one that failed; lost after 5 hours",
        ", out and not used; good until ",
        ", when another was issued or admitted\n",
        "  first license ",
        "; key ",
        "; agent ",
        ", when another enrolled\n",
        " at 127.0.0.1, port ",
    ] {
        assert!(said.contains(line), "{line:?} is not in {said}");
    }
    site.clock.forward(SignedDuration::from_hours(40 * 24));
    let later: Client = site.get("/clients/pc-1").await;
    let info = later.setup_info.unwrap();
    assert_eq!((info.state, info.setups[0].outcome), (ComputerState::ContactLost, SetupOutcome::Expired));
}

async fn verified(site: &Site, names: &[&str], wait_secs: u32) -> Vec<VerifiedComputer> {
    let request = serde_json::json!({ "names": names, "wait_secs": wait_secs });
    let answered: VerifiedMany = site.post("/clients/verify", &request).await;
    answered.computers
}

/// A stream of an agent that is open, and whatever waited for it read.
async fn stream(site: &Site, agent: &Agent) -> reqwest::Response {
    let mut stream = agent.get(site, "/wake").await;
    read_until(&mut stream, ": hello\n\n").await;
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_computer_that_is_called_contacts_and_is_verified() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let mut stream = stream(&site, &agent).await;
    let before: Client = site.get("/clients/pc-1").await;
    let begun = Instant::now();
    let comes = async {
        read_until(&mut stream, "event: contact\n").await;
        site.clock.forward(SignedDuration::from_mins(1));
        agent.contact(&site).await;
    };
    let (answered, ()) = tokio::join!(verified(&site, &["pc-1."], 30), comes);
    assert!(begun.elapsed() < Duration::from_secs(20), "it waits no longer than it has to");
    let [computer] = &answered[..] else { panic!("{answered:?}") };
    assert_eq!((computer.name.as_str(), computer.outcome), ("pc-1", VerifyOutcome::Verified));
    assert!(computer.listens && computer.lease_until.is_some());
    assert!(computer.last_contact > before.last_contact, "{computer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_come_is_answered_with_since_when_it_is_silent_and_nobody_waits_longer_than_he_said() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let [listens, ..] = four_computers(&site).await;
    let _stream = stream(&site, &listens).await;
    let names = ["a-1", "b-2", "c-3", "d-4", "e-5"];
    let begun = Instant::now();
    let answered = verified(&site, &names, 1).await;
    assert!((Duration::from_secs(1)..Duration::from_secs(15)).contains(&begun.elapsed()));
    let found: Vec<_> = answered.iter().map(|one| (one.name.as_str(), one.outcome, one.listens)).collect();
    use VerifyOutcome::{NotEnrolled, NotReserved, Silent, TwoComputers};
    let wanted = [
        ("a-1", Silent, true),
        ("b-2", Silent, false),
        ("c-3", NotEnrolled, false),
        ("d-4", TwoComputers, false),
        ("e-5", NotReserved, false),
    ];
    assert_eq!(found, wanted);
    assert!(answered[1].last_contact.is_some() && answered[1].last_contact < answered[0].last_contact);
    // Nobody of these is connected: there is nobody to wait for.
    let begun = Instant::now();
    verified(&site, &names[1..], 30).await;
    assert!(begun.elapsed() < Duration::from_secs(10));

    let (code, said) = says(&site, &["clients", "verify", "b-2", "c-3", "--wait", "0s"]).await;
    assert!(
        code == 1 && said.starts_with("b-2: silent since 20") && said.contains("\nc-3: not enrolled yet"),
        "{said}"
    );
    let (code, json) = says(&site, &["clients", "verify", "e-5", "--json"]).await;
    assert_eq!(code, 1);
    assert_eq!(serde_json::from_str::<VerifiedMany>(&json).unwrap().computers[0].outcome, NotReserved);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_is_only_repeated_verifies_nobody() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let contact = agent.next_contact();
    agent.send_contact(&site, &contact).await;
    let mut stream = stream(&site, &agent).await;
    let again = async {
        read_until(&mut stream, "event: contact\n").await;
        let request = agent.contact_request(&contact);
        assert!(send(&site, "/agent/v1/contact", &request).await.status().is_success());
    };
    let (answered, ()) = tokio::join!(verified(&site, &["pc-1"], 2), again);
    assert_eq!(answered[0].outcome, VerifyOutcome::Silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_wait_at_once_and_a_request_beyond_its_bounds_is_refused() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let agent = Agent::licensed(&site, "pc-1").await;
    let _stream = stream(&site, &agent).await;
    let request = serde_json::json!({ "names": ["pc-1"], "wait_secs": 5 });
    let asked = (0..9).map(|_| site.admin(Method::POST, "/clients/verify", Some(request.clone())));
    let answered = futures_util::future::join_all(asked).await;
    let (waited, refused): (Vec<_>, Vec<_>) =
        answered.into_iter().partition(|answer| answer.status().is_success());
    assert_eq!((waited.len(), refused.len()), (8, 1));
    for refused in refused {
        assert!(refused.headers().contains_key("retry-after"));
        assert_eq!(problem(refused).await.code, ProblemCode::Busy);
    }
    // And then there is room again.
    assert_eq!(verified(&site, &["pc-1"], 0).await[0].outcome, VerifyOutcome::Silent);
    let many: Vec<String> = (0..501).map(|number| format!("pc-{number}")).collect();
    for request in [
        serde_json::json!({ "names": [] }),
        serde_json::json!({ "names": many }),
        serde_json::json!({ "names": ["pc-1"], "wait_secs": 31 }),
    ] {
        assert_eq!(site.post_refused("/clients/verify", &request).await.code, ProblemCode::BadRequest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_wait_asks_no_more_often_than_who_does() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let request = serde_json::json!({ "names": ["pc-1"], "wait_secs": 0 });
    let mut refused = 0;
    for _ in 0..9 {
        let answer = site.admin(Method::POST, "/clients/verify", Some(request.clone())).await;
        if !answer.status().is_success() {
            assert!(answer.headers().contains_key("retry-after"));
            assert_eq!(problem(answer).await.code, ProblemCode::Busy);
            refused += 1;
        }
    }
    assert!(refused > 0, "nine at once although nobody waits");
    // The command comes again by itself.
    let (code, said) = says(&site, &["clients", "verify", "pc-1", "--wait", "0s"]).await;
    assert!(code == 1 && said.contains("not reserved"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_looks_at_so_many_computers_and_says_where_to_go_on() {
    let vendor = start_vendor(6_000).await;
    let site = Site::licensed(&vendor).await;
    for batch in 0..11 {
        let wanted: Vec<_> = (0..500)
            .map(|number| serde_json::json!({ "name": format!("pc-{:05}", batch * 500 + number) }))
            .collect();
        let _: serde_json::Value =
            site.post("/clients/reserve", &serde_json::json!({ "wanted": wanted })).await;
    }
    let _last = Agent::licensed(&site, "zz").await;
    let first = page(&site, "state=active").await;
    assert_eq!((first.clients, first.next.as_deref()), (vec![], Some("pc-04999")));
    let second = page(&site, "state=active&after=pc-04999").await;
    assert_eq!((second.clients.len(), second.next), (1, None));
    assert_eq!(page(&site, "limit=9999").await.clients.len(), 500);
    assert_eq!(in_pages(&site, "sort=-state", 3_000).await.len(), 5_501);
    let (code, said) = says(&site, &["clients", "list", "--state", "active"]).await;
    assert!(code == 0 && said.lines().count() == 2 && said.contains("\nzz  "), "{said}");
    let (_, csv) = says(&site, &["clients", "list", "--csv"]).await;
    assert_eq!(csv.lines().count(), 5_502);
}
