//! A terminal of the tests' own, at which the real program asks.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::program::distributor;

/// What is asked at a terminal with this answer: exit code, standard output, and what stood on the terminal.
pub(crate) fn answered(home: &Path, arguments: &[&str], answer: &str) -> (Option<i32>, String, String) {
    let mut command = distributor(home);
    command.args(arguments);
    answered_by(command, answer)
}

/// The same, for a command that was made ready.
pub(crate) fn answered_by(mut command: Command, answer: &str) -> (Option<i32>, String, String) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side =
        || -> OwnedFd { rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap() };
    let mut terminal = File::from(terminal);
    terminal.write_all(answer.as_bytes()).unwrap();
    command.stdin(Stdio::from(side())).stderr(Stdio::from(side())).stdout(Stdio::piped());
    let child = command.spawn().unwrap();
    // Its own copies of the terminal's side are closed, so that reading ends with the program.
    drop(command);
    let seen = thread::spawn(move || {
        let (mut seen, mut part) = (Vec::new(), [0; 1024]);
        // The kernel says that nobody has the other side any more by an error.
        while let Ok(read @ 1..) = terminal.read(&mut part) {
            seen.extend_from_slice(&part[..read]);
        }
        String::from_utf8(seen).unwrap()
    });
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), seen.join().unwrap())
}
