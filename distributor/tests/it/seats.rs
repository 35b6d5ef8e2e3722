//! Seats as an admin sees them: the License Summary in numbers and words, names that are spelled nearly alike, and that
//! nothing that the API has gives one back.

use jiff::SignedDuration;
use sealpost_admin_api::clients::{ReservedMany, SeatAnswer};
use sealpost_admin_api::endpoints::{Endpoint, Method as ApiMethod};
use sealpost_admin_api::licenses::{License, Unlocked};
use sealpost_admin_api::status::Status;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, Registration};
use sealpost_manifests::text_code;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_test_support::license::terms;
use sealpost_test_support::vendor_server::ServedVendor;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::enrollment::registration;
use crate::program::{refused, run, stdout, typed};
use crate::site::{Site, code};
use crate::terminal::answered;
use crate::vendor::start_vendor;

/// A grant that the vendor signs, carried by hand.
pub(crate) async fn unlock(site: &Site, vendor: &ServedVendor, grant: Grant) -> Unlocked {
    let grant = SignedDocument::sign(&grant, &vendor.license_key).unwrap();
    site.post("/unlock", &json!({ "code": text_code::encode(&grant) })).await
}

/// The next grant of the serial number of a site.
pub(crate) fn next(site: &Site, registration: &Registration, generation: u64, seats: u32) -> Grant {
    Grant { generation, ..terms(registration, seats, site.clock.now()) }
}

async fn summary(site: &Site) -> License {
    site.get::<Status>("/status").await.licenses.remove(0)
}

