//! Every question that a store answers, asked of two.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sealpost_keys::{KeyId, PublicKey};
use sealpost_ledger::Ledger;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName, PackageName, RequestId, SerialNumber};
use sealpost_manifests::log::{LogHead, NodeId};
use sealpost_manifests::release::ReleaseId;
use sealpost_site::changes::summary;
use sealpost_site::commands::clients::{
    LoadAdmission, LoadChannels, LoadEnrollment, LoadSchedule, LoadSeats, LoadSetups,
};
use sealpost_site::commands::configuration::LoadConfiguration;
use sealpost_site::commands::contact::{LoadContact, ShownKey};
use sealpost_site::commands::licenses::LoadHeldGrant;
use sealpost_site::commands::pulls::LoadPull;
use sealpost_site::commands::releases::{LoadCounterReset, LoadDelta, LoadRelease};
use sealpost_site::commands::restores::LoadRestore;
use sealpost_site::commands::rollouts::{LoadAdvance, LoadRollout};
use sealpost_site::commands::servers::LoadServerList;
use sealpost_site::commands::settings::{LoadMembers, LoadPlan};
use sealpost_site::commands::starts::LoadStart;
use sealpost_site::commands::undoing::LoadRetry;
use sealpost_site::queries::{
    Activity, ApprovedReleases, ClientByName, ClientKey, ClientLineByName, ClientLines, ClientSealingKey,
    Clients, CopiesOf, DeliveriesOf, DeltaReleases, Drifted, Endings, ExplainClient, Failing, Fleet,
    Followers, GivenUpCopy, GroupMembers, HeldAlone, HeldReleases, HolderById, KnownReleaseOf, KnownReleases,
    LastPull, LeftBehind, LicenseTime, Licenses, Log, LogEnd, LogEntry, LogForks, LogNodes, NotStarted, Only,
    Recipients, Refusals, RefusedGrants, ReleaseByManifest, ReleaseCounts, Releases, Restores, Revisions,
    RolloutByNumber, Rollouts, Schedules, Server, ServersLearned, SetupOf, Setups, StoredTime, Trying,
    Untested, VoidedReleases, Waiting,
};
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::setups::CodeState;
use sealpost_site::rules::troubles::{Bounds, Trouble};

use sealpost_test_support::world::{PACKAGES, TEST_PROGRAM};

use super::pair::Pair;

/// What is asked about; one of each is unknown to the stores.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) names: BTreeSet<ComputerName>,
    pub(crate) clients: BTreeSet<ClientId>,
    pub(crate) serials: BTreeSet<SerialNumber>,
    pub(crate) releases: Vec<(ReleaseId, Sha256Digest)>,
    /// Manifests from which deltas lead.
    pub(crate) bases: BTreeSet<Sha256Digest>,
    /// Heads of leases, also of those that the stores lost.
    pub(crate) heads: BTreeSet<(u64, Sha256Digest)>,
}

/// Asks everything about all that is known. Answers which kinds of changes happened.
pub(crate) async fn asks_everything(pair: &Pair, known: &Known) -> Vec<String> {
    of_the_site(pair).await;
    of_releases(pair, known).await;
    of_rollouts(pair, known).await;
    of_computers(pair, known).await;
    of_clients(pair, known).await;
    of_the_log(pair).await
}

