//! The vendor's root in the server's home, and folders of the home that are gone.

use std::fs;

use sealpost_admin_api::status::Status;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::rules::release::ReleaseState;

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

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_the_home_that_are_gone_are_made_anew_by_the_next_pull() {
    let vendor = start_vendor(10).await;
    let old = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    site.approve(old).await;
    for (number, gone) in ["mirror", "downloads", "blobs", "staging", "tuf"].into_iter().enumerate() {
        let path = site.home().join(gone);
        if gone == "mirror" {
            // The folder itself stays.
            for entry in fs::read_dir(&path).unwrap() {
                let path = entry.unwrap().path();
                let is_folder = path.is_dir() && !path.is_symlink();
                if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
            }
        } else {
            fs::remove_dir_all(&path).unwrap();
        }
        let manifest = vendor.release(&format!("2.{number}"), &[("engine", gone.as_bytes())]);
        site.pull().await;
        assert!(path.is_dir(), "{gone}");
        let updates = site.updates().await.updates;
        let row = updates.iter().find(|row| row.manifest == manifest);
        assert_eq!(row.map(|row| row.state), Some(ReleaseState::Staged), "{gone}");
        let status: Status = site.get("/status").await;
        let damage = status.warnings.iter().find(|warning| warning.code.ends_with("damaged"));
        assert_eq!(damage.map(|warning| &warning.message), None, "{gone}");
    }
}