fn words(license: &License) -> Vec<&str> {
    license.standing.iter().map(|standing| standing.code.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_license_summary_says_what_is_free_what_was_refused_and_where_a_serial_number_stands() {
    let vendor = start_vendor(3).await;
    let site = Site::start(&vendor).await;
    let asks = registration(&site).await;
    unlock(&site, &vendor, next(&site, &asks, 1, 3)).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    agent.contact(&site).await;
    site.reserve("pc-2").await;
    let first = summary(&site).await;
    assert_eq!((first.licenses, first.used, first.active, first.reserved, first.free), (3, 2, 1, 1, 1));
    assert_eq!((words(&first), first.refused), (vec![], None));

    let fewer = unlock(&site, &vendor, next(&site, &asks, 2, 1)).await;
    assert!(fewer.notice.unwrap().contains("keep it"));
    let serial = first.serial.to_string();
    let full = site.post_refused("/clients", &json!({ "name": "pc-3", "serial": serial })).await;
    assert_eq!(full.code, ProblemCode::NoSeatFree);
    let overused = summary(&site).await;
    assert_eq!(
        (overused.used, overused.free, words(&overused)),
        (2, 0, vec!["overused"]),
        "nothing is taken"
    );
    assert_eq!(overused.refused.map(|refused| refused.count), Some(1));

    let end = site.clock.now() + SignedDuration::from_hours(24 * 10);
    let ends = Grant { not_after: end, ends_at: Some(end), ..next(&site, &asks, 3, 3) };
    let told = unlock(&site, &vendor, ends).await.notice.unwrap();
    assert!(told.contains("the vendor ends it at"), "{told}");
    assert_eq!(words(&summary(&site).await), ["ends_soon"]);
    site.clock.forward(SignedDuration::from_hours(24 * 11));
    for name in ["pc-3", "pc-4"] {
        let ended = site.post_refused("/clients", &json!({ "name": name, "serial": serial })).await;
        assert_eq!(ended.code, ProblemCode::SerialEnded);
    }
    assert_eq!(
        site.post_refused("/clients", &json!({ "name": "pc-5" })).await.code,
        ProblemCode::SerialEnded
    );
    let last = summary(&site).await;
    assert_eq!((last.licenses, last.used, last.active, last.free), (3, 2, 1, 0));
    assert_eq!((words(&last), last.refused.unwrap().count), (vec!["ended"], 3));
    let status: Status = site.get("/status").await;
    assert_eq!(status.refused_seats.unwrap().count, 1, "of no serial number in particular");
    assert!(status.started.is_some());

    typed(&site, |home| {
        let said = String::from_utf8(run(home, &["status"]).stdout).unwrap();
        let line = said.lines().skip_while(|line| !line.starts_with("SERIAL")).nth(1).unwrap();
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(cells[1..8], ["3", "2", "1", "1", "0", "3", "named"], "{said}");
        assert!(
            said.contains(": the vendor ended it at ") && said.contains("what is installed runs on"),
            "{said}"
        );
        assert!(said.contains(": 3 seats were refused since the server started at "), "{said}");
        assert!(said.contains("of no serial number in particular: 1 seat was refused since"), "{said}");
    })
    .await;
    // A restart begins anew: nothing of it stands in the log.
    let site = site.restart().await;
    assert_eq!(summary(&site).await.refused, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_spelled_nearly_as_another_is_asked_back_and_taken_when_it_is_meant() {
    let vendor = start_vendor(20).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("reception-1").await;
    let problem = site.post_refused("/clients", &json!({ "name": "recepton-1" })).await;
    assert_eq!(problem.code, ProblemCode::AlreadyExists);
    assert!(problem.message.contains("spelled nearly as reception-1"), "{problem}");
    for name in ["reception-2", "RECEPTION-1", "reception-1."] {
        site.reserve(name).await;
    }
    typed(&site, |home| {
        let told = refused(home, &["clients", "reserve", "reception1"]);
        assert!(told.contains("spelled nearly as reception-1") && told.contains("--similar"), "{told}");
        let (code, _, seen) = answered(home, &["clients", "reserve", "reception1", "--yes"], "n\n");
        assert!(code == Some(1) && seen.contains("Is it another computer?"), "{seen}");
        assert!(seen.contains("nothing was changed"), "{seen}");
        let (code, said, seen) = answered(home, &["clients", "reserve", "reception1", "--yes"], "y\n");
        assert_eq!((code, said.trim()), (Some(0), "reception1 holds a seat, channel stable"), "{seen}");
        assert_eq!(
            stdout(home, &["clients", "reserve", "recepton-1", "--similar"]).trim(),
            "recepton-1 holds a seat, channel stable"
        );
        // Letters of another script, which look like those of a name that is there: both questions are asked.
        let (code, said, seen) =
            answered(home, &["clients", "reserve", "r\u{435}ception-2", "--yes"], "y\ny\n");
        assert!(seen.contains("Is it another computer?") && seen.contains("several scripts"), "{seen}");
        assert_eq!(code, Some(0), "{said} {seen}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_refuses_the_name_that_is_close_and_does_the_rest_also_among_its_own_names() {
    let vendor = start_vendor(20).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("reception-1").await;
    let names = ["pc-1", "pc-2", "recepton-1", "front-desk", "frontdesk", "reception-1", "pc-3", "pc-3"];
    let wanted: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
    let answer: ReservedMany = site.post("/clients/reserve", &json!({ "wanted": wanted })).await;
    let said: Vec<&str> = answer
        .answers
        .iter()
        .map(|answer| match answer {
            SeatAnswer::Taken { .. } => "taken",
            SeatAnswer::Held { .. } => "held",
            SeatAnswer::Refused { problem, .. } if problem.message.contains("nearly as reception-1;") => {
                "reception-1"
            }
            SeatAnswer::Refused { problem, .. } if problem.message.contains("nearly as front-desk;") => {
                "front-desk"
            }
            SeatAnswer::Refused { problem, .. } => panic!("{problem}"),
        })
        .collect();
    assert_eq!(said, ["taken", "taken", "reception-1", "taken", "front-desk", "held", "taken", "held"]);
    let meant = json!({ "wanted": wanted, "similar": true });
    let answer: ReservedMany = site.post("/clients/reserve", &meant).await;
    let taken = answer.answers.iter().filter(|answer| matches!(answer, SeatAnswer::Taken { .. }));
    assert_eq!(taken.count(), 2);
    // Names that hold a seat are never asked back: the same once more changes nothing.
    let answer: ReservedMany = site.post("/clients/reserve", &json!({ "wanted": wanted })).await;
    assert!(answer.answers.iter().all(|answer| matches!(answer, SeatAnswer::Held { .. })));
}

/// Every name with the serial number whose seat it holds, by the log.
async fn seats(site: &Site) -> Vec<(String, String)> {
    let log = site.admin(reqwest::Method::GET, "/log?kind=seat_reserved", None).await.text().await.unwrap();
    let part = |entry: &str, key: &str| {
        entry.split(&format!("\"{key}\":\"")).nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let entries = log.lines().filter(|line| line.contains("seat_reserved"));
    entries.map(|entry| (part(entry, "name"), part(entry, "serial"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_interface_frees_a_seat() {
    let vendor = start_vendor(2).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    agent.contact(&site).await;
    site.reserve("pc-2").await;
    let (before, counted) = (seats(&site).await, summary(&site).await);
    assert_eq!(before.len(), 2);
    // What could be meant by it, in every shape that the API has for a computer's name.
    let names = ["pc-1", "pc-2"];
    let bodies = names.iter().flat_map(|name| {
        [
            json!({}),
            json!({ "name": name, "channel": "beta", "reason": "free", "why": "free" }),
            json!({ "names": [name], "remove": [name], "computers": [name], "why": "free" }),
            json!({ "name": name, "rename": "pc-9", "to": "pc-9", "delete": true, "release": true }),
            json!({ "add": [], "remove": [name], "comment": "free", "serial": before[0].1 }),
            json!({ "wanted": [{ "name": name }], "delete": true }),
        ]
    });
    let bodies: Vec<Value> = bodies.collect();
    let mut asked = 0;
    for endpoint in Endpoint::all() {
        let path = endpoint.path().trim_start_matches("/api/v1");
        let varies = |value: &str| {
            let with = path.replace("{name}", value).replace("{manifest}", &"0".repeat(64));
            with.replace("{number}", "1").replace("{sequence}", "1")
        };
        for name in names {
            let path = varies(name);
            for body in if endpoint.method() == ApiMethod::Get { &bodies[..1] } else { &bodies[..] } {
                let method = match endpoint.method() {
                    ApiMethod::Get => reqwest::Method::GET,
                    ApiMethod::Post => reqwest::Method::POST,
                };
                let sent = (method != reqwest::Method::GET).then(|| body.clone());
                let answer = site.admin(method, &path, sent).await;
                assert_ne!(answer.status().as_u16(), 500, "{path} {body}");
                drop(answer);
                asked += 1;
            }
            // Nor is there a method that takes something away.
            for method in [reqwest::Method::DELETE, reqwest::Method::PUT, reqwest::Method::PATCH] {
                let answer = site.admin(method.clone(), &path, Some(bodies[1].clone())).await;
                assert_eq!(code(answer).await, ProblemCode::BadRequest, "{method} {path}");
            }
        }
    }
    assert!(asked > 300, "{asked}");
    assert_eq!(seats(&site).await, before);
    let after = summary(&site).await;
    assert_eq!((after.used, after.active, after.reserved), (counted.used, counted.active, counted.reserved));
    let full = site.post_refused("/clients", &json!({ "name": "pc-3" })).await;
    assert_eq!(full.code, ProblemCode::NoSeatFree);
}
