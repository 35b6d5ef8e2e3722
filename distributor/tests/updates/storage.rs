//! What is stored: what nobody needs is removed in time, what somebody needs never, and what is damaged is fetched again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::SignedDuration;
use sealpost_distributor::config::Limits;
use sealpost_distributor::ports::staging::{NOTHING, Staging};
use sealpost_distributor::ports::upstream::Upstream;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::release::{Encoding, ReleaseManifest};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::rules::release::ReleaseState;
use sealpost_test_support::release::noise;
use sealpost_test_support::vendor::Vendor;

use crate::site::{Site, vendor_and_site};

/// The digest of a release's payload.
fn payload(site: &Site, manifest: Sha256Digest) -> Sha256Digest {
    let bytes = site.parts().blobs.read(&manifest, 1 << 20).unwrap().unwrap();
    let manifest: ReleaseManifest = document::read(&bytes).unwrap();
    manifest.payload.encoding(Encoding::Gzip).unwrap().sha256
}

fn is_stored(site: &Site, sha256: &Sha256Digest) -> bool {
    site.parts().blobs.length(sha256).unwrap().is_some()
}

/// Pulls and approves releases 1.0 to `count`.0; answers their manifests and payloads.
async fn approved_in_turn(vendor: &Vendor, site: &Site, count: u8) -> Vec<(Sha256Digest, Sha256Digest)> {
    // Large and alike, so that deltas between them are worth having.
    let (mut content, mut releases) = (noise(60_000), Vec::new());
    for version in 1..=count {
        content[usize::from(version)] ^= 0xff;
        let manifest = vendor.release(&format!("{version}.0"), &[("data", &content)]);
        site.pull().await.unwrap();
        site.approve(manifest).await;
        releases.push((manifest, payload(site, manifest)));
    }
    releases
}

