//! Links over real connections: computers at 127.0.1.x, 127.0.2.x and 127.0.3.x share what the site set for their subnets,
//! and nobody else notices.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use reqwest::{Client, Response, StatusCode, header};
use sealpost_admin_api::clients::Client as ClientView;
use sealpost_admin_api::links::{LinkDetail, LinksView};
use sealpost_admin_api::rollouts::Rollout;
use sealpost_admin_api::settings::Changed;
use sealpost_admin_api::updates::{Review, Update};
use sealpost_distributor::home::Home;
use sealpost_distributor::http::limits::RequestLimits;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::contact::ContactAnswer;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_test_support::vendor_server::ServedVendor;

use crate::agent::Agent;
use crate::program::run;
use crate::rollout::{payload_path, target_path};
use crate::rollouts::said;
use crate::site::{Site, code, good, problem};
use crate::vendor::start_vendor;

/// Longest wait for something that is to happen: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A computer at its address.
struct Behind {
    agent: Agent,
    http: Client,
}

impl Behind {
    async fn at(site: &Site, name: &str, address: [u8; 4]) -> Self {
        let ca = std::fs::read(Home::at(site.home()).ca_certificate()).unwrap();
        let http = Client::builder()
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(&ca).unwrap())
            .local_address(Some(Ipv4Addr::from(address).into()))
            .build()
            .unwrap();
        let agent = Agent::licensed(site, name).await;
        let mut behind = Self { agent, http };
        behind.contact(site).await;
        behind
    }

    async fn contact(&mut self, site: &Site) {
        let contact = self.agent.next_contact();
        let request = self.agent.contact_request(&contact);
        let sent = self.http.post(site.url("/agent/v1/contact")).json(&request).send().await.unwrap();
        let answer: ContactAnswer = good(sent).await;
        self.agent.take_answer(&contact, &answer);
    }

    async fn get(&self, site: &Site, path: &str) -> Response {
        self.get_with(site, path, &[]).await
    }

    async fn get_with(&self, site: &Site, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self.http.get(site.url(&format!("/agent/v1{path}")));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.bearer_auth(&self.agent.holds.token).send().await.unwrap()
    }

    /// Asks until it is its turn.
    async fn turn(&self, site: &Site, path: &str) -> Response {
        let asks = async {
            loop {
                let answer = self.get(site, path).await;
                if answer.status().is_success() {
                    return answer;
                }
                assert_eq!(code(answer).await, ProblemCode::LinkBusy);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asks).await.unwrap()
    }
}

fn link(subnet: &str, rate: &str, concurrent: u16) -> serde_json::Value {
    serde_json::json!({ "subnets": [subnet], "rate": rate, "concurrent": concurrent })
}

async fn set(site: &Site, name: &str, value: Option<serde_json::Value>) {
    let change = serde_json::json!({ "kind": "link", "name": name, "value": value });
    let request = serde_json::json!({ "changes": [change], "comment": "ticket 4711" });
    let changed: Changed = site.post("/settings", &request).await;
    assert_eq!(changed.changed, 1);
}

/// Bytes that gzip cannot make shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A site with an approved release of so many bytes.
async fn site_with(vendor: &ServedVendor, bytes: usize) -> (Site, Sha256Digest) {
    let manifest = vendor.release("1.0", &[("engine", &noise(bytes))]);
    let site = Site::licensed(vendor).await;
    site.pull().await;
    site.approve(manifest).await;
    (site, manifest)
}

