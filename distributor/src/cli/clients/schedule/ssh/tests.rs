use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::time::Instant;

use sealpost_site::rules::install_tries::REPORTS_WITHIN;
use sealpost_test_support::skips::needs;
use sealpost_test_support::wait::until;

use super::*;
use crate::cli::clients::schedule::file;

/// A configuration of an account that opens every door that ssh has.
const OPEN: &str = "Host *
BatchMode no
StrictHostKeyChecking no
UserKnownHostsFile /tmp/theirs
GlobalKnownHostsFile /tmp/theirs
NoHostAuthenticationForLocalhost yes
HostKeyAlias theirs
HostKeyAlgorithms ssh-rsa
KnownHostsCommand /bin/true
VerifyHostKeyDNS yes
CheckHostIP yes
UpdateHostKeys yes
ConnectTimeout 1000
ConnectionAttempts 9
ServerAliveInterval 0
ServerAliveCountMax 9
PasswordAuthentication yes
KbdInteractiveAuthentication yes
HostbasedAuthentication yes
NumberOfPasswordPrompts 9
ForwardAgent yes
ForwardX11 yes
LocalForward 1 theirs:2
RemoteForward 1 theirs:2
DynamicForward 9
ClearAllForwardings no
Tunnel yes
PermitLocalCommand yes
LocalCommand touch /tmp/theirs
RemoteCommand id
SessionType none
ForkAfterAuthentication yes
StdinNull yes
ControlMaster auto
ControlPath /tmp/theirs
ControlPersist yes
RequestTTY force
LogLevel QUIET
IgnoreUnknown GSSAPI*
GSSAPIKeyExchange yes
GSSAPIDelegateCredentials yes
";

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
fn no_configuration_of_this_account_opens_what_is_locked_here() {
    let Ok(ssh) = Ssh::find(std::env::var_os("PATH").as_deref(), None) else {
        needs("ssh; `apt-get install openssh-client`").unwrap();
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("config");
    std::fs::write(&configuration, OPEN).unwrap();
    // ssh passes over a key that is not there.
    let identity = folder.path().join("id");
    std::fs::write(&identity, "").unwrap();
    let access = access("root@127.0.0.1:2222", "ssh-ed25519", false);
    let mut command = std::process::Command::new(ssh.program);
    command.arg("-G").arg("-F").arg(&configuration);
    command.args(arguments(&access, Path::new("/tmp/x/known_hosts"), Some(&identity)));
    let said = command.output().unwrap();
    assert!(said.status.success(), "{said:?}");
    let text = String::from_utf8(said.stdout).unwrap();
    let is_set = |key: &str| {
        let of_key = |line: &&str| line.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case(key));
        text.lines().find(of_key).and_then(|line| line.split_once(' ')).map(|(_, value)| value)
    };
    // Whatever it says, it does not count.
    for (key, theirs) in OPEN.lines().filter_map(|line| line.split_once(' ')) {
        if !["Host", "LocalCommand", "IgnoreUnknown"].contains(&key) {
            let value = is_set(key).map(|value| value.replace("true", "yes").replace("false", "no"));
            assert_ne!(value.as_deref(), Some(theirs), "{key}");
        }
    }
    for setting in SETTINGS {
        let (key, wanted) = setting.split_once('=').unwrap();
        let value = match is_set(key) {
            Some("true") => "yes",
            Some("false") => "no",
            Some(value) => value,
            // What is none is not listed; not every ssh was built with Kerberos.
            None if wanted == "none" || key.starts_with("GSSAPI") => continue,
            None => panic!("ssh knows no {key}: {text}"),
        };
        assert_eq!(value, wanted, "{key}");
    }
    for (key, value) in [
        ("userknownhostsfile", "/tmp/x/known_hosts"),
        ("hostkeyalias", ALIAS),
        ("hostkeyalgorithms", "ssh-ed25519"),
        ("hostname", "127.0.0.1"),
        ("user", "root"),
        ("port", "2222"),
        ("identityfile", identity.to_str().unwrap()),
        ("identitiesonly", "yes"),
    ] {
        assert_eq!(is_set(key), Some(value), "{key}");
    }
    for none in ["knownhostscommand", "remotecommand", "controlpath", "localforward", "dynamicforward"] {
        assert_eq!(is_set(none), None, "{none}");
    }
}

