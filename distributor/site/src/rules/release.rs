//! The life of an update at this site, and when an approved release is superseded.
//!
//! `staged → (approved | rejected) → superseded | withdrawn`; what did not pass staging is refused. Every command is
//! safe to send again. An illegal transition is a typed error that names the command and the state.
//! Left out on purpose: deferral, rings and halts.

use std::fmt;

use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::release::ReleaseId;
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
}

impl ReleaseState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Staged, Self::Approved, Self::Rejected, Self::Superseded, Self::Withdrawn, Self::Refused];

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
}

impl fmt::Display for ReleaseCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Stage => "stage",
            Self::Refuse => "refuse",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Withdraw => "withdraw",
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
            Command::Approve | Command::Reject | Command::Withdraw => {
                Err(IllegalTransition::Unknown { command })
            }
        };
    };
    match (command, state) {
        // It did not pass before, for example for lack of disk space; now it did.
        (Command::Stage, State::Refused) => Ok(Transition::To(State::Staged)),
        (Command::Refuse, State::Refused)
        | (Command::Stage, _)
        | (Command::Approve, State::Approved | State::Superseded)
        | (Command::Reject, State::Rejected)
        | (Command::Withdraw, State::Withdrawn | State::Refused) => Ok(Transition::Unchanged),
        (Command::Approve, State::Staged) => Ok(Transition::To(State::Approved)),
        (Command::Reject, State::Staged) => Ok(Transition::To(State::Rejected)),
        (Command::Withdraw, State::Staged | State::Approved | State::Rejected | State::Superseded) => {
            Ok(Transition::To(State::Withdrawn))
        }
        (Command::Refuse, _)
        | (Command::Approve, State::Rejected | State::Withdrawn | State::Refused)
        | (Command::Reject, State::Approved | State::Superseded | State::Withdrawn | State::Refused) => {
            Err(IllegalTransition::State { command, state })
        }
    }
}

/// The channels of a staged release when the vendor's pointers moved: what it was approved for stays, so that a pointer
/// to a newer release that nobody approved yet takes nothing away.
#[must_use]
pub fn channels_after_pull(
    state: ReleaseState,
    before: &[ChannelName],
    now: &[ChannelName],
) -> Vec<ChannelName> {
    let keep = matches!(state, ReleaseState::Approved | ReleaseState::Superseded);
    let mut channels: Vec<ChannelName> = now.to_vec();
    if keep {
        channels.extend_from_slice(before);
    }
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
    /// Channels that it goes to.
    pub channels: Vec<ChannelName>,
    /// The number of its rollout, once approved.
    pub rollout: Option<u64>,
    /// The key that signed its manifest; absent when it was refused.
    pub signer: Option<PublicKey>,
    /// Why it was rejected, refused or withdrawn.
    pub reason: Option<String>,
}

impl KnownRelease {
    /// Whether `self` takes the place of `older` for the clients of a channel.
    fn replaces(&self, older: &Self, channel: &ChannelName) -> bool {
        self.counter > older.counter
            && self.channels.contains(channel)
            && (self.release.platform == older.release.platform
                || (self.release.version != older.release.version
                    && self.release.platform.fits(&older.release.platform)))
    }
}

/// Whether every channel of `release` is served by a newer one of `approved` (releases of the same package that are
/// approved or superseded).
#[must_use]
pub fn is_superseded(release: &KnownRelease, approved: &[KnownRelease]) -> bool {
    !release.channels.is_empty()
        && release
            .channels
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
    }

    #[test]
    fn every_command_is_safe_to_send_again() {
        use ReleaseCommand as Command;
        let states = ReleaseState::ALL.into_iter().map(Some).chain([None]);
        for state in states {
            for command in
                [Command::Stage, Command::Refuse, Command::Approve, Command::Reject, Command::Withdraw]
            {
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
            rollout: Some(counter),
            signer: None,
            reason: None,
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
        let moved = channels_after_pull(ReleaseState::Approved, &names(&["stable"]), &names(&["beta"]));
        assert_eq!(moved, names(&["beta", "stable"]));
        let staged = channels_after_pull(ReleaseState::Staged, &names(&["stable"]), &names(&["beta"]));
        assert_eq!(staged, names(&["beta"]));
    }
}
