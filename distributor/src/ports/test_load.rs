//! How the HTTP floor asks for a test-load, from whoever runs them: what is wanted, what is under way, and what waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_site::rules::test_load::Wanted;
use tokio::sync::watch;

/// Most orders that wait.
const MAX_WAITING: usize = 16;

/// Where orders are given, and what is known of the work. All copies are one desk.
#[derive(Debug, Clone)]
pub struct TestDesk {
    /// The digests of the programs that are configured.
    programs: Arc<watch::Sender<BTreeMap<PackageName, Sha256Digest>>>,
    work: Arc<watch::Sender<Work>>,
    order: Arc<Mutex<()>>,
}

/// One release is loaded at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Work {
    under_way: Option<Sha256Digest>,
    waiting: VecDeque<Sha256Digest>,
}

impl Work {
    fn has(&self, manifest: &Sha256Digest) -> bool {
        self.under_way.as_ref() == Some(manifest) || self.waiting.contains(manifest)
    }
}

impl TestDesk {
    #[must_use]
    pub fn open(programs: BTreeMap<PackageName, Sha256Digest>) -> Self {
        let programs = Arc::new(watch::Sender::new(programs));
        Self { programs, work: Arc::new(watch::Sender::default()), order: Arc::default() }
    }

    /// Other programs are configured from now on.
    pub fn configure(&self, programs: BTreeMap<PackageName, Sha256Digest>) {
        self.programs.send_replace(programs);
    }

    /// Whether releases of a package are loaded before one is approved, by the configuration as it is now.
    #[must_use]
    pub fn wanted(&self, package: &PackageName) -> Wanted {
        self.programs.borrow().get(package).map_or(Wanted::Nothing, |program| Wanted::By(*program))
    }

    /// Whether a release is being loaded, or waits for that.
    #[must_use]
    pub fn is_under_way(&self, manifest: &Sha256Digest) -> bool {
        self.work.borrow().has(manifest)
    }

    /// Has a release loaded as soon as the ones before it are. Again: the same order.
    ///
    /// # Errors
    /// Why it is not.
    pub fn ask(&self, manifest: Sha256Digest, package: &PackageName) -> Result<(), Problem> {
        if self.wanted(package) == Wanted::Nothing {
            return Err(Problem::new(
                ProblemCode::WrongState,
                format!("no program is configured that loads {package} on this server"),
                format!("name one under [test_load.{package}] in distributor.toml"),
            ));
        }
        let _one_at_a_time = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let work = self.work.borrow().clone();
        if work.has(&manifest) {
            return Ok(());
        }
        if work.waiting.len() >= MAX_WAITING {
            return Err(Problem::new(
                ProblemCode::Busy,
                format!("the release is not loaded: {MAX_WAITING} others wait for that"),
                "try again in some minutes",
            ));
        }
        self.work.send_modify(|work| work.waiting.push_back(manifest));
        Ok(())
    }

    /// Waits until a release is neither being loaded nor waits for it, for so long at the most.
    pub async fn settled(&self, manifest: &Sha256Digest, within: Duration) {
        let mut work = self.work.subscribe();
        // Whoever asked looks again.
        drop(tokio::time::timeout(within, work.wait_for(|work| !work.has(manifest))).await);
    }

    /// Resolves when an order waits.
    pub async fn ordered(&self) {
        let mut work = self.work.subscribe();
        // The sender is this desk's own.
        drop(work.wait_for(|work| !work.waiting.is_empty()).await);
    }

    /// The next order, which is under way from now on.
    #[must_use]
    pub fn take(&self) -> Option<Sha256Digest> {
        let mut taken = None;
        self.work.send_if_modified(|work| {
            taken = work.waiting.pop_front();
            work.under_way = taken;
            taken.is_some()
        });
        taken
    }

    /// A release is loaded without an order.
    pub fn begin(&self, manifest: Sha256Digest) {
        self.work.send_modify(|work| {
            work.waiting.retain(|waits| *waits != manifest);
            work.under_way = Some(manifest);
        });
    }

    /// What was under way has ended.
    pub fn end(&self) {
        self.work.send_modify(|work| work.under_way = None);
    }
}
