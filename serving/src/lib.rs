//! Serving HTTP/1.1, written once for the programs that listen: accepting connections over TCP, TLS and Unix sockets,
//! with every bound that must hold before a request exists; and limits on what one source may do.
//!
//! Invariants: connections are bounded in number, in all, per source while they have not shown whose they are, and per
//! client from then on; a connection for which there is no room is closed at once, unless another one makes way; a
//! handshake, each request head and each stalled write have a deadline, and handshakes a rate; on a stop, requests under
//! way may end for a bounded time; every map has a fixed largest size, whatever is sent.
//! Left out on purpose: HTTP/2 (a client has one or two connections, and each bound here is simpler with HTTP/1.1),
//! routing, and what a request may do (both are the programs').

#![warn(missing_docs)]

mod attempts;
mod books;
mod budgets;
mod connection;
mod forwarded;
mod handshakes;
mod known;
mod limits;
mod listener;
mod open_files;
mod peer;
mod places;
mod serve;
mod shares;
mod socket_path;
mod source;
mod stall;
mod standing;
pub mod tls;
mod turns;

pub use attempts::FailedAttempts;
pub use budgets::{Budgets, Rate};
pub use forwarded::is_forwarded;
pub use limits::{AnswerPace, ConnectionLimits, CountedBy, Stays};
pub use listener::{Listener, TlsListeners, bind_private_socket};
pub use open_files::connections_that_files_allow;
pub use peer::Peer;
pub use serve::serve;
pub use shares::{Share, ShareLimits, Shares};
pub use socket_path::SocketPath;
pub use standing::{HeldConnection, Standing};
