//! The program as a process in a temporary folder.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

pub(crate) struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(bench.path("content")).unwrap();
        fs::write(bench.path("content/tool"), "one").unwrap();
        bench
    }

    pub(crate) fn ready() -> Self {
        let bench = Self::new();
        bench.ok(&["init", "--vendor", "Acme", "--no-passphrase"]);
        bench
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_publisher"));
        command.current_dir(self.folder.path()).args(["--home", "home"]).args(arguments).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str], words: &[&str]) {
        let output = self.run(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        for word in words {
            assert!(text.contains(word), "{arguments:?}: no {word:?} in {text}");
        }
    }

    /// Starts it where somebody can be asked.
    pub(crate) fn on_a_terminal(&self, arguments: &[&str]) -> OnTerminal {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let end = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let mut command = self.command(arguments);
        let child =
            command.stdin(end.try_clone().unwrap()).stderr(end).stdout(Stdio::null()).spawn().unwrap();
        OnTerminal { terminal: File::from(terminal), child }
    }

    pub(crate) fn release(&self, version: &str) -> Vec<String> {
        let arguments =
            ["release", "content", "--package", "acme-av", "--kind", "program", "--channel", "stable"];
        arguments
            .iter()
            .map(|text| (*text).to_owned())
            .chain(["--version".to_owned(), version.to_owned()])
            .collect()
    }
}

/// The program, with its questions on a terminal.
pub(crate) struct OnTerminal {
    terminal: File,
    child: Child,
}

impl OnTerminal {
    /// What it wrote up to this.
    pub(crate) fn read_until(&mut self, end: &str) -> String {
        let mut said = Vec::new();
        let mut piece = [0; 1024];
        loop {
            let count = self.terminal.read(&mut piece).unwrap();
            said.extend_from_slice(&piece[..count]);
            let text = String::from_utf8_lossy(&said);
            if text.contains(end) {
                return text.into_owned();
            }
        }
    }

    #[track_caller]
    pub(crate) fn answer(mut self, answer: &str) {
        writeln!(self.terminal, "{answer}").unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

pub(crate) fn strs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}
