use sealpost_files::frame;
use sealpost_manifests::digest::Sha256Digest;

use super::*;

const MONTH: SignedDuration = SignedDuration::from_hours(24 * 30);

fn file(name: &str, bytes: &str) -> MirroredFile {
    MirroredFile { name: name.to_owned(), bytes: bytes.as_bytes().to_vec() }
}

fn generation(timestamp: &str) -> Vec<MirroredFile> {
    vec![
        file("1.root.json", "root"),
        file(&format!("{timestamp}.snapshot.json"), timestamp),
        file("timestamp.json", timestamp),
    ]
}

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + day * 86_400).unwrap()
}

fn folders(root: &Path) -> Vec<u64> {
    numbers(root).unwrap()
}

#[test]
fn a_generation_is_served_whole_and_survives_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let mirror = Mirror::open(root.path()).unwrap();
    assert_eq!(mirror.read("timestamp.json"), Ok(None));
    assert!(mirror.publish(&generation("1"), TargetIndex::default(), MONTH, at(0)).unwrap());
    for mirror in [mirror, Mirror::open(root.path()).unwrap()] {
        assert_eq!(mirror.generation(), Some(1));
        assert_eq!(mirror.read("timestamp.json").unwrap().unwrap(), b"1");
        assert_eq!(mirror.read("1.snapshot.json").unwrap().unwrap(), b"1");
        for name in ["2.snapshot.json", "index", "../mirror/current", ".unfinished.json", "a/b.json", ""] {
            assert_eq!(mirror.read(name), Ok(None), "{name}");
        }
    }
}

#[test]
fn the_same_metadata_again_is_no_new_generation() {
    let root = tempfile::tempdir().unwrap();
    let mirror = Mirror::open(root.path()).unwrap();
    assert!(mirror.publish(&generation("1"), TargetIndex::default(), MONTH, at(0)).unwrap());
    assert!(!mirror.publish(&generation("1"), TargetIndex::default(), MONTH, at(1)).unwrap());
    assert_eq!(folders(root.path()), [1]);
}

#[test]
fn replaced_metadata_stays_readable_for_thirty_days_and_roots_for_ever() {
    let root = tempfile::tempdir().unwrap();
    let mirror = Mirror::open(root.path()).unwrap();
    mirror.publish(&generation("1"), TargetIndex::default(), MONTH, at(0)).unwrap();
    let mut next = generation("2");
    next[0] = file("2.root.json", "root two");
    mirror.publish(&next, TargetIndex::default(), MONTH, at(100)).unwrap();
    assert_eq!(mirror.read("timestamp.json").unwrap().unwrap(), b"2");
    assert_eq!(mirror.read("1.snapshot.json").unwrap().unwrap(), b"1", "just replaced");
    mirror.publish(&generation("3"), TargetIndex::default(), MONTH, at(129)).unwrap();
    assert_eq!(mirror.read("1.snapshot.json").unwrap().unwrap(), b"1", "replaced 29 days ago");
    mirror.publish(&generation("4"), TargetIndex::default(), MONTH, at(131)).unwrap();
    assert_eq!(mirror.read("1.snapshot.json"), Ok(None), "replaced 31 days ago");
    assert_eq!(folders(root.path()), [4, 3, 2]);
    assert_eq!(mirror.read("1.root.json").unwrap().unwrap(), b"root");
    assert_eq!(mirror.read("2.root.json").unwrap().unwrap(), b"root two");
}

#[test]
fn what_is_configured_counts_from_the_first_pull_on() {
    let root = tempfile::tempdir().unwrap();
    for (number, day) in [("1", 0), ("2", 1)] {
        Mirror::open(root.path())
            .unwrap()
            .publish(&generation(number), TargetIndex::default(), MONTH, at(day))
            .unwrap();
    }
    let year = SignedDuration::from_hours(24 * 365);
    for (keep, kept) in [(year, &[3, 2, 1][..]), (MONTH, &[3, 2])] {
        let mirror = Mirror::open(root.path()).unwrap();
        mirror.publish(&generation("3"), TargetIndex::default(), keep, at(60)).unwrap();
        assert_eq!(folders(root.path()), kept);
    }
}

#[test]
fn generations_are_bounded_however_fast_the_vendor_publishes() {
    let root = tempfile::tempdir().unwrap();
    let mirror = Mirror::open(root.path()).unwrap();
    for number in 1..=103 {
        mirror.publish(&generation(&number.to_string()), TargetIndex::default(), MONTH, at(0)).unwrap();
    }
    let kept = folders(root.path());
    assert_eq!((kept.len(), kept.first(), kept.last()), (MAX_GENERATIONS, Some(&103), Some(&4)));
    assert_eq!(mirror.read("timestamp.json").unwrap().unwrap(), b"103");
}

