//! The places for connections of one listener, or of several that share them: so many in all, and so many per source.
//!
//! Invariant: the map of sources has an entry only while the source has a connection, so the number of places bounds
//! it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{ConnectionLimits, CountedBy, WhenFull};
use crate::source::network_of;

/// How many connections each source has.
type Counts = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// As the module says.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    when_full: WhenFull,
    per_source: usize,
    counted_by: CountedBy,
    counts: Counts,
}

/// Room for one connection, whoever it is from.
#[derive(Debug)]
pub(crate) struct Room(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// One connection's place; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _room: Room,
    counted: Option<(IpAddr, Counts)>,
}

impl Places {
    pub(crate) fn new(limits: &ConnectionLimits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections)),
            when_full: limits.when_full,
            per_source: limits.per_source,
            counted_by: limits.counted_by,
            counts: Counts::default(),
        }
    }

    /// Called before a connection is accepted. With [`WhenFull::Wait`] it waits for room; with [`WhenFull::Close`] it
    /// returns at once, and [`Places::take`] looks for room.
    pub(crate) async fn wait_for_room(&self) -> Option<Room> {
        match self.when_full {
            WhenFull::Close => None,
            WhenFull::Wait => Arc::clone(&self.all).acquire_owned().await.ok().map(Room),
        }
    }

    /// A place for a connection from this address (none for a local socket), in the room that was waited for or in
    /// what is free now.
    pub(crate) fn take(&self, room: Option<Room>, address: Option<IpAddr>) -> Option<Place> {
        let room = match room {
            Some(room) => room,
            None => Room(Arc::clone(&self.all).try_acquire_owned().ok()?),
        };
        let Some(source) = address.and_then(|address| self.counted(address)) else {
            return Some(Place { _room: room, counted: None });
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&source).copied().unwrap_or(0);
        if count >= self.per_source {
            return None;
        }
        counts.insert(source, count + 1);
        Some(Place { _room: room, counted: Some((source, Arc::clone(&self.counts))) })
    }

    fn counted(&self, address: IpAddr) -> Option<IpAddr> {
        let address = address.to_canonical();
        match self.counted_by {
            CountedBy::Address => Some(address),
            CountedBy::RemoteNetwork => (!address.is_loopback()).then(|| network_of(address)),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((source, counts)) = &self.counted else { return };
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(source) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(source)),
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
        let places = places(3, 2, CountedBy::Address);
        let first = take(&places, "10.0.0.1").unwrap();
        let _second = take(&places, "::ffff:10.0.0.1").unwrap();
        assert!(take(&places, "10.0.0.1").is_none());
        let _third = take(&places, "10.0.0.2").unwrap();
        assert!(take(&places, "10.0.0.2").is_none(), "there is no place left for anybody");
        drop(first);
        assert!(take(&places, "10.0.0.1").is_some());
    }

    #[test]
    fn the_computers_of_one_ipv6_network_have_places_of_their_own_when_addresses_are_counted() {
        let places = places(9, 1, CountedBy::Address);
        let _first = take(&places, "2001:db8::1").unwrap();
        assert!(take(&places, "2001:db8::2").is_some());
        let _local = take(&places, "127.0.0.1").unwrap();
        assert!(take(&places, "127.0.0.1").is_none());
    }

    #[test]
    fn an_ipv6_network_is_one_source_and_a_reverse_proxy_is_not_counted_when_networks_are() {
        let places = places(99, 1, CountedBy::RemoteNetwork);
        let _first = take(&places, "2001:db8::1").unwrap();
        assert!(take(&places, "2001:db8::2").is_none());
        let all: Vec<_> = (0..10).map(|_| take(&places, "::ffff:127.0.0.1")).collect();
        assert!(all.iter().all(Option::is_some));
    }

    #[test]
    fn nothing_is_remembered_of_sources_that_left() {
        let places = places(9, 2, CountedBy::Address);
        drop(take(&places, "192.0.2.1").unwrap());
        assert!(places.counts.lock().unwrap().is_empty());
    }
}
