//! The ways to the server: who hears them, in which bytes, and who did not yet.

use sealpost_ledger::Ledger;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::order::{Epoch, Order};
use sealpost_manifests::setup::ServerEntry;
use sealpost_site::commands::restores::DeclareRestore;
use sealpost_site::commands::servers::AnnounceServers;
use sealpost_site::queries::{LeftBehind, ServersLearned};
use sealpost_site::rows::{LeftBehindRow, ServersLearnedRow};
use sealpost_site::rules::restore::RestoreCause;
use sealpost_test_support::world::{World, admin, computer_name, era};

use super::restored::{RESTORED, lived_in, stops};
use crate::bench::Bench;
use crate::fixture::{WorldExt, entries_of, sound};

async fn announced(world: &World, ledger: &Ledger, seconds: i64, ways: Vec<ServerEntry>) -> Order {
    ledger.execute(world.at(seconds), AnnounceServers { actor: admin(), ways }).await.unwrap()
}

async fn learned(ledger: &Ledger) -> ServersLearnedRow {
    ledger.query(ServersLearned {}).await.unwrap().unwrap()
}

pub(super) async fn a_client_learns_the_newest_ways_once_and_who_did_not_is_listed(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    let mut one = world.enrolled(&ledger, "pc-1").await;
    let mut two = world.enrolled(&ledger, "pc-2").await;
    assert!(world.contacts(&ledger, &mut one, 10).await.server_list.is_none(), "nothing was announced");
    assert_eq!(ledger.query(ServersLearned {}).await.unwrap(), None);

    let ways = vec![world.way("new.example", 443), world.way("old.example", 16770)];
    let order = announced(world, &ledger, 20, ways.clone()).await;
    assert_eq!(announced(world, &ledger, 30, ways.clone()).await, order, "the same ways are no change");
    assert_eq!(entries_of(&ledger, "server_list_changed").await.len(), 1);
    let row = learned(&ledger).await;
    assert_eq!((row.order, row.issued_at, row.waiting), (order, world.at(20), 2));
    assert_eq!(row.names, [computer_name("pc-1"), computer_name("pc-2")]);

    let first = world.contacts(&ledger, &mut one, 40).await.server_list.unwrap();
    let second = world.contacts(&ledger, &mut two, 50).await.server_list.unwrap();
    assert_eq!(first.servers, ways);
    let signed = |list| SignedDocument::sign(list, &world.site).unwrap();
    assert_eq!(signed(&first).document, signed(&second).document, "the same bytes for all");
    assert_eq!(first.problem(&ways[1]), None);

    // Whoever says that it holds the list does not get it again, and waits no more.
    assert_eq!(learned(&ledger).await.waiting, 2, "neither has said yet that it has it");
    assert!(world.contacts(&ledger, &mut one, 60).await.server_list.is_none());
    let row = learned(&ledger).await;
    assert_eq!((row.waiting, row.names), (1, vec![computer_name("pc-2")]));
    assert!(world.contacts(&ledger, &mut two, 70).await.server_list.is_none());
    assert_eq!(learned(&ledger).await.waiting, 0);

    // A retry of a contact gets it too.
    let later = announced(world, &ledger, 80, vec![world.way("new.example", 443)]).await;
    assert!(later > order);
    let sent = world.answer(&one);
    for seconds in [90, 91] {
        let outcome = ledger.execute(world.at(seconds), sent.clone()).await.unwrap();
        assert_eq!(outcome.server_list.unwrap().order(), later);
    }
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = bench.open();
    assert_eq!(learned(&ledger).await.order, later);
    sound(&ledger).await;
}

pub(super) async fn who_did_not_learn_a_list_is_left_behind_until_it_is_heard_again(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    let mut knows = world.enrolled(&ledger, "pc-1").await;
    let mut returns = world.enrolled(&ledger, "pc-2").await;
    world.enrolled(&ledger, "pc-3").await;
    let first = announced(world, &ledger, 10, vec![world.way("first.example", 16770)]).await;
    for seconds in [20, 30] {
        world.contacts(&ledger, &mut knows, seconds).await;
    }
    announced(world, &ledger, 40, vec![world.way("second.example", 16770)]).await;
    let later = world.reserved(&ledger, "pc-4").await;
    ledger.execute(world.at(60), world.enroll(&later)).await.unwrap();
    let left = async |ledger: &Ledger| {
        let query = LeftBehind { sequence: first.sequence, since: world.at(50) };
        ledger.query(query).await.unwrap()
    };
    let names = |names: &[&str]| names.iter().map(|name| computer_name(name)).collect::<Vec<_>>();
    let expected = LeftBehindRow { count: 2, names: names(&["pc-2", "pc-3"]) };
    assert_eq!(left(&ledger).await, expected, "pc-4 has come later");
    world.contacts(&ledger, &mut returns, 70).await;
    assert_eq!(left(&ledger).await, LeftBehindRow { count: 1, names: names(&["pc-3"]) });
    ledger.close().await.unwrap();
    drop(ledger);
    assert_eq!(left(&bench.open()).await.count, 1);
}

