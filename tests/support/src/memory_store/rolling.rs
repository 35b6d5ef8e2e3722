//! What the store holds of settings, groups and rollouts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName};
use sealpost_manifests::word::Word;
use sealpost_site::rules::approvals::Approvals;
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::rollouts::plan::Delivery;
use sealpost_site::rules::rollouts::progress::{RolloutState, StateChange};
use sealpost_site::rules::rollouts::settings::Settings;
use sealpost_site::rules::rollouts::share::Threshold;
use sealpost_site::rules::rollouts::strategy::Strategy;
use sealpost_site::rules::rollouts::tries::Tries;

/// What a plan is made of, and what became of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Rolling {
    /// The entry that changed it last.
    pub(super) version: u64,
    pub(super) settings: Settings,
    /// The computers that each group lists by name.
    pub(super) members: BTreeMap<GroupName, BTreeSet<ComputerName>>,
    pub(super) rollouts: BTreeMap<u64, Kept>,
    /// What became of each rollout on each computer that was told.
    pub(super) told: BTreeMap<(u64, ClientId), ToldComputer>,
    /// Releases through which computers pass.
    pub(super) mandatory: BTreeSet<Sha256Digest>,
    /// Channels whose computers get a release ring by ring.
    pub(super) rolling_out: BTreeMap<Sha256Digest, Vec<ChannelName>>,
    /// Accounts, and what waits for a second person.
    pub(super) approvals: Approvals,
}

/// A rollout, without what its release and its computers say.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) manifest: Sha256Digest,
    pub(super) channels: Vec<ChannelName>,
    pub(super) strategy_name: Word,
    pub(super) strategy: Strategy,
    pub(super) emergency: bool,
    pub(super) state: RolloutState,
    pub(super) started_at: Timestamp,
    pub(super) changed: Option<StateChange>,
    /// As what it goes on when its release is approved again.
    pub(super) superseded_from: Option<RolloutState>,
    pub(super) rings: Vec<KeptRing>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct KeptRing {
    pub(super) opened: Option<(Timestamp, Option<Threshold>)>,
    pub(super) forgiven: u64,
    /// The hour in which computers were told last, and how many.
    pub(super) hour: (i64, u64),
}

/// What became of a rollout on one computer.
#[derive(Debug, Clone)]
pub(super) struct ToldComputer {
    /// Kept when the computer is set up again under the name.
    pub(super) name: ComputerName,
    pub(super) delivery: Delivery,
    pub(super) since: Timestamp,
    pub(super) silence: SignedDuration,
    /// What its reports left.
    pub(super) tries: Tries,
    /// Whether it is the newest of its package on its computer.
    pub(super) is_newest: bool,
}
