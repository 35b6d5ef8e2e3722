//! What a pull does when the repository lies, and that nothing changes then.

use jiff::SignedDuration;
use sealpost_admin_api::pulls::PulledOutcome;
use sealpost_distributor::config::Limits;
use sealpost_distributor::ports::upstream::Upstream;
use sealpost_keys::SigningKey;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::rules::release::ReleaseState;
use sealpost_test_support::names::{acme_av, release_id};
use sealpost_test_support::vendor::Vendor;
use sealpost_test_support::web::{Fault, Times};

use crate::site::{Site, approved, vendor};

const FILES: &[(&str, &[u8])] = &[("bin/av", b"one")];
const NEWER: &[(&str, &[u8])] = &[("bin/av", b"two")];

/// A vendor whose release 1.0 a site has pulled and approved.
async fn settled() -> (Vendor, Site) {
    let (vendor, site, _) = approved(FILES).await;
    (vendor, site)
}

/// A pull fails, says so in words and in the ledger, and changes nothing else; without the fault it goes well.
async fn refused(site: &mut Site, says: &str) {
    let before = site.seen().await;
    let problem = site.pull().await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::PullFailed);
    assert!(problem.message.contains(says), "{says:?} is not in {problem}");
    assert!(!problem.hint.is_empty());
    assert_eq!(site.seen().await, before);
    assert!(site.noted_failure().await.unwrap().contains(says));
    site.restart().await;
    assert_eq!(site.seen().await, before, "also after a restart");
    site.web.make_no_faults();
}

/// A payload cannot be had: the pull fails and says so in words and in the ledger. The vendor's metadata is taken over all
/// the same, and no release changes.
async fn payload_missing(site: &mut Site, says: &str) {
    let before = site.seen().await;
    let problem = site.pull().await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::PullFailed);
    assert!(problem.message.contains(says), "{says:?} is not in {problem}");
    assert!(!problem.hint.is_empty());
    let after = site.seen().await;
    assert_eq!(after.releases, before.releases);
    assert_ne!(after.timestamp, before.timestamp, "metadata waits for no payload");
    assert!(site.noted_failure().await.unwrap().contains(says));
    site.restart().await;
    assert_eq!(site.seen().await, after, "also after a restart");
    site.web.make_no_faults();
}

