//! Two hundred computers over the network, real TLS and real signatures, while releases go out to them ring by ring.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::iter;
use sealpost_admin_api::rollouts::Rollout;
use sealpost_admin_api::status::Status;
use sealpost_admin_api::updates::Update;
use sealpost_manifests::assignment::Action;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_manifests::wire::report::{self, InstallStep, ReasonCode, Report};
use sealpost_site::changes::Change;
use sealpost_site::queries::{Activity, ReleaseByManifest};
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::rollouts::progress::{OpenReason, RolloutState};
use sealpost_site::rules::rollouts::share::{Salt, position};
use sealpost_test_support::vendor_server::ServedVendor;

use crate::agent::Agent;
use crate::site::Site;
use crate::vendor::start_vendor;

const COMPUTERS: u32 = 200;
/// Computers that do something at the same time.
const AT_ONCE: usize = 16;
/// How often all of them come at the most until the last one has installed.
const MAX_ROUNDS: u32 = 100;
/// Longest wait for the server to do what is due: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A computer that does what it is told, and says so at its next contact.
struct Simulated {
    name: String,
    agent: Agent,
    runs: Option<InstalledPackage>,
    reports: Vec<Report>,
    next_report: u64,
    /// Every release that it was told to install.
    told: Vec<Sha256Digest>,
}

/// What the computers know of releases.
#[derive(Default)]
struct World {
    packages: BTreeMap<Sha256Digest, InstalledPackage>,
    /// A release that fails on a computer, and on which.
    bad: Option<(Sha256Digest, String)>,
}

impl Simulated {
    async fn come(&mut self, site: &Site, world: &World) {
        let mut contact = self.agent.next_contact();
        contact.packages = self.runs.iter().cloned().collect();
        contact.reports = std::mem::take(&mut self.reports);
        self.agent.send_contact(site, &contact).await;
        let Some(held) = &self.agent.holds.assignment else { return };
        for asked in held.document.packages.clone() {
            if self.runs.as_ref().is_some_and(|runs| runs.manifest == asked.manifest) {
                continue;
            }
            let is_bad =
                |(manifest, name): &(Sha256Digest, String)| *manifest == asked.manifest && *name == self.name;
            let (step, reason) = match asked.action {
                Action::Install if self.told.last() == Some(&asked.manifest) => continue,
                Action::Install if world.bad.as_ref().is_some_and(is_bad) => {
                    (InstallStep::RollBack, ReasonCode::HookFailed)
                }
                Action::Install => (InstallStep::Keep, ReasonCode::Done),
                _ => (InstallStep::RollBack, ReasonCode::AskedBySite),
            };
            if asked.action == Action::Install {
                self.told.push(asked.manifest);
            }
            if reason != ReasonCode::HookFailed {
                self.runs = Some(world.packages[&asked.manifest].clone());
            }
            self.next_report += 1;
            self.reports.push(Report {
                id: self.next_report,
                at: site.clock.now(),
                release: asked.release,
                manifest: asked.manifest,
                rollout: asked.rollout,
                attempt: asked.attempt,
                step,
                outcome: report::Outcome::Ok,
                reason,
                detail: String::new(),
                ring: asked.ring,
                way: None,
                bytes: None,
                duration_ms: None,
            });
        }
    }
}

struct Fleet {
    site: Site,
    world: World,
    computers: Vec<Simulated>,
}

