use jiff::Timestamp;
use sealpost_keys::SigningKey;
use sealpost_ledger::LedgerSettings;
use sealpost_ledger::sqlite::{self, SqliteStore};
use sealpost_manifests::ids::ServerId;
use sealpost_site::rules::rollouts::links::line::WINDOW;
use tempfile::TempDir;

use super::*;

const SHORT: Wanted = Wanted { length: SHORT_BYTES, bytes: SHORT_BYTES };
const LONG: Wanted = Wanted { length: 1 << 30, bytes: 1 << 30 };

fn desk() -> (TempDir, Arc<LinkDesk>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let key = SigningKey::generate().unwrap().public();
    sqlite::create(&path, ServerId::of_site_key(&key), key, Timestamp::UNIX_EPOCH).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    let ledger = Ledger::start(Box::new(store), LedgerSettings::default()).unwrap();
    (folder, LinkDesk::new(Arc::new(ledger), WINDOW))
}

/// Settings with a link of this name and subnet, or without any. A version is above that of the ledger, which has none.
fn plan(version: u64, link: Option<(&'static str, &str)>, rate: &str) -> Plan {
    let mut plan = Plan { version: 100 + version, ..Plan::default() };
    let links = link.map(|(name, subnet)| {
        (Word::known(name), Link::new(vec![subnet.parse().unwrap()], rate.parse().unwrap(), 3).unwrap())
    });
    plan.settings.links = links.into_iter().collect();
    plan
}

/// What a computer at `10.2.0.1` gets that asks so.
fn ask(desk: &Arc<LinkDesk>, number: u8, proof: Proof, wanted: Wanted) -> Option<Result<Passage, Refused>> {
    let client = ClientId::from_random([number; 16]);
    desk.ask("10.2.0.1".parse().unwrap(), (&client, proof), wanted)
}

fn passage(desk: &Arc<LinkDesk>, number: u8, wanted: Wanted) -> Passage {
    ask(desk, number, Proof::First, wanted).unwrap().unwrap()
}

#[tokio::test]
async fn bodies_whose_request_was_replaced_cost_their_link_no_time() {
    let (_folder, desk) = desk();
    desk.follow(&plan(1, Some(("north", "10.2.0.0/16")), "64 kB/s"));
    for _ in 0..60 {
        let replaced = passage(&desk, 1, SHORT);
        let _body = tokio::spawn(async move { replaced.wait_for(1 << 20).await });
        // It is polled once, and stands in the queue.
        tokio::task::yield_now().await;
    }
    let other = passage(&desk, 2, SHORT);
    let began = Instant::now();
    assert_eq!(other.wait_for(1 << 20).await.unwrap(), 8_000);
    // Two pieces at an eighth of a second; 60 would be 7 s.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_download_whose_computer_is_behind_another_link_now_is_cut_and_behind_none_it_is_free() {
    let (_folder, desk) = desk();
    let north = Some(("north", "10.2.0.0/16"));
    desk.follow(&plan(1, north, "1 MB/s"));
    let (one, other) = (passage(&desk, 1, LONG), passage(&desk, 2, LONG));
    assert_eq!(one.wait_for(1_000).await.unwrap(), 1_000);
    // The same link at another rate.
    desk.follow(&plan(2, north, "24 kB/s"));
    assert_eq!(one.wait_for(1 << 20).await.unwrap(), 3_000);
    desk.follow(&plan(3, Some(("south", "10.2.0.0/16")), "1 MB/s"));
    let cut = one.wait_for(1_000).await.unwrap_err();
    assert!(cut.to_string().contains("behind another link now"), "{cut}");
    let goes_on = passage(&desk, 1, LONG);
    // Settings that were read before, and come late, change nothing.
    desk.follow(&plan(2, north, "24 kB/s"));
    assert_eq!(goes_on.wait_for(1_000).await.unwrap(), 1_000);
    desk.follow(&plan(4, Some(("south", "10.3.0.0/16")), "1 MB/s"));
    assert_eq!(goes_on.wait_for(1 << 20).await.unwrap(), 1 << 20, "nothing holds it back");
    assert_eq!(desk.lock().uses[&Word::known("south")].line.under_way(), 0, "and it holds no turn");
    // It is behind its link again, and has no turn there.
    desk.follow(&plan(5, Some(("south", "10.0.0.0/8")), "1 MB/s"));
    assert!(goes_on.wait_for(1).await.is_err() && other.wait_for(1).await.is_err());
}

#[tokio::test]
async fn part_of_a_long_file_is_a_long_download_and_a_repeated_token_replaces_none_of_its_computer() {
    let (_folder, desk) = desk();
    desk.follow(&plan(1, Some(("north", "10.2.0.0/16")), "1 MB/s"));
    let own = passage(&desk, 1, Wanted { bytes: SHORT_BYTES, ..LONG });
    assert_eq!((own.kind, passage(&desk, 2, SHORT).kind), (Kind::Long, Kind::Short));
    let Some(Err(refused)) = ask(&desk, 1, Proof::Repeated, LONG) else { panic!("it replaced a turn") };
    let (Refused::Held { again_in, .. }, problem) = (&refused, not_yet(&refused)) else {
        panic!("{refused:?}")
    };
    assert_eq!(*again_in, Duration::from_secs(5));
    let said = format!("{problem:?}");
    assert!(said.contains("LinkBusy") && said.contains("make another contact"), "{said}");
    assert_eq!(own.wait_for(1_000).await.unwrap(), 1_000, "its download goes on");
}

#[tokio::test]
async fn one_looks_at_the_settings_and_the_others_go_on_meanwhile() {
    let (_folder, desk) = desk();
    assert!(desk.is_to_look());
    assert!(!desk.is_to_look(), "one is looking");
    desk.lock().looked = Instant::now().checked_sub(LOOK_EVERY);
    assert!(desk.is_to_look());
}
