//! Deltas that the vendor publishes: a pull fetches those that this site's computers need, and no other.

use sealpost_distributor::ports::staging::Staging;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::DeltaTarget;
use sealpost_test_support::release::noise;
use sealpost_test_support::vendor::Vendor;
use sealpost_test_support::web::Fault;

use crate::site::{Site, approved};

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
