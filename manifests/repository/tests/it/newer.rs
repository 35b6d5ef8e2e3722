//! What is newer in one answer: worth no more than the same files one by one, whatever it says.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use sealpost_repository::{
    FolderTransport, HeldVersions, Newer, Reader, RefreshError, Refusal, RoleName, TargetBody, TargetPath,
    Transport, TransportError,
};
use sealpost_test_support::names::target;

use crate::{Vendor, now};

type Answer = dyn Fn(&HeldVersions) -> Option<Newer> + Send + Sync;

/// A folder whose newer files come at once, as `answer` says; counts what is asked for by itself.
struct AtOnce {
    folder: FolderTransport,
    answer: Box<Answer>,
    asked: Mutex<Vec<String>>,
}

impl Transport for AtOnce {
    fn metadata<'a>(
        &'a self,
        name: &'a str,
        max_bytes: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, TransportError>> {
        self.asked.lock().unwrap().push(name.to_owned());
        self.folder.metadata(name, max_bytes)
    }

    fn target<'a>(
        &'a self,
        path: &'a TargetPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Option<TargetBody>, TransportError>> {
        self.folder.target(path, offset)
    }

    fn roles_at_once(&self) -> Option<Vec<String>> {
        Some(vec!["acme-av".to_owned()])
    }

    fn newer<'a>(&'a self, held: &'a HeldVersions) -> BoxFuture<'a, Option<Newer>> {
        Box::pin(std::future::ready((self.answer)(held)))
    }
}

fn at_once(
    vendor: &Vendor,
    answer: impl Fn(&HeldVersions) -> Option<Newer> + Send + Sync + 'static,
) -> Arc<AtOnce> {
    let folder = FolderTransport::new(vendor.path());
    Arc::new(AtOnce { folder, answer: Box::new(answer), asked: Mutex::default() })
}

fn reader(vendor: &Vendor, store: &std::path::Path, transport: &Arc<AtOnce>) -> Reader {
    Reader::open(&vendor.root_bytes, store, Arc::clone(transport) as Arc<dyn Transport>).unwrap()
}

/// All files of the repository as they are now.
fn files(vendor: &Vendor) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(vendor.path().join("metadata")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "1.root.json").map(|name| (name.clone(), vendor.read(&name))).collect()
}

fn asked(transport: &AtOnce) -> Vec<String> {
    std::mem::take(&mut transport.asked.lock().unwrap())
}

#[tokio::test]
async fn what_comes_at_once_is_not_asked_for_by_itself_and_what_is_held_does_not_come_again() {
    let vendor = Vendor::with_release();
    let store = tempfile::tempdir().unwrap();
    let all = files(&vendor);
    let transport = at_once(&vendor, move |_| Some(Newer { root: 1, timestamp: 2, files: all.clone() }));
    let mut first = reader(&vendor, store.path(), &transport);
    first.refresh(now()).await.unwrap();
    assert!(first.target(&target("acme-av.channels"), now()).await.is_ok());
    assert_eq!(asked(&transport), Vec::<String>::new());
    drop(first);
    // Of what did not change since, nothing comes again: neither at once nor by itself.
    vendor.renew(&RoleName::Snapshot, now());
    let renewed = files(&vendor)
        .into_iter()
        .filter(|(name, _)| name.contains("timestamp") || name == "3.snapshot.json");
    let (renewed, newest) = (renewed.collect::<BTreeMap<_, _>>(), 3);
    let transport =
        at_once(&vendor, move |_| Some(Newer { root: 1, timestamp: newest, files: renewed.clone() }));
    let mut second = reader(&vendor, store.path(), &transport);
    assert_eq!(second.refresh(now()).await.unwrap().snapshot_version, 3);
    assert!(second.target(&target("acme-av_1.0.0_any.manifest"), now()).await.is_ok());
    assert_eq!(asked(&transport), Vec::<String>::new());
    drop(second);
    let told = Arc::new(Mutex::new(None));
    let heard = Arc::clone(&told);
    let nothing = at_once(&vendor, move |held| {
        *heard.lock().unwrap() = Some(held.clone());
        Some(Newer { root: 1, timestamp: 3, files: BTreeMap::new() })
    });
    let refreshed = reader(&vendor, store.path(), &nothing).refresh(now()).await.unwrap();
    assert_eq!((refreshed.timestamp_version, asked(&nothing)), (3, Vec::new()));
    let held = told.lock().unwrap().clone().unwrap();
    assert_eq!((held.root, held.timestamp, held.roles.get("snapshot")), (1, Some(3), Some(&3)));
}

