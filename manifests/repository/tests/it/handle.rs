use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sealpost_repository::{DownloadError, Downloaded, FolderTransport, OpenError, ReaderHandle, Resume};
use sealpost_test_support::names::{package, target};
use tokio::sync::Notify;

use crate::{Answer, Scripted, Vendor, now};

async fn open(vendor: &Vendor, store: &Path) -> Result<ReaderHandle, OpenError> {
    let transport = Arc::new(FolderTransport::new(vendor.path()));
    ReaderHandle::open(vendor.root_bytes.clone(), store.to_owned(), transport).await
}

#[tokio::test]
async fn an_async_program_reads_through_the_handle() {
    let vendor = Vendor::with_release();
    let folder = tempfile::tempdir().unwrap();
    let handle = open(&vendor, &folder.path().join("store")).await.unwrap();
    assert_eq!(handle.refresh(now()).await.unwrap().timestamp_version, 2);
    assert_eq!(handle.all_roles(now()).await.unwrap().len(), 5);
    assert_eq!(handle.packages().await.unwrap(), [package("acme-av")]);
    assert_eq!(handle.package_targets(&package("acme-av"), now()).await.unwrap().len(), 2);
    assert_eq!(handle.target_bytes(&target("trust.json"), 100, now()).await.unwrap(), b"{\"trust\":1}");
    assert_eq!(handle.root_bytes().await.unwrap(), vendor.root_bytes);
    assert!(handle.failure().await.unwrap().is_none());
    let info = handle.target(&target("acme-av_1.0.0_any.tar.gz"), now()).await.unwrap().unwrap();
    let (seen, destination) = (Arc::new(AtomicU64::new(0)), folder.path().join("payload"));
    let progress = {
        let seen = Arc::clone(&seen);
        move |bytes| seen.store(bytes, Ordering::Relaxed)
    };
    let result = handle.download(info.listed(), &destination, Resume::Continue, progress).await;
    assert_eq!(result.unwrap(), Downloaded::Fetched { resumed_at: 0 });
    assert_eq!(seen.load(Ordering::Relaxed), 11);
    assert_eq!(fs::read(&destination).unwrap(), b"payload one");
}

#[tokio::test]
async fn dropping_the_handle_frees_the_store_at_once() {
    let vendor = Vendor::with_release();
    let store = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        let handle = open(&vendor, store.path()).await.unwrap();
        handle.refresh(now()).await.unwrap();
        assert!(matches!(open(&vendor, store.path()).await, Err(OpenError::Store { .. })));
    }
}

#[tokio::test]
async fn a_hanging_download_blocks_no_other_call_and_dropping_it_ends_it() {
    let vendor = Vendor::with_release();
    let folder = tempfile::tempdir().unwrap();
    let started = Arc::new(Notify::new());
    let transport = Scripted::new(&vendor, vec![Answer::Hangs(Arc::clone(&started))]);
    let store = folder.path().join("store");
    let handle = ReaderHandle::open(vendor.root_bytes.clone(), store.clone(), transport).await.unwrap();
    handle.refresh(now()).await.unwrap();
    let info = handle.target(&target("acme-av_1.0.0_any.tar.gz"), now()).await.unwrap().unwrap();
    let destination = folder.path().join("payload");
    let outcome: Option<Result<Downloaded, DownloadError>> = tokio::select! {
        result = handle.download(info.listed(), &destination, Resume::Continue, |_| {}) => Some(result),
        () = async {
            started.notified().await;
            handle.refresh(now()).await.unwrap();
        } => None,
    };
    assert!(outcome.is_none());
    drop(handle);
    open(&vendor, &store).await.unwrap();
}
