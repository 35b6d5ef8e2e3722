//! Which files are secrets of ours, or of anybody, told by their content: wherever they lie and whatever they are called.
//!
//! Invariant: of a file only the beginning is read, and nothing in it is believed; what cannot be understood is no secret.
//! Left out on purpose: secrets without any mark, for example the 32 random bytes of a server, and secrets of other programs,
//! except private keys in PEM, which TLS and SSH use too.

use std::io::{self, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use sealpost_files::open_regular;
use sealpost_keys::Token;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::{EnrollmentCode, SerialNumber};
use sealpost_manifests::setup::MAX_SETUP_BYTES;
use sealpost_manifests::text_code;
use serde_json::Value;

/// How much of a file is looked at: keys and documents of ours are shorter, and a bundle of keys names the first one early.
const LOOKED_AT_BYTES: u64 = MAX_SETUP_BYTES;
/// The same of a database: its table names stand in its first pages.
const LOOKED_AT_DATABASE_BYTES: u64 = 4 * 1024 * 1024;
/// How the second line of a minisign secret key begins, in base64: its algorithms, with and without encryption.
const MINISIGN_SECRET: [&str; 2] = ["RWRTY0Iy", "RWQAAEIy"];
/// The first line of a sealing key.
const SEALING_KEY: &[u8] = b"sealpost-sealing-key ";
/// How a record of an agent begins.
const RECORD: &[u8] = b"sealpost-record ";
const GZIP: &[u8] = &[0x1f, 0x8b];
/// The first member of a backup, and where its bytes begin in a tar archive.
const BACKUP_LIST: &[u8] = b"backup.json\0";
const TAR_HEADER_BYTES: usize = 512;
const SQLITE: &[u8] = b"SQLite format 3\0";
/// How the write-ahead log of a SQLite database begins, in either byte order: what it holds last stands there.
const SQLITE_LOG: [[u8; 4]; 2] = [[0x37, 0x7f, 0x06, 0x82], [0x37, 0x7f, 0x06, 0x83]];
/// Tables that only databases of ours have together.
const DATABASES: [(&str, [&str; 2]); 2] = [
    (
        "a vendor's license database, with all serial numbers",
        ["CREATE TABLE serials", "CREATE TABLE registrations"],
    ),
    ("a Primary Server's ledger", ["CREATE TABLE reservations", "CREATE TABLE former_clients"]),
];

/// What a file is or holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secret {
    /// A secret that our programs made: never meant.
    Ours(&'static str),
    /// It can be meant (a key of a demonstration), or only look so.
    Perhaps(&'static str),
}

/// Whether a file is a secret, by its content.
pub(super) fn secret_in_file(path: &Path) -> io::Result<Option<Secret>> {
    let mut file = open_regular(path)?;
    let mut bytes = Vec::new();
    file.by_ref().take(LOOKED_AT_BYTES).read_to_end(&mut bytes)?;
    if bytes.starts_with(SQLITE) {
        file.take(LOOKED_AT_DATABASE_BYTES - LOOKED_AT_BYTES).read_to_end(&mut bytes)?;
    }
    Ok(secret_in(&bytes))
}

/// Whether bytes are a secret, or hold a private key in PEM.
pub(super) fn secret_in(bytes: &[u8]) -> Option<Secret> {
    let ours = key(bytes).or_else(|| database(bytes)).or_else(|| backup(bytes)).or_else(|| document(bytes));
    ours.map(Secret::Ours).or_else(|| perhaps(bytes).map(Secret::Perhaps))
}

fn key(bytes: &[u8]) -> Option<&'static str> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let (first, second) = (lines.next()?, lines.next().unwrap_or_default());
    if first.starts_with(b"untrusted comment:")
        && MINISIGN_SECRET.iter().any(|begin| second.starts_with(begin.as_bytes()))
    {
        return Some("a minisign secret key");
    }
    if first.starts_with(SEALING_KEY) {
        return Some("a secret sealing key");
    }
    first.starts_with(RECORD).then_some("a record of an agent")
}

fn database(bytes: &[u8]) -> Option<&'static str> {
    if !bytes.starts_with(SQLITE) {
        return None;
    }
    let has = |table: &&str| bytes.windows(table.len()).any(|window| window == table.as_bytes());
    DATABASES.iter().find(|(_, tables)| tables.iter().all(has)).map(|(what, _)| *what)
}

