//! The vendor's root in the server's home, and folders of the home that are gone.

use std::fs;

use sealpost_admin_api::status::Status;
use sealpost_manifests::wire::problem::ProblemCode;

use crate::site::Site;
use crate::vendor::start_vendor;

/// What the server says of its root.
async fn root_warning(site: &Site) -> Option<String> {
    let status: Status = site.get("/status").await;
    let found = status.warnings.into_iter().find(|warning| warning.code == "root_refused");
    found.map(|warning| warning.message)
}

#[tokio::test]
async fn nothing_is_set_up_with_a_root_that_is_damaged_or_another_vendor_s() {
    let (vendor, other) = (start_vendor(10).await, start_vendor(10).await);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    site.reserve("pc-1").await;
    site.setup("pc-1").await;
    assert_eq!(root_warning(&site).await, None);
    let path = site.home().join("root.json");
    let good = fs::read(&path).unwrap();
    let mut site = site;
    for (bad, why) in [
        (b"garbage".to_vec(), "it is damaged or no root"),
        (other.root_bytes().to_vec(), "it is not the root 1"),
    ] {
        fs::write(&path, &bad).unwrap();
        site = site.restart().await;
        let refused = site.post_refused("/clients/pc-1/setup", &serde_json::json!({})).await;
        assert_eq!(refused.code, ProblemCode::WrongState);
        assert!(
            refused.message.contains("root.json") && refused.message.contains(why),
            "{}",
            refused.message
        );
        assert!(refused.hint.contains("put back the root.json"), "{}", refused.hint);
        assert!(root_warning(&site).await.unwrap().contains(why));
    }
    fs::write(&path, &good).unwrap();
    site = site.restart().await;
    site.setup("pc-1").await;
    assert_eq!(root_warning(&site).await, None);
}
