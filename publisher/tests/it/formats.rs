//! Files that older publishers wrote, frozen: they must stay readable for ever.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sealpost_keys::{PassphraseSource, key_file};
use sealpost_manifests::grant::{Grant, LicenseModel, RegistrationReason};
use sealpost_manifests::wire::sync::RegisterRequest;
use sealpost_publisher::authority::{Authority, ClearedKey, Issuer, Outcome, verify_registration};
use sealpost_publisher::home::{LifetimeDays, ServeSettings, Settings, Vendor};

use crate::support::now;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn read(settings: &str) -> Settings {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vendor.toml"), settings).unwrap();
    Vendor::open(folder.path()).unwrap().settings().clone()
}

#[test]
fn older_vendor_settings_stay_readable_and_the_newest_are_what_is_written() {
    let mut expected = Settings::usual("Acme \"Security\"");
    expected.keys.release_dir = "/media/token".into();
    expected.lifetime_days = LifetimeDays { timestamp: 3, ..LifetimeDays::default() };
    assert_eq!(read(include_str!("../golden/vendor-without-time-zone.toml")), expected);
    expected.time_zone = Some("Europe/Berlin".parse().unwrap());
    assert_eq!(read(include_str!("../golden/vendor-2.toml")), expected);
    // Only what the comments say may become better.
    let values = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(values(&expected.to_commented_text()), values(include_str!("../golden/vendor-2.toml")));

    expected.keys.root_dir = Some("/media/safe".into());
    expected.serve = ServeSettings {
        listen: Some("0.0.0.0:443".parse().unwrap()),
        certificate: Some("tls/server.crt".into()),
        key: Some("tls/server.key".into()),
    };
    let path = golden("vendor-serve.toml");
    if std::env::var_os("SEALPOST_WRITE_GOLDEN").is_some() && !path.exists() {
        fs::write(&path, expected.to_commented_text()).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(read(&text), expected);
    assert_eq!(values(&expected.to_commented_text()), values(&text));
}

/// What `license-5.sql` was made of. With `SEALPOST_WRITE_GOLDEN=1` the file is written if it is missing. It goes on from
/// `license-4.sql`, which a program of before wrote, and has what that one does not.
fn write_golden() {
    if std::env::var_os("SEALPOST_WRITE_GOLDEN").is_none() || golden("license-5.sql").exists() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = of_golden(folder.path(), "license-4.sql");
    let mut authority = Authority::open(&path).unwrap();
    let unbound = authority.serials().unwrap()[0].serial.clone();
    authority.set_end(&unbound, Some(now())).unwrap();
    drop(authority);
    fs::write(golden("license-5.sql"), dump(&path)).unwrap();
}

/// A database of a golden file.
fn of_golden(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name).with_extension("db");
    let sql = fs::read_to_string(golden(name)).unwrap();
    Connection::open(&path).unwrap().execute_batch(&sql).unwrap();
    path
}

/// A whole database as the statements that make it again.
fn dump(path: &Path) -> String {
    let connection = Connection::open(path).unwrap();
    let mut text =
        "-- A license database of format 5, as it was first released. Never change this file.\n".to_owned();
    for statement in schema(&connection) {
        text.push_str(&format!("{statement};\n"));
    }
    for table in ["serials", "grants", "registrations", "clearings", "refused_keys"] {
        let mut rows = connection.prepare(&format!("SELECT * FROM {table} ORDER BY rowid")).unwrap();
        let columns = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let value = |index| match row.get_ref(index).unwrap() {
                ValueRef::Null => "NULL".to_owned(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Text(text) => {
                    format!("'{}'", std::str::from_utf8(text).unwrap().replace('\'', "''"))
                }
                ValueRef::Blob(bytes) => {
                    let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                    format!("X'{digits}'")
                }
                other => panic!("{other:?}"),
            };
            let values: Vec<String> = (0..columns).map(value).collect();
            text.push_str(&format!("INSERT INTO {table} VALUES ({});\n", values.join(", ")));
        }
    }
    text + "PRAGMA user_version = 5;\n"
}

