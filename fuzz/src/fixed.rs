//! The keys, ids and texts that seeds are made with. One key plays every part (vendor, site, client, log), so that one
//! rule holds everywhere: what verifies was signed by it.
//!
//! Invariant: all of it is the same in every run. Ed25519 is deterministic, so the key gives the one signature that a
//! reader may accept.

use std::io::Write;
use std::sync::OnceLock;

use sealpost_keys::key_file::read_secret_with;
use sealpost_keys::note::LogKey;
use sealpost_keys::sealed::SealContext;
use sealpost_keys::{SealingKey, SigningKey};
use sealpost_manifests::ids::{ClientId, ServerId};
use sealpost_manifests::log::origin;

/// What the seeds of minisign signatures are over.
pub const MESSAGE: &[u8] = b"a message that was signed\n";

/// The plaintexts of the sealed seeds.
pub const SEALED_TEXTS: &[&[u8]] = &[b"", b"a document that was signed, and then sealed", &[b'x'; 1000]];

/// Entries of the log that log proofs are about.
pub const LOG_ENTRIES: u64 = 7;

/// The files of the release that deltas are applied to.
pub const BASE_FILES: &[(&str, &[u8])] = &[
    ("bin/program", PROGRAM),
    ("data/old-name", b"content that moves"),
    ("data/same", b"unchanged content"),
    ("gone", b"not in the target"),
];

/// Long enough to be patched.
const PROGRAM: &[u8] = b"the first line of a program, which is long enough to be patched\n\
    the second line, which is not the first one, and says another thing\n\
    a third line with numbers in it: 1 2 3 5 8 13 21 34 55 89 144 233 377\n\
    the fourth line has no numbers, and no meaning either, like the others\n\
    and the last line ends the program, with a dot at its end.\n";

/// A key file that minisign wrote; it is one of the frozen files of the crate `keys`.
const KEY_FILE: &[u8] = include_bytes!("../../keys/tests/golden/unencrypted-by-minisign.key");

/// The key that signed every seed.
pub fn key() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(fixed_key)
}

/// A key is only read from a file of its own.
fn fixed_key() -> SigningKey {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(KEY_FILE).expect("a temporary file");
    read_secret_with(file.path(), None).expect("the frozen key")
}

/// The key as that of the server's log.
pub fn log_key() -> &'static LogKey {
    static KEY: OnceLock<LogKey> = OnceLock::new();
    KEY.get_or_init(|| LogKey::new(&origin(server_id()), fixed_key()).expect("an origin is a name of a key"))
}

/// The key that opens the sealed seeds.
pub fn sealing_key() -> &'static SealingKey {
    static KEY: OnceLock<SealingKey> = OnceLock::new();
    KEY.get_or_init(|| SealingKey::from_bytes([7; 32].into()).expect("any 32 bytes are an X25519 secret"))
}

/// The server whose site key it is.
pub fn server_id() -> &'static ServerId {
    static ID: OnceLock<ServerId> = OnceLock::new();
    ID.get_or_init(|| ServerId::of_site_key(&key().public()))
}

/// The client of the golden files.
pub fn client_id() -> ClientId {
    ClientId::from_random([2; 16])
}

/// As what the sealed seeds were sealed.
#[must_use]
pub fn seal_context() -> SealContext<'static> {
    SealContext { document_type: "seed", document_version: 2, party: server_id().as_str() }
}

/// The entry at this place, counted from 0, of the log that log proofs are about.
#[must_use]
pub fn log_entry(index: u64) -> String {
    format!("entry {index}")
}