/// A backup of a Primary Server, as it is made or unzipped.
fn backup(bytes: &[u8]) -> Option<&'static str> {
    let mut unzipped = Vec::new();
    let archive = if bytes.starts_with(GZIP) {
        // What is cut or damaged is unzipped as far as it goes.
        let _ = GzDecoder::new(bytes).take(LOOKED_AT_BYTES).read_to_end(&mut unzipped);
        &unzipped
    } else {
        bytes
    };
    let list = archive.get(TAR_HEADER_BYTES..).filter(|_| archive.starts_with(BACKUP_LIST))?;
    let begin = list.get(..list.len().min(200)).map(String::from_utf8_lossy)?;
    let is_ours = begin.split_whitespace().collect::<String>().contains("\"type\":\"backup\"");
    is_ours.then_some("a backup of a Primary Server, with every secret of it")
}

/// Documents that hold a secret, also signed ones and their text form.
fn document(bytes: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    if text.starts_with('{') {
        let value: Value = serde_json::from_str(text).ok()?;
        let inner = || value.as_object()?.values().find_map(document_of);
        return document_of(&value).or_else(inner);
    }
    let signed = Some(text).filter(|text| text.len() >= text_code::SHORTEST_CODE)?;
    let signed: SignedDocument = text_code::decode(signed).ok()?;
    document_of(&serde_json::from_str(&signed.document).ok()?)
}

fn document_of(value: &Value) -> Option<&'static str> {
    let signed = value.get("document").filter(|_| value.get("minisig").is_some()).and_then(Value::as_str);
    let signed: Option<Value> = signed.and_then(|text| serde_json::from_str(text).ok());
    let value = signed.as_ref().unwrap_or(value);
    match value.get("type").and_then(Value::as_str) {
        Some("setup") if value.get("servers").is_some() => Some("a setup file of a computer"),
        Some("grant") if value.get("serial").is_some() => Some("a grant, which names a serial number"),
        Some("registration") if value.get("serial").is_some() => {
            Some("a registration, which names a serial number")
        }
        _ => None,
    }
}

