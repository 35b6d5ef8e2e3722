//! Folders for computers without a network: a share, or a stick. Each computer writes its contact into a folder of its own and
//! finds the answer there; the vendor's metadata and what approved releases need lie beside them, as they are published.
//!
//! A reconciler: it reads the folder, brings it up to date, and stops; it may run twice and be killed at any moment.
//! Invariants: what lies there is hostile: reads are bounded and follow no link; a file appears whole or not at all; only
//! what this server's stores hold with the listed digest is written; only files of the kinds that are written here are
//! removed. Nothing secret is written: answers are sealed, releases are what the vendor publishes to everybody with a
//! license, and who reads the folder can read them without one.
//! Left out on purpose: how a request is answered ([`FileAnswers`]).

mod exchange;
mod pass;
mod releases;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_admin_api::folder::{FolderStatus, SyncSummary};
use sealpost_files::SharedFolder;
use sealpost_ledger::Ledger;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::spawn_blocking;

use self::exchange::Answered;
use self::pass::{Problems, Trigger};
use self::releases::{Needed, Written};
use crate::config::Folder;
use crate::ports::blobs::BlobStore;
use crate::ports::by_file::FileAnswers;
use crate::ports::clock::Clock;
use crate::ports::folder::{Behind, SyncOrder};
use crate::ports::staging::Staging;
use crate::ports::upstream::Upstream;

/// What folders are brought up to date from.
pub struct Rooms {
    pub answers: Arc<dyn FileAnswers>,
    pub ledger: Arc<Ledger>,
    pub upstream: Arc<dyn Upstream>,
    pub blobs: Arc<dyn BlobStore>,
    pub staging: Arc<dyn Staging>,
    pub clock: Arc<dyn Clock>,
}

/// Keeps the configured folder up to date, and others when an admin asks.
pub struct Keeper {
    rooms: Rooms,
    configured: watch::Receiver<Option<Folder>>,
    orders: Mutex<mpsc::Receiver<SyncOrder>>,
    looked: watch::Sender<Option<FolderStatus>>,
    known: Mutex<Known>,
}

/// What is known of the configured folder; another one is looked at anew.
#[derive(Debug, Default)]
struct Known {
    path: PathBuf,
    answered: Answered,
    written: Written,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("configured", &self.configured).finish_non_exhaustive()
    }
}

impl Keeper {
    #[must_use]
    pub fn new(rooms: Rooms, configured: watch::Receiver<Option<Folder>>, behind: Behind) -> Arc<Self> {
        let Behind { orders, looked } = behind;
        let (orders, known) = (Mutex::new(orders), Mutex::default());
        Arc::new(Self { rooms, configured, orders, looked, known })
    }

    /// Runs for as long as it is wanted.
    pub async fn keep(self: Arc<Self>) {
        let mut orders = self.orders.lock().await;
        let mut configured = self.configured.clone();
        loop {
            let folder = configured.borrow_and_update().clone();
            let pause = async {
                match &folder {
                    Some(folder) => tokio::time::sleep(folder.every).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(SyncOrder { path, reply }) = orders.recv() => {
                    // The bound is the configured folder's: a stick has its own size.
                    let configured = folder.map(|folder| (folder.path, folder.max_bytes));
                    let done = match (path, configured) {
                        (Some(path), Some((known, most))) if path == known => {
                            self.sync(&path, most, Trigger::Person).await
                        }
                        (Some(path), _) => self.sync(&path, None, Trigger::Person).await,
                        (None, Some((path, most))) => self.sync(&path, most, Trigger::Person).await,
                        (None, None) => Err(none_configured()),
                    };
                    // Who asked may be gone.
                    drop(reply.send(done));
                }
                () = pause => {
                    if let Some(folder) = &folder {
                        self.sync_by_schedule(&folder.path, folder.max_bytes).await;
                    }
                }
                changed = configured.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.looked.send_replace(None);
                }
            }
        }
    }

