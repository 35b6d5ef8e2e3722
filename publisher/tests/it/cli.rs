//! The program as a process: what it prints, how it ends, which files it leaves.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};

use sealpost_keys::PassphraseSource;
use sealpost_manifests::ids::SerialNumber;
use sealpost_publisher::home::Keyring;
use sealpost_test_support::folders::file_with_suffix;
use sealpost_test_support::names;

use crate::process::{Bench, strs};
use crate::support::Home;

fn secret_files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            secret_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "key")
            || path.file_name().unwrap().to_str().unwrap().starts_with("license.db")
        {
            found.push(path);
        }
    }
}

#[test]
fn a_vendor_sets_up_releases_and_checks() {
    let bench = Bench::new();
    let said = bench.ok(&["init", "--vendor", "Acme", "--no-passphrase"]);
    assert!(said.contains("different machines") && said.contains("offline"), "{said}");
    let said = bench.ok(&strs(&bench.release("1.0")));
    let expected =
        format!("published acme-av 1.0 ({}): manifest sha256:", sealpost_manifests::ids::Platform::current());
    assert!(said.starts_with(&expected) && said.trim_end().ends_with(" ; channel stable -> 1.0"), "{said}");
    let early = ["channel", "set", "acme-av", "early", "1.0", "--new-channel"];
    assert!(bench.ok(&early).contains("early -> 1.0"));
    assert!(bench.ok(&["refresh"]).contains("timestamp"));
    assert!(bench.ok(&["lint"]).contains("0 defects"));
    let json: serde_json::Value = serde_json::from_str(&bench.ok(&["lint", "--json"])).unwrap();
    assert_eq!(json["releases"], 1);

    let mut again = bench.release("1.0");
    again.push("--json".to_owned());
    let json: serde_json::Value = serde_json::from_str(&bench.ok(&strs(&again))).unwrap();
    assert_eq!((&json["outcome"], &json["counter"]), (&"published_before".into(), &1.into()));
}