fn perhaps(bytes: &[u8]) -> Option<&'static str> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let is_pem = |line: &[u8]| line.starts_with(b"-----BEGIN ") && line.ends_with(b"PRIVATE KEY-----");
    if lines.any(is_pem) {
        return Some("is or holds a private key");
    }
    if SQLITE_LOG.iter().any(|magic| bytes.starts_with(magic)) {
        return Some("is the write-ahead log of a database, perhaps of one of ours");
    }
    let text = std::str::from_utf8(bytes).ok()?.trim();
    if text.parse::<Token>().is_ok() {
        return Some("looks like an admin token");
    }
    if SerialNumber::new(text).is_ok() {
        return Some("is a serial number");
    }
    EnrollmentCode::new(text).is_ok().then_some("is an enrollment code")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use sealpost_files::frame;
    use sealpost_keys::{Passphrase, SealingKey, SigningKey, key_file};

    use super::*;

    #[test]
    fn secret_keys_are_told_by_their_content_and_public_ones_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let key = SigningKey::generate().unwrap();
        key_file::write_secret(&path("plain"), &key, None).unwrap();
        let passphrase = Passphrase::new("correct horse".to_owned()).unwrap();
        key_file::write_secret(&path("encrypted"), &key, Some(&passphrase)).unwrap();
        key_file::write_public(&path("public"), &key.public()).unwrap();
        SealingKey::generate().unwrap().write_file(&path("sealing")).unwrap();
        let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
        fs::write(path("pem"), format!("some text\r\n{}", pem.replace('\n', "\r\n"))).unwrap();
        let certificate = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap().cert.pem();
        fs::write(path("certificate"), certificate).unwrap();
        fs::write(path("empty"), "").unwrap();
        fs::write(path("record"), frame("sealpost-record 3", b"{}")).unwrap();
        let found = |name: &str| secret_in_file(&path(name)).unwrap();
        assert_eq!(found("plain"), Some(Secret::Ours("a minisign secret key")));
        assert_eq!(found("encrypted"), Some(Secret::Ours("a minisign secret key")));
        assert_eq!(found("sealing"), Some(Secret::Ours("a secret sealing key")));
        assert_eq!(found("record"), Some(Secret::Ours("a record of an agent")));
        assert_eq!(found("pem"), Some(Secret::Perhaps("is or holds a private key")));
        for public in ["public", "certificate", "empty"] {
            assert_eq!(found(public), None, "{public}");
        }
    }

    #[test]
    fn documents_that_hold_a_secret_are_told_and_public_ones_are_none() {
        let ours = |text: &str| match secret_in(text.as_bytes()) {
            Some(Secret::Ours(what)) => what,
            other => panic!("{other:?}"),
        };
        macro_rules! golden {
            ($name:literal) => {
                include_str!(concat!("../../../manifests/tests/golden/", $name))
            };
        }
        assert_eq!(ours(golden!("setup.v2.json")), "a setup file of a computer");
        let pretty: Value = serde_json::from_str(golden!("setup.v2.json")).unwrap();
        assert_eq!(ours(&serde_json::to_string_pretty(&pretty).unwrap()), "a setup file of a computer");
        for grant in [
            golden!("grant.v2.json"),
            golden!("grant.signed.json"),
            golden!("grant.unlock-code.txt"),
            &format!("{{\"grant\":{}}}", golden!("grant.signed.json")),
        ] {
            assert_eq!(ours(grant), "a grant, which names a serial number");
        }
        assert_eq!(ours(golden!("registration.v2.json")), "a registration, which names a serial number");
        for public in [golden!("release.v2.json"), golden!("trust.v2.json"), "{}", "{\"type\":\"setup\"}"] {
            assert_eq!(secret_in(public.as_bytes()), None);
        }
        let token = format!("{}\n", Token::generate().unwrap().as_str());
        assert_eq!(secret_in(token.as_bytes()), Some(Secret::Perhaps("looks like an admin token")));
        let serial = SerialNumber::from_random([3; 19]);
        assert_eq!(secret_in(serial.as_ref().as_bytes()), Some(Secret::Perhaps("is a serial number")));
        assert_eq!(secret_in(b"two words of text that is no token or key"), None);
    }

    #[test]
    fn a_backup_is_told_zipped_and_unzipped_and_another_archive_is_none() {
        let archive = |list: &[u8]| {
            let mut bytes = vec![0; TAR_HEADER_BYTES];
            bytes[..BACKUP_LIST.len()].copy_from_slice(BACKUP_LIST);
            [bytes.as_slice(), list].concat()
        };
        let zipped = |bytes: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let list = include_bytes!("../../../distributor/tests/golden/backup.v2.json");
        let whole = archive(list);
        let cut = zipped(&[whole.as_slice(), &vec![7; 1 << 20]].concat());
        for bytes in [whole.as_slice(), &zipped(&whole), &cut[..cut.len() - 9]] {
            assert!(matches!(secret_in(bytes), Some(Secret::Ours(what)) if what.starts_with("a backup")));
        }
        assert_eq!(secret_in(&zipped(&archive(b"{\"type\":\"other\"}"))), None);
        assert_eq!(secret_in(&zipped(b"text")), None);
    }

    #[test]
    fn a_ledger_is_told_by_its_tables_and_another_database_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str, sql: &str| {
            let path = folder.path().join(name);
            rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
            secret_in_file(&path).unwrap()
        };
        let ledger = include_str!("../../../distributor/ledger/tests/golden/ledger.v3.sql");
        assert_eq!(made("ledger", ledger), Some(Secret::Ours("a Primary Server's ledger")));
        let open = rusqlite::Connection::open(folder.path().join("open")).unwrap();
        open.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1);")
            .unwrap();
        let log = secret_in_file(&folder.path().join("open-wal")).unwrap();
        assert!(matches!(log, Some(Secret::Perhaps(what)) if what.contains("write-ahead log")), "{log:?}");
        assert_eq!(made("product", "CREATE TABLE serials (serial TEXT); CREATE TABLE signatures (x)"), None);
    }
}
