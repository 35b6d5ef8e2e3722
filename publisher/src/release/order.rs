//! What is to be released, and what forbids it: the order itself, or what was released before. Every reason at once,
//! each with what to do.

use std::path::PathBuf;

use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity, notes_problem};
use sealpost_manifests::version::{ReleaseCounter, Revision};

use crate::payload::Built;
use crate::publication::Published;

/// Longest target name, in bytes: with digest and dot before it, file systems take 255.
const MAX_TARGET_BYTES: usize = 255 - 65;

/// What is to be released.
#[derive(Debug, Clone)]
pub struct Order {
    /// The folder whose content is released.
    pub folder: PathBuf,
    pub release: ReleaseId,
    pub kind: PackageKind,
    /// Channels that are to point at it.
    pub channels: Vec<ChannelName>,
    pub severity: Severity,
    /// What is new, for people.
    pub notes: String,
}

/// What is wrong with the order by itself.
pub(super) fn check_order(order: &Order) -> Vec<String> {
    let mut problems = Vec::new();
    if order.kind == PackageKind::Signatures
        && let Err(error) = Revision::from_version(&order.release.version)
    {
        problems.push(error.to_string());
    }
    problems.extend(notes_problem(&order.notes));
    match order.release.minisig_target() {
        Ok(name) if name.as_str().len() > MAX_TARGET_BYTES => problems.push(format!(
            "package, version and platform are too long together: {name} has more than {MAX_TARGET_BYTES} bytes; use \
             a shorter version or platform"
        )),
        Ok(_) => {}
        Err(error) => problems.push(format!("{error}; use a shorter version or platform")),
    }
    if order.channels.is_empty() {
        problems.push("give at least one --channel, or nobody is offered it".to_owned());
    }
    problems
}

/// What the releases and channels of the package forbid.
pub(super) fn check_history(
    order: &Order,
    releases: &[Published],
    channels: &ChannelsDocument,
) -> Vec<String> {
    let mut problems = Vec::new();
    let id = &order.release;
    if let Some(other) = releases.iter().find(|published| published.manifest.kind != order.kind) {
        let kind = other.manifest.kind;
        problems.push(format!("the package holds {kind}, not {}; use another package name", order.kind));
    }
    if let Some(reason) = channels.withdrawn_reason(&id.version) {
        problems.push(format!("version {} is withdrawn ({reason}); release a new version", id.version));
    }
    if releases.iter().any(|published| published.manifest.release == *id) {
        return problems;
    }
    if let (PackageKind::Signatures, Ok(revision)) = (order.kind, Revision::from_version(&id.version)) {
        let highest = |same_platform: bool| {
            releases
                .iter()
                .filter(|published| !same_platform || published.manifest.release.platform == id.platform)
                .filter_map(|published| published.manifest.revision)
                .max()
        };
        // Several platforms may have the same revision.
        if highest(true).is_some_and(|highest| revision <= highest) || highest(false) > Some(revision) {
            let highest = highest(false).map_or(0, |highest| highest.0);
            problems.push(format!(
                "revision {revision} does not rise: {highest} was released; use {}",
                highest.saturating_add(1)
            ));
        }
    }
    problems
}

/// The same version again must be the same files; notes and severity are what was signed the first time.
pub(super) fn check_same(order: &Order, published: &Published, built: &Built) -> Vec<String> {
    if published.manifest.files == built.files && published.manifest.payload.tar == built.payload.tar {
        return Vec::new();
    }
    vec![format!(
        "version {} was published with other content, and a published version never changes; release a new version",
        order.release.version
    )]
}

/// `None` if no counter is left: a repeated one would let an older release pass for a newer.
pub(super) fn next_counter(releases: &[Published]) -> Option<ReleaseCounter> {
    let highest = releases.iter().map(|published| published.manifest.counter.0).max().unwrap_or(0);
    highest.checked_add(1).map(ReleaseCounter)
}
