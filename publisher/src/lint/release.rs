//! One release: its manifest with the signature, its payload, and the documents beside it.

use std::io::{self, Read};

use sealpost_files::{open_regular, with_causes};
use sealpost_keys::{Minisig, PublicKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::ids::RelativePath;
use sealpost_manifests::payload::{PayloadSink, read_gzip};
use sealpost_manifests::release::{Encoding, ReleaseId, ReleaseManifest};
use sealpost_manifests::trust::TrustDocument;

use super::report::{Code, Report};
use super::sound::SoundTargets;
use crate::publication::target_file;

/// Checks a release; its manifest, if it can be read.
pub(super) fn check(
    sound: &SoundTargets<'_>,
    release: &ReleaseId,
    trust: Option<&TrustDocument>,
    report: &mut Report,
) -> Option<ReleaseManifest> {
    let bytes = sound.read(&release.manifest_target().ok()?, report)?;
    let manifest: ReleaseManifest = match document::read(&bytes) {
        Ok(manifest) => manifest,
        Err(error) => {
            report.defect(
                Code::DocumentRefused,
                release,
                format_args!("its manifest: {}", with_causes(&error)),
            );
            return None;
        }
    };
    if let (Some(trust), Some(signature)) = (trust, sound.read(&release.minisig_target().ok()?, report)) {
        let keys = trust.release_keys(&release.package, Sha256Digest::of(&bytes));
        check_signature(release, bytes, &signature, &keys, report);
    }
    if manifest.release != *release {
        report.defect(
            Code::WrongPackage,
            release,
            format_args!("its manifest is of {}; sites refuse it", manifest.release),
        );
    }
    for problem in manifest.check() {
        report.defect(Code::ManifestUnsound, release, format_args!("its manifest: {problem}"));
    }
    check_payload(sound, &manifest, release, report);
    check_attachments(sound, &manifest, release, report);
    Some(manifest)
}

fn check_signature(
    release: &ReleaseId,
    bytes: Vec<u8>,
    signature: &[u8],
    keys: &[PublicKey],
    report: &mut Report,
) {
    let minisig = std::str::from_utf8(signature).ok().and_then(|text| Minisig::parse(text).ok());
    let Some(minisig) = minisig else {
        return report.defect(Code::SignatureRefused, release, "its signature is not a minisign signature");
    };
    if let Err(error) = document::verify_detached::<ReleaseManifest>(bytes, &minisig, keys) {
        report.defect(Code::SignatureRefused, release, with_causes(&error));
    }
}

fn check_payload(
    sound: &SoundTargets<'_>,
    manifest: &ReleaseManifest,
    release: &ReleaseId,
    report: &mut Report,
) {
    let Ok(name) = release.payload_target(Encoding::Gzip) else { return };
    let Some(info) = sound.targets.get(&name) else { return };
    if manifest.payload.encoding(Encoding::Gzip).is_none_or(|gzip| gzip.sha256 != info.sha256()) {
        return report.defect(
            Code::PayloadWrong,
            release,
            format_args!("its payload {name} is not the one in its manifest"),
        );
    }
    let Some(path) = target_file(sound.folder, &name, &info.sha256()) else { return };
    match open_regular(&path) {
        Ok(file) => {
            if let Err(error) = read_gzip(file, manifest, &mut Discard) {
                report.defect(Code::PayloadWrong, release, with_causes(&error));
            }
        }
        Err(error) => report.defect(
            Code::PayloadWrong,
            release,
            format_args!("its payload {name} cannot be read: {error}"),
        ),
    }
}

/// Each document that the manifest names is a target, and is the one that was signed. Whether its file is as listed is
/// checked with every other target.
fn check_attachments(
    sound: &SoundTargets<'_>,
    manifest: &ReleaseManifest,
    release: &ReleaseId,
    report: &mut Report,
) {
    for attachment in &manifest.attachments {
        let target = &attachment.target;
        match sound.targets.get(target) {
            Some(info)
                if info.sha256() != attachment.blob.sha256 || info.length() != attachment.blob.length =>
            {
                report.defect(
                    Code::PayloadWrong,
                    release,
                    format_args!("its attachment {target} is not the one in its manifest"),
                );
            }
            // Reported with the names, or with the file.
            Some(_) | None => {}
        }
    }
}

/// Takes a payload's files and keeps nothing: all that counts is whether they are as signed.
struct Discard;

impl PayloadSink for Discard {
    fn create_file(&mut self, _: &RelativePath, _: u32, _: u64, content: &mut dyn Read) -> io::Result<()> {
        io::copy(content, &mut io::sink()).map(drop)
    }

    fn create_symlink(&mut self, _: &RelativePath, _: &str) -> io::Result<()> {
        Ok(())
    }
}