pub(super) async fn a_list_of_before_a_restore_does_not_count_although_its_sequence_is_used_again(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut computer = lived_in(world, &ledger, 5).await;
    announced(world, &ledger, 30, vec![world.way("first.example", 16770)]).await;
    for seconds in [40, 50] {
        world.contacts(&ledger, &mut computer, seconds).await;
    }
    let backup = bench.copy();
    let lost = announced(world, &ledger, 60, vec![world.way("lost.example", 16770)]).await;
    for seconds in [70, 80] {
        world.contacts(&ledger, &mut computer, seconds).await;
    }
    assert_eq!(computer.server_list.as_ref().unwrap().order(), lost);
    stops(ledger).await;

    let ledger = backup.open();
    world.goes_on(&ledger, &mut computer, RESTORED, 1).await;
    let ways = vec![world.way("other.example", 16770)];
    let order = announced(world, &ledger, RESTORED + 10, ways).await;
    assert_eq!(order, lost, "the restored ledger knows nothing of the list that it lost");
    let left = async |since: i64| {
        let query = LeftBehind { sequence: order.sequence, since: world.at(RESTORED + since) };
        ledger.query(query).await.unwrap()
    };
    let behind = LeftBehindRow { count: 1, names: vec![computer_name("pc-1")] };
    assert_eq!(left(20).await, behind, "what it holds leads elsewhere");
    ledger.execute(world.at(RESTORED + 30), world.asks_to_confirm(2)).await.unwrap();
    world.accept(&ledger, world.confirming(2, 2, 5)).await.unwrap();
    assert_eq!(left(20).await, behind, "nor does the vendor's word change what it holds");
    for seconds in [40, 50] {
        world.contacts(&ledger, &mut computer, RESTORED + seconds).await;
    }
    assert_eq!(left(60).await, LeftBehindRow::default(), "it holds the list of the epoch that confirmed");
    ledger.close().await.unwrap();
    drop(ledger);
    let query = LeftBehind { sequence: order.sequence, since: world.at(RESTORED + 60) };
    assert_eq!(backup.open().query(query).await.unwrap().count, 0);
}

pub(super) async fn a_list_that_a_client_claims_and_nobody_announced_decides_nothing(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    let mut liar = world.enrolled(&ledger, "pc-1").await;
    let mut other = world.enrolled(&ledger, "pc-2").await;
    announced(world, &ledger, 10, vec![world.way("old.example", 16770)]).await;
    world.contacts(&ledger, &mut liar, 20).await;
    let list = liar.server_list.as_mut().unwrap();
    (list.epoch, list.sequence) = (Epoch::of(u32::MAX, 7), u64::MAX);
    assert!(world.contacts(&ledger, &mut liar, 30).await.server_list.is_none());
    assert_eq!(learned(&ledger).await.names, [computer_name("pc-2")]);
    let order = announced(world, &ledger, 40, vec![world.way("new.example", 443)]).await;
    assert_eq!(order.sequence, 2, "nobody's word moves the next list");
    assert_eq!(world.contacts(&ledger, &mut other, 50).await.server_list.unwrap().order(), order);
    assert!(world.contacts(&ledger, &mut liar, 60).await.server_list.is_none());
}

pub(super) async fn while_a_restored_ledger_is_not_confirmed_nobody_counts_as_having_learned_its_list(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    announced(world, &ledger, 10, vec![world.way("first.example", 16770)]).await;
    for seconds in [20, 30] {
        world.contacts(&ledger, &mut computer, seconds).await;
    }
    assert_eq!(learned(&ledger).await.waiting, 0);
    // The list that it holds may be another one of the same order, which the ledger has lost.
    let cause = RestoreCause::Rebuilt { head: ledger.head() };
    let declared = DeclareRestore { actor: admin(), cause, new_era: era(1) };
    ledger.execute(world.at(40), declared).await.unwrap();
    let row = learned(&ledger).await;
    assert_eq!((row.waiting, row.names), (1, vec![computer_name("pc-1")]));
}
