use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use sealpost_keys::SigningKey;
use sealpost_repository::{FolderTransport, MirrorError, Reader, RefreshError, Refusal, Signers};
use sealpost_test_support::clock::days;
use sealpost_test_support::names::{package, target};
use sealpost_test_support::vendor::only;

use crate::{Vendor, add_release, now};

#[tokio::test]
async fn a_mirror_gets_every_pinned_file_byte_for_byte_with_the_timestamp_last() {
    let vendor = Vendor::with_release();
    vendor.release("tools", "7", b"tools", now());
    let store = tempfile::tempdir().unwrap();
    let mut reader = vendor.reader(store.path());
    for _ in 0..2 {
        let files = reader.all_roles(now()).await.unwrap();
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let expected = [
            "1.root.json",
            "1.acme-av.json",
            "1.tools.json",
            "3.targets.json",
            "3.snapshot.json",
            "timestamp.json",
        ];
        assert_eq!(names, expected);
        for file in &files {
            assert_eq!(file.bytes, vendor.read(&file.name), "{}", file.name);
        }
    }
    assert_eq!(reader.packages(), [package("acme-av"), package("tools")]);
}

#[tokio::test]
async fn renewed_roots_reach_computers_through_a_site_s_copy_also_if_the_site_missed_some() {
    let vendor = Vendor::with_release();
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let mut site = vendor.reader(&place("site"));
    site.all_roles(now()).await.unwrap();
    for renewals in [1, 2] {
        // The second time the site missed one in between.
        for _ in 0..renewals {
            vendor.renew_root();
        }
        site.refresh(now()).await.unwrap();
        let copy = place("copy");
        fs::create_dir_all(copy.join("metadata")).unwrap();
        fs::create_dir_all(copy.join("targets")).unwrap();
        for file in site.all_roles(now()).await.unwrap() {
            fs::write(copy.join("metadata").join(&file.name), &file.bytes).unwrap();
        }
    }
    let refreshed = async |name: &str| {
        let transport = Arc::new(FolderTransport::new(&place("copy")));
        let mut reader = Reader::open(&vendor.root_bytes, &place(name), transport).unwrap();
        reader.refresh(now()).await.unwrap().root_version
    };
    assert_eq!(refreshed("computer").await, 4, "from the root that it pinned at the beginning");
    assert_eq!(refreshed("computer").await, 4);
}

#[tokio::test]
async fn a_mirror_gets_nothing_if_one_pinned_role_is_missing_or_changed() {
    let vendor = Vendor::with_release();
    vendor.release("tools", "7", b"tools", now());
    let path = vendor.metadata("1.tools.json");
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    for damaged in [None, Some(bad)] {
        match &damaged {
            None => fs::remove_file(&path).unwrap(),
            Some(bytes) => fs::write(&path, bytes).unwrap(),
        }
        let store = tempfile::tempdir().unwrap();
        let error = vendor.reader(store.path()).all_roles(now()).await.unwrap_err();
        assert!(error.to_string().contains("tools"), "{error}");
        assert!(error.refusal().is_some());
    }
    fs::write(&path, &good).unwrap();
    let store = tempfile::tempdir().unwrap();
    vendor.reader(store.path()).all_roles(now()).await.unwrap();
}

#[tokio::test]
async fn a_damaged_kept_role_stops_the_mirror() {
    let vendor = Vendor::with_release();
    let store = tempfile::tempdir().unwrap();
    vendor.reader(store.path()).all_roles(now()).await.unwrap();
    let kept = store.path().join("roles/acme-av.blob");
    let mut bytes = fs::read(&kept).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&kept, bytes).unwrap();
    let error = vendor.reader(store.path()).all_roles(now()).await.unwrap_err();
    assert!(matches!(error, MirrorError::Store { .. }), "{error}");
}

#[tokio::test]
async fn the_targets_of_a_package_are_listed_and_follow_a_new_release() {
    let vendor = Vendor::with_release();
    let store = tempfile::tempdir().unwrap();
    let mut reader = vendor.reader(store.path());
    reader.all_roles(now()).await.unwrap();
    let listed = reader.package_targets(&package("acme-av"), now()).await.unwrap();
    let names: BTreeSet<&str> = listed.iter().map(|info| info.name().as_str()).collect();
    assert_eq!(names, BTreeSet::from(["acme-av.channels", "acme-av_1.0.0_any.tar.gz"]));
    assert!(listed.iter().all(|info| info.role() == "acme-av"));
    vendor.release("acme-av", "1.0.1", b"payload two", now());
    reader.refresh(now()).await.unwrap();
    assert_eq!(reader.package_targets(&package("acme-av"), now()).await.unwrap().len(), 3);
    assert_eq!(reader.target_bytes(&target("acme-av.channels"), 100, now()).await.unwrap(), b"1.0.1");
    assert!(matches!(
        reader.package_targets(&package("nothing"), now()).await,
        Err(MirrorError::Incomplete { .. })
    ));
}

#[tokio::test]
async fn a_mirror_asks_for_an_unchanged_role_only_once() {
    let vendor = Vendor::with_release();
    let store = tempfile::tempdir().unwrap();
    let mut reader = vendor.reader(store.path());
    reader.all_roles(now()).await.unwrap();
    // Gone at the server; the kept copy is still the pinned one.
    fs::remove_file(vendor.metadata("1.acme-av.json")).unwrap();
    reader.all_roles(now()).await.unwrap();
    assert_eq!(reader.package_targets(&package("acme-av"), now()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_role_with_a_new_key_is_verified_with_that_key() {
    let vendor = Vendor::with_release();
    let store = tempfile::tempdir().unwrap();
    let mut reader = vendor.reader(store.path());
    reader.all_roles(now()).await.unwrap();
    let next = SigningKey::generate().unwrap();
    let mut editor = vendor.editor();
    add_release(&mut editor, &vendor.online, "acme-av", "1.0.1", b"two");
    editor.delegate(&package("acme-av"), &only(&next)).unwrap();
    editor.sign(&Signers::new(&[&vendor.online, &next]), now()).unwrap().publish().unwrap();
    let files = reader.all_roles(now()).await.unwrap();
    assert!(files.iter().any(|file| file.name == "2.acme-av.json"));
}

#[tokio::test]
async fn an_expired_repository_is_not_mirrored() {
    let vendor = Vendor::with_release();
    let store = tempfile::tempdir().unwrap();
    let error = vendor.reader(store.path()).all_roles(now() + days(8)).await.unwrap_err();
    assert!(matches!(&error, MirrorError::Refresh { source: RefreshError::Refused { .. } }));
    assert_eq!(error.refusal(), Some(Refusal::Expired));
}
