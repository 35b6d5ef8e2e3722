//! What helps when the server cannot listen, in the words of its configuration.

use std::io;
use std::net::SocketAddr;

use sealpost_service::port_holder::{holder, reason};

use super::settings::DEFAULT_PORT;

/// What helps when a socket cannot be bound; with the `address` of a TCP port, who holds it.
#[must_use]
pub fn port_hint(error: &io::Error, address: Option<SocketAddr>) -> String {
    let held = address.filter(|_| error.kind() == io::ErrorKind::AddrInUse).and_then(holder);
    if let Some(holder) = held {
        return format!(
            "{holder} listens there. Stop it if it is not needed. Change the port, which is {DEFAULT_PORT} everywhere, only \
             if both are needed: `listen` in distributor.toml says it, and computers that are set up look for this server \
             where it was until they have learned the new port from it, so both sides must match"
        );
    }
    let reason =
        reason(error, None).filter(|_| address.is_some() || error.kind() == io::ErrorKind::AddrInUse);
    let next = match error.kind() {
        io::ErrorKind::AddrInUse => "stop that one first",
        io::ErrorKind::PermissionDenied if address.is_some() => {
            "set a higher port in `listen` in distributor.toml"
        }
        io::ErrorKind::AddrNotAvailable => "correct `listen` in distributor.toml",
        _ => "check the address, the path and this account's permissions",
    };
    reason.map_or_else(|| next.to_owned(), |reason| format!("{reason}; {next}"))
}