async fn of_the_site(pair: &Pair) {
    pair.query(Server {}).await;
    pair.query(Restores {}).await;
    pair.query(LoadRestore {}).await;
    // The floor follows how long the test takes.
    let time = async |ledger: &Ledger| ledger.query(LicenseTime {}).await.unwrap();
    let (sqlite, memory) = (time(&pair.sqlite).await, time(&pair.memory).await);
    let apart =
        |one: &StoredTime, other: &StoredTime| one.floor.unwrap().duration_since(other.floor.unwrap());
    assert!(apart(&sqlite, &memory).abs() < SignedDuration::from_mins(1), "{sqlite:?} {memory:?}");
    assert_eq!(sqlite.statement, memory.statement);
    for now in [sqlite.floor.unwrap(), Timestamp::MAX] {
        pair.query(LoadStart { now }).await;
    }
    pair.query(Licenses {}).await;
    pair.query(RefusedGrants {}).await;
    pair.query(LogForks {}).await;
    pair.query(ServersLearned {}).await;
    for sequence in [0, 1, 3] {
        pair.query(LeftBehind { sequence, since: sqlite.floor.unwrap() }).await;
    }
    pair.query(Drifted {}).await;
    pair.query(NotStarted {}).await;
    pair.query(Failing {}).await;
    for bounds in bounds(sqlite.floor.unwrap()) {
        pair.query(Fleet { bounds }).await;
    }
    pair.query(Refusals {}).await;
    pair.query(Followers {}).await;
    pair.query(LoadServerList {}).await;
    pair.query(LastPull {}).await;
    pair.query(Endings { now: sqlite.floor.unwrap() }).await;
    pair.query(LoadPull {}).await;
    for after in [None, Some(3), Some(200)] {
        pair.query(Waiting { after, limit: 3 }).await;
    }
    pair.query(Schedules { after: None, limit: 1_000 }).await;
}

async fn of_releases(pair: &Pair, known: &Known) {
    pair.query(ApprovedReleases {}).await;
    pair.query(VoidedReleases {}).await;
    pair.query(ReleaseCounts {}).await;
    for package in PACKAGES {
        for program in [TEST_PROGRAM, "another"] {
            let (package, program) =
                (PackageName::new(package).unwrap(), Sha256Digest::of(program.as_bytes()));
            pair.query(Untested { package, program, limit: 100 }).await;
        }
    }
    for limit in [1, 5, 1_000] {
        for after in [None, known.releases.first().map(|(_, manifest)| *manifest)] {
            for state in ReleaseState::ALL.map(Some).into_iter().chain([None]) {
                pair.query(Releases { state, after, limit }).await;
            }
            pair.query(KnownReleases { after, limit }).await;
            pair.query(Revisions { after, limit }).await;
            pair.query(HeldReleases { after, limit }).await;
            pair.query(DeltaReleases { after, limit }).await;
        }
    }
    let unknown = (None, Sha256Digest::of(b"unknown"));
    let releases = known.releases.iter().map(|(release, manifest)| (Some(release.clone()), *manifest));
    for (claimed, manifest) in releases.chain([unknown]) {
        pair.query(ReleaseByManifest { manifest }).await;
        pair.query(KnownReleaseOf { manifest }).await;
        pair.query(LoadRelease { manifest, claimed }).await;
        pair.query(LoadRetry { manifest, names: Vec::new() }).await;
        pair.query(LoadRetry { manifest, names: known.names.iter().cloned().collect() }).await;
        for base in &known.bases {
            pair.query(LoadDelta { base: *base, target: manifest }).await;
        }
    }
    let packages: BTreeSet<&PackageName> =
        known.releases.iter().map(|(release, _)| &release.package).collect();
    for package in packages {
        pair.query(LoadCounterReset { package: package.clone() }).await;
    }
}

