//! How an admin has a folder brought up to date now, from whoever keeps folders: HTTP must not know how that is done.

use std::path::PathBuf;

use sealpost_admin_api::folder::{FolderStatus, SyncSummary};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use tokio::sync::{mpsc, oneshot, watch};

/// Most orders that wait.
const MAX_WAITING: usize = 4;

/// An order, with the channel to who gave it.
#[derive(Debug)]
pub struct SyncOrder {
    /// The folder; the configured one when absent.
    pub path: Option<PathBuf>,
    pub reply: oneshot::Sender<Result<SyncSummary, Problem>>,
}

/// Where orders are given, and how the configured folder stands.
#[derive(Debug, Clone)]
pub struct FolderDesk {
    orders: mpsc::Sender<SyncOrder>,
    looked: watch::Receiver<Option<FolderStatus>>,
}

/// What whoever keeps folders has of the desk.
#[derive(Debug)]
pub struct Behind {
    pub orders: mpsc::Receiver<SyncOrder>,
    pub looked: watch::Sender<Option<FolderStatus>>,
}

impl FolderDesk {
    /// The desk, and what stands behind it.
    #[must_use]
    pub fn open() -> (Self, Behind) {
        let (sender, orders) = mpsc::channel(MAX_WAITING);
        let (noted, looked) = watch::channel(None);
        (Self { orders: sender, looked }, Behind { orders, looked: noted })
    }

    /// How the configured folder was found last; `None` before the first look, and where none is configured.
    #[must_use]
    pub fn looked(&self) -> Option<FolderStatus> {
        self.looked.borrow().clone()
    }

    /// Has a folder brought up to date, and waits for that.
    ///
    /// # Errors
    /// What went wrong with the folder as a whole.
    pub async fn sync(&self, path: Option<PathBuf>) -> Result<SyncSummary, Problem> {
        let (reply, answer) = oneshot::channel();
        self.orders.try_send(SyncOrder { path, reply }).map_err(|_| busy())?;
        answer.await.map_err(|_| busy())?
    }
}

fn busy() -> Problem {
    Problem::new(
        ProblemCode::Busy,
        "the folder is not brought up to date: other folders wait, or the server stops",
        "try again in a minute",
    )
}
