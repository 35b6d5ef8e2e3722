//! Pulls from an honest vendor.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::SignedDuration;
use sealpost_admin_api::pulls::PulledOutcome;
use sealpost_distributor::config::Limits;
use sealpost_distributor::ports::staging::Staging;
use sealpost_distributor::ports::upstream::{TargetClass, Upstream};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::rules::release::ReleaseState;
use sealpost_test_support::names::channel;
use sealpost_test_support::release::noise;
use sealpost_test_support::web::{Fault, Times};

use crate::site::{Site, approved, vendor_and_site};

const FILES: &[(&str, &[u8])] = &[("bin/av", b"one"), ("etc/av.conf", b"quiet = true\n")];

#[tokio::test(flavor = "multi_thread")]
async fn a_published_release_is_staged_mirrored_and_served() {
    let (vendor, site) = vendor_and_site().await;
    let manifest = vendor.release("1.0", FILES);
    let summary = site.pull().await.unwrap();
    assert!(summary.changed && summary.fetched_bytes > 0);
    assert_eq!(summary.releases.len(), 1);
    assert_eq!(summary.releases[0].outcome, PulledOutcome::Staged);
    let row = site.row(manifest).await.unwrap();
    assert_eq!((row.state, row.channels), (ReleaseState::Staged, vec![channel("stable")]));
    assert_eq!(row.signer, Some(vendor.release_key.public()));
    // Every metadata file of the vendor is given out unchanged.
    for name in ["1.root.json", "timestamp.json", "2.snapshot.json", "2.acme-av.json"] {
        let published = std::fs::read(vendor.metadata_file(name)).unwrap();
        assert_eq!(site.mirrored(name).unwrap(), published, "{name}");
    }
    // Every target is found by its digest, and its bytes are there.
    for name in ["trust.json", "acme-av.channels", "acme-av_1.0_any.manifest", "acme-av_1.0_any.tar.gz"] {
        let path = vendor.target_file(name);
        let file_name = path.file_name().unwrap().to_str().unwrap();
        let entry = site.parts().upstream.find_target(file_name).unwrap();
        assert_eq!(entry.name.as_str(), name);
        if name.contains('_') {
            assert!(
                matches!(entry.class, TargetClass::Release { manifest: of, .. } if of == manifest),
                "{name}"
            );
        }
        let blob = site.parts().blobs.open(&entry.sha256).unwrap().unwrap();
        assert_eq!(blob.length, std::fs::metadata(&path).unwrap().len());
    }
    assert_eq!(site.parts().upstream.trust().unwrap().vendor, "Acme");
    assert_eq!(site.noted_failure().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_without_news_changes_nothing_and_fetches_no_payload() {
    let (vendor, mut site) = vendor_and_site().await;
    vendor.release("1.0", FILES);
    site.pull().await.unwrap();
    let before = site.seen().await;
    site.restart().await;
    site.web.forget_asked();
    let summary = site.pull().await.unwrap();
    assert!(!summary.changed && summary.releases.is_empty());
    assert_eq!(site.seen().await, before);
    assert_eq!(site.web.asked("/targets/"), []);
    assert!(site.parts().upstream.trust().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_without_a_release_yet_is_pulled_well() {
    let (_vendor, site) = vendor_and_site().await;
    assert_eq!(site.pull_well().await, []);
    assert!(site.mirrored("timestamp.json").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_to_another_channel_adds_that_channel_and_takes_nothing_anew() {
    let (vendor, site) = vendor_and_site().await;
    let draft = vendor.draft("1.0", FILES);
    let manifest = vendor.publish(&draft, &["beta"]);
    site.pull().await.unwrap();
    site.approve(manifest).await;
    vendor.point("stable", "1.0");
    assert_eq!(site.pull_well().await, []);
    let row = site.row(manifest).await.unwrap();
    assert_eq!(row.state, ReleaseState::Approved);
    assert!(row.channels.contains(&channel("stable")) && row.channels.contains(&channel("beta")), "{row:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_its_channel_went_back_from_cannot_be_approved_and_one_that_it_moved_on_from_can() {
    let (vendor, site) = vendor_and_site().await;
    let [first, second, third] = ["1.0", "2.0", "3.0"].map(|version| vendor.draft(version, FILES));
    vendor.publish(&first, &["stable"]);
    site.pull().await.unwrap();
    let taken_back = vendor.publish(&second, &["stable"]);
    site.pull().await.unwrap();
    vendor.point("stable", "1.0");
    site.pull().await.unwrap();
    let row = site.row(taken_back).await.unwrap();
    assert_eq!((row.state, row.channels.as_slice()), (ReleaseState::Staged, &[][..]));
    let refused = site.try_approve(taken_back).await.unwrap_err().to_string();
    assert!(refused.contains("no channel"), "{refused}");

    vendor.point("stable", "2.0");
    site.pull().await.unwrap();
    vendor.publish(&third, &["stable"]);
    site.pull().await.unwrap();
    assert_eq!(
        site.row(taken_back).await.unwrap().channels,
        [channel("stable")],
        "3.0 waits for its review too"
    );
    site.approve(taken_back).await;
    assert_eq!(site.state(taken_back).await, Some(ReleaseState::Approved));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_release_is_withdrawn_here_too() {
    let (vendor, site, manifest) = approved(FILES).await;
    vendor.withdraw("1.0", "deletes quarantine");
    let expected = PulledOutcome::Withdrawn { reason: "deletes quarantine".to_owned() };
    assert_eq!(site.pull_well().await, [("1.0".to_owned(), expected)]);
    assert_eq!(site.state(manifest).await, Some(ReleaseState::Withdrawn));
    assert_eq!(site.pull_well().await, [], "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_cannot_be_staged_holds_up_no_withdrawal() {
    let (vendor, site, manifest) = approved(FILES).await;
    let newer = vendor.release("2.0", FILES);
    vendor.withdraw("1.0", "deletes quarantine");
    site.staging_broken.store(true, Ordering::SeqCst);
    assert_eq!(site.pull().await.unwrap_err().code, ProblemCode::PullFailed);
    assert_eq!(site.state(manifest).await, Some(ReleaseState::Withdrawn));
    assert_eq!(site.state(newer).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn deltas_that_take_long_hold_up_no_withdrawal() {
    let (vendor, site) = vendor_and_site().await;
    let manifest = vendor.release("1.0", FILES);
    let mut commits = site.parts().ledger.subscribe();
    let slow = site.deltas_may_begin.lock().await;
    let pulls = async {
        let (first, second) = tokio::join!(site.pull(), async {
            while site.state(manifest).await.is_none() {
                commits.changed().await.unwrap();
            }
            vendor.withdraw("1.0", "deletes quarantine");
            site.pull().await
        });
        first.and(second)
    };
    let mut commits = site.parts().ledger.subscribe();
    let withdrawn = async {
        while site.state(manifest).await != Some(ReleaseState::Withdrawn) {
            commits.changed().await.unwrap();
        }
        drop(slow);
    };
    let (pulled, ()) = tokio::join!(pulls, withdrawn);
    assert_eq!(pulled.unwrap().releases.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_download_is_continued_where_it_ended() {
    let (vendor, site) = vendor_and_site().await;
    let manifest = vendor.release("1.0", &[("data", &noise(400_000))]);
    // More cuts than one pull continues.
    site.web.fail(".tar.gz", Fault::CutAfter(5_000), Times::Next(7));
    let problem = site.pull().await.unwrap_err();
    assert!(problem.message.contains("was cut after") && problem.hint.contains("pull again"), "{problem}");
    assert_eq!(site.state(manifest).await, None);
    assert!(
        site.rows().await.is_empty() && site.seen().await.timestamp.is_some(),
        "the metadata alone is here"
    );
    site.web.make_no_faults();
    site.web.forget_asked();
    site.pull().await.unwrap();
    assert_eq!(site.state(manifest).await, Some(ReleaseState::Staged));
    let asked = site.web.asked(".tar.gz");
    assert_eq!(asked.iter().flatten().count(), 1, "{asked:?}");
    assert!(std::fs::read_dir(site.home().downloads()).unwrap().next().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_pull_continues_is_removed_also_while_another_payload_fails() {
    let (vendor, mut site) = vendor_and_site().await;
    vendor.release("1.0", &[("data", &noise(400_000))]);
    site.web.fail(".tar.gz", Fault::CutAfter(5_000), Times::Always);
    site.pull().await.unwrap_err();
    let begun = downloads(&site);
    assert!(matches!(begun.as_slice(), [name] if name.ends_with(".part")), "{begun:?}");
    // Of a release that the vendor has withdrawn since.
    let stale = site.home().downloads().join(format!("{}.part", "0".repeat(64)));
    std::fs::write(&stale, [0; 100]).unwrap();
    site.pull().await.unwrap_err();
    assert_eq!(downloads(&site), begun);
    // No room for the rest of it: that may be made.
    std::fs::write(&stale, [0; 100]).unwrap();
    site.web.make_no_faults();
    let everything = Limits { keep_free_bytes: u64::MAX, ..Limits::default() };
    site.limit(everything).await;
    let problem = site.pull().await.unwrap_err();
    assert!(problem.message.contains("no room for"), "{problem}");
    assert_eq!(downloads(&site), begun);
}

/// Names of the files that are being fetched.
fn downloads(site: &Site) -> Vec<String> {
    let entries = std::fs::read_dir(site.home().downloads()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_ask_at_once_get_the_answer_of_pulls_that_began_after_they_asked() {
    let (vendor, site) = vendor_and_site().await;
    vendor.release("1.0", FILES);
    let answers = futures_util::future::join_all((0..8).map(|_| site.pull())).await;
    assert!(answers.iter().all(Result::is_ok));
    let timestamps = site.web.asked("timestamp.json").len();
    // Each pull asks twice at most; eight pulls would be sixteen.
    assert!(timestamps <= 4, "{timestamps}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_blob_is_fetched_again() {
    let (vendor, site) = vendor_and_site().await;
    vendor.release("1.0", FILES);
    site.pull().await.unwrap();
    let payload = Sha256Digest::of(&std::fs::read(vendor.target_file("acme-av_1.0_any.tar.gz")).unwrap());
    let name = payload.to_string();
    std::fs::remove_file(site.home().blobs().join(&name[..2]).join(&name)).unwrap();
    site.pull().await.unwrap();
    assert!(site.parts().blobs.verify(&payload).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_pulls_by_itself() {
    let (vendor, site) = vendor_and_site().await;
    let manifest = vendor.release("1.0", FILES);
    let mut changes = site.parts().ledger.subscribe();
    let schedule = tokio::spawn(Arc::clone(&site.parts().upstream).keep());
    let staged = async {
        while site.state(manifest).await != Some(ReleaseState::Staged) {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), staged).await.unwrap();
    schedule.abort();
    // Fresh enough: nothing is due at the next start.
    site.clock.forward(SignedDuration::from_mins(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_kill_between_mirror_and_staging_left_undone_the_next_pull_does() {
    let (vendor, mut site) = vendor_and_site().await;
    let manifest = vendor.release("1.0", FILES);
    site.staging_broken.store(true, Ordering::SeqCst);
    site.pull().await.unwrap_err();
    assert_eq!(site.state(manifest).await, None);
    site.restart().await;
    site.staging_broken.store(false, Ordering::SeqCst);
    let summary = site.pull().await.unwrap();
    assert!(!summary.changed && summary.fetched_bytes == 0, "{summary:?}");
    assert_eq!(site.state(manifest).await, Some(ReleaseState::Staged));
    assert_eq!(site.noted_failure().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_does_not_come_holds_up_no_delta_of_the_releases_that_came() {
    let program = |version: u8| {
        let mut bytes = noise(300_000);
        bytes[150_000] = version;
        bytes
    };
    let (vendor, site, base) = approved(&[("bin/av", &program(1))]).await;
    let two = vendor.release("2.0", &[("bin/av", &program(2))]);
    let draft = vendor.draft("3.0", &[("bin/av", &program(3))]);
    vendor.publish(&draft, &["beta"]);
    site.web.fail("acme-av_3.0_any.tar.gz", Fault::Answer(404, Vec::new()), Times::Always);
    let problem = site.pull().await.unwrap_err();
    assert!(problem.message.contains("acme-av_3.0"), "{problem}");
    assert_eq!(site.state(two).await, Some(ReleaseState::Staged));
    assert!(site.parts().staging.delta(&base, &two).unwrap().is_some());
}