async fn of_rollouts(pair: &Pair, known: &Known) {
    let floor = pair.sqlite.query(LicenseTime {}).await.unwrap().floor.unwrap();
    let plan = pair.query(LoadPlan {}).await;
    for hours in [0, 8, 24 * 60] {
        let after = BTreeMap::new();
        pair.query(LoadAdvance { now: floor + SignedDuration::from_hours(hours), after }).await;
    }
    let all = pair.query(Rollouts { before: None, open: false, limit: 1_000 }).await;
    for (open, limit) in [(true, 1_000), (false, 2), (true, 1)] {
        pair.query(Rollouts { before: None, open, limit }).await;
        pair.query(Rollouts { before: all.get(1).map(|rollout| rollout.number), open, limit }).await;
    }
    for number in all.iter().map(|rollout| rollout.number).chain([4_711]) {
        pair.query(RolloutByNumber { number }).await;
        pair.query(LoadRollout { number }).await;
        for (after, limit) in [(None, 1_000), (None, 1), (known.names.iter().nth(4).cloned(), 3)] {
            pair.query(DeliveriesOf { rollout: number, after, limit }).await;
        }
    }
    for lists in [false, true] {
        pair.query(LoadConfiguration { lists }).await;
    }
    let unknown = GroupName::new("unknown").unwrap();
    for group in plan.settings.groups.keys().cloned().chain([unknown]) {
        pair.query(LoadMembers { group: group.clone(), names: known.names.iter().cloned().collect() }).await;
        for (after, limit) in [(None, 1_000), (None, 1), (known.names.iter().nth(4).cloned(), 3)] {
            pair.query(GroupMembers { group: group.clone(), after, limit }).await;
        }
    }
}

/// Bounds of several times up to this one: between them lies what happened.
fn bounds(now: Timestamp) -> Vec<Bounds> {
    let times = [0, 1, 6, 24, 24 * 8, 24 * 60].map(|hours| now - SignedDuration::from_hours(hours));
    times.map(|time| Bounds { heard: time, decided: time }).to_vec()
}

async fn of_computers(pair: &Pair, known: &Known) {
    for serial in &known.serials {
        let others: BTreeSet<_> = known.serials.iter().filter(|other| *other != serial).cloned().collect();
        for others in [BTreeSet::new(), others] {
            pair.query(HeldAlone { serial: serial.clone(), others }).await;
        }
    }
    let now = pair.sqlite.query(LicenseTime {}).await.unwrap().floor.unwrap();
    for limit in [1, 5, 1_000] {
        for after in [None, known.names.iter().nth(4).cloned()] {
            pair.query(ClientLines { after: after.clone(), limit }).await;
            pair.query(Clients::all(after.clone(), limit)).await;
            for with in [
                vec![Trouble::Failing],
                vec![Trouble::Offline],
                vec![Trouble::Outdated],
                Trouble::ALL.to_vec(),
            ] {
                for bounds in bounds(now) {
                    pair.query(Clients { after: after.clone(), with: with.clone(), bounds, limit }).await;
                }
            }
            pair.query(Recipients { after: after.clone(), running: None, limit }).await;
            let manifests: Vec<Sha256Digest> = known.releases.iter().map(|(_, manifest)| *manifest).collect();
            pair.query(Trying { manifests, after: after.clone(), limit }).await;
            for (_, manifest) in &known.releases {
                pair.query(Trying { manifests: vec![*manifest], after: after.clone(), limit }).await;
                pair.query(Recipients { after: after.clone(), running: Some(*manifest), limit }).await;
            }
        }
    }
    let unknown = ComputerName::new("unknown").unwrap();
    let waiting = pair.sqlite.query(Waiting { after: None, limit: 1_000 }).await.unwrap();
    let mut keys: Vec<PublicKey> =
        waiting.into_iter().filter_map(|row| Some(row.knock?.client_key)).take(3).collect();
    keys.push(PublicKey::new(KeyId::from_bytes([200; 8]), [200; 32]));
    for name in known.names.iter().cloned().chain([unknown]) {
        pair.query(ClientByName { name: name.clone() }).await;
        pair.query(ClientLineByName { name: name.clone() }).await;
        pair.query(SetupOf { name: name.clone() }).await;
        pair.query(CopiesOf { name: name.clone() }).await;
        pair.query(Schedules { after: Some(name.clone()), limit: 2 }).await;
        for state in [None, Some(CodeState::Out), Some(CodeState::Used), Some(CodeState::Expired)] {
            pair.query(Setups { state, now, after: Some(name.clone()), limit: 3 }).await;
        }
        pair.query(LoadSeats { names: BTreeSet::from([name.clone()]) }).await;
        pair.query(LoadSetups { names: BTreeSet::from([name.clone()]) }).await;
        pair.query(LoadSchedule { name: name.clone() }).await;
        pair.query(LoadChannels { name: name.clone() }).await;
        for client_key in &keys {
            pair.query(LoadEnrollment { name: name.clone(), client_key: client_key.clone() }).await;
        }
        pair.query(LoadAdmission { names: BTreeSet::from([name.clone()]) }).await;
        pair.query(ExplainClient { name: name.clone() }).await;
        pair.query(Activity { client: Some(name), after: 5, ..Activity::default() }).await;
    }
    for serial in &known.serials {
        for request_id in [None, Some(RequestId::from_random([2; 16])), Some(RequestId::from_random([9; 16]))]
        {
            pair.query(LoadHeldGrant { serial: serial.clone(), request_id }).await;
        }
    }
}

