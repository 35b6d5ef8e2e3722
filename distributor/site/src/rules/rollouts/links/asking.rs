//! Clients and their requests, for tests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sealpost_manifests::ids::ClientId;

use super::line::{Proof, Request};

/// Requests are numbered through all tests.
static NUMBER: AtomicU64 = AtomicU64::new(1);

pub(super) fn client(number: u16) -> ClientId {
    let mut bytes = [7; 16];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    ClientId::from_random(bytes)
}

pub(super) fn asks(client: &ClientId, bytes: u64) -> Request<'_> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Request { client, proof: Proof::First, number, bytes }
}

pub(super) fn repeated(client: &ClientId, bytes: u64) -> Request<'_> {
    Request { proof: Proof::Repeated, ..asks(client, bytes) }
}

pub(super) const fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}
