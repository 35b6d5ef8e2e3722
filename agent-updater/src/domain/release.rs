//! Whether a verified manifest is the one that was assigned, and may be installed on this computer.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{PackageName, Platform};
use sealpost_manifests::release::{PackageKind, ReleaseId, ReleaseManifest};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::report::ReasonCode;

use super::time::older_than_days;

/// Why a release is not installed: a stable code, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    pub reason: ReasonCode,
    pub detail: String,
    /// In how many seconds the server wants to be asked again, if nothing is wrong but that.
    again_in_secs: Option<u32>,
}

impl Refusal {
    #[must_use]
    pub fn new(reason: ReasonCode, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), again_in_secs: None }
    }

    /// Nothing is wrong: the link to the server is in use, and the server says when to ask again.
    #[must_use]
    pub fn later(detail: impl Into<String>, again_in: Duration) -> Self {
        let again_in_secs = Some(u32::try_from(again_in.as_secs()).unwrap_or(u32::MAX));
        Self { reason: ReasonCode::LinkBusy, detail: detail.into(), again_in_secs }
    }

    /// When the server wants to be asked again, if nothing is wrong but that.
    #[must_use]
    pub fn again_in(&self) -> Option<Duration> {
        self.again_in_secs.map(|secs| Duration::from_secs(secs.into()))
    }
}

/// How far a floor may be ahead of the time that has passed: the boot clock, by which floors earn their credit, counts
/// whole seconds.
const FLOOR_SLACK: SignedDuration = SignedDuration::from_secs(1);

/// Checks that the time at which the server found the vendor's metadata fresh is recent enough, and not before the last.
///
/// # Errors
/// [`Refusal`] with [`ReasonCode::MetadataTooOld`].
pub fn judge_freshness(
    metadata_as_of: Timestamp,
    floor: Option<Timestamp>,
    now: Timestamp,
    max_age_days: u32,
) -> Result<(), Refusal> {
    let too_old = |detail| Err(Refusal::new(ReasonCode::MetadataTooOld, detail));
    let is_earlier = |floor: &Timestamp| floor.duration_since(metadata_as_of) > FLOOR_SLACK;
    if let Some(floor) = floor.filter(is_earlier) {
        return too_old(format!(
            "the server names metadata as of {metadata_as_of}, and named {floor} before"
        ));
    }
    if older_than_days(metadata_as_of, now, max_age_days) {
        return too_old(format!(
            "the server last found the vendor's metadata fresh at {metadata_as_of}, more than {max_age_days} days ago; \
             let the server pull: `distributor pull`"
        ));
    }
    Ok(())
}

/// What a release is compared with.
#[derive(Debug)]
pub struct Expectation<'a> {
    pub wanted: &'a PackageAssignment,
    /// The platform of this computer.
    pub platform: &'a Platform,
    /// Highest counter of the package that was ever kept here.
    pub counter_floor: Option<ReleaseCounter>,
    /// The counter of every installed package.
    pub installed: &'a BTreeMap<PackageName, ReleaseCounter>,
    /// The vendor's channels of the package.
    pub channels: &'a ChannelsDocument,
}

