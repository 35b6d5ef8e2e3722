//! What is to be released, and what forbids it: the order itself, or what was released before. Every reason at once,
//! each with what to do.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::ids::{ChannelName, TargetName};
use sealpost_manifests::release::{
    Attachment, AttachmentKind, PackageKind, ReleaseId, ReleaseManifest, Security, Severity, notes_problem,
};
use sealpost_manifests::trust::CounterReset;
use sealpost_manifests::version::{ReleaseCounter, Revision};
use sealpost_manifests::word::Word;

use super::deltas::DeltaOrder;
use super::permit::Permit;
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
    /// How urgent it is; normal, if nothing is said.
    pub severity: Option<Severity>,
    /// What it is about, for example `bugfix`.
    pub category: Option<Word>,
    /// Ids of the vulnerabilities that it fixes.
    pub fixes: Vec<String>,
    /// Where they are described.
    pub advisory_url: Option<String>,
    /// Until when the vendor supports it.
    pub supported_until: Option<Timestamp>,
    /// What is new, for people.
    pub notes: String,
    /// Documents to publish beside it.
    pub attachments: Vec<AttachmentOrder>,
    /// Deltas to publish beside it.
    pub deltas: DeltaOrder,
    /// What was said to be meant, although it is a slip most of the time.
    pub permits: BTreeSet<Permit>,
}

/// A document to publish beside a release, under the name of its file.
#[derive(Debug, Clone)]
pub struct AttachmentOrder {
    pub kind: AttachmentKind,
    pub file: PathBuf,
}

impl Order {
    /// An order that says nothing of the release, with nothing beside it.
    #[must_use]
    pub const fn new(
        folder: PathBuf,
        release: ReleaseId,
        kind: PackageKind,
        channels: Vec<ChannelName>,
    ) -> Self {
        Self {
            folder,
            release,
            kind,
            channels,
            severity: None,
            category: None,
            fixes: Vec::new(),
            advisory_url: None,
            supported_until: None,
            notes: String::new(),
            attachments: Vec::new(),
            deltas: DeltaOrder::NONE,
            permits: BTreeSet::new(),
        }
    }

    pub(super) fn security(&self) -> Option<Security> {
        let security = Security { fixes: self.fixes.clone(), advisory_url: self.advisory_url.clone() };
        (security != Security::default()).then_some(security)
    }
}

impl AttachmentOrder {
    /// The target under which the document is published.
    ///
    /// # Errors
    /// With what to do, when its file has no name that a target can have.
    pub(super) fn target(&self, release: &ReleaseId) -> Result<TargetName, String> {
        let shown = self.file.display();
        let name = self.file.file_name().and_then(|name| name.to_str());
        let target = name.and_then(|name| release.attachment_target(name).ok()).ok_or_else(|| {
            format!(
                "the attachment {shown} cannot be published under its name; rename the file to letters, digits, '.', \
                 '_', '+' and '-', and shorten it if it is long"
            )
        })?;
        if target.as_str().len() > MAX_TARGET_BYTES {
            return Err(format!("the name of the attachment {shown} is too long; rename the file"));
        }
        Ok(target)
    }
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
    let mut targets = BTreeSet::new();
    for attachment in &order.attachments {
        match attachment.target(&order.release) {
            Ok(target) if targets.contains(&target) => problems.push(format!(
                "two attachments have the file name of {}; rename one of the files",
                attachment.file.display()
            )),
            Ok(target) => _ = targets.insert(target),
            Err(problem) => problems.push(problem),
        }
    }
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
    if let Some(reason) = channels.withdrawn_reason(id) {
        problems.push(format!("version {} is withdrawn ({reason}); release a new version", id.version));
    }
    if let Some(published) = releases.iter().find(|published| published.manifest.release == *id) {
        if !published.is_trusted() {
            problems.push(format!(
                "version {} was signed with a key that is no longer trusted; release a new version",
                id.version
            ));
        }
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

/// A release below the minimum would be offered and installed nowhere.
pub(super) fn check_minimum(counter: ReleaseCounter, channels: &ChannelsDocument) -> Vec<String> {
    let Some(minimum) = channels.minimum_counter.filter(|minimum| counter < *minimum) else {
        return Vec::new();
    };
    vec![format!(
        "its counter is {counter}, and below {minimum} nothing of the package is installed; lower the minimum \
         with `publisher channel minimum {} --counter N`",
        channels.package
    )]
}

/// The same version again must be the same files and attachments. What the order says of it otherwise must be what was
/// signed the first time, because nothing else is published; what it leaves unsaid is as it was signed.
pub(super) fn check_same(
    order: &Order,
    published: &Published,
    built: &Built,
    attachments: &[Attachment],
) -> Vec<String> {
    let manifest = &published.manifest;
    let version = &order.release.version;
    if manifest.files != built.files || manifest.payload.tar != built.payload.tar {
        return vec![format!(
            "version {version} was published with other content, and a published version never changes; release a \
             new version"
        )];
    }
    let mut problems = Vec::new();
    if manifest.attachments != attachments {
        problems.push(format!(
            "version {version} was published with other attachments, and a published version never changes; release a \
             new version"
        ));
    }
    if let Some(options) = listed(&other_options(order, manifest)) {
        let package = &order.release.package;
        problems.push(format!(
            "version {version} was published with another value of {options}, or without, and a published version never \
             changes; release a new version, or leave that out; `publisher channel set {package} CHANNEL {version}` \
             points a channel at it"
        ));
    }
    problems
}

/// The options of `publisher release` that say something else of a release than was signed.
fn other_options(order: &Order, manifest: &ReleaseManifest) -> Vec<&'static str> {
    let security = manifest.security.as_ref();
    let published: BTreeSet<&String> = security.iter().flat_map(|security| &security.fixes).collect();
    let fixes: BTreeSet<&String> = order.fixes.iter().collect();
    let url = security.and_then(|security| security.advisory_url.as_ref());
    let others = [
        ("--severity", order.severity.is_some_and(|severity| severity != manifest.severity)),
        ("--category", order.category.is_some() && order.category != manifest.category),
        ("--fixes", !fixes.is_empty() && fixes != published),
        ("--advisory-url", order.advisory_url.is_some() && order.advisory_url.as_ref() != url),
        (
            "--supported-until",
            order.supported_until.is_some() && order.supported_until != manifest.supported_until,
        ),
        ("--notes", !order.notes.is_empty() && order.notes != manifest.notes),
    ];
    others.into_iter().filter_map(|(option, is_other)| is_other.then_some(option)).collect()
}

/// As a sentence lists them; `None` of nothing.
fn listed(options: &[&str]) -> Option<String> {
    let (last, others) = options.split_last()?;
    Some(if others.is_empty() { (*last).to_owned() } else { format!("{} and {last}", others.join(", ")) })
}

/// The counter of the next release: above every one that was given, or after a reset the first above it that no release
/// has. `None` if there is none left: a repeated one would let an older release pass for a newer.
pub(crate) fn next_counter(releases: &[Published], reset: Option<&CounterReset>) -> Option<ReleaseCounter> {
    let given: BTreeSet<u64> = releases.iter().map(|published| published.manifest.counter.0).collect();
    match reset {
        None => given.last().copied().unwrap_or(0).checked_add(1),
        Some(reset) => {
            let first = reset.counter.0.checked_add(1)?;
            (first..=u64::MAX).find(|counter| !given.contains(counter))
        }
    }
    .map(ReleaseCounter)
}
