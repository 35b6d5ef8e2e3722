//! The vendor's repository, mirrored: pulled on schedule or when asked, verified, published in generations.
//!
//! Invariants: one pull at a time; metadata that did not verify as a whole never reaches the mirror; freshness is
//! judged by this server's clock at the time of the pull, while agents judge it as of the last good pull.
//! Left out on purpose: import from a file, proxies beyond what the environment says, and pulling from another
//! Primary Server.

mod candidates;
mod context;
mod error;
mod fetch;
mod kept_trust;
mod known;
mod mirror;
mod needed;
mod offered;
mod payloads;
mod pinned;
mod prepare;
mod pull;
mod refresh;
mod schedule;
mod storage;
mod stored;
mod targets;
mod transport;
mod vendor_deltas;
mod verify;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sealpost_admin_api::pulls::PullSummary;
use sealpost_admin_api::storage::{StorageSummary, StorageView};
use sealpost_files::with_causes;
use sealpost_keys::token::random_bytes;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_repository::ReaderHandle;
use sealpost_site::commands::pulls::PullFailed;
use sealpost_site::queries::LastPull;
use tokio::sync::{Mutex, Notify};

use self::context::{Context, Trigger};
use self::schedule::{PullHistory, due_at};
use self::storage::Removal;
use crate::config::Settings;
use crate::home::Home;
use crate::ports::upstream::{Listing, MirrorReadError, Missing, RoleExpiry, TargetEntry, Upstream};

pub use sealpost_repository::Pace;

pub use self::context::Parts;
pub use self::error::{PullError, UpstreamError};
pub use self::mirror::{Mirror, PublishError};
pub use self::pinned::root_problem;
pub use self::transport::vendor_transport;

/// Longest sleep of the schedule, so that a clock that is set does not delay a pull for days.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How often stored files are looked at that nothing needs.
const CLEAN_EVERY: Duration = Duration::from_secs(24 * 3600);

/// What outlives one pull.
#[derive(Default)]
struct State {
    reader: Option<ReaderHandle>,
    /// When the last pull began, and its result.
    last: Option<(Instant, Result<PullSummary, Problem>)>,
    /// When the last pull ended. The ledger records it too, unless it could not write.
    tried_at: Option<Timestamp>,
    failures: u32,
}

/// The vendor's repository as this server has it.
pub struct VendorUpstream {
    context: Arc<Context>,
    state: Arc<Mutex<State>>,
    /// Says that there may be releases to pack.
    packing: Arc<Notify>,
}

impl std::fmt::Debug for VendorUpstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VendorUpstream").field("mirror", &self.context.mirror).finish_non_exhaustive()
    }
}

impl VendorUpstream {
    /// Opens the mirror in a home. Nothing is pulled yet.
    pub fn open(
        home: &Home,
        settings: &Settings,
        pinned_root: Vec<u8>,
        parts: Parts,
    ) -> Result<Arc<Self>, UpstreamError> {
        let context = Arc::new(Context::open(home, settings, pinned_root, parts)?);
        Ok(Arc::new(Self { context, state: Arc::default(), packing: Arc::default() }))
    }

    /// Goes on with another configuration.
    pub fn adopt(&self, settings: &Settings) {
        self.context.adopt(settings);
    }

    #[must_use]
    pub fn mirror(&self) -> &Mirror {
        &self.context.mirror
    }

    /// Pulls on schedule, beginning now if the last pull is long ago, and never ends. A pull that is running when its task is
    /// aborted continues to its end or to that of the process, and both are safe.
    pub async fn keep(self: Arc<Self>) {
        let scrubbing = storage::keep_scrubbing(&self.context, fresh_seed());
        tokio::join!(self.keep_pulling(), self.keep_packing(), self.keep_clean(), scrubbing);
    }

    /// Removes what nothing has needed for the configured time.
    ///
    /// # Errors
    /// The problem, for people; what was removed before it stays removed.
    pub async fn collect(&self) -> Result<StorageView, Problem> {
        self.reconcile_storage(Removal::WhatIsDue).await
    }

    /// Removes it once a day.
    async fn keep_clean(&self) {
        loop {
            if let Err(problem) = self.collect().await {
                tracing::warn!(%problem, "cannot clean up stored files");
            }
            tokio::time::sleep(CLEAN_EVERY).await;
        }
    }

    /// Looks at stored files while no pull runs; in a task of its own, so that a caller that disconnects does not give a
    /// pull its turn while files are still removed.
    async fn reconcile_storage(&self, removal: Removal) -> Result<StorageView, Problem> {
        let (context, state) = (Arc::clone(&self.context), Arc::clone(&self.state));
        let task = tokio::spawn(async move {
            let _no_pull_runs = state.lock().await;
            storage::reconcile(&context, removal).await
        });
        task.await.unwrap_or(Err(PullError::Ended)).map_err(failed)
    }

