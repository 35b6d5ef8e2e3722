//! Roots, frontiers and stored nodes.

use super::reference::{Store, entries, tree_hash};
use crate::digest::Sha256Digest;
use crate::log::{Frontier, LogHead, MAX_LOG_SIZE, NodeId, WrongNodes, frontier_nodes, leaf_of};

/// The leaves with which implementations of RFC 6962 are compared, and the root after each.
pub(super) const KNOWN: [(&[u8], &str); 8] = [
    (b"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    (b"\x00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    (b"\x10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    (b"\x20\x21", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    (b"\x30\x31", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
    (b"\x40\x41\x42\x43", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
    (b"\x50\x51\x52\x53\x54\x55\x56\x57", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    (
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ),
];

fn node(level: u8, index: u64) -> NodeId {
    NodeId { level, index }
}

#[test]
fn the_roots_are_those_that_every_implementation_has() {
    let mut store = Store::default();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(store.head(), LogHead { size: 0, root: empty.parse().unwrap() });
    assert_eq!(store.head(), LogHead::empty());
    for (size, (entry, root)) in (1..).zip(KNOWN) {
        store.append(entry);
        assert_eq!(store.head(), LogHead { size, root: root.parse().unwrap() });
    }
}

#[test]
fn every_size_has_the_root_of_the_definition_and_loads_again_from_stored_nodes() {
    let entries = entries(70);
    let whole = Store::of(&entries);
    let mut growing = Frontier::empty();
    for size in 0..=entries.len() {
        let loaded = Frontier::load(size as u64, whole.load(&frontier_nodes(size as u64))).unwrap();
        assert_eq!(loaded, growing);
        assert_eq!(loaded.head(), LogHead { size: size as u64, root: tree_hash(&entries[..size]) });
        if let Some(entry) = entries.get(size) {
            growing.append(crate::log::leaf_hash(entry));
        }
    }
}

#[test]
fn each_append_completes_the_nodes_that_end_with_it_and_none_twice() {
    let mut store = Store::default();
    let ids = |nodes: Vec<crate::log::Node>| nodes.iter().map(|node| node.id).collect::<Vec<_>>();
    assert_eq!(ids(store.append(b"a")), [node(0, 0)]);
    assert_eq!(ids(store.append(b"b")), [node(0, 1), node(1, 0)]);
    assert_eq!(ids(store.append(b"c")), [node(0, 2)]);
    assert_eq!(ids(store.append(b"d")), [node(0, 3), node(1, 1), node(2, 0)]);
    assert_eq!(frontier_nodes(7), [node(2, 0), node(1, 2), node(0, 6)]);
    assert_eq!(frontier_nodes(0), []);
    // Less than two nodes for each entry, the leaf included.
    let written: usize = entries(200).iter().map(|entry| store.append(entry).len()).sum();
    assert!(written < 2 * 200, "{written}");
}

#[test]
fn a_frontier_is_not_loaded_from_another_number_of_nodes() {
    let hash = Sha256Digest::of(b"");
    for (size, found) in [(0, 1), (1, 0), (6, 1), (6, 3), (MAX_LOG_SIZE, 62), (1 << 63, 1), (u64::MAX, 64)] {
        assert_eq!(Frontier::load(size, vec![hash; found]), Err(WrongNodes { size, found }));
    }
    let full = Frontier::load(MAX_LOG_SIZE, vec![hash; 63]).unwrap();
    assert_eq!(full.clone().append(hash).len(), 64);
    assert_eq!(frontier_nodes(u64::MAX).len(), 64);
}

#[test]
fn entry_one_is_leaf_zero() {
    assert_eq!((leaf_of(0), leaf_of(1), leaf_of(74)), (None, Some(0), Some(73)));
}

#[test]
fn a_head_reads_back_as_it_is_written() {
    let head = Store::of(&entries(3)).head();
    let json = serde_json::to_string(&head).unwrap();
    assert_eq!(json, format!("{{\"size\":3,\"root\":\"{}\"}}", head.root));
    assert_eq!(serde_json::from_str::<LogHead>(&json).unwrap(), head);
}
