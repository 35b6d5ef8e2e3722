//! The TCP ports on which the server answers computers: they can be opened and closed while it runs. A port because what
//! decides which ones are needed must not know how connections are served.

use std::io;

use futures_util::future::BoxFuture;

pub trait Doors: Send + Sync {
    /// The ports that are open; the first is the one that the server was started on.
    fn open_ports(&self) -> Vec<u16>;

    /// Listens on a port too, on the same address as before; nothing if it does already, or the server stops.
    ///
    /// # Errors
    /// What the system said.
    fn open(&self, port: u16) -> BoxFuture<'_, io::Result<()>>;

    /// Listens no longer on a port. Requests under way end by themselves, within the time that a stop gives them.
    fn close(&self, port: u16);
}
