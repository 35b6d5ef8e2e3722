//! Test-loads: each staged release of a package for which the configuration names a program is loaded by it, before anybody
//! can approve it.
//!
//! A reconciler: it reads which staged releases have no test that lets them through, and tests each once; what could not be run
//! is tried again after a start, a change of the configuration, or when a person asks. Invariant: whatever goes wrong is noted as
//! a test that did not pass, so that nothing goes out untested. Left out on purpose: who may approve, which the ledger
//! decides in the transaction of the approval.

mod hook;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sealpost_files::with_causes;
use sealpost_hook_runner::Runner;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_site::commands::test_loads::NoteTestLoad;
use sealpost_site::queries::{KnownReleaseOf, MAX_PAGE, Untested};
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::test_load::TestOutcome;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::sleep;

use crate::config::{TestLoad, TestLoads};
use crate::ports::clock::Clock;
use crate::ports::staging::Staging;
use crate::ports::test_load::TestOrder;

/// The hidden subcommand by which the server starts the process that runs a program.
pub const RUN_HOOK: &str = "run-hook";
/// Staged releases are looked for this often when nothing happens.
const ROUND: Duration = Duration::from_secs(60);
/// Several commits that come together are one round.
const TOGETHER: Duration = Duration::from_millis(200);

/// What test-loads are made with.
pub struct Rooms {
    pub ledger: Arc<Ledger>,
    pub staging: Arc<dyn Staging>,
    pub clock: Arc<dyn Clock>,
}

/// Keeps staged releases tested.
pub struct Keeper {
    rooms: Rooms,
    runner: Runner,
    configured: watch::Receiver<TestLoads>,
    orders: Mutex<mpsc::Receiver<TestOrder>>,
    /// Releases that were tried under the present configuration.
    tried: Mutex<BTreeSet<Sha256Digest>>,
}

impl Keeper {
    #[must_use]
    pub fn new(
        rooms: Rooms,
        configured: watch::Receiver<TestLoads>,
        orders: mpsc::Receiver<TestOrder>,
    ) -> Arc<Self> {
        let (orders, tried) = (Mutex::new(orders), Mutex::default());
        Arc::new(Self { rooms, runner: Runner::this_program(RUN_HOOK), configured, orders, tried })
    }

    /// Runs for as long as it is wanted.
    pub async fn keep(self: Arc<Self>) {
        let mut orders = self.orders.lock().await;
        let mut configured = self.configured.clone();
        let mut commits = self.rooms.ledger.subscribe();
        loop {
            let wanted = configured.borrow_and_update().clone();
            let _ = *commits.borrow_and_update();
            match self.round(&wanted).await {
                Ok(()) => {}
                Err(LedgerError::Closed) => return,
                Err(error) => {
                    let error = with_causes(&error);
                    tracing::warn!(
                        error,
                        "staged releases could not be test-loaded; it is tried again in a minute"
                    );
                }
            }
            tokio::select! {
                Some(TestOrder { manifest, package, reply }) = orders.recv() => {
                    // Who asked may be gone.
                    drop(reply.send(self.asked(&wanted, manifest, &package).await));
                }
                changed = commits.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    sleep(TOGETHER).await;
                }
                changed = configured.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.tried.lock().await.clear();
                }
                () = sleep(ROUND) => {}
            }
        }
    }

    async fn round(&self, wanted: &TestLoads) -> Result<(), LedgerError> {
        for (package, program) in wanted {
            let query = Untested { package: package.clone(), limit: MAX_PAGE };
            for release in self.rooms.ledger.query(query).await? {
                if self.tried.lock().await.insert(release.manifest) {
                    self.test(&release, program).await?;
                }
            }
        }
        Ok(())
    }

    async fn asked(
        &self,
        wanted: &TestLoads,
        manifest: Sha256Digest,
        package: &PackageName,
    ) -> Result<(), Problem> {
        let failed = |error: LedgerError| {
            tracing::warn!(error = with_causes(&error), "a release could not be test-loaded");
            Problem::new(
                ProblemCode::Internal,
                "the release could not be loaded",
                "look into the server's log",
            )
        };
        let known = self.rooms.ledger.query(KnownReleaseOf { manifest }).await.map_err(failed)?;
        match (wanted.get(package), known) {
            (Some(program), Some(release)) => self.test(&release, program).await.map_err(failed),
            _ => Err(Problem::new(
                ProblemCode::WrongState,
                "the configuration changed, or the release is gone",
                "look again with `distributor updates list`",
            )),
        }
    }

    /// Loads one release, and notes what came of it.
    async fn test(&self, release: &KnownRelease, program: &TestLoad) -> Result<(), LedgerError> {
        let (staging, runner) = (Arc::clone(&self.rooms.staging), self.runner.clone());
        let (known, with) = (release.clone(), program.clone());
        // The thread that runs it is the runner's parent, and waits for it.
        let tested = tokio::task::spawn_blocking(move || hook::load(&*staging, &runner, &known, &with)).await;
        let tested = tested.unwrap_or_else(|_| hook::Tested {
            outcome: TestOutcome::NotRun,
            detail: "the thread that ran it ended before its work; the server's log says why".to_owned(),
        });
        let hook::Tested { outcome, detail } = tested;
        let (name, manifest) = (&release.release, release.manifest);
        match outcome {
            TestOutcome::Passed => tracing::info!(release = %name, "a release passed its test-load"),
            _ => {
                tracing::warn!(release = %name, %outcome, detail, "a release did not pass its test-load and is held")
            }
        }
        let note = NoteTestLoad { manifest, outcome, detail };
        self.rooms.ledger.execute(self.rooms.clock.now(), note).await
    }
}
