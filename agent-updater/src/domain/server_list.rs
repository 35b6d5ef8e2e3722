//! Whether an offered server list is accepted, and in which order a server is asked by its ways.
//!
//! A list renews how one server is reached; it never leads to another one. Whoever holds the site key can still sign ways
//! that lead nowhere, so the way that answered last and the one of the setup file are always tried too.

use sealpost_manifests::server_list::ServerList;
use sealpost_manifests::setup::ServerEntry;

use super::license::{LicenseRefusal, Standard};

/// Most addresses of a list that are tried in one contact: each may cost a connection's time limit.
const MAX_LISTED: usize = 16;
/// Most addresses of a setup file that are tried after them.
const MAX_LAST_RESORT: usize = 8;

/// Checks that a list is of the server `known`, of a granted epoch, and not older than the held one. Fails with the
/// reason.
///
/// # Errors
/// A sentence for people.
pub fn judge_server_list(
    list: &ServerList,
    standard: &Standard<'_>,
    known: &ServerEntry,
) -> Result<(), String> {
    if let Some(problem) = list.problem(known) {
        return Err(problem);
    }
    let found = list.order();
    let refusal = if found.epoch.vendor() > standard.granted {
        LicenseRefusal::EpochNotGranted { found: found.epoch, granted: standard.granted }
    } else {
        match standard.highest {
            Some(held) if found < held => LicenseRefusal::WentBack { found, held },
            _ => return Ok(()),
        }
    };
    Err(refusal.to_string())
}

/// One address of a server, with the pins that count there.
#[must_use]
pub fn single_ways(
    list: Option<&ServerList>,
    answered_last: Option<&ServerEntry>,
    setup: &ServerEntry,
) -> Vec<ServerEntry> {
    let listed = list.map_or(&[][..], |list| &list.servers);
    let listed = listed.iter().flat_map(singles).take(MAX_LISTED);
    let mut ways = Vec::new();
    for way in listed
        .chain(answered_last.into_iter().flat_map(singles).take(1))
        .chain(singles(setup).take(MAX_LAST_RESORT))
    {
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways
}

fn singles(way: &ServerEntry) -> impl Iterator<Item = ServerEntry> {
    way.addresses.iter().map(|address| ServerEntry { addresses: vec![address.clone()], ..way.clone() })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sealpost_keys::{PublicKey, SigningKey};
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::ids::{ClientId, ComputerName, ServerId};
    use sealpost_manifests::order::{Epoch, Order, Signer};
    use sealpost_manifests::setup::ServerRole;

    use super::*;
    use crate::domain::license::Identity;

    fn way(site_key: &PublicKey, addresses: &[&str], port: u16, pin: &str) -> ServerEntry {
        ServerEntry {
            role: ServerRole::Primary,
            addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
            port,
            server_id: ServerId::of_site_key(site_key),
            site_key: site_key.clone(),
            ca_spki_sha256: vec![Sha256Digest::of(pin.as_bytes())],
        }
    }

    fn list(servers: Vec<ServerEntry>, epoch: Epoch, sequence: u64) -> ServerList {
        ServerList {
            server_id: servers[0].server_id.clone(),
            signer: Signer::SiteKey,
            epoch,
            sequence,
            issued_at: Timestamp::UNIX_EPOCH,
            servers,
        }
    }

    #[test]
    fn a_list_counts_if_it_is_not_older_and_its_epoch_is_granted() {
        let key = SigningKey::generate().unwrap().public();
        let known = way(&key, &["a"], 1, "ca");
        let identity = Identity {
            client_id: ClientId::from_random([1; 16]),
            client_key: key.clone(),
            computer_name: ComputerName::new("pc-1").unwrap(),
            server_id: known.server_id.clone(),
        };
        let highest = Some(Order { epoch: Epoch::of(1, 1), sequence: 5 });
        let standard = Standard { identity: &identity, granted: 1, highest, now: Timestamp::UNIX_EPOCH };
        let judge = |epoch, sequence| {
            judge_server_list(&list(vec![known.clone()], epoch, sequence), &standard, &known)
        };
        assert_eq!(judge(Epoch::of(1, 1), 5), Ok(()));
        assert_eq!(judge(Epoch::of(1, 2), 1), Ok(()));
        assert!(judge(Epoch::of(1, 1), 4).unwrap_err().contains("held before"));
        assert!(judge(Epoch::of(2, 0), 9).unwrap_err().contains("grants reach 1"));
        let other = way(&SigningKey::generate().unwrap().public(), &["a"], 1, "ca");
        let foreign = list(vec![other], Epoch::of(1, 1), 9);
        assert!(judge_server_list(&foreign, &standard, &known).unwrap_err().contains("it is of the server"));
    }

    #[test]
    fn ways_are_tried_in_the_lists_order_then_the_last_that_answered_then_the_setup_files() {
        let key = SigningKey::generate().unwrap().public();
        let (setup, last) = (way(&key, &["old-1", "old-2"], 1, "ca"), way(&key, &["was"], 2, "ca"));
        let listed = list(vec![way(&key, &["new-1", "new-2"], 3, "next"), setup.clone()], Epoch::of(1, 0), 1);
        let ways = single_ways(Some(&listed), Some(&last), &setup);
        let tried: Vec<String> =
            ways.iter().map(|way| format!("{}:{}", way.addresses[0], way.port)).collect();
        assert_eq!(tried, ["new-1:3", "new-2:3", "old-1:1", "old-2:1", "was:2"]);
        assert_eq!(single_ways(None, None, &setup).len(), 2);
        // The same address with other pins is another way.
        let repinned = list(
            vec![ServerEntry { ca_spki_sha256: vec![Sha256Digest::of(b"x")], ..setup.clone() }],
            Epoch::of(1, 0),
            1,
        );
        assert_eq!(single_ways(Some(&repinned), None, &setup).len(), 4);
    }

    #[test]
    fn a_list_of_many_addresses_does_not_keep_a_contact_from_the_last_resort() {
        let key = SigningKey::generate().unwrap().public();
        let many: Vec<String> = (0..32).map(|number| format!("h{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let listed = list(vec![way(&key, &many, 1, "ca"); 8], Epoch::of(1, 0), 1);
        let (setup, last) = (way(&key, &["setup"], 1, "ca"), way(&key, &["last"], 1, "ca"));
        let ways = single_ways(Some(&listed), Some(&last), &setup);
        assert_eq!(ways.len(), MAX_LISTED + 2);
        assert_eq!(ways.last().unwrap().addresses, ["setup"]);
    }
}
