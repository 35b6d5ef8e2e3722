//! What a listener allows: how many connections, and for how long each may do nothing.

use std::time::Duration;

/// Limits on the connections of one listener, or of those that [`TlsListeners`](crate::TlsListeners) makes together. The
/// default suits a server for the computers of one site.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Connections at once, from all sources together.
    pub connections: usize,
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
    /// Which connections stay while others make way.
    pub stays: Stays,
    /// TLS handshakes in a second for sources from which a client has shown itself; see
    /// `Handshakes`. Further ones wait for their turn.
    pub handshakes_of_known: u32,
    /// The same for all other sources together.
    pub handshakes_of_strangers: u32,
    /// What one source is.
    pub counted_by: CountedBy,
    /// Time for a TLS handshake, with the wait for its turn.
    pub handshake_within: Duration,
    /// Time for a request's head, also for the next one on the same connection.
    pub head_within: Duration,
    /// Time in which the other end must take some bytes of its answer.
    pub write_within: Duration,
    /// How fast it must take them while there are more to send; `None` for any speed.
    pub answer_pace: Option<AnswerPace>,
    /// Longest life of a connection, whatever happens on it; `None` where answers are streams that stay open.
    pub connection_within: Option<Duration>,
    /// Time for requests under way when the server stops.
    pub drain_within: Duration,
}

/// Which connections keep their place although another one comes for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    /// Those on which the program answers a signed request: it says so by [`Standing::hold`](crate::Standing::hold).
    WhileSigned,
    /// Those with any answer under way, as long as there is another one that can go. Where every connection has one, the
    /// newest of the source that has the most goes all the same, so that no source can have all places.
    WhileAnswering,
}

/// A floor under the speed with which answers are taken. Only the time counts in which an answer waits for its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerPace {
    /// Bytes per second, on the average.
    pub bytes_per_second: u32,
    /// Time over which the speed is averaged.
    pub window: Duration,
}

/// Whose connections are counted together: a source is an IPv4 address or an IPv6 /64, since whoever has one address of
/// such a network has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedBy {
    /// Each source, this computer too.
    Network,
    /// The same, but this computer is a reverse proxy, which speaks for everybody: it may have all connections.
    RemoteNetwork,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            // Each connected client holds one for wakes, and one more while it downloads.
            connections: 8192,
            // Many computers may be behind one address.
            per_source: 1024,
            unproven: 4096,
            per_client: 8,
            // Longer than a handshake and a signed request take, shorter than anybody waits who had to be turned away.
            makes_way_after: Some(Duration::from_secs(5)),
            stays: Stays::WhileSigned,
            // A handshake is about half a millisecond of work, and the rest of the processors is for contacts. After a restart
            // nobody is known yet: a site's computers come back within seconds, and all of them among the strangers.
            handshakes_of_known: 512,
            handshakes_of_strangers: 512,
            counted_by: CountedBy::Network,
            handshake_within: Duration::from_secs(10),
            head_within: Duration::from_secs(20),
            write_within: Duration::from_secs(60),
            answer_pace: None,
            connection_within: None,
            drain_within: Duration::from_secs(10),
        }
    }
}
