//! What ends, and the commands that renew it: over years, with a stranger who reads the repository each time.

use std::fs;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sealpost_keys::{PassphraseSource, SigningKey};
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::release::PackageKind;
use sealpost_publisher::authority::{Authority, ClearedKey, Issuer, Terms, verify_registration};
use sealpost_publisher::expiries::{ExpiryKind, Level, Nearness};
use sealpost_publisher::home::{KeyState, Keyring, Vendor};
use sealpost_publisher::init::{Plan, init};
use sealpost_publisher::lint::lint;
use sealpost_publisher::release::{Order, Withdrawal, withdraw};
use sealpost_publisher::renewal::{Urgency, renew, renew_lists};
use sealpost_publisher::root::{RootError, RootRenewed, find_root_keys, renew_root};
use sealpost_publisher::status::{Status, status};
use sealpost_repository::{FolderTransport, Reader, RoleName};
use sealpost_test_support::clock::days;
use sealpost_test_support::names::package;

use crate::process::{Bench, strs};
use crate::support::{Home, now, plan, read, register_request, registration};

fn status_at(home: &Home, at: Timestamp) -> Status {
    status(&home.vendor(), &home.keyring(), at).unwrap()
}

fn new_root(
    vendor: &Vendor,
    keyring: &Keyring,
    folders: &[PathBuf],
    at: Timestamp,
) -> Result<RootRenewed, RootError> {
    renew_root(vendor, keyring, find_root_keys(vendor, keyring, folders)?, at, || {})
}

/// A site that was set up at the beginning, and keeps what it trusts.
struct Site {
    store: tempfile::TempDir,
    root: Vec<u8>,
}

impl Site {
    fn of(home: &Home) -> Self {
        Self { store: tempfile::tempdir().unwrap(), root: home.root() }
    }

    async fn root_version(&self, home: &Home, at: Timestamp) -> Result<u64, String> {
        let transport = Arc::new(FolderTransport::new(&home.repository()));
        let store = self.store.path().join("trusted");
        let mut reader = Reader::open(&self.root, &store, transport).unwrap();
        reader.refresh(at).await.map(|seen| seen.root_version).map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn a_renewed_root_carries_sites_that_pinned_the_first_one_over_years() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let (daily, late) = (Site::of(&home), Site::of(&home));
    assert_eq!(daily.root_version(&home, now()).await, Ok(1));
    let mut at = now();
    for year in 1..=3 {
        at += days(300);
        let renewed = new_root(&home.vendor(), &home.keyring(), &[], at).unwrap();
        assert_eq!((renewed.version, renewed.expires), (year + 1, at + days(365)));
        renew(&home.vendor(), &home.keyring(), Urgency::Now, at, || {}).unwrap();
        assert_eq!(daily.root_version(&home, at).await, Ok(year + 1));
        read(&home.repository(), &home.root(), at).await.unwrap();
    }
    assert_eq!(late.root_version(&home, at).await, Ok(4), "a site that was away walks through all of them");
    assert_eq!(home.root(), Site::of(&home).root, "what is shipped stays the first root");
}

#[test]
fn root_keys_are_found_from_where_the_command_is_typed() {
    let bench = Bench::ready();
    bench.ok(&["root", "renew"]);
    bench.ok(&["root", "renew", "--root-keys", "home/root-keys"]);
    fs::rename(bench.path("home/root-keys"), bench.path("safe")).unwrap();
    bench.fails(&["root", "renew"], &["root-keys"]);
    bench.ok(&["root", "renew", "--root-keys", "safe"]);
}

#[tokio::test]
async fn a_root_that_has_ended_is_renewed_too_and_readers_go_on() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let later = now() + days(400);
    renew(&home.vendor(), &home.keyring(), Urgency::Now, later, || {}).unwrap();
    assert!(read(&home.repository(), &home.root(), later).await.is_err());
    new_root(&home.vendor(), &home.keyring(), &[], later).unwrap();
    read(&home.repository(), &home.root(), later).await.unwrap();
}

