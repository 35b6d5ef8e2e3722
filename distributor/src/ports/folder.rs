//! How an admin has a folder brought up to date now, from whoever keeps folders: HTTP must not know how that is done.

use std::path::PathBuf;

use sealpost_admin_api::folder::SyncSummary;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use tokio::sync::{mpsc, oneshot};

/// Most orders that wait.
const MAX_WAITING: usize = 4;

/// An order, with the channel to who gave it.
#[derive(Debug)]
pub struct SyncOrder {
    /// The folder; the configured one when absent.
    pub path: Option<PathBuf>,
    pub reply: oneshot::Sender<Result<SyncSummary, Problem>>,
}

/// Where orders are given.
#[derive(Debug, Clone)]
pub struct FolderDesk(mpsc::Sender<SyncOrder>);

impl FolderDesk {
    /// The desk, and where its orders arrive.
    #[must_use]
    pub fn open() -> (Self, mpsc::Receiver<SyncOrder>) {
        let (sender, orders) = mpsc::channel(MAX_WAITING);
        (Self(sender), orders)
    }

    /// Has a folder brought up to date, and waits for that.
    ///
    /// # Errors
    /// What went wrong with the folder as a whole.
    pub async fn sync(&self, path: Option<PathBuf>) -> Result<SyncSummary, Problem> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(SyncOrder { path, reply }).map_err(|_| busy())?;
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
