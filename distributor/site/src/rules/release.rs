//! The life of an update at this site, and when an approved release is superseded.
//!
//! `staged → approved → superseded | halted | withdrawn`; `staged → rejected`; what a person rejected or halted can be
//! staged again, and then needs a new decision. What did not pass staging is refused. An illegal transition is a typed
//! error that names the command and the state.
//! What is approved is a manifest *for named channels*: a release goes to no other channel, wherever the vendor's
//! pointers move.
//! Left out on purpose: deferral and rings.

use std::fmt;

use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::ReleaseCounter;
use serde::{Deserialize, Serialize};

/// The state of a release at this site (DESIGN §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// Verified, stored, waits for a person.
    Staged,
    /// Goes to the clients of its channels.
    Approved,
    /// A person said no.
    Rejected,
    /// A newer approved release took its place.
    Superseded,
    /// The vendor took it back.
    Withdrawn,
    /// It did not pass staging.
    Refused,
    /// A person stopped it after its approval: it goes to nobody.
    Halted,
}

impl ReleaseState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Staged,
        Self::Approved,
        Self::Rejected,
        Self::Superseded,
        Self::Withdrawn,
        Self::Refused,
        Self::Halted,
    ];

    /// Whether a person let it go to computers, and nobody stopped it since.
    #[must_use]
    pub const fn is_or_was_approved(self) -> bool {
        matches!(self, Self::Approved | Self::Superseded)
    }

    /// The stable text, as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
            Self::Withdrawn => "withdrawn",
            Self::Refused => "refused",
            Self::Halted => "halted",
        }
    }
}

impl fmt::Display for ReleaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What somebody wants to do with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReleaseCommand {
    /// It passed staging.
    Stage,
    /// It did not pass staging.
    Refuse,
    /// A person approves.
    Approve,
    /// A person rejects.
    Reject,
    /// The vendor withdraws.
    Withdraw,
    /// A person stops it.
    Halt,
    /// A person takes back a rejection or a halt.
    Reconsider,
    /// A person lets computers try it again.
    Retry,
}

impl ReleaseCommand {
    /// Every command.
    pub const ALL: [Self; 8] = [
        Self::Stage,
        Self::Refuse,
        Self::Approve,
        Self::Reject,
        Self::Withdraw,
        Self::Halt,
        Self::Reconsider,
        Self::Retry,
    ];
}

impl fmt::Display for ReleaseCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Stage => "stage",
            Self::Refuse => "refuse",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Withdraw => "withdraw",
            Self::Halt => "halt",
            Self::Reconsider => "reconsider",
            Self::Retry => "retry",
        })
    }
}

/// What a legal command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// The release takes this state.
    To(ReleaseState),
    /// It is so already: answer the same.
    Unchanged,
}

/// A command that the state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IllegalTransition {
    /// The release is unknown here.
    #[error("cannot {command} a release that this server has not staged")]
    Unknown {
        /// What was attempted.
        command: ReleaseCommand,
    },
    /// The release is in another state.
    #[error("cannot {command} a release that is {state}")]
    State {
        /// What was attempted.
        command: ReleaseCommand,
        /// The state that it is in.
        state: ReleaseState,
    },
}

/// Decides about a command; `state` is `None` for a release that is unknown here.
///
/// # Errors
/// [`IllegalTransition`].
pub fn transition(
    state: Option<ReleaseState>,
    command: ReleaseCommand,
) -> Result<Transition, IllegalTransition> {
    use ReleaseCommand as Command;
    use ReleaseState as State;
    let Some(state) = state else {
        return match command {
            Command::Stage => Ok(Transition::To(State::Staged)),
            Command::Refuse => Ok(Transition::To(State::Refused)),
            Command::Approve
            | Command::Reject
            | Command::Withdraw
            | Command::Halt
            | Command::Reconsider
            | Command::Retry => Err(IllegalTransition::Unknown { command }),
        };
    };
    match (command, state) {
        // It did not pass before, for example for lack of disk space; now it did.
        (Command::Stage, State::Refused) => Ok(Transition::To(State::Staged)),
        (Command::Refuse, State::Refused)
        | (Command::Stage, _)
        | (Command::Approve | Command::Retry, State::Approved)
        | (Command::Reject, State::Rejected)
        | (Command::Withdraw, State::Withdrawn | State::Refused)
        | (Command::Reconsider, State::Staged)
        | (Command::Halt, State::Halted | State::Withdrawn) => Ok(Transition::Unchanged),
        (Command::Approve, State::Staged) => Ok(Transition::To(State::Approved)),
        (Command::Reject, State::Staged) => Ok(Transition::To(State::Rejected)),
        (Command::Withdraw, _) => Ok(Transition::To(State::Withdrawn)),
        (Command::Halt, State::Approved | State::Superseded) => Ok(Transition::To(State::Halted)),
        (Command::Reconsider, State::Rejected | State::Halted) => Ok(Transition::To(State::Staged)),
        (
            Command::Refuse
            | Command::Approve
            | Command::Reject
            | Command::Halt
            | Command::Reconsider
            | Command::Retry,
            _,
        ) => Err(IllegalTransition::State { command, state }),
    }
}

