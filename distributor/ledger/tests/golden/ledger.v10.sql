-- A ledger file of version 10: one of version 9 as version 10 brought it up when it opened it.
PRAGMA application_id = 0x536c5074;
PRAGMA user_version = 10;
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
    used_by TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE pending (
    name TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    sequence INTEGER NOT NULL
) STRICT;
CREATE INDEX pending_by_sequence ON pending (sequence);
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
    displaced_contacts INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE former_clients (
    client_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    sequence INTEGER NOT NULL
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
    current INTEGER NOT NULL, way TEXT, bytes INTEGER, tries INTEGER NOT NULL DEFAULT 0, failed_step TEXT, failed_reason TEXT, failed_detail TEXT,
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
    list_sequence INTEGER
, cadence TEXT) STRICT, WITHOUT ROWID;
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
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (1, 1800000000000000, 'server_initialized', NULL, CAST('{"version":2,"sequence":1,"at":"2027-01-15T08:00:00Z","actor":{"kind":"server"},"change":{"type":"server_initialized","server_id":"0dcda40dcfa380da8143c43a9f333fa0","site_key":"RWR/aD26oxDcJo10EC8VyESjK5KC5pGYGrMuG8IUXO4ISBh5D1qosFMo"}}' AS BLOB), x'5f6ac58ebe53d496b4d06b55669f472180b88904b231c34fb9bb48ab7cbc4e5c', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (2, 1800000001000000, 'grant_accepted', NULL, CAST('{"version":2,"sequence":2,"at":"2027-01-15T08:00:01Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"grant_accepted","serial":"11111-11111-11111-1111Y","generation":1,"epoch":4294967296,"seats":4,"model":"named","not_after":"2028-01-16T08:00:00Z","grant":{"document":"{\"type\":\"grant\",\"version\":2,\"vendor\":\"Acme\",\"serial\":\"11111-11111-11111-1111Y\",\"server_id\":\"0dcda40dcfa380da8143c43a9f333fa0\",\"site_key\":\"RWR/aD26oxDcJo10EC8VyESjK5KC5pGYGrMuG8IUXO4ISBh5D1qosFMo\",\"key_epoch\":1,\"epoch\":4294967296,\"packages\":[],\"model\":\"named\",\"seats\":4,\"generation\":1,\"not_after\":\"2028-01-16T08:00:00Z\",\"vendor_time\":\"2027-01-15T08:00:00Z\",\"request_id\":\"01010101010101010101010101010101\"}","minisig":"untrusted comment: signature by key 886F23B5F977E107\nRUQH4Xf5tSNviGJKgrjOf6jGcEjZMJ7QgQ/Kgi1k6DIv2IunoTnzNpXdhDmBIJXRMfT7FyNfIOYOWrXGyO25nE1vvoEo0IZJSgQ=\ntrusted comment: grant server=0dcda40dcfa380da8143c43a9f333fa0 generation=1\n/sGgGry/SIKUTC9J4UjUG9YU+hglFJnx3hkxoDa6e8F4VnErqS8LE9h55Epg+vf6lD6W1IE90F4mDtQ7/RW9DA==\n"}}}' AS BLOB), x'7b811967d0cb23d522424f0270022f04e86fd1bf3894039176114a1c24f19705', x'478e8022958138cf28e94b7fffb986c72bd25f752854d8965cbc4909aa42df32');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (3, 1800000004000000, 'metadata_pulled', NULL, CAST('{"version":2,"sequence":3,"at":"2027-01-15T08:00:04Z","actor":{"kind":"server"},"change":{"type":"metadata_pulled","timestamp_version":1,"snapshot_version":1,"root_version":1}}' AS BLOB), x'cdd4c6792fd988fd1983795eedcdeac669a1b7ff9ce512435285b89e939a101b', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (4, 1800000004000000, 'settings_changed', NULL, CAST('{"version":2,"sequence":4,"at":"2027-01-15T08:00:04Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"settings_changed","changes":[{"kind":"strategy","name":"rings","value":{"on_failure":"roll_back","rings":[{"errors":{"count":1,"percent":1},"name":"canary","soak_minutes":60,"takes":{"first":1}},{"name":"early","soak_minutes":60,"takes":{"first":3}},{"name":"everyone","soak_minutes":60,"takes":"everyone"}]}},{"kind":"strategy","name":"slow-rings","value":{"rings":[{"name":"canary","soak_minutes":600,"takes":{"first":9}},{"name":"half","soak_minutes":600,"takes":{"first":4}},{"name":"everyone","soak_minutes":600,"takes":"everyone"}]}},{"kind":"strategy","name":"three","value":{"rings":[{"concurrent":3,"name":"everyone","takes":"everyone"}]}},{"kind":"strategy","name":"hourly","value":{"rings":[{"name":"everyone","per_hour":2,"takes":"everyone"}]}}]}}' AS BLOB), x'159787ada167bbd31feb9dc885d7d8e7d2bdbd04f907a21422273733faa1f4a8', x'81c4036601cea10eef6a061f02100a42e3a860a0a3f5f7f71c18cadaee0f026b3eac834a84dd3bd144fde7fc3d3658735392f20b2ee1acab20e6eb84c266769d');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (5, 1800000002000000, 'seat_reserved', 'pc-0', CAST('{"version":2,"sequence":5,"at":"2027-01-15T08:00:02Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"seat_reserved","name":"pc-0","channel":"stable","serial":"11111-11111-11111-1111Y"}}' AS BLOB), x'49359c0a2ff349a251ea6702fb736a4c31f3d164c18870b9f752b95632fcfd2b', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (6, 1800000002000000, 'setup_issued', 'pc-0', CAST('{"version":2,"sequence":6,"at":"2027-01-15T08:00:02Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"setup_issued","name":"pc-0","setup":"93986d59fb2c03e54cdf09c685bf3fda","expires_at":"2027-01-22T08:00:02Z"}}' AS BLOB), x'd8a3cae454e423fbcc29adb4ed14c9f72237f18d80b19a5300861a2e24f687f1', x'36cb524111318034d2ed2c60c4c1d43545c964e603f450e106f0bc8645cf6799');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (7, 1800000003000000, 'client_enrolled', 'pc-0', CAST('{"version":2,"sequence":7,"at":"2027-01-15T08:00:03Z","actor":{"kind":"client","client_id":"d431ef4faeea1d645aa736da853a4a24","name":"pc-0"},"change":{"type":"client_enrolled","client_id":"d431ef4faeea1d645aa736da853a4a24","name":"pc-0","client_key":"RWSpW+zSZ0ZpiUM31QLBUDl1qK6f67ROdSV0kAsHFlW1ob0F93VJgLF/","sealing_key":"QPLIW2pjqEtSfxWFH453RMF6OlCKqdVpz2Ndu81KUhQ=","platform":"linux-x86_64","agent_version":"0.1.0","setup":"93986d59fb2c03e54cdf09c685bf3fda","replaces":null}}' AS BLOB), x'67ca638a35110f431b4c2dd2350c63d2918ae6d01c610a3b93522e18d369e117', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (8, 1800000002000000, 'seat_reserved', 'pc-1', CAST('{"version":2,"sequence":8,"at":"2027-01-15T08:00:02Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"seat_reserved","name":"pc-1","channel":"stable","serial":"11111-11111-11111-1111Y"}}' AS BLOB), x'88467502bf3dcb9c0b357a04c867b74d57acb68888b5b794c15e5c3527cc48d3', x'61f8a4699f96a911319b84cb2f549b6492cab0669230d8a2fcc2601b22c93ee7e177e9c7c8ec91663e641ea67115d17de3d7698215c12df9cda05c93b0313df5fdf5f656520daab09c7e9f862c0a98d3c993936abdfacf1dd076498993ed9ff4');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (9, 1800000002000000, 'setup_issued', 'pc-1', CAST('{"version":2,"sequence":9,"at":"2027-01-15T08:00:02Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"setup_issued","name":"pc-1","setup":"c337d0b2084ae2288a29a8b5157c6aff","expires_at":"2027-01-22T08:00:02Z"}}' AS BLOB), x'1ac21eec32c3d160ba52852f59be7e3861d308e4e4f724a80297dd27982c0255', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (10, 1800000003000000, 'client_enrolled', 'pc-1', CAST('{"version":2,"sequence":10,"at":"2027-01-15T08:00:03Z","actor":{"kind":"client","client_id":"18cdd76fc6da425e28b48d63760d5063","name":"pc-1"},"change":{"type":"client_enrolled","client_id":"18cdd76fc6da425e28b48d63760d5063","name":"pc-1","client_key":"RWSwVaFHukjHJwJ8zUJJD1GI/oCFKwDm7yVUI16nPMXMw8BhYzPvmI7W","sealing_key":"foupUCvi8Qz46ZiV1wd7Fq/9iZ76QCe6igkM0JOcYWQ=","platform":"linux-x86_64","agent_version":"0.1.0","setup":"c337d0b2084ae2288a29a8b5157c6aff","replaces":null}}' AS BLOB), x'731de9118b232579f6008af9b3c899dbda73742d882d136f5a3a994078411223', x'677d714ccdbe242afb4f9cf156e9d277bd84b355ab192c9549cb72cfb23d55df');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (11, 1800000002000000, 'seat_reserved', 'pc-2', CAST('{"version":2,"sequence":11,"at":"2027-01-15T08:00:02Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"seat_reserved","name":"pc-2","channel":"stable","serial":"11111-11111-11111-1111Y"}}' AS BLOB), x'aa1a53b087edea5a4fe3a1f16182d622cab66c84a2602bbda59333926406dde7', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (12, 1800000002000000, 'setup_issued', 'pc-2', CAST('{"version":2,"sequence":12,"at":"2027-01-15T08:00:02Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"setup_issued","name":"pc-2","setup":"831ef6b404e72130f04420ca334023be","expires_at":"2027-01-22T08:00:02Z"}}' AS BLOB), x'68484c392d792d7756e94ee6c3822929f332baefdce52c8642a58b590fd456f3', x'c86e244145af1b22422ecf8b0bb2e9d185e699274d70dc0cd227b1c88fcc1f17cc063b542be4953fc91308ef4d49f04e831c02e1efa9b3dfdf89e01de6a7e855');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (13, 1800000003000000, 'client_enrolled', 'pc-2', CAST('{"version":2,"sequence":13,"at":"2027-01-15T08:00:03Z","actor":{"kind":"client","client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","name":"pc-2"},"change":{"type":"client_enrolled","client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","name":"pc-2","client_key":"RWQtHTMHjgqCzID5v9MGc7sR268cfH1KyKhcliK2/0BicJaOWtNlQjjN","sealing_key":"SCA69KuW0up6gVXtztYVk320yqXO5k9E0wnme/+FdXE=","platform":"linux-x86_64","agent_version":"0.1.0","setup":"831ef6b404e72130f04420ca334023be","replaces":null}}' AS BLOB), x'29f1f8307fe788a0579f8b48db850ee33d7827c21242f1ba8516e0cdd30db9fe', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (14, 1800000002000000, 'seat_reserved', 'pc-3', CAST('{"version":2,"sequence":14,"at":"2027-01-15T08:00:02Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"seat_reserved","name":"pc-3","channel":"stable","serial":"11111-11111-11111-1111Y"}}' AS BLOB), x'3c0c44517589fe96d07843cd412b61704703c930e50e2c803b1463b6483abf56', x'177f2f18421ef90b1552639005e1a656fd2615c6a05b9e4630ff0b871a2fd1b7');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (15, 1800000002000000, 'setup_issued', 'pc-3', CAST('{"version":2,"sequence":15,"at":"2027-01-15T08:00:02Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"setup_issued","name":"pc-3","setup":"ffcccfc032006e26b866b78bb7619ddc","expires_at":"2027-01-22T08:00:02Z"}}' AS BLOB), x'a2972cf12b63e1294a4b7c90f1caa52ef5c149c4630d33000c4cf958246b94bc', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (16, 1800000003000000, 'client_enrolled', 'pc-3', CAST('{"version":2,"sequence":16,"at":"2027-01-15T08:00:03Z","actor":{"kind":"client","client_id":"fcf42d7970acb986a7d3a03df5face28","name":"pc-3"},"change":{"type":"client_enrolled","client_id":"fcf42d7970acb986a7d3a03df5face28","name":"pc-3","client_key":"RWSw5VvB/CN5Y4G792NM98/Tgv7ZQiPGzAuRkIFThDUgKOV+yNeEp1dI","sealing_key":"q7bHiQQwRic9EDcJZOue620XyoLJRKVIjR+D871O3mw=","platform":"linux-x86_64","agent_version":"0.1.0","setup":"ffcccfc032006e26b866b78bb7619ddc","replaces":null}}' AS BLOB), x'd681815fb1aa6133b266533cd5e0409d7e2b1c67788bcae9118265eb239ecd95', x'2d7d96255bb7520f24907f1ade47134f981fd75088def13a0fad207df63a128789ac41d90d8daf2fab8a0a44597ba956d08e33a22e223a303764428f23361fdd0cf1dab61ebde1aa1fe40ad795ded286d7ab5e508f2f0675149375ab279622309f145f5e15586a8e065e03211826218ecce42f1ec5ccbfc756955ccd394d0042');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (17, 1800000005000000, 'release_staged', NULL, CAST('{"version":2,"sequence":17,"at":"2027-01-15T08:00:05Z","actor":{"kind":"server"},"change":{"type":"release_staged","release":{"package":"acme-av","version":"9.0","platform":"linux-x86_64"},"manifest":"ff097dea5bb7c748babff0c7ebe5572a9228bd9e776533e7ecbf074545dada2f","kind":"program","counter":9,"severity":"high","channels":["stable"],"signer":"RWQH4Xf5tSNviHyCabxIToN4GWxd3hutHLaq7HhEzoCH+9CS3zXaFDon","payload_bytes":1000}}' AS BLOB), x'5144801e841ba4c29705671008fb21af95d74a33e460dbdf887d53e720b367f1', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (18, 1800000005000000, 'release_staged', NULL, CAST('{"version":2,"sequence":18,"at":"2027-01-15T08:00:05Z","actor":{"kind":"server"},"change":{"type":"release_staged","release":{"package":"acme-av","version":"1.0","platform":"linux-x86_64"},"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5","kind":"program","counter":1,"severity":"high","channels":["stable"],"signer":"RWQH4Xf5tSNviHyCabxIToN4GWxd3hutHLaq7HhEzoCH+9CS3zXaFDon","payload_bytes":1000}}' AS BLOB), x'a4cf87acb38562378a41416e69885273888fd094e5e336e467cba3bc96daea1b', x'bce95b6fe7cb6c245aca1d442b9785f62dcbdc380847fa490f70bda98f4b135c');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (19, 1800000006000000, 'release_approved', NULL, CAST('{"version":2,"sequence":19,"at":"2027-01-15T08:00:06Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"release_approved","release":{"package":"acme-av","version":"1.0","platform":"linux-x86_64"},"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5","approval":{"channels":["stable"],"approvals":[{"kind":"socket","id":"alice"}]},"rollout":1,"staged":{"strategy":"everyone-now","plan":{"on_failure":"roll_back","rings":[{"name":"everyone","takes":"everyone","soak_minutes":0,"minimum_sample":1,"success_percent":1,"errors":{"count":5,"percent":5}}]},"channels":["stable"],"complete":true}}}' AS BLOB), x'70bc996eb21ba8c70e0bb539071a4023bce8e6b0f118aaf0ed557f535d4744d4', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (20, 1800000010000000, 'lease_issued', 'pc-1', CAST('{"version":2,"sequence":20,"at":"2027-01-15T08:00:10Z","actor":{"kind":"client","client_id":"18cdd76fc6da425e28b48d63760d5063","name":"pc-1"},"change":{"type":"lease_issued","client_id":"18cdd76fc6da425e28b48d63760d5063","order":{"epoch":4294967296,"sequence":1},"entitlements":[{"serial":"11111-11111-11111-1111Y","model":"named","packages":[],"grant":"152061d28a382535f32bc5f52ec68fd2626935ce635617abae8af10f3d25e5f7","not_after":"2027-02-14T08:00:10Z"}]}}' AS BLOB), x'af87f18371f8644630810106079dd547c652c3ce50e3ea957098aedd4ebe8e9e', x'9d4a4bf56f302874b63d6883345f05ebb60755f1a2d8947a03863fe73d43d97f14a6bf22678792c1cc4bd7765c071acf7928b91cf287a5ffc8a7df3007bedca2');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (21, 1800000010000000, 'assignment_changed', 'pc-1', CAST('{"version":2,"sequence":21,"at":"2027-01-15T08:00:10Z","actor":{"kind":"client","client_id":"18cdd76fc6da425e28b48d63760d5063","name":"pc-1"},"change":{"type":"assignment_changed","client_id":"18cdd76fc6da425e28b48d63760d5063","order":{"epoch":4294967296,"sequence":1},"expires_at":"2027-02-14T08:00:10Z","metadata_as_of":"2027-01-15T08:00:04Z","packages":[{"action":"install","release":{"package":"acme-av","version":"1.0","platform":"linux-x86_64"},"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5","rollout":1,"attempt":1}]}}' AS BLOB), x'cf680ff8ceecf3c79f9b7ba2fc641aceba6ecd2abdf93c025b2084935d7732a6', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (22, 1800000010000000, 'lease_issued', 'pc-3', CAST('{"version":2,"sequence":22,"at":"2027-01-15T08:00:10Z","actor":{"kind":"client","client_id":"fcf42d7970acb986a7d3a03df5face28","name":"pc-3"},"change":{"type":"lease_issued","client_id":"fcf42d7970acb986a7d3a03df5face28","order":{"epoch":4294967296,"sequence":1},"entitlements":[{"serial":"11111-11111-11111-1111Y","model":"named","packages":[],"grant":"152061d28a382535f32bc5f52ec68fd2626935ce635617abae8af10f3d25e5f7","not_after":"2027-02-14T08:00:10Z"}]}}' AS BLOB), x'9450919d3cccf8bd9a5893206ab5f13013e8bb616fe029fda1e81a770d3c9943', x'82f5738d3406180312aa0e5d29b2a03d73092bc9034582bc9162519e2aaedc5a');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (23, 1800000010000000, 'assignment_changed', 'pc-3', CAST('{"version":2,"sequence":23,"at":"2027-01-15T08:00:10Z","actor":{"kind":"client","client_id":"fcf42d7970acb986a7d3a03df5face28","name":"pc-3"},"change":{"type":"assignment_changed","client_id":"fcf42d7970acb986a7d3a03df5face28","order":{"epoch":4294967296,"sequence":1},"expires_at":"2027-02-14T08:00:10Z","metadata_as_of":"2027-01-15T08:00:04Z","packages":[{"action":"install","release":{"package":"acme-av","version":"1.0","platform":"linux-x86_64"},"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5","rollout":1,"attempt":1}]}}' AS BLOB), x'68fd45df7bd45311695e7383bbc92b1708136e7da6c18a20ac1316a89e166a08', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (24, 1800000010000000, 'lease_issued', 'pc-2', CAST('{"version":2,"sequence":24,"at":"2027-01-15T08:00:10Z","actor":{"kind":"client","client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","name":"pc-2"},"change":{"type":"lease_issued","client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","order":{"epoch":4294967296,"sequence":1},"entitlements":[{"serial":"11111-11111-11111-1111Y","model":"named","packages":[],"grant":"152061d28a382535f32bc5f52ec68fd2626935ce635617abae8af10f3d25e5f7","not_after":"2027-02-14T08:00:10Z"}]}}' AS BLOB), x'21f7fd57d66bad2fb0fa441f04b343e2de76744df23dd00c1d304dc2c440c406', x'8c53ee5952126609c1e5b2113dd57675d4873254a48530a42a45eb57a21a42d7562210ed92b50131f2b18d0d9dcafeb7790c590af395c3c3d1a4041c5fd58a1cd72e9d106029df565881619912643b50e83d08cd0d6226eb470949834d9044c6');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (25, 1800000010000000, 'assignment_changed', 'pc-2', CAST('{"version":2,"sequence":25,"at":"2027-01-15T08:00:10Z","actor":{"kind":"client","client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","name":"pc-2"},"change":{"type":"assignment_changed","client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","order":{"epoch":4294967296,"sequence":1},"expires_at":"2027-02-14T08:00:10Z","metadata_as_of":"2027-01-15T08:00:04Z","packages":[{"action":"install","release":{"package":"acme-av","version":"1.0","platform":"linux-x86_64"},"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5","rollout":1,"attempt":1}]}}' AS BLOB), x'ffbf9a8fbd5ad667deb0d21e3919790354c95dd76c7439e1fae42fd29331798e', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (26, 1800000010000000, 'lease_issued', 'pc-0', CAST('{"version":2,"sequence":26,"at":"2027-01-15T08:00:10Z","actor":{"kind":"client","client_id":"d431ef4faeea1d645aa736da853a4a24","name":"pc-0"},"change":{"type":"lease_issued","client_id":"d431ef4faeea1d645aa736da853a4a24","order":{"epoch":4294967296,"sequence":1},"entitlements":[{"serial":"11111-11111-11111-1111Y","model":"named","packages":[],"grant":"152061d28a382535f32bc5f52ec68fd2626935ce635617abae8af10f3d25e5f7","not_after":"2027-02-14T08:00:10Z"}]}}' AS BLOB), x'3a3a41f5a21dd3358c13f232495e8bc35b30cb8bdde72666d4837f34c46c8fa3', x'cf9926c197fc39435943b9ac1743df81ba32e68a1ece4275fd0281241864cb9c');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (27, 1800000010000000, 'assignment_changed', 'pc-0', CAST('{"version":2,"sequence":27,"at":"2027-01-15T08:00:10Z","actor":{"kind":"client","client_id":"d431ef4faeea1d645aa736da853a4a24","name":"pc-0"},"change":{"type":"assignment_changed","client_id":"d431ef4faeea1d645aa736da853a4a24","order":{"epoch":4294967296,"sequence":1},"expires_at":"2027-02-14T08:00:10Z","metadata_as_of":"2027-01-15T08:00:04Z","packages":[{"action":"install","release":{"package":"acme-av","version":"1.0","platform":"linux-x86_64"},"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5","rollout":1,"attempt":1}]}}' AS BLOB), x'b1abb054603d326f12b06e2bcdd723363114861ce3b8fdc5c6af16c50e9f1ee9', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (28, 1800000005000000, 'release_staged', NULL, CAST('{"version":2,"sequence":28,"at":"2027-01-15T08:00:05Z","actor":{"kind":"server"},"change":{"type":"release_staged","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","kind":"program","counter":2,"severity":"high","channels":["stable"],"signer":"RWQH4Xf5tSNviHyCabxIToN4GWxd3hutHLaq7HhEzoCH+9CS3zXaFDon","payload_bytes":1000}}' AS BLOB), x'517aa5e0d8d726593742b39e863c9e81e52765c3b6378ccfc369475ad893916a', x'275e67bfa944daf3e35e72b9cc0e4702370cc54e7ccd87122a7ad8812f2dc9056fb7d27a591121356c98eeb848a51c702c740e13cface4c78b7ae5c53cc569c8');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (29, 1800000006000000, 'release_approved', NULL, CAST('{"version":2,"sequence":29,"at":"2027-01-15T08:00:06Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"release_approved","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","approval":{"channels":["stable"],"approvals":[{"kind":"socket","id":"alice"}]},"rollout":2,"staged":{"strategy":"three","plan":{"rings":[{"name":"everyone","takes":"everyone","soak_minutes":0,"minimum_sample":1,"success_percent":90,"errors":{"count":1,"percent":10},"concurrent":3}]},"channels":["stable"]}}}' AS BLOB), x'3310eb44adafb401a6acc9ff707f9456ad404cbc9d03e5512ffd5a0a10d15d68', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (30, 1800000020000000, 'ring_opened', NULL, CAST('{"version":2,"sequence":30,"at":"2027-01-15T08:00:20Z","actor":{"kind":"server"},"change":{"type":"ring_opened","rollout":2,"release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"ring":0,"name":"everyone","reason":"first"}}' AS BLOB), x'ce236bbb42b149396ffd927b0b99d97696b51a07337cb457cf59c7317896e25c', x'624ea24e5921635b3903aaf6c3cb3b4a4c498734264111e41fcac31b06c3bccb');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (31, 1800000030000000, 'assignment_changed', 'pc-1', CAST('{"version":2,"sequence":31,"at":"2027-01-15T08:00:30Z","actor":{"kind":"client","client_id":"18cdd76fc6da425e28b48d63760d5063","name":"pc-1"},"change":{"type":"assignment_changed","client_id":"18cdd76fc6da425e28b48d63760d5063","order":{"epoch":4294967296,"sequence":2},"expires_at":"2027-02-14T08:00:30Z","metadata_as_of":"2027-01-15T08:00:04Z","packages":[{"action":"install","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","postpone":{"times":3,"until":"2027-01-18T08:00:30Z"},"rollout":2,"ring":"everyone","attempt":1}],"deliveries":[{"rollout":2,"package":"acme-av","ring":0,"after":"told","attempt":1,"silence_secs":28800}]}}' AS BLOB), x'd89acfe0a69c39f548154a268515b5da65db99a2dcf69522dd1908da409549b0', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (32, 1800000030000000, 'assignment_changed', 'pc-3', CAST('{"version":2,"sequence":32,"at":"2027-01-15T08:00:30Z","actor":{"kind":"client","client_id":"fcf42d7970acb986a7d3a03df5face28","name":"pc-3"},"change":{"type":"assignment_changed","client_id":"fcf42d7970acb986a7d3a03df5face28","order":{"epoch":4294967296,"sequence":2},"expires_at":"2027-02-14T08:00:30Z","metadata_as_of":"2027-01-15T08:00:04Z","packages":[{"action":"install","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","postpone":{"times":3,"until":"2027-01-18T08:00:30Z"},"rollout":2,"ring":"everyone","attempt":1}],"deliveries":[{"rollout":2,"package":"acme-av","ring":0,"after":"told","attempt":1,"silence_secs":28800}]}}' AS BLOB), x'a19173fa77aab19808091bc66a513a5df3edc97b051a4f5be440d2cf77243f13', x'8b7f035755ee9cc4e6fa3c67cbc9677e507f5e3192c39c847cfbd583be8b03e38fcb23636321c2e1ed7aaf064b628159944885fb2d41194ae3fecefce11bf79d839e9957764452c2b0f254a2403bbcca5037f096b0ae7a4387a04edc57cb50329fea05e614c352975cc8a89938a8fda0ce4d9bcd0671ccebffaca16bb16f6b8f293275d5ca7412046b75a8daebf135c643401bd81425650aa80de371d5f90d42');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (33, 1800000030000000, 'assignment_changed', 'pc-2', CAST('{"version":2,"sequence":33,"at":"2027-01-15T08:00:30Z","actor":{"kind":"client","client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","name":"pc-2"},"change":{"type":"assignment_changed","client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","order":{"epoch":4294967296,"sequence":2},"expires_at":"2027-02-14T08:00:30Z","metadata_as_of":"2027-01-15T08:00:04Z","packages":[{"action":"install","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","postpone":{"times":3,"until":"2027-01-18T08:00:30Z"},"rollout":2,"ring":"everyone","attempt":1}],"deliveries":[{"rollout":2,"package":"acme-av","ring":0,"after":"told","attempt":1,"silence_secs":28800}]}}' AS BLOB), x'c637a8c491a325d3357b55f25228103381e78df3ccda7ad790dec0bfce70d7f4', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (34, 1800000040000000, 'step_reported', 'pc-1', CAST('{"version":2,"sequence":34,"at":"2027-01-15T08:00:40Z","actor":{"kind":"client","client_id":"18cdd76fc6da425e28b48d63760d5063","name":"pc-1"},"change":{"type":"step_reported","client_id":"18cdd76fc6da425e28b48d63760d5063","report":{"id":300,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"check","outcome":"refused","reason":"network_failed","detail":"no route"},"effect":"failure","delivery":{"rollout":2,"package":"acme-av","ring":0,"before":"told","after":"begun","attempt":1}}}' AS BLOB), x'06a0763b2278bfc6037399ef742ff7ab0391e30c3819387140b65b705006b6ad', x'93300daaa8e262cb68cc51c0548ce902640267e79a1e8a76d18b738b17e96c20');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (35, 1800000050000000, 'step_reported', 'pc-1', CAST('{"version":2,"sequence":35,"at":"2027-01-15T08:00:50Z","actor":{"kind":"client","client_id":"18cdd76fc6da425e28b48d63760d5063","name":"pc-1"},"change":{"type":"step_reported","client_id":"18cdd76fc6da425e28b48d63760d5063","report":{"id":400,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"check","outcome":"ok","reason":"done"},"effect":"progress"}}' AS BLOB), x'9bd0579befa61865126cf4ea37570a6ae916a964f9dc12be53903bfeaeb0e50d', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (36, 1800000050000000, 'step_reported', 'pc-1', CAST('{"version":2,"sequence":36,"at":"2027-01-15T08:00:50Z","actor":{"kind":"client","client_id":"18cdd76fc6da425e28b48d63760d5063","name":"pc-1"},"change":{"type":"step_reported","client_id":"18cdd76fc6da425e28b48d63760d5063","report":{"id":401,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"download","outcome":"ok","reason":"by_delta","way":"delta","bytes":{"metadata":20,"manifest":3,"payload":4000}},"effect":"progress"}}' AS BLOB), x'39f293f390b3107b8a1a4af0220605d538c49368921e4f82499c06a9b15853f4', x'89a185619e3fb2e6b75416719a90ba02c97bff9f20d475bad676e957c286cd0f9e4886ceb0aa0a8a135b8fc77ae27c32123067ef37bdbd0e2353d1cb44b3db50');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (37, 1800000050000000, 'step_reported', 'pc-1', CAST('{"version":2,"sequence":37,"at":"2027-01-15T08:00:50Z","actor":{"kind":"client","client_id":"18cdd76fc6da425e28b48d63760d5063","name":"pc-1"},"change":{"type":"step_reported","client_id":"18cdd76fc6da425e28b48d63760d5063","report":{"id":402,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"keep","outcome":"ok","reason":"done"},"effect":"progress","delivery":{"rollout":2,"package":"acme-av","ring":0,"before":"begun","after":"succeeded","attempt":1}}}' AS BLOB), x'd421ffdf39b450a4e40fe28097cb09a170c469837918d73650dce3a5b2454646', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (38, 1800000060000000, 'step_reported', 'pc-3', CAST('{"version":2,"sequence":38,"at":"2027-01-15T08:01:00Z","actor":{"kind":"client","client_id":"fcf42d7970acb986a7d3a03df5face28","name":"pc-3"},"change":{"type":"step_reported","client_id":"fcf42d7970acb986a7d3a03df5face28","report":{"id":300,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"check","outcome":"ok","reason":"done"},"effect":"progress","delivery":{"rollout":2,"package":"acme-av","ring":0,"before":"told","after":"begun","attempt":1}}}' AS BLOB), x'f996253b62d3900c8eb21b339620c3219cbb462cb1f373c3115ac4f1eb6efb3c', x'358882b78d6acbd46ad53b91737b84cfdf1f8796ed8a6449455abf3c8cbd7d66');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (39, 1800000060000000, 'step_reported', 'pc-3', CAST('{"version":2,"sequence":39,"at":"2027-01-15T08:01:00Z","actor":{"kind":"client","client_id":"fcf42d7970acb986a7d3a03df5face28","name":"pc-3"},"change":{"type":"step_reported","client_id":"fcf42d7970acb986a7d3a03df5face28","report":{"id":301,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"download","outcome":"ok","reason":"by_delta","way":"gzip","bytes":{"metadata":20,"manifest":3,"payload":900000}},"effect":"progress"}}' AS BLOB), x'c11735418f64befe407ff78b1dd0d831d72dc97247b873940a3a111c430022d6', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (40, 1800000060000000, 'step_reported', 'pc-3', CAST('{"version":2,"sequence":40,"at":"2027-01-15T08:01:00Z","actor":{"kind":"client","client_id":"fcf42d7970acb986a7d3a03df5face28","name":"pc-3"},"change":{"type":"step_reported","client_id":"fcf42d7970acb986a7d3a03df5face28","report":{"id":302,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"health","outcome":"failed","reason":"hook_failed","detail":"it said \"no\", twice"},"effect":"failure","delivery":{"rollout":2,"package":"acme-av","ring":0,"before":"begun","after":"failed","attempt":1}}}' AS BLOB), x'17724391687a16cbdc329a141afa0c83f08e9692e562a43d6f38cf88ebae5f97', x'ddba575f6eeb211a54845af62a90ee9863104015a51143b5c9d0e0b38b137b4c01aed6888c540f8979d0317edd57516e0223257d55b9a67c2d78d301bec8826e42266d37472f07708b0462163bfb70339a7b0fd5d670093d67cf68c00464c9ee');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (41, 1800000060000000, 'step_reported', 'pc-3', CAST('{"version":2,"sequence":41,"at":"2027-01-15T08:01:00Z","actor":{"kind":"client","client_id":"fcf42d7970acb986a7d3a03df5face28","name":"pc-3"},"change":{"type":"step_reported","client_id":"fcf42d7970acb986a7d3a03df5face28","report":{"id":303,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"roll_back","outcome":"ok","reason":"hook_failed","detail":"1.0 was started again"},"effect":"failure"}}' AS BLOB), x'5734217f5f19325b6ad7e3319424b9758f3e1c7eac651669af51ad199572d6ac', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (42, 1800000070000000, 'step_reported', 'pc-3', CAST('{"version":2,"sequence":42,"at":"2027-01-15T08:01:10Z","actor":{"kind":"client","client_id":"fcf42d7970acb986a7d3a03df5face28","name":"pc-3"},"change":{"type":"step_reported","client_id":"fcf42d7970acb986a7d3a03df5face28","report":{"id":400,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"check","outcome":"refused","reason":"network_failed","detail":"no route"},"effect":"failure"}}' AS BLOB), x'c71a9c8f4bebe0cf9eb5535170e131bbff40bb8b01a47be50657434b03de07ae', x'7c06663338c44a21a12de126cd89c3822013b26a60dcb1c4ce3b6ff1783aa360');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (43, 1800000080000000, 'step_reported', 'pc-2', CAST('{"version":2,"sequence":43,"at":"2027-01-15T08:01:20Z","actor":{"kind":"client","client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","name":"pc-2"},"change":{"type":"step_reported","client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","report":{"id":300,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"check","outcome":"ok","reason":"done"},"effect":"progress","delivery":{"rollout":2,"package":"acme-av","ring":0,"before":"told","after":"begun","attempt":1}}}' AS BLOB), x'c7138e4005186c34c301faddac6428a08ec319cd87bb8979617bb383676432b7', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (44, 1800000080000000, 'step_reported', 'pc-2', CAST('{"version":2,"sequence":44,"at":"2027-01-15T08:01:20Z","actor":{"kind":"client","client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","name":"pc-2"},"change":{"type":"step_reported","client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","report":{"id":301,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"download","outcome":"ok","reason":"by_delta","way":"delta","bytes":{"metadata":20,"manifest":3,"payload":4000}},"effect":"progress"}}' AS BLOB), x'03453918c860e0298508214931e9cfe542333ea7a855e000e8ea0201a4e6eb8d', x'11f743914a313a38963331e394ee08f215633931cd7b924751d7b74b13c443ebce490cd9789ca19774b721631ff361fd6a822c7456d84689d8f969ee26b724a6');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (45, 1800000005000000, 'release_staged', NULL, CAST('{"version":2,"sequence":45,"at":"2027-01-15T08:00:05Z","actor":{"kind":"server"},"change":{"type":"release_staged","release":{"package":"acme-av","version":"3.0","platform":"linux-x86_64"},"manifest":"fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3","kind":"program","counter":3,"severity":"high","channels":["stable"],"signer":"RWQH4Xf5tSNviHyCabxIToN4GWxd3hutHLaq7HhEzoCH+9CS3zXaFDon","payload_bytes":1000}}' AS BLOB), x'edd872871644691470221fc4ae494995c4bbab73765ebe66be3ed8c14065bea1', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (46, 1800000006000000, 'release_approved', NULL, CAST('{"version":2,"sequence":46,"at":"2027-01-15T08:00:06Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"release_approved","release":{"package":"acme-av","version":"3.0","platform":"linux-x86_64"},"manifest":"fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3","approval":{"channels":["stable"],"approvals":[{"kind":"socket","id":"alice"}]},"rollout":3,"staged":{"strategy":"three","plan":{"rings":[{"name":"everyone","takes":"everyone","soak_minutes":0,"minimum_sample":1,"success_percent":90,"errors":{"count":1,"percent":10},"concurrent":3}]},"channels":["stable"]}}}' AS BLOB), x'4d4b80f5572fa6328b5a2f41387cb27f3f45c108e6409baee6c9a3dd424fadd4', x'59408b5dce867e8da8b4a8175dee0d436bf8344f3a4244b304f79d963c91cbee');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (47, 1800000090000000, 'ring_opened', NULL, CAST('{"version":2,"sequence":47,"at":"2027-01-15T08:01:30Z","actor":{"kind":"server"},"change":{"type":"ring_opened","rollout":3,"release":{"package":"acme-av","version":"3.0","platform":"linux-x86_64"},"ring":0,"name":"everyone","reason":"first"}}' AS BLOB), x'483801b62e3ca3e1035c18425bee560227d93d16f4d26d7a980bb35dc4477051', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (48, 1800000090000000, 'release_halted', NULL, CAST('{"version":2,"sequence":48,"at":"2027-01-15T08:01:30Z","actor":{"kind":"server"},"change":{"type":"release_halted","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","reason":"1 of 2 computers failed in the ring everyone of rollout 2"}}' AS BLOB), x'e708f16926eb3a02462bfea103d5781e5b6ca784efdaa0fc964539f282bf9222', x'b1bed74fd85ab85ff8e2de06d4707830df9e112db011283ddb00d9729902ea90784322ddf8ad8a59026c28f751d21bade88c9d05094f352e147bb51aa9a818a81879eed3521d6bc8e8abed2d607dd9a321a4ce4682a35ee619ee62d7199c55c70c95a28307dc2b0d6c657cb3d83c9e86af9a4c990221346a7a537ed39e19a20e');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (49, 1800000100000000, 'assignment_changed', 'pc-3', CAST('{"version":2,"sequence":49,"at":"2027-01-15T08:01:40Z","actor":{"kind":"client","client_id":"fcf42d7970acb986a7d3a03df5face28","name":"pc-3"},"change":{"type":"assignment_changed","client_id":"fcf42d7970acb986a7d3a03df5face28","order":{"epoch":4294967296,"sequence":3},"expires_at":"2027-02-14T08:01:40Z","metadata_as_of":"2027-01-15T08:00:04Z","packages":[{"action":"install","release":{"package":"acme-av","version":"3.0","platform":"linux-x86_64"},"manifest":"fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3","postpone":{"times":3,"until":"2027-01-18T08:01:40Z"},"rollout":3,"ring":"everyone","attempt":1}],"deliveries":[{"rollout":3,"package":"acme-av","ring":0,"after":"told","attempt":1,"silence_secs":28800}]}}' AS BLOB), x'd40ef56337bbe076ffcfd7392fe55ed13e50e489eaf31ee009915e2f8e0653b0', x'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (50, 1800000100000000, 'assignment_changed', 'pc-2', CAST('{"version":2,"sequence":50,"at":"2027-01-15T08:01:40Z","actor":{"kind":"client","client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","name":"pc-2"},"change":{"type":"assignment_changed","client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","order":{"epoch":4294967296,"sequence":3},"expires_at":"2027-02-14T08:01:40Z","metadata_as_of":"2027-01-15T08:00:04Z","packages":[{"action":"install","release":{"package":"acme-av","version":"3.0","platform":"linux-x86_64"},"manifest":"fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3","postpone":{"times":3,"until":"2027-01-18T08:00:30Z"},"rollout":3,"ring":"everyone","attempt":1}],"deliveries":[{"rollout":2,"package":"acme-av","ring":0,"before":"begun","after":"dropped","attempt":1},{"rollout":3,"package":"acme-av","ring":0,"after":"told","attempt":1,"silence_secs":28800,"waits_since":"2027-01-15T08:00:30Z"}]}}' AS BLOB), x'b3a6520bdb87224879647ff04a10fe1609cde5fd3239ee6ead6434b3934a3890', x'18769937b8c8f744aeecc22ad2ba9120448916407a49a322d4b57f1193442f35');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (51, 1800000110000000, 'step_reported', 'pc-3', CAST('{"version":2,"sequence":51,"at":"2027-01-15T08:01:50Z","actor":{"kind":"client","client_id":"fcf42d7970acb986a7d3a03df5face28","name":"pc-3"},"change":{"type":"step_reported","client_id":"fcf42d7970acb986a7d3a03df5face28","report":{"id":600,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"3.0","platform":"linux-x86_64"},"manifest":"fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3","rollout":3,"attempt":1,"step":"keep","outcome":"ok","reason":"done"},"effect":"progress","delivery":{"rollout":3,"package":"acme-av","ring":0,"before":"told","after":"succeeded","attempt":1}}}' AS BLOB), x'1f28f4a4160abea4bdc58748a8fc79c0da68016ca48519c90f28867723204864', x'');
INSERT INTO server (id, server_id, site_key, era, past_eras, restored_at, restored_epoch, resumes_until, confirmed, acknowledged_at, acknowledged_by, acknowledgement) VALUES (1, '0dcda40dcfa380da8143c43a9f333fa0', 'RWR/aD26oxDcJo10EC8VyESjK5KC5pGYGrMuG8IUXO4ISBh5D1qosFMo', '00000000000000000000000000000000', '[]', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO grants (serial, generation, epoch, seats, model, not_after, vendor_time, digest, document, accepted_sequence, used, active) VALUES ('11111-11111-11111-1111Y', 1, 4294967296, 4, 'named', 1831622400000000, 1800000000000000, '152061d28a382535f32bc5f52ec68fd2626935ce635617abae8af10f3d25e5f7', '{"document":"{\"type\":\"grant\",\"version\":2,\"vendor\":\"Acme\",\"serial\":\"11111-11111-11111-1111Y\",\"server_id\":\"0dcda40dcfa380da8143c43a9f333fa0\",\"site_key\":\"RWR/aD26oxDcJo10EC8VyESjK5KC5pGYGrMuG8IUXO4ISBh5D1qosFMo\",\"key_epoch\":1,\"epoch\":4294967296,\"packages\":[],\"model\":\"named\",\"seats\":4,\"generation\":1,\"not_after\":\"2028-01-16T08:00:00Z\",\"vendor_time\":\"2027-01-15T08:00:00Z\",\"request_id\":\"01010101010101010101010101010101\"}","minisig":"untrusted comment: signature by key 886F23B5F977E107\nRUQH4Xf5tSNviGJKgrjOf6jGcEjZMJ7QgQ/Kgi1k6DIv2IunoTnzNpXdhDmBIJXRMfT7FyNfIOYOWrXGyO25nE1vvoEo0IZJSgQ=\ntrusted comment: grant server=0dcda40dcfa380da8143c43a9f333fa0 generation=1\n/sGgGry/SIKUTC9J4UjUG9YU+hglFJnx3hkxoDa6e8F4VnErqS8LE9h55Epg+vf6lD6W1IE90F4mDtQ7/RW9DA==\n"}', 2, 4, 4);
INSERT INTO computers (name, channel, reserved_at) VALUES ('pc-0', 'stable', 1800000002000000);
INSERT INTO computers (name, channel, reserved_at) VALUES ('pc-1', 'stable', 1800000002000000);
INSERT INTO computers (name, channel, reserved_at) VALUES ('pc-2', 'stable', 1800000002000000);
INSERT INTO computers (name, channel, reserved_at) VALUES ('pc-3', 'stable', 1800000002000000);
INSERT INTO reservations (name, serial, reserved_at, leased) VALUES ('pc-0', '11111-11111-11111-1111Y', 1800000002000000, 1);
INSERT INTO reservations (name, serial, reserved_at, leased) VALUES ('pc-1', '11111-11111-11111-1111Y', 1800000002000000, 1);
INSERT INTO reservations (name, serial, reserved_at, leased) VALUES ('pc-2', '11111-11111-11111-1111Y', 1800000002000000, 1);
INSERT INTO reservations (name, serial, reserved_at, leased) VALUES ('pc-3', '11111-11111-11111-1111Y', 1800000002000000, 1);
INSERT INTO setups (name, setup, issued_at, expires_at, used_by) VALUES ('pc-0', '93986d59fb2c03e54cdf09c685bf3fda', 1800000002000000, 1800604802000000, 'd431ef4faeea1d645aa736da853a4a24');
INSERT INTO setups (name, setup, issued_at, expires_at, used_by) VALUES ('pc-1', 'c337d0b2084ae2288a29a8b5157c6aff', 1800000002000000, 1800604802000000, '18cdd76fc6da425e28b48d63760d5063');
INSERT INTO setups (name, setup, issued_at, expires_at, used_by) VALUES ('pc-2', '831ef6b404e72130f04420ca334023be', 1800000002000000, 1800604802000000, '0a5bc5e6c02fb5a315502f0b23c98d06');
INSERT INTO setups (name, setup, issued_at, expires_at, used_by) VALUES ('pc-3', 'ffcccfc032006e26b866b78bb7619ddc', 1800000002000000, 1800604802000000, 'fcf42d7970acb986a7d3a03df5face28');
INSERT INTO clients (client_id, name, client_key, sealing_key, platform, agent_version, enrolled_at, era, resumed_head, forked, lease_epoch, lease_sequence, lease_until, assignment_epoch, assignment_sequence, other_orders, acknowledged_report, resumed_era, resumed_at, resumed_contacts, provisional_until, displaced_contacts) VALUES ('0a5bc5e6c02fb5a315502f0b23c98d06', 'pc-2', 'RWQtHTMHjgqCzID5v9MGc7sR268cfH1KyKhcliK2/0BicJaOWtNlQjjN', 'SCA69KuW0up6gVXtztYVk320yqXO5k9E0wnme/+FdXE=', 'linux-x86_64', '0.1.0', 1800000003000000, '00000000000000000000000000000000', NULL, 0, 4294967296, 1, 1802592010000000, 4294967296, 3, NULL, 301, NULL, NULL, NULL, NULL, NULL);
INSERT INTO clients (client_id, name, client_key, sealing_key, platform, agent_version, enrolled_at, era, resumed_head, forked, lease_epoch, lease_sequence, lease_until, assignment_epoch, assignment_sequence, other_orders, acknowledged_report, resumed_era, resumed_at, resumed_contacts, provisional_until, displaced_contacts) VALUES ('18cdd76fc6da425e28b48d63760d5063', 'pc-1', 'RWSwVaFHukjHJwJ8zUJJD1GI/oCFKwDm7yVUI16nPMXMw8BhYzPvmI7W', 'foupUCvi8Qz46ZiV1wd7Fq/9iZ76QCe6igkM0JOcYWQ=', 'linux-x86_64', '0.1.0', 1800000003000000, '00000000000000000000000000000000', NULL, 0, 4294967296, 1, 1802592010000000, 4294967296, 2, NULL, 402, NULL, NULL, NULL, NULL, NULL);
INSERT INTO clients (client_id, name, client_key, sealing_key, platform, agent_version, enrolled_at, era, resumed_head, forked, lease_epoch, lease_sequence, lease_until, assignment_epoch, assignment_sequence, other_orders, acknowledged_report, resumed_era, resumed_at, resumed_contacts, provisional_until, displaced_contacts) VALUES ('d431ef4faeea1d645aa736da853a4a24', 'pc-0', 'RWSpW+zSZ0ZpiUM31QLBUDl1qK6f67ROdSV0kAsHFlW1ob0F93VJgLF/', 'QPLIW2pjqEtSfxWFH453RMF6OlCKqdVpz2Ndu81KUhQ=', 'linux-x86_64', '0.1.0', 1800000003000000, '00000000000000000000000000000000', NULL, 0, 4294967296, 1, 1802592010000000, 4294967296, 1, NULL, 0, NULL, NULL, NULL, NULL, NULL);
INSERT INTO clients (client_id, name, client_key, sealing_key, platform, agent_version, enrolled_at, era, resumed_head, forked, lease_epoch, lease_sequence, lease_until, assignment_epoch, assignment_sequence, other_orders, acknowledged_report, resumed_era, resumed_at, resumed_contacts, provisional_until, displaced_contacts) VALUES ('fcf42d7970acb986a7d3a03df5face28', 'pc-3', 'RWSw5VvB/CN5Y4G792NM98/Tgv7ZQiPGzAuRkIFThDUgKOV+yNeEp1dI', 'q7bHiQQwRic9EDcJZOue620XyoLJRKVIjR+D871O3mw=', 'linux-x86_64', '0.1.0', 1800000003000000, '00000000000000000000000000000000', NULL, 0, 4294967296, 1, 1802592010000000, 4294967296, 3, NULL, 600, NULL, NULL, NULL, NULL, NULL);
INSERT INTO assigned (client_id, package, manifest, told) VALUES ('0a5bc5e6c02fb5a315502f0b23c98d06', 'acme-av', 'fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3', '{"action":"install","release":{"package":"acme-av","version":"3.0","platform":"linux-x86_64"},"manifest":"fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3","postpone":{"times":3,"until":"2027-01-18T08:00:30Z"},"rollout":3,"ring":"everyone","attempt":1}');
INSERT INTO assigned (client_id, package, manifest, told) VALUES ('d431ef4faeea1d645aa736da853a4a24', 'acme-av', '8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5', '{"action":"install","release":{"package":"acme-av","version":"1.0","platform":"linux-x86_64"},"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5","rollout":1,"attempt":1}');
INSERT INTO assigned (client_id, package, manifest, told) VALUES ('fcf42d7970acb986a7d3a03df5face28', 'acme-av', 'fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3', '{"action":"install","release":{"package":"acme-av","version":"3.0","platform":"linux-x86_64"},"manifest":"fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3","postpone":{"times":3,"until":"2027-01-18T08:01:40Z"},"rollout":3,"ring":"everyone","attempt":1}');
INSERT INTO last_reports (client_id, package, manifest, failed, report) VALUES ('0a5bc5e6c02fb5a315502f0b23c98d06', 'acme-av', 'b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a', 0, '{"id":301,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"download","outcome":"ok","reason":"by_delta","way":"delta","bytes":{"metadata":20,"manifest":3,"payload":4000}}');
INSERT INTO last_reports (client_id, package, manifest, failed, report) VALUES ('18cdd76fc6da425e28b48d63760d5063', 'acme-av', 'b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a', 0, '{"id":402,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"keep","outcome":"ok","reason":"done"}');
INSERT INTO last_reports (client_id, package, manifest, failed, report) VALUES ('fcf42d7970acb986a7d3a03df5face28', 'acme-av', 'fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3', 0, '{"id":600,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"3.0","platform":"linux-x86_64"},"manifest":"fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3","rollout":3,"attempt":1,"step":"keep","outcome":"ok","reason":"done"}');
INSERT INTO releases (manifest, package, version, platform, kind, counter, severity, state, channels, signer, payload_bytes, staged_at, decided_at, decided_by, reason, approval, rollout, voided, rollback, attempt, mandatory, rolling_out) VALUES ('ff097dea5bb7c748babff0c7ebe5572a9228bd9e776533e7ecbf074545dada2f', 'acme-av', '9.0', 'linux-x86_64', 'program', 9, 'high', 'staged', '["stable"]', 'RWQH4Xf5tSNviHyCabxIToN4GWxd3hutHLaq7HhEzoCH+9CS3zXaFDon', 1000, 1800000005000000, NULL, NULL, NULL, NULL, NULL, 0, 0, 1, 0, NULL);
INSERT INTO releases (manifest, package, version, platform, kind, counter, severity, state, channels, signer, payload_bytes, staged_at, decided_at, decided_by, reason, approval, rollout, voided, rollback, attempt, mandatory, rolling_out) VALUES ('8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5', 'acme-av', '1.0', 'linux-x86_64', 'program', 1, 'high', 'approved', '["stable"]', 'RWQH4Xf5tSNviHyCabxIToN4GWxd3hutHLaq7HhEzoCH+9CS3zXaFDon', 1000, 1800000005000000, 1800000006000000, '{"kind":"admin","account":{"kind":"socket","id":"alice"}}', NULL, '{"channels":["stable"],"approvals":[{"kind":"socket","id":"alice"}]}', 1, 0, 0, 1, 0, NULL);
INSERT INTO releases (manifest, package, version, platform, kind, counter, severity, state, channels, signer, payload_bytes, staged_at, decided_at, decided_by, reason, approval, rollout, voided, rollback, attempt, mandatory, rolling_out) VALUES ('b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a', 'acme-av', '2.0', 'linux-x86_64', 'program', 2, 'high', 'halted', '["stable"]', 'RWQH4Xf5tSNviHyCabxIToN4GWxd3hutHLaq7HhEzoCH+9CS3zXaFDon', 1000, 1800000005000000, 1800000090000000, '{"kind":"server"}', '1 of 2 computers failed in the ring everyone of rollout 2', '{"channels":["stable"],"approvals":[{"kind":"socket","id":"alice"}]}', 2, 0, 0, 1, 0, '["stable"]');
INSERT INTO releases (manifest, package, version, platform, kind, counter, severity, state, channels, signer, payload_bytes, staged_at, decided_at, decided_by, reason, approval, rollout, voided, rollback, attempt, mandatory, rolling_out) VALUES ('fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3', 'acme-av', '3.0', 'linux-x86_64', 'program', 3, 'high', 'approved', '["stable"]', 'RWQH4Xf5tSNviHyCabxIToN4GWxd3hutHLaq7HhEzoCH+9CS3zXaFDon', 1000, 1800000005000000, 1800000006000000, '{"kind":"admin","account":{"kind":"socket","id":"alice"}}', NULL, '{"channels":["stable"],"approvals":[{"kind":"socket","id":"alice"}]}', 3, 0, 0, 1, 0, '["stable"]');
INSERT INTO pulls (id, root_version, timestamp_version, snapshot_version, failure) VALUES (1, 1, 1, 1, NULL);
INSERT INTO plan (id, version) VALUES (1, 48);
INSERT INTO settings (kind, name, value) VALUES ('strategy', 'hourly', '{"rings":[{"name":"everyone","per_hour":2,"takes":"everyone"}]}');
INSERT INTO settings (kind, name, value) VALUES ('strategy', 'rings', '{"on_failure":"roll_back","rings":[{"errors":{"count":1,"percent":1},"name":"canary","soak_minutes":60,"takes":{"first":1}},{"name":"early","soak_minutes":60,"takes":{"first":3}},{"name":"everyone","soak_minutes":60,"takes":"everyone"}]}');
INSERT INTO settings (kind, name, value) VALUES ('strategy', 'slow-rings', '{"rings":[{"name":"canary","soak_minutes":600,"takes":{"first":9}},{"name":"half","soak_minutes":600,"takes":{"first":4}},{"name":"everyone","soak_minutes":600,"takes":"everyone"}]}');
INSERT INTO settings (kind, name, value) VALUES ('strategy', 'three', '{"rings":[{"concurrent":3,"name":"everyone","takes":"everyone"}]}');
INSERT INTO rollouts (number, manifest, channels, strategy_name, strategy, emergency, state, started_at, changed, superseded_from) VALUES (1, '8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5', '["stable"]', 'everyone-now', '{"on_failure":"roll_back","rings":[{"name":"everyone","takes":"everyone","soak_minutes":0,"minimum_sample":1,"success_percent":1,"errors":{"count":5,"percent":5}}]}', 0, 'completed', 1800000006000000, NULL, NULL);
INSERT INTO rollouts (number, manifest, channels, strategy_name, strategy, emergency, state, started_at, changed, superseded_from) VALUES (2, 'b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a', '["stable"]', 'three', '{"rings":[{"name":"everyone","takes":"everyone","soak_minutes":0,"minimum_sample":1,"success_percent":90,"errors":{"count":1,"percent":10},"concurrent":3}]}', 0, 'halted', 1800000006000000, '{"at":"2027-01-15T08:01:30Z","by":{"kind":"server"},"why":"1 of 2 computers failed in the ring everyone of rollout 2"}', NULL);
INSERT INTO rollouts (number, manifest, channels, strategy_name, strategy, emergency, state, started_at, changed, superseded_from) VALUES (3, 'fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3', '["stable"]', 'three', '{"rings":[{"name":"everyone","takes":"everyone","soak_minutes":0,"minimum_sample":1,"success_percent":90,"errors":{"count":1,"percent":10},"concurrent":3}]}', 0, 'running', 1800000006000000, NULL, NULL);
INSERT INTO rings (rollout, ring, live, opened_at, below, offered, told, begun, succeeded, failed, silent, dropped, forgiven, hour, told_in_hour) VALUES (1, 0, 0, 1800000006000000, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO rings (rollout, ring, live, opened_at, below, offered, told, begun, succeeded, failed, silent, dropped, forgiven, hour, told_in_hour) VALUES (2, 0, 0, 1800000020000000, NULL, 0, 0, 0, 1, 1, 0, 1, 0, 500000, 3);
INSERT INTO rings (rollout, ring, live, opened_at, below, offered, told, begun, succeeded, failed, silent, dropped, forgiven, hour, told_in_hour) VALUES (3, 0, 1, 1800000090000000, NULL, 0, 1, 0, 1, 0, 0, 0, 0, 500000, 2);
INSERT INTO deliveries (client_id, rollout, name, package, manifest, ring, state, attempt, told_at, since, silence_secs, current, way, bytes, tries, failed_step, failed_reason, failed_detail) VALUES ('0a5bc5e6c02fb5a315502f0b23c98d06', 2, 'pc-2', 'acme-av', 'b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a', 0, 'dropped', 1, 1800000030000000, 1800000100000000, 28800, 0, 'delta', 4023, 1, NULL, NULL, NULL);
INSERT INTO deliveries (client_id, rollout, name, package, manifest, ring, state, attempt, told_at, since, silence_secs, current, way, bytes, tries, failed_step, failed_reason, failed_detail) VALUES ('0a5bc5e6c02fb5a315502f0b23c98d06', 3, 'pc-2', 'acme-av', 'fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3', 0, 'told', 1, 1800000030000000, 1800000100000000, 28800, 1, NULL, NULL, 0, NULL, NULL, NULL);
INSERT INTO deliveries (client_id, rollout, name, package, manifest, ring, state, attempt, told_at, since, silence_secs, current, way, bytes, tries, failed_step, failed_reason, failed_detail) VALUES ('18cdd76fc6da425e28b48d63760d5063', 2, 'pc-1', 'acme-av', 'b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a', 0, 'succeeded', 1, 1800000030000000, 1800000050000000, 28800, 1, 'delta', 4023, 2, 'check', 'network_failed', 'no route');
INSERT INTO deliveries (client_id, rollout, name, package, manifest, ring, state, attempt, told_at, since, silence_secs, current, way, bytes, tries, failed_step, failed_reason, failed_detail) VALUES ('fcf42d7970acb986a7d3a03df5face28', 2, 'pc-3', 'acme-av', 'b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a', 0, 'failed', 1, 1800000030000000, 1800000060000000, 28800, 0, 'gzip', 900023, 2, 'roll_back', 'hook_failed', '1.0 was started again');
INSERT INTO deliveries (client_id, rollout, name, package, manifest, ring, state, attempt, told_at, since, silence_secs, current, way, bytes, tries, failed_step, failed_reason, failed_detail) VALUES ('fcf42d7970acb986a7d3a03df5face28', 3, 'pc-3', 'acme-av', 'fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3', 0, 'succeeded', 1, 1800000100000000, 1800000110000000, 28800, 1, NULL, NULL, 0, NULL, NULL, NULL);
INSERT INTO contacts (client_id, previous, next, at, answer, progress, list_epoch, list_sequence, cadence) VALUES ('0a5bc5e6c02fb5a315502f0b23c98d06', '03030303030303030303030303030303', '04040404040404040404040404040404', 1800000100000000, '{"assignment":true,"acknowledged_report":301}', '{"last":{"era":"00000000000000000000000000000000","contacts":4},"base":0}', NULL, NULL, NULL);
INSERT INTO contacts (client_id, previous, next, at, answer, progress, list_epoch, list_sequence, cadence) VALUES ('18cdd76fc6da425e28b48d63760d5063', '03030303030303030303030303030303', '04040404040404040404040404040404', 1800000050000000, '{"acknowledged_report":402}', '{"last":{"era":"00000000000000000000000000000000","contacts":4},"base":0}', NULL, NULL, NULL);
INSERT INTO contacts (client_id, previous, next, at, answer, progress, list_epoch, list_sequence, cadence) VALUES ('d431ef4faeea1d645aa736da853a4a24', NULL, '01010101010101010101010101010101', 1800000010000000, '{"lease":true,"assignment":true,"acknowledged_report":0}', '{"last":{"era":"00000000000000000000000000000000","contacts":1},"base":0}', NULL, NULL, NULL);
INSERT INTO contacts (client_id, previous, next, at, answer, progress, list_epoch, list_sequence, cadence) VALUES ('fcf42d7970acb986a7d3a03df5face28', '05050505050505050505050505050505', '06060606060606060606060606060606', 1800000110000000, '{"acknowledged_report":600}', '{"last":{"era":"00000000000000000000000000000000","contacts":6},"base":0}', NULL, NULL, NULL);
INSERT INTO seen (client_id, platform, agent_version, instance, hostname, installed, before, tags, postponed, came_by) VALUES ('18cdd76fc6da425e28b48d63760d5063', 'linux-x86_64', '0.1.1', 'c192c02414ec0fd0d7ce33df4b6c2618809dc5a42f7b5e84fd1942bf5a9b7d61', 'PC-1', '[{"release":{"package":"acme-av","version":"1.0","platform":"linux-x86_64"},"kind":"program","counter":1,"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5"}]', '[]', '[]', '[]', NULL);
INSERT INTO seen (client_id, platform, agent_version, instance, hostname, installed, before, tags, postponed, came_by) VALUES ('fcf42d7970acb986a7d3a03df5face28', 'linux-x86_64', '0.1.1', 'd105446f6805bc7221b9ca5955c687514ca6127f2c03979a73685c66220ceecc', 'PC-3', '[{"release":{"package":"acme-av","version":"3.0","platform":"linux-x86_64"},"kind":"program","counter":3,"manifest":"fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3"}]', '[{"release":{"package":"acme-av","version":"1.0","platform":"linux-x86_64"},"kind":"program","counter":1,"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5"}]', '[]', '[]', NULL);
INSERT INTO seen (client_id, platform, agent_version, instance, hostname, installed, before, tags, postponed, came_by) VALUES ('0a5bc5e6c02fb5a315502f0b23c98d06', 'linux-x86_64', '0.1.1', 'c352f7b125dc37753f48455aa95763a9c073257a3dc4a1d3db0e962b0f438f87', 'PC-2', '[{"release":{"package":"acme-av","version":"1.0","platform":"linux-x86_64"},"kind":"program","counter":1,"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5"}]', '[]', '[]', '[]', NULL);
INSERT INTO seen (client_id, platform, agent_version, instance, hostname, installed, before, tags, postponed, came_by) VALUES ('d431ef4faeea1d645aa736da853a4a24', 'linux-x86_64', '0.1.1', 'a5af4880456a3e8c73eaffc69560126d5f2f814d430f14ac8f5eafb67be5caf3', 'PC-0', '[{"release":{"package":"acme-av","version":"1.0","platform":"linux-x86_64"},"kind":"program","counter":1,"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5"}]', '[]', '[]', '[]', NULL);
INSERT INTO installed (client_id, package, manifest) VALUES ('0a5bc5e6c02fb5a315502f0b23c98d06', 'acme-av', '8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5');
INSERT INTO installed (client_id, package, manifest) VALUES ('18cdd76fc6da425e28b48d63760d5063', 'acme-av', '8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5');
INSERT INTO installed (client_id, package, manifest) VALUES ('d431ef4faeea1d645aa736da853a4a24', 'acme-av', '8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5');
INSERT INTO installed (client_id, package, manifest) VALUES ('fcf42d7970acb986a7d3a03df5face28', 'acme-av', 'fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3');
INSERT INTO sent (client_id, lease, assignment) VALUES ('18cdd76fc6da425e28b48d63760d5063', '{"client_id":"18cdd76fc6da425e28b48d63760d5063","client_key":"RWSwVaFHukjHJwJ8zUJJD1GI/oCFKwDm7yVUI16nPMXMw8BhYzPvmI7W","computer_name":"pc-1","channel":"stable","server_id":"0dcda40dcfa380da8143c43a9f333fa0","signer":"site_key","epoch":4294967296,"sequence":1,"issued_at":"2027-01-15T08:00:10Z","entitlements":[{"serial":"11111-11111-11111-1111Y","model":"named","packages":[],"grant":"152061d28a382535f32bc5f52ec68fd2626935ce635617abae8af10f3d25e5f7","not_after":"2027-02-14T08:00:10Z"}],"ledger_head":{"size":19,"root":"fdab0bf1a435e95555a7c572c20126ea535918108332c1ca6370c48f487b5d27"}}', '{"client_id":"18cdd76fc6da425e28b48d63760d5063","server_id":"0dcda40dcfa380da8143c43a9f333fa0","signer":"site_key","epoch":4294967296,"sequence":2,"issued_at":"2027-01-15T08:00:30Z","expires_at":"2027-02-14T08:00:30Z","metadata_as_of":"2027-01-15T08:00:04Z","packages":[{"action":"install","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","postpone":{"times":3,"until":"2027-01-18T08:00:30Z"},"rollout":2,"ring":"everyone","attempt":1}]}');
INSERT INTO sent (client_id, lease, assignment) VALUES ('fcf42d7970acb986a7d3a03df5face28', '{"client_id":"fcf42d7970acb986a7d3a03df5face28","client_key":"RWSw5VvB/CN5Y4G792NM98/Tgv7ZQiPGzAuRkIFThDUgKOV+yNeEp1dI","computer_name":"pc-3","channel":"stable","server_id":"0dcda40dcfa380da8143c43a9f333fa0","signer":"site_key","epoch":4294967296,"sequence":1,"issued_at":"2027-01-15T08:00:10Z","entitlements":[{"serial":"11111-11111-11111-1111Y","model":"named","packages":[],"grant":"152061d28a382535f32bc5f52ec68fd2626935ce635617abae8af10f3d25e5f7","not_after":"2027-02-14T08:00:10Z"}],"ledger_head":{"size":21,"root":"fda38b6246a29b925ce1142256b1d455a9d63e213a04ff0525c1d5175e853b92"}}', '{"client_id":"fcf42d7970acb986a7d3a03df5face28","server_id":"0dcda40dcfa380da8143c43a9f333fa0","signer":"site_key","epoch":4294967296,"sequence":3,"issued_at":"2027-01-15T08:01:40Z","expires_at":"2027-02-14T08:01:40Z","metadata_as_of":"2027-01-15T08:00:04Z","packages":[{"action":"install","release":{"package":"acme-av","version":"3.0","platform":"linux-x86_64"},"manifest":"fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3","postpone":{"times":3,"until":"2027-01-18T08:01:40Z"},"rollout":3,"ring":"everyone","attempt":1}]}');
INSERT INTO sent (client_id, lease, assignment) VALUES ('0a5bc5e6c02fb5a315502f0b23c98d06', '{"client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","client_key":"RWQtHTMHjgqCzID5v9MGc7sR268cfH1KyKhcliK2/0BicJaOWtNlQjjN","computer_name":"pc-2","channel":"stable","server_id":"0dcda40dcfa380da8143c43a9f333fa0","signer":"site_key","epoch":4294967296,"sequence":1,"issued_at":"2027-01-15T08:00:10Z","entitlements":[{"serial":"11111-11111-11111-1111Y","model":"named","packages":[],"grant":"152061d28a382535f32bc5f52ec68fd2626935ce635617abae8af10f3d25e5f7","not_after":"2027-02-14T08:00:10Z"}],"ledger_head":{"size":23,"root":"a0521d2671ce6df613ba1e341b0cd4e270dd38af18dc4cbc23ea4a93a19c8a07"}}', '{"client_id":"0a5bc5e6c02fb5a315502f0b23c98d06","server_id":"0dcda40dcfa380da8143c43a9f333fa0","signer":"site_key","epoch":4294967296,"sequence":3,"issued_at":"2027-01-15T08:01:40Z","expires_at":"2027-02-14T08:01:40Z","metadata_as_of":"2027-01-15T08:00:04Z","packages":[{"action":"install","release":{"package":"acme-av","version":"3.0","platform":"linux-x86_64"},"manifest":"fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3","postpone":{"times":3,"until":"2027-01-18T08:00:30Z"},"rollout":3,"ring":"everyone","attempt":1}]}');
INSERT INTO sent (client_id, lease, assignment) VALUES ('d431ef4faeea1d645aa736da853a4a24', '{"client_id":"d431ef4faeea1d645aa736da853a4a24","client_key":"RWSpW+zSZ0ZpiUM31QLBUDl1qK6f67ROdSV0kAsHFlW1ob0F93VJgLF/","computer_name":"pc-0","channel":"stable","server_id":"0dcda40dcfa380da8143c43a9f333fa0","signer":"site_key","epoch":4294967296,"sequence":1,"issued_at":"2027-01-15T08:00:10Z","entitlements":[{"serial":"11111-11111-11111-1111Y","model":"named","packages":[],"grant":"152061d28a382535f32bc5f52ec68fd2626935ce635617abae8af10f3d25e5f7","not_after":"2027-02-14T08:00:10Z"}],"ledger_head":{"size":25,"root":"0bb3bb319ee800fa247409d9311cd8336b2ff8e02dfc71590c8341cd93791d1a"}}', '{"client_id":"d431ef4faeea1d645aa736da853a4a24","server_id":"0dcda40dcfa380da8143c43a9f333fa0","signer":"site_key","epoch":4294967296,"sequence":1,"issued_at":"2027-01-15T08:00:10Z","expires_at":"2027-02-14T08:00:10Z","metadata_as_of":"2027-01-15T08:00:04Z","packages":[{"action":"install","release":{"package":"acme-av","version":"1.0","platform":"linux-x86_64"},"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5","rollout":1,"attempt":1}]}');
INSERT INTO freshness (id, metadata_as_of, tried_at) VALUES (1, 1800000004000000, 1800000004000000);
INSERT INTO clock (id, floor, signed_at, not_after) VALUES (1, 1800000000002636, 1800000000000000, 1831622400000000);
