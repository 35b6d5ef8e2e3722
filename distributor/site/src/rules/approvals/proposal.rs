//! What a first person asked for, and what waits for a second.
//!
//! Invariant: a proposal says everything that will be done, so that the second person agrees to exactly that; it names no
//! setting that could change meanwhile without its content beside it. It is bounded in size and in number, and ends by itself.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::word::Word;
use serde::{Deserialize, Serialize};

use super::people::{AccountName, Eyes};
use crate::rules::account::{Actor, TokenId};
use crate::rules::rollouts::settings::{MembersChange, SettingChange, SettingKind};
use crate::rules::rollouts::strategy::Strategy;

/// How long a proposal waits: two weeks, so that a holiday does not end it.
pub const OPEN_FOR: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Most proposals that wait at once.
pub const MAX_OPEN: usize = 50;
/// Longest proposal, as JSON, in bytes: an entry of the log stays small, and so does what is kept in memory.
pub const MAX_BYTES: usize = 32 * 1024;

/// Something that needs two people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Proposed {
    /// To approve a release.
    ApproveRelease {
        /// Package, version and platform.
        release: ReleaseId,
        /// The manifest that was reviewed.
        manifest: Sha256Digest,
        /// For these channels, in order.
        channels: Vec<ChannelName>,
        /// By this strategy.
        strategy: Word,
        /// The strategy as it was then.
        plan: Strategy,
        /// Computers wait for no window, no person and no product.
        #[serde(default, skip_serializing_if = "is_false")]
        emergency: bool,
    },
    /// To let a rollout go on otherwise than two people agreed.
    SteerRollout {
        /// Its number.
        rollout: u64,
        /// What it rolls out.
        release: ReleaseId,
        /// The manifest of that.
        manifest: Sha256Digest,
        /// What is done with it.
        how: Steering,
    },
    /// To change settings, among them the rules of approvals.
    ChangeSettings {
        /// Each with its new value, or without one to remove it.
        changes: Vec<SettingChange>,
        /// Whom groups list from then on, or not any more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        members: Vec<MembersChange>,
        /// The fingerprint of the configuration that it was compared with: over another one it is not done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<Sha256Digest>,
        /// The digest of the values that it replaces, where it was compared with no whole configuration: once one of them is
        /// another, it is not done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<Sha256Digest>,
    },
    /// To add an account.
    AddAccount {
        /// Its name.
        account: AccountName,
    },
    /// To enable a disabled account.
    EnableAccount {
        /// Its name.
        account: AccountName,
    },
    /// To let a token that was made at the server become one of an account.
    ConfirmToken {
        /// Whose it is.
        account: AccountName,
        /// Which.
        token: TokenId,
        /// Its name.
        name: String,
    },
}

/// What a person does with a rollout that two people agreed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Steering {
    /// It goes on after a halt.
    Resume,
    /// A ring opens before its time.
    Next {
        /// Which, from 0.
        ring: u32,
    },
    /// It goes on by another strategy.
    Edit {
        /// Its name.
        strategy: Word,
        /// The strategy as it was then.
        plan: Strategy,
        /// Computers wait for no window, no person and no product.
        #[serde(default, skip_serializing_if = "is_false")]
        emergency: bool,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Proposed {
    /// Whether both are about the same thing: of these one is open at a time.
    #[must_use]
    pub fn is_about_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ApproveRelease { manifest: one, .. }, Self::ApproveRelease { manifest: two, .. }) => {
                one == two
            }
            (Self::SteerRollout { rollout: one, .. }, Self::SteerRollout { rollout: two, .. }) => one == two,
            (Self::ChangeSettings { .. }, Self::ChangeSettings { .. }) => true,
            (Self::AddAccount { account: one }, Self::AddAccount { account: two })
            | (Self::EnableAccount { account: one }, Self::EnableAccount { account: two }) => one == two,
            (Self::ConfirmToken { token: one, .. }, Self::ConfirmToken { token: two, .. }) => one == two,
            _ => false,
        }
    }

    /// The manifest that it approves.
    #[must_use]
    pub const fn approves(&self) -> Option<Sha256Digest> {
        match self {
            Self::ApproveRelease { manifest, .. } => Some(*manifest),
            _ => None,
        }
    }

    /// The release that it is about: what is decided about that otherwise ends it.
    #[must_use]
    pub const fn manifest(&self) -> Option<Sha256Digest> {
        match self {
            Self::ApproveRelease { manifest, .. } | Self::SteerRollout { manifest, .. } => Some(*manifest),
            _ => None,
        }
    }

    /// Whether it is about rules and accounts, and not about releases.
    #[must_use]
    pub const fn is_about_the_rules(&self) -> bool {
        self.manifest().is_none()
    }
}