async fn of_clients(pair: &Pair, known: &Known) {
    let runs: Vec<Sha256Digest> = known.releases.iter().map(|(_, manifest)| *manifest).collect();
    let name = |at: usize| known.names.iter().nth(at % known.names.len().max(1)).cloned();
    for (at, client_id) in known.clients.iter().cloned().chain([ClientId::from_random([255; 16])]).enumerate()
    {
        pair.query(ClientKey { client_id: client_id.clone() }).await;
        pair.query(ClientSealingKey { client_id: client_id.clone() }).await;
        pair.query(HolderById { client_id: client_id.clone() }).await;
        pair.query(GivenUpCopy { client_id: client_id.clone() }).await;
        pair.query(LoadContact {
            client_id: client_id.clone(),
            reports: true,
            runs: runs.clone(),
            shown: None,
        })
        .await;
        let Some(name) = name(at) else { continue };
        for (size, root) in known.heads.iter().rev().step_by(5).take(5) {
            let shown = ShownKey {
                name: name.clone(),
                serials: known.serials.iter().cloned().collect(),
                head: LogHead { size: *size, root: *root },
            };
            let client_id = client_id.clone();
            pair.query(LoadContact { client_id, reports: false, runs: runs.clone(), shown: Some(shown) })
                .await;
        }
    }
}

async fn of_the_log(pair: &Pair) -> Vec<String> {
    let log = pair.query(Log {}).await;
    for level in 0..12 {
        let nodes = (0..=log.size() >> level).map(|index| NodeId { level, index }).collect();
        pair.query(LogNodes { nodes }).await;
    }
    for sequence in [0, 1, log.size() / 2, log.size(), log.size() + 1] {
        pair.query(LogEntry { sequence }).await;
    }
    let mut after = 0;
    loop {
        let page = pair.query(Activity { after, ..Activity::default() }).await;
        let Some(last) = page.last() else { break };
        after = last.entry.sequence();
        let since = Some(last.entry.at());
        pair.query(Activity { since, limit: Some(3), ..Activity::default() }).await;
        pair.query(Activity { until: since, limit: Some(7), end: LogEnd::Newest, ..Activity::default() })
            .await;
    }
    for end in [LogEnd::Oldest, LogEnd::Newest] {
        let some = ["release_approved", "step_reported"].map(str::to_owned).to_vec();
        pair.query(Activity { kinds: some, end, limit: Some(9), ..Activity::default() }).await;
        for only in [Only::Failures, Only::WithoutAbsentHooks] {
            pair.query(Activity { only, end, limit: Some(50), ..Activity::default() }).await;
        }
    }
    let mut kinds = Vec::new();
    for kind in summary::KINDS.map(str::to_owned) {
        let filter = Activity { kind: Some(kind.clone()), ..Activity::default() };
        if !pair.query(filter).await.is_empty() {
            kinds.push(kind);
        }
    }
    kinds
}