#[tokio::test]
async fn unchanged_to_a_reader_that_holds_nothing_or_something_else_is_not_believed() {
    let vendor = Vendor::with_release();
    let unchanged =
        |timestamp| move |_: &HeldVersions| Some(Newer { root: 1, timestamp, files: BTreeMap::new() });
    let store = tempfile::tempdir().unwrap();
    let transport = at_once(&vendor, unchanged(2));
    reader(&vendor, store.path(), &transport).refresh(now()).await.unwrap();
    assert!(asked(&transport).contains(&"timestamp.json".to_owned()), "nothing was held");
    vendor.renew(&RoleName::Timestamp, now());
    let transport = at_once(&vendor, unchanged(9));
    let refreshed = reader(&vendor, store.path(), &transport).refresh(now()).await.unwrap();
    assert_eq!((refreshed.timestamp_version, asked(&transport)), (3, vec!["timestamp.json".to_owned()]));
    // Of an expired one that is held, "unchanged" says nothing either.
    let late = now() + sealpost_test_support::clock::days(400);
    let transport = at_once(&vendor, unchanged(3));
    assert!(reader(&vendor, store.path(), &transport).refresh(late).await.is_err());
}

#[tokio::test]
async fn forged_older_and_mixed_files_are_refused_as_if_they_had_come_by_themselves() {
    let vendor = Vendor::with_release();
    let old = files(&vendor);
    vendor.release("acme-av", "1.0.1", b"payload two", now());
    let store = tempfile::tempdir().unwrap();
    let current = reader(&vendor, store.path(), &at_once(&vendor, |_| None)).refresh(now()).await.unwrap();
    let refused = |files: BTreeMap<String, Vec<u8>>, timestamp| {
        let transport = at_once(&vendor, move |_| Some(Newer { root: 1, timestamp, files: files.clone() }));
        let mut reader = reader(&vendor, store.path(), &transport);
        async move { reader.refresh(now()).await }
    };
    let error = refused(old.clone(), 2).await.unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::RolledBack));
    let mut forged = files(&vendor);
    let text = String::from_utf8(forged["timestamp.json"].clone()).unwrap();
    let text = text.replace("\"version\":3", "\"version\":4");
    let _ = forged.insert("timestamp.json".to_owned(), text.into_bytes());
    let error: RefreshError = refused(forged, 4).await.unwrap_err();
    assert!(error.refusal().is_some(), "{error}");
    let again = reader(&vendor, store.path(), &at_once(&vendor, |_| None)).refresh(now()).await.unwrap();
    assert_eq!(again, current, "nothing changed");
}

#[tokio::test]
async fn a_file_that_is_too_long_and_a_root_out_of_order_are_asked_for_by_themselves() {
    let vendor = Vendor::with_release();
    let mut all = files(&vendor);
    let _ = all.insert("timestamp.json".to_owned(), vec![b' '; 6_000_000]);
    for root in [0, 2, 1_000, u64::MAX] {
        let files = all.clone();
        let transport = at_once(&vendor, move |_| Some(Newer { root, timestamp: 2, files: files.clone() }));
        let store = tempfile::tempdir().unwrap();
        let refreshed = reader(&vendor, store.path(), &transport).refresh(now()).await.unwrap();
        assert_eq!(refreshed.root_version, 1);
        assert_eq!(asked(&transport), ["2.root.json", "timestamp.json"], "root {root}");
    }
}
