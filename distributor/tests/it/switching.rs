//! What an admin is answered who replaces the site CA, when the server did it by itself, cannot do it, or does something
//! else.

use jiff::SignedDuration;
use sealpost_admin_api::certificates::CertificateView;
use sealpost_manifests::wire::problem::ProblemCode;

use crate::presence::{certificate, settled};
use crate::site::Site;
use crate::vendor::start_vendor;

#[tokio::test]
async fn a_switch_that_fails_says_why_and_one_that_the_server_does_by_itself_is_answered_with_what_it_presents()
 {
    let vendor = start_vendor(3).await;
    let (site, mut agent) = settled(&vendor).await;
    agent.contact(&site).await;
    let view: CertificateView = site.post("/certificate/renew", &serde_json::json!({ "ca": true })).await;
    let next = view.next.unwrap().pin;
    // In the last days of the CA the next one is taken, whoever has not learned it.
    site.clock.forward(view.ca_not_after.duration_since(site.clock.now()) - SignedDuration::from_hours(48));
    let (key, aside) = (site.home().join("tls/ca.key"), site.home().join("tls/aside.key"));
    std::fs::rename(&key, &aside).unwrap();
    std::fs::create_dir(&key).unwrap();
    let nothing = serde_json::json!({});
    let refused = site.post_refused("/certificate/switch", &nothing).await;
    assert_eq!(refused.code, ProblemCode::Internal, "{refused}");
    assert!(refused.message.contains("ca.key"), "{refused}");
    std::fs::remove_dir(&key).unwrap();
    std::fs::rename(&aside, &key).unwrap();
    let view: CertificateView = site.post("/certificate/switch", &nothing).await;
    assert_eq!((view.pin, view.next), (next, None));
}

#[tokio::test]
async fn a_switch_to_a_ca_that_nobody_was_told_of_is_refused_without_talk_of_computers_that_learn_it() {
    let vendor = start_vendor(1).await;
    // Its port changes at each start: there is no list of ways.
    let site = Site::start(&vendor).await;
    let before = certificate(&site).await.pin;
    let _: CertificateView = site.post("/certificate/renew", &serde_json::json!({ "ca": true })).await;
    let refused = site.post_refused("/certificate/switch", &serde_json::json!({})).await;
    assert_eq!(refused.code, ProblemCode::WrongState);
    assert!(
        refused.message.contains("not announced") && !refused.message.contains("0 computers"),
        "{refused}"
    );
    assert_eq!(certificate(&site).await.pin, before);
    let view: CertificateView = site.post("/certificate/switch", &serde_json::json!({ "now": true })).await;
    assert_ne!(view.pin, before);
}
