//! Held streams, as the HTTP floor sees them: hold one, and hear when its client is to contact.
//!
//! A port because a server of several processes will have to pass wakes between them.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sealpost_manifests::ids::{ChannelName, ClientId};

/// One held stream; leaves the registry when it is dropped.
pub trait HeldStream: Send {
    /// Waits for the next wake; `false` when the stream is to end.
    fn woken(&mut self) -> BoxFuture<'_, bool>;
}

pub trait Wakes: Send + Sync {
    /// Takes a client in, and ends its older stream; `None` when there is no room or the server stops. The first wake
    /// is due at once if there may be news for the client since its last contact.
    fn hold(
        &self,
        client: ClientId,
        channel: ChannelName,
        last_contact: Option<Timestamp>,
    ) -> Option<Box<dyn HeldStream>>;

    /// How many clients are connected.
    fn connected(&self) -> usize;

    /// Whether one client is connected.
    fn is_connected(&self, client: &ClientId) -> bool;
}
