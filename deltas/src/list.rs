//! The lists of folders: what is in a tree, as text.
//!
//! Invariant: a tree has one list. What is read is written again the same way, else it is refused. Left out on purpose: empty
//! folders, owners, times, and names that are not UTF-8.

use std::fmt::Write;

use data_encoding::HEXLOWER;

use crate::container::Flaw;
use crate::tree::{Entry, EntryKind};

/// First line of a list.
const TITLE: &str = "files 1";

/// The list of a folder's files and links, which have to be in byte order of their paths. Base and target of a delta
/// between folders are named by such lists.
#[must_use]
pub fn folder_list(entries: &[Entry]) -> Vec<u8> {
    let mut text = format!("{TITLE}\n");
    for entry in entries {
        let path = escaped(&entry.path);
        // Writing to a string does not fail.
        let _ = match &entry.kind {
            EntryKind::File { length, sha256, mode } => {
                writeln!(text, "{path} {mode:03o} {length} {}", HEXLOWER.encode(sha256))
            }
            EntryKind::Symlink { target } => writeln!(text, "{path} -> {}", escaped(target)),
        };
    }
    text.into_bytes()
}

/// Reads a list, which has been bounded.
pub(crate) fn parse(bytes: &[u8], most_entries: usize) -> Result<Vec<Entry>, Flaw> {
    let text = std::str::from_utf8(bytes).map_err(|_| Flaw::Damaged)?;
    if text.matches('\n').count() > most_entries.saturating_add(1) {
        return Err(Flaw::TooLarge { what: "files", limit: u64::try_from(most_entries).unwrap_or(u64::MAX) });
    }
    let mut lines = text.strip_suffix('\n').ok_or(Flaw::Damaged)?.split('\n');
    match lines.next() {
        Some(TITLE) => {}
        Some(other) if other.starts_with("files ") => return Err(Flaw::Later("a list of files")),
        _ => return Err(Flaw::Damaged),
    }
    let entries: Vec<Entry> = lines.map(parse_line).collect::<Option<_>>().ok_or(Flaw::Damaged)?;
    // So modes, numbers, digests and escapes have one form each.
    if folder_list(&entries) == bytes { Ok(entries) } else { Err(Flaw::Damaged) }
}

fn parse_line(line: &str) -> Option<Entry> {
    let mut fields = line.split(' ');
    let path = plain(fields.next()?)?;
    let kind = match (fields.next()?, fields.next()?, fields.next()) {
        ("->", target, None) => EntryKind::Symlink { target: plain(target)? },
        (mode, length, Some(digest)) => EntryKind::File {
            length: length.parse().ok()?,
            sha256: HEXLOWER.decode(digest.as_bytes()).ok()?.try_into().ok()?,
            mode: u32::from_str_radix(mode, 8).ok()?,
        },
        (..) => return None,
    };
    fields.next().is_none().then_some(Entry { path, kind })
}

fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace(' ', r"\s").replace('\n', r"\n")
}

fn plain(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        plain.push(match next {
            '\\' => match rest.next()? {
                '\\' => '\\',
                's' => ' ',
                'n' => '\n',
                _ => return None,
            },
            other => other,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let file = |path: &str, length, mode| Entry {
            path: path.to_owned(),
            kind: EntryKind::File { length, sha256: [0xab; 32], mode },
        };
        vec![
            file("a", 0, 0o644),
            file(r"b\ with spaces", 12, 0o755),
            file("c\nd", u64::MAX, 0),
            Entry { path: "e".to_owned(), kind: EntryKind::Symlink { target: "../x y\\".to_owned() } },
        ]
    }

    #[test]
    fn a_list_comes_back() {
        let list = folder_list(&entries());
        let digest = "ab".repeat(32);
        let expected = format!(
            "files 1\na 644 0 {digest}\nb\\\\\\swith\\sspaces 755 12 {digest}\nc\\nd 000 18446744073709551615 {digest}\ne -> ../x\\sy\\\\\n"
        );
        assert_eq!(String::from_utf8(list.clone()).unwrap(), expected);
        assert_eq!(parse(&list, 4).unwrap(), entries());
        assert_eq!(parse(&folder_list(&[]), 0).unwrap(), []);
        assert!(matches!(parse(&list, 3), Err(Flaw::TooLarge { .. })));
    }

    #[test]
    fn another_form_of_the_same_list_is_refused() {
        let digest = "ab".repeat(32);
        for line in [
            format!("a 0644 0 {digest}"),
            format!("a 644 00 {digest}"),
            format!("a 644 +1 {digest}"),
            format!("a 644 0 {}", digest.to_uppercase()),
            format!("a 644 0 {digest} "),
            format!("a  644 0 {digest}"),
            format!("\\a 644 0 {digest}"),
            "a -> b c".to_owned(),
            "a ->".to_owned(),
            String::new(),
        ] {
            assert!(
                matches!(parse(format!("files 1\n{line}\n").as_bytes(), 9), Err(Flaw::Damaged)),
                "{line}"
            );
        }
        for text in ["", "files 1", "files 1\n\n", "files\n", "files 1\nx", "\u{feff}files 1\n"] {
            assert!(matches!(parse(text.as_bytes(), 9), Err(Flaw::Damaged)), "{text:?}");
        }
        assert!(matches!(parse(b"files 2\n", 9), Err(Flaw::Later(_))));
        assert!(matches!(parse(b"files 1\n\xff\n", 9), Err(Flaw::Damaged)));
    }
}
