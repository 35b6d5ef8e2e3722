//! Which TCP addresses the server needs to listen on: the one that the configuration says, and those of the ways before
//! as long as computers may still come by them.
//!
//! Pure: what is remembered, wanted, announced and open comes in. Invariants: nobody is cut off by a changed `listen`
//! alone, since what computers are told decides when an address is closed; of addresses that exclude each other the
//! wider one is needed. `[::]` counts for IPv4 too, as Linux has it by default.

use std::net::{IpAddr, SocketAddr};

use sealpost_manifests::setup::ServerEntry;

/// Whether who comes to `address` is answered by a listener on `door`.
pub(super) fn covers(door: SocketAddr, address: SocketAddr) -> bool {
    let (here, there) = (door.ip().to_canonical(), address.ip().to_canonical());
    let is_in = here == there || (here.is_unspecified() && (here.is_ipv6() || there.is_ipv4()));
    door.port() == address.port() && is_in
}

/// Whether the system refuses to listen on both.
pub(super) fn exclude_each_other(one: SocketAddr, other: SocketAddr) -> bool {
    covers(one, other) || covers(other, one)
}

/// What else has to be listened on for the ways that computers are told. `remembered` is what was listened on before.
pub(super) fn former(
    remembered: &[SocketAddr],
    wanted: SocketAddr,
    ways: &[ServerEntry],
    is_own: impl Fn(IpAddr) -> bool,
) -> Vec<SocketAddr> {
    let is_moving = ways.len() > 1;
    // Nobody is told of the wanted address, and comes only by the one before.
    let is_told = |door: SocketAddr| {
        let ips = ways.iter().filter(|way| way.port == door.port()).flat_map(|way| &way.addresses);
        ips.filter_map(|address| address.parse().ok()).any(|ip: IpAddr| {
            let told = SocketAddr::new(ip, door.port());
            covers(door, told) && !covers(wanted, told) && is_own(ip)
        })
    };
    let has_way = |door: SocketAddr| ways.iter().any(|way| way.port == door.port());
    let mut needed: Vec<SocketAddr> = remembered
        .iter()
        .copied()
        .filter(|door| !covers(wanted, *door) && has_way(*door) && (is_moving || is_told(*door)))
        .collect();
    for port in ways.iter().map(|way| way.port) {
        if port != wanted.port() && !needed.iter().any(|door| door.port() == port) {
            needed.push(SocketAddr::new(wanted.ip(), port));
        }
    }
    needed
}

/// The widest of these, each once, in their order.
pub(super) fn widest(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut widest: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if !widest.iter().any(|door| covers(*door, *address)) {
            let at = widest.iter().position(|door| covers(*address, *door)).unwrap_or(widest.len());
            widest.retain(|door| !covers(*address, *door));
            widest.insert(at.min(widest.len()), *address);
        }
    }
    widest
}

