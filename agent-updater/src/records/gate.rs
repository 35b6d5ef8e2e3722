//! The gate files: what [`crate::domain::gate`] decided for each package, where its product reads it.
//!
//! World-readable, replaced whole. The text is [`crate::domain::gate_file`]'s.

use std::io;

use sealpost_files::{PUBLIC, read_bounded, replace};
use sealpost_manifests::ids::PackageName;

use crate::domain::gate_file::MAX_GATE_BYTES;
use crate::home::Home;

/// The gate file of a package as it was last written; `None` if there is none, or it is not text.
#[must_use]
pub fn read(home: &Home, package: &PackageName) -> Option<String> {
    let bytes = read_bounded(&home.gate(package), MAX_GATE_BYTES).ok().flatten()?;
    String::from_utf8(bytes).ok()
}

/// Writes the gate file of a package; durable at return.
///
/// # Errors
/// The system's.
pub fn write(home: &Home, package: &PackageName, text: &str) -> io::Result<()> {
    replace(&home.gate(package), text.as_bytes(), PUBLIC)
}
