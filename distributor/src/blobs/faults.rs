//! Every step at which the disk can refuse something: a blob is there whole or not at all, the same again succeeds, and
//! what is told as stored or removed has its name on disk.

use sealpost_files::faults::{Failure, Ran, failing, unflushed};

use super::*;

/// More steps than anything here takes.
const MOST_STEPS: usize = 100;
const BYTES: &[u8] = b"some bytes of a payload";

fn expected() -> Blob {
    Blob { sha256: Sha256Digest::of(BYTES), length: BYTES.len() as u64 }
}

/// Fails `work` at each step, and does it again; `is_there` says what becomes of the blob.
fn fails_everywhere(
    prepare: impl Fn(&FolderBlobs, &Path),
    work: impl Fn(&FolderBlobs, &Path) -> Result<(), BlobError>,
    is_there: bool,
) {
    for failure in Failure::ALL {
        for nth in 1.. {
            assert!(nth < MOST_STEPS, "it never ends");
            let folder = tempfile::tempdir().unwrap();
            let (root, download) = (folder.path().join("blobs"), folder.path().join("download"));
            let blobs = FolderBlobs::open(&root).unwrap();
            prepare(&blobs, &download);
            let _ = unflushed();
            let Ran { answer, failed } = failing(nth, failure, || work(&blobs, &download));
            let Some((step, _)) = failed else {
                answer.unwrap();
                break;
            };
            let place = format!("{failure:?}, step {nth}: {step:?}");
            assert!(answer.is_err(), "{place} is told as success");
            let found = blobs.read(&expected().sha256, 1_000).unwrap();
            assert!(found.is_none_or(|bytes| bytes == BYTES), "{place}: a half blob");
            // By the same server, or by one that was started meanwhile.
            let blobs = if nth % 2 == 0 { FolderBlobs::open(&root).unwrap() } else { blobs };
            work(&blobs, &download).unwrap_or_else(|error| panic!("{place}, again: {error}"));
            assert_eq!(blobs.verify(&expected().sha256).unwrap(), is_there, "{place}");
            let left: Vec<_> =
                unflushed().into_iter().filter(|folder| !folder.ends_with(UNFINISHED)).collect();
            let blob = blobs.path(&expected().sha256);
            assert!(
                !left.iter().any(|folder| blob.starts_with(folder)),
                "{place}: told as durable: {left:?}"
            );
        }
    }
}

#[test]
fn a_blob_that_is_stored_is_there_whole_or_not_at_all_whatever_fails() {
    fails_everywhere(|_, _| {}, |blobs, _| blobs.put(&mut &BYTES[..], expected()), true);
}

#[test]
fn a_download_that_is_taken_over_is_there_whole_or_not_at_all_whatever_fails() {
    fails_everywhere(
        |_, download| fs::write(download, BYTES).unwrap(),
        |blobs, download| blobs.adopt(download, expected()),
        true,
    );
}

#[test]
fn a_blob_that_is_removed_is_away_when_it_is_told_whatever_failed_before() {
    fails_everywhere(
        |blobs, _| blobs.put(&mut &BYTES[..], expected()).unwrap(),
        |blobs, _| blobs.remove(&expected().sha256),
        false,
    );
}

#[test]
fn a_blob_that_cannot_be_read_is_not_taken_for_absent_or_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path()).unwrap();
    blobs.put(&mut &BYTES[..], expected()).unwrap();
    let ran = failing(1, Failure::Broken, || blobs.verify(&expected().sha256));
    assert!(matches!(ran.answer, Err(BlobError::Io { .. })), "{:?}", ran.answer);
    assert!(blobs.verify(&expected().sha256).unwrap());
    assert!(!blobs.was_damaged(&expected().sha256));
}
