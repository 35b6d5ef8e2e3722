//! Whom a request comes from when a reverse proxy stands in front of this server.
//!
//! A connection from this very computer is its reverse proxy's, so the proxy's `X-Forwarded-For` is trusted. From
//! anywhere else that header is a claim and is not read.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Request};
use sealpost_serving::Peer;

/// The header in which a reverse proxy says whom it speaks for; the last entry is the one that the proxy wrote.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The other end of the connection, or whom a reverse proxy on this computer speaks for.
pub(super) fn caller<B>(request: &Request<B>) -> Option<Peer> {
    let peer = request.extensions().get::<Peer>()?;
    let forwarded = peer.is_local().then(|| forwarded_for(request.headers())).flatten();
    Some(forwarded.map_or_else(|| peer.clone(), Peer::Network))
}

fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim();
    last.parse().ok().or_else(|| last.parse().ok().map(|address: SocketAddr| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_on_this_computer_says_whom_it_speaks_for_and_only_its_own_entry_counts() {
        let mut request = Request::new(());
        assert_eq!(caller(&request), None);
        let mut caller_from = |peer: &str, header: Option<&str>| {
            request.extensions_mut().insert(Peer::Network(peer.parse().unwrap()));
            if let Some(header) = header {
                request.headers_mut().append(FORWARDED_FOR, header.parse().unwrap());
            }
            caller(&request).map(|peer| peer.source())
        };
        assert_eq!(caller_from("::1", None).unwrap(), "::1");
        let claimed = "203.0.113.9, 198.51.100.7";
        assert_eq!(caller_from("127.0.0.1", Some(claimed)).unwrap(), "198.51.100.7");
        assert_eq!(caller_from("::ffff:127.0.0.1", None).unwrap(), "198.51.100.7");
        assert_eq!(caller_from("192.0.2.1", None).unwrap(), "192.0.2.1");
        assert_eq!(caller_from("::1", Some("[2001:db8::5]:4711")).unwrap(), "2001:db8::5");
        assert_eq!(caller_from("::1", Some("unknown")).unwrap(), "::1");
    }
}
