//! Where to fetch from, and with which credentials.

use std::path::PathBuf;
use std::sync::Arc;

use reqwest::Client;
use sealpost_repository::Pace;
use tokio::runtime::Handle;

use super::documents::Documents;

/// The agent API of a server.
#[derive(Clone)]
pub struct Origin {
    /// The client, with its pins and, before the first lease, its credentials.
    pub client: Client,
    /// Address of the agent API, without a slash at the end.
    pub base: String,
    /// The access token, if there is one.
    pub token: Option<String>,
    /// How fast downloads have to come.
    pub pace: Arc<Pace>,
    /// Where connections live: longer than the thread that reads metadata.
    pub runtime: Handle,
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origin").field("base", &self.base).finish_non_exhaustive()
    }
}

/// Where the vendor's metadata and downloads come from. What they are is decided by signatures alone, so one is as good as
/// another.
#[derive(Debug, Clone)]
pub enum Place {
    Server(Origin),
    /// A folder with `metadata`, `targets` and `deltas`, which others write too.
    Folder(PathBuf),
    /// What came with an answer.
    Documents(Documents),
}
