//! The file of computers that want a seat.

use sealpost_site::rules::reservation_file::read;

use crate::reading::assert_harmless;

/// Longest sentence about a file or a line, in bytes.
const MAX_FLAW_BYTES: usize = 600;

/// Reads any bytes as such a file: each line has a number of its own, and what is said of it moves no cursor.
pub(crate) fn reservation_files(data: &[u8]) -> bool {
    let said = |flaw: &dyn std::fmt::Display| {
        let said = flaw.to_string();
        assert_harmless(&said);
        assert!(said.len() <= MAX_FLAW_BYTES, "{} bytes are said: {said}", said.len());
    };
    let lines = match read(data) {
        Ok(lines) => lines,
        Err(flaw) => {
            said(&flaw);
            return false;
        }
    };
    assert!(!lines.is_empty(), "a file of nobody is no file");
    assert!(lines.is_sorted_by(|one, next| one.number < next.number), "lines come in their order");
    for line in &lines {
        match &line.entry {
            // Below a heading it is the name that it was, also where alone it would be a heading itself.
            Ok(entry) => {
                let headed = format!("name\n{}\n", entry.name);
                let again = read(headed.as_bytes()).expect("a heading and a name are a file");
                let again = again.into_iter().next().and_then(|line| line.entry.ok());
                assert!(again.is_some_and(|again| again.name == entry.name), "{}", entry.name);
            }
            Err(flaw) => said(flaw),
        }
    }
    lines.iter().any(|line| line.entry.is_ok())
}