/// The channels of a release when the vendor's pointers moved: what it was approved for stays, so that a pointer to a
/// newer release that nobody approved yet takes nothing away.
#[must_use]
pub fn channels_after_pull(approved_for: &[ChannelName], now: &[ChannelName]) -> Vec<ChannelName> {
    let mut channels: Vec<ChannelName> = now.iter().chain(approved_for).cloned().collect();
    channels.sort();
    channels.dedup();
    channels
}

/// A release as the rules look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRelease {
    /// Package, version and platform.
    pub release: ReleaseId,
    /// Its manifest's digest.
    pub manifest: Sha256Digest,
    /// Its state at this site.
    pub state: ReleaseState,
    /// Its release counter.
    pub counter: ReleaseCounter,
    /// Channels that point to it, and those that it was approved for.
    pub channels: Vec<ChannelName>,
    /// Channels that a person approved it for.
    pub approved_for: Vec<ChannelName>,
    /// The number of its rollout, once approved.
    pub rollout: Option<u64>,
    /// The key that signed its manifest; absent when it was refused.
    pub signer: Option<PublicKey>,
    /// Why it was rejected, refused, halted or withdrawn.
    pub reason: Option<String>,
    /// Whether computers that run it are told to go back to what they ran before.
    pub rollback: bool,
    /// The attempt that a computer is told which has none of its own.
    pub attempt: u32,
    /// Program or signatures.
    pub kind: PackageKind,
    /// How urgent the vendor holds it.
    pub severity: Severity,
    /// Whether computers pass through it on their way to newer ones.
    pub mandatory: bool,
    /// Channels whose computers get it ring by ring: there it replaces nothing yet.
    pub rolling_out: Vec<ChannelName>,
}

/// Whether computers pass through the release with this manifest on their way to newer ones.
#[must_use]
pub fn is_mandatory(manifest: &Sha256Digest, releases: &[KnownRelease]) -> bool {
    releases.iter().any(|release| release.manifest == *manifest && release.mandatory)
}

/// Of the channels that point to a release, those that nobody approved it for.
pub fn unapproved<'c>(
    channels: &'c [ChannelName],
    approved_for: &'c [ChannelName],
) -> impl Iterator<Item = &'c ChannelName> {
    channels.iter().filter(|channel| !approved_for.contains(channel))
}

impl KnownRelease {
    /// The channels to whose computers it goes; of one that nobody approved yet, those to which it would go.
    #[must_use]
    pub fn goes_to(&self) -> &[ChannelName] {
        match self.state {
            ReleaseState::Approved
            | ReleaseState::Superseded
            | ReleaseState::Halted
            | ReleaseState::Withdrawn => &self.approved_for,
            ReleaseState::Staged | ReleaseState::Rejected | ReleaseState::Refused => &self.channels,
        }
    }

    /// Channels that point to it and that nobody approved it for.
    pub fn waits_for(&self) -> impl Iterator<Item = &ChannelName> {
        unapproved(&self.channels, &self.approved_for)
    }

    /// As it is once a person approved it for these channels too.
    #[must_use]
    pub fn approved_too(&self, channels: &[ChannelName]) -> Self {
        let mut approved_for: Vec<ChannelName> = self.approved_for.iter().chain(channels).cloned().collect();
        approved_for.sort();
        approved_for.dedup();
        Self { approved_for, state: ReleaseState::Approved, ..self.clone() }
    }

    /// Whether `self` takes the place of `older` for all clients of a channel: not as long as some of them are held back.
    fn replaces(&self, older: &Self, channel: &ChannelName) -> bool {
        self.counter > older.counter
            && self.goes_to().contains(channel)
            && !self.rolling_out.contains(channel)
            && (self.release.platform == older.release.platform
                || (self.release.version != older.release.version
                    && self.release.platform.fits(&older.release.platform)))
    }
}

