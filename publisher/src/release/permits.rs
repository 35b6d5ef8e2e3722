//! Which orders are a slip most of the time, and need a permit.

use std::collections::BTreeSet;

use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::ids::{ChannelName, PackageName, Platform};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::version::Version;
use sealpost_repository::RoleName;

use super::order::Order;
use super::permit::{Permit, Question};
use crate::publication::Publication;

/// Platforms that programs of ours report, and `any`.
const KNOWN_PLATFORMS: [&str; 8] = [
    "any",
    "linux-x86_64",
    "linux-aarch64",
    "linux-arm",
    "linux-x86",
    "linux-riscv64",
    "linux-powerpc64",
    "linux-s390x",
];

/// What an order asks for that needs a permit which it does not have.
pub(super) fn open_questions(
    order: &Order,
    publication: &Publication,
    channels: &ChannelsDocument,
) -> Vec<Question> {
    let id = &order.release;
    let mut questions = Vec::new();
    let mut ask = |permit, what| {
        if !order.permits.contains(&permit) {
            questions.push(Question { permit, what });
        }
    };
    let known: Vec<&str> = publication.editor().packages().map(PackageName::as_str).collect();
    // The first package of a vendor cannot be another one misspelled.
    if !known.is_empty() && !publication.knows(&id.package) {
        ask(
            Permit::NewPackage,
            format!("there is no package {} yet, only {}; this would make it", id.package, known.join(", ")),
        );
    }
    if !is_known_platform(&id.platform, publication) {
        ask(
            Permit::NewPlatform,
            format!(
                "no computer is known to report the platform {}, so nobody would get it; known are {}",
                id.platform,
                KNOWN_PLATFORMS.join(", ")
            ),
        );
    }
    for channel in &order.channels {
        questions.extend(about_channel(channels, channel, &id.version, &order.permits));
    }
    questions
}

/// What needs a permit when a channel is pointed at a version. The first channel of a package cannot be another one
/// misspelled.
pub(super) fn about_channel(
    channels: &ChannelsDocument,
    channel: &ChannelName,
    version: &Version,
    permits: &BTreeSet<Permit>,
) -> Option<Question> {
    let known: Vec<&str> = channels.known().map(AsRef::as_ref).collect();
    let (permit, what) = match channels.channels.get(channel) {
        Some(before) if version.precedence(before).is_lt() => (
            Permit::Downgrade,
            format!("channel {channel} points at {before}, and {version} is a lower version"),
        ),
        None if !known.is_empty() && !known.contains(&channel.as_ref()) => (
            Permit::NewChannel,
            format!(
                "{} has no channel {channel} yet, only {}; this would make it, and no computer follows it",
                channels.package,
                known.join(", ")
            ),
        ),
        _ => return None,
    };
    (!permits.contains(&permit)).then_some(Question { permit, what })
}

/// Also one that was meant before.
fn is_known_platform(platform: &Platform, publication: &Publication) -> bool {
    let released = || {
        let editor = publication.editor();
        editor.packages().cloned().map(RoleName::Package).any(|role| {
            let mut ids =
                editor.targets(&role).filter_map(|(name, _, _)| ReleaseId::from_manifest_target(name));
            ids.any(|release| release.platform == *platform)
        })
    };
    KNOWN_PLATFORMS.contains(&platform.as_str()) || *platform == Platform::current() || released()
}
