use super::*;
use sealpost_keys::{KeyId, PublicKey};
use sealpost_manifests::ids::ServerId;

fn server() -> ServerIdentity {
    ServerIdentity {
        server_id: ServerId::from_random([7; 16]),
        site_key: PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]),
    }
}

fn stored(linked: LinkedEntry) -> StoredEntry {
    StoredEntry {
        sequence: linked.entry.sequence,
        found_by: FoundBy::of(&linked.entry),
        bytes: linked.bytes,
        leaf: Some(linked.leaf),
        nodes: Some(linked.nodes),
    }
}

fn log(entries: u64) -> (Vec<StoredEntry>, Vec<LogHead>) {
    let server = server();
    let mut log = Frontier::empty();
    let (mut all, mut heads) = (Vec::new(), Vec::new());
    for number in 0..entries {
        let change = match number {
            0 => Change::ServerInitialized {
                server_id: server.server_id.clone(),
                site_key: server.site_key.clone(),
            },
            _ => Change::PullFailed { reason: format!("failure {number}") },
        };
        let at = Timestamp::from_second(i64::try_from(number).unwrap()).unwrap();
        all.push(stored(link(&mut log, at, Actor::Server, change).unwrap()));
        heads.push(log.head());
    }
    (all, heads)
}

fn check(log: &[StoredEntry], witnessed: Vec<LogHead>) -> LogCheck {
    let mut check = Check::new(Some(server()), witnessed);
    for entry in log {
        if check.next(entry) == Next::Stop {
            break;
        }
    }
    check.finish()
}

fn damaged_at(log: &[StoredEntry]) -> Option<u64> {
    check(log, Vec::new()).damage.map(|damage| damage.sequence)
}

/// The log with an entry said in other bytes, with a leaf to match.
fn rehashed(log: &[StoredEntry], at: usize) -> Vec<StoredEntry> {
    let mut log = log.to_vec();
    log[at].bytes.push(b' ');
    log[at].leaf = Some(leaf_hash(&log[at].bytes));
    log
}

#[test]
fn every_edit_gap_and_move_is_found_where_it_is() {
    let (good, _) = log(6);
    assert_eq!(damaged_at(&good), None);
    let edit = |change: &dyn Fn(&mut Vec<StoredEntry>)| {
        let mut log = good.clone();
        change(&mut log);
        damaged_at(&log)
    };
    assert_eq!(edit(&|log| log[2].bytes.push(b' ')), Some(3));
    assert_eq!(edit(&|log| log[2].leaf = None), Some(3));
    assert_eq!(edit(&|log| log[3].nodes = None), Some(4));
    assert_eq!(edit(&|log| log[3].nodes.as_mut().unwrap()[1] = leaf_hash(b"other")), Some(4));
    assert_eq!(edit(&|log| drop(log.remove(2))), Some(3));
    assert_eq!(edit(&|log| drop(log.remove(0))), Some(1));
    assert_eq!(edit(&|log| log.swap(2, 3)), Some(3));
    assert_eq!(edit(&|log| log[2].found_by.kind = "delta_made".to_owned()), Some(3));
    assert_eq!(edit(&|log| log[2].found_by.at_micros += 1), Some(3));
    assert_eq!(edit(&|log| log[2].found_by.computer = Some("pc".to_owned())), Some(3));
    assert_eq!(edit(&|log| log.clear()), Some(1));
    // With a leaf to match, the next complete node shows it.
    assert_eq!(damaged_at(&rehashed(&good, 2)), Some(4));
}

#[test]
fn an_edit_at_the_end_and_a_cut_are_found_by_who_saw_a_head() {
    let (whole, heads) = log(7);
    assert_eq!(check(&whole, heads.clone()).damage, None);
    assert_eq!(check(&rehashed(&whole, 6), Vec::new()).damage, None, "nothing inside the log shows it");
    let damage = check(&rehashed(&whole, 6), vec![heads[6]]).damage.unwrap();
    assert_eq!(damage.sequence, 7);
    let damage = check(&whole[..4], vec![heads[2], heads[6]]).damage.unwrap();
    assert_eq!(damage.sequence, 5);
    assert!(damage.what.contains("cut off"), "{}", damage.what);
    // Put back, and grown in another way: it is shorter than what was seen, and other entries stand before its end.
    let damage = check(&rehashed(&whole[..5], 4), vec![heads[6]]).damage.unwrap();
    assert!(damage.what.contains("which it does not extend"), "{}", damage.what);
    assert!(damage.what.contains("the first that differs is not known"), "{}", damage.what);
}

#[test]
fn a_head_that_several_saw_is_no_damage() {
    let (whole, heads) = log(5);
    assert_eq!(check(&whole, vec![heads[4], heads[2], heads[4], heads[2]]).damage, None);
    let other = LogHead { root: leaf_hash(b"other"), ..heads[4] };
    for witnessed in [vec![heads[4], other], vec![other, heads[4]]] {
        assert_eq!(check(&whole, witnessed).damage.unwrap().sequence, 5);
    }
}

#[test]
fn a_log_of_another_server_is_found() {
    let mut check = Check::new(None, Vec::new());
    assert_eq!(check.next(&log(1).0[0]), Next::Stop);
}

#[test]
fn an_entry_of_a_newer_version_is_no_damage() {
    let (mut all, _) = log(2);
    let mut tree = Frontier::empty();
    add(&mut tree, &all[0].bytes);
    add(&mut tree, &all[1].bytes);
    for text in [
        r#"{"version":2,"sequence":3,"at":"2030-01-01T00:00:00Z","actor":{"kind":"server"},"change":{"type":"moon_landed"}}"#,
        r#"{"version":9,"sequence":4,"at":"2030-01-01T00:00:00Z","actor":{"kind":"server"},"change":{"type":"pull_failed","reason":7}}"#,
        r#"{"version":2,"sequence":5,"at":"2030-01-01T00:00:00Z","actor":{"kind":"robot"},"change":{"type":"pull_failed","reason":""}}"#,
    ] {
        let (leaf, nodes) = add(&mut tree, text.as_bytes());
        let read = read(text.as_bytes()).unwrap();
        assert!(matches!(read, ReadEntry::Newer(_)), "{text}");
        assert!(read.summary().contains("newer version"), "{}", read.summary());
        all.push(StoredEntry {
            sequence: read.sequence(),
            bytes: text.as_bytes().to_vec(),
            leaf: Some(leaf),
            nodes: Some(nodes),
            found_by: FoundBy { at_micros: 0, kind: read.kind().to_owned(), computer: None },
        });
    }
    let result = check(&all, Vec::new());
    assert_eq!((result.damage, result.newer), (None, 3));
    assert!(read(b"{}").is_err() && read(br#"{"version":2,"sequence":3,"at":"2030-01-01T00:00:00Z","actor":7,"change":{"type":"refused"}}"#).is_err());
}

#[test]
fn a_node_is_stored_with_the_entry_that_completes_it() {
    let node = |level, index| NodeId { level, index };
    assert_eq!(place_of(node(0, 4)), (5, None));
    assert_eq!(place_of(node(1, 0)), (2, Some(0)));
    assert_eq!(place_of(node(3, 1)), (16, Some(2)));
}