fn stored(site: &Site, releases: &[(Sha256Digest, Sha256Digest)]) -> Vec<bool> {
    releases.iter().map(|(_, payload)| is_stored(site, payload)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn superseded_payloads_are_removed_and_the_approved_one_and_the_one_before_it_never() {
    let (vendor, mut site) = vendor_and_site().await;
    let releases = approved_in_turn(&vendor, &site, 4).await;
    let before = site.parts().upstream.storage().await.unwrap();
    assert!(before.kinds.iter().find(|kind| kind.kind == "payloads").unwrap().unneeded_bytes > 0);
    assert!(before.missing.is_empty());
    let cleaned = site.parts().upstream.clean().await.unwrap();
    assert!(cleaned.removed_bytes.unwrap() > 0);
    assert_eq!(stored(&site, &releases), [false, false, true, true]);
    assert!(cleaned.missing.is_empty(), "{cleaned:?}");
    // Documents stay, so that a reviewer still sees what was.
    for (manifest, _) in &releases {
        assert!(is_stored(&site, manifest));
    }
    site.restart().await;
    assert!(site.pull_well().await.is_empty(), "nothing of it is fetched again");
    assert_eq!(stored(&site, &releases), [false, false, true, true]);
    assert_eq!(site.parts().upstream.clean().await.unwrap().removed_bytes, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_needs_stays_for_the_configured_time_also_across_restarts() {
    let (vendor, mut site) = vendor_and_site().await;
    let releases = approved_in_turn(&vendor, &site, 3).await;
    site.collect().await;
    site.clock.forward(SignedDuration::from_hours(24 * 89));
    site.restart().await;
    site.collect().await;
    assert_eq!(stored(&site, &releases), [true, true, true]);
    site.clock.forward(SignedDuration::from_hours(24 * 2));
    site.collect().await;
    assert_eq!(stored(&site, &releases), [false, true, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_an_approved_release_that_no_channel_points_to_is_found_and_fetched_again() {
    let (vendor, site) = vendor_and_site().await;
    let first = vendor.release("1.0", &[("data", &[1; 3000])]);
    site.pull().await.unwrap();
    site.approve(first).await;
    // The channel moves on; 2.0 waits for its review.
    vendor.release("2.0", &[("data", &[2; 3000])]);
    site.pull().await.unwrap();
    assert_eq!(site.state(first).await, Some(ReleaseState::Approved));
    let payload = payload(&site, first);
    let path = site.parts().blobs.place(&payload).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, vec![0; 10]).unwrap();
    // As when it was sent to a computer.
    site.parts().upstream.suspect(payload);
    while site.parts().upstream.missing().names.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(site.parts().upstream.missing().names, ["acme-av_1.0_any.tar.gz"]);
    assert!(!is_stored(&site, &payload), "what is damaged is sent to nobody");
    site.pull().await.unwrap();
    assert!(is_stored(&site, &payload) && site.parts().upstream.missing().names.is_empty());
    assert!(site.parts().blobs.verify(&payload).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_to_or_from_what_nobody_needs_is_removed_with_its_note() {
    let (vendor, site) = vendor_and_site().await;
    approved_in_turn(&vendor, &site, 4).await;
    let before = site.parts().staging.deltas().unwrap();
    assert!(before.len() >= 3, "{before:?}");
    site.parts().upstream.clean().await.unwrap();
    let after = site.parts().staging.deltas().unwrap();
    assert!(after.len() < before.len(), "{after:?}");
    for delta in before {
        let stays = after.contains(&delta);
        assert_eq!(is_stored(&site, &delta.blob.sha256), stays, "{delta:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_nobody_asks_for_is_found_damaged_by_the_scrub() {
    let (vendor, site) = vendor_and_site().await;
    let (manifest, payload) = approved_in_turn(&vendor, &site, 1).await[0];
    let path = site.parts().blobs.place(&payload).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"other bytes").unwrap();
    let view = site.parts().upstream.check().await.unwrap();
    assert_eq!((&view.missing, &view.damaged), (&vec!["acme-av_1.0_any.tar.gz".to_owned()], &view.missing));
    assert_eq!(view.scrubbed_at, Some(site.clock.now()));
    assert!(!is_stored(&site, &payload) && is_stored(&site, &manifest));
    // What was removed by hand is not here, and was not damaged.
    site.pull().await.unwrap();
    assert!(site.parts().upstream.check().await.unwrap().missing.is_empty());
    std::fs::remove_file(site.parts().blobs.place(&payload).unwrap()).unwrap();
    let view = site.parts().upstream.check().await.unwrap();
    assert_eq!((view.missing.len(), view.damaged.len()), (1, 0), "{view:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_removed_while_the_mirror_is_damaged() {
    let (vendor, mut site) = vendor_and_site().await;
    let releases = approved_in_turn(&vendor, &site, 4).await;
    let (blobs, generation) =
        (site.parts().blobs.list().unwrap(), site.parts().upstream.mirror().generation());
    let index = site.home().mirror().join(format!("gen-{:08}/index", generation.unwrap()));
    std::fs::write(index, "nonsense").unwrap();
    site.restart().await;
    let refused = site.parts().upstream.clean().await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::Internal);
    assert!(refused.message.contains("nothing was removed") && refused.hint.contains("pull"), "{refused}");
    site.parts().upstream.collect().await.unwrap_err();
    assert_eq!(site.parts().blobs.list().unwrap(), blobs);
    let view = site.parts().upstream.storage().await.unwrap();
    assert!(view.kinds.iter().all(|kind| kind.unneeded_bytes == 0), "{view:?}");
    assert!(view.missing.iter().any(|missing| missing == "the vendor's metadata"), "{view:?}");
    site.pull().await.unwrap();
    site.parts().upstream.clean().await.unwrap();
    assert_eq!(stored(&site, &releases), [false, false, true, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_waits_for_a_cleaning_whose_caller_has_gone() {
    let (vendor, site) = vendor_and_site().await;
    let releases = approved_in_turn(&vendor, &site, 4).await;
    let held_up = site.removal.may_go_on.lock().await;
    let upstream = Arc::clone(&site.parts().upstream);
    let cleaning = tokio::spawn(async move { upstream.clean().await });
    while !site.removal.has_begun.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    cleaning.abort();
    assert!(cleaning.await.unwrap_err().is_cancelled());
    site.web.forget_asked();
    let mut pull = std::pin::pin!(site.pull());
    assert!(tokio::time::timeout(Duration::from_millis(500), pull.as_mut()).await.is_err());
    assert!(site.web.asked("timestamp.json").is_empty(), "files are still removed");
    drop(held_up);
    pull.await.unwrap();
    assert_eq!(stored(&site, &releases), [false, false, true, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cleaning_that_was_killed_anywhere_is_ended_by_the_next_one() {
    let (vendor, mut site) = vendor_and_site().await;
    let releases = approved_in_turn(&vendor, &site, 4).await;
    // Killed after a delta's note was removed and before its blob was, and between two payloads.
    let forgotten = site.parts().staging.deltas().unwrap()[0];
    site.parts().staging.forget_delta(&forgotten).unwrap();
    site.parts().blobs.remove(&releases[0].1).unwrap();
    site.restart().await;
    let cleaned = site.parts().upstream.clean().await.unwrap();
    assert!(cleaned.missing.is_empty(), "{cleaned:?}");
    assert_eq!(stored(&site, &releases), [false, false, true, true]);
    assert!(!is_stored(&site, &forgotten.blob.sha256));
    // What is needed of it is made again.
    site.parts().staging.reconcile().await.unwrap();
    assert!(site.pull_well().await.is_empty());
    assert!(site.parts().upstream.missing().names.is_empty());
}

/// Waits for what the schedule does by itself. The runtime's clock runs ahead when nothing else is to be done.
async fn in_time(is_done: impl Fn() -> bool) {
    let most = Duration::from_secs(60 * 24 * 3600);
    let began = tokio::time::Instant::now();
    while !is_done() {
        assert!(began.elapsed() < most, "nothing happened in {} days", most.as_secs() / 86_400);
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
}

#[tokio::test]
async fn stored_files_are_compared_with_their_digests_by_the_server_itself() {
    let (vendor, site) = vendor_and_site().await;
    let releases = approved_in_turn(&vendor, &site, 1).await;
    let path = site.parts().blobs.place(&releases[0].1).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, vec![0; bytes.len()]).unwrap();
    assert!(site.parts().upstream.missing().names.is_empty());
    tokio::time::pause();
    let schedule = tokio::spawn(Arc::clone(&site.parts().upstream).keep());
    in_time(|| !site.parts().upstream.missing().names.is_empty()).await;
    schedule.abort();
}

#[tokio::test]
async fn what_nobody_needs_is_removed_by_the_server_itself_when_its_time_has_come() {
    let (vendor, site) = vendor_and_site().await;
    let releases = approved_in_turn(&vendor, &site, 3).await;
    site.collect().await;
    site.clock.forward(SignedDuration::from_hours(24 * 89));
    tokio::time::pause();
    let schedule = tokio::spawn(Arc::clone(&site.parts().upstream).keep());
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(stored(&site, &releases), [true, true, true]);
    site.clock.forward(SignedDuration::from_hours(24 * 2));
    in_time(|| stored(&site, &releases) == [false, true, true]).await;
    schedule.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_without_room_removes_first_what_nobody_needs() {
    let (vendor, mut site) = vendor_and_site().await;
    let releases = approved_in_turn(&vendor, &site, 3).await;
    vendor.release("4.0", &[("data", &noise(60_000))]);
    // There is no room whatever is removed: what nobody needs goes all the same, and nothing else.
    site.limit(Limits { keep_free_bytes: u64::MAX / 2, ..Limits::default() }).await;
    let problem = site.pull().await.unwrap_err();
    assert!(
        problem.message.contains("no room for acme-av_4.0")
            && problem.message.contains("`distributor storage clean`"),
        "{problem}"
    );
    assert_eq!(stored(&site, &releases), [false, true, true]);
    site.limit(Limits { keep_free_bytes: 0, ..Limits::default() }).await;
    site.pull().await.unwrap();
}

/// Releases 1.0 to `count`.0, each approved and packed.
async fn packed_in_turn(vendor: &Vendor, site: &Site, count: u8) -> Vec<Sha256Digest> {
    let mut releases = Vec::new();
    for version in 1..=count {
        // Twice the same, far apart: it packs better than gzip does it.
        let half = noise(300_000);
        let mut twice = [half.clone(), half].concat();
        twice[0] = version;
        let manifest = vendor.release(&format!("{version}.0"), &[("data", &twice)]);
        site.pull().await.unwrap();
        site.approve(manifest).await;
        site.parts().staging.pack().await.unwrap();
        releases.push(manifest);
    }
    releases
}

/// Which of these releases are packed, by what is noted and stored.
fn packed(site: &Site, releases: &[Sha256Digest]) -> Vec<bool> {
    let noted = site.parts().staging.deltas().unwrap();
    let is_packed = |release: &Sha256Digest| {
        let of = noted.iter().find(|delta| delta.base == NOTHING && delta.target == *release);
        of.is_some_and(|delta| is_stored(site, &delta.blob.sha256))
    };
    releases.iter().map(is_packed).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn packing_and_deltas_leave_the_room_that_has_to_stay_free_and_are_made_once_there_is_more() {
    let (vendor, mut site) = vendor_and_site().await;
    let no_room = Limits { keep_free_bytes: u64::MAX / 2, ..Limits::default() };
    let room = Limits { keep_free_bytes: 0, ..Limits::default() };
    let half = noise(300_000);
    let twice = [half.clone(), half].concat();
    let one = vendor.release("1.0", &[("data", &twice)]);
    site.pull().await.unwrap();
    site.approve(one).await;
    site.reload(no_room);
    assert_eq!(site.parts().staging.pack().await.unwrap(), 0);
    // Trees are unpacked for a delta, and take room as well.
    std::fs::remove_dir_all(site.home().staging().join("trees")).unwrap();
    assert_eq!(site.parts().staging.pack().await.unwrap(), 0);
    assert!(!site.home().staging().join("trees").join(one.to_string()).exists());
    site.reload(room);
    assert_eq!(site.parts().staging.pack().await.unwrap(), 1);

    let two = vendor.release("2.0", &[("data", &[&twice[..], b"2"].concat())]);
    let slow = site.deltas_may_begin.clone().lock_owned().await;
    let upstream = Arc::clone(&site.parts().upstream);
    let pulling = tokio::spawn(async move { upstream.pull_now().await });
    while site.state(two).await.is_none() {
        tokio::task::yield_now().await;
    }
    pulling.abort();
    drop(slow);
    site.limit(no_room).await;
    assert_eq!(site.parts().staging.reconcile().await.unwrap(), 0);
    site.limit(room).await;
    assert_eq!(site.parts().staging.reconcile().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_releases_make_way_for_a_pull_without_room_and_for_a_person_and_are_made_again() {
    let (vendor, mut site) = vendor_and_site().await;
    let releases = packed_in_turn(&vendor, &site, 1).await;
    assert_eq!(packed(&site, &releases), [true]);
    let view = site.parts().upstream.clean().await.unwrap();
    assert!(view.removed_bytes.unwrap() > 0 && view.missing.is_empty(), "{view:?}");
    assert_eq!(packed(&site, &releases), [false]);
    assert_eq!(site.parts().staging.pack().await.unwrap(), 1);
    site.collect().await;
    assert_eq!(packed(&site, &releases), [true], "it is needed as long as there is room");

    site.limit(Limits { keep_free_bytes: u64::MAX / 2, ..Limits::default() }).await;
    vendor.release("2.0", &[("data", &noise(100_000))]);
    site.pull().await.unwrap_err();
    assert_eq!(packed(&site, &releases), [false]);
    assert!(is_stored(&site, &payload(&site, releases[0])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_release_that_was_replaced_and_is_assigned_to_nobody_is_removed_in_time() {
    let (vendor, site) = vendor_and_site().await;
    let releases = packed_in_turn(&vendor, &site, 2).await;
    site.collect().await;
    site.clock.forward(SignedDuration::from_hours(24 * 91));
    site.collect().await;
    assert_eq!(site.state(releases[0]).await, Some(ReleaseState::Superseded));
    assert_eq!(packed(&site, &releases), [false, true]);
    // What a halt would bring back stays.
    assert!(is_stored(&site, &payload(&site, releases[0])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_that_is_noted_while_files_are_cleaned_is_not_removed_under_its_note() {
    let (vendor, site) = vendor_and_site().await;
    // Deltas that nobody needs any more, so that the cleaning removes notes; and a packed release without its note, so that
    // its blob is one that nobody needs.
    let releases = packed_in_turn(&vendor, &site, 5).await;
    let last = *releases.last().unwrap();
    let noted = site.parts().staging.deltas().unwrap();
    let of_last = *noted.iter().find(|delta| delta.base == NOTHING && delta.target == last).unwrap();
    site.parts().staging.forget_delta(&of_last).unwrap();
    let held_up = site.removal.may_go_on.lock().await;
    let upstream = Arc::clone(&site.parts().upstream);
    let cleaning = tokio::spawn(async move { upstream.clean().await });
    while !site.removal.has_begun.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    assert_eq!(site.parts().staging.pack().await.unwrap(), 1);
    drop(held_up);
    cleaning.await.unwrap().unwrap();
    assert_eq!(packed(&site, &[last]), [true]);
}
