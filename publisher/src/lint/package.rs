//! One package: its role, what its releases have to be together, and that nothing else is listed.

use std::collections::BTreeSet;
use std::path::Path;

use sealpost_files::with_causes;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::ids::{PackageName, TargetName};
use sealpost_manifests::release::{Encoding, PackageKind, ReleaseId, ReleaseManifest};
use sealpost_manifests::trust::TrustDocument;
use sealpost_repository::Reader;

use super::expiry::BEFORE_EVERYTHING;
use super::report::{Code, Report};
use super::sound::SoundTargets;
use super::{channels, files, release};

pub(super) async fn check(
    reader: &mut Reader,
    folder: &Path,
    package: &PackageName,
    trust: Option<&TrustDocument>,
    report: &mut Report,
) {
    let listed = match reader.package_targets(package, BEFORE_EVERYTHING).await {
        Ok(listed) => listed,
        Err(error) => {
            return report.defect(Code::MetadataRefused, format_args!("role {package}"), with_causes(&error));
        }
    };
    let names: BTreeSet<TargetName> = listed.iter().map(|info| info.name().clone()).collect();
    report.targets += listed.len();
    let sound = listed.into_iter().filter(|info| files::check_target(folder, info, report));
    let sound = SoundTargets { folder, targets: sound.map(|info| (info.name().clone(), info)).collect() };
    let releases: Vec<ReleaseId> =
        names.iter().filter_map(|name| ReleaseId::from_manifest_target(name.as_str())).collect();

    let mut manifests = Vec::new();
    for release in &releases {
        report.releases += 1;
        manifests.extend(release::check(&sound, release, trust, report));
    }
    check_names(package, &names, &releases, &manifests, report);
    check_together(package, &manifests, report);
    channels::check(&sound, package, &names, &releases, &manifests, report);
}

/// Every manifest has its signature, payload and attachments, and nothing else is listed.
fn check_names(
    package: &PackageName,
    names: &BTreeSet<TargetName>,
    releases: &[ReleaseId],
    manifests: &[ReleaseManifest],
    report: &mut Report,
) {
    let mut expected: BTreeSet<TargetName> = ChannelsDocument::target(package).into_iter().collect();
    let mut expect = |release: &ReleaseId, name: TargetName| {
        if !names.contains(&name) {
            report.defect(Code::NotListed, release, format_args!("{name} is not listed; release it again"));
        }
        expected.insert(name);
    };
    for release in releases {
        let parts =
            [release.manifest_target(), release.minisig_target(), release.payload_target(Encoding::Gzip)];
        parts.into_iter().flatten().for_each(|name| expect(release, name));
    }
    for manifest in manifests {
        let attachments = manifest.attachments.iter().map(|attachment| attachment.target.clone());
        attachments.for_each(|name| expect(&manifest.release, name));
    }
    // Of a release whose manifest cannot be read, nobody can say what lies beside it.
    let unread: Vec<&ReleaseId> = releases
        .iter()
        .filter(|release| manifests.iter().all(|manifest| manifest.release != **release))
        .collect();
    for name in names.difference(&expected) {
        let is_attachment = unread.iter().any(|release| release.is_attachment(name));
        if !is_attachment && !releases.iter().any(|release| release.is_delta(name)) {
            report.warn(Code::FileUnknown, name, "it belongs to no release");
        }
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
            report.defect(Code::CounterRepeated, &second.release, problem);
        }
        if first.kind == PackageKind::Signatures && second.revision < first.revision {
            report.defect(
                Code::RevisionFalls,
                &second.release,
                format_args!("its revision is below the one of {}", first.release),
            );
        }
    }
    let kinds: BTreeSet<PackageKind> = manifests.iter().map(|manifest| manifest.kind).collect();
    if kinds.len() > 1 {
        let kinds = kinds.iter().map(PackageKind::as_str).collect::<Vec<_>>().join(" and ");
        report.defect(
            Code::KindsMixed,
            package,
            format_args!("it holds releases of the kinds {kinds}; sites refuse all but one"),
        );
    }
}
