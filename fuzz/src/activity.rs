//! Entries of the activity log, as an auditor or a rebuilt ledger reads them. The input has one entry on each line.

use sealpost_manifests::log::{Frontier, LogHead, leaf_hash};
use sealpost_site::changes::chain::{
    self, Check, FoundBy, LinkedEntry, Next, ReadEntry, StoredEntry, logged,
};
use sealpost_site::rows::ServerIdentity;

use crate::fixed::{key, server_id};
use crate::reading::assert_harmless;

/// Reads each line as an entry, and checks all of them as a log. Whoever edits a disk can make leaves, nodes and columns
/// fit, so they fit here.
pub(crate) fn activity_entries(data: &[u8]) -> bool {
    let server = ServerIdentity { server_id: server_id().clone(), site_key: key().public() };
    let mut tree = Frontier::empty();
    let mut heads = Vec::new();
    let stored: Vec<StoredEntry> = data
        .split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(index, line)| {
            let entry = stored(&mut tree, u64::try_from(index).unwrap_or(u64::MAX), line);
            heads.push(tree.head());
            entry
        })
        .collect();
    let mut check = Check::new(Some(server.clone()), Vec::new());
    let accepted = stored.iter().take_while(|entry| check.next(entry) == Next::Continue).count();
    let alone = check.finish();
    assert_eq!(alone.damage.is_none(), accepted == stored.len(), "what stops a check is damage");
    assert!(alone.newer <= alone.entries);
    let mut witnessed = Check::new(Some(server.clone()), heads.clone());
    let also = stored.iter().take_while(|entry| witnessed.next(entry) == Next::Continue).count();
    assert_eq!(also, accepted, "a head of the log itself shows no damage");
    if alone.damage.is_none() {
        let longer = LogHead { size: alone.head.size + 1, ..alone.head };
        heads.push(longer);
        let mut cut = Check::new(Some(server), heads);
        assert!(stored.iter().all(|entry| cut.next(entry) == Next::Continue));
        assert!(cut.finish().damage.is_some(), "a log that was cut is accepted");
    }
    alone.damage.is_none()
}

/// One entry with everything beside it that fits.
fn stored(tree: &mut Frontier, index: u64, bytes: &[u8]) -> StoredEntry {
    let read = chain::read(bytes).ok();
    let found_by = match &read {
        Some(ReadEntry::Known(entry)) => {
            let written = serde_json::to_vec(entry).expect("what was read has a JSON form");
            let ReadEntry::Known(again) = chain::read(&written).expect("what was written is read") else {
                panic!("an entry of this program is taken for one of a newer");
            };
            assert_eq!(serde_json::to_vec(&again).unwrap(), written, "it is written in one way");
            FoundBy::of(entry)
        }
        Some(ReadEntry::Newer(_)) | None => FoundBy { at_micros: 0, kind: String::new(), computer: None },
    };
    let log_before = tree.clone();
    let completed = tree.append(leaf_hash(bytes));
    let leaf = completed[0].hash;
    let nodes: Vec<_> = completed.iter().skip(1).map(|node| node.hash).collect();
    if let Some(read) = read {
        assert_harmless(&read.summary());
        let line = logged(bytes.to_vec(), leaf).expect("what is read can be listed");
        assert_eq!((line.summary, line.entry.sequence()), (read.summary(), read.sequence()));
        if let ReadEntry::Known(entry) = read {
            let linked = LinkedEntry::of_stored(&mut log_before.clone(), *entry, bytes.to_vec());
            assert_eq!((linked.leaf, &linked.nodes), (leaf, &nodes));
        }
    }
    StoredEntry { sequence: index + 1, bytes: bytes.to_vec(), leaf: Some(leaf), nodes: Some(nodes), found_by }
}
