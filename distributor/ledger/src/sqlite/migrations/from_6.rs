//! What version 7 adds: test-loads of releases on the server.

/// No file of version 6 has entries about them, so that the table begins empty.
pub(super) const STEP: &str = "
CREATE TABLE test_loads (
    manifest TEXT PRIMARY KEY,
    -- Of the program as it is configured; NULL for an admin's word in its place.
    program TEXT,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";
