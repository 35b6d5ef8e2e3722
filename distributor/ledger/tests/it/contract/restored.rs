//! What the contracts of restores have in common: a server that is lived in, and goes on, and stops.

use sealpost_ledger::Ledger;
use sealpost_test_support::world::{Computer, DAY, World};

use crate::fixture::WorldExt;

/// Seconds at which the servers here are restored.
pub(super) const RESTORED: i64 = 3 * DAY;

/// A site with a release, and one computer that contacted twice.
pub(super) async fn lived_in(world: &World, ledger: &Ledger, seats: u32) -> Computer {
    world.unlock(ledger, seats).await;
    world.pull(ledger, 4).await;
    world.approved(ledger, "acme-av", 1, &["stable"]).await;
    let mut computer = world.enrolled(ledger, "pc-1").await;
    for seconds in [10, 20] {
        world.contacts(ledger, &mut computer, seconds).await;
    }
    computer
}

/// It contacts for two more days: what comes of that is lost later.
pub(super) async fn lives_on(world: &World, ledger: &Ledger, computer: &mut Computer) {
    for seconds in [DAY + 100, 2 * DAY + 200, 2 * DAY + 300] {
        world.contacts(ledger, computer, seconds).await;
    }
}

/// The server stops, and a copy of its home that was made before takes its place.
pub(super) async fn stops(ledger: Ledger) {
    ledger.close().await.unwrap();
}
