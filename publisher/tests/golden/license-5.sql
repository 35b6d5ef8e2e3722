-- A license database of format 5, as it was first released. Never change this file.
CREATE TABLE clearings (
        number     INTEGER PRIMARY KEY,
        serial     TEXT NOT NULL REFERENCES serials (serial),
        server_id  TEXT NOT NULL,
        site_key   TEXT NOT NULL,
        cleared_at TEXT NOT NULL
    ) STRICT;
CREATE TABLE grants (
        serial       TEXT NOT NULL REFERENCES serials (serial),
        generation   INTEGER NOT NULL CHECK (generation > 0),
        server_id    TEXT NOT NULL,
        epoch_vendor INTEGER NOT NULL CHECK (epoch_vendor > 0),
        seats        INTEGER NOT NULL,
        issued_at    TEXT NOT NULL,
        not_after    TEXT NOT NULL,
        document     TEXT NOT NULL,
        minisig      TEXT NOT NULL,
        PRIMARY KEY (serial, generation)
    ) STRICT;
CREATE TABLE refused_keys (
        key        BLOB PRIMARY KEY CHECK (length(key) = 32),
        server_id  TEXT NOT NULL,
        refused_at TEXT NOT NULL
    ) STRICT;
CREATE TABLE registrations (
        number       INTEGER PRIMARY KEY,
        server_id    TEXT NOT NULL,
        request_id   TEXT NOT NULL,
        serial       TEXT NOT NULL,
        generation   INTEGER NOT NULL,
        answered_at  TEXT NOT NULL,
        reason       TEXT NOT NULL,
        epoch_vendor INTEGER NOT NULL,
        epoch_term   INTEGER NOT NULL,
        head_size    INTEGER NOT NULL,
        head_root    TEXT NOT NULL,
        remark       TEXT,
        used         INTEGER,
        sealing_key  TEXT NOT NULL,
        UNIQUE (server_id, request_id),
        FOREIGN KEY (serial, generation) REFERENCES grants (serial, generation)
    ) STRICT;
CREATE TABLE serials (
        serial     TEXT PRIMARY KEY,
        seats      INTEGER NOT NULL CHECK (seats > 0),
        model      TEXT NOT NULL,
        packages   TEXT NOT NULL,
        created_at TEXT NOT NULL,
        server_id  TEXT,
        site_key   TEXT,
        generation INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0), cleared_at TEXT, ends_at TEXT,
        CHECK ((server_id IS NULL) = (site_key IS NULL)),
        CHECK ((server_id IS NULL) = (generation = 0))
    ) STRICT;
