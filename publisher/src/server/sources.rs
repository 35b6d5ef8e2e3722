//! Who a request comes from, and how many connections each source has.
//!
//! A source is an address; one customer of IPv6 has a whole /64, so that is one source. Connections from this very
//! computer are its reverse proxy's, so they are not counted, and the proxy's `X-Forwarded-For` is believed. From
//! anywhere else that header is a claim and is not read.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;

/// The header in which a reverse proxy says whom it speaks for; the last entry is the one that the proxy wrote.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The source of a request that came over a connection from `peer`.
pub(super) fn source(peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let forwarded = || {
        let last =
            headers.get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim();
        last.parse().ok().or_else(|| last.parse().ok().map(|address: SocketAddr| address.ip()))
    };
    if is_this_computer(peer) { forwarded().unwrap_or(peer) } else { peer }
}

/// The network that counts as one source.
pub(super) fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

fn is_this_computer(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

/// How many connections each source has. An entry exists only while there is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A counted connection, until dropped.
#[derive(Debug)]
pub(super) struct Counted(Option<(IpAddr, Sources)>);

impl Sources {
    /// Counts a connection; `None` if its source has `most` already.
    pub(super) fn enter(&self, peer: IpAddr, most: usize) -> Option<Counted> {
        if is_this_computer(peer) {
            return Some(Counted(None));
        }
        let source = network(peer);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&source).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        counts.insert(source, count + 1);
        Some(Counted(Some((source, self.clone()))))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some((source, sources)) = &self.0 else { return };
        let mut counts = sources.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(source) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_has_so_many_connections_and_gets_one_back_when_one_ends() {
        let sources = Sources::default();
        let first = sources.enter(address("192.0.2.1"), 2).unwrap();
        let _second = sources.enter(address("192.0.2.1"), 2).unwrap();
        assert!(sources.enter(address("192.0.2.1"), 2).is_none());
        assert!(sources.enter(address("192.0.2.2"), 2).is_some());
        drop(first);
        assert!(sources.enter(address("192.0.2.1"), 2).is_some());
        let _v6 = sources.enter(address("2001:db8::1"), 1).unwrap();
        assert!(sources.enter(address("2001:db8::2"), 1).is_none());
        // The reverse proxy brings everybody.
        let all: Vec<_> = (0..10).map(|_| sources.enter(address("::ffff:127.0.0.1"), 1)).collect();
        assert!(all.iter().all(Option::is_some));
    }

    #[test]
    fn nothing_is_remembered_of_sources_that_left() {
        let sources = Sources::default();
        drop(sources.enter(address("192.0.2.1"), 2));
        assert!(sources.0.lock().unwrap().is_empty());
    }

    #[test]
    fn only_a_proxy_on_this_computer_is_believed_whom_it_speaks_for_and_only_its_own_entry() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, "203.0.113.9, 198.51.100.7".parse().unwrap());
        assert_eq!(source(address("127.0.0.1"), &headers), address("198.51.100.7"));
        assert_eq!(source(address("192.0.2.1"), &headers), address("192.0.2.1"));
        headers.append(FORWARDED_FOR, "[2001:db8::5]:4711".parse().unwrap());
        assert_eq!(source(address("::1"), &headers), address("2001:db8::5"));
        headers.append(FORWARDED_FOR, "unknown".parse().unwrap());
        assert_eq!(source(address("::1"), &headers), address("::1"));
        assert_eq!(source(address("::1"), &HeaderMap::new()), address("::1"));
    }
}