#[test]
fn as_many_root_keys_sign_as_the_root_asks_for_from_whatever_folders() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let two = |number| NonZeroU32::new(number).unwrap();
    let safe = folder.path().join("safe");
    let wanted =
        Plan { root_keys: safe.clone(), root_threshold: two(2), root_key_count: two(3), ..plan(&home) };
    init(&home, &wanted, None, now()).unwrap();
    let other = folder.path().join("other safe");
    fs::create_dir(&other).unwrap();
    for name in ["root-2.key", "root-2.pub"] {
        fs::rename(safe.join(name), other.join(name)).unwrap();
    }
    fs::remove_file(safe.join("root-3.key")).unwrap();
    let vendor = Vendor::open(&home).unwrap();
    let keyring = Keyring::new(&vendor, PassphraseSource::None);
    let before = fs::read_dir(home.join("repository/metadata")).unwrap().count();
    let error = new_root(&vendor, &keyring, &[], now()).unwrap_err();
    assert!(matches!(error, RootError::TooFewKeys { found: 1, needed: 2, .. }), "{error:?}");
    assert_eq!(fs::read_dir(home.join("repository/metadata")).unwrap().count(), before);

    // A key of somebody else beside them is passed over.
    fs::copy(home.join("keys/targets.key"), other.join("a.key")).unwrap();
    fs::copy(home.join("keys/targets.pub"), other.join("a.pub")).unwrap();
    fs::copy(home.join("keys/snapshot.key"), other.join("b.key")).unwrap();
    let renewed = new_root(&vendor, &keyring, &[safe, other], now()).unwrap();
    assert_eq!((renewed.version, renewed.signed_by), (2, 2));
}

#[test]
fn status_says_what_ends_when_which_key_renews_it_and_whether_it_is_there() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let fresh = status_at(&home, now());
    assert!(fresh.warnings.is_empty(), "{:?}", fresh.warnings);
    let what: Vec<&str> = fresh.expiries.iter().map(|end| end.what.as_str()).collect();
    assert_eq!(what, ["root", "targets", "acme-av", "snapshot", "timestamp"]);
    assert!(fresh.expiries.iter().all(|end| end.key.as_ref().unwrap().state == KeyState::Here));
    home.release("acme-av", "1.1", &"two".repeat(1000)).unwrap();
    assert!(status_at(&home, now()).repository_bytes > fresh.repository_bytes, "{}", fresh.repository_bytes);

    let role_key = home.path().join("keys/packages/acme-av.role.key");
    fs::remove_file(&role_key).unwrap();
    fs::remove_dir_all(home.path().join("root-keys")).unwrap();
    for (day, nearness) in
        [(276, Nearness::Near), (340, Nearness::Soon), (360, Nearness::Urgent), (366, Nearness::Ended)]
    {
        let at = now() + days(day);
        let status = status_at(&home, at);
        let of = |kind| status.expiries.iter().find(|end| end.kind == kind).unwrap();
        assert_eq!(of(ExpiryKind::Root).nearness(at), nearness, "{day}");
        let warned = |words: &[&str]| {
            status.warnings.iter().any(|warning| words.iter().all(|word| warning.message.contains(word)))
        };
        let folder = home.path().join("root-keys").display().to_string();
        assert!(warned(&["the root", &folder, "`publisher root renew --root-keys"]), "{:?}", status.warnings);
        assert!(warned(&["role targets", "run `publisher role renew targets`"]), "{:?}", status.warnings);
        let place = role_key.display().to_string();
        assert!(warned(&["role acme-av", &place, "bring its key", "`publisher role renew acme-av`"]));
        assert!(warned(&["role timestamp", "`publisher refresh`"]));
        assert!(status.is_urgent(), "the timestamp ended after a week");
    }
}

