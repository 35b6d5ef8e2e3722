//! What `env` in the first line of a script runs: `#!/usr/bin/env python3`, or with `-S` a line of several words.
//!
//! Invariant: what cannot be told is refused, never taken for runnable: the program that is found is looked at by the
//! caller, since it runs with the hook's rights.
//! Left out on purpose: escapes and variables in the words before the program; a line with them is refused.

/// Where `env -i` finds programs: it takes the search path away with all else.
const SEARCH_WITHOUT_ENVIRONMENT: &str = "/bin:/usr/bin";

/// The program of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// A path, or a name to search for.
    pub(crate) program: String,
    /// Where to search, if not where hooks do.
    pub(crate) search: Option<String>,
}

/// Why it cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotTell {
    #[error("it names no program")]
    NoProgram,
    #[error("options of env other than -S, -i, -u and -v are not understood here")]
    Option,
    #[error("a backslash, a dollar or an open quote before the program is not understood here")]
    Escape,
}

/// What `env` runs with this argument, which is one for the system: all that follows it in the line.
pub(crate) fn program_of(argument: &str) -> Result<Named, CannotTell> {
    let Some(line) = split_line(argument) else {
        return match argument {
            "" => Err(CannotTell::NoProgram),
            option if option.starts_with('-') => Err(CannotTell::Option),
            assignment if assignment.contains('=') => Err(CannotTell::NoProgram),
            name => Ok(Named { program: name.to_owned(), search: None }),
        };
    };
    let is_emptied = argument.starts_with("-i") || argument.starts_with("-vi");
    let (mut rest, mut search) = (line, is_emptied.then(|| SEARCH_WITHOUT_ENVIRONMENT.to_owned()));
    while let Some((word, after)) = next_word(rest)? {
        rest = after;
        match word.as_str() {
            "-" | "-i" | "--ignore-environment" => search = Some(SEARCH_WITHOUT_ENVIRONMENT.to_owned()),
            "-v" | "--debug" => {}
            "-u" | "--unset" => rest = next_word(rest)?.ok_or(CannotTell::NoProgram)?.1,
            unset if unset.starts_with("-u") || unset.starts_with("--unset=") => {}
            option if option.starts_with('-') => return Err(CannotTell::Option),
            assignment if assignment.contains('=') => {
                if let Some(path) = assignment.strip_prefix("PATH=") {
                    search = Some(path.to_owned());
                }
            }
            _ => return Ok(Named { program: word, search }),
        }
    }
    Err(CannotTell::NoProgram)
}

/// What follows the option that splits the argument; `None` without it.
fn split_line(argument: &str) -> Option<&str> {
    let flags = ["--split-string=", "-S", "-vS", "-iS", "-ivS", "-viS"];
    let line = flags.iter().find_map(|flag| argument.strip_prefix(flag));
    line.map(|line| line.trim_start_matches([' ', '\t']))
}

/// The first word of a line, without its quotes, and what follows it.
fn next_word(line: &str) -> Result<Option<(String, &str)>, CannotTell> {
    let line = line.trim_start_matches([' ', '\t', '\r']);
    let (mut word, mut quote) = (String::new(), None);
    for (at, character) in line.char_indices() {
        match (character, quote) {
            ('\\' | '$', _) => return Err(CannotTell::Escape),
            (closing, Some(opening)) if closing == opening => quote = None,
            ('"' | '\'', None) => quote = Some(character),
            (' ' | '\t' | '\r', None) => return Ok(Some((word, line.get(at..).unwrap_or_default()))),
            _ => word.push(character),
        }
    }
    match quote {
        Some(_) => Err(CannotTell::Escape),
        None if line.is_empty() => Ok(None),
        None => Ok(Some((word, ""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_behind_options_and_variables() {
        let program = |argument: &str| program_of(argument).map(|named| named.program);
        for argument in [
            "python3",
            "-S python3 -u",
            "-Spython3",
            "-vS python3",
            "--split-string=python3 -u",
            "-S -i python3",
            "-S -u LANG --unset=TZ -uHOME python3",
            "-S A=b \"C=d e\" python3 -c '$x'",
            "-S 'python3' \"\\\"",
        ] {
            assert_eq!(program(argument), Ok("python3".to_owned()), "{argument}");
        }
        for (argument, why) in [
            ("", CannotTell::NoProgram),
            ("A=b", CannotTell::NoProgram),
            ("-S", CannotTell::NoProgram),
            ("-S A=b", CannotTell::NoProgram),
            ("-S -u", CannotTell::NoProgram),
            ("-i", CannotTell::Option),
            ("-S -C /tmp sh", CannotTell::Option),
            ("-S ${SHELL}", CannotTell::Escape),
            ("-S pyth\\_on", CannotTell::Escape),
            ("-S 'sh", CannotTell::Escape),
        ] {
            assert_eq!(program(argument), Err(why), "{argument}");
        }
    }

    #[test]
    fn the_search_is_the_one_that_the_line_sets() {
        let search = |argument: &str| program_of(argument).unwrap().search;
        assert_eq!(search("-S sh"), None);
        assert_eq!(search("-S -i sh").as_deref(), Some(SEARCH_WITHOUT_ENVIRONMENT));
        assert_eq!(search("-S -i PATH=/opt/bin sh").as_deref(), Some("/opt/bin"));
    }
}
