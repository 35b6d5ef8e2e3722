//! Reads just enough Rust to know what a file declares and which paths it names: its modules, its items, its `use`
//! trees spelled out, and every qualified path in its code.
//!
//! Invariant: a path that the compiler would resolve is found as it is written. Left out on purpose: items under
//! `#[cfg(test)]`, macros that build paths, and what a path means (that is `modules`' question).

use std::collections::BTreeSet;

use super::attribute::{module_path, says_test};
use super::lexer::{Kind, Token, tokens};

/// What one source file declares and names, outside its tests.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    /// The file itself is the first; inline modules follow.
    pub(super) scopes: Vec<Scope>,
    /// Every keyword and name that stands alone, for example `async`.
    pub(super) words: Vec<Word>,
    /// Every path, for example `["std", "fs", "read"]`, with `use` trees spelled out.
    pub(super) paths: Vec<Vec<String>>,
    /// The file says `#![cfg(test)]` of itself.
    pub(super) is_test: bool,
}

/// A keyword or name, and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) line: usize,
}

/// A module's own level: the file's, or that of an inline `mod name { … }`.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// The scope that this one stands in, and its name there; the file's own has none.
    pub(super) parent: Option<(usize, String)>,
    pub(super) modules: Vec<ModuleLine>,
    pub(super) uses: Vec<Use>,
    /// Names that are defined here.
    pub(super) items: BTreeSet<String>,
    /// Qualified paths in code.
    pub(super) paths: Vec<Vec<String>>,
    /// There is something else than `mod` and `pub use` lines.
    pub(super) has_content: bool,
}

/// A line `mod name;`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModuleLine {
    pub(super) name: String,
    /// Where `#[path = "…"]` says that it is.
    pub(super) path: Option<String>,
    pub(super) is_test: bool,
}

/// One branch of a `use` tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) path: Vec<String>,
    /// What it is called here; none for `*` and `as _`, and for a `use` inside a function.
    pub(super) name: Option<String>,
}

/// Keywords that a name follows which others can import.
const ITEMS: &[&str] = &["fn", "struct", "enum", "trait", "type", "const", "static", "union"];

/// Words that an item begins with; anything else under `#[cfg(test)]` is a field, a variant, an arm or a statement.
const ITEM_BEGINS: &[&str] = &[
    "fn",
    "struct",
    "enum",
    "trait",
    "type",
    "const",
    "static",
    "union",
    "impl",
    "mod",
    "use",
    "unsafe",
    "async",
    "extern",
    "macro_rules",
    "let",
];

impl Source {
    /// Reads a file's text.
    pub(super) fn read(text: &str) -> Self {
        let tokens: Vec<Token> =
            tokens(text).into_iter().filter(|token| !matches!(token.kind, Kind::Doc(_))).collect();
        let mut reader = Reader { tokens: &tokens, at: 0, source: Self::default(), path: None };
        reader.source.scopes.push(Scope::default());
        while reader.at < tokens.len() {
            reader.scope(0);
        }
        reader.source
    }