/// What a command prints against the site of a test.
async fn printed(site: &Site, arguments: &[&str]) -> String {
    let home = site.home();
    let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
    let work = move || run(&home, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let output = tokio::task::spawn_blocking(work).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn why(site: &Site, name: &str) -> String {
    let view: ClientView = site.get(&format!("/clients/{name}")).await;
    view.explanations[0].sentence.clone()
}

async fn refused(answer: Response) -> (Problem, u64) {
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let after = answer.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    let problem = problem(answer).await;
    assert_eq!(problem.code, ProblemCode::LinkBusy, "{problem}");
    (problem, after)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_download_over_a_link_of_two_waits_its_turn_and_nothing_else_does() {
    let vendor = start_vendor(10).await;
    let (site, _) = site_with(&vendor, 3_000_000).await;
    set(&site, "north", Some(link("127.0.1.0/24", "64 kB/s", 2))).await;
    set(&site, "south", Some(link("127.0.2.0/24", "1 GB/s", 2))).await;
    let mut north = Vec::new();
    for host in 1..=3 {
        north.push(Behind::at(&site, &format!("north-{host}"), [127, 0, 1, host]).await);
    }
    let south = Behind::at(&site, "south-1", [127, 0, 2, 1]).await;
    let free = Behind::at(&site, "free-1", [127, 0, 3, 1]).await;
    let path = payload_path(&site, &free.agent).await;
    let first = north[0].get(&site, &path).await;
    let second = north[1].get(&site, &path).await;
    assert_eq!((first.status(), second.status()), (StatusCode::OK, StatusCode::OK));
    let (said, after) = refused(north[2].get(&site, &path).await).await;
    assert_eq!(said.code, ProblemCode::LinkBusy);
    assert!(said.message.contains("the link north as may at one time (2), and 0 wait"), "{said}");
    assert_eq!(after, 5);
    let seen: LinksView = site.get("/links").await;
    let counts: Vec<_> =
        seen.links.iter().map(|link| (link.name.as_str(), link.downloading, link.waiting)).collect();
    assert_eq!(counts, [("north", 2, 1), ("south", 0, 0)]);
    let detail: LinkDetail = site.get("/links/north").await;
    let names: Vec<_> =
        detail.downloads.iter().filter_map(|one| Some(one.computer.as_ref()?.as_str())).collect();
    assert!(names.contains(&"north-1") && names.contains(&"north-2"), "{names:?}");
    assert_eq!(detail.line.len(), 1);
    assert_eq!(detail.line[0].computer.as_ref().unwrap().as_str(), "north-3");
    assert!(detail.link.left_bytes > 3_000_000 && detail.link.needs_secs > 30, "{detail:?}");
    let metrics = site.http.get(site.url("/metrics")).send().await.unwrap().text().await.unwrap();
    for line in [
        "sealpost_link_downloads{link=\"north\",size=\"long\"} 2\n",
        "sealpost_link_waiting{link=\"north\",size=\"long\"} 1\n",
        "sealpost_link_rate_bytes{link=\"south\"} 1000000000\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert_eq!(metrics.matches("# TYPE sealpost_link_downloads ").count(), 1);
    let shown = printed(&site, &["links", "show", "north"]).await;
    assert!(shown.contains("64 kB/s for all, 2 at a time") && shown.contains("north-3: "), "{shown}");
    assert!(printed(&site, &["links", "list"]).await.contains("2 of 2"));
    // A person who asks why hears of it, with a time.
    let (downloads, waits) = (why(&site, "north-1").await, why(&site, "north-3").await);
    assert!(
        downloads.contains("it downloads over the link north (64 kB/s for all), done at about"),
        "{downloads}"
    );
    assert!(
        waits.contains("it waits for its turn on the link north (64 kB/s, 2 at a time): 0 computers"),
        "{waits}"
    );
    let updates: serde_json::Value = site.get("/updates").await;
    let number = updates["updates"][0]["rollout"].as_u64().unwrap();
    let rollout: Rollout = site.get(&format!("/rollouts/{number}")).await;
    let loads: Vec<_> = rollout.links.iter().map(|load| (load.link.as_str(), load.computers)).collect();
    assert_eq!(loads, [("north", 3), ("south", 1)], "also once every computer gets it");
    // Neither metadata nor manifests nor contacts wait for a link.
    assert_eq!(north[2].get(&site, "/tuf/metadata/timestamp.json").await.status(), StatusCode::OK);
    let manifest = target_path(&site, &free.agent, ".manifest").await;
    assert_eq!(north[2].get(&site, &manifest).await.status(), StatusCode::OK);
    north[2].contact(&site).await;
    // Other links and computers behind none are not held up, whatever a header says.
    let whole = south.get(&site, &path).await.bytes().await.unwrap();
    for headers in [&[][..], &[("x-forwarded-for", "127.0.1.7"), ("forwarded", "for=127.0.1.7")][..]] {
        assert_eq!(free.get_with(&site, &path, headers).await.bytes().await.unwrap(), whole);
    }
    let forged = [("x-forwarded-for", "127.0.3.9"), ("x-real-ip", "127.0.2.9"), ("via", "1.1 x")];
    refused(north[2].get_with(&site, &path, &forged).await).await;
    // Its turn comes when another ends; what is kept of it goes on where it was.
    drop(first);
    let half = whole.len() / 2;
    let turn = north[2].turn(&site, &path).await;
    drop(turn);
    let rest = format!("bytes={half}-");
    let rest = north[2].get_with(&site, &path, &[("range", rest.as_str())]).await;
    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT);
    set(&site, "north", Some(link("127.0.1.0/24", "1 GB/s", 2))).await;
    let rest = tokio::time::timeout(PATIENCE, rest.bytes()).await.unwrap().unwrap();
    assert_eq!(rest, whole[half..], "another rate counts for what is under way");
    drop(second);
}

#[tokio::test]
async fn downloads_share_the_rate_of_their_link_and_together_never_get_more() {
    const RATE: u64 = 1_000_000;
    let vendor = start_vendor(10).await;
    let (site, _) = site_with(&vendor, 1_500_000).await;
    set(&site, "north", Some(link("127.0.1.0/24", "1 MB/s", 2))).await;
    let one = Behind::at(&site, "north-1", [127, 0, 1, 1]).await;
    let other = Behind::at(&site, "north-2", [127, 0, 1, 2]).await;
    let path = payload_path(&site, &one.agent).await;
    let began = Instant::now();
    let whole = |behind: &Behind| {
        let asked =
            behind.http.get(site.url(&format!("/agent/v1{path}"))).bearer_auth(&behind.agent.holds.token);
        async { asked.send().await.unwrap().bytes().await.unwrap().len() as u64 }
    };
    let (one, other) = tokio::join!(whole(&one), whole(&other));
    let given = u64::try_from(began.elapsed().as_millis()).unwrap() * RATE / 1_000;
    // A quarter of a second at once, and one piece of an eighth each.
    assert!(one + other <= given + RATE / 2, "{one} and {other} bytes, and the link gave {given}");
}

#[tokio::test]
async fn who_reads_nothing_loses_its_turn_and_who_asks_again_keeps_one() {
    let vendor = start_vendor(10).await;
    let (site, _) = site_with(&vendor, 24_000_000).await;
    let limits = RequestLimits { link_window: Duration::from_millis(300), ..RequestLimits::default() };
    let site = site.restart_with(limits).await;
    set(&site, "north", Some(link("127.0.1.0/24", "1 GB/s", 1))).await;
    let idle = Behind::at(&site, "north-1", [127, 0, 1, 1]).await;
    let next = Behind::at(&site, "north-2", [127, 0, 1, 2]).await;
    let path = payload_path(&site, &idle.agent).await;
    let mut held = idle.get(&site, &path).await;
    assert_eq!(held.status(), StatusCode::OK);
    let whole = next.turn(&site, &path).await.bytes().await.unwrap();
    // What lies in the buffers of the system comes, and then the answer is cut.
    let mut came = 0;
    let ended = loop {
        match held.chunk().await {
            Ok(Some(chunk)) => came += chunk.len(),
            ended => break ended,
        }
    };
    assert!(ended.is_err() && came < whole.len(), "{came}");
    // A second request of the same computer has its turn, however the first one ended.
    let older = idle.get(&site, &path).await;
    let newer = idle.get(&site, &path).await;
    assert_eq!((older.status(), newer.status()), (StatusCode::OK, StatusCode::OK));
    assert_eq!(newer.bytes().await.unwrap().len(), whole.len());
    assert!(older.bytes().await.is_err(), "its turn went to the newer one");
}

#[tokio::test]
async fn many_small_downloads_at_once_come_one_after_the_other_and_share_the_rate_of_their_link() {
    const RATE: u64 = 80_000;
    let vendor = start_vendor(10).await;
    let (site, _) = site_with(&vendor, 30_000).await;
    set(&site, "north", Some(link("127.0.1.0/24", "80 kB/s", 2))).await;
    let mut computers = Vec::new();
    for host in 1..=10 {
        computers.push(Behind::at(&site, &format!("north-{host}"), [127, 0, 1, host]).await);
    }
    let path = payload_path(&site, &computers[0].agent).await;
    let began = Instant::now();
    let download = async |behind: &Behind| {
        let mut told = 0;
        loop {
            let answer = behind.get(&site, &path).await;
            if answer.status().is_success() {
                return (answer.bytes().await.unwrap().len() as u64, told);
            }
            let (said, after) = refused(answer).await;
            assert!(said.message.contains("sends to other computers first"), "{said}");
            told += 1;
            tokio::time::sleep(Duration::from_secs(after)).await;
        }
    };
    let all = futures_util::future::join_all(computers.iter().map(download));
    let came = tokio::time::timeout(PATIENCE, all).await.unwrap();
    let bytes: u64 = came.iter().map(|(bytes, _)| bytes).sum();
    let given = u64::try_from(began.elapsed().as_millis()).unwrap() * RATE / 1_000;
    assert!(bytes >= 300_000, "{bytes}");
    assert!(bytes <= given + RATE / 2, "{bytes} bytes, and the link gave {given}");
    let told: Vec<u32> = came.iter().map(|(_, told)| *told).collect();
    assert!(told.contains(&0) && told.iter().any(|times| *times > 0), "{told:?}");
    assert!(told.iter().all(|times| *times <= 3), "each has its time: {told:?}");
}

#[tokio::test]
async fn what_was_asked_for_and_given_up_holds_nobody_up() {
    let vendor = start_vendor(10).await;
    let (site, _) = site_with(&vendor, 200_000).await;
    set(&site, "north", Some(link("127.0.1.0/24", "64 kB/s", 2))).await;
    let hasty = Behind::at(&site, "north-1", [127, 0, 1, 1]).await;
    let calm = Behind::at(&site, "north-2", [127, 0, 1, 2]).await;
    let path = payload_path(&site, &hasty.agent).await;
    let short = [("range", "bytes=0-31999")];
    for _ in 0..60 {
        drop(hasty.get_with(&site, &path, &short).await);
    }
    let began = Instant::now();
    let answer = calm.get_with(&site, &path, &short).await;
    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(answer.bytes().await.unwrap().len(), 32_000);
    // Half a second at its rate; 60 pieces that nobody takes would be 7 s.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_recorded_contact_cuts_no_download_of_its_computer() {
    let vendor = start_vendor(10).await;
    let (site, _) = site_with(&vendor, 3_000_000).await;
    set(&site, "north", Some(link("127.0.1.0/24", "64 kB/s", 1))).await;
    let mut behind = Behind::at(&site, "north-1", [127, 0, 1, 1]).await;
    let contact = behind.agent.next_contact();
    let request = behind.agent.contact_request(&contact);
    let send = || behind.http.post(site.url("/agent/v1/contact")).json(&request).send();
    let answer: ContactAnswer = good(send().await.unwrap()).await;
    let recorded: ContactAnswer = good(send().await.unwrap()).await;
    behind.agent.take_answer(&contact, &answer);
    let path = payload_path(&site, &behind.agent).await;
    let download = behind.get_with(&site, &path, &[("range", "bytes=0-99999")]).await;
    assert_eq!(download.status(), StatusCode::PARTIAL_CONTENT);
    let url = site.url(&format!("/agent/v1{path}"));
    let head = behind.http.head(&url).bearer_auth(&recorded.access_token).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::SERVICE_UNAVAILABLE);
    let again = behind.http.get(&url).bearer_auth(&recorded.access_token).send().await.unwrap();
    let (said, _) = refused(again).await;
    assert!(said.message.contains("an answer that was repeated"), "{said}");
    assert_eq!(download.bytes().await.unwrap().len(), 100_000);
}

#[tokio::test]
async fn who_reads_next_to_nothing_loses_its_turn_while_it_still_reads() {
    let vendor = start_vendor(10).await;
    let (site, _) = site_with(&vendor, 24_000_000).await;
    let limits = RequestLimits { link_window: Duration::from_millis(300), ..RequestLimits::default() };
    let site = site.restart_with(limits).await;
    set(&site, "north", Some(link("127.0.1.0/24", "1 GB/s", 1))).await;
    let slow = Behind::at(&site, "north-1", [127, 0, 1, 1]).await;
    let next = Behind::at(&site, "north-2", [127, 0, 1, 2]).await;
    let path = payload_path(&site, &slow.agent).await;
    let mut held = slow.get(&site, &path).await;
    assert_eq!(held.status(), StatusCode::OK);
    let trickle = async {
        while let Ok(Some(_)) = held.chunk().await {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };
    tokio::select! {
        () = trickle => panic!("it reads for as long as it can"),
        came = next.turn(&site, &path) => assert_eq!(came.status(), StatusCode::OK),
    }
}

#[tokio::test]
async fn whose_connection_broke_goes_on_before_those_that_wait() {
    let vendor = start_vendor(10).await;
    let (site, _) = site_with(&vendor, 3_000_000).await;
    set(&site, "north", Some(link("127.0.1.0/24", "64 kB/s", 1))).await;
    let first = Behind::at(&site, "north-1", [127, 0, 1, 1]).await;
    let second = Behind::at(&site, "north-2", [127, 0, 1, 2]).await;
    let path = payload_path(&site, &first.agent).await;
    let broken = first.get(&site, &path).await;
    assert_eq!(broken.status(), StatusCode::OK);
    let (said, _) = refused(second.get(&site, &path).await).await;
    assert!(said.message.contains("and 0 wait"), "{said}");
    drop(broken);
    let rest = first.get_with(&site, &path, &[("range", "bytes=1000000-")]).await;
    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT, "and not behind the one that waits");
    refused(second.get(&site, &path).await).await;
    drop(rest);
    let turn = second.turn(&site, &path).await;
    assert_eq!(turn.status(), StatusCode::OK);
    let (said, _) = refused(first.get(&site, &path).await).await;
    assert!(said.message.contains("and 0 wait"), "it is the next one: {said}");
}

#[tokio::test]
async fn a_preview_and_a_rollout_say_how_much_travels_over_which_link_and_when_that_is_done() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", &noise(500_000))]);
    let site = Site::licensed(&vendor).await;
    set(&site, "north", Some(link("127.0.1.0/24", "100 kB/s", 2))).await;
    for host in 1..=3 {
        drop(Behind::at(&site, &format!("north-{host}"), [127, 0, 1, host]).await);
    }
    drop(Behind::at(&site, "free-1", [127, 0, 3, 1]).await);
    site.pull().await;
    let review: Review = site.get(&format!("/updates/{manifest}")).await;
    let (preview, payload) = (review.preview.unwrap(), review.update.payload_bytes);
    assert_eq!(preview.links.len(), 1, "{:?}", preview.links);
    let load = &preview.links[0];
    assert_eq!((load.link.as_str(), load.computers, load.bytes), ("north", 3, 3 * payload));
    assert_eq!(load.takes().as_secs(), i64::try_from(3 * payload / 100_000).unwrap());
    let approval = serde_json::json!({ "manifest": manifest, "strategy": "careful" });
    let approved: Update = site.post("/updates/approve", &approval).await;
    let rollout: Rollout = site.get(&format!("/rollouts/{}", approved.rollout.unwrap())).await;
    assert_eq!(rollout.links, preview.links);
    let view: ClientView = site.get("/clients/north-2").await;
    assert_eq!(view.came_by.unwrap().to_string(), "127.0.1.2");
}

#[tokio::test]
async fn links_that_cannot_be_are_refused_and_nothing_is_set() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    set(&site, "north", Some(link("10.2.0.0/16", "2 MB/s", 3))).await;
    let many: Vec<String> =
        (0..10_000).map(|number| format!("10.{}.{}.0/24", number / 256, number % 256)).collect();
    for (bad, said) in [
        (link("10.3.0.0/16", "0 MB/s", 3), "is no rate"),
        (link("10.3.0.0/16", "20 kB/s", 3), "leaves each less than 8 kB/s"),
        (link("10.2.0.0/16", "2 MB/s", 3), "the link north has the subnet 10.2.0.0/16 too"),
        (link("10.3.1.0/16", "2 MB/s", 3), "write `10.3.0.0/16`"),
        (serde_json::json!({ "subnets": many, "rate": "2 MB/s", "concurrent": 3 }), "10000 subnets"),
    ] {
        let change = serde_json::json!({ "kind": "link", "name": "south", "value": bad });
        let request = serde_json::json!({ "changes": [change], "comment": "ticket 4711" });
        let refused = site.post_refused("/settings", &request).await;
        assert_eq!(refused.code, ProblemCode::BadRequest, "{refused}");
        assert!(refused.message.contains(said) || refused.message.contains("KiB"), "{refused}");
    }
}

