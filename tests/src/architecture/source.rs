//! Reads just enough Rust to know which paths a file names: comments, strings and test modules are left out, and
//! the branches of a `use` tree are spelled out.
//!
//! Invariant: a path that the compiler would resolve is found as it is written. Left out on purpose: macros that build
//! paths, and names that come in through `use … as …` (the `use` line itself is found).

/// What one source file names.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// Every path, for example `["std", "fs", "read"]`, with `use` trees spelled out.
    pub paths: Vec<Vec<String>>,
    /// Every keyword and name that stands alone, for example `async`.
    pub words: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Separator,
    Mark(char),
}

impl Source {
    /// Reads a file's text.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let tokens = without_test_items(&tokens(&without_comments_and_literals(text)));
        let mut source = Self::default();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                Token::Word(_) => {
                    let start = at;
                    let mut found = Vec::new();
                    at = path(&tokens, at, &mut Vec::new(), &mut found);
                    if at == start + 1 {
                        source.words.extend(found.into_iter().flatten());
                    } else {
                        source.paths.extend(found);
                    }
                }
                _ => at += 1,
            }
        }
        source
    }

    /// Whether a path begins with these names, or ends with them when they are a call such as `Instant::now`.
    #[must_use]
    pub fn names(&self, pattern: &str) -> bool {
        let wanted: Vec<&str> = pattern.split("::").collect();
        let is_call = wanted.first().is_some_and(|first| first.starts_with(char::is_uppercase));
        self.paths.iter().any(|path| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            if is_call {
                path.windows(wanted.len()).any(|part| part == wanted)
            } else {
                path.starts_with(&wanted)
            }
        }) || (wanted.len() == 1 && self.words.iter().any(|word| word == pattern))
    }
}

/// Reads a path, with its `{…}` branches, and returns where it ends.
fn path(tokens: &[Token], mut at: usize, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let depth = prefix.len();
    loop {
        match tokens.get(at) {
            Some(Token::Word(word)) => {
                prefix.push(word.clone());
                at += 1;
            }
            Some(Token::Mark('*')) => {
                prefix.push("*".to_owned());
                at += 1;
            }
            Some(Token::Mark('{')) => {
                at = branches(tokens, at + 1, prefix, found);
                prefix.truncate(depth);
                return at;
            }
            _ => break,
        }
        match tokens.get(at) {
            Some(Token::Separator) => at += 1,
            _ => break,
        }
    }
    found.push(prefix.clone());
    prefix.truncate(depth);
    at
}

fn branches(
    tokens: &[Token],
    mut at: usize,
    prefix: &mut Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> usize {
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Mark('}') => return at + 1,
            Token::Word(word) if word == "as" => at += 2,
            Token::Word(_) | Token::Mark('*' | '{') => at = path(tokens, at, prefix, found),
            _ => at += 1,
        }
    }
    at
}

/// Drops each item that stands under `#[cfg(test)]`.
fn without_test_items(tokens: &[Token]) -> Vec<Token> {
    let cfg_test: Vec<Token> = [
        Token::Mark('#'),
        Token::Mark('['),
        Token::Word("cfg".to_owned()),
        Token::Mark('('),
        Token::Word("test".to_owned()),
        Token::Mark(')'),
        Token::Mark(']'),
    ]
    .into();
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].starts_with(&cfg_test) {
            at = item_end(tokens, at + cfg_test.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// The end of the item that begins at `at`: after its `;`, or after its closing brace.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            Token::Mark(';') if depth == 0 => return at,
            _ => {}
        }
    }
    at
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if character.is_alphanumeric() || character == '_' {
            let mut word = String::from(character);
            while let Some(next) = rest.next_if(|next| next.is_alphanumeric() || *next == '_') {
                word.push(next);
            }
            tokens.push(Token::Word(word));
        } else if character == ':' && rest.next_if_eq(&':').is_some() {
            tokens.push(Token::Separator);
        } else if !character.is_whitespace() {
            tokens.push(Token::Mark(character));
        }
    }
    tokens
}

