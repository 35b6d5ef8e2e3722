//! A license authority that answers anything: what is believed of an answer that nobody signed.

use sealpost_admin_api::licenses::Registered;
use sealpost_admin_api::status::Status;
use sealpost_distributor::home::Home;
use sealpost_keys::{PassphraseSource, SigningKey};
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::{SerialNumber, ServerId};
use sealpost_manifests::log::LogHead;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::sync::RegisterAnswer;
use sealpost_test_support::license::{registration, serial, terms};
use sealpost_test_support::vendor_server::ServedVendor;
use sealpost_test_support::web::Fault;

use crate::program::run;
use crate::site::Site;
use crate::vendor::start_vendor;

async fn vendor_and_site() -> (ServedVendor, Site) {
    let vendor = start_vendor(3).await;
    let site = Site::start(&vendor).await;
    site.pull().await;
    (vendor, site)
}

fn body() -> serde_json::Value {
    serde_json::json!({ "serial": serial() })
}

fn answer(status: u16, code: &str, message: &str) -> Fault {
    let problem =
        serde_json::json!({ "code": code, "message": message, "hint": message, "seats": 1_000_000 });
    Fault::Answer(status, serde_json::to_vec(&problem).unwrap())
}

#[tokio::test]
async fn an_answer_that_is_none_of_a_license_authority_leaves_the_code_to_go_by_hand() {
    let (vendor, site) = vendor_and_site().await;
    let long = format!("{{\"grant\":\"{}\"}}", "x".repeat(300 * 1024));
    for (fault, says) in [
        (Fault::Endless, "far too long"),
        (Fault::Content(long.into_bytes()), "far too long"),
        (Fault::Content(b"<html>welcome</html>".to_vec()), "no license authority"),
        (Fault::Content(vec![0xff; 64]), "no license authority"),
        (Fault::Content(b"{\"grant\":{\"document\":7}}".to_vec()), "no license authority"),
        (Fault::Answer(500, b"<html>".to_vec()), "500"),
        (Fault::Redirect("http://127.0.0.1:9/".to_owned()), "30"),
        (answer(403, "moon_phase", "wait for the new moon"), "wait for the new moon"),
        (answer(503, "busy", "\u{1b}[2Jlater"), "later"),
    ] {
        vendor.answer_next_registration(fault.clone());
        let registered: Registered = site.post("/register", &body()).await;
        let Registered::Code { reason: Some(reason), .. } = registered else {
            panic!("{fault:?}: {registered:?}")
        };
        assert!(reason.contains(says) && !reason.contains('\u{1b}'), "{says:?} is not in {reason:?}");
        let status: Status = site.get("/status").await;
        assert!(status.licenses.is_empty(), "{fault:?}");
    }
    let registered: Registered = site.post("/register", &body()).await;
    assert!(matches!(registered, Registered::Granted { .. }), "an honest answer is taken: {registered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusals_texts_are_cut_and_shown_without_their_control_characters() {
    let (vendor, site) = vendor_and_site().await;
    let hostile = format!("no\u{1b}]0;owned\u{7}\u{202e}{}", "x".repeat(100_000));
    vendor.answer_next_registration(answer(403, "serial_bound", &hostile));
    let problem: Problem = site.post_refused("/register", &body()).await;
    assert_eq!(problem.code, ProblemCode::SerialBound);
    for text in [&problem.message, &problem.hint] {
        assert!(text.starts_with("no") && text.len() <= 2_000, "{} bytes", text.len());
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    vendor.answer_next_registration(answer(403, "serial_bound", &hostile));
    let home = site.home();
    let told =
        tokio::task::spawn_blocking(move || run(&home, &["register", serial().as_str()])).await.unwrap();
    assert!(!told.status.success());
    let said = String::from_utf8([told.stdout, told.stderr].concat()).unwrap();
    assert!(said.contains("serial_bound") && said.len() < 5_000, "{said}");
    assert!(!said.chars().any(|one| one != '\n' && (one.is_control() || one == '\u{202e}')), "{said:?}");
}

#[tokio::test]
async fn a_grant_for_another_server_or_of_another_key_is_refused_though_it_came_from_the_vendor() {
    let (vendor, site) = vendor_and_site().await;
    let (server_id, other_key) = (site.server.ledger().server_id(), SigningKey::generate().unwrap());
    let other_server = ServerId::from_random([9; 16]);
    let site_key = Home::at(site.home()).read_site_key(&PassphraseSource::None).unwrap();
    let another = SerialNumber::from_random([9; 19]);
    let forged = terms(&registration(&serial(), &server_id, &other_key), 3, site.clock.now());
    let grants: [SignedDocument; 4] = [
        vendor.grant(&registration(&serial(), &other_server, &other_key), 3),
        vendor.grant(&registration(&serial(), &server_id, &other_key), 3),
        SignedDocument::sign(&forged, &other_key).unwrap(),
        // Another serial number than was asked for, of this very server.
        vendor.grant(&registration(&another, &server_id, &site_key), 3),
    ];
    for grant in grants {
        let answer = serde_json::to_vec(&RegisterAnswer { grant, renewable_from: None }).unwrap();
        vendor.answer_next_registration(Fault::Content(answer));
        let problem = site.post_refused("/register", &body()).await;
        assert_eq!(problem.code, ProblemCode::GrantRefused, "{problem}");
        let status: Status = site.get("/status").await;
        assert!(status.licenses.is_empty() && status.ledger_head != LogHead::empty());
    }
}
