//! How long a file may be, and which doc comments say nothing.

use super::breach::{Breach, Rule, at_lines};
use super::crates::Crate;
use super::lexer::{Kind, Token, tokens};
use super::plan::PROGRAMS;

/// Longest source file, in lines, tests included.
const MAX_LINES: usize = 600;

/// A doc comment of fewer words says nothing.
const MIN_DOC_WORDS: usize = 4;

/// Derives whose doc comments are help texts of the command line, where a word may be enough.
const HELP_TEXTS: &[&str] = &["Parser", "Args", "Subcommand", "ValueEnum"];

/// Checks every file of a crate, those of its tests too.
pub(super) fn check(found: &Crate) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in &found.files {
        let lines = file.text.lines().count();
        if lines > MAX_LINES {
            breaches.push(found.breach(&file.path, format!("has {lines} lines"), Rule::Length));
        }
        let short = short_docs(&file.text);
        if PROGRAMS.contains(&found.folder.as_str()) && !short.is_empty() {
            let what = format!("has a doc comment of three words or fewer in {}", at_lines(&short));
            breaches.push(found.breach(&file.path, what, Rule::Docs));
        }
    }
    breaches
}

/// The lines of doc comments that are one line of at most three words.
fn short_docs(text: &str) -> Vec<usize> {
    let tokens = tokens(text);
    let mut short = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let before = Before::read(&tokens, at);
        if before.is_help {
            at = end_of_type(&tokens, before.end);
            continue;
        }
        if let [(line, doc)] = before.docs.as_slice()
            && doc.split_whitespace().count() < MIN_DOC_WORDS
        {
            short.push(*line);
        }
        at = before.end.max(at + 1);
    }
    short
}

/// The doc comments and attributes before an item, a field or a variant.
#[derive(Default)]
struct Before<'a> {
    docs: Vec<(usize, &'a str)>,
    is_help: bool,
    end: usize,
}

impl<'a> Before<'a> {
    fn read(tokens: &'a [Token], mut at: usize) -> Self {
        let mut before = Self::default();
        while let Some(token) = tokens.get(at) {
            match &token.kind {
                Kind::Doc(doc) => {
                    before.docs.push((token.line, doc));
                    at += 1;
                }
                Kind::Mark('#') if tokens.get(at + 1).is_some_and(|next| next.is_mark('[')) => {
                    let end = end_of_attribute(tokens, at + 1);
                    let mut words = tokens[at..end].iter().filter_map(Token::word);
                    before.is_help |=
                        words.next() == Some("derive") && words.any(|word| HELP_TEXTS.contains(&word));
                    at = end;
                }
                _ => break,
            }
        }
        before.end = at;
        before
    }
}

/// The end of the attribute whose bracket opens at `at`.
fn end_of_attribute(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.kind {
            Kind::Mark('[') => depth += 1,
            Kind::Mark(']') if depth <= 1 => break,
            Kind::Mark(']') => depth -= 1,
            _ => {}
        }
    }
    at
}

/// The end of the type that begins at `at`: behind its braces, or its `;`.
fn end_of_type(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.kind {
            Kind::Mark('{') => depth += 1,
            Kind::Mark('}') if depth <= 1 => return at,
            Kind::Mark('}') => depth -= 1,
            Kind::Mark(';') if depth == 0 => return at,
            _ => {}
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::crates::made_up::crate_of;

    #[test]
    fn a_file_of_more_than_six_hundred_lines_is_found_also_in_tests() {
        for path in ["src/signer.rs", "tests/it/main.rs", "src/signer/tests.rs"] {
            let breaches = |lines| check(&crate_of("keys", &[(path, &"//\n".repeat(lines))]));
            assert_eq!(breaches(601).len(), 1, "{path}");
            assert_eq!(breaches(601)[0].rule, Rule::Length);
            assert!(breaches(600).is_empty(), "{path}");
        }
    }

    #[test]
    fn doc_comments_of_three_words_are_found_in_the_programs_with_their_lines() {
        let text = "//! Docs.\n/// Why.\npub struct S {\n/// The port.\n#[serde(default)]\na: u16,\n\
                    /// As it is.\nb: u8 }\n/// The reason for which it was refused.\nfn f() {}\n";
        let breaches = check(&crate_of("publisher", &[("src/init.rs", text)]));
        assert_eq!(breaches.len(), 1);
        assert_eq!(breaches[0].what, "has a doc comment of three words or fewer in lines 2, 4, 7");
        assert!(check(&crate_of("keys", &[("src/lib.rs", text)])).is_empty());
    }

    #[test]
    fn longer_doc_comments_of_several_lines_and_plain_comments_are_fine() {
        for text in [
            "/// Seconds between two pulls.\nfn f() {}",
            "/// The port.\n///\n/// # Errors\n/// None.\nfn f() {}",
            "// The port.\n//// The port.\nfn f() {}",
            "fn f() { let x = \"/// Why.\"; }",
        ] {
            assert!(short_docs(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn help_texts_of_the_command_line_are_exempt_and_what_follows_them_is_not() {
        for help in [
            "/// Runs it.\n#[x([1])]\n#[derive(Debug, clap::Parser)]\nstruct C { /// Its name.\nname: String }",
            "#[derive(Subcommand)]\n#[command(about)]\nenum C {\n/// Show it.\nShow { /// All.\nall: bool },\n/// Quit.\nQuit }",
            "/// One.\n#[derive(Args)]\nstruct C(/// Two.\nString);",
            "#[derive(Clone, ValueEnum)] enum V { /// Now.\nNow }",
        ] {
            assert!(short_docs(help).is_empty(), "{help}");
            assert_eq!(short_docs(&format!("{help}\n/// Why.\nfn f() {{}}")).len(), 1, "{help}");
        }
        assert_eq!(short_docs("/// Why.\n#[derive(Debug, Clone)]\nstruct S;"), [1]);
    }
}