#[test]
fn of_what_came_no_file_stays_there_however_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (place, says) = (folder.path().join("place"), folder.path().join("says"));
    std::fs::create_dir(&place).unwrap();
    let left = || std::fs::read_dir(&place).unwrap().count();
    // It reads its own end, as an install file does, and waits for a while if it is told to.
    let script = format!(
        "[ -f \"$0\" ] || exit 9\n{{ ls -A '{}'; tail -c 4 <\"$0\"; echo \"$@\"; }} >'{}'\n\
         [ ! -e '{}' ] || sleep 300\nexit 3\nTAIL",
        place.display(),
        says.display(),
        folder.path().join("waits").display(),
    );
    let mut looked_at = 0;
    for shell in [&["sh"][..], &["dash"], &["bash"], &["busybox", "sh"], &["mksh"], &["ksh"]] {
        let text = REMOTE.replace("/var/lib /run /usr/local/lib", place.to_str().unwrap());
        let text =
            text.replace("$(id -u)", "0").replace("sh \"$file\"", &format!("{} \"$file\"", shell.join(" ")));
        // In one process group with what it bounds, so that below one kill reaches all.
        let text = text.replace("timeout -k", "timeout --foreground -k");
        assert!(text.contains(place.to_str().unwrap()) && !text.contains("id -u"), "{text}");
        let started = |input: String| {
            let came = folder.path().join("came");
            std::fs::write(&came, input).unwrap();
            let mut command = std::process::Command::new(shell[0]);
            command.args(&shell[1..]).args(["-c", &text]).stdin(File::open(came).unwrap());
            command.stderr(Stdio::piped()).process_group(0).spawn()
        };
        let whole = format!("{:<20}\n{script}", script.len());
        let Ok(child) = started(whole.clone()) else { continue };
        looked_at += 1;
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(3), "{shell:?}: {ended:?}");
        assert_eq!(
            std::fs::read_to_string(&says).unwrap(),
            "TAIL--json\n",
            "{shell:?}: it has no name while it runs"
        );
        assert_eq!(left(), 0, "{shell:?}");

        for (input, complaint) in [
            (format!("{:<20}\n{script}", script.len() + 1), "the install file broke off on its way"),
            (String::new(), "nothing came"),
        ] {
            let ended = started(input).unwrap().wait_with_output().unwrap();
            assert_eq!(ended.status.code(), Some(74), "{shell:?}: {ended:?}");
            let told = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert_eq!((told, left()), (format!("{BEGINS}\n{complaint}\n"), 0), "{shell:?}");
        }

        // The computer goes off, or somebody kills all of it.
        std::fs::remove_file(&says).unwrap();
        std::fs::write(folder.path().join("waits"), "").unwrap();
        let child = started(whole).unwrap();
        until("it runs", || std::fs::read_to_string(&says).is_ok_and(|text| text.ends_with('\n')));
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process_group(group, Signal::KILL).unwrap();
        assert_eq!(child.wait_with_output().unwrap().status.signal(), Some(9));
        std::fs::remove_file(folder.path().join("waits")).unwrap();
        assert_eq!(left(), 0, "{shell:?}: something stays of one that was killed");
    }
    assert!(looked_at > 1, "only {looked_at} shells");
}

#[test]
fn an_install_that_does_not_end_is_ended_by_the_host_itself() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("place");
    std::fs::create_dir(&place).unwrap();
    let script = "sleep 300 & echo $! >\"$PID\"; wait; exit 3";
    let (pid, came) = (folder.path().join("pid"), folder.path().join("came"));
    assert_eq!(REMOTE.matches(" 840").count(), 2, "14 minutes, by either timeout");
    assert!(840 + KILLED_AFTER.as_secs() < MAX_TIME.as_secs());
    for shell in ["sh", "dash", "bash"] {
        std::fs::write(&came, format!("{:<20}\n{script}", script.len())).unwrap();
        let text = REMOTE.replace("/var/lib /run /usr/local/lib", place.to_str().unwrap());
        let text = text.replace("$(id -u)", "0").replace(" 840", " 1");
        let mut command = std::process::Command::new(shell);
        command.args(["-c", &text]).env("PID", &pid).stdin(File::open(&came).unwrap());
        let Ok(child) = command.stderr(Stdio::piped()).spawn() else { continue };
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(124), "{shell}: {ended:?}");
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(last_line(&told).unwrap(), "it did not end within 14 minutes", "{shell}: {told}");
        // With all that it started.
        let started = std::fs::read_to_string(&pid).unwrap();
        until("it ends", || !Path::new(&format!("/proc/{}/cwd", started.trim())).exists());
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0, "{shell}");
    }
}

#[test]
fn ssh_ends_before_its_try_is_anothers_also_when_nobody_is_left_to_end_it() {
    let below = |timeout: Option<&str>| {
        let ssh = Ssh { program: "/usr/bin/ssh".into(), timeout: timeout.map(PathBuf::from), identity: None };
        let command = ssh.command();
        let words = [command.as_std().get_program()].into_iter().chain(command.as_std().get_args());
        words.map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(below(None), ["/usr/bin/ssh"]);
    assert_eq!(below(Some("/usr/bin/timeout")), ["/usr/bin/timeout", "-k", "15", "930", "/usr/bin/ssh"]);
    let longest = file::MAX_TIME + MAX_TIME + OUTLIVES + KILLED_AFTER;
    assert!(longest < Duration::try_from(REPORTS_WITHIN).unwrap(), "{longest:?}");
}

#[test]
fn what_runs_there_is_one_line_that_every_shell_takes_as_three_words() {
    assert!(REMOTE.contains(&format!("echo {BEGINS} >&2")));
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
        // A banner, whatever it says, is not what ssh says.
        (
            Some(255),
            "REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key verification failed.\nPermission denied (publickey).",
            "",
            Unreachable,
            "Permission denied (publickey).",
        ),
        (Some(1), "welcome\nsealpost-install-begins\n\n", "", Failed, "exit status 1: it said nothing"),
        (Some(1), "welcome\nsealpost-install-begins\nno room\n", "", Failed, "exit status 1: no room"),
        (
            Some(255),
            "sealpost-install-begins\nHost key verification failed.\n",
            "",
            Unreachable,
            "Host key verification failed.",
        ),
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
    // A name that turns the line around, in JSON too, and text that is none.
    for said in ["a\u{202e}b", "{\"message\":\"a\\u202eb\"}"] {
        assert_eq!(judged(Some(1), said, "").reason, "exit status 1: a\\u{202e}b", "{said}");
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
    let ssh = Ssh { program, timeout: None, identity: None };
    let begun = Instant::now();
    let access = access("pc-1", "ssh-ed25519", false);
    let ended = ssh.install(&access, File::open(input).unwrap(), stop).await;
    (ended, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_ends_is_given_up_after_a_quarter_of_an_hour() {
    let (_open, going) = watch::channel(false);
    let (ended, took) = with("sleep 300; exit 0", going).await;
    assert_eq!(ended, Ended::failed("it did not end within 15 minutes"));
    assert!(took < Duration::from_secs(60), "the clock was set forward: {took:?}");
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
