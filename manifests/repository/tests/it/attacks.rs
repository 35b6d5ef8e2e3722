//! One test per attack; each also asserts that what was trusted before still is, or that nothing is.

use std::fs;
use std::sync::Arc;

use sealpost_keys::SigningKey;
use sealpost_repository::{
    FolderTransport, Lifetimes, OpenError, Reader, RefreshError, Refusal, RepositoryEditor, RoleName,
    SignError, Signers, StoreError, TargetError, TargetPath, Transport, TransportError,
};
use sealpost_test_support::clock::days;
use sealpost_test_support::names::{package, target};
use sealpost_test_support::vendor::{only, root_spec};

use crate::{Folder, Vendor, add_release, bytes, now, package_role, root_key};

fn refusal(result: Result<impl Sized, RefreshError>) -> Refusal {
    result.map(|_| ()).unwrap_err().refusal().unwrap()
}

#[tokio::test]
async fn rolled_back_metadata_is_refused_by_the_same_reader_and_after_a_restart() {
    let vendor = Vendor::with_release();
    let old = vendor.read("timestamp.json");
    vendor.release("acme-av", "1.0.1", b"payload two", now());
    let store = tempfile::tempdir().unwrap();
    let mut reader = vendor.reader(store.path());
    let trusted = reader.refresh(now()).await.unwrap();
    fs::write(vendor.metadata("timestamp.json"), &old).unwrap();
    assert_eq!(refusal(reader.refresh(now()).await), Refusal::RolledBack);
    drop(reader);
    let mut restarted = vendor.reader(store.path());
    assert_eq!(refusal(restarted.refresh(now()).await), Refusal::RolledBack);
    // Under a timestamp with a higher version the older snapshot is still a rollback.
    vendor.renew(&RoleName::Timestamp, now());
    assert_eq!(vendor.renew(&RoleName::Timestamp, now()).timestamp_version, trusted.timestamp_version + 1);
    assert_eq!(refusal(restarted.refresh(now()).await), Refusal::RolledBack);
    assert_eq!(trusted.timestamp_version, 3);
}

#[tokio::test]
async fn a_signing_time_that_the_owner_did_not_sign_says_nothing() {
    let vendor = Vendor::with_release();
    let (store, fresh) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut reader = vendor.reader(store.path());
    let trusted = reader.refresh(now()).await.unwrap();
    let later = vendor.renew(&RoleName::Timestamp, now()).timestamp_version;
    let text = String::from_utf8(vendor.read("timestamp.json")).unwrap();
    let signed = r#""x-sealpost-signed-at":"2026-01-15T08:30:00Z""#;
    for forged in [r#""x-sealpost-signed-at":"2026-01-22T08:30:00Z""#, r#""x-other":1"#] {
        assert_eq!(text.matches(signed).count(), 1, "{text}");
        fs::write(vendor.metadata("timestamp.json"), text.replace(signed, forged)).unwrap();
        assert_eq!(refusal(reader.refresh(now()).await), Refusal::UnderSigned);
        assert_eq!(refusal(vendor.reader(fresh.path()).refresh(now()).await), Refusal::UnderSigned);
    }
    fs::write(vendor.metadata("timestamp.json"), &text).unwrap();
    let refreshed = reader.refresh(now()).await.unwrap();
    assert_eq!((refreshed.timestamp_version, refreshed.signed_at), (later, trusted.signed_at));
}

