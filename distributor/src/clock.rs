//! The computer's clock with the floor of license time under it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::license_time::LicenseFloor;
use sealpost_site::queries::{LicenseTime, StoredTime};

use crate::ports::clock::Clock;

/// License time as it passes. The rule is `license_time`'s of the manifests; this only reads the clocks for it.
#[derive(Debug)]
pub struct LicenseClock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    floor: LicenseFloor,
    observed: Instant,
}

impl LicenseClock {
    /// A clock that never shows a time before what was noted.
    pub fn new(noted: &StoredTime) -> Self {
        Self { state: Mutex::new(State { floor: floor_of(noted), observed: Instant::now() }) }
    }

    /// A clock that never shows a time before what a ledger knows, so that a clock which is set back before a start
    /// brings nothing back.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn over(ledger: &Ledger) -> Result<Self, LedgerError> {
        let noted = ledger.query(LicenseTime {}).await?;
        let clock = Self::new(&noted);
        let floor = clock.lock().floor.floor();
        if floor > Timestamp::now() {
            tracing::warn!(%floor, "this computer's clock is behind the time that the ledger knows; set it right");
        }
        Ok(clock)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Two plain values: a panic cannot leave them half-changed in a way that matters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn floor_of(noted: &StoredTime) -> LicenseFloor {
    LicenseFloor::from_stored(noted.floor.unwrap_or(Timestamp::UNIX_EPOCH), noted.statement)
}

impl Clock for LicenseClock {
    fn now(&self) -> Timestamp {
        let local = Timestamp::now();
        let mut state = self.lock();
        let elapsed = SignedDuration::try_from(state.observed.elapsed()).unwrap_or(SignedDuration::ZERO);
        state.observed = Instant::now();
        state.floor.observe(local, elapsed);
        state.floor.license_time(local)
    }

    fn local(&self) -> Timestamp {
        Timestamp::now()
    }

    fn adopt(&self, noted: &StoredTime) {
        let mut state = self.lock();
        // Without a newer statement the floor that is noted lags behind the one that passes here.
        if noted.statement != state.floor.statement() {
            state.floor = floor_of(noted);
        }
    }
}
