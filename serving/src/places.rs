//! The places for connections of one listener, or of several that share them.
//!
//! Invariant: whoever accepts a connection has a place for it or closes it at once; a place is free again when it is
//! dropped. Nobody waits in the system's queue for a place, or those who have all places would keep everybody behind them out.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Notify;

use crate::books::Books;
use crate::handshakes::Handshakes;
use crate::limits::{ConnectionLimits, CountedBy};
use crate::source::network_of;
use crate::standing::{SharedBooks, Standing, lock};

/// As the module says.
#[derive(Debug)]
pub(crate) struct Places {
    counted_by: CountedBy,
    per_source: usize,
    connections: usize,
    books: SharedBooks,
    handshakes: Arc<Handshakes>,
}

/// One connection's place; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    counted: Option<(u64, Arc<Notify>)>,
    books: SharedBooks,
}

impl Places {
    pub(crate) fn new(limits: &ConnectionLimits) -> Self {
        let books: SharedBooks = Arc::new(Mutex::new(Books::new(*limits)));
        Self {
            counted_by: limits.counted_by,
            per_source: limits.per_source,
            connections: limits.connections,
            handshakes: Handshakes::new(limits, Arc::clone(&books)),
            books,
        }
    }

    /// Whose handshake is next, over all listeners that share these places.
    pub(crate) fn handshakes(&self) -> Arc<Handshakes> {
        Arc::clone(&self.handshakes)
    }

    /// A place for a connection from this address (none for a local socket), if there is one or another makes way.
    pub(crate) fn take(&self, address: Option<IpAddr>) -> Option<Place> {
        let counted = match address.map(|address| address.to_canonical()) {
            Some(address) => {
                let share = self.share_of(address);
                Some(lock(&self.books).admit(network_of(address), share, Instant::now())?)
            }
            None => lock(&self.books).admit_uncounted().then_some(None)?,
        };
        Some(Place { counted, books: Arc::clone(&self.books) })
    }

    fn share_of(&self, address: IpAddr) -> usize {
        match self.counted_by {
            CountedBy::RemoteNetwork if address.is_loopback() => self.connections,
            CountedBy::Network | CountedBy::RemoteNetwork => self.per_source,
        }
    }
}

impl Place {
    pub(crate) fn standing(&self) -> Standing {
        Standing::new(self.counted.as_ref().map(|(id, _)| *id), Arc::clone(&self.books))
    }

    /// Resolves when the connection has to make way for another.
    pub(crate) async fn makes_way(&self) {
        match &self.counted {
            Some((_, told)) => told.notified().await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match &self.counted {
            Some((id, _)) => lock(&self.books).leave(*id),
            None => lock(&self.books).leave_uncounted(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections: usize, per_source: usize, counted_by: CountedBy) -> Places {
        Places::new(&ConnectionLimits { connections, per_source, counted_by, ..ConnectionLimits::default() })
    }

    fn take(places: &Places, address: &str) -> Option<Place> {
        places.take(Some(address.parse().unwrap()))
    }

    #[test]
    fn one_source_cannot_take_all_places_and_a_place_comes_back() {
        let places = places(3, 2, CountedBy::Network);
        let first = take(&places, "10.0.0.1").unwrap();
        let _second = take(&places, "::ffff:10.0.0.1").unwrap();
        assert!(take(&places, "10.0.0.1").is_none());
        let _third = take(&places, "10.0.0.2").unwrap();
        assert!(take(&places, "10.0.0.2").is_none(), "there is no place left for anybody");
        drop(first);
        assert!(take(&places, "10.0.0.1").is_some());
    }

    #[test]
    fn an_ipv6_network_is_one_source_and_this_computer_is_one_too() {
        let places = places(9, 1, CountedBy::Network);
        let _first = take(&places, "2001:db8::1").unwrap();
        assert!(take(&places, "2001:db8::2").is_none());
        assert!(take(&places, "2001:db8:0:1::1").is_some());
        let _local = take(&places, "127.0.0.1").unwrap();
        assert!(take(&places, "127.0.0.1").is_none());
    }

    #[test]
    fn a_reverse_proxy_may_have_all_connections_and_gives_one_up_for_another_computer() {
        let places = places(10, 1, CountedBy::RemoteNetwork);
        let _first = take(&places, "2001:db8::1").unwrap();
        assert!(take(&places, "2001:db8::2").is_none());
        let all: Vec<_> = (0..9).map(|_| take(&places, "::ffff:127.0.0.1")).collect();
        assert!(all.iter().all(Option::is_some));
        assert!(take(&places, "127.0.0.1").is_none(), "there is no place left, and none is old");
        assert!(take(&places, "192.0.2.1").is_some());
    }

    #[test]
    fn three_thousand_computers_behind_one_address_have_a_connection_each_once_they_showed_who_they_are() {
        let places = places(4_096, 16, CountedBy::Network);
        let mut held = Vec::new();
        for number in 0..3_000 {
            let place = take(&places, "192.0.2.1").unwrap();
            let standing = place.standing();
            assert!(
                !standing.is_proven() && standing.prove(&format!("client {number}")) && standing.is_proven()
            );
            held.push(place);
        }
        assert!(take(&places, "192.0.2.1").is_some());
    }
}
