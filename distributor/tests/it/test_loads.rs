//! Test-loads with the real program: a staged release is loaded by the site's own script before it can be approved.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use rustix::process::{Signal, geteuid};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::Encoding;
use sealpost_test_support::vendor_server::ServedVendor;
use sealpost_test_support::wait;
use tempfile::TempDir;

use crate::agent::Agent;
use crate::program::{distributor, json, refused, run, running as started, serve, signal, stdout, stop};
use crate::site::{Site, configure};
use crate::vendor::start_vendor;

/// What it does stands in the release. It never ends by itself where it hangs; what it says has control characters.
const SCRIPT: &str = r#"#!/bin/sh
read -r word < "$1/engine"
case "$word" in
    good) exit 0 ;;
    limits) printf 'uid %s has %s KiB\n' "$(id -u)" "$(ulimit -v)"; exit 3 ;;
    hang) while ! [ -e "$2" ]; do sleep 0.05; done ;;
    *) printf 'uid %s cannot read \033[31m%s\n' "$(id -u)" "$word"; exit 3 ;;
esac
"#;

/// Memory that the script may have.
const MEMORY_MIB: u32 = 512;
/// A user without rights, as whom nothing else runs in the tests.
const NOBODY: u32 = 65_534;

/// The script, and the file that ends its hanging.
struct Script {
    folder: TempDir,
}

impl Script {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Whoever it runs as enters it.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let script = Self { folder };
        fs::write(script.path(), SCRIPT).unwrap();
        fs::set_permissions(script.path(), fs::Permissions::from_mode(0o755)).unwrap();
        script
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("scan")
    }

    fn go(&self) -> PathBuf {
        self.folder.path().join("go")
    }

    /// Has it load the releases of the vendor's package.
    fn configured(&self, home: &Path, time_limit: &str) {
        let (script, go) = (self.path(), self.go());
        configure(
            home,
            &format!(
                "[test_load.acme-av]\ncommand = [{script:?}, \"{{slot}}\", {go:?}]\ntime_limit = \"{time_limit}\"\n\
                 memory_mib = {MEMORY_MIB}\n"
            ),
        );
    }
}

/// A site whose computer runs nothing yet, stopped for what is done with the real program.
async fn with_a_computer(vendor: &ServedVendor) -> Site {
    let site = Site::licensed(vendor).await;
    let _ = Agent::licensed(&site, "pc-1").await;
    site
}

/// The test-load of a release, once it is what is waited for.
fn test_load(
    home: &Path,
    manifest: Sha256Digest,
    is: impl Fn(&serde_json::Value) -> bool,
) -> serde_json::Value {
    let mut last = serde_json::Value::Null;
    wait::until("the release is loaded", || {
        let review = json(home, &["updates", "show", &manifest.to_string(), "--json"]);
        last = review["update"]["test_load"].clone();
        is(&last)
    });
    last
}

fn has(outcome: &'static str) -> impl Fn(&serde_json::Value) -> bool {
    move |test| test["outcome"] == outcome && test["under_way"] == false
}

fn state(home: &Path, manifest: Sha256Digest) -> String {
    let review = json(home, &["updates", "show", &manifest.to_string(), "--json"]);
    review["update"]["state"].as_str().unwrap().to_owned()
}

/// The folders in which releases of this home are laid out.
fn rooms(home: &Path) -> usize {
    let places = [PathBuf::from("/var/tmp"), home.join("staging")];
    let digest = Sha256Digest::of(home.canonicalize().unwrap().as_os_str().as_encoded_bytes()).to_string();
    let prefix = format!("sealpost-test-load-{}", &digest[..16]);
    let entries = places.iter().filter_map(|place| fs::read_dir(place).ok()).flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)).count()
}

