use std::fs;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};

use super::{Cli, Command};
use crate::hooks::RUN_HOOK;

fn source_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source_files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The commands of this program that stand between backticks in a source file.
fn advised(source: &str) -> Vec<String> {
    // A message may continue on the next line.
    let words: Vec<&str> = source.split(|char: char| char.is_whitespace() || char == '\\').collect();
    let text = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    text.split('`').filter(|part| part.starts_with("agent-updater ")).map(str::to_owned).collect()
}

#[test]
fn the_agent_starts_the_runner_of_hooks_by_a_subcommand_that_exists() {
    let parsed = Cli::try_parse_from(["agent-updater", RUN_HOOK]).unwrap();
    assert!(matches!(parsed.command, Command::RunHook));
}

#[test]
fn every_command_that_a_message_advises_exists() {
    Cli::command().debug_assert();
    let mut files = Vec::new();
    source_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut tried = 0;
    for path in files.iter().filter(|path| !path.ends_with("cli/tests.rs")) {
        for command in advised(&fs::read_to_string(path).unwrap()) {
            let words = command.replace("PACKAGE", "acme").replace("{package}", "acme");
            let parsed = Cli::try_parse_from(words.split(' '));
            assert!(parsed.is_ok(), "{}: `{command}`: {}", path.display(), parsed.unwrap_err());
            tried += 1;
        }
    }
    assert!(tried >= 5, "only {tried} commands were found");
}
