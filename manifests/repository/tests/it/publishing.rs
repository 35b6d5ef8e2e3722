use std::fs;
use std::os::unix::fs::PermissionsExt;

use sealpost_keys::SigningKey;
use sealpost_repository::{
    EditError, KeyThreshold, Lifetimes, LoadError, PublishError, RepositoryEditor, RoleName, SignError,
    Signers, TargetSource, ThresholdError,
};
use sealpost_test_support::clock::days;
use sealpost_test_support::folders::copy_tree;
use sealpost_test_support::names::{package, target};
use sealpost_test_support::vendor::{only, root_spec};

use crate::{Folder, Vendor, add_release, bytes, now, online_key, package_role, root_key};

#[tokio::test]
async fn what_the_owner_publishes_a_stranger_reads() {
    let vendor = Vendor::with_release();
    let store = tempfile::tempdir().unwrap();
    let mut reader = vendor.reader(store.path());
    let trusted = reader.refresh(now()).await.unwrap();
    assert_eq!((trusted.root_version, trusted.targets_version), (1, 2));
    assert_eq!((trusted.snapshot_version, trusted.timestamp_version), (2, 2));
    assert_eq!(trusted.expires.to_string(), "2026-01-22T08:30:00Z");
    assert_eq!(trusted.signed_at.unwrap().to_string(), "2026-01-15T08:30:00Z");
    let info = reader.target(&target("acme-av_1.0.0_any.tar.gz"), now()).await.unwrap().unwrap();
    assert_eq!((info.role(), info.length()), ("acme-av", 11));
    assert_eq!(info.path().encoded(), format!("{}.acme-av_1.0.0_any.tar.gz", info.sha256()));
    assert_eq!(reader.target(&target("acme-av_9.9.9_any.tar.gz"), now()).await.unwrap(), None);
    assert_eq!(reader.target_bytes(&target("trust.json"), 100, now()).await.unwrap(), b"{\"trust\":1}");
}

/// The owner's newest statement about the time comes with every publication and every renewal, also one that says an
/// earlier time because the owner's clock was ahead before.
#[tokio::test]
async fn each_publication_and_each_renewal_says_when_it_was_signed() {
    let vendor = Vendor::new();
    let store = tempfile::tempdir().unwrap();
    let mut reader = vendor.reader(store.path());
    let mut signed_at = async |at| reader.refresh(at).await.unwrap().signed_at.unwrap();
    assert_eq!(signed_at(now()).await.to_string(), "2026-01-15T08:30:00Z");
    vendor.release("acme-av", "1.0.0", b"payload one", now() + days(3));
    assert_eq!(signed_at(now() + days(3)).await.to_string(), "2026-01-18T08:30:00Z");
    vendor.renew(&RoleName::Timestamp, now() + days(1));
    assert_eq!(signed_at(now() + days(3)).await.to_string(), "2026-01-16T08:30:00Z");
    vendor.renew(&RoleName::Snapshot, now() + days(4));
    assert_eq!(signed_at(now() + days(4)).await.to_string(), "2026-01-19T08:30:00Z");
}

#[test]
fn published_files_can_be_read_by_a_web_server_of_another_user() {
    let vendor = Vendor::with_release();
    for folder in ["metadata", "targets"] {
        for entry in fs::read_dir(vendor.path().join(folder)).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o644, "{}", entry.path().display());
        }
    }
}

