//! The note that says how far the log has come on its way to syslog.
//!
//! Invariant: it is written whole or not at all. What cannot be read counts as no note: then all entries are sent again.
//! Its first line is the last entry that has arrived and the root of the log up to it (a version before this one wrote no
//! root); a second one, if there is one, names a head that the receiver was sent and the log does not have.

use std::io;
use std::path::Path;

use sealpost_files::{PRIVATE, PRIVATE_FOLDER, make_folder, read_bounded, replace};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::log::LogHead;

const NAME: &str = "syslog.position";
/// Longest note, in bytes: more than two lines of a word, a number and a root.
const MAX_BYTES: u64 = 256;
/// Begins the line about what the log does not have.
const OTHER: &str = "other";

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The last entry that has arrived.
    pub(super) sent: u64,
    /// The root of the log up to it.
    pub(super) root: Option<Sha256Digest>,
    /// What the receiver was sent and the log does not have.
    pub(super) other: Option<LogHead>,
}

/// What is noted; the default if nothing is, or nothing that can be read.
pub(super) fn read(folder: &Path) -> io::Result<Position> {
    let bytes = read_bounded(&folder.join(NAME), MAX_BYTES)?.unwrap_or_default();
    Ok(std::str::from_utf8(&bytes).ok().and_then(parse).unwrap_or_default())
}

/// Notes it; durable at return.
pub(super) fn write(folder: &Path, position: &Position) -> io::Result<()> {
    make_folder(folder, PRIVATE_FOLDER)?;
    replace(&folder.join(NAME), text(position).as_bytes(), PRIVATE)
}

fn text(position: &Position) -> String {
    let Position { sent, root, other } = position;
    let root = root.map_or_else(String::new, |root| format!(" {root}"));
    let other = other.map_or_else(String::new, |LogHead { size, root }| format!("{OTHER} {size} {root}\n"));
    format!("{sent}{root}\n{other}")
}

fn parse(text: &str) -> Option<Position> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let mut first = lines.next()?.split(' ');
    let sent = first.next()?.parse().ok()?;
    let root = first.next().map(|root| root.parse().ok());
    let other = lines.next().map(|line| head(line.strip_prefix(OTHER)?.strip_prefix(' ')?));
    if first.next().is_some() || lines.next().is_some() || root == Some(None) || other == Some(None) {
        return None;
    }
    Some(Position { sent, root: root.flatten(), other: other.flatten() })
}

fn head(text: &str) -> Option<LogHead> {
    let (size, root) = text.split_once(' ')?;
    Some(LogHead { size: size.parse().ok()?, root: root.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2";

    #[test]
    fn the_note_is_written_as_its_frozen_text_and_an_older_one_without_a_root_is_read() {
        let root = Sha256Digest::of(b"root");
        let other = LogHead { size: 54, root };
        let whole = Position { sent: 41, root: Some(root), other: Some(other) };
        for (position, frozen) in [
            (Position { sent: 41, ..Position::default() }, "41\n".to_owned()),
            (Position { other: None, ..whole }, format!("41 {ROOT}\n")),
            (whole, format!("41 {ROOT}\nother 54 {ROOT}\n")),
        ] {
            assert_eq!(text(&position), frozen);
            assert_eq!(parse(&frozen), Some(position));
        }
    }

    #[test]
    fn a_note_that_cannot_be_read_is_none() {
        let damaged = [
            String::new(),
            "41".to_owned(),
            "-1\n".to_owned(),
            format!("41 {}\n", &ROOT[1..]),
            format!("41 {ROOT} x\n"),
            format!("41 {ROOT}\nother 54\n"),
            format!("41 {ROOT}\n{ROOT}\n"),
            format!("41 {ROOT}\nother 54 {ROOT}\n\n"),
        ];
        for text in damaged {
            assert_eq!(parse(&text), None, "{text:?}");
        }
    }
}
