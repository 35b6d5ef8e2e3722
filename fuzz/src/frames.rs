//! Framed records, as programs keep them on disk.

use sealpost_files::{frame, unframe};

use crate::reading::text;

/// Takes the frame off, under the label that the bytes name and under another.
pub(crate) fn frames(data: &[u8]) -> bool {
    let line = data.split(|byte| *byte == b'\n').next().and_then(text).unwrap_or_default();
    let label = line.rsplitn(3, ' ').nth(2).unwrap_or("seed 2");
    let unframed = unframe(label, data);
    if let Ok(bytes) = unframed {
        assert_eq!(frame(label, bytes), data, "changed bytes are taken for what was framed");
        assert!(unframe("another label", data).is_err() || label == "another label");
    }
    let framed = frame("seed 2", data);
    assert_eq!(unframe("seed 2", &framed), Ok(data));
    unframed.is_ok()
}
