//! The channels of a package: that they point at what can be installed.

use std::collections::BTreeSet;

use sealpost_files::with_causes;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::document;
use sealpost_manifests::ids::{PackageName, TargetName};
use sealpost_manifests::release::{ReleaseId, ReleaseManifest};
use sealpost_manifests::version::Version;

use super::report::{Code, Report};
use super::sound::SoundTargets;

pub(super) fn check(
    sound: &SoundTargets<'_>,
    package: &PackageName,
    names: &BTreeSet<TargetName>,
    releases: &[ReleaseId],
    manifests: &[ReleaseManifest],
    report: &mut Report,
) {
    let Ok(name) = ChannelsDocument::target(package) else { return };
    if !names.contains(&name) {
        return report.defect(
            Code::NotListed,
            &name,
            "it is not listed, so no channel offers the package; run `publisher channel set`",
        );
    }
    let Some(bytes) = sound.read(&name, report) else { return };
    let channels: ChannelsDocument = match document::read(&bytes) {
        Ok(channels) => channels,
        Err(error) => return report.defect(Code::DocumentRefused, &name, with_causes(&error)),
    };
    if channels.package != *package {
        report.defect(
            Code::WrongPackage,
            &name,
            format_args!("it is about the package {}", channels.package),
        );
    }
    let released = |version: &Version| releases.iter().any(|release| release.version == *version);
    for (channel, version) in &channels.channels {
        if !released(version) {
            report.defect(
                Code::ChannelWrong, &name,
                format_args!("channel {channel} points at {version}, which was not released; run `publisher channel set`"),
            );
        }
        if let Some(reason) = channels.withdrawn_everywhere(version) {
            report.defect(
                Code::ChannelWrong,
                &name,
                format_args!("channel {channel} points at {version}, which is withdrawn ({reason})"),
            );
        }
    }
    for manifest in manifests.iter().filter(|manifest| channels.is_below_minimum(manifest.counter)) {
        let release = &manifest.release;
        for channel in channels.channels_of(&release.version) {
            report.defect(
                Code::ChannelWrong, &name,
                format_args!(
                    "channel {channel} offers {release}, whose counter {} is below the minimum, so that nobody installs \
                     it; run `publisher channel minimum` or `publisher channel set`",
                    manifest.counter
                ),
            );
        }
    }
    for version in channels.mandatory.iter().filter(|version| !released(version)) {
        report.defect(
            Code::NotReleased,
            &name,
            format_args!("{version} must be passed through, but was not released"),
        );
    }
}
