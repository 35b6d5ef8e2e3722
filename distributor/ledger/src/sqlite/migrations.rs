//! How a file of an older version gets the tables of this one: one step for each version, all in one transaction.
//!
//! Invariant: a file has the tables of the old version or of the new one, whole, also when the process is killed in
//! between. What a step fills from the log is what a replay of the log makes: `ledger rebuild` gives the same rows.
//! Left out on purpose: any way back. An older program refuses the file; a backup of before is what it can open.

mod from_10;
mod from_6;
mod from_7;
mod from_8;

use rusqlite::Connection;

use super::open_error::OpenError;
use super::schema::{FIRST_VERSION, VERSION, check};

/// What brings a file of a version to the next one, from [`FIRST_VERSION`] on.
const STEPS: &[&str] =
    &[FROM_3, FROM_4, FROM_5, from_6::STEP, from_7::STEP, from_8::STEP, FROM_9, from_10::STEP];

const FROM_3: &str = "
CREATE TABLE server_list (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    sequence INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    ways TEXT NOT NULL
) STRICT;
ALTER TABLE contacts ADD COLUMN list_epoch INTEGER;
ALTER TABLE contacts ADD COLUMN list_sequence INTEGER;
ALTER TABLE seen ADD COLUMN before TEXT;
ALTER TABLE reservations ADD COLUMN leased INTEGER NOT NULL DEFAULT 0;
UPDATE reservations SET leased = 1 WHERE EXISTS (
    SELECT 1 FROM activity a, json_each(CAST(a.entry AS TEXT), '$.change.entitlements') e
    WHERE a.computer = reservations.name AND a.kind = 'lease_issued'
    AND json_extract(e.value, '$.serial') = reservations.serial
);
ALTER TABLE releases ADD COLUMN rollback INTEGER NOT NULL DEFAULT 0;
ALTER TABLE releases ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
CREATE INDEX releases_rolled_back ON releases (manifest) WHERE rollback = 1;
CREATE TABLE attempts (
    client_id TEXT NOT NULL,
    manifest TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (client_id, manifest)
) STRICT, WITHOUT ROWID;
CREATE TABLE drifts (
    client_id TEXT NOT NULL,
    package TEXT NOT NULL,
    kind TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (client_id, package)
) STRICT, WITHOUT ROWID;
";

const FROM_4: &str = "
ALTER TABLE server ADD COLUMN acknowledged_at INTEGER;
ALTER TABLE server ADD COLUMN acknowledged_by TEXT;
ALTER TABLE server ADD COLUMN acknowledgement TEXT;
";

