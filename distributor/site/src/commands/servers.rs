//! The ways to this server, which its computers learn from the signed server list in the answer to a contact.
//!
//! Invariant: a list names this server only, by its id and site key; its sequence rises with every change, and the same
//! ways again are no change.

use jiff::Timestamp;
use sealpost_manifests::order::{Epoch, Order, Signer};
use sealpost_manifests::server_list::ServerList;
use sealpost_manifests::setup::{ServerEntry, ServerRole};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::decision::{Command, Context, Decision};
use crate::changes::{Actor, Change};
use crate::queries::{Query, query};
use crate::rows::{KnownServerList, ServerIdentity};

query! {
    /// What an announcement of new ways is decided from.
    LoadServerList {} -> ServerListFacts, "read the ways to this server"
}

/// As [`LoadServerList`] says.
#[derive(Debug, Clone)]
pub struct ServerListFacts {
    /// The list that stands now.
    pub known: Option<KnownServerList>,
    /// The highest epoch of any grant.
    pub epoch: Epoch,
}

/// Announces how this server is reached from now on. Answers the order of the list that says so.
#[derive(Debug, Clone)]
pub struct AnnounceServers {
    /// Who changed it; the server if its configuration says so.
    pub actor: Actor,
    /// In order of preference.
    pub ways: Vec<ServerEntry>,
}

impl Command for AnnounceServers {
    type Facts = LoadServerList;
    type Answer = Order;
    const ATTEMPTED: &'static str = "announce the ways to this server";

    fn facts(&self) -> LoadServerList {
        LoadServerList {}
    }

    fn decide(self, facts: ServerListFacts, context: &Context<'_>) -> Decision<Order> {
        let order = |sequence| Order { epoch: facts.epoch, sequence };
        let before = facts.known.as_ref();
        if let Some(known) = before.filter(|known| known.ways == self.ways) {
            return Decision::answer(order(known.sequence));
        }
        let sequence = before.map_or(0, |known| known.sequence).saturating_add(1);
        let list = KnownServerList { sequence, issued_at: context.now, ways: self.ways };
        if let Some(problem) = list.document(context.server, facts.epoch).problem(&itself(context.server)) {
            return Decision::refuse(Problem::new(
                ProblemCode::BadRequest,
                format!("the server list cannot be announced: {problem}"),
                "correct `addresses` and `port` in the configuration",
            ));
        }
        let change = Change::ServerListChanged { sequence, ways: list.ways };
        Decision::answer(order(sequence)).change(self.actor, change)
    }
}

/// This server as a computer knows it: only its id and site key are compared.
fn itself(server: &ServerIdentity) -> ServerEntry {
    ServerEntry {
        role: ServerRole::Primary,
        addresses: Vec::new(),
        port: 0,
        server_id: server.server_id.clone(),
        site_key: server.site_key.clone(),
        ca_spki_sha256: Vec::new(),
    }
}

impl KnownServerList {
    /// Its place, in the site's highest epoch.
    #[must_use]
    pub const fn order(&self, epoch: Epoch) -> Order {
        Order { epoch, sequence: self.sequence }
    }

    /// The document to sign. It depends on nothing else, so that every computer gets the same bytes.
    #[must_use]
    pub fn document(&self, server: &ServerIdentity, epoch: Epoch) -> ServerList {
        ServerList {
            server_id: server.server_id.clone(),
            signer: Signer::SiteKey,
            epoch,
            sequence: self.sequence,
            issued_at: self.issued_at,
            servers: self.ways.clone(),
        }
    }

    /// A list that was announced at this time.
    #[must_use]
    pub const fn new(sequence: u64, issued_at: Timestamp, ways: Vec<ServerEntry>) -> Self {
        Self { sequence, issued_at, ways }
    }
}

#[cfg(test)]
mod tests {
    use sealpost_keys::{KeyId, PublicKey};
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::ids::ServerId;
    use sealpost_manifests::log::Frontier;

    use super::*;
    use crate::commands::Terms;
    use crate::rules::rollouts::outages::Outages;

    fn server() -> ServerIdentity {
        let site_key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
        ServerIdentity { server_id: ServerId::of_site_key(&site_key), site_key }
    }

    fn way(address: &str, port: u16) -> ServerEntry {
        let ca = Sha256Digest::of(b"ca");
        ServerEntry {
            addresses: vec![address.to_owned()],
            port,
            ca_spki_sha256: vec![ca],
            ..itself(&server())
        }
    }

    fn announced(known: Option<KnownServerList>, ways: Vec<ServerEntry>) -> Decision<Order> {
        let (server, terms, log) = (server(), Terms::default(), Frontier::empty());
        let now = Timestamp::from_second(1_000).unwrap();
        let context = Context { now, server: &server, terms: &terms, log: &log, outages: Outages::none() };
        let facts = ServerListFacts { known, epoch: Epoch::of(3, 0) };
        AnnounceServers { actor: Actor::Server, ways }.decide(facts, &context)
    }

    #[test]
    fn each_change_of_ways_is_a_higher_list_and_the_same_ways_again_are_none() {
        let ways = vec![way("new.example", 443), way("old.example", 16770)];
        let first = announced(None, ways.clone());
        assert_eq!(first.answer.unwrap(), Order { epoch: Epoch::of(3, 0), sequence: 1 });
        assert_eq!(first.changes.len(), 1);
        let known = KnownServerList::new(1, Timestamp::UNIX_EPOCH, ways.clone());
        let again = announced(Some(known.clone()), ways);
        assert_eq!(again.answer.unwrap().sequence, 1);
        assert!(again.changes.is_empty());
        let next = announced(Some(known), vec![way("new.example", 443)]);
        assert_eq!(next.answer.unwrap().sequence, 2);
    }

    #[test]
    fn ways_to_another_server_or_to_none_are_not_announced() {
        let other =
            ServerEntry { site_key: PublicKey::new(KeyId::from_bytes([2; 8]), [2; 32]), ..way("a", 1) };
        for ways in [Vec::new(), vec![other], vec![itself(&server())]] {
            let decision = announced(None, ways);
            assert!(decision.changes.is_empty());
            assert_eq!(decision.answer.unwrap_err().code, ProblemCode::BadRequest);
        }
    }
}