/// Most settings that a line names.
const MAX_NAMED: usize = 5;

impl fmt::Display for Proposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urgent = |emergency: bool| if emergency { ", as an emergency" } else { "" };
        match self {
            Self::ApproveRelease { release, channels, strategy, emergency, .. } => {
                let channels: Vec<&str> = channels.iter().map(AsRef::as_ref).collect();
                let (channels, urgent) = (channels.join(", "), urgent(*emergency));
                write!(f, "approve {release} for {channels} by the strategy {strategy}{urgent}")
            }
            Self::SteerRollout { rollout, release, how, .. } => match how {
                Steering::Resume => write!(f, "resume rollout {rollout} ({release}), which was halted"),
                Steering::Next { ring } => {
                    write!(f, "open ring {} of rollout {rollout} ({release}) now", ring.saturating_add(1))
                }
                Steering::Edit { strategy, emergency, .. } => {
                    let urgent = urgent(*emergency);
                    write!(f, "let rollout {rollout} ({release}) go on by the strategy {strategy}{urgent}")
                }
            },
            Self::ChangeSettings { changes, members, .. } => {
                // What two people watch over is named first.
                let is_rule = |change: &&SettingChange| change.key.kind == SettingKind::Approval;
                let (rules, others): (Vec<_>, Vec<_>) = changes.iter().partition(is_rule);
                let named = rules.into_iter().chain(others).take(MAX_NAMED).map(|change| {
                    let verb = if change.value.is_some() { "set" } else { "remove" };
                    format!("{verb} {}", change.key)
                });
                let named: Vec<String> = named.collect();
                write!(f, "{}", named.join(", "))?;
                match (changes.len().saturating_sub(MAX_NAMED), members.len()) {
                    (0, 0) => Ok(()),
                    (more, 0) => write!(f, " and {more} more"),
                    (0, _) => f.write_str(", and change whom groups list"),
                    (more, _) => write!(f, " and {more} more, and change whom groups list"),
                }
            }
            Self::AddAccount { account } => write!(f, "add the account {account}"),
            Self::EnableAccount { account } => write!(f, "enable the account {account}"),
            Self::ConfirmToken { account, token, name } => {
                write!(f, "let the token {name} [{token}] be one of {account}")
            }
        }
    }
}

/// What waits for a second person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// That of the entry of the log that tells of it.
    pub number: u64,
    /// What is proposed.
    pub what: Proposed,
    /// Who asked.
    pub by: Actor,
    /// Whose eyes these were.
    pub eyes: Eyes,
    /// When.
    pub at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// Why, for the second person.
    pub comment: String,
}

impl Proposal {
    /// Whether it has ended by itself.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }
}

/// How a proposal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// A second person agreed; what was proposed is done.
    Confirmed,
    /// Nobody was left who could agree, and it had waited for long: the first person went on alone.
    Unopposed,
    /// Somebody took it back.
    Withdrawn,
    /// Who asked for it asked for something else instead.
    Replaced,
    /// The account or token with which it was asked for is disabled or revoked.
    Void,
    /// Nobody agreed in time.
    Expired,
}

impl Ending {
    /// As it is told.
    #[must_use]
    pub const fn said(self) -> &'static str {
        match self {
            Self::Confirmed => "was confirmed",
            Self::Unopposed => "was carried out alone, because nobody was left to confirm it",
            Self::Withdrawn => "was withdrawn",
            Self::Replaced => "was replaced by another",
            Self::Void => "is void: who asked was disabled or their token revoked",
            Self::Expired => "has expired",
        }
    }
}