/// Processes that run the script.
fn running(script: &Script) -> usize {
    let path = script.path();
    let is_it = |pid: PathBuf| {
        let command = fs::read(pid.join("cmdline")).unwrap_or_default();
        command.split(|byte| *byte == 0).any(|word| word == path.as_os_str().as_encoded_bytes())
    };
    fs::read_dir("/proc").unwrap().flatten().filter(|entry| is_it(entry.path())).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_its_script_loads_is_approved_and_one_that_it_does_not_load_is_held_until_an_admin_says_otherwise()
 {
    let vendor = start_vendor(10).await;
    let good = vendor.release("1.0", &[("engine", b"good\n")]);
    let site = with_a_computer(&vendor).await;
    let script = Script::new();
    let site = site
        .between(async |home| {
            script.configured(home, "30s");
            let server = serve(home);
            stdout(home, &["pull"]);
            let test = test_load(home, good, has("passed"));
            assert_eq!((test["holds"].as_bool(), rooms(home)), (Some(false), 0));
            stdout(home, &["updates", "approve", "acme-av:1.0", "--yes", "--strategy", "everyone-now"]);

            let bad = vendor.release("2.0", &[("engine", b"bad\n")]);
            stdout(home, &["pull"]);
            let test = test_load(home, bad, has("failed"));
            let said = test["sentence"].as_str().unwrap();
            assert!(said.contains("cannot read") && !said.chars().any(char::is_control), "{said}");
            // With root's rights it would reach what the server has.
            if geteuid().is_root() {
                assert!(said.contains("uid 65534 "), "{said}");
            }
            for approve in [
                &["updates", "approve", "acme-av:2.0", "--yes"][..],
                &["updates", "push-now", "acme-av:2.0", "--yes", "--why", "now"],
            ] {
                let why = run(home, approve);
                let why = String::from_utf8(why.stderr).unwrap();
                assert!(
                    why.contains("cannot read") && why.contains("--override --why"),
                    "{approve:?}: {why}"
                );
            }
            assert_eq!(state(home, bad), "staged");
            let why = stdout(home, &["updates", "why", "pc-1"]);
            assert!(why.contains("2.0 is held, failed test-load"), "{why}");
            assert!(stdout(home, &["updates", "list"]).contains("untested"));
            let status = json(home, &["status", "--json"]);
            let codes = status["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].clone());
            assert!(codes.into_iter().any(|code| code == "test_load_failed"), "{status}");
            // Again, because somebody asks: the same answer, and the command says so.
            let again = run(home, &["updates", "test-load", "acme-av:2.0"]);
            assert_eq!(again.status.code(), Some(1), "{again:?}");
            assert!(String::from_utf8(again.stdout).unwrap().contains("failed"));

            let lets =
                &["updates", "test-load", "acme-av:2.0", "--override", "--why", "the script is too old"];
            assert!(stdout(home, lets).contains("let it through"));
            stdout(home, &["updates", "approve", "acme-av:2.0", "--yes", "--strategy", "everyone-now"]);
            assert_eq!(state(home, bad), "approved");
            let log = stdout(home, &["log"]);
            assert!(log.contains("without a test-load") && log.contains("the script is too old"), "{log}");
            stop(server);
        })
        .await;
    let why: serde_json::Value = site.get("/clients/pc-1").await;
    assert!(why.to_string().contains("2.0") && !why.to_string().contains("is held"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_hangs_ends_at_its_time_and_holds_up_neither_pulls_nor_other_packages() {
    let vendor = start_vendor(10).await;
    let hangs = vendor.release("1.0", &[("engine", b"hang\n")]);
    let site = with_a_computer(&vendor).await;
    let script = Script::new();
    site.between(async |home| {
        script.configured(home, "3s");
        let server = serve(home);
        stdout(home, &["pull"]);
        test_load(home, hangs, |test| test["under_way"] == true);
        // Meanwhile pulls and approvals are answered; this one says what it waits for.
        stdout(home, &["pull"]);
        let why = refused(home, &["updates", "approve", "acme-av:1.0", "--yes"]);
        assert!(why.contains("is not done yet"), "{why}");
        let test = test_load(home, hangs, has("timed_out"));
        let said = test["sentence"].as_str().unwrap();
        assert!(said.contains("did not end in time") && said.contains("killed after 3 s"), "{said}");
        assert_eq!((running(&script), rooms(home)), (0, 0));
        // Another time limit is another program: it is asked by itself.
        fs::write(script.go(), "").unwrap();
        script.configured(home, "30s");
        signal(&server, Signal::HUP);
        test_load(home, hangs, has("passed"));
        stdout(home, &["updates", "approve", "acme-av:1.0", "--yes"]);
        stop(server);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_in_the_middle_leaves_nothing_and_loads_the_release_again() {
    let vendor = start_vendor(10).await;
    let hangs = vendor.release("1.0", &[("engine", b"hang\n")]);
    let site = with_a_computer(&vendor).await;
    let script = Script::new();
    site.between(async |home| {
        script.configured(home, "10m");
        let server = serve(home);
        stdout(home, &["pull"]);
        wait::until("the script runs", || running(&script) > 0);
        assert_eq!(rooms(home), 1);
        drop(server);
        wait::until("nothing of it runs", || running(&script) == 0);
        let server = serve(home);
        wait::until("the script runs again", || running(&script) > 0);
        assert_eq!(rooms(home), 1, "what the killed server left is gone");
        let log = stdout(home, &["log"]);
        assert!(!log.contains("test-load"), "nothing is said of a load that was interrupted: {log}");
        fs::write(script.go(), "").unwrap();
        test_load(home, hangs, has("passed"));
        assert_eq!((running(&script), rooms(home)), (0, 0));
        stop(server);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_others_can_change_is_not_run_and_lets_nothing_through() {
    let vendor = start_vendor(10).await;
    let good = vendor.release("1.0", &[("engine", b"good\n")]);
    let site = with_a_computer(&vendor).await;
    let script = Script::new();
    site.between(async |home| {
        script.configured(home, "30s");
        fs::set_permissions(script.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let server = serve(home);
        stdout(home, &["pull"]);
        let test = test_load(home, good, has("not_run"));
        let said = test["sentence"].as_str().unwrap();
        assert!(said.contains("can be changed by others"), "{said}");
        refused(home, &["updates", "approve", "acme-av:1.0", "--yes"]);
        fs::set_permissions(script.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(stdout(home, &["updates", "test-load", "acme-av:1.0"]).contains("passed"));
        stdout(home, &["updates", "approve", "acme-av:1.0", "--yes"]);
        stop(server);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_was_damaged_on_the_disk_is_called_so_until_it_was_fetched_again() {
    let vendor = start_vendor(10).await;
    let draft = vendor.draft("1.0", &[("engine", b"good\n")]);
    let good = vendor.publish(&draft, &["stable"]);
    let payload = draft.manifest.payload.encoding(Encoding::Gzip).unwrap().sha256.to_string();
    let site = with_a_computer(&vendor).await;
    let script = Script::new();
    site.between(async |home| {
        let server = serve(home);
        stdout(home, &["pull"]);
        let stored = home.join("blobs").join(&payload[..2]).join(&payload);
        let length = fs::metadata(&stored).unwrap().len();
        fs::remove_file(&stored).unwrap();
        fs::write(&stored, vec![0; usize::try_from(length).unwrap()]).unwrap();
        script.configured(home, "30s");
        signal(&server, Signal::HUP);
        // No pull of the server's own fetches it meanwhile.
        let (repository, aside) = (vendor.repository(), vendor.repository().with_extension("aside"));
        fs::rename(&repository, &aside).unwrap();
        // The first look takes it out of the store, and the sentence stays true afterwards.
        for _ in 0..2 {
            let test = test_load(home, good, has("not_run"));
            let said = test["sentence"].as_str().unwrap();
            assert!(said.contains("was changed or damaged on the disk"), "{said}");
            assert!(said.contains("`distributor pull` fetches it again"), "{said}");
            let again = run(home, &["updates", "test-load", "acme-av:1.0"]);
            assert_eq!(again.status.code(), Some(1), "{again:?}");
        }
        assert_eq!((running(&script), rooms(home)), (0, 0), "nothing was given to the script");
        fs::rename(&aside, &repository).unwrap();
        stdout(home, &["pull"]);
        assert_eq!(fs::metadata(&stored).unwrap().len(), length);
        assert!(stdout(home, &["updates", "test-load", "acme-av:1.0"]).contains("passed"));
        stop(server);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_roots_rights_runs_the_script_as_itself_and_within_its_limits() {
    let vendor = start_vendor(10).await;
    let limits = vendor.release("1.0", &[("engine", b"limits\n")]);
    let Site { folder, server, .. } = with_a_computer(&vendor).await;
    server.stop().await.unwrap();
    let home = folder.path().join("home");
    let script = Script::new();
    script.configured(&home, "3s");
    let mut command = distributor(&home);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    let user = if geteuid().is_root() {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        give_away(&home);
        command.uid(NOBODY).gid(NOBODY);
        NOBODY
    } else {
        geteuid().as_raw()
    };
    tokio::task::spawn_blocking(move || {
        let server = started(command);
        stdout(&home, &["pull"]);
        let test = test_load(&home, limits, has("failed"));
        let (said, kib) = (test["sentence"].as_str().unwrap(), u64::from(MEMORY_MIB) * 1024);
        assert!(said.contains(&format!("uid {user} has {kib} KiB")), "{said}");

        let hangs = vendor.release("2.0", &[("engine", b"hang\n")]);
        stdout(&home, &["pull"]);
        let test = test_load(&home, hangs, has("timed_out"));
        let said = test["sentence"].as_str().unwrap();
        assert!(said.contains("killed after 3 s"), "{said}");
        assert_eq!((running(&script), rooms(&home)), (0, 0), "nothing is left of either");
        stop(server);
    })
    .await
    .unwrap();
}

/// Gives a home to a user without rights.
fn give_away(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give_away(&entry.unwrap().path()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settings_file_that_names_a_program_to_run_is_refused_by_name_and_changes_nothing() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let (folder, home) = (tempfile::tempdir().unwrap(), site.home());
    let file = folder.path().join("site.toml");
    fs::write(&file, "[properties]\ndelivery = \"poll\"\n\n[test_load.acme-av]\ncommand = [\"/bin/sh\"]\n")
        .unwrap();
    let said = tokio::task::spawn_blocking(move || {
        let file = file.to_str().unwrap();
        [
            refused(&home, &["config", "plan", file]),
            refused(&home, &["config", "apply", file, "--yes", "--why", "x"]),
        ]
    });
    for said in said.await.unwrap() {
        assert!(said.contains("test_load") && said.contains("line 4"), "{said}");
    }
    let after: serde_json::Value = site.get("/settings").await;
    assert_eq!(after["settings"], serde_json::json!([]), "{after}");
}
