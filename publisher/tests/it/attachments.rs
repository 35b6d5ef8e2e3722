//! Documents beside a release: signed with it, published before the timestamp, and never exchanged.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sealpost_manifests::release::{AttachmentKind, MAX_ATTACHMENT_BYTES, ReleaseId};
use sealpost_manifests::word::Word;
use sealpost_publisher::lint::{Level, lint};
use sealpost_publisher::release::{AttachmentOrder, Order, Outcome};
use sealpost_repository::{RoleName, TargetSource};
use sealpost_test_support::clock::days;
use sealpost_test_support::folders::flip_a_bit;
use sealpost_test_support::names::{package, release_id};

use crate::support::{Home, now};

fn file(home: &Home, name: &str, text: &str) -> PathBuf {
    let path = home.folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn order(home: &Home, attachments: &[(&str, &Path)]) -> Order {
    let attachments = attachments
        .iter()
        .map(|(kind, file)| AttachmentOrder { kind: kind.parse().unwrap(), file: (*file).to_owned() })
        .collect();
    Order { attachments, ..home.order("acme-av", "1.0", "one") }
}

fn id() -> ReleaseId {
    release_id(&package("acme-av"), "1.0")
}

#[tokio::test]
async fn documents_are_signed_targets_of_their_release_and_written_before_the_timestamp() {
    let home = Home::new();
    let (sbom, origin) = (file(&home, "sbom.cdx.json", "{}"), file(&home, "build.intoto.jsonl", "built"));
    let order = order(&home, &[("cyclonedx", &sbom), ("attestation", &origin)]);
    let released = home.publish(&order).unwrap();
    assert_eq!(released.written.last().unwrap(), &PathBuf::from("metadata/timestamp.json"));
    let written = released.written.iter().filter(|path| path.to_str().unwrap().contains(".attachment."));
    assert_eq!(written.count(), 2);
    // The stranger compares each with what the manifest says.
    let seen = home.read().await.unwrap();
    let attachments = &seen.releases[&id()].attachments;
    let kinds: Vec<_> = attachments.iter().map(|attachment| attachment.kind).collect();
    let unknown = AttachmentKind::Other(Word::new("attestation").unwrap());
    assert_eq!(kinds, [unknown, AttachmentKind::CycloneDx]);
    assert_eq!(attachments[1].target.as_str(), "acme-av_1.0_any.attachment.sbom.cdx.json");
    let report = lint(&home.repository(), &home.root(), None, now()).await.unwrap();
    assert_eq!((report.findings, report.targets), (Vec::new(), 7));
    assert_eq!(fs::read_dir(home.vendor().staging()).unwrap().count(), 0, "no copy is left");

    // The same again completes what is there; another document is not put beside what was signed.
    let later = Order { attachments: order.attachments.clone(), ..home.order("acme-av", "1.0", "one") };
    assert_eq!(home.publish(&later).unwrap().outcome, Outcome::PublishedBefore);
    let before = home.read().await.unwrap();
    assert_eq!((&before.manifests, &before.channels), (&seen.manifests, &seen.channels));
    fs::write(&sbom, "{ }").unwrap();
    let refused = home.publish(&later).unwrap_err().to_string();
    assert!(refused.contains("other attachments") && refused.contains("new version"), "{refused}");
    let without = Order { attachments: Vec::new(), ..later };
    assert!(home.publish(&without).unwrap_err().to_string().contains("other attachments"));
    assert_eq!(home.read().await.unwrap(), before);
}

#[tokio::test]
async fn what_cannot_be_published_beside_a_release_is_refused_with_what_to_do() {
    let home = Home::new();
    let before = home.read().await.unwrap();
    let good = file(&home, "sbom.json", "{}");
    let twice = file(&home, "other/sbom.json", "{}");
    let odd = file(&home, "bill of materials.json", "{}");
    let long = file(&home, &"x".repeat(180), "{}");
    let large = file(&home, "large", "");
    fs::File::options().write(true).open(&large).unwrap().set_len(MAX_ATTACHMENT_BYTES + 1).unwrap();
    let missing = home.folder.path().join("missing.json");
    let folder = home.folder.path().join("other");
    let device = home.folder.path().join("device");
    symlink("/dev/zero", &device).unwrap();
    for (files, word) in [
        (vec![&good, &twice], "rename one of the files"),
        (vec![&odd], "rename the file"),
        (vec![&long], "rename the file"),
        (vec![&large], "publish it elsewhere"),
        (vec![&missing], "missing.json"),
        (vec![&folder], "cannot copy the attachment"),
        (vec![&device], "cannot copy the attachment"),
    ] {
        let attachments: Vec<(&str, &Path)> = files.iter().map(|file| ("spdx", file.as_path())).collect();
        let refused = home.publish(&order(&home, &attachments)).unwrap_err();
        let text = format!("{:#}", anyhow::Error::from(refused));
        assert!(text.contains(word), "{word}: {text}");
    }
    assert_eq!(home.read().await.unwrap(), before);
    home.publish(&order(&home, &[("spdx", &good)])).unwrap();
}

#[tokio::test]
async fn a_document_that_was_exchanged_lost_or_added_is_found() {
    let home = Home::new();
    let sbom = file(&home, "sbom.json", "{}");
    home.publish(&order(&home, &[("spdx", &sbom)])).unwrap();
    let published = home.target_file(".attachment.sbom.json");
    flip_a_bit(&published).unwrap();
    let findings = lint(&home.repository(), &home.root(), None, now()).await.unwrap().findings;
    assert!(findings.iter().any(|finding| finding.problem.contains("other content")), "{findings:?}");
    flip_a_bit(&published).unwrap();

    home.sign_anyway(|editor| {
        let added = id().attachment_target("added.json").unwrap();
        let role = RoleName::Package(package("acme-av"));
        editor.put_target(&role, &added, TargetSource::Bytes(b"{}".to_vec())).unwrap();
    });
    let findings = lint(&home.repository(), &home.root(), None, now() + days(1)).await.unwrap().findings;
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!(finding.level, Level::Warning);
    assert!(finding.subject.ends_with("added.json") && finding.problem.contains("belongs to no release"));

    fs::remove_file(&published).unwrap();
    let findings = lint(&home.repository(), &home.root(), None, now()).await.unwrap().findings;
    assert!(findings.iter().any(|finding| finding.problem.contains("missing")), "{findings:?}");
}