impl Fleet {
    /// Computers that run 1.0, and a strategy that watches its rings for no time, whose first ring takes two.
    async fn new(vendor: &ServedVendor) -> Self {
        let first = vendor.release("1.0", &[("engine", b"one")]);
        let site = Site::licensed(vendor).await;
        let rings = serde_json::json!([
            { "name": "canary", "takes": { "first": 2 }, "minimum_sample": 2, "errors": { "count": 1, "percent": 1 } },
            { "name": "tenth", "takes": { "share": "10 %" }, "minimum_sample": 10 },
            { "name": "everyone", "takes": "everyone" },
        ]);
        let strategy = serde_json::json!({ "rings": rings, "on_failure": "roll_back" });
        let change = serde_json::json!({ "kind": "strategy", "name": "quick", "value": strategy });
        let _: serde_json::Value =
            site.post("/settings", &serde_json::json!({ "changes": [change], "comment": "a test" })).await;
        let computers = iter(0..COMPUTERS)
            .map(|number| {
                let site = &site;
                async move {
                    let name = format!("pc-{number:03}");
                    let agent = Agent::licensed(site, &name).await;
                    let (reports, told) = (Vec::new(), Vec::new());
                    Simulated { name, agent, runs: None, reports, next_report: 0, told }
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut fleet = Self { site, world: World::default(), computers };
        fleet.approves(first, "everyone-now").await;
        fleet.comes().await;
        fleet.comes().await;
        assert!(fleet.who_run(first).len() == COMPUTERS as usize, "all of them run 1.0");
        fleet
    }

    /// A release is pulled and approved. The number of its rollout.
    async fn approves(&mut self, manifest: Sha256Digest, strategy: &str) -> u64 {
        self.site.pull().await;
        let row = self.site.server.ledger().query(ReleaseByManifest { manifest }).await.unwrap().unwrap();
        let (release, kind, counter) = (row.release, row.kind, row.counter);
        self.world.packages.insert(manifest, InstalledPackage { release, kind, counter, manifest });
        let approval = serde_json::json!({ "manifest": manifest, "strategy": strategy });
        let approved: Update = self.site.post("/updates/approve", &approval).await;
        approved.rollout.unwrap()
    }

    /// Every computer makes a contact.
    async fn comes(&mut self) {
        let (site, world) = (&self.site, &self.world);
        let contacts = iter(self.computers.iter_mut()).map(|computer| computer.come(site, world));
        contacts.buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    async fn until(&self, number: u64, is_so: impl Fn(&Rollout) -> bool) -> Rollout {
        let look = async {
            loop {
                let rollout: Rollout = self.site.get(&format!("/rollouts/{number}")).await;
                if is_so(&rollout) {
                    return rollout;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap()
    }

    /// The two with the lowest places.
    fn canaries(&self) -> Vec<String> {
        let salt = Salt::of(&self.site.server.ledger().server_id());
        let mut names: Vec<String> = self.computers.iter().map(|one| one.name.clone()).collect();
        names.sort_by_key(|name| position(&salt, &ComputerName::new(name.as_str()).unwrap()));
        names.truncate(2);
        names
    }

    fn who_run(&self, manifest: Sha256Digest) -> Vec<&str> {
        let runs = |one: &&Simulated| one.runs.as_ref().is_some_and(|runs| runs.manifest == manifest);
        self.computers.iter().filter(runs).map(|one| one.name.as_str()).collect()
    }

    fn who_were_told(&self, manifest: Sha256Digest) -> Vec<String> {
        let told = self.computers.iter().filter(|one| one.told.contains(&manifest));
        told.map(|one| one.name.clone()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_release_halts_at_its_canaries_of_two_hundred_and_who_kept_it_is_brought_back() {
    let vendor = start_vendor(COMPUTERS + 1).await;
    let mut fleet = Fleet::new(&vendor).await;
    let first = *fleet.world.packages.keys().next().unwrap();
    let canaries = fleet.canaries();
    let bad = vendor.release("2.0", &[("engine", b"two")]);
    fleet.world.bad = Some((bad, canaries[0].clone()));
    let number = fleet.approves(bad, "quick").await;
    fleet.until(number, |rollout| rollout.current_ring() == Some(0)).await;
    // The one that keeps it says so first: after the other one nobody is told it any more.
    for _ in 0..2 {
        let (site, world) = (&fleet.site, &fleet.world);
        let kept = fleet.computers.iter_mut().find(|one| one.name == canaries[1]).unwrap();
        kept.come(site, world).await;
    }
    // All of them come, several times, also before anybody knows that it is bad.
    for _ in 0..2 {
        fleet.comes().await;
    }
    let halted = fleet.until(number, |rollout| rollout.state == RolloutState::Halted).await;
    assert_eq!((halted.rings[0].counts.failed, halted.rings[0].counts.succeeded), (1, 1));
    assert!(halted.rings[1..].iter().all(|ring| ring.counts == Default::default()), "{halted:?}");
    let release =
        fleet.site.server.ledger().query(ReleaseByManifest { manifest: bad }).await.unwrap().unwrap();
    assert_eq!((release.state, release.rollback), (ReleaseState::Halted, true));
    assert!(release.reason.unwrap().contains("1 of 2 computers failed in the ring canary"));
    let status: Status = fleet.site.get("/status").await;
    let alert = status.warnings.iter().find(|warning| warning.code == "rollout_halted").unwrap();
    assert!(alert.message.contains(&format!("rollout {number} of acme-av 2.0")), "{}", alert.message);
    for _ in 0..2 {
        fleet.comes().await;
    }
    let mut told = fleet.who_were_told(bad);
    told.sort_unstable();
    let mut wanted = canaries.clone();
    wanted.sort_unstable();
    assert_eq!(told, wanted, "nobody else was told it");
    assert_eq!(fleet.who_run(first).len(), COMPUTERS as usize, "who kept it went back to what it ran before");

    // A good one goes through its rings by itself, the two and the tenth before the others.
    let good = vendor.release("3.0", &[("engine", b"three")]);
    let number = fleet.approves(good, "quick").await;
    // Each ring opens when what came before has been reported, in the midst of contacts: so it is the end that is looked at.
    for _ in 0..MAX_ROUNDS {
        fleet.comes().await;
        if fleet.who_run(good).len() == COMPUTERS as usize {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    fleet.comes().await;
    let done = fleet.until(number, |rollout| rollout.state == RolloutState::Completed).await;
    let succeeded: Vec<u64> = done.rings.iter().map(|ring| ring.counts.succeeded).collect();
    assert_eq!((succeeded[0], succeeded.iter().sum::<u64>()), (2, COMPUTERS.into()), "{succeeded:?}");
    assert!((3..u64::from(COMPUTERS) / 4).contains(&succeeded[1]), "about a tenth: {succeeded:?}");
    assert_eq!(fleet.who_run(good).len(), COMPUTERS as usize);
    let opened = Activity { kind: Some("ring_opened".to_owned()), ..Activity::default() };
    let opened = fleet.site.server.ledger().query(opened).await.unwrap();
    let mut of_good: Vec<(u32, OpenReason)> = opened
        .iter()
        .filter_map(|logged| match logged.entry.change()? {
            Change::RingOpened { rollout, ring, reason, .. } if *rollout == number => Some((*ring, *reason)),
            _ => None,
        })
        .collect();
    of_good.sort_by_key(|(ring, _)| *ring);
    assert_eq!(of_good, [(0, OpenReason::First), (1, OpenReason::Passed), (2, OpenReason::Passed)]);
    let status: Status = fleet.site.get("/status").await;
    let alert = status.warnings.iter().find(|warning| warning.code == "rollout_halted");
    assert!(alert.is_none(), "something newer was approved: {alert:?}");
}
