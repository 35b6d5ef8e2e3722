//! Completions and man pages, made from the parser itself, so that they never say anything else than it does.
//!
//! Invariant: what is hidden in the help is in neither.
//! Left out on purpose: writing them where a shell or `man` looks; that is the work of a package.

use std::io;

use clap::Command;
use clap_mangen::Man;

pub use clap_complete::Shell;

/// A man page: `publisher-serial-new.1` and its text (roff).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManPage {
    /// The file's name, with its section.
    pub file_name: String,
    /// What the file holds.
    pub text: Vec<u8>,
}

/// The completion script of a program for a shell, as that shell loads it.
#[must_use]
pub fn completions(command: &Command, shell: Shell) -> Vec<u8> {
    let mut shown = completable(command);
    let name = shown.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown, name, &mut script);
    script
}

/// The man page of a program, first, and one for each of its subcommands.
///
/// # Errors
/// None in practice: pages are made in memory.
pub fn man_pages(command: &Command) -> io::Result<Vec<ManPage>> {
    let mut shown = command.clone().disable_help_subcommand(true);
    shown.build();
    let source = format!("{} {}", shown.get_name(), shown.get_version().unwrap_or_default());
    let mut pages = Vec::new();
    add_pages(&shown, source.trim_end(), &mut pages)?;
    Ok(pages)
}

fn add_pages(command: &Command, source: &str, pages: &mut Vec<ManPage>) -> io::Result<()> {
    let page = Man::new(command.clone()).source(source).manual("Sealpost");
    let mut text = Vec::new();
    page.render(&mut text)?;
    pages.push(ManPage { file_name: page.get_filename(), text });
    let mut shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    shown.try_for_each(|subcommand| add_pages(subcommand, source, pages))
}

/// What a completion script is made from, without hidden subcommands: it would offer them.
fn completable(command: &Command) -> Command {
    let shown = Command::new(command.get_name().to_owned())
        .about(command.get_about().cloned().unwrap_or_default())
        .args(command.get_arguments().cloned())
        .subcommands(command.get_subcommands().filter(|one| !one.is_hide_set()).map(completable));
    match command.get_version() {
        Some(version) => shown.version(version.to_owned()),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn program() -> Command {
        // A subcommand may have a `--version` of its own, as `publisher release` does.
        let new = Command::new("new")
            .about("Makes a serial number.")
            .arg(Arg::new("seats").long("seats"))
            .arg(Arg::new("version").long("version"));
        Command::new("publisher")
            .version("1.2.3")
            .about("Sells seats.")
            .subcommand(Command::new("serial").about("Serial numbers.").subcommand(new))
            .subcommand(Command::new("make-delta").hide(true))
    }

    #[test]
    fn each_shell_gets_a_script_with_every_shown_command_and_no_hidden_one() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let script = String::from_utf8(completions(&program(), shell)).unwrap();
            for word in ["publisher", "serial", "new", "seats"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
            assert!(!script.contains("make-delta"), "{shell}");
        }
    }

    #[test]
    fn the_program_and_each_shown_subcommand_has_a_man_page_that_names_the_version() {
        let pages = man_pages(&program()).unwrap();
        let names: Vec<&str> = pages.iter().map(|page| page.file_name.as_str()).collect();
        assert_eq!(names, ["publisher.1", "publisher-serial.1", "publisher-serial-new.1"]);
        let text = String::from_utf8(pages[0].text.clone()).unwrap();
        assert!(text.contains("publisher 1.2.3"), "{text}");
        assert!(text.contains("Serial numbers."), "{text}");
        assert!(!text.contains("make"), "{text}");
        assert!(String::from_utf8_lossy(&pages[2].text).contains("publisher serial new"));
    }
}
