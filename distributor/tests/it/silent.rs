//! A server at the admin socket that answers nothing, or without an end: each command ends all the same, and holds little.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sealpost_keys::SigningKey;
use sealpost_test_support::folders::write_executable;
use sealpost_test_support::wait::PATIENCE;
use serde_json::{Value, json};

use crate::program::{distributor, parts};
use crate::schedules::KEY;

/// A server in this home: what it does with each request, given its first line.
fn serves(home: &Path, mut answer: impl FnMut(&str, UnixStream) + Send + 'static) {
    let listener = UnixListener::bind(home.join("admin.sock")).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let mut first = String::new();
            lines.read_line(&mut first).unwrap();
            // The rest of the head; a body may stay unread.
            let mut line = String::new();
            while lines.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            answer(&first, stream);
        }
    });
}

fn ok(mut stream: &UnixStream, body: &Value) {
    let body = body.to_string();
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length:";
    // A program that was ended reads no more.
    let _ = write!(stream, "{head} {}\r\n\r\n{body}", body.len());
}

fn began(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// One that has not ended in time is not left behind.
fn waits_for(mut child: Child, most: Duration) -> Output {
    let until = Instant::now() + most;
    while child.try_wait().unwrap().is_none() && Instant::now() < until {
        thread::sleep(Duration::from_millis(5));
    }
    let is_late = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!is_late, "it does not end: {output:?}");
    output
}

/// Waits for its end: exit code, standard output and standard error.
fn ended(child: Child) -> (Option<i32>, String, String) {
    parts(&waits_for(child, Duration::from_secs(30)))
}

fn stop(child: &Child) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
}

/// A page with one install that is due.
fn planned() -> Value {
    let site_key = SigningKey::generate().unwrap().public().to_string();
    let schedule = json!({
        "at": "2026-01-01T00:00:00Z", "ssh": { "target": "root@pc-9", "host_key": KEY, "sudo": false }
    });
    let line = json!({
        "name": "pc-9", "schedule": schedule, "planned_at": "2026-01-01T00:00:00Z",
        "planned_by": { "kind": "admin", "account": { "kind": "socket", "id": "root" } },
        "install_state": "scheduled", "due_at": "2026-01-01T00:00:00Z",
        "next_try_at": "2026-01-01T00:00:00Z", "over_ssh": true, "tries": 0
    });
    json!({ "site_key": site_key, "now": "2026-01-01T00:00:01Z", "schedules": [line] })
}

/// An account that runs what is planned; each `POST` is reported, and left open after those that are answered.
fn runs_what_is_planned(home: &Path, answers: Vec<Value>) -> (Child, Receiver<()>) {
    let (came, posts) = channel();
    let mut kept = Vec::new();
    let mut answers = answers.into_iter();
    serves(home, move |first, stream| {
        if first.starts_with("GET") {
            return ok(&stream, &planned());
        }
        match answers.next() {
            Some(answer) => ok(&stream, &answer),
            None => kept.push(stream),
        }
        came.send(()).unwrap();
    });
    let account = home.join("account");
    write_executable(&account.join("ssh"), "#!/bin/sh\necho ran >\"${0%/*}/ran\"\n").unwrap();
    let mut command = distributor(home);
    command.args(["clients", "schedule", "run", "--yes"]);
    let path = format!("{}:{}", account.display(), std::env::var("PATH").unwrap());
    command.env("HOME", &account).env_remove("XDG_STATE_HOME").env("PATH", path);
    (began(command), posts)
}

#[test]
fn a_claim_that_the_server_does_not_answer_is_given_up_when_the_program_is_stopped() {
    let home = tempfile::tempdir().unwrap();
    let (child, posts) = runs_what_is_planned(home.path(), Vec::new());
    posts.recv_timeout(PATIENCE).unwrap();
    stop(&child);
    let (code, said, told) = ended(child);
    assert_eq!(code, Some(1), "{said}{told}");
    assert!(
        said.contains("pc-9: not begun: stopped before the server answered: nothing was installed"),
        "{said}"
    );
    assert!(!home.path().join("account/ran").exists());
}

