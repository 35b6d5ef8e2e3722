//! The bounds of a rollback that a site asks for. Without them, whoever took a server over could downgrade every
//! computer of the site.
//!
//! It goes only to a release that this computer ran and kept, not below the vendor's minimum counter, not to one that
//! was withdrawn, and not to one whose signature does not hold with the keys that are trusted today.
//! A rollback that a person at the computer asks for has no bounds but that the release is there; where there is a reason
//! against it, the person has to mean it.
//! Left out on purpose: that signature, which the caller verifies with the manifest that was kept.

use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::wire::report::ReasonCode;

use super::record::{Installed, PackageRecord};
use super::release::{Refusal, judge_channels};

/// The kept release that a site's rollback goes to.
///
/// # Errors
/// [`Refusal`] when the bounds forbid it.
pub fn judge_rollback(
    wanted: &PackageAssignment,
    record: &PackageRecord,
    channels: &ChannelsDocument,
) -> Result<Installed, Refusal> {
    let kept = record
        .previous
        .as_ref()
        .filter(|kept| kept.manifest == wanted.manifest && kept.release == wanted.release)
        .ok_or_else(|| {
            let there = record.previous.as_ref().map_or("none".to_owned(), |kept| kept.release.to_string());
            Refusal::new(
                ReasonCode::NotKept,
                format!(
                    "a rollback goes only to a release that this computer ran and kept: {} is none (kept: {there}); \
                     ask the administrator to approve a release for this computer",
                    wanted.release
                ),
            )
        })?;
    judge_channels(&kept.release, kept.counter, channels)?;
    let (rollout, attempt, ring) = (wanted.rollout, wanted.attempt, wanted.ring.clone());
    Ok(Installed { rollout, attempt, ring, ..kept.clone() })
}

/// Whether a site's rollback that was refused like this stays refused until a person does something: what it goes to is not
/// kept here or not allowed any more.
#[must_use]
pub fn stays_refused(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::NotKept
            | ReasonCode::ReleaseWithdrawn
            | ReasonCode::ReleaseTooOld
            | ReasonCode::ManifestInvalid
    )
}

/// What speaks against the kept release by this computer's own record, for a person who would go back to it; nothing if it
/// was a person here who left it.
#[must_use]
pub fn why_left(record: &PackageRecord) -> Option<String> {
    match record.previous_given_up()? {
        ReasonCode::AskedLocally => None,
        ReasonCode::AskedBySite => Some("the site's administrator led this computer away from it".to_owned()),
        reason => Some(format!("it failed here before ({reason})")),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sealpost_manifests::assignment::Action;
    use sealpost_manifests::channels::Withdrawn;
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::release::{PackageKind, ReleaseId};
    use sealpost_manifests::version::{ReleaseCounter, Version};

    use super::*;
    use crate::domain::record::SlotId;

    fn installed(number: &str, counter: u64) -> Installed {
        let version = Version::new(number).unwrap();
        let manifest = Sha256Digest::of(number.as_bytes());
        Installed {
            slot: SlotId::of(&version, &manifest),
            release: ReleaseId {
                package: PackageName::new("acme").unwrap(),
                version,
                platform: Platform::any(),
            },
            kind: PackageKind::Program,
            counter: ReleaseCounter(counter),
            manifest,
            rollout: 1,
            attempt: 2,
            ring: None,
        }
    }

    fn judge(
        to: &Installed,
        change: impl FnOnce(&mut PackageAssignment, &mut ChannelsDocument),
    ) -> Result<Installed, ReasonCode> {
        let record = PackageRecord {
            current: Some(installed("2", 7)),
            previous: Some(installed("1", 5)),
            counter_floor: Some(ReleaseCounter(7)),
            ..PackageRecord::default()
        };
        let mut wanted = PackageAssignment {
            action: Action::Rollback,
            ..PackageAssignment::install(to.release.clone(), to.manifest, 9, 4)
        };
        let mut channels = ChannelsDocument::empty(PackageName::new("acme").unwrap(), Timestamp::UNIX_EPOCH);
        change(&mut wanted, &mut channels);
        judge_rollback(&wanted, &record, &channels).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn it_goes_to_the_kept_release_below_the_counter_floor_and_belongs_to_the_rollout_that_asked() {
        let to = judge(&installed("1", 5), |_, _| ()).unwrap();
        assert_eq!(to, Installed { rollout: 9, attempt: 4, ..installed("1", 5) });
    }

    #[test]
    fn a_person_is_told_what_speaks_against_the_kept_release_unless_a_person_left_it() {
        let told = |reason, attempt| {
            let record = PackageRecord {
                current: Some(installed("1", 5)),
                previous: Some(installed("2", 7)),
                ..PackageRecord::default()
            };
            let left = Installed { attempt, ..installed("2", 7) };
            why_left(&record.with_given_up(&left, reason, Timestamp::UNIX_EPOCH))
        };
        assert!(told(ReasonCode::AskedBySite, 2).unwrap().contains("the site's administrator"));
        assert!(told(ReasonCode::HookFailed, 2).unwrap().contains("(hook_failed)"));
        assert_eq!(told(ReasonCode::AskedLocally, 2), None);
        assert_eq!(told(ReasonCode::HookFailed, 1), None, "it was kept in a later attempt");
    }

    #[test]
    fn a_release_that_this_computer_did_not_keep_is_refused_under_whatever_name() {
        let not_kept = Err(ReasonCode::NotKept);
        assert_eq!(judge(&installed("0", 4), |_, _| ()), not_kept);
        assert_eq!(judge(&installed("1", 5), |wanted, _| wanted.manifest = Sha256Digest::of(b"x")), not_kept);
        let other_name = Version::new("1.1").unwrap();
        assert_eq!(judge(&installed("1", 5), |wanted, _| wanted.release.version = other_name), not_kept);
        let nothing = judge_rollback(
            &PackageAssignment::install(installed("1", 5).release, installed("1", 5).manifest, 9, 4),
            &PackageRecord::default(),
            &ChannelsDocument::empty(PackageName::new("acme").unwrap(), Timestamp::UNIX_EPOCH),
        );
        assert_eq!(nothing.unwrap_err().reason, ReasonCode::NotKept);
    }

    #[test]
    fn it_does_not_go_below_the_vendors_minimum_nor_to_a_withdrawn_release() {
        let minimum = |counter| {
            judge(&installed("1", 5), |_, channels| channels.minimum_counter = Some(ReleaseCounter(counter)))
        };
        assert!(minimum(5).is_ok());
        assert_eq!(minimum(6), Err(ReasonCode::ReleaseTooOld));
        let withdrawn = judge(&installed("1", 5), |_, channels| {
            channels.withdrawn.push(Withdrawn {
                version: Version::new("1").unwrap(),
                reason: "bad".to_owned(),
                platforms: Vec::new(),
            });
        });
        assert_eq!(withdrawn, Err(ReasonCode::ReleaseWithdrawn));
        let of_another = judge(&installed("1", 5), |_, channels| {
            channels.package = PackageName::new("other").unwrap();
        });
        assert_eq!(of_another, Err(ReasonCode::ManifestInvalid));
    }
}
