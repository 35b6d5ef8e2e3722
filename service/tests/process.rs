//! What a process of a service does with signals, with systemd's socket and with inherited listeners. Each test starts
//! itself again as the process in question, since signals and the environment belong to a whole process.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says where it stopped"
)]
use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal as Number, kill_process};
use sealpost_service::owner::Presence;
use sealpost_service::signals::{Signal, Signals};
use sealpost_service::{notify, owner, sockets};

/// Is set in a process that a test started.
const ROLE: &str = "SEALPOST_SERVICE_ROLE";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn is_the_service() -> bool {
    env::var_os(ROLE).is_some()
}

/// This test again, as a service.
fn service(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(ROLE, "service").stdout(Stdio::piped());
    command
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[expect(clippy::disallowed_methods, reason = "the service says to its test what happens")]
fn say(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "said: {line}").unwrap();
    out.flush().unwrap();
}

/// Reads what the service says, past what the test harness says.
struct Heard(BufReader<ChildStdout>);

impl Heard {
    fn from(child: &mut Child) -> Self {
        Self(BufReader::new(child.stdout.take().unwrap()))
    }

    fn next(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the service ended");
            if let Some((_, said)) = line.split_once("said: ") {
                return said.trim_end().to_owned();
            }
        }
    }
}

/// Waits for the service, which ends by itself.
fn ends_well(mut heard: Heard, mut child: Child) {
    io::copy(&mut heard.0, &mut io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn signal(child: &Child, number: Number) {
    kill_process(Pid::from_child(child), number).unwrap();
}

fn manager() -> (tempfile::TempDir, UnixDatagram, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    (folder, socket, path)
}

fn message(manager: &UnixDatagram) -> String {
    let mut bytes = [0; 4096];
    let length = manager.recv(&mut bytes).expect("systemd hears nothing");
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

#[test]
fn a_hang_up_reloads_and_does_not_end_the_process_and_a_termination_stops_it() {
    if is_the_service() {
        return block_on(async {
            let mut signals = Signals::listen().unwrap();
            say("listening");
            loop {
                let signal = signals.next().await;
                say(&format!("{signal:?}"));
                if signal == Signal::Stop {
                    return;
                }
            }
        });
    }
    for stopping in [Number::TERM, Number::INT] {
        let mut child = service("a_hang_up_reloads_and_does_not_end_the_process_and_a_termination_stops_it")
            .spawn()
            .unwrap();
        let mut heard = Heard::from(&mut child);
        assert_eq!(heard.next(), "listening");
        for _ in 0..2 {
            signal(&child, Number::HUP);
            assert_eq!(heard.next(), "Reload");
        }
        signal(&child, stopping);
        assert_eq!(heard.next(), "Stop");
        ends_well(heard, child);
    }
}

#[test]
fn systemd_is_told_in_order_and_a_text_cannot_smuggle_a_message_in() {
    if is_the_service() {
        notify::ready();
        notify::status("3 computers\nWATCHDOG=trigger");
        notify::reloading();
        notify::ready();
        notify::stopping();
        return;
    }
    let (_folder, manager, path) = manager();
    let mut child = service("systemd_is_told_in_order_and_a_text_cannot_smuggle_a_message_in")
        .env("NOTIFY_SOCKET", path)
        .spawn()
        .unwrap();
    assert_eq!(message(&manager), "READY=1\n");
    assert_eq!(message(&manager), "STATUS=3 computers WATCHDOG=trigger\n");
    let reloading = message(&manager);
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(message(&manager), "READY=1\n");
    assert_eq!(message(&manager), "STOPPING=1\n");
    ends_well(Heard::from(&mut child), child);
}

#[test]
fn without_systemd_and_with_one_that_is_gone_a_program_goes_on() {
    if is_the_service() {
        notify::ready();
        notify::stopping();
        assert_eq!(notify::watchdog(), None);
        assert!(sockets::inherited().unwrap().is_empty());
        say("went on");
        return;
    }
    let name = "without_systemd_and_with_one_that_is_gone_a_program_goes_on";
    let (folder, socket, path) = manager();
    drop((folder, socket));
    for command in [service(name).env_remove("NOTIFY_SOCKET"), service(name).env("NOTIFY_SOCKET", path)] {
        let mut child = command.spawn().unwrap();
        let mut heard = Heard::from(&mut child);
        assert_eq!(heard.next(), "went on");
        ends_well(heard, child);
    }
}

#[test]
fn the_watchdog_gets_signs_of_life_until_the_program_is_not_healthy() {
    if is_the_service() {
        return block_on(async {
            assert_eq!(notify::watchdog(), Some(Duration::from_millis(300)));
            let asked = AtomicU32::new(0);
            let health = || {
                let turn = asked.fetch_add(1, Ordering::Relaxed);
                async move {
                    if turn == 3 {
                        say("sick");
                    }
                    turn < 3
                }
            };
            tokio::select! {
                () = notify::keep_watchdog(health) => {}
                _ = tokio::task::spawn_blocking(|| io::stdin().read(&mut [0])) => {}
            }
        });
    }
    let (_folder, manager, path) = manager();
    let mut child = service("the_watchdog_gets_signs_of_life_until_the_program_is_not_healthy")
        .env("NOTIFY_SOCKET", path)
        .env("WATCHDOG_USEC", "300000")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    for _ in 0..3 {
        assert_eq!(message(&manager), "WATCHDOG=1\n");
    }
    let mut heard = Heard::from(&mut child);
    assert_eq!(heard.next(), "sick");
    manager.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(manager.recv(&mut [0; 64]).is_err(), "a sign of life of a program that is not healthy");
    drop(child.stdin.take());
    ends_well(heard, child);
}

#[test]
fn a_watchdog_that_means_another_process_is_not_ours() {
    if is_the_service() {
        assert_eq!(notify::watchdog(), None);
        say("left alone");
        return;
    }
    let mut child = service("a_watchdog_that_means_another_process_is_not_ours")
        .env("WATCHDOG_USEC", "300000")
        .env("WATCHDOG_PID", "1")
        .spawn()
        .unwrap();
    let mut heard = Heard::from(&mut child);
    assert_eq!(heard.next(), "left alone");
    ends_well(heard, child);
}

/// As systemd hands a socket over: as file descriptor 3, with the number of the process that is meant.
fn hand_over(test: &str, socket: OwnedFd, meant: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("LISTEN_PID={meant} LISTEN_FDS=1 exec \"$@\" 3<&0"), "sh"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, "service")
        .stdin(socket)
        .stdout(Stdio::piped());
    command
}

#[test]
fn a_listener_that_systemd_holds_keeps_callers_waiting_while_one_process_replaces_another() {
    if is_the_service() {
        let listeners = sockets::inherited().unwrap();
        assert!(sockets::inherited().unwrap().is_empty(), "it was taken twice");
        return block_on(async {
            for listener in listeners {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let (caller, _) = listener.accept().await.unwrap();
                caller.into_std().unwrap().write_all(b"answered").unwrap();
            }
        });
    }
    let name = "a_listener_that_systemd_holds_keeps_callers_waiting_while_one_process_replaces_another";
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    for _ in 0..2 {
        // Nobody serves yet, and nobody is refused.
        let mut caller = TcpStream::connect(address).unwrap();
        caller.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut child = hand_over(name, held.try_clone().unwrap().into(), "$$").spawn().unwrap();
        let mut answer = String::new();
        caller.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answered");
        ends_well(Heard::from(&mut child), child);
    }
}

#[test]
fn a_socket_that_is_no_tcp_listener_is_refused_and_one_for_another_process_is_left_alone() {
    if is_the_service() {
        say(&format!("{:?}", sockets::inherited().map(|found| found.len()).map_err(|error| error.kind())));
        return;
    }
    let name = "a_socket_that_is_no_tcp_listener_is_refused_and_one_for_another_process_is_left_alone";
    let datagrams = || OwnedFd::from(UnixDatagram::unbound().unwrap());
    for (meant, said) in
        [("$$", "Err(InvalidInput)"), ("1", "Ok(0)"), ("", "Ok(0)"), ("0", "Ok(0)"), ("$$x", "Ok(0)")]
    {
        let mut child = hand_over(name, datagrams(), meant).spawn().unwrap();
        let mut heard = Heard::from(&mut child);
        assert_eq!(heard.next(), said);
        ends_well(heard, child);
    }
}

#[test]
fn a_process_with_a_second_thread_keeps_its_rights_and_says_so() {
    // A test has a thread of its own beside the first one, which would stay root.
    if !rustix::process::geteuid().is_root() {
        sealpost_test_support::skips::needs("root").unwrap();
        return;
    }
    let home = tempfile::tempdir().unwrap();
    assert_eq!(owner::act_as_owner_of(home.path()).unwrap(), Presence::Here);
    std::os::unix::fs::chown(home.path(), Some(65_534), Some(65_534)).unwrap();
    let refused = owner::act_as_owner_of(home.path()).unwrap_err();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("more than one thread"), "{cause}");
    assert!(rustix::process::geteuid().is_root());
}

#[test]
fn a_home_behind_a_link_of_another_user_is_refused_wherever_the_link_stands_in_the_path() {
    if !rustix::process::geteuid().is_root() {
        sealpost_test_support::skips::needs("root").unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("real/home")).unwrap();
    for (name, target) in
        [("of-root", "real"), ("of-other", "real"), ("nested", "of-other"), ("loop", "loop")]
    {
        std::os::unix::fs::symlink(target, path(name)).unwrap();
    }
    std::os::unix::fs::lchown(path("of-other"), Some(65_534), Some(65_534)).unwrap();
    for well in ["real/home", "of-root/home", "real/../of-root/home"] {
        assert_eq!(owner::act_as_owner_of(&path(well)).unwrap(), Presence::Here, "{well}");
    }
    for absent in ["absent", "absent/home", "loop"] {
        assert_eq!(owner::act_as_owner_of(&path(absent)).unwrap(), Presence::Absent, "{absent}");
    }
    for led in ["of-other", "of-other/home", "nested/home", "real/../of-other/home"] {
        let refused = owner::act_as_owner_of(&path(led)).unwrap_err();
        let cause = std::error::Error::source(&refused).unwrap().to_string();
        assert!(cause.contains("link"), "{led}: {cause}");
    }
    assert!(rustix::process::geteuid().is_root());
}
