//! A serial number that the vendor ended, as an admin meets it on the command line; and that programs read JSON and nothing else.

use jiff::SignedDuration;
use sealpost_admin_api::status::Status;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, Registration};
use sealpost_manifests::ids::SerialNumber;

use sealpost_manifests::text_code;
use sealpost_test_support::license::serial;
use sealpost_test_support::names::package;

use crate::agent::Agent;
use crate::enrollment::registration;
use crate::program::{json, parts, refused, run, stdout, typed};
use crate::seats::{next, unlock};
use crate::site::Site;
use crate::vendor::start_vendor;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_a_seat_of_an_ended_serial_number_alone_is_named_wherever_an_admin_looks() {
    let vendor = start_vendor(5).await;
    let site = Site::start(&vendor).await;
    let asks = registration(&site).await;
    unlock(&site, &vendor, next(&site, &asks, 1, 5)).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    agent.contact(&site).await;
    site.reserve("pc-2").await;
    typed(&site, |home| {
        let (code, said, told) = parts(&run(home, &["clients", "list"]));
        assert!(code == Some(0) && said.contains("SERIALS") && told == "2 computers\n", "{told}");
    })
    .await;
    let end = site.clock.now() + SignedDuration::from_hours(24);
    unlock(&site, &vendor, Grant { not_after: end, ends_at: Some(end), ..next(&site, &asks, 2, 5) }).await;
    site.clock.forward(SignedDuration::from_hours(48));
    let again = Grant { not_after: end, ends_at: Some(end), ..next(&site, &asks, 3, 5) };
    let again = text_code::encode(&SignedDocument::sign(&again, &vendor.license_key).unwrap());
    typed(&site, move |home| {
        let told = refused(home, &["clients", "reserve", "pc-1"]);
        assert!(
            told.contains("pc-1 holds a seat of the serial number") && told.contains("--serial SERIAL"),
            "{told}"
        );
        let (_, _, told) = parts(&run(home, &["clients", "list"]));
        assert!(told.contains("2 computers hold seats of ended serial numbers alone"), "{told}");
        let out = home.join("pc-2.setup.json");
        let (code, _, told) =
            parts(&run(home, &["clients", "setup", "pc-2", "--out", out.to_str().unwrap()]));
        assert!(
            code == Some(0) && told.contains("pc-2 holds a seat of an ended serial number alone"),
            "{told}"
        );
        let folder = home.join("setups");
        let many = ["clients", "setup", "pc-1", "pc-2", "--again", "--folder", folder.to_str().unwrap()];
        let (code, _, told) = parts(&run(home, &many));
        assert!(
            code == Some(0) && told.contains("2 of these computers (first pc-1) hold seats of ended"),
            "{told}"
        );

        let (code, said, told) = parts(&run(home, &["unlock", &again]));
        assert!(code == Some(0) && said.contains("5 seats (named), 2 used\n"), "{said}{told}");
        assert!(!said.contains("good until") && told.contains("the vendor ended it at"), "{said}{told}");
        assert_eq!(format!("{said}{told}").matches("the vendor ended it at").count(), 1, "{said}{told}");

        let shown = stdout(home, &["clients", "show", "pc-1"]);
        assert!(
            shown.contains("; the vendor ended it at ") && !shown.contains("gives new licenses"),
            "{shown}"
        );
        assert!(shown.contains("`distributor clients reserve pc-1 --serial SERIAL`"), "{shown}");
        let listed = json(home, &["clients", "list", "--json"]);
        assert!(
            listed["clients"].as_array().unwrap().iter().all(|one| one["serial_ended"].is_string()),
            "{listed}"
        );
        let csv = stdout(home, &["clients", "list", "--csv"]);
        let lines: Vec<&str> = csv.lines().collect();
        assert!(lines[0].ends_with(",packages,serial_ended") && lines[1].ends_with('Z'), "{csv}");

        stdout(home, &["groups", "add", "lab", "--why", "the laboratory"]);
        stdout(home, &["groups", "members", "lab", "--add", "pc-2"]);
        let file = home.join("names.csv");
        std::fs::write(&file, "name\npc-1\nPC-2.\n").unwrap();
        let verify = [
            "clients",
            "verify",
            "--group",
            "lab",
            "--from",
            file.to_str().unwrap(),
            "--wait",
            "0s",
            "--json",
        ];
        let (code, said, told) = parts(&run(home, &verify));
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let names: Vec<_> =
            said["computers"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!((code, names), (Some(1), vec!["pc-1", "pc-2"]), "each once: {told}");
        assert!(said["computers"][0]["serial_ended"].is_string(), "{said}");
        std::fs::write(&file, "no name\n").unwrap();
        let told = refused(home, &["clients", "verify", "--from", file.to_str().unwrap()]);
        assert!(told.contains("line 1: \"no name\" is not a valid computer name"), "{told}");
        // The rest is done.
        std::fs::write(&file, "pc-1\nno name\npc-2\n").unwrap();
        let some = ["clients", "verify", "--from", file.to_str().unwrap(), "--wait", "0s", "--json"];
        let (code, said, told) = parts(&run(home, &some));
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((code, said["computers"].as_array().unwrap().len()), (Some(1), 2), "{said}{told}");
        assert_eq!(said["refused"][0]["line"], 2, "{said}");
        assert!(told.contains("line 2: "), "{told}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_serial_number_that_ended_is_no_trouble_once_each_of_its_computers_holds_a_seat_that_lasts_longer()
{
    let vendor = start_vendor(5).await;
    let site = Site::start(&vendor).await;
    let asks = registration(&site).await;
    let end = site.clock.now() + SignedDuration::from_hours(24);
    let ends = |generation| Grant { not_after: end, ends_at: Some(end), ..next(&site, &asks, generation, 5) };
    unlock(&site, &vendor, ends(1)).await;
    for name in ["pc-1", "pc-2"] {
        site.reserve(name).await;
    }
    let second = SerialNumber::from_random([7; 19]);
    let other = Registration { serial: second.clone(), ..asks.clone() };
    // What covers less does not stand in for it.
    let narrow = Grant { packages: vec![package("acme-cad")], ..next(&site, &other, 1, 5) };
    unlock(&site, &vendor, narrow).await;
    let holds = async |name: &str| {
        let wanted = serde_json::json!({ "name": name, "serial": second });
        let _: serde_json::Value = site.post("/clients", &wanted).await;
    };
    holds("pc-1").await;
    let said = async || {
        let status: Status = site.get("/status").await;
        let of_it = |message: &str| message.starts_with(&format!("the serial number {} ", asks.serial));
        let found = status.warnings.into_iter().find(|warning| of_it(&warning.message));
        found.map(|warning| (warning.level, warning.message))
    };
    let (level, message) = said().await.unwrap();
    assert!(level == "urgent" && message.contains("the vendor said so"), "{message}");
    unlock(&site, &vendor, next(&site, &other, 2, 5)).await;
    let (level, message) = said().await.unwrap();
    assert!(level == "urgent" && message.contains("1 of its computers holds no seat"), "{message}");
    assert!(message.contains("(pc-2)") && message.contains("`distributor register SERIAL`"), "{message}");
    holds("pc-2").await;
    let (level, message) = said().await.unwrap();
    assert!(level == "notice" && message.contains("nothing has to be done"), "{message}");
    site.clock.forward(SignedDuration::from_hours(48));
    assert_eq!(said().await, None, "nobody is hurt");
    let shown = typed(&site, |home| stdout(home, &["status"])).await;
    assert!(shown.contains("the vendor ended it at"), "the summary goes on showing it: {shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_json_standard_output_is_one_document_whatever_is_told_beside_it() {
    let vendor = start_vendor(9).await;
    let site = Site::start(&vendor).await;
    typed(&site, |home| {
        let (_, said, told) = parts(&run(home, &["register", serial().as_ref(), "--json"]));
        assert!(serde_json::from_str::<serde_json::Value>(&said).is_ok(), "{said}{told}");
    })
    .await;
    let _computer = Agent::licensed(&site, "pc-1").await;
    typed(&site, |home| {
        stdout(home, &["groups", "add", "lab", "--why", "the laboratory"]);
        let (serial, out) = (serial().to_string(), home.join("pc-2.setup.json"));
        let folder = home.join("setups");
        let (out, folder) = (out.to_str().unwrap(), folder.to_str().unwrap());
        let commands: [&[&str]; 15] = [
            &["clients", "reserve", "pc-2", "--group", "lab"],
            &["clients", "reserve", "pc-3", "no name", "pc-4"],
            &["clients", "list"],
            &["clients", "list", "--state", "contact_lost"],
            &["clients", "list", "--sort=-state"],
            &["clients", "list", "--runs"],
            &["clients", "show", "pc-1"],
            &["clients", "verify", "pc-1", "pc-9", "--wait", "0s"],
            &["clients", "channel", "pc-2", "stable"],
            &["clients", "group", "pc-2"],
            &["clients", "setup", "pc-2", "--out", out],
            &["clients", "setup", "pc-2", "pc-9", "--folder", folder],
            &["clients", "setups", "--unused"],
            &["register", &serial, "--offline"],
            &["status"],
        ];
        for command in commands {
            let (_, said, told) = parts(&run(home, &[command, &["--json"]].concat()));
            let read = serde_json::from_str::<serde_json::Value>(&said);
            assert!(read.is_ok(), "{command:?}: {said}{told}");
        }
        // What is refused is told, as JSON too.
        for (command, status) in [(["clients", "show", "pc-9"], 1), (["clients", "reserve", "a b"], 2)] {
            let (code, said, told) = parts(&run(home, &[&command[..], &["--json"]].concat()));
            assert_eq!((code, said.as_str()), (Some(status), ""), "{command:?}");
            assert!(serde_json::from_str::<serde_json::Value>(&told).is_ok(), "{command:?}: {told}");
        }
    })
    .await;
}
