use std::fs;
use std::time::Duration;

use super::settings::default_listen;
use super::{ConfigError, Settings, needs_a_restart, sample};

fn load(main: &str, more: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let home = tempfile::tempdir().unwrap();
    let (file, folder) = (home.path().join("distributor.toml"), home.path().join("distributor.d"));
    fs::write(&file, main).unwrap();
    fs::create_dir(&folder).unwrap();
    for (name, text) in more {
        fs::write(folder.join(name), text).unwrap();
    }
    Settings::load(&file, &folder)
}

#[test]
fn the_sample_has_the_defaults_even_with_every_key_uncommented() {
    let addresses = vec!["pc.example".to_owned(), "192.0.2.7".to_owned()];
    let text = sample("https://vendor.example/base", None, default_listen(), &addresses);
    let settings = load(&text, &[]).unwrap();
    assert_eq!(settings.addresses, addresses);
    assert_eq!(settings.vendor_url, "https://vendor.example/base");
    assert_eq!(settings.pull_every, Duration::from_secs(3600));
    let keys: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            // What has no default names a file that is not here.
            Some(rest) if rest.contains("/etc/") || rest.contains("/srv/") => format!("{line}\n"),
            Some(rest) if rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => {
                format!("{rest}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    assert!(keys.contains("\nmax_payload_mib"), "{keys}");
    assert_eq!(load(&keys, &[]).unwrap(), settings);
}

#[test]
fn the_sample_names_the_ca_of_the_vendor_that_was_given() {
    let text = sample(
        "https://vendor.example",
        Some("/srv/a \"b\"/ca.pem"),
        default_listen(),
        &["pc.example".to_owned()],
    );
    let settings = load(&text, &[]).unwrap();
    assert_eq!(settings.vendor_ca.unwrap().to_str(), Some("/srv/a \"b\"/ca.pem"));
}

#[test]
fn later_fragments_replace_single_keys_in_the_order_of_their_names() {
    let settings = load(
        "vendor_url = 'http://a.example/'\nlisten = '127.0.0.1:1'\n[license]\nlease_days = 7",
        &[
            ("20-last.toml", "vendor_url = 'http://c.example'"),
            ("10-first.toml", "vendor_url = 'http://b.example'\n[pull]\nevery = '15m'"),
            ("note.txt", "not read"),
        ],
    )
    .unwrap();
    assert_eq!(settings.vendor_url, "http://c.example");
    assert_eq!(settings.pull_every, Duration::from_secs(900));
    assert_eq!(settings.lease_days, 7);
    assert_eq!(settings.listen.to_string(), "127.0.0.1:1");
}

#[test]
fn an_address_is_taken_without_the_dot_at_its_end() {
    let settings =
        load("vendor_url = 'http://v.example'\naddresses = ['pc.example.', '192.0.2.7']", &[]).unwrap();
    assert_eq!(settings.addresses, ["pc.example", "192.0.2.7"]);
    for odd in ["pc.example..", ".", ""] {
        load(&format!("vendor_url = 'http://v.example'\naddresses = ['{odd}']"), &[]).unwrap_err();
    }
}

#[test]
fn every_mistake_is_reported_at_once_with_its_file_and_key() {
    let error = load(
        "vendor_url = 'ftp://a.example'\nlisten = 'here'\n[pull]\nevery = '1s'",
        &[
            ("a.toml", "[license]\nlease_days = 0\n[limits]\nmax_connections = 0"),
            ("b.toml", "colour = 'blue'"),
            ("c.toml", "addresses = ['pc:16770']"),
        ],
    )
    .unwrap_err();
    let text = error.to_string();
    for part in [
        "vendor_url",
        "listen",
        "pull.every",
        "license.lease_days",
        "limits.max_connections",
        "colour",
        "addresses",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(text.contains("b.toml"), "{text}");
    assert_eq!(error.problems.len(), 7, "{text}");
}

#[test]
fn a_url_with_a_password_is_refused_and_not_repeated() {
    let error = load("vendor_url = 'http://me:secret@a.example'", &[]).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(load("", &[]).is_err(), "without a vendor there is nothing to do");
}

#[test]
fn a_certificate_needs_its_key_and_both_need_whole_paths() {
    let vendor = "vendor_url = 'http://a.example'\n";
    let refused = |text: &str| load(&format!("{vendor}{text}"), &[]).unwrap_err().to_string();
    assert!(refused("[tls]\ncertificate = '/a'").contains("tls.certificate: needs tls.key"));
    assert!(refused("[tls]\nkey = '/a'").contains("tls.key: needs tls.certificate"));
    assert!(refused("[tls]\nkey = 'a'\ncertificate = '/a'").contains("whole path"));
    assert!(refused("vendor_ca = 'ca.pem'").contains("vendor_ca"));
    let settings =
        load(&format!("{vendor}vendor_ca = '/ca'\n[tls]\nkey = '/k'\ncertificate = '/c'"), &[]).unwrap();
    assert_eq!(settings.tls.unwrap().key.to_str(), Some("/k"));
}

#[test]
fn what_a_running_server_cannot_take_is_named_and_nothing_else() {
    let with = |text: &str| load(&format!("vendor_url = 'http://a.example'\n{text}"), &[]).unwrap();
    let running = with("listen = '127.0.0.1:1'");
    assert!(needs_a_restart(&running, &running).is_empty());
    let new = with(
        "listen = '127.0.0.1:2'\naddresses = ['a']\n[pull]\nevery = '2h'\n[storage]\nscrub_days = 2\n[limits]\n\
         max_payload_mib = 1",
    );
    assert!(needs_a_restart(&running, &new).is_empty());
    let new = with("listen = '127.0.0.2:1'\n[license]\nlease_days = 3\n[limits]\nmax_connections = 2");
    assert_eq!(needs_a_restart(&running, &new), ["license.lease_days", "limits.max_connections"]);
}
