//! A stop after each file that a publication writes: readers see the old repository or the new one, and the same
//! command again completes it.

use std::fs;
use std::path::PathBuf;

use sealpost_manifests::release::AttachmentKind;
use sealpost_publisher::lint::lint;
use sealpost_publisher::release::{AttachmentOrder, Order, ReleaseError, Released};
use sealpost_publisher::renewal::{Urgency, renew};
use sealpost_test_support::clock::days;
use sealpost_test_support::folders::copy_tree;
use sealpost_test_support::names::{package, release_id};

use crate::support::{Home, now, read};

/// The home as it is after `change`, but with only the first `count` of the written files published.
fn stopped(before: &Home, after: &Home, written: &[PathBuf], count: usize) -> Home {
    let home = after.copied();
    fs::remove_dir_all(home.repository()).unwrap();
    copy_tree(&before.repository(), &home.repository()).unwrap();
    for file in written.iter().take(count) {
        fs::copy(after.repository().join(file), home.repository().join(file)).unwrap();
    }
    // What a kill in the middle of the next file leaves behind.
    fs::write(home.repository().join("targets/.unfinished-x"), "half").unwrap();
    fs::write(home.repository().join("metadata/.unfinished-y"), "half").unwrap();
    home
}

/// A release with these documents beside it, each of which holds its own name.
fn release(home: &Home, number: &str, documents: &[&str]) -> Result<Released, ReleaseError> {
    let attachments = documents.iter().map(|name| {
        let file = home.folder.path().join(name);
        fs::write(&file, name).unwrap();
        AttachmentOrder { kind: AttachmentKind::Spdx, file }
    });
    home.publish(&Order { attachments: attachments.collect(), ..home.order("acme-av", number, number) })
}

async fn every_stop_is_old_or_new_and_a_rerun_completes(releases: &[&str], documents: &[&str]) {
    let home = Home::new();
    let (last, first) = releases.split_last().unwrap();
    for number in first {
        release(&home, number, documents).unwrap();
    }
    let before = home.copied();
    let old = before.read().await.unwrap();
    let released = release(&home, last, documents).unwrap();
    let new = home.read().await.unwrap();
    assert_ne!(old, new);
    assert!(released.written.len() >= 7, "{:?}", released.written);
    assert_eq!(released.written.last().unwrap(), &PathBuf::from("metadata/timestamp.json"));

    for count in 0..=released.written.len() {
        let stopped = stopped(&before, &home, &released.written, count);
        let seen = stopped.read().await.unwrap_or_else(|error| panic!("stop after {count}: {error}"));
        let expected = if count == released.written.len() { &new } else { &old };
        assert_eq!(&seen, expected, "stop after {count}");

        release(&stopped, last, documents).unwrap_or_else(|error| panic!("rerun after {count}: {error}"));
        let completed = stopped.read().await.unwrap();
        let id = release_id(&package("acme-av"), last);
        assert_eq!(completed.releases[&id].files, new.releases[&id].files, "rerun after {count}");
        assert_eq!(completed.releases[&id].counter, new.releases[&id].counter, "rerun after {count}");
        assert_eq!(completed.channels[&package("acme-av")], new.channels[&package("acme-av")]);
        let report = lint(&stopped.repository(), &stopped.root(), None, now()).await.unwrap();
        assert_eq!(report.findings, [], "rerun after {count}");
    }
}

#[tokio::test]
async fn a_first_release_that_is_stopped_anywhere_is_completed_by_the_same_command() {
    every_stop_is_old_or_new_and_a_rerun_completes(&["1.0"], &[]).await;
}

#[tokio::test]
async fn a_later_release_that_is_stopped_anywhere_is_completed_by_the_same_command() {
    every_stop_is_old_or_new_and_a_rerun_completes(&["1.0", "1.1"], &[]).await;
}

#[tokio::test]
async fn a_release_with_documents_that_is_stopped_anywhere_is_completed_by_the_same_command() {
    every_stop_is_old_or_new_and_a_rerun_completes(&["1.0", "1.1"], &["sbom.json", "origin.json"]).await;
}

#[tokio::test]
async fn a_first_release_that_is_stopped_between_its_two_keys_is_completed() {
    let home = Home::new();
    let other = Home::new();
    other.release("acme-av", "1.0", "one").unwrap();
    let keys = home.path().join("keys/packages");
    fs::create_dir_all(&keys).unwrap();
    fs::copy(other.path().join("keys/packages/acme-av.role.key"), keys.join("acme-av.role.key")).unwrap();
    home.release("acme-av", "1.0", "one").unwrap();
    home.read().await.unwrap();
    let role = fs::read(keys.join("acme-av.role.key")).unwrap();
    assert_eq!(role, fs::read(other.path().join("keys/packages/acme-av.role.key")).unwrap());
}

#[tokio::test]
async fn a_payload_that_an_interrupted_build_left_is_removed() {
    let home = Home::new();
    let staging = home.vendor().staging();
    fs::create_dir(&staging).unwrap();
    fs::write(staging.join("left"), "half a payload").unwrap();
    home.release("acme-av", "1.0", "one").unwrap();
    assert_eq!(fs::read_dir(&staging).unwrap().count(), 0);
}

#[tokio::test]
async fn a_refresh_after_a_stopped_release_publishes_nothing_of_it() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let before = home.copied();
    let released = home.release("acme-av", "1.1", "two").unwrap();
    let stopped = stopped(&before, &home, &released.written, released.written.len() - 1);
    renew(&stopped.vendor(), &stopped.keyring(), Urgency::Now, now() + days(1), || {}).unwrap();
    let seen = read(&stopped.repository(), &stopped.root(), now() + days(1)).await.unwrap();
    assert!(!seen.releases.contains_key(&release_id(&package("acme-av"), "1.1")));
    stopped.release("acme-av", "1.1", "two").unwrap();
    let seen = stopped.read().await.unwrap();
    assert_eq!(seen.releases[&release_id(&package("acme-av"), "1.1")].counter.0, 2);
}
