use super::*;

fn blob(bytes: &[u8]) -> Blob {
    Blob { sha256: Sha256Digest::of(bytes), length: bytes.len() as u64 }
}

fn files_below(folder: &Path) -> usize {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { files_below(&path) } else { 1 })
        .sum()
}

#[test]
fn what_was_put_can_be_read_and_putting_it_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path()).unwrap();
    let expected = blob(b"hello");
    assert_eq!(blobs.length(&expected.sha256).unwrap(), None);
    blobs.put(&mut &b"hello"[..], expected).unwrap();
    blobs.put(&mut &b"hello"[..], expected).unwrap();
    assert_eq!(blobs.read(&expected.sha256, 5).unwrap().unwrap(), b"hello");
    assert!(blobs.verify(&expected.sha256).unwrap());
    assert!(blobs.read(&expected.sha256, 4).is_err(), "the bound counts");
    assert_eq!(files_below(folder.path()), 1);
    let name = expected.sha256.to_string();
    let mode = fs::metadata(folder.path().join(&name[..2]).join(&name)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o400);
}

#[test]
fn bytes_that_are_longer_shorter_or_other_than_expected_are_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path()).unwrap();
    for wrong in [&b"hello, world"[..], b"hell", b"jello", b""] {
        let error = blobs.put(&mut &*wrong, blob(b"hello")).unwrap_err();
        assert!(matches!(error, BlobError::Mismatch { .. }), "{error}");
    }
    // Reading an endless reader stops one byte after the expected length.
    assert!(blobs.put(&mut io::repeat(b'x'), blob(b"hello")).is_err());
    assert_eq!(files_below(folder.path()), 0);
}

#[test]
fn a_finished_download_is_taken_over_only_if_it_is_the_expected_one() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(&folder.path().join("blobs")).unwrap();
    let download = folder.path().join("download");
    fs::write(&download, b"other").unwrap();
    assert!(blobs.adopt(&download, blob(b"hello")).is_err());
    assert!(download.exists());
    fs::write(&download, b"hello").unwrap();
    blobs.adopt(&download, blob(b"hello")).unwrap();
    assert!(!download.exists());
    assert!(blobs.verify(&blob(b"hello").sha256).unwrap());
}

#[test]
fn many_threads_may_put_the_same_blob_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path()).unwrap();
    let bytes = vec![7; 300_000];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| blobs.put(&mut &bytes[..], blob(&bytes)).unwrap());
        }
    });
    assert!(blobs.verify(&blob(&bytes).sha256).unwrap());
    assert_eq!(files_below(folder.path()), 1);
}

#[test]
fn a_bit_flipped_on_disk_is_found_and_the_blob_can_be_put_anew() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path()).unwrap();
    let expected = blob(b"hello");
    blobs.put(&mut &b"hello"[..], expected).unwrap();
    let path = blobs.path(&expected.sha256);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, b"hellp").unwrap();
    assert!(matches!(blobs.verify(&expected.sha256), Err(BlobError::Damaged { .. })));
    assert!(!blobs.verify(&expected.sha256).unwrap(), "it was put aside");
    blobs.put(&mut &b"hello"[..], expected).unwrap();
    assert!(blobs.verify(&expected.sha256).unwrap());
}

#[test]
fn whoever_reads_a_damaged_blob_has_it_remembered_until_it_is_put_anew() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path()).unwrap();
    let expected = blob(b"hello");
    blobs.put(&mut &b"hello"[..], expected).unwrap();
    assert_eq!(blobs.damaged(), []);
    let path = blobs.path(&expected.sha256);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, b"hellp").unwrap();
    assert!(matches!(blobs.read(&expected.sha256, 100), Err(BlobError::Damaged { .. })));
    assert_eq!(blobs.damaged(), [expected.sha256]);
    assert!(blobs.read(&expected.sha256, 100).unwrap().is_none(), "it was put aside");
    blobs.put(&mut &b"hello"[..], expected).unwrap();
    assert_eq!(
        (blobs.damaged(), blobs.read(&expected.sha256, 5).unwrap()),
        (vec![], Some(b"hello".to_vec()))
    );
}

#[test]
fn what_a_killed_process_left_unfinished_is_removed_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    drop(FolderBlobs::open(folder.path()).unwrap());
    fs::write(folder.path().join(UNFINISHED).join("half"), b"hel").unwrap();
    drop(FolderBlobs::open(folder.path()).unwrap());
    assert_eq!(files_below(folder.path()), 0);
}
