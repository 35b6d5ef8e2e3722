//! The gate file: what [`crate::domain::gate`] decided, where the product reads it.

use std::io;

use crate::domain::gate::{Gate, LeaseNow, decide};
use crate::home::Home;
use crate::platform::files::{PUBLIC, read_bounded, write_atomic};

use super::state::{Holdings, Progress};

/// Longest gate file, in bytes.
const MAX_GATE_BYTES: u64 = 4 * 1024;

/// The gate as it stands; `None` if there is no file, or none that is understood.
#[must_use]
pub fn read(home: &Home) -> Option<Gate> {
    let bytes = read_bounded(&home.gate(), MAX_GATE_BYTES).ok().flatten()?;
    serde_json::from_slice(&bytes).ok()
}

/// Decides and, if something changed, writes. `holdings` is `None` when they cannot be used: then nothing opens, and
/// an open `run` stays open.
///
/// # Errors
/// The system's.
pub(super) fn update(home: &Home, progress: &Progress, holdings: Option<&Holdings>) -> io::Result<Gate> {
    let found = read(home);
    let lease = match holdings.and_then(|holdings| holdings.lease.good()) {
        Some(_) => LeaseNow::Live,
        None => LeaseNow::NotLive,
    };
    let licensed_before = progress.standing != crate::domain::cadence::Standing::Unlicensed;
    let was = Gate { run: licensed_before || found.is_some_and(|gate| gate.run), ..Gate::CLOSED };
    let gate = decide(was, progress.standing, lease);
    if found != Some(gate) {
        let text = serde_json::to_vec(&gate).map_err(io::Error::other)?;
        write_atomic(&home.gate(), &text, PUBLIC)?;
        tracing::info!(
            run = gate.run,
            upload = gate.upload,
            remote_management = gate.remote_management,
            "gate"
        );
    }
    Ok(gate)
}
