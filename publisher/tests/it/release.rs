//! Releases, read back by a stranger; and everything that must not become one.

use std::fs;

use sealpost_manifests::ids::Platform;
use sealpost_manifests::release::{PackageKind, ReleaseId};
use sealpost_publisher::release::{Outcome, ReleaseError};
use sealpost_test_support::clock::days;
use sealpost_test_support::names::{channel, package, release_id, version};

use crate::support::{Home, now, read};

#[tokio::test]
async fn a_release_is_verified_by_a_stranger_from_the_pinned_root() {
    let home = Home::new();
    let released = home.release("acme-av", "1.0", "one").unwrap();
    assert_eq!(released.outcome, Outcome::Published);
    let seen = home.read().await.unwrap();
    let id = release_id(&package("acme-av"), "1.0");
    let manifest = &seen.releases[&id];
    assert_eq!(manifest.counter.0, 1);
    assert_eq!(manifest.notes, "news");
    let paths: Vec<&str> = manifest.files.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["bin/tool", "doc/readme"]);
    assert_eq!(seen.manifests[&id], released.manifest_sha256);
    assert_eq!(seen.channels[&package("acme-av")].channels[&channel("stable")], version("1.0"));
}

#[tokio::test]
async fn counters_rise_per_package_and_channels_follow() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    home.release("other", "1.0", "one").unwrap();
    home.release("acme-av", "1.1", "two").unwrap();
    let seen = home.read().await.unwrap();
    let counter = |name: &str, version: &str| seen.releases[&release_id(&package(name), version)].counter.0;
    assert_eq!((counter("acme-av", "1.0"), counter("acme-av", "1.1"), counter("other", "1.0")), (1, 2, 1));
    assert_eq!(seen.channels[&package("acme-av")].channels[&channel("stable")], version("1.1"));
}

#[tokio::test]
async fn the_same_version_again_is_the_same_release_and_other_content_is_refused() {
    let home = Home::new();
    let first = home.release("acme-av", "1.0", "one").unwrap();
    let later = now() + days(1);
    let again = home.release_as("acme-av", "1.0", "one", PackageKind::Program, later).unwrap();
    assert_eq!(again.outcome, Outcome::PublishedBefore);
    assert_eq!(again.manifest_sha256, first.manifest_sha256);

    let before = home.read().await.unwrap();
    let refused = home.release("acme-av", "1.0", "changed").unwrap_err();
    assert!(refused.to_string().contains("other content"), "{refused}");
    let refused = home.release_as("acme-av", "2", "data", PackageKind::Signatures, now()).unwrap_err();
    assert!(refused.to_string().contains("holds program"), "{refused}");
    assert_eq!(home.read().await.unwrap(), before);
}

#[tokio::test]
async fn a_revision_that_does_not_rise_is_refused() {
    let home = Home::new();
    let signatures =
        |revision: &str| home.release_as("sigs", revision, revision, PackageKind::Signatures, now());
    signatures("27001").unwrap();
    let before = home.read().await.unwrap();
    for revision in ["27000", "1"] {
        let refused = signatures(revision).unwrap_err();
        assert!(refused.to_string().contains("27002"), "{refused}");
    }
    let refused = signatures("1.0").unwrap_err();
    assert!(refused.to_string().contains("whole number"), "{refused}");
    assert_eq!(home.read().await.unwrap(), before);
    signatures("27002").unwrap();
}

#[tokio::test]
async fn two_platforms_of_one_version_are_two_releases() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let mut order = home.order("acme-av", "1.0", "one for another platform");
    order.release = ReleaseId { platform: Platform::new("linux-x86_64").unwrap(), ..order.release };
    home.publish(&order).unwrap();
    let seen = home.read().await.unwrap();
    assert_eq!(seen.releases[&order.release].counter.0, 2);
}

