//! Whether the disks of the server take what is written, as the HTTP floor sees it.
//!
//! A port because only the home's places say which disks there are.

use futures_util::future::BoxFuture;

pub trait Disks: Send + Sync {
    /// One sentence about disks that cannot be written, without the names of folders: it is told over the network.
    fn problem(&self) -> BoxFuture<'_, Option<String>>;
}
