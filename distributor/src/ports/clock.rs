//! What time it is. A port because tests move it by hand, and because license time is not the computer's time: it is
//! `max(now, floor)`, and never goes back.

use jiff::Timestamp;
use sealpost_site::queries::StoredTime;

/// The license time of this server.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;

    /// This computer's clock, without the floor. Clocks without a floor need not care.
    fn local(&self) -> Timestamp {
        self.now()
    }

    /// Takes what the ledger noted of license time: a statement of the vendor may have raised or lowered it. Clocks
    /// without a floor need not care.
    fn adopt(&self, noted: &StoredTime) {
        let _ = noted;
    }
}
