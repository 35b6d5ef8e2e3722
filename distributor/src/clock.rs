//! The computer's clock with the floor of license time under it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_site::queries;
use sealpost_site::rules::time_floor::TimeFloor;

use crate::ports::clock::Clock;

/// License time as it passes. The rule is `rules::time_floor`'s; this only reads the clocks for it.
#[derive(Debug)]
pub struct LicenseClock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    floor: TimeFloor,
    observed: Instant,
}

impl LicenseClock {
    /// A clock that never shows a time before `floor`.
    pub fn new(floor: Timestamp) -> Self {
        Self { state: Mutex::new(State { floor: TimeFloor::new(floor), observed: Instant::now() }) }
    }

    /// A clock that never shows a time before what a ledger knows, so that a clock which is set back before a start
    /// brings nothing back.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn over(ledger: &Ledger) -> Result<Self, LedgerError> {
        let floor = ledger.query(queries::TimeFloor {}).await?.unwrap_or(Timestamp::UNIX_EPOCH);
        if floor > Timestamp::now() {
            tracing::warn!(%floor, "this computer's clock is behind the time that the ledger knows; set it right");
        }
        Ok(Self::new(floor))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Two plain values: a panic cannot leave them half-changed in a way that matters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for LicenseClock {
    fn now(&self) -> Timestamp {
        let local = Timestamp::now();
        let mut state = self.lock();
        let elapsed = SignedDuration::try_from(state.observed.elapsed()).unwrap_or(SignedDuration::ZERO);
        state.observed = Instant::now();
        state.floor.observe_local(local, elapsed);
        state.floor.license_time(local)
    }

    fn vendor_said(&self, vendor_time: Timestamp) {
        self.lock().floor.observe_vendor(vendor_time);
    }
}
