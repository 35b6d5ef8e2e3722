use sealpost_keys::{KeyId, PublicKey};
use sealpost_manifests::ids::{ChannelName, Platform, ServerId};
use sealpost_manifests::log::Frontier;
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::word::Word;

use super::*;
use crate::commands::decision::Terms;
use crate::rows::ServerIdentity;
use crate::rules::rollouts::outages::Outages;
use crate::rules::rollouts::progress::{RingCounts, RingState, RolloutState};
use crate::rules::rollouts::strategy::Strategy;

fn at(minute: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
}

fn release(counter: u64, mandatory: bool) -> KnownRelease {
    let stable = ChannelName::new("stable").unwrap();
    KnownRelease {
        release: ReleaseId {
            package: PackageName::new("av").unwrap(),
            version: Version::new(counter.to_string()).unwrap(),
            platform: Platform::any(),
        },
        manifest: Sha256Digest::of(&counter.to_be_bytes()),
        state: ReleaseState::Approved,
        counter: ReleaseCounter(counter),
        channels: vec![stable.clone()],
        approved_for: vec![stable.clone()],
        rollout: Some(counter),
        signer: None,
        reason: None,
        rollback: false,
        attempt: 1,
        kind: PackageKind::Program,
        severity: Severity::Normal,
        mandatory,
        rolling_out: vec![stable],
    }
}

/// A rollout whose first rings are open; all computers that were told there had it.
fn rollout(release: &KnownRelease, open: usize, soaked: SignedDuration) -> Rollout {
    let strategy = Strategy::normal();
    let mut rings = Rollout::waiting_rings(&strategy);
    for ring in rings.iter_mut().take(open) {
        ring.state = RingState::Open { at: at(0) };
        ring.soaked = soaked;
        ring.counts = RingCounts { succeeded: 5, ..RingCounts::default() };
    }
    Rollout {
        number: release.counter.0,
        release: release.release.clone(),
        manifest: release.manifest,
        counter: release.counter,
        kind: release.kind,
        channels: release.approved_for.clone(),
        strategy_name: Word::known("normal"),
        strategy,
        emergency: false,
        state: RolloutState::Running,
        started_at: at(0),
        changed: None,
        rings,
    }
}

/// The rings that open in a round in which the older release has soaked, and the newer one has passed its first ring.
fn opened(older: &KnownRelease, newer: &KnownRelease) -> (Vec<(u64, u32)>, BTreeMap<u64, Waiting>) {
    let soaked = SignedDuration::from_hours(1);
    let rollouts = vec![rollout(older, 1, soaked), rollout(newer, 2, SignedDuration::ZERO)];
    let facts = AdvancingFacts {
        rollouts,
        releases: vec![older.clone(), newer.clone()],
        ..AdvancingFacts::default()
    };
    let key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
    let server = ServerIdentity { server_id: ServerId::of_site_key(&key), site_key: key };
    let (terms, log) = (Terms::default(), Frontier::default());
    let context =
        Context { now: at(90), server: &server, terms: &terms, log: &log, outages: Outages::none() };
    let command = AdvanceRollouts {
        now: at(90),
        elapsed: SignedDuration::ZERO,
        populations: BTreeMap::new(),
        watched: BTreeMap::new(),
        after: BTreeMap::new(),
    };
    let Decision { changes, answer, .. } = command.decide(facts, &context);
    let rings = changes.iter().filter_map(|(_, change)| match change {
        Change::RingOpened { rollout, ring, .. } => Some((*rollout, *ring)),
        _ => None,
    });
    (rings.collect(), answer.unwrap().waiting)
}

#[test]
fn a_release_that_a_newer_one_passed_waits_and_one_that_computers_pass_through_goes_on() {
    let newer = release(3, false);
    let (rings, waiting) = opened(&release(2, false), &newer);
    assert_eq!((rings, waiting[&2]), (vec![], Waiting::Overtaken { by: 3 }));
    let (rings, _) = opened(&release(2, true), &newer);
    assert_eq!(rings, [(2, 1)], "who is in that ring gets the newer one only after it");
}
