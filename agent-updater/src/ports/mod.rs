//! Traits with two implementations, or with a fault to inject: time, free disk space, the source of releases, and the
//! points at which a test ends the process.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::refresh::DeltaWay;
use sealpost_manifests::wire::report::TransferredBytes;

use crate::domain::boot::BootMoment;
use crate::domain::install::JournalStep;
use crate::domain::release::Refusal;
use crate::domain::self_update::step::TrialStep;
use crate::domain::way::Hop;

pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    /// This moment on the boot clock; `None` if it cannot be read.
    fn boot(&self) -> Option<BootMoment>;
}

pub trait Disk: Send + Sync {
    /// Free bytes on the file system of a path.
    ///
    /// # Errors
    /// The system's.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// The source of the bytes of a verified release. Nothing it returns is trusted.
pub trait Source {
    /// The way by deltas that was chosen, if the source told of any.
    fn way(&self) -> Option<&DeltaWay> {
        None
    }

    /// Whether the vendor's verified metadata list a manifest of this digest for the package: then what it says is the vendor's
    /// word, also of a release that this computer only passes.
    ///
    /// # Errors
    /// [`Refusal`]; the caller falls back to the payload.
    fn lists(&mut self, manifest: &Sha256Digest) -> Result<bool, Refusal> {
        let _ = manifest;
        Ok(false)
    }

    /// Why work on the release is to make way now, if it is.
    fn interruption(&self) -> Option<Refusal> {
        None
    }

    /// Fetches a delta into a file of at most its `most_bytes`; `false` if there is none.
    ///
    /// # Errors
    /// [`Refusal`]; the caller falls back to the payload.
    fn delta(&mut self, hop: &Hop, destination: &Path) -> Result<bool, Refusal>;

    /// Fetches the payload of the release, resuming what an earlier try left.
    ///
    /// # Errors
    /// [`Refusal`].
    fn payload(&mut self, destination: &Path) -> Result<(), Refusal>;

    /// What traveled since this was asked last, the documents that led here included. A source without a line has nothing
    /// to say.
    fn traveled(&mut self) -> TransferredBytes {
        TransferredBytes::default()
    }
}

/// A point at which a test may end the process: before and after each step is recorded.
pub trait Faults: Send + Sync {
    /// Called with `before-STEP` and `after-STEP`.
    ///
    /// # Errors
    /// [`Killed`], in tests that simulate a kill within one process; the caller returns at once and cleans up nothing.
    fn at(&self, point: &str) -> Result<(), Killed>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the process was to end here")]
pub struct Killed;

/// The names of all points, for tests that visit each of them.
#[must_use]
pub fn fault_points() -> Vec<String> {
    let mut names: Vec<&str> = JournalStep::ALL.iter().map(|step| step.name()).collect();
    names.push(CLEARED);
    names.iter().flat_map(|name| [format!("before-{name}"), format!("after-{name}")]).collect()
}

/// The names of the points of a self-update, for tests that visit each of them.
#[must_use]
pub fn self_update_points() -> Vec<String> {
    let names = TrialStep::ALL.iter().map(|step| step.name());
    names.flat_map(|name| [format!("before-{name}"), format!("after-{name}")]).collect()
}

/// The point at which the daemon begins: a new program may hang there.
pub const DAEMON_BEGINS: &str = "daemon-begins";

/// The point at which the daemon begins to serve its control socket, in a task of its own.
pub const CONTROL_BEGINS: &str = "control-begins";

/// The point at which a cycle of the daemon begins, in a thread of its own.
pub const CYCLE_BEGINS: &str = "cycle-begins";

/// The point at which the watchdog of a trial begins.
pub const WATCH_BEGINS: &str = "watch-begins";

/// The point before another program of the agent is executed in the place of this one.
pub const EXECUTES: &str = "executes";

/// The point of the journal's removal, which ends a change.
pub const CLEARED: &str = "cleared";
