//! Contracts of the log, of counted refusals, and of a ledger that stops.

use std::time::Duration;

use futures_util::FutureExt;
use sealpost_keys::Token;
use sealpost_ledger::LedgerError;
use sealpost_manifests::log::{LogHead, NodeId, ProofPlan, leaf_hash, verify_consistency, verify_inclusion};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Change;
use sealpost_site::commands::pulls::PullFailed;
use sealpost_site::commands::tokens::UseToken;
use sealpost_site::queries::{Activity, Clients, LastPull, Licenses, LogEnd, LogEntry, LogNodes, Only};
use sealpost_site::rows::{ClientRow, PullRow};
use sealpost_site::rules::account::{ByAccount, TokenId};
use sealpost_test_support::world::{World, computer_name, reserve};

use crate::bench::Bench;
use crate::fixture::{WorldExt, activity, clients, entries_of, find_client, licenses, releases, sound};

pub(super) async fn refusals_are_counted_into_one_entry_per_source_and_minute(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    for second in 0..50 {
        let name = computer_name("pc-1");
        ledger.count_refusal_of(world.at(second % 10), ProblemCode::NoLease, "192.0.2.7", Some(&name));
        ledger.count_refusal(world.at(second % 10), ProblemCode::Unauthenticated, "192.0.2.9\n");
    }
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = bench.open();
    let counts: Vec<_> = entries_of(&ledger, "refused")
        .await
        .iter()
        .map(|logged| match logged.entry.change().unwrap() {
            Change::Refused { code, count, .. } => (*code, *count),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts, [(ProblemCode::Unauthenticated, 50), (ProblemCode::NoLease, 50)]);
    // What is known to be about a computer is found by its name.
    let of_name = Activity { client: Some(computer_name("pc-1")), ..Activity::default() };
    let of_name = activity(&ledger, of_name).await;
    assert_eq!(of_name.len(), 1);
    assert!(of_name[0].summary.contains("of 192.0.2.7 about pc-1"), "{}", of_name[0].summary);
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
    let after = of_client[1].entry.sequence();
    let page = activity(&ledger, Activity { after, limit: Some(2), ..Activity::default() }).await;
    assert_eq!(page.len(), 2);
    assert_eq!(page[0].entry.sequence(), of_client[2].entry.sequence());
    let since = activity(&ledger, Activity { since: Some(world.at(3)), ..Activity::default() }).await;
    assert!(since.len() >= 20);
    assert!(since.iter().all(|logged| logged.entry.at() >= world.at(3)));
    let until = Activity { until: Some(world.at(2)), ..Activity::default() };
    let until = activity(&ledger, until).await;
    assert!(!until.is_empty() && until.iter().all(|logged| logged.entry.at() <= world.at(2)));
    let newest = Activity { end: LogEnd::Newest, limit: Some(2), ..Activity::default() };
    let newest: Vec<u64> = activity(&ledger, newest).await.iter().map(|one| one.entry.sequence()).collect();
    assert_eq!(newest, [61, 62], "the last ones, oldest first");
    let by = |name: &str| Activity { by: Some(ByAccount::typed(name)), ..Activity::default() };
    let of_admin = activity(&ledger, by("alice")).await;
    assert!(
        of_admin.len() >= 40 && of_admin.iter().all(|logged| logged.summary.contains("alice")),
        "{of_admin:?}"
    );
    assert!(activity(&ledger, by("pc-1")).await.is_empty(), "a computer is no admin");
    assert_eq!(activity(&ledger, by("socket:alice")).await.len(), of_admin.len());
    assert!(activity(&ledger, by("token:alice")).await.is_empty());
    // A token of the same name is another admin.
    let token: Token = "A".repeat(43).parse().unwrap();
    let id = TokenId::of(&token.digest());
    let used = UseToken { name: "alice".to_owned(), token: id.clone(), source: "192.0.2.7".to_owned() };
    ledger.execute(world.at(3), used).await.unwrap();
    assert_eq!(activity(&ledger, by("socket:alice")).await.len(), of_admin.len());
    assert_eq!(activity(&ledger, by("alice")).await.len(), of_admin.len() + 1);
    for typed in ["token:alice".to_owned(), format!("token:{id}"), id.to_string()] {
        let of_token = activity(&ledger, by(&typed)).await;
        assert_eq!(of_token.len(), 1, "{typed}");
        assert!(of_token[0].summary.starts_with(&format!("token alice [{id}]: ")), "{}", of_token[0].summary);
    }
    let kinds = ["seat_reserved", "setup_issued"].map(str::to_owned).to_vec();
    let of_kinds = activity(&ledger, Activity { kinds, ..Activity::default() }).await;
    assert_eq!(of_kinds.len(), 40);
    let failures = Activity { only: Only::Failures, ..Activity::default() };
    assert!(activity(&ledger, failures.clone()).await.is_empty(), "nothing went wrong");
    let failed = PullFailed { reason: "no route".to_owned() };
    ledger.execute(world.at(4), failed).await.unwrap();
    assert_eq!(activity(&ledger, failures).await[0].entry.kind(), "pull_failed");
    let flood = activity(&ledger, Activity { limit: Some(u32::MAX), ..Activity::default() }).await;
    assert_eq!(flood.len(), 64);
    assert_eq!(ledger.query(Clients::all(None, 7)).await.unwrap().len(), 7);
    let last = Some(computer_name("pc-8"));
    assert_eq!(ledger.query(Clients::all(last, 7)).await.unwrap()[0].name.as_str(), "pc-9");
}

pub(super) async fn a_closed_ledger_refuses_and_loses_nothing(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 3).await;
    let (first, closed) = tokio::join!(ledger.execute(world.at(2), reserve("pc-1")), ledger.close());
    closed.unwrap();
    let after = ledger.execute(world.at(2), reserve("pc-2")).await;
    assert!(matches!(after, Err(LedgerError::Closed)), "{after:?}");
    assert!(matches!(ledger.query(Licenses {}).await, Err(LedgerError::Closed)));
    assert!(matches!(ledger.verify_log(Vec::new()).await, Err(LedgerError::Closed)));
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

pub(super) async fn every_head_that_the_log_had_is_proven_and_no_other(world: &World, bench: &dyn Bench) {
    let mut ledger = bench.open();
    let mut heads = vec![LogHead::empty(), ledger.head()];
    world.unlock(&ledger, 30).await;
    heads.push(ledger.head());
    for number in 0..20 {
        ledger.execute(world.at(2), reserve(&format!("pc-{number}"))).await.unwrap();
        heads.push(ledger.head());
    }
    for restart in [false, true] {
        if restart {
            ledger.close().await.unwrap();
            drop(ledger);
            ledger = bench.open();
        }
        assert_eq!(Some(&ledger.head()), heads.last());
        for (at, older) in heads.iter().enumerate() {
            assert!(ledger.had_head(*older).await.unwrap(), "{}", older.size);
            for newer in &heads[at..] {
                let plan = ProofPlan::consistency(older.size, newer.size).unwrap();
                let proof = ledger.prove(plan).await.unwrap().unwrap();
                verify_consistency(older, newer, &proof).unwrap();
            }
        }
        let newest = *heads.last().unwrap();
        for logged in activity(&ledger, Activity::default()).await {
            let sequence = logged.entry.sequence();
            let stored = ledger.query(LogEntry { sequence }).await.unwrap();
            assert_eq!(stored, Some(logged.bytes.clone()));
            assert_eq!(logged.leaf, leaf_hash(&logged.bytes));
            let plan = ProofPlan::inclusion(sequence - 1, newest.size).unwrap();
            let proof = ledger.prove(plan).await.unwrap().unwrap();
            verify_inclusion(&logged.leaf, sequence - 1, &newest, &proof).unwrap();
        }
    }
    let newest = *heads.last().unwrap();
    let other = LogHead { root: heads[3].root, ..newest };
    assert!(!ledger.had_head(other).await.unwrap());
    assert!(!ledger.had_head(LogHead { size: newest.size + 1, ..newest }).await.unwrap());
    assert_eq!(ledger.query(LogEntry { sequence: newest.size + 1 }).await.unwrap(), None);
    assert_eq!(ledger.query(LogEntry { sequence: 0 }).await.unwrap(), None);
    // Nodes that are not complete are not there; the others come in the order in which they are asked for.
    let node = |level, index| NodeId { level, index };
    let nodes = vec![node(0, newest.size), node(1, 0), node(4, 1), node(0, 0), node(40, 0)];
    let found = ledger.query(LogNodes { nodes }).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false, true, false]);
    assert_eq!(found[1], Some(heads[2].root), "the root over two entries is a node");
    assert_eq!(found[3], Some(heads[1].root));
    sound(&ledger).await;
}

