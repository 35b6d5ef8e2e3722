//! Contracts of the log, of counted refusals, and of a ledger that stops.

use std::time::Duration;

use futures_util::FutureExt;
use sealpost_ledger::LedgerError;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Change;
use sealpost_site::queries::{Activity, Clients, Licenses};
use sealpost_test_support::world::{World, computer_name, reserve};

use crate::bench::Bench;
use crate::fixture::{WorldExt, activity, entries_of, find_client, licenses, releases, sound};

pub(super) async fn refusals_are_counted_into_one_entry_per_source_and_minute(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    for second in 0..50 {
        ledger.count_refusal(world.at(second % 10), ProblemCode::NoLease, "pc-1");
        ledger.count_refusal(world.at(second % 10), ProblemCode::Unauthenticated, "192.0.2.9\n");
    }
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = bench.open();
    let counts: Vec<_> = entries_of(&ledger, "refused")
        .await
        .iter()
        .map(|logged| match &logged.entry.change {
            Change::Refused { code, count, .. } => (*code, *count),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts, [(ProblemCode::Unauthenticated, 50), (ProblemCode::NoLease, 50)]);
    sound(&ledger).await;
}

pub(super) async fn the_log_is_filtered_and_bounded(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 30).await;
    let mut news = ledger.subscribe();
    for number in 0..20 {
        world.enrolled(&ledger, &format!("pc-{number}")).await;
    }
    news.wait_for(|sequence| *sequence == 62).await.unwrap();
    let name = computer_name("pc-3");
    let of_client = activity(&ledger, Activity { client: Some(name), ..Activity::default() }).await;
    assert_eq!(of_client.len(), 3);
    let after = of_client[1].entry.sequence;
    let page = activity(&ledger, Activity { after, limit: Some(2), ..Activity::default() }).await;
    assert_eq!(page.len(), 2);
    assert_eq!(page[0].entry.sequence, of_client[2].entry.sequence);
    let since = activity(&ledger, Activity { since: Some(world.at(3)), ..Activity::default() }).await;
    assert!(since.len() >= 20);
    assert!(since.iter().all(|logged| logged.entry.at >= world.at(3)));
    let flood = activity(&ledger, Activity { limit: Some(u32::MAX), ..Activity::default() }).await;
    assert_eq!(flood.len(), 62);
    assert_eq!(ledger.query(Clients { after: None, limit: 7 }).await.unwrap().len(), 7);
    let last = Some(computer_name("pc-8"));
    assert_eq!(ledger.query(Clients { after: last, limit: 7 }).await.unwrap()[0].name.as_str(), "pc-9");
}

pub(super) async fn a_closed_ledger_refuses_and_loses_nothing(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 3).await;
    let (first, closed) = tokio::join!(ledger.execute(world.at(2), reserve("pc-1")), ledger.close());
    closed.unwrap();
    let after = ledger.execute(world.at(2), reserve("pc-2")).await;
    assert!(matches!(after, Err(LedgerError::Closed)), "{after:?}");
    assert!(matches!(ledger.query(Licenses {}).await, Err(LedgerError::Closed)));
    assert!(matches!(ledger.verify_log().await, Err(LedgerError::Closed)));
    assert!(matches!(ledger.check_health().await, Err(LedgerError::Closed)));
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = bench.open();
    let held = find_client(&ledger, &computer_name("pc-1")).await.is_some();
    assert_eq!(held, first.is_ok(), "what was answered is there, and nothing else");
    assert!(find_client(&ledger, &computer_name("pc-2")).await.is_none());
}

pub(super) async fn a_caller_that_disconnects_does_not_hold_up_the_others(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 10).await;
    for number in 0..10 {
        // Polled once, so that it is sent, and dropped.
        let mut command = Box::pin(ledger.execute(world.at(2), reserve(&format!("pc-{number}"))));
        let _ = (&mut command).now_or_never();
        let mut query = Box::pin(releases(&ledger));
        let _ = (&mut query).now_or_never();
    }
    ledger.execute(world.at(2), reserve("pc-0")).await.unwrap();
    assert_eq!(licenses(&ledger).await[0].used, 10);
    sound(&ledger).await;
    tokio::time::timeout(Duration::from_secs(30), ledger.close()).await.unwrap().unwrap();
}
