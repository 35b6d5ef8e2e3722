//! The program as a process: what it prints, how it ends, which files it leaves.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use sealpost_keys::SigningKey;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{SerialNumber, ServerId};
use sealpost_manifests::text_code;
use sealpost_test_support::license::register_request;

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(bench.path("content")).unwrap();
        fs::write(bench.path("content/tool"), "one").unwrap();
        bench
    }

    fn ready() -> Self {
        let bench = Self::new();
        bench.ok(&["init", "--vendor", "Acme", "--no-passphrase"]);
        bench
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_publisher"));
        command.current_dir(self.folder.path()).args(["--home", "home"]).args(arguments).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str], words: &[&str]) {
        let output = self.run(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        for word in words {
            assert!(text.contains(word), "{arguments:?}: no {word:?} in {text}");
        }
    }

    fn release(&self, version: &str) -> Vec<String> {
        let arguments =
            ["release", "content", "--package", "acme-av", "--kind", "program", "--channel", "stable"];
        arguments
            .iter()
            .map(|text| (*text).to_owned())
            .chain(["--version".to_owned(), version.to_owned()])
            .collect()
    }
}

fn strs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

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
    assert!(bench.ok(&["channel", "set", "acme-av", "early", "1.0"]).contains("early -> 1.0"));
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
fn a_registration_code_becomes_an_unlock_code() {
    let bench = Bench::ready();
    let serial = bench.ok(&["serial", "new", "--seats", "10", "--package", "acme-av"]);
    assert_eq!(serial.lines().count(), 1);
    let site = SigningKey::generate().unwrap();
    let sold = SerialNumber::new(serial.trim()).unwrap();
    let request = register_request(&sold, &ServerId::from_random([1; 16]), &site);
    let code = text_code::encode(&request.registration);
    fs::write(bench.path("code.txt"), &code).unwrap();

    let unlock = bench.ok(&["serial", "unlock", "code.txt"]);
    let license = fs::read_to_string(bench.path("home/keys/license.pub")).unwrap();
    let license = sealpost_keys::PublicKey::from_file_text(&license).unwrap();
    let grant = text_code::decode(&unlock).unwrap().verify::<Grant>(std::slice::from_ref(&license)).unwrap();
    assert_eq!((grant.seats, grant.packages.len()), (10, 1));
    assert_eq!(bench.ok(&["serial", "unlock", &code]), unlock, "the same code gets the same answer");

    bench.ok(&["serial", "unlock", "code.txt", "--out", "grant.json"]);
    let file = fs::read_to_string(bench.path("grant.json")).unwrap();
    serde_json::from_str::<SignedDocument>(&file).unwrap().verify::<Grant>(&[license]).unwrap();

    let list: serde_json::Value = serde_json::from_str(&bench.ok(&["serial", "list", "--json"])).unwrap();
    assert_eq!((&list[0]["seats"], &list[0]["generation"]), (&10.into(), &1.into()));
    assert!(bench.ok(&["serial", "list"]).contains(serial.trim()));
    bench.fails(&["serial", "unlock", &code.replacen('0', "1", 1)], &["line"]);
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
    let commands: [&[&str]; 10] = [
        &[],
        &["init"],
        &["release"],
        &["channel", "set"],
        &["refresh"],
        &["serial", "new"],
        &["serial", "list"],
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
