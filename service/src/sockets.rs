//! Listeners that systemd opened and holds (socket activation), so that nobody is refused while a program is replaced.
//!
//! Invariant: only what was meant for this very process (`LISTEN_PID`) is taken, and once.
//! Left out on purpose: binding when there is none; the programs do that with their own configuration.

use std::env;
use std::io;
use std::net::TcpListener;
use std::process;

use listenfd::ListenFd;

/// The inherited TCP listeners in the order of the socket units, ready for `tokio::net::TcpListener::from_std`. Empty
/// without a socket unit. Call it once, early: a second call finds none.
///
/// # Errors
/// What was handed over is no TCP listener; then none is used.
pub fn inherited() -> io::Result<Vec<TcpListener>> {
    // The library takes what names no process at all, too. systemd always names one.
    let is_meant = env::var("LISTEN_PID").is_ok_and(|id| id.parse() == Ok(process::id()));
    if !is_meant {
        return Ok(Vec::new());
    }
    let mut handed_over = ListenFd::from_env();
    let mut listeners = Vec::with_capacity(handed_over.len());
    for index in 0..handed_over.len() {
        if let Some(listener) = handed_over.take_tcp_listener(index)? {
            listener.set_nonblocking(true)?;
            listeners.push(listener);
        }
    }
    Ok(listeners)
}