/// What was approved before goes to every computer, as it did: it has no rollout of rings.
const FROM_5: &str = "
ALTER TABLE releases ADD COLUMN mandatory INTEGER NOT NULL DEFAULT 0;
ALTER TABLE releases ADD COLUMN rolling_out TEXT;
CREATE INDEX releases_mandatory ON releases (manifest) WHERE mandatory = 1;
ALTER TABLE seen ADD COLUMN tags TEXT;
ALTER TABLE seen ADD COLUMN postponed TEXT;
ALTER TABLE seen ADD COLUMN came_by TEXT;
-- The number of the entry that changed a setting or a rollout last.
CREATE TABLE plan (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL
) STRICT;
CREATE TABLE settings (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE group_members (
    name TEXT NOT NULL,
    of_group TEXT NOT NULL,
    PRIMARY KEY (name, of_group)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_by_group ON group_members (of_group, name);
CREATE TABLE rollouts (
    number INTEGER PRIMARY KEY,
    manifest TEXT NOT NULL,
    channels TEXT NOT NULL,
    strategy_name TEXT NOT NULL,
    strategy TEXT NOT NULL,
    emergency INTEGER NOT NULL,
    state TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    changed TEXT,
    -- As what it goes on when its release is approved again.
    superseded_from TEXT
) STRICT;
CREATE INDEX rollouts_live ON rollouts (number) WHERE state IN ('running', 'paused');
CREATE INDEX rollouts_by_manifest ON rollouts (manifest, number);
CREATE TABLE rings (
    rollout INTEGER NOT NULL,
    ring INTEGER NOT NULL,
    -- Only rings of live rollouts hold computers back.
    live INTEGER NOT NULL,
    opened_at INTEGER,
    below TEXT,
    offered INTEGER NOT NULL DEFAULT 0,
    told INTEGER NOT NULL DEFAULT 0,
    begun INTEGER NOT NULL DEFAULT 0,
    succeeded INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    silent INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0,
    forgiven INTEGER NOT NULL DEFAULT 0,
    hour INTEGER NOT NULL DEFAULT 0,
    told_in_hour INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (rollout, ring)
) STRICT, WITHOUT ROWID;
CREATE INDEX rings_live ON rings (rollout, ring) WHERE live = 1;
CREATE TABLE deliveries (
    client_id TEXT NOT NULL,
    rollout INTEGER NOT NULL,
    -- Kept when the computer is set up again under the name.
    name TEXT NOT NULL,
    package TEXT NOT NULL,
    manifest TEXT NOT NULL,
    ring INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    told_at INTEGER NOT NULL,
    since INTEGER NOT NULL,
    silence_secs INTEGER NOT NULL,
    -- The newest of its package on its computer.
    current INTEGER NOT NULL,
    PRIMARY KEY (client_id, rollout)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_current ON deliveries (client_id) WHERE current = 1;
CREATE INDEX deliveries_by_rollout ON deliveries (rollout, name);
CREATE INDEX deliveries_under_way ON deliveries (rollout, told_at) WHERE state IN ('offered', 'told', 'begun');
CREATE TABLE accounts (
    name TEXT PRIMARY KEY,
    enabled INTEGER NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    comment TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- Tokens of accounts, also revoked ones.
CREATE TABLE account_tokens (
    token TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    standing TEXT NOT NULL,
    ends_at INTEGER
) STRICT, WITHOUT ROWID;
-- What waits for a second person.
CREATE TABLE proposals (
    number INTEGER PRIMARY KEY,
    manifest TEXT,
    -- Whose eyes the first ones are; NULL for those of whoever sits at the server.
    account TEXT,
    by TEXT NOT NULL,
    proposed TEXT NOT NULL,
    at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    comment TEXT NOT NULL
) STRICT;
CREATE TABLE deferrals (
    manifest TEXT PRIMARY KEY,
    until INTEGER NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    comment TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE soaks (
    rollout INTEGER NOT NULL,
    ring INTEGER NOT NULL,
    soaked_millis INTEGER NOT NULL,
    PRIMARY KEY (rollout, ring)
) STRICT, WITHOUT ROWID;
";

/// Version 10 has a kind of entry that older programs do not know, and the tables of version 9.
const FROM_9: &str = "";

/// The last version whose programs wrote no entries about admin tokens.
pub(super) const LAST_WITHOUT_TOKENS: u32 = 4;

/// Brings a file up to [`VERSION`]; answers of which version it was.
pub(super) fn bring_up(connection: &Connection) -> Result<u32, OpenError> {
    let found = check(connection)?;
    if found == VERSION {
        return Ok(found);
    }
    connection.execute_batch("BEGIN EXCLUSIVE")?;
    let changed = steps(connection);
    match &changed {
        Ok(()) => connection.execute_batch("COMMIT")?,
        // The first error is the one to tell.
        Err(_) => drop(connection.execute_batch("ROLLBACK")),
    }
    changed.map(|()| found)
}

fn steps(connection: &Connection) -> Result<(), OpenError> {
    // Again, now that nobody else can write.
    let found = check(connection)?;
    for (version, step) in (FIRST_VERSION..).zip(STEPS) {
        if version >= found {
            connection.execute_batch(step)?;
        }
    }
    if found <= from_8::VERSION {
        from_8::fill(connection)?;
    }
    Ok(connection.pragma_update(None, "user_version", VERSION)?)
}
