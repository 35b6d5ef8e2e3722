//! Held streams, as the HTTP floor sees them: hold one, and hear when its client is to contact.
//!
//! A port because a server of several processes will have to pass wakes between them.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName};

/// One held stream; leaves the registry when it is dropped.
pub trait HeldStream: Send {
    /// Waits for the next wake; `false` when the stream is to end.
    fn woken(&mut self) -> BoxFuture<'_, bool>;
}

/// A client that asks for a stream, and what it may have missed before.
#[derive(Debug, Clone)]
pub struct Listener {
    pub client: ClientId,
    pub name: ComputerName,
    pub channel: ChannelName,
    pub last_contact: Option<Timestamp>,
    /// Whether news that it missed calls it now; what is urgent always does.
    pub hears_news: bool,
}

pub trait Wakes: Send + Sync {
    /// Takes a client in, and ends its older stream; `None` when there is no room or the server stops. The first wake
    /// is due at once if the client may have missed a call since its last contact that reaches it.
    fn hold(&self, listener: Listener) -> Option<Box<dyn HeldStream>>;

    /// Whether there was news for a channel that a client without a stream has missed.
    fn has_missed_news(&self, channel: &ChannelName, last_contact: Option<Timestamp>) -> bool;

    /// Wakes those of these computers that listen, and says which.
    fn call(&self, names: &BTreeSet<ComputerName>) -> BTreeSet<ComputerName>;

    /// How many clients are connected.
    fn connected(&self) -> usize;

    /// Whether one client is connected.
    fn is_connected(&self, client: &ClientId) -> bool;
}
