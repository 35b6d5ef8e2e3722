use sealpost_repository::{FailClosedStore, StoreError};
use std::fs;
use std::path::Path;

fn blob(folder: &Path, name: &str) -> std::path::PathBuf {
    folder.join(name)
}

#[test]
fn what_was_stored_is_loaded_again_and_what_was_not_is_absent() {
    let folder = tempfile::tempdir().unwrap();
    let names = [
        "root.json",
        "timestamp.json",
        "targets.json",
        "root_history/3.root.json",
        "acme-av.json",
        "%3F.json",
    ];
    {
        let store = FailClosedStore::open(folder.path()).unwrap();
        for name in names {
            assert_eq!(store.read(name).unwrap(), None, "{name}");
            store.write(name, name.as_bytes()).unwrap();
            store.write(name, format!("{name} again").as_bytes()).unwrap();
        }
    }
    let store = FailClosedStore::open(folder.path()).unwrap();
    for name in names {
        assert_eq!(store.read(name).unwrap().unwrap(), format!("{name} again").as_bytes());
    }
    assert!(store.latch().tripped().is_none());
}

#[test]
fn a_flipped_bit_anywhere_is_damage_and_never_absence() {
    let folder = tempfile::tempdir().unwrap();
    FailClosedStore::open(folder.path()).unwrap().write("timestamp.json", b"{\"v\":1}").unwrap();
    let path = blob(folder.path(), "timestamp.blob");
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[at / 8] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        let store = FailClosedStore::open(folder.path()).unwrap();
        let error = store.read("timestamp.json").unwrap_err();
        assert!(matches!(*error, StoreError::Damaged { .. }), "bit {at}: {error:?}");
    }
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).unwrap();
        let store = FailClosedStore::open(folder.path()).unwrap();
        assert!(store.read("timestamp.json").is_err(), "cut to {length} bytes");
    }
}

#[test]
fn a_blob_under_another_name_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = FailClosedStore::open(folder.path()).unwrap();
    store.write("snapshot.json", b"{}").unwrap();
    fs::rename(blob(folder.path(), "snapshot.blob"), blob(folder.path(), "targets.blob")).unwrap();
    assert!(matches!(*store.read("targets.json").unwrap_err(), StoreError::Damaged { .. }));
}

#[test]
fn the_first_failure_latches_and_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = FailClosedStore::open(folder.path()).unwrap();
    store.write("targets.json", b"good").unwrap();
    fs::write(blob(folder.path(), "timestamp.blob"), b"bad").unwrap();
    let first = store.read("timestamp.json").unwrap_err();
    assert!(first.to_string().contains("timestamp.blob"), "{first}");
    assert!(first.to_string().contains("restored from a backup"), "{first}");
    for error in [store.read("targets.json").unwrap_err(), store.write("targets.json", b"new").unwrap_err()] {
        assert_eq!(error.to_string(), first.to_string());
    }
    drop(store);
    let again = FailClosedStore::open(folder.path()).unwrap();
    assert_eq!(again.read("targets.json").unwrap().unwrap(), b"good");
}

#[test]
fn something_that_is_no_file_in_the_place_of_a_blob_is_an_error_and_not_absence() {
    let folder = tempfile::tempdir().unwrap();
    let store = FailClosedStore::open(folder.path()).unwrap();
    fs::create_dir(blob(folder.path(), "timestamp.blob")).unwrap();
    assert!(matches!(*store.read("timestamp.json").unwrap_err(), StoreError::Io { action: "read", .. }));
}

#[test]
fn a_blob_larger_than_any_metadata_is_damage_and_is_not_read_into_memory() {
    let folder = tempfile::tempdir().unwrap();
    let store = FailClosedStore::open(folder.path()).unwrap();
    let file = fs::File::create(blob(folder.path(), "timestamp.blob")).unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(matches!(*store.read("timestamp.json").unwrap_err(), StoreError::Damaged { .. }));
}

#[test]
fn a_name_that_could_leave_the_folder_is_refused() {
    let bad = [
        "",
        ".json",
        "../x.json",
        "a/b.json",
        "/x.json",
        "x",
        "root_history/../1.root.json",
        "targets/x",
        "ü.json",
    ];
    for name in bad {
        let folder = tempfile::tempdir().unwrap();
        let store = FailClosedStore::open(folder.path()).unwrap();
        assert!(matches!(*store.write(name, b"x").unwrap_err(), StoreError::Unsuitable { .. }), "{name:?}");
        assert!(store.latch().tripped().is_some());
    }
}

#[test]
fn a_second_reader_of_the_same_store_is_refused_while_the_first_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let store = FailClosedStore::open(folder.path()).unwrap();
    assert!(matches!(FailClosedStore::open(folder.path()), Err(StoreError::InUse { .. })));
    drop(store);
    FailClosedStore::open(folder.path()).unwrap();
}

#[test]
fn a_file_that_a_killed_process_left_unfinished_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    drop(FailClosedStore::open(folder.path()).unwrap());
    let leftover = folder.path().join("roles/.unfinished-abc");
    fs::write(&leftover, b"half").unwrap();
    FailClosedStore::open(folder.path()).unwrap();
    assert!(!leftover.exists());
}
