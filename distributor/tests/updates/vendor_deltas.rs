//! Deltas that the vendor publishes: a pull fetches those that this site's computers need, and no other.

use std::collections::BTreeSet;

use sealpost_distributor::ports::staging::Staging;
use sealpost_distributor::ports::upstream::Upstream;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::DeltaTarget;
use sealpost_manifests::trust::{KeyStatus, KeyUse, TrustedKey};
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::names::{package, release_id};
use sealpost_test_support::release::{Draft, noise};
use sealpost_test_support::vendor::Vendor;
use sealpost_test_support::web::{Fault, Web};

use crate::site::{Site, approved, start_of_time};

fn program(version: u8) -> Vec<u8> {
    let mut bytes = noise(300_000);
    bytes[150_000] = version;
    bytes
}

fn stored(site: &Site, delta: DeltaTarget) -> Option<Vec<u8>> {
    let mut file = site.parts().staging.delta(&delta.base, &delta.target).unwrap()?.file;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    Some(bytes)
}

/// A site with 1.0, a vendor with 2.0, and the delta between them as another site made it.
async fn with_a_delta() -> (Vendor, Site, DeltaTarget, Vec<u8>) {
    let (vendor, other, base) = approved(&[("bin/av", &program(1))]).await;
    let site = Site::new(&vendor, &other.web).await;
    site.pull().await.unwrap();
    site.approve(base).await;
    let target = vendor.release("2.0", &[("bin/av", &program(2))]);
    other.pull().await.unwrap();
    let delta = DeltaTarget { base, target };
    let bytes = stored(&other, delta).unwrap();
    (vendor, site, delta, bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_that_the_site_needs_is_fetched_and_others_are_not() {
    let (vendor, site, needed, bytes) = with_a_delta().await;
    let unknown = DeltaTarget { base: Sha256Digest::of(b"nobody runs this"), ..needed };
    let other = vendor.publish_delta("2.0", unknown, bytes.clone());
    let name = vendor.publish_delta("2.0", needed, bytes.clone());
    let pulled = site.pull().await.unwrap();
    assert!(pulled.fetched_bytes > bytes.len() as u64);
    assert_eq!(stored(&site, needed).unwrap(), bytes);
    assert_eq!(site.web.asked(name.as_str()).len(), 1);
    assert_eq!(site.web.asked(other.as_str()).len(), 0);
    let row = site.row(needed.target).await.unwrap();
    let known: Vec<(Sha256Digest, u64)> = row.deltas.iter().map(|delta| (delta.base, delta.bytes)).collect();
    assert_eq!(known, [(needed.base, bytes.len() as u64)]);
    site.pull().await.unwrap();
    assert_eq!(site.web.asked(name.as_str()).len(), 1, "it is here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_that_does_not_come_or_leads_elsewhere_or_spares_nothing_is_made_here() {
    let (_, _, _, real) = with_a_delta().await;
    type Change = fn(&[u8]) -> Vec<u8>;
    let as_it_is: Change = |bytes| bytes.to_vec();
    let changes: [(&str, Option<Fault>, Change); 5] = [
        ("absent", Some(Fault::Answer(404, Vec::new())), as_it_is),
        ("other bytes", Some(Fault::Content(noise(real.len()))), as_it_is),
        ("cut short", None, |bytes| bytes[..bytes.len() / 3].to_vec()),
        ("no delta", None, |bytes| noise(bytes.len())),
        ("large", None, |bytes| [bytes, &noise(299_500)].concat()),
    ];
    for (what, fault, change) in changes {
        let (vendor, site, delta, bytes) = with_a_delta().await;
        let name = vendor.publish_delta("2.0", delta, change(&bytes));
        if let Some(fault) = fault {
            site.web.fail(name.as_str(), fault, sealpost_test_support::web::Times::Always);
        }
        site.pull().await.unwrap();
        let asked = site.web.asked(name.as_str()).len();
        assert_eq!(asked > 0, what != "large", "{what}: asked {asked} times");
        assert_eq!(stored(&site, delta).unwrap(), bytes, "{what}: made here");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_with_the_right_manifest_and_a_wrong_file_is_not_taken_and_is_made_here() {
    let (vendor, site, delta, bytes) = with_a_delta().await;
    let mut wrong = bytes.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let name = vendor.publish_delta("2.0", delta, wrong);
    site.pull().await.unwrap();
    assert_eq!(site.web.asked(name.as_str()).len(), 1);
    assert_eq!(stored(&site, delta).unwrap(), bytes);
}

/// The owner of `aaa` lists a delta between releases of `bbb`.
#[tokio::test(flavor = "multi_thread")]
async fn a_delta_that_the_role_of_another_package_lists_or_that_is_named_for_another_release_is_not_even_fetched()
 {
    let vendor = Vendor::new(package("aaa"), ManualClock::still_at(start_of_time()));
    let web = Web::of_folder(&vendor.repository()).await;
    let name = package("bbb");
    vendor.change_trust(|trust| {
        trust.keys.push(TrustedKey {
            key_use: KeyUse::Release,
            package: Some(name.clone()),
            key: vendor.release_key.public().to_base64(),
            status: KeyStatus::Active,
            digests: BTreeSet::new(),
        });
    });
    let first = Draft::of_files(&[("bin/av", &program(1))], release_id(&name, "1.0"), 1);
    let base = vendor.publish_in_another_package(&first);
    let (other, site) = (Site::new(&vendor, &web).await, Site::new(&vendor, &web).await);
    for site in [&other, &site] {
        site.pull().await.unwrap();
        site.approve(base).await;
    }
    let second = Draft::of_files(&[("bin/av", &program(2))], release_id(&name, "2.0"), 2);
    let target = vendor.publish_in_another_package(&second);
    other.pull().await.unwrap();
    let delta = DeltaTarget { base, target };
    let good = stored(&other, delta).unwrap();
    // Named as a delta of `aaa` 2.0, in the role of `aaa`; its bytes would even do.
    let foreign = vendor.publish_delta("2.0", delta, good.clone());
    site.pull().await.unwrap();
    assert_eq!(site.web.asked(foreign.as_str()).len(), 0);
    assert_eq!(stored(&site, delta).unwrap(), good, "made here");

    // In the right role, under the name of another release of it.
    let (vendor, site, delta, bytes) = with_a_delta().await;
    let misnamed = vendor.publish_delta("9.0", delta, bytes.clone());
    site.pull().await.unwrap();
    assert_eq!(site.web.asked(misnamed.as_str()).len(), 0);
    assert_eq!(stored(&site, delta).unwrap(), bytes, "made here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_that_was_refused_once_is_not_fetched_and_checked_at_each_pull() {
    let (vendor, other, base) = approved(&[("bin/av", &noise(10_000))]).await;
    // Nothing of 2.0 is like 1.0: a delta that is made here saves too little.
    let target = vendor.release("2.0", &[("bin/av", &noise(20_000).split_off(10_000))]);
    let delta = DeltaTarget { base, target };
    let name = vendor.publish_delta("2.0", delta, noise(2_000));
    for _ in 0..2 {
        other.pull().await.unwrap();
        // Its bytes are gone as well.
        other.parts().upstream.clean().await.unwrap();
    }
    assert_eq!(stored(&other, delta), None);
    assert_eq!(other.web.asked(name.as_str()).len(), 1);
}