#[tokio::test]
async fn a_crash_after_any_file_leaves_the_old_repository_and_the_next_run_finishes() {
    let vendor = Vendor::with_release();
    let before = tempfile::tempdir().unwrap();
    copy_tree(vendor.path(), before.path()).unwrap();
    let files = vendor.release("acme-av", "1.0.1", b"payload two", now()).files;
    assert_eq!(files.last().unwrap().to_str(), Some("metadata/timestamp.json"));
    assert!(files.len() >= 5);
    for crashed_after in 0..files.len() {
        let folder = Folder::new();
        fs::create_dir(folder.path()).unwrap();
        copy_tree(before.path(), folder.path()).unwrap();
        for file in &files[..crashed_after] {
            fs::copy(vendor.path().join(file), folder.path().join(file)).unwrap();
        }
        fs::write(folder.path().join("targets/.unfinished-x"), b"half").unwrap();
        let mut crashed = Vendor::new();
        crashed.folder = folder;
        let store = tempfile::tempdir().unwrap();
        let mut reader = crashed.reader(store.path());
        assert_eq!(reader.refresh(now()).await.unwrap().timestamp_version, 2, "after {crashed_after}");
        let new = target("acme-av_1.0.1_any.tar.gz");
        assert_eq!(reader.target(&new, now()).await.unwrap(), None);
        let left_behind: Vec<(_, Vec<u8>)> = files[..crashed_after]
            .iter()
            .map(|file| (crashed.path().join(file), fs::read(crashed.path().join(file)).unwrap()))
            .collect();
        // Another time, so that metadata of the same version would have other bytes.
        crashed.release("acme-av", "1.0.1", b"payload two", now() + days(1));
        for (path, content) in left_behind {
            assert_eq!(fs::read(&path).unwrap(), content, "{} was overwritten", path.display());
        }
        reader.refresh(now() + days(1)).await.unwrap();
        assert_eq!(reader.target_bytes(&new, 100, now() + days(1)).await.unwrap(), b"payload two");
        assert!(!crashed.path().join("targets/.unfinished-x").exists());
    }
}

#[tokio::test]
async fn a_first_publication_that_crashed_after_its_root_is_continued_by_loading() {
    let (root, online) = (root_key(), online_key());
    let folder = Folder::new();
    let editor =
        RepositoryEditor::create(folder.path(), &root_spec(&root, &online), Lifetimes::default()).unwrap();
    let signed = editor.sign(&Signers::new(&[&root, &online]), now()).unwrap();
    let root_bytes = signed.root_bytes().unwrap().to_vec();
    drop(signed);
    fs::write(folder.path().join("metadata/1.root.json"), &root_bytes).unwrap();
    let again = RepositoryEditor::create(folder.path(), &root_spec(&root, &online), Lifetimes::default());
    assert!(matches!(again, Err(EditError::AlreadyExists { .. })));
    let vendor = Vendor { folder, root, online, root_bytes };
    vendor.release("acme-av", "1", b"one", now());
    let store = tempfile::tempdir().unwrap();
    let mut reader = vendor.reader(store.path());
    assert_eq!(reader.refresh(now()).await.unwrap().timestamp_version, 1);
    assert_eq!(reader.packages(), [package("acme-av")]);
}

#[tokio::test]
async fn thresholds_are_kept_on_both_sides() {
    let keys: Vec<SigningKey> = (0..3).map(|_| SigningKey::generate().unwrap()).collect();
    let public: Vec<_> = keys.iter().map(SigningKey::public).collect();
    let two_of_three = KeyThreshold::new(&public, 2).unwrap();
    let mut spec = root_spec(&root_key(), &online_key());
    (spec.root, spec.targets) = (two_of_three.clone(), two_of_three);
    let (folder, online) = (Folder::new(), online_key());
    let editor = RepositoryEditor::create(folder.path(), &spec, Lifetimes::default()).unwrap();
    let error = editor.sign(&Signers::new(&[&online, &keys[0]]), now()).unwrap_err();
    assert!(
        matches!(error, SignError::TooFewKeys { role: RoleName::Root, found: 1, needed: 2, .. }),
        "{error}"
    );
    let editor = RepositoryEditor::create(folder.path(), &spec, Lifetimes::default()).unwrap();
    let signed = editor.sign(&Signers::new(&[&online, &keys[0], &keys[2]]), now()).unwrap();
    let root_bytes = signed.root_bytes().unwrap().to_vec();
    signed.publish().unwrap();
    let vendor = Vendor { folder, root: root_key(), online, root_bytes };
    let store = tempfile::tempdir().unwrap();
    vendor.reader(store.path()).refresh(now()).await.unwrap();
    // One of the two signatures taken away: refused.
    let mut targets: serde_json::Value = serde_json::from_slice(&vendor.read("1.targets.json")).unwrap();
    assert_eq!(targets["signatures"].as_array_mut().unwrap().pop().map(|_| ()), Some(()));
    fs::write(vendor.metadata("1.targets.json"), serde_json::to_vec(&targets).unwrap()).unwrap();
    let fresh = tempfile::tempdir().unwrap();
    assert!(vendor.reader(fresh.path()).refresh(now()).await.is_err());
    assert_eq!(KeyThreshold::new(&public[..1], 2), Err(ThresholdError { threshold: 2, keys: 1 }));
    assert!(KeyThreshold::new(&[public[0].clone(), public[0].clone()], 2).is_err());
    assert!(KeyThreshold::new(&public, 0).is_err());
}