    /// Notes how the configured folder stands, for who asks.
    fn note(&self, path: &Path, done: &Result<SyncSummary, Problem>) {
        let configured = self.configured.borrow().as_ref().is_some_and(|folder| folder.path == path);
        if !configured {
            return;
        }
        let (computers, waiting, failure) = match done {
            Ok(summary) => (summary.computers, summary.waiting.clone(), None),
            Err(problem) => (0, Vec::new(), Some(problem.message.clone())),
        };
        let looked_at = self.rooms.clock.now();
        let path = path.to_owned();
        self.looked.send_replace(Some(FolderStatus { path, looked_at, computers, waiting, failure }));
    }

    async fn sync_by_schedule(&self, path: &Path, max_bytes: Option<u64>) {
        match self.sync(path, max_bytes, Trigger::Schedule).await {
            Ok(summary) => {
                for problem in &summary.problems {
                    tracing::warn!(folder = %path.display(), "{problem}");
                }
                tracing::debug!(
                    folder = %path.display(), answered = summary.answered.len(), "the folder is up to date"
                );
            }
            Err(problem) => {
                tracing::warn!(folder = %path.display(), "the folder is not brought up to date: {problem}");
            }
        }
    }

    /// Brings a folder up to date, and notes how it stands then.
    async fn sync(
        &self,
        path: &Path,
        max_bytes: Option<u64>,
        trigger: Trigger,
    ) -> Result<SyncSummary, Problem> {
        let done = self.bring_up_to_date(path, max_bytes, trigger).await;
        self.note(path, &done);
        done
    }

    /// Releases first, so that whoever finds an answer finds what it names.
    async fn bring_up_to_date(
        &self,
        path: &Path,
        max_bytes: Option<u64>,
        trigger: Trigger,
    ) -> Result<SyncSummary, Problem> {
        let mut known = self.known.lock().await;
        if known.path != path {
            *known = Known { path: path.to_owned(), ..Known::default() };
        }
        let opened = path.to_owned();
        let root = spawn_blocking(move || SharedFolder::open(&opened)).await.map_err(|_| ended())?;
        let root = Arc::new(root.map_err(|error| unusable(path, &error))?);
        let mut summary = SyncSummary { path: path.to_owned(), ..SyncSummary::default() };
        let mut problems = Problems::default();
        let computers = exchange::computers(Arc::clone(&root), &mut problems)
            .await
            .map_err(|error| unusable(path, &error))?;
        summary.computers = u32::try_from(computers.len()).unwrap_or(u32::MAX);
        exchange::answer_all(
            &*self.rooms.answers,
            &root,
            &computers,
            trigger,
            &mut known.answered,
            &mut summary,
            &mut problems,
        )
        .await;
        let needed = Needed::of(&self.rooms.ledger, &computers).await.map_err(|error| {
            Problem::new(ProblemCode::Internal, error.to_string(), "look into the server's log")
        })?;
        let written = std::mem::take(&mut known.written);
        let work = releases::Work {
            upstream: Arc::clone(&self.rooms.upstream),
            blobs: Arc::clone(&self.rooms.blobs),
            staging: Arc::clone(&self.rooms.staging),
            max_bytes,
        };
        let done = spawn_blocking(move || work.bring_up_to_date(&root, &needed, written));
        let done = done.await.map_err(|_| ended())?;
        known.written = done.written;
        summary.written_files = done.files;
        summary.written_bytes = done.bytes;
        summary.removed_files = done.removed;
        problems.extend(done.problems);
        summary.problems = problems.into_lines();
        Ok(summary)
    }
}

fn none_configured() -> Problem {
    Problem::new(
        ProblemCode::WrongState,
        "no folder is configured",
        "name one, as in `distributor folder sync DIR`, or set `path` under [folder] in distributor.toml",
    )
}

fn unusable(path: &Path, error: &io::Error) -> Problem {
    Problem::new(
        ProblemCode::WrongState,
        format!("the server cannot use the folder {}: {error}", path.display()),
        "check that it is mounted, that the server's user can write there, and that the service may \
         (`ReadWritePaths=` in a drop-in of its unit)",
    )
}

fn ended() -> Problem {
    Problem::new(ProblemCode::Internal, "a thread ended before its work", "look into the server's log")
}
