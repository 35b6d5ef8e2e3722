use std::fs;
use std::os::unix::fs::PermissionsExt;

use sealpost_manifests::ids::{PackageName, Platform};
use sealpost_manifests::version::Version;

use super::runner_of_tests::runner_of_tests;
use super::*;

struct Fixture {
    folder: tempfile::TempDir,
    release: ReleaseId,
    config: PackageConfig,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("slot")).unwrap();
        let release = ReleaseId {
            package: PackageName::new("acme").unwrap(),
            version: Version::new("1.2").unwrap(),
            platform: Platform::any(),
        };
        Self { folder, release, config: PackageConfig { timeout_secs: 60, ..PackageConfig::default() } }
    }

    fn script(&self, text: &str) -> String {
        let path = self.folder.path().join("hook.sh");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn run(&self, hook: Hook) -> Result<HookDone, HookFault> {
        let context = HookContext {
            release: &self.release,
            slot: self.folder.path().join("slot"),
            current: self.folder.path().join("current"),
        };
        run_hook(&runner_of_tests(), hook, &self.config, &context)
    }
}

#[test]
fn a_hook_that_is_not_configured_is_reported_as_such() {
    assert_eq!(Fixture::new().run(Hook::Stop), Ok(HookDone::NotConfigured));
}

#[test]
fn a_hook_is_told_what_it_is_about_by_arguments_and_environment() {
    let mut fixture = Fixture::new();
    let script = fixture.script(
        "[ \"$1\" = \"$SEALPOST_SLOT\" ] && [ \"$2\" = \"v1.2\" ] && [ \"$SEALPOST_PACKAGE\" = acme ] && [ -d \"$1\" ]",
    );
    fixture.config.test_load = Some(vec![script, "{slot}".to_owned(), "v{version}".to_owned()]);
    assert_eq!(fixture.run(Hook::TestLoad), Ok(HookDone::Ran));
}

#[test]
fn the_test_load_hook_runs_without_roots_rights() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let mut fixture = Fixture::new();
    fixture.config.test_load = Some(vec![fixture.script("[ \"$(id -u)\" != 0 ]")]);
    assert_eq!(fixture.run(Hook::TestLoad), Ok(HookDone::Ran));
    fs::set_permissions(fixture.folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let fault = fixture.run(Hook::TestLoad).unwrap_err();
    assert_eq!(fault.reason, ReasonCode::HookRefused);
    assert!(fault.detail.contains("chmod o+x"), "{}", fault.detail);
}

#[test]
fn a_failed_hook_is_reported_with_what_it_printed() {
    let mut fixture = Fixture::new();
    fixture.config.health = Some(vec![fixture.script("echo 'cannot \u{1b}[31mload'; exit 7")]);
    let fault = fixture.run(Hook::Health).unwrap_err();
    assert_eq!(fault.reason, ReasonCode::HookFailed);
    assert!(
        fault.detail.contains("cannot \u{fffd}[31mload") && fault.detail.contains('7'),
        "{}",
        fault.detail
    );
}

#[test]
fn a_long_output_is_cut_to_its_end() {
    let mut fixture = Fixture::new();
    fixture.config.health = Some(vec![fixture.script("yes ü | head -n 20000; echo END; exit 1")]);
    let fault = fixture.run(Hook::Health).unwrap_err();
    assert!(
        fault.detail.len() <= MAX_DETAIL_BYTES && fault.detail.ends_with("END"),
        "{}",
        fault.detail.len()
    );
}

#[test]
fn a_hook_that_hangs_is_killed_and_says_so() {
    let mut fixture = Fixture::new();
    fixture.config.timeout_secs = 1;
    fixture.config.stop = Some(vec![fixture.script("sleep 1000 & sleep 1000")]);
    assert_eq!(fixture.run(Hook::Stop).unwrap_err().reason, ReasonCode::HookTimedOut);
}

#[test]
fn a_hook_that_others_can_change_is_not_run() {
    let mut fixture = Fixture::new();
    let marker = fixture.folder.path().join("ran");
    let script = fixture.script(&format!("touch {}", marker.display()));
    let refused = |fixture: &Fixture| {
        let fault = fixture.run(Hook::Start).unwrap_err();
        assert_eq!(fault.reason, ReasonCode::HookRefused);
        assert!(!marker.exists());
    };
    fixture.config.start = Some(vec![script.clone()]);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o777)).unwrap();
    refused(&fixture);
    // The same as the argument of a shell.
    fixture.config.start = Some(vec!["/bin/sh".to_owned(), script.clone()]);
    refused(&fixture);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(fixture.folder.path(), fs::Permissions::from_mode(0o775)).unwrap();
    refused(&fixture);
    fs::set_permissions(fixture.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fixture.run(Hook::Start), Ok(HookDone::Ran));
    assert!(marker.exists());
    fs::remove_file(&marker).unwrap();
    fixture.config.start = Some(vec!["hook.sh".to_owned()]);
    refused(&fixture);
}
