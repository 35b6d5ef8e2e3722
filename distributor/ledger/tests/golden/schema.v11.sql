CREATE TABLE activity (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    computer TEXT,
    entry BLOB NOT NULL,
    -- SHA-256 of a zero byte and the entry: a leaf of the log's tree.
    leaf BLOB NOT NULL,
    -- The inner nodes that this entry completes, from level 1 upward, 32 bytes each.
    nodes BLOB NOT NULL
) STRICT;
CREATE INDEX activity_by_computer ON activity (computer, sequence) WHERE computer IS NOT NULL;
CREATE INDEX activity_by_kind ON activity (kind, sequence);
CREATE TABLE server (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    server_id TEXT NOT NULL,
    site_key TEXT NOT NULL,
    era TEXT NOT NULL,
    past_eras TEXT NOT NULL DEFAULT '[]',
    restored_at INTEGER,
    restored_epoch INTEGER,
    resumes_until INTEGER,
    confirmed INTEGER,
    acknowledged_at INTEGER,
    acknowledged_by TEXT,
    acknowledgement TEXT
) STRICT;
CREATE TABLE server_list (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    sequence INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    ways TEXT NOT NULL
) STRICT;
CREATE TABLE grants (
    serial TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    seats INTEGER NOT NULL,
    model TEXT NOT NULL,
    not_after INTEGER NOT NULL,
    vendor_time INTEGER NOT NULL,
    digest TEXT NOT NULL,
    document TEXT NOT NULL,
    accepted_sequence INTEGER NOT NULL,
    used INTEGER NOT NULL DEFAULT 0,
    active INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE computers (
    name TEXT PRIMARY KEY,
    channel TEXT NOT NULL,
    reserved_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE reservations (
    name TEXT NOT NULL,
    serial TEXT NOT NULL,
    reserved_at INTEGER NOT NULL,
    -- Whether a computer of this name ever had a lease with this seat.
    leased INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (name, serial)
) STRICT, WITHOUT ROWID;
CREATE INDEX reservations_by_serial ON reservations (serial);
CREATE TABLE setups (
    name TEXT PRIMARY KEY,
    setup TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_by TEXT,
    -- The key of a computer that was admitted; nobody has a code then.
    admitted_key TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE pending (
    name TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    sequence INTEGER NOT NULL
) STRICT;
CREATE INDEX pending_by_sequence ON pending (sequence);
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
CREATE TABLE clients (
    client_id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    client_key TEXT NOT NULL,
    sealing_key TEXT,
    platform TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    enrolled_at INTEGER NOT NULL,
    era TEXT NOT NULL,
    resumed_head INTEGER,
    forked INTEGER NOT NULL DEFAULT 0,
    lease_epoch INTEGER,
    lease_sequence INTEGER,
    lease_until INTEGER,
    assignment_epoch INTEGER,
    assignment_sequence INTEGER,
    other_orders TEXT,
    acknowledged_report INTEGER NOT NULL DEFAULT 0,
    resumed_era TEXT,
    resumed_at INTEGER,
    resumed_contacts INTEGER,
    provisional_until INTEGER,
    displaced_contacts INTEGER,
    -- Which of its copies goes on.
    kept_copy TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE former_clients (
    client_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    -- Whether it is the copy that an admin did not keep.
    given_up INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
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
CREATE TABLE log_forks (
    client_id TEXT PRIMARY KEY,
    held_size INTEGER NOT NULL,
    held_root TEXT NOT NULL,
    seen_size INTEGER NOT NULL,
    seen_root TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE restore_requests (
    request_id TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE assigned (
    client_id TEXT NOT NULL,
    package TEXT NOT NULL,
    manifest TEXT NOT NULL,
    told TEXT NOT NULL,
    PRIMARY KEY (client_id, package)
) STRICT, WITHOUT ROWID;
CREATE INDEX assigned_by_manifest ON assigned (manifest);
CREATE TABLE last_reports (
    client_id TEXT NOT NULL,
    package TEXT NOT NULL,
    manifest TEXT NOT NULL,
    failed INTEGER NOT NULL,
    report TEXT NOT NULL,
    PRIMARY KEY (client_id, package)
) STRICT, WITHOUT ROWID;
CREATE INDEX last_reports_by_manifest ON last_reports (manifest);
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
CREATE TABLE releases (
    manifest TEXT PRIMARY KEY,
    package TEXT NOT NULL,
    version TEXT NOT NULL,
    platform TEXT NOT NULL,
    kind TEXT NOT NULL,
    counter INTEGER NOT NULL,
    severity TEXT NOT NULL,
    state TEXT NOT NULL,
    channels TEXT NOT NULL,
    signer TEXT,
    payload_bytes INTEGER NOT NULL,
    staged_at INTEGER NOT NULL,
    decided_at INTEGER,
    decided_by TEXT,
    reason TEXT,
    approval TEXT,
    rollout INTEGER,
    voided INTEGER NOT NULL DEFAULT 0,
    rollback INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 1,
    mandatory INTEGER NOT NULL DEFAULT 0,
    rolling_out TEXT
) STRICT;
CREATE INDEX releases_mandatory ON releases (manifest) WHERE mandatory = 1;
CREATE INDEX releases_voided ON releases (manifest) WHERE voided = 1;
CREATE INDEX releases_rolled_back ON releases (manifest) WHERE rollback = 1;
CREATE TABLE counter_resets (
    package TEXT PRIMARY KEY,
    counter INTEGER NOT NULL,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX releases_in_order ON releases (package, counter DESC, platform, manifest);
CREATE INDEX releases_approved ON releases (package, counter, manifest) WHERE state = 'approved';
CREATE INDEX releases_by_state ON releases (state, manifest);
CREATE INDEX releases_by_rollout ON releases (rollout) WHERE rollout IS NOT NULL;
CREATE TABLE test_loads (
    manifest TEXT PRIMARY KEY,
    -- Of the program as it is configured; NULL for an admin's word in its place.
    program TEXT,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE deltas (
    target TEXT NOT NULL,
    base TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (target, base)
) STRICT, WITHOUT ROWID;
CREATE TABLE pulls (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    root_version INTEGER,
    timestamp_version INTEGER,
    snapshot_version INTEGER,
    failure TEXT
) STRICT;
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
    -- How the release came last, and the bytes that traveled in all tries together.
    way TEXT,
    bytes INTEGER,
    tries INTEGER NOT NULL DEFAULT 0,
    -- The step that failed last.
    failed_step TEXT,
    failed_reason TEXT,
    failed_detail TEXT,
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
CREATE TABLE account_tokens (
    token TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    standing TEXT NOT NULL,
    ends_at INTEGER
) STRICT, WITHOUT ROWID;
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
CREATE TABLE contacts (
    client_id TEXT PRIMARY KEY,
    previous TEXT,
    next TEXT NOT NULL,
    at INTEGER NOT NULL,
    answer TEXT NOT NULL,
    progress TEXT NOT NULL,
    list_epoch INTEGER,
    list_sequence INTEGER,
    cadence TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE seen (
    client_id TEXT PRIMARY KEY,
    platform TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    instance TEXT,
    hostname TEXT,
    installed TEXT NOT NULL,
    before TEXT,
    tags TEXT,
    postponed TEXT,
    came_by TEXT
) STRICT;
CREATE TABLE soaks (
    rollout INTEGER NOT NULL,
    ring INTEGER NOT NULL,
    soaked_millis INTEGER NOT NULL,
    PRIMARY KEY (rollout, ring)
) STRICT, WITHOUT ROWID;
CREATE TABLE installed (
    client_id TEXT NOT NULL,
    package TEXT NOT NULL,
    manifest TEXT NOT NULL,
    PRIMARY KEY (client_id, package)
) STRICT, WITHOUT ROWID;
CREATE INDEX installed_by_manifest ON installed (manifest);
CREATE TABLE sent (
    client_id TEXT PRIMARY KEY,
    lease TEXT,
    assignment TEXT
) STRICT;
CREATE TABLE freshness (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    metadata_as_of INTEGER,
    tried_at INTEGER
) STRICT;
CREATE TABLE clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    floor INTEGER,
    signed_at INTEGER,
    not_after INTEGER
) STRICT;
