//! A server that did not run says so in its log.

use std::net::TcpListener;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sealpost_distributor::app::{Server, StartOptions, StoppedServer};
use sealpost_distributor::home::Home;

use crate::admin::log;
use crate::program::stdout;
use crate::site::{Site, TestClock};
use crate::vendor::start_vendor;

/// What the log says of starts: since when no server ran, and until when.
async fn starts(site: &Site) -> Vec<(Timestamp, Timestamp)> {
    let time = |value: &serde_json::Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    let read = |text: &str| {
        let entry: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(entry["actor"]["kind"], "server");
        (time(&entry["change"]["last_sign"]), time(&entry["at"]))
    };
    log(site, "kind=server_started").await.iter().map(|entry| read(entry.entry.get())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_could_not_start_leaves_its_home_to_the_next_one() {
    let vendor = start_vendor(1).await;
    let site = Site::start(&vendor).await;
    let home = site.home();
    site.server.stop().await.unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = Some(taken.local_addr().unwrap());
    let blobs = Home::at(&home).blobs();
    let aside = blobs.with_extension("aside");
    for _ in 0..10 {
        // It fails once with everything open, and once in the middle of opening.
        Server::start(&home, StartOptions { listen, ..StartOptions::default() }).await.unwrap_err();
        StoppedServer::open(&home).await.unwrap().close().await.unwrap();
        std::fs::rename(&blobs, &aside).unwrap();
        std::fs::write(&blobs, "no folder").unwrap();
        Server::start(&home, StartOptions::default()).await.unwrap_err();
        StoppedServer::open(&home).await.unwrap().close().await.unwrap();
        std::fs::remove_file(&blobs).unwrap();
        std::fs::rename(&aside, &blobs).unwrap();
    }
    Server::start(&home, StartOptions::default()).await.unwrap().stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_off_for_days_says_so_once_and_not_before_it_listens() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let site = site.restart().await;
    assert_eq!(starts(&site).await, [], "it was off for a moment");
    let (off, clock) = (site.clock.now(), site.clock.clone());
    site.clock.forward(SignedDuration::from_hours(50));
    let site = site
        .between(async |home| {
            // Somebody else has its port: it does not run yet.
            let taken = TcpListener::bind("127.0.0.1:0").unwrap();
            let options = StartOptions {
                listen: Some(taken.local_addr().unwrap()),
                clock: Some(Arc::new(TestClock(clock.clone()))),
                ..StartOptions::default()
            };
            Server::start(home, options).await.unwrap_err();
            clock.forward(SignedDuration::from_hours(1));
        })
        .await;
    let found = starts(&site).await;
    let [(since, until)] = found.as_slice() else { panic!("{found:?}") };
    assert!(*since <= off && off.duration_since(*since) < SignedDuration::from_mins(10), "{since} {off}");
    assert_eq!(until.duration_since(off).as_hours(), 51);
    let home = site.home();
    let said = tokio::task::spawn_blocking(move || stdout(&home, &["log", "--kind", "server_started"]));
    let said = said.await.unwrap();
    let wanted = "the server: listens again; this ledger has no sign of a running server from ";
    assert!(said.contains(wanted) && said.contains("(2 d 3 h)"), "{said}");
    // It starts again some minutes later, twice: nothing is said.
    let mut site = site;
    for _ in 0..2 {
        site.clock.forward(SignedDuration::from_mins(7));
        site = site.restart().await;
    }
    assert_eq!(starts(&site).await.len(), 1);
}