    /// Whether a path begins with these names, or holds them when they are a call such as `Instant::now`.
    pub(super) fn names(&self, pattern: &str) -> bool {
        let wanted: Vec<&str> = pattern.split("::").collect();
        let is_call = wanted.first().is_some_and(|first| first.starts_with(char::is_uppercase));
        self.paths.iter().any(|path| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            if is_call {
                path.windows(wanted.len()).any(|part| part == wanted)
            } else {
                path.starts_with(&wanted)
            }
        }) || (wanted.len() == 1 && self.words.iter().any(|word| word.text == pattern))
    }

    /// Whether this word stands anywhere, alone or in a path.
    pub(super) fn has_word(&self, wanted: &str) -> bool {
        self.words.iter().any(|word| word.text == wanted)
            || self.paths.iter().flatten().any(|word| word == wanted)
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    source: Source,
    /// What the last `#[path = "…"]` said.
    path: Option<String>,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn word(&self, ahead: usize) -> Option<&str> {
        self.peek(ahead).and_then(Token::word)
    }

    fn mark(&self, ahead: usize, wanted: char) -> bool {
        self.peek(ahead).is_some_and(|token| token.is_mark(wanted))
    }

    /// Reads up to the brace that closes the scope, or to the end of the file.
    fn scope(&mut self, scope: usize) {
        let mut depth = 0usize;
        let mut is_public = false;
        while let Some(token) = self.peek(0) {
            match &token.kind {
                Kind::Mark('#') if self.mark(1, '[') || (self.mark(1, '!') && self.mark(2, '[')) => {
                    self.attribute(scope);
                    continue;
                }
                Kind::Word(word) => match word.as_str() {
                    "pub" => {
                        is_public = true;
                        self.visibility();
                        continue;
                    }
                    "use" if !self.mark(1, '<') => self.use_line(scope, depth, is_public),
                    "mod" if self.word(1).is_some() && (self.mark(2, ';') || self.mark(2, '{')) => {
                        self.module(scope);
                    }
                    _ => self.words(scope, depth),
                },
                Kind::Mark('}') if depth == 0 => {
                    self.at += 1;
                    return;
                }
                kind => {
                    match kind {
                        Kind::Mark('{' | '(' | '[') => depth += 1,
                        Kind::Mark('}' | ')' | ']') => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    self.source.scopes[scope].has_content = true;
                    self.at += 1;
                }
            }
            is_public = false;
            self.path = None;
        }
    }

    /// `pub`, or `pub(crate)`, `pub(in crate::a)`: the path in it names nothing that is used.
    fn visibility(&mut self) {
        self.at += 1;
        let inside = self.mark(0, '(') && matches!(self.word(1), Some("crate" | "super" | "self" | "in"));
        if inside {
            self.at = self.end_of_group(self.at);
        }
    }

    /// Reads a name with what hangs on it by `::`.
    fn words(&mut self, scope: usize, depth: usize) {
        let line = self.peek(0).map_or(0, |token| token.line);
        let mut path: Vec<String> = self.word(0).map(str::to_owned).into_iter().collect();
        self.at += 1;
        while self.peek(0).is_some_and(|token| token.kind == Kind::Separator) {
            let Some(next) = self.word(1).map(str::to_owned) else { break };
            path.push(next);
            self.at += 2;
        }
        let here = &mut self.source.scopes[scope];
        here.has_content = true;
        if path.len() > 1 {
            here.paths.push(path.clone());
            self.source.paths.push(path);
            return;
        }
        let Some(text) = path.pop() else { return };
        let name = match text.as_str() {
            "macro_rules" => self.word(1),
            item if depth == 0 && ITEMS.contains(&item) => self.word(0),
            _ => None,
        };
        let name = name.filter(|name| !ITEM_BEGINS.contains(name)).map(str::to_owned);
        self.source.scopes[scope].items.extend(name);
        self.source.words.push(Word { text, line });
    }

    fn use_line(&mut self, scope: usize, depth: usize, is_public: bool) {
        self.at += 1;
        let mut found = Vec::new();
        self.tree(&[], &mut found);
        if self.mark(0, ';') {
            self.at += 1;
        }
        self.source.paths.extend(found.iter().map(|branch| branch.path.clone()));
        let here = &mut self.source.scopes[scope];
        here.has_content |= !is_public;
        let is_local = depth > 0;
        here.uses.extend(
            found.into_iter().map(|branch| Use { name: branch.name.filter(|_| !is_local), ..branch }),
        );
    }

    fn tree(&mut self, prefix: &[String], found: &mut Vec<Use>) {
        let mut path = prefix.to_vec();
        while let Some(token) = self.peek(0) {
            match &token.kind {
                Kind::Word(word) => path.push(word.clone()),
                Kind::Mark('*') => path.push("*".to_owned()),
                Kind::Mark('{') => return self.branches(&path, found),
                Kind::Separator => {
                    self.at += 1;
                    continue;
                }
                _ => break,
            }
            self.at += 1;
            if self.peek(0).is_none_or(|next| next.kind != Kind::Separator) {
                break;
            }
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let mut name = path.last().filter(|last| *last != "*").cloned();
        if self.word(0) == Some("as") {
            name = self.word(1).filter(|alias| *alias != "_").map(str::to_owned);
            self.at += 2;
        }
        if !path.is_empty() {
            found.push(Use { path, name });
        }
    }

    fn branches(&mut self, prefix: &[String], found: &mut Vec<Use>) {
        self.at += 1;
        while let Some(token) = self.peek(0) {
            match token.kind {
                Kind::Mark('}') => {
                    self.at += 1;
                    return;
                }
                Kind::Word(_) | Kind::Separator | Kind::Mark('*' | '{') => self.tree(prefix, found),
                _ => self.at += 1,
            }
        }
    }

    /// `mod name;` or `mod name {`.
    fn module(&mut self, scope: usize) {
        let Some(name) = self.word(1).map(str::to_owned) else { return };
        let is_line = self.mark(2, ';');
        self.at += 3;
        if is_line {
            let path = self.path.take();
            self.source.scopes[scope].modules.push(ModuleLine { name, path, is_test: false });
            return;
        }
        self.source.scopes[scope].has_content = true;
        let inner = self.source.scopes.len();
        self.source.scopes.push(Scope { parent: Some((scope, name)), ..Scope::default() });
        self.scope(inner);
    }

    /// Reads an attribute; when it is `#[cfg(test)]`, passes over what it stands at.
    fn attribute(&mut self, scope: usize) {
        let is_inner = self.mark(1, '!');
        let start = self.at + 2 + usize::from(is_inner);
        let end = self.end_of_group(start - 1);
        let body = self.tokens.get(start..end.saturating_sub(1)).unwrap_or_default();
        let is_test = says_test(body);
        self.path = module_path(body).or_else(|| self.path.take());
        self.at = start;
        let had_content = self.source.scopes[scope].has_content;
        while self.at < end {
            if self.word(0).is_some() {
                self.words(scope, 1);
            } else {
                self.at += 1;
            }
        }
        self.source.scopes[scope].has_content = had_content;
        self.at = end;
        match (is_test, is_inner) {
            (true, true) => self.source.is_test = true,
            (true, false) => self.pass_over_test(scope),
            (false, _) => {}
        }
    }

    fn pass_over_test(&mut self, scope: usize) {
        while self.mark(0, '#') {
            let end = self.end_of_group(self.at + 1);
            let body = self.tokens.get(self.at + 2..end.saturating_sub(1)).unwrap_or_default();
            self.path = module_path(body).or_else(|| self.path.take());
            self.at = end;
        }
        if self.word(0) == Some("pub") {
            self.visibility();
        }
        let path = self.path.take();
        match self.word(1).filter(|_| self.word(0) == Some("mod") && self.mark(2, ';')) {
            Some(name) => {
                let line = ModuleLine { name: name.to_owned(), path, is_test: true };
                self.source.scopes[scope].modules.push(line);
                self.at += 3;
            }
            None => self.at = self.end_of_item(),
        }
    }

    /// Where the group ends that opens at `at`.
    fn end_of_group(&self, mut at: usize) -> usize {
        let mut depth = 0usize;
        while let Some(token) = self.tokens.get(at) {
            at += 1;
            match token.kind {
                Kind::Mark('{' | '(' | '[') => depth += 1,
                Kind::Mark('}' | ')' | ']') => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        at
    }

    /// Where the item ends that begins here: behind its `;`, its `,` or its braces, or before what encloses it.
    fn end_of_item(&self) -> usize {
        let is_item = self.word(0).is_some_and(|word| ITEM_BEGINS.contains(&word));
        let mut at = self.at;
        while let Some(token) = self.tokens.get(at) {
            match token.kind {
                Kind::Mark('}' | ')' | ']') => return at,
                Kind::Mark('{') => {
                    let end = self.end_of_group(at);
                    let follows =
                        self.tokens.get(end).is_some_and(|next| next.is_mark(';') || next.is_mark(','));
                    return end + usize::from(follows);
                }
                Kind::Mark('(' | '[') => at = self.end_of_group(at),
                Kind::Mark(';') => return at + 1,
                Kind::Mark(',') if !is_item => return at + 1,
                _ => at += 1,
            }
        }
        at
    }
}

#[cfg(test)]
mod tests;
