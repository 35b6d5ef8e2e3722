-- A ledger file of version 6: one of version 5 as version 6 brought it up when it opened it, and the account that was added then.
PRAGMA application_id = 0x536c5074;
PRAGMA user_version = 6;
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
    confirmed INTEGER
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
    voided INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX releases_voided ON releases (manifest) WHERE voided = 1;
CREATE TABLE counter_resets (
    package TEXT PRIMARY KEY,
    counter INTEGER NOT NULL,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX releases_in_order ON releases (package, counter DESC, platform, manifest);
CREATE INDEX releases_approved ON releases (package, counter, manifest) WHERE state = 'approved';
CREATE INDEX releases_by_state ON releases (state, manifest);
CREATE INDEX releases_by_rollout ON releases (rollout) WHERE rollout IS NOT NULL;
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
CREATE TABLE contacts (
    client_id TEXT PRIMARY KEY,
    previous TEXT,
    next TEXT NOT NULL,
    at INTEGER NOT NULL,
    answer TEXT NOT NULL,
    progress TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE seen (
    client_id TEXT PRIMARY KEY,
    platform TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    instance TEXT,
    hostname TEXT,
    installed TEXT NOT NULL
) STRICT;
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
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (1, 1800000000000000, 'server_initialized', NULL, CAST('{"version":2,"sequence":1,"at":"2027-01-15T08:00:00Z","actor":{"kind":"server"},"change":{"type":"server_initialized","server_id":"3dec396f13cb37c4040f91ac2838aa22","site_key":"RWSPf9i+OYAUw+kOzzXjZ1qiALPX+3QDpZyvH9YAkNA1BxUgOtEFdm3k"}}' AS BLOB), X'33273680a221b246cb5691e4da67306e1f20abe8966a3f7438bdd07ad71ce6bd', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (2, 1800021600000000, 'serial_registered', NULL, CAST('{"version":2,"sequence":2,"at":"2027-01-15T14:00:00Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"serial_registered","serial":"11111-11111-11111-1111Y","reason":"first","request_id":"03030303030303030303030303030303"}}' AS BLOB), X'efd296dba974e4d9d97bac9c650b4c212e8e67f2a3bda92e3d3fbca5df2996d8', X'e777cc060c61c513198e1e8ccedbacd15b9402a30917ebab67c122215646cf70');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (3, 1800043200000000, 'grant_accepted', NULL, CAST('{"version":2,"sequence":3,"at":"2027-01-15T20:00:00Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"grant_accepted","serial":"11111-11111-11111-1111Y","generation":1,"epoch":4294967296,"seats":10,"model":"named","not_after":"2028-01-16T08:00:00Z","grant":{"document":"{\"type\":\"grant\",\"version\":2,\"vendor\":\"Acme\",\"serial\":\"11111-11111-11111-1111Y\",\"server_id\":\"3dec396f13cb37c4040f91ac2838aa22\",\"site_key\":\"RWSPf9i+OYAUw+kOzzXjZ1qiALPX+3QDpZyvH9YAkNA1BxUgOtEFdm3k\",\"key_epoch\":1,\"epoch\":4294967296,\"packages\":[],\"model\":\"named\",\"seats\":10,\"generation\":1,\"not_after\":\"2028-01-16T08:00:00Z\",\"vendor_time\":\"2027-01-15T08:00:00Z\",\"request_id\":\"01010101010101010101010101010101\"}","minisig":"untrusted comment: signature by key 030A7AC0EB7B3BA9\nRUSpO3vrwHoKAxqWkpuNHR0v2xS0Gk7600QFUEwyWw9F7siYjAQkHi8BeMT2M1KND+yKdB93vBu49ajsXPJrJ0P7W2Sk4Mg2dwg=\ntrusted comment: grant server=3dec396f13cb37c4040f91ac2838aa22 generation=1\nc4uJ0I5Af5BhRuhg9sibxpE3BOhUR5MV3YpZUbF1jO8Nk14FB7S/exQpsbX+sz30RhBotFtm1RAkFW+Yu9wxDw==\n"},"confirms":true}}' AS BLOB), X'70dcf1dea5e3097401a74497f05813e2f02e778c654f05a7431bcbfa6c4cae1f', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (4, 1800064800000000, 'unknown_computer_seen', 'stranger', CAST('{"version":2,"sequence":4,"at":"2027-01-16T02:00:00Z","actor":{"kind":"stranger","source":"192.0.2.7"},"change":{"type":"unknown_computer_seen","name":"stranger","source":"192.0.2.7","drops":"forgotten"}}' AS BLOB), X'f39f3750ca5680ddfa4ef3ffe3f462181d17b74947ae3f3b16eb6df0a65a6874', X'3dac2b448e91a419823403643060947fb2cfb6efead76d703700b03c6ccdf8393383e15fa5ba0757636f18da9e0c6ee8b1cab611022ef9f22a03180ada875911');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (5, 1800086400000000, 'seat_reserved', 'pc-1', CAST('{"version":2,"sequence":5,"at":"2027-01-16T08:00:00Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"seat_reserved","name":"pc-1","channel":"stable","serial":"11111-11111-11111-1111Y"}}' AS BLOB), X'48a2e67514b3562a2413e91d0e35e1aa9f9beb1c5e6db99e67e43cfb2145bc44', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (6, 1800108000000000, 'setup_issued', 'pc-1', CAST('{"version":2,"sequence":6,"at":"2027-01-16T14:00:00Z","actor":{"kind":"admin","account":{"kind":"token","id":"bob"}},"change":{"type":"setup_issued","name":"pc-1","setup":"c337d0b2084ae2288a29a8b5157c6aff","expires_at":"2027-02-14T08:00:00Z"}}' AS BLOB), X'cbf6d78fde8857e10327434209ca5821d6b36ec9a5f2129befaad0c683114dd5', X'4cc006cd959e4032582a453ac7b26767388131914245c1465251239a7f1afb45');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (7, 1800129600000000, 'client_enrolled', 'pc-1', CAST('{"version":2,"sequence":7,"at":"2027-01-16T20:00:00Z","actor":{"kind":"client","client_id":"01010101010101010101010101010101","name":"pc-1"},"change":{"type":"client_enrolled","client_id":"01010101010101010101010101010101","name":"pc-1","client_key":"RWQBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB","sealing_key":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","platform":"linux-x86_64","agent_version":"0.1.0","setup":"c337d0b2084ae2288a29a8b5157c6aff","replaces":null}}' AS BLOB), X'e67d7213520c6ed911da0a89dcccdd2871388db366798bec043514092d611984', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (8, 1800151200000000, 'client_enrolled', 'pc-1', CAST('{"version":2,"sequence":8,"at":"2027-01-17T02:00:00Z","actor":{"kind":"client","client_id":"02020202020202020202020202020202","name":"pc-1"},"change":{"type":"client_enrolled","client_id":"02020202020202020202020202020202","name":"pc-1","client_key":"RWQCAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC","sealing_key":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=","platform":"linux-x86_64","agent_version":"0.1.0","setup":"32c0af3e4d327c3077b0c5fcc9cbb215","replaces":"01010101010101010101010101010101"}}' AS BLOB), X'338a04dc010cf9ca41ce78a9d1f94e0d8f0e1e2fdfb0dd56a0d9f7a44207c132', X'8835496219cf9821bb498e7cf9c7b6e24833cd0dc47a24c3f48f9b81411a3b207337704d357fc073092a1b8653b398a871383c1aead0b594ecba78fc5ea1462387f2205cdf9472a3da4a8cbce219fa4712ea66a4d1d4c3d8a30ad84324060f99');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (9, 1800172800000000, 'release_staged', NULL, CAST('{"version":2,"sequence":9,"at":"2027-01-17T08:00:00Z","actor":{"kind":"server"},"change":{"type":"release_staged","release":{"package":"acme-av","version":"1.0","platform":"linux-x86_64"},"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5","kind":"program","counter":1,"severity":"critical","channels":["stable"],"signer":"RWQJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ","payload_bytes":1000000}}' AS BLOB), X'89aabb6f2bfe0b25c0daf5549e31e0843ae45420a5227689d86702e050ac9a23', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (10, 1800194400000000, 'release_staged', NULL, CAST('{"version":2,"sequence":10,"at":"2027-01-17T14:00:00Z","actor":{"kind":"server"},"change":{"type":"release_staged","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","kind":"program","counter":2,"severity":"critical","channels":["stable"],"signer":"RWQJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ","payload_bytes":1000000}}' AS BLOB), X'42fd2f2892abef88a567132394e86b487afd59f304701b9dddb29bc37b56dab8', X'6a947187d499132ec8bdc866e3146f2e55e997fed36f1cebc16fd37db969fdbc');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (11, 1800216000000000, 'release_staged', NULL, CAST('{"version":2,"sequence":11,"at":"2027-01-17T20:00:00Z","actor":{"kind":"server"},"change":{"type":"release_staged","release":{"package":"acme-av","version":"3.0","platform":"linux-x86_64"},"manifest":"fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3","kind":"program","counter":3,"severity":"critical","channels":["stable"],"signer":"RWQJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ","payload_bytes":1000000}}' AS BLOB), X'c05dfc97d6a319e353e79aca8b658d041719ba6bcd4e78531793a38b03903e90', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (12, 1800237600000000, 'release_staged', NULL, CAST('{"version":2,"sequence":12,"at":"2027-01-18T02:00:00Z","actor":{"kind":"server"},"change":{"type":"release_staged","release":{"package":"acme-av","version":"4.0","platform":"linux-x86_64"},"manifest":"3661e9a25830a5177a4f7befa7731cd5efc097195e30b9a44ab28ba246030471","kind":"program","counter":4,"severity":"critical","channels":["stable"],"signer":"RWQJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ","payload_bytes":1000000}}' AS BLOB), X'e58f27fdca5ced425363ba84c8916696977e9ea42135fd9f5c079166a3931b77', X'a3907bbd5c0eff99c9b6a46525ccd9fe9a928c2963858b242900029d602b9b70150a7b2fbc58f2b87a43559224fc9389696f36ebea16001d3e2ed2d842cea491');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (13, 1800259200000000, 'release_staged', NULL, CAST('{"version":2,"sequence":13,"at":"2027-01-18T08:00:00Z","actor":{"kind":"server"},"change":{"type":"release_staged","release":{"package":"acme-av","version":"5.0","platform":"linux-x86_64"},"manifest":"7186232fc89724ea62a11405ce24f99cd24028c0852ffc8cb383733b44ca64d0","kind":"program","counter":5,"severity":"critical","channels":["stable"],"signer":"RWQJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ","payload_bytes":1000000}}' AS BLOB), X'30f9ef3fb2f893f0821951f9c3a23b47ecc51061825c08466054b5b042a43dc2', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (14, 1800280800000000, 'release_staged', NULL, CAST('{"version":2,"sequence":14,"at":"2027-01-18T14:00:00Z","actor":{"kind":"server"},"change":{"type":"release_staged","release":{"package":"acme-av","version":"6.0","platform":"linux-x86_64"},"manifest":"4f2baccc5a914ea7f88f8247ed1efcb058d6555720a0599bd54c9b0d559f8eb9","kind":"program","counter":6,"severity":"critical","channels":["stable"],"signer":"RWQJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ","payload_bytes":1000000}}' AS BLOB), X'b775fb18071e72b1763a520328286ba18ac3c12c3df18da15650b4df60efa0f2', X'035cb952afc9fed01b9ff5630725e11c12b646550cc9569da2ba8598f231358c');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (15, 1800302400000000, 'metadata_pulled', NULL, CAST('{"version":2,"sequence":15,"at":"2027-01-18T20:00:00Z","actor":{"kind":"server"},"change":{"type":"metadata_pulled","timestamp_version":9,"snapshot_version":8,"root_version":2}}' AS BLOB), X'0f2ee468c45bc6862c30b06ab0a33ca9635ee2a01556c0b6db585de6f3ec19a2', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (16, 1800324000000000, 'pull_failed', NULL, CAST('{"version":2,"sequence":16,"at":"2027-01-19T02:00:00Z","actor":{"kind":"server"},"change":{"type":"pull_failed","reason":"no route to the vendor"}}' AS BLOB), X'3cc6ea4ebd0cdbdd740a8b6254de5af562fcc76415127dbbe00e8d5129b7c3dd', X'4f85a7f482e1363c1e97ca12dd10cbe09c4954fb3b683a5d3eb583903b114b6d41db5e7e7b5e172e24de2871c32ab72c686d6506ebc0dd6b70297af7478d22615ead7e7c8686b8e7151ca9cdee6fcec5e60281deda3a0b23c409cde33a8417ad57ad168d3520e2d0f73c8177f02c411e0d4a45ff4f3bba66bf9a2967bc4c9bc9');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (17, 1800345600000000, 'release_refused', NULL, CAST('{"version":2,"sequence":17,"at":"2027-01-19T08:00:00Z","actor":{"kind":"server"},"change":{"type":"release_refused","release":{"package":"acme-av","version":"7.0","platform":"linux-x86_64"},"manifest":"aeb39622d9b21232b1b4622b5dc8f1d246b33847ca585ec5e3a78f23592d5f52","problems":["file a is missing","file b is longer than signed"]}}' AS BLOB), X'a2d8c2d10093bf94c7b1343149019314fbcd3e4636ce8c009014594b194f5448', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (18, 1800367200000000, 'delta_made', NULL, CAST('{"version":2,"sequence":18,"at":"2027-01-19T14:00:00Z","actor":{"kind":"server"},"change":{"type":"delta_made","base":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5","target":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","bytes":4711}}' AS BLOB), X'6aad620da0ef1aa19d18fb380352eb95bc1b614dcfa585ca44509cd1b0f005c9', X'71d0bf6fdcf984edb845ce02d56b10bfc5ef89d13ed9664fa940e8750d996032');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (19, 1800388800000000, 'release_approved', NULL, CAST('{"version":2,"sequence":19,"at":"2027-01-19T20:00:00Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"release_approved","release":{"package":"acme-av","version":"1.0","platform":"linux-x86_64"},"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5","approval":{"channels":["stable"],"approvals":[{"kind":"token","id":"bob"},{"kind":"token","id":"carol"}],"comment":"tried on three machines"},"rollout":1}}' AS BLOB), X'5804dc2d068a1caabf75c5f82146b37e563bf92141e8a056b4cbd4659d192fe6', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (20, 1800410400000000, 'release_approved', NULL, CAST('{"version":2,"sequence":20,"at":"2027-01-20T02:00:00Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"release_approved","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","approval":{"channels":["stable"],"approvals":[{"kind":"token","id":"bob"},{"kind":"token","id":"carol"}],"comment":"tried on three machines"},"rollout":2,"superseded":["8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5"],"restored":["8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5"]}}' AS BLOB), X'7bed55fe3fc54144d5d7910143be154aad649e8d1ba02214fffb4b6465790f77', X'21aecbe98e426de750b3de5bc5d7a95dae93d41178354b319676a8d95976974f4de99518f792f5504cb4004bbcbb5b890a407e270950d13e6560579fc2ef7e05');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (21, 1800432000000000, 'release_approved', NULL, CAST('{"version":2,"sequence":21,"at":"2027-01-20T08:00:00Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"release_approved","release":{"package":"acme-av","version":"3.0","platform":"linux-x86_64"},"manifest":"fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3","approval":{"channels":["stable"],"approvals":[{"kind":"token","id":"bob"},{"kind":"token","id":"carol"}],"comment":"tried on three machines"},"rollout":3,"superseded":["b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5"]}}' AS BLOB), X'589c14af25b94c22461b9c30d2affb1577f9acfc050dfefd7d14f08a5b26f798', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (22, 1800453600000000, 'release_rejected', NULL, CAST('{"version":2,"sequence":22,"at":"2027-01-20T14:00:00Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"release_rejected","release":{"package":"acme-av","version":"4.0","platform":"linux-x86_64"},"manifest":"3661e9a25830a5177a4f7befa7731cd5efc097195e30b9a44ab28ba246030471","reason":"too big for the machines in hall 3"}}' AS BLOB), X'f28558d1db9c0342c5dc20fb2788e937b48ab82adea505dee039955e7829db2d', X'da932b9ae72770c3ee7869a84a9dd89c8dd6bff7d48efe6c415bda8d53be2e83');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (23, 1800475200000000, 'release_channels_changed', NULL, CAST('{"version":2,"sequence":23,"at":"2027-01-20T20:00:00Z","actor":{"kind":"server"},"change":{"type":"release_channels_changed","manifest":"fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3","channels":["beta","stable"],"superseded":["8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5"],"restored":["8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5"]}}' AS BLOB), X'8ad3cd2f8703ea7eaf116b706e254d4c602676d1c1a39460226011ac061201d7', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (24, 1800496800000000, 'release_withdrawn', NULL, CAST('{"version":2,"sequence":24,"at":"2027-01-21T02:00:00Z","actor":{"kind":"server"},"change":{"type":"release_withdrawn","release":{"package":"acme-av","version":"3.0","platform":"linux-x86_64"},"manifest":"fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3","reason":"crashes at start","superseded":["8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5"],"restored":["b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a"]}}' AS BLOB), X'f81aeeba80cdc06a0fda1eaf8d1b56a3979fdfa5ecbdbde47aef712de972b9f7', X'4dd8ea09a560f47889553eeb36eb08e0dd7e739169ea3d36db026489874ee201fbf3e6489f31eef009d8b28be39dd4006f293b33c6fdd5a32746fb33f736eff62b5fb80bee9f0e0c4247f5ed4a3f3e6c29d68da5e59dac3804342207a1fa578d');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (25, 1800518400000000, 'counter_reset', NULL, CAST('{"version":2,"sequence":25,"at":"2027-01-21T08:00:00Z","actor":{"kind":"server"},"change":{"type":"counter_reset","package":"acme-av","counter":5,"number":1,"voided":["4f2baccc5a914ea7f88f8247ed1efcb058d6555720a0599bd54c9b0d559f8eb9"]}}' AS BLOB), X'ad5001397e4971a9d7acc03be34fe2b19c49f1defff51f4ccd7b31ba5458d024', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (26, 1800540000000000, 'lease_issued', 'pc-1', CAST('{"version":2,"sequence":26,"at":"2027-01-21T14:00:00Z","actor":{"kind":"client","client_id":"02020202020202020202020202020202","name":"pc-1"},"change":{"type":"lease_issued","client_id":"02020202020202020202020202020202","order":{"epoch":4294967298,"sequence":1},"entitlements":[{"serial":"11111-11111-11111-1111Y","model":"named","packages":["acme-av"],"grant":"e7aa94139ab26e81b4684803eab8d7f65b0a8d9b8be2c2db3cc1a7c12e042a75","not_after":"2027-02-14T08:00:00Z"}]}}' AS BLOB), X'10b1a7597a938c204103f7685e259eb2ea56b4686f747175491cf1e7251650c9', X'2beb7c3b04b61479f6192fb6bf23c821c3af3a8ab6ff15768c1bd6b87a00dfa3');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (27, 1800561600000000, 'assignment_changed', 'pc-1', CAST('{"version":2,"sequence":27,"at":"2027-01-21T20:00:00Z","actor":{"kind":"client","client_id":"02020202020202020202020202020202","name":"pc-1"},"change":{"type":"assignment_changed","client_id":"02020202020202020202020202020202","order":{"epoch":4294967298,"sequence":1},"expires_at":"2027-02-14T08:00:00Z","metadata_as_of":"2027-01-15T08:00:00Z","packages":[{"action":"install","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","download_from":"2027-01-15T08:00:10Z","install_from":"2027-01-15T08:00:20Z","install_until":"2027-01-15T08:00:30Z","deadline":"2027-01-15T08:00:40Z","start":"by_person","urgency":"emergency","why":{"code":"ring_failed","text":"2 of 5 computers went back"},"rollout":2,"ring":"pilots","attempt":3},{"action":"rollback","release":{"package":"acme-cad","version":"1.0","platform":"linux-x86_64"},"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5","download_from":"2027-01-15T08:00:10Z","install_from":"2027-01-15T08:00:20Z","install_until":"2027-01-15T08:00:30Z","deadline":"2027-01-15T08:00:40Z","start":"by_person","urgency":"emergency","why":{"code":"ring_failed","text":"2 of 5 computers went back"},"rollout":2,"ring":"pilots","attempt":3}]}}' AS BLOB), X'25ed0c781f325829152cce6491535e823b5ff49545c40a6895d9a2f83ec3dc13', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (28, 1800583200000000, 'step_reported', 'pc-1', CAST('{"version":2,"sequence":28,"at":"2027-01-22T02:00:00Z","actor":{"kind":"client","client_id":"02020202020202020202020202020202","name":"pc-1"},"change":{"type":"step_reported","client_id":"02020202020202020202020202020202","report":{"id":7,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"test_load","outcome":"refused","reason":"hook_refused","detail":"exit status 3: \"not on Fridays\""},"effect":"failure"}}' AS BLOB), X'c9a0973a82801c67743f09e9a3e22b0c3ccff939e68315fbaa10bcc5ae586869', X'b8b0fb046a538a77e80273d2d8371355cc44cef0b3819e27299ce2c301049d16472740ec351b1c50d24a37feebc7f19302c59c8a444c1c6c8228113c00c3ff24');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (29, 1800604800000000, 'log_fork_reported', 'pc-1', CAST('{"version":2,"sequence":29,"at":"2027-01-22T08:00:00Z","actor":{"kind":"client","client_id":"02020202020202020202020202020202","name":"pc-1"},"change":{"type":"log_fork_reported","client_id":"02020202020202020202020202020202","held":{"size":5,"root":"65b5c4137536b707f8a6ee3e9dc5c1714ceb5a76d5ee95d702ee243c227f7b37"},"seen":{"size":9,"root":"65b5c4137536b707f8a6ee3e9dc5c1714ceb5a76d5ee95d702ee243c227f7b37"}}}' AS BLOB), X'b46915c354598243b8bf79e6fcd836869c19d3f50681c6d070ee0412a047235b', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (30, 1800626400000000, 'fork_detected', 'pc-1', CAST('{"version":2,"sequence":30,"at":"2027-01-22T14:00:00Z","actor":{"kind":"client","client_id":"02020202020202020202020202020202","name":"pc-1"},"change":{"type":"fork_detected","client_id":"02020202020202020202020202020202"}}' AS BLOB), X'8a5ceacbbae7f3272b316447c87a01b0b0d191c570ccabb6dd8e61b65cca7224', X'847b3b0252278bb191a4eb9cdb2dc814eb5f785e56527fda74aa7d1c328dbe32');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (31, 1800648000000000, 'ledger_restored', NULL, CAST('{"version":2,"sequence":31,"at":"2027-01-22T20:00:00Z","actor":{"kind":"server"},"change":{"type":"ledger_restored","era":"01010101010101010101010101010101","cause":{"kind":"marker_differs","marker":{"size":40,"root":"65b5c4137536b707f8a6ee3e9dc5c1714ceb5a76d5ee95d702ee243c227f7b37"}},"epoch":4294967296,"resumes_until":"2027-03-16T08:00:00Z","lost_era":"65656565656565656565656565656565"}}' AS BLOB), X'c9f96c6b80d88895b5ab9b5a0158f9e75444907fb4ce5ae3d58b23ceecd26526', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (32, 1800669600000000, 'ledger_restored', NULL, CAST('{"version":2,"sequence":32,"at":"2027-01-23T02:00:00Z","actor":{"kind":"server"},"change":{"type":"ledger_restored","era":"02020202020202020202020202020202","cause":{"kind":"backup_restored","head":{"size":30,"root":"65b5c4137536b707f8a6ee3e9dc5c1714ceb5a76d5ee95d702ee243c227f7b37"}},"epoch":4294967296,"resumes_until":"2027-03-16T08:00:00Z","lost_era":"66666666666666666666666666666666"}}' AS BLOB), X'7a7845b4502f0e82c45754039f21b514330087b81d9ca1ddcd3116d6a4ed3697', X'7e15730c436f418d720dff4b31682bf1ec2b6710cd9008b14f05eef4d0883f95b14272f2a6cec329bf4053cbe474f4797951179f6269e66455e46ccefb47a6e72b1a6f30a05060fdb0ce22f0d21019440a6e482c387c344af1a21ca4a403cedddaee63232d730cac0f5e8b8391e640da4fdc96368a842b9175e49d3975dd2571d32afd11d14dd6508912a66c9c04d9e3e2ebc2bd1d56a13e1fdb5c2dea3c9416');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (33, 1800691200000000, 'ledger_restored', NULL, CAST('{"version":2,"sequence":33,"at":"2027-01-23T08:00:00Z","actor":{"kind":"server"},"change":{"type":"ledger_restored","era":"03030303030303030303030303030303","cause":{"kind":"rebuilt","head":{"size":31,"root":"65b5c4137536b707f8a6ee3e9dc5c1714ceb5a76d5ee95d702ee243c227f7b37"}},"epoch":4294967296,"resumes_until":"2027-03-16T08:00:00Z","lost_era":"67676767676767676767676767676767"}}' AS BLOB), X'0990f2817ca66007259a1e5e9d496ef1cbfe982fcaacc1014d67f961f843dad4', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (34, 1800712800000000, 'ledger_restored', NULL, CAST('{"version":2,"sequence":34,"at":"2027-01-23T14:00:00Z","actor":{"kind":"server"},"change":{"type":"ledger_restored","era":"04040404040404040404040404040404","cause":{"kind":"client_knows_more","client_id":"03030303030303030303030303030303","lease":{"epoch":4294967298,"sequence":8},"head":{"size":60,"root":"65b5c4137536b707f8a6ee3e9dc5c1714ceb5a76d5ee95d702ee243c227f7b37"},"contacts":90},"epoch":4294967296,"resumes_until":"2027-03-16T08:00:00Z","lost_era":"68686868686868686868686868686868"}}' AS BLOB), X'b5fcdbc4a8a290185fe8a5b6f57d480b625a119979b1f167aef6d65597c2b60d', X'7a47c5948a7dd5bb51d3709ddc2487d1da2b1b2d1c1c68f5a82297a40fceb19a');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (35, 1800734400000000, 'serial_registered', NULL, CAST('{"version":2,"sequence":35,"at":"2027-01-23T20:00:00Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"serial_registered","serial":"11111-11111-11111-1111Y","reason":"restored","request_id":"09090909090909090909090909090909"}}' AS BLOB), X'e3a4e0b33d7a509bb21f9a6fd9414d7ef90b9c8b29c245d02d9ae6ac2a9a0a77', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (36, 1800756000000000, 'client_resumed', 'pc-1', CAST('{"version":2,"sequence":36,"at":"2027-01-24T02:00:00Z","actor":{"kind":"client","client_id":"03030303030303030303030303030303","name":"pc-1"},"change":{"type":"client_resumed","client_id":"03030303030303030303030303030303","name":"pc-1","era":"04040404040404040404040404040404","contacts":90,"shown":{"assignment":{"epoch":4294967298,"sequence":4},"lease":{"epoch":4294967298,"sequence":8},"settings":{"epoch":4294967298,"sequence":2}},"instance":"c01e4a548365d8449177beced92471339d736b9b5c4d5fd4de5a9094943479ac","provisional_until":"2027-02-24T08:00:00Z","recreated":{"client_key":"RWQDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD","platform":"linux-x86_64","agent_version":"0.1.1","channel":"stable","serials":["22222-22222-22222-2222E"],"head":60,"replaces":"02020202020202020202020202020202"},"displaces":{"contacts":42,"instance":"a92cc81cbd17d6045707b0ed2f8803fe2b415611b6011e5ffea883b16f5d2c8b"}}}' AS BLOB), X'b7d9ec1398d1525a21be94880f43bcdc4a7cedad4a5528a3cdd72023d566e49d', X'b4a0be53cb4960ed0fba82340f06dd6a1e4313b30dd57bb6f7a8dd94b2874e55d81123fc17ee4e81774c3011d5550639377190838c7283188514a7e8aba8decb');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (37, 1800777600000000, 'lease_issued', 'pc-1', CAST('{"version":2,"sequence":37,"at":"2027-01-24T08:00:00Z","actor":{"kind":"client","client_id":"03030303030303030303030303030303","name":"pc-1"},"change":{"type":"lease_issued","client_id":"03030303030303030303030303030303","order":{"epoch":4294967298,"sequence":9},"entitlements":[{"serial":"11111-11111-11111-1111Y","model":"named","packages":["acme-av"],"grant":"e7aa94139ab26e81b4684803eab8d7f65b0a8d9b8be2c2db3cc1a7c12e042a75","not_after":"2027-02-14T08:00:00Z"}]}}' AS BLOB), X'a6c4df06bc58da6268cfd78fe503b861b97681328000a08e5959518cf18cce10', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (38, 1800799200000000, 'assignment_changed', 'pc-1', CAST('{"version":2,"sequence":38,"at":"2027-01-24T14:00:00Z","actor":{"kind":"client","client_id":"03030303030303030303030303030303","name":"pc-1"},"change":{"type":"assignment_changed","client_id":"03030303030303030303030303030303","order":{"epoch":4294967298,"sequence":9},"expires_at":"2027-02-14T08:00:00Z","metadata_as_of":"2027-01-15T08:00:00Z","packages":[{"action":"install","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","download_from":"2027-01-15T08:00:10Z","install_from":"2027-01-15T08:00:20Z","install_until":"2027-01-15T08:00:30Z","deadline":"2027-01-15T08:00:40Z","start":"by_person","urgency":"emergency","why":{"code":"ring_failed","text":"2 of 5 computers went back"},"rollout":2,"ring":"pilots","attempt":3},{"action":"rollback","release":{"package":"acme-cad","version":"1.0","platform":"linux-x86_64"},"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5","download_from":"2027-01-15T08:00:10Z","install_from":"2027-01-15T08:00:20Z","install_until":"2027-01-15T08:00:30Z","deadline":"2027-01-15T08:00:40Z","start":"by_person","urgency":"emergency","why":{"code":"ring_failed","text":"2 of 5 computers went back"},"rollout":2,"ring":"pilots","attempt":3}]}}' AS BLOB), X'f8b1c7187d1fa9f4ac206d4dc364d1b86d3a1bf96a76c4c5f26a7104d83255ec', X'29723c5e0e3e8c1206882de328f43141734422efeb86de8342f5c198397ba81d');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (39, 1800820800000000, 'step_reported', 'pc-1', CAST('{"version":2,"sequence":39,"at":"2027-01-24T20:00:00Z","actor":{"kind":"client","client_id":"03030303030303030303030303030303","name":"pc-1"},"change":{"type":"step_reported","client_id":"03030303030303030303030303030303","report":{"id":7,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"test_load","outcome":"refused","reason":"hook_refused","detail":"exit status 3: \"not on Fridays\""},"effect":"failure"}}' AS BLOB), X'8617ed788f5b393dbb412fbb42ed90985bface6dc5d2e07a912e6c0fe6da9407', X'');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (40, 1800842400000000, 'log_fork_reported', 'pc-1', CAST('{"version":2,"sequence":40,"at":"2027-01-25T02:00:00Z","actor":{"kind":"client","client_id":"03030303030303030303030303030303","name":"pc-1"},"change":{"type":"log_fork_reported","client_id":"03030303030303030303030303030303","held":{"size":5,"root":"65b5c4137536b707f8a6ee3e9dc5c1714ceb5a76d5ee95d702ee243c227f7b37"},"seen":{"size":9,"root":"65b5c4137536b707f8a6ee3e9dc5c1714ceb5a76d5ee95d702ee243c227f7b37"}}}' AS BLOB), X'f3a009f7120f7624b0dbd5e0249f582f60b8828266753819a47614bd069e2611', X'a7479bc3d3814e227ef22b62ff94d94a9695ace962d97289f2019999fef876cd85d6033bd2ab4bc42250eafde278b153581afdc478dcdd70706a9d5e4a875027c0a10492ce273047741027de1e62c577901b280b30dc4ad70e4db88e6e4e1afc');
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (41, 1800864000000000, 'refused', NULL, CAST('{"version":2,"sequence":41,"at":"2027-01-25T08:00:00Z","actor":{"kind":"server"},"change":{"type":"refused","code":"no_lease","source":"192.0.2.9","minute":"2027-01-15T08:01:00Z","count":12}}' AS BLOB), X'b7dca848a075031cc25cec973236451497c53aa5eb6c340e265abb5e50913b7a', X'');
INSERT INTO server (id, server_id, site_key, era, past_eras, restored_at, restored_epoch, resumes_until, confirmed) VALUES (1, '3dec396f13cb37c4040f91ac2838aa22', 'RWSPf9i+OYAUw+kOzzXjZ1qiALPX+3QDpZyvH9YAkNA1BxUgOtEFdm3k', '04040404040404040404040404040404', '["00000000000000000000000000000000","65656565656565656565656565656565","01010101010101010101010101010101","66666666666666666666666666666666","02020202020202020202020202020202","67676767676767676767676767676767","03030303030303030303030303030303","68686868686868686868686868686868"]', 1800712800000000, 4294967296, 1805184000000000, 0);
INSERT INTO grants (serial, generation, epoch, seats, model, not_after, vendor_time, digest, document, accepted_sequence, used, active) VALUES ('11111-11111-11111-1111Y', 1, 4294967296, 10, 'named', 1831622400000000, 1800000000000000, '41dd70f7904ecf7cb019c0e8fc4a46c6403f9fdb17cb0bd9a1232c3bdb1fbd49', '{"document":"{\"type\":\"grant\",\"version\":2,\"vendor\":\"Acme\",\"serial\":\"11111-11111-11111-1111Y\",\"server_id\":\"3dec396f13cb37c4040f91ac2838aa22\",\"site_key\":\"RWSPf9i+OYAUw+kOzzXjZ1qiALPX+3QDpZyvH9YAkNA1BxUgOtEFdm3k\",\"key_epoch\":1,\"epoch\":4294967296,\"packages\":[],\"model\":\"named\",\"seats\":10,\"generation\":1,\"not_after\":\"2028-01-16T08:00:00Z\",\"vendor_time\":\"2027-01-15T08:00:00Z\",\"request_id\":\"01010101010101010101010101010101\"}","minisig":"untrusted comment: signature by key 030A7AC0EB7B3BA9\nRUSpO3vrwHoKAxqWkpuNHR0v2xS0Gk7600QFUEwyWw9F7siYjAQkHi8BeMT2M1KND+yKdB93vBu49ajsXPJrJ0P7W2Sk4Mg2dwg=\ntrusted comment: grant server=3dec396f13cb37c4040f91ac2838aa22 generation=1\nc4uJ0I5Af5BhRuhg9sibxpE3BOhUR5MV3YpZUbF1jO8Nk14FB7S/exQpsbX+sz30RhBotFtm1RAkFW+Yu9wxDw==\n"}', 3, 1, 1);
INSERT INTO computers (name, channel, reserved_at) VALUES ('pc-1', 'stable', 1800086400000000);
INSERT INTO reservations (name, serial, reserved_at) VALUES ('pc-1', '11111-11111-11111-1111Y', 1800086400000000);
INSERT INTO reservations (name, serial, reserved_at) VALUES ('pc-1', '22222-22222-22222-2222E', 1800756000000000);
INSERT INTO pending (name, source, seen_at, sequence) VALUES ('stranger', '192.0.2.7', 1800064800000000, 4);
INSERT INTO clients (client_id, name, client_key, sealing_key, platform, agent_version, enrolled_at, era, resumed_head, forked, lease_epoch, lease_sequence, lease_until, assignment_epoch, assignment_sequence, other_orders, acknowledged_report, resumed_era, resumed_at, resumed_contacts, provisional_until, displaced_contacts) VALUES ('03030303030303030303030303030303', 'pc-1', 'RWQDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD', NULL, 'linux-x86_64', '0.1.1', 1800756000000000, '04040404040404040404040404040404', 60, 0, 4294967298, 9, 1802592000000000, 4294967298, 9, '{"settings":{"epoch":4294967298,"sequence":2}}', 7, '04040404040404040404040404040404', 1800756000000000, 90, 1803456000000000, 42);
INSERT INTO former_clients (client_id, name, sequence) VALUES ('01010101010101010101010101010101', 'pc-1', 8);
INSERT INTO former_clients (client_id, name, sequence) VALUES ('02020202020202020202020202020202', 'pc-1', 36);
INSERT INTO log_forks (client_id, held_size, held_root, seen_size, seen_root, at) VALUES ('03030303030303030303030303030303', 5, '65b5c4137536b707f8a6ee3e9dc5c1714ceb5a76d5ee95d702ee243c227f7b37', 9, '65b5c4137536b707f8a6ee3e9dc5c1714ceb5a76d5ee95d702ee243c227f7b37', 1800842400000000);
INSERT INTO restore_requests (request_id, sequence) VALUES ('09090909090909090909090909090909', 35);
INSERT INTO assigned (client_id, package, manifest, told) VALUES ('03030303030303030303030303030303', 'acme-av', 'b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a', '{"action":"install","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","download_from":"2027-01-15T08:00:10Z","install_from":"2027-01-15T08:00:20Z","install_until":"2027-01-15T08:00:30Z","deadline":"2027-01-15T08:00:40Z","start":"by_person","urgency":"emergency","why":{"code":"ring_failed","text":"2 of 5 computers went back"},"rollout":2,"ring":"pilots","attempt":3}');
INSERT INTO assigned (client_id, package, manifest, told) VALUES ('03030303030303030303030303030303', 'acme-cad', '8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5', '{"action":"rollback","release":{"package":"acme-cad","version":"1.0","platform":"linux-x86_64"},"manifest":"8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5","download_from":"2027-01-15T08:00:10Z","install_from":"2027-01-15T08:00:20Z","install_until":"2027-01-15T08:00:30Z","deadline":"2027-01-15T08:00:40Z","start":"by_person","urgency":"emergency","why":{"code":"ring_failed","text":"2 of 5 computers went back"},"rollout":2,"ring":"pilots","attempt":3}');
INSERT INTO last_reports (client_id, package, manifest, failed, report) VALUES ('03030303030303030303030303030303', 'acme-av', 'b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a', 1, '{"id":7,"at":"2027-01-15T08:01:40Z","release":{"package":"acme-av","version":"2.0","platform":"linux-x86_64"},"manifest":"b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a","rollout":2,"attempt":1,"step":"test_load","outcome":"refused","reason":"hook_refused","detail":"exit status 3: \"not on Fridays\""}');
INSERT INTO releases (manifest, package, version, platform, kind, counter, severity, state, channels, signer, payload_bytes, staged_at, decided_at, decided_by, reason, approval, rollout, voided) VALUES ('8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5', 'acme-av', '1.0', 'linux-x86_64', 'program', 1, 'critical', 'superseded', '["stable"]', 'RWQJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ', 1000000, 1800172800000000, 1800388800000000, '{"kind":"admin","account":{"kind":"socket","id":"alice"}}', NULL, '{"channels":["stable"],"approvals":[{"kind":"token","id":"bob"},{"kind":"token","id":"carol"}],"comment":"tried on three machines"}', 1, 0);
INSERT INTO releases (manifest, package, version, platform, kind, counter, severity, state, channels, signer, payload_bytes, staged_at, decided_at, decided_by, reason, approval, rollout, voided) VALUES ('b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a', 'acme-av', '2.0', 'linux-x86_64', 'program', 2, 'critical', 'approved', '["stable"]', 'RWQJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ', 1000000, 1800194400000000, 1800410400000000, '{"kind":"admin","account":{"kind":"socket","id":"alice"}}', NULL, '{"channels":["stable"],"approvals":[{"kind":"token","id":"bob"},{"kind":"token","id":"carol"}],"comment":"tried on three machines"}', 2, 0);
INSERT INTO releases (manifest, package, version, platform, kind, counter, severity, state, channels, signer, payload_bytes, staged_at, decided_at, decided_by, reason, approval, rollout, voided) VALUES ('fe9a526c35c335088403d7fbbf2fa0717156079b597777e73d635d0236227fa3', 'acme-av', '3.0', 'linux-x86_64', 'program', 3, 'critical', 'withdrawn', '["beta","stable"]', 'RWQJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ', 1000000, 1800216000000000, 1800432000000000, '{"kind":"admin","account":{"kind":"socket","id":"alice"}}', 'crashes at start', '{"channels":["stable"],"approvals":[{"kind":"token","id":"bob"},{"kind":"token","id":"carol"}],"comment":"tried on three machines"}', 3, 0);
INSERT INTO releases (manifest, package, version, platform, kind, counter, severity, state, channels, signer, payload_bytes, staged_at, decided_at, decided_by, reason, approval, rollout, voided) VALUES ('3661e9a25830a5177a4f7befa7731cd5efc097195e30b9a44ab28ba246030471', 'acme-av', '4.0', 'linux-x86_64', 'program', 4, 'critical', 'rejected', '["stable"]', 'RWQJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ', 1000000, 1800237600000000, 1800453600000000, '{"kind":"admin","account":{"kind":"socket","id":"alice"}}', 'too big for the machines in hall 3', NULL, NULL, 0);
INSERT INTO releases (manifest, package, version, platform, kind, counter, severity, state, channels, signer, payload_bytes, staged_at, decided_at, decided_by, reason, approval, rollout, voided) VALUES ('7186232fc89724ea62a11405ce24f99cd24028c0852ffc8cb383733b44ca64d0', 'acme-av', '5.0', 'linux-x86_64', 'program', 5, 'critical', 'staged', '["stable"]', 'RWQJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ', 1000000, 1800259200000000, NULL, NULL, NULL, NULL, NULL, 0);
INSERT INTO releases (manifest, package, version, platform, kind, counter, severity, state, channels, signer, payload_bytes, staged_at, decided_at, decided_by, reason, approval, rollout, voided) VALUES ('4f2baccc5a914ea7f88f8247ed1efcb058d6555720a0599bd54c9b0d559f8eb9', 'acme-av', '6.0', 'linux-x86_64', 'program', 6, 'critical', 'staged', '["stable"]', 'RWQJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ', 1000000, 1800280800000000, NULL, NULL, NULL, NULL, NULL, 1);
INSERT INTO releases (manifest, package, version, platform, kind, counter, severity, state, channels, signer, payload_bytes, staged_at, decided_at, decided_by, reason, approval, rollout, voided) VALUES ('aeb39622d9b21232b1b4622b5dc8f1d246b33847ca585ec5e3a78f23592d5f52', 'acme-av', '7.0', 'linux-x86_64', 'program', 0, 'normal', 'refused', '[]', NULL, 0, 1800345600000000, NULL, NULL, 'file a is missing
file b is longer than signed', NULL, NULL, 0);
INSERT INTO counter_resets (package, counter, number) VALUES ('acme-av', 5, 1);
INSERT INTO deltas (target, base, bytes) VALUES ('b0a761b803d3ea62065f06dcdf3ff5d2cb840f54ff58363aa9642a1e4803ad5a', '8d0fd9b0cfb1bc029ae085cbffcdc1a5963acc8a81d3b08723f6d9a8acefc3f5', 4711);
INSERT INTO pulls (id, root_version, timestamp_version, snapshot_version, failure) VALUES (1, 2, 9, 8, 'no route to the vendor');
INSERT INTO clock (id, floor, signed_at, not_after) VALUES (1, 1800000000000000, NULL, NULL);
INSERT INTO contacts (client_id, previous, next, at, answer, progress) VALUES ('03030303030303030303030303030303', NULL, '02020202020202020202020202020202', 1790000000000000, '{"lease":true,"assignment":true,"held_head":18446744073709551615,"acknowledged_report":17,"notice":"\"no\" ü seats"}', '{"last":{"era":"01010101010101010101010101010101","contacts":41},"base":18446744073709551615}');
INSERT INTO seen (client_id, platform, agent_version, instance, hostname, installed) VALUES ('03030303030303030303030303030303', 'linux-x86_64', '0.1.1', NULL, 'PC', '[]');
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
ALTER TABLE server ADD COLUMN acknowledged_at INTEGER;
ALTER TABLE server ADD COLUMN acknowledged_by TEXT;
ALTER TABLE server ADD COLUMN acknowledgement TEXT;
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (42, 1800885600000000, 'restore_acknowledged', NULL, CAST('{"version":2,"sequence":42,"at":"2027-01-25T14:00:00Z","actor":{"kind":"admin","account":{"kind":"token","id":"bob"}},"change":{"type":"restore_acknowledged","era":"04040404040404040404040404040404","comment":"restored from Monday''s backup"}}' AS BLOB), X'e06f8d69418382ca58eb02e32bc4188cdf44d902d08d635a1987f017da4f53d0', X'703c15fd4dd7cebd0fed9954ba1acbb9a2db5dda5b57601d2a77ac9b2d6800f8');
UPDATE server SET acknowledged_at = 1800885600000000, acknowledged_by = '{"kind":"admin","account":{"kind":"token","id":"bob"}}', acknowledgement = 'restored from Monday''s backup';
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
INSERT INTO activity (sequence, at, kind, computer, entry, leaf, nodes) VALUES (43, 1800907200000000, 'account_added', NULL, CAST('{"version":2,"sequence":43,"at":"2027-01-25T20:00:00Z","actor":{"kind":"admin","account":{"kind":"socket","id":"alice"}},"change":{"type":"account_added","account":"anna","comment":"the day desk"}}' AS BLOB), X'8ca425e5ab30eb5ba97acbe30a89e7ef7138862eb4a3a5793d9c0e5252d5987e', X'');
INSERT INTO accounts (name, enabled, at, by, comment) VALUES ('anna', 1, 1800907200000000, '{"kind":"admin","account":{"kind":"socket","id":"alice"}}', 'the day desk');
INSERT INTO plan (id, version) VALUES (1, 43);