    /// A reconciler: may be stopped and started at any moment.
    async fn keep_pulling(&self) {
        // What a killed process left undone and needs no vendor: missing deltas, files that are not needed.
        make_deltas(&self.context).await;
        let mut seed = fresh_seed();
        loop {
            let now = self.context.clock.now();
            let every = self.context.live().every;
            let due = due_at(self.history().await, every, seed, now);
            let wait = Duration::try_from(due.duration_since(now)).unwrap_or_default();
            if wait.is_zero() {
                // The outcome is logged and in the history, which the next turn reads.
                let _ = self.pull(Trigger::Schedule).await;
                seed = fresh_seed();
            } else {
                tokio::time::sleep(wait.min(LONGEST_SLEEP)).await;
            }
        }
    }

    /// Packs releases as they come: nobody waits for it.
    async fn keep_packing(&self) {
        loop {
            if let Err(error) = self.context.staging.pack().await {
                tracing::error!(
                    error = with_causes(&error),
                    "cannot pack releases; computers get their payloads"
                );
            }
            self.packing.notified().await;
        }
    }

    async fn history(&self) -> PullHistory {
        let state = self.state.lock().await;
        let (failures, tried_here) = (state.failures, state.tried_at);
        drop(state);
        match self.context.ledger.query(LastPull {}).await {
            Ok(recorded) => PullHistory::combine(&recorded, tried_here, failures),
            Err(error) => {
                let error = with_causes(&error);
                tracing::error!(error, "cannot read from the ledger when the last pull was");
                PullHistory { tried_at: Some(self.context.clock.now()), failures }
            }
        }
    }

    /// Pulls in a task of its own, so that a caller that disconnects does not cancel it.
    async fn pull(&self, trigger: Trigger) -> Result<PullSummary, Problem> {
        let asked_at = Instant::now();
        let (context, state) = (Arc::clone(&self.context), Arc::clone(&self.state));
        let packing = Arc::clone(&self.packing);
        let task = tokio::spawn(async move {
            let mut state = state.lock().await;
            let mut has_room = true;
            let done_meanwhile = state.last.as_ref().filter(|(began, _)| *began >= asked_at);
            let result = if let Some((_, result)) = done_meanwhile {
                result.clone()
            } else {
                let began = Instant::now();
                let mut result = pull_once(&context, &mut state, trigger).await;
                // What it staged is known by now, and none of its files is taken for one that nobody needs.
                if result.as_ref().is_err_and(PullError::needs_room) && storage::made_room(&context).await {
                    result = pull_once(&context, &mut state, trigger).await;
                }
                has_room = !result.as_ref().is_err_and(PullError::needs_room);
                let result = conclude(&context, &mut state, result).await;
                state.last = Some((began, result.clone()));
                state.tried_at = Some(context.clock.now());
                result
            };
            // What was missing may be there now.
            if let Err(error) = storage::reconcile(&context, Removal::Nothing).await {
                tracing::warn!(error = with_causes(&error), "cannot look for missing files");
            }
            // Deltas can take minutes. The caller waits for them, but the next pull does not: it may bring a
            // withdrawal. A pull that failed may have staged releases all the same: one payload that is withheld holds up
            // nothing of the others.
            drop(state);
            make_deltas(&context).await;
            // Packed releases made way for one that has no room: packed again, they would do so at each pull.
            if has_room {
                packing.notify_one();
            }
            result
        });
        task.await.unwrap_or_else(|_| {
            let hint = "look at the server's log, report the panic there, then pull again";
            Err(Problem::new(ProblemCode::Internal, "the pull ended in the middle", hint))
        })
    }
}