fn schema(connection: &Connection) -> Vec<String> {
    let mut statement = connection
        .prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name")
        .unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn the_first_license_database_stays_readable_and_its_requests_get_the_same_bytes() {
    let sql = fs::read_to_string(golden("license-2.sql")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("license.db");
    Connection::open(&path).unwrap().execute_batch(&sql).unwrap();
    let mut authority = Authority::open(&path).unwrap();
    let serials = authority.serials().unwrap();
    let [unbound, bound] = serials.as_slice() else { panic!("{serials:?}") };
    assert_eq!((unbound.terms.seats, unbound.generation, unbound.server_id.is_none()), (5, 0, true));
    assert_eq!((bound.terms.seats, bound.generation, bound.terms.model), (10, 2, LicenseModel::Named));
    assert_eq!(bound.terms.packages.len(), 2);
    assert_eq!(bound.not_after, Some("2027-03-02T23:59:59Z".parse().unwrap()));
    assert!(bound.server_id.is_some());
    let history = authority.history(&bound.serial).unwrap();
    assert_eq!((history.grants.len(), history.registrations.len()), (2, 3));
    assert!(history.registrations[0].is_over() && history.registrations[2].remark.is_some());
    assert_eq!(history.registrations[1].reason, RegistrationReason::Restored);

    // Key files must be private; files of a checkout are not.
    let key = folder.path().join("license.key");
    fs::write(&key, fs::read(golden("license-2.key")).unwrap()).unwrap();
    sealpost_test_support::folders::set_mode(&key, 0o600).unwrap();
    let key = key_file::read_secret(&key, &PassphraseSource::None).unwrap();
    let request = fs::read_to_string(golden("license-2.request.json")).unwrap();
    let request: RegisterRequest = serde_json::from_str(&request).unwrap();
    let issuer = Issuer { vendor: "Acme", key: &key, grant_days: 366, time_zone: &jiff::tz::TimeZone::UTC };
    let answer = authority.register(&verify_registration(&request).unwrap(), &issuer, now()).unwrap();
    assert_eq!(answer.outcome, Outcome::Repeated);
    assert!(sql.contains(&answer.grant.document) && sql.contains(answer.grant.minisig.as_str()));
    assert_eq!(answer.grant.verify::<Grant>(&[key.public()]).unwrap().generation, 1);
}

#[test]
fn a_license_database_of_before_stolen_keys_opens_and_one_can_be_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = of_golden(folder.path(), "license-3.sql");
    let mut authority = Authority::open(&path).unwrap();
    let serials = authority.serials().unwrap();
    let [unbound, cleared] = serials.as_slice() else { panic!("{serials:?}") };
    assert!(unbound.cleared_from.is_none());
    let server = cleared.cleared_from.clone().unwrap();
    let clearings = |authority: &Authority| authority.history(&cleared.serial).unwrap().clearings;
    assert!(!clearings(&authority)[0].stolen);
    assert!(authority.clear_key(&server, ClearedKey::Stolen, now()).unwrap().is_empty());
    assert!(clearings(&authority)[0].stolen);
    let format = |path: &Path| -> u32 {
        Connection::open(path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(format(&path), 5);
}

#[test]
fn what_a_program_refused_before_the_table_had_a_format_of_its_own_stays_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = of_golden(folder.path(), "license-4.sql");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 3).unwrap();
    let authority = Authority::open(&path).unwrap();
    let cleared = &authority.serials().unwrap()[1];
    assert!(authority.history(&cleared.serial).unwrap().clearings[0].stolen);
}

#[test]
fn a_license_database_with_a_stolen_server_stays_readable_and_its_serial_numbers_have_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open(&of_golden(folder.path(), "license-4.sql")).unwrap();
    let serials = authority.serials().unwrap();
    let [unbound, cleared] = serials.as_slice() else { panic!("{serials:?}") };
    assert!(unbound.cleared_from.is_none());
    assert!(cleared.server_id.is_none() && cleared.cleared_from.is_some());
    let history = authority.history(&cleared.serial).unwrap();
    assert_eq!((history.grants.len(), history.registrations.len()), (2, 3));
    assert_eq!(Some(&history.clearings[0].server_id), cleared.cleared_from.as_ref());
    assert!(history.clearings[0].stolen);
    assert!(serials.iter().all(|serial| serial.ends_at.is_none()));
    assert!(history.grants.iter().all(|grant| grant.ends_at.is_none()));
}

#[test]
fn a_license_database_with_an_ended_serial_number_stays_readable() {
    write_golden();
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open(&of_golden(folder.path(), "license-5.sql")).unwrap();
    let serials = authority.serials().unwrap();
    let [ended, cleared] = serials.as_slice() else { panic!("{serials:?}") };
    assert_eq!((ended.ends_at, cleared.ends_at), (Some("2026-03-01T12:00:00Z".parse().unwrap()), None));
}

#[test]
fn a_new_license_database_and_one_that_was_brought_up_to_date_have_the_frozen_tables() {
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new.db");
    Authority::create(&new).unwrap();
    let [first, second, third, frozen] = ["license-2.sql", "license-3.sql", "license-4.sql", "license-5.sql"]
        .map(|name| of_golden(folder.path(), name));
    let tables = |path: &Path| schema(&Connection::open(path).unwrap());
    assert_ne!(tables(&second), tables(&third), "a format that is out is not changed");
    assert_ne!(tables(&third), tables(&frozen), "a format that is out is not changed");
    for older in [&first, &second, &third] {
        Authority::open(older).unwrap();
    }
    // A later format adds a migration, and a golden file beside this one.
    assert_eq!(tables(&new), tables(&frozen));
    assert_eq!(tables(&first), tables(&frozen));
    assert_eq!(tables(&second), tables(&frozen));
    assert_eq!(tables(&third), tables(&frozen));
}
