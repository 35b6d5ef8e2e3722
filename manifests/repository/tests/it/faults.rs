//! Every step at which the disk can refuse something: what is trusted never falls back or is taken for absent, a download
//! is there whole or not at all, and the same again succeeds.

use std::fs;
use std::path::Path;

use sealpost_files::faults::{Failure, Ran, failing, unflushed};
use sealpost_repository::{FailClosedStore, FolderTransport, Reader, Resume};
use sealpost_test_support::names::target;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{Vendor, now};

/// More steps than anything here takes.
const MOST_STEPS: usize = 1_000;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Refreshes, and downloads the payload of the newest release.
async fn follows(vendor: &Vendor, folder: &Path, payload: &str) -> Result<(), String> {
    fn say(error: impl std::error::Error + 'static) -> String {
        sealpost_files::with_causes(&error)
    }
    let transport = FolderTransport::new(vendor.path());
    let mut reader = Reader::open(&vendor.root_bytes, &folder.join("store"), std::sync::Arc::new(transport))
        .map_err(say)?;
    reader.refresh(now()).await.map_err(say)?;
    let found = reader.target(&target(payload), now()).await.map_err(say)?;
    let found = found.ok_or("the payload is not listed")?;
    let destination = folder.join(payload);
    let downloaded = reader.download(found.listed(), &destination, Resume::Continue, &mut |_| {}).await;
    downloaded.map(drop).map_err(say)
}

fn trusted(folder: &Path) -> String {
    let store = FailClosedStore::open(&folder.join("store")).unwrap();
    let timestamp = store.read("timestamp.json").unwrap();
    String::from_utf8(timestamp.unwrap_or_default()).unwrap()
}

#[test]
fn a_refresh_and_a_download_survive_a_disk_that_fails_or_is_full_at_any_step() {
    let runtime = runtime();
    let vendor = Vendor::with_release();
    let before = tempfile::tempdir().unwrap();
    runtime.block_on(follows(&vendor, before.path(), "acme-av_1.0.0_any.tar.gz")).unwrap();
    let old = trusted(before.path());
    vendor.release("acme-av", "2.0.0", b"payload two", now());
    for failure in Failure::ALL {
        for nth in 1.. {
            assert!(nth < MOST_STEPS, "it never ends");
            let folder = copy_of(before.path());
            let _ = unflushed();
            let work = || runtime.block_on(follows(&vendor, folder.path(), "acme-av_2.0.0_any.tar.gz"));
            let Ran { answer, failed } = failing(nth, failure, work);
            let payload = folder.path().join("acme-av_2.0.0_any.tar.gz");
            let Some((step, path)) = failed else {
                answer.unwrap();
                assert!(nth > 10, "it takes more steps");
                break;
            };
            let place = format!("{failure:?}, step {nth}: {step:?} at {}: {answer:?}", path.display());
            assert!(answer.is_err(), "told as success: {place}");
            let bytes = fs::read(&payload).ok();
            assert!(bytes.is_none_or(|bytes| bytes == b"payload two"), "a half download: {place}");
            let kept = trusted(folder.path());
            assert!(!kept.is_empty(), "what was trusted is gone: {place}");
            work().unwrap_or_else(|error| panic!("{place}, again: {error}"));
            assert_eq!(fs::read(&payload).unwrap(), b"payload two", "{place}");
            assert_ne!(trusted(folder.path()), old, "{place}");
            let left = unflushed();
            assert!(!left.contains(&folder.path().to_owned()), "told as durable: {place}");
        }
    }
}

/// A reader's folder, as it was.
fn copy_of(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let store = copy.path().join("store");
    for inner in ["", "roots", "roles"] {
        let (from, to) = (folder.join("store").join(inner), store.join(inner));
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    copy
}

#[test]
fn a_store_that_failed_once_answers_nothing_and_has_the_old_or_the_new_bytes_when_it_is_opened_again() {
    for failure in Failure::ALL {
        for nth in 1.. {
            assert!(nth < MOST_STEPS, "it never ends");
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("store");
            FailClosedStore::open(&path).unwrap().write("timestamp.json", b"old").unwrap();
            let store = FailClosedStore::open(&path).unwrap();
            let ran = failing(nth, failure, || store.write("timestamp.json", b"new"));
            if ran.failed.is_none() {
                ran.answer.unwrap();
                break;
            }
            assert!(ran.answer.is_err() && store.read("timestamp.json").is_err(), "{nth}: it went on");
            drop(store);
            let again = FailClosedStore::open(&path).unwrap();
            let bytes = again.read("timestamp.json").unwrap().unwrap();
            assert!([&b"old"[..], b"new"].contains(&bytes.as_slice()), "{nth}: {bytes:?}");
            again.write("timestamp.json", b"new").unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let store = FailClosedStore::open(folder.path()).unwrap();
    store.write("timestamp.json", b"old").unwrap();
    let ran = failing(1, Failure::Broken, || store.read("timestamp.json"));
    assert!(ran.answer.is_err(), "what cannot be read is not absent: {:?}", ran.answer);
}
