//! Test-loads: each staged release of a package for which the configuration names a program is loaded by it, before anybody
//! can approve it.
//!
//! A reconciler: it reads which staged releases their program has not loaded yet, and loads one after the other. An answer
//! stands for as long as the program is configured as it is; what could not be run is tried again each hour, after a start, and
//! when a person asks. Invariant: whatever goes wrong is noted as a test that did not pass, and nothing is noted of a load
//! that was interrupted, so that nothing goes out untested. Left out on purpose: who may approve, which the ledger
//! decides in the transaction of the approval.

mod hook;
mod room;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sealpost_files::with_causes;
use sealpost_hook_runner::Runner;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::commands::test_loads::NoteTestLoad;
use sealpost_site::queries::{KnownReleaseOf, MAX_PAGE, Untested};
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::test_load::TestOutcome;
use tokio::sync::{Mutex, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

pub use self::room::Room;
use crate::config::{TestLoad, TestLoads};
use crate::ports::clock::Clock;
use crate::ports::staging::Staging;
use crate::ports::test_load::TestDesk;

/// The hidden subcommand by which the server starts the process that runs a program.
pub const RUN_HOOK: &str = "run-hook";
/// Staged releases are looked for this often when nothing happens.
const ROUND: Duration = Duration::from_secs(60);
/// Several commits that come together are one round.
const TOGETHER: Duration = Duration::from_millis(200);
/// What could not be run is tried again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// What test-loads are made with.
pub struct Rooms {
    pub ledger: Arc<Ledger>,
    pub staging: Arc<dyn Staging>,
    pub clock: Arc<dyn Clock>,
    /// Where releases are laid out.
    pub room: Room,
    pub runner: Runner,
}

/// Keeps staged releases tested.
pub struct Keeper {
    rooms: Rooms,
    configured: watch::Receiver<TestLoads>,
    desk: TestDesk,
    /// When releases were tried last, each with the program as it was configured.
    tried: Mutex<BTreeMap<(Sha256Digest, Sha256Digest), Instant>>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("desk", &self.desk).finish_non_exhaustive()
    }
}

impl Keeper {
    #[must_use]
    pub fn new(rooms: Rooms, configured: watch::Receiver<TestLoads>, desk: TestDesk) -> Arc<Self> {
        Arc::new(Self { rooms, configured, desk, tried: Mutex::default() })
    }

    /// Runs for as long as it is wanted.
    pub async fn keep(self: Arc<Self>) {
        let mut configured = self.configured.clone();
        let mut commits = self.rooms.ledger.subscribe();
        self.clear_room().await;
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
                () = self.desk.ordered() => {}
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
                }
                () = sleep(ROUND) => {}
            }
        }
    }

    /// Removes what a killed server left.
    async fn clear_room(&self) {
        let room = self.rooms.room.clone();
        match spawn_blocking(move || room.clear()).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    error = with_causes(&error),
                    "what an interrupted test-load left cannot be removed"
                );
            }
        }
    }

    /// What was asked for comes before each release that nobody asked for.
    async fn round(&self, wanted: &TestLoads) -> Result<(), LedgerError> {
        self.ordered(wanted).await?;
        for (package, program) in wanted {
            let query = Untested { package: package.clone(), program: program.digest(), limit: MAX_PAGE };
            for release in self.rooms.ledger.query(query).await? {
                if self.is_due((release.manifest, program.digest())).await {
                    self.desk.begin(release.manifest);
                    self.test(&release, program).await?;
                    self.ordered(wanted).await?;
                }
            }
        }
        Ok(())
    }

    async fn ordered(&self, wanted: &TestLoads) -> Result<(), LedgerError> {
        while let Some(manifest) = self.desk.take() {
            let ended = EndsWork(&self.desk);
            let known = self.rooms.ledger.query(KnownReleaseOf { manifest }).await?;
            let with = known.as_ref().and_then(|known| wanted.get(&known.release.package));
            // Without a program, or a release, there is nothing to do any more.
            if let Some((known, program)) = known.as_ref().zip(with) {
                self.tried.lock().await.insert((manifest, program.digest()), Instant::now());
                self.test(known, program).await?;
            }
            drop(ended);
        }
        Ok(())
    }

    async fn is_due(&self, load: (Sha256Digest, Sha256Digest)) -> bool {
        let mut tried = self.tried.lock().await;
        // What is older is due, or gone.
        tried.retain(|_, at| at.elapsed() < AGAIN_AFTER);
        let is_due = !tried.contains_key(&load);
        if is_due {
            tried.insert(load, Instant::now());
        }
        is_due
    }

    /// Loads one release, and notes what came of it.
    async fn test(&self, release: &KnownRelease, program: &TestLoad) -> Result<(), LedgerError> {
        let _ended = EndsWork(&self.desk);
        let (staging, runner) = (Arc::clone(&self.rooms.staging), self.rooms.runner.clone());
        let (known, with, room) = (release.clone(), program.clone(), self.rooms.room.clone());
        // The thread that runs it is the runner's parent, and waits for it.
        let tested = spawn_blocking(move || hook::load(&*staging, &room, &runner, &known, &with));
        let tested = tested.await.unwrap_or_else(|_| {
            hook::Tested::not_run("the thread that ran it ended before its work; the server's log says why")
        });
        let hook::Tested { outcome, detail } = tested;
        let (name, manifest) = (&release.release, release.manifest);
        match outcome {
            TestOutcome::Passed => tracing::info!(release = %name, "a release passed its test-load"),
            _ => {
                tracing::warn!(release = %name, %outcome, detail, "a release did not pass its test-load and is held");
            }
        }
        let note = NoteTestLoad { manifest, program: program.digest(), outcome, detail };
        self.rooms.ledger.execute(self.rooms.clock.now(), note).await
    }
}

/// Says at the desk that nothing is under way, whatever ends the work.
struct EndsWork<'a>(&'a TestDesk);

impl Drop for EndsWork<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
