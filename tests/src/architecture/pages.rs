//! What the pages claim has a test: `docs/SECURITY.md` names one in each row of its tables, and every invariant of
//! `ARCHITECTURE.md` has a row there.
//!
//! Invariant: a name that no test has any more is found, so that a row cannot outlive its test. Left out on purpose: what
//! a test does, which its name says.

use std::collections::BTreeSet;

use super::breach::{Breach, Rule};
use super::crates::{Crate, Workspace};
use super::lexer::{Kind, Token, tokens};

/// The page of attacks, and the page of invariants.
pub(super) const SECURITY: &str = "docs/SECURITY.md";
pub(super) const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// The heading above the numbered invariants in [`ARCHITECTURE`], and above their table in [`SECURITY`].
const INVARIANTS: &str = "## Invariants";

/// Fewer words are a command, a file or a code.
const LEAST_WORDS: usize = 4;

pub(super) fn check(workspace: &Workspace) -> Vec<Breach> {
    let text =
        |path: &str| workspace.pages.iter().find(|page| page.path == path).map(|page| page.text.as_str());
    let (security, architecture) =
        (text(SECURITY).unwrap_or_default(), text(ARCHITECTURE).unwrap_or_default());
    let known: BTreeSet<String> = workspace.crates.iter().flat_map(tests_of).collect();
    let breach = |what: String| Breach { file: SECURITY.to_owned(), what, rule: Rule::Pages };
    let mut breaches = Vec::new();
    for name in security.lines().flat_map(names) {
        if !known.contains(name) {
            breaches.push(breach(format!("names the test `{name}`, which does not exist")));
        }
    }
    for row in rows(security).into_iter().filter(|row| names(row).next().is_none()) {
        breaches.push(breach(format!("has a row without a test: {row}")));
    }
    let shown: BTreeSet<&str> =
        rows(below(security, INVARIANTS)).into_iter().filter_map(first_cell).collect();
    for number in numbers(below(architecture, INVARIANTS)).filter(|number| !shown.contains(number)) {
        breaches.push(breach(format!("has no row for invariant {number} of {ARCHITECTURE}")));
    }
    breaches
}

/// The names of the tests of a crate.
fn tests_of(found: &Crate) -> Vec<String> {
    let mut names = Vec::new();
    for file in &found.files {
        let tokens = tokens(&file.text);
        let mut is_test = false;
        for (at, token) in tokens.iter().enumerate() {
            is_test |= says_test(&tokens, at);
            if token.is_word("fn") {
                if let Some(name) = tokens.get(at + 1).and_then(Token::word).filter(|_| is_test) {
                    names.push(name.to_owned());
                }
                is_test = false;
            }
        }
    }
    names
}

/// Whether `#[test]`, `#[tokio::test]` or `#[tokio::test(…)]` begins here.
fn says_test(tokens: &[Token], at: usize) -> bool {
    let begins = tokens.get(at).is_some_and(|token| token.is_mark('#'))
        && tokens.get(at + 1).is_some_and(|token| token.is_mark('['));
    let path =
        tokens.iter().skip(at + 2).take_while(|token| matches!(token.kind, Kind::Word(_) | Kind::Separator));
    begins && path.last().is_some_and(|token| token.is_word("test"))
}

/// The names of tests in a line: in backticks, of small letters, and of several words.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|text| {
        text.split('_').count() >= LEAST_WORDS
            && text
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
    })
}

/// The rows of all tables, without their heads.
fn rows(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let is_rule = |line: &str| line.starts_with("|-") || line.starts_with("| -");
    let is_head = |at: usize| lines.get(at + 1).is_some_and(|next| is_rule(next));
    let rows = lines
        .iter()
        .enumerate()
        .filter(|(at, line)| line.starts_with('|') && !is_rule(line) && !is_head(*at));
    rows.map(|(_, line)| *line).collect()
}

fn first_cell(row: &str) -> Option<&str> {
    row.split('|').nth(1).map(str::trim)
}

/// What stands below a heading, up to the next one of its height.
fn below<'t>(text: &'t str, heading: &str) -> &'t str {
    let Some((_, rest)) = text.split_once(&format!("{heading}\n")) else { return "" };
    rest.split_once("\n## ").map_or(rest, |(section, _)| section)
}

/// The numbers of a numbered list.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let numbers = text.lines().filter_map(|line| line.split_once(". ")).map(|(number, _)| number);
    numbers.filter(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::crates::Page;
    use crate::architecture::crates::made_up::crate_of;

    const TESTS: &str = "#[test]\nfn what_is_forged_is_refused() {}\n#[tokio::test(flavor = \"x\")]\nasync fn \
                         a_lost_reply_is_repeated() {}\nfn a_helper_of_the_tests() {}\n";

    fn checked(security: &str, architecture: &str) -> Vec<String> {
        let page = |path, text: &str| Page { path, text: text.to_owned() };
        let workspace = Workspace {
            crates: vec![crate_of("keys", &[("tests/it.rs", TESTS)])],
            pages: vec![page(SECURITY, security), page(ARCHITECTURE, architecture)],
        };
        check(&workspace).into_iter().map(|breach| breach.what).collect()
    }

    #[test]
    fn a_page_whose_rows_name_tests_and_every_invariant_is_fine() {
        let security = "# Page\n`agent-updater check` is no test.\n\n| attack | test |\n|---|---|\n| forged | \
                        `what_is_forged_is_refused` |\n\n## Invariants\n| n | test |\n| --- | --- |\n| 1 | \
                        `a_lost_reply_is_repeated` |\n| 12 | `what_is_forged_is_refused` |\n";
        let architecture = "# A\n1. not one\n\n## Invariants\n1. One.\n12. Two.\n\n## Trust\n3. other\n";
        assert_eq!(checked(security, architecture), Vec::<String>::new());
    }

    #[test]
    fn a_test_that_is_gone_a_helper_a_row_without_a_test_and_an_invariant_without_a_row_are_found() {
        let security = "| attack | test |\n|---|---|\n| a | `what_was_there_before_once` |\n| b | \
                        `a_helper_of_the_tests` |\n| c | none |\n";
        let found = checked(security, "## Invariants\n1. One.\n");
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(
            found[0].contains("what_was_there_before_once") && found[1].contains("a_helper_of_the_tests")
        );
        assert!(found[2].contains("| c | none |") && found[3].contains("invariant 1 "), "{found:?}");
    }
}