/// Judges a manifest whose signature was verified. `digest` is that of its exact bytes.
///
/// # Errors
/// [`Refusal`].
pub fn judge_release(
    manifest: &ReleaseManifest,
    digest: &Sha256Digest,
    expected: &Expectation<'_>,
) -> Result<(), Refusal> {
    let invalid = |detail: String| Err(Refusal::new(ReasonCode::ManifestInvalid, detail));
    let wanted = expected.wanted;
    if *digest != wanted.manifest {
        return invalid(format!(
            "the manifest of {} is {}, approved was {}",
            wanted.release, digest, wanted.manifest
        ));
    }
    if manifest.release != wanted.release {
        return invalid(format!("the manifest is for {}, assigned was {}", manifest.release, wanted.release));
    }
    if !manifest.release.platform.fits(expected.platform) {
        return invalid(format!("{} does not run on {}", manifest.release, expected.platform));
    }
    // A newer vendor's kind is no fault of the manifest.
    if let PackageKind::Other(kind) = &manifest.kind {
        let detail =
            format!("this agent does not know the kind {kind} of {}; update the agent", wanted.release);
        return Err(Refusal::new(ReasonCode::KindUnknown, detail));
    }
    let problems = manifest.check();
    if !problems.is_empty() {
        return invalid(format!("the manifest of {} is not sound: {}", wanted.release, problems.join("; ")));
    }
    if let Some(floor) = expected.counter_floor.filter(|floor| manifest.counter < *floor) {
        return Err(Refusal::new(
            ReasonCode::ReleaseTooOld,
            format!(
                "{} has release counter {}, and {floor} was installed here before",
                wanted.release, manifest.counter
            ),
        ));
    }
    judge_channels(&wanted.release, manifest.counter, expected.channels)?;
    for required in &manifest.requires {
        let there = expected.installed.get(&required.package);
        if there.is_none_or(|counter| *counter < required.counter) {
            return Err(Refusal::new(
                ReasonCode::RequirementMissing,
                format!(
                    "{} needs {} with counter {} or higher first",
                    wanted.release, required.package, required.counter
                ),
            ));
        }
    }
    Ok(())
}

