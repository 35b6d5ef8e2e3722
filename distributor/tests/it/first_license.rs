//! `init --serial`: a server that has its seats before it runs, and what stands where that does not work.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use sealpost_manifests::text_code;
use sealpost_test_support::license::serial;
use sealpost_test_support::web::Fault;
use tempfile::TempDir;

use crate::program::{distributor, json, refused, run, serve, stdout, stop};
use crate::terminal::answered;
use crate::vendor::start_vendor;

/// A user without rights, as whom nothing else runs in the tests.
const OWNER: u32 = 65_534;

/// A home that is made here, for the server of this vendor.
struct New {
    _folder: TempDir,
    home: PathBuf,
    vendor_url: String,
    root: PathBuf,
}

impl New {
    fn of(vendor_url: &str, root: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        Self { _folder: folder, home, vendor_url: vendor_url.to_owned(), root: root.to_owned() }
    }

    fn words<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let root = self.root.to_str().unwrap();
        let init = ["init", "--vendor-url", &self.vendor_url, "--root", root, "--address", "127.0.0.1"];
        [&init, more].concat()
    }

    fn init(&self, more: &[&str]) -> Output {
        run(&self.home, &self.words(more))
    }

    /// With this on standard input, where no list of processes shows it.
    fn init_reading(&self, more: &[&str], input: &str) -> Output {
        let mut command = distributor(&self.home);
        command.args(self.words(more)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that has read enough hears no more.
        let _ = writeln!(child.stdin.take().unwrap(), "{input}");
        child.wait_with_output().unwrap()
    }
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

async fn walk(work: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(work).await.unwrap();
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The server can be started, and unlocks the same seats by its own command.
fn is_registered_later(new: &New) {
    let server = serve(&new.home);
    assert!(stdout(&new.home, &["register", serial().as_ref()]).contains("3 seats"));
    assert!(stdout(&new.home, &["log", "verify"]).contains("the log is whole"));
    stop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_is_registered_with_its_first_serial_number_and_still_has_its_first_pull_before_it() {
    let vendor = start_vendor(3).await;
    vendor.publish(&vendor.draft("1.0", &[("engine", b"one")]), &["stable"]);
    let new = New::of(&vendor.url(), &vendor.root_file());
    walk(move || {
        let output = new.init_reading(&["--serial", "-"], serial().as_ref());
        let (out, err) = said(&output);
        assert_eq!(output.status.code(), Some(0), "{out}{err}");
        assert!(out.starts_with("made server ") && out.contains(": 3 seats ("), "{out}");
        assert!(err.contains("asking the vendor at http://127.0.0.1:"), "{err}");
        assert!(
            err.ends_with(&format!("next: `distributor --home {} serve`\n", new.home.display()))
                && !err.contains("ERROR"),
            "{err}"
        );
        assert!(!err.contains(serial().as_ref() as &str), "{err}");
        // Nothing was fetched but documents: whoever waits for the answer does not wait for payloads.
        let log = stdout(&new.home, &["log", "export", "-"]);
        assert!(log.contains("grant_accepted") && !log.contains("release_"), "{log}");

        let server = serve(&new.home);
        stdout(&new.home, &["clients", "reserve", "pc-1"]);
        // By schedule, and at once: the registration was no pull.
        wait_for("the release is staged", || {
            json(&new.home, &["updates", "list", "--json"])["updates"][0]["state"] == "staged"
        });
        let log = stdout(&new.home, &["log", "--json"]);
        let entries: Vec<serde_json::Value> =
            log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |kind: &str| entries.iter().filter(|entry| entry["kind"] == kind).count();
        assert_eq!((of("serial_registered"), of("grant_accepted")), (1, 1), "{log}");
        assert!(stdout(&new.home, &["log", "verify"]).contains("the log is whole"));
        stop(server);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_that_cannot_reach_its_vendor_prints_the_code_ends_with_1_and_stands() {
    let vendor = start_vendor(3).await;
    // Nobody listens there.
    let new = New::of("http://127.0.0.1:1", &vendor.root_file());
    let reached = vendor.url();
    walk(move || {
        let output = new.init(&["--serial", serial().as_ref()]);
        let (out, err) = said(&output);
        assert_eq!(output.status.code(), Some(1), "{out}{err}");
        assert!(out.starts_with("made server ") && out.lines().count() > 5, "{out}");
        assert!(err.contains("cannot reach the vendor") && err.contains("registration code"), "{err}");
        assert!(
            err.contains(&format!(
                "the server is made all the same; next: `distributor --home {} serve`",
                new.home.display()
            )),
            "{err}"
        );
        // As the same command says it later.
        let server = serve(&new.home);
        let later = run(&new.home, &["register", serial().as_ref()]);
        let (_, register_err) = said(&later);
        assert_eq!(later.status.code(), Some(1));
        for line in register_err.lines() {
            assert!(err.contains(line), "{line} is not in {err}");
        }
        stop(server);
        let config = new.home.join("distributor.toml");
        let text = fs::read_to_string(&config).unwrap().replace("http://127.0.0.1:1", &reached);
        fs::write(&config, text).unwrap();
        is_registered_later(&new);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_asks_nobody_when_only_the_code_is_wanted() {
    let vendor = start_vendor(3).await;
    let new = New::of(&vendor.url(), &vendor.root_file());
    // It would be answered.
    vendor.answer_next_registration(Fault::Answer(500, Vec::new()));
    walk(move || {
        let output = new.init(&["--serial", serial().as_ref(), "--offline"]);
        let (out, err) = said(&output);
        assert_eq!(output.status.code(), Some(0), "{out}{err}");
        assert!(text_code::decode(&out).is_ok(), "a file of it is a code: {out}");
        assert!(err.contains("made server "), "{err}");
        assert!(
            err.contains("registration code") && err.contains(" unlock` with what the vendor sends back"),
            "{err}"
        );
        assert!(!err.contains("asking the vendor"), "{err}");
        let server = serve(&new.home);
        // The fault is still there for the first who asks.
        assert_eq!(run(&new.home, &["register", serial().as_ref()]).status.code(), Some(1));
        stop(server);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_a_serial_number_is_asked_for_and_ends_with_its_line() {
    let vendor = start_vendor(3).await;
    let new = New::of(&vendor.url(), &vendor.root_file());
    walk(move || {
        let words = new.words(&["--serial", "-"]);
        let (code, said, seen) = answered(&new.home, &words, "\n");
        assert_eq!((code, said.as_str()), (Some(1), ""), "{seen}");
        assert!(seen.contains("no serial number came from standard input"), "{seen}");
        let (code, said, seen) = answered(&new.home, &words, &format!("{}\n", serial()));
        assert!(code == Some(0) && said.contains("3 seats"), "{said}{seen}");
        assert!(seen.contains("Serial number: "), "{seen}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serial_number_with_a_typing_error_makes_no_home() {
    let vendor = start_vendor(3).await;
    let new = New::of(&vendor.url(), &vendor.root_file());
    walk(move || {
        let mistyped = serial().to_string().replacen('5', "6", 1);
        for output in [
            new.init(&["--serial", &mistyped]),
            new.init(&["--serial", ""]),
            new.init(&["--serial", "-"]),
            new.init_reading(&["--serial", "-"], &mistyped),
            new.init_reading(&["--serial", "-"], &"A".repeat(1 << 14)),
        ] {
            let (_, err) = said(&output);
            assert_eq!(output.status.code(), Some(1), "{err}");
            assert!(err.contains("no server is made: cannot register"), "{err}");
            assert!(!new.home.exists());
        }
        assert_eq!(new.init(&["--offline"]).status.code(), Some(2), "a code of which serial number?");
        assert!(!new.home.exists());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serial_number_that_the_vendor_refuses_leaves_a_server_that_is_registered_later() {
    let vendor = start_vendor(3).await;
    let new = New::of(&vendor.url(), &vendor.root_file());
    let problem = br#"{"code":"serial_bound","message":"another server has it","hint":"ask the vendor"}"#;
    vendor.answer_next_registration(Fault::Answer(409, problem.to_vec()));
    walk(move || {
        let output = new.init(&["--serial", serial().as_ref()]);
        let (out, err) = said(&output);
        assert_eq!(output.status.code(), Some(1), "{out}{err}");
        assert!(out.starts_with("made server "), "{out}");
        assert!(err.contains("another server has it [serial_bound]; ask the vendor"), "{err}");
        assert!(err.contains("the server is made, and its serial number is not registered"), "{err}");
        assert!(refused(&new.home, &new.words(&[])).contains("already"), "it is there");
        is_registered_later(&new);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_serial_number_of_a_new_server_is_not_sent_over_plain_http_to_another_computer() {
    let vendor = start_vendor(3).await;
    let new = New::of("http://192.0.2.1:9", &vendor.root_file());
    walk(move || {
        let output = new.init(&["--serial", serial().as_ref()]);
        let (out, err) = said(&output);
        assert_eq!(output.status.code(), Some(1), "{out}{err}");
        assert!(err.contains("is not sent over plain http") && err.contains("registration code"), "{err}");
        assert!(!err.contains("note: releases are pulled"), "it is said once: {err}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_of_a_new_server_that_was_cut_is_made_again_and_gets_the_same_seats() {
    let vendor = start_vendor(3).await;
    let url = vendor.url();
    // The vendor bound the serial number, and its answer was lost.
    let lost = New::of(&url, &vendor.root_file());
    vendor.answer_next_registration(Fault::LoseTheAnswer);
    let root = vendor.root_file();
    walk(move || {
        let output = lost.init(&["--serial", serial().as_ref()]);
        assert_eq!(output.status.code(), Some(1));
        is_registered_later(&lost);
    })
    .await;
    // The process ends while it waits for the answer.
    let killed = New::of(&url, &root);
    vendor.answer_next_registration(Fault::StallAfter(10));
    walk(move || {
        let mut command = distributor(&killed.home);
        command.args(killed.words(&["--serial", serial().as_ref()])).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        // The ledger is written before the vendor is asked.
        let asked = || {
            let log = run(&killed.home, &["log", "export", "-"]);
            log.stdout.windows(17).any(|part| part == b"serial_registered")
        };
        wait_for("the vendor is asked", asked);
        child.kill().unwrap();
        child.wait().unwrap();
        is_registered_later(&killed);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_root_registers_in_a_users_folder_belongs_to_that_user() {
    if !rustix::process::geteuid().is_root() {
        sealpost_test_support::skips::needs("root").unwrap();
        return;
    }
    let vendor = start_vendor(3).await;
    let url = vendor.url();
    let root = fs::read(vendor.root_file()).unwrap();
    walk(move || {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let root_file = folder.path().join("root.json");
        fs::write(&root_file, root).unwrap();
        let mut new = New::of(&url, &root_file);
        new.home = folder.path().join("home");
        fs::create_dir(&new.home).unwrap();
        chown(&new.home, Some(OWNER), Some(OWNER)).unwrap();
        let output = new.init(&["--serial", serial().as_ref()]);
        let (out, err) = said(&output);
        assert_eq!(output.status.code(), Some(0), "{out}{err}");
        for entry in fs::read_dir(&new.home).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().uid(), OWNER, "{}", entry.path().display());
        }
        // The log names whoever typed it, and not the owner.
        let log = stdout(&new.home, &["log", "export", "-"]);
        let asked = log.lines().find(|line| line.contains("serial_registered")).unwrap();
        assert!(asked.contains(r#"{"kind":"socket","id":"root"}"#), "{asked}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ca_of_the_vendor_is_named_with_init_and_checked_before_anything_is_made() {
    let vendor = start_vendor(3).await;
    let (url, root) = (vendor.url(), vendor.root_file());
    tokio::task::spawn_blocking(move || {
        let new = New::of(&url, &root);
        let missing = new.home.with_file_name("missing.pem");
        let (_, told) = said(&new.init(&["--vendor-ca", missing.to_str().unwrap()]));
        assert!(told.contains("--vendor-ca") && told.contains("missing.pem"), "{told}");
        fs::write(&missing, "no certificate").unwrap();
        let (_, told) = said(&new.init(&["--vendor-ca", missing.to_str().unwrap()]));
        assert!(told.contains("holds no certificate") && !new.home.exists(), "{told}");
        // Any CA will do; the site CA of another server is one.
        let other = New::of(&url, &root);
        let (_, told) = said(&other.init(&[]));
        let named = format!("next: `distributor --home {} serve`", other.home.display());
        assert!(told.contains(&named), "a home that is not the usual one is named: {told}");
        let ca = other.home.join("tls/ca.crt");
        let made =
            new.init(&["--vendor-ca", ca.to_str().unwrap(), "--serial", serial().as_ref(), "--offline"]);
        let (_, told) = said(&made);
        assert!(made.status.success(), "{told}");
        assert!(told.contains(&format!("or type it into the vendor's page {url}/register")), "{told}");
        let text = fs::read_to_string(new.home.join("distributor.toml")).unwrap();
        assert!(text.contains(&format!("\nvendor_ca = \"{}\"\n", ca.display())), "{text}");
    })
    .await
    .unwrap();
}
