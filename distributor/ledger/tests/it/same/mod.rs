//! Two stores, one history: the same commands get the same answers, byte for byte, and leave the same log and lists.

mod pair;
mod questions;
mod site;

use std::collections::BTreeSet;

use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::summary;
use sealpost_test_support::seats::{Happens, noted_by_name, seat_changes};
use sealpost_test_support::world::{World, computer_name};

pub(crate) use self::pair::Pair;
pub(crate) use self::questions::{Known, asks_everything};
pub(crate) use self::site::Site;
use crate::bench::{Bench, MemoryBench, SqliteBench};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_with_one_history_give_the_same_answers_and_the_same_log() {
    let mut kinds: BTreeSet<String> = BTreeSet::new();
    for seed in 0..3 {
        let world = World::new();
        let mut sqlite: Box<dyn Bench> = Box::new(SqliteBench::new(&world));
        let mut memory: Box<dyn Bench> = Box::new(MemoryBench::new(&world));
        let pair = Pair::of(sqlite.open(), memory.open());
        let mut site = Site::new(&world, pair, seed + 100);
        site.begins().await;
        for round in 0..8 {
            // Every fourth time the server is restored: a copy of both stores takes their places.
            let backup = (round % 4 == 2).then(|| (sqlite.copy(), memory.copy()));
            for _ in 0..150 {
                site.step().await;
            }
            kinds.extend(asks_everything(&site.pair, &site.known).await);
            if round % 2 == 1 {
                let now = site.now();
                for ledger in [&site.pair.sqlite, &site.pair.memory] {
                    ledger.count_refusal(now, ProblemCode::NoLease, "pc-1");
                }
            }
            if backup.is_some() || round % 2 == 1 {
                site.pair.close().await;
                if let Some(backup) = backup {
                    (sqlite, memory) = backup;
                }
                site.pair = Pair::of(sqlite.open(), memory.open());
            }
        }
        site.people().await;
        let now = site.now();
        site.pair.execute(now, Happens(seat_changes(&world, "seat-"))).await.unwrap();
        site.pair.execute(now, noted_by_name(&["by-name-1", "by-name-2"])).await.unwrap();
        site.known.names.extend((7..13).map(|number| computer_name(&format!("seat-{number}"))));
        kinds.extend(asks_everything(&site.pair, &site.known).await);
        site.pair.close().await;
        // What the log alone makes is the same too.
        (sqlite, memory) = (sqlite.rebuilt(), memory.rebuilt());
        let pair = Pair::of(sqlite.open(), memory.open());
        asks_everything(&pair, &site.known).await;
        pair.close().await;
    }
    assert_eq!(kinds, summary::KINDS.map(str::to_owned).into(), "every kind of change is tried");
}
