//! The log of a simulated server: one entry per contact, with checkpoints and proofs that can be wrong.

use sealpost_keys::SigningKey;
use sealpost_keys::note::{LogKey, SignedNote};
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::log::{
    Checkpoint, ConsistencyProof, Frontier, LogHead, LogKeyCertificate, Node, ProofPlan, leaf_hash, origin,
};

/// What a server shows of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    Everything,
    NoProof,
    NoCheckpoint,
    /// A checkpoint by a key that nobody certified.
    AnotherKey,
}

pub(crate) struct Log {
    key: LogKey,
    pub(crate) certificate: SignedDocument,
    pub(crate) shows: Shows,
    frontier: Frontier,
    nodes: Vec<Node>,
}

impl Log {
    pub(crate) fn new(server_id: &ServerId, site_key: &SigningKey) -> Self {
        let key = LogKey::generate(&origin(server_id)).unwrap();
        let certificate = LogKeyCertificate {
            server_id: server_id.clone(),
            log_key: key.public().clone(),
            issued_at: jiff::Timestamp::now(),
        };
        let certificate = SignedDocument::sign(&certificate, site_key).unwrap();
        Self { key, certificate, shows: Shows::Everything, frontier: Frontier::empty(), nodes: Vec::new() }
    }

    pub(crate) fn append(&mut self, entry: &str) {
        self.nodes.extend(self.frontier.append(leaf_hash(entry.as_bytes())));
    }

    /// Begins anew, with as many entries that say something else.
    pub(crate) fn rewrite(&mut self, entries: u64) {
        self.frontier = Frontier::empty();
        self.nodes.clear();
        for number in 0..entries {
            self.append(&format!("rewritten {number}"));
        }
    }

    pub(crate) fn head(&self) -> LogHead {
        self.frontier.head()
    }

    pub(crate) fn checkpoint(&self) -> Option<SignedNote> {
        match self.shows {
            Shows::NoCheckpoint => None,
            Shows::AnotherKey => {
                let other = LogKey::generate(self.key.public().name()).unwrap();
                Some(Checkpoint::sign(&self.head(), &other).unwrap())
            }
            Shows::Everything | Shows::NoProof => Some(Checkpoint::sign(&self.head(), &self.key).unwrap()),
        }
    }

    /// A proof from a head that somebody holds; of a rewritten log it is as good as the log can make it.
    pub(crate) fn proof(&self, held: Option<&LogHead>) -> Option<ConsistencyProof> {
        if self.shows == Shows::NoProof {
            return None;
        }
        let plan = ProofPlan::consistency(held?.size, self.head().size).ok()?;
        let hash = |id| self.nodes.iter().find(|node| node.id == id).unwrap().hash;
        let hashes: Vec<_> = plan.nodes().into_iter().map(hash).collect();
        Some(ConsistencyProof::new(plan.assemble(&hashes).unwrap()).unwrap())
    }
}
