use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealpost_keys::{PassphraseSource, PublicKey, key_file};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ServerId;

use super::places::UNFINISHED;
use super::{Home, HomeError, InitOptions};
use crate::config;

const ROOT: &[u8] = br#"{"signatures":[],"signed":{"_type":"root","version":1}}"#;

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn options(root: &Path) -> InitOptions<'_> {
    InitOptions {
        vendor_url: "http://vendor.example:8080/",
        vendor_ca: None,
        root,
        listen: "127.0.0.1:0".parse().unwrap(),
        addresses: vec!["primary.example".to_owned(), "127.0.0.1".to_owned()],
        passphrase: None,
        now: now(),
    }
}

fn fake_ledger(path: &Path, _: &ServerId, _: &PublicKey) -> io::Result<()> {
    sealpost_files::write_new(path, b"ledger", 0o600)
}

fn root_file(folder: &Path) -> PathBuf {
    let path = folder.join("vendor-root.json");
    fs::write(&path, ROOT).unwrap();
    path
}

fn modes_below(folder: &Path, found: &mut Vec<(PathBuf, u32)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.push((path.clone(), fs::metadata(&path).unwrap().permissions().mode() & 0o777));
        if path.is_dir() {
            modes_below(&path, found);
        }
    }
}

#[test]
fn a_new_home_is_whole_and_its_secrets_are_for_the_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = root_file(folder.path());
    let (home, new) = Home::init(folder.path().join("home"), options(&root), fake_ledger).unwrap();
    assert_eq!(Home::open(home.path()).unwrap(), home);
    assert_eq!(home.read_site_key(&PassphraseSource::None).unwrap().public(), new.site_key);
    assert_eq!(key_file::read_public(&home.site_public_key()).unwrap(), new.site_key);
    assert_eq!(home.read_root().unwrap(), ROOT);
    assert_eq!(home.ca_pin().unwrap(), new.ca_spki_sha256);
    assert_ne!(home.read_secret().unwrap(), [0; 32]);
    assert_eq!(fs::metadata(home.path()).unwrap().permissions().mode() & 0o777, 0o700);
    let mut modes = Vec::new();
    modes_below(home.path(), &mut modes);
    for (path, mode) in modes {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".key") || name == "ledger.db" {
            assert_eq!(mode, 0o600, "{name}");
        }
        assert_eq!(mode & 0o022, 0, "{name} can be changed by others");
    }
    let settings = config::Settings::load(&home.config_file(), &home.config_folder()).unwrap();
    assert_eq!(settings.vendor_url, "http://vendor.example:8080");
    assert_eq!(settings.addresses, ["primary.example", "127.0.0.1"]);
}

#[test]
fn the_servers_chain_ends_in_the_pinned_ca_and_names_every_address() {
    let folder = tempfile::tempdir().unwrap();
    let root = root_file(folder.path());
    let (home, _) = Home::init(folder.path().join("home"), options(&root), fake_ledger).unwrap();
    let chain = fs::read(home.server_certificate()).unwrap();
    let certificates: Vec<_> =
        x509_parser::pem::Pem::iter_from_buffer(&chain).map(|pem| pem.unwrap()).collect();
    assert_eq!(certificates.len(), 2);
    let (server, ca) = (certificates[0].parse_x509().unwrap(), certificates[1].parse_x509().unwrap());
    assert_eq!(Sha256Digest::of(ca.public_key().raw), home.ca_pin().unwrap());
    assert!(ca.is_ca() && !server.is_ca());
    assert_eq!(server.issuer(), ca.subject());
    let names = server.subject_alternative_name().unwrap().unwrap().value;
    assert_eq!(names.general_names.len(), 2);
    let days = (server.validity().not_after.timestamp() - now().as_second()) / 86_400;
    assert!((395..=397).contains(&days), "{days}");
}

#[test]
fn a_home_that_exists_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let root = root_file(folder.path());
    let path = folder.path().join("home");
    let (home, new) = Home::init(&path, options(&root), fake_ledger).unwrap();
    let again = Home::init(&path, options(&root), fake_ledger);
    assert!(matches!(again, Err(HomeError::NotEmpty { .. })), "{again:?}");
    assert_eq!(home.read_site_key(&PassphraseSource::None).unwrap().public(), new.site_key);
}

#[test]
fn an_init_that_fails_leaves_nothing_that_looks_like_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let root = root_file(folder.path());
    let path = folder.path().join("home");
    let failing = |_: &Path, _: &ServerId, _: &PublicKey| Err(io::Error::other("no"));
    let failed = Home::init(&path, options(&root), failing);
    assert!(matches!(failed, Err(HomeError::Ledger { .. })), "{failed:?}");
    assert!(matches!(Home::open(&path), Err(HomeError::NoServer { .. })));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    Home::init(&path, options(&root), fake_ledger).unwrap();
}

#[test]
fn an_init_that_was_killed_is_recognized() {
    let folder = tempfile::tempdir().unwrap();
    let root = root_file(folder.path());
    let path = folder.path().join("home");
    fs::create_dir_all(path.join(UNFINISHED)).unwrap();
    assert!(matches!(Home::open(&path), Err(HomeError::Unfinished { .. })));
    let again = Home::init(&path, options(&root), fake_ledger);
    assert!(matches!(again, Err(HomeError::Unfinished { .. })), "{again:?}");
}

#[test]
fn options_that_cannot_work_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let root = root_file(folder.path());
    let path = folder.path().join("home");
    let mut wrong = options(&root);
    wrong.addresses = vec!["primary:16770".to_owned()];
    assert!(matches!(
        Home::init(&path, wrong, fake_ledger),
        Err(HomeError::Option { option: "--address", .. })
    ));
    let mut wrong = options(&root);
    wrong.vendor_url = "vendor.example";
    assert!(matches!(
        Home::init(&path, wrong, fake_ledger),
        Err(HomeError::Option { option: "--vendor-url", .. })
    ));
    let targets = folder.path().join("targets.json");
    fs::write(&targets, br#"{"signed":{"_type":"targets"}}"#).unwrap();
    let too_long = folder.path().join("payload");
    fs::write(&too_long, vec![b' '; 1024 * 1024 + 1]).unwrap();
    for wrong in [targets, too_long] {
        let refused = Home::init(&path, options(&wrong), fake_ledger);
        assert!(matches!(refused, Err(HomeError::Option { option: "--root", .. })), "{refused:?}");
    }
    let absent = Home::init(&path, options(&folder.path().join("absent")), fake_ledger);
    assert!(matches!(absent, Err(HomeError::Io { .. })), "{absent:?}");
    assert!(!path.exists());
}

#[test]
fn a_home_that_others_can_enter_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = root_file(folder.path());
    let (home, _) = Home::init(folder.path().join("home"), options(&root), fake_ledger).unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(Home::open(home.path()), Err(HomeError::Exposed { .. })));
}

#[test]
fn one_server_at_a_time_runs_in_a_home() {
    let folder = tempfile::tempdir().unwrap();
    let root = root_file(folder.path());
    let (home, _) = Home::init(folder.path().join("home"), options(&root), fake_ledger).unwrap();
    let lock = home.lock().unwrap();
    assert!(matches!(home.lock(), Err(HomeError::InUse { .. })));
    drop(lock);
    home.lock().unwrap();
}
