//! The signals that a service obeys: SIGTERM and SIGINT stop it, SIGHUP makes it read its configuration again and
//! reopen its logs.
//!
//! Invariant: from [`Signals::listen`] on none of the three ends the process by itself, and none that came is lost; several
//! of one kind that come together count as one.
//! Left out on purpose: what a stop or a reload does.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: finish what is under way, and end.
    Stop,
    /// SIGHUP: read the configuration again, reopen logs, and go on. What cannot be read leaves the old in force.
    Reload,
}

/// The process's signals. Listen once, before the program says that it is ready.
#[derive(Debug)]
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hang_up: Stream,
}

impl Signals {
    /// Takes the three signals over. Needs a tokio runtime.
    ///
    /// # Errors
    /// The system's.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal. A stop goes before a reload. Safe to drop at any time: no signal is lost by it.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }
}
