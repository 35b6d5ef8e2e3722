//! Deciding the gate, and writing it if it changed.

use std::io;

use crate::domain::cadence::Standing;
use crate::domain::gate::{Gate, LeaseNow, decide};
use crate::home::Home;
use crate::records::gate::{read, write};
use crate::records::holdings::Holdings;
use crate::records::progress::Progress;

/// Updates the gate file. `holdings` is `None` if they cannot be used: then nothing opens, and an open `run` stays
/// open.
///
/// # Errors
/// The system's.
pub(super) fn update(home: &Home, progress: &Progress, holdings: Option<&Holdings>) -> io::Result<()> {
    let written = read(home);
    let lease = match holdings.and_then(|holdings| holdings.lease.good()) {
        Some(_) => LeaseNow::Live,
        None => LeaseNow::NotLive,
    };
    let licensed_before = progress.standing != Standing::Unlicensed;
    let was = Gate { run: licensed_before || written.is_some_and(|gate| gate.run), ..Gate::CLOSED };
    let gate = decide(was, progress.standing, lease);
    if written == Some(gate) {
        return Ok(());
    }
    write(home, gate)?;
    tracing::info!(run = gate.run, upload = gate.upload, remote_management = gate.remote_management, "gate");
    Ok(())
}
