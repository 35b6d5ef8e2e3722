//! The TCP addresses on which the server answers computers: they can be opened and closed while it runs. A port because
//! what decides which ones are needed must not know how connections are served.

use std::io;
use std::net::SocketAddr;

use futures_util::future::BoxFuture;

pub trait Doors: Send + Sync {
    /// Where the server listens now.
    fn open_at(&self) -> Vec<SocketAddr>;

    /// Listens on an address too; nothing if it does already, or the server stops.
    ///
    /// # Errors
    /// What the system said.
    fn open(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<()>>;

    /// Listens on an address instead of others, which the system does not allow beside it: all addresses of a port and
    /// one of them exclude each other. New connections are refused for a moment.
    ///
    /// # Errors
    /// What the system said. Then the server listens on the others again.
    fn replace(&self, others: Vec<SocketAddr>, address: SocketAddr) -> BoxFuture<'_, io::Result<()>>;

    /// Listens no longer on an address. Requests under way end by themselves, within the time that a stop gives them.
    fn close(&self, address: SocketAddr);
}