#[tokio::test]
async fn a_repository_that_was_left_alone_too_long_is_usable_again_after_renewing() {
    let vendor = Vendor::with_release();
    let later = now() + days(300);
    let mut editor = vendor.editor();
    assert_eq!(editor.due(later, days(90)).len(), 5);
    let due = editor.due(later, days(0));
    assert_eq!(due, [RoleName::Snapshot, RoleName::Timestamp]);
    due.iter().for_each(|role| editor.renew(role));
    vendor.publish(editor, later);
    assert!(vendor.editor().due(later, days(6)).is_empty());
    let store = tempfile::tempdir().unwrap();
    vendor.reader(store.path()).refresh(later).await.unwrap();
}

#[tokio::test]
async fn a_renewed_root_needs_the_root_key_and_any_number_of_them_is_followed() {
    const ROOTS: u64 = 70;
    let vendor = Vendor::with_release();
    let mut editor = vendor.editor();
    editor.renew(&RoleName::Root);
    let error = editor.sign(&Signers::new(&[&vendor.online]), now()).unwrap_err();
    assert!(matches!(error, SignError::TooFewKeys { role: RoleName::Root, .. }));
    for _ in 1..ROOTS {
        let mut editor = vendor.editor();
        editor.renew(&RoleName::Root);
        editor.sign(&Signers::new(&[&vendor.root, &vendor.online]), now()).unwrap().publish().unwrap();
    }
    let store = tempfile::tempdir().unwrap();
    let mut reader = vendor.reader(store.path());
    assert_eq!(reader.refresh(now()).await.unwrap().root_version, ROOTS);
    let roots = reader.all_roles(now()).await.unwrap();
    assert_eq!(roots.iter().filter(|file| file.name.ends_with(".root.json")).count(), 70);
    drop(reader);
    // A reader that starts again goes on from the newest root that it has verified.
    fs::remove_file(vendor.metadata("2.root.json")).unwrap();
    let mut restarted = vendor.reader(store.path());
    assert_eq!(restarted.refresh(now()).await.unwrap().root_version, ROOTS);
}

#[test]
fn a_renewed_timestamp_leaves_all_else_as_it_is() {
    let vendor = Vendor::with_release();
    let files = vendor.renew(&RoleName::Timestamp, now() + days(1)).files;
    assert_eq!(files, [std::path::PathBuf::from("metadata/timestamp.json")]);
    let files = vendor.renew(&RoleName::Snapshot, now() + days(1)).files;
    assert_eq!(files.len(), 2);
}

#[test]
fn a_published_release_is_never_changed_and_the_same_again_changes_nothing() {
    let vendor = Vendor::with_release();
    let mut editor = vendor.editor();
    add_release(&mut editor, &vendor.online, "acme-av", "1.0.0", b"payload one");
    let name = target("acme-av_1.0.0_any.tar.gz");
    let error = editor.put_target(&package_role("acme-av"), &name, bytes(b"other")).unwrap_err();
    assert!(matches!(error, EditError::AlreadyPublished { .. }));
    let written = vendor.publish(editor, now());
    assert_eq!(written.files, [std::path::PathBuf::from("metadata/timestamp.json")]);
}

#[test]
fn a_file_that_changes_while_it_is_published_is_found() {
    let vendor = Vendor::with_release();
    let source = vendor.path().join("big.tar.gz");
    fs::write(&source, b"before").unwrap();
    let mut editor = vendor.editor();
    let name = target("acme-av_2_any.tar.gz");
    editor.put_target(&package_role("acme-av"), &name, TargetSource::File(source.clone())).unwrap();
    let signed = editor.sign(&Signers::new(&[&vendor.online]), now()).unwrap();
    fs::write(&source, b"behind").unwrap();
    let timestamp = vendor.read("timestamp.json");
    assert!(matches!(signed.publish(), Err(PublishError::SourceChanged { .. })));
    assert_eq!(vendor.read("timestamp.json"), timestamp);
}

