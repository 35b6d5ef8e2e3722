//! Which ways to this server its computers are told: the one that the configuration wants first, and those before it as
//! long as somebody has not learned the list.
//!
//! Pure: what was announced, what is wanted and who has learned come in. Invariant: a way is dropped only when every
//! computer knows another one, or an admin says so; the list never has more ways than a computer takes.

use sealpost_manifests::server_list::MAX_WAYS;
use sealpost_manifests::setup::ServerEntry;

/// Which of the ways before go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Those that were announced, because somebody has not learned the list, or the wanted way is a new one.
    Keep,
    Drop,
}

/// The ways to announce. `announced` are the ways of the newest list.
pub(super) fn ways(announced: &[ServerEntry], wanted: &ServerEntry, before: Before) -> Vec<ServerEntry> {
    let mut ways = vec![wanted.clone()];
    if before == Before::Keep {
        for way in announced.iter().filter(|way| !is_same(way, wanted)) {
            // The pins are those of the certificate, which is the same whichever way a computer comes.
            ways.push(ServerEntry { ca_spki_sha256: wanted.ca_spki_sha256.clone(), ..way.clone() });
        }
    }
    ways.truncate(MAX_WAYS);
    ways
}

/// What is to happen with the ways before, when `waiting` computers have not learned the list.
pub(super) fn before(announced: &[ServerEntry], wanted: &ServerEntry, waiting: u64) -> Before {
    let is_known = announced.first().is_some_and(|first| is_same(first, wanted));
    if is_known && waiting == 0 { Before::Drop } else { Before::Keep }
}

/// Whether two ways lead to the same place. The port decides where the server listens, the addresses how it is found.
fn is_same(one: &ServerEntry, other: &ServerEntry) -> bool {
    one.port == other.port && one.addresses == other.addresses
}

#[cfg(test)]
mod tests {
    use sealpost_keys::{KeyId, PublicKey};
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::ids::ServerId;
    use sealpost_manifests::setup::ServerRole;

    use super::*;

    fn way(address: &str, port: u16, pin: &str) -> ServerEntry {
        let site_key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
        ServerEntry {
            role: ServerRole::Primary,
            addresses: vec![address.to_owned()],
            port,
            server_id: ServerId::of_site_key(&site_key),
            site_key,
            ca_spki_sha256: vec![Sha256Digest::of(pin.as_bytes())],
        }
    }

    /// The ways to announce next, as in `presence`.
    fn next(announced: &[ServerEntry], wanted: &ServerEntry, waiting: u64) -> Vec<ServerEntry> {
        ways(announced, wanted, before(announced, wanted, waiting))
    }

    #[test]
    fn the_way_before_is_named_until_everybody_has_learned_the_new_one() {
        let (old, new) = (way("old", 1, "ca"), way("new", 2, "ca"));
        assert_eq!(next(&[], &old, 0), std::slice::from_ref(&old));
        let moving = next(std::slice::from_ref(&old), &new, 0);
        assert_eq!(moving, [new.clone(), old.clone()], "everybody knew the old list, and nobody the new one");
        assert_eq!(next(&moving, &new, 1), moving);
        assert_eq!(next(&moving, &new, 0), std::slice::from_ref(&new));
        // Back before anybody learned: both are known.
        assert_eq!(next(&moving, &old, 3), [old, new]);
    }

    #[test]
    fn new_pins_are_announced_for_every_way() {
        let announced = [way("new", 2, "ca"), way("old", 1, "ca")];
        let told = next(&announced, &way("new", 2, "next"), 1);
        assert_eq!(told, [way("new", 2, "next"), way("old", 1, "next")]);
    }

    #[test]
    fn a_list_never_has_more_ways_than_a_computer_takes() {
        let announced: Vec<ServerEntry> = (0..8).map(|port| way("a", port, "ca")).collect();
        let told = next(&announced, &way("new", 9, "ca"), 1);
        assert_eq!(told.len(), MAX_WAYS);
        assert_eq!(told.first(), Some(&way("new", 9, "ca")));
    }
}