#[test]
fn what_the_program_says_of_an_end_has_the_fields_that_a_site_s_has() {
    let bench = Bench::ready();
    bench.ok(&["serial", "new", "--seats", "10"]);
    let said: serde_json::Value = serde_json::from_str(&bench.ok(&["status", "--json"])).unwrap();
    let root = &said["expiries"][0];
    assert_eq!(
        (&root["kind"], &root["what"], &root["nearness"]),
        (&"root".into(), &"root".into(), &"far".into())
    );
    assert_eq!(root["renewed_by_itself"], false);
    assert!(root["seconds_left"].as_i64().unwrap() > 364 * 86_400, "{root}");
    assert!(root["remedy"].as_str().unwrap().contains("`publisher root renew --root-keys"), "{root}");
    assert_eq!((&root["key"]["state"], &root["key"]["needed"]), (&"here".into(), &1.into()));
    assert_eq!(said["warnings"], serde_json::json!([]));
}

#[test]
fn the_certificate_of_the_server_and_grants_that_end_soon_stand_in_the_list() {
    let home = Home::new();
    let settings = home.path().join("vendor.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let text = text
        .replace("# [serve]", "[serve]")
        .replace("# certificate =", "certificate =")
        .replace("# key = \"tls", "key = \"tls");
    fs::write(&settings, text).unwrap();
    let status = status_at(&home, now());
    assert_eq!(status.warnings[0].code, "certificate_unreadable");
    assert!(status.warnings[0].message.contains("tls/server.crt"), "{:?}", status.warnings);

    let mut parameters = rcgen::CertificateParams::new(vec!["acme.example".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2026, 4, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    fs::create_dir(home.path().join("tls")).unwrap();
    fs::write(home.path().join("tls/server.crt"), parameters.self_signed(&key).unwrap().pem()).unwrap();
    let status = status_at(&home, now());
    let end = status.expiries.iter().find(|end| end.kind == ExpiryKind::Certificate).unwrap();
    assert_eq!((end.at, end.nearness(now())), ("2026-04-01T00:00:00Z".parse().unwrap(), Nearness::Near));
    assert!(status.warnings[0].message.contains("put a new certificate"), "{:?}", status.warnings);
    let problem = status.warnings.iter().find(|warning| warning.code == "certificate_unreadable").unwrap();
    assert!(problem.message.contains("tls/server.key"), "{problem:?}");

    let mut authority = Authority::open(&home.vendor().license_database()).unwrap();
    let terms = Terms { seats: 5, model: LicenseModel::Named, packages: Vec::new() };
    let serial = authority.new_serial(&terms, now()).unwrap();
    let (site, key) = (SigningKey::generate().unwrap(), home.keyring().license().unwrap());
    let asked = verify_registration(&register_request(&registration(&serial, &site), &site)).unwrap();
    let issuer = Issuer { vendor: "Acme", key: &key, grant_days: 366, time_zone: &jiff::tz::TimeZone::UTC };
    authority.register(&asked, &issuer, now()).unwrap();
    let grants = |day: i64| {
        let expiries = status_at(&home, now() + days(day)).expiries;
        expiries.into_iter().filter(|end| end.kind == ExpiryKind::Grant).collect::<Vec<_>>()
    };
    assert!(grants(0).is_empty(), "a grant that is far from its end is not shown");
    let soon = grants(280);
    assert_eq!(soon[0].what, serial.to_string());
    assert!(soon[0].remedy.contains(&format!("`distributor register {serial}`")), "{}", soon[0].remedy);
}

#[test]
fn what_is_urgent_ends_status_with_one_and_a_grant_that_no_server_has_any_more_is_not_named() {
    let home = Home::new();
    let mut authority = Authority::open(&home.vendor().license_database()).unwrap();
    let terms = Terms { seats: 5, model: LicenseModel::Named, packages: Vec::new() };
    let key = home.keyring().license().unwrap();
    let issuer = Issuer { vendor: "Acme", key: &key, grant_days: 365, time_zone: &jiff::tz::TimeZone::UTC };
    let mut servers = [ClearedKey::Lost, ClearedKey::Stolen].map(|cleared| {
        let serial = authority.new_serial(&terms, now()).unwrap();
        let site = SigningKey::generate().unwrap();
        let asked = registration(&serial, &site);
        let request = verify_registration(&register_request(&asked, &site)).unwrap();
        authority.register(&request, &issuer, now()).unwrap();
        (asked.server_id, cleared, serial)
    });
    let later = now() + days(370);
    new_root(&home.vendor(), &home.keyring(), &[], later).unwrap();
    renew_lists(&home.vendor(), &home.keyring(), &[RoleName::Targets], later, || {}).unwrap();
    let grants = || {
        let status = status_at(&home, later);
        assert_eq!(status.is_urgent(), !status.warnings.is_empty(), "{:?}", status.warnings);
        status.warnings.into_iter().map(|warning| warning.message).collect::<Vec<_>>()
    };
    assert_eq!(grants().len(), 2, "{:?}", grants());
    for (server, cleared, serial) in &mut servers {
        assert!(grants().iter().any(|said| said.contains(serial.as_str())), "{:?}", grants());
        authority.clear_key(server, *cleared, later).unwrap();
        assert!(!grants().iter().any(|said| said.contains(serial.as_str())), "{:?}", grants());
    }
    assert!(!status_at(&home, later).is_urgent());
    fs::set_permissions(home.path().join("keys/timestamp.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(status_at(&home, later).is_urgent(), "a key that others can read");
}

#[test]
fn status_warns_of_each_secret_that_others_can_read() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let settings = home.path().join("vendor.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let text = text
        .replace("# [serve]", "[serve]")
        .replace("# certificate =", "certificate =")
        .replace("# key = \"tls", "key = \"tls");
    fs::write(&settings, text).unwrap();
    fs::create_dir(home.path().join("tls")).unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["acme.example".to_owned()]).unwrap();
    fs::write(home.path().join("tls/server.crt"), made.cert.pem()).unwrap();
    fs::write(home.path().join("tls/server.key"), made.signing_key.serialize_pem()).unwrap();
    let allow = |name: &str, mode: u32| {
        fs::set_permissions(home.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    allow("tls/server.key", 0o640);
    assert_eq!(status_at(&home, now()).warnings, [], "a group may read the key of TLS");
    let exposed = [
        ("keys/timestamp.key", 0o644),
        ("keys/packages/acme-av.release.key", 0o640),
        ("root-keys/root-1.key", 0o604),
        ("license.db", 0o660),
        ("tls/server.key", 0o644),
    ];
    exposed.iter().for_each(|(name, mode)| allow(name, *mode));
    let warnings = status_at(&home, now()).warnings;
    assert_eq!(warnings.len(), exposed.len(), "{warnings:?}");
    for (name, _) in exposed {
        let warning = warnings.iter().find(|warning| warning.message.contains(name)).unwrap();
        assert_eq!((warning.code, warning.level), ("secret_exposed", Level::Urgent));
        assert!(warning.message.contains("`chmod 600`"), "{warning:?}");
    }
    allow("tls/server.key", 0o620);
    let warnings = status_at(&home, now()).warnings;
    assert!(warnings.iter().any(|warning| warning.message.contains("others can write it")), "{warnings:?}");
}

#[test]
fn a_key_that_is_another_one_is_told_apart_without_opening_it() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    for suffix in ["key", "pub"] {
        let at = |name: &str| home.path().join(name).with_extension(suffix);
        fs::copy(at("keys/snapshot"), at("keys/targets")).unwrap();
    }
    let status = status_at(&home, now());
    let targets = status.expiries.iter().find(|end| end.what == "targets").unwrap();
    assert_eq!(targets.key.as_ref().unwrap().state, KeyState::Other);
    assert!(targets.remedy.contains("another key"), "{}", targets.remedy);
}

#[tokio::test]
async fn roles_are_renewed_by_name_whether_they_are_due_or_not() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let at = now() + days(100);
    let lists = [RoleName::Targets, RoleName::Package(package("acme-av"))];
    let renewed = renew_lists(&home.vendor(), &home.keyring(), &lists, at, || {}).unwrap();
    for list in &lists {
        assert!(renewed.roles.contains(&(list.clone(), at + days(365))), "{renewed:?}");
    }
    read(&home.repository(), &home.root(), at).await.unwrap();
    let absent = [RoleName::Package(package("nosuch"))];
    let error = renew_lists(&home.vendor(), &home.keyring(), &absent, at, || {}).unwrap_err();
    assert!(error.to_string().contains("no role nosuch"), "{error}");
}

#[test]
fn nothing_is_published_below_a_role_that_has_ended_and_the_command_that_renews_it_is_named() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    home.release("acme-fw", "1.0", "one").unwrap();
    let later = now() + days(370);
    let renew_list = |lists: &[RoleName]| {
        renew_lists(&home.vendor(), &home.keyring(), lists, later, || {}).unwrap();
    };
    let publish = |version: &str| {
        let order = home.order("acme-av", version, version);
        let order = Order { notes: String::new(), ..order };
        sealpost_publisher::release::release(
            &home.vendor(),
            &home.keyring(),
            &order,
            later,
            &mut |_| {},
            || {},
        )
    };
    let before = fs::read(home.repository().join("metadata/timestamp.json")).unwrap();
    let error = publish("2.0").unwrap_err().to_string();
    for word in ["`publisher root renew", "`publisher role renew targets`", "`publisher role renew acme-fw`"]
    {
        assert!(error.contains(word), "{error}");
    }
    assert!(!error.contains("acme-av`"), "its own role is signed by it: {error}");
    let set = home.set_channel("acme-av", "stable", "1.0", later);
    assert!(set.unwrap_err().to_string().contains("`publisher root renew"));
    assert_eq!(fs::read(home.repository().join("metadata/timestamp.json")).unwrap(), before);

    new_root(&home.vendor(), &home.keyring(), &[], later).unwrap();
    renew_list(&[RoleName::Targets, RoleName::Package(package("acme-fw"))]);
    publish("2.0").unwrap();
}

#[tokio::test]
async fn lint_names_the_commands_that_renew() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let report = lint(&home.repository(), &home.root(), None, now() + days(300)).await.unwrap();
    let of = |subject: &str| {
        let finding = report.findings.iter().find(|finding| finding.subject == subject);
        finding.unwrap_or_else(|| panic!("{report:?}")).problem.clone()
    };
    assert!(of("role root").contains("`publisher root renew`"));
    assert!(of("role targets").contains("`publisher role renew targets`"));
    assert!(of("role acme-av").contains("`publisher role renew acme-av`"));
}

#[test]
fn status_announces_a_newer_publisher_of_the_vendor_s_own_repository() {
    let home = Home::new();
    let release =
        |package: &str, version: &str, kind| home.release_as(package, version, version, kind, now()).unwrap();
    release("acme-av", "99.0", PackageKind::Program);
    release("publisher", "0.0.1", PackageKind::Server);
    assert_eq!(status_at(&home, now()).newer_publisher, None);
    release("publisher", "99.0", PackageKind::Server);
    assert_eq!(status_at(&home, now()).newer_publisher.unwrap().as_str(), "99.0");
    let (vendor, keyring) = (home.vendor(), home.keyring());
    let version = "99.0".parse().unwrap();
    let own = package("publisher");
    let withdrawal = Withdrawal { package: &own, version: &version, platforms: &[], reason: "broken" };
    withdraw(&vendor, &keyring, withdrawal, now(), || {}).unwrap();
    assert_eq!(status_at(&home, now()).newer_publisher, None);
}

/// The commands that a text names, without their backticks.
fn commands(text: &str) -> Vec<String> {
    let parts = text.split('`').skip(1).step_by(2);
    parts.filter(|part| part.starts_with("publisher ")).map(str::to_owned).collect()
}

#[test]
fn a_vendor_who_types_what_warnings_name_publishes_for_three_years() {
    assert!(Path::new(FAKETIME).is_file(), "this test needs libfaketime (package faketime)");
    let bench = Bench::new();
    let safe = bench.path("the safe");
    bench.ok(&["init", "--vendor", "Acme", "--no-passphrase", "--root-keys", safe.to_str().unwrap()]);
    bench.ok(&strs(&bench.release("1.0")));
    let at = |day: u32, arguments: &[&str]| {
        let mut command = bench.command(arguments);
        command.env("FAKETIME", format!("+{day}d")).env("LD_PRELOAD", FAKETIME);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), String::from_utf8(output.stdout).unwrap(), said)
    };
    let (mut roots, mut roles) = (0, 0);
    // In steps of 50 days timestamp and snapshot have always ended: nothing runs that renews them.
    for day in (50..3 * 365).step_by(50) {
        let (_, said, _) = at(day, &["status"]);
        for command in commands(&said) {
            let words = shell_words(&command);
            let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
            let (succeeded, _, error) = at(day, &words);
            assert!(succeeded, "day {day}: {command}: {error}");
            roots += u32::from(command.contains("root renew"));
            roles += u32::from(command.contains("role renew"));
        }
        let (succeeded, said, _) = at(day, &["status"]);
        assert!(succeeded && said.contains("nothing is to be done"), "day {day}: {said}");
        let (succeeded, _, error) = at(day, &strs(&bench.release(&format!("1.{day}"))));
        assert!(succeeded && !error.contains("expires in"), "day {day}: {error}");
        // A vendor who never looks hears of what ends soon at the next release.
        if day == 250 {
            let (succeeded, _, error) = at(300, &strs(&bench.release("1.250.1")));
            assert!(succeeded && error.contains("notice: the root expires in"), "{error}");
        }
        let (succeeded, said, _) = at(day, &["lint"]);
        assert!(succeeded && said.contains("0 defects, 0 warnings"), "day {day}: {said}");
    }
    assert!(roots >= 3 && roles >= 3, "{roots} {roles}");
}