CREATE INDEX clearings_by_serial ON clearings (serial, number);
CREATE INDEX grants_by_server ON grants (server_id, epoch_vendor);
CREATE INDEX registrations_by_serial ON registrations (serial, answered_at);
CREATE INDEX registrations_by_server ON registrations (server_id, number);
CREATE INDEX serials_by_server ON serials (server_id);
INSERT INTO serials VALUES ('ZZ6RQ-QRQCW-KXQJQ-292R1', 5, 'named', '', '2026-03-01T12:00:00Z', NULL, NULL, 0, NULL, '2026-03-01T12:00:00Z');
INSERT INTO serials VALUES ('80XDM-TZYTQ-30MGW-CRWG2', 10, 'named', 'acme-av,acme-av-signatures', '2026-03-01T12:00:00Z', '10af2dc4736f353efff544aaae9df20a', 'RWSngkculJRrj5/p85xOFa7K3ElPV5suBjO9Xj6z7UFGZYCHinLIJIz/', 2, '2026-03-01T12:00:00Z', NULL);
INSERT INTO grants VALUES ('80XDM-TZYTQ-30MGW-CRWG2', 1, '10af2dc4736f353efff544aaae9df20a', 1, 10, '2026-03-01T12:00:00Z', '2027-03-02T23:59:59Z', '{"type":"grant","version":2,"vendor":"Acme","serial":"80XDM-TZYTQ-30MGW-CRWG2","server_id":"10af2dc4736f353efff544aaae9df20a","site_key":"RWSngkculJRrj5/p85xOFa7K3ElPV5suBjO9Xj6z7UFGZYCHinLIJIz/","key_epoch":1,"epoch":4294967296,"packages":["acme-av","acme-av-signatures"],"model":"named","seats":10,"generation":1,"not_after":"2027-03-02T23:59:59Z","vendor_time":"2026-03-01T12:00:00Z"}', 'untrusted comment: signature by key 61C37CF744100D81
RUSBDRBE93zDYWIwdgP4xn53atpfYpKoh+ul6CLQzqfckqRrCyuOKdo8kfjO6iAPs9TyIbyOLFoEuLcUE6qe3Ehh/wywGA6FaQs=
trusted comment: grant server=10af2dc4736f353efff544aaae9df20a generation=1
UDTKp71VBvz9FXTeeS9JeOFGto4miGiyA7b1P/8OQv96Q4WK5y6cDvwj5/j4Fb0vym8oqLlbJNe2+wrVXftUDg==
');
INSERT INTO grants VALUES ('80XDM-TZYTQ-30MGW-CRWG2', 2, '10af2dc4736f353efff544aaae9df20a', 2, 10, '2026-03-01T12:00:00Z', '2027-03-02T23:59:59Z', '{"type":"grant","version":2,"vendor":"Acme","serial":"80XDM-TZYTQ-30MGW-CRWG2","server_id":"10af2dc4736f353efff544aaae9df20a","site_key":"RWSngkculJRrj5/p85xOFa7K3ElPV5suBjO9Xj6z7UFGZYCHinLIJIz/","key_epoch":1,"epoch":8589934592,"packages":["acme-av","acme-av-signatures"],"model":"named","seats":10,"generation":2,"not_after":"2027-03-02T23:59:59Z","vendor_time":"2026-03-01T12:00:00Z"}', 'untrusted comment: signature by key 61C37CF744100D81
RUSBDRBE93zDYQljSzAhtHZ9i25fcXAhgVw7ZCT+anSCVpivC6HHyN/OiWCMy1UeJrbW5ubXQvqZo6xGSekvxWdJSosiin2NNws=
trusted comment: grant server=10af2dc4736f353efff544aaae9df20a generation=2
DvB1O2pzPwG88WSfKatQz0/g6mJc62yN6KDnGq+bTnx4iZSvVfzgacPRoDcDXDKLaABP6DxMBw3THyaU43f/BA==
');
INSERT INTO registrations VALUES (1, '10af2dc4736f353efff544aaae9df20a', '63996e1b12cfb4a880ecaee13328fdf6', '80XDM-TZYTQ-30MGW-CRWG2', 1, '2026-03-01T12:00:00Z', 'first', 0, 0, 0, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', NULL, 11, 'BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=');
INSERT INTO registrations VALUES (2, '10af2dc4736f353efff544aaae9df20a', 'ed2c687a0062dc4f3621f1dd89b5ff3b', '80XDM-TZYTQ-30MGW-CRWG2', 2, '2026-03-01T12:00:00Z', 'restored', 0, 0, 3, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', NULL, NULL, 'BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=');
INSERT INTO registrations VALUES (3, '10af2dc4736f353efff544aaae9df20a', '3286bd9cfdfed4fb53fbb2488a5e71ce', '80XDM-TZYTQ-30MGW-CRWG2', 2, '2026-03-01T12:00:00Z', 'first', 0, 0, 1, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 'head_smaller', NULL, 'BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=');
INSERT INTO clearings VALUES (1, '80XDM-TZYTQ-30MGW-CRWG2', '10af2dc4736f353efff544aaae9df20a', 'RWSngkculJRrj5/p85xOFa7K3ElPV5suBjO9Xj6z7UFGZYCHinLIJIz/', '2026-03-01T12:00:00Z');
INSERT INTO refused_keys VALUES (X'9FE9F39C4E15AECADC494F579B2E0633BD5E3EB3ED41466580878A72C8248CFF', '10af2dc4736f353efff544aaae9df20a', '2026-03-01T12:00:00Z');
PRAGMA user_version = 5;
