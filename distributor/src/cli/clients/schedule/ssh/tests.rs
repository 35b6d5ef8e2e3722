use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use super::*;

fn access(target: &str, kind: &str, sudo: bool) -> SshAccess {
    let host_key = format!("{kind} AAAAC3NzaC1lZDI1NTE5").parse().unwrap();
    SshAccess { target: target.parse().unwrap(), host_key, sudo }
}

fn words(access: &SshAccess, identity: Option<&Path>) -> Vec<String> {
    let arguments = arguments(access, Path::new("/tmp/x/known_hosts"), identity);
    arguments.into_iter().map(|word| word.into_string().unwrap()).collect()
}

#[test]
fn ssh_is_called_with_the_pinned_key_alone_and_takes_nothing_of_this_account_along() {
    let said = words(&access("admin@[2001:db8::1]:2222", "ssh-ed25519", true), Some(Path::new("/k/id")));
    let settings: Vec<&str> =
        said.windows(2).filter(|pair| pair[0] == "-o").map(|pair| pair[1].as_str()).collect();
    for setting in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "UserKnownHostsFile=/tmp/x/known_hosts",
        "GlobalKnownHostsFile=/dev/null",
        "HostKeyAlias=sealpost-pinned-host",
        "HostKeyAlgorithms=ssh-ed25519",
        "UpdateHostKeys=no",
        "VerifyHostKeyDNS=no",
        "KnownHostsCommand=none",
        "PasswordAuthentication=no",
        "KbdInteractiveAuthentication=no",
        "ForwardAgent=no",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
        "ControlMaster=no",
        "ControlPath=none",
        "IdentitiesOnly=yes",
    ] {
        assert!(settings.contains(&setting), "{setting}");
    }
    let end: Vec<&str> = said.iter().rev().take(9).rev().map(String::as_str).collect();
    let command = remote(true);
    assert_eq!(end, ["-i", "/k/id", "-p", "2222", "-l", "admin", "--", "2001:db8::1", &command]);
    let said = words(&access("pc-1", "ssh-rsa", false), None);
    assert!(said.contains(&"HostKeyAlgorithms=rsa-sha2-512,rsa-sha2-256".to_owned()));
    assert_eq!(said[said.len() - 3..], ["--".to_owned(), "pc-1".to_owned(), remote(false)]);
    assert!(!said.contains(&"-i".to_owned()) && !said.contains(&"-l".to_owned()));
}

#[test]
fn what_runs_there_is_one_line_that_every_shell_takes_as_three_words() {
    assert!(!REMOTE.contains(['\'', '\n', '!']), "{REMOTE}");
    for (sudo, begins) in [(true, "exec sudo -n -- /bin/sh -c '"), (false, "exec /bin/sh -c '")] {
        assert!(remote(sudo).starts_with(begins), "{}", remote(sudo));
    }
    for shell in ["sh", "dash", "bash"] {
        let checked = std::process::Command::new(shell).args(["-n", "-c", REMOTE]).status();
        assert!(checked.is_err() || checked.unwrap().success(), "{shell}");
    }
}

#[test]
fn what_became_of_it_is_told_by_the_exit_status_and_the_last_line() {
    use InstallOutcome::{Failed, HostKeyChanged, Installed, Unreachable};
    let changed =
        "@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n";
    let no_kind =
        "Unable to negotiate with 192.0.2.1 port 22: no matching host key type found. Their offer: ssh-rsa";
    for (code, complaint, output, outcome, reason) in [
        (Some(0), "a warning", "{}", Installed, ""),
        (Some(255), changed, "", HostKeyChanged, "the host shows another key than the one that was pinned"),
        (Some(255), no_kind, "", HostKeyChanged, "the host shows another key than the one that was pinned"),
        (Some(255), "ssh: connect: No route to host\r\n", "", Unreachable, "ssh: connect: No route to host"),
        (Some(255), "", "", Unreachable, "it said nothing"),
        (
            Some(1),
            "sudo: a password is required\n\n",
            "x",
            Failed,
            "exit status 1: sudo: a password is required",
        ),
        (Some(1), "", "the last\n", Failed, "exit status 1: the last"),
        (Some(1), "{\"code\":\"x\",\"message\":\"no room\"}", "", Failed, "exit status 1: no room"),
        (Some(74), "a\u{1b}[2J\rb", "", Failed, "exit status 74: a\\u{1b}[2J\\rb"),
        (None, "", "", Failed, "ssh was killed: it said nothing"),
    ] {
        let ended = judged(code, complaint, output);
        assert_eq!((ended.outcome, ended.reason.as_str()), (outcome, reason), "{code:?} {complaint}");
    }
    let long = judged(Some(1), &"\u{7}".repeat(9_000), "");
    assert_eq!(long.reason.chars().count(), MAX_REASON_CHARS);
}

#[test]
fn a_path_that_ssh_would_read_otherwise_is_not_given_to_it() {
    for path in ["/tmp/a b", "/tmp/%h", "/tmp/${HOME}", "/tmp/~x", "/tmp/a\"b", "/tmp/a\nb"] {
        plain_path(Path::new(path)).unwrap_err();
    }
    plain_path(Path::new("/tmp/büro-7/.x_1")).unwrap();
}

#[test]
fn without_ssh_or_with_a_key_that_is_not_there_nothing_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Ssh::find(Some(folder.path().as_os_str()), None).unwrap_err();
    assert!(missing.to_string().contains("openssh-client"), "{missing}");
    Ssh::find(None, None).unwrap_err();
    std::fs::write(folder.path().join("ssh"), "").unwrap();
    Ssh::find(Some(folder.path().as_os_str()), None).unwrap();
    let key = folder.path().join("id");
    let error = Ssh::find(Some(folder.path().as_os_str()), Some(&key)).unwrap_err();
    assert!(error.to_string().contains("cannot use the key"), "{error}");
}

/// An ssh that is this script, with a file that says `hello` as the install file.
async fn with(script: &str, stop: watch::Receiver<bool>) -> (Ended, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ssh");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let input = folder.path().join("file");
    std::fs::write(&input, "hello").unwrap();
    let ssh = Ssh { program, identity: None };
    let begun = Instant::now();
    let access = access("pc-1", "ssh-ed25519", false);
    let ended = ssh.install(&access, File::open(input).unwrap(), stop).await;
    (ended, begun.elapsed())
}

#[tokio::test]
async fn a_host_that_prints_without_end_is_broken_off_and_so_is_one_that_never_ends() {
    let (_open, going) = watch::channel(false);
    let (ended, _) = with("read -r all; echo \"got $all\" >&2; exit 3", going.clone()).await;
    assert_eq!(ended, Ended::failed("exit status 3: got hello"));
    let (ended, took) =
        with("while :; do echo 0123456789012345678901234567890123456789; done", going.clone()).await;
    assert_eq!(ended, Ended::failed("it printed more than 4 MiB"));
    assert!(took < Duration::from_secs(60), "{took:?}");
    // What it started keeps the pipes open after its end, and is ended too.
    let (ended, took) = with("sleep 300 & exit 0", going.clone()).await;
    assert_eq!(ended.outcome, InstallOutcome::Installed);
    assert!(took < Duration::from_secs(30), "{took:?}");

    let (stop, going) = watch::channel(false);
    let broken = with("sleep 300; exit 0", going);
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.send(true).unwrap();
    };
    let ((ended, took), ()) = tokio::join!(broken, stopping);
    assert_eq!(ended, Ended::failed("it was broken off"));
    assert!(took < Duration::from_secs(30), "{took:?}");
}
