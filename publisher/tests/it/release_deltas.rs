//! Deltas that are published beside a release.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::sync::Arc;

use sealpost_deltas::{Limits, read_list};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::{DeltaTarget, PackageKind, ReleaseId};
use sealpost_publisher::lint::lint;
use sealpost_publisher::release::{DeltaMade, DeltaOrder, Order, Outcome, Released};
use sealpost_repository::{FolderTransport, Reader};
use sealpost_test_support::folders::flip_a_bit;
use sealpost_test_support::names::{package, release_id};

use crate::process::Bench;
use crate::support::{Home, now};

/// A program of some size, of which each version changes a little.
fn program(version: u32) -> String {
    let mut text = format!("version {version}\n");
    for line in 0..3000u32 {
        let number = line.wrapping_mul(2_654_435_761) ^ if line == version * 7 { version } else { 0 };
        let _ = writeln!(text, "{number:08x} line {line}");
    }
    text
}

fn order(home: &Home, version: u32, from: usize) -> Order {
    let files = [("bin/tool", program(version)), ("doc/readme", "read me".to_owned())];
    let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
    let deltas = DeltaOrder { from, ..DeltaOrder::NONE };
    Order { deltas, ..home.order_as("acme-av", &format!("{version}.0"), &files, PackageKind::Program) }
}

fn id(version: u32) -> ReleaseId {
    release_id(&package("acme-av"), &format!("{version}.0"))
}

fn outcomes(released: &Released) -> Vec<(String, &'static str)> {
    let word = |made: &DeltaMade| match made {
        DeltaMade::Published { .. } => "published",
        DeltaMade::PublishedBefore => "before",
        DeltaMade::SparesNothing { .. } => "spares nothing",
        DeltaMade::NotMade { .. } => "not made",
    };
    released.deltas.iter().map(|delta| (delta.from.to_string(), word(&delta.made))).collect()
}

/// The deltas that a stranger reads, with their bytes.
async fn listed(home: &Home) -> BTreeMap<String, (DeltaTarget, Vec<u8>)> {
    let store = tempfile::tempdir().unwrap();
    let transport = Arc::new(FolderTransport::new(&home.repository()));
    let mut reader = Reader::open(&home.root(), &store.path().join("trusted"), transport).unwrap();
    reader.refresh(now()).await.unwrap();
    let mut deltas = BTreeMap::new();
    for info in reader.package_targets(&package("acme-av"), now()).await.unwrap() {
        let Some(delta) = info.delta() else { continue };
        let bytes = reader.target_bytes(info.name(), 1 << 20, now()).await.unwrap();
        deltas.insert(info.name().to_string(), (delta, bytes));
    }
    deltas
}

#[tokio::test]
async fn deltas_from_the_newest_releases_are_signed_targets_that_lead_to_the_manifest() {
    let home = Home::new();
    for version in 1..=3 {
        assert_eq!(outcomes(&home.publish(&order(&home, version, 0)).unwrap()), []);
    }
    let released = home.publish(&order(&home, 4, 2)).unwrap();
    let published = ["3.0", "2.0"].map(|from| (from.to_owned(), "published"));
    assert_eq!(outcomes(&released), published);
    assert_eq!(released.written.last().unwrap().to_str(), Some("metadata/timestamp.json"));
    let seen = home.read().await.unwrap();
    let deltas = listed(&home).await;
    assert_eq!(deltas.len(), 2);
    let payload = fs::metadata(home.target_file("acme-av_4.0_any.tar.gz")).unwrap().len();
    for (name, (delta, bytes)) in &deltas {
        assert!(name.starts_with("acme-av_4.0_any.delta."), "{name}");
        assert_eq!(delta.target, released.manifest_sha256);
        assert!((bytes.len() as u64) < payload / 10, "{} of {payload}", bytes.len());
        let base = seen.manifests.iter().find(|(_, digest)| **digest == delta.base).unwrap().0;
        assert!([id(3), id(2)].contains(base));
        let name = format!("{}.{}", delta.base, base.manifest_target().unwrap());
        let list = fs::read(home.repository().join("targets").join(name)).unwrap();
        let made = read_list(&list, bytes.as_slice(), &Limits::default(), &mut |_| true).unwrap();
        assert_eq!(Sha256Digest::of(&made), released.manifest_sha256);
    }
    let report = lint(&home.repository(), &home.root(), None, now()).await.unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(fs::read_dir(home.vendor().staging()).unwrap().count(), 0, "nothing is left");
}