/// Which of the addresses that computers are told nobody listens on. A name, and an address that is none of this
/// computer's (`is_own`), since somebody forwards it, needs only the port; unless the server listened on it before.
pub(super) fn unserved(
    addresses: &[String],
    port: u16,
    open: &[SocketAddr],
    remembered: &[SocketAddr],
    is_own: impl Fn(IpAddr) -> bool,
) -> Vec<String> {
    let has_port = open.iter().any(|door| door.port() == port);
    let is_served = |address: &&String| {
        let Ok(ip) = address.parse::<IpAddr>() else { return has_port };
        let told = SocketAddr::new(ip, port);
        let was_here = remembered.iter().any(|door| door.ip() == ip);
        open.iter().any(|door| covers(*door, told)) || (has_port && !was_here && !is_own(ip))
    };
    addresses.iter().filter(|address| !is_served(address)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use sealpost_keys::{KeyId, PublicKey};
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::ids::ServerId;
    use sealpost_manifests::setup::ServerRole;

    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn all(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| at(text)).collect()
    }

    fn way(address: &str, port: u16) -> ServerEntry {
        let site_key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
        ServerEntry {
            role: ServerRole::Primary,
            addresses: vec![address.to_owned()],
            port,
            server_id: ServerId::of_site_key(&site_key),
            site_key,
            ca_spki_sha256: vec![Sha256Digest::of(b"ca")],
        }
    }

    fn needed(remembered: &[&str], wanted: &str, ways: &[ServerEntry]) -> Vec<SocketAddr> {
        let own = |ip: IpAddr| !ip.to_string().starts_with("203.");
        former(&all(remembered), at(wanted), ways, own)
    }

    #[test]
    fn all_addresses_answer_for_each_of_their_family_and_those_of_ipv6_for_ipv4_too() {
        for (door, address, is_covered) in [
            ("0.0.0.0:1", "10.0.0.1:1", true),
            ("0.0.0.0:1", "[fd00::1]:1", false),
            ("[::]:1", "[fd00::1]:1", true),
            ("[::]:1", "10.0.0.1:1", true),
            ("[::]:1", "0.0.0.0:1", true),
            ("[::ffff:10.0.0.1]:1", "10.0.0.1:1", true),
            ("0.0.0.0:1", "10.0.0.1:2", false),
            ("10.0.0.1:1", "0.0.0.0:1", false),
            ("10.0.0.1:1", "10.0.0.2:1", false),
        ] {
            assert_eq!(covers(at(door), at(address)), is_covered, "{door} {address}");
        }
        assert!(exclude_each_other(at("10.0.0.1:1"), at("0.0.0.0:1")));
        assert!(!exclude_each_other(at("10.0.0.1:1"), at("10.0.0.2:1")));
    }

    #[test]
    fn of_addresses_that_exclude_each_other_the_wider_one_is_listened_on() {
        let widest = |texts: &[&str]| widest(&all(texts));
        assert_eq!(widest(&["10.0.0.1:1", "10.0.0.2:1", "10.0.0.1:1"]), all(&["10.0.0.1:1", "10.0.0.2:1"]));
        assert_eq!(
            widest(&["10.0.0.1:1", "10.0.0.2:1", "0.0.0.0:1", "10.0.0.1:2"]),
            all(&["0.0.0.0:1", "10.0.0.1:2"])
        );
        assert_eq!(widest(&["0.0.0.0:1", "[::]:1"]), all(&["[::]:1"]));
        assert_eq!(widest(&["0.0.0.0:1", "[fd00::1]:1"]), all(&["0.0.0.0:1", "[fd00::1]:1"]));
    }

    #[test]
    fn what_was_listened_on_goes_on_while_computers_are_told_of_a_way_before() {
        let moving = [way("10.0.0.2", 1), way("10.0.0.1", 1)];
        assert_eq!(needed(&["10.0.0.1:1"], "10.0.0.2:1", &moving), all(&["10.0.0.1:1"]));
        assert_eq!(needed(&["0.0.0.0:1"], "10.0.0.2:1", &moving), all(&["0.0.0.0:1"]));
        assert!(needed(&["10.0.0.1:1"], "0.0.0.0:1", &moving).is_empty(), "it answers there too");
        assert!(needed(&["10.0.0.1:1"], "10.0.0.2:1", &moving[..1]).is_empty(), "all have learned");
        // Another port, of which nothing is remembered.
        let moving = [way("b.example", 2), way("b.example", 1)];
        assert_eq!(needed(&[], "10.0.0.2:2", &moving), all(&["10.0.0.2:1"]));
        assert_eq!(needed(&["10.0.0.1:1", "10.0.0.1:9"], "10.0.0.2:2", &moving), all(&["10.0.0.1:1"]));
    }

    #[test]
    fn an_address_that_computers_are_told_is_not_given_up_because_listen_says_another() {
        let told = [way("10.0.0.1", 1)];
        assert_eq!(needed(&["10.0.0.1:1"], "10.0.0.2:1", &told), all(&["10.0.0.1:1"]));
        assert_eq!(needed(&["0.0.0.0:1"], "10.0.0.2:1", &told), all(&["0.0.0.0:1"]));
        // Forwarded by somebody, to wherever the server listens.
        assert!(needed(&["0.0.0.0:1"], "10.0.0.2:1", &[way("203.0.113.1", 1)]).is_empty());
        assert!(needed(&["0.0.0.0:1"], "10.0.0.2:1", &[way("b.example", 1)]).is_empty());
    }

    #[test]
    fn an_address_is_served_where_something_listens_and_a_name_where_its_port_is_open() {
        let own = |ip: IpAddr| !ip.to_string().starts_with("203.");
        let unserved = |told: &str, open: &[&str], remembered: &[&str]| {
            let told: Vec<String> = told.split(' ').map(str::to_owned).collect();
            unserved(&told, 1, &all(open), &all(remembered), own).join(" ")
        };
        assert_eq!(unserved("10.0.0.1 10.0.0.2 b.example", &["10.0.0.2:1"], &[]), "10.0.0.1");
        assert_eq!(unserved("10.0.0.1 fd00::1 b.example", &["0.0.0.0:1"], &[]), "fd00::1");
        assert_eq!(unserved("10.0.0.1 fd00::1", &["[::]:1"], &[]), "");
        assert_eq!(unserved("10.0.0.1 b.example", &["0.0.0.0:2"], &[]), "10.0.0.1 b.example");
        assert_eq!(unserved("203.0.113.1", &["10.0.0.1:1"], &[]), "", "somebody forwards it");
        assert_eq!(unserved("203.0.113.1", &["10.0.0.1:1"], &["203.0.113.1:1"]), "203.0.113.1");
    }
}
