//! The program as a process in a temporary folder.

use std::fs;
use std::process::{Command, Output, Stdio};

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

pub(crate) fn strs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}