/// Whether every channel of `release` is served by a newer one of `approved` (releases of the same package that are
/// approved or superseded).
#[must_use]
pub fn is_superseded(release: &KnownRelease, approved: &[KnownRelease]) -> bool {
    // Who has to pass through it gets it from its rings, also when a newer one is complete.
    let is_passed_through = release.mandatory && !release.rolling_out.is_empty();
    !is_passed_through
        && !release.goes_to().is_empty()
        && release
            .goes_to()
            .iter()
            .all(|channel| approved.iter().any(|newer| newer.replaces(release, channel)))
}

/// The release that a reviewer compares `release` with: the newest approved or superseded one of the same package and
/// platform before it. `approved` are the releases of the package that are approved or superseded.
#[must_use]
pub fn compared_with<'r>(release: &KnownRelease, approved: &'r [KnownRelease]) -> Option<&'r KnownRelease> {
    approved
        .iter()
        .filter(|other| other.release.platform == release.release.platform && other.counter < release.counter)
        .max_by_key(|other| other.counter)
}

/// What an approval, a withdrawal or a move of channels does to the other approved releases of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supersession {
    /// Manifests of releases that newer ones replace from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub superseded: Vec<Sha256Digest>,
    /// Manifests of superseded releases that go to clients again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<Sha256Digest>,
}

