//! Cuts Rust source into words, separators, marks, literals and doc comments, each with its line.
//!
//! Invariant: nothing inside a comment or a literal becomes a word. Left out on purpose: numbers are words, lifetimes and
//! character literals are dropped, and doc comments other than `///` are plain comments.

/// A piece of source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword, a name or a number.
    Word(String),
    /// `::`
    Separator,
    /// Any other character that is not white space.
    Mark(char),
    /// The text of a string literal, with its escapes as they are written.
    Literal(String),
    /// The text of one `///` line.
    Doc(String),
}

/// A piece of source and the line that it begins on, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

impl Token {
    /// The word, if it is one.
    pub(super) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(super) fn is_word(&self, wanted: &str) -> bool {
        self.word() == Some(wanted)
    }

    pub(super) fn is_mark(&self, wanted: char) -> bool {
        self.kind == Kind::Mark(wanted)
    }
}

/// Cuts a file's text.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { characters: text.chars().collect(), at: 0, line: 1, tokens: Vec::new() };
    while let Some(here) = lexer.peek(0) {
        lexer.step(here);
    }
    lexer.tokens
}

struct Lexer {
    characters: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    fn step(&mut self, here: char) {
        match (here, self.peek(1)) {
            ('/', Some('/')) => self.line_comment(),
            ('/', Some('*')) => self.advance_to(self.end_of_block_comment()),
            ('"', _) => self.literal(self.at + 1, self.end_of_string()),
            ('\'', _) => self.advance_to(self.end_of_quote()),
            (':', Some(':')) => self.push(Kind::Separator, self.at + 2),
            (letter, _) if is_word(letter) => self.word(),
            (space, _) if space.is_whitespace() => self.advance_to(self.at + 1),
            (mark, _) => self.push(Kind::Mark(mark), self.at + 1),
        }
    }

    fn push(&mut self, kind: Kind, end: usize) {
        self.tokens.push(Token { kind, line: self.line });
        self.advance_to(end);
    }

    fn advance_to(&mut self, end: usize) {
        let end = end.min(self.characters.len());
        self.line += self.characters[self.at..end].iter().filter(|character| **character == '\n').count();
        self.at = end;
    }

    fn line_comment(&mut self) {
        let length = self.characters[self.at..].iter().position(|character| *character == '\n');
        let end = length.map_or(self.characters.len(), |length| self.at + length);
        let text: String = self.characters[self.at..end].iter().collect();
        match text.strip_prefix("///").filter(|rest| !rest.starts_with('/')) {
            Some(doc) => self.push(Kind::Doc(doc.trim().to_owned()), end),
            None => self.advance_to(end),
        }
    }

    fn word(&mut self) {
        let length = self.characters[self.at..].iter().take_while(|letter| is_word(**letter)).count();
        let end = self.at + length;
        let word: String = self.characters[self.at..end].iter().collect();
        match word.as_str() {
            "b" | "c" if self.characters.get(end) == Some(&'"') => self.advance_to(end),
            "r" | "br" | "cr" => match self.end_of_raw_string(end) {
                Some((start, closing, end)) => {
                    let text = self.characters[start..closing].iter().collect();
                    self.push(Kind::Literal(text), end);
                }
                None => self.raw_name(word, end),
            },
            _ => self.push(Kind::Word(word), end),
        }
    }

    /// A name such as `r#type` keeps its mark, so that it is not taken for the keyword.
    fn raw_name(&mut self, prefix: String, end: usize) {
        if self.characters.get(end) != Some(&'#') {
            return self.push(Kind::Word(prefix), end);
        }
        let length = self.characters[end + 1..].iter().take_while(|letter| is_word(**letter)).count();
        let word = self.characters[self.at..end + 1 + length].iter().collect();
        self.push(Kind::Word(word), end + 1 + length);
    }

    fn literal(&mut self, start: usize, end: usize) {
        let closing = end.saturating_sub(1).clamp(start, self.characters.len().max(start));
        let text = self.characters.get(start..closing).unwrap_or_default().iter().collect();
        self.push(Kind::Literal(text), end);
    }

    fn end_of_block_comment(&self) -> usize {
        let mut at = self.at;
        let mut depth = 0usize;
        while let Some(here) = self.characters.get(at) {
            match (here, self.characters.get(at + 1)) {
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

    fn end_of_string(&self) -> usize {
        let mut at = self.at + 1;
        while let Some(here) = self.characters.get(at) {
            match here {
                '\\' => at += 2,
                '"' => return at + 1,
                _ => at += 1,
            }
        }
        at
    }

    /// `after` is behind the prefix; answers where the text begins, where it closes, and where the literal ends.
    fn end_of_raw_string(&self, after: usize) -> Option<(usize, usize, usize)> {
        let hashes = self.characters[after..].iter().take_while(|character| **character == '#').count();
        let start = after + hashes + 1;
        if self.characters.get(start - 1) != Some(&'"') {
            return None;
        }
        let closing = (start..self.characters.len()).find(|at| {
            self.characters[*at] == '"'
                && self.characters[at + 1..]
                    .iter()
                    .take(hashes)
                    .filter(|character| **character == '#')
                    .count()
                    == hashes
        });
        let closing = closing.unwrap_or(self.characters.len());
        Some((start, closing, closing + 1 + hashes))
    }

    /// The end of a character literal, or of a lifetime.
    fn end_of_quote(&self) -> usize {
        match (self.peek(1), self.peek(2)) {
            (Some('\\'), _) => {
                let rest = self.characters.iter().skip(self.at + 3);
                self.at + 4 + rest.take_while(|character| **character != '\'').count()
            }
            (Some(_), Some('\'')) => self.at + 3,
            _ => {
                let name = self.characters.iter().skip(self.at + 1);
                self.at + 1 + name.take_while(|letter| is_word(**letter)).count()
            }
        }
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text).iter().filter_map(Token::word).map(str::to_owned).collect()
    }

    #[test]
    fn comments_literals_lifetimes_and_characters_are_no_words() {
        let text = "/* a /* nested */ b */ x // c\n'd' '\\'' '\\u{41}' &'e y \"f \\\" g\" r#\"h \"quoted\" i\"# b\"j\" z";
        assert_eq!(words(text), ["x", "y", "z"]);
    }

    #[test]
    fn a_raw_name_is_no_keyword_and_a_raw_string_is_no_name() {
        assert_eq!(words("r#match r\"if\" br##\"loop\"## r"), ["r#match", "r"]);
    }

    #[test]
    fn lines_are_counted_through_everything() {
        let found = tokens("\"a\nb\" /* \n */ x\n/// Said.\ny");
        let lines: Vec<usize> = found.iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 3, 4, 5]);
        assert_eq!(found[2].kind, Kind::Doc("Said.".to_owned()));
    }

    #[test]
    fn what_is_cut_off_in_the_middle_is_read_to_its_end() {
        for text in ["\"open", "\"", "r#\"open", "/* open", "'", "'\\", "r#", "b\"", "///"] {
            tokens(text);
        }
    }
}
