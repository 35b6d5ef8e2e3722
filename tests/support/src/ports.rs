//! Ports for servers that have to come back where they were.
//!
//! Invariant: a port that was given is outside the range from which the system chooses by itself, so no connection of another
//! test gets it while its server is down; and a datagram socket of the same number, held until the process ends, keeps it from
//! the tests of other processes.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::process;
use std::sync::Mutex;

/// The lowest port that is tried.
const LOWEST_PORT: u32 = 20_000;

/// What keeps the ports of this process.
static HELD: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// A port that nobody listens on. Until this process ends nobody else gets it from here.
///
/// # Panics
/// When the range of the system's own ports cannot be read, or none is free below it.
#[must_use]
pub fn free_port() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let end: u32 = range.split_whitespace().next().unwrap().parse().unwrap();
    let count = end.saturating_sub(LOWEST_PORT);
    let mut held = HELD.lock().unwrap();
    // Processes that start one after the other begin apart from each other.
    let first = process::id().wrapping_mul(101);
    let mut ports = (0..count).map(|next| LOWEST_PORT + first.wrapping_add(next) % count);
    let found = ports.find_map(|port| {
        let port = u16::try_from(port).ok()?;
        let claim = UdpSocket::bind(("127.0.0.1", port)).ok()?;
        TcpListener::bind(("127.0.0.1", port)).ok().map(|_| (port, claim))
    });
    assert!(
        found.is_some(),
        "no port is free from {LOWEST_PORT} to {end}, below those that the system gives out"
    );
    let (port, claim) = found.unwrap();
    held.push(claim);
    port
}