/// Judges anew which approved releases of a package are superseded; a withdrawal can bring an older one back.
/// `approved` are the releases of the package that are approved or superseded, as they are after the change.
#[must_use]
pub fn supersession(approved: &[KnownRelease]) -> Supersession {
    let mut change = Supersession::default();
    for release in approved {
        match (release.state, is_superseded(release, approved)) {
            (ReleaseState::Approved, true) => change.superseded.push(release.manifest),
            (ReleaseState::Superseded, false) => change.restored.push(release.manifest),
            _ => {}
        }
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::version::Version;

    #[test]
    fn a_decided_release_is_not_decided_otherwise() {
        use ReleaseCommand::{Approve, Reject, Withdraw};
        use ReleaseState::{Approved, Refused, Rejected, Staged, Withdrawn};
        assert_eq!(transition(Some(Staged), Approve), Ok(Transition::To(Approved)));
        assert_eq!(transition(Some(Approved), Approve), Ok(Transition::Unchanged));
        for state in [Rejected, Withdrawn, Refused] {
            let error = transition(Some(state), Approve).unwrap_err();
            assert_eq!(error, IllegalTransition::State { command: Approve, state });
            assert_eq!(error.to_string(), format!("cannot approve a release that is {state}"));
        }
        assert!(transition(Some(Approved), Reject).is_err());
        assert!(transition(None, Approve).is_err());
        assert_eq!(transition(Some(Approved), Withdraw), Ok(Transition::To(Withdrawn)));
        assert_eq!(transition(Some(Withdrawn), Withdraw), Ok(Transition::Unchanged));
        assert!(transition(Some(ReleaseState::Superseded), Approve).is_err(), "it would go to nobody");
    }

    #[test]
    fn every_command_is_safe_to_send_again() {
        let states = ReleaseState::ALL.into_iter().map(Some).chain([None]);
        for state in states {
            for command in ReleaseCommand::ALL {
                if let Ok(Transition::To(after)) = transition(state, command) {
                    assert_eq!(
                        transition(Some(after), command),
                        Ok(Transition::Unchanged),
                        "{command} {after}"
                    );
                }
            }
        }
    }

    fn release(version: &str, platform: &str, counter: u64, channels: &[&str]) -> KnownRelease {
        KnownRelease {
            release: ReleaseId {
                package: PackageName::new("acme-av").unwrap(),
                version: Version::new(version).unwrap(),
                platform: Platform::new(platform).unwrap(),
            },
            manifest: Sha256Digest::of(format!("{version} {platform}").as_bytes()),
            state: ReleaseState::Approved,
            counter: ReleaseCounter(counter),
            channels: channels.iter().map(|name| ChannelName::new(name).unwrap()).collect(),
            approved_for: channels.iter().map(|name| ChannelName::new(name).unwrap()).collect(),
            rollout: Some(counter),
            signer: None,
            reason: None,
            rollback: false,
            attempt: 1,
            kind: PackageKind::Program,
            severity: Severity::Normal,
            mandatory: false,
            rolling_out: Vec::new(),
        }
    }

    #[test]
    fn a_release_is_compared_with_the_newest_before_it_on_its_platform() {
        let releases = [
            release("1", "any", 1, &["stable"]),
            release("2", "any", 2, &["beta"]),
            release("3", "any", 4, &[]),
        ];
        let new = release("2.5", "any", 3, &["stable"]);
        assert_eq!(compared_with(&new, &releases), Some(&releases[1]));
        assert_eq!(compared_with(&releases[0], &releases), None);
        assert_eq!(compared_with(&release("9", "linux-x86_64", 9, &[]), &releases), None);
    }

    #[test]
    fn supersession_names_only_what_changes_and_is_undone_by_a_withdrawal() {
        let old = release("1", "any", 1, &["stable"]);
        let new = release("2", "any", 2, &["stable"]);
        let change = supersession(&[old.clone(), new.clone()]);
        assert_eq!((change.superseded, change.restored), (vec![old.manifest], vec![]));
        let superseded = KnownRelease { state: ReleaseState::Superseded, ..old.clone() };
        assert_eq!(supersession(&[superseded.clone(), new]), Supersession::default());
        let change = supersession(&[superseded]);
        assert_eq!((change.superseded, change.restored), (vec![], vec![old.manifest]));
    }

    #[test]
    fn a_release_is_superseded_only_when_all_its_channels_are_served_by_newer_ones() {
        let old = release("1", "linux-x86_64", 1, &["stable", "beta"]);
        let beta = release("2", "linux-x86_64", 2, &["beta"]);
        assert!(!is_superseded(&old, &[old.clone(), beta.clone()]));
        let stable = release("3", "linux-x86_64", 3, &["stable"]);
        assert!(is_superseded(&old, &[old.clone(), beta.clone(), stable.clone()]));
        assert!(!is_superseded(&stable, &[old, beta, stable.clone()]));
    }

    #[test]
    fn a_mandatory_release_that_still_rolls_out_is_superseded_by_none() {
        let new = release("2", "any", 2, &["stable"]);
        let mut old = KnownRelease { mandatory: true, ..release("1", "any", 1, &["stable"]) };
        assert!(is_superseded(&old, &[old.clone(), new.clone()]), "all of its computers could get it");
        old.rolling_out.clone_from(&old.channels);
        assert!(!is_superseded(&old, &[old.clone(), new.clone()]));
        old.mandatory = false;
        assert!(is_superseded(&old, &[old.clone(), new]));
    }

    #[test]
    fn the_same_version_for_another_platform_supersedes_nothing() {
        let exact = release("2", "linux-x86_64", 5, &["stable"]);
        let any = release("2", "any", 6, &["stable"]);
        assert!(!is_superseded(&exact, &[exact.clone(), any]));
        let next = release("3", "any", 7, &["stable"]);
        assert!(is_superseded(&exact, &[next]));
        let other = release("3", "linux-aarch64", 7, &["stable"]);
        assert!(!is_superseded(&exact, &[other]));
    }

    #[test]
    fn an_approved_release_keeps_the_channels_that_it_was_approved_for() {
        let names = |names: &[&str]| -> Vec<ChannelName> {
            names.iter().map(|name| ChannelName::new(name).unwrap()).collect()
        };
        let moved = channels_after_pull(&names(&["stable"]), &names(&["beta"]));
        assert_eq!(moved, names(&["beta", "stable"]));
        assert_eq!(channels_after_pull(&[], &names(&["beta"])), names(&["beta"]));
    }

    #[test]
    fn a_halted_release_can_be_staged_again_and_decided_anew() {
        use ReleaseCommand::{Approve, Halt, Reconsider, Reject, Retry};
        use ReleaseState::{Approved, Halted, Rejected, Staged, Superseded, Withdrawn};
        for state in [Approved, Superseded] {
            assert_eq!(transition(Some(state), Halt), Ok(Transition::To(Halted)));
        }
        assert!(transition(Some(Staged), Halt).is_err(), "what nobody approved is rejected instead");
        for state in [Rejected, Halted] {
            assert_eq!(transition(Some(state), Reconsider), Ok(Transition::To(Staged)));
        }
        for command in [Approve, Reject, Retry] {
            assert!(transition(Some(Halted), command).is_err(), "{command}");
        }
        assert!(transition(Some(Withdrawn), Reconsider).is_err(), "the vendor took it back");
    }

    #[test]
    fn a_release_goes_to_the_channels_that_it_was_approved_for_and_waits_for_the_others() {
        let mut moved = release("2", "any", 2, &["beta", "stable"]);
        moved.approved_for = vec![ChannelName::new("beta").unwrap()];
        let old = release("1", "any", 1, &["stable"]);
        assert!(!is_superseded(&old, &[old.clone(), moved.clone()]), "stable is not served by it yet");
        assert_eq!(moved.waits_for().map(ToString::to_string).collect::<Vec<_>>(), ["stable"]);
        let approved = moved.approved_too(&moved.channels.clone());
        assert_eq!(approved.waits_for().count(), 0);
        assert!(is_superseded(&old, &[old.clone(), approved]));
    }
}