#[tokio::test]
async fn the_same_release_again_adds_what_is_missing_and_keeps_what_is_there() {
    let home = Home::new();
    for version in 1..=3 {
        home.publish(&order(&home, version, 0)).unwrap();
    }
    home.publish(&order(&home, 3, 1)).unwrap();
    let first = listed(&home).await;
    let again = home.publish(&order(&home, 3, 8)).unwrap();
    assert_eq!(again.outcome, Outcome::PublishedBefore);
    assert_eq!(outcomes(&again), [("2.0".to_owned(), "before"), ("1.0".to_owned(), "published")]);
    let both = listed(&home).await;
    assert_eq!((first.len(), both.len()), (1, 2));
    assert!(first.iter().all(|(name, delta)| both.get(name) == Some(delta)));
}

#[tokio::test]
async fn what_spares_nothing_or_cannot_be_made_holds_back_no_release_and_is_told() {
    let home = Home::new();
    let deltas = DeltaOrder { from: 8, ..DeltaOrder::NONE };
    home.publish(&home.order("acme-av", "1.0", "one")).unwrap();
    let small = Order { deltas, ..home.order("acme-av", "1.1", "two") };
    assert_eq!(outcomes(&home.publish(&small).unwrap()), [("1.0".to_owned(), "spares nothing")]);
    home.publish(&order(&home, 2, 0)).unwrap();
    flip_a_bit(&home.target_file("acme-av_2.0_any.tar.gz")).unwrap();
    let other = Order {
        release: ReleaseId { platform: "linux-x86_64".parse().unwrap(), ..id(3) },
        ..order(&home, 3, 8)
    };
    assert_eq!(outcomes(&home.publish(&other).unwrap()), [], "another platform is no base");
    let released = home.publish(&order(&home, 4, 1)).unwrap();
    assert_eq!(outcomes(&released), [("2.0".to_owned(), "not made")]);
    let DeltaMade::NotMade { why } = &released.deltas[0].made else { panic!("{:?}", released.deltas) };
    assert!(why.contains("cannot unpack acme-av 2.0 (any)"), "{why}");
    assert_eq!(released.outcome, Outcome::Published);
    assert!(listed(&home).await.is_empty());
}

#[tokio::test]
async fn deltas_that_lead_to_releases_of_long_ago_are_taken_off_the_list_and_their_files_stay() {
    let home = Home::new();
    home.publish(&order(&home, 1, 1)).unwrap();
    for version in 2..=10 {
        home.publish(&order(&home, version, 1)).unwrap();
    }
    let deltas = listed(&home).await;
    let leads_to =
        |version: u32| deltas.keys().any(|name| name.starts_with(&format!("acme-av_{version}.0_")));
    assert_eq!(deltas.len(), 8);
    assert!(!leads_to(2) && leads_to(3) && leads_to(10));
    home.target_file(&format!("acme-av_2.0_any.delta.{}", first_manifest(&home).await.short()));
    let report = lint(&home.repository(), &home.root(), None, now()).await.unwrap();
    assert_eq!(report.findings, []);
}

async fn first_manifest(home: &Home) -> Sha256Digest {
    home.read().await.unwrap().manifests[&id(1)]
}

#[test]
fn the_command_prints_what_became_of_each_delta() {
    let bench = Bench::ready();
    let release = |version: u32, more: &[&str]| {
        let folder = bench.path(&format!("build-{version}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("tool"), program(version)).unwrap();
        let version = format!("{version}.0");
        let known = ["release", folder.to_str().unwrap(), "--package", "acme-av", "--version", &version];
        let known = [&known[..], &["--kind", "program", "--channel", "stable"], more].concat();
        bench.ok(&known)
    };
    release(1, &[]);
    let said = release(2, &["--deltas-from", "3"]);
    let line = said.lines().nth(1).unwrap();
    assert!(line.starts_with("delta from 1.0: ") && line.ends_with(" bytes"), "{said}");
    let said = release(2, &["--deltas-from", "3", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["deltas"][0]["outcome"], "published_before");
}