#[test]
fn many_generations_back_a_file_is_found_though_its_index_is_not_in_memory() {
    let root = tempfile::tempdir().unwrap();
    let mirror = Mirror::open(root.path()).unwrap();
    for number in 1..=8 {
        mirror.publish(&generation(&number.to_string()), TargetIndex::default(), MONTH, at(number)).unwrap();
    }
    assert_eq!(mirror.read("1.snapshot.json").unwrap().unwrap(), b"1");
}

#[test]
fn an_old_generation_that_is_damaged_is_not_taken_for_absence_and_does_not_keep_agents_from_following_the_roots()
 {
    let root = tempfile::tempdir().unwrap();
    let mirror = Mirror::open(root.path()).unwrap();
    for number in 1..=8 {
        mirror.publish(&generation(&number.to_string()), TargetIndex::default(), MONTH, at(number)).unwrap();
    }
    fs::write(root.path().join("gen-00000001/index"), b"nonsense").unwrap();
    let mirror = Mirror::open(root.path()).unwrap();
    assert_eq!(mirror.read("2.root.json"), Ok(None), "this is how following the roots ends");
    assert!(matches!(mirror.read("1.snapshot.json"), Err(MirrorReadError::Damaged { .. })));
    assert_eq!(mirror.read("2.snapshot.json").unwrap().unwrap(), b"2");
    assert_eq!(mirror.read("timestamp.json").unwrap().unwrap(), b"8");
}

#[test]
fn each_role_says_when_it_expires_and_of_the_roots_the_newest_does() {
    let root = tempfile::tempdir().unwrap();
    let mirror = Mirror::open(root.path()).unwrap();
    assert_eq!(mirror.expiries(), Ok(Vec::new()));
    let role = |name: &str, day: i64| {
        file(name, &format!("{{\"signed\":{{\"_type\":\"x\",\"expires\":\"{}\"}}}}", at(day)))
    };
    let files = [
        role("9.root.json", 1),
        role("10.root.json", 365),
        role("timestamp.json", 7),
        role("4.acme-av.json", 90),
    ];
    mirror.publish(&files, TargetIndex::default(), MONTH, at(0)).unwrap();
    let expiry = |role: &str, day: i64| RoleExpiry { role: role.to_owned(), at: at(day) };
    let expected = [expiry("acme-av", 90), expiry("root", 365), expiry("timestamp", 7)];
    assert_eq!(mirror.expiries().unwrap(), expected);
}

#[test]
fn a_flipped_bit_is_an_error_until_the_next_pull_repairs_it() {
    let root = tempfile::tempdir().unwrap();
    let mirror = Mirror::open(root.path()).unwrap();
    mirror.publish(&generation("1"), TargetIndex::default(), MONTH, at(0)).unwrap();
    fs::write(root.path().join("gen-00000001/timestamp.json"), b"0").unwrap();
    assert!(matches!(mirror.read("timestamp.json"), Err(MirrorReadError::Damaged { .. })));
    assert!(mirror.publish(&generation("1"), TargetIndex::default(), MONTH, at(1)).unwrap(), "written anew");
    assert_eq!(mirror.read("timestamp.json").unwrap().unwrap(), b"1");
}

#[test]
fn a_damaged_index_is_not_taken_for_an_empty_mirror() {
    let root = tempfile::tempdir().unwrap();
    Mirror::open(root.path())
        .unwrap()
        .publish(&generation("1"), TargetIndex::default(), MONTH, at(0))
        .unwrap();
    let index = root.path().join("gen-00000001/index");
    let mut bytes = fs::read(&index).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(&index, bytes).unwrap();
    let mirror = Mirror::open(root.path()).unwrap();
    assert!(matches!(mirror.read("timestamp.json"), Err(MirrorReadError::Damaged { .. })));
    assert!(mirror.find_target("x").is_none());
    assert!(
        matches!(mirror.listed(), Err(MirrorReadError::Damaged { .. })),
        "nothing may be said to be listed no longer"
    );
    mirror.publish(&generation("1"), TargetIndex::default(), MONTH, at(1)).unwrap();
    assert_eq!(mirror.read("timestamp.json").unwrap().unwrap(), b"1");
}

