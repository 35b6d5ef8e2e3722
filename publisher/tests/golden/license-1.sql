-- A license database of format 1, as it was first released. Never change this file.
CREATE TABLE serials (
    serial     TEXT PRIMARY KEY,
    seats      INTEGER NOT NULL CHECK (seats > 0),
    model      TEXT NOT NULL,
    packages   TEXT NOT NULL,
    created_at TEXT NOT NULL,
    server_id  TEXT,
    site_key   TEXT,
    generation INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0),
    CHECK ((server_id IS NULL) = (site_key IS NULL)),
    CHECK ((server_id IS NULL) = (generation = 0))
) STRICT;
CREATE INDEX serials_by_server ON serials (server_id);
CREATE TABLE grants (
    serial      TEXT NOT NULL REFERENCES serials (serial),
    generation  INTEGER NOT NULL CHECK (generation > 0),
    issued_at   TEXT NOT NULL,
    valid_until TEXT NOT NULL,
    document    TEXT NOT NULL,
    minisig     TEXT NOT NULL,
    PRIMARY KEY (serial, generation)
) STRICT;
INSERT INTO serials (serial, seats, model, packages, created_at) VALUES ('33333-33333-33333-3333X', 5, 'named', '', '2026-03-01T12:00:00Z');
INSERT INTO serials VALUES ('77777-77777-77777-7777V', 10, 'named', 'acme-av,acme-av-signatures', '2026-03-01T12:00:00Z',
    '01010101010101010101010101010101', 'RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3', 2);
INSERT INTO grants VALUES ('77777-77777-77777-7777V', 1, '2026-03-01T12:00:00Z', '2027-03-01T12:00:00Z', 'document', 'minisig');
INSERT INTO grants VALUES ('77777-77777-77777-7777V', 2, '2026-03-01T12:00:00Z', '2027-03-02T12:00:00Z', 'document', 'minisig');
PRAGMA user_version = 1;