/// A release is refused for this reason, and what was there before stays as it was.
async fn release_refused(site: &Site, version: &str, says: &str) {
    let stays = site.rows().await;
    let outcomes = site.pull_well().await;
    let [(refused, PulledOutcome::Refused { problems })] = outcomes.as_slice() else {
        panic!("{outcomes:?}")
    };
    assert_eq!(refused, version);
    assert!(problems.iter().any(|problem| problem.contains(says)), "{says:?} is not in {problems:?}");
    let rows = site.rows().await;
    for old in &stays {
        let now = rows.iter().find(|row| row.manifest == old.manifest).unwrap();
        assert_eq!((now.state, &now.channels), (old.state, &old.channels));
    }
    let row = rows.iter().find(|row| row.release.version.as_str() == version).unwrap();
    assert_eq!(row.state, ReleaseState::Refused);
    assert!(row.reason.as_ref().unwrap().contains(says), "{row:?}");
    let head = site.head().await;
    assert_eq!(site.pull_well().await, outcomes, "a person who asks again is told again");
    assert_eq!(site.head().await, head, "but it is not recorded again");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_goes_back_is_refused() {
    let (vendor, mut site) = settled().await;
    let old = vendor.copy();
    vendor.release("2.0", NEWER);
    site.pull().await.unwrap();
    site.web.serve_folder(old.path());
    refused(&mut site, "a version went down").await;
    site.web.serve_folder(&vendor.repository());
    site.pull().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_cannot_be_read_is_named_with_its_address() {
    let (vendor, mut site) = settled().await;
    for (version, file) in [("2.0", "timestamp.json"), ("3.0", "snapshot.json"), ("4.0", "acme-av.json")] {
        vendor.release(version, NEWER);
        let damaged = vendor.copy();
        let folder = damaged.path().join("metadata");
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().ends_with(file) {
                std::fs::remove_file(&path).unwrap();
                std::fs::write(&path, "{\n").unwrap();
            }
        }
        site.web.serve_folder(damaged.path());
        let problem = site.pull().await.unwrap_err();
        let address = format!("{}/metadata/", site.web.url());
        assert!(problem.message.contains(&address) && problem.message.contains(file), "{file}: {problem}");
        site.web.serve_folder(&vendor.repository());
        site.pull().await.unwrap();
    }
    site.restart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mixed_metadata_is_refused() {
    let (vendor, mut site) = settled().await;
    let old_role = std::fs::read(vendor.metadata_file("2.acme-av.json")).unwrap();
    vendor.release("2.0", NEWER);
    site.web.fail("/3.acme-av.json", Fault::Content(old_role), Times::Always);
    refused(&mut site, "files do not belong together").await;
    site.pull().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_without_a_role_that_the_snapshot_pins_is_refused() {
    let (vendor, mut site) = settled().await;
    vendor.release("2.0", NEWER);
    site.web.fail("/3.acme-av.json", Fault::Answer(404, Vec::new()), Times::Always);
    refused(&mut site, "acme-av").await;
    site.pull().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_signed_by_somebody_else_is_refused() {
    let (vendor, mut site) = settled().await;
    vendor.release("2.0", NEWER);
    let timestamp = std::fs::read_to_string(vendor.metadata_file("timestamp.json")).unwrap();
    // Another time of expiry under the old signature.
    let forged = timestamp.replacen("2026-03", "2026-04", 1);
    assert_ne!(forged, timestamp);
    site.web.fail("/timestamp.json", Fault::Content(forged.into_bytes()), Times::Always);
    refused(&mut site, "too few good signatures").await;
    site.pull().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_is_not_kept_fresh_is_refused_here() {
    let (_vendor, mut site) = settled().await;
    site.clock.forward(SignedDuration::from_hours(8 * 24));
    refused(&mut site, "expired").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_is_down_changes_nothing() {
    let (_vendor, mut site) = settled().await;
    site.web.fail("", Fault::Answer(503, Vec::new()), Times::Always);
    refused(&mut site, "503").await;
    site.pull().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_flipped_in_what_was_trusted_before_stops_pulls_and_lets_no_rollback_through() {
    let (vendor, mut site) = settled().await;
    let old = vendor.copy();
    vendor.release("2.0", NEWER);
    site.pull().await.unwrap();
    let before = site.seen().await;
    let kept = find_file(&site.home().tuf_store(), "timestamp");
    let mut bytes = std::fs::read(&kept).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&kept, bytes).unwrap();
    site.restart().await;
    site.web.serve_folder(old.path());
    let problem = site.pull().await.unwrap_err();
    assert!(problem.message.contains("damaged"), "{problem}");
    assert_eq!(site.seen().await, before);
    site.web.serve_folder(&vendor.repository());
    assert!(site.pull().await.is_err(), "a person has to look at the disk first");
}

fn find_file(folder: &std::path::Path, part: &str) -> std::path::PathBuf {
    let mut paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.find(|path| path.file_name().unwrap().to_string_lossy().contains(part)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_flipped_in_the_mirror_is_never_served_and_the_next_pull_repairs_it() {
    let (_vendor, site) = settled().await;
    let path = site.home().mirror().join("current/timestamp.json");
    let good = std::fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[10] ^= 1;
    std::fs::write(&path, bad).unwrap();
    assert!(site.parts().upstream.metadata("timestamp.json").is_err());
    site.pull().await.unwrap();
    assert_eq!(site.mirrored("timestamp.json").unwrap(), good);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_is_longer_shorter_or_other_than_signed_is_refused() {
    for spoil in [
        (|payload: &mut Vec<u8>| payload.push(0)) as fn(&mut Vec<u8>),
        |payload| _ = payload.pop(),
        |payload| payload[20] ^= 1,
    ] {
        let (vendor, mut site) = settled().await;
        let manifest = vendor.release("2.0", NEWER);
        let mut payload = std::fs::read(vendor.target_file("acme-av_2.0_any.tar.gz")).unwrap();
        spoil(&mut payload);
        site.web.fail("acme-av_2.0_any.tar.gz", Fault::Content(payload), Times::Always);
        payload_missing(&mut site, "acme-av_2.0_any.tar.gz").await;
        assert_eq!(site.state(manifest).await, None);
        site.pull().await.unwrap();
        assert_eq!(site.state(manifest).await, Some(ReleaseState::Staged), "an honest answer is taken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_whose_files_are_not_those_of_the_manifest_is_refused_and_its_neighbors_go_on() {
    let (vendor, site) = settled().await;
    // Listed and signed truthfully as bytes, but the files inside are those of another release.
    let mut draft = vendor.draft("2.0", NEWER);
    let other = vendor.draft("2.1", &[("bin/av", b"666")]);
    draft.payload = other.payload;
    draft.manifest.payload = other.manifest.payload;
    vendor.publish(&draft, &["beta"]);
    release_refused(&site, "2.0", "bin/av").await;
    let sound = vendor.release("3.0", NEWER);
    site.pull().await.unwrap();
    assert_eq!(site.state(sound).await, Some(ReleaseState::Staged));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_by_a_key_that_the_trust_document_does_not_list_is_refused_until_it_does() {
    let (vendor, site) = settled().await;
    let stranger = SigningKey::generate().unwrap();
    let draft = vendor.draft("2.0", NEWER);
    let manifest = vendor.publish_signed_by(&draft, &stranger, &["stable"]);
    release_refused(&site, "2.0", "not trusted").await;
    vendor.trust(&[vendor.release_key.public(), stranger.public()]);
    site.pull().await.unwrap();
    assert_eq!(site.state(manifest).await, Some(ReleaseState::Staged));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_of_another_package_or_version_under_a_good_signature_is_refused() {
    let (vendor, site) = settled().await;
    let mut draft = vendor.draft("2.0", NEWER);
    draft.manifest.release.package = PackageName::new("other").unwrap();
    vendor.publish(&draft, &["stable"]);
    release_refused(&site, "2.0", "is of other 2.0").await;
    let mut draft = vendor.draft("3.0", NEWER);
    draft.manifest.release.version = Version::new("9.9").unwrap();
    draft.named = release_id(&acme_av(), "3.0");
    vendor.publish(&draft, &["stable"]);
    release_refused(&site, "3.0", "is of acme-av 9.9").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_names_another_payload_than_is_listed_is_refused() {
    let (vendor, site) = settled().await;
    let mut draft = vendor.draft("2.0", NEWER);
    draft.payload.push(0);
    vendor.publish(&draft, &["stable"]);
    release_refused(&site, "2.0", "different payloads").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_claims_a_manifest_of_another_one_is_refused_and_its_neighbors_go_on() {
    let (vendor, site) = settled().await;
    let mut draft = vendor.draft("2.0", NEWER);
    let claimed = vendor.publish(&draft, &["stable"]);
    site.pull().await.unwrap();
    let rows = site.rows().await;

    draft.named = release_id(&PackageName::new("other").unwrap(), "2.0");
    assert_eq!(vendor.publish_in_another_package(&draft), claimed);
    let sound = vendor.release("3.0", &[("bin/av", b"three")]);
    let outcomes = site.pull_well().await;
    let refused = outcomes.iter().find(|(version, _)| version == "2.0").map(|(_, outcome)| outcome);
    let Some(PulledOutcome::Refused { problems }) = refused else { panic!("{outcomes:?}") };
    assert!(problems.iter().any(|problem| problem.contains("is that of acme-av 2.0")), "{problems:?}");
    assert_eq!(site.state(sound).await, Some(ReleaseState::Staged));
    for row in rows {
        assert_eq!(
            site.row(row.manifest).await.map(|now| (now.release, now.state)),
            Some((row.release, row.state))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_with_a_lower_or_used_counter_is_refused() {
    let (vendor, site) = settled().await;
    let newer = vendor.release("2.0", NEWER);
    site.pull().await.unwrap();
    assert_eq!(site.state(newer).await, Some(ReleaseState::Staged));
    let mut draft = vendor.draft("1.5", NEWER);
    draft.manifest.counter = ReleaseCounter(0);
    vendor.publish(&draft, &["stable"]);
    release_refused(&site, "1.5", "counter 0 is lower than 2").await;
    let mut draft = vendor.draft("1.6", NEWER);
    draft.manifest.counter = ReleaseCounter(2);
    vendor.publish(&draft, &["stable"]);
    release_refused(&site, "1.6", "counter 2 is that of").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_over_the_sites_limit_is_not_even_fetched() {
    let (vendor, web) = vendor().await;
    let limits = Limits { max_payload_bytes: 100, keep_free_bytes: 0, ..Limits::default() };
    let site = Site::with_limits(&vendor, &web, limits).await;
    vendor.release("1.0", FILES);
    release_refused(&site, "1.0", "limits.max_payload_mib").await;
    assert!(site.web.asked(".tar.gz").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_room_fails_the_pull_before_the_payload_is_fetched() {
    let (vendor, web) = vendor().await;
    let limits = Limits { keep_free_bytes: u64::MAX / 2, ..Limits::default() };
    let mut site = Site::with_limits(&vendor, &web, limits).await;
    vendor.release("1.0", FILES);
    payload_missing(&mut site, "no room for").await;
    assert!(site.web.asked(".tar.gz").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_room_holds_up_no_withdrawal_and_no_fresh_metadata() {
    let (vendor, web) = vendor().await;
    let mut site = Site::new(&vendor, &web).await;
    let first = vendor.release("1.0", FILES);
    site.pull().await.unwrap();
    site.approve(first).await;
    site.limit(Limits { keep_free_bytes: u64::MAX / 2, ..Limits::default() }).await;
    vendor.withdraw("1.0", "deletes quarantine");
    vendor.release("2.0", NEWER);
    let before = site.seen().await.timestamp;
    let problem = site.pull().await.unwrap_err();
    assert!(problem.message.contains("no room for"), "{problem}");
    assert_eq!(site.state(first).await, Some(ReleaseState::Withdrawn));
    assert_ne!(site.seen().await.timestamp, before, "metadata needs no room to speak of");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_sends_a_byte_now_and_then_ends_its_payload_and_holds_up_nothing_else() {
    let (vendor, web) = vendor().await;
    let limits = Limits { keep_free_bytes: 0, min_bytes_per_second: 4096, ..Limits::default() };
    let site = Site::with_limits(&vendor, &web, limits).await;
    let first = vendor.release("1.0", FILES);
    site.pull().await.unwrap();
    site.approve(first).await;
    vendor.withdraw("1.0", "deletes quarantine");
    let slow = vendor.release("2.0", NEWER);
    let beside = vendor.publish(&vendor.draft("3.0", NEWER), &["beta"]);
    site.web.fail("acme-av_2.0_any.tar.gz", Fault::Drip, Times::Always);
    let pulled = tokio::time::timeout(std::time::Duration::from_secs(30), site.pull()).await.unwrap();
    let problem = pulled.unwrap_err();
    assert!(problem.message.contains("slower than") && problem.message.contains("http://"), "{problem}");
    assert_eq!(site.state(first).await, Some(ReleaseState::Withdrawn));
    assert_eq!(site.state(beside).await, Some(ReleaseState::Staged), "other releases go on");
    assert_eq!(site.state(slow).await, None);
    site.web.make_no_faults();
    site.pull().await.unwrap();
    assert_eq!(site.state(slow).await, Some(ReleaseState::Staged));
}
