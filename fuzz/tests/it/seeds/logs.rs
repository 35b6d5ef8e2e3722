//! Heads and proofs of a log.

use sealpost_fuzz::{LOG_ENTRIES, key, log_entry, log_key, right_proofs, server_id};
use sealpost_keys::note::{LogKey, SignedNote};
use sealpost_manifests::log::{
    Checkpoint, Frontier, LogExport, LogProof, Node, ProofPlan, TlogProof, leaf_hash,
};

use super::documents::{certificate, signed};
use super::golden::{Seeds, golden};

/// The log that log proofs are about.
struct Log {
    frontier: Frontier,
    nodes: Vec<Node>,
}

impl Log {
    fn new() -> Self {
        let mut frontier = Frontier::empty();
        let nodes = (0..LOG_ENTRIES)
            .flat_map(|index| frontier.append(leaf_hash(log_entry(index).as_bytes())))
            .collect();
        Self { frontier, nodes }
    }

    fn checkpoint(&self) -> SignedNote {
        Checkpoint::sign(&self.frontier.head(), log_key()).unwrap()
    }

    fn proof(&self, index: u64) -> LogProof {
        let plan = ProofPlan::inclusion(index, LOG_ENTRIES).unwrap();
        let load = |id| self.nodes.iter().find(|node| node.id == id).unwrap().hash;
        let hashes: Vec<_> = plan.nodes().into_iter().map(load).collect();
        let inclusion = plan.assemble(&hashes).unwrap();
        let entry = log_entry(index).into_bytes();
        LogProof::new(entry, index, inclusion, self.checkpoint(), signed(&certificate())).unwrap()
    }
}

pub(super) fn notes() -> Seeds {
    let note = Log::new().checkpoint();
    // A line of another key, as a cosigner adds one; the key is thrown away.
    let other_key = LogKey::generate("cosigner.example/1").unwrap();
    let (text, line) = note.as_str().rsplit_once("\n\n").unwrap();
    let other = SignedNote::sign(&format!("{text}\n"), &other_key).unwrap();
    let (_, other_line) = other.as_str().rsplit_once("\n\n").unwrap();
    let extended = SignedNote::sign(&format!("{text}\nan extension\n"), log_key()).unwrap();
    let plain = SignedNote::sign("a text\n\nof two parts\n", log_key()).unwrap();
    vec![
        ("checkpoint", note.as_str().as_bytes().to_vec()),
        ("cosigned", format!("{text}\n\n{other_line}{line}").into_bytes()),
        ("extended", extended.as_str().as_bytes().to_vec()),
        ("plain", plain.as_str().as_bytes().to_vec()),
    ]
}

pub(super) fn log_exports() -> Seeds {
    let log = Log::new();
    let header = LogExport {
        server_id: server_id().clone(),
        site_key: key().public(),
        log_key: signed(&certificate()),
        checkpoint: log.checkpoint(),
    };
    let mut lines = vec![header.write().unwrap()];
    lines.extend((0..LOG_ENTRIES).map(log_entry));
    let whole = lines.join("\n") + "\n";
    let longer = format!("{whole}entry\n");
    vec![
        ("golden", golden("manifests/tests/golden/log_export.v2.jsonl")),
        ("refused-longer", longer.into_bytes()),
        ("whole", whole.into_bytes()),
    ]
}

pub(super) fn log_proofs() -> Seeds {
    let log = Log::new();
    let file = |index| log.proof(index).write().unwrap().into_bytes();
    let text = log.proof(4).proof;
    let extra = text.replacen("\nindex", "\nextra AAAA\nindex", 1);
    assert!(TlogProof::parse(&extra).is_ok());
    vec![
        ("first", file(0)),
        ("golden", golden("manifests/tests/golden/log_proof.v2.json")),
        ("last", file(LOG_ENTRIES - 1)),
        ("middle", file(4)),
        ("text", text.into_bytes()),
        ("text_extra", extra.into_bytes()),
    ]
}

pub(super) fn tree_proofs() -> Seeds {
    let [consistent, included] = right_proofs(3, 7, 2);
    let [far_consistent, far_included] = right_proofs((1 << 40) + 5, (1 << 62) + 3, (1 << 61) + 1);
    vec![
        ("consistency", consistent.into_bytes()),
        ("consistency_far", far_consistent.into_bytes()),
        ("empty", b"0 5 9\n".to_vec()),
        ("inclusion", included.into_bytes()),
        ("inclusion_far", far_included.into_bytes()),
        ("refused_largest", b"18446744073709551614 18446744073709551615 9223372036854775807\n".to_vec()),
        ("same", b"4 4 3\n".to_vec()),
    ]
}