#[tokio::test]
async fn everything_that_a_payload_cannot_hold_is_listed_at_once_and_nothing_is_published() {
    let home = Home::new();
    let before = home.read().await.unwrap();
    let order = home.order("acme-av", "1.0", "one");
    std::os::unix::fs::symlink("/etc/passwd", order.folder.join("outside")).unwrap();
    std::os::unix::fs::symlink("../../outside", order.folder.join("bin/climbing")).unwrap();
    let refused = home.publish(&order).unwrap_err();
    let text = format!("{:#}", anyhow::Error::from(refused));
    assert!(text.contains("outside") && text.contains("bin/climbing"), "{text}");
    assert_eq!(home.read().await.unwrap(), before);
    assert!(!home.path().join("keys/packages").exists(), "no keys were made in vain");
}

#[tokio::test]
async fn a_release_key_that_the_trust_document_does_not_list_is_refused() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    home.release("other", "1.0", "one").unwrap();
    let before = home.read().await.unwrap();
    let keys = home.path().join("keys/packages");
    fs::copy(keys.join("other.release.key"), keys.join("acme-av.release.key")).unwrap();
    let refused = home.release("acme-av", "1.1", "two").unwrap_err();
    assert!(matches!(&refused, ReleaseError::Publication(_)));
    assert!(
        refused.to_string().len() > 5 && format!("{:#}", anyhow::Error::from(refused)).contains("not listed")
    );

    fs::copy(keys.join("other.role.key"), keys.join("acme-av.role.key")).unwrap();
    assert!(home.set_channel("acme-av", "x", "1.0", now()).is_err());
    assert_eq!(home.read().await.unwrap(), before);
}

#[tokio::test]
async fn a_repository_that_was_tampered_with_is_not_built_upon() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let manifest = home.target_file(".manifest");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"counter\":1", "\"counter\":9")).unwrap();
    assert!(matches!(home.release("acme-av", "1.1", "two"), Err(ReleaseError::Publication(_))));
}

#[tokio::test]
async fn a_channel_points_only_at_what_was_released() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    home.release("acme-av", "1.1", "two").unwrap();
    let set = |name: &str, to: &str| home.set_channel(name, "early", to, now());
    assert!(matches!(set("acme-av", "3.0"), Err(ReleaseError::Channel { .. })));
    assert!(matches!(set("nothing", "1.0"), Err(ReleaseError::Channel { .. })));
    assert_eq!(set("acme-av", "1.1").unwrap().lower_than, None);
    assert_eq!(set("acme-av", "1.0").unwrap().lower_than, Some(version("1.1")));
    let seen = home.read().await.unwrap();
    let channels = &seen.channels[&package("acme-av")].channels;
    assert_eq!(
        (&channels[&channel("stable")], &channels[&channel("early")]),
        (&version("1.1"), &version("1.0"))
    );
}

#[test]
fn two_publishers_at_once_take_turns() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let folders: Vec<_> = (0..4)
        .map(|number| {
            let folder = home.folder.path().join(format!("content-{number}"));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("file"), number.to_string()).unwrap();
            folder
        })
        .collect();
    let counters: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = folders
            .into_iter()
            .enumerate()
            .map(|(number, folder)| {
                let mut order = home.order("acme-av", &format!("2.{number}"), "");
                order.folder = folder;
                let home = &home;
                scope.spawn(move || home.publish(&order).unwrap().counter.0)
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut sorted = counters;
    sorted.sort_unstable();
    assert_eq!(sorted, [2, 3, 4, 5]);
}

#[test]
fn a_name_that_no_file_system_takes_is_refused_before_anything_is_built() {
    let home = Home::new();
    let mut order = home.order(&"p".repeat(64), &"1".repeat(64), "one");
    order.release.platform = Platform::new("x".repeat(50)).unwrap();
    let refused = home.publish(&order).unwrap_err();
    assert!(refused.to_string().contains("too long together"), "{refused}");
    order.release.platform = Platform::new("x".repeat(40)).unwrap();
    home.publish(&order).unwrap();
}

#[tokio::test]
async fn a_release_outlives_its_metadata_and_a_stranger_sees_the_end() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let refused = read(&home.repository(), &home.root(), now() + days(8)).await.unwrap_err();
    assert!(refused.contains("expired"), "{refused}");
}
