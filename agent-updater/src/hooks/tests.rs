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

/// Whether this test is root. Where nothing may be skipped, it has to be.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        sealpost_test_support::skips::needs("root").unwrap();
    }
    is_root
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
    if !is_root() {
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

/// What is said of a package whose start hook is this command, before anything is stopped.
fn checked(fixture: &mut Fixture, command: &[&str]) -> Result<(), String> {
    fixture.config.start = Some(command.iter().map(|word| (*word).to_owned()).collect());
    ensure_all_runnable(&fixture.config, fixture.folder.path()).map_err(|fault| {
        assert_eq!(fault.reason, ReasonCode::HookRefused);
        fault.detail
    })
}

fn with_mode(path: &str, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_hook_without_its_execute_bit_is_found_before_anything_is_stopped() {
    let mut fixture = Fixture::new();
    let script = fixture.script("exit 0");
    assert_eq!(checked(&mut fixture, &[&script]), Ok(()));
    with_mode(&script, 0o644);
    let said = checked(&mut fixture, &[&script]).unwrap_err();
    assert!(said.contains("chmod +x") && said.contains(&script), "{said}");
    // A shell needs no execute bit of what it reads.
    assert_eq!(checked(&mut fixture, &["/bin/sh", &script]), Ok(()));
    assert_eq!(checked(&mut fixture, &["/bin/sh", "-c", "exit 0"]), Ok(()));
    assert_eq!(checked(&mut fixture, &["/bin/sh", "{slot}/start"]), Ok(()));
    let said = checked(&mut fixture, &["/bin/sh", "/nonexistent/start.sh"]).unwrap_err();
    assert!(said.contains("/nonexistent/start.sh"), "{said}");
}

#[test]
fn a_hook_that_is_no_file_or_is_missing_is_found_before_anything_is_stopped() {
    let mut fixture = Fixture::new();
    let folder = fixture.folder.path().join("slot").to_str().unwrap().to_owned();
    let said = checked(&mut fixture, &[&folder]).unwrap_err();
    assert!(said.contains("is no file"), "{said}");
    assert!(checked(&mut fixture, &["/nonexistent"]).is_err());
}

#[test]
fn an_interpreter_that_is_missing_or_cannot_be_executed_is_found_before_anything_is_stopped() {
    let mut fixture = Fixture::new();
    let path = fixture.script("exit 0");
    let other = fixture.folder.path().join("interpreter").to_str().unwrap().to_owned();
    fs::write(&other, "#!/bin/sh\nexit 0\n").unwrap();
    with_mode(&other, 0o755);
    let mut with_line = |line: &str| {
        fs::write(&path, format!("{line}\nexit 0\n")).unwrap();
        checked(&mut fixture, &[&path])
    };
    for line in ["#!/bin/sh", "#! /bin/sh -e", "#!/usr/bin/env sh", "#!/usr/bin/env -S sh -e", "exit 0", "#!"]
    {
        assert_eq!(with_line(line), Ok(()), "{line}");
    }
    assert_eq!(with_line(&format!("#!{other}")), Ok(()));
    let said = with_line("#!/nonexistent/python3").unwrap_err();
    assert!(said.contains("\"/nonexistent/python3\""), "{said}");
    // As an editor on Windows leaves it.
    let said = with_line("#!/bin/sh\r").unwrap_err();
    assert!(said.contains(r#""/bin/sh\r""#), "{said}");
    let said = with_line("#!/usr/bin/env sh\r").unwrap_err();
    assert!(said.contains(r"sh\r"), "{said}");
    assert_eq!(with_line("#!/usr/bin/env -S sh -e\r"), Ok(()), "env takes it for a space");
    let said = with_line("#!/usr/bin/env nonexistent-python").unwrap_err();
    assert!(said.contains("nonexistent-python") && said.contains("/usr/bin"), "{said}");
    with_mode(&other, 0o644);
    let said = with_line(&format!("#!{other}")).unwrap_err();
    assert!(said.contains("chmod +x"), "{said}");
    // It runs with the hook's rights.
    with_mode(&other, 0o777);
    let said = with_line(&format!("#!{other}")).unwrap_err();
    assert!(said.contains("can be changed by others"), "{said}");
    let said = with_line(&format!("#!{path}")).unwrap_err();
    assert!(said.contains("from interpreter to interpreter"), "{said}");
}

#[test]
fn what_env_runs_by_a_line_of_several_words_is_found_before_anything_is_stopped() {
    let mut fixture = Fixture::new();
    let path = fixture.script("exit 0");
    let other = fixture.folder.path().join("interpreter").to_str().unwrap().to_owned();
    fs::write(&other, "#!/bin/sh\nexit 0\n").unwrap();
    with_mode(&other, 0o755);
    let mut with_line = |line: &str| {
        fs::write(&path, format!("#!/usr/bin/env {line}\nexit 0\n")).unwrap();
        checked(&mut fixture, &[&path])
    };
    for line in ["-S sh -e", "-Ssh", "-S A=b sh", "-S -i sh", &format!("-S {other} -u")] {
        assert_eq!(with_line(line), Ok(()), "{line}");
    }
    for line in ["-S python3.99 -u", "-S A=b python3.99", "-S -i PATH=/nonexistent sh", "-S /nonexistent/sh"]
    {
        let said = with_line(line).unwrap_err();
        assert!(said.contains("python3.99") || said.contains("/nonexistent"), "{line}: {said}");
    }
    for line in ["A=b", "-S A=b", "-S -C / sh", "-S ${SHELL}"] {
        let said = with_line(line).unwrap_err();
        assert!(said.contains("cannot be told"), "{line}: {said}");
    }
    with_mode(&other, 0o777);
    for line in [format!("-S {other}"), format!("-S A=b {other} -u")] {
        let said = with_line(&line).unwrap_err();
        assert!(said.contains("can be changed by others"), "{said}");
    }
}

/// As a full disk leaves them, or the end of the computer in the midst of saving.
#[test]
fn a_hook_that_is_empty_or_no_script_is_found_before_anything_is_stopped_and_is_not_run() {
    let mut fixture = Fixture::new();
    let path = fixture.script("exit 0");
    for (text, hint) in [(&b""[..], "is empty"), (b"\n\n", "is empty"), (&[0; 3000], "damaged")] {
        fs::write(&path, text).unwrap();
        let said = checked(&mut fixture, &[&path]).unwrap_err();
        assert!(said.contains(hint) && said.contains(&path), "{said}");
        let fault = fixture.run(Hook::Start).unwrap_err();
        assert!(fault.reason == ReasonCode::HookRefused && fault.detail.contains(hint), "{fault}");
    }
    fs::write(&path, "exit 0\n").unwrap();
    assert_eq!(checked(&mut fixture, &[&path]), Ok(()));
    assert_eq!(fixture.run(Hook::Start), Ok(HookDone::Ran));
    fs::remove_file(&path).unwrap();
    fs::copy("/bin/true", &path).unwrap();
    assert_eq!(checked(&mut fixture, &[&path]), Ok(()));
}

/// Nothing is known of what is left then, and it has what the release gave it.
#[test]
fn a_test_of_which_something_is_left_that_cannot_be_ended_has_failed() {
    let left =
        |ending| Finished { ending, output: Vec::new(), problem: Some("1 process is left".to_owned()) };
    let well = Ending::Exited(std::process::ExitStatus::default());
    let fault = judge(Hook::TestLoad, "/hook", 60, &left(well)).unwrap_err();
    assert_eq!(fault.reason, ReasonCode::HookFailed);
    assert!(fault.detail.contains("1 process is left"), "{fault}");
    // The log has it: the product is stopped, and has to be started.
    assert_eq!(judge(Hook::Stop, "/hook", 60, &left(well)), Ok(HookDone::Ran));
    let fault = judge(Hook::Start, "/hook", 60, &left(Ending::TimedOut)).unwrap_err();
    assert!(fault.reason == ReasonCode::HookTimedOut && fault.detail.contains("is left"), "{fault}");
}

#[test]
fn a_test_load_hook_is_judged_by_the_rights_of_its_own_user() {
    if !is_root() {
        return;
    }
    let mut fixture = Fixture::new();
    let script = fixture.script("exit 0");
    fixture.config.test_load = Some(vec![script.clone()]);
    let checked = |fixture: &Fixture| {
        ensure_all_runnable(&fixture.config, fixture.folder.path()).map_err(|fault| fault.detail)
    };
    assert_eq!(checked(&fixture), Ok(()));
    for (mode, hint) in [(0o700, "chmod +x"), (0o744, "chmod +x"), (0o711, "chmod +r")] {
        with_mode(&script, mode);
        let said = checked(&fixture).unwrap_err();
        assert!(said.contains(hint) && said.contains("the user"), "{mode:o}: {said}");
    }
    with_mode(&script, 0o755);
    let closed = fixture.folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy(&script, closed.join("hook")).unwrap();
    fixture.config.test_load = Some(vec![closed.join("hook").to_str().unwrap().to_owned()]);
    let said = checked(&fixture).unwrap_err();
    assert!(said.contains("may not enter"), "{said}");
    // Run by root itself it is no matter.
    fixture.config.test_load_user = "0:0".to_owned();
    assert_eq!(checked(&fixture), Ok(()));
}

#[test]
fn nothing_is_left_of_a_hook_that_started_a_process_in_another_session() {
    let mut fixture = Fixture::new();
    let file = fixture.folder.path().join("pid");
    let script = format!(
        "(setsid /bin/sh -c 'echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000' &)\nwhile ! [ -e {0} ]; do :; done",
        file.display()
    );
    fixture.config.stop = Some(vec![fixture.script(&script)]);
    assert_eq!(fixture.run(Hook::Stop), Ok(HookDone::Ran));
    let pid = fs::read_to_string(&file).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists());
}
