//! What only the store in memory can show: a ledger without a first entry, and calls in a wrong order.

use std::sync::Arc;

use sealpost_ledger::store::{Split, Store};
use sealpost_ledger::{Ledger, StartError};
use sealpost_site::changes::Note;
use sealpost_test_support::memory_store::MemoryStore;
use sealpost_test_support::world::World;

use crate::bench::settings;

#[test]
fn a_ledger_that_is_bound_to_no_server_does_not_start() {
    let error = Ledger::start(Box::new(MemoryStore::default()), settings()).unwrap_err();
    assert!(matches!(error, StartError::Unbound), "{error:?}");
    assert!(error.to_string().contains("distributor init"));
}

#[test]
fn the_store_in_memory_refuses_calls_in_a_wrong_order() {
    let world = World::new();
    let store = MemoryStore::new(world.server_id.clone(), world.site.public(), world.start).unwrap();
    let Split { mut writer, .. } = Box::new(store).split(0, &Arc::default()).unwrap();
    let note = Note::PullTried { at: world.at(1) };
    assert!(writer.savepoint().is_err() && writer.note(&note).is_err() && writer.commit().is_err());
    writer.begin().unwrap();
    assert!(writer.begin().is_err(), "one transaction at a time");
    assert!(writer.keep().is_err() && writer.undo().is_err(), "no savepoint was set");
    writer.savepoint().unwrap();
    writer.note(&note).unwrap();
    writer.keep().unwrap();
    writer.commit().unwrap();
}
