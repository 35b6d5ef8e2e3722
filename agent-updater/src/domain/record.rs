//! What is installed of a package, what was there before, and a change between the two.

use std::fmt;

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::NameError;
use sealpost_manifests::release::{PackageKind, ReleaseId};
use sealpost_manifests::trust::CounterReset;
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::wire::report::ReasonCode;
use serde::{Deserialize, Serialize};

use super::install::{JournalStep, Names};
use super::not_started::{MAX_KEPT_WORDS_BYTES, NotStarted, StartFault, shortened};
use super::policy::GivenUp;

/// Releases that are remembered as given up, per package; the oldest is forgotten.
const MAX_GIVEN_UP: usize = 32;

/// The name of a slot: the version and the first digits of the manifest's digest. Safe as a file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SlotId(String);

impl SlotId {
    /// The slot of a release.
    #[must_use]
    pub fn of(version: &Version, manifest: &Sha256Digest) -> Self {
        Self(format!("{version}-{}", manifest.short()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SlotId {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        let fail = || NameError {
            what: "slot name",
            text: text.chars().take(80).collect(),
            rule: "a version, '-', and twelve hex digits",
        };
        let (version, digest) = text.rsplit_once('-').ok_or_else(fail)?;
        let is_hex =
            digest.len() == 12 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hex {
            return Err(fail());
        }
        Version::new(version)?;
        Ok(Self(text))
    }
}

impl From<SlotId> for String {
    fn from(id: SlotId) -> Self {
        id.0
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A release in a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    pub slot: SlotId,
    pub release: ReleaseId,
    pub kind: PackageKind,
    pub counter: ReleaseCounter,
    /// Digest of its manifest's exact bytes.
    pub manifest: Sha256Digest,
    /// The rollout that brought it.
    pub rollout: u64,
    /// The attempt that brought it.
    pub attempt: u32,
    /// The ring of the rollout; reports name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<String>,
}

/// The state of a package on this computer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageRecord {
    /// The release that `current` names.
    pub current: Option<Installed>,
    /// The release that `rollback` goes back to.
    pub previous: Option<Installed>,
    /// The highest counter that was ever installed and kept; a lower one is refused.
    pub counter_floor: Option<ReleaseCounter>,
    /// The number of the vendor's last counter reset that was applied; 0 before the first.
    #[serde(default)]
    pub counter_reset: u64,
    pub given_up: Vec<GivenUp>,
    /// Set while the product is stopped because it could not be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_started: Option<NotStarted>,
    /// A release whose slot was built and test-loaded, and that waits for its time. Its slot is digested again before it is
    /// used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<Installed>,
}

impl PackageRecord {
    /// The record after a change was kept. Idempotent.
    #[must_use]
    pub fn kept(mut self, change: &Change, at: Timestamp) -> Self {
        // It was started: a release is kept only after that.
        self.not_started = None;
        self = self.without_prepared(&change.to.manifest);
        if change.kind == ChangeKind::Repair {
            // The same release as before.
            self.current = Some(change.to.clone());
            return self;
        }
        match (change.kind.asked_back(), change.left()) {
            (Some(reason), Some(left)) => self = self.with_given_up(left, reason, at),
            // A release that is gone back to was kept before. Its counter may be one that the vendor reset since, and
            // raises no floor again.
            (Some(_), None) => {}
            (None, _) => self.counter_floor = self.counter_floor.max(Some(change.to.counter)),
        }
        // A release whose slot is gone cannot be gone back to; the one before it can.
        let previous = if change.lost.is_some() { self.previous.take() } else { None };
        let previous = change.from.clone().or(previous);
        self.previous = previous.filter(|previous| previous.slot != change.to.slot);
        self.current = Some(change.to.clone());
        self
    }

    /// The record once a release is not to be kept ready any more.
    #[must_use]
    pub fn without_prepared(self, manifest: &Sha256Digest) -> Self {
        let prepared = self.prepared.filter(|prepared| prepared.manifest != *manifest);
        Self { prepared, ..self }
    }

    /// The record after a change was rolled back.
    #[must_use]
    pub fn rolled_back(self, change: &Change, reason: ReasonCode, at: Timestamp) -> Self {
        let given_up = self.with_failed(&change.to, (reason, change.detail.as_deref().unwrap_or("")), at);
        // One whose slot is gone stays the release that is installed: a repair can build it again.
        Self { current: change.from.clone().or_else(|| change.lost.clone()), ..given_up }
    }

    /// The record after a start of `release` that ended with `fault`, or succeeded.
    #[must_use]
    pub fn after_start(self, release: &ReleaseId, fault: Option<&StartFault>, at: Timestamp) -> Self {
        let before = self.not_started.as_ref();
        let not_started = fault.map(|fault| NotStarted::after_failure(before, release, fault, at));
        Self { not_started, ..self }
    }

    /// The record of a package whose link `current` names another release than the one that is recorded: the link is the
    /// truth. What was recorded is what a rollback goes to, if its slot `is_there`. Floors and what was given up stay.
    #[must_use]
    pub fn following(self, linked: &Installed, is_there: impl Fn(&Installed) -> bool) -> Self {
        if self.current.as_ref().is_some_and(|current| current.slot == linked.slot) {
            return self;
        }
        let linked = self.previous.as_ref().filter(|one| one.slot == linked.slot).unwrap_or(linked).clone();
        let kept = [&self.current, &self.previous].into_iter().flatten();
        let previous = kept.filter(|one| one.slot != linked.slot).find(|one| is_there(one)).cloned();
        Self { current: Some(linked), previous, ..self }
    }

    /// The record that also remembers that a release was given up in its attempt.
    #[must_use]
    pub fn with_given_up(self, what: &Installed, reason: ReasonCode, at: Timestamp) -> Self {
        self.with_failed(what, (reason, ""), at)
    }

    /// As [`PackageRecord::with_given_up`], with what failed in words.
    #[must_use]
    pub fn with_failed(mut self, what: &Installed, why: (ReasonCode, &str), at: Timestamp) -> Self {
        let (reason, words) = why;
        self = self.without_prepared(&what.manifest);
        self.given_up.retain(|past| past.manifest != what.manifest);
        let (manifest, attempt) = (what.manifest, what.attempt);
        let detail = shortened(words, MAX_KEPT_WORDS_BYTES);
        self.given_up.push(GivenUp { manifest, attempt, reason, at, detail });
        let surplus = self.given_up.len().saturating_sub(MAX_GIVEN_UP);
        self.given_up.drain(..surplus);
        self
    }

    /// The record after a counter reset of the vendor; `None` if that number was applied before. It lowers the floor, and
    /// never raises it.
    #[must_use]
    pub fn after_reset(&self, reset: &CounterReset) -> Option<Self> {
        (reset.number > self.counter_reset).then(|| Self {
            counter_floor: self.counter_floor.map(|floor| floor.min(reset.counter)),
            counter_reset: reset.number,
            ..self.clone()
        })
    }

    /// Why the release that `rollback` goes to was given up here, if it was in the attempt that was kept.
    #[must_use]
    pub fn previous_given_up(&self) -> Option<ReasonCode> {
        let previous = self.previous.as_ref()?;
        let is_it = |past: &&GivenUp| past.manifest == previous.manifest && past.attempt >= previous.attempt;
        self.given_up.iter().find(is_it).map(|past| past.reason)
    }

    /// Whether a slot must be kept.
    #[must_use]
    pub fn needs(&self, slot: &str) -> bool {
        let kept = [&self.current, &self.previous, &self.prepared];
        kept.into_iter().flatten().any(|installed| installed.slot.as_str() == slot)
    }
}

/// Who asked for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The server, by an assignment.
    Install,
    /// A person at the computer.
    LocalRollback,
    /// The server, by an assignment that goes back.
    SiteRollback,
    /// A person at the computer: the same release again, because it is not as it was signed.
    Repair,
}

impl ChangeKind {
    /// Who asked to go back; `None` for an install or a repair.
    #[must_use]
    pub const fn asked_back(self) -> Option<ReasonCode> {
        match self {
            Self::Install | Self::Repair => None,
            Self::LocalRollback => Some(ReasonCode::AskedLocally),
            Self::SiteRollback => Some(ReasonCode::AskedBySite),
        }
    }
}

/// A change of release that is not finished: what the journal holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub kind: ChangeKind,
    /// The release before, which is gone back to if the new one does not work; `None` for the first release of a package,
    /// or if none is whole. For a repair it is the release itself.
    pub from: Option<Installed>,
    /// The release that was installed, when its slot is gone: it is stopped, and cannot be gone back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Installed>,
    pub to: Installed,
    /// The last recorded step.
    pub step: JournalStep,
    /// How many starts of the agent found it unfinished.
    #[serde(default)]
    pub interruptions: u32,
    /// Why it is rolled back, once it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<ReasonCode>,
    /// As `why`, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Why the old release could not be started again, if it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_started: Option<StartFault>,
}

impl Change {
    /// A change at its first step.
    #[must_use]
    pub const fn new(
        kind: ChangeKind,
        from: Option<Installed>,
        lost: Option<Installed>,
        to: Installed,
    ) -> Self {
        let step = JournalStep::Preparing;
        Self { kind, from, lost, to, step, interruptions: 0, why: None, detail: None, not_started: None }
    }

