//! One package: its role, its manifests with signatures and payloads, its channels.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

use sealpost_files::{open_regular, with_causes};
use sealpost_keys::{Minisig, PublicKey};
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::document::{self, MAX_DOCUMENT_BYTES};
use sealpost_manifests::ids::{PackageName, RelativePath, TargetName};
use sealpost_manifests::payload::{PayloadSink, read_gzip};
use sealpost_manifests::release::{Encoding, PackageKind, ReleaseId, ReleaseManifest};
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::version::Version;
use sealpost_repository::{Reader, TargetInfo};

use super::expiry::BEFORE_EVERYTHING;
use super::files;
use super::report::Report;
use crate::publication::target_file;

/// The targets of a package whose files are as listed.
struct SoundTargets<'a> {
    folder: &'a Path,
    targets: BTreeMap<TargetName, TargetInfo>,
}

pub(super) async fn check(
    reader: &mut Reader,
    folder: &Path,
    package: &PackageName,
    trust: Option<&TrustDocument>,
    report: &mut Report,
) {
    let listed = match reader.package_targets(package, BEFORE_EVERYTHING).await {
        Ok(listed) => listed,
        Err(error) => return report.defect(format_args!("role {package}"), with_causes(&error)),
    };
    let names: BTreeSet<TargetName> = listed.iter().map(|info| info.name().clone()).collect();
    report.targets += listed.len();
    let sound = listed.into_iter().filter(|info| files::check_target(folder, info, report));
    let sound = SoundTargets { folder, targets: sound.map(|info| (info.name().clone(), info)).collect() };
    let releases: Vec<ReleaseId> =
        names.iter().filter_map(|name| ReleaseId::from_manifest_target(name.as_str())).collect();
    check_names(package, &names, &releases, report);

    let keys = trust.map(|trust| trust.release_keys(package));
    let mut manifests = Vec::new();
    for release in &releases {
        report.releases += 1;
        manifests.extend(check_release(&sound, release, keys.as_deref(), report));
    }
    check_together(package, &manifests, report);
    check_channels(&sound, package, &names, &releases, report);
}

/// Every manifest has its signature and payload, and nothing else is listed.
fn check_names(
    package: &PackageName,
    names: &BTreeSet<TargetName>,
    releases: &[ReleaseId],
    report: &mut Report,
) {
    let mut expected: BTreeSet<TargetName> = ChannelsDocument::target(package).into_iter().collect();
    for release in releases {
        let parts =
            [release.manifest_target(), release.minisig_target(), release.payload_target(Encoding::Gzip)];
        for name in parts.into_iter().flatten() {
            if !names.contains(&name) {
                report.defect(release, format_args!("{name} is not listed; release it again"));
            }
            expected.insert(name);
        }
    }
    for name in names.difference(&expected) {
        report.warn(name, "it belongs to no release");
    }
}

fn check_release(
    sound: &SoundTargets<'_>,
    release: &ReleaseId,
    keys: Option<&[PublicKey]>,
    report: &mut Report,
) -> Option<ReleaseManifest> {
    let bytes = sound.read(&release.manifest_target().ok()?, report)?;
    let manifest: ReleaseManifest = match document::read(&bytes) {
        Ok(manifest) => manifest,
        Err(error) => {
            report.defect(release, format_args!("its manifest: {}", with_causes(&error)));
            return None;
        }
    };
    if let (Some(keys), Some(signature)) = (keys, sound.read(&release.minisig_target().ok()?, report)) {
        check_signature(release, bytes, &signature, keys, report);
    }
    if manifest.release != *release {
        report.defect(release, format_args!("its manifest is of {}; sites refuse it", manifest.release));
    }
    for problem in manifest.check() {
        report.defect(release, format_args!("its manifest: {problem}"));
    }
    check_payload(sound, &manifest, release, report);
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
        return report.defect(release, "its signature is not a minisign signature");
    };
    if let Err(error) = document::verify_detached::<ReleaseManifest>(bytes, &minisig, keys) {
        report.defect(release, with_causes(&error));
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
        return report.defect(release, format_args!("its payload {name} is not the one in its manifest"));
    }
    let Some(path) = target_file(sound.folder, &name, &info.sha256()) else { return };
    match open_regular(&path) {
        Ok(file) => {
            if let Err(error) = read_gzip(file, manifest, &mut Discard) {
                report.defect(release, with_causes(&error));
            }
        }
        Err(error) => report.defect(release, format_args!("its payload {name} cannot be read: {error}")),
    }
}

/// What can only be seen over all releases: counters and revisions.
fn check_together(package: &PackageName, manifests: &[ReleaseManifest], report: &mut Report) {
    let mut by_counter: Vec<&ReleaseManifest> = manifests.iter().collect();
    by_counter.sort_by_key(|manifest| manifest.counter);
    for pair in by_counter.windows(2) {
        let [first, second] = pair else { continue };
        if first.counter == second.counter {
            let problem = format!("it has the release counter of {}, {}", first.release, first.counter);
            report.defect(&second.release, problem);
        }
        if first.kind == PackageKind::Signatures && second.revision < first.revision {
            report
                .defect(&second.release, format_args!("its revision is below the one of {}", first.release));
        }
    }
    let kinds: BTreeSet<PackageKind> = manifests.iter().map(|manifest| manifest.kind).collect();
    if kinds.len() > 1 {
        report.defect(package, "it holds programs and signatures; sites refuse one of them");
    }
}

fn check_channels(
    sound: &SoundTargets<'_>,
    package: &PackageName,
    names: &BTreeSet<TargetName>,
    releases: &[ReleaseId],
    report: &mut Report,
) {
    let Ok(name) = ChannelsDocument::target(package) else { return };
    if !names.contains(&name) {
        return report.defect(
            &name,
            "it is not listed, so no channel offers the package; run `publisher channel set`",
        );
    }
    let Some(bytes) = sound.read(&name, report) else { return };
    let channels: ChannelsDocument = match document::read(&bytes) {
        Ok(channels) => channels,
        Err(error) => return report.defect(&name, with_causes(&error)),
    };
    if channels.package != *package {
        report.defect(&name, format_args!("it is about the package {}", channels.package));
    }
    let released = |version: &Version| releases.iter().any(|release| release.version == *version);
    for (channel, version) in &channels.channels {
        if !released(version) {
            report.defect(
                &name,
                format_args!("channel {channel} points at {version}, which was not released; run `publisher channel set`"),
            );
        }
        if let Some(reason) = channels.withdrawn_reason(version) {
            report.defect(
                &name,
                format_args!("channel {channel} points at {version}, which is withdrawn ({reason})"),
            );
        }
    }
    for version in channels.mandatory.iter().filter(|version| !released(version)) {
        report.defect(&name, format_args!("{version} must be passed through, but was not released"));
    }
}

impl SoundTargets<'_> {
    /// A document, if its file is as listed; what is wrong with it has been reported otherwise.
    fn read(&self, name: &TargetName, report: &mut Report) -> Option<Vec<u8>> {
        let info = self.targets.get(name)?;
        let limit = MAX_DOCUMENT_BYTES;
        if info.length() > limit {
            report.defect(name, format_args!("{} bytes are too many for a document", info.length()));
            return None;
        }
        let mut bytes = Vec::new();
        let path = target_file(self.folder, name, &info.sha256())?;
        match open_regular(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
            Ok(_) => Some(bytes),
            Err(error) => {
                report.defect(name, format_args!("its file cannot be read: {error}"));
                None
            }
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