#[tokio::test]
async fn a_bit_flipped_in_the_cached_timestamp_does_not_let_a_rollback_through() {
    let vendor = Vendor::with_release();
    let old = vendor.read("timestamp.json");
    vendor.release("acme-av", "1.0.1", b"payload two", now());
    let store = tempfile::tempdir().unwrap();
    vendor.reader(store.path()).refresh(now()).await.unwrap();
    let cached = store.path().join("timestamp.blob");
    let good = fs::read(&cached).unwrap();
    fs::write(vendor.metadata("timestamp.json"), &old).unwrap();
    for at in [0, good.len() / 2, good.len() - 1] {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        fs::write(&cached, &flipped).unwrap();
        let mut reader = vendor.reader(store.path());
        let error = reader.refresh(now()).await.unwrap_err();
        assert!(
            matches!(&error, RefreshError::Store { source } if matches!(**source, StoreError::Damaged { .. }))
        );
        assert_eq!(error.refusal(), Some(Refusal::StoreFailed));
        // Nothing was learned, and nothing can be used.
        assert_eq!(fs::read(&cached).unwrap(), flipped);
        assert!(matches!(reader.target(&target("trust.json"), now()).await, Err(TargetError::Store { .. })));
        assert!(reader.failure().is_some());
    }
    fs::write(&cached, &good).unwrap();
    assert_eq!(refusal(vendor.reader(store.path()).refresh(now()).await), Refusal::RolledBack);
}

#[tokio::test]
async fn a_bit_flipped_in_any_cached_file_is_found_and_nothing_is_trusted() {
    let vendor = Vendor::with_release();
    let store = tempfile::tempdir().unwrap();
    vendor.reader(store.path()).refresh(now()).await.unwrap();
    for name in ["snapshot.blob", "targets.blob"] {
        let path = store.path().join(name);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 0x10;
        fs::write(&path, &bad).unwrap();
        assert_eq!(refusal(vendor.reader(store.path()).refresh(now()).await), Refusal::StoreFailed, "{name}");
        fs::write(&path, &good).unwrap();
    }
    vendor.reader(store.path()).refresh(now()).await.unwrap();
}

#[tokio::test]
async fn a_store_that_cannot_be_written_makes_the_refresh_fail() {
    let vendor = Vendor::with_release();
    let store = tempfile::tempdir().unwrap();
    let mut reader = vendor.reader(store.path());
    // A folder in the place of the file: the core would only log that it could not store the timestamp.
    fs::create_dir(store.path().join("timestamp.blob")).unwrap();
    assert_eq!(refusal(reader.refresh(now()).await), Refusal::StoreFailed);
    assert_eq!(refusal(reader.refresh(now()).await), Refusal::StoreFailed);
}

#[tokio::test]
async fn files_of_different_times_are_refused() {
    let vendor = Vendor::with_release();
    vendor.release("acme-av", "1.0.1", b"payload two", now());
    let store = tempfile::tempdir().unwrap();
    let (older, newer) = (vendor.read("2.snapshot.json"), vendor.metadata("3.snapshot.json"));
    fs::write(newer, older).unwrap();
    assert_eq!(refusal(vendor.reader(store.path()).refresh(now()).await), Refusal::Mixed);
}

#[tokio::test]
async fn under_signed_metadata_is_refused() {
    let vendor = Vendor::with_release();
    let stranger = SigningKey::generate().unwrap();
    let forged = Folder::new();
    let mut editor =
        RepositoryEditor::create(forged.path(), &root_spec(&root_key(), &stranger), Lifetimes::default())
            .unwrap();
    add_release(&mut editor, &stranger, "acme-av", "6.6.6", b"evil");
    editor.sign(&Signers::new(&[&root_key(), &stranger]), now()).unwrap().publish().unwrap();
    let store = tempfile::tempdir().unwrap();
    fs::copy(forged.path().join("metadata/timestamp.json"), vendor.metadata("timestamp.json")).unwrap();
    assert_eq!(refusal(vendor.reader(store.path()).refresh(now()).await), Refusal::UnderSigned);
}

#[tokio::test]
async fn a_changed_byte_in_each_file_of_the_repository_is_refused() {
    let vendor = Vendor::with_release();
    for name in ["timestamp.json", "2.snapshot.json", "2.targets.json", "1.acme-av.json"] {
        let good = vendor.read(name);
        let mut bad = good.clone();
        // Inside of what is signed, and still JSON.
        let at = good.windows(9).position(|window| window == b"\"expires\"").unwrap() + 14;
        bad[at] ^= 1;
        fs::write(vendor.metadata(name), &bad).unwrap();
        let store = tempfile::tempdir().unwrap();
        let mut reader = vendor.reader(store.path());
        let refreshed = reader.refresh(now()).await.is_ok();
        let found = reader.target(&target("acme-av_1.0.0_any.tar.gz"), now()).await;
        assert!(found.is_err(), "{name}");
        assert_eq!(refreshed, name == "1.acme-av.json", "{name}");
        fs::write(vendor.metadata(name), &good).unwrap();
    }
}