/// The text with comments, strings and character literals blanked out.
fn without_comments_and_literals(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let here = characters[at];
        let next = characters.get(at + 1).copied().unwrap_or(' ');
        let previous_is_word = at > 0 && (characters[at - 1].is_alphanumeric() || characters[at - 1] == '_');
        match (here, next) {
            ('/', '/') => at = end_of_line(&characters, at),
            ('/', '*') => at = end_of_block_comment(&characters, at),
            ('"', _) => at = end_of_string(&characters, at + 1),
            ('r', '"' | '#') if !previous_is_word => match end_of_raw_string(&characters, at + 1) {
                Some(end) => at = end,
                None => {
                    out.push(here);
                    at += 1;
                    continue;
                }
            },
            ('\'', _) => at = end_of_character(&characters, at),
            _ => {
                out.push(here);
                at += 1;
                continue;
            }
        }
        out.push(' ');
    }
    out
}

fn end_of_line(characters: &[char], at: usize) -> usize {
    characters[at..]
        .iter()
        .position(|character| *character == '\n')
        .map_or(characters.len(), |length| at + length)
}

fn end_of_block_comment(characters: &[char], mut at: usize) -> usize {
    let mut depth = 0usize;
    while at < characters.len() {
        match (characters[at], characters.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn end_of_string(characters: &[char], mut at: usize) -> usize {
    while at < characters.len() {
        match characters[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// `at` is after the `r`; `None` when this is a raw name such as `r#type`.
fn end_of_raw_string(characters: &[char], mut at: usize) -> Option<usize> {
    let mut hashes = 0usize;
    while characters.get(at) == Some(&'#') {
        hashes += 1;
        at += 1;
    }
    if characters.get(at) != Some(&'"') {
        return None;
    }
    at += 1;
    while at < characters.len() {
        let closes = characters[at] == '"'
            && characters[at + 1..].iter().take(hashes).filter(|character| **character == '#').count()
                == hashes;
        if closes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(at)
}

/// A character literal, or only the quote of a lifetime.
fn end_of_character(characters: &[char], at: usize) -> usize {
    match (characters.get(at + 1), characters.get(at + 2)) {
        (Some('\\'), _) => {
            let mut end = at + 3;
            while end < characters.len() && characters[end] != '\'' {
                end += 1;
            }
            end + 1
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_of_a_use_tree_are_spelled_out() {
        let source = Source::read("use std::{fs::{self, File as F}, io::Read}; use crate::{a::b, c};");
        assert!(source.names("std::fs") && source.names("std::io::Read"));
        assert!(source.names("crate::a::b") && source.names("crate::c"));
        assert!(!source.names("crate::b"));
    }

    #[test]
    fn comments_strings_and_lifetimes_name_nothing() {
        let source = Source::read(
            "/* std::fs /* nested */ */ // tokio::spawn\nfn f<'a>(x: &'a str) -> char { let _ = \"std::net\"; \
             let _ = r#\"reqwest::get \"quoted\"\"#; '\\'' }",
        );
        for hidden in ["std::fs", "tokio", "std::net", "reqwest"] {
            assert!(!source.names(hidden), "{hidden} was found");
        }
    }

    #[test]
    fn a_call_is_found_at_the_end_of_any_path() {
        let source = Source::read("fn f() { jiff::Timestamp::now(); Instant::now(); }");
        assert!(source.names("Timestamp::now") && source.names("Instant::now"));
        assert!(!source.names("SystemTime::now"));
    }

    #[test]
    fn test_modules_are_left_out_and_what_follows_them_is_not() {
        let source = Source::read("#[cfg(test)] mod tests { use std::fs; mod x { } } use tokio::spawn;");
        assert!(!source.names("std::fs") && source.names("tokio"));
        let source = Source::read("#[cfg(test)]\nmod tests; use std::net::IpAddr;");
        assert!(source.names("std::net"));
    }
}
