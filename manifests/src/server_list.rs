//! The server list: where a Primary Server is reached from now on. Signed with the site key, the same for all its
//! computers.
//!
//! It renews addresses, port and CA pins of the server that a computer enrolled with, and never names another one: a
//! server that was taken over cannot hand its computers to somebody else's. While an address or port is being replaced
//! it names the new way first and the old one after it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::ids::ServerId;
use crate::order::{Epoch, Order, Signer};
use crate::setup::ServerEntry;

/// Most ways to one server in a list.
pub const MAX_WAYS: usize = 8;
/// Most addresses of one way.
pub const MAX_ADDRESSES: usize = 32;

/// A server list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerList {
    /// The server that issued it.
    pub server_id: ServerId,
    /// Who signed it.
    pub signer: Signer,
    /// See [`crate::order`].
    pub epoch: Epoch,
    /// Rises with each list of the server.
    pub sequence: u64,
    /// When it was signed, by the server's clock.
    pub issued_at: Timestamp,
    /// Ways to reach the server, in order of preference; each with the same server id and site key.
    pub servers: Vec<ServerEntry>,
}

impl Document for ServerList {
    const TYPE: &'static str = "server_list";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        format!("server_list server={} epoch={} sequence={}", self.server_id, self.epoch.0, self.sequence)
    }
}

impl ServerList {
    /// Its place among the lists of this server.
    #[must_use]
    pub const fn order(&self) -> Order {
        Order { epoch: self.epoch, sequence: self.sequence }
    }

    /// Why a computer that enrolled with the server `known` cannot use the list, if it cannot: a sentence for people.
    #[must_use]
    pub fn problem(&self, known: &ServerEntry) -> Option<String> {
        let ways = self.servers.len();
        if ways == 0 || ways > MAX_WAYS {
            return Some(format!("it names {ways} ways to the server, and must name 1 to {MAX_WAYS}"));
        }
        if self.signer != Signer::SiteKey {
            return Some("it is signed by a standby server, which this program cannot check".to_owned());
        }
        if self.server_id != known.server_id {
            return Some(format!("it is of the server {}, not of {}", self.server_id, known.server_id));
        }
        self.servers.iter().find_map(|way| {
            if way.server_id != known.server_id || way.site_key != known.site_key {
                return Some(format!("it names another server, {}", way.server_id));
            }
            if way.addresses.len() > MAX_ADDRESSES {
                return Some(format!("it names {} addresses for one way", way.addresses.len()));
            }
            way.problem()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use sealpost_keys::SigningKey;

    use super::*;
    use crate::digest::Sha256Digest;
    use crate::setup::ServerRole;

    static KNOWN: LazyLock<ServerEntry> = LazyLock::new(|| {
        let site_key = SigningKey::generate().unwrap().public();
        ServerEntry {
            role: ServerRole::Primary,
            addresses: vec!["primary.example".to_owned()],
            port: 16770,
            server_id: ServerId::of_site_key(&site_key),
            site_key,
            ca_spki_sha256: vec![Sha256Digest::of(b"ca")],
        }
    });

    fn known() -> ServerEntry {
        KNOWN.clone()
    }

    fn list(servers: Vec<ServerEntry>) -> ServerList {
        ServerList {
            server_id: known().server_id,
            signer: Signer::SiteKey,
            epoch: Epoch::of(1, 0),
            sequence: 2,
            issued_at: Timestamp::UNIX_EPOCH,
            servers,
        }
    }

    #[test]
    fn a_list_renews_addresses_port_and_pins_of_the_same_server() {
        let pins = vec![Sha256Digest::of(b"new ca"), Sha256Digest::of(b"ca")];
        let moved = ServerEntry {
            addresses: vec!["192.0.2.7".to_owned()],
            port: 443,
            ca_spki_sha256: pins,
            ..known()
        };
        assert_eq!(list(vec![moved, known()]).problem(&known()), None);
    }

    #[test]
    fn a_list_that_leads_to_another_server_or_to_none_is_refused() {
        let refused = |list: ServerList, part: &str| {
            let problem = list.problem(&known()).unwrap();
            assert!(problem.contains(part), "{problem}");
        };
        refused(list(Vec::new()), "0 ways");
        refused(list(vec![known(); MAX_WAYS + 1]), "9 ways");
        let other_key = SigningKey::generate().unwrap().public();
        refused(list(vec![known(), ServerEntry { site_key: other_key, ..known() }]), "another server");
        let other_id = ServerId::from_random([9; 16]);
        refused(list(vec![ServerEntry { server_id: other_id.clone(), ..known() }]), "another server");
        refused(ServerList { server_id: other_id, ..list(vec![known()]) }, "it is of the server");
        refused(list(vec![ServerEntry { addresses: Vec::new(), ..known() }]), "no address");
        let many = vec!["a".to_owned(); MAX_ADDRESSES + 1];
        refused(list(vec![ServerEntry { addresses: many, ..known() }]), "33 addresses");
        let standby = Signer::Standby(Sha256Digest::of(b"certificate"));
        refused(ServerList { signer: standby, ..list(vec![known()]) }, "standby");
    }
}