#[test]
fn a_kill_before_the_switch_leaves_the_old_generation_current() {
    let root = tempfile::tempdir().unwrap();
    let mirror = Mirror::open(root.path()).unwrap();
    mirror.publish(&generation("1"), TargetIndex::default(), MONTH, at(0)).unwrap();
    // As a process killed just before the switch leaves it: a whole new generation, and a half one.
    let index = Index::of(&generation("2"), TargetIndex::default(), at(1));
    Generation::write(root.path(), 2, &generation("2"), &index, None).unwrap();
    fs::create_dir(root.path().join(UNFINISHED)).unwrap();
    let mirror = Mirror::open(root.path()).unwrap();
    assert_eq!(mirror.read("timestamp.json").unwrap().unwrap(), b"1");
    assert!(mirror.publish(&generation("2"), TargetIndex::default(), MONTH, at(2)).unwrap());
    assert_eq!(mirror.read("timestamp.json").unwrap().unwrap(), b"2");
    assert!(!root.path().join(UNFINISHED).exists());
}

#[test]
fn an_index_of_an_older_format_counts_as_damaged_until_the_next_pull() {
    let root = tempfile::tempdir().unwrap();
    Mirror::open(root.path())
        .unwrap()
        .publish(&generation("1"), TargetIndex::default(), MONTH, at(0))
        .unwrap();
    let index = root.path().join("gen-00000001/index");
    fs::write(&index, format!("sealpost-mirror-1 {}\n{{}}", Sha256Digest::of(b"{}"))).unwrap();
    let mirror = Mirror::open(root.path()).unwrap();
    assert!(matches!(mirror.read("timestamp.json"), Err(MirrorReadError::Damaged { .. })));
    mirror.publish(&generation("1"), TargetIndex::default(), MONTH, at(1)).unwrap();
    assert_eq!(mirror.read("timestamp.json").unwrap().unwrap(), b"1");
}

/// Frozen: mirrors that are on disk today must be readable for ever.
#[test]
fn an_index_of_the_second_format_is_read() {
    const DIGEST: &str = "4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2";
    let json = format!(
        "{{\"published_at\":\"2027-01-15T08:00:00Z\",\"files\":{{\"timestamp.json\":{{\"sha256\":\"{DIGEST}\",\
         \"length\":4}}}},\"targets\":{{\"trust.json\":{{\"name\":\"trust.json\",\"sha256\":\"{DIGEST}\",\"length\":4,\
         \"class\":\"trust\"}},\"a.channels\":{{\"name\":\"a.channels\",\"sha256\":\"{DIGEST}\",\"length\":4,\
         \"class\":\"channels\",\"package\":\"a\"}},\"a_1_any.tar.gz\":{{\"name\":\"a_1_any.tar.gz\",\
         \"sha256\":\"{DIGEST}\",\"length\":4,\"class\":\"release\",\"release\":{{\"package\":\"a\",\"version\":\"1\",\
         \"platform\":\"any\"}},\"manifest\":\"{DIGEST}\"}}}}}}"
    );
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("gen-00000001");
    fs::create_dir(&folder).unwrap();
    let header = format!("sealpost-mirror-2 {} {}\n", json.len(), Sha256Digest::of(json.as_bytes()));
    assert_eq!(frame("sealpost-mirror-2", json.as_bytes()), format!("{header}{json}").as_bytes());
    fs::write(folder.join("index"), format!("{header}{json}")).unwrap();
    fs::write(folder.join("timestamp.json"), b"root").unwrap();
    symlink("gen-00000001", root.path().join("current")).unwrap();
    let mirror = Mirror::open(root.path()).unwrap();
    assert_eq!(mirror.read("timestamp.json").unwrap().unwrap(), b"root");
    for name in ["trust.json", "a.channels", "a_1_any.tar.gz"] {
        assert_eq!(mirror.find_target(&format!("{DIGEST}.{name}")).unwrap().name.as_str(), name);
    }
    // What is written today is the same, key by key.
    let written = serde_json::to_value(&Generation::load(root.path(), 1).unwrap().index).unwrap();
    assert_eq!(written, serde_json::from_str::<serde_json::Value>(&json).unwrap());
}

#[test]
fn named_pipes_in_place_of_kept_files_are_replaced_by_the_next_pull_and_not_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let mirror = Mirror::open(root.path()).unwrap();
    mirror.publish(&generation("1"), TargetIndex::default(), MONTH, at(0)).unwrap();
    for path in ["roots/1.root.json", "gen-00000001/1.root.json"].map(|name| root.path().join(name)) {
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    }
    assert!(mirror.publish(&generation("2"), TargetIndex::default(), MONTH, at(1)).unwrap());
    assert_eq!(mirror.read("1.root.json").unwrap().unwrap(), b"root");
    assert_eq!(fs::read(root.path().join("roots/1.root.json")).unwrap(), b"root");
}
