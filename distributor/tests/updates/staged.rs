//! What staging does with a release: deltas, reviews, and the state after a kill.

use std::fs;
use std::time::Duration;

use sealpost_deltas::{Base, FolderBase, FolderTarget, Lists, Progress};
use sealpost_distributor::config::Limits;
use sealpost_distributor::ports::staging::{NOTHING, Staging};
use sealpost_distributor::ports::upstream::Upstream;
use sealpost_manifests::document;
use sealpost_test_support::delta;
use sealpost_test_support::release::noise;

use crate::site::{Site, approved, vendor, vendor_and_site};

fn program(version: u8) -> Vec<u8> {
    let mut bytes = noise(300_000);
    bytes[150_000] = version;
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_leads_from_the_approved_release_to_the_new_one_and_survives_a_restart() {
    let (one, two) = (program(1), program(2));
    let (vendor, mut site, base) = approved(&[("bin/av", &one)]).await;
    let target = vendor.release("2.0", &[("bin/av", &two)]);
    site.pull().await.unwrap();
    let row = site.row(target).await.unwrap();
    assert_eq!(row.deltas.len(), 1);
    assert_eq!(row.deltas[0].base, base);
    assert!(row.deltas[0].bytes < row.payload_bytes / 10, "{row:?}");
    site.restart().await;
    let made = site.parts().staging.delta(&base, &target).unwrap().unwrap();
    assert_eq!(made.length, row.deltas[0].bytes);
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(from.path().join("bin")).unwrap();
    fs::write(from.path().join("bin/av"), &one).unwrap();
    let mut writer = FolderTarget::new(to.path());
    let [old, new] = [base, target].map(|digest| site.parts().staging.manifest(&digest).unwrap().unwrap());
    let (list, new_list) = (document::write(&old).unwrap(), document::write(&new).unwrap());
    let [old, new] = [old, new].map(|manifest| delta::tree(from.path(), &manifest).entries);
    let files = FolderBase::new(from.path());
    let origin = Base { files: &files, list: list.as_bytes(), entries: &old };
    let mut vet =
        |list: &[u8]| if list == new_list.as_bytes() { Ok(new.clone()) } else { Err("other".into()) };
    let (limits, go_on) = (sealpost_deltas::Limits::default(), &mut |_: Progress| true);
    let lists = &mut Lists::Manifest(&mut vet);
    sealpost_deltas::apply(&origin, made.file, lists, &mut writer, &limits, go_on).unwrap();
    assert_eq!(fs::read(to.path().join("bin/av")).unwrap(), two);
    assert!(site.parts().staging.delta(&target, &base).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn reconciling_twice_makes_nothing_twice_and_clears_what_a_kill_left() {
    let (vendor, mut site, base) = approved(&[("bin/av", &program(1))]).await;
    let target = vendor.release("2.0", &[("bin/av", &program(2))]);
    site.pull().await.unwrap();
    assert_eq!(site.parts().staging.reconcile().await.unwrap(), 0);
    // As a kill leaves it: an unfinished tree, no trees, and a delta whose note was not yet written.
    let staging = site.home().staging();
    fs::create_dir(staging.join(".unfinished-tree")).unwrap();
    fs::remove_dir_all(staging.join("trees")).unwrap();
    fs::remove_file(staging.join(format!("deltas/{base}-{target}.json"))).unwrap();
    let before = site.head().await;
    site.restart().await;
    assert!(!staging.join(".unfinished-tree").exists());
    assert!(site.parts().staging.delta(&base, &target).unwrap().is_none());
    assert_eq!(site.parts().staging.reconcile().await.unwrap(), 1);
    assert!(site.parts().staging.delta(&base, &target).unwrap().is_some());
    assert_eq!(site.head().await, before, "a delta that is known is not recorded again");
    assert_eq!(site.row(target).await.unwrap().deltas.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_that_saves_too_little_is_not_kept_and_not_made_again_after_a_restart() {
    let (vendor, mut site, base) = approved(&[("bin/av", &noise(10_000))]).await;
    let other: Vec<u8> = noise(20_000).split_off(10_000);
    let target = vendor.release("2.0", &[("bin/av", &other)]);
    site.pull().await.unwrap();
    assert!(site.row(target).await.unwrap().deltas.is_empty());
    assert!(site.parts().staging.delta(&base, &target).unwrap().is_none());
    let note = site.home().staging().join(format!("deltas/{base}-{target}.none"));
    let noted = fs::metadata(&note).unwrap().modified().unwrap();
    site.restart().await;
    assert_eq!(site.parts().staging.reconcile().await.unwrap(), 0);
    assert_eq!(fs::metadata(&note).unwrap().modified().unwrap(), noted, "it was made again");
    // Nobody wants the pair any more.
    vendor.withdraw("2.0", "a test");
    site.pull().await.unwrap();
    assert!(!note.exists());
}

/// Text that packs better than gzip does it: a megabyte that says the same as the one before it.
fn far_apart() -> Vec<u8> {
    let half = noise(300_000);
    [half.clone(), half].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_packed_for_computers_that_run_nothing_of_it_and_the_ledger_says_nothing_of_that() {
    let (vendor, mut site, base) = approved(&[("bin/av", &far_apart())]).await;
    let rows = site.row(base).await.unwrap();
    assert!(rows.deltas.is_empty(), "{rows:?}");
    assert_eq!(site.parts().staging.pack().await.unwrap(), 1);
    let edges = site.parts().staging.edges();
    let packed = edges[&base][&NOTHING];
    assert!(packed.length < rows.payload_bytes * 2 / 3, "{packed:?} of {}", rows.payload_bytes);
    let made = site.parts().staging.delta(&NOTHING, &base).unwrap().unwrap();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let manifest = site.parts().staging.manifest(&base).unwrap().unwrap();
    let entries = delta::tree(from.path(), &manifest).entries;
    let files = FolderBase::new(from.path());
    let origin = Base { files: &files, list: b"", entries: &[] };
    let list = document::write(&manifest).unwrap();
    let mut vet = |new: &[u8]| if new == list.as_bytes() { Ok(entries.clone()) } else { Err("other".into()) };
    let (limits, go_on) = (sealpost_deltas::Limits::default(), &mut |_: Progress| true);
    let mut writer = FolderTarget::new(to.path());
    let lists = &mut Lists::Manifest(&mut vet);
    sealpost_deltas::apply(&origin, made.file, lists, &mut writer, &limits, go_on).unwrap();
    assert_eq!(fs::read(to.path().join("bin/av")).unwrap(), far_apart());

    // Once, also after a restart; and it is kept while somebody may need its release.
    let head = site.head().await;
    site.restart().await;
    assert_eq!(site.parts().staging.reconcile().await.unwrap(), 0);
    assert_eq!(site.parts().staging.pack().await.unwrap(), 0);
    assert_eq!(site.parts().staging.edges(), edges);
    site.collect().await;
    assert_eq!(site.parts().staging.edges(), edges);
    assert_eq!(site.head().await, head);
    vendor.withdraw("1.0", "a test");
    site.pull().await.unwrap();
    site.parts().upstream.clean().await.unwrap();
    assert!(site.parts().staging.edges().is_empty());
    assert!(site.parts().staging.delta(&NOTHING, &base).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_release_is_not_packed() {
    let (_vendor, site, base) = approved(&[("bin/av", &[7; 100_000])]).await;
    assert!(site.row(base).await.unwrap().payload_bytes < 64 * 1024);
    assert_eq!(site.parts().staging.pack().await.unwrap(), 0);
    assert!(site.parts().staging.edges().is_empty());
    let note = site.home().staging().join(format!("deltas/{NOTHING}-{base}.none"));
    assert!(!note.exists(), "it was not even made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reviewer_sees_what_changes_against_the_approved_release() {
    let (vendor, site) = vendor_and_site().await;
    let first = vendor.release("1.0", &[("a", b"1"), ("b", b"2"), ("old", b"3")]);
    site.pull().await.unwrap();
    let review = site.parts().staging.review(first).await.unwrap().unwrap();
    assert!(review.base.is_none());
    assert_eq!((review.difference.added.len(), review.difference.unchanged), (3, 0));
    site.approve(first).await;
    let second = vendor.release("2.0", &[("a", b"1"), ("b", b"22"), ("new", b"4")]);
    site.pull().await.unwrap();
    let review = site.parts().staging.review(second).await.unwrap().unwrap();
    assert_eq!(review.base.unwrap().manifest, first);
    assert_eq!(review.manifest.notes, "notes of 2.0");
    let difference = review.difference;
    let paths = |files: &[sealpost_admin_api::updates::ChangedFile]| -> Vec<String> {
        files.iter().map(|file| file.path.to_string()).collect()
    };
    assert_eq!(paths(&difference.added), ["new"]);
    assert_eq!(paths(&difference.changed), ["b"]);
    assert_eq!(paths(&difference.removed), ["old"]);
    assert_eq!(difference.unchanged, 1);
    let unknown = sealpost_manifests::digest::Sha256Digest::of(b"unknown");
    assert!(site.parts().staging.review(unknown).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_that_takes_too_much_memory_or_time_costs_the_delta_and_not_the_release() {
    let usual = Limits { keep_free_bytes: 0, ..Limits::default() };
    let little_memory = Limits { delta_memory_bytes: 4 * 1024 * 1024, ..usual };
    let little_time = Limits { delta_time: Duration::from_nanos(1), ..usual };
    for limits in [little_memory, little_time] {
        let (vendor, web) = vendor().await;
        let site = Site::with_limits(&vendor, &web, limits).await;
        let mut large = noise(8_000_000);
        let base = vendor.release("1.0", &[("bin/av", &large)]);
        site.pull().await.unwrap();
        site.approve(base).await;
        large[4_000_000] ^= 1;
        let target = vendor.release("2.0", &[("bin/av", &large)]);
        assert_eq!(site.pull_well().await.len(), 1);
        let row = site.row(target).await.unwrap();
        assert!(row.deltas.is_empty() && row.payload_bytes > 0, "{row:?}");
        assert!(site.parts().staging.delta(&base, &target).unwrap().is_none());
        site.approve(target).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packing_that_failed_for_a_moment_is_tried_again_without_a_restart() {
    let (_vendor, site, base) = approved(&[("bin/av", &far_apart())]).await;
    // As if the disk were full for a moment: nothing can be made in the folder.
    let staging = site.home().staging();
    let aside = staging.with_extension("aside");
    fs::rename(&staging, &aside).unwrap();
    fs::create_dir(&staging).unwrap();
    fs::write(staging.join("trees"), "no folder").unwrap();
    assert!(!matches!(site.parts().staging.pack().await, Ok(1)));
    fs::remove_dir_all(&staging).unwrap();
    fs::rename(&aside, &staging).unwrap();
    assert_eq!(site.parts().staging.pack().await.unwrap(), 1);
    assert!(site.parts().staging.edges()[&base].contains_key(&NOTHING));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_cannot_be_packed_holds_up_none_of_the_others_and_no_delta() {
    let (vendor, site, one) = approved(&[("bin/av", &far_apart())]).await;
    let two = vendor.release("2.0", &[("bin/av", &[&far_apart()[..], b"2"].concat())]);
    site.pull().await.unwrap();
    site.approve(two).await;
    // Releases come in the order of their digests. What should be the note of the first one cannot be read.
    let deltas = site.home().staging().join("deltas");
    fs::create_dir(deltas.join(format!("{NOTHING}-{}.json", one.min(two)))).unwrap();
    assert_eq!(site.parts().staging.pack().await.unwrap(), 1);
    assert!(site.parts().staging.edges()[&one.max(two)].contains_key(&NOTHING));

    let next = |version: &str| {
        vendor.draft(version, &[("bin/av", &[&far_apart()[..], version.as_bytes()].concat())])
    };
    let new = [("3.0", "stable"), ("4.0", "beta")]
        .map(|(version, channel)| vendor.publish(&next(version), &[channel]));
    let slow = site.deltas_may_begin.clone().lock_owned().await;
    let upstream = std::sync::Arc::clone(&site.parts().upstream);
    let pulling = tokio::spawn(async move { upstream.pull_now().await });
    for release in new {
        while site.state(release).await.is_none() {
            tokio::task::yield_now().await;
        }
    }
    let [first, second] = [new[0].min(new[1]), new[0].max(new[1])];
    fs::create_dir(deltas.join(format!("{two}-{first}.json"))).unwrap();
    drop(slow);
    pulling.await.unwrap().unwrap();
    assert!(deltas.join(format!("{two}-{second}.json")).is_file());
}