#[test]
fn a_warning_becomes_louder_at_ninety_thirty_and_seven_days_as_at_a_site() {
    let home = Home::new();
    let root_ends = status_at(&home, now()).expiries[0].at;
    let level = |left: i64| {
        let warnings = status_at(&home, root_ends - days(left)).warnings;
        warnings.into_iter().find(|warning| warning.message.starts_with("the root")).map(|found| found.level)
    };
    let levels = [91, 89, 29, 6, -1].map(level);
    let [notice, warning, urgent] = [Level::Notice, Level::Warning, Level::Urgent].map(Some);
    assert_eq!(levels, [None, notice, warning, urgent, urgent]);
}

#[test]
fn every_publication_says_what_ends_soon_after_its_result() {
    let bench = Bench::ready();
    bench.ok(&strs(&bench.release("1.0")));
    for arguments in [
        &["channel", "minimum", "acme-av", "--counter", "1"][..],
        &["channel", "set", "acme-av", "early", "1.0", "--new-channel"],
        &["trust", "contact", "--contact-mail", "licenses@acme.example"],
        &["trust", "reset-counter", "acme-av", "--to", "7"],
    ] {
        let mut command = bench.command(arguments);
        command.env("FAKETIME", "+300d").env("LD_PRELOAD", FAKETIME);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.contains("notice: the root expires in"),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn a_grant_that_lives_shortly_is_warned_of_once_its_server_can_renew_it() {
    let home = Home::new();
    let mut authority = Authority::open(&home.vendor().license_database()).unwrap();
    let terms = Terms { seats: 5, model: LicenseModel::Named, packages: Vec::new() };
    let serial = authority.new_serial(&terms, now()).unwrap();
    let (site, key) = (SigningKey::generate().unwrap(), home.keyring().license().unwrap());
    let request = verify_registration(&register_request(&registration(&serial, &site), &site)).unwrap();
    let issuer = Issuer { vendor: "Acme", key: &key, grant_days: 60, time_zone: &jiff::tz::TimeZone::UTC };
    let answer = authority.register(&request, &issuer, now()).unwrap();
    let warned = |at: Timestamp| {
        let status = status_at(&home, at);
        status.expiries.iter().any(|end| end.kind == ExpiryKind::Grant)
    };
    assert!(!warned(answer.renewable_from - SignedDuration::from_secs(1)));
    assert!(warned(answer.renewable_from + SignedDuration::from_secs(1)));
    assert_eq!(authority.serials().unwrap()[0].renewable_from, Some(answer.renewable_from));
    assert_eq!(authority.history(&serial).unwrap().entry.renewable_from, Some(answer.renewable_from));
}

const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// The words of a command as a shell splits them, with single quotes.
fn shell_words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in command.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words
}
