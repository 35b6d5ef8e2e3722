//! What applying deltas may take: time of the processor, in all tries together; and when it makes way.
//!
//! Invariants: a try is noted before the first byte of a delta is read, so that what kills the agent does not kill it for ever;
//! its time is noted when it ends, so that a try which is interrupted begins no new budget.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sealpost_files::with_causes;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::release::Refusal;
use crate::home::Home;
use crate::platform::disk;
use crate::platform::store::StoreError;
use crate::records::tries::{self, Tries};

/// Time of the processor that deltas may take however small their target is.
const CPU_TIME: Duration = Duration::from_secs(30);
/// Bytes of a target for which it may take one second more: an old computer makes ten times as many.
const BYTES_PER_SECOND: u64 = 1024 * 1024;

/// The time that so many deltas to a release of this size may take.
pub fn time_for(installed_bytes: u64, deltas: usize) -> Duration {
    let each = Duration::from_secs(installed_bytes / BYTES_PER_SECOND);
    CPU_TIME.saturating_add(each.saturating_mul(u32::try_from(deltas).unwrap_or(u32::MAX)))
}

/// A try of the deltas to a release that goes on.
#[derive(Debug)]
pub struct Try<'h> {
    home: &'h Home,
    release: Sha256Digest,
    before: Tries,
    began: Duration,
}

impl<'h> Try<'h> {
    /// Notes that one begins; `None` if no more are tried.
    ///
    /// # Errors
    /// [`Refusal`] when it cannot be noted.
    pub fn begin(home: &'h Home, release: &Sha256Digest) -> Result<Option<Self>, Refusal> {
        let before = tries::load(home, release);
        if before.are_used_up() {
            return Ok(None);
        }
        tries::save(home, release, &before.begun()).map_err(|error| not_noted(&error))?;
        Ok(Some(Self { home, release: *release, before, began: cpu_time() }))
    }

    /// Whether all tries together are within this time.
    #[must_use]
    pub fn is_within(&self, most: Duration) -> bool {
        self.before.spent().saturating_add(self.took()) <= most
    }

    /// Notes that it ended, and the agent did not; `most` is what all of them may take.
    pub fn end(self, most: Duration) {
        let after = self.before.ended(self.took(), !self.is_within(most));
        if let Err(error) = tries::save(self.home, &self.release, &after) {
            // It counts as one over which the agent ended, then.
            tracing::warn!("{}", with_causes(&error));
        }
    }

    fn took(&self) -> Duration {
        cpu_time().saturating_sub(self.began)
    }
}

fn not_noted(error: &StoreError) -> Refusal {
    let is_full = matches!(error, StoreError::Io { source, .. } if disk::is_full(source));
    let reason = if is_full { ReasonCode::DiskFull } else { ReasonCode::LocalFault };
    Refusal::new(reason, format!("cannot note that a delta is tried: {}", with_causes(error)))
}

/// What this thread has taken of the processor.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let secs = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::from_secs(secs).saturating_add(Duration::from_nanos(nanos.into()))
}
