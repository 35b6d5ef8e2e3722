//! What only a database file can suffer: edits by somebody else, another server, another version.

mod damage;
mod edits;
mod grants;
mod opening;
mod witness;

use sealpost_ledger::Ledger;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_test_support::world::World;

use crate::fixture::WorldExt;

/// A ledger with some of everything in it.
async fn lived_in(world: &World, ledger: &Ledger) {
    world.unlock(ledger, 3).await;
    world.pull(ledger, 4).await;
    world.approved(ledger, "acme-av", 1, &["stable"]).await;
    world.approved(ledger, "acme-av", 2, &["stable"]).await;
    let mut computer = world.enrolled(ledger, "pc-1").await;
    for contact in 1..5 {
        world.contacts(ledger, &mut computer, contact * 100_000).await;
    }
    ledger.count_refusal(world.at(9), ProblemCode::NoLease, "pc-9");
}
