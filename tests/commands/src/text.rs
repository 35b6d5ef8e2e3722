//! Where commands stand in a text: between backticks, in a block of commands, and in the examples of a help text.

/// A command as the text has it, and the line on which its text begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advised {
    /// As it stands there, in one line.
    pub command: String,
    /// Counted from 1.
    pub line: usize,
    /// It stands where only commands stand: with its program's name first.
    pub is_whole: bool,
}

/// The commands in a text of a program, which begins on `line`: spans between backticks, and indented lines that begin
/// with a program's name, as the examples of `--help` do; and a text that is nothing but a command.
#[must_use]
pub fn advised_in_text(text: &str, line: usize, programs: &[&str]) -> Vec<Advised> {
    let mut found = spans(text, line);
    // As a remedy that is printed on a line of its own. (The text of a comment begins with a space.)
    let is_command = programs.iter().any(|program| {
        let rest = text.strip_prefix(program).and_then(|rest| rest.strip_prefix(' '));
        rest.is_some_and(|rest| rest.starts_with(|first: char| first == '-' || first.is_ascii_lowercase()))
            && !text.contains(['`', '\n'])
    });
    if is_command {
        found.push(Advised { command: text.to_owned(), line, is_whole: false });
    }
    for (at, example) in joined_lines(text) {
        if example.starts_with("  ") {
            found.extend(shell_commands(&example, line + at, programs));
        }
    }
    found
}

/// The commands in a page: spans between backticks, and the lines of fenced blocks.
#[must_use]
pub fn advised_in_markdown(page: &str, programs: &[&str]) -> Vec<Advised> {
    let mut found = Vec::new();
    let mut prose = String::new();
    let mut block = String::new();
    let (mut prose_begins, mut block_begins) = (1, 1);
    let (mut is_fenced, mut is_for_a_shell) = (false, false);
    for (at, line) in page.lines().enumerate() {
        let number = at + 1;
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
            found.append(&mut spans(&prose, prose_begins));
            prose.clear();
            prose_begins = number + 1;
            if is_fenced {
                block.clear();
                is_for_a_shell = matches!(line.trim_start(), "```" | "```sh" | "```bash" | "```console");
                block_begins = number + 1;
            } else if is_for_a_shell {
                for (offset, command) in joined_lines(&block) {
                    found.extend(shell_commands(&command, block_begins + offset, programs));
                }
            }
            continue;
        }
        if is_fenced {
            block.push_str(line);
            block.push('\n');
            continue;
        }
        // A paragraph at a time: a backtick without its partner spoils no more than that.
        if line.trim().is_empty() {
            found.append(&mut spans(&prose, prose_begins));
            prose.clear();
            prose_begins = number + 1;
        } else {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    found.append(&mut spans(&prose, prose_begins));
    found
}

/// What stands between backticks.
fn spans(text: &str, line: usize) -> Vec<Advised> {
    let mut line = line;
    let mut found = Vec::new();
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 1 {
            let command = part.split_whitespace().collect::<Vec<_>>().join(" ");
            found.push(Advised { command, line, is_whole: false });
        }
        line += part.matches('\n').count();
    }
    found
}

/// Lines, with those that end in a backslash joined to the next.
fn joined_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (at, line) in text.lines().enumerate() {
        let (line, continues) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
        match lines.last_mut().filter(|_| goes_on) {
            Some((_, joined)) => {
                joined.push(' ');
                joined.push_str(line.trim_start());
            }
            None => lines.push((at, line.to_owned())),
        }
        goes_on = continues;
    }
    lines
}

/// The commands of our programs in a line for a shell.
fn shell_commands(line: &str, number: usize, programs: &[&str]) -> Vec<Advised> {
    let line = line.trim().trim_start_matches("$ ");
    let mut found = Vec::new();
    for part in line.split(['|', '&', ';', '(', ')']) {
        // A remark, or what a table says of the command.
        let part = part.split(" # ").next().unwrap_or_default().trim_start();
        let part = part.split("   ").next().unwrap_or_default();
        let part = part.split(['>', '<']).next().unwrap_or_default().trim();
        let mut words = part.split_whitespace().peekable();
        // Variables for this command, and whoever runs it for somebody else.
        while words.peek().is_some_and(|word| {
            matches!(
                *word,
                "sudo" | "runuser" | "--pty" | "-u" | "--" | "sealpost" | "sealpost-publisher" | "exec"
            ) || word
                .split_once('=')
                .is_some_and(|(name, _)| name.chars().all(|one| one.is_ascii_uppercase() || one == '_'))
        }) {
            words.next();
        }
        let Some(program) = words.next() else { continue };
        let program = program.rsplit('/').next().unwrap_or(program);
        if programs.contains(&program) {
            let rest: Vec<&str> = words.collect();
            found.push(Advised {
                command: format!("{program} {}", rest.join(" ")).trim_end().to_owned(),
                line: number,
                is_whole: true,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAMS: [&str; 2] = ["publisher", "distributor"];

    fn commands(found: Vec<Advised>) -> Vec<(usize, String)> {
        found.into_iter().map(|one| (one.line, one.command)).collect()
    }

    #[test]
    fn a_span_that_goes_over_two_lines_is_one_command() {
        let found = advised_in_text("see `distributor\n  status`, or `pull`", 7, &PROGRAMS);
        assert_eq!(commands(found), [(7, "distributor status".to_owned()), (8, "pull".to_owned())]);
    }

    #[test]
    fn a_text_that_is_nothing_but_a_command_is_one() {
        let found = advised_in_text("publisher root renew", 1, &PROGRAMS);
        assert_eq!(commands(found), [(1, "publisher root renew".to_owned())]);
        assert_eq!(commands(advised_in_text(" publisher makes", 1, &PROGRAMS)), []);
        assert_eq!(commands(advised_in_text("publisher {newer} is there", 1, &PROGRAMS)), []);
        assert_eq!(commands(advised_in_text("publishers", 1, &PROGRAMS)), []);
    }

    #[test]
    fn the_examples_of_a_help_text_are_commands_and_its_sentences_are_not() {
        let help = "Examples:\n  publisher serve \\\n    --public\n  (umask 077; distributor token new a > a.token)\npublisher is a program";
        assert_eq!(
            commands(advised_in_text(help, 1, &PROGRAMS)),
            [(2, "publisher serve  --public".replace("  ", " ")), (4, "distributor token new a".to_owned())]
        );
    }

    #[test]
    fn blocks_of_a_page_are_read_line_by_line_and_prose_by_its_backticks() {
        let page = "Type `pull`.\n\n```sh\n$ sudo distributor status | head\nls\nX=1 /usr/bin/publisher refresh # daily\n```\n`log`";
        assert_eq!(
            commands(advised_in_markdown(page, &PROGRAMS)),
            [
                (1, "pull".to_owned()),
                (4, "distributor status".to_owned()),
                (6, "publisher refresh".to_owned()),
                (8, "log".to_owned())
            ]
        );
    }
}