#[tokio::test]
async fn expired_timestamp_is_refused_even_when_signed() {
    let vendor = Vendor::with_release();
    let store = tempfile::tempdir().unwrap();
    let mut reader = vendor.reader(store.path());
    reader.refresh(now()).await.unwrap();
    let later = now() + days(8);
    assert_eq!(refusal(reader.refresh(later).await), Refusal::Expired);
    assert!(reader.target(&target("trust.json"), later).await.is_err());
    // What was trusted at its time is still usable as of that time.
    assert!(reader.target(&target("trust.json"), now()).await.unwrap().is_some());
    vendor.renew(&RoleName::Timestamp, later);
    reader.refresh(later).await.unwrap();
}

#[tokio::test]
async fn a_missing_file_is_said_to_be_missing_and_an_unreadable_root_does_not_end_the_search() {
    let vendor = Vendor::with_release();
    let store = tempfile::tempdir().unwrap();
    fs::remove_file(vendor.metadata("2.snapshot.json")).unwrap();
    assert_eq!(refusal(vendor.reader(store.path()).refresh(now()).await), Refusal::Missing);
    fs::create_dir(vendor.metadata("2.root.json")).unwrap();
    assert_eq!(refusal(vendor.reader(store.path()).refresh(now()).await), Refusal::Unreachable);
}

#[tokio::test]
async fn a_package_role_speaks_only_for_its_own_package() {
    let vendor = Vendor::with_release();
    let other = SigningKey::generate().unwrap();
    let mut editor = vendor.editor();
    let keys = only(&other);
    editor.delegate(&package("tools"), &keys).unwrap();
    editor.put_target(&package_role("tools"), &target("tools_1_any.manifest"), bytes(b"t")).unwrap();
    let error = editor.put_target(&package_role("tools"), &target("acme-av_2_any.manifest"), bytes(b"x"));
    assert!(error.is_err());
    let error = editor.put_target(&RoleName::Targets, &target("acme-av_2_any.manifest"), bytes(b"x"));
    assert!(error.is_err());
    // The key of one package does not sign for another.
    let error = editor.sign(&Signers::new(&[&vendor.online]), now()).unwrap_err();
    assert!(matches!(error, SignError::TooFewKeys { found: 0, needed: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_named_pipe_in_the_place_of_metadata_or_a_target_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    for part in ["metadata", "targets"] {
        fs::create_dir(folder.path().join(part)).unwrap();
        let pipe = folder.path().join(part).join("2.root.json");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    }
    let transport = FolderTransport::new(folder.path());
    let metadata = transport.metadata("2.root.json", 1000).await;
    assert!(matches!(metadata, Err(TransportError::File { .. })), "{metadata:?}");
    let target = transport.target(&TargetPath::new("2.root.json", None).unwrap(), 0).await;
    assert!(matches!(target, Err(TransportError::File { .. })), "{target:?}");
}

#[tokio::test]
async fn a_pinned_root_of_another_vendor_accepts_nothing_of_this_one() {
    let (vendor, stranger) = (Vendor::with_release(), SigningKey::generate().unwrap());
    let other = Folder::new();
    let editor =
        RepositoryEditor::create(other.path(), &root_spec(&stranger, &stranger), Lifetimes::default())
            .unwrap();
    let signed = editor.sign(&Signers::new(&[&stranger]), now()).unwrap();
    let root = signed.root_bytes().unwrap().to_vec();
    let store = tempfile::tempdir().unwrap();
    let transport = Arc::new(FolderTransport::new(vendor.path()));
    let mut reader = Reader::open(&root, store.path(), transport.clone()).unwrap();
    assert_eq!(refusal(reader.refresh(now()).await), Refusal::UnderSigned);
    drop(reader);
    assert!(matches!(Reader::open(b"{}", store.path(), transport), Err(OpenError::Root { .. })));
}
