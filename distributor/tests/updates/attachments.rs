//! Documents beside a release: fetched, verified, mirrored and shown with it.

use sealpost_admin_api::pulls::PulledOutcome;
use sealpost_distributor::ports::staging::Staging;
use sealpost_distributor::ports::upstream::{TargetClass, Upstream};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::AttachmentKind;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::rules::release::ReleaseState;
use sealpost_test_support::web::{Fault, Times};

use crate::site::{approved, vendor_and_site};

const FILES: &[(&str, &[u8])] = &[("bin/av", b"one")];
const NEWER: &[(&str, &[u8])] = &[("bin/av", b"two")];
const SBOM: &[u8] = b"{\"bomFormat\":\"CycloneDX\"}";

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_is_fetched_verified_and_mirrored_with_its_release() {
    let (vendor, site) = vendor_and_site().await;
    let draft = vendor.draft("1.0", FILES).with_attachment(AttachmentKind::CycloneDx, "sbom.json", SBOM);
    let manifest = vendor.publish(&draft, &["stable"]);
    site.pull_well().await;
    assert_eq!(site.state(manifest).await, Some(ReleaseState::Staged));
    let review = site.parts().staging.review(manifest).await.unwrap().unwrap();
    assert_eq!(review.manifest.attachments, draft.manifest.attachments);

    let name = &draft.attachments[0].0;
    let file = vendor.target_file(name.as_str());
    let entry = site.parts().upstream.find_target(file.file_name().unwrap().to_str().unwrap()).unwrap();
    assert!(matches!(entry.class, TargetClass::Release { manifest: of, .. } if of == manifest));
    assert_eq!(entry.sha256, Sha256Digest::of(SBOM));
    assert!(site.parts().blobs.verify(&entry.sha256).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_that_is_not_the_one_in_the_manifest_refuses_its_release_and_holds_nothing_else_up() {
    let (vendor, site, running) = approved(FILES).await;
    let mut draft = vendor.draft("2.0", NEWER).with_attachment(AttachmentKind::Spdx, "sbom.spdx", SBOM);
    draft.attachments[0].1 = b"another document".to_vec();
    let spoiled = vendor.publish(&draft, &["stable"]);
    let sound = vendor.draft("3.0", FILES).with_attachment(AttachmentKind::Spdx, "sbom.spdx", SBOM);
    let sound = vendor.publish(&sound, &["beta"]);
    let outcomes = site.pull_well().await;
    let refused = outcomes.iter().find(|(version, _)| version == "2.0").map(|(_, outcome)| outcome);
    let Some(PulledOutcome::Refused { problems }) = refused else { panic!("{outcomes:?}") };
    assert!(problems.iter().any(|problem| problem.contains("does not list its attachment")), "{problems:?}");
    assert_eq!(site.state(spoiled).await, Some(ReleaseState::Refused));
    assert_eq!(site.state(sound).await, Some(ReleaseState::Staged));
    assert_eq!(site.state(running).await, Some(ReleaseState::Approved));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_whose_bytes_are_not_what_the_metadata_says_is_not_stored() {
    let (vendor, site, running) = approved(FILES).await;
    let draft = vendor.draft("2.0", NEWER).with_attachment(AttachmentKind::Spdx, "sbom.spdx", SBOM);
    let manifest = vendor.publish(&draft, &["stable"]);
    let before = site.seen().await;
    let altered = SBOM.to_ascii_uppercase();
    site.web.fail(".attachment.sbom.spdx", Fault::Content(altered.clone()), Times::Always);
    assert_eq!(site.pull().await.unwrap_err().code, ProblemCode::PullFailed);
    assert_eq!(site.seen().await.releases, before.releases);
    for bytes in [&altered[..], SBOM] {
        assert!(site.parts().blobs.open(&Sha256Digest::of(bytes)).unwrap().is_none());
    }
    // What is served does not wait for it, and a pull from an honest vendor goes on.
    assert_eq!(site.state(running).await, Some(ReleaseState::Approved));
    site.web.make_no_faults();
    site.pull_well().await;
    assert_eq!(site.state(manifest).await, Some(ReleaseState::Staged));
}