#[test]
fn every_secret_file_is_private() {
    let bench = Bench::ready();
    bench.ok(&strs(&bench.release("1.0")));
    bench.ok(&["serial", "new", "--seats", "3"]);
    let mut found = Vec::new();
    secret_files(&bench.path("home"), &mut found);
    assert!(found.len() >= 8, "{found:?}");
    for path in found {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    for folder in ["home/keys", "home/keys/packages", "home/root-keys", "home/staging"] {
        assert_eq!(fs::metadata(bench.path(folder)).unwrap().permissions().mode() & 0o777, 0o700, "{folder}");
    }
}

#[test]
fn a_root_of_several_keys_and_keys_in_places_of_their_own_work() {
    let bench = Bench::new();
    let root = ["--root-keys", "safe", "--root-key-count", "3", "--root-threshold", "2"];
    bench.ok(&[&["init", "--vendor", "Acme", "--no-passphrase"], root.as_slice()].concat());
    assert!(bench.path("safe/root-3.key").exists());
    let settings = bench.path("home/vendor.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let token = bench.path("token");
    let text =
        text.replace("release_dir = \"keys/packages\"", &format!("release_dir = \"{}\"", token.display()));
    fs::write(&settings, text).unwrap();
    bench.ok(&strs(&bench.release("1.0")));
    assert!(token.join("acme-av.release.key").exists());
    assert!(!bench.path("home/keys/packages/acme-av.release.key").exists());
    // Without the root keys, as they should be, everything daily goes on.
    fs::remove_dir_all(bench.path("safe")).unwrap();
    bench.ok(&strs(&bench.release("1.1")));
    bench.ok(&["refresh"]);
    assert!(bench.ok(&["lint"]).contains("0 defects"));
    // Without the token nothing is released, and nothing changes.
    fs::rename(&token, bench.path("away")).unwrap();
    bench.fails(&strs(&bench.release("1.2")), &["release (acme-av) key"]);
    assert!(bench.ok(&["lint"]).contains("2 releases"));
}

#[test]
fn refusals_end_with_one_and_usage_errors_with_two() {
    let bench = Bench::new();
    bench.fails(&["lint"], &["no vendor's home", "publisher init"]);
    bench.fails(&["init", "--vendor", "Acme"], &["--passphrase-file", "--no-passphrase"]);
    assert!(!bench.path("home").exists(), "a refused init leaves nothing");
    bench.fails(&["init", "--vendor", "Acme", "--no-passphrase", "--root-threshold", "2"], &["2 root keys"]);
    assert_eq!(bench.run(&["release"]).status.code(), Some(2));
    assert_eq!(bench.run(&["channel", "set", "UPPER", "x", "1"]).status.code(), Some(2));
    bench.ok(&["init", "--vendor", "Acme", "--no-passphrase"]);
    bench.fails(&["init", "--vendor", "Acme", "--no-passphrase"], &["vendor.toml already"]);
    bench.fails(&["channel", "set", "acme-av", "x", "1"], &["no such package"]);
    bench.fails(&["serve", "--listen", "0.0.0.0:0"], &["--public"]);
    fs::remove_file(bench.path("home/repository/metadata/1.snapshot.json")).unwrap();
    let output = bench.run(&["lint"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("1.snapshot.json"));
}

#[test]
fn notes_that_are_too_long_or_could_forge_a_terminal_are_refused_and_never_cut() {
    let bench = Bench::ready();
    let mut arguments = bench.release("1.0");
    arguments.extend(["--notes".to_owned(), "notes.txt".to_owned()]);
    let with = |notes: &[u8]| fs::write(bench.path("notes.txt"), notes).unwrap();
    // A gap of blanks where a careless reader would cut.
    with(format!("{}{}{}", "a".repeat(65_530), " ".repeat(20), "b".repeat(100)).as_bytes());
    bench.fails(&strs(&arguments), &["65536 bytes", "shorten"]);
    with(b"fine\x1b[2K");
    bench.fails(&strs(&arguments), &["control character", "remove it"]);
    with(b"\xff");
    bench.fails(&strs(&arguments), &["UTF-8"]);
    with(b"one\r\n\ttwo\r\n");
    bench.ok(&strs(&arguments));
}

#[test]
fn a_home_that_every_user_can_change_is_not_used() {
    let bench = Bench::ready();
    for (path, mode) in [("home", 0o777), ("home/vendor.toml", 0o646)] {
        let before = fs::metadata(bench.path(path)).unwrap().permissions();
        fs::set_permissions(bench.path(path), fs::Permissions::from_mode(mode)).unwrap();
        bench.fails(&["lint"], &["every user", "chmod o-w"]);
        fs::set_permissions(bench.path(path), before).unwrap();
    }
    bench.ok(&["lint"]);
}

#[test]
fn at_a_terminal_nobody_is_asked_for_a_passphrase_that_the_keys_do_not_have() {
    let home = Home::new();
    let package = names::package("acme-sig");
    // It would ask at a terminal, and here is none.
    let keyring = Keyring::new(&home.vendor(), PassphraseSource::Prompt);
    let made = keyring.make_package_keys(&package).unwrap();
    assert_eq!(
        home.keyring().role(&package).unwrap().public(),
        made.role.public(),
        "it is kept as the others are"
    );
    assert_eq!(home.keyring().release(&package).unwrap().public(), made.release.public());
}

#[test]
fn encrypted_keys_need_their_passphrase_and_are_asked_for_none_they_do_not_need() {
    let bench = Bench::new();
    fs::write(bench.path("secret"), "correct horse\n").unwrap();
    bench.fails(&["init", "--vendor", "Acme", "--passphrase-file", "secret"], &["chmod 600"]);
    fs::set_permissions(bench.path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    bench.ok(&["init", "--vendor", "Acme", "--passphrase-file", "secret"]);
    let key = fs::read_to_string(bench.path("home/keys/license.key")).unwrap();
    assert!(key.contains("encrypted secret key") && !key.contains("unencrypted"), "{key}");

    bench.fails(&["refresh"], &["the snapshot key is encrypted", "--passphrase-file FILE"]);
    let output = bench
        .command(&["refresh", "--passphrase-env", "TEST_WORD"])
        .env("TEST_WORD", "wrong")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("wrong passphrase"), "{text}");
    bench.ok(&["refresh", "--passphrase-file", "secret"]);
    // Nothing is signed, so nothing is asked for.
    bench.ok(&["serial", "new", "--seats", "1"]);
    bench.ok(&["lint"]);
}

#[test]
fn a_release_says_what_it_is_about_and_brings_documents() {
    let bench = Bench::ready();
    fs::write(bench.path("sbom.cdx.json"), "{}").unwrap();
    let mut arguments = bench.release("1.0");
    let more = [
        "--category=security",
        "--fixes=CVE-2026-1234",
        "--fixes=CVE-2026-1235",
        "--advisory-url=https://acme.example/7",
        "--supported-until=2028-12-31",
        "--attach=cyclonedx=sbom.cdx.json",
    ];
    arguments.extend(more.map(str::to_owned));
    bench.ok(&strs(&arguments));
    let manifest =
        fs::read_to_string(file_with_suffix(&bench.path("home/repository/targets"), ".manifest").unwrap());
    let manifest: serde_json::Value = serde_json::from_str(&manifest.unwrap()).unwrap();
    assert_eq!(manifest["category"], "security");
    assert_eq!(manifest["security"]["fixes"][1], "CVE-2026-1235");
    assert_eq!(manifest["security"]["advisory_url"], "https://acme.example/7");
    assert_eq!(manifest["supported_until"], "2028-12-31T23:59:59Z");
    assert_eq!(manifest["attachments"][0]["kind"], "cyclonedx");
    assert!(bench.ok(&["lint"]).contains("0 defects, 0 warnings"));

    for (option, word) in [
        ("--attach=sbom.cdx.json", "KIND=FILE"),
        ("--attach=CycloneDX=sbom.cdx.json", "not a valid code"),
        ("--category=Two Words", "not a valid code"),
    ] {
        let mut wrong = bench.release("1.1");
        wrong.push(option.to_owned());
        let output = bench.run(&strs(&wrong));
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains(word), "{option}");
    }
    // A first release that is refused makes no keys.
    let mut wrong = bench.release("1.0");
    wrong.extend(["--package=other", "--new-package", "--fixes=no id"].map(str::to_owned));
    wrong.retain(|argument| argument != "--package" && argument != "acme-av");
    bench.fails(&strs(&wrong), &["no id of a vulnerability"]);
    assert!(!bench.path("home/keys/packages/other.release.key").exists());
    for (option, word) in [
        ("--attach=cyclonedx=missing.json", "missing.json"),
        ("--supported-until=tomorrow", "2028-12-31"),
        ("--fixes=no id", "CVE-2026-1234"),
        ("--advisory-url=ftp://x", "web address"),
    ] {
        let mut wrong = bench.release("1.1");
        wrong.push(option.to_owned());
        bench.fails(&strs(&wrong), &[word]);
    }
}

#[test]
fn agents_and_servers_are_released_as_kinds_of_their_own() {
    let bench = Bench::ready();
    let program = bench.path("content/agent-updater");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    for (package, kind) in [("agent-updater", "agent"), ("distributor", "server")] {
        bench.ok(&[
            "release",
            "content",
            "--package",
            package,
            "--kind",
            kind,
            "--channel",
            "stable",
            "--version",
            "1",
            "--new-package",
        ]);
        let manifest = file_with_suffix(
            &bench.path("home/repository/targets"),
            &format!(".{package}_1_linux-x86_64.manifest"),
        );
        let manifest: serde_json::Value =
            serde_json::from_slice(&fs::read(manifest.unwrap()).unwrap()).unwrap();
        assert_eq!(manifest["kind"], kind);
    }
    assert!(bench.ok(&["lint"]).contains("2 packages, 2 releases"));
    bench.fails(
        &[
            "release",
            "content",
            "--package",
            "distributor",
            "--kind",
            "program",
            "--channel",
            "x",
            "--version",
            "2",
        ],
        &["holds server, not program"],
    );
}

#[test]
fn the_minimum_counter_is_set_by_version_or_counter_shown_and_taken_away() {
    let bench = Bench::ready();
    for version in ["1.0", "1.1"] {
        bench.ok(&strs(&bench.release(version)));
    }
    let minimum = ["channel", "minimum", "acme-av"];
    let with =
        |more: &[&str]| [&minimum, more].concat().iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(bench.ok(&minimum).trim(), "acme-av: minimum counter none");
    assert_eq!(bench.ok(&strs(&with(&["--version", "1.1"]))).trim(), "acme-av: minimum counter 2");
    assert_eq!(bench.ok(&strs(&with(&["--counter", "1"]))).trim(), "acme-av: minimum counter 1");
    let json: serde_json::Value = serde_json::from_str(&bench.ok(&strs(&with(&["--json"])))).unwrap();
    assert_eq!(json, serde_json::json!({ "package": "acme-av", "minimum_counter": 1 }));
    bench.fails(
        &strs(&with(&["--counter", "3"])),
        &["channel stable offers acme-av 1.1", "publisher channel set"],
    );
    let shown = bench.ok(&["channel", "show"]);
    assert!(shown.contains("channel stable -> 1.1") && shown.contains("minimum counter 1"), "{shown}");
    assert_eq!(bench.ok(&strs(&with(&["--remove"]))).trim(), "acme-av: minimum counter none");
    assert_eq!(bench.run(&strs(&with(&["--remove", "--counter", "3"]))).status.code(), Some(2));
    bench.fails(&["channel", "minimum", "ghost"], &["no package ghost", "publisher channel show"]);
    let json: serde_json::Value = serde_json::from_str(&bench.ok(&["channel", "show", "--json"])).unwrap();
    assert_eq!((&json[0]["package"], &json[0]["channels"]["stable"]), (&"acme-av".into(), &"1.1".into()));
}

#[test]
fn a_counter_is_reset_and_the_next_release_goes_on_from_there() {
    let bench = Bench::ready();
    for version in ["1.0", "1.1"] {
        bench.ok(&strs(&bench.release(version)));
    }
    let help = bench.ok(&["trust", "reset-counter", "--help"]);
    assert!(help.contains("stole") && help.contains("18446744073709551615"), "{help}");
    bench.fails(&["trust", "reset-counter", "acme-av", "--to", "1"], &["acme-av 1.1", "--to 2 or more"]);
    let json = bench.ok(&["trust", "reset-counter", "acme-av", "--to", "2", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json, serde_json::json!({ "package": "acme-av", "counter": 2, "number": 1, "next": 3 }));
    let said = bench.ok(&["trust", "reset-counter", "acme-av", "--to", "5"]);
    assert!(said.contains("back to 5 (reset number 2); the next release has 6"), "{said}");
    let mut next = bench.release("1.2");
    next.push("--json".to_owned());
    let json: serde_json::Value = serde_json::from_str(&bench.ok(&strs(&next))).unwrap();
    assert_eq!(json["counter"], 6);
    assert!(bench.ok(&["trust", "show"]).contains("counter of acme-av: reset to 5 (number 2)"));
    assert!(bench.ok(&["lint"]).contains("0 defects, 0 warnings"));
}

#[test]
fn the_licensing_contact_is_published_at_the_beginning_replaced_and_taken_away() {
    let bench = Bench::new();
    let init = ["init", "--vendor", "Acme", "--no-passphrase"];
    bench.fails(&[init.as_slice(), &["--contact-mail", "nobody"]].concat(), &["no mail address"]);
    assert!(!bench.path("home").exists(), "a refused init leaves nothing");
    bench.ok(&[init.as_slice(), &["--contact-mail", "licenses@acme.example"]].concat());
    assert!(bench.ok(&["trust", "show"]).contains("licensing contact: licenses@acme.example"));
    bench.ok(&["trust", "contact", "--contact-name", "Sales", "--contact-phone", "+49 89 0"]);
    let json: serde_json::Value = serde_json::from_str(&bench.ok(&["trust", "show", "--json"])).unwrap();
    assert_eq!(json["licensing_contact"], serde_json::json!({ "name": "Sales", "phone": "+49 89 0" }));
    bench.fails(&["trust", "contact"], &["--contact-mail", "publisher trust show"]);
    assert!(bench.ok(&["trust", "contact", "--remove"]).contains("licensing contact: none"));
    assert!(bench.ok(&["lint"]).contains("0 defects"));
}

#[test]
fn serve_says_where_it_listens_renews_and_ends_cleanly_when_told() {
    let bench = Bench::ready();
    let mut command = bench.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut child = Killed(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut line = String::new();
    let mut stdout = BufReader::new(child.0.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap();
    assert_ne!(address, "127.0.0.1:0");
    std::net::TcpStream::connect(address).unwrap();
    // A release by another process, while it runs.
    bench.ok(&strs(&bench.release("1.0")));
    let id = rustix::process::Pid::from_child(&child.0);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}

/// Kills what it started, also when a test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn help_of_every_command_has_an_example() {
    let bench = Bench::new();
    let commands: [&[&str]; 17] = [
        &[],
        &["init"],
        &["release"],
        &["channel", "show"],
        &["channel", "set"],
        &["channel", "remove"],
        &["channel", "minimum"],
        &["trust", "show"],
        &["trust", "reset-counter"],
        &["trust", "contact"],
        &["refresh"],
        &["serial", "new"],
        &["serial", "list"],
        &["serial", "show"],
        &["serial", "unlock"],
        &["serve"],
        &["lint"],
    ];
    for command in commands {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        assert!(bench.ok(&arguments).contains("Examples:"), "{command:?}");
    }
}

#[test]
fn with_json_a_failure_and_each_finding_have_a_code() {
    let bench = Bench::ready();
    bench.ok(&strs(&bench.release("1.0")));
    let unsold = SerialNumber::from_random([3; 19]);
    for (arguments, code) in [
        (["releases", "show", "acme-av", "7"].as_slice(), "not_found"),
        (&["serial", "show", unsold.as_str()], "serial_unknown"),
        (&["withdraw", "acme-av", "7", "--reason", "x"], "wrong_state"),
        (&["root", "renew", "--root-keys", "content"], "too_few_keys"),
        (
            &[
                "release",
                ".",
                "--package",
                "acme-av",
                "--version",
                "2",
                "--kind",
                "program",
                "--channel",
                "s",
            ],
            "holds_secrets",
        ),
        (&["role", "renew", "nosuch"], "not_found"),
        (&["channel", "list", "nosuch"], "not_found"),
    ] {
        let output = bench.run(&[arguments, ["--json"].as_slice()].concat());
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{arguments:?}");
        let failure: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(failure["code"], code, "{failure}");
        assert!(!failure["message"].as_str().unwrap().is_empty());
    }
    fs::write(bench.path("home/repository/targets/odd"), "").unwrap();
    let report: serde_json::Value = serde_json::from_str(&bench.ok(&["lint", "--json"])).unwrap();
    assert_eq!(report["findings"][0]["code"], "file_unknown");
}

#[test]
fn a_place_that_is_not_there_and_one_that_is_no_folder_are_named_as_that() {
    let bench = Bench::ready();
    for (folder, words) in [("nosuch", "there is nothing"), ("content/tool", "give a folder")] {
        let arguments: Vec<String> = bench.release("1.0");
        let arguments: Vec<&str> =
            arguments.iter().map(|word| if word == "content" { folder } else { word.as_str() }).collect();
        bench.fails(&arguments, &[folder, words]);
    }
}
