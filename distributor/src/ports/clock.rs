//! What time it is. A port because tests move it by hand, and because license time is not the computer's time: it is
//! `max(now, floor)`, and never goes back.

use jiff::Timestamp;

/// The license time of this server.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;

    /// The vendor signed this time: it is not earlier now. Clocks without a floor need not care.
    fn vendor_said(&self, vendor_time: Timestamp) {
        let _ = vendor_time;
    }
}