impl Upstream for VendorUpstream {
    fn pull_now(&self) -> BoxFuture<'_, Result<PullSummary, Problem>> {
        Box::pin(self.pull(Trigger::Person))
    }

    fn learn_keys(&self) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(async {
            let (context, state) = (Arc::clone(&self.context), Arc::clone(&self.state));
            // A task of its own, as a pull: a caller that disconnects does not leave it half done.
            let task = tokio::spawn(async move { learn_once(&context, &mut *state.lock().await).await });
            let learned = task.await.unwrap_or(Err(PullError::Ended));
            learned.map_err(|error| not_pulled(&error))
        })
    }

    fn metadata(&self, file_name: &str) -> Result<Option<Vec<u8>>, MirrorReadError> {
        self.context.mirror.read(file_name)
    }

    fn listing(&self) -> Listing {
        self.context.mirror.listing()
    }

    fn generation(&self) -> Option<u64> {
        self.context.mirror.generation()
    }

    fn metadata_names(&self) -> Vec<String> {
        self.context.mirror.metadata_names()
    }

    fn is_recent(&self, file_name: &str) -> bool {
        self.context.mirror.is_recent(file_name)
    }

    fn target_named(&self, name: &str) -> Option<TargetEntry> {
        self.context.mirror.target_named(name)
    }

    fn expiries(&self) -> Result<Vec<RoleExpiry>, MirrorReadError> {
        self.context.mirror.expiries()
    }

    fn find_target(&self, file_name: &str) -> Option<TargetEntry> {
        self.context.mirror.find_target(file_name)
    }

    fn offered(&self) -> Option<Vec<ChannelsDocument>> {
        offered::documents(&self.context.mirror, &*self.context.blobs)
    }

    fn trust(&self) -> Option<Arc<TrustDocument>> {
        self.context.trust()
    }

    fn storage(&self) -> BoxFuture<'_, Result<StorageView, Problem>> {
        // Beside a pull too: nothing is removed.
        Box::pin(async { storage::reconcile(&self.context, Removal::Nothing).await.map_err(failed) })
    }

    fn clean(&self) -> BoxFuture<'_, Result<StorageView, Problem>> {
        Box::pin(self.reconcile_storage(Removal::Everything))
    }

    fn check(&self) -> BoxFuture<'_, Result<StorageView, Problem>> {
        Box::pin(async {
            storage::scrub_all(&self.context, Duration::ZERO, 0).await.map_err(failed)?;
            storage::reconcile(&self.context, Removal::Nothing).await.map_err(failed)
        })
    }

    fn stored(&self) -> Option<StorageSummary> {
        self.context.stored()
    }

    fn missing(&self) -> Missing {
        self.context.missing()
    }

    fn look(&self) -> BoxFuture<'_, ()> {
        Box::pin(storage::look_at_damage(&self.context))
    }

    fn suspect(&self, sha256: Sha256Digest) {
        let context = Arc::clone(&self.context);
        tokio::spawn(async move { storage::scrub(&context, sha256).await });
    }
}

async fn pull_once(context: &Context, state: &mut State, trigger: Trigger) -> Result<PullSummary, PullError> {
    let reader = take_reader(context, state).await?;
    let result = pull::pull(context, &reader, trigger).await;
    put_back(state, reader, &result);
    result
}

async fn learn_once(context: &Context, state: &mut State) -> Result<(), PullError> {
    let reader = take_reader(context, state).await?;
    let result = pull::learn_keys(context, &reader).await;
    put_back(state, reader, &result);
    result
}

async fn take_reader(context: &Context, state: &mut State) -> Result<ReaderHandle, PullError> {
    // What somebody removed while the server runs is made anew. Without its record the reader begins with the pinned root.
    context.make_folders().map_err(|source| PullError::Folder { source })?;
    match state.reader.take().filter(|_| context.tuf_store.is_dir()) {
        Some(reader) => Ok(reader),
        None => ReaderHandle::open(
            context.pinned_root.clone(),
            context.tuf_store.clone(),
            Arc::clone(&context.transport),
        )
        .await
        .map_err(|source| PullError::Open { source }),
    }
}

/// Keeps a reader for the next time, if it can be used then.
fn put_back<T>(state: &mut State, reader: ReaderHandle, result: &Result<T, PullError>) {
    if !result.as_ref().is_err_and(PullError::needs_a_new_reader) {
        state.reader = Some(reader);
    }
}

/// Logs the result, and records a failure in the ledger.
async fn conclude(
    context: &Context,
    state: &mut State,
    result: Result<PullSummary, PullError>,
) -> Result<PullSummary, Problem> {
    match result {
        Ok(summary) => {
            state.failures = 0;
            tracing::info!(
                timestamp_version = summary.timestamp_version,
                new_releases = summary.releases.len(),
                fetched_bytes = summary.fetched_bytes,
                "pulled"
            );
            Ok(summary)
        }
        Err(error) => {
            state.failures = state.failures.saturating_add(1);
            let (reason, hint) = (with_causes(&error), error.hint());
            tracing::warn!(reason, hint, "a pull failed");
            if let Err(unwritten) = context.ledger.execute(context.clock.now(), PullFailed { reason }).await {
                let error = with_causes(&unwritten);
                tracing::error!(error, "cannot record in the ledger that a pull failed");
            }
            Err(not_pulled(&error))
        }
    }
}

/// Why the vendor's metadata, or a release, was not taken over.
fn not_pulled(error: &PullError) -> Problem {
    let hint = error.hint();
    // A problem has its hint in a field of its own.
    let message = with_causes(error).replace(&format!("; {hint}"), "");
    Problem::new(ProblemCode::PullFailed, message, hint)
}

/// Makes missing deltas and removes unpacked releases that are not needed. Without deltas the payload is delivered: slower, and not a
/// failure of the pull.
async fn make_deltas(context: &Context) {
    if let Err(error) = context.staging.reconcile().await {
        let error = with_causes(&error);
        tracing::error!(error, "cannot make deltas");
    }
}

/// What went wrong with stored files, as an answer.
fn failed(error: PullError) -> Problem {
    let hint = match error {
        PullError::Mirrored { .. } => "run `distributor pull`, then try again",
        _ => "check the server's disk and its log, then try again",
    };
    Problem::new(ProblemCode::Internal, with_causes(&error), hint)
}

fn fresh_seed() -> u16 {
    random_bytes::<2>().map_or(u16::MAX / 2, u16::from_le_bytes)
}
