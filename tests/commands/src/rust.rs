//! The texts of a Rust file: its string literals and its comments, each as people read it.

/// What stands before an item that is compiled for tests only.
const FOR_TESTS: &str = "#[cfg(test)]";

/// The texts of a source file, with the line on which each begins. Items for tests (each that follows `#[cfg(test)]`) are
/// left out, and nothing else: one may stand in the middle of a file.
#[must_use]
pub fn texts_of_rust(source: &str) -> Vec<(usize, String)> {
    let mut reader = Reader { rest: source, line: 1, texts: Vec::new() };
    while reader.step() {}
    reader.texts
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    texts: Vec<(usize, String)>,
}

impl Reader<'_> {
    /// Takes the next token; `false` at the end.
    fn step(&mut self) -> bool {
        let Some(next) = self.rest.chars().next() else { return false };
        if self.rest.starts_with(FOR_TESTS) {
            self.item_for_tests();
        } else if self.rest.starts_with("//") {
            self.comment();
        } else if self.rest.starts_with("r\"") || self.rest.starts_with("r#") {
            self.raw_string();
        } else if next == '"' {
            self.string();
        } else if next == '\'' {
            self.quote();
        } else if next.is_alphanumeric() || next == '_' {
            // A whole word, so that the `r` at the end of a name begins no raw string.
            let end = self.rest.find(|one: char| !one.is_alphanumeric() && one != '_');
            self.skip(end.unwrap_or(self.rest.len()));
        } else {
            self.skip(next.len_utf8());
        }
        true
    }

    /// Passes over the attribute and its item: up to a `;` outside of brackets, or the end of the item's braces.
    fn item_for_tests(&mut self) {
        self.skip(FOR_TESTS.len());
        let (before, mut depth) = (self.texts.len(), 0usize);
        while let Some(next) = self.rest.chars().next() {
            match next {
                '(' | '[' | '{' => depth += 1,
                // What the item stands in ends here.
                ')' | ']' | '}' if depth == 0 => break,
                ')' | ']' | '}' => depth -= 1,
                _ => {}
            }
            self.step();
            if depth == 0 && matches!(next, ';' | '}') {
                break;
            }
        }
        self.texts.truncate(before);
    }

    fn skip(&mut self, bytes: usize) {
        self.line += self.rest[..bytes].matches('\n').count();
        self.rest = &self.rest[bytes..];
    }

    /// Comments on consecutive lines are one text.
    fn comment(&mut self) {
        let begins = self.line;
        let mut text = String::new();
        loop {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            text.push_str(self.rest[..end].trim_start_matches(['/', '!']));
            text.push('\n');
            self.skip(end);
            let indented = self.rest.trim_start();
            let blank_lines = self.rest[..self.rest.len() - indented.len()].matches('\n').count();
            if blank_lines != 1 || !indented.starts_with("//") {
                break;
            }
            self.skip(self.rest.len() - indented.len());
        }
        self.texts.push((begins, text));
    }

    fn string(&mut self) {
        let begins = self.line;
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1).peekable();
        let mut end = self.rest.len();
        while let Some((at, one)) = characters.next() {
            match one {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => match characters.next().map(|(_, escaped)| escaped) {
                    // A line that goes on: the next one's indentation is no part of the text.
                    Some('\n') => while characters.next_if(|(_, next)| next.is_whitespace()).is_some() {},
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(escaped) => text.push(escaped),
                    None => {}
                },
                one => text.push(one),
            }
        }
        self.skip(end);
        self.texts.push((begins, text));
    }

    fn raw_string(&mut self) {
        let hashes = self.rest[1..].chars().take_while(|&one| one == '#').count();
        let open = 1 + hashes;
        if !self.rest[open..].starts_with('"') {
            // A raw identifier.
            self.skip(open);
            return;
        }
        let begins = self.line;
        let close = format!("\"{}", "#".repeat(hashes));
        let body = &self.rest[open + 1..];
        let length = body.find(&close).unwrap_or(body.len());
        self.texts.push((begins, body[..length].to_owned()));
        self.skip((open + 1 + length + close.len()).min(self.rest.len()));
    }

    /// A character, or a lifetime.
    fn quote(&mut self) {
        let mut characters = self.rest.char_indices().skip(1);
        let bytes = match (characters.next(), characters.next()) {
            (Some((_, '\\')), Some(_)) => self.rest[3..].find('\'').map_or(1, |end| 3 + end + 1),
            (Some(_), Some((at, '\''))) => at + 1,
            _ => 1,
        };
        self.skip(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_found_as_people_read_them_and_code_is_not() {
        let source = "/// Run `a\n/// b`.\nfn f<'a>(x: &'a str) { let _ = '\"'; bail!(\"try `c \\\n      d {x}`\\n\"); }\nconst R: &str = r#\"`e \"f\"`\"#;\n#[cfg(test)]\nmod tests { \"`g`\" }";
        let texts = texts_of_rust(source);
        assert_eq!(
            texts,
            [
                (1, " Run `a\n b`.\n".to_owned()),
                (3, "try `c d {x}`\n".to_owned()),
                (5, "`e \"f\"`".to_owned())
            ]
        );
    }

    #[test]
    fn what_follows_an_item_for_tests_is_read_and_the_item_is_not() {
        let items = [
            "mod tests;",
            "use a::{b, c};",
            "const X: [u8; 2] = *b\"`}\";",
            "#[path = \"`x`\"]\nmod tests;",
            "fn f() -> [u8; 1] { // `no` }\n    if x == '}' { \"`no`\" } else { r#\"}\"# }\n}",
        ];
        for item in items {
            let line = 3 + item.matches('\n').count();
            let source = format!("#[cfg(test)]\n{item}\nconst A: &str = \"`a`\";");
            assert_eq!(texts_of_rust(&source), [(line, "`a`".to_owned())], "{item}");
        }
        // An item in the middle of another one.
        let source = "impl A {\n    #[cfg(test)]\n    fn f() { \"`no`\" }\n}\n// `a`";
        assert_eq!(texts_of_rust(source), [(5, " `a`\n".to_owned())]);
    }
}