pub(super) async fn the_log_alone_makes_the_same_ledger_without_what_was_only_noted(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 3).await;
    world.pull(&ledger, 4).await;
    world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    world.contacts(&ledger, &mut computer, 10).await;
    world.reserved(&ledger, "pc-2").await;
    let (head, before) = (ledger.head(), clients(&ledger).await);
    let entries = activity(&ledger, Activity::default()).await;
    ledger.close().await.unwrap();
    drop(ledger);

    let rebuilt = bench.rebuilt();
    let ledger = rebuilt.open();
    assert_eq!(ledger.head(), head);
    let again = activity(&ledger, Activity::default()).await;
    assert!(again.iter().map(|logged| &logged.bytes).eq(entries.iter().map(|logged| &logged.bytes)));
    let chained = |rows: Vec<ClientRow>| -> Vec<ClientRow> {
        let of_log = |row: ClientRow| ClientRow {
            agent_version: None,
            hostname: None,
            instance: None,
            last_contact: None,
            ..row
        };
        rows.into_iter().map(of_log).collect()
    };
    let after = clients(&ledger).await;
    assert_eq!(after[0].last_contact, None, "the contact was only noted");
    assert_eq!(chained(after), chained(before));
    let pulled = PullRow { timestamp_version: Some(1), ..PullRow::default() };
    assert_eq!(ledger.query(LastPull {}).await.unwrap(), pulled, "when it was is only noted");
    assert_eq!(licenses(&ledger).await[0].used, 2);
    sound(&ledger).await;
}