#[test]
fn a_second_signal_ends_a_run_that_waits_for_the_server_to_note_its_end() {
    let home = tempfile::tempdir().unwrap();
    // What is claimed is planned otherwise by now: the try fails at once, and that is to be noted.
    let (mut child, posts) = runs_what_is_planned(home.path(), vec![json!({ "name": "pc-9", "attempt": 1 })]);
    posts.recv_timeout(PATIENCE).unwrap();
    posts.recv_timeout(PATIENCE).unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    stop(&child);
    assert!(told.by_ref().any(|line| line.unwrap().starts_with("stopping:")));
    assert!(child.try_wait().unwrap().is_none(), "the server may still be told");
    stop(&child);
    let (code, ..) = ended(child);
    let told: Vec<_> = told.map(Result::unwrap).collect();
    assert_eq!(code, Some(1), "{told:?}");
    assert!(told.iter().any(|line| line.contains("stopped without waiting")), "{told:?}");
}

#[test]
fn a_list_whose_server_goes_round_without_an_end_is_read_no_further() {
    let home = tempfile::tempdir().unwrap();
    let (asked, paths) = channel();
    serves(home.path(), move |first, stream| {
        let digest = "0".repeat(64);
        let (rows, next) = match first.split(['/', '?', ' ']).nth(4).unwrap() {
            "pending" => ("pending", json!(1)),
            "rollouts" => ("rollouts", json!(7)),
            "setups" => ("setups", json!("pc-1")),
            "schedules" => ("schedules", json!("pc-1")),
            "groups" => ("members", json!("pc-1")),
            "updates" => ("updates", json!(digest)),
            _ => ("clients", json!("pc-1")),
        };
        asked.send(first.to_owned()).unwrap();
        let key = SigningKey::generate().unwrap().public().to_string();
        ok(&stream, &json!({ rows: [], "next": next, "site_key": key, "now": "2026-01-01T00:00:00Z" }));
    });
    for words in [
        "clients pending",
        "clients setups",
        "clients schedules",
        "clients list",
        "clients list --csv",
        "clients list --sort state",
        "clients list --runs",
        "rollouts list",
        "updates list",
        "updates show acme-av:1.0.1",
        "groups members stage-1",
    ] {
        let mut command = distributor(home.path());
        command.args(words.split(' '));
        let (code, _, told) = ended(began(command));
        assert!(code == Some(1) && told.contains("the server answers without an end"), "{words}: {told}");
        let asked: Vec<_> = paths.try_iter().collect();
        assert!(asked.len() == 2, "{words}: {asked:?}");
    }
}

#[test]
fn a_refusal_without_an_end_is_not_read_to_its_end_and_a_long_one_is_shown() {
    const CHUNK: usize = 1024 * 1024;
    let home = tempfile::tempdir().unwrap();
    let (sent, chunks) = channel();
    let mut is_first = true;
    serves(home.path(), move |_, mut stream| {
        let head = "HTTP/1.1 500 Oops\r\nConnection: close\r\nContent-Type: application/json\r\n";
        if !std::mem::take(&mut is_first) {
            let problem =
                json!({ "code": "busy", "message": "x".repeat(60_000), "hint": "wait" }).to_string();
            write!(stream, "{head}Content-Length: {}\r\n\r\n{problem}", problem.len()).unwrap();
            return;
        }
        write!(stream, "{head}Transfer-Encoding: chunked\r\n\r\n").unwrap();
        let chunk = format!("{CHUNK:x}\r\n{}\r\n", " ".repeat(CHUNK));
        let count = (0..100).take_while(|_| stream.write_all(chunk.as_bytes()).is_ok()).count();
        sent.send(count).unwrap();
    });
    let mut command = distributor(home.path());
    command.arg("status");
    let (code, _, told) = ended(began(command));
    assert!(code == Some(1) && told.contains("answered 500"), "{told}");
    let count = chunks.recv_timeout(PATIENCE).unwrap();
    assert!(count < 10, "{count} MiB were read");
    let mut command = distributor(home.path());
    command.args(["clients", "pending"]);
    let (code, _, told) = ended(began(command));
    assert!(code == Some(1) && told.contains(&"x".repeat(1_000)), "{told}");
}