#[test]
fn something_else_in_the_place_of_a_file_stops_the_publication_before_the_timestamp() {
    let vendor = Vendor::with_release();
    let timestamp = vendor.read("timestamp.json");
    let sign = || {
        let mut editor = vendor.editor();
        add_release(&mut editor, &vendor.online, "acme-av", "2", b"payload two");
        editor.sign(&Signers::new(&[&vendor.online]), now()).unwrap()
    };
    let digest = sealpost_manifests::digest::Sha256Digest::of(b"payload two");
    let places = [format!("targets/{digest}.acme-av_2_any.tar.gz"), "metadata/3.snapshot.json".to_owned()];
    for place in places.map(|place| vendor.path().join(place)) {
        let signed = sign();
        fs::write(&place, b"somebody else's").unwrap();
        assert!(matches!(signed.publish(), Err(PublishError::Occupied { .. })), "{}", place.display());
        assert_eq!(vendor.read("timestamp.json"), timestamp, "readers see the repository as it was");
        fs::remove_file(&place).unwrap();
    }
}

#[test]
fn a_damaged_or_foreign_repository_is_not_edited() {
    let vendor = Vendor::with_release();
    let load = || RepositoryEditor::load(vendor.path(), &vendor.root_bytes, Lifetimes::default());
    for name in ["1.acme-av.json", "2.targets.json", "2.snapshot.json", "timestamp.json"] {
        let good = vendor.read(name);
        let mut bad = good.clone();
        bad[good.len() - 20] ^= 1;
        fs::write(vendor.metadata(name), &bad).unwrap();
        assert!(matches!(load(), Err(LoadError::Refused { .. })), "{name}");
        if name != "timestamp.json" {
            fs::remove_file(vendor.metadata(name)).unwrap();
            assert!(matches!(load(), Err(LoadError::Missing { .. })), "{name}");
        }
        fs::write(vendor.metadata(name), &good).unwrap();
    }
    load().unwrap();
}

#[test]
fn whoever_holds_a_lock_on_what_is_published_holds_up_no_editor() {
    let vendor = Vendor::with_release();
    let open = ["", "metadata", "targets", "metadata/timestamp.json"].map(|name| {
        let file = fs::File::open(vendor.path().join(name)).unwrap();
        file.lock().unwrap();
        file
    });
    vendor.release("acme-av", "1.1.0", b"payload two", now());
    drop(open);
    let beside = vendor.path().with_file_name(".repository.lock");
    assert_eq!(fs::metadata(beside).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn one_editor_at_a_time() {
    let vendor = Vendor::with_release();
    let editor = vendor.editor();
    let second = RepositoryEditor::load(vendor.path(), &vendor.root_bytes, Lifetimes::default());
    assert!(matches!(second, Err(LoadError::InUse { .. })));
    drop(editor);
    vendor.editor();
}

#[test]
fn a_package_cannot_be_named_like_a_top_level_role() {
    let vendor = Vendor::with_release();
    let keys = only(&vendor.root);
    for name in ["root", "targets", "snapshot", "timestamp"] {
        let error = vendor.editor().delegate(&package(name), &keys).unwrap_err();
        assert!(matches!(error, EditError::ReservedName { .. }));
    }
}

#[test]
fn a_publication_says_when_each_role_ends_as_the_next_editor_reads_it() {
    let vendor = Vendor::new();
    let later = now() + jiff::SignedDuration::from_hours(24);
    let written = vendor.release("acme-av", "1.0.0", b"payload one", later);
    assert_eq!((written.root_version, &written.expiries), (1, &vendor.editor().expiries()));
    assert_eq!(written.expiries.len(), 5);
    vendor.renew_root();
    let written = vendor.renew(&RoleName::Timestamp, later);
    assert_eq!((written.root_version, &written.expiries), (2, &vendor.editor().expiries()));
}
