//! The gate file: what [`crate::domain::gate`] decided, where the product reads it.

use std::io;

use sealpost_files::{PUBLIC, read_bounded, replace};

use crate::domain::gate::Gate;
use crate::home::Home;

/// Longest gate file, in bytes.
const MAX_GATE_BYTES: u64 = 4 * 1024;

/// The gate as it was last written; `None` if there is no file, or one that is not understood.
#[must_use]
pub fn read(home: &Home) -> Option<Gate> {
    let bytes = read_bounded(&home.gate(), MAX_GATE_BYTES).ok().flatten()?;
    serde_json::from_slice(&bytes).ok()
}

/// Writes the gate; durable at return.
///
/// # Errors
/// The system's.
pub fn write(home: &Home, gate: Gate) -> io::Result<()> {
    let text = serde_json::to_vec(&gate).map_err(io::Error::other)?;
    replace(&home.gate(), &text, PUBLIC)
}
