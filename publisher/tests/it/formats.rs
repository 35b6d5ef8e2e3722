//! Files that older publishers wrote, frozen: they must stay readable for ever.

use std::fs;

use sealpost_manifests::grant::LicenseModel;
use sealpost_publisher::authority::Authority;
use sealpost_publisher::home::{LifetimeDays, Settings, Vendor};

#[test]
fn the_first_vendor_settings_stay_readable() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vendor.toml"), include_str!("../golden/vendor-1.toml")).unwrap();
    let vendor = Vendor::open(folder.path()).unwrap();
    let mut expected = Settings::usual("Acme \"Security\"");
    expected.keys.release_dir = "/media/token".into();
    expected.lifetime_days = LifetimeDays { timestamp: 3, ..LifetimeDays::default() };
    assert_eq!(*vendor.settings(), expected);
    // And this is still what is written; only what the comments say may become better.
    let values = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(values(&expected.to_commented_text()), values(include_str!("../golden/vendor-1.toml")));
}

#[test]
fn the_first_license_database_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("license.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch(include_str!("../golden/license-1.sql")).unwrap();
    drop(connection);
    let serials = Authority::open(&path).unwrap().serials().unwrap();
    let [unbound, bound] = serials.as_slice() else { panic!("{serials:?}") };
    assert_eq!((unbound.terms.seats, unbound.generation, unbound.server_id.is_none()), (5, 0, true));
    assert_eq!((bound.terms.seats, bound.generation, bound.terms.model), (10, 2, LicenseModel::Named));
    assert_eq!(bound.terms.packages.len(), 2);
    assert_eq!(bound.valid_until, Some("2027-03-02T12:00:00Z".parse().unwrap()));
    assert!(bound.server_id.is_some());
}
