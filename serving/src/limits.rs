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
    /// Of these, connections of sources that never showed a client of theirs, and that did not show one themselves. The
    /// rest is for clients that were here before.
    pub unproven: usize,
    /// Connections at once from one source that have not shown whose they are; further ones are closed.
    pub per_source: usize,
    /// Connections of one client that count for it alone, and for no source any more.
    pub per_client: usize,
    /// After this time a connection that has not shown whose it is makes way for a new one where there is no room; where
    /// one source has the most, its oldest does so at once. `None`: whoever was first stays.
    pub makes_way_after: Option<Duration>,
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

/// Whose connections are counted together: a source is an IPv4 address or an IPv6 /64, since whoever has one address of
/// such a network has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedBy {
    /// Each source, this computer too.
    Network,
    /// Each source but this computer: what comes from it is a reverse proxy, which speaks for everybody.
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
            unproven: 4096,
            per_client: 8,
            // Longer than a handshake and a signed request take, shorter than anybody waits who had to be turned away.
            makes_way_after: Some(Duration::from_secs(5)),
            counted_by: CountedBy::Network,
            handshake_within: Duration::from_secs(10),
            head_within: Duration::from_secs(20),
            write_within: Duration::from_secs(60),
            connection_within: None,
            drain_within: Duration::from_secs(10),
        }
    }
}