    /// Which of its releases a link names; `None` stands for one that names no slot.
    #[must_use]
    pub fn names(&self, linked: Option<&SlotId>) -> Names {
        let is = |one: &Option<Installed>| one.as_ref().is_some_and(|one| Some(&one.slot) == linked);
        let nothing = self.from.is_none() && linked.is_none();
        match (is(&self.from) || is(&self.lost) || nothing, linked == Some(&self.to.slot)) {
            (true, true) => Names::Both,
            (true, false) => Names::Old,
            (false, true) => Names::New,
            (false, false) => Names::Neither,
        }
    }

    /// The release that the computer leaves by this change.
    #[must_use]
    pub fn left(&self) -> Option<&Installed> {
        self.lost.as_ref().or(self.from.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::ids::{PackageName, Platform};

    use super::*;

    fn installed(version: &str, counter: u64, attempt: u32) -> Installed {
        let version = Version::new(version).unwrap();
        let manifest = Sha256Digest::of(version.as_str().as_bytes());
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
            attempt,
            ring: None,
        }
    }

    fn change(kind: ChangeKind, from: Option<Installed>, to: Installed) -> Change {
        Change { step: JournalStep::Healthy, ..Change::new(kind, from, None, to) }
    }

    #[test]
    fn a_kept_release_is_current_the_old_one_previous_and_keeping_twice_changes_nothing_more() {
        let first = change(ChangeKind::Install, None, installed("1", 1, 0));
        let record = PackageRecord::default().kept(&first, Timestamp::UNIX_EPOCH);
        let second = change(ChangeKind::Install, record.current.clone(), installed("2", 2, 0));
        let once = record.kept(&second, Timestamp::UNIX_EPOCH);
        assert_eq!(once.clone().kept(&second, Timestamp::UNIX_EPOCH), once);
        assert_eq!(once.previous, Some(installed("1", 1, 0)));
        assert_eq!(once.counter_floor, Some(ReleaseCounter(2)));
        assert!(once.needs(installed("1", 1, 0).slot.as_str()) && !once.needs("0-000000000000"));
    }

    #[test]
    fn a_rollback_keeps_the_counter_floor_and_gives_the_newer_release_up() {
        for (kind, reason) in [
            (ChangeKind::LocalRollback, ReasonCode::AskedLocally),
            (ChangeKind::SiteRollback, ReasonCode::AskedBySite),
        ] {
            let start = PackageRecord {
                current: Some(installed("2", 2, 4)),
                previous: Some(installed("1", 1, 0)),
                counter_floor: Some(ReleaseCounter(2)),
                ..PackageRecord::default()
            };
            let back = change(kind, start.current.clone(), installed("1", 1, 0));
            let record = start.kept(&back, Timestamp::UNIX_EPOCH);
            assert_eq!(record.counter_floor, Some(ReleaseCounter(2)));
            assert_eq!((record.given_up[0].attempt, record.given_up[0].reason), (4, reason));
        }
    }

    #[test]
    fn a_release_whose_slot_is_gone_is_not_gone_back_to_and_the_one_before_it_stays() {
        let start = PackageRecord {
            current: Some(installed("2", 2, 4)),
            previous: Some(installed("1", 1, 0)),
            ..PackageRecord::default()
        };
        let mut next = change(ChangeKind::Install, None, installed("3", 3, 0));
        next.lost = start.current.clone();
        let kept = start.clone().kept(&next, Timestamp::UNIX_EPOCH);
        assert_eq!(kept.previous, Some(installed("1", 1, 0)));
        assert_eq!(kept.clone().kept(&next, Timestamp::UNIX_EPOCH), kept);
        let back = start.clone().rolled_back(&next, ReasonCode::HookFailed, Timestamp::UNIX_EPOCH);
        assert_eq!((back.current, back.previous), (start.current.clone(), start.previous.clone()));
        let repair = change(ChangeKind::Repair, start.current.clone(), installed("2", 2, 4));
        assert_eq!(start.clone().kept(&repair, Timestamp::UNIX_EPOCH), start);
    }

    fn reset(number: u64, counter: u64) -> CounterReset {
        let package = PackageName::new("acme").unwrap();
        CounterReset { package, counter: ReleaseCounter(counter), number }
    }

    #[test]
    fn a_counter_reset_is_applied_once_per_number_and_never_raises_the_floor() {
        let record =
            PackageRecord { counter_floor: Some(ReleaseCounter(u64::MAX)), ..PackageRecord::default() };
        let record = record.after_reset(&reset(1, 5)).unwrap();
        assert_eq!(record.counter_floor, Some(ReleaseCounter(5)));
        let next = change(ChangeKind::Install, None, installed("6", 6, 0));
        let record = record.kept(&next, Timestamp::UNIX_EPOCH);
        assert_eq!(record.counter_floor, Some(ReleaseCounter(6)));
        assert_eq!(record.after_reset(&reset(1, 5)), None, "the same one again lowers nothing");
        let above = record.after_reset(&reset(2, 100)).unwrap();
        assert_eq!(above.counter_floor, Some(ReleaseCounter(6)));
        assert_eq!(above.after_reset(&reset(1, 5)), None, "nor does one from before");
        let nothing_yet = PackageRecord::default().after_reset(&reset(3, 9)).unwrap();
        assert_eq!((nothing_yet.counter_floor, nothing_yet.counter_reset), (None, 3));
    }

    #[test]
    fn going_back_to_the_release_of_a_stolen_key_does_not_raise_the_floor_that_was_reset() {
        let start = PackageRecord {
            current: Some(installed("6", 6, 0)),
            previous: Some(installed("5", u64::MAX, 0)),
            counter_floor: Some(ReleaseCounter(6)),
            counter_reset: 1,
            ..PackageRecord::default()
        };
        let back = change(ChangeKind::LocalRollback, start.current.clone(), installed("5", u64::MAX, 0));
        assert_eq!(start.kept(&back, Timestamp::UNIX_EPOCH).counter_floor, Some(ReleaseCounter(6)));
    }

    #[test]
    fn the_record_keeps_its_form() {
        let digest = Sha256Digest::of(b"1");
        let short = digest.short();
        let installed = format!(
            r#"{{"slot":"1-{short}","release":{{"package":"acme","version":"1","platform":"any"}},"kind":"program","counter":1,"manifest":"{digest}","rollout":1,"attempt":0}}"#
        );
        let golden = format!(
            r#"{{"current":{installed},"previous":null,"counter_floor":1,"counter_reset":2,"given_up":[{{"manifest":"{digest}","attempt":3,"reason":"hook_failed","at":"2026-01-01T00:00:00Z"}}]}}"#
        );
        let record: PackageRecord = serde_json::from_str(&golden).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), golden);
        let golden = format!(
            r#"{{"kind":"site_rollback","from":{installed},"to":{installed},"step":"switched","interruptions":1,"why":"interrupted"}}"#
        );
        let change: Change = serde_json::from_str(&golden).unwrap();
        assert_eq!(serde_json::to_string(&change).unwrap(), golden);
        let golden = format!(
            r#"{{"kind":"repair","from":{installed},"lost":{installed},"to":{installed},"step":"stopped","interruptions":0}}"#
        );
        let change: Change = serde_json::from_str(&golden).unwrap();
        assert_eq!(serde_json::to_string(&change).unwrap(), golden);
    }

    #[test]
    fn the_list_of_given_up_releases_is_bounded() {
        let mut record = PackageRecord::default();
        for number in 0..100 {
            let what = installed(&number.to_string(), number, 0);
            record = record.with_given_up(&what, ReasonCode::HookFailed, Timestamp::UNIX_EPOCH);
        }
        assert_eq!(record.given_up.len(), MAX_GIVEN_UP);
    }

    #[test]
    fn only_names_that_a_slot_can_have_are_read() {
        let id = installed("1.2+b-3", 1, 0).slot;
        assert_eq!(SlotId::try_from(id.as_str().to_owned()), Ok(id));
        for bad in ["", "..", "../x-000000000000", "1-00000000000", "1-00000000000G", "-000000000000"] {
            assert!(SlotId::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
