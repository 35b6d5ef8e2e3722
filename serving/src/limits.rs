//! What a listener allows: how many connections, and for how long each may do nothing.

use std::time::Duration;

/// Limits on the connections of one listener, or of those that [`TlsListeners`](crate::TlsListeners) makes together. The
/// default suits a server for the computers of one site.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Connections at once, from all sources together.
    pub connections: usize,
    /// What happens to a connection beyond that number.
    pub when_full: WhenFull,
    /// Connections at once from one source; further ones are closed.
    pub per_source: usize,
    /// What one source is.
    pub counted_by: CountedBy,
    /// Time for a TLS handshake.
    pub handshake_within: Duration,
    /// Time for a request's head, also for the next one on the same connection.
    pub head_within: Duration,
    /// Time in which the other end must take some bytes of its answer.
    pub write_within: Duration,
    /// Longest life of a connection, whatever happens on it; `None` where answers are streams that stay open.
    pub connection_within: Option<Duration>,
    /// Time for requests under way when the server stops.
    pub drain_within: Duration,
}

/// What happens to a connection for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It is closed at once, so that a client with other servers to try does not wait.
    Close,
    /// It waits in the system's queue until another one ends.
    Wait,
}

/// Whose connections are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedBy {
    /// Each address by itself, this computer's too: the computers of one site may all be in one IPv6 network.
    Address,
    /// Each IPv4 address and each IPv6 /64, which is what one customer of an internet provider has. This computer is
    /// not counted: what comes from it is a reverse proxy, which speaks for everybody.
    RemoteNetwork,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            // Each connected client holds one for wakes, and one more while it downloads.
            connections: 8192,
            when_full: WhenFull::Close,
            // Many computers may be behind one address.
            per_source: 1024,
            counted_by: CountedBy::Address,
            handshake_within: Duration::from_secs(10),
            head_within: Duration::from_secs(20),
            write_within: Duration::from_secs(60),
            connection_within: None,
            drain_within: Duration::from_secs(10),
        }
    }
}
