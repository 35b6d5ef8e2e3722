//! The listener that a server begins with: one that somebody else holds, or one of its own.
//!
//! systemd's socket unit holds the port while the program is replaced: connections wait in its queue, and none is refused.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

/// Takes over the listener that was handed over, or binds the wanted address.
///
/// # Errors
/// What the system said.
pub async fn take(
    inherited: Option<Arc<std::net::TcpListener>>,
    wanted: SocketAddr,
) -> io::Result<TcpListener> {
    let Some(held) = inherited else { return TcpListener::bind(wanted).await };
    let listener = held.try_clone()?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
