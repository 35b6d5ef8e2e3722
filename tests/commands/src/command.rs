//! One command against the parsers.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::placeholders::values;
use crate::text::Advised;

/// Ways to fill in one command that are tried at the most.
const MAX_WAYS: usize = 3_000;

/// The parsers of the programs.
#[derive(Debug, Clone)]
pub struct Parsers(Vec<Command>);

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A program understands it.
    Understood,
    /// It is no command of ours.
    NotOurs,
    /// It looks like a command, and no program understands it; why the last one did not.
    Refused(String),
}

/// Whether what a command needs may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// A sentence names the command: "see `publisher release`".
    MayBeMissing,
    /// An example is to be typed as it stands.
    AreThere,
}

impl Parsers {
    /// Of these programs, by the names that they have in their parsers.
    #[must_use]
    pub fn new(programs: Vec<Command>) -> Self {
        Self(programs)
    }

    /// The programs' names.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(Command::get_name).collect()
    }

    /// Holds a command to the parsers. Without a program's name in front it is a command if it begins with a subcommand
    /// and goes on, and then one of the programs that have it must understand it.
    #[must_use]
    pub fn judge(&self, advised: &Advised) -> Verdict {
        let needs = if advised.is_whole { Needs::AreThere } else { Needs::MayBeMissing };
        let words = words(&advised.command);
        let Some((first, rest)) = words.split_first() else { return Verdict::NotOurs };
        // `release package=<package>` is a line of a document.
        if !advised.is_whole && rest.iter().any(|word| !word.starts_with('-') && word.contains("=<")) {
            return Verdict::NotOurs;
        }
        let (programs, words): (Vec<&Command>, &[String]) =
            match self.0.iter().find(|program| program.get_name() == first) {
                Some(program) => (vec![program], rest),
                None if rest.is_empty() || advised.is_whole => return Verdict::NotOurs,
                None => (
                    self.0.iter().filter(|program| program.find_subcommand(first).is_some()).collect(),
                    &words,
                ),
            };
        if programs.is_empty() {
            return Verdict::NotOurs;
        }
        for alternative in alternatives(words) {
            let verdicts: Vec<Result<(), String>> =
                programs.iter().map(|program| understands(program, &alternative, needs)).collect();
            if !verdicts.iter().any(Result::is_ok) {
                return Verdict::Refused(
                    verdicts.into_iter().filter_map(Result::err).next_back().unwrap_or_default(),
                );
            }
        }
        Verdict::Understood
    }
}

/// The words of a command, up to where a shell would go on with something else. A quoted text is one word.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for one in command.chars() {
        match quote {
            Some(open) if one == open => quote = None,
            Some(_) => words.iter_mut().last().into_iter().for_each(|word| word.push(one)),
            None if one == '"' || one == '\'' => quote = Some(one),
            None if one == ' ' => words.push(String::new()),
            // An option that may be there is held to the parser too.
            None if one == '[' || one == ']' => {}
            None => words.iter_mut().last().into_iter().for_each(|word| word.push(one)),
        }
    }
    let end = words
        .iter()
        .position(|word| matches!(word.as_str(), "|" | "&" | "&&" | "#" | "<") || word.starts_with('>'));
    words.truncate(end.unwrap_or(words.len()));
    // What a person adds is left out of a sentence: `publisher release … --attach sbom`.
    words.retain(|word| !matches!(word.as_str(), "" | "…" | "..."));
    words
}

/// `token new|list` is two commands.
fn alternatives(words: &[String]) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = vec![Vec::new()];
    for word in words {
        let choices: Vec<&str> = word.split('|').collect();
        all = all
            .iter()
            .flat_map(|begun| {
                choices.iter().map(|choice| [begun.as_slice(), &[(*choice).to_owned()]].concat())
            })
            .collect();
    }
    all
}

/// Tries the values that placeholders stand for, until the program understands.
fn understands(program: &Command, words: &[String], needs: Needs) -> Result<(), String> {
    let choices: Vec<Vec<String>> = words.iter().map(|word| values(word)).collect();
    let ways = choices.iter().map(Vec::len).product::<usize>().clamp(1, MAX_WAYS);
    let mut refusal = String::new();
    for way in 0..ways {
        let mut left = way;
        let mut filled = vec![program.get_name().to_owned()];
        for values in &choices {
            filled.extend(values.get(left % values.len()).cloned());
            left /= values.len();
        }
        match program.clone().try_get_matches_from(&filled) {
            Ok(_) => return Ok(()),
            Err(error) => match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return Ok(()),
                ErrorKind::MissingRequiredArgument
                | ErrorKind::MissingSubcommand
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                    if needs == Needs::MayBeMissing =>
                {
                    return Ok(());
                }
                // "See `log verify --checkpoint`": the option's value is left out.
                ErrorKind::InvalidValue
                    if needs == Needs::MayBeMissing
                        && error.get(ContextKind::InvalidValue)
                            == Some(&ContextValue::String(String::new()))
                        && words.last().is_some_and(|last| last.starts_with('-')) =>
                {
                    return Ok(());
                }
                _ => refusal = error.to_string().lines().next().unwrap_or_default().to_owned(),
            },
        }
    }
    Err(refusal)
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction};

    use super::*;

    fn parsers() -> Parsers {
        let new = Command::new("new").arg(Arg::new("name").required(true));
        let token =
            Command::new("token").subcommand_required(true).subcommand(new).subcommand(Command::new("list"));
        let status = Command::new("status").arg(Arg::new("json").long("json").action(ArgAction::SetTrue));
        let seats = Arg::new("seats").long("seats").value_parser(clap::value_parser!(u32));
        Parsers::new(vec![
            Command::new("distributor").subcommand_required(true).subcommand(token).subcommand(status),
            Command::new("publisher")
                .subcommand(Command::new("serial").arg(seats))
                .subcommand(Command::new("status")),
        ])
    }

    fn judge(command: &str, is_whole: bool) -> Verdict {
        parsers().judge(&Advised { command: command.to_owned(), line: 1, is_whole })
    }

    #[test]
    fn what_a_program_understands_passes_with_or_without_its_name() {
        for command in [
            "distributor status --json",
            "status --json",
            "distributor token new NAME",
            "distributor token new|list",
            "token new {name}",
            "publisher serial --seats N",
            "publisher serial [--seats N]",
            "distributor token",
            "distributor --help",
            "distributor token new \"two words\" | head -n 1",
            "distributor status >status.txt",
        ] {
            assert_eq!(judge(command, false), Verdict::Understood, "{command}");
        }
    }

    #[test]
    fn a_command_an_option_or_a_choice_that_does_not_exist_is_refused() {
        for command in [
            "distributor tokens list",
            "distributor status --csv",
            "distributor token new|revoke",
            "status --csv",
            "publisher serial --seats many",
            "publisher status --json",
        ] {
            assert!(matches!(judge(command, false), Verdict::Refused(_)), "{command}");
        }
    }

    #[test]
    fn an_example_must_be_complete_and_a_mention_need_not_be() {
        assert_eq!(judge("distributor token new", false), Verdict::Understood);
        assert_eq!(judge("publisher serial --seats", false), Verdict::Understood);
        assert!(matches!(judge("publisher serial --seats", true), Verdict::Refused(_)));
        assert!(matches!(judge("distributor token new", true), Verdict::Refused(_)));
    }

    #[test]
    fn words_that_are_no_commands_are_left_alone() {
        for text in ["status", "cargo build", "", "Status 200", "log/activity.log"] {
            assert_eq!(judge(text, false), Verdict::NotOurs, "{text}");
        }
    }
}
