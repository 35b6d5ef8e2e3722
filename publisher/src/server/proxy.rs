//! Whom a request comes from when a reverse proxy stands in front of this server.
//!
//! A connection from this very computer is its reverse proxy's, so the proxy's `X-Forwarded-For` and `X-Forwarded-Proto`
//! are trusted. From anywhere else these headers are claims and are not read.
//!
//! Invariant: what a proxy passes on never counts as this computer's own word, as far as that can be told. A proxy may send no
//! header of its own (nginx sends none unless it is told to), so a request is this computer's own only if it also names this
//! computer as its host and comes as HTTP/1.1: a Primary Server asks in no other way, and nginx asks by HTTP/1.0. A proxy that
//! asks by HTTP/1.1, names a loopback address as the host and adds no header cannot be told from this computer: its admin
//! has to let it write the headers, as the page for vendors says.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Request, Version, header};
use sealpost_serving::{Peer, is_forwarded};

/// The header in which a reverse proxy says whom it speaks for; the last entry is the one that the proxy wrote.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The header in which a reverse proxy says how it was spoken to; the last entry is the one that the proxy wrote.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// How a request came to this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Direct {
        /// Whether it comes from this computer.
        local: bool,
    },
    /// Through a reverse proxy on this computer.
    Proxied {
        /// Whether the proxy says that it was spoken to over HTTPS.
        https: bool,
    },
}

/// How a request came here. A request whose sender is not known counts as one from elsewhere.
pub(super) fn way_to_here<B>(request: &Request<B>) -> Way {
    let local = request.extensions().get::<Peer>().is_some_and(Peer::is_local);
    let headers = request.headers();
    let is_own = request.version() == Version::HTTP_11 && names_this_computer(request);
    if !local || (is_own && !is_forwarded(headers)) {
        return Way::Direct { local };
    }
    let proto = last_entry(headers, FORWARDED_PROTO);
    Way::Proxied { https: proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https")) }
}

/// Whether the host that was asked for is this computer, by a name that no other has.
fn names_this_computer<B>(request: &Request<B>) -> bool {
    let named = request.headers().get_all(header::HOST).iter();
    let named = named.map(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let mut hosts: Vec<Option<Authority>> = named.collect();
    hosts.extend(request.uri().authority().cloned().map(Some));
    !hosts.is_empty() && hosts.iter().all(|host| host.as_ref().is_some_and(is_this_computer))
}

fn is_this_computer(authority: &Authority) -> bool {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// The other end of the connection, or whom a reverse proxy on this computer speaks for.
pub(super) fn caller<B>(request: &Request<B>) -> Option<Peer> {
    let peer = request.extensions().get::<Peer>()?;
    let forwarded = peer.is_local().then(|| forwarded_for(request.headers())).flatten();
    Some(forwarded.map_or_else(|| peer.clone(), Peer::Network))
}

fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = last_entry(headers, FORWARDED_FOR)?;
    last.parse().ok().or_else(|| last.parse().ok().map(|address: SocketAddr| address.ip()))
}

fn last_entry<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    Some(headers.get_all(name).iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_on_this_computer_says_whether_it_was_spoken_to_over_https_and_nobody_else_does() {
        let way = |peer: Option<&str>, headers: &[(&'static str, &str)]| {
            let mut request = Request::new(());
            if let Some(peer) = peer {
                request.extensions_mut().insert(Peer::Network(peer.parse().unwrap()));
            }
            request.headers_mut().insert(header::HOST, "127.0.0.1:8080".parse().unwrap());
            for (name, value) in headers {
                request.headers_mut().append(*name, value.parse().unwrap());
            }
            way_to_here(&request)
        };
        let https = ("x-forwarded-proto", "https");
        assert_eq!(way(Some("127.0.0.1"), &[]), Way::Direct { local: true });
        assert_eq!(way(Some("::ffff:127.0.0.1"), &[https]), Way::Proxied { https: true });
        assert_eq!(way(Some("::1"), &[("x-forwarded-for", "192.0.2.1")]), Way::Proxied { https: false });
        assert_eq!(way(Some("::1"), &[("via", "1.1 proxy"), https]), Way::Proxied { https: true });
        for trace in
            ["x-real-ip", "x-forwarded-host", "x-forwarded-port", "x-forwarded", "forwarded", "x-client-ip"]
        {
            assert_eq!(way(Some("::1"), &[(trace, "192.0.2.1")]), Way::Proxied { https: false }, "{trace}");
        }
        for claimed in ["http", "https, http", "", "httpsx"] {
            let header = ("x-forwarded-proto", claimed);
            assert_eq!(way(Some("::1"), &[https, header]), Way::Proxied { https: false }, "{claimed}");
        }
        assert_eq!(way(Some("192.0.2.1"), &[https]), Way::Direct { local: false });
        assert_eq!(way(None, &[https]), Way::Direct { local: false });
    }

    #[test]
    fn a_proxy_that_adds_no_header_is_known_by_the_host_that_was_asked_for() {
        let way = |host: Option<&str>| {
            let mut request = Request::new(());
            request.extensions_mut().insert(Peer::Network("127.0.0.1".parse().unwrap()));
            if let Some(host) = host {
                request.headers_mut().insert(header::HOST, host.parse().unwrap());
            }
            way_to_here(&request)
        };
        for own in ["127.0.0.1", "127.0.0.1:8080", "localhost:80", "LOCALHOST", "[::1]:8080", "127.9.9.9"] {
            assert_eq!(way(Some(own)), Way::Direct { local: true }, "{own}");
        }
        for other in
            ["updates.acme.example", "192.0.2.1:80", "localhost.acme.example", "backend", "[2001:db8::1]", ""]
        {
            assert_eq!(way(Some(other)), Way::Proxied { https: false }, "{other}");
        }
        assert_eq!(way(None), Way::Proxied { https: false });
        let mut old = Request::new(());
        *old.version_mut() = Version::HTTP_10;
        old.extensions_mut().insert(Peer::Network("127.0.0.1".parse().unwrap()));
        old.headers_mut().insert(header::HOST, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(
            way_to_here(&old),
            Way::Proxied { https: false },
            "as nginx asks when nobody told it more"
        );
    }

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
