//! The places for connections of one listener, or of several that share them.
//!
//! Invariant: whoever accepts a connection has a place for it first or closes it; a place is free again when it is
//! dropped, and the system's queue is not read without room where callers wait.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::books::Books;
use crate::limits::{ConnectionLimits, CountedBy, WhenFull};
use crate::source::network_of;
use crate::standing::{SharedBooks, Standing, lock};

/// As the module says.
#[derive(Debug)]
pub(crate) struct Places {
    /// What callers wait for; none where they are closed.
    room: Option<Arc<Semaphore>>,
    counted_by: CountedBy,
    books: SharedBooks,
}

/// Room for one connection, whoever it is from.
#[derive(Debug)]
pub(crate) struct Room(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// One connection's place; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _room: Option<Room>,
    counted: Option<(u64, Arc<Notify>)>,
    books: SharedBooks,
}

impl Places {
    pub(crate) fn new(limits: &ConnectionLimits) -> Self {
        let room = match limits.when_full {
            WhenFull::Close => None,
            WhenFull::Wait => Some(Arc::new(Semaphore::new(limits.connections))),
        };
        Self { room, counted_by: limits.counted_by, books: Arc::new(Mutex::new(Books::new(*limits))) }
    }

    /// Called before a connection is accepted. With [`WhenFull::Wait`] it waits for room; with [`WhenFull::Close`] it
    /// returns at once, and [`Places::take`] looks for room.
    pub(crate) async fn wait_for_room(&self) -> Option<Room> {
        Arc::clone(self.room.as_ref()?).acquire_owned().await.ok().map(Room)
    }

    /// A place for a connection from this address (none for a local socket), in the room that was waited for or in
    /// what is free now.
    pub(crate) fn take(&self, room: Option<Room>, address: Option<IpAddr>) -> Option<Place> {
        let counted = match address.and_then(|address| self.counted(address)) {
            Some(source) => Some(lock(&self.books).admit(source, Instant::now())?),
            None => lock(&self.books).admit_uncounted().then_some(None)?,
        };
        Some(Place { _room: room, counted, books: Arc::clone(&self.books) })
    }

    fn counted(&self, address: IpAddr) -> Option<IpAddr> {
        let address = address.to_canonical();
        match self.counted_by {
            CountedBy::Network => Some(network_of(address)),
            CountedBy::RemoteNetwork => (!address.is_loopback()).then(|| network_of(address)),
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
        places.take(None, Some(address.parse().unwrap()))
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
    fn a_reverse_proxy_is_not_counted_when_remote_networks_are() {
        let places = places(99, 1, CountedBy::RemoteNetwork);
        let _first = take(&places, "2001:db8::1").unwrap();
        assert!(take(&places, "2001:db8::2").is_none());
        let all: Vec<_> = (0..10).map(|_| take(&places, "::ffff:127.0.0.1")).collect();
        assert!(all.iter().all(Option::is_some));
        assert!(all.iter().flatten().all(|place| place.standing().is_proven()));
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
