//! The frozen form of each metadata file. A file that was published once must be readable for ever.

use sealpost_repository::{Lifetimes, RepositoryEditor, RoleName, Signers, tuf_key_id};
use sealpost_test_support::clock::days;
use sealpost_test_support::names::{package, target};
use sealpost_test_support::vendor::{only, root_spec};
use std::fs;
use std::path::PathBuf;

use crate::{Folder, Vendor, bytes, now, online_key, package_role, root_key};

const FILES: [&str; 5] =
    ["1.root.json", "1.targets.json", "1.acme-av.json", "1.snapshot.json", "timestamp.json"];

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn golden_repository() -> Vendor {
    let (folder, root, online) = (Folder::new(), root_key(), online_key());
    let mut editor =
        RepositoryEditor::create(folder.path(), &root_spec(&root, &online), Lifetimes::default()).unwrap();
    let keys = only(&online);
    editor.delegate(&package("acme-av"), &keys).unwrap();
    editor.put_target(&RoleName::Targets, &target("trust.json"), bytes(b"trust")).unwrap();
    for (name, content) in
        [("acme-av.channels", "channels"), ("acme-av_1.0.0_linux-x86_64.manifest", "manifest")]
    {
        editor.put_target(&package_role("acme-av"), &target(name), bytes(content.as_bytes())).unwrap();
    }
    let signed = editor.sign(&Signers::new(&[&root, &online]), now()).unwrap();
    let root_bytes = signed.root_bytes().unwrap().to_vec();
    signed.publish().unwrap();
    Vendor { folder, root, online, root_bytes }
}

/// With `UPDATE_GOLDEN=1` the files are written instead; look at the difference before you commit it.
#[test]
fn each_metadata_file_is_written_as_it_always_was() {
    let vendor = golden_repository();
    for name in FILES {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(golden(name), vendor.read(name)).unwrap();
        }
        let expected = fs::read_to_string(golden(name)).unwrap();
        assert_eq!(String::from_utf8(vendor.read(name)).unwrap(), expected, "{name}");
    }
}

/// A repository of the golden files.
fn frozen_repository() -> Vendor {
    let mut vendor = Vendor::new();
    fs::remove_dir_all(vendor.path().join("metadata")).unwrap();
    fs::create_dir(vendor.path().join("metadata")).unwrap();
    for name in FILES {
        fs::copy(golden(name), vendor.metadata(name)).unwrap();
    }
    vendor.root_bytes = vendor.read("1.root.json");
    vendor
}

/// As other tools write it. The frozen file also is what this program wrote before it said when.
#[tokio::test]
async fn a_timestamp_that_does_not_say_when_it_was_signed_is_read_and_the_next_one_says_it() {
    let vendor = frozen_repository();
    fs::copy(golden("timestamp-without-time.json"), vendor.metadata("timestamp.json")).unwrap();
    let store = tempfile::tempdir().unwrap();
    let mut reader = vendor.reader(store.path());
    assert_eq!(reader.refresh(now()).await.unwrap().signed_at, None);
    vendor.renew(&RoleName::Timestamp, now() + days(1));
    let refreshed = reader.refresh(now() + days(1)).await.unwrap();
    assert_eq!(refreshed.signed_at, Some("2026-01-16T08:30:00Z".parse().unwrap()));
}

#[tokio::test]
async fn the_golden_repository_is_read_and_edited() {
    let vendor = frozen_repository();
    let store = tempfile::tempdir().unwrap();
    let mut reader = vendor.reader(store.path());
    reader.refresh(now()).await.unwrap();
    assert!(reader.target(&target("acme-av.channels"), now()).await.unwrap().is_some());
    let editor = vendor.editor();
    let listed: Vec<&str> = editor.targets(&package_role("acme-av")).map(|(name, ..)| name).collect();
    assert_eq!(listed, ["acme-av.channels", "acme-av_1.0.0_linux-x86_64.manifest"]);
}

#[test]
fn metadata_has_no_nulls_no_fractions_and_ids_as_the_reference_implementation_computes_them() {
    let vendor = golden_repository();
    for name in FILES {
        let text = String::from_utf8(vendor.read(name)).unwrap();
        assert!(!text.contains("null"), "{name}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expires = value["signed"]["expires"].as_str().unwrap();
        assert!(expires.len() == 20 && expires.ends_with('Z'), "{name}: {expires}");
        assert!(
            value["signatures"][0]["keyid"].as_str().unwrap() == tuf_key_id(&vendor.online.public())
                || name == "1.root.json"
        );
    }
}