/// Judges what the vendor says about a release that it once published: withdrawn, or below what anybody may run.
///
/// # Errors
/// [`Refusal`].
pub fn judge_channels(
    release: &ReleaseId,
    counter: ReleaseCounter,
    channels: &ChannelsDocument,
) -> Result<(), Refusal> {
    if channels.package != release.package {
        let detail = format!("the channels document is for {}", channels.package);
        return Err(Refusal::new(ReasonCode::ManifestInvalid, detail));
    }
    if let Some(why) = channels.withdrawn_reason(release) {
        let detail = format!("the vendor withdrew {release}: {why}");
        return Err(Refusal::new(ReasonCode::ReleaseWithdrawn, detail));
    }
    match channels.minimum_counter {
        Some(minimum) if channels.is_below_minimum(counter) => Err(Refusal::new(
            ReasonCode::ReleaseTooOld,
            format!(
                "{release} has release counter {counter}, and the vendor lets nobody run what is below {minimum}"
            ),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::channels::Withdrawn;
    use sealpost_manifests::ids::RelativePath;
    use sealpost_manifests::release::{Blob, FileEntry, FileKind, Payload, Requirement};
    use sealpost_manifests::version::Version;
    use sealpost_manifests::word::Word;
    use sealpost_test_support::names::{package, release_id};
    use sealpost_test_support::release::{self, assignment};

    use super::*;

    fn manifest() -> ReleaseManifest {
        let blob = Blob { sha256: Sha256Digest::of(b"x"), length: 2_048 };
        let payload = Payload { tar: blob, encodings: BTreeMap::from([("gzip".to_owned(), blob)]) };
        let file = FileEntry {
            path: RelativePath::new("a").unwrap(),
            kind: FileKind::File { executable: false, length: 1, sha256: Sha256Digest::of(b"a") },
        };
        release::manifest(release_id(&package("acme"), "2"), 5, payload, vec![file])
    }

    fn judge(
        manifest: &ReleaseManifest,
        change: impl FnOnce(&mut PackageAssignment, &mut ChannelsDocument),
        floor: Option<u64>,
    ) -> Result<(), ReasonCode> {
        let digest = Sha256Digest::of(b"manifest");
        let mut wanted = assignment(&self::manifest().release, digest);
        let mut channels = ChannelsDocument::empty(package("acme"), Timestamp::UNIX_EPOCH);
        change(&mut wanted, &mut channels);
        let expected = Expectation {
            wanted: &wanted,
            platform: &Platform::current(),
            counter_floor: floor.map(ReleaseCounter),
            installed: &BTreeMap::from([(package("base"), ReleaseCounter(3))]),
            channels: &channels,
        };
        judge_release(manifest, &digest, &expected).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn the_approved_release_is_accepted_at_and_above_the_counter_floor() {
        assert_eq!(judge(&manifest(), |_, _| (), None), Ok(()));
        assert_eq!(judge(&manifest(), |_, _| (), Some(5)), Ok(()));
        assert_eq!(judge(&manifest(), |_, _| (), Some(6)), Err(ReasonCode::ReleaseTooOld));
    }

    #[test]
    fn another_package_version_platform_or_digest_under_a_good_signature_is_refused() {
        let invalid = Err(ReasonCode::ManifestInvalid);
        let refused = |change: fn(&mut ReleaseManifest)| {
            let mut manifest = manifest();
            change(&mut manifest);
            judge(&manifest, |_, _| (), None)
        };
        assert_eq!(refused(|manifest| manifest.release.package = package("other")), invalid);
        assert_eq!(refused(|manifest| manifest.release.version = Version::new("3").unwrap()), invalid);
        assert_eq!(refused(|manifest| manifest.release.platform = Platform::current()), invalid);
        assert_eq!(judge(&manifest(), |wanted, _| wanted.manifest = Sha256Digest::of(b"y"), None), invalid);
        assert_eq!(refused(|manifest| manifest.files.clear()), invalid);
    }

    #[test]
    fn a_release_of_a_later_kind_is_refused_as_unknown_and_not_as_unsound() {
        let mut later = manifest();
        later.kind = PackageKind::Other(Word::new("firmware").unwrap());
        assert_eq!(judge(&later, |_, _| (), None), Err(ReasonCode::KindUnknown));
        later.files.clear();
        assert_eq!(
            judge(&later, |_, _| (), None),
            Err(ReasonCode::KindUnknown),
            "what it lacks is unknown too"
        );
    }

    #[test]
    fn a_withdrawn_release_and_one_with_missing_requirements_are_refused() {
        let withdraw = |_: &mut PackageAssignment, channels: &mut ChannelsDocument| {
            channels.withdrawn.push(Withdrawn {
                version: Version::new("2").unwrap(),
                reason: "bad".to_owned(),
                platforms: Vec::new(),
            });
        };
        assert_eq!(judge(&manifest(), withdraw, None), Err(ReasonCode::ReleaseWithdrawn));
        let needs = |counter| {
            let mut manifest = manifest();
            manifest
                .requires
                .push(Requirement { package: package("base"), counter: ReleaseCounter(counter) });
            judge(&manifest, |_, _| (), None)
        };
        assert_eq!(needs(3), Ok(()));
        assert_eq!(needs(4), Err(ReasonCode::RequirementMissing));
    }

    #[test]
    fn a_release_below_the_vendors_minimum_is_refused_and_says_so() {
        let minimum = |counter| {
            judge(&manifest(), |_, channels| channels.minimum_counter = Some(ReleaseCounter(counter)), None)
        };
        assert_eq!(minimum(5), Ok(()));
        assert_eq!(minimum(6), Err(ReasonCode::ReleaseTooOld));
        let mut channels = ChannelsDocument::empty(package("acme"), Timestamp::UNIX_EPOCH);
        channels.minimum_counter = Some(ReleaseCounter(6));
        let refusal = judge_channels(&manifest().release, ReleaseCounter(5), &channels).unwrap_err();
        assert!(refusal.detail.contains("below 6"), "{refusal}");
    }

    #[test]
    fn metadata_never_goes_back_and_has_an_age_limit() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (may, june) = (at("2026-05-01T00:00:00Z"), at("2026-06-30T00:00:00Z"));
        assert!(judge_freshness(may, None, may, 30).is_ok());
        assert!(judge_freshness(may, Some(june), june, 90).is_err());
        assert!(judge_freshness(may, None, june, 30).is_err());
        // A floor that rose with whole seconds of the boot clock may be a part of one ahead.
        assert!(judge_freshness(at("2026-06-29T23:59:59.1Z"), Some(june), june, 90).is_ok());
        assert!(judge_freshness(at("2026-06-29T23:59:58.9Z"), Some(june), june, 90).is_err());
    }
}