#[tokio::test]
async fn what_travels_over_each_link_is_printed_with_its_rollout_and_its_report() {
    let vendor = start_vendor(10).await;
    let (site, _) = site_with(&vendor, 3_000_000).await;
    set(&site, "north", Some(link("127.0.1.0/24", "64 kB/s", 2))).await;
    set(&site, "south", Some(link("127.0.2.0/24", "1 MB/s", 3))).await;
    for host in 1..=2 {
        Behind::at(&site, &format!("north-{host}"), [127, 0, 1, host]).await;
    }
    Behind::at(&site, "south-1", [127, 0, 2, 1]).await;
    let updates: serde_json::Value = site.get("/updates").await;
    let number = updates["updates"][0]["rollout"].to_string();
    let shown = said(&site, &["rollouts", "show", &number]).await;
    let report = said(&site, &["rollouts", "report", &number]).await;
    let north = "2 computers behind north, 64 kB/s (2 at a time): ";
    let south = "1 computer behind south, 1 MB/s (3 at a time): ";
    let line = |text: &str, begin: &str| {
        let line = text.lines().find(|line| line.starts_with(begin));
        line.unwrap_or_else(|| panic!("no line begins with {begin:?}: {text}")).to_owned()
    };
    for line in [
        line(&shown, &format!("  links      {north}")),
        line(&shown, &format!("             {south}")),
        line(&report, &format!("  {north}")),
        line(&report, &format!("  {south}")),
    ] {
        assert!(line.contains(" take ") && line.ends_with(" UTC if all begin now"), "{line}");
    }
}
