//! The vendor: a real repository with releases of one package, and grants.

use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use sealpost_keys::{PublicKey, SigningKey, TrustedComment};
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, Document, SignedDocument};
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{PackageName, Platform, SerialNumber, ServerId, TargetName};
use sealpost_manifests::payload::PayloadSource;
use sealpost_manifests::release::{Encoding, PackageKind, ReleaseId, ReleaseManifest, Severity};
use sealpost_manifests::trust::{KeyStatus, TRUST_TARGET, TrustDocument, TrustedKey};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_repository::{
    KeyThreshold, Lifetimes, RepositoryEditor, RoleName, RootSpec, Signers, TargetSource,
};
use tempfile::TempDir;

pub(crate) fn package() -> PackageName {
    PackageName::new("acme").unwrap()
}

pub(crate) fn grant(vendor_key: &SigningKey, site_key: &PublicKey, server_id: &ServerId) -> SignedDocument {
    let grant = Grant {
        vendor: "Acme".to_owned(),
        serial: SerialNumber::from_random([5; 19]),
        server_id: server_id.clone(),
        site_key: site_key.clone(),
        key_epoch: 1,
        epoch: 1,
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats: 5,
        generation: 1,
        valid_until: Timestamp::now() + SignedDuration::from_hours(24 * 366),
        vendor_time: Timestamp::now(),
    };
    SignedDocument::sign(&grant, vendor_key).unwrap()
}

pub(crate) fn make_repository(folder: &Path, key: &SigningKey) -> Vec<u8> {
    let one = KeyThreshold::new(&[key.public()], 1).unwrap();
    let spec =
        RootSpec { root: one.clone(), targets: one.clone(), snapshot: one.clone(), timestamp: one.clone() };
    let mut editor = RepositoryEditor::create(folder, &spec, Lifetimes::default()).unwrap();
    let trusted = vec![TrustedKey { key: key.public(), status: KeyStatus::Active }];
    let trust = TrustDocument {
        vendor: "Acme".to_owned(),
        release_keys: [(package(), trusted.clone())].into(),
        license_keys: trusted,
    };
    let trust = TargetSource::Bytes(document::write(&trust).unwrap().into_bytes());
    editor.put_target(&RoleName::Targets, &TargetName::new(TRUST_TARGET).unwrap(), trust).unwrap();
    editor.delegate(&package(), &one).unwrap();
    let channels = document::write(&ChannelsDocument::empty(package())).unwrap().into_bytes();
    let name = ChannelsDocument::target(&package()).unwrap();
    editor.put_target(&RoleName::Package(package()), &name, TargetSource::Bytes(channels)).unwrap();
    let signed = editor.sign(&Signers::new(&[key]), Timestamp::now()).unwrap();
    let root = signed.root_bytes().unwrap().to_vec();
    signed.publish().unwrap();
    root
}

/// The files of a release.
pub(crate) fn tree(text: &str) -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("text"), text).unwrap();
    let noise: Vec<u8> =
        (0..4_000u64).flat_map(|number| *Sha256Digest::of(&number.to_le_bytes()).as_bytes()).collect();
    fs::write(tree.path().join("noise"), noise).unwrap();
    tree
}

pub(crate) fn publish(
    vendor: &Path,
    key: &SigningKey,
    root: &[u8],
    version: &str,
    counter: u64,
    text: &str,
) -> ReleaseManifest {
    let tree = tree(text);
    let source = PayloadSource::scan(tree.path()).unwrap();
    let mut gzip = Vec::new();
    let payload = source.write_gzip(&mut gzip).unwrap();
    let manifest = ReleaseManifest {
        release: ReleaseId {
            package: package(),
            version: Version::new(version).unwrap(),
            platform: Platform::any(),
        },
        kind: PackageKind::Program,
        revision: None,
        counter: ReleaseCounter(counter),
        payload,
        files: source.files().to_vec(),
        requires: Vec::new(),
        severity: Severity::Normal,
        notes: String::new(),
        built_at: Timestamp::UNIX_EPOCH,
    };
    let document = document::write(&manifest).unwrap();
    let minisig = key.sign(document.as_bytes(), &TrustedComment::new(manifest.trusted_comment()).unwrap());
    let mut editor = RepositoryEditor::load(&vendor.join("repository"), root, Lifetimes::default()).unwrap();
    let role = RoleName::Package(package());
    let release = &manifest.release;
    let targets = [
        (release.manifest_target(), document.into_bytes()),
        (release.minisig_target(), minisig.as_str().as_bytes().to_vec()),
        (release.payload_target(Encoding::Gzip), gzip),
    ];
    for (name, bytes) in targets {
        editor.put_target(&role, &name.unwrap(), TargetSource::Bytes(bytes)).unwrap();
    }
    editor.sign(&Signers::new(&[key]), Timestamp::now()).unwrap().publish().unwrap();
    manifest
}
