//! What time it is. A port because tests move it by hand, and because license time is not the computer's time: it is
//! `max(now, floor)`, and never goes back.

use jiff::Timestamp;

/// The license time of this server.
pub trait Clock: Send + Sync + 'static {
    /// Now; never lower than an earlier answer.
    fn now(&self) -> Timestamp;
}
