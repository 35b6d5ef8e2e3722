//! What version 11 adds: computers that knock and are admitted, copies of one computer, and installs at a time.

pub(super) const STEP: &str = "
CREATE TABLE knocks (
    name TEXT NOT NULL,
    client_key TEXT NOT NULL,
    source TEXT NOT NULL,
    platform TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (name, client_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX knocks_by_sequence ON knocks (sequence);
CREATE TABLE copies (
    client_id TEXT NOT NULL,
    branch TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    came_by TEXT,
    hostname TEXT,
    instance TEXT,
    agent_version TEXT NOT NULL,
    packages TEXT NOT NULL,
    PRIMARY KEY (client_id, branch)
) STRICT, WITHOUT ROWID;
CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    -- NULL where an install file is carried there.
    ssh TEXT,
    planned_at INTEGER NOT NULL,
    planned_by TEXT NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    outcome TEXT,
    reason TEXT,
    tried_at INTEGER
) STRICT, WITHOUT ROWID;
ALTER TABLE setups ADD COLUMN admitted_key TEXT;
ALTER TABLE clients ADD COLUMN kept_copy TEXT;
ALTER TABLE former_clients ADD COLUMN given_up INTEGER NOT NULL DEFAULT 0;
";
